//! Events of an account, over connections that carry a listen key in their address.
//!
//! ```text
//!             key                open
//! (no key) ─────────→ Dialing ─────────→ Open ─replaced→ Leaving → gone
//!     ▲                  └──── failed ─────┴──── lost ──→ (dial_at)
//!     └── the key is expired, unknown or could not be renewed: nothing more comes under it ──┘
//! ```
//!
//! The key is renewed at half of its life. A planned end of the connection makes the next one first and leaves the old
//! one a moment later: events may come twice, and none is missed. The end of a key is an end of the events, said once.

use std::collections::BTreeMap;

use binance_wire::request::stream_control;
use bytes::Bytes;
use tradingsys::ids::LinkId;
use tradingsys::time::{Span, Time};
use tradingsys::venue::dial::Dialer;
use tradingsys::venue::port::{LinkAction, Outbox};
use tradingsys::venue::watch::{Silence, SilenceWatch};

use super::Timing;

/// A replaced connection stays this long for the events already on their way.
const OVERLAP: Span = Span::from_secs(1);
/// Planned replacements are spread over the last part of a connection's life (one part in this many).
const SPREAD: i64 = 92;
/// Failed renewals are repeated this many times before the key's life is over.
const RENEWALS: i64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Dialing,
    Open,
    Leaving,
}

#[derive(Debug)]
struct Link {
    phase: Phase,
    watch: SilenceWatch,
    /// End of the handshake, of the planned life, of the leaving.
    until: Time,
}

#[derive(Debug)]
struct Key {
    text: String,
    renew_at: Time,
    over_at: Time,
}

/// What is to be asked of the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A key.
    Key,
    /// More life for the key.
    Renewal,
}

/// The connections, and the key.
#[derive(Debug)]
pub(crate) struct Private {
    base: String,
    timing: Timing,
    key_life: Span,
    key: Option<Key>,
    /// When to ask for a key again after that failed.
    key_at: Option<Time>,
    /// How the last renewal failed.
    trouble: Option<String>,
    links: BTreeMap<LinkId, Link>,
    active: Option<LinkId>,
    coming: Option<LinkId>,
    dialer: Dialer,
    dial_at: Option<Time>,
}

impl Private {
    pub(crate) fn new(base: &str, timing: Timing, key_life: Span, seed: u64) -> Self {
        Self {
            base: base.to_owned(),
            timing,
            key_life,
            key: None,
            key_at: None,
            trouble: None,
            links: BTreeMap::new(),
            active: None,
            coming: None,
            dialer: Dialer::new(timing.backoff, timing.backoff_cap, seed),
            dial_at: None,
        }
    }

    /// Do events arrive?
    pub(crate) fn is_up(&self) -> bool {
        self.active.is_some()
    }

