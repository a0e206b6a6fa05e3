//! The bare relay and its client: what the same frames cost over the same four hops when nobody looks at them.
//!
//! The relay hands bytes on as they come, whatever they say. What the exchange sends goes to every client, what a
//! client sends to the exchange. Blocking, each direction has a thread that sleeps in `read`; spinning, one thread
//! tries both again and again.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;

use crate::control::say;
use crate::frame::{Frames, TEXT, of_client};
use crate::stream::{Listener, Stream};
use crate::ticks::number_of;
use crate::{lock, now};

/// Room for what one read brings.
const ROOM: usize = 64 * 1024;

/// Relays until the exchange ends the connection.
pub(crate) fn run(address: &str, exchange: &str, spin: bool) -> io::Result<()> {
    let listener = Listener::bind(address)?;
    say(&json!({"listening": listener.address()?}));
    let first = listener.accept()?;
    let up = Stream::connect(exchange)?;
    if spin {
        return spinning(first, up);
    }
    let clients = Arc::new(Mutex::new(Vec::new()));
    let (all, upward) = (Arc::clone(&clients), up.another()?);
    take(first, &clients, &upward)?;
    thread::spawn(move || {
        while let Ok(client) = listener.accept() {
            if take(client, &all, &upward).is_err() {
                return;
            }
        }
    });
    downwards(up, &clients)
}

/// One more reader of what the exchange sends.
fn take(client: Stream, clients: &Mutex<Vec<Stream>>, exchange: &Stream) -> io::Result<()> {
    let (mut from, mut to) = (client.another()?, exchange.another()?);
    lock(clients).push(client);
    thread::spawn(move || {
        let mut bytes = vec![0; ROOM];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..count]).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn downwards(mut from: Stream, clients: &Mutex<Vec<Stream>>) -> io::Result<()> {
    let mut bytes = vec![0; ROOM];
    loop {
        let count = from.read(&mut bytes)?;
        let mut clients = lock(clients);
        if count == 0 {
            clients.iter().for_each(Stream::shut);
            return Ok(());
        }
        // One that left reads no more; the rest go on.
        clients.retain_mut(|client| client.write_all(&bytes[..count]).is_ok());
    }
}

fn spinning(mut client: Stream, mut exchange: Stream) -> io::Result<()> {
    client.set_nonblocking()?;
    exchange.set_nonblocking()?;
    let mut bytes = vec![0; ROOM];
    while pass(&mut exchange, &mut client, &mut bytes)? && pass(&mut client, &mut exchange, &mut bytes)? {
        std::hint::spin_loop();
    }
    client.shut();
    Ok(())
}

/// Hands on what is there. False once the connection has ended.
fn pass(from: &mut Stream, to: &mut Stream, bytes: &mut [u8]) -> io::Result<bool> {
    let count = match from.read(bytes) {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
        Err(error) => return Err(error),
    };
    let mut rest = &bytes[..count];
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count > 0)
}

/// Answers every so manieth tick with an order of the size a gateway sends, until the relay ends the connection. Says
/// when each of those ticks came.
pub(crate) fn client(address: &str, every: u64) -> io::Result<()> {
    let mut stream = Stream::connect(address)?;
    stream.write_all(BARE)?;
    let mut frames = Frames::default();
    let mut came = Vec::new();
    while frames.fill(&mut stream)? {
        let at = now();
        while let Some(frame) = frames.take() {
            let number = std::str::from_utf8(frame.text).ok().and_then(number_of);
            if let Some(number) = number.filter(|number| frame.opcode == TEXT && number % every == 0) {
                stream.write_all(&of_client(&order(number)))?;
                came.push((number, at));
            }
        }
    }
    say(&json!({ "came": came }));
    Ok(())
}

/// How a connection says that it is a bare one.
pub(crate) const BARE: &[u8] = b"GET /bare HTTP/1.1\r\n\r\n";

/// What `spot` sends for a limit order, with this quantity.
fn order(number: u64) -> String {
    format!(
        "{}{number}{}",
        r#"{"id":1234,"method":"order.place","params":{"symbol":"DOGEUSDT","side":"BUY","type":"LIMIT","timeInForce":"IOC","price":"0.19","quantity":""#,
        r#"","newClientOrderId":"o7cz1k-169230001-00017","newOrderRespType":"RESULT","selfTradePreventionMode":"EXPIRE_TAKER","recvWindow":5000,"timestamp":1700000000123}}"#
    )
}
