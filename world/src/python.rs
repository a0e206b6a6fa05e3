//! A strategy in Python, stepped: a process of its own on `pyalgo`, connected over a Unix socket.
//!
//! ```text
//!   Blocked ──says "idle": it is logged in, and runs its loop only when told to──▶ Stepped
//! ```
//!
//! Virtual time stands still while it handles what it was given: stepped, it says when it has nothing more to do; while
//! it is blocked in its login, an answered ping is taken for that. Its own clock is the machine's, so nothing it
//! decides may hang on time. What it prints, line by line: `idle`, and `done STATE ACTIVE NET` with the state of its
//! session, the number of its orders that are not over, and its position.

#![allow(
    clippy::disallowed_methods,
    reason = "a shell: processes, files and sockets, while virtual time stands still"
)]
#![allow(clippy::disallowed_types, reason = "as above")]

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tradingsys::num::Qty;
use tradingsys::wire::event::OrderView;
use tradingsys::wire::request::Ack;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use crate::strategy::Line;

/// How long a process may take for one thing, by the machine's clock.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a process is looked at that gives no sign.
const GLANCE: Duration = Duration::from_micros(500);

/// A program that takes a seat, and a folder for its socket, its token and its file.
#[derive(Clone, Debug)]
pub struct Program {
    /// The command and its first arguments; socket, session, file and seed follow.
    pub command: Vec<String>,
    /// Where.
    pub folder: PathBuf,
}

/// Why nothing more comes from a process.
#[derive(Debug)]
pub(crate) enum Gone {
    /// It has closed its connection.
    Left,
    /// It is dead.
    Died,
}

/// What a process has sent, until it had nothing more to do.
pub(crate) type Sent = Result<Vec<String>, Gone>;

/// A seat for a program, whether it runs or not.
#[derive(Debug)]
pub(crate) struct Seat {
    program: Program,
    session: u16,
    listener: UnixListener,
    process: Option<Process>,
    /// How much of its file has been read.
    read: u64,
}

#[derive(Debug)]
struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::Receiver<String>,
    socket: Option<WebSocket<UnixStream>>,
    stepped: bool,
    ready: bool,
    active: usize,
    net: Option<Qty>,
}

/// A line of its file.
#[derive(Deserialize)]
struct Written {
    at: (u64, u64),
    order: Option<OrderView>,
    fill: Option<(u64, Qty)>,
    net: Option<Qty>,
    notice: Option<String>,
    about: Option<String>,
}

impl Seat {
    /// An empty seat at an address of its own.
    pub(crate) fn new(program: &Program, session: u16, token: &str) -> io::Result<Self> {
        std::fs::create_dir_all(&program.folder)?;
        let place = |end: &str| program.folder.join(format!("{session}.{end}"));
        for old in ["sock", "jsonl"] {
            let _none = std::fs::remove_file(place(old));
        }
        std::fs::write(place("sock.token"), token)?;
        File::create(place("jsonl"))?;
        let listener = UnixListener::bind(place("sock"))?;
        listener.set_nonblocking(true)?;
        Ok(Self { program: program.clone(), session, listener, process: None, read: 0 })
    }

    fn place(&self, end: &str) -> PathBuf {
        self.program.folder.join(format!("{}.{end}", self.session))
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Is it ready for orders, as it says itself?
    pub(crate) fn is_ready(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.ready)
    }

    /// Orders of it that are not over, as it says itself.
    pub(crate) fn active(&self) -> usize {
        self.process.as_ref().map_or(0, |process| process.active)
    }

    /// Its position, as it says itself.
    pub(crate) fn net(&self) -> Option<Qty> {
        self.process.as_ref().and_then(|process| process.net)
    }

