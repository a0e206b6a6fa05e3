//! Many sessions at once, read by one thread: how late each tick is at each of them.

use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::event::Source;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::control::{number, word};
use crate::exchange::Shared;
use crate::frame::Frames;
use crate::relay::BARE;
use crate::seat::Seat;
use crate::stream::Stream;
use crate::ticks::number_of;
use crate::{lock, now};

/// The number of the first session: below it are those of strategies.
const FIRST_SESSION: u16 = 1_000;

/// What they heard since they were asked last.
#[derive(Default)]
struct Heard {
    /// Nanoseconds from sending to reading.
    late: Vec<u32>,
    /// How many ticks were sent after the one that was read, by then.
    behind: Vec<u32>,
    lost: usize,
}

/// Sessions that listen.
pub(crate) struct Swarm {
    over: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    thread: JoinHandle<io::Result<()>>,
}

enum Socket {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
}

impl Socket {
    fn new(stream: Stream) -> io::Result<Self> {
        stream.set_nonblocking()?;
        Ok(match stream {
            Stream::Tcp(stream) => Self::Tcp(mio::net::TcpStream::from_std(stream)),
            Stream::Unix(stream) => Self::Unix(mio::net::UnixStream::from_std(stream)),
        })
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Swarm {
    /// Logs `sessions` of them in, `active` of which subscribe to `stream`; with `bare` they are clients of the relay.
    pub(crate) fn gather(shared: &Arc<Shared>, wish: &Value) -> io::Result<Self> {
        let address = word(wish, "address")?;
        let bare = wish["bare"].as_bool().unwrap_or(false);
        let active = number(wish, "active")?;
        let mut members = Vec::new();
        for place in 0..number(wish, "sessions")? {
            let (stream, frames) = if bare {
                (bare_client(address, place == 0)?, Frames::small())
            } else {
                let mut seat =
                    Seat::take(address, word(wish, "token")?, FIRST_SESSION + place as u16, false)?;
                if place < active {
                    seat.call(
                        "subscribe",
                        json!({"streams": [format!("dogeusdt@{}", word(wish, "view")?)]}),
                    )?;
                }
                (seat.stream, seat.frames)
            };
            members.push((Socket::new(stream)?, frames));
        }
        let (over, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Heard::default())));
        let (shared, ended, ears) = (Arc::clone(shared), Arc::clone(&over), Arc::clone(&heard));
        let thread = thread::spawn(move || listen(members, &shared, &ended, &ears));
        Ok(Self { over, heard, thread })
    }

    /// What was heard since it was asked last: quantiles of lateness in nanoseconds, and of how far behind.
    pub(crate) fn heard(&self) -> Value {
        let Heard { mut late, mut behind, lost } = std::mem::take(&mut *lock(&self.heard));
        let count = late.len();
        json!({"count": count, "lost": lost, "late": quantiles(&mut late), "behind": quantiles(&mut behind)})
    }

    /// All of them leave.
    pub(crate) fn disperse(self) -> io::Result<Value> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the listening thread panicked"))??;
        Ok(json!({}))
    }
}

fn bare_client(address: &str, first: bool) -> io::Result<Stream> {
    use std::io::Write as _;
    let mut stream = Stream::connect(address)?;
    if first {
        stream.write_all(BARE)?;
    }
    Ok(stream)
}

/// p50, p99, p99.9 and the greatest.
fn quantiles(values: &mut [u32]) -> Value {
    values.sort_unstable();
    let at = |per_mille: usize| {
        let place = (values.len() * per_mille / 1_000).min(values.len().saturating_sub(1));
        values.get(place).copied().unwrap_or(0)
    };
    json!([at(500), at(990), at(999), at(1_000)])
}

fn listen(
    mut members: Vec<(Socket, Frames)>,
    shared: &Shared,
    over: &AtomicBool,
    heard: &Mutex<Heard>,
) -> io::Result<()> {
    let mut poll = Poll::new()?;
    for (place, (socket, _)) in members.iter_mut().enumerate() {
        poll.registry().register(socket.source(), Token(place), Interest::READABLE)?;
    }
    let mut events = Events::with_capacity(1_024);
    while !over.load(Ordering::Relaxed) {
        match poll.poll(&mut events, Some(Duration::from_millis(50))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            done => done?,
        }
        for event in &events {
            let Some((socket, frames)) = members.get_mut(event.token().0) else { continue };
            if !read(socket, frames, shared, heard)? {
                lock(heard).lost += 1;
            }
        }
    }
    Ok(())
}

/// Reads a socket dry. False if it has ended.
fn read(socket: &mut Socket, frames: &mut Frames, shared: &Shared, heard: &Mutex<Heard>) -> io::Result<bool> {
    loop {
        match frames.fill(socket) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
        let at = now();
        while let Some(frame) = frames.take() {
            let Some(number) = std::str::from_utf8(frame.text).ok().and_then(number_of) else { continue };
            let sent = shared.sent.at(number);
            if sent > 0 {
                let mut heard = lock(heard);
                heard.late.push(u32::try_from(at.saturating_sub(sent)).unwrap_or(u32::MAX));
                heard.behind.push(shared.sent.newest().saturating_sub(number) as u32);
            }
        }
    }
}
