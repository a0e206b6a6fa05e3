//! Links to the exchange: websockets and HTTP requests. A websocket is a task: it dials, tells `Up`, carries frames
//! both ways, answers pings, and ends with exactly one `Down`. A request is a task that ends with one `Response` or
//! one `Down` (see [`http`]).
//!
//! ```text
//! Open ─▶ dialling ──▶ Up ──▶ frames … ──▶ Down(reason)
//!             └────────────────────────────▲   on failure, on Close, when a queue is over its bound
//! ```

mod dial;
mod http;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tradingsys::ids::LinkId;
use tradingsys::time::{Span, Time};
use tradingsys::venue::port::LinkAction;

use self::dial::Dialler;
use self::http::Http;
pub use self::http::Response;

/// Frames that may wait for the loop, over all links.
const EVENTS: usize = 512;

/// Frames that may wait for one link's socket. A cancel of everything is a frame for each order, all in one turn of
/// the loop: more than any venue's budget of a minute (6,000) must fit.
const OUTGOING: usize = 8_192;

/// Longest a frame may take to leave. Beyond it the link counts as dead.
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// Longest a closing handshake may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Longest to dial, with name, TLS and upgrade.
const DIAL_WITHIN: Duration = Duration::from_secs(10);

/// What happened on a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// It is open.
    Up,
    /// It is not; why. The last of the link.
    Down(String),
    /// A text frame.
    Text(Utf8Bytes),
    /// A binary frame.
    Binary(Bytes),
    /// A ping or pong.
    Alive,
    /// The answer to a request. The last of the link.
    Response(Box<Response>),
}

/// All links that are open or being opened.
pub struct Links {
    counts: LinkCounts,
    heard_at: Option<Time>,
    open: BTreeMap<LinkId, mpsc::Sender<Bytes>>,
    events: mpsc::Sender<(LinkId, LinkEvent)>,
    dialler: Rc<Dialler>,
    http: Rc<Http>,
}

impl Links {
    /// None yet. Events of all links arrive at the receiver.
    pub fn new(tls: TlsConnector) -> (Self, mpsc::Receiver<(LinkId, LinkEvent)>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let dialler = Rc::new(Dialler::new(tls));
        let http = Rc::new(Http::new(Rc::clone(&dialler)));
        let counts = LinkCounts::default();
        (Self { counts, heard_at: None, open: BTreeMap::new(), events, dialler, http }, receiver)
    }

    /// Does what a venue's machine wants done. Must be called within a `LocalSet`.
    pub fn perform(&mut self, action: LinkAction) {
        match action {
            LinkAction::Open { link, url, headers } => {
                let (sender, outgoing) = mpsc::channel(OUTGOING);
                self.open.insert(link, sender);
                let task = LinkTask { link, events: self.events.clone(), outgoing };
                self.counts.dials += 1;
                tokio::task::spawn_local(task.run(url, headers, Rc::clone(&self.dialler)));
            }
            LinkAction::Send { link, text } => {
                let Some(sender) = self.open.get(&link) else { return };
                // A socket that takes nothing any more is dead; its machine hears so by `Down`.
                if sender.try_send(text).is_err() {
                    self.open.remove(&link);
                } else {
                    self.counts.sent += 1;
                }
            }
            LinkAction::Close { link } => {
                self.open.remove(&link);
            }
            LinkAction::Request { link, method, url, headers, body } => {
                self.counts.requests += 1;
                let (sender, given_up) = mpsc::channel(1);
                self.open.insert(link, sender);
                let task = LinkTask { link, events: self.events.clone(), outgoing: given_up };
                let request = http::Request { method, url, headers, body };
                tokio::task::spawn_local(task.request(Rc::clone(&self.http), request));
            }
        }
    }

    /// The link has told its last.
    pub fn forget(&mut self, link: LinkId) {
        self.open.remove(&link);
    }

    /// Something arrived on a link.
    pub fn heard(&mut self, now: Time, event: &LinkEvent) {
        match event {
            LinkEvent::Text(_) | LinkEvent::Binary(_) => {
                self.counts.received += 1;
                self.heard_at = Some(now);
            }
            LinkEvent::Alive => self.heard_at = Some(now),
            LinkEvent::Down(_) => self.counts.downs += 1,
            LinkEvent::Response(_) => self.counts.responses += 1,
            LinkEvent::Up => {}
        }
    }

    /// What has been counted, as of now.
    pub fn counts(&self, now: Time) -> LinkCounts {
        let quiet_for = self.heard_at.map(|at| now.since(at));
        LinkCounts { quiet_for, ..self.counts }
    }
}

