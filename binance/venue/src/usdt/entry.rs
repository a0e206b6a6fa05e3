//! Orders out over the websocket API, private facts in over a stream of their own.
//!
//! ```text
//!          session up              set up as needed            stream open
//!   Down ─────────────→ Checking ─────────────────→ Listening ─────────────→ Up
//!    ▲                      └── hedge mode, multi-assets mode: refused, checked again later
//!    └──── session lost, events lost ─────────────────────────────────────────┘
//! ```
//!
//! What goes wrong is said once, after everything in flight has been answered; coming back means that all was missed
//! meanwhile. The account is looked at again after every loss of the session, when an order is refused for the position
//! mode, and when an event shows another mode.

use std::collections::BTreeSet;

use binance_wire::classify::refuses_key;
use binance_wire::futures::account::{
    AccountConfig, AccountUpdate, UserEvent, account_config, isolated_symbols, listen_key, user_event,
};
use binance_wire::futures::classify::{is_no_change, is_position_mode, is_unknown_listen_key};
use binance_wire::reply::{ApiError, Malformed};
use tradingsys::ids::{LinkId, SessionId, Symbol};
use tradingsys::order::request::NewOrder;
use tradingsys::time::{Span, Time, earliest};
use tradingsys::venue::port::{
    Amend, Answer, Cancel, EntryGauges, LinkInput, NotSent, OrderEntry, Outbox, PlaceOutcome, Query, Urgent,
    VenueEvent, Way,
};

use super::words::{Own, Usdt};
use super::{Hedged, UsdtConfig};
use crate::common::desk::Desk;
use crate::common::private::{Need, Private};

const HEDGE: &str = "the account is in hedge mode, and this gateway keeps one position a symbol: set the position mode \
    to one-way at the exchange (preferences, position mode), or start with \"set_one_way_mode\": true";
const SWITCHED: &str = "the position mode of the account was hedge mode and is one-way mode now, as \
    \"set_one_way_mode\": true says";
const TO_BE_SWITCHED: &str = "the account is in hedge mode: the start changes its position mode to one-way mode, as \
    \"set_one_way_mode\": true says, unless it has positions or open orders; to keep hedge mode, do not start";
const MULTI_ASSETS: &str = "the account is in multi-assets mode, in which losses in one asset are taken from another: \
    set the asset mode to single-asset at the exchange (preferences, asset mode)";

/// Own trades of the last three months are shown (developers.binance.com, change log of 2026-08-26), the shortest of
/// which have 89 days; a day is left for the clocks and the reading.
const TRADES_SHOWN: Span = Span::from_secs(88 * 24 * 3600);

/// How far the account has been looked at since the session came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Not yet, or again.
    Due,
    /// Not before this, for it could not be done or the account was refused.
    Later(Time),
    /// Its modes are as needed; its symbols are being read.
    Symbols,
    /// As needed.
    Done,
}

/// The order-entry machine of this market.
#[derive(Debug)]
pub struct Entry {
    desk: Desk<Usdt>,
    private: Private,
    check: Check,
    hedged: Hedged,
    may_trade: bool,
    isolated: BTreeSet<Symbol>,
    up: bool,
}

impl Entry {
    /// A machine that has not started.
    pub fn new(config: UsdtConfig) -> Self {
        let UsdtConfig { access, private, hedged, key_life, .. } = config;
        // Another seed than the session's: the two must not dial in step.
        let private = Private::new(&private, access.timing, key_life, access.seed.rotate_left(32));
        Self {
            desk: Desk::with(Usdt, access),
            private,
            check: Check::Due,
            hedged,
            may_trade: true,
            isolated: BTreeSet::new(),
            up: false,
        }
    }

    fn ask(&mut self, now: Time, own: Own, out: &mut Outbox) {
        if !self.desk.is_asking(|asked| *asked == own) {
            self.desk.ask_own(now, own, own.call(), own.weight(), out);
        }
    }

    /// After every input: takes up what the desk has left, asks for what is missing, and says what has changed.
    fn settle(&mut self, now: Time, out: &mut Outbox) {
        if let Some(why) = self.desk.lost.take() {
            self.check = Check::Due;
            self.up = false;
            out.events.push(VenueEvent::EntryDown(why));
        }
        for (own, result) in std::mem::take(&mut self.desk.own) {
            self.answered(now, own, result, out);
        }
        if self.desk.active.is_none() {
            return;
        }
        match self.check {
            Check::Later(at) if at > now => {}
            Check::Due | Check::Later(_) => {
                self.check = Check::Due;
                self.ask(now, Own::Account, out);
            }
            Check::Symbols => self.ask(now, Own::Symbols, out),
            Check::Done => {}
        }
        match self.private.need(now) {
            Some(Need::Key) => self.ask(now, Own::Key, out),
            Some(Need::Renewal) => self.ask(now, Own::Renewal, out),
            None => {}
        }
        let desk = &mut self.desk;
        self.private.dial(now, || desk.new_link(), out);
        if !self.up && self.check == Check::Done && self.private.is_up() {
            self.up = true;
            out.events.push(VenueEvent::EntryUp);
        }
    }

