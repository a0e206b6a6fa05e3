//! Several machines of streams, and what is said of them together: market data is there while one of them brings its
//! own, and is not once none does. What each of them lacks, it tells of its streams.

use tradingsys::venue::port::{Outbox, VenueEvent};

use super::Streams;

/// What was said last.
#[derive(Debug, Default)]
pub(crate) struct Several {
    up: bool,
    why: String,
}

impl Several {
    /// Says what has changed.
    pub(crate) fn settle(&mut self, parts: &[&Streams], out: &mut Outbox) {
        let up = parts.iter().any(|part| part.up);
        if up {
            if !std::mem::replace(&mut self.up, true) {
                out.events.push(VenueEvent::FeedUp);
            }
            return;
        }
        let Some(why) = parts.iter().find_map(|part| part.down.as_deref()) else { return };
        if std::mem::take(&mut self.up) || self.why != why {
            why.clone_into(&mut self.why);
            out.events.push(VenueEvent::FeedDown(why.to_owned()));
        }
    }
}
