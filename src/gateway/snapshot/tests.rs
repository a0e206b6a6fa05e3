use crate::fixtures::{doge_listing, doge_order, order_id};
use crate::gateway::tests::{Bench, START, same_start};
use crate::ids::{Install, VenueOrderId};
use crate::journal::*;
use crate::market::{OrderType, Side};
use crate::num::{Cash, Price, Qty, Rate};
use crate::wire::event::{Numbered, Private};

use super::*;

const DAY: Span = Span::from_secs(86_400);
/// How long the gateways of these tests keep acknowledged events.
const KEEP: Span = Span::from_secs(3600);

fn start(epoch: u32, time: Time) -> Record {
    let install = Install::from_hash(5).as_str().to_owned();
    Record::Start(Start { epoch, install, market: "spot".to_owned(), boot_id: "boot".to_owned(), time })
}

fn order(command: u64, time: Time) -> Record {
    let price = Some(Price::from_raw(2_000_000_000));
    Record::Order(OrderRecord { price, ..doge_order(command, OrderType::Limit, time) })
}

fn state(command: u64, word: &str, venue_id: Option<VenueOrderId>, filled: i64, time: Time) -> Record {
    Record::OrderState(OrderStateRecord {
        id: order_id(command),
        state: word.to_owned(),
        venue_id,
        conditional_id: None,
        known_as: None,
        qty: Some(Qty::whole(10)),
        price: None,
        filled: Qty::whole(filled),
        reason: None,
        time,
    })
}

fn fill(command: u64, trade_id: u64, venue_id: VenueOrderId, time: Time) -> Record {
    Record::Fill(FillRecord {
        symbol: Symbol::new("dogeusdt"),
        trade_id,
        venue_id,
        order: Some(order_id(command)),
        session: Some(SessionId(1)),
        side: Side::Buy,
        price: Price::from_raw(2_000_000_000),
        qty: Qty::whole(1),
        quote: Cash::from_raw(2_000_000_000),
        realised: None,
        fee: Cash::ZERO,
        fee_asset: None,
        maker: true,
        time,
    })
}

fn event(session: u16, generation: u64, sequence: u64, time: Time) -> Record {
    let notice =
        Private::Notice { code: "c".to_owned(), message: "m".to_owned(), symbol: None, order_id: None };
    let frame = serde_json::to_string(&Numbered { generation, sequence, time, event: notice }).unwrap();
    Record::Event { session: SessionId(session), generation, sequence, frame }
}

fn ack(session: u16, generation: u64, sequence: u64) -> Record {
    Record::Ack { session: SessionId(session), generation, sequence, time: None }
}

fn answer(session: u16, command: u64) -> Record {
    let reply = format!("{{\"result\":{{\"n\":{command}}}}}");
    Record::Answer { session: SessionId(session), epoch: 1, command, reply, time: None }
}

fn generation(generation: u64) -> Record {
    Record::Generation { generation, reason: "why".to_owned() }
}

fn cursor(trade_id: u64) -> Record {
    Record::Cursor { symbol: Symbol::new("dogeusdt"), trade_id, time: START }
}

