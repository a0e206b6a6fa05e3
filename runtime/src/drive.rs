//! The loop: one input, all its outputs, the next input.
//!
//! Order of precedence: the kill switch, what the journal reports, the exchange, the clients, the clock, the
//! rest. Nothing here waits except for the next input: what cannot be handed on at once stays in a bounded
//! place, and while the journal takes nothing, nothing is taken in, but for replies of the exchange while orders
//! are being cancelled by the stop.

mod rows;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tradingsys::gateway::Gateway;
use tradingsys::gateway::io::{Batch, Input, Log, LogLevel, Output};
use tradingsys::ids::{ConnId, LinkId};
use tradingsys::journal::Record;
use tradingsys::time::{Span, Time, earliest};
use tradingsys::venue::port::LinkInput;

use crate::clock::{Clock, Standstill};
use crate::exit::{Exit, ExitCode, refused_by_the_exchange};
use crate::links::{LinkEvent, Links};
use crate::metrics::meters::Meters;
use crate::metrics::{Asked, Reading};
use crate::notify::Notifier;
use crate::server::{Client, ClientEvent, Server};
use crate::stop::{Keeper, StopEvent};
use crate::store::books::Applied;
use crate::store::projector::Projector;
use crate::store::reader::Reader;
use crate::store::writer::{Report, Writer};
use rows::Rows;

/// Least time between two timers while a deadline stays overdue.
const TIMER_PAUSE: Span = Span::from_millis(1);

/// Longest an orderly end may take.
const END_WITHIN: Span = Span::from_secs(10);

/// Batches that may wait for the journal while orders are being cancelled.
const WAITING_MAX: usize = 10_000;

/// Inputs at most, while others wait already, until batches that are held back are handed on.
const HELD_BACK_FOR: usize = 32;

/// Longest clients may take to read their last frames.
const FAREWELL: Duration = Duration::from_millis(500);

/// Where inputs come from.
pub struct Sources {
    /// The journal's thread.
    pub reports: mpsc::Receiver<Report>,
    /// All links.
    pub links: mpsc::Receiver<(LinkId, LinkEvent)>,
    /// All clients.
    pub clients: mpsc::Receiver<ClientEvent>,
    /// The thread of `pos.db`.
    pub projected: mpsc::Receiver<()>,
    /// Signals, as the exit code they ask for.
    pub signals: mpsc::Receiver<ExitCode>,
    /// Monitors.
    pub asked: mpsc::Receiver<Asked>,
    /// The kill switch.
    pub stops: mpsc::Receiver<StopEvent>,
}

/// What is driven, and what it drives.
pub struct Drive {
    /// The gateway. Clients' tasks pull from it between two inputs.
    pub gateway: Rc<RefCell<Gateway>>,
    /// The time line.
    pub clock: Clock,
    /// The exchange.
    pub links: Links,
    /// What reads the journal over. It ends before the journal is closed: whoever closes it last moves its log
    /// into the file, and one who only reads cannot.
    pub reader: Reader,
    /// The journal.
    pub writer: Writer,
    /// `pos.db`.
    pub projector: Projector,
    /// What keeps the stop beside the stores.
    pub keeper: Keeper,
    /// Where the journal stands.
    pub applied: Applied,
    /// The service manager.
    pub notifier: Notifier,
    /// The door.
    pub server: Rc<Server>,
}

/// One input, owned.
enum Event {
    Report(Option<Report>),
    Link(LinkId, LinkEvent),
    Client(ClientEvent),
    Projected,
    Signal(ExitCode),
    Asked(Asked),
    Stop(StopEvent),
    Timer,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Running,
    /// `Stop` was given; the code to end with, and when patience ends.
    Ending(ExitCode, Time),
    Ended(ExitCode),
}

/// A batch on its way.
struct UnderWay {
    id: u64,
    /// The journal's number of its last record.
    seq: u64,
    generation: u64,
    since: Time,
}

struct Loop {
    drive: Drive,
    clients: BTreeMap<ConnId, Rc<Client>>,
    /// Batches held back until the frames of the same inputs have left: waking the journal's thread takes as long as a
    /// write, and on few cores it would run in the place of whom the frame is for.
    held_back: VecDeque<Batch>,
    /// Inputs taken since the first of them.
    held_for: usize,
    /// Batches the journal's queue did not take.
    waiting: VecDeque<Batch>,
    under_way: VecDeque<UnderWay>,
    handed_over: (u64, u64),
    rows: Rows,
    course: Course,
    words: String,
    out: Vec<Output>,
    meters: Meters,
}