    /// Starts the process: all it remembers is its file.
    pub(crate) fn start(&mut self, seed: u64) -> io::Result<()> {
        let (name, first) = self.program.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let words = [format!("unix:{}", self.place("sock").display()), self.session.to_string()];
        let mut child = Command::new(name)
            .args(first)
            .args(words)
            .arg(self.place("jsonl"))
            .arg(seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(self.place("log"))?)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let (say, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        let (socket, net) = (None, None);
        let (stepped, ready, active) = (false, false, 0);
        self.process = Some(Process { child, stdin, lines, socket, stepped, ready, active, net });
        Ok(())
    }

    /// Kills the process, or buries a dead one.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _dead = process.child.kill();
            let _status = process.child.wait();
        }
        // What it had begun to connect.
        while self.listener.accept().is_ok() {}
    }

    /// Waits until the process has connected.
    pub(crate) fn accept(&mut self) -> Sent {
        let Some(process) = &mut self.process else { return Err(Gone::Died) };
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            process.turn()?;
            let Ok((stream, _)) = self.listener.accept() else {
                std::thread::sleep(GLANCE);
                continue;
            };
            if stream.set_nonblocking(true).is_ok() && process.greet(stream, until)? {
                return process.settle();
            }
        }
        panic!("session {}: no connection within {PATIENCE:?}", self.session);
    }

    /// Gives the process a frame; what it sends in return.
    pub(crate) fn give(&mut self, frame: &str) -> Sent {
        let Some(process) = &mut self.process else { return Err(Gone::Died) };
        process.send(Message::text(frame))?;
        process.settle()
    }

    /// Its connection is gone; the gateway may have said why.
    pub(crate) fn cut(&mut self, code: Option<u16>) {
        let Some(mut socket) = self.process.as_mut().and_then(|process| process.socket.take()) else {
            return;
        };
        if let Some(code) = code {
            let frame = CloseFrame { code: code.into(), reason: "".into() };
            let _gone = socket.close(Some(frame)).and_then(|()| socket.flush());
        }
    }

    /// What it has written since the last time.
    pub(crate) fn news(&mut self) -> Vec<Line> {
        let lines =
            read_from(&self.place("jsonl"), &mut self.read).expect("its file is there as long as it is");
        lines.iter().map(|line| line_of(line)).collect()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    fn send(&mut self, message: Message) -> Result<(), Gone> {
        let Some(socket) = &mut self.socket else { return Err(Gone::Left) };
        socket.send(message).map_err(|_| Gone::Left)
    }

    /// It connects: the handshake, in turns. `false`: it has given this connection up.
    fn greet(&mut self, stream: UnixStream, until: Instant) -> Result<bool, Gone> {
        let mut shaking = tungstenite::accept(stream);
        loop {
            match shaking {
                Ok(socket) => {
                    self.socket = Some(socket);
                    return Ok(true);
                }
                Err(HandshakeError::Interrupted(going_on)) if Instant::now() < until => {
                    self.turn()?;
                    std::thread::sleep(GLANCE);
                    shaking = going_on.handshake();
                }
                Err(_) => return Ok(false),
            }
        }
    }

    /// Lets it do what it has to do, if it is stepped; notices if it is by now, or dead.
    fn turn(&mut self) -> Result<(), Gone> {
        if !self.stepped {
            match self.lines.try_recv() {
                Ok(line) => self.stepped = line == "idle",
                Err(mpsc::TryRecvError::Empty) => return Ok(()),
                Err(mpsc::TryRecvError::Disconnected) => return Err(Gone::Died),
            }
        }
        if self.stepped { self.step() } else { Ok(()) }
    }

    fn step(&mut self) -> Result<(), Gone> {
        self.stdin.write_all(b"step\n").map_err(|_| Gone::Died)?;
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return Err(Gone::Died),
                Err(RecvTimeoutError::Timeout) => panic!("a strategy does not come to an end of its step"),
            };
            if let ["done", state, active, net] = line.split(' ').collect::<Vec<_>>()[..] {
                self.ready = state == "ready";
                self.active = active.parse().expect("a number of orders");
                self.net = net.parse().ok();
                return Ok(());
            }
        }
    }

    /// All it sends until it has nothing more to do.
    fn settle(&mut self) -> Sent {
        let mut sent = Vec::new();
        let until = Instant::now() + PATIENCE;
        // Blocked, it may be read from once more after it has answered: two answers are safer than one.
        for _ in 0..2 {
            if !self.stepped {
                self.send(Message::Ping("".into()))?;
            }
            while !self.stepped && !self.drain(&mut sent)? {
                assert!(Instant::now() < until, "a strategy does not answer");
                self.turn()?;
                std::thread::sleep(GLANCE);
            }
        }
        if self.stepped {
            self.step()?;
        }
        self.drain(&mut sent)?;
        Ok(sent)
    }

    /// What lies on the socket. Was an answered ping among it?
    fn drain(&mut self, sent: &mut Vec<String>) -> Result<bool, Gone> {
        let Some(socket) = &mut self.socket else { return Err(Gone::Left) };
        let mut answered = false;
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => sent.push(text.to_string()),
                Ok(Message::Pong(_)) => answered = true,
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(answered),
                Err(_) => return Err(Gone::Left),
            }
        }
    }
}

/// Whole lines after `at`, which moves behind them.
fn read_from(file: &Path, at: &mut u64) -> io::Result<Vec<String>> {
    let mut file = File::open(file)?;
    file.seek(SeekFrom::Start(*at))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    *at += whole.len() as u64;
    Ok(whole.lines().map(ToOwned::to_owned).collect())
}

fn line_of(text: &str) -> Line {
    let Written { at, order, fill, net, notice, about } =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let at = Ack { generation: at.0, sequence: at.1 };
    Line { at, order, fill, ended: None, net, notice, about }
}