    /// Private events are lost.
    fn interrupted(&mut self, now: Time, why: Option<String>, out: &mut Outbox) {
        let Some(why) = why else { return };
        if self.up {
            self.up = false;
            self.desk.interrupt(now, &why, out);
        }
        out.events.push(VenueEvent::EntryDown(why));
    }

    fn answered(&mut self, now: Time, own: Own, result: Result<String, ApiError>, out: &mut Outbox) {
        let error = match result {
            Ok(text) => match self.read(now, own, &text, out) {
                Ok(()) => return,
                Err(malformed) => {
                    ApiError { status: 0, code: 0, message: malformed.to_string(), retry_after: None }
                }
            },
            Err(error) => error,
        };
        if refuses_key(error.status, error.code) {
            out.events.push(VenueEvent::KeyRefused(error.to_string()));
        }
        match own {
            Own::Account | Own::Symbols => self.check = Check::Later(self.again(now)),
            Own::OneWay if is_no_change(error.code) => self.check = Check::Due,
            Own::OneWay => {
                let why =
                    format!("the account is in hedge mode, and the exchange does not change it: {error}");
                self.refuse(now, &why, out);
            }
            Own::Renewal if is_unknown_listen_key(error.code) => {
                let lost = self.private.key_over("the exchange has forgotten the listen key", out);
                self.interrupted(now, lost, out);
            }
            Own::Key | Own::Renewal => self.private.failed(now, error.to_string()),
        }
    }

    fn read(&mut self, now: Time, own: Own, text: &str, out: &mut Outbox) -> Result<(), Malformed> {
        match own {
            Own::Account => {
                self.private.reached(now);
                self.checked(now, account_config(text)?, out);
            }
            Own::Symbols => {
                self.isolated = isolated_symbols(text)?.into_iter().collect();
                self.check = Check::Done;
            }
            Own::OneWay => {
                out.events.push(VenueEvent::Warning { event: "account changed", words: SWITCHED.to_owned() });
                self.check = Check::Due;
            }
            Own::Key => self.private.keyed(now, listen_key(text)?),
            Own::Renewal => self.private.renewed(now),
        }
        Ok(())
    }

    fn checked(&mut self, now: Time, config: AccountConfig, out: &mut Outbox) {
        self.may_trade = config.can_trade;
        match (config.dual_side_position, self.hedged) {
            (true, Hedged::Refuse) => return self.refuse(now, HEDGE, out),
            (true, Hedged::Switch) => {
                self.check = Check::Later(now + self.desk.config.timing.request);
                return self.ask(now, Own::OneWay, out);
            }
            (true, Hedged::Announce) => {
                let words = TO_BE_SWITCHED.to_owned();
                out.events.push(VenueEvent::Warning { event: "account to be changed", words });
            }
            (false, _) => {}
        }
        if config.multi_assets_margin {
            return self.refuse(now, MULTI_ASSETS, out);
        }
        self.check = Check::Symbols;
    }

    /// The account is not set up as needed: nothing is sent until a human has changed it.
    fn refuse(&mut self, now: Time, why: &str, out: &mut Outbox) {
        self.check = Check::Later(now + self.desk.config.timing.refused);
        self.interrupted(now, self.up.then(|| why.to_owned()), out);
        out.events.push(VenueEvent::Refused(why.to_owned()));
    }

    fn again(&self, now: Time) -> Time {
        now + Span::from_secs(1).max(self.desk.config.timing.backoff)
    }

    /// Something happened on a connection of private events.
    fn heard(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        self.private.heard(now, link);
        match input {
            LinkInput::Up => self.private.opened(now, link),
            LinkInput::Down(why) => {
                let lost = self.private.lost(now, link, why);
                self.interrupted(now, lost, out);
            }
            LinkInput::Text(text) => match user_event(text) {
                Ok(event) => self.event(now, event, out),
                Err(malformed) => out.events.push(VenueEvent::PrivateGarbled(malformed.to_string())),
            },
            LinkInput::Binary(_) | LinkInput::Alive | LinkInput::Response { .. } => {}
        }
    }

    fn event(&mut self, now: Time, event: UserEvent, out: &mut Outbox) {
        match event {
            UserEvent::Report(report) => out.events.push(VenueEvent::Report(report)),
            UserEvent::Account(update) => self.account(*update, out),
            UserEvent::MultiAssets(on) => {
                if on {
                    self.check = Check::Due;
                }
            }
            UserEvent::MarginCall(words) => {
                let words = format!("margin call: {words}");
                out.events.push(VenueEvent::Warning { event: "margin call", words });
            }
            UserEvent::KeyExpired => {
                let lost = self.private.key_over("the listen key expired", out);
                self.interrupted(now, lost, out);
            }
            UserEvent::Shutdown => self.private.replace(now),
            UserEvent::Other => {}
        }
    }

