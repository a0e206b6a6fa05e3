//! Dialling: name, TCP, TLS where asked for, websocket upgrade.

use std::fmt;
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
    let host = Host::of(&uri, secure).ok_or_else(|| format!("{url} names no host"))?;
    let at = |reason: String| format!("{host}: {reason}");
    // Every frame leaves at once, and flushing is one write.
    let config = WebSocketConfig::default()
        .read_buffer_size(64 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    let upgraded = match host.connect(tls).await? {
        Stream::Plain(stream) => client_async_with_config(url, stream, Some(config))
            .await
            .map(|(socket, _)| Socket::Plain(Box::new(socket))),
        Stream::Tls(stream) => client_async_with_config(url, *stream, Some(config))
            .await
            .map(|(socket, _)| Socket::Tls(Box::new(socket))),
    };
    upgraded.map_err(|error| at(words(&error)))
}

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host {
    name: String,
    port: u16,
    secure: bool,
}

/// An open connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Host {
    /// The host of an address; `None` if it names none.
    pub(super) fn of(uri: &Uri, secure: bool) -> Option<Self> {
        let name = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Some(Self { name, port, secure })
    }

    /// Name, TCP, and TLS where asked for.
    pub(super) async fn connect(&self, tls: &TlsConnector) -> Result<Stream, String> {
        let at = |reason: String| format!("{self}: {reason}");
        let stream = connect(&self.name, self.port).await.map_err(at)?;
        if !self.secure {
            return Ok(Stream::Plain(stream));
        }
        let name = ServerName::try_from(self.name.clone()).map_err(|error| at(error.to_string()))?;
        let stream = tls.connect(name, stream).await.map_err(|error| at(format!("tls: {error}")))?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
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
