//! Logon, logout and private subscriptions of API connections.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, TimeUnit, array};
use binance_wire::sign::SignatureChecker;
use bytes::Bytes;
use tradingsys::exchange::AccountId;
use tradingsys::time::Time;

use crate::auth::in_window;
use crate::connection::{Logon, Session, Subscription};
use crate::io::Conn;
use crate::methods::{Answer, Call};
use crate::order_json::envelope;
use crate::sim::{PrivateFrame, Sim};

/// Private subscriptions a connection may have at a time.
const MOST_ACTIVE: usize = 1_000;
/// Private subscriptions a connection may have in its life.
const MOST_IN_LIFE: u32 = 65_535;

impl Sim {
    /// The session of an API connection.
    ///
    /// # Errors
    /// -1020 elsewhere.
    pub(crate) fn session(&mut self, conn: Option<Conn>) -> Result<&mut Session, ErrorReply> {
        let connection = conn.and_then(|conn| self.connections.get_mut(&conn));
        let session = connection.and_then(|connection| connection.session_mut());
        session
            .ok_or_else(|| ErrorReply::bad(code::UNSUPPORTED_OPERATION, "This operation is not supported."))
    }

    /// `session.logon`.
    pub(crate) fn logon(&mut self, call: &Call<'_>) -> Answer {
        let key = self.keys.find(call.params.need("apiKey")?)?;
        if matches!(self.keys.at(key).checker, SignatureChecker::Hmac(_)) {
            return Err(ErrorReply::bad(-4056, "HMAC_SHA256 API key is not supported."));
        }
        self.keys.signed(key, call.params)?;
        in_window(call.now, call.params)?;
        self.session(call.conn)?.logon = Some(Logon { key, since: call.now });
        self.session_status(call)
    }

    /// `session.status`.
    pub(crate) fn session_status(&mut self, call: &Call<'_>) -> Answer {
        let conn = call.conn.expect("the method has no REST path");
        let connection = &self.connections[&conn];
        let session = connection.session().expect("only API connections run methods");
        let object = match session.logon {
            Some(logon) => Object::new()
                .text("apiKey", &self.keys.at(logon.key).api_key)
                .int("authorizedSince", call.unit.of(logon.since)),
            None => Object::new().raw("apiKey", "null").raw("authorizedSince", "null"),
        };
        let object = object
            .int("connectedSince", call.unit.of(connection.since))
            .flag("returnRateLimits", session.return_limits)
            .int("serverTime", call.unit.of(call.now))
            .flag("userDataStream", !session.subscriptions.is_empty());
        Ok(object.end())
    }

    /// `session.logout`: the key is forgotten, and the subscription that came with the logon ends.
    pub(crate) fn logout(&mut self, call: &Call<'_>) -> Answer {
        let session = self.session(call.conn)?;
        session.logon = None;
        let ended: Vec<u32> =
            session.subscriptions.iter().filter(|(_, s)| s.of_logon).map(|(number, _)| *number).collect();
        self.end_subscriptions(call, &ended);
        self.session_status(call)
    }

    /// `session.subscriptions`.
    pub(crate) fn subscriptions(&mut self, call: &Call<'_>) -> Answer {
        let session = self.session(call.conn)?;
        Ok(array(
            session.subscriptions.keys().map(|number| Object::new().int("subscriptionId", number).end()),
        ))
    }

    /// `userDataStream.subscribe`: events of the account that is logged on.
    pub(crate) fn subscribe_logged_on(&mut self, call: &Call<'_>) -> Answer {
        let Some(logon) = self.session(call.conn)?.logon else {
            return Err(ErrorReply::new(
                401,
                code::UNAUTHORIZED,
                "You are not authorized to execute this request.",
            ));
        };
        let key = self.keys.at(logon.key);
        if key.revoked {
            return Err(ErrorReply::key());
        }
        let account = key.account;
        self.add_subscription(call, account, true)
    }

    /// `userDataStream.subscribe.signature`: events of the account whose key signed this request.
    pub(crate) fn subscribe_signed(&mut self, call: &Call<'_>) -> Answer {
        self.add_subscription(call, call.account, false)
    }

