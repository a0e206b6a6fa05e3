//! Against a real server on a real socket, which answers what each test says.

use std::future::Future;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tradingsys::ids::LinkId;
use tradingsys::venue::port::LinkAction;

use super::*;
use crate::links::{LinkEvent, Links};

struct Wire {
    links: Links,
    events: mpsc::Receiver<(LinkId, LinkEvent)>,
    listener: TcpListener,
    next: u32,
}

impl Wire {
    fn ask(&mut self, method: &'static str, path: &str, body: &'static str) -> LinkId {
        let url = format!("http://{}{path}", self.listener.local_addr().unwrap());
        self.ask_url(method, url, body)
    }

    fn ask_url(&mut self, method: &'static str, url: String, body: &'static str) -> LinkId {
        self.next += 1;
        let link = LinkId(self.next);
        let headers = vec![("x-mbx-apikey", "k".to_owned())];
        let body = Bytes::from_static(body.as_bytes());
        self.links.perform(LinkAction::Request { link, method, url, headers, body });
        link
    }

    async fn told(&mut self) -> (LinkId, Result<Response, String>) {
        match self.events.recv().await.unwrap() {
            (link, LinkEvent::Response(response)) => (link, Ok(*response)),
            (link, LinkEvent::Down(reason)) => (link, Err(reason)),
            other => panic!("{other:?}"),
        }
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }
}

fn trial<F: Future<Output = ()>>(test: impl FnOnce(Wire) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (links, events) = Links::new(crate::tls::connector(None).unwrap());
        let wire = Wire { links, events, listener, next: 0 };
        tokio::time::timeout(Duration::from_secs(120), test(wire)).await.expect("within 120 s");
    });
}

/// Reads one request as it came over the wire; empty when the other side has closed.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let whole = String::from_utf8(text.clone()).unwrap();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return whole;
            }
        }
        let count = stream.read(&mut chunk).await.unwrap();
        if count == 0 {
            return String::new();
        }
        text.extend_from_slice(&chunk[..count]);
    }
}

