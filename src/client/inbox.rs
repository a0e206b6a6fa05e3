//! What was read and not yet handled: private events in order, market data conflated.
//!
//! Of a stream of book views only the newest is kept, as text: what is never shown is never decoded. Closing bars and
//! trades queue up to a bound; trades beyond it become a counted gap, the oldest first.

use std::collections::VecDeque;

use indexmap::IndexMap;

use super::event::Market;
use super::machine::Queued;
use crate::market::Channel;
use crate::wire::event::{BarData, TradeData};

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

#[derive(Debug)]
enum Kept {
    Newest { text: String, fresh: bool },
    Trades(VecDeque<Told>),
    Bars { closed: VecDeque<BarData>, open: Option<BarData> },
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
            Channel::Kline(_) => Kept::Bars { closed: VecDeque::new(), open: None },
            _ => Kept::Newest { text: String::new(), fresh: false },
        };
        let entry = self.slots.entry(name.to_owned());
        let at = entry.index();
        entry.or_insert(Slot { kept, stale: None, queued: false, wanted: true }).wanted = true;
        SlotId(at)
    }
    /// Nothing more of this stream is wanted; what waits of it is dropped.
    pub(super) fn shut(&mut self, name: &str) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.wanted = false;
            slot.stale = None;
            match &mut slot.kept {
                Kept::Newest { fresh, .. } => *fresh = false,
                Kept::Trades(queue) => queue.clear(),
                Kept::Bars { closed, open } => {
                    closed.clear();
                    *open = None;
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
            Kept::Newest { text, fresh } => {
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
            Kept::Bars { closed, open } => {
                let bar: BarData = serde_json::from_str(data)?;
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
        if let Kept::Newest { fresh, .. } = &mut slot.kept {
            *fresh = false;
        }
        slot.stale = Some(reason.to_owned());
        self.enqueue(at);
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
                    Kept::Trades(queue) => !queue.is_empty(),
                    Kept::Bars { closed, open } => !closed.is_empty() || open.is_some(),
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

fn take(slot: &mut Slot) -> Option<Result<Market, serde_json::Error>> {
    match &mut slot.kept {
        Kept::Newest { text, fresh } if *fresh => {
            *fresh = false;
            return Some(serde_json::from_str(text).map(Market::Depth));
        }
        Kept::Trades(queue) => match queue.pop_front() {
            Some(Told::Trade(trade)) => return Some(Ok(Market::Trade(trade))),
            Some(Told::Gap(count)) => return Some(Ok(Market::Gap(count))),
            None => {}
        },
        Kept::Bars { closed, open } => {
            if let Some(bar) = closed.pop_front().or_else(|| open.take()) {
                return Some(Ok(Market::Bar(bar)));
            }
        }
        Kept::Newest { .. } => {}
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

    #[test]
    fn a_broken_book_is_named() {
        let mut inbox = Inbox::default();
        inbox.open("a@depth", Channel::Depth);
        inbox.data("a@depth", r#"{"time":1}"#).unwrap();
        let (name, error) = inbox.pop_market().unwrap().unwrap_err();
        assert!(name == "a@depth" && error.to_string().contains("update_id"), "{error}");
    }
}
