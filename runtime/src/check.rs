//! `check`: is everything there that a gateway needs? A line for each thing looked at; the exit code is that
//! of the first that fails.

use std::path::Path;
use std::time::Duration;

use tokio::task::LocalSet;
use tradingsys::gateway::belongs;
use tradingsys::instrument::Instrument;
use tradingsys::limits::{Limits, form};
use tradingsys::time::{Span, Time, earliest};
use tradingsys::venue::port::{Answer, Balance, LinkInput, OrderReport, Outbox, Query, VenueEvent};

use crate::cli::show;
use crate::clock::Clock;
use crate::config::{Config, MARGIN};
use crate::exit::{Exit, refused_by_the_exchange};
use crate::files::{FolderLock, LockError};
use crate::key::passphrase::Source;
use crate::links::{LinkEvent, Links};
use crate::store::books::{self, Books};
use crate::store::journal::{self, Journal};
use crate::{Connect, Ports, Product, VenueSetup, key, run, store, tls, tokens};

/// Longest the exchange may take to answer all there is to ask.
const ANSWER_WITHIN: Span = Span::from_secs(20);

/// Dials that may fail, over both machines, before the exchange counts as out of reach.
const DIALS_MAX: u32 = 4;

/// A clock further off than this is a fault: the exchange refuses requests from the future of more than 1 s.
const CLOCK_MAX: Span = Span::from_millis(500);

/// Numbers of the questions: the account, the open orders, and whatever else is asked, one after the other.
const ACCOUNT: u64 = 1;
const OPEN_ORDERS: u64 = 2;
const MORE: u64 = 3;

/// Longest an answer to those may take: the budget of a minute may be used up by the ones before.
const NEXT_WITHIN: Span = Span::from_secs(90);

/// An older schema, in words.
pub(crate) const OLDER: &str = "journal.db has the schema of an older version; the next start keeps a copy and migrates \
    it, and older versions refuse it then";

/// The lines, and the first failure.
#[derive(Default)]
struct Findings {
    failure: Option<Exit>,
}

impl Findings {
    fn ok(&self, what: &str, words: &str) {
        show(&format!("ok   {what}: {words}"));
    }
    /// Nothing that keeps a start from succeeding, but something to know before it.
    fn warn(&self, what: &str, words: &str) {
        show(&format!("warn {what}: {words}"));
    }
    fn fail(&mut self, what: &str, exit: Exit) {
        show(&format!("fail {what}: {}", exit.message));
        let message = format!("{what}: {}", exit.message);
        self.failure.get_or_insert(Exit { code: exit.code, message });
    }
}

/// Looks at everything.
pub(crate) fn check(
    product: &'static Product,
    connect: Connect,
    file: &Path,
    passphrase: &Source,
) -> Result<(), Exit> {
    let mut findings = Findings::default();
    let config = run::configured(product, file)?;
    findings.ok("configuration", &file.display().to_string());
    findings.ok("limits", &format!("of the configuration: {}", form::words(&config.limits)));
    findings.ok("mode", &mode(&config));
    door(&config, &mut findings);
    database(&config, &mut findings);
    match key::load(&config.pem, passphrase) {
        Err(error) => findings.fail("key", error.into()),
        Ok(key) => {
            findings.ok("key", &format!("{} is an Ed25519 key only you can read", config.pem.display()));
            let ports = connect(VenueSetup { config: &config, key, seed: run::seed()?, only_looks: true });
            exchange(&config, ports, &mut findings)?;
        }
    }
    findings.failure.map_or(Ok(()), Err)
}

/// Which account, and at which exchange: there is more than one, and their keys look alike.
fn mode(config: &Config) -> String {
    let at = ["ws_api", "rest"].iter().find_map(|name| config.endpoints.get(*name));
    format!("the {} account, at {}", config.market, at.map_or("no address", String::as_str))
}

/// What lets strategies in, as far as it is kept: whether there is anything to look at hangs on the configuration.
fn door(config: &Config, findings: &mut Findings) {
    if let Some(files) = &config.tls {
        match tls::acceptor(files) {
            Ok(_) => findings.ok("tls", &format!("{}, with its key", files.cert.display())),
            Err(exit) => findings.fail("tls", exit),
        }
    }
    match tokens::look(config) {
        Ok(None) => {}
        Ok(Some(words)) => findings.ok("tokens", &words),
        Err(exit) => findings.fail("tokens", exit),
    }
}

