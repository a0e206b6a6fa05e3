//! The recorded market through the feed: after every difference the whole book is what a naive rebuild of the raw file
//! says, within the range the recorded snapshot covers.

use tradingsys::book::BookUpdate;

use super::*;
use crate::common::rebuild::{Rebuild, recorded};

fn updates(bench: &mut Bench) -> Vec<BookUpdate> {
    let book = |event| match event {
        VenueEvent::Book(_, update) => Some(update),
        _ => None,
    };
    bench.events().into_iter().filter_map(book).collect()
}

fn asked(bench: &mut Bench) -> Option<Value> {
    bench.sent(API).into_iter().find(|request| request["method"] == "depth")
}

#[test]
fn i18_the_recorded_book_is_rebuilt_at_every_update() {
    let Some(frames) = recorded("spot_btcusdt_20240808.gz") else { return };
    let snapshot = frames.iter().find(|frame| frame.get("stream").is_none()).unwrap();
    let mut rebuild = Rebuild::start(snapshot);
    let changes: Vec<&Value> = frames.iter().filter(|frame| frame["data"]["e"] == "depthUpdate").collect();
    // In the middle one difference is lost.
    let lost = changes.len() / 2;
    let mut bench = Bench::up();
    bench.subscribe("btcusdt", "book");
    bench.confirm(STREAMS);
    bench.sent(API);
    let (mut waiting, mut checked, mut resynced) = (None, 0, 0);
    for (at, frame) in changes.iter().enumerate() {
        bench.pass(Span::from_millis(100));
        bench.input(API, LinkInput::Alive);
        if frame["data"]["u"].as_u64().unwrap() > rebuild.update {
            rebuild.change(&frame["data"]);
        }
        if at == lost {
            continue;
        }
        bench.text(STREAMS, frame);
        let told = updates(&mut bench);
        if at == lost + 1 {
            assert!(matches!(told.as_slice(), [BookUpdate::Stale(_)]), "stale in the same step: {told:?}");
            assert_eq!(bench.feed.book(&stream("btcusdt", "book")), None);
        }
        waiting = waiting.or_else(|| asked(&mut bench));
        // The recorded snapshot was taken some differences after the first; a later one as it would be now.
        if let Some(request) = waiting.take_if(|_| at > lost || at >= 20) {
            let answer = if at > lost { rebuild.snapshot() } else { snapshot.clone() };
            bench.reply(&request, &answer);
            assert_eq!(updates(&mut bench), [BookUpdate::Fresh], "difference {at}");
            resynced += 1;
        }
        if resynced > 0 {
            rebuild.check(&bench.feed.book(&stream("btcusdt", "book")).expect("the book is good"));
            checked += 1;
        }
    }
    assert_eq!(resynced, 2, "the first snapshot, and the one after the loss");
    assert!(checked > changes.len() * 9 / 10, "{checked} of {}", changes.len());
}
