//! The shell: sockets, clock and files around the machine. It only moves bytes.
//!
//! One thread. Every task calls the machine directly; its outputs are done at once and in order: a
//! journal's line is written before a frame that tells of it is queued.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use binance_sim::{Conn, HttpReply, HttpRequest, Journal, Journaled, Request, Sim, SimInput, SimOutput};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, StatusCode, upgrade};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tradingsys::time::Time;

use crate::socket::{self, Command};

/// Frames waiting for one slow reader before it is cut off.
const QUEUE: usize = 8_192;
/// Largest body of a request.
const LARGEST_BODY: usize = 1 << 20;

/// Wall clock at the start, carried on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: i64,
    steady: Instant,
}

impl Clock {
    /// Takes the wall clock once.
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall: i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX), steady: Instant::now() }
    }

    /// Now.
    pub(crate) fn now(&self) -> Time {
        let past = i64::try_from(self.steady.elapsed().as_nanos()).unwrap_or(i64::MAX);
        Time::from_nanos(self.wall.saturating_add(past))
    }
}

/// Open journals of a data directory; none without one.
#[derive(Debug, Default)]
pub(crate) struct Journals {
    files: BTreeMap<Journal, File>,
    /// The faults of this run alone.
    faults: Option<File>,
}

impl Journals {
    /// Opens (or creates) the journals of a directory, and reads what an earlier run left in them. What is
    /// left of a line that was cut off is cut away.
    ///
    /// # Errors
    /// The first that cannot be opened.
    pub(crate) fn open(directory: &Path) -> std::io::Result<(Self, Journaled)> {
        std::fs::create_dir_all(directory)?;
        let mut files = BTreeMap::new();
        let mut journaled = Journaled::default();
        for journal in Journal::ALL {
            let path = directory.join(journal.file_name());
            let mut file = File::options().read(true).append(true).create(true).open(path)?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            if whole < text.len() {
                text.truncate(whole);
                file.set_len(whole as u64)?;
            }
            journaled.texts.insert(journal, text);
            files.insert(journal, file);
        }
        Ok((Self { files, faults: None }, journaled))
    }

    /// Writes the faults of this run to a file of their own as well.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn record_faults(&mut self, path: &Path) -> std::io::Result<()> {
        self.faults = Some(File::create(path)?);
        Ok(())
    }

    /// Appends a line in one write, so that a killed process leaves whole lines.
    fn append(&mut self, journal: Journal, mut line: String) {
        line.push('\n');
        let recording = self.faults.as_mut().filter(|_| journal == Journal::Faults);
        let written = recording
            .into_iter()
            .chain(self.files.get_mut(&journal))
            .try_for_each(|file| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            // The journals are what tests compare with: going on without them would make every comparison
            // wrong.
            eprintln!("binance-sim: cannot write {}: {error}", journal.file_name());
            std::process::exit(74);
        }
    }
}

/// The machine and all that is open around it.
pub(crate) struct Core {
    sim: Sim,
    clock: Clock,
    journals: Journals,
    sockets: BTreeMap<Conn, mpsc::Sender<Command>>,
    waiting: BTreeMap<Request, oneshot::Sender<Option<HttpReply>>>,
    numbered: u64,
    outputs: Vec<SimOutput>,
    deadline: Option<Time>,
    sooner: Rc<Notify>,
}

/// The core, shared by the tasks of the one thread.
pub(crate) type Shared = Rc<RefCell<Core>>;

impl Core {
    /// A shell around a machine.
    pub(crate) fn new(sim: Sim, clock: Clock, journals: Journals) -> Self {
        let deadline = sim.deadline();
        Self {
            sim,
            clock,
            journals,
            sockets: BTreeMap::new(),
            waiting: BTreeMap::new(),
            numbered: 0,
            outputs: Vec::new(),
            deadline,
            sooner: Rc::new(Notify::new()),
        }
    }

    fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Hands an input to the machine and does what it says.
    pub(crate) fn input(&mut self, input: SimInput) {
        let now = self.clock.now();
        let mut outputs = std::mem::take(&mut self.outputs);
        self.sim.handle(now, input, &mut outputs);
        self.perform(&mut outputs);
        self.outputs = outputs;
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        let mut outputs = std::mem::take(&mut self.outputs);
        self.sim.timer(now, &mut outputs);
        self.perform(&mut outputs);
        self.outputs = outputs;
    }