/// Which of the records are left, by number from 1; `alive` for an end put in.
fn left(records: &[Record], now: Time) -> String {
    let mut snapshot = Snapshot::new(now, KEEP);
    for (number, record) in records.iter().enumerate() {
        snapshot.take(record, number + 1);
    }
    let word = |kept: Kept<usize>| match kept {
        Kept::Taken(number) => number.to_string(),
        Kept::Alive(_) => "alive".to_owned(),
    };
    snapshot.finish().into_iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn of_an_orders_states_in_a_run_the_last_is_left() {
    let states = [start(1, START), order(1, START), state(1, "NEW", Some(7), 0, START), fill(1, 1, 7, START)];
    let over = state(1, "FILLED", Some(7), 1, START);
    assert_eq!(left(&[&states[..], std::slice::from_ref(&over)].concat(), START), "1 2 4 5");
    let without_number = state(1, "FILLED", None, 1, START);
    let less = state(1, "CANCELED", Some(7), -1, START);
    for unlike in [without_number, less] {
        let all = [&states[..], &[unlike]].concat();
        assert_eq!(left(&all, START), "1 2 3 4 5", "what the last does not say");
    }
    let another_run = [&states[..], &[start(2, START), over.clone()]].concat();
    assert_eq!(left(&another_run, START), "1 2 3 4 5 6", "it was open at the start");
    let other_number = [&states[..], &[fill(1, 2, 8, START), over]].concat();
    assert_eq!(left(&other_number, START), "1 2 3 4 5 6", "a fill bears another number");
}

#[test]
fn events_are_left_until_they_are_acknowledged_and_old() {
    let events: Vec<Record> =
        [generation(1)].into_iter().chain((1..=4).map(|n| event(1, 1, n, START + KEEP * n as i64))).collect();
    let acked = |upto| [&events[..], &[ack(1, 1, upto), cursor(1)]].concat();
    let late = START + DAY;
    assert_eq!(left(&acked(2), late), "1 4 5 6 alive 7", "3 and 4 were not acknowledged");
    assert_eq!(left(&acked(4), late), "1 5 6 alive 7", "the newest stays");
    assert_eq!(left(&acked(4), START + KEEP * 3), "1 3 4 5 6 alive 7", "those kept for resuming");
    let twice = [&acked(2)[..], &[ack(1, 1, 4), ack(1, 0, 9), cursor(2)]].concat();
    assert_eq!(left(&twice, late), "1 5 8 alive 10", "of acknowledgements and cursors the last");
}

#[test]
fn of_a_generation_that_is_over_it_is_left_that_events_were_lost() {
    let old = |acked| {
        let events = [generation(1), event(1, 1, 1, START), event(1, 1, 2, START), ack(1, 1, acked)];
        [&events[..], &[generation(2), event(1, 2, 1, START)]].concat()
    };
    assert_eq!(left(&old(1), START), "1 3 4 5 alive 6");
    assert_eq!(left(&old(2), START), "1 4 5 alive 6");
}

#[test]
fn when_a_gateway_was_last_alive_is_left() {
    let told = event(1, 1, 1, START + DAY);
    let records =
        [start(1, START), generation(1), told, ack(1, 1, 1), generation(2), start(2, START + DAY * 90)];
    assert_eq!(left(&records, START), "1 2 4 5 alive 6");
    let ended = Record::End { time: START + DAY };
    assert_eq!(left(&[start(1, START), ended.clone(), start(2, START + DAY * 90)], START), "1 alive 3");
    assert_eq!(left(&[start(1, START), ended.clone()], START), "1 2");
    assert_eq!(left(&[start(1, START), ended, ack(1, 7, 1)], START), "1 alive 3", "it did not end in order");
}

#[test]
fn beyond_what_a_session_remembers_nothing_is_left() {
    let most = ANSWERS_MAX as u64;
    let answers: Vec<Record> = (1..=most + 2).map(|n| answer(1, n)).chain([cursor(1)]).collect();
    assert!(left(&answers, START).starts_with("3 4 5 "));
    let again: Vec<Record> = (2..=most + 1).chain([1]).map(|n| answer(1, n)).chain([cursor(1)]).collect();
    assert_eq!(left(&again, START).split(' ').count() as u64, most + 1, "the last is forgotten at once");
    let events: Vec<Record> = (1..=EVENTS_MAX as u64 + 2).map(|n| event(1, 0, n, START)).collect();
    assert!(left(&events, START).starts_with("3 4 5 "));
}

/// A journal as none was ever written: everything in any order that a fold takes.
fn anything(rng: &mut fastrand::Rng) -> Vec<Record> {
    let mut records = vec![start(1, START), generation(1), doge_listing()];
    let (mut now, mut at, mut epoch) = (START, 1, 1);
    let mut told = BTreeMap::<u16, u64>::new();
    for n in 1..rng.u64(20..200) {
        now += Span::from_millis(rng.i64(0..2_000_000));
        let session = rng.u16(1..4);
        let command = rng.u64(1..8);
        let venue_id = [None, Some(command), Some(command), Some(command + 1)][rng.usize(0..4)];
        let words = ["NEW", "UNKNOWN", "FILLED", "NOT_PLACED", "CANCELED", "PARTIALLY_FILLED"];
        let record = match rng.u8(0..16) {
            0 | 1 => order(command, now),
            2..=4 => state(command, words[rng.usize(0..6)], venue_id, rng.i64(0..4), now),
            5 | 6 => fill(command, n, rng.u64(1..4), now),
            7..=9 => {
                let next = told.entry(session).or_default();
                *next += if rng.u8(0..20) == 0 { 2 } else { 1 };
                event(session, at, *next, now)
            }
            10 | 11 => ack(
                session,
                at - u64::from(rng.u8(0..9) == 0),
                rng.u64(0..=told.get(&session).copied().unwrap_or(0)),
            ),
            12 => answer(session, rng.u64(1..5)),
            13 if rng.bool() => {
                (at, epoch) = (at + 1, epoch + 1);
                told.clear();
                now += DAY * rng.i64(0..100);
                records.extend([Record::End { time: now }].into_iter().filter(|_| rng.bool()));
                records.push(start(epoch, now));
                generation(at)
            }
            13 => {
                epoch += 1;
                now += DAY * rng.i64(0..100);
                start(epoch, now)
            }
            14 => rest(rng, n, now),
            _ => cursor(n),
        };
        records.push(record);
    }
    records.extend([Record::End { time: now }].into_iter().filter(|_| rng.bool()));
    records
}

fn rest(rng: &mut fastrand::Rng, n: u64, time: Time) -> Record {
    let (symbol, asset) = (Symbol::new("dogeusdt"), Asset::new("USDT"));
    match rng.u8(0..5) {
        0 => Record::Adjust(AdjustRecord {
            session: SessionId(1),
            symbol,
            revision: n,
            shown: Qty::ZERO,
            qty: Qty::whole(1),
            delta: Qty::whole(rng.i64(-2..3)),
            avg_price: None,
            time,
        }),
        1 => Record::Debt(DebtRecord {
            asset,
            owed: Cash::whole(rng.i64(0..9)),
            liabilities: Cash::ZERO,
            difference: Cash::ZERO,
            time,
        }),
        2 => Record::Funding(FundingRecord {
            symbol,
            charge: ChargeKind::Funding,
            time: START + KEEP * rng.i64(0..4),
            asset,
            rate: Rate::from_raw(rng.i128(1..9)),
            mark: Price::from_raw(2_000_000_000),
            paid: rng.bool().then_some(Cash::ZERO),
        }),
        3 => Record::Trusted { symbol, time },
        _ => {
            let reason = ["transfer", "difference"][rng.usize(0..2)].to_owned();
            Record::Cash(CashRecord { owner: Owner::External, asset, delta: Cash::whole(1), reason, time })
        }
    }
}

/// The oracle is the fold of all records: what a gateway knows and says at its start, to the last field.
#[test]
fn a_start_from_a_snapshot_is_the_start_from_all_records() {
    let (mut all, mut few) = (0, 0);
    for seed in 0..1_500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let records = anything(&mut rng);
        let at = rng.usize(0..=records.len());
        let now = START + DAY * rng.i64(0..400);
        let taken = now - KEEP * rng.i64(0..3);
        let snapshot = of(&records[..at], taken, KEEP);
        (all, few) = (all + at, few + snapshot.len());
        let shown = [None, Some(DAY * 88)][rng.usize(0..2)];
        let shorter = [&snapshot[..], &records[at..]].concat();
        if let Err(found) = same_start(Bench::config(), shown, &records, &shorter, now) {
            panic!("seed {seed}, snapshot of {at} records: {found}");
        }
    }
    assert!(few * 10 < all * 9, "{few} of {all} records are left");
}
