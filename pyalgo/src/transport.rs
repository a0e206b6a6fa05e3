//! A websocket over a non-blocking socket. Nothing here ever waits: [`Connection::advance`] does what can be done now.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use crate::tls;
use crate::token::Address;

/// The kernel keeps at most about this much unread: what is older than that is not worth reading.
const RECEIVE_BUFFER: usize = 64 * 1024;
/// Read at a time: a depth frame with its events. The library clears so much before every read, also before the one
/// that finds nothing.
const READ_BYTES: usize = 4 * 1024;
/// Larger messages are refused: a snapshot of a thousand orders is well below.
const MAX_MESSAGE: usize = 16 << 20;

pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        }
    }
    /// Connected yet? An error if it never will be.
    fn is_connected(&self) -> io::Result<bool> {
        let (error, peer) = match self {
            Self::Tcp(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
            Self::Unix(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
            Self::Tls(stream) => (stream.sock.take_error()?, stream.sock.peer_addr().map(drop)),
        };
        if let Some(error) = error {
            return Err(error);
        }
        match peer {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}
impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }
    /// TLS may have taken what the socket has not.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

enum State {
    Closed,
    Connecting(Stream),
    Shaking(MidHandshake<ClientHandshake<Stream>>),
    Open(Box<WebSocket<Stream>>),
}

/// What [`Connection::advance`] found.
pub(crate) enum Found {
    /// Nothing more for now.
    Nothing,
    /// The handshake is done.
    Opened,
    /// A text frame.
    Text(tungstenite::Utf8Bytes),
    /// The connection is gone.
    Lost(Option<u16>, String),
}

/// One connection after another to one address.
pub(crate) struct Connection {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    token: Token,
    state: State,
    untried: VecDeque<SocketAddr>,
    closing: Option<(u16, String)>,
    /// The socket took less than it was given; the rest waits.
    blocked: bool,
}

impl Connection {
    /// `tls` for an address that speaks it.
    pub(crate) fn new(address: Address, tls: Option<Arc<ClientConfig>>, token: Token) -> Self {
        let untried = VecDeque::new();
        Self { address, tls, token, state: State::Closed, untried, closing: None, blocked: false }
    }

    pub(crate) fn token(&self) -> Token {
        self.token
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Does the socket refuse to take more?
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Begins to connect; the rest is done by `advance`.
    pub(crate) fn open(&mut self, registry: &Registry) -> Result<(), String> {
        self.state = State::Closed;
        self.closing = None;
        self.blocked = false;
        match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).map_err(|error| error.to_string())?;
                self.begin(registry, Stream::Unix(stream)).map_err(|error| error.to_string())
            }
            Address::Tcp { host, port, .. } => {
                let found = (host.as_str(), *port).to_socket_addrs();
                self.untried = found.map_err(|error| format!("{host}: {error}"))?.collect();
                self.try_next(registry)
            }
        }
    }

    fn try_next(&mut self, registry: &Registry) -> Result<(), String> {
        let mut last = "the host has no address".to_owned();
        while let Some(address) = self.untried.pop_front() {
            let begun = TcpStream::connect(address).and_then(|stream| {
                stream.set_nodelay(true)?;
                socket2::SockRef::from(&stream).set_recv_buffer_size(RECEIVE_BUFFER)?;
                let stream = self.secured(stream)?;
                self.begin(registry, stream)
            });
            match begun {
                Ok(()) => return Ok(()),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }

    /// The handshake of TLS is done by the first frames that want to pass.
    fn secured(&self, stream: TcpStream) -> io::Result<Stream> {
        let (Some(config), Address::Tcp { host, .. }) = (&self.tls, &self.address) else {
            return Ok(Stream::Tcp(stream));
        };
        let connection = tls::connection(config, host).map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    fn begin(&mut self, registry: &Registry, mut stream: Stream) -> io::Result<()> {
        registry.register(stream.source(), self.token, Interest::READABLE | Interest::WRITABLE)?;
        self.state = State::Connecting(stream);
        Ok(())
    }

    /// Does the next thing that can be done without waiting.
    pub(crate) fn advance(&mut self, registry: &Registry) -> Found {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed => Found::Nothing,
            State::Connecting(stream) => self.connecting(registry, stream),
            State::Shaking(shaking) => self.shaken(shaking.handshake()),
            State::Open(socket) => {
                self.state = State::Open(socket);
                self.read()
            }
        }
    }

    fn connecting(&mut self, registry: &Registry, stream: Stream) -> Found {
        match stream.is_connected() {
            Ok(false) => {
                self.state = State::Connecting(stream);
                Found::Nothing
            }
            Ok(true) => {
                let mut config = WebSocketConfig::default().read_buffer_size(READ_BYTES).write_buffer_size(0);
                config.max_message_size = Some(MAX_MESSAGE);
                self.shaken(tungstenite::client::client_with_config(self.address.url(), stream, Some(config)))
            }
            Err(error) => {
                drop(stream);
                match self.try_next(registry) {
                    Ok(()) => Found::Nothing,
                    Err(_) => Found::Lost(None, error.to_string()),
                }
            }
        }
    }

    fn shaken<T>(
        &mut self,
        shaken: Result<(WebSocket<Stream>, T), HandshakeError<ClientHandshake<Stream>>>,
    ) -> Found {
        match shaken {
            Ok((socket, _)) => {
                self.state = State::Open(Box::new(socket));
                Found::Opened
            }
            Err(HandshakeError::Interrupted(shaking)) => {
                self.state = State::Shaking(shaking);
                Found::Nothing
            }
            Err(HandshakeError::Failure(Error::Http(response))) => {
                let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                Found::Lost(
                    None,
                    format!("the handshake was refused with HTTP {}: {body}", response.status()),
                )
            }
            Err(HandshakeError::Failure(error)) => Found::Lost(None, no_websocket(&error)),
        }
    }

    fn read(&mut self) -> Found {
        let State::Open(socket) = &mut self.state else { return Found::Nothing };
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => return Found::Text(text),
                Ok(Message::Close(frame)) => {
                    self.closing = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Found::Nothing;
                }
                Err(error) => return self.lost(&error),
            }
        }
    }

    fn lost(&mut self, error: &Error) -> Found {
        self.state = State::Closed;
        self.blocked = false;
        match self.closing.take() {
            Some((code, reason)) => Found::Lost(Some(code), format!("closed with code {code}: {reason}")),
            None => Found::Lost(None, error.to_string()),
        }
    }

    /// Gives a frame to the socket.
    pub(crate) fn send(&mut self, text: String) -> Result<(), Found> {
        let State::Open(socket) = &mut self.state else { return Ok(()) };
        let written = socket.write(Message::text(text));
        self.written(written)
    }

    /// Presses on with what the socket has not taken yet.
    pub(crate) fn flush(&mut self) -> Result<(), Found> {
        let State::Open(socket) = &mut self.state else { return Ok(()) };
        let flushed = socket.flush();
        self.blocked = false;
        self.written(flushed)
    }

    fn written(&mut self, written: Result<(), Error>) -> Result<(), Found> {
        match written {
            Ok(()) => Ok(()),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                Ok(())
            }
            // Reading finds out how it ended, and what was said before the end.
            Err(Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => Ok(()),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Says goodbye as far as that goes without waiting, and closes.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        if let State::Open(socket) = &mut self.state {
            let reason = reason.chars().take(40).collect::<String>();
            let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
            // Nothing to be done about a goodbye that does not get through.
            let _ = socket.close(Some(frame)).and_then(|()| socket.flush());
        }
        self.state = State::Closed;
        self.blocked = false;
    }
}

/// Why there is no websocket there.
fn no_websocket(error: &Error) -> String {
    let of_tls = match error {
        Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    of_tls.map_or_else(|| format!("what listens there speaks no websocket: {error}"), tls::words)
}
