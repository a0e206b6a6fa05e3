//! A gateway that stood still for longer than it lets a link be silent: what it knows of the exchange is old, and all
//! of its links may be dead without a word. No time passes here, so ninety seconds cost nothing.

use serde_json::json;
use tradingsys::client::event::Market;
use tradingsys::ids::Symbol;
use tradingsys::market::{Channel, Side, Stream};
use tradingsys::time::{Span, Time};

use crate::bench::Bench;
use crate::bench::still::Found;

const WAY: (i64, i64) = (5, 25);
/// How long the gateway lets a link be silent, and the exchange a ping unanswered.
const SILENCE: Span = Span::from_secs(25);
const GIVEN_UP: Span = Span::from_secs(85);
/// From waking until all is well: links are dialled, everything is asked twice, an order in doubt is proven absent.
const HEALED_WITHIN: Span = Span::from_secs(30);

/// What the strategy had done when the gateway stood still.
struct Scene {
    bench: Bench,
    symbol: Symbol,
    /// An order that the market fills meanwhile, and one that it leaves.
    filled: String,
    stays: String,
    /// One whose cancel is on its way, and one that is itself.
    canceled: String,
    sent: String,
    /// One whose request is lost on the way.
    lost: String,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let symbol = Symbol::new("dogeusdt");
        let mut bench = Bench::of(seed, std::slice::from_ref(&symbol), WAY, 10);
        bench.bring_into_use(&symbol);
        bench.subscribe(Stream { symbol: symbol.clone(), channel: Channel::Depth });
        let mut rests = |price: &str| {
            let id = bench.order(&symbol, Side::Buy, Some(price), 300);
            bench.pass(Span::from_millis(500));
            assert_eq!(state(&bench, &id), Some("NEW"), "seed {seed}");
            id
        };
        let (filled, stays, canceled) = (rests("0.15"), rests("0.1"), rests("0.11"));
        bench.pass(Span::from_millis(i64::try_from(seed % 89).expect("small") * 7));
        assert!(fresh(&bench).is_some(), "seed {seed}: the book is there");
        bench.faults(&json!([{"fault": "request.drop", "method": "order.place", "nth": 1}]));
        let lost = bench.order(&symbol, Side::Buy, Some("0.12"), 300);
        let sent = bench.order(&symbol, Side::Buy, Some("0.13"), 300);
        bench.cancel(&canceled);
        // Requests are on their way, and no answer has come.
        bench.pass(Span::from_millis(2));
        Self { bench, symbol, filled, stays, canceled, sent, lost }
    }

    /// All is as it should be: told, booked, and the market's books are of now.
    fn is_well(&self, woke: Time) -> bool {
        let Self { bench, .. } = self;
        let told = [
            (&self.filled, "FILLED"),
            (&self.stays, "NEW"),
            (&self.canceled, "CANCELED"),
            (&self.sent, "NEW"),
            (&self.lost, "REJECTED"),
        ];
        bench.is_ready()
            && told.iter().all(|(id, wanted)| state(bench, id) == Some(wanted))
            && fresh(bench).is_some_and(|at| at > woke)
    }
}

fn state<'a>(bench: &'a Bench, id: &str) -> Option<&'a str> {
    bench.last_told(id).map(|(_, order)| order.state.as_str())
}

/// When the book that the strategy has now was told, if it is one to trade by.
fn fresh(bench: &Bench) -> Option<Time> {
    match bench.market.last()? {
        (at, Market::Depth(_)) => Some(*at),
        _ => None,
    }
}

fn asked(bench: &Bench, methods: &[&str]) -> u32 {
    methods.iter().filter_map(|method| bench.requests.get(*method)).sum()
}