/// Without changing anything, so also beside a running gateway.
fn database(config: &Config, findings: &mut Findings) {
    if let Err(error) = store::check_library() {
        findings.fail("database", Exit::failure(error.to_string()));
        return;
    }
    let folder = config.db.display();
    if !config.db.join(journal::FILE).exists() {
        match books::outlived_its_journal(&config.db, config.market) {
            Ok(false) => findings.ok("database", &format!("none in {folder} yet; the first start makes it")),
            Ok(true) => findings.warn("database", books::JOURNAL_TO_BE_LOST),
            Err(error) => findings.fail("database", error.into()),
        }
        return;
    }
    let _lock = match FolderLock::take(&config.db) {
        Ok(lock) => lock,
        Err(LockError::Held { holder, .. }) => {
            findings.ok("database", &format!("{folder} is in use by {holder}, not looked at"));
            return;
        }
        Err(error) => {
            findings.fail("database", error.into());
            return;
        }
    };
    match opened(config) {
        Err(exit) => findings.fail("database", exit),
        Ok((records, older, found)) => {
            if older {
                findings.warn("database", OLDER);
            }
            for bad in found.bad {
                findings.fail("database", Exit::configuration(bad.reason));
            }
            let edits = found.edits.len() + found.taken_back.len();
            findings.ok("database", &format!("{records} records in {folder}, {edits} edits to take"));
        }
    }
}

/// How many records the journal has, whether its schema is an older one, and what the next start will find in `pos.db`.
fn opened(config: &Config) -> Result<(usize, bool, books::Findings), Exit> {
    let (journal, found) = Journal::look(&config.db)?;
    // First: what another's pos.db holds means nothing here.
    belongs(&found.records, config.market, &config.install)
        .map_err(|error| Exit::configuration(error.to_string()))?;
    let edits = if config.db.join(books::FILE).exists() {
        Books::look(&config.db, config.market, journal.id(), &books::booked(&found.records))?.1
    } else {
        books::Findings::default()
    };
    Ok((found.records.len(), found.older, edits))
}

fn exchange(config: &Config, ports: Ports, findings: &mut Findings) -> Result<(), Exit> {
    look(config, ports, Seen::default())?.tell(config.market, &config.limits, findings);
    Ok(())
}

/// What else is asked, and what follows on each answer.
#[derive(Default)]
pub(crate) struct Inquiry {
    /// First page of each.
    pub(crate) questions: Vec<Query>,
    /// The question for the page after an answer, if there is one.
    pub(crate) next: Option<fn(&Query, &Answer) -> Option<Query>>,
}

/// What the exchange shows of the account.
pub(crate) struct Shown {
    /// Balances, positions among them.
    pub(crate) balances: Vec<Balance>,
    /// Open orders.
    pub(crate) open: Vec<OrderReport>,
    /// What was asked besides, each page with its question, or why it was not answered.
    pub(crate) answers: Vec<(Query, Answer)>,
    /// What the exchange lists, where it said so.
    pub(crate) instruments: Vec<Instrument>,
}

/// Asks for the account, its open orders, and what else is wanted.
pub(crate) fn account(config: &Config, ports: Ports, inquiry: Inquiry) -> Result<Shown, Exit> {
    let seen = look(config, ports, Seen { wants_orders: true, inquiry, ..Seen::default() })?;
    if let Some(reason) = seen.refused {
        return Err(Exit::key_refused(refused_by_the_exchange(&reason)));
    }
    if let Some(reason) = seen.unfit {
        return Err(Exit::configuration(reason));
    }
    let why = seen.last_down.unwrap_or_else(|| "no answer".into());
    match (seen.account, seen.open) {
        (Some(Ok(_)), Some(Ok(open))) if seen.inquiry.questions.is_empty() => {
            let instruments = seen.instruments.unwrap_or_default();
            Ok(Shown { balances: seen.balances, open, answers: seen.answers, instruments })
        }
        (Some(Ok(_)), Some(Ok(_))) => {
            let left = seen.inquiry.questions.len();
            Err(Exit::unreachable(format!(
                "{left} questions about fills and orders were not answered: {why}"
            )))
        }
        (Some(Err(reason)), _) | (_, Some(Err(reason))) => Err(Exit::unreachable(reason)),
        _ => Err(Exit::unreachable(format!("the exchange was not reached: {why}; see \"endpoints\""))),
    }
}

fn look(config: &Config, ports: Ports, seen: Seen) -> Result<Seen, Exit> {
    let tls = tls::connector(config.ca_file.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::failure(format!("no event loop: {error}")))?;
    let (links, events) = Links::new(tls);
    let trial = Trial { ports, links, clock: Clock::new(), seen, until: Time::default() };
    Ok(LocalSet::new().block_on(&runtime, trial.run(events)))
}

