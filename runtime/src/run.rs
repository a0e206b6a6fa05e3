//! From the command line to the loop: everything a gateway is made of, in the order in which a failure is
//! cheapest.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tradingsys::gateway::io::{BadEdit, Edit, GatewayConfig, LostPosition, Output};
use tradingsys::gateway::stop::Kept;
use tradingsys::gateway::{self, Gateway};
use tradingsys::journal::Record;
use tradingsys::limits::form;
use tradingsys::time::Span;
use tradingsys_logger::{Level, Settings, redact};

use crate::cli::show;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::drive::{Drive, Sources};
use crate::exit::{Exit, ExitCode};
use crate::files::FolderLock;
use crate::key::passphrase::Source;
use crate::links::Links;
use crate::metrics::{self, Asked, Facts};
use crate::notify::{Manager, Notifier};
use crate::server::{Door, Listeners, Server, bind, bind_metrics};
use crate::stop::crashes::Counted;
use crate::stop::signal::KillSignal;
use crate::stop::{self, Keeper};
use crate::store::books::{self, Applied, Booked, Books, Findings};
use crate::store::journal::{Found, Journal};
use crate::store::note::Note;
use crate::store::projector::{Opening, Projector};
use crate::store::reader::{Plan, Reader};
use crate::store::writer::Writer;
use crate::store::{self, StoreError};
use crate::tokens::Tokens;
use crate::{Connect, Product, VenueSetup, key, tls};

/// How long a locked `pos.db` is waited for before the gateway starts without it.
const POS_DB_WITHIN: Duration = Duration::from_secs(2);

/// Pause before it is tried again.
const POS_DB_RETRY: Duration = Duration::from_millis(100);

/// Own trades are swept every so many query lags: a minute at the usual 5 s.
const SWEEP_LAGS: i64 = 12;

/// Reads the configuration and makes its secrets unspeakable.
pub(crate) fn configured(product: &Product, file: &Path) -> Result<Config, Exit> {
    let config = config::load(file, product).map_err(|error| Exit::configuration(error.to_string()))?;
    redact::add_secret(&config.apikey);
    Ok(config)
}

/// Runs a gateway until it is told to stop. There is no success: even an orderly end is told as the signal's
/// code.
pub(crate) fn run(
    product: &'static Product,
    connect: Connect,
    file: &Path,
    level: Level,
    trust_books: bool,
    passphrase: &Source,
) -> Result<(), Exit> {
    // Before all that may take its time.
    let kill = KillSignal::listen().map_err(no_signals)?;
    let config = configured(product, file)?;
    kill.keep_in(&config.db);
    let (exe, directory) = (product.exe.to_owned(), Some(config.log_dir.clone()));
    let settings = Settings { exe, directory, bounds: config.log_bounds, level };
    let _log = tradingsys_logger::start(&settings).map_err(|error| {
        Exit::configuration(format!("cannot log to {}: {error}; see \"log_dir\"", config.log_dir.display()))
    })?;
    log_panics();
    #[cfg(feature = "failpoints")]
    crate::failpoint::arm()?;
    let limits = form::words(&config.limits);
    tracing::info!(target: "runtime", limits, "limits of the configuration");
    tracing::info!(target: "runtime", version = env!("CARGO_PKG_VERSION"), config = %file.display(), "starting");
    let outcome = gateway(connect, &config, trust_books, passphrase, &kill);
    if let Err(exit) = &outcome {
        let reason = exit.message.as_str();
        match exit.code {
            ExitCode::Interrupted | ExitCode::Terminated => tracing::info!(target: "runtime", "stopped"),
            code => tracing::error!(target: "runtime", code = code as i32, reason, "stopped"),
        }
    }
    outcome
}

/// A panic is a defect; its place must be in the log of the night it happened. What the log writes is redacted, on
/// standard error too; the usual words are not, so they are left out.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(target: "runtime", reason = %panic, "panic");
        let trace = std::backtrace::Backtrace::capture();
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            tracing::error!(target: "runtime", %trace, "panic_trace");
        }
    }));
}

