//! A session at a gateway, by the local protocol: everything up to its login, with the socket left to the caller.

use std::io::{self, Write as _};

use serde_json::{Value, json};
use tradingsys::wire::proof;

use crate::frame::{Frames, of_client};
use crate::stream::Stream;

const NONCE: &str = "00112233445566778899aabbccddeeff";

/// A session that is logged in.
pub(crate) struct Seat {
    pub(crate) stream: Stream,
    pub(crate) frames: Frames,
    /// Number of its next command.
    pub(crate) next: u64,
    calls: u64,
}

impl Seat {
    /// Connects and logs in.
    pub(crate) fn take(address: &str, token: &str, session: u16, trading: bool) -> io::Result<Self> {
        let mut stream = Stream::connect(address)?;
        let host = address.strip_prefix("tcp:").unwrap_or("localhost");
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )?;
        let mut frames = Frames::small();
        let head = frames.head(&mut stream)?;
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other(format!("{address} refused: {}", String::from_utf8_lossy(&head))));
        }
        let mut seat = Self { stream, frames, next: 1, calls: 0 };
        let welcome = seat.call("hello", json!({"version": 1, "nonce": NONCE}))?;
        let theirs = welcome["nonce"].as_str().unwrap_or_default();
        let proof = proof::of_client(token, NONCE, theirs, session);
        let login = json!({"session_id": session, "name": "bench", "trading": trading, "proof": proof});
        let welcome = seat.call("login", login)?;
        seat.next = welcome["next_command"].as_u64().unwrap_or(1);
        Ok(seat)
    }

    /// Asks and waits for the answer; other frames are dropped.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> io::Result<Value> {
        self.calls += 1;
        let wish = json!({"id": self.calls, "method": method, "params": params});
        self.stream.write_all(&of_client(&wish.to_string()))?;
        loop {
            while let Some(frame) = self.frames.take() {
                let mut answer: Value = serde_json::from_slice(frame.text).unwrap_or_default();
                if answer["id"].as_u64() == Some(self.calls) {
                    if !answer["error"].is_null() {
                        return Err(io::Error::other(format!("{method}: {}", answer["error"])));
                    }
                    return Ok(answer["result"].take());
                }
            }
            if !self.frames.fill(&mut self.stream)? {
                return Err(io::Error::other(format!("{method}: the gateway closed the connection")));
            }
        }
    }
}