/// What the exchange has shown of itself.
#[derive(Default)]
struct Seen {
    instruments: Option<Vec<Instrument>>,
    entry_up: bool,
    clock: Option<(i64, Span)>,
    account: Option<Result<(bool, usize), String>>,
    balances: Vec<Balance>,
    /// Are open orders asked for?
    wants_orders: bool,
    open: Option<Result<Vec<OrderReport>, String>>,
    /// What else is still to be asked; the first of it is under way.
    inquiry: Inquiry,
    answers: Vec<(Query, Answer)>,
    refused: Option<String>,
    /// What the account lacks, and how to mend it.
    unfit: Option<String>,
    last_down: Option<String>,
    /// What a human should read, in words.
    notices: Vec<String>,
    /// Links that went down, as long as none was ever up.
    dials_failed: u32,
    ever_up: bool,
}

impl Seen {
    fn complete(&self) -> bool {
        if !self.ever_up && self.dials_failed >= DIALS_MAX {
            return true;
        }
        let account = self.account.is_some() && self.clock.is_some() && self.instruments.is_some();
        let account = account && (self.open.is_some() || !self.wants_orders);
        let account = account && self.inquiry.questions.is_empty();
        self.refused.is_some() || self.unfit.is_some() || account
    }

    fn take(&mut self, event: VenueEvent) {
        match event {
            VenueEvent::Instruments(list) => self.instruments = Some(list),
            VenueEvent::EntryUp => self.entry_up = true,
            VenueEvent::Clock { offset_nanos, round_trip } => self.clock = Some((offset_nanos, round_trip)),
            VenueEvent::KeyRefused(reason) => self.refused = Some(reason),
            VenueEvent::Refused(reason) => self.unfit = Some(reason),
            VenueEvent::Warning { words, .. } if !self.notices.contains(&words) => self.notices.push(words),
            VenueEvent::EntryDown(reason) | VenueEvent::FeedDown(reason) => self.last_down = Some(reason),
            VenueEvent::Answer { answer: Answer::Account(account), .. } => {
                self.account = Some(Ok((account.can_trade, account.balances.len())));
                self.balances = account.balances;
            }
            VenueEvent::Answer { request: MORE, answer } => self.take_page(answer),
            VenueEvent::Answer { answer: Answer::Orders(open), .. } => self.open = Some(Ok(open)),
            VenueEvent::Answer { request: OPEN_ORDERS, answer: Answer::Failed(reason) } => {
                self.open = Some(Err(reason));
            }
            VenueEvent::Answer { answer: Answer::Failed(reason), .. } => self.account = Some(Err(reason)),
            _ => {}
        }
    }

    fn take_page(&mut self, answer: Answer) {
        let question = self.inquiry.questions.remove(0);
        if let Some(following) = self.inquiry.next.and_then(|next| next(&question, &answer)) {
            self.inquiry.questions.insert(0, following);
        }
        self.answers.push((question, answer));
    }

    fn tell(self, market: &str, limits: &Limits, findings: &mut Findings) {
        let reached = self.instruments.is_some() || self.entry_up || self.clock.is_some();
        let why = || self.last_down.clone().unwrap_or_else(|| "no answer".into());
        match &self.instruments {
            Some(known) => {
                findings.ok("exchange", &format!("reached, {} symbols", known.len()));
                names(limits, known, findings);
            }
            None if reached || self.refused.is_some() => findings.ok("exchange", "reached"),
            None => findings.fail("exchange", Exit::unreachable(format!("{}; see \"endpoints\"", why()))),
        }
        match self.clock {
            Some((offset, round_trip)) => {
                let words = format!("{} ms off, round trip {round_trip:?}", offset / 1_000_000);
                if offset.abs() > CLOCK_MAX.nanos() {
                    findings.fail("clock", Exit::configuration(format!("{words}; set it by NTP")));
                } else {
                    findings.ok("clock", &words);
                }
            }
            None => findings.fail("clock", Exit::unreachable("not compared, the exchange gave no time")),
        }
        match (self.refused.clone(), self.entry_up) {
            (Some(reason), _) => findings.fail("logon", Exit::key_refused(refused_by_the_exchange(&reason))),
            (None, true) => findings.ok("logon", "the exchange takes the key"),
            (None, false) if self.unfit.is_some() => findings.ok("logon", "the exchange takes the key"),
            (None, false) => findings.fail("logon", Exit::unreachable(why())),
        }
        for words in &self.notices {
            findings.warn("notice", words);
        }
        if let Some(reason) = self.unfit {
            findings.fail("account", Exit::configuration(reason));
            return;
        }
        match self.account {
            Some(Ok((true, assets))) => findings.ok("permissions", &format!("may trade, {assets} assets")),
            Some(Ok((false, _))) => findings.fail("permissions", Exit::key_refused(may_not_trade(market))),
            Some(Err(reason)) => findings.fail("permissions", Exit::unreachable(reason)),
            None if self.refused.is_some() => {}
            None => findings.fail("permissions", Exit::unreachable("not asked, no logon")),
        }
    }
}

