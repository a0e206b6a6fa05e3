//! Listen keys: how the events of an account are listened to on futures.
//!
//! ```text
//!  none ──start──▶ live ──extend──▶ live ──its time is over──▶ none, listenKeyExpired
//!                    └──close──▶ none
//! ```
//!
//! An account has one key at a time, shared by all that listen.

use std::collections::BTreeMap;

use binance_wire::errors::ErrorReply;
use binance_wire::render::{Object, TimeUnit};
use bytes::Bytes;
use tradingsys::exchange::AccountId;
use tradingsys::time::Time;

use crate::connection::{KeyIndex, Kind};
use crate::io::Conn;
use crate::methods::{Answer, Call};
use crate::product::Route;
use crate::sim::{PrivateFrame, Sim, Task};

/// Length of a key.
const LENGTH: usize = 64;

/// A live key.
#[derive(Clone, Debug)]
pub(crate) struct ListenKey {
    /// Its text.
    pub(crate) text: String,
    /// Until when it lives.
    pub(crate) until: Time,
}

/// The live keys by account.
pub(crate) type ListenKeys = BTreeMap<AccountId, ListenKey>;

fn unknown() -> ErrorReply {
    ErrorReply::bad(-1125, "This listenKey does not exist.")
}

impl Sim {
    /// `POST /fapi/v1/listenKey`, `userDataStream.start`: the account's key, a new one if it has none.
    pub(crate) fn listen_key_start(&mut self, call: &Call<'_>) -> Answer {
        let account = self.account_of(call.key);
        self.start_listening(call.now, account)
    }

    /// The account's key, a new one if it has none; its time begins anew.
    pub(crate) fn start_listening(&mut self, now: Time, account: AccountId) -> Answer {
        if !self.futures.listen_keys.contains_key(&account) {
            let text = (0..LENGTH).map(|_| self.random.alphanumeric()).collect();
            self.futures.listen_keys.insert(account, ListenKey { text, until: now });
        }
        self.extend(now, account)
    }

    /// `PUT /fapi/v1/listenKey`, `userDataStream.ping`.
    pub(crate) fn listen_key_extend(&mut self, call: &Call<'_>) -> Answer {
        self.extend(call.now, self.account_of(call.key))
    }

    /// Whose key a request without signature came with.
    pub(crate) fn account_of(&self, key: Option<KeyIndex>) -> AccountId {
        key.map_or(AccountId::HOUSE, |key| self.keys.at(key).account)
    }

    /// The time of a key begins anew.
    ///
    /// # Errors
    /// -1125 if there is none.
    pub(crate) fn extend(&mut self, now: Time, account: AccountId) -> Answer {
        let life = self.config.timing.listen_key;
        let key = self.futures.listen_keys.get_mut(&account).ok_or_else(unknown)?;
        key.until = now + life;
        let answer = Object::new().text("listenKey", &key.text).end();
        self.later(life, Task::ListenKeyOver(account));
        Ok(answer)
    }

    /// `DELETE /fapi/v1/listenKey`, `userDataStream.stop`: whoever listens hears nothing more.
    pub(crate) fn listen_key_close(&mut self, call: &Call<'_>) -> Answer {
        self.stop_listening(self.account_of(call.key))
    }

    /// Ends a key without a word.
    ///
    /// # Errors
    /// -1125 if there is none.
    pub(crate) fn stop_listening(&mut self, account: AccountId) -> Answer {
        self.futures.listen_keys.remove(&account).map(|_| "{}".to_owned()).ok_or_else(unknown)
    }

    /// The time of a key may be over; it is unless it was extended since.
    pub(crate) fn listen_key_over(&mut self, now: Time, account: AccountId) {
        if self.futures.listen_keys.get(&account).is_some_and(|key| key.until <= now) {
            self.listen_key_expire(now, account);
        }
    }

    /// Ends a key and says so.
    pub(crate) fn listen_key_expire(&mut self, now: Time, account: AccountId) {
        let Some(key) = self.futures.listen_keys.get(&account).map(|key| key.text.clone()) else { return };
        self.tell_futures(account, ("listenKeyExpired", ""), || {
            Object::new()
                .text("e", "listenKeyExpired")
                .int("E", TimeUnit::Millis.of(now))
                .text("listenKey", &key)
                .end()
        });
        self.futures.listen_keys.remove(&account);
    }

    /// A connection listens by a key; it hears something while the key is live.
    pub(crate) fn listen(&mut self, conn: Conn, key: &str, events: Option<Vec<String>>) {
        if let Some(Kind::Streams(streams)) = self.connections.get_mut(&conn).map(|c| &mut c.kind) {
            streams.listen_keys.insert(key.to_owned(), events);
        }
    }

    /// Keys of a query: `listenKey=K1[&events=A/B]`, several times.
    pub(crate) fn listen_by_query(&mut self, conn: Conn, query: &str) {
        let Some(Kind::Streams(streams)) = self.connections.get(&conn).map(|c| &c.kind) else { return };
        if !self.futures.carries_accounts(streams.route) {
            return;
        }
        let mut keys: Vec<(String, Option<Vec<String>>)> = Vec::new();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match (name, keys.last_mut()) {
                ("listenKey", _) => keys.push((value.to_owned(), None)),
                ("events", Some((_, events))) => {
                    *events = Some(value.replace("%2F", "/").split('/').map(str::to_owned).collect());
                }
                _ => {}
            }
        }
        for (key, events) in keys {
            self.listen(conn, &key, events);
        }
    }

    /// Sends an account's event of futures to all that listen to it.
    pub(crate) fn tell_futures(
        &mut self,
        account: AccountId,
        event: (&'static str, &'static str),
        write: impl Fn() -> String,
    ) {
        let Some(key) = self.futures.listen_keys.get(&account) else { return };
        let mut written = None;
        let mut frames = Vec::new();
        for (conn, connection) in &self.connections {
            let Kind::Streams(streams) = &connection.kind else { continue };
            let Some(events) = streams.listen_keys.get(&key.text) else { continue };
            let wanted = events.as_ref().is_none_or(|events| events.iter().any(|name| name == event.0));
            if !wanted || !connection.is_live() {
                continue;
            }
            let data: &String = written.get_or_insert_with(&write);
            let text = if streams.combined {
                Bytes::from(Object::new().text("stream", &key.text).raw("data", data).end())
            } else {
                Bytes::from(data.clone())
            };
            frames.push(PrivateFrame { conn: *conn, text, event, account });
        }
        self.staged.private.append(&mut frames);
    }
}

/// Could it be a listen key, by its form?
pub(crate) fn looks_like_key(text: &str) -> bool {
    text.len() > 20 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Does a route carry the events of accounts?
pub(crate) fn carries_accounts(route: Route, unrouted: super::streams::Unrouted) -> bool {
    matches!(route, Route::Private | Route::Margin)
        || (route == Route::Unrouted && unrouted == super::streams::Unrouted::All)
}
