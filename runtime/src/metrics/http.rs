//! The little that is served: GET of two pages, one a connection, for programs of this machine.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Pages;
use crate::server::Door;

/// Connections at one time; further ones are closed unheard.
const CONNECTIONS: usize = 16;

/// Longest a connection may live.
const OVER_WITHIN: Duration = Duration::from_secs(5);

/// Largest head of a request.
const HEAD_BYTES: usize = 8 * 1024;

/// Pause after the system would not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

type Answer = Response<Full<Bytes>>;

/// Accepts for ever. Must be called within a `LocalSet`.
pub(super) async fn serve(listeners: Vec<std::net::TcpListener>, door: &Rc<Door>, pages: &Rc<Pages>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    for listener in listeners {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(target: "metrics", reason = %error, "metrics_not_served");
                continue;
            }
        };
        let (door, pages, places) = (Rc::clone(door), Rc::clone(pages), Arc::clone(&places));
        tokio::task::spawn_local(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let (door, pages) = (Rc::clone(&door), Rc::clone(&pages));
                tokio::task::spawn_local(async move {
                    let _ = tokio::time::timeout(OVER_WITHIN, talk(stream, &door, &pages)).await;
                    drop(place);
                });
            }
        });
    }
    std::future::pending().await
}

/// One request and its answer.
async fn talk(stream: TcpStream, door: &Door, pages: &Pages) {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(request, door, pages).await));
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    // How it ends matters to nobody here: a monitor sees it itself.
    let _ended = connection.await;
}

async fn answer(request: Request<Incoming>, door: &Door, pages: &Pages) -> Answer {
    if let Err(reason) = door.admits(request.uri(), request.headers()) {
        return plain(StatusCode::FORBIDDEN, format!("{reason}\n"));
    }
    if request.method() != Method::GET {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "GET is all there is\n".to_owned());
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return answer;
    }
    if !request.body().is_end_stream() {
        return plain(StatusCode::BAD_REQUEST, "a request has no body here\n".to_owned());
    }
    match request.uri().path() {
        "/metrics" => with(StatusCode::OK, TEXT, pages.metrics().await),
        "/healthz" => {
            let (ready, text) = pages.health().await;
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            with(status, "application/json", text)
        }
        _ => plain(StatusCode::NOT_FOUND, "there are /metrics and /healthz\n".to_owned()),
    }
}

fn plain(status: StatusCode, text: String) -> Answer {
    with(status, "text/plain; charset=utf-8", text)
}

fn with(status: StatusCode, kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let fields = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fields {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
