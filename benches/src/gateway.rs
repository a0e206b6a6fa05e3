//! A gateway that only sends trades, as fast as they are read: how many a strategy takes in a second.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};
use tradingsys::wire::proof;
use tungstenite::{Message, WebSocket};

use crate::control::{number, say, serve};
use crate::frame::of_server;
use crate::stream::prompt;

const NONCE: &str = "ffeeddccbbaa99887766554433221100";

/// Frames written at once.
const BATCH: u64 = 256;

/// Takes one strategy, and sends it so many trades when told to.
pub(crate) fn run(token: &str) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&json!({"listening": format!("ws://{}", listener.local_addr()?)}));
    let mut socket = tungstenite::accept(prompt(listener.accept()?.0)?).map_err(io::Error::other)?;
    let mut trades = socket.get_ref().try_clone()?;
    while !answer(&mut socket, token)? {}
    thread::spawn(move || while answer_late(&mut socket).is_ok() {});
    say(&json!({"subscribed": true}));
    let mut sent = 0;
    serve(|wish| {
        let count = number(wish, "count")?;
        send(&mut trades, sent, count)?;
        sent += count;
        Ok(json!({ "sent": count }))
    })
}

fn send(socket: &mut TcpStream, from: u64, count: u64) -> io::Result<()> {
    let mut batch = Vec::new();
    for number in from..from + count {
        let time = 1_790_000_000_000_000_000 + number * 1_000;
        batch.extend(of_server(&format!(
            r#"{{"stream":"dogeusdt@trade","data":{{"id":{number},"time":{time},"price":"0.20001","qty":"1234","buyer_is_maker":true}}}}"#
        )));
        if number % BATCH == BATCH - 1 {
            socket.write_all(&batch)?;
            batch.clear();
        }
    }
    socket.write_all(&batch)
}

/// Answers one call; true once it was the subscription.
fn answer(socket: &mut WebSocket<TcpStream>, token: &str) -> io::Result<bool> {
    let Some(call) = read(socket)? else { return Ok(false) };
    let params = &call["params"];
    let method = call["method"].as_str().unwrap_or_default();
    let result = match method {
        "hello" => {
            let theirs = params["nonce"].as_str().unwrap_or_default();
            let proof = proof::of_gateway(token, theirs, NONCE);
            json!({"version": 1, "market": "spot", "gateway": "bench", "nonce": NONCE, "proof": proof})
        }
        "login" => json!({
            "session_id": params["session_id"], "name": params["name"], "trading": params["trading"],
            "install": "7cz1k", "epoch": 1_000, "prefix": "o7cz1k-0013b0001-", "next_command": 1,
            "last": {"gen": 1, "seq": 0}, "resume": "events", "answers": [],
            "state": {"event": "state", "state": "ready"}, "time": 1_790_000_000_000_000_000_u64,
        }),
        "subscribe" => json!({"streams": params["streams"], "products": [product()]}),
        "products" => json!([product()]),
        "orders" => json!({"session_id": 1, "orders": []}),
        "positions" => json!({"session_id": 1, "positions": []}),
        _ => Value::Null,
    };
    if !call["id"].is_null() {
        let text = json!({"id": call["id"], "result": result}).to_string();
        socket.send(Message::text(text)).map_err(io::Error::other)?;
    }
    Ok(method == "subscribe")
}

/// Reads on, so that the strategy's writes go through.
fn answer_late(socket: &mut WebSocket<TcpStream>) -> io::Result<()> {
    read(socket).map(drop)
}

fn read(socket: &mut WebSocket<TcpStream>) -> io::Result<Option<Value>> {
    match socket.read().map_err(io::Error::other)? {
        Message::Text(text) => Ok(serde_json::from_str(&text).ok()),
        _ => Ok(None),
    }
}

fn product() -> Value {
    json!({
        "symbol": "dogeusdt", "base": "DOGE", "quote": "USDT", "status": "TRADING", "tick_size": "0.00001",
        "lot": "1", "min_price": "0.00001", "max_price": "1000", "min_qty": "1", "max_qty": "9000000",
        "min_notional": "1", "max_notional": "9000000", "order_types": ["LIMIT"], "tifs": ["GTC", "IOC"],
        "amend_allowed": true,
    })
}
