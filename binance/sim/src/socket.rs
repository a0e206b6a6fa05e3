//! One websocket: frames in to the machine, commands out to the client.

use binance_sim::{Conn, Oddity, SimInput};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::shell::Shared;

/// Largest frame of a client.
const LARGEST_FRAME: usize = 1 << 20;

/// What a socket is to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send text.
    Text(Bytes),
    /// Send data.
    Data(Bytes),
    /// Send text in another way.
    Odd(Bytes, Oddity),
    /// Send a ping.
    Ping(Bytes),
    /// Send a close frame, then close.
    Close(u16, &'static str),
    /// Neither read nor write any more; stay open until cut off.
    Freeze,
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Runs a socket until it is closed by either side, or its command queue is dropped.
pub(crate) async fn run(upgraded: Upgraded, conn: Conn, mut commands: mpsc::Receiver<Command>, core: Shared) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_FRAME))
        .max_frame_size(Some(LARGEST_FRAME))
        .write_buffer_size(0);
    let mut socket = Socket::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    loop {
        let going_on = tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(Command::Freeze) => {
                    // Whatever is queued is thrown away; the queue's end is the end.
                    while commands.recv().await.is_some() {}
                    false
                }
                Some(command) => write(&mut socket, command).await,
                None => false,
            },
            frame = socket.next() => read(frame, conn, &core),
        };
        if !going_on {
            break;
        }
    }
    core.borrow_mut().closed(conn);
}

async fn write(socket: &mut Socket, command: Command) -> bool {
    let message = match command {
        Command::Text(text) => match Utf8Bytes::try_from(text) {
            Ok(text) => Message::Text(text),
            Err(_) => return false,
        },
        Command::Data(data) => Message::Binary(data),
        Command::Odd(text, oddity) => return write_odd(socket, &text, oddity).await,
        Command::Ping(payload) => Message::Ping(payload),
        Command::Close(code, why) => {
            let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(why) };
            // The client may be gone already.
            let _ = socket.close(Some(frame)).await;
            return false;
        }
        Command::Freeze => return true,
    };
    socket.send(message).await.is_ok()
}

async fn write_odd(socket: &mut Socket, text: &Bytes, oddity: Oddity) -> bool {
    let frame = |bytes: Bytes, kind, last| Message::Frame(Frame::message(bytes, OpCode::Data(kind), last));
    let messages = match oddity {
        Oddity::Binary => vec![Message::Binary(text.clone())],
        Oddity::Fragments => {
            let half = text.len() / 2;
            vec![
                frame(text.slice(..half), Data::Text, false),
                frame(text.slice(half..), Data::Continue, true),
            ]
        }
        Oddity::BadUtf8 => {
            let mut bytes = text.to_vec();
            bytes.push(0xff);
            vec![frame(Bytes::from(bytes), Data::Text, true)]
        }
    };
    for message in messages {
        if socket.send(message).await.is_err() {
            return false;
        }
    }
    true
}

fn read(frame: Option<Result<Message, Error>>, conn: Conn, core: &Shared) -> bool {
    let input = match frame {
        Some(Ok(Message::Text(text))) => SimInput::Text(conn, text.as_str().to_owned()),
        Some(Ok(Message::Ping(_))) => SimInput::Ping(conn),
        Some(Ok(Message::Pong(payload))) => SimInput::Pong(conn, payload),
        Some(Ok(Message::Binary(_) | Message::Frame(_))) => return true,
        // The reply to a close frame is sent while the next frame is waited for.
        Some(Ok(Message::Close(_))) => return true,
        Some(Err(_)) | None => return false,
    };
    core.borrow_mut().input(input);
    true
}