    fn account(&mut self, update: AccountUpdate, out: &mut Outbox) {
        for (symbol, isolated) in update.isolated {
            if isolated {
                self.isolated.insert(symbol);
            } else {
                self.isolated.remove(&symbol);
            }
        }
        if update.hedged {
            self.check = Check::Due;
        }
        out.events.extend(update.income.into_iter().map(VenueEvent::Income));
        if !update.balances.is_empty() {
            out.events.push(VenueEvent::Balances(update.balances));
        }
    }

    /// What the desk said of orders may concern the account.
    fn review(&mut self, from: usize, out: &mut Outbox) {
        for event in &mut out.events[from..] {
            match event {
                VenueEvent::Placed { outcome: PlaceOutcome::Rejected { code, .. }, .. }
                    if is_position_mode(*code) =>
                {
                    self.check = Check::Due;
                }
                VenueEvent::Answer { answer: Answer::Account(account), .. } => {
                    account.can_trade = self.may_trade;
                }
                _ => {}
            }
        }
    }
}

impl OrderEntry for Entry {
    fn start(&mut self, now: Time, out: &mut Outbox) {
        self.desk.start(now, out);
    }

    fn place(&mut self, now: Time, order: &NewOrder, out: &mut Outbox) -> Result<(), NotSent> {
        if !self.up {
            return Err(NotSent::Disconnected);
        }
        if self.isolated.contains(&order.symbol) {
            let message = format!(
                "{} is on isolated margin, and this gateway trades cross margin alone; nothing was sent: set it to \
                 cross at the exchange while it has no position and no open orders",
                order.symbol
            );
            let outcome = PlaceOutcome::Rejected { code: 0, message, for_now: false };
            out.events.push(VenueEvent::Placed { id: order.id.clone(), outcome });
            return Ok(());
        }
        self.desk.place(now, order, out)
    }

    fn share_among(&mut self, sessions: &BTreeSet<SessionId>) {
        self.desk.share_among(sessions);
    }

    fn cancel(&mut self, now: Time, cancel: &Cancel, out: &mut Outbox) -> Result<(), NotSent> {
        if !self.up {
            return Err(NotSent::Disconnected);
        }
        self.desk.cancel(now, cancel, out)
    }

    fn urgent(
        &mut self,
        now: Time,
        number: u64,
        urgent: &Urgent,
        way: Way,
        out: &mut Outbox,
    ) -> Result<(), NotSent> {
        // Also while private events are missed.
        self.desk.urgent(now, number, urgent, way, out)
    }

    fn amend(&mut self, now: Time, amend: &Amend, out: &mut Outbox) -> Result<(), NotSent> {
        if !self.up {
            return Err(NotSent::Disconnected);
        }
        self.desk.amend(now, amend, out)
    }

    fn query(&mut self, now: Time, request: u64, query: &Query, out: &mut Outbox) {
        if self.up {
            self.desk.query(now, request, query, out);
        } else {
            let answer = Answer::Failed("the exchange is not connected".to_owned());
            out.events.push(VenueEvent::Answer { request, answer });
        }
    }

    fn comparing(&mut self, under_way: bool) {
        self.desk.comparing(under_way);
    }

    fn pace(&mut self, now: Time, queries: &[Query]) -> Span {
        self.desk.pace(now, queries)
    }

    fn weight(&self, queries: &[Query]) -> u64 {
        self.desk.weight(queries)
    }

    fn owns(&self, link: LinkId) -> bool {
        self.desk.owns(link)
    }

    fn handle(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        let from = out.events.len();
        if self.private.owns(link) {
            self.heard(now, link, input, out);
        } else {
            self.desk.handle(now, link, input, out);
            self.review(from, out);
        }
        self.settle(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let check = match self.check {
            Check::Later(at) => Some(at),
            _ => None,
        };
        // Without a session nothing can be asked: what is due then waits for it.
        let own = if self.desk.active.is_some() { earliest(check, self.private.deadline()) } else { None };
        earliest(self.desk.deadline(), own)
    }

    fn timer(&mut self, now: Time, out: &mut Outbox) {
        self.desk.timer(now, out);
        let lost = self.private.timer(now, out);
        self.interrupted(now, lost, out);
        self.settle(now, out);
    }

    fn gauges(&self, now: Time) -> EntryGauges {
        self.desk.gauges(now)
    }

    fn inquires(&self) -> bool {
        self.desk.inquires()
    }

    fn receive_window(&self) -> Span {
        self.desk.receive_window()
    }

    fn shows_trades_of(&self) -> Option<Span> {
        Some(TRADES_SHOWN)
    }

    fn stop(&mut self, now: Time, out: &mut Outbox) {
        self.private.stop(out);
        self.desk.stop(now, out);
        self.up = false;
    }
}

#[cfg(test)]
mod tests;