/// The tasks beside the loop.
#[derive(Default)]
struct Others {
    asked: bool,
}

impl Others {
    /// Ready once every task that could run when this was asked first has run: the scheduler takes them in turn.
    async fn have_run(&mut self) {
        std::future::poll_fn(|context| {
            self.asked = !self.asked;
            if !self.asked {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl Drive {
    /// Performs `first`, then drives until the end. The exit says why it came.
    pub async fn run(self, mut sources: Sources, first: Vec<Output>) -> Exit {
        let mut driven = Loop {
            handed_over: (self.applied.seq, self.applied.generation),
            drive: self,
            clients: BTreeMap::new(),
            held_back: VecDeque::new(),
            held_for: 0,
            waiting: VecDeque::new(),
            under_way: VecDeque::new(),
            rows: Rows::default(),
            course: Course::Running,
            words: String::new(),
            out: first,
            meters: Meters::default(),
        };
        driven.perform();
        driven.drive.notifier.ready(driven.drive.clock.now());
        let sleep = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(sleep);
        let mut armed = None;
        let mut others = Others::default();
        let mut standstill = Standstill::new(driven.drive.clock.now());
        loop {
            let now = driven.drive.clock.now();
            if let Some(stood) = standstill.turn(now) {
                // What follows from it the machines see by themselves: every silence has lasted so much longer.
                tracing::warn!(target: "runtime", ms = stood.millis(), "stood_still");
            }
            let mut due = driven.deadline();
            if due.is_some_and(|due| due <= now) {
                driven.take(Event::Timer);
                // A deadline that stays in the past must not keep the sockets from being served.
                due = driven.deadline().map(|due| due.max(now + TIMER_PAUSE));
            }
            if let Course::Ended(code) = driven.course {
                driven.farewell(&mut sources).await;
                return Exit { code, message: std::mem::take(&mut driven.words) };
            }
            // A timer does not count the time the machine sleeps: no deadline is left to a single long one.
            let look = now + Standstill::LOOK_EVERY;
            let at = due.map_or(look, |due| due.min(look));
            if armed.is_none_or(|armed| at < armed) {
                sleep.as_mut().reset(driven.drive.clock.instant(at).into());
                armed = Some(at);
            }
            let open = driven.waiting.is_empty();
            // Cancels of the stop, and their replies, do not wait for a disk; nor does who asks how far they are.
            let stopping = driven.drive.gateway.borrow().is_stopping_orders();
            let urgent = stopping && driven.waiting.len() < WAITING_MAX;
            // No client can keep the cancels' replies from being read.
            let asked = stopping && driven.waiting.len() < WAITING_MAX / 2;
            let held_back = !driven.held_back.is_empty();
            others.asked &= held_back;
            let event = tokio::select! {
                biased;
                Some(event) = sources.stops.recv() => Event::Stop(event),
                report = sources.reports.recv() => Event::Report(report),
                // Rare by their own bound, and the busier the loop is, the more it matters what they see.
                Some(asked) = sources.asked.recv() => Event::Asked(asked),
                Some((link, event)) = sources.links.recv(), if open || urgent => Event::Link(link, event),
                Some(event) = sources.clients.recv(), if open || asked => Event::Client(event),
                Some(()) = sources.projected.recv() => Event::Projected,
                Some(code) = sources.signals.recv() => Event::Signal(code),
                () = others.have_run(), if held_back => {
                    driven.hand_over();
                    continue;
                }
                () = &mut sleep => {
                    armed = None;
                    continue;
                }
            };
            driven.take(event);
            // What it made waits for the others to run once more.
            others.asked = false;
        }
    }
}

impl Loop {
    fn deadline(&self) -> Option<Time> {
        let patience = match self.course {
            Course::Ending(_, until) => Some(until),
            _ => None,
        };
        let own = earliest(self.rows.deadline(), self.drive.notifier.deadline());
        earliest(earliest(self.drive.gateway.borrow().deadline(), own), patience)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Report(report) => self.reported(report),
            Event::Link(link, event) => self.link(link, &event),
            Event::Client(event) => self.client(event),
            Event::Projected => self.rows.done(),
            Event::Signal(code) => self.signal(code),
            Event::Asked(asked) => self.show(asked),
            Event::Stop(event) => self.input(event.input()),
            Event::Timer => self.timer(),
        }
        if !self.held_back.is_empty() {
            self.held_for += 1;
        }
        if self.held_for >= HELD_BACK_FOR {
            self.hand_over();
        }
        self.hand_on();
        let now = self.drive.clock.now();
        self.rows.offer(now, &self.drive.projector, &self.drive.applied);
    }

    fn input(&mut self, input: Input<'_>) {
        let now = self.drive.clock.now();
        #[cfg(feature = "failpoints")]
        let source = crate::failpoint::Source::of(&input);
        self.meters.inputs += 1;
        self.drive.gateway.borrow_mut().handle(now, input, &mut self.out);
        #[cfg(feature = "failpoints")]
        crate::failpoint::decided(source, &self.out);
        self.perform();
    }

    fn timer(&mut self) {
        let now = self.drive.clock.now();
        if let Course::Ending(code, until) = self.course
            && until <= now
        {
            tracing::error!(target: "runtime", "end_was_not_orderly");
            self.course = Course::Ended(code);
            return;
        }
        if self.drive.gateway.borrow().deadline().is_some_and(|due| due <= now) {
            self.input(Input::Timer);
        }
        let Drive { gateway, notifier, .. } = &mut self.drive;
        notifier.timer(now, || gateway.borrow().condition(now).to_string());
    }

    fn reported(&mut self, report: Option<Report>) {
        match report {
            Some(Report::Committed(last)) => {
                let now = self.drive.clock.now();
                while let Some(UnderWay { id, seq, generation, since }) =
                    self.under_way.pop_front_if(|batch| batch.id <= last)
                {
                    self.meters.commits.add(now.since(since));
                    #[cfg(feature = "failpoints")]
                    crate::failpoint::committed(id);
                    self.drive.applied.seq = seq;
                    self.drive.applied.generation = generation;
                    self.input(Input::Committed(id));
                }
            }
            Some(Report::Failed(reason)) => {
                tracing::error!(target: "store", reason, "journal_cannot_write");
                self.meters.store_failures += 1;
                self.input(Input::StoreFailed(reason));
            }
            Some(Report::Recovered) => {
                tracing::info!(target: "store", "journal_writes_again");
                self.input(Input::StoreRecovered);
            }
            None => self.end_now(ExitCode::Failure, "the journal's thread ended"),
        }
    }

    fn link(&mut self, link: LinkId, event: &LinkEvent) {
        self.drive.links.heard(self.drive.clock.now(), event);
        let input = match event {
            LinkEvent::Up => LinkInput::Up,
            LinkEvent::Text(text) => LinkInput::Text(text.as_str()),
            LinkEvent::Binary(frame) => LinkInput::Binary(frame),
            LinkEvent::Alive => LinkInput::Alive,
            LinkEvent::Response(response) => {
                self.drive.links.forget(link);
                response.input()
            }
            LinkEvent::Down(reason) => {
                self.drive.links.forget(link);
                LinkInput::Down(reason)
            }
        };
        self.input(Input::Link(link, input));
    }

    fn client(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Opened(conn, client) => {
                self.clients.insert(conn, client);
                self.input(Input::ClientOpened(conn));
            }
            ClientEvent::Frame(conn, text) => self.input(Input::ClientFrame(conn, text.as_str())),
            ClientEvent::Closed(conn) => {
                self.clients.remove(&conn);
                self.input(Input::ClientClosed(conn));
            }
        }
    }

    fn signal(&mut self, code: ExitCode) {
        match self.course {
            Course::Running => {
                tracing::info!(target: "runtime", code = code as i32, "stopping");
                self.stop(code, String::new());
            }
            // Asked twice: at once, without order.
            Course::Ending(..) => self.end_now(code, ""),
            Course::Ended(_) => {}
        }
    }

    fn stop(&mut self, code: ExitCode, words: String) {
        self.words = words;
        self.drive.notifier.stopping();
        self.course = Course::Ending(code, self.drive.clock.now() + END_WITHIN);
        self.input(Input::Stop);
    }

    fn end_now(&mut self, code: ExitCode, words: &str) {
        self.words = words.to_owned();
        self.course = Course::Ended(code);
    }

    fn perform(&mut self) {
        let mut refused = None;
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Link(action) => self.drive.links.perform(action),
                Output::Ready(conn) => {
                    if let Some(client) = self.clients.get(&conn) {
                        client.wake();
                    }
                }
                Output::CloseClient(conn, code, reason) => {
                    if let Some(client) = self.clients.get(&conn) {
                        client.close(code, &reason);
                    }
                }
                Output::Commit(batch) => self.commit(batch),
                Output::Keep(number, kept) => self.drive.keeper.keep(number, kept),
                Output::Project(rows) => self.rows.add(rows, self.drive.clock.now()),
                Output::Log(log) => write(&log),
                Output::KeyRefused(reason) => {
                    let words = refused_by_the_exchange(&reason);
                    refused.get_or_insert((ExitCode::KeyRefused, words));
                }
                Output::Refused(reason) => {
                    refused.get_or_insert((ExitCode::Configuration, reason));
                }
                Output::Stopped => {
                    if let Course::Ending(code, _) = self.course {
                        self.course = Course::Ended(code);
                    }
                }
            }
        }
        if let Some((code, words)) = refused
            && self.course == Course::Running
        {
            self.stop(code, words);
        }
    }

    fn commit(&mut self, batch: Batch) {
        #[cfg(feature = "failpoints")]
        crate::failpoint::commit(&batch);
        let (mut seq, mut generation) = self.handed_over;
        seq += batch.records.len() as u64;
        for record in &batch.records {
            if let Record::Generation { generation: next, .. } = record {
                generation = *next;
            }
        }
        self.handed_over = (seq, generation);
        let since = self.drive.clock.now();
        self.under_way.push_back(UnderWay { id: batch.id, seq, generation, since });
        self.held_back.push_back(batch);
    }

    /// All that was held back, too.
    fn hand_over(&mut self) {
        self.waiting.append(&mut self.held_back);
        self.held_for = 0;
        self.hand_on();
    }

    /// To the journal's thread, as many as it takes.
    fn hand_on(&mut self) {
        while let Some(batch) = self.waiting.pop_front() {
            if let Err(batch) = self.drive.writer.append(batch) {
                self.waiting.push_front(batch);
                return;
            }
        }
    }

    /// Hands out all numbers of this moment, if somebody still waits for them.
    fn show(&mut self, asked: Asked) {
        if asked.is_closed() {
            return;
        }
        let now = self.drive.clock.now();
        self.meters.batches_waiting = self.waiting.len() as u64;
        let reading = Reading {
            gauges: self.drive.gateway.borrow().gauges(now),
            meters: self.meters.clone(),
            links: self.drive.links.counts(now),
            handshakes_refused: self.drive.server.refused_so_far(),
            journal_records: self.drive.applied.seq,
        };
        let _ = asked.send(Box::new(reading));
    }

    /// Clients read their last frames, and `pos.db` gets its last rows.
    async fn farewell(&mut self, sources: &mut Sources) {
        self.hand_over();
        let parting = async {
            while !self.clients.is_empty()
                && let Some(event) = sources.clients.recv().await
            {
                if let ClientEvent::Closed(conn) = event {
                    self.clients.remove(&conn);
                }
            }
            while self.rows.under_way() && sources.projected.recv().await.is_some() {
                self.rows.done();
            }
        };
        let _ = tokio::time::timeout(FAREWELL, parting).await;
        self.rows.flush(&self.drive.projector, &self.drive.applied);
    }
}

fn write(log: &Log) {
    let (event, fields) = (log.event, log.fields.as_str());
    match log.level {
        LogLevel::Debug => tracing::debug!(target: "gateway", fields, "{event}"),
        LogLevel::Info => tracing::info!(target: "gateway", fields, "{event}"),
        LogLevel::Warn => tracing::warn!(target: "gateway", fields, "{event}"),
        LogLevel::Error => tracing::error!(target: "gateway", fields, "{event}"),
    }
}