/// Limits of what is traded under another name bound nothing.
fn names(limits: &Limits, known: &[Instrument], findings: &Findings) {
    let misnamed = limits.misnamed(known.iter());
    if !misnamed.is_empty() {
        let names = misnamed.join(", ");
        findings
            .warn("limits", &format!("the exchange does not have {names}; what is named so bounds nothing"));
    }
}

fn may_not_trade(market: &str) -> &'static str {
    match market {
        MARGIN => {
            "the account may not trade; allow margin trading for this key, and look at the cross-margin account, at \
             the exchange"
        }
        "spot" => "the account may not trade; allow spot trading for this key at the exchange",
        _ => "the account may not trade; allow futures trading for this key at the exchange",
    }
}

/// Both machines and their links, without a gateway.
struct Trial {
    ports: Ports,
    links: Links,
    clock: Clock,
    seen: Seen,
    until: Time,
}

impl Trial {
    async fn run(
        mut self,
        mut events: tokio::sync::mpsc::Receiver<(tradingsys::ids::LinkId, LinkEvent)>,
    ) -> Seen {
        let start = self.clock.now();
        self.until = start + ANSWER_WITHIN;
        let mut out = Outbox::default();
        self.ports.0.start(start, &mut out);
        self.ports.1.start(start, &mut out);
        self.settle(&mut out);
        while !self.seen.complete() || self.ports.1.inquires() {
            let now = self.clock.now();
            if now >= self.until {
                break;
            }
            self.timers(now, &mut out);
            self.settle(&mut out);
            let due = earliest(self.ports.0.deadline(), self.ports.1.deadline());
            let wait = earliest(due, Some(self.until)).unwrap_or(self.until).since(self.clock.now());
            let wait = Duration::from_nanos(u64::try_from(wait.nanos()).unwrap_or(0));
            if let Ok(Some((link, event))) = tokio::time::timeout(wait, events.recv()).await {
                self.link(link, &event, &mut out);
                self.settle(&mut out);
            }
        }
        self.seen
    }

    fn timers(&mut self, now: Time, out: &mut Outbox) {
        let (feed, entry) = &mut self.ports;
        if feed.deadline().is_some_and(|due| due <= now) {
            feed.timer(now, out);
        }
        if entry.deadline().is_some_and(|due| due <= now) {
            entry.timer(now, out);
        }
    }

    fn link(&mut self, link: tradingsys::ids::LinkId, event: &LinkEvent, out: &mut Outbox) {
        let input = match event {
            LinkEvent::Up => {
                self.seen.ever_up = true;
                LinkInput::Up
            }
            LinkEvent::Text(text) => LinkInput::Text(text.as_str()),
            LinkEvent::Binary(frame) => LinkInput::Binary(frame),
            LinkEvent::Alive => LinkInput::Alive,
            LinkEvent::Response(response) => {
                self.links.forget(link);
                self.seen.ever_up = true;
                response.input()
            }
            LinkEvent::Down(reason) => {
                self.links.forget(link);
                self.seen.last_down = Some(reason.clone());
                self.seen.dials_failed += 1;
                LinkInput::Down(reason)
            }
        };
        let (now, (feed, entry)) = (self.clock.now(), &mut self.ports);
        if feed.owns(link) {
            feed.handle(now, link, input, out);
        } else if entry.owns(link) {
            entry.handle(now, link, input, out);
        }
    }

    fn settle(&mut self, out: &mut Outbox) {
        while !out.actions.is_empty() || !out.events.is_empty() {
            let Outbox { actions, events } = std::mem::take(out);
            for action in actions {
                self.links.perform(action);
            }
            for event in events {
                let up = event == VenueEvent::EntryUp;
                let page = matches!(event, VenueEvent::Answer { request: MORE, .. });
                self.seen.take(event);
                if up {
                    self.ports.1.query(self.clock.now(), ACCOUNT, &Query::Account, out);
                }
                if up && self.seen.wants_orders {
                    self.ports.1.query(self.clock.now(), OPEN_ORDERS, &Query::OpenOrders, out);
                }
                if let (true, Some(question)) = (up || page, self.seen.inquiry.questions.first()) {
                    self.until = self.clock.now() + NEXT_WITHIN;
                    self.ports.1.query(self.clock.now(), MORE, question, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_trade_is_told_by_its_kind() {
        for (market, words) in [
            (MARGIN, "allow margin trading"),
            ("spot", "allow spot trading"),
            ("usdt", "allow futures trading"),
        ] {
            let account = Some(Ok((false, 0)));
            let clock = Some((0, Span::default()));
            let seen =
                Seen { account, clock, entry_up: true, instruments: Some(Vec::new()), ..Seen::default() };
            let mut findings = Findings::default();
            seen.tell(market, &Limits::default(), &mut findings);
            let message = findings.failure.unwrap().message;
            assert!(message.starts_with("permissions: ") && message.contains(words), "{message}");
        }
    }
}