fn gateway(
    connect: Connect,
    config: &Config,
    trust_books: bool,
    passphrase: &Source,
    kill: &KillSignal,
) -> Result<(), Exit> {
    store::check_library().map_err(|error| Exit::failure(error.to_string()))?;
    let key = key::load(&config.pem, passphrase)?;
    let tls = tls::connector(config.ca_file.as_deref())?;
    let _lock = FolderLock::take(&config.db)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::failure(format!("no event loop: {error}")))?;
    let local = LocalSet::new();
    if config.spin {
        local.spawn_local(stay_awake());
    }
    local.block_on(&runtime, async {
        let door_tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let listeners = bind(&config.local, door_tls, config.unix_socket.as_deref())?;
        let watched = config.metrics.as_ref().map(bind_metrics).transpose()?;
        let counted = Counted::begin(&config.db, config.pause_after_crashes);
        let doors = Doors { tls, listeners, watched, kill };
        let outcome = opened(connect, config, key, trust_books, doors, &counted).await;
        if let Err(exit) = &outcome {
            counted.ended(exit);
        }
        outcome
    })
}

/// Keeps the event loop from sleeping: as long as a task is ready, it only looks whether something has arrived.
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

/// The ways in and out.
struct Doors<'a> {
    tls: tokio_rustls::TlsConnector,
    listeners: Listeners,
    watched: Option<(Vec<std::net::TcpListener>, u16)>,
    kill: &'a KillSignal,
}

/// With the folder and the doors its own: a run that counts.
async fn opened(
    connect: Connect,
    config: &Config,
    key: SigningKey,
    trust_books: bool,
    doors: Doors<'_>,
    counted: &Counted,
) -> Result<(), Exit> {
    let clock = Clock::new();
    let stores = open_stores(config, clock)?;
    let tokens = Tokens::new(config, doors.listeners.port)?;
    let seed = seed()?;
    let kept = stop::read(&config.db);
    let (feed, entry) = connect(VenueSetup { config, key, seed, only_looks: false });
    let made = GatewayConfig {
        operator_token: Some(tokens.operator.clone()),
        journal_rebuilt: stores.journal_rebuilt,
        noted_epoch: Note::of(&config.db).last(config.market, &config.install),
        lost_positions: stores.lost,
        trust_books,
        session_tokens: tokens.of_sessions.clone(),
        kept: kept.clone(),
        crashes: counted.crashes(),
        clear_advice: format!("pyalgo clear, or remove the file {}", config.db.join(stop::KILL).display()),
        ..gateway_config(config, tokens.token.clone(), seed)
    };
    let mut first = Vec::new();
    let gateway =
        Gateway::new(made, &stores.records, stores.edits, stores.bad, feed, entry, clock.now(), &mut first)
            .map_err(|error| Exit::configuration(error.to_string()))?;
    drop(stores.records);
    let plan = Plan { every: config.snapshot_rows, keep: config.retention, taken: stores.taken };
    let reader = Reader::start(&config.db, stores.journal.id(), plan, clock).map_err(no_thread)?;
    let lives_after = counted.lives_after();
    let parts = Parts { gateway, clock, doors, reader, kept, lives_after, first };
    let exit = drive(parts, config, stores.journal, stores.books, stores.applied).await;
    tokens.put_away();
    exit
}

fn no_thread(error: std::io::Error) -> Exit {
    Exit::failure(format!("no thread: {error}"))
}

/// What the loop is made from besides the stores.
struct Parts<'a> {
    gateway: Gateway,
    clock: Clock,
    doors: Doors<'a>,
    reader: Reader,
    kept: Kept,
    /// See [`Counted`].
    lives_after: Option<Duration>,
    first: Vec<Output>,
}