/// What links have carried since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Websockets begun.
    pub dials: u64,
    /// Links that ended without an answer: websockets, and requests that failed.
    pub downs: u64,
    /// Frames of text or data received.
    pub received: u64,
    /// Frames handed to sockets.
    pub sent: u64,
    /// Requests begun.
    pub requests: u64,
    /// Requests that were answered.
    pub responses: u64,
    /// Since anything was heard on a websocket.
    pub quiet_for: Option<Span>,
}

/// Header fields of a handshake, names in lower case.
type Headers = Vec<(&'static str, String)>;

struct LinkTask {
    link: LinkId,
    events: mpsc::Sender<(LinkId, LinkEvent)>,
    outgoing: mpsc::Receiver<Bytes>,
}

impl LinkTask {
    async fn run(mut self, url: String, headers: Headers, dialler: Rc<Dialler>) {
        let reason = match self.dial(&url, headers, &dialler).await {
            Ok(dial::Socket::Plain(socket)) => self.carry(*socket).await,
            Ok(dial::Socket::Tls(socket)) => self.carry(*socket).await,
            Err(reason) => reason,
        };
        self.tell(LinkEvent::Down(reason)).await;
    }

    async fn request(mut self, http: Rc<Http>, request: http::Request) {
        let event = tokio::select! {
            outcome = http.perform(request) => match outcome {
                Ok(response) => LinkEvent::Response(Box::new(response)),
                Err(reason) => LinkEvent::Down(reason),
            },
            _ = self.outgoing.recv() => LinkEvent::Down("given up".into()),
        };
        self.tell(event).await;
    }

    async fn dial(&mut self, url: &str, headers: Headers, dialler: &Dialler) -> Result<dial::Socket, String> {
        let dialling = tokio::time::timeout(DIAL_WITHIN, dialler.websocket(url, headers));
        tokio::pin!(dialling);
        loop {
            tokio::select! {
                outcome = &mut dialling => {
                    return outcome.unwrap_or_else(|_| Err(format!("no connection within {} s", DIAL_WITHIN.as_secs())));
                }
                frame = self.outgoing.recv() => match frame {
                    // Nothing can be sent yet, and the machines know; a frame now has nowhere to go.
                    Some(_) => {}
                    None => return Err("given up while dialling".into()),
                }
            }
        }
    }

    /// Carries frames until the end, and says why it came.
    async fn carry<S: AsyncRead + AsyncWrite + Unpin>(&mut self, mut socket: WebSocketStream<S>) -> String {
        self.tell(LinkEvent::Up).await;
        loop {
            tokio::select! {
                biased;
                frame = self.outgoing.recv() => {
                    let Some(text) = frame else {
                        let _ = tokio::time::timeout(CLOSE_WITHIN, socket.close(None)).await;
                        return "closed by this side".into();
                    };
                    #[cfg(feature = "failpoints")]
                    let is_order = crate::failpoint::is_order(&text);
                    // The frame was made by our own writer: it is valid text, which is not checked once more.
                    let frame = Message::Frame(Frame::message(text, OpCode::Data(Data::Text), true));
                    match tokio::time::timeout(SEND_WITHIN, socket.send(frame)).await {
                        Ok(Ok(())) => {
                            #[cfg(feature = "failpoints")]
                            crate::failpoint::handed_over(is_order);
                        }
                        Ok(Err(error)) => return words(&error),
                        Err(_) => return format!("nothing could be sent for {} s", SEND_WITHIN.as_secs()),
                    }
                }
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.tell(LinkEvent::Text(text)).await,
                    Some(Ok(Message::Binary(frame))) => self.tell(LinkEvent::Binary(frame)).await,
                    Some(Ok(Message::Close(frame))) => {
                        let _ = tokio::time::timeout(CLOSE_WITHIN, socket.close(None)).await;
                        return closed(frame.as_ref());
                    }
                    Some(Ok(_)) => self.tell(LinkEvent::Alive).await,
                    Some(Err(error)) => return words(&error),
                    None => return "the connection ended".into(),
                }
            }
        }
    }

    async fn tell(&self, event: LinkEvent) {
        // Fails only when the loop has ended, and this task with it.
        let _ = self.events.send((self.link, event)).await;
    }
}

fn closed(frame: Option<&CloseFrame>) -> String {
    match frame {
        Some(frame) if frame.reason.is_empty() => {
            format!("closed by the other side (code {})", u16::from(frame.code))
        }
        Some(frame) => {
            format!("closed by the other side (code {}: {})", u16::from(frame.code), shortened(&frame.reason))
        }
        None => "closed by the other side".into(),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// A transport error in words a human can act on.
pub(crate) fn words(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Io(error) => error.to_string().to_lowercase(),
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            format!("answered with HTTP {} {}", response.status(), shortened(body.trim()))
                .trim_end()
                .to_owned()
        }
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            "the connection ended".into()
        }
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            "the connection broke".into()
        }
        other => shortened(&other.to_string().to_lowercase()),
    }
}

#[cfg(test)]
mod tests;