    /// The key in use.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_ref().map(|key| key.text.as_str())
    }

    pub(crate) fn owns(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// What must be asked for now. It is not wanted again while its answer may still come.
    pub(crate) fn need(&mut self, now: Time) -> Option<Need> {
        let again = now + self.timing.request;
        match &mut self.key {
            None if self.key_at.is_none_or(|at| at <= now) => {
                self.key_at = Some(again);
                Some(Need::Key)
            }
            Some(key) if key.renew_at <= now => {
                key.renew_at = again;
                Some(Need::Renewal)
            }
            _ => None,
        }
    }

    /// The venue gave a key; the same one if it still lives.
    pub(crate) fn keyed(&mut self, now: Time, text: String) {
        self.key_at = None;
        self.key = Some(Key { text, renew_at: now, over_at: now });
        self.renewed(now);
        if self.active.is_none() && self.coming.is_none() && self.dial_at.is_none() {
            self.dial_at = Some(self.dialer.soon(now));
        }
    }

    /// The venue gave the key more life.
    pub(crate) fn renewed(&mut self, now: Time) {
        self.trouble = None;
        if let Some(key) = &mut self.key {
            key.renew_at = now + Span::from_nanos(self.key_life.nanos() / 2);
            key.over_at = now + self.key_life;
        }
    }

    /// No key could be had, or it could not be renewed, for this reason.
    pub(crate) fn failed(&mut self, now: Time, why: String) {
        let wait = Span::from_nanos(self.key_life.nanos() / 2 / RENEWALS);
        match &mut self.key {
            Some(key) => key.renew_at = now + wait,
            None => self.key_at = Some(self.dialer.retry_at(now)),
        }
        self.trouble = Some(why);
    }

    /// Nothing more comes under this key. Says why events are lost, if they came.
    pub(crate) fn key_over(&mut self, why: &str, out: &mut Outbox) -> Option<String> {
        self.key = None;
        let lost = self.active.is_some();
        for link in std::mem::take(&mut self.links).into_keys() {
            out.actions.push(LinkAction::Close { link });
        }
        (self.active, self.coming, self.dial_at) = (None, None, None);
        lost.then(|| why.to_owned())
    }

    /// Opens a connection under this number, if one is due.
    pub(crate) fn dial(&mut self, now: Time, number: impl FnOnce() -> LinkId, out: &mut Outbox) {
        let due = self.dial_at.is_some_and(|at| at <= now) && self.coming.is_none();
        let Some(key) = self.key.as_ref().filter(|_| due) else { return };
        self.dial_at = None;
        let link = number();
        self.dialer.dialled(now);
        let watch = SilenceWatch::new(now, self.timing.silence);
        let until = now + self.timing.handshake;
        self.links.insert(link, Link { phase: Phase::Dialing, watch, until });
        self.coming = Some(link);
        let url = format!("{}/ws/{}", self.base, key.text);
        out.actions.push(LinkAction::Open { link, url, headers: Vec::new() });
    }

    /// Something arrived.
    pub(crate) fn heard(&mut self, now: Time, link: LinkId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.watch.heard(now);
        }
    }

    /// The venue was reached over another connection: one that waits out a backoff need not wait any longer.
    pub(crate) fn reached(&mut self, now: Time) {
        self.dial_at = self.dial_at.map(|at| self.dialer.hastened(now, at));
    }

    /// The connection is open: events come over it.
    pub(crate) fn opened(&mut self, now: Time, link: LinkId) {
        let early = self.dialer.spread(Span::from_nanos(self.timing.life.nanos() / SPREAD));
        let Some(opened) = self.links.get_mut(&link) else { return };
        opened.phase = Phase::Open;
        opened.until = now + Span::from_nanos(self.timing.life.nanos() - early.nanos());
        self.coming = None;
        self.dialer.proven();
        if let Some(old) = self.active.replace(link).and_then(|old| self.links.get_mut(&old)) {
            (old.phase, old.until) = (Phase::Leaving, now + OVERLAP);
        }
    }

    /// The venue is about to close the connection.
    pub(crate) fn replace(&mut self, now: Time) {
        if self.coming.is_none() && self.dial_at.is_none() {
            self.dial_at = Some(self.dialer.soon(now));
        }
    }

    /// A connection is gone. Says why, if events are lost with it.
    pub(crate) fn lost(&mut self, now: Time, link: LinkId, why: &str) -> Option<String> {
        self.links.remove(&link)?;
        if self.active == Some(link) {
            self.active = None;
        } else if self.coming == Some(link) {
            self.coming = None;
        } else {
            return None;
        }
        if self.coming.is_none() {
            self.dial_at = Some(self.dialer.retry_at(now));
        }
        self.active.is_none().then(|| why.to_owned())
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let links = self.links.values().flat_map(|link| [link.until, link.watch.deadline()]);
        let key = self.key.iter().flat_map(|key| [key.renew_at, key.over_at]);
        links.chain(key).chain(self.key_at).chain(self.dial_at).min()
    }

    /// The deadline has passed. Says why events are lost, if they are.
    pub(crate) fn timer(&mut self, now: Time, out: &mut Outbox) -> Option<String> {
        if self.key.as_ref().is_some_and(|key| key.over_at <= now) {
            let why = self.trouble.take().unwrap_or_else(|| "no answer".to_owned());
            return self.key_over(&format!("the listen key could not be renewed: {why}"), out);
        }
        let mut lost = None;
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for id in links {
            lost = lost.or(self.check(now, id, out));
        }
        lost
    }

    fn check(&mut self, now: Time, id: LinkId, out: &mut Outbox) -> Option<String> {
        let link = self.links.get_mut(&id)?;
        let over = link.until <= now;
        let why = match (link.watch.check(now), link.phase) {
            (Silence::Dead, _) => "the stream of private events fell silent",
            (_, Phase::Dialing) if over => "the stream of private events did not open in time",
            (_, Phase::Leaving) if over => "replaced",
            (_, Phase::Open) if over => {
                link.until = now + self.timing.life;
                self.replace(now);
                return None;
            }
            (Silence::Ask, phase) if phase != Phase::Dialing => {
                let text = Bytes::from(stream_control(1, "LIST_SUBSCRIPTIONS", []));
                out.actions.push(LinkAction::Send { link: id, text });
                return None;
            }
            _ => return None,
        };
        out.actions.push(LinkAction::Close { link: id });
        self.lost(now, id, why)
    }

    pub(crate) fn stop(&mut self, out: &mut Outbox) {
        self.key_over("", out);
        self.key_at = None;
    }
}
