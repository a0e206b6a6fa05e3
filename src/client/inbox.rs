//! What was read and not yet handled: private events in order, market data conflated.
//!
//! Of a stream of book views only the newest is kept, as text: what is never shown is never decoded. Closing bars and
//! trades queue up to a bound; trades beyond it become a counted gap, the oldest first. The changes of a whole book are
//! made as they are read: it is always the newest, and that it changed is told once.

use std::collections::VecDeque;

use indexmap::IndexMap;

use super::event::{Event, Market, Placed};
use super::machine::Queued;
use crate::book::levels::Levels;
use crate::ids::ClientOrderId;
use crate::market::{Channel, Depth, Level};
use crate::time::Time;
use crate::wire::event::{BarData, BookData, TradeData};

/// Trades kept per stream.
pub const MAX_TRADES: usize = 10_000;
/// Private events kept before the socket is left unread; the gateway keeps the rest.
pub const MAX_PRIVATE: usize = 100_000;

/// A subscribed stream's place in the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(usize);

#[derive(Debug)]
enum Told {
    Trade(TradeData),
    Gap(u64),
}

/// A whole book as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct WholeBook {
    /// Its levels; none unless it is good.
    pub levels: Levels,
    /// The venue's update number.
    pub update_id: u64,
    /// When it became so: event time, or time of receipt where the venue sends none.
    pub time: Time,
    /// Is it whole and current?
    pub is_good: bool,
    fresh: bool,
}

impl WholeBook {
    /// Takes the whole, or a change that follows. False: it does not.
    fn take(&mut self, data: BookData) -> bool {
        let side = |rows: Vec<_>| -> Vec<Level> {
            rows.into_iter().map(|(price, qty)| Level { price, qty }).collect()
        };
        let BookData { time, update_id, previous_id, bids, asks } = data;
        let (bids, asks) = (side(bids), side(asks));
        match previous_id {
            None => {
                let depth = Depth { update_id, time, bids, asks };
                self.levels = Levels::from_snapshot(&depth, usize::MAX);
                self.is_good = true;
            }
            Some(_) if !self.is_good || update_id <= self.update_id => return true,
            Some(previous) if previous != self.update_id => return false,
            Some(_) => drop(self.levels.apply(&bids, &asks)),
        }
        (self.update_id, self.time, self.fresh) = (update_id, time, true);
        true
    }

    fn spoil(&mut self) {
        (self.levels, self.is_good, self.fresh) = (Levels::new(), false, false);
    }
}

#[derive(Debug)]
enum Kept {
    Newest {
        text: String,
        fresh: bool,
        read: fn(&str) -> Result<Market, serde_json::Error>,
    },
    Book(Box<WholeBook>),
    Trades(VecDeque<Told>),
    /// `after`: bars that ended by then were given by a history already.
    Bars {
        closed: VecDeque<BarData>,
        open: Option<BarData>,
        after: Option<Time>,
    },
}

#[derive(Debug)]
struct Slot {
    kept: Kept,
    stale: Option<String>,
    queued: bool,
    wanted: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Inbox {
    private: VecDeque<Queued>,
    slots: IndexMap<String, Slot>,
    queue: VecDeque<usize>,
}

impl Inbox {
    pub(super) fn push_private(&mut self, event: Queued) {
        self.private.push_back(event);
    }
    pub(super) fn push_front(&mut self, event: Queued) {
        self.private.push_front(event);
    }
    pub(super) fn pop_private(&mut self) -> Option<Queued> {
        self.private.pop_front()
    }
    /// Another has the session now: its numbered events are the other's to handle.
    pub(super) fn drop_numbered(&mut self) {
        self.private.retain(|queued| matches!(queued, Queued::Event(placed, _) if placed.at.is_none()));
    }
    /// Orders that an event which waits tells to be over.
    pub(super) fn ending(&self) -> impl Iterator<Item = &ClientOrderId> {
        self.private.iter().filter_map(|queued| match queued {
            Queued::Event(Placed { event: Event::Order(change), .. }, _) => {
                change.order.state.is_terminal().then_some(&change.order.order_id)
            }
            _ => None,
        })
    }
    /// Private events waiting.
    pub fn private_len(&self) -> usize {
        self.private.len()
    }
    /// Does anything wait?
    pub fn is_empty(&self) -> bool {
        self.private.is_empty() && self.queue.is_empty()
    }

