//! Questions about the market over one connection to the websocket API that needs no key.
//!
//! ```text
//! (dial_at) → Dialing ─open→ Open ─lost→ (dial_at)
//! ```

use binance_wire::exchange_info::ExchangeInfo;
use binance_wire::reply::{Frame, Malformed, frame};
use binance_wire::request::Request;
use bytes::Bytes;
use tradingsys::ids::LinkId;
use tradingsys::time::{Span, Time};
use tradingsys::venue::dial::Dialer;
use tradingsys::venue::limit::Told;
use tradingsys::venue::port::{LinkAction, LinkInput, Outbox};
use tradingsys::venue::watch::{Silence, SilenceWatch};

use crate::common::questions::{Job, Questions, Terms};
use crate::common::{Access, Timing};

/// Wait before an old connection in use is looked at again.
const LINGER: Span = Span::from_secs(1);

#[derive(Debug)]
struct Link {
    id: LinkId,
    open: bool,
    watch: SilenceWatch,
    /// End of the handshake, then of the planned life.
    until: Time,
}

#[derive(Debug)]
pub(super) struct Api {
    url: String,
    timing: Timing,
    link: Option<Link>,
    pub(super) dial_at: Option<Time>,
    pub(super) questions: Questions,
    next_request: u64,
    next_link: u32,
}

impl Api {
    pub(super) fn new(access: &Access, instruments: fn(&str) -> Result<ExchangeInfo, Malformed>) -> Self {
        let terms = Terms { weight, instruments };
        Self {
            url: access.ws_api.clone(),
            timing: access.timing,
            link: None,
            dial_at: None,
            questions: Questions::new(terms, access.timing, &access.limits),
            next_request: 1,
            next_link: 4,
        }
    }

    pub(super) fn dial(&mut self, now: Time, dialer: &mut Dialer, out: &mut Outbox) {
        self.dial_at = None;
        let id = LinkId(self.next_link);
        self.next_link += 4;
        dialer.dialled(now);
        let watch = SilenceWatch::new(now, self.timing.silence);
        self.link = Some(Link { id, open: false, watch, until: now + self.timing.handshake });
        out.actions.push(LinkAction::Open { link: id, url: self.url.clone(), headers: Vec::new() });
    }

    pub(super) fn handle(
        &mut self,
        now: Time,
        link: LinkId,
        input: LinkInput<'_>,
        dialer: &mut Dialer,
        out: &mut Outbox,
    ) {
        let Some(current) = self.link.as_mut().filter(|current| current.id == link) else { return };
        current.watch.heard(now);
        match input {
            LinkInput::Up => {
                current.open = true;
                current.until = now + self.timing.life;
                // First the time: it tells which of the bars asked for next is still open.
                self.ask_time(now, out);
                self.flush(now, out);
            }
            LinkInput::Down(_) => self.lost(now, dialer),
            LinkInput::Text(text) => self.frame(now, text, dialer, out),
            LinkInput::Binary(_) | LinkInput::Alive | LinkInput::Response { .. } => {}
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let link = self.link.iter().flat_map(|link| [link.until, link.watch.deadline()]);
        link.chain(self.dial_at).chain(self.questions.deadline()).min()
    }

    pub(super) fn timer(&mut self, now: Time, dialer: &mut Dialer, out: &mut Outbox) {
        if self.dial_at.is_some_and(|at| at <= now) {
            self.dial(now, dialer, out);
        }
        self.check_link(now, dialer, out);
        self.questions.timer(now, out);
        self.flush(now, out);
    }

    fn check_link(&mut self, now: Time, dialer: &mut Dialer, out: &mut Outbox) {
        let Some(link) = &mut self.link else { return };
        let (id, open, over) = (link.id, link.open, link.until <= now);
        let silence = link.watch.check(now);
        let busy = over && open && self.questions.is_busy();
        if busy {
            link.until = now + LINGER;
        }
        if silence == Silence::Dead {
            out.actions.push(LinkAction::Close { link: id });
            self.lost(now, dialer);
        } else if silence == Silence::Ask && open {
            self.ask_time(now, out);
        } else if over && !busy {
            out.actions.push(LinkAction::Close { link: id });
            self.lost(now, dialer);
            if open {
                self.dial_at = Some(dialer.soon(now));
            }
        }
    }

    fn lost(&mut self, now: Time, dialer: &mut Dialer) {
        self.link = None;
        self.questions.lost(now);
        self.dial_at = Some(dialer.retry_at(now));
    }

    /// Sends all questions that may be sent now.
    pub(super) fn flush(&mut self, now: Time, out: &mut Outbox) {
        if !self.link.as_ref().is_some_and(|link| link.open) {
            return;
        }
        while let Some(job) = self.questions.next(now) {
            self.write(now, job, out);
        }
    }

    fn ask_time(&mut self, now: Time, out: &mut Outbox) {
        if let Some(job) = self.questions.time(now) {
            self.write(now, job, out);
        }
    }

    fn write(&mut self, now: Time, job: Job, out: &mut Outbox) {
        let Some(link) = &self.link else { return };
        let id = self.next_request;
        self.next_request += 1;
        out.actions.push(LinkAction::Send { link: link.id, text: Bytes::from(request(id, &job)) });
        self.questions.sent(now, id, job);
    }

    fn frame(&mut self, now: Time, text: &str, dialer: &mut Dialer, out: &mut Outbox) {
        // Events (`serverShutdown`) need no care here: a lost connection costs nothing but a moment.
        let Ok(Frame::Reply(reply)) = frame(text) else { return };
        if self.questions.replied(now, reply.id, reply.result, Told::Rows(&reply.limits), out) {
            dialer.proven();
        }
        self.flush(now, out);
    }
}

/// Most levels a side of a snapshot.
pub(super) const LEVELS: usize = 5_000;

/// Weights of web-socket-api.md, 2026-07-21.
const fn weight(job: &Job) -> u64 {
    match job {
        Job::Time => 1,
        Job::Instruments => 20,
        Job::History(_) => 2,
        Job::Book(_) => 250,
    }
}

fn request(id: u64, job: &Job) -> String {
    match job {
        Job::Time => Request::new(id, "time").finish(),
        // Permission sets are the larger part of the answer and of no use here.
        Job::Instruments => Request::new(id, "exchangeInfo").flag("showPermissionSets", false).finish(),
        Job::Book(symbol) => {
            Request::new(id, "depth").text("symbol", symbol.upper()).int("limit", LEVELS as i64).finish()
        }
        Job::History(history) => {
            let request = Request::new(id, "klines")
                .text("symbol", history.symbol.upper())
                .text("interval", history.interval)
                .int("limit", history.page());
            match history.before() {
                Some(end) => request.int("endTime", end).finish(),
                None => request.finish(),
            }
        }
    }
}
