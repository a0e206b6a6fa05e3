//! The whole books a market's feed keeps, one machine per symbol.

use std::collections::BTreeMap;

use tradingsys::book::{Book, BookConfig, BookInput, BookOutput, Continuity, Snapshot};
use tradingsys::ids::Symbol;
use tradingsys::market::{Depth, Stream};
use tradingsys::time::Time;
use tradingsys::venue::port::{Outbox, VenueEvent};

/// How a market numbers the changes of its books, and how many levels a side its snapshots have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BookTerms {
    /// The rule.
    pub(crate) continuity: Continuity,
    /// Most levels a snapshot can be asked for.
    pub(crate) levels: usize,
}

#[derive(Debug)]
struct Kept {
    stream: Stream,
    wanted: bool,
    book: Book,
}

#[derive(Debug)]
pub(crate) struct Books {
    terms: BookTerms,
    books: BTreeMap<Symbol, Kept>,
    asks: Vec<Symbol>,
    renewals: Vec<Stream>,
}

impl Books {
    pub(crate) fn new(terms: BookTerms) -> Self {
        Self { terms, books: BTreeMap::new(), asks: Vec::new(), renewals: Vec::new() }
    }

    /// Somebody wants this book.
    pub(crate) fn want(&mut self, now: Time, stream: &Stream) {
        let book = || Book::new(now, BookConfig::new(self.terms.continuity));
        let kept = self.books.entry(stream.symbol.clone());
        kept.or_insert_with(|| Kept { stream: stream.clone(), wanted: true, book: book() }).wanted = true;
    }

    /// Nobody wants it any more. A snapshot on its way must still find its asker.
    pub(crate) fn leave(&mut self, now: Time, stream: &Stream, out: &mut Outbox) {
        self.input(now, &stream.symbol, BookInput::Closed("not wanted".to_owned()), out);
        if let Some(kept) = self.books.get_mut(&stream.symbol) {
            kept.wanted = false;
            if !kept.book.is_asking() {
                self.books.remove(&stream.symbol);
            }
        }
    }

    /// Is there a book of this symbol?
    pub(crate) fn keeps(&self, symbol: &Symbol) -> bool {
        self.books.contains_key(symbol)
    }

    /// Something happened to a book.
    pub(crate) fn input(&mut self, now: Time, symbol: &Symbol, input: BookInput, out: &mut Outbox) {
        let Some(kept) = self.books.get_mut(symbol) else { return };
        let mut told = Vec::new();
        kept.book.handle(now, input, &mut told);
        for output in told {
            match output {
                BookOutput::Update(update) if kept.wanted => {
                    out.events.push(VenueEvent::Book(kept.stream.clone(), update));
                }
                BookOutput::Update(_) => {}
                BookOutput::AskSnapshot => self.asks.push(symbol.clone()),
                BookOutput::Resubscribe => self.renewals.push(kept.stream.clone()),
            }
        }
        if !kept.wanted && !kept.book.is_asking() {
            self.books.remove(symbol);
        }
    }

    /// The same happened to all books.
    pub(crate) fn input_all(&mut self, now: Time, input: &BookInput, out: &mut Outbox) {
        let symbols: Vec<Symbol> = self.books.keys().cloned().collect();
        for symbol in symbols {
            self.input(now, &symbol, input.clone(), out);
        }
    }

    /// The snapshot asked for, or none.
    pub(crate) fn snapshot(&mut self, now: Time, symbol: &Symbol, depth: Option<Depth>, out: &mut Outbox) {
        let limit = self.terms.levels;
        let input =
            depth.map_or(BookInput::NoSnapshot, |depth| BookInput::Snapshot(Snapshot { depth, limit }));
        self.input(now, symbol, input, out);
    }

    /// The whole book, while it is good.
    pub(crate) fn depth(&self, symbol: &Symbol) -> Option<Depth> {
        self.books.get(symbol)?.book.depth()
    }

    /// Symbols of which a snapshot is to be asked for, since the last call.
    pub(crate) fn take_asks(&mut self) -> Vec<Symbol> {
        std::mem::take(&mut self.asks)
    }

    /// Streams to be subscribed to anew, since the last call.
    pub(crate) fn take_renewals(&mut self) -> Vec<Stream> {
        std::mem::take(&mut self.renewals)
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.books.values().filter_map(|kept| kept.book.deadline()).min()
    }

    pub(crate) fn timer(&mut self, now: Time, out: &mut Outbox) {
        let due = |kept: &Kept| kept.book.deadline().is_some_and(|at| at <= now);
        let due: Vec<Symbol> =
            self.books.iter().filter(|(_, kept)| due(kept)).map(|(symbol, _)| symbol.clone()).collect();
        for symbol in due {
            self.input(now, &symbol, BookInput::Timer, out);
        }
    }
}
