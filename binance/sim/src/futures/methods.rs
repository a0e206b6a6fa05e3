//! Every request of futures, once: its websocket name, its REST path, who may send it, its weight, its
//! parameters.
//!
//! New orders cost no weight: they count as orders. Names are the websocket's without their version.

use crate::auth::Security::{Key, Open};
use crate::methods::Weight::{self, Of};
use crate::methods::{Answer, Call, Method, NONE, method};
use crate::sim::Sim;

/// A request without a websocket name.
const fn rest(
    verb: &'static str,
    path: &'static str,
    security: crate::auth::Security,
    weight: Weight,
    params: &'static [&'static str],
    run: fn(&mut Sim, &Call<'_>) -> Answer,
) -> Method {
    method("", (verb, path), security, weight, params, run)
}

/// All of them.
pub(crate) const METHODS: &[Method] = &[
    rest("GET", "/fapi/v1/ping", Open, Of(1), &[], Sim::ping_request),
    method("time", ("GET", "/fapi/v1/time"), Open, Of(1), &[], Sim::time_request),
    method("session.logon", NONE, Open, Of(2), &[], Sim::logon),
    method("session.status", NONE, Open, Of(2), &[], Sim::session_status),
    method("session.logout", NONE, Open, Of(2), &[], Sim::logout),
    method("userDataStream.start", ("POST", "/fapi/v1/listenKey"), Key, Of(1), &[], Sim::listen_key_start),
    method(
        "userDataStream.ping",
        ("PUT", "/fapi/v1/listenKey"),
        Key,
        Of(1),
        &["listenKey"],
        Sim::listen_key_extend,
    ),
    method(
        "userDataStream.stop",
        ("DELETE", "/fapi/v1/listenKey"),
        Key,
        Of(1),
        &["listenKey"],
        Sim::listen_key_close,
    ),
];
