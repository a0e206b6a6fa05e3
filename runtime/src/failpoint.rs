//! Named places at which a gateway can be made to die, to stand still or to meet an error of its disk, so that
//! tests reach the moments a clock does not find. They exist only with the feature `failpoints`, which a release
//! refuses: without it `failpoint!` expands to nothing.
//!
//! `TRADINGSYS_FAILPOINT=NAME[:NTH][=ACTION]` arms one place, for the NTH time (1) it is passed; the action is `kill`
//! (SIGKILL to itself), `stop` (SIGSTOP to itself), `stall` (the thread that comes by does nothing for seconds, all
//! others go on) or `io_error`.
//!
//! The shell knows no frame of an exchange. That one carries an order, an acknowledgement or a fill is told by what
//! the gateway wants written down because of it: between [`handle`] and the first of its outputs nothing has left
//! the process, so a death there is a death before the frame was handled.
//!
//! [`handle`]: tradingsys::gateway::Gateway::handle

/// Passes a place by name; `failpoint!(may_fail NAME)` where it may meet an error of the disk.
#[cfg(feature = "failpoints")]
macro_rules! failpoint {
    (may_fail $name:literal) => {
        crate::failpoint::pass_or_fail($name)?
    };
    ($name:literal) => {
        crate::failpoint::pass($name)
    };
}

/// Nothing.
#[cfg(not(feature = "failpoints"))]
macro_rules! failpoint {
    (may_fail $name:literal) => {};
    ($name:literal) => {};
}

pub(crate) use failpoint;

#[cfg(feature = "failpoints")]
pub(crate) use armed::{
    Source, Told, arm, checkpointing, commit, committed, decided, handed_over, is_order, pass, pass_or_fail,
};

#[cfg(feature = "failpoints")]
mod armed {
    use std::cell::RefCell;
    use std::os::unix::process::CommandExt as _;
    use std::path::Path;
    use std::process::Command;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;
    use tradingsys::gateway::io::{Batch, Input, Output};
    use tradingsys::journal::Record;
    use tradingsys::venue::port::{LinkAction, LinkInput};

    use crate::exit::Exit;

    /// Arms a place.
    const VARIABLE: &str = "TRADINGSYS_FAILPOINT";

    /// All places, in the order in which a gateway comes by.
    const PLACES: [&str; 24] = [
        "mid_creation",
        "mid_migration",
        "mid_edit",
        "after_epoch",
        "after_edit",
        "after_frame_received",
        "before_send",
        "after_send",
        "after_accept",
        "after_ack_received",
        "after_fill_received",
        "before_append",
        "mid_append",
        "after_append",
        "before_publish",
        "mid_publish",
        "after_publish",
        "before_projection",
        "mid_projection",
        "after_projection",
        "mid_rebuild",
        "mid_checkpoint",
        "mid_snapshot",
        "before_end",
    ];

    /// Those that can meet an error of the disk.
    const CAN_FAIL: [&str; 5] =
        ["before_append", "mid_append", "after_append", "mid_projection", "mid_snapshot"];

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Action {
        Kill,
        Stop,
        Stall,
        IoError,
    }

    /// How long a thread stalls.
    const STALL: std::time::Duration = std::time::Duration::from_secs(6);

    #[derive(Debug)]
    struct Armed {
        place: &'static str,
        action: Action,
        left: AtomicU32,
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    thread_local! {
        static LOOP: RefCell<Loop> = RefCell::default();
    }

    /// What the loop's thread remembers between two places.
    #[derive(Default)]
    struct Loop {
        /// Batches whose commit is a place, by number.
        batches: Vec<(u64, &'static str)>,
        /// The frames that carry an order. Kept, so that their address stays theirs.
        orders: Vec<Bytes>,
    }

    /// Where an input came from.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Source {
        Exchange,
        Client,
        Journal,
        Other,
    }

    impl Source {
        pub(crate) fn of(input: &Input<'_>) -> Self {
            match input {
                Input::Link(_, LinkInput::Text(_) | LinkInput::Binary(_)) => Self::Exchange,
                Input::ClientFrame(..) => Self::Client,
                Input::Committed(_) => Self::Journal,
                _ => Self::Other,
            }
        }
    }

