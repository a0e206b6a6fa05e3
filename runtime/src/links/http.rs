//! HTTP/1.1 requests to the exchange, over connections that are kept for the next one.
//!
//! ```text
//! Request ─▶ waits for a place ─▶ an idle connection, else a new one ─▶ sent ─▶ Response
//!     │                             ▲ closed meanwhile, nothing sent: the next  │
//!     └────▶ Down(reason) ◀─────────┴───────────────────────────────────────────┘
//! ```
//!
//! Questions (GET) have a row of places and all else another: an order or a cancel never stands behind questions.
//!
//! A request is never sent twice: once its first byte may have left, a failure is told as one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use hyper::{Method, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, SemaphorePermit};
use tradingsys::time::{Span, Time};
use tradingsys::venue::port::LinkInput;

use super::dial::{Dialler, Host, Stream};
use crate::clock::Clock;

/// Requests of a row on their way at one time.
const PLACES: usize = 8;

/// Requests of a row that may wait for a place.
const WAITING: usize = 256;

/// Longest a request may take from its place on. The exchange's own limit is 10 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);

/// Largest body taken. The largest known is exchangeInfo, about 15 MB in 2026.
const BODY_BYTES: usize = 64 << 20;

/// Idle connections kept, per host.
const IDLE: usize = 4;

/// Longest a connection is kept idle; servers close them after a minute or so, also while this machine sleeps.
const IDLE_FOR: Span = Span::from_secs(45);

/// What to ask.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Response {
    /// As the machines take it.
    pub fn input(&self) -> LinkInput<'_> {
        LinkInput::Response { status: self.status, headers: &self.headers, body: &self.body }
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// All connections for requests.
pub(super) struct Http {
    dialler: Rc<Dialler>,
    /// What changes nothing.
    questions: Row,
    /// Orders, cancels and all else, which never wait for questions.
    commands: Row,
    idle: RefCell<BTreeMap<Host, Vec<(Time, Sender)>>>,
    clock: Clock,
}

/// Places, first come, first served.
struct Row {
    places: Semaphore,
    waiting: Cell<usize>,
}

impl Row {
    fn new() -> Self {
        Self { places: Semaphore::new(PLACES), waiting: Cell::new(0) }
    }

    /// Waits for a place, which is free again when dropped.
    async fn place(&self) -> Result<SemaphorePermit<'_>, String> {
        if self.waiting.get() >= WAITING {
            return Err(format!("{WAITING} requests wait already; not sent"));
        }
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(&self.waiting);
        self.places.acquire().await.map_err(|error| error.to_string())
    }
}

/// One more that waits, until dropped.
struct Waiting<'a>(&'a Cell<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Http {
    pub(super) fn new(dialler: Rc<Dialler>) -> Self {
        let idle = RefCell::new(BTreeMap::new());
        Self { dialler, questions: Row::new(), commands: Row::new(), idle, clock: Clock::new() }
    }

    /// Makes the request. The error says why nothing is known of its outcome.
    pub(super) async fn perform(self: Rc<Self>, request: Request) -> Result<Response, String> {
        let row = if request.method == "GET" { &self.questions } else { &self.commands };
        let place = row.place().await?;
        let outcome = tokio::time::timeout(ANSWER_WITHIN, self.exchange(request)).await;
        drop(place);
        outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs())))
    }

    async fn exchange(&self, request: Request) -> Result<Response, String> {
        let (host, mut message) = request.message()?;
        let at = |reason: String| format!("{host}: {reason}");
        while let Some(mut sender) = self.take_idle(&host) {
            match sender.try_send_request(message).await {
                Ok(response) => return self.read(&host, sender, response).await.map_err(at),
                // The server closed it while it was idle: nothing was sent.
                Err(mut error) => match error.take_message() {
                    Some(back) => message = back,
                    None => return Err(at(words(&error.into_error()))),
                },
            }
        }
        let mut sender = self.open(&host).await?;
        let response = sender.send_request(message).await.map_err(|error| at(words(&error)))?;
        self.read(&host, sender, response).await.map_err(at)
    }

    fn take_idle(&self, host: &Host) -> Option<Sender> {
        let now = self.clock.now();
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(host)?;
        while let Some((since, sender)) = kept.pop() {
            if sender.is_ready() && now.since(since) < IDLE_FOR {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, host: &Host, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let now = self.clock.now();
        let mut idle = self.idle.borrow_mut();
        let kept = idle.entry(host.clone()).or_default();
        kept.retain(|(since, sender)| !sender.is_closed() && now.since(*since) < IDLE_FOR);
        if kept.len() < IDLE {
            kept.push((now, sender));
        }
    }

    async fn open(&self, host: &Host) -> Result<Sender, String> {
        match self.dialler.connect(host).await? {
            Stream::Plain(stream) => greet(stream).await,
            Stream::Tls(stream) => greet(*stream).await,
        }
        .map_err(|error| format!("{host}: {}", words(&error)))
    }

    async fn read(
        &self,
        host: &Host,
        sender: Sender,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> Result<Response, String> {
        let status = response.status().as_u16();
        let text =
            |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
        let headers = headers.collect();
        let body = Limited::new(response.into_body(), BODY_BYTES).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
        let body = String::from_utf8(body.into()).map_err(|_| "the answer is no text".to_owned())?;
        self.keep(host, sender);
        Ok(Response { status, headers, body })
    }
}

impl Request {
    /// Where to, and what.
    fn message(self) -> Result<(Host, hyper::Request<Full<Bytes>>), String> {
        // An address may carry a signature: none is ever part of an error's words.
        let uri: Uri = self.url.parse().map_err(|error| format!("the address cannot be read: {error}"))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("neither an http:// nor an https:// address".to_owned()),
        };
        let host = Host::of(&uri, secure).ok_or("the address names no host")?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let method: Method = self.method.parse().map_err(|_| format!("{:?} is no method", self.method))?;
        let mut message = hyper::Request::builder()
            .uri(target)
            .header(HOST, authority)
            .header(USER_AGENT, concat!("tradingsys/", env!("CARGO_PKG_VERSION")));
        if self.body.is_empty() && method != Method::GET {
            message = message.header(CONTENT_LENGTH, "0");
        }
        for (name, value) in self.headers {
            message = message.header(name, value);
        }
        let message = message.method(method).body(Full::new(self.body));
        Ok((host, message.map_err(|error| format!("the request cannot be made: {error}"))?))
    }
}

/// Begins HTTP on a connection; a task of its own carries it.
async fn greet<S>(stream: S) -> hyper::Result<Sender>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move {
        // How it ends is told to whoever waits for an answer.
        let _ended = connection.await;
    });
    Ok(sender)
}

fn words(error: &hyper::Error) -> String {
    let mut text = error.to_string().to_lowercase();
    if let Some(source) = std::error::Error::source(error) {
        text = format!("{text}: {source}");
    }
    text
}

#[cfg(test)]
mod tests;