    fn perform(&mut self, outputs: &mut Vec<SimOutput>) {
        for output in outputs.drain(..) {
            match output {
                SimOutput::Send(conn, text) => self.command(conn, Command::Text(text)),
                SimOutput::SendData(conn, data) => self.command(conn, Command::Data(data)),
                SimOutput::SendOdd(conn, text, oddity) => self.command(conn, Command::Odd(text, oddity)),
                SimOutput::Ping(conn, payload) => self.command(conn, Command::Ping(payload)),
                SimOutput::Close(conn, code, why) => self.command(conn, Command::Close(code, why)),
                SimOutput::Abort(conn) => drop(self.sockets.remove(&conn)),
                SimOutput::Freeze(conn) => self.command(conn, Command::Freeze),
                // A handshake waits for the word in the same table as its reply would.
                SimOutput::Refuse(conn, status) => {
                    self.sockets.remove(&conn);
                    self.answer(
                        Request(conn.0),
                        Some(HttpReply { status, headers: Vec::new(), body: String::new() }),
                    );
                }
                SimOutput::Reply(request, reply) => self.answer(request, Some(reply)),
                SimOutput::Drop(request) => self.answer(request, None),
                SimOutput::Append(journal, line) => self.journals.append(journal, line),
            }
        }
        let deadline = self.sim.deadline();
        if deadline < self.deadline || self.deadline.is_none() {
            self.sooner.notify_one();
        }
        self.deadline = deadline;
    }

    fn command(&mut self, conn: Conn, command: Command) {
        if let Some(socket) = self.sockets.get(&conn)
            && socket.try_send(command).is_err()
        {
            // Dropping the sender cuts the connection: a reader this slow is of no use.
            self.sockets.remove(&conn);
        }
    }

    fn answer(&mut self, request: Request, reply: Option<HttpReply>) {
        if let Some(waiting) = self.waiting.remove(&request) {
            // The client may have gone away meanwhile.
            let _ = waiting.send(reply);
        }
    }

    /// A connection is gone.
    pub(crate) fn closed(&mut self, conn: Conn) {
        self.sockets.remove(&conn);
        self.input(SimInput::Closed(conn));
    }
}

/// Calls the machine when its deadline has passed.
pub(crate) async fn keep_time(core: Shared) {
    let sooner = core.borrow().sooner.clone();
    loop {
        let wait = {
            let core = core.borrow();
            let nanos = core.deadline.map_or(i64::MAX, |deadline| (deadline - core.clock.now()).nanos());
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)).min(Duration::from_secs(3_600))
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => core.borrow_mut().tick(),
            () = sooner.notified() => {}
        }
    }
}

/// Takes connections for ever.
pub(crate) async fn accept(listener: TcpListener, core: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::task::spawn_local(serve(stream, peer, core.clone()));
            }
            Err(error) => {
                // Out of file descriptors, as a rule: give those that are open a chance to end.
                eprintln!("binance-sim: cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, core: Shared) {
    // Nagle's algorithm would hold replies back by up to 40 ms; failing to switch it off costs only that.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(request, peer, core.clone()));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // An error here is the client's, or a reply dropped on purpose; either way the connection is over.
    let _ = connection.with_upgrades().await;
}

/// A reply was withheld on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the reply is withheld")]
struct Withheld;

async fn respond(
    mut request: hyper::Request<Incoming>,
    peer: SocketAddr,
    core: Shared,
) -> Result<Response<Full<Bytes>>, Withheld> {
    let key = request.headers().get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()));
    let http = head(&request, peer);
    if let Some(accept) = key {
        return Ok(handshake(&mut request, http, &accept, &core).await);
    }
    let Ok(body) = Limited::new(request.into_body(), LARGEST_BODY).collect().await else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let (sender, receiver) = oneshot::channel();
    {
        let mut core = core.borrow_mut();
        let number = Request(core.number());
        core.waiting.insert(number, sender);
        core.input(SimInput::Http(number, HttpRequest { body, ..http }));
    }
    match receiver.await {
        Ok(Some(reply)) => Ok(response(reply)),
        Ok(None) | Err(_) => Err(Withheld),
    }
}

fn head(request: &hyper::Request<Incoming>, peer: SocketAddr) -> HttpRequest {
    let headers = request.headers().iter();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    HttpRequest {
        method: request.method().as_str().to_owned(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body: String::new(),
        peer: peer.ip().to_string(),
    }
}

async fn handshake(
    request: &mut hyper::Request<Incoming>,
    http: HttpRequest,
    accept: &str,
    core: &Shared,
) -> Response<Full<Bytes>> {
    let (conn, commands, mut refused) = {
        let mut core = core.borrow_mut();
        let conn = Conn(core.number());
        let (sender, commands) = mpsc::channel(QUEUE);
        let (word, refused) = oneshot::channel();
        core.sockets.insert(conn, sender);
        core.waiting.insert(Request(conn.0), word);
        core.input(SimInput::Opened { conn, request: http });
        core.waiting.remove(&Request(conn.0));
        (conn, commands, refused)
    };
    if let Ok(Some(reply)) = refused.try_recv() {
        return response(reply);
    }
    let upgraded = upgrade::on(request);
    let core = core.clone();
    tokio::task::spawn_local(async move {
        match upgraded.await {
            Ok(upgraded) => socket::run(upgraded, conn, commands, core).await,
            Err(_) => core.borrow_mut().closed(conn),
        }
    });
    let mut response = plain(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert("upgrade", HeaderValue::from_static("websocket"));
    headers.insert("connection", HeaderValue::from_static("upgrade"));
    if let Ok(value) = HeaderValue::from_str(accept) {
        headers.insert("sec-websocket-accept", value);
    }
    response
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn response(reply: HttpReply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}
