//! Logging of the gateways: one event a line, to standard error and to [files](files) per day.
//!
//! ```text
//! [2026-07-30T09:12:33.104518Z gateway INFO] order_placed session=1 symbol=dogeusdt
//! ```
//!
//! Times are UTC; the file `<directory>/<exe>_YYYYMMDD.log` changes at midnight UTC, and when it is full. Lines are
//! written by a thread of their own behind a bounded queue: a slow or full disk never delays trading, it costs log
//! lines, and how many is logged. No line leaves without having passed the [redaction](redact), which is done before
//! the queue, so no rotation has a part in it.

mod calendar;
mod counts;
mod files;
mod line;
pub mod redact;
mod writer;

use std::fmt;
use std::io;
use std::path::PathBuf;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

pub use calendar::{date, timestamp};
pub use counts::{Counts, counts};
pub use files::Bounds;
pub use writer::Guard;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A human must look.
    Error,
    /// Unexpected but recovered, and above.
    Warn,
    /// State changed, and above.
    Info,
    /// Everything.
    Debug,
}

impl Level {
    /// All levels, quietest first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// Its word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The level of that word, in any case.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the log goes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// First part of the file names.
    pub exe: String,
    /// Directory of the files, made if missing; `None`: standard error only.
    pub directory: Option<PathBuf>,
    /// How much of it is kept.
    pub bounds: Bounds,
    /// How much is logged.
    pub level: Level,
}

/// Starts logging for the whole process. Everything logged is on its way to the disk once the guard is
/// dropped.
///
/// # Errors
/// The directory cannot be made or written to, the thread cannot be started, or logging has been started
/// before.
pub fn start(settings: &Settings) -> io::Result<Guard> {
    let (sink, guard) = writer::start(settings)?;
    tracing_subscriber::registry()
        .with(LineLayer { sink }.with_filter(settings.level.filter()))
        .try_init()
        .map_err(io::Error::other)?;
    Ok(guard)
}

struct LineLayer {
    sink: writer::Sink,
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.sink.send(line::format(event, &calendar::timestamp(std::time::SystemTime::now())));
    }
}