    /// The place of a stream; market data of streams without one is passed over.
    pub(super) fn open(&mut self, name: &str, channel: Channel) -> SlotId {
        let kept = match channel {
            Channel::Trade => Kept::Trades(VecDeque::new()),
            Channel::Kline(_) => Kept::Bars { closed: VecDeque::new(), open: None, after: None },
            Channel::Book => Kept::Book(Box::default()),
            Channel::Mark => Kept::Newest { text: String::new(), fresh: false, read: read_mark },
            _ => Kept::Newest { text: String::new(), fresh: false, read: read_depth },
        };
        let entry = self.slots.entry(name.to_owned());
        let at = entry.index();
        entry.or_insert(Slot { kept, stale: None, queued: false, wanted: true }).wanted = true;
        SlotId(at)
    }
    /// A history gave all bars that ended by then: the live ones go on after it.
    pub(super) fn joined(&mut self, name: &str, end: Time) {
        let Some(Slot { kept: Kept::Bars { closed, open, after }, .. }) = self.slots.get_mut(name) else {
            return;
        };
        *after = (*after).max(Some(end));
        closed.retain(|bar| Some(bar.end) > *after);
        *open = open.take().filter(|bar| Some(bar.end) > *after);
    }

    /// The whole book of a `book` stream.
    pub(super) fn book(&self, slot: SlotId) -> Option<&WholeBook> {
        match &self.slots.get_index(slot.0)?.1.kept {
            Kept::Book(book) => Some(book),
            _ => None,
        }
    }
    /// Nothing more of this stream is wanted; what waits of it is dropped.
    pub(super) fn shut(&mut self, name: &str) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.wanted = false;
            slot.stale = None;
            match &mut slot.kept {
                Kept::Newest { fresh, .. } => *fresh = false,
                Kept::Book(book) => book.spoil(),
                Kept::Trades(queue) => queue.clear(),
                Kept::Bars { closed, open, after } => {
                    closed.clear();
                    (*open, *after) = (None, None);
                }
            }
        }
    }

    /// Takes the `data` text of a market frame; a stream nobody wants is passed over.
    ///
    /// # Errors
    /// Trades and bars are decoded here, and may be none.
    pub(super) fn data(&mut self, name: &str, data: &str) -> Result<(), serde_json::Error> {
        let Some((at, _, slot)) = self.slots.get_full_mut(name).filter(|(_, _, slot)| slot.wanted) else {
            return Ok(());
        };
        match &mut slot.kept {
            Kept::Book(book) => {
                if !book.take(serde_json::from_str(data)?) {
                    self.stale(name, "a change of the book is missing between the gateway and here");
                    return Ok(());
                }
                if !book.is_good {
                    return Ok(());
                }
            }
            Kept::Newest { text, fresh, .. } => {
                text.clear();
                text.push_str(data);
                *fresh = true;
            }
            Kept::Trades(queue) => {
                queue.push_back(Told::Trade(serde_json::from_str(data)?));
                if queue.len() > MAX_TRADES {
                    drop_oldest(queue);
                }
            }
            Kept::Bars { closed, open, after } => {
                let bar: BarData = serde_json::from_str(data)?;
                if after.is_some_and(|after| bar.end <= after) {
                    return Ok(());
                }
                if bar.closed {
                    // An open view of the same bar is older than its end.
                    *open = None;
                    closed.push_back(bar);
                } else {
                    *open = Some(bar);
                }
            }
        }
        slot.stale = None;
        self.enqueue(at);
        Ok(())
    }

    pub(super) fn gap(&mut self, name: &str, count: u64) {
        let Some((at, _, slot)) = self.slots.get_full_mut(name).filter(|(_, _, slot)| slot.wanted) else {
            return;
        };
        if let Kept::Trades(queue) = &mut slot.kept {
            queue.push_back(Told::Gap(count));
            self.enqueue(at);
        }
    }

    pub(super) fn stale(&mut self, name: &str, reason: &str) {
        let Some((at, _, slot)) = self.slots.get_full_mut(name).filter(|(_, _, slot)| slot.wanted) else {
            return;
        };
        match &mut slot.kept {
            Kept::Newest { fresh, .. } => *fresh = false,
            Kept::Book(book) => book.spoil(),
            _ => {}
        }
        slot.stale = Some(reason.to_owned());
        self.enqueue(at);
    }

    /// The way to the gateway is gone: whole books are not whole any more.
    pub(super) fn lost(&mut self, reason: &str) {
        let books = self.slots.iter().filter(|(_, slot)| matches!(slot.kept, Kept::Book(_)));
        let names: Vec<String> = books.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.stale(&name, reason);
        }
    }

    fn enqueue(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        if !slot.queued {
            slot.queued = true;
            self.queue.push_back(at);
        }
    }

    /// Takes the next market data: streams in the order in which their data came, one item each in turn.
    ///
    /// # Errors
    /// The stream's name and what is wrong with its data.
    pub(super) fn pop_market(&mut self) -> Option<Result<(SlotId, Market), (String, serde_json::Error)>> {
        while let Some(at) = self.queue.pop_front() {
            let (name, slot) = self.slots.get_index_mut(at).expect("slots are never removed");
            slot.queued = false;
            let Some(found) = take(slot) else { continue };
            let more = slot.stale.is_some()
                || match &slot.kept {
                    Kept::Newest { fresh, .. } => *fresh,
                    Kept::Book(book) => book.fresh,
                    Kept::Trades(queue) => !queue.is_empty(),
                    Kept::Bars { closed, open, .. } => !closed.is_empty() || open.is_some(),
                };
            let found = found.map(|market| (SlotId(at), market)).map_err(|error| (name.clone(), error));
            if more {
                self.enqueue(at);
            }
            return Some(found);
        }
        None
    }
}

