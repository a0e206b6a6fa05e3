//! A TCP or Unix connection by its address.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

/// A connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What listens.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

fn malformed(address: &str) -> io::Error {
    io::Error::other(format!("{address} is neither tcp:host:port nor unix:/path"))
}

impl Stream {
    /// Connects.
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        if let Some(at) = address.strip_prefix("tcp:") {
            return Ok(Self::Tcp(prompt(TcpStream::connect(at)?)?));
        }
        let path = address.strip_prefix("unix:").ok_or_else(|| malformed(address))?;
        UnixStream::connect(path).map(Self::Unix)
    }

    /// The same connection once more.
    pub(crate) fn another(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }

    /// Lets reads return at once with nothing.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    /// Ends it for both sides.
    pub(crate) fn shut(&self) {
        // It may have ended by itself.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

/// Without Nagle's delay, like every connection of the gateway.
pub(crate) fn prompt(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Listener {
    /// Listens. A port of 0 takes a free one.
    pub(crate) fn bind(address: &str) -> io::Result<Self> {
        if let Some(at) = address.strip_prefix("tcp:") {
            return TcpListener::bind(at).map(Self::Tcp);
        }
        let path = address.strip_prefix("unix:").ok_or_else(|| malformed(address))?;
        UnixListener::bind(path).map(Self::Unix)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(format!("tcp:{}", listener.local_addr()?)),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                let path =
                    address.as_pathname().ok_or_else(|| io::Error::other("a socket without a name"))?;
                Ok(format!("unix:{}", path.display()))
            }
        }
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => prompt(listener.accept()?.0).map(Stream::Tcp),
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept()?.0)),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
