//! Listen tokens: how the events of a margin wallet are listened to, on the websocket API of spot.
//!
//! ```text
//!  token ──subscribe──▶ subscribed ──subscribe with a newer token──▶ subscribed, later end
//!                           └──its time is over──▶ ended, eventStreamTerminated
//! ```

use binance_wire::errors::ErrorReply;
use binance_wire::render::Object;
use tradingsys::exchange::AccountId;
use tradingsys::time::{Span, Time};

use super::cross_only;
use crate::connection::Subscription;
use crate::io::Conn;
use crate::methods::{Answer, Call};
use crate::sim::{Sim, Task};

/// Longest validity of a token, and the usual one.
const LONGEST: Span = Span::from_secs(86_400);
/// Length of a token.
const LENGTH: usize = 60;

impl Sim {
    /// `POST /sapi/v1/userListenToken`.
    pub(crate) fn listen_token(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let longest = self.config.timing.listen_token.min(LONGEST);
        let asked = call.params.integer("validity")?.map(Span::from_millis);
        let until = call.now + asked.map_or(longest, |asked| asked.min(longest));
        let account = self.account_of(call.key);
        let token: String = (0..LENGTH).map(|_| self.random.alphanumeric()).collect();
        let wallet = self.margin_of(account);
        self.margin.tokens.retain(|_, (_, until)| *until > call.now);
        self.margin.tokens.insert(token.clone(), (wallet, until));
        Ok(Object::new().text("token", &token).int("expirationTime", until.millis()).end())
    }

    /// `POST /sapi/v1/margin/listen-key`: for what the wallet owes, on `/margin-stream`.
    pub(crate) fn margin_listen_start(&mut self, call: &Call<'_>) -> Answer {
        let wallet = self.margin_of(self.account_of(call.key));
        self.start_listening(call.now, wallet)
    }

    /// `PUT /sapi/v1/margin/listen-key`.
    pub(crate) fn margin_listen_extend(&mut self, call: &Call<'_>) -> Answer {
        let wallet = self.margin_of(self.account_of(call.key));
        self.extend(call.now, wallet)
    }

    /// `DELETE /sapi/v1/margin/listen-key`.
    pub(crate) fn margin_listen_close(&mut self, call: &Call<'_>) -> Answer {
        let wallet = self.margin_of(self.account_of(call.key));
        self.stop_listening(wallet)
    }

    /// `userDataStream.subscribe.listenToken`: another token of the same wallet goes on with the subscription.
    pub(crate) fn subscribe_token(&mut self, call: &Call<'_>) -> Answer {
        let token = call.params.need("listenToken")?;
        let found = self.margin.tokens.get(token).copied().filter(|(_, until)| *until > call.now);
        let invalid = || ErrorReply::bad(-1209, "The listenToken is invalid or has expired.");
        let (wallet, until) = found.ok_or_else(invalid)?;
        let number = self.token_subscription(call, wallet, until)?;
        if let Some(conn) = call.conn {
            self.later(until - call.now, Task::TokenOver(conn, number));
        }
        let micros = until.nanos().div_euclid(1_000);
        Ok(Object::new().int("subscriptionId", number).int("expirationTime", micros).end())
    }

    fn token_subscription(
        &mut self,
        call: &Call<'_>,
        wallet: AccountId,
        until: Time,
    ) -> Result<u32, ErrorReply> {
        let session = self.session(call.conn)?;
        let known = session.subscriptions.iter_mut().find(|(_, known)| known.account == wallet);
        if let Some((number, known)) = known {
            known.until = Some(until);
            return Ok(*number);
        }
        let number = session.next_subscription;
        session.next_subscription += 1;
        let fresh = Subscription { account: wallet, of_logon: false, until: Some(until) };
        session.subscriptions.insert(number, fresh);
        Ok(number)
    }

    /// The time of a token's subscription may be over; it is unless a newer token went on with it.
    pub(crate) fn token_over(&mut self, now: Time, conn: Conn, number: u32) {
        let session = self.connections.get(&conn).and_then(|connection| connection.session());
        let subscription = session.and_then(|session| session.subscriptions.get(&number));
        if subscription.and_then(|known| known.until).is_some_and(|until| until <= now) {
            self.end_subscription(now, conn, number);
        }
    }
}
