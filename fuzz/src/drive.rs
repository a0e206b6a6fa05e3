//! Runs targets: on the corpus, on what is made of it, and on one input alone.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use fastrand::Rng;

use crate::corpus::Corpus;
use crate::mutate::mutated;
use crate::targets::Target;

/// Inputs that are kept for what they came to, beyond those of the beginning.
const KEPT_MAX: usize = 4_000;

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// An input that breaks a law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// The law, or the panic with its place.
    pub words: String,
}

impl Failure {
    /// What it is about, with nothing in it that differs between inputs: two of one kind are one defect.
    pub fn kind(&self) -> String {
        let until = self.words.find([':', '{', '"']).unwrap_or(self.words.len());
        let place = self.words.rsplit_once(" at ").map_or("", |(_, place)| place);
        format!("{} {place}", &self.words[..until])
            .chars()
            .filter(|c| !c.is_ascii_digit() || !place.is_empty())
            .collect()
    }
}

/// Panics are told by [`one`], not on the standard error.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let watched = PANIC.with(|panic| panic.borrow().is_some());
            if !watched {
                return usual(info);
            }
            let place = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
            let said = info.payload().downcast_ref::<String>().cloned();
            let said = said.or_else(|| info.payload().downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let words = format!("panic: {} at {place}", said.unwrap_or_default());
            PANIC.with(|panic| *panic.borrow_mut() = Some(words));
        }));
    });
}

/// Runs a target on one input; its outcome.
///
/// # Errors
/// The law it breaks.
pub fn one(target: &Target, input: &[u8]) -> Result<String, Failure> {
    silence();
    PANIC.with(|panic| *panic.borrow_mut() = Some(String::new()));
    let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let panicked = PANIC.with(|panic| panic.borrow_mut().take()).unwrap_or_default();
    let failed = |words: String| Failure { input: input.to_vec(), words };
    match ran {
        Ok(verdict) => verdict.map_err(failed),
        Err(_) => Err(failed(panicked)),
    }
}

/// One run of a target, input by input.
pub struct Run {
    target: &'static Target,
    rng: Rng,
    inputs: Vec<Vec<u8>>,
    begun_with: usize,
    next: usize,
    seen: BTreeSet<u64>,
    /// Inputs so far.
    pub execs: u64,
}

impl Run {
    /// Begins with the target's corpus, which is run first.
    pub fn new(target: &'static Target, corpus: &Corpus, cases: Vec<Vec<u8>>, seed: u64) -> Self {
        let mut inputs = (target.seeds)(corpus);
        inputs.extend(cases);
        inputs.push(Vec::new());
        let begun_with = inputs.len();
        Self {
            target,
            rng: Rng::with_seed(seed),
            inputs,
            begun_with,
            next: 0,
            seen: BTreeSet::new(),
            execs: 0,
        }
    }

    /// Inputs it began with.
    pub const fn corpus(&self) -> usize {
        self.begun_with
    }

    /// Outcomes that differ.
    pub fn outcomes(&self) -> usize {
        self.seen.len()
    }

    /// The next input.
    pub fn make(&mut self) -> Vec<u8> {
        if self.next < self.begun_with {
            self.next += 1;
            return self.inputs[self.next - 1].clone();
        }
        let count = self.inputs.len();
        // Half of the time one of those found last.
        let from = if self.rng.bool() {
            self.rng.usize(0..count)
        } else {
            count - 1 - self.rng.usize(0..count.min(64))
        };
        let other = self.rng.usize(0..count);
        mutated(&mut self.rng, self.target.form, &self.inputs[from], &self.inputs[other])
    }

    /// Runs the target on it.
    ///
    /// # Errors
    /// The law it breaks.
    pub fn take(&mut self, input: Vec<u8>) -> Result<(), Failure> {
        self.execs += 1;
        let outcome = one(self.target, &input)?;
        let mut hash = DefaultHasher::new();
        outcome.hash(&mut hash);
        if self.seen.insert(hash.finish()) && self.execs > self.begun_with as u64 {
            if self.inputs.len() >= self.begun_with + KEPT_MAX {
                let old = self.rng.usize(self.begun_with..self.inputs.len());
                self.inputs.swap_remove(old);
            }
            self.inputs.push(input);
        }
        Ok(())
    }
}

/// Makes an input smaller that fails, for as long as it does; `fails` is asked at most so often.
pub fn shrunk(input: &[u8], mut tries: u32, fails: &mut dyn FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut piece = (best.len() / 2).max(1);
    loop {
        let (mut at, before) = (0, best.len());
        while at < best.len() && tries > 0 {
            let end = (at + piece).min(best.len());
            let shorter = [&best[..at], &best[end..]].concat();
            tries -= 1;
            if fails(&shorter) {
                best = shorter;
            } else {
                at = end;
            }
        }
        if tries == 0 || (piece == 1 && best.len() == before) {
            return best;
        }
        piece = if best.len() < before { piece.min(best.len().max(1)) } else { (piece / 2).max(1) };
    }
}