/// Turns the two oldest entries into one gap, which stands where they stood.
fn drop_oldest(queue: &mut VecDeque<Told>) {
    let mut left_out = 0;
    for _ in 0..2 {
        match queue.pop_front() {
            Some(Told::Trade(_)) => left_out += 1,
            Some(Told::Gap(count)) => left_out += count,
            None => {}
        }
    }
    queue.push_front(Told::Gap(left_out));
}

fn read_depth(text: &str) -> Result<Market, serde_json::Error> {
    serde_json::from_str(text).map(Market::Depth)
}

fn read_mark(text: &str) -> Result<Market, serde_json::Error> {
    serde_json::from_str(text).map(Market::Mark)
}

fn take(slot: &mut Slot) -> Option<Result<Market, serde_json::Error>> {
    match &mut slot.kept {
        Kept::Newest { text, fresh, read } if *fresh => {
            *fresh = false;
            return Some(read(text));
        }
        Kept::Book(book) if book.fresh => {
            book.fresh = false;
            return Some(Ok(Market::Book));
        }
        Kept::Trades(queue) => match queue.pop_front() {
            Some(Told::Trade(trade)) => return Some(Ok(Market::Trade(trade))),
            Some(Told::Gap(count)) => return Some(Ok(Market::Gap(count))),
            None => {}
        },
        Kept::Bars { closed, open, .. } => {
            if let Some(bar) = closed.pop_front().or_else(|| open.take()) {
                return Some(Ok(Market::Bar(bar)));
            }
        }
        Kept::Newest { .. } | Kept::Book(_) => {}
    }
    slot.stale.take().map(|reason| Ok(Market::Stale(reason)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Interval;

    fn depth(id: u64) -> String {
        format!(r#"{{"time":1,"update_id":{id},"bids":[["0.2","10"]],"asks":[]}}"#)
    }
    fn trade(id: u64) -> String {
        format!(r#"{{"id":{id},"time":1,"price":"0.2","qty":"1","buyer_is_maker":true}}"#)
    }
    fn bar(start: u64, closed: bool) -> String {
        format!(
            r#"{{"interval":"1m","start":{start},"end":{start},"open":"1","high":"1","low":"1","close":"1","volume":"0","amount":"0","trades":0,"buy_volume":"0","buy_amount":"0","closed":{closed}}}"#
        )
    }
    fn all(inbox: &mut Inbox) -> Vec<String> {
        std::iter::from_fn(|| inbox.pop_market())
            .map(|found| match found.unwrap().1 {
                Market::Depth(depth) => format!("depth {}", depth.update_id),
                Market::Trade(trade) => format!("trade {}", trade.id),
                Market::Bar(bar) => format!("bar {} {}", bar.start.nanos(), bar.closed),
                Market::Gap(count) => format!("gap {count}"),
                Market::Stale(reason) => format!("stale {reason}"),
                Market::Mark(mark) => format!("mark {}", mark.mark),
                Market::Book => "book".to_owned(),
            })
            .collect()
    }

    #[test]
    fn only_the_newest_book_is_given() {
        let mut inbox = Inbox::default();
        inbox.open("a@bbo", Channel::Bbo);
        inbox.open("b@bbo", Channel::Bbo);
        for id in 1..=100 {
            inbox.data("a@bbo", &depth(id)).unwrap();
            inbox.data("b@bbo", &depth(1000 + id)).unwrap();
        }
        inbox.data("never@bbo", &depth(1)).unwrap();
        assert_eq!(all(&mut inbox), ["depth 100", "depth 1100"]);
        assert!(inbox.is_empty());
    }

    #[test]
    fn closing_bars_are_kept_and_open_ones_conflated() {
        let mut inbox = Inbox::default();
        inbox.open("a@kline:1m", Channel::Kline(Interval::M1));
        for (start, closed) in
            [(1, false), (1, false), (1, true), (2, false), (2, true), (3, false), (3, false)]
        {
            inbox.data("a@kline:1m", &bar(start, closed)).unwrap();
        }
        assert_eq!(all(&mut inbox), ["bar 1 true", "bar 2 true", "bar 3 false"]);
    }

    #[test]
    fn row_002_75_live_bars_go_on_where_a_history_ended() {
        let mut inbox = Inbox::default();
        inbox.open("a@kline:1m", Channel::Kline(Interval::M1));
        for (start, closed) in [(1, true), (2, true), (3, false)] {
            inbox.data("a@kline:1m", &bar(start, closed)).unwrap();
        }
        inbox.joined("a@kline:1m", Time::from_nanos(1));
        inbox.joined("never@kline:1m", Time::from_nanos(9));
        assert_eq!(all(&mut inbox), ["bar 2 true", "bar 3 false"]);
        inbox.data("a@kline:1m", &bar(3, false)).unwrap();
        inbox.joined("a@kline:1m", Time::from_nanos(3));
        inbox.data("a@kline:1m", &bar(3, true)).unwrap();
        inbox.data("a@kline:1m", &bar(4, false)).unwrap();
        assert_eq!(all(&mut inbox), ["bar 4 false"]);
    }

    #[test]
    fn trades_keep_their_order_and_say_what_is_missing() {
        let mut inbox = Inbox::default();
        inbox.open("a@trade", Channel::Trade);
        inbox.data("a@trade", &trade(1)).unwrap();
        inbox.gap("a@trade", 5);
        inbox.data("a@trade", &trade(7)).unwrap();
        assert_eq!(all(&mut inbox), ["trade 1", "gap 5", "trade 7"]);
        let most = u64::try_from(MAX_TRADES).unwrap();
        for id in 1..=most + 50 {
            inbox.data("a@trade", &trade(id)).unwrap();
        }
        let found = all(&mut inbox);
        assert_eq!(found[..2], ["gap 51".to_owned(), "trade 52".to_owned()]);
        assert_eq!(found.last().unwrap(), &format!("trade {}", most + 50));
        assert_eq!(found.len(), MAX_TRADES);
    }

    #[test]
    fn an_old_book_is_not_given_after_it_was_called_old() {
        let mut inbox = Inbox::default();
        inbox.open("a@depth", Channel::Depth);
        inbox.data("a@depth", &depth(1)).unwrap();
        inbox.stale("a@depth", "link down");
        assert_eq!(all(&mut inbox), ["stale link down"]);
        inbox.stale("a@depth", "link down");
        inbox.data("a@depth", &depth(2)).unwrap();
        assert_eq!(all(&mut inbox), ["depth 2"]);
        inbox.data("a@depth", &depth(3)).unwrap();
        inbox.shut("a@depth");
        assert_eq!(all(&mut inbox), [""; 0]);
    }

    fn change(previous: Option<u64>, id: u64, bid: &str, qty: &str) -> String {
        let previous = previous.map_or(String::new(), |id| format!(r#""previous_id":{id},"#));
        format!(r#"{{"time":{id},"update_id":{id},{previous}"bids":[["{bid}","{qty}"]],"asks":[["9","1"]]}}"#)
    }

    #[test]
    fn a_whole_book_is_always_the_newest_and_told_of_once() {
        let mut inbox = Inbox::default();
        let slot = inbox.open("a@book", Channel::Book);
        let best = |inbox: &Inbox| {
            let book = inbox.book(slot).unwrap();
            let bid = book.levels.bids().next().map(|level| format!("{} x {}", level.price, level.qty));
            (book.is_good, book.update_id, bid)
        };
        inbox.data("a@book", &change(Some(5), 6, "1", "1")).unwrap();
        assert_eq!(all(&mut inbox), [""; 0], "a change of nothing");
        inbox.data("a@book", &change(None, 10, "1", "1")).unwrap();
        inbox.data("a@book", &change(Some(8), 9, "7", "7")).unwrap();
        inbox.data("a@book", &change(Some(10), 12, "2", "3")).unwrap();
        assert_eq!(best(&inbox), (true, 12, Some("2 x 3".to_owned())));
        assert_eq!(all(&mut inbox), ["book"]);
        inbox.data("a@book", &change(Some(12), 13, "2", "0")).unwrap();
        assert_eq!(best(&inbox), (true, 13, Some("1 x 1".to_owned())));
        inbox.stale("a@book", "frozen");
        assert_eq!((all(&mut inbox), best(&inbox)), (vec!["stale frozen".to_owned()], (false, 13, None)));
        inbox.data("a@book", &change(Some(13), 14, "2", "2")).unwrap();
        assert_eq!(best(&inbox), (false, 13, None), "only the whole makes it good");
        inbox.data("a@book", &change(None, 20, "1", "1")).unwrap();
        inbox.data("a@book", &change(Some(19), 22, "1", "4")).unwrap();
        assert!(!best(&inbox).0);
        assert!(all(&mut inbox)[0].starts_with("stale a change of the book is missing"));
    }

    #[test]
    fn the_newest_mark_is_given() {
        let mut inbox = Inbox::default();
        inbox.open("a@mark", Channel::Mark);
        for mark in ["1", "2.5"] {
            let text = format!(
                r#"{{"time":1,"mark":"{mark}","index":"2","funding_rate":"-0.0001","next_funding":5}}"#
            );
            inbox.data("a@mark", &text).unwrap();
        }
        assert_eq!(all(&mut inbox), ["mark 2.5"]);
    }

    #[test]
    fn a_broken_book_is_named() {
        let mut inbox = Inbox::default();
        inbox.open("a@depth", Channel::Depth);
        inbox.data("a@depth", r#"{"time":1}"#).unwrap();
        let (name, error) = inbox.pop_market().unwrap().unwrap_err();
        assert!(name == "a@depth" && error.to_string().contains("update_id"), "{error}");
    }
}
