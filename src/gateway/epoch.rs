//! Which epoch the ids of this run bear. No id may ever be given twice, also where the journal that gave it is lost.
//!
//! ```text
//!   start: above the last run's, also above what is noted beside the journal, and not below the clock; of a new
//!     │    journal, or one of which it is known that it lacks something or nothing is noted, some way ahead of it
//!     │
//!     ▼
//!   in force ──an order at the exchange, or a command of a strategy, bears one that this run
//!     ▲         has not given and that is not below it: a lost life gave it──▶ one well above
//!     └──────────────────────── on the disk ◀─────────────────────────────────────────┘
//! ```

use std::collections::BTreeSet;

use super::commits::Held;
use super::door::LOG_IN_AGAIN;
use super::fact::Source;
use super::io::LogLevel;
use super::{AHEAD, BEGINNINGS, EPOCH_ZERO, Gateway, OLDER_COPY};
use crate::ids::{ConnId, IdParts, SessionId};
use crate::journal::{Record, Start};
use crate::time::{Span, Time};
use crate::venue::port::{OrderReport, VenueStatus};
use crate::wire::request::{Ack, Login};

/// Most that a new journal's epochs begin ahead of the clock.
const BEGINS: u32 = AHEAD + BEGINNINGS as u32;

/// Epochs that are known to have been given.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    /// By earlier runs.
    pub earlier: BTreeSet<u32>,
    /// By this one.
    begun: BTreeSet<u32>,
    /// The last of all.
    last: Option<u32>,
    /// That of the run which began the present numbering of events.
    numbered_in: Option<u32>,
}

impl Epochs {
    /// An earlier run gave it.
    pub(super) fn fold(&mut self, epoch: u32) {
        self.earlier.insert(epoch);
        self.last = Some(epoch);
    }

    /// Events are numbered anew.
    pub(super) const fn numbered_anew(&mut self) {
        self.numbered_in = self.last;
    }
}

impl Gateway {
    /// The epoch of a run whose journal knows of runs up to that one.
    pub(super) fn next_epoch(&self, now: Time, known: Option<u32>) -> u32 {
        let ahead = AHEAD + u32::try_from(self.config.seed % BEGINNINGS).unwrap_or(0);
        let minutes = now.since(EPOCH_ZERO).millis() / 60_000;
        let minutes = u32::try_from(minutes).unwrap_or(u32::MAX - ahead);
        let last = known.max(self.config.noted_epoch);
        let Some(last) = last else { return minutes + ahead };
        if self.config.journal_rebuilt.is_some() {
            // The runs it lacks were numbered on from there, however far ahead of the clock that was.
            return minutes.max(last + 1) + ahead;
        }
        let certain = known.is_some() && self.config.noted_epoch.is_some();
        (last + 1).max(if certain { minutes } else { minutes + ahead })
    }

    /// Does the note beside the journal know a later run than this? Then it is an older copy, which is told.
    pub(super) fn lacks_a_run(&mut self, known: Option<u32>) -> bool {
        let lacking = self.config.noted_epoch.filter(|noted| known.is_some_and(|known| known < *noted));
        if let Some(epoch) = lacking {
            self.tell_older_copy(&format!("epoch={epoch}"));
        }
        lacking.is_some()
    }

    fn tell_older_copy(&mut self, fields: &str) {
        let event = "journal.db is an older copy: it lacks a run of this gateway";
        self.log(LogLevel::Error, event, format!("{fields} advice={OLDER_COPY:?}"));
    }

    /// An order of an earlier life of ours bears an epoch that is not below ours: the journal that knew it is lost, and
    /// that life ran ahead of the clock, or in this very minute. Ours rises above it, so that no id is used twice.
    ///
    /// One of a run that the journal lacks tells that it is an older copy: events told since must not be taken for
    /// those to come.
    pub(super) fn heed_epoch(&mut self, now: Time, parts: IdParts, report: &OrderReport, source: Source) {
        const CLOCKS: Span = Span::from_secs(2);
        let made_before = report.time <= self.started + CLOCKS && source == Source::Query;
        let in_its_time = self.first_start.is_some_and(|first| report.time > first);
        let lacked = made_before && in_its_time && !self.epochs.earlier.contains(&parts.epoch);
        if lacked {
            self.tell_older_copy(&format!("epoch={}", parts.epoch));
            self.epochs.earlier.insert(parts.epoch);
        }
        // In a journal's first run: a lost one's may have begun further ahead, and its orders live on.
        let made_now = report.status == VenueStatus::New && source == Source::Stream;
        let lost = self.first_start == Some(self.started) && parts.epoch > self.epoch && !made_now;
        let given = parts.epoch >= self.epoch && (made_before || lost);
        if given && parts.epoch > self.furthest_epoch(now).max(self.epoch.saturating_add(BEGINS)) {
            // None that a run of ours will come to.
            let fields = format!("epoch={} ours={}", parts.epoch, self.epoch);
            self.log(LogLevel::Warn, "an order bears an epoch far ahead: passed over", fields);
        } else if given {
            self.raise_epoch(now, parts.epoch, "seen at the exchange");
        }
        if lacked {
            // After that: the lost epochs lie before the numbering.
            self.number_anew(now);
        }
    }

