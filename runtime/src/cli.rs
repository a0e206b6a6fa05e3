//! The command line.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tradingsys_logger::Level;

use crate::exit::Exit;
use crate::key::passphrase::Source;
use crate::{Connect, Product, check, compact, key, run, secrecy, verify};

/// Gateway between trading strategies and an exchange account.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    run: RunArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args, Debug)]
struct RunArgs {
    /// Configuration file [default: spot.json of spot, usdt.json of usdt]
    #[arg(short, long, value_name = "FILE", value_parser = file)]
    config: Option<PathBuf>,
    /// How much is logged: error, warn, info, debug
    #[arg(short, long, default_value = "info", value_parser = level)]
    level: Level,
    /// The rows of pos.db are right, though the gateway was away for longer than the exchange shows trades
    #[arg(long)]
    trust_books: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Args, Clone, Copy, Debug)]
struct PassphraseArgs {
    /// File descriptor whose first line is the passphrase of an encrypted key
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
}

impl PassphraseArgs {
    fn source(self) -> Source {
        Source { descriptor: self.passphrase_fd }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check key, clock, permissions, reachability and database, a line each
    Check {
        #[command(flatten)]
        file: FileArgs,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Check the journal's chain, and the books against the journal; the gateway must be stopped
    Verify {
        #[command(flatten)]
        file: FileArgs,
        /// Compare balances, positions and open orders with the exchange, too
        #[arg(long)]
        online: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Make the journal smaller: events long acknowledged lose their text; the gateway must be stopped
    Compact(FileArgs),
    /// Make an Ed25519 key pair and print the public half to paste at the exchange
    Keygen {
        /// File of the private half; never overwritten
        #[arg(short, long, default_value = "private_key.pem", value_parser = file)]
        out: PathBuf,
        /// Encrypt the private half with a passphrase; it is asked for, or read as at a start
        #[arg(long)]
        encrypt: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
}

#[derive(Args, Debug)]
struct FileArgs {
    /// Configuration file [default: spot.json of spot, usdt.json of usdt]
    #[arg(short, long, value_name = "FILE", value_parser = file)]
    config: Option<PathBuf>,
}

/// `-c=x` is `-c x`: clap takes the equals sign of a short option away already; an empty name is a slip.
fn file(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a file must be named".into()) } else { Ok(PathBuf::from(text)) }
}

fn level(text: &str) -> Result<Level, String> {
    Level::of(text).ok_or_else(|| {
        let names: Vec<&str> = Level::ALL.iter().map(|level| level.name()).collect();
        format!("the levels are {}", names.join(", "))
    })
}

fn parse(product: &Product, arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = Cli::command().name(product.exe).bin_name(product.exe).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// The whole program of a gateway: parses the command line, does what it says, and tells the exit code.
pub fn main(product: &'static Product, connect: Connect) -> process::ExitCode {
    // Before there is anything to keep private.
    if let Err(problem) = secrecy::keep_memory_private() {
        complain(&format!("{}: warning: {problem}", product.exe));
    }
    let cli = match parse(product, std::env::args_os()) {
        Ok(cli) => cli,
        // Help and version too: clap prints them where they belong, and knows the code (0 or 2).
        Err(error) => error.exit(),
    };
    let named = |config: Option<PathBuf>| config.unwrap_or_else(|| format!("{}.json", product.exe).into());
    let outcome = match cli.command {
        None => {
            let RunArgs { config, level, trust_books, passphrase } = cli.run;
            run::run(product, connect, &named(config), level, trust_books, &passphrase.source())
        }
        Some(Command::Check { file, passphrase }) => {
            check::check(product, connect, &named(file.config), &passphrase.source())
        }
        Some(Command::Verify { file, online, passphrase }) => verify::verify(
            product,
            connect,
            &named(file.config),
            online.then(|| passphrase.source()).as_ref(),
        ),
        Some(Command::Compact(args)) => compact::compact(product, &named(args.config)),
        Some(Command::Keygen { out, encrypt, passphrase }) => {
            keygen(&out, encrypt.then(|| passphrase.source()).as_ref())
        }
    };
    match outcome {
        Ok(()) => process::ExitCode::SUCCESS,
        Err(exit) => {
            if !exit.message.is_empty() {
                let message = tradingsys_logger::redact::text(&exit.message);
                complain(&format!("{}: {message}", product.exe));
            }
            process::ExitCode::from(exit.code as u8)
        }
    }
}

fn keygen(out: &std::path::Path, encrypt: Option<&Source>) -> Result<(), Exit> {
    let passphrase = encrypt.map(|source| source.choose(out)).transpose()?;
    let public = key::generate(out, passphrase.as_ref().map(|passphrase| passphrase.as_str()))?;
    complain(&format!(
        "private key written to {} (keep it here); paste this public key at the exchange:",
        out.display()
    ));
    show(public.trim_end());
    Ok(())
}

/// A result, on standard output. Whoever reads it may have gone: that ends nothing.
pub(crate) fn show(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}").and_then(|()| std::io::stdout().flush());
}

/// Words for a human, on standard error.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: Product =
        Product { exe: "spot", market: "spot", environments: &["live"], keys: &[], endpoints: &[] };

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        parse(&SPOT, line.split(' ').map(OsString::from))
    }

    #[test]
    fn row_004_25_every_spelling_of_the_options_is_taken() {
        for line in [
            "spot -c=spot.json",
            "spot -c spot.json",
            "spot --config=spot.json",
            "spot --config spot.json -l=info",
        ] {
            let cli = parsed(line).unwrap();
            assert_eq!(cli.run.config, Some("spot.json".into()), "{line}");
            assert_eq!(cli.run.level, Level::Info, "{line}");
        }
        assert_eq!(parsed("spot -c=x -l=debug").unwrap().run.level, Level::Debug);
        assert!(parsed("spot -c=x --trust-books").unwrap().run.trust_books);
        assert!(!parsed("spot -c=x").unwrap().run.trust_books);
        assert!(matches!(parsed("spot compact -c=x").unwrap().command, Some(Command::Compact(_))));
        assert!(matches!(parsed("spot check -c=x").unwrap().command, Some(Command::Check { .. })));
    }

    #[test]
    fn a_passphrase_is_never_an_argument() {
        let cli = parsed("spot -c=x --passphrase-fd=3").unwrap();
        assert_eq!(cli.run.passphrase.passphrase_fd, Some(3));
        for line in ["spot --passphrase=x", "spot --passphrase-fd=x", "spot compact --passphrase-fd=3"] {
            assert_eq!(parsed(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_help_begins_with_what_the_program_is_for() {
        let help = parsed("spot --help").unwrap_err().to_string();
        assert!(help.starts_with("Gateway between trading strategies and an exchange account"), "{help}");
        assert!(help.contains("[default: spot.json"), "{help}");
    }

    #[test]
    fn row_004_26_an_unknown_level_is_a_usage_error_that_lists_them() {
        let error = parsed("spot -l=bogus").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("error, warn, info, debug"), "{error}");
    }
}