    /// Arms what the environment names.
    ///
    /// # Errors
    /// It cannot be understood.
    pub(crate) fn arm() -> Result<(), Exit> {
        let Some(text) = std::env::var_os(VARIABLE) else { return Ok(()) };
        let armed = parse(&text.to_string_lossy())
            .map_err(|reason| Exit::configuration(format!("{VARIABLE}={text:?}: {reason}")))?;
        tracing::warn!(target: "failpoint", place = armed.place, action = ?armed.action, "armed");
        let _ = ARMED.set(armed);
        Ok(())
    }

    fn parse(text: &str) -> Result<Armed, String> {
        let (place, action) = match text.split_once('=') {
            None => (text, Action::Kill),
            Some((place, "kill")) => (place, Action::Kill),
            Some((place, "stop")) => (place, Action::Stop),
            Some((place, "stall")) => (place, Action::Stall),
            Some((place, "io_error")) => (place, Action::IoError),
            Some((_, other)) => {
                return Err(format!("no action {other:?}; there are kill, stop, stall, io_error"));
            }
        };
        let (name, nth) = place.split_once(':').unwrap_or((place, "1"));
        let nth = nth.parse().ok().filter(|nth| *nth > 0);
        let left = AtomicU32::new(nth.ok_or("how often it is passed is a number from 1")?);
        let known = PLACES.into_iter().find(|known| *known == name);
        let place = known.ok_or_else(|| format!("no place {name:?}; there are {}", PLACES.join(", ")))?;
        if action == Action::IoError && !CAN_FAIL.contains(&place) {
            return Err(format!("{place} meets no disk; {} do", CAN_FAIL.join(", ")));
        }
        Ok(Armed { place, action, left })
    }

    /// Is this the time the armed place was waiting for?
    fn reached(name: &str) -> Option<Action> {
        let armed = ARMED.get().filter(|armed| armed.place == name)?;
        let before = armed.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        (before == Ok(1)).then_some(armed.action)
    }

    pub(crate) fn pass(name: &'static str) {
        if let Some(action) = reached(name) {
            act(name, action);
        }
    }

