//! The handshake: only this machine's own programs come in. A web page in a browser on this machine shows an
//! `Origin`, and one that had its name pointed at us shows a foreign `Host`; both are refused before a single
//! frame.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, StatusCode, Uri, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::handshaking::Handshaking;
use crate::links;

/// Largest frame and message from a client.
const FRAME_BYTES: usize = 64 * 1024;

/// Read at a time: several orders. The library clears so much before every read.
const READ_BYTES: usize = 2 * 1024;

/// Longest head of a handshake, its request line and all header fields. A browser's has about 600 bytes, and what
/// cookies it keeps for this machine's name.
const HEAD_BYTES: usize = 4 * 1024;

/// Header fields of a handshake at most. A browser sends about fifteen.
const HEADERS: usize = 64;

/// Who is let in.
#[derive(Clone, Debug)]
pub struct Door {
    /// Port that `Host` must name.
    pub port: u16,
    /// Web origins that may connect.
    pub allowed_origins: Vec<String>,
}

impl Door {
    /// Performs the handshake; the error says why it was refused.
    pub(super) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host_matters: bool,
    ) -> Result<WebSocketStream<Handshaking<S>>, String> {
        // Every frame is written at once: what the socket does not take stays in the gateway.
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(FRAME_BYTES))
            .max_frame_size(Some(FRAME_BYTES));
        #[allow(clippy::result_large_err, reason = "the type is the library's")]
        let check = |request: &Request, response: Response| match self.admit(request, host_matters) {
            Ok(()) => Ok(response),
            Err(reason) => {
                let mut refusal = ErrorResponse::new(Some(format!("{reason}\n")));
                *refusal.status_mut() = StatusCode::FORBIDDEN;
                Err(refusal)
            }
        };
        let stream = Handshaking::new(stream, HEAD_BYTES);
        let socket = accept_hdr_async_with_config(stream, check, Some(config)).await;
        let mut socket = socket.map_err(|error| links::words(&error))?;
        socket.get_mut().done();
        Ok(socket)
    }

    fn admit(&self, request: &Request, host_matters: bool) -> Result<(), String> {
        self.admit_parts(request.uri(), request.headers(), host_matters)
    }

    /// May a request of plain HTTP be answered? The error says why not.
    pub(crate) fn admits(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        self.admit_parts(uri, headers, true)
    }

    fn admit_parts(&self, uri: &Uri, headers: &HeaderMap, host_matters: bool) -> Result<(), String> {
        // An address in the request line would count instead of `Host`, for whoever forwards the request.
        if uri.authority().is_some() {
            return Err("the request line has an address; give a path".to_owned());
        }
        if headers.len() > HEADERS {
            return Err(format!("{} header fields; {HEADERS} are allowed", headers.len()));
        }
        self.admit_headers(headers, host_matters)
    }

    fn admit_headers(&self, headers: &HeaderMap, host_matters: bool) -> Result<(), String> {
        if host_matters {
            let mut hosts = headers.get_all(header::HOST).iter();
            let host = hosts.next().and_then(|value| value.to_str().ok());
            let own = host.is_some_and(|host| self.is_own(host));
            if !own || hosts.next().is_some() {
                return Err(format!("host {:?} is not localhost:{}", host.unwrap_or(""), self.port));
            }
        }
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or("");
            if !self.allowed_origins.iter().any(|allowed| allowed == origin) {
                return Err(format!("origin {origin:?} is not in \"allowed_origins\""));
            }
        }
        Ok(())
    }

    fn is_own(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port),
            _ => (host.as_str(), "80"),
        };
        // As text: a parser would take a sign or leading zeros.
        matches!(name, "localhost" | "127.0.0.1" | "[::1]") && port == self.port.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(headers: &[(&str, &str)]) -> bool {
        let door = Door { port: 8111, allowed_origins: vec!["https://desk.example".into()] };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, value.parse().unwrap());
        }
        door.admit_headers(&map, true).is_ok()
    }

    #[test]
    fn only_this_machine_by_its_own_name_comes_in() {
        for host in ["localhost:8111", "127.0.0.1:8111", "[::1]:8111", "LOCALHOST:8111"] {
            assert!(admitted(&[("host", host)]), "{host}");
        }
        for host in [
            "",
            "localhost",
            "localhost:80",
            "localhost:8112",
            "evil.example:8111",
            "127.0.0.1.evil.example:8111",
            "[::1]",
            "localhost:8111:8111",
            "localhost:+8111",
            "localhost:08111",
        ] {
            assert!(!admitted(&[("host", host)]), "{host}");
        }
        assert!(!admitted(&[]));
        assert!(!admitted(&[("host", "localhost:8111"), ("host", "evil.example")]));
    }

    #[test]
    fn a_web_page_comes_in_only_if_its_origin_is_listed() {
        let host = ("host", "localhost:8111");
        assert!(admitted(&[host, ("origin", "https://desk.example")]));
        for origin in ["https://evil.example", "null", "", "http://desk.example", "https://desk.example.evil"]
        {
            assert!(!admitted(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(!admitted(&[host, ("origin", "https://desk.example"), ("origin", "null")]));
    }
}
