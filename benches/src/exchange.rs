//! An exchange that notes times. What is timed it does itself: it sends ticks, takes orders, tells of fills.
//! Everything else — log-on, instruments, balances, all questions — it hands on to a `binance-sim` behind, frame by
//! frame.
//!
//! ```text
//! gateway ──/stream──► control frames ──► binance-sim              ticks ──► gateway
//! gateway ──/ws-api──► all but orders, cancels ──► binance-sim     answers, reports ──► gateway
//! relay   ──/bare────► orders                                      ticks ──► relay
//! ```
//!
//! A time of sending is taken before the write, a time of arrival after the read: within one process, by one clock.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control::{number, say, serve as obey, word};
use crate::desk::Desk;
use crate::flood;
use crate::frame::{Frames, TEXT, find, member, of_server};
use crate::relay::BARE;
use crate::stream::prompt;
use crate::swarm::Swarm;
use crate::ticks::{Plan, Sent, View, hum, push};
use crate::{lock, now};

/// The writing half of a connection: whoever has a whole frame may write it.
pub(crate) type Socket = Arc<Mutex<TcpStream>>;

/// After the last fill.
const SETTLED: Duration = Duration::from_millis(300);

/// No order for so long after the last tick: none will come.
const QUIET_NANOS: u64 = 700_000_000;

/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks for it.
const PAUSE: Duration = Duration::from_millis(10);

/// The venue's limit of orders per day, and what is told instead: a benchmark sends more.
const DAILY: (&str, &str) = (r#""limit":200000,"#, r#""limit":2000000000,"#);

/// What all connections share.
#[derive(Default)]
pub(crate) struct Shared {
    /// Where each stream is subscribed to.
    streams: Mutex<BTreeMap<String, Socket>>,
    private: Mutex<Option<Socket>>,
    bare: Mutex<Option<Socket>>,
    desk: Mutex<Desk>,
    orders: Mutex<Vec<(u64, u64)>>,
    cancels: Mutex<Vec<u64>>,
    /// When each tick was sent.
    pub(crate) sent: Sent,
}

/// Runs until its input ends.
pub(crate) fn run(sim: &str) -> io::Result<()> {
    let sim: SocketAddr = sim.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let shared = Arc::new(Shared::default());
    say(&json!({"listening": listener.local_addr()?.to_string()}));
    let all = Arc::clone(&shared);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&all);
            // A connection that ends has ended: its other side says what of it.
            thread::spawn(move || drop(connection(&shared, stream, sim)));
        }
    });
    let (mut swarm, quiet) = (None, Arc::new(AtomicBool::new(false)));
    obey(|wish| match word(wish, "do")? {
        "ticks" => ticks(&shared, wish),
        "fills" => fills(&shared, wish),
        "arrivals" => Ok(arrivals(&shared)),
        "hum" => {
            let (view, over) = (view_of(wish)?, Arc::clone(&quiet));
            let socket = subscribed(&shared, view, false)?;
            over.store(false, Ordering::Relaxed);
            thread::spawn(move || hum(view, &socket, &over));
            Ok(json!({}))
        }
        "swarm" => {
            swarm = Some(Swarm::gather(&shared, wish)?);
            Ok(json!({}))
        }
        "heard" => swarm.as_ref().map(Swarm::heard).ok_or_else(|| io::Error::other("no swarm was gathered")),
        "disperse" => {
            quiet.store(true, Ordering::Relaxed);
            swarm.take().map_or(Ok(json!({})), Swarm::disperse)
        }
        "open" => flood::open(wish),
        "flood" => flood::run(wish, || lock(&shared.orders).len()),
        other => Err(io::Error::other(format!("{other} is no order"))),
    })
}

fn connection(shared: &Arc<Shared>, stream: TcpStream, sim: SocketAddr) -> io::Result<()> {
    let (mut from, mut frames) = (prompt(stream)?, Frames::default());
    let head = frames.head(&mut from)?;
    let own = Arc::new(Mutex::new(from.try_clone()?));
    if head == BARE {
        *lock(&shared.bare) = Some(Arc::clone(&own));
        let done = upwards(shared, &mut frames, from, &own, None);
        lock(&shared.bare).take_if(|socket| Arc::ptr_eq(socket, &own));
        return done;
    }
    let mut behind = prompt(TcpStream::connect(sim)?)?;
    behind.write_all(&head)?;
    let (down, all, to) = (behind.try_clone()?, Arc::clone(shared), Arc::clone(&own));
    thread::spawn(move || drop(downwards(&all, down, &to)));
    let done = upwards(shared, &mut frames, from, &own, Some(&mut behind));
    let _ = behind.shutdown(Shutdown::Both);
    done
}

/// What a gateway, or a bare relay, sends.
fn upwards(
    shared: &Shared,
    frames: &mut Frames,
    mut from: TcpStream,
    own: &Socket,
    mut behind: Option<&mut TcpStream>,
) -> io::Result<()> {
    while frames.fill(&mut from)? {
        let at = now();
        while let Some(frame) = frames.take() {
            let text =
                std::str::from_utf8(frame.text).ok().filter(|_| frame.opcode == TEXT).unwrap_or_default();
            if shared.taken(text, at, own, behind.is_some())? {
                continue;
            }
            if let Some(behind) = behind.as_mut() {
                behind.write_all(frame.whole)?;
            }
        }
    }
    Ok(())
}

