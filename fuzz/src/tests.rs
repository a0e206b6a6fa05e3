//! The corpus as plain tests, and a short seeded run of every target.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::corpus::{Corpus, RECORDINGS};
use crate::drive::{Run, one, shrunk};
use crate::mutate::Form;
use crate::targets::{ALL, Target, named};

fn cases(target: &Target) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(target.name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Made once for all tests.
fn corpus() -> &'static Corpus {
    static MADE: OnceLock<Corpus> = OnceLock::new();
    MADE.get_or_init(|| Corpus::new(std::env::var_os(RECORDINGS).map(PathBuf::from).as_deref()))
}

fn seed() -> u64 {
    std::env::var("TRADINGSYS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[test]
fn r66_r74_what_once_broke_a_parser_no_longer_does() {
    let mut count = 0;
    for target in ALL {
        for file in cases(target) {
            let input = std::fs::read(&file).unwrap();
            if let Err(failure) = one(target, &input) {
                panic!("{}: {}", file.display(), failure.words);
            }
            count += 1;
        }
    }
    assert!(count >= 2, "{count} cases");
}

/// Every target takes what the parts of the house say to each other, what was recorded, and a few thousand inputs made
/// of that.
#[test]
fn r66_r74_no_input_breaks_a_parser() {
    let (corpus, seed) = (corpus(), seed());
    for target in ALL {
        let mut run = Run::new(target, corpus, Vec::new(), seed);
        assert!(run.corpus() > 1, "{} has no corpus", target.name);
        let wanted = run.corpus() as u64 + u64::from(target.in_tests);
        while run.execs < wanted {
            let input = run.make();
            if let Err(failure) = run.take(input) {
                let shown = String::from_utf8_lossy(&failure.input).chars().take(3_000).collect::<String>();
                panic!(
                    "{}: {}\ninput: {shown}\nseed {seed}: ./dev soak fuzz --target {} --seed {seed}",
                    target.name, failure.words, target.name
                );
            }
        }
        assert!(run.outcomes() > 1, "{}: all inputs come to one outcome", target.name);
    }
}

#[test]
fn what_is_good_is_taken_by_its_target() {
    let corpus = corpus();
    let mut found = std::collections::BTreeMap::new();
    for target in ALL {
        for input in (target.seeds)(corpus) {
            let outcome =
                one(target, &input).unwrap_or_else(|failure| panic!("{}: {}", target.name, failure.words));
            found.entry(target.name).or_insert_with(Vec::new).push(outcome);
        }
    }
    let taken = |name: &str, words: &str| {
        let outcomes = &found[name];
        assert!(
            outcomes.iter().any(|outcome| outcome.contains(words)),
            "{name}: no {words:?} in {outcomes:?}"
        );
    };
    for name in ["depth", "book ticker", "trade", "kline", "difference", "mark"] {
        taken("market-frames", name);
    }
    for name in ["order", "trades", "account", "bars", "futures order", "listen key", "wallet", "interest"] {
        taken("answers", name);
    }
    for name in ["spot;", "futures;", "order;"] {
        taken("private-events", name);
    }
    for (target, words) in [
        ("calls", "login true"),
        ("calls", "order true"),
        ("local-frames", "logged in"),
        ("local-frames", "event"),
        ("operator", "in nothing nothing reply reply"),
        ("ids", "Order"),
        ("configuration", "taken"),
        ("key-file", "opened"),
        ("key-structure", "opened"),
        ("journal-rows", "read started"),
        ("snapshot-file", "true"),
        ("books-file", "0 edits"),
        ("book-rows", "1 edits"),
        ("stop-files", "(true, 1, 0)"),
        ("recording", "shown"),
        ("weather", "taken false"),
        ("exchange-files", "resumed"),
        ("gateway-spot", "committed"),
        ("gateway-usdt", "committed"),
        ("gateway-margin", "committed"),
        ("client", "order"),
        ("sim-spot", "Trades"),
        ("sim-usdt", "FuturesTrades"),
        ("sim-margin", "Liabilities"),
    ] {
        taken(target, words);
    }
}

#[test]
fn a_broken_law_and_a_panic_are_told_with_their_place_and_made_small() {
    fn breaks(input: &[u8]) -> Result<String, String> {
        let at = input.iter().position(|byte| *byte == b'!');
        match at.map(|at| input.get(at + 1)) {
            Some(Some(b'!')) => Err("two marks".to_owned()),
            Some(None) => panic!("ends in a mark"),
            _ => Ok("fine".to_owned()),
        }
    }
    let target = Target {
        name: "sample",
        reads: "",
        form: Form::Bytes,
        in_tests: 0,
        seeds: |_| Vec::new(),
        run: breaks,
    };
    assert_eq!(one(&target, b"abc").unwrap(), "fine");
    assert_eq!(one(&target, b"a!!").unwrap_err().words, "two marks");
    let panicked = one(&target, b"a!").unwrap_err();
    assert!(panicked.words.starts_with("panic: ends in a mark at fuzz/src/tests.rs:"), "{}", panicked.words);
    let long = [vec![b'x'; 500], b"!!".to_vec(), vec![b'y'; 500]].concat();
    let small = shrunk(&long, 10_000, &mut |input| one(&target, input).is_err());
    assert!(small == b"!!" || small == b"!", "{small:?}");
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let corpus = corpus();
    let made = || {
        let mut run = Run::new(named("calls").unwrap(), corpus, Vec::new(), 7);
        let mut all = Vec::new();
        for _ in 0..600 {
            let input = run.make();
            all.push(input.clone());
            run.take(input).unwrap();
        }
        all
    };
    assert!(made() == made(), "seed 7");
}

#[test]
fn every_case_has_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(name == "README.md" || named(&name).is_some(), "{name}");
    }
}
