//! The local door: who may connect, and the sockets of those who may.
//!
//! A connection is two halves of one task. One half reads frames and hands them to the loop. The other
//! writes: it *pulls* the next frame from the gateway when the socket has taken the one before, so at most
//! one frame per client waits outside the gateway, and what is conflated is conflated there. Small socket
//! buffers keep the kernel from queueing what is stale.

mod bind;
mod door;
mod handshaking;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tradingsys::gateway::Gateway;
use tradingsys::ids::ConnId;

use crate::clock::Clock;

pub use bind::{Listeners, bind, bind_metrics};
pub use door::Door;

/// Frames of clients that may wait for the loop, over all clients.
const EVENTS: usize = 256;

/// Connections at most that have not logged in, handshakes under way included; further ones are closed unheard.
/// Each ends after seconds by itself.
const STRANGERS: usize = 64;

/// Connections at most, logged in or not.
const CONNECTIONS: usize = 1024;

/// Longest a handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(3);

/// Refused handshakes that are told one by one, in a minute.
const REFUSALS_TOLD: u64 = 100;

const MINUTE_NANOS: i64 = 60_000_000_000;

/// Longest a client may take to read what is left for it once it is being closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What happened at the door or on a client's socket.
pub enum ClientEvent {
    /// The handshake is done.
    Opened(ConnId, Rc<Client>),
    /// A text frame.
    Frame(ConnId, Utf8Bytes),
    /// It is gone. The last of the connection.
    Closed(ConnId),
}

/// The loop's handle of a connection.
#[derive(Default)]
pub struct Client {
    ready: Notify,
    closing: Notify,
    close: RefCell<Option<(u16, String)>>,
}

impl Client {
    /// There is something to pull.
    pub fn wake(&self) {
        self.ready.notify_one();
    }

    /// Close after what can still be pulled.
    pub fn close(&self, code: u16, reason: &str) {
        let mut close = self.close.borrow_mut();
        if close.is_none() {
            *close = Some((code, reason.to_owned()));
        }
        self.ready.notify_one();
        self.closing.notify_one();
    }
}

/// What connections need.
pub struct Server {
    gateway: Rc<RefCell<Gateway>>,
    clock: Clock,
    door: Door,
    events: mpsc::Sender<ClientEvent>,
    handshakes: Semaphore,
    connections: Semaphore,
    next: RefCell<u64>,
    /// A minute, and how many handshakes were refused in it.
    refusals: RefCell<(i64, u64)>,
    refused: Cell<u64>,
}

impl Server {
    /// For that gateway; events of all clients arrive at the receiver.
    pub fn new(
        gateway: Rc<RefCell<Gateway>>,
        clock: Clock,
        door: Door,
    ) -> (Rc<Self>, mpsc::Receiver<ClientEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let server = Self {
            gateway,
            clock,
            door,
            events,
            handshakes: Semaphore::new(STRANGERS),
            connections: Semaphore::new(CONNECTIONS),
            next: RefCell::new(0),
            refusals: RefCell::default(),
            refused: Cell::default(),
        };
        (Rc::new(server), receiver)
    }

    /// Serves one accepted socket to its end, once it has come about: TLS has a handshake of its own.
    /// `host_matters`: the handshake must name this port of this machine.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        self: Rc<Self>,
        arriving: impl Future<Output = io::Result<S>>,
        host_matters: bool,
    ) {
        let Ok(_connection) = self.connections.try_acquire() else { return };
        let socket = {
            let Ok(_handshake) = self.handshakes.try_acquire() else { return };
            let under_way = STRANGERS - self.handshakes.available_permits();
            if under_way + self.gateway.borrow().strangers() > STRANGERS {
                return;
            }
            let handshake = async {
                let stream = arriving.await.map_err(|error| format!("tls: {error}").to_lowercase())?;
                self.door.handshake(stream, host_matters).await
            };
            match tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await {
                Ok(Ok(socket)) => socket,
                Ok(Err(reason)) => return self.refused(&reason),
                Err(_) => return self.refused("too slow"),
            }
        };
        let conn = {
            let mut next = self.next.borrow_mut();
            *next += 1;
            ConnId(*next)
        };
        let client = Rc::new(Client::default());
        if self.events.send(ClientEvent::Opened(conn, Rc::clone(&client))).await.is_err() {
            return;
        }
        let (sink, stream) = socket.split();
        tokio::select! {
            () = self.write(conn, &client, sink) => {}
            () = self.read(conn, &client, stream) => {}
            () = too_late(&client) => {}
        }
        let _ = self.events.send(ClientEvent::Closed(conn)).await;
    }

    /// Handshakes refused since the process began.
    pub fn refused_so_far(&self) -> u64 {
        self.refused.get()
    }

    /// Tells of a refusal. Whoever tries without end fills no disk: beyond so many in a minute they are counted.
    fn refused(&self, reason: &str) {
        self.refused.set(self.refused.get() + 1);
        let minute = self.clock.now().nanos() / MINUTE_NANOS;
        let mut refusals = self.refusals.borrow_mut();
        if refusals.0 != minute {
            if refusals.1 > REFUSALS_TOLD {
                let count = refusals.1 - REFUSALS_TOLD;
                tracing::warn!(target: "door", count, "more_handshakes_refused");
            }
            *refusals = (minute, 0);
        }
        refusals.1 += 1;
        if refusals.1 <= REFUSALS_TOLD {
            tracing::warn!(target: "door", reason, "handshake_refused");
        }
    }

    /// Reads until the client is gone. A client that breaks the framing is closed by the other half.
    async fn read<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        conn: ConnId,
        client: &Client,
        mut stream: SplitStream<WebSocketStream<S>>,
    ) {
        loop {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    if self.events.send(ClientEvent::Frame(conn, text)).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Binary(_))) => {
                    client.close(1008, "binary frames are not part of the protocol");
                    return std::future::pending().await;
                }
                Some(Ok(Message::Close(_))) | None => return,
                Some(Ok(_)) => {}
                Some(Err(Error::Capacity(_))) => {
                    client.close(1009, "frames may have 64 KiB");
                    return std::future::pending().await;
                }
                Some(Err(Error::Utf8(_))) => {
                    client.close(1007, "frames must be UTF-8");
                    return std::future::pending().await;
                }
                Some(Err(_)) => return,
            }
        }
    }

    /// Writes what the gateway has for the client, as fast as its socket takes it.
    async fn write<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        conn: ConnId,
        client: &Client,
        mut sink: SplitSink<WebSocketStream<S>, Message>,
    ) {
        loop {
            let frame = self.gateway.borrow_mut().pull(self.clock.now(), conn);
            if let Some(frame) = frame {
                #[cfg(feature = "failpoints")]
                let told = crate::failpoint::Told::of(&frame);
                // The gateway made it from text; checking once more that it is would cost on every tick.
                let frame = Message::Frame(Frame::message(frame, OpCode::Data(Data::Text), true));
                if sink.send(frame).await.is_err() {
                    return;
                }
                #[cfg(feature = "failpoints")]
                told.is_on_its_way();
                continue;
            }
            let close = client.close.borrow().clone();
            if let Some((code, reason)) = close {
                let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
                let _ = sink.send(Message::Close(Some(frame))).await;
                // The other half sees the client's own close, or `too_late` ends the wait: closing the socket
                // at once could destroy what the client has yet to read.
                return std::future::pending().await;
            }
            client.ready.notified().await;
        }
    }
}

/// A client that is being closed but does not read.
async fn too_late(client: &Client) {
    client.closing.notified().await;
    tokio::time::sleep(CLOSE_WITHIN).await;
}