    /// A strategy was told of more than the journal holds under this very numbering: the journal is an older copy, put
    /// back while the machine ran on. The numbers that follow would mean other events.
    pub(super) fn heed_cursor(&mut self, now: Time, session: SessionId, cursor: Option<Ack>) {
        let (generation, renumbered) = (self.generation, self.renumbered);
        let seat = self.session_mut(session);
        // Nobody has been told of this run before its first login.
        let last = if seat.seated_in.is_none() { seat.log.folded() } else { seat.log.last() };
        let beyond = |told: &Ack| told.generation == generation && told.sequence > last;
        // Of a numbering that this run began none can be lost: such a number is made up.
        let Some(told) = cursor.filter(beyond).filter(|_| !renumbered) else { return };
        self.log(
            LogLevel::Error,
            "journal.db is an older copy: it lacks events that were told",
            format!("session={session} told={} last={last} advice={OLDER_COPY:?}", told.sequence),
        );
        self.number_anew(now);
    }

    /// A strategy's last login was told an epoch that no run has begun which the journal knows, nor this one for that
    /// session: the journal is an older copy, and what it tells of that strategy's orders is not all that was told.
    /// What was lost before the present numbering began shows nothing: events of then are told to nobody any more.
    pub(super) fn heed_last_login(&mut self, now: Time, session: SessionId, told: Option<u32>) {
        let furthest = self.furthest_epoch(now).max(self.epoch.saturating_add(AHEAD));
        let seated = self.session_mut(session).seated_in.is_some();
        let Epochs { earlier, begun, numbered_in, .. } = &self.epochs;
        let before = |epoch: &u32| numbered_in.is_some_and(|began| *epoch < began);
        let known = |epoch: &u32| before(epoch) || earlier.contains(epoch) || seated && begun.contains(epoch);
        // Of a numbering that this run began nothing told before is believed.
        let Some(told) = told.filter(|told| !self.renumbered && *told <= furthest && !known(told)) else {
            return;
        };
        self.tell_older_copy(&format!("epoch={told} session={session}"));
        self.epochs.earlier.insert(told);
        self.number_anew(now);
    }

    /// The journal lacks something: events told since must not be taken for those to come.
    fn number_anew(&mut self, now: Time) {
        if !self.renumbered {
            self.commits.forget_events();
            self.renumber(now, "journal.db is an older copy");
            self.see_off("events are numbered anew: log in again");
        }
    }

    /// A login names epochs: those of its commands, and of the login before it. One may not be below ours, and its
    /// session was never given it here: the journal of the run that gave it is lost, or this one is an older copy. The
    /// exchange may show nothing of it, and the numbers of its session begin anew, so ours rises above it before an id
    /// is given.
    ///
    /// Nothing but its word proves it, and all others have to log in again. A strategy's commands bear the epoch of its
    /// last login, or earlier ones, so a session has one to tell of in a run: a mistaken one must not use up the ids,
    /// nor make all log in for ever.
    pub(super) fn heed_named(&mut self, now: Time, session: SessionId, login: &Login) {
        // Ours may have risen beyond all beginnings, and so have those of the runs that an older copy lacks.
        let furthest = self.furthest_epoch(now).max(self.epoch.saturating_add(AHEAD));
        let ours = self.epoch;
        let seat = self.session_mut(session);
        let above = if seat.seated_in == Some(ours) { ours + 1 } else { ours };
        let named = login.pending.iter().map(|command| command.epoch).chain(login.epoch);
        let Some(named) = named.filter(|epoch| (above..=furthest).contains(epoch)).max() else { return };
        if std::mem::replace(&mut seat.has_raised, true) {
            let fields = format!("session={session} epoch={named} ours={ours}");
            return self.log(LogLevel::Warn, "a session names a lost epoch again: passed over", fields);
        }
        self.raise_epoch(now, named, &format!("named by session {session}"));
    }

    /// No journal begins further ahead.
    fn furthest_epoch(&self, now: Time) -> u32 {
        let minutes = u32::try_from(now.since(EPOCH_ZERO).millis() / 60_000).unwrap_or(0);
        minutes.saturating_add(2 * BEGINS)
    }

    /// That epoch was another life's, which may have begun some more of them.
    fn raise_epoch(&mut self, now: Time, seen: u32, place: &str) {
        let fields = format!("from={} seen={seen} place={place:?}", self.epoch);
        self.log(LogLevel::Warn, "epoch raised above one of a lost journal", fields);
        self.begin_epoch(now, seen + AHEAD);
        self.see_off("orders get new ids: log in again");
    }

    fn see_off(&mut self, reason: &str) {
        let seated: Vec<ConnId> = self.sessions.values().filter_map(|session| session.owner).collect();
        for conn in seated {
            self.close_client(conn, LOG_IN_AGAIN, reason);
        }
    }

    /// From here on orders bear that epoch, once it is on the disk.
    pub(super) fn begin_epoch(&mut self, now: Time, epoch: u32) {
        self.epoch = epoch;
        self.epochs.begun.insert(epoch);
        self.epochs.last = Some(epoch);
        self.first_start = self.first_start.or(Some(now));
        self.epoch_durable = false;
        self.emit(Record::Start(Start {
            epoch,
            install: self.config.install.as_str().to_owned(),
            market: self.config.market.to_owned(),
            boot_id: self.config.boot_id.clone(),
            time: now,
        }));
        self.commits.sync();
        self.commits.hold(Held::EpochDurable(epoch));
    }
}