    pub(crate) fn pass_or_fail(name: &'static str) -> rusqlite::Result<()> {
        match reached(name) {
            Some(Action::IoError) => Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
                Some(format!("disk I/O error ({name})")),
            )),
            Some(action) => {
                act(name, action);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn act(name: &'static str, action: Action) {
        let id = std::process::id().to_string();
        let outcome = match action {
            // The shell takes this process's place and number: all threads and all memory are gone in one step,
            // nothing is tidied up. Then it does what the name says.
            Action::Kill => Command::new("/bin/sh")
                .args(["-c", &format!("echo failpoint {name} >&2; kill -KILL $$")])
                .exec(),
            Action::Stop => match Command::new("kill").args(["-STOP", &id]).status() {
                Ok(_) => return,
                Err(error) => error,
            },
            Action::Stall => return std::thread::sleep(STALL),
            Action::IoError => return,
        };
        tracing::error!(target: "failpoint", name, reason = %outcome, "could_not_act");
    }

    /// What the gateway has made of an input, before any of it is done.
    pub(crate) fn decided(source: Source, outputs: &[Output]) {
        if ARMED.get().is_none() {
            return;
        }
        let any = |wanted: fn(&Record) -> bool| {
            let of_batch =
                |output: &Output| matches!(output, Output::Commit(b) if b.records.iter().any(wanted));
            outputs.iter().any(of_batch)
        };
        match source {
            Source::Exchange => {
                pass("after_frame_received");
                if any(|record| matches!(record, Record::Fill(_))) {
                    pass("after_fill_received");
                } else if any(|record| matches!(record, Record::OrderState(_))) {
                    pass("after_ack_received");
                }
            }
            Source::Client if any(|record| matches!(record, Record::Order(_))) => {
                pass("before_send");
                let frames = outputs.iter().filter_map(|output| match output {
                    Output::Link(LinkAction::Send { text, .. }) => Some(text.clone()),
                    _ => None,
                });
                LOOP.with_borrow_mut(|kept| kept.orders.extend(frames));
            }
            Source::Journal if outputs.iter().any(|output| matches!(output, Output::Ready(_))) => {
                pass("before_publish");
            }
            _ => {}
        }
        if outputs.iter().any(|output| matches!(output, Output::Stopped)) {
            pass("before_end");
        }
    }

    /// A batch is handed to the journal.
    pub(crate) fn commit(batch: &Batch) {
        let places = batch.records.iter().filter_map(|record| match record {
            Record::Adjust(_) => Some((batch.id, "after_edit")),
            Record::Start(_) => Some((batch.id, "after_epoch")),
            _ => None,
        });
        LOOP.with_borrow_mut(|kept| kept.batches.extend(places));
    }

    /// That batch is in the journal, and nobody knows yet.
    pub(crate) fn committed(batch: u64) {
        let places: Vec<_> =
            LOOP.with_borrow_mut(|kept| kept.batches.extract_if(.., |(id, _)| *id == batch).collect());
        places.into_iter().for_each(|(_, place)| pass(place));
    }

    /// Is this the frame of an order?
    pub(crate) fn is_order(text: &Bytes) -> bool {
        LOOP.with_borrow(|kept| kept.orders.iter().any(|order| order.as_ptr() == text.as_ptr()))
    }

    /// A link's socket has taken a frame.
    pub(crate) fn handed_over(is_order: bool) {
        if is_order {
            LOOP.with_borrow_mut(|kept| kept.orders.clear());
            pass("after_send");
        }
    }

    /// What a client is about to be told.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Told {
        /// That a command was taken.
        Acceptance,
        /// A numbered event of its session.
        Event,
        Other,
    }

    impl Told {
        /// Judged by the words of our own protocol. An event that was pulled and not written is half published.
        pub(crate) fn of(frame: &[u8]) -> Self {
            let has = |word: &[u8]| frame.windows(word.len()).any(|at| at == word);
            if frame.starts_with(b"{\"id\":") {
                return if has(b"\"result\":{\"n\":") { Self::Acceptance } else { Self::Other };
            }
            if has(b"\"seq\":") {
                pass("mid_publish");
                return Self::Event;
            }
            Self::Other
        }

        /// The client's socket has taken it.
        pub(crate) fn is_on_its_way(self) {
            match self {
                Self::Acceptance => pass("after_accept"),
                Self::Event => pass("after_publish"),
                Self::Other => {}
            }
        }
    }

    /// The log begins to move into the journal's file: acts once the first of it has arrived there.
    pub(crate) fn checkpointing(journal: &Path) {
        let Some(action) = reached("mid_checkpoint") else { return };
        let path = journal.to_owned();
        let modified = move || std::fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        let before = modified();
        let watch = move || {
            while modified() == before {
                std::hint::spin_loop();
            }
            act("mid_checkpoint", action);
        };
        let _watching = std::thread::Builder::new().name("failpoint".into()).spawn(watch);
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_place_is_armed_for_one_passing_and_one_action() {
            for (text, place, action, nth) in [
                ("after_send", "after_send", Action::Kill, 1),
                ("mid_append:7=io_error", "mid_append", Action::IoError, 7),
                ("before_end=stop", "before_end", Action::Stop, 1),
            ] {
                let armed = parse(text).unwrap();
                assert_eq!((armed.place, armed.action), (place, action));
                assert_eq!(armed.left.load(Ordering::Relaxed), nth);
            }
        }

        #[test]
        fn what_is_misspelt_is_refused_with_what_there_is() {
            for (text, words) in [
                ("after_sned", "there are mid_creation, "),
                ("after_send=die", "there are kill, stop, stall, io_error"),
                ("after_send:0", "a number from 1"),
                ("after_send=io_error", "meets no disk"),
            ] {
                let reason = parse(text).unwrap_err();
                assert!(reason.contains(words), "{text}: {reason}");
            }
        }
    }
}