async fn drive(
    parts: Parts<'_>,
    config: &Config,
    journal: Journal,
    books: Opening,
    applied: Applied,
) -> Result<(), Exit> {
    let Doors { tls, listeners, watched: bound, kill } = parts.doors;
    let (links, link_events) = Links::new(tls);
    let (writer, reports) = Writer::start(journal, Note::of(&config.db)).map_err(no_thread)?;
    let (projector, projected) = Projector::start(&config.db, books).map_err(no_thread)?;
    let gateway = Rc::new(RefCell::new(parts.gateway));
    let door = Door { port: listeners.port, allowed_origins: config.allowed_origins.clone() };
    let (server, clients) = Server::new(Rc::clone(&gateway), parts.clock, door);
    let signals = signals()?;
    let (told, stops) = mpsc::channel(16);
    let keeper =
        Keeper::start(&config.db, &parts.kept, parts.lives_after, told.clone()).map_err(no_thread)?;
    kill.tell(&config.db, told);
    let url = listeners.url();
    listeners.serve(&server);
    let (asked, metrics) = watched(bound, config)?;
    tracing::info!(target: "runtime", url = url.as_str(), metrics, "listening");
    let pages = if metrics.is_empty() { String::new() } else { format!(",\"metrics\":{metrics:?}") };
    show(&format!("{{\"listening\":{url:?}{pages}}}"));
    let (clock, reader) = (parts.clock, parts.reader);
    let notifier = notifier();
    let drive = Drive { gateway, clock, links, reader, writer, projector, keeper, applied, notifier, server };
    let sources = Sources { reports, links: link_events, clients, projected, signals, asked, stops };
    // A task like those of the sockets: what one of them has read is decided, and written by another, within one turn
    // of the scheduler, without a look at the kernel in between.
    let driven = tokio::task::spawn_local(drive.run(sources, parts.first)).await;
    Err(driven.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic())))
}

/// Where questions of monitors arrive, and the address they are asked at; never any, and none, where nobody is to ask.
fn watched(
    bound: Option<(Vec<std::net::TcpListener>, u16)>,
    config: &Config,
) -> Result<(mpsc::Receiver<Asked>, String), Exit> {
    let (Some((listeners, port)), Some(at)) = (bound, &config.metrics) else {
        return Ok((mpsc::channel(1).1, String::new()));
    };
    let facts = Facts::new(config.exe, &config.db);
    let asked = metrics::start(listeners, port, facts).map_err(no_thread)?;
    Ok((asked, format!("http://{}:{port}", at.host)))
}

/// A manager that is there and cannot be reached will take the start for failed: the log says why, and that is all that
/// can be done.
fn notifier() -> Notifier {
    Notifier::new(&Manager::of_environment(), std::process::id()).unwrap_or_else(|reason| {
        tracing::warn!(target: "runtime", reason, "service_manager_not_reached");
        Notifier::default()
    })
}

/// What the stores hold at the start.
struct Stores {
    journal: Journal,
    records: Vec<Record>,
    /// See [`Found::taken`](crate::store::journal::Found).
    taken: (u64, u64),
    books: Opening,
    edits: Vec<Edit>,
    bad: Vec<BadEdit>,
    applied: Applied,
    journal_rebuilt: Option<String>,
    lost: Vec<LostPosition>,
}

fn open_stores(config: &Config, clock: Clock) -> Result<Stores, Exit> {
    // Before a journal is made there, and before pos.db is looked at.
    books::outlived_its_journal(&config.db, config.market)?;
    let (journal, found) = open_journal(config, clock)?;
    gateway::belongs(&found.records, config.market, &config.install)
        .map_err(|error| Exit::configuration(error.to_string()))?;
    if let Some(backup) = &found.migrated {
        tracing::info!(target: "store", backup = %backup.display(), "journal_migrated");
    }
    let (books, findings) = open_books(config, journal.id(), &books::booked(&found.records))?;
    findings.tell();
    for bad in &findings.bad {
        tracing::error!(target: "store", reason = bad.reason.as_str(), "pos_db_row_refused");
    }
    #[cfg(feature = "failpoints")]
    if !findings.edits.is_empty() {
        crate::failpoint::pass("mid_edit");
    }
    let generation = found.records.iter().rev().find_map(|record| match record {
        Record::Generation { generation, .. } => Some(*generation),
        _ => None,
    });
    let applied = Applied {
        journal: journal.id().to_owned(),
        seq: journal.last_seq(),
        generation: generation.unwrap_or(0),
    };
    let edits = findings.edits.iter().chain(&findings.taken_back).cloned().collect();
    let (records, snapshot) = (found.records.len(), found.taken.0);
    tracing::info!(target: "store", records, snapshot, edits = findings.edits.len(), "stores_open");
    Ok(Stores {
        journal_rebuilt: rebuilt(found.new, &findings, &applied),
        journal,
        records: found.records,
        taken: found.taken,
        books,
        lost: findings.lost,
        edits,
        bad: findings.bad,
        applied,
    })
}