async fn reply(stream: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    let text =
        format!("HTTP/1.1 {status}\r\nX-MBX-USED-WEIGHT-1M: 7\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
}

#[test]
fn a_request_has_its_answer_and_the_next_one_its_connection() {
    trial(|mut wire| async move {
        let first = wire.ask("POST", "/fapi/v1/listenKey?a=b%20c", "");
        let mut stream = wire.accept().await;
        let text = request(&mut stream).await;
        let (line, fields) = text.split_once("\r\n").unwrap();
        assert_eq!(line, "POST /fapi/v1/listenKey?a=b%20c HTTP/1.1");
        let host = wire.listener.local_addr().unwrap();
        for field in [format!("host: {host}"), "x-mbx-apikey: k".to_owned(), "content-length: 0".to_owned()] {
            assert!(fields.contains(&format!("{field}\r\n")), "{field} in {fields}");
        }
        reply(&mut stream, "200 OK", r#"{"listenKey":"é"}"#).await;
        let (link, answer) = wire.told().await;
        let answer = answer.unwrap();
        assert_eq!((link, answer.status, answer.body.as_str()), (first, 200, r#"{"listenKey":"é"}"#));
        assert!(answer.headers.contains(&("x-mbx-used-weight-1m".to_owned(), "7".to_owned())), "{answer:?}");

        // The same connection serves the next; a failure is an answer like any other.
        let second = wire.ask("DELETE", "/x", "symbol=BTCUSDT");
        let text = request(&mut stream).await;
        assert!(
            text.starts_with("DELETE /x HTTP/1.1\r\n") && text.ends_with("\r\n\r\nsymbol=BTCUSDT"),
            "{text}"
        );
        reply(&mut stream, "418 I'm a teapot", r#"{"code":-1003}"#).await;
        let (link, answer) = wire.told().await;
        assert_eq!((link, answer.unwrap().status), (second, 418));
    });
}

#[test]
fn a_connection_closed_while_idle_costs_nothing() {
    trial(|mut wire| async move {
        wire.ask("GET", "/1", "");
        let mut stream = wire.accept().await;
        request(&mut stream).await;
        reply(&mut stream, "200 OK", "1").await;
        wire.told().await.1.unwrap();
        drop(stream);
        let open = |wire: &Wire| {
            wire.links.http.idle.borrow().values().flatten().any(|(_, sender)| !sender.is_closed())
        };
        while open(&wire) {
            tokio::task::yield_now().await;
        }

        let link = wire.ask("POST", "/2", "");
        let mut stream = wire.accept().await;
        assert!(request(&mut stream).await.starts_with("POST /2 "));
        reply(&mut stream, "200 OK", "2").await;
        assert_eq!(wire.told().await.0, link);
    });
}

#[test]
fn a_request_that_may_have_arrived_is_never_sent_again() {
    trial(|mut wire| async move {
        wire.ask("POST", "/order", "");
        let mut stream = wire.accept().await;
        request(&mut stream).await;
        reply(&mut stream, "200 OK", "1").await;
        wire.told().await.1.unwrap();
        // Over the connection kept: the server reads it and goes away without a word.
        wire.ask("POST", "/order", "");
        request(&mut stream).await;
        drop(stream);
        let reason = wire.told().await.1.unwrap_err();
        assert!(reason.starts_with("127.0.0.1:") && reason.contains("connection"), "{reason}");
        let again = tokio::time::timeout(Duration::from_millis(200), wire.listener.accept()).await;
        assert!(again.is_err(), "a second connection was opened");
    });
}

#[test]
fn at_most_so_many_are_under_way_and_so_many_wait() {
    trial(|mut wire| async move {
        for _ in 0..PLACES + WAITING {
            wire.ask("GET", "/", "");
        }
        tokio::task::yield_now().await;
        let late = wire.ask("GET", "/", "");
        let (link, answer) = wire.told().await;
        assert_eq!((link, answer.unwrap_err().as_str()), (late, "256 requests wait already; not sent"));
        let mut served = Vec::new();
        for _ in 0..PLACES {
            served.push(wire.accept().await);
        }
        let more = tokio::time::timeout(Duration::from_millis(200), wire.listener.accept()).await;
        assert!(more.is_err(), "more than {PLACES} connections at one time");
        // Each one answered makes room for one more, over its connection.
        for stream in &mut served {
            request(stream).await;
            reply(stream, "200 OK", "{}").await;
            wire.told().await.1.unwrap();
            assert!(request(stream).await.starts_with("GET / "));
        }
    });
}

#[test]
fn orders_and_cancels_do_not_stand_behind_questions() {
    trial(|mut wire| async move {
        for _ in 0..PLACES + WAITING {
            wire.ask("GET", "/question", "");
        }
        let mut asked = Vec::new();
        for _ in 0..PLACES {
            asked.push(wire.accept().await);
        }
        for method in ["POST", "DELETE", "PUT"] {
            let link = wire.ask(method, "/order", "");
            let mut stream = wire.accept().await;
            assert!(request(&mut stream).await.starts_with(&format!("{method} /order ")));
            reply(&mut stream, "200 OK", "{}").await;
            let (told, answer) = wire.told().await;
            assert_eq!((told, answer.unwrap().status), (link, 200));
            // So that the next one opens a connection of its own.
            drop(stream);
            wire.links.http.idle.borrow_mut().clear();
        }
    });
}

#[test]
fn every_failure_is_told_in_words_and_no_secret_with_it() {
    trial(|mut wire| async move {
        let port = {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap().port()
        };
        for (url, words) in [
            (format!("http://127.0.0.1:{port}/?signature=s3cret"), "connection refused"),
            ("http://no-such-host.invalid:1/?signature=s3cret".to_owned(), "the name cannot be resolved"),
            ("ws://127.0.0.1/?signature=s3cret".to_owned(), "neither an http://"),
            ("http:// /?signature=s3cret".to_owned(), "the address cannot be read"),
        ] {
            wire.ask_url("GET", url, "");
            let reason = wire.told().await.1.unwrap_err();
            assert!(reason.contains(words) && !reason.contains("s3cret"), "{reason}");
        }
        wire.ask("GET", "/", "");
        let mut stream = wire.accept().await;
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
        drop(stream);
        let reason = wire.told().await.1.unwrap_err();
        assert!(reason.contains("the answer broke off"), "{reason}");

        wire.ask("GET", "/", "");
        let mut stream = wire.accept().await;
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe").await.unwrap();
        assert!(wire.told().await.1.unwrap_err().contains("the answer is no text"));

        let link = wire.ask("GET", "/", "");
        let _stream = wire.accept().await;
        wire.links.perform(LinkAction::Close { link });
        assert_eq!(wire.told().await, (link, Err("given up".to_owned())));
    });
}