/// What the simulator sends: all but its own market, which would come between the ticks.
fn downwards(shared: &Shared, mut from: TcpStream, own: &Socket) -> io::Result<()> {
    let mut frames = Frames::default();
    let head = frames.head(&mut from)?;
    lock(own).write_all(&head)?;
    while frames.fill(&mut from)? {
        while let Some(frame) = frames.take() {
            let text =
                std::str::from_utf8(frame.text).ok().filter(|_| frame.opcode == TEXT).unwrap_or_default();
            if text.starts_with(r#"{"stream""#) {
                continue;
            }
            let mut own = lock(own);
            if text.contains(DAILY.0) {
                own.write_all(&of_server(&text.replace(DAILY.0, DAILY.1)))?;
            } else {
                own.write_all(frame.whole)?;
            }
        }
    }
    // The gateway must hear that it is over.
    lock(&shared.private).take_if(|socket| Arc::ptr_eq(socket, own));
    lock(&shared.streams).retain(|_, socket| !Arc::ptr_eq(socket, own));
    lock(own).shutdown(Shutdown::Both)
}

impl Shared {
    /// Notes a frame that came, and answers it if it is an order's.
    fn taken(&self, text: &str, at: u64, own: &Socket, answered: bool) -> io::Result<bool> {
        let head = text.as_bytes().get(..64).unwrap_or_default();
        let is = |method: &[u8]| find(head, method).is_some();
        let (place, cancel) = (is(b"order.place"), is(b"order.cancel"));
        if place {
            let qty = member(text, "quantity").and_then(|qty| qty.parse().ok()).unwrap_or(0);
            lock(&self.orders).push((qty, at));
        }
        if cancel {
            lock(&self.cancels).push(at);
        }
        if place || cancel {
            let answer = if answered { lock(&self.desk).answer(text) } else { None };
            return answer.map_or(Ok(()), |frames| lock(own).write_all(&frames)).map(|()| true);
        }
        if text.contains("\"session.logon\"") {
            *lock(&self.private) = Some(Arc::clone(own));
        }
        if text.contains("SUBSCRIBE\"") {
            self.subscribed(&serde_json::from_str(text)?, own);
        }
        Ok(false)
    }

    fn subscribed(&self, wish: &Value, own: &Socket) {
        let mut streams = lock(&self.streams);
        for name in wish["params"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if wish["method"] == "SUBSCRIBE" {
                streams.insert(name.to_owned(), Arc::clone(own));
            } else {
                streams.remove(name);
            }
        }
    }
}

/// Waits until a connection is there.
fn connected(what: &str, find: impl Fn() -> Option<Socket>) -> io::Result<Socket> {
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if let Some(socket) = find() {
            return Ok(socket);
        }
        thread::sleep(PAUSE);
    }
    Err(io::Error::other(format!("{what}: nobody has connected for that")))
}

fn subscribed(shared: &Shared, view: View, bare: bool) -> io::Result<Socket> {
    connected(view.stream(), || match bare {
        true => lock(&shared.bare).clone(),
        false => lock(&shared.streams).get(view.stream()).cloned(),
    })
}

fn view_of(wish: &Value) -> io::Result<View> {
    View::from_word(word(wish, "view")?).ok_or_else(|| io::Error::other("no such view"))
}

/// Ticks to the gateway, or to the bare relay; what came back, after the last one has had time to.
fn ticks(shared: &Shared, wish: &Value) -> io::Result<Value> {
    let bare = wish["bare"].as_bool().unwrap_or(false);
    let view = view_of(wish)?;
    let socket = subscribed(shared, view, bare)?;
    let plan = Plan { view, rate: number(wish, "rate")?, count: number(wish, "count")? };
    let every = number(wish, "every")?;
    lock(&shared.orders).clear();
    let (mut sent, late) = push(shared, &socket, plan)?;
    sent.retain(|(number, _)| number % every == 0);
    settle(sent.len(), || lock(&shared.orders).len());
    let orders = std::mem::take(&mut *lock(&shared.orders));
    Ok(json!({"sent": sent, "orders": orders, "late": late}))
}

/// Waits until so many have come, or none has for a while: ticks that were overtaken by newer ones get no order.
fn settle(wanted: usize, came: impl Fn() -> usize) {
    let (mut count, mut since) = (came(), now());
    // The first may have to wait for a processor that is taken.
    while count < wanted && now() - since < if count == 0 { 20 * QUIET_NANOS } else { QUIET_NANOS } {
        thread::sleep(PAUSE);
        let newest = came();
        if newest > count {
            (count, since) = (newest, now());
        }
    }
}

/// Fills of the youngest open order, at a steady rate.
fn fills(shared: &Shared, wish: &Value) -> io::Result<Value> {
    let socket = connected("the log-on", || lock(&shared.private).clone())?;
    let pause = Duration::from_nanos(1_000_000_000 / number(wish, "rate")?.max(1));
    let mut sent = Vec::new();
    for _ in 0..number(wish, "count")? {
        thread::sleep(pause);
        let (trade, frame) =
            lock(&shared.desk).fill().ok_or_else(|| io::Error::other("no open order is left to fill"))?;
        sent.push((trade, now()));
        lock(&socket).write_all(&frame)?;
    }
    thread::sleep(SETTLED);
    Ok(json!({ "sent": sent }))
}

/// Orders and cancels since the last time.
fn arrivals(shared: &Shared) -> Value {
    let orders = std::mem::take(&mut *lock(&shared.orders));
    let cancels = std::mem::take(&mut *lock(&shared.cancels));
    json!({"orders": orders, "cancels": cancels})
}