/// The journal, by its snapshot where there is one that can be trusted.
fn open_journal(config: &Config, clock: Clock) -> Result<(Journal, Found), StoreError> {
    let (journal, found) = match config.snapshot_rows {
        0 => Journal::open(&config.db)?,
        _ => Journal::open_from_snapshot(&config.db, config.retention, clock.now())?,
    };
    if let Some(reason) = &found.passed_over {
        let advice = "nothing is lost: every record was read and checked instead";
        tracing::warn!(target: "store", reason, advice, "snapshot_not_used");
    }
    Ok((journal, found))
}

/// Why events must be numbered anew, if the journal is not the one that `pos.db` has seen last.
fn rebuilt(new: bool, findings: &Findings, applied: &Applied) -> Option<String> {
    if new && findings.other_journal {
        return Some("journal.db is new, pos.db knew another one".into());
    }
    let seen = findings.applied.as_ref()?;
    (seen.seq > applied.seq)
        .then(|| format!("journal.db ends at record {}, pos.db has seen record {}", applied.seq, seen.seq))
}

/// A user's editor may hold the file for a moment, or for hours: then the gateway starts without it.
fn open_books(config: &Config, journal: &str, booked: &Booked) -> Result<(Opening, Findings), StoreError> {
    let patience = Instant::now() + POS_DB_WITHIN;
    loop {
        match Books::open(&config.db, config.market, journal, booked) {
            Ok((books, findings)) => return Ok((Opening::Open(Box::new(books)), findings)),
            Err(error) if error.is_busy() && Instant::now() < patience => std::thread::sleep(POS_DB_RETRY),
            Err(error) if error.is_busy() => {
                let advice = "close the editor that holds it; edits are taken at the next start";
                tracing::warn!(target: "store", advice, "pos_db_locked");
                let (market, journal, booked) = (config.market, journal.to_owned(), booked.clone());
                let opening = Opening::Locked { market, journal, booked };
                return Ok((opening, Findings::default()));
            }
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn gateway_config(config: &Config, token: String, seed: u64) -> GatewayConfig {
    GatewayConfig {
        market: config.market,
        product: format!("tradingsys {}", env!("CARGO_PKG_VERSION")),
        install: config.install,
        boot_id: boot_id(seed),
        token,
        session_tokens: BTreeMap::new(),
        operator_token: None,
        seed,
        recovery_lag: config.recovery_lag,
        sweep_every: (config.recovery_lag * SWEEP_LAGS).max(Span::from_secs(1)),
        retention: config.retention,
        limits: config.limits.clone(),
        margin: config.margin.is_some(),
        trust_books: false,
        journal_rebuilt: None,
        noted_epoch: None,
        lost_positions: Vec::new(),
        kept: Default::default(),
        crashes: Default::default(),
        clear_advice: String::new(),
    }
}

/// The system's name for the time since it was switched on. Where there is none, every start counts as one
/// after a power loss, which costs a snapshot where a resume would have done.
fn boot_id(seed: u64) -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| format!("start-{seed:016x}"), |id| id.trim().to_owned())
}

pub(crate) fn seed() -> Result<u64, Exit> {
    getrandom::u64().map_err(|error| Exit::failure(format!("no randomness: {error}")))
}

/// The signal of a file that would grow beyond the limit (`ulimit -f`). Unheard, it kills the process.
const SIGXFSZ: i32 = 25;

fn no_signals(error: std::io::Error) -> Exit {
    Exit::failure(format!("no signals: {error}"))
}

/// SIGINT and SIGTERM as the exit codes they ask for.
fn signals() -> Result<mpsc::Receiver<ExitCode>, Exit> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = mpsc::channel(4);
    // Once listened to, the write itself fails, and is handled like a full disk.
    let _listened = signal(SignalKind::from_raw(SIGXFSZ)).map_err(no_signals)?;
    for (kind, code) in
        [(SignalKind::interrupt(), ExitCode::Interrupted), (SignalKind::terminate(), ExitCode::Terminated)]
    {
        let mut stream = signal(kind).map_err(no_signals)?;
        let sender = sender.clone();
        tokio::task::spawn_local(async move {
            while stream.recv().await.is_some() {
                if sender.send(code).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}
