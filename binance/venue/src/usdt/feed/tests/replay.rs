//! The recorded perpetual through the feed: after every difference the whole book is what a naive rebuild of the raw
//! file says, within the range the recorded snapshot covers.

use tradingsys::book::BookUpdate;

use super::*;
use crate::common::rebuild::{Rebuild, recorded};

fn book() -> Stream {
    Stream { symbol: Symbol::new("btcusdt"), channel: Channel::Book }
}

fn updates(bench: &mut Bench) -> Vec<BookUpdate> {
    let book = |event| match event {
        VenueEvent::Book(_, update) => Some(update),
        _ => None,
    };
    std::mem::take(&mut bench.out.events).into_iter().filter_map(book).collect()
}

#[test]
fn i18_the_recorded_book_is_rebuilt_at_every_update() {
    let Some(frames) = recorded("usdm_btcusdt_20240808.gz") else { return };
    let snapshot = frames.iter().find(|frame| frame.get("stream").is_none()).unwrap();
    let mut rebuild = Rebuild::start(snapshot);
    let changes: Vec<&Value> = frames.iter().filter(|frame| frame["data"]["e"] == "depthUpdate").collect();
    // In the middle one difference is lost.
    let lost = changes.len() / 2;
    let mut bench = Bench::up();
    let (link, name) = bench.subscribe("book");
    assert_eq!((link, name.as_str()), (PUBLIC, "btcusdt@depth@100ms"));
    bench.asked();
    let (mut waiting, mut checked, mut synced) = (None, 0, 0);
    for (at, frame) in changes.iter().enumerate() {
        bench.now += Span::from_millis(50);
        let data = &frame["data"];
        if data["u"].as_u64().unwrap() > rebuild.update {
            rebuild.change(data);
        }
        if at == lost {
            continue;
        }
        bench.text(PUBLIC, &json!({"stream": name, "data": data}));
        let told = updates(&mut bench);
        if at == lost + 1 {
            assert!(matches!(told.as_slice(), [BookUpdate::Stale(_)]), "stale in the same step: {told:?}");
            assert_eq!(bench.feed.book(&book()), None);
        }
        waiting =
            waiting.or_else(|| bench.asked().into_iter().find(|(_, url)| url.contains("/fapi/v1/depth")));
        // The recorded snapshot was taken some differences after the first; a later one as it would be now.
        if let Some((request, _)) = waiting.take_if(|_| at > lost || at >= 20) {
            let answer = if synced > 0 { rebuild.snapshot() } else { snapshot.clone() };
            bench.answer(request, &answer.to_string());
            assert_eq!(updates(&mut bench), [BookUpdate::Fresh], "difference {at}");
            synced += 1;
        }
        if synced > 0 {
            rebuild.check(&bench.feed.book(&book()).expect("the book is good"));
            checked += 1;
        }
    }
    assert!(synced >= 2, "the first snapshot, and the one after the loss: {synced}");
    assert!(checked > changes.len() * 9 / 10, "{checked} of {}", changes.len());
}
