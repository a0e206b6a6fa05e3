//! Dialling: name, TCP, TLS where asked for, websocket upgrade.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::words;

/// Longest for one address of the name to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Largest message taken. The largest known is exchangeInfo, about 15 MB in 2026.
const MESSAGE_BYTES: usize = 64 << 20;

/// An open websocket.
pub(super) enum Socket {
    Plain(Box<WebSocketStream<TcpStream>>),
    Tls(Box<WebSocketStream<TlsStream<TcpStream>>>),
}

/// Opens a websocket to a `ws://` or `wss://` address.
pub(super) async fn dial(url: &str, tls: &TlsConnector) -> Result<Socket, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url} is no address: {error}"))?;
    let secure = match uri.scheme_str() {
        Some("wss") => true,
        Some("ws") => false,
        _ => return Err(format!("{url} is no websocket address")),
    };
    let host = uri.host().ok_or_else(|| format!("{url} names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let at = |reason: String| format!("{host}:{port}: {reason}");
    let stream = connect(host, port).await.map_err(at)?;
    // Every frame leaves at once, and flushing is one write.
    let config = WebSocketConfig::default()
        .read_buffer_size(64 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    if !secure {
        let upgraded = client_async_with_config(url, stream, Some(config)).await;
        return upgraded
            .map(|(socket, _)| Socket::Plain(Box::new(socket)))
            .map_err(|error| at(words(&error)));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| at(error.to_string()))?;
    let stream = tls.connect(name, stream).await.map_err(|error| at(format!("tls: {error}")))?;
    let upgraded = client_async_with_config(url, stream, Some(config)).await;
    upgraded.map(|(socket, _)| Socket::Tls(Box::new(socket))).map_err(|error| at(words(&error)))
}

/// The first address of the name that answers.
async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = tokio::net::lookup_host((host, port)).await;
    let mut reason = "the name has no address".to_owned();
    for address in addresses.map_err(|error| format!("the name cannot be resolved: {error}"))? {
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                return Ok(stream);
            }
            Ok(Err(error)) => reason = error.to_string().to_lowercase(),
            Err(_) => reason = format!("no answer within {} s", CONNECT_WITHIN.as_secs()),
        }
    }
    Err(reason)
}
