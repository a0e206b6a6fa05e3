//! Sessions that share one rate budget, against the simulated exchange.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tradingsys::ids::{IdKind, IdParts, Install, SessionId};

use super::*;

const SESSIONS: [u16; 3] = [1, 2, 3];

fn minted(session: u16, command: u64) -> NewOrder {
    let (install, session) = (Install::from_hash(1), SessionId(session));
    let parts = IdParts { kind: IdKind::Order, install, epoch: 1_000_000, session, command };
    NewOrder { id: ClientOrderId::mint(parts), ..resting("minted") }
}

fn holds(frame: &[u8], word: &[u8]) -> bool {
    frame.windows(word.len()).any(|part| part == word)
}

/// Asks for a cancel and does not wait for its outcome.
fn cancel(world: &mut World, order: &NewOrder) -> Result<(), NotSent> {
    let cancel = Cancel {
        symbol: order.symbol.clone(),
        id: order.id.clone(),
        venue_id: None,
        conditional: false,
        conditional_id: None,
        known_as: order.id.clone(),
        cancel_id: order.id.renamed(IdKind::Cancel),
    };
    let mut out = Outbox::default();
    let sent = world.entry.cancel(world.now, &cancel, &mut out);
    world.perform(out);
    sent
}

#[test]
fn r13_three_sessions_that_flood_share_the_budget_and_a_cancel_always_finds_room() {
    let mut venue = venue();
    (venue.limits.orders_per_10s, venue.limits.weight_per_minute) = (60, 600);
    let mut world = World::new(venue, &ours(), Span::ZERO);
    let over_limit = Rc::new(Cell::new(0));
    let counted = Rc::clone(&over_limit);
    world.sabotage = Box::new(move |frames| {
        let says =
            |frame: &&Bytes| [&b"\"status\":429"[..], b"\"status\":418"].iter().any(|s| holds(frame, s));
        counted.set(counted.get() + frames.iter().filter(says).count());
    });
    world.run_until(|event| matches!(event, VenueEvent::EntryUp));
    let sharers: BTreeSet<SessionId> = SESSIONS.into_iter().map(SessionId).collect();
    world.entry.share_among(&sharers);
    let mut sent: BTreeMap<u16, Vec<NewOrder>> = BTreeMap::new();
    let (mut held, mut canceled) = (0, 0);
    for at in 0..6_000_u64 {
        for session in SESSIONS {
            // The second floods with cancels besides, all of one order; the third wakes up late.
            if session == 3 && at < 3_000 {
                continue;
            }
            let wish = minted(session, at + 1);
            match world.place(&wish) {
                Ok(()) => sent.entry(session).or_default().push(wish),
                Err(NotSent::RateLimited { retry_at }) => {
                    assert!(retry_at > world.now);
                    held += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        if let Some(first) = sent.get(&2).and_then(|orders| orders.first().cloned()) {
            let _refused_once_its_part_is_used = cancel(&mut world, &first);
        }
        world.run(Span::from_millis(20));
        // The others cancel now and then, and are never refused: not in the last moment of a window, when what nobody
        // has used of it is anybody's.
        if at % 500 == 249 {
            for session in [1, 3] {
                if let Some(oldest) = sent.get_mut(&session).and_then(Vec::pop) {
                    assert_eq!(cancel(&mut world, &oldest), Ok(()), "session {session} at {:?}", world.now);
                    canceled += 1;
                }
            }
        }
    }
    world.run(Span::from_secs(1));
    let counts: Vec<usize> = SESSIONS.iter().map(|session| sent[session].len()).collect();
    assert!(held > 10_000 && canceled >= 12, "{held} {canceled}");
    assert!(counts.iter().all(|count| *count > 80), "each gets a part: {counts:?}");
    assert_eq!(over_limit.get(), 0, "the exchange has refused nothing for its limits");
    let refused = |event: &VenueEvent| match event {
        // How many orders may rest is another limit than how many may be sent.
        VenueEvent::Placed { outcome: PlaceOutcome::Rejected { code: -1013, message, .. }, .. } => {
            !message.contains("MAX_NUM_ORDERS")
        }
        VenueEvent::Placed { outcome, .. } => !matches!(outcome, PlaceOutcome::Accepted(_)),
        _ => false,
    };
    let found = world.events.iter().find(|(_, event)| refused(event));
    assert!(found.is_none(), "{found:?}");
}