    fn add_subscription(&mut self, call: &Call<'_>, account: AccountId, of_logon: bool) -> Answer {
        let session = self.session(call.conn)?;
        let full = session.subscriptions.len() >= MOST_ACTIVE;
        if full || session.subscriptions.values().any(|active| active.account == account) {
            return Err(ErrorReply::bad(
                code::SUBSCRIPTION_ACTIVE,
                "User Data Stream subscription already active.",
            ));
        }
        if session.next_subscription >= MOST_IN_LIFE {
            return Err(ErrorReply::bad(
                code::SUBSCRIPTIONS_EXHAUSTED,
                "Maximum subscription ID reached for this connection.",
            ));
        }
        let number = session.next_subscription;
        session.next_subscription += 1;
        session.subscriptions.insert(number, Subscription { account, of_logon, until: None });
        Ok(Object::new().int("subscriptionId", number).end())
    }

    /// `userDataStream.unsubscribe`: one subscription, or all.
    pub(crate) fn unsubscribe_private(&mut self, call: &Call<'_>) -> Answer {
        let wanted = call.params.integer("subscriptionId")?;
        let session = self.session(call.conn)?;
        let ended: Vec<u32> = match wanted {
            None => session.subscriptions.keys().copied().collect(),
            Some(number) => {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                session.subscriptions.contains_key(&number).then_some(number).into_iter().collect()
            }
        };
        if ended.is_empty() {
            return Err(ErrorReply::bad(
                code::SUBSCRIPTION_INACTIVE,
                "User Data Stream subscription not active.",
            ));
        }
        self.end_subscriptions(call, &ended);
        Ok("{}".into())
    }

    fn end_subscriptions(&mut self, call: &Call<'_>, numbers: &[u32]) {
        let event = terminated(call.now, call.unit);
        for number in numbers {
            let ended = self.session(call.conn).ok().and_then(|session| session.subscriptions.remove(number));
            if let (Some(conn), Some(ended)) = (call.conn, ended) {
                self.staged.private.push(PrivateFrame {
                    conn,
                    text: Bytes::from(envelope(*number, &event)),
                    event: TERMINATED,
                    account: ended.account,
                });
            }
        }
    }

    /// The venue ends a subscription.
    pub(crate) fn end_subscription(&mut self, now: Time, conn: Conn, number: u32) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let unit = connection.unit;
        let ended = connection.session_mut().and_then(|session| session.subscriptions.remove(&number));
        if let Some(ended) = ended {
            let text = Bytes::from(envelope(number, &terminated(now, unit)));
            self.staged.private.push(PrivateFrame { conn, text, event: TERMINATED, account: ended.account });
        }
    }

    /// Sends an account's event to each subscription of it.
    pub(crate) fn tell(
        &mut self,
        account: AccountId,
        event: (&'static str, &'static str),
        write: impl Fn(&Self, TimeUnit) -> String,
    ) {
        let mut frames = Vec::new();
        for (conn, connection) in &self.connections {
            let Some(session) = connection.session().filter(|_| connection.is_live()) else { continue };
            for (number, subscription) in &session.subscriptions {
                if subscription.account == account {
                    let text = Bytes::from(envelope(*number, &write(self, connection.unit)));
                    frames.push(PrivateFrame { conn: *conn, text, event, account });
                }
            }
        }
        self.staged.private.append(&mut frames);
    }

    /// The venue deletes a key: sessions of it are told, and logged out.
    pub(crate) fn revoke(&mut self, now: Time, api_key: &str) -> bool {
        if !self.keys.revoke(api_key, true) {
            return false;
        }
        let Some(key) = self.keys.iter().position(|key| key.api_key == api_key) else { return false };
        let account = self.keys.at(key).account;
        let frame =
            Object::new().raw("id", "null").int("status", 401).raw("error", &ErrorReply::key().body()).end();
        let mut frames = Vec::new();
        for (conn, connection) in &mut self.connections {
            let (unit, live) = (connection.unit, connection.is_live());
            let Some(session) = connection.session_mut().filter(|_| live) else { continue };
            let conn = *conn;
            if session.logon.is_some_and(|logon| logon.key == key) {
                session.logon = None;
                let text = Bytes::from(frame.clone());
                frames.push(PrivateFrame { conn, text, event: ("error", ""), account });
            }
            let ended: Vec<u32> =
                session.subscriptions.iter().filter(|(_, s)| s.account == account).map(|(n, _)| *n).collect();
            for number in ended {
                session.subscriptions.remove(&number);
                let text = Bytes::from(envelope(number, &terminated(now, unit)));
                frames.push(PrivateFrame { conn, text, event: TERMINATED, account });
            }
        }
        self.staged.private.append(&mut frames);
        true
    }
}

/// The name of the event that ends a subscription.
const TERMINATED: (&str, &str) = ("eventStreamTerminated", "");

fn terminated(now: Time, unit: TimeUnit) -> String {
    Object::new().text("e", TERMINATED.0).int("E", unit.of(now)).end()
}
