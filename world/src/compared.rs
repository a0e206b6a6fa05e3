//! I19: no order leaves before the gateway has read which orders are open, by what goes over the wires alone.

use std::collections::BTreeSet;

use tradingsys::ids::LinkId;

use crate::world::World;

/// What a run of the gateway has asked, and whether it has been answered.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Ids of questions for open orders, and links that ask for them over HTTP.
    asked: BTreeSet<String>,
    asking: BTreeSet<LinkId>,
    answered: bool,
}

/// A number or a plain word under a name in a frame that is JSON without spaces.
fn value<'a>(frame: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = frame.split_once(&format!("\"{name}\":"))?;
    rest.split([',', '}']).next().map(|value| value.trim_matches('"'))
}

impl World {
    /// A frame of the gateway sets out.
    pub(crate) fn compare_frame(&mut self, frame: &str) {
        match value(frame, "method") {
            Some("order.place") => self.compare_order(),
            Some("openOrders.status") => {
                self.compared.asked.extend(value(frame, "id").map(str::to_owned));
            }
            _ => {}
        }
    }

    /// A request of the gateway sets out.
    pub(crate) fn compare_request(&mut self, link: LinkId, method: &str, url: &str) {
        let path = url.split_once('?').map_or(url, |(path, _)| path);
        if method == "GET" && path.ends_with("/openOrders") {
            self.compared.asking.insert(link);
        } else if method == "POST" && path.ends_with("/order") {
            self.compare_order();
        }
    }

    /// A frame reaches the gateway.
    pub(crate) fn compare_reply(&mut self, frame: &str) {
        let of_it = value(frame, "id").is_some_and(|id| self.compared.asked.contains(id));
        self.compared.answered |= of_it && frame.contains("\"status\":200");
    }

    /// An answer reaches the gateway.
    pub(crate) fn compare_answer(&mut self, link: LinkId, status: u16) {
        self.compared.answered |= self.compared.asking.remove(&link) && status == 200;
    }

    fn compare_order(&mut self) {
        if !self.compared.answered {
            let found = "open orders were not read since its start".to_owned();
            self.violate("I19 no order leaves before the exchange is compared with", found);
        }
    }
}
