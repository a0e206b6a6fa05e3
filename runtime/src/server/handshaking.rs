//! A socket whose other side may say only so much until its handshake is done.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module. Nothing may follow a handshake before its answer, so what is read until then is its head alone.
pub(super) struct Handshaking<S> {
    socket: S,
    /// Bytes that may still come; any number once the handshake is done.
    left: Option<usize>,
}

impl<S> Handshaking<S> {
    /// So many bytes at most until [`Self::done`].
    pub(super) const fn new(socket: S, head_max: usize) -> Self {
        Self { socket, left: Some(head_max) }
    }

    /// What is read from here on has other bounds.
    pub(super) const fn done(&mut self) {
        self.left = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Handshaking<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, into);
        if let Some(left) = self.left {
            match left.checked_sub(into.filled().len() - before) {
                Some(rest) => self.left = Some(rest),
                None => return Poll::Ready(Err(io::Error::other("the request's head is too long"))),
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Handshaking<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
