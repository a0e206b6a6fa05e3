//! What a gateway reads at its start: the whole journal, or a snapshot of it and the records after that, which must
//! come to the same.

use fastrand::Rng;
use tradingsys::gateway::io::{Edit, GatewayConfig};
use tradingsys::gateway::{Gateway, snapshot};
use tradingsys::journal::Record;
use tradingsys::time::Span;

use crate::world::{World, key};

/// One start in so many is compared with a start from the whole journal, to the last field.
const COMPARED: u32 = 8;

impl World {
    /// In every second start a snapshot stands for the records up to anywhere.
    pub(crate) fn recalled(&mut self, config: &GatewayConfig, edits: &[Edit]) -> Vec<Record> {
        // Of its own: schedules stay what they were.
        let mut rng = Rng::with_seed(self.plan.seed ^ (u64::from(self.run) << 32));
        let taken = rng.usize(0..=self.journal.len());
        if taken == 0 || rng.bool() {
            return self.journal.clone();
        }
        if rng.u32(0..COMPARED) == 0 {
            let retention = if rng.bool() { config.retention } else { Span::ZERO };
            self.compare_start(taken, &GatewayConfig { retention, ..config.clone() }, edits);
        }
        self.strike("start from a snapshot");
        self.snapshot(taken, config.retention)
    }

    fn snapshot(&self, taken: usize, keep: Span) -> Vec<Record> {
        let mut records = snapshot::of(&self.journal[..taken], self.now, keep);
        records.extend_from_slice(&self.journal[taken..]);
        records
    }

    fn compare_start(&mut self, taken: usize, config: &GatewayConfig, edits: &[Edit]) {
        let all = self.first_words(config.clone(), &self.journal, edits);
        let fewer = self.first_words(config.clone(), &self.snapshot(taken, config.retention), edits);
        if let Some(at) = all.bytes().zip(fewer.bytes()).position(|(a, b)| a != b) {
            let near = |text: &str| text.chars().skip(at.saturating_sub(100)).take(200).collect::<String>();
            let of = format!("a snapshot of {taken} of {} records", self.journal.len());
            self.violate("snapshot", format!("{of} makes {:?}, all make {:?}", near(&fewer), near(&all)));
        }
    }

    /// All that a gateway that starts from these records knows and says.
    fn first_words(&self, config: GatewayConfig, records: &[Record], edits: &[Edit]) -> String {
        let mut out = Vec::new();
        let (feed, entry) = self.plan.product.ports(key(), self.plan.seed, self.plan.life);
        let made = Gateway::new(config, records, edits.to_vec(), Vec::new(), feed, entry, self.now, &mut out);
        format!("{made:?} {out:?}")
    }
}
