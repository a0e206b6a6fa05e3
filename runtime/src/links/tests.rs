//! Against a real websocket server on a real socket.

use std::future::Future;

use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::*;

const LINK: LinkId = LinkId(1);

struct Wire {
    links: Links,
    events: mpsc::Receiver<(LinkId, LinkEvent)>,
    listener: TcpListener,
}

impl Wire {
    async fn next(&mut self) -> LinkEvent {
        let (link, event) = self.events.recv().await.unwrap();
        assert_eq!(link, LINK);
        event
    }

    async fn down(&mut self) -> String {
        loop {
            if let LinkEvent::Down(reason) = self.next().await {
                return reason;
            }
        }
    }

    fn open(&mut self) {
        let url = format!("ws://{}/ws", self.listener.local_addr().unwrap());
        self.links.perform(LinkAction::Open { link: LINK, url, headers: Vec::new() });
    }

    async fn connected(&mut self) -> WebSocketStream<TcpStream> {
        self.open();
        let (stream, _) = self.listener.accept().await.unwrap();
        let server = accept_async(stream).await.unwrap();
        assert!(matches!(self.next().await, LinkEvent::Up));
        server
    }

    fn send(&mut self, text: &str) {
        let text = Bytes::from(text.to_owned());
        self.links.perform(LinkAction::Send { link: LINK, text });
    }
}

fn trial<F: Future<Output = ()>>(test: impl FnOnce(Wire) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (links, events) = Links::new(crate::tls::connector(None).unwrap());
        tokio::time::timeout(Duration::from_secs(120), test(Wire { links, events, listener }))
            .await
            .expect("within 30 s");
    });
}

#[test]
fn frames_go_both_ways_and_pings_are_answered() {
    trial(|mut wire| async move {
        let mut server = wire.connected().await;
        wire.send("{\"a\":1}");
        assert_eq!(server.next().await.unwrap().unwrap(), Message::text("{\"a\":1}"));
        server.send(Message::text("{\"b\":2}")).await.unwrap();
        assert!(matches!(wire.next().await, LinkEvent::Text(text) if text.as_str() == "{\"b\":2}"));
        server.send(Message::Ping(Bytes::from_static(b"p"))).await.unwrap();
        assert!(matches!(wire.next().await, LinkEvent::Alive));
        assert_eq!(server.next().await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"p")));
    });
}

#[test]
fn a_handshake_carries_its_fields_and_data_comes_as_bytes() {
    trial(|mut wire| async move {
        let url = format!("ws://{}/ws", wire.listener.local_addr().unwrap());
        let headers = vec![("x-of-ours", "a value".to_owned())];
        wire.links.perform(LinkAction::Open { link: LINK, url: url.clone(), headers });
        let (stream, _) = wire.listener.accept().await.unwrap();
        let mut heard = None;
        #[allow(clippy::result_large_err, reason = "the type is the library's")]
        let note = |request: &Request, response: Response| {
            heard = request.headers().get("x-of-ours").cloned();
            Ok(response)
        };
        let mut server = tokio_tungstenite::accept_hdr_async(stream, note).await.unwrap();
        assert_eq!(heard.unwrap(), "a value");
        assert!(matches!(wire.next().await, LinkEvent::Up));
        server.send(Message::Binary(Bytes::from_static(b"\x00\xff"))).await.unwrap();
        assert!(matches!(wire.next().await, LinkEvent::Binary(frame) if *frame == *b"\x00\xff"));
        drop(server);
        wire.down().await;
        let headers = vec![("x-of-ours", "of two\nlines".to_owned())];
        wire.links.perform(LinkAction::Open { link: LINK, url, headers });
        let reason = wire.down().await;
        assert!(reason.ends_with("x-of-ours is no header"), "{reason}");
    });
}

#[test]
fn every_way_to_end_is_told_in_words() {
    trial(|mut wire| async move {
        let mut server = wire.connected().await;
        let frame = CloseFrame { code: CloseCode::Policy, reason: "too many".into() };
        server.close(Some(frame)).await.unwrap();
        assert_eq!(wire.down().await, "closed by the other side (code 1008: too many)");

        drop(wire.connected().await);
        assert_eq!(wire.down().await, "the connection broke");

        let _server = wire.connected().await;
        wire.links.perform(LinkAction::Close { link: LINK });
        assert_eq!(wire.down().await, "closed by this side");
    });
}

#[test]
fn every_failure_to_dial_is_told_in_words() {
    trial(|mut wire| async move {
        wire.open();
        let (mut stream, _) = wire.listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await.unwrap();
        let answer = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nslow";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        let reason = wire.down().await;
        assert!(reason.contains("answered with HTTP 429 Too Many Requests"), "{reason}");

        wire.open();
        drop(wire.listener.accept().await.unwrap());
        let reason = wire.down().await;
        assert!(reason.starts_with("127.0.0.1:"), "{reason}");

        let port = {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap().port()
        };
        for (url, words) in [
            (format!("ws://127.0.0.1:{port}/"), "connection refused"),
            ("ws://no-such-host.invalid:1/".to_owned(), "the name cannot be resolved"),
            ("http://127.0.0.1/".to_owned(), "is no websocket address"),
            ("ws://".to_owned(), "is no address"),
        ] {
            wire.links.perform(LinkAction::Open { link: LINK, url: url.clone(), headers: Vec::new() });
            let reason = wire.down().await;
            assert!(reason.contains(words), "{url}: {reason}");
        }
    });
}

#[test]
fn a_link_given_up_while_dialling_ends() {
    trial(|mut wire| async move {
        wire.open();
        wire.links.perform(LinkAction::Close { link: LINK });
        assert_eq!(wire.down().await, "given up while dialling");
    });
}

#[test]
fn as_many_frames_as_a_venue_takes_in_a_minute_leave_from_one_turn() {
    trial(|mut wire| async move {
        let mut server = wire.connected().await;
        for number in 0..6_000 {
            wire.send(&number.to_string());
        }
        for number in 0..6_000 {
            assert_eq!(server.next().await.unwrap().unwrap(), Message::text(number.to_string()));
        }
    });
}

#[test]
fn a_socket_that_takes_nothing_any_more_is_given_up() {
    trial(|mut wire| async move {
        let _server = wire.connected().await;
        let text = "x".repeat(4 * 1024);
        for _ in 0..2 * OUTGOING {
            wire.send(&text);
            tokio::task::yield_now().await;
        }
        let reason = wire.down().await;
        assert!(
            reason.contains("closed by this side") || reason.contains("nothing could be sent"),
            "{reason}"
        );
    });
}
