//! `binance-sim`: the simulated exchange on a TCP port.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the shell of the simulator: clocks, files and sockets are its work"
)]

mod options;
mod shell;
mod socket;

use std::cell::RefCell;
use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;

use binance_sim::Sim;
use clap::Parser as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::Options;
use crate::shell::{Clock, Core, Journals};

fn main() -> ExitCode {
    let options = Options::parse();
    let config = match options.config() {
        Ok(config) => config,
        Err(problem) => return fail(78, &problem),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(71, &error.to_string()),
    };
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, run(options, config))
}

fn fail(code: u8, problem: &str) -> ExitCode {
    eprintln!("binance-sim: {problem}");
    ExitCode::from(code)
}

async fn run(options: Options, config: binance_sim::config::Config) -> ExitCode {
    let address = format!("{}:{}", options.host, options.port);
    let listener = match TcpListener::bind(&address).await {
        Ok(listener) => listener,
        Err(error) => {
            return fail(69, &format!("cannot listen on {address}: {error}; choose another --port"));
        }
    };
    let opened = options.data_dir.as_deref().map(|directory| {
        let failed = |error| format!("cannot use the data directory {}: {error}", directory.display());
        Journals::open(directory).map_err(failed)
    });
    let (mut journals, journaled) = match opened.transpose() {
        Ok(journals) => journals.unwrap_or_default(),
        Err(error) => return fail(73, &error),
    };
    if let Some(path) = &options.record_faults
        && let Err(error) = journals.record_faults(path)
    {
        return fail(73, &format!("cannot record faults in {}: {error}", path.display()));
    }
    let clock = Clock::start();
    let sim = match Sim::resume(config, clock.now(), &journaled) {
        Ok(sim) => sim,
        Err(error) => return fail(78, &error.to_string()),
    };
    // Whoever reads the line may send a signal at once.
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return fail(71, "cannot listen to signals");
    };
    if let Err(error) = announce(&listener) {
        return fail(74, &format!("cannot say where it listens: {error}"));
    }
    let core = Rc::new(RefCell::new(Core::new(sim, clock, journals)));
    tokio::task::spawn_local(shell::keep_time(core.clone()));
    tokio::task::spawn_local(shell::accept(listener, core));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    ExitCode::SUCCESS
}

/// One line of JSON on the standard output: where it listens, as clients want it.
fn announce(listener: &TcpListener) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    let line = serde_json::json!({
        "listening": address.to_string(),
        "rest": format!("http://{address}"),
        "ws_api": format!("ws://{address}/ws-api/v3"),
        "streams": format!("ws://{address}"),
        "sbe": format!("ws://{address}/sbe"),
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