/// One standstill, and what becomes of everything.
fn stands_still(seed: u64, length: Span, found: Found) {
    let case = format!("seed {seed}, {length:?}, {found:?}");
    let mut scene = Scene::new(seed);
    let links = scene.bench.links();
    let slept = scene.bench.now;
    scene.bench.stand_still();
    scene.bench.pass(Span::from_secs(3));
    scene.bench.control("POST", "price", &json!({"symbol": "DOGEUSDT", "price": "0.14"}));
    scene.bench.run_until(slept + length, |_| false);
    let (woke, shown) = (scene.bench.now, scene.bench.market.len());
    let orders = ["order.status", "openOrders.status"];
    let before = [asked(&scene.bench, &orders), asked(&scene.bench, &["time"])];
    scene.bench.go_on(found);
    scene.bench.pass(Span::from_secs(1));
    if length > GIVEN_UP || length > SILENCE && matches!(found, Found::Nothing | Found::Words(0)) {
        let kept: Vec<_> = scene.bench.links().into_iter().filter(|link| links.contains(link)).collect();
        assert!(kept.is_empty(), "{case}: {kept:?} of {links:?} are taken for alive");
        let told = &scene.bench.market[shown..];
        let stale = told.iter().position(|(_, market)| matches!(market, Market::Stale(_)));
        let good = told.iter().rposition(|(_, market)| matches!(market, Market::Depth(_)));
        assert!(stale.is_some(), "{case}: nobody was told that the book is old: {told:?}");
        assert!(good.is_none_or(|good| Some(good) < stale || told[good].0 > woke), "{case}: {told:?}");
        assert!(!scene.bench.is_ready(), "{case}: orders are taken before anything was compared");
    }
    let end = woke + HEALED_WITHIN;
    while !scene.is_well(woke) {
        let step = scene.bench.now + Span::from_millis(50);
        scene.bench.run_until(step, |_| false);
        let told = scene.bench.told.iter().map(|(at, order)| (*at, order.order_id.as_str(), order.state));
        assert!(step < end, "{case}: {:#?} {:?}", scene.bench.logs, told.collect::<Vec<_>>());
    }
    let Scene { mut bench, symbol, filled, .. } = scene;
    let after = [asked(&bench, &orders), asked(&bench, &["time"])];
    assert!(after[0] > before[0], "{case}: nobody asked for the orders");
    assert!(after[1] > before[1], "{case}: the clocks were not compared again");
    assert_eq!(bench.last_told(&filled).map(|(_, order)| order.filled.to_string()), Some("300".to_owned()));
    let ends =
        bench.told.iter().filter(|(_, o)| o.order_id.as_str() == filled && o.state.as_str() == "FILLED");
    assert_eq!(ends.count(), 1, "{case}: told once");
    let next = bench.order(&symbol, Side::Buy, None, 200);
    bench.pass(Span::from_secs(1));
    assert_eq!(state(&bench, &next), Some("FILLED"), "{case}");
    let booked: std::collections::BTreeSet<_> = bench.booked.iter().cloned().collect();
    assert_eq!(bench.booked.len(), booked.len(), "{case}: booked twice");
    assert_eq!(booked, bench.trades, "{case}: every trade is booked");
}

#[test]
fn r63_after_a_standstill_of_ninety_seconds_links_are_found_dead_and_all_is_asked_anew() {
    for seed in 0..12 {
        for found in
            [Found::Words(0), Found::Words(1), Found::Words(40), Found::Words(usize::MAX), Found::Nothing]
        {
            stands_still(seed, Span::from_secs(90), found);
        }
    }
}

/// Around half the silence allowed, all of it, and the time after which the exchange hangs up; and far beyond.
#[test]
fn r63_a_standstill_of_any_length_heals() {
    for (seed, seconds) in (100..).zip([5, 12, 13, 24, 26, 40, 59, 61, 79, 81, 120, 600]) {
        for found in [Found::Words(0), Found::Words(3), Found::Words(usize::MAX), Found::Nothing] {
            stands_still(seed, Span::from_secs(seconds), found);
        }
    }
}
