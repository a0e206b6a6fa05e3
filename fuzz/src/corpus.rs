//! Where inputs begin: golden frames written from the documentation, what the parts of the house say to each other, and
//! recordings of the exchange where this machine has some. Made once in a run.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tradingsys_world::product::Product;

use crate::house::{Heard, play};

/// Names a folder with recorded market data (`*.gz`, a frame a line, or whole answers `*.json.gz`).
pub const RECORDINGS: &str = "TRADINGSYS_RECORDINGS";
/// Frames taken of a recording.
const RECORDED_MAX: usize = 400;
/// Inputs of one kind: of those that look alike more say nothing new.
const ALIKE_MAX: usize = 6;
/// Longest seed of a target that reads one frame: a whole list of symbols takes too long to read again and again.
const SEED_BYTES: usize = 16 * 1024;

const OPERATOR: &str = include_str!("../../docs/golden/operator.json");
const GOLDEN: [&str; 6] = [
    include_str!("../../docs/golden/login.json"),
    include_str!("../../docs/golden/commands.json"),
    include_str!("../../docs/golden/events.json"),
    include_str!("../../docs/golden/questions.json"),
    include_str!("../../docs/golden/market.json"),
    OPERATOR,
];

/// See the module.
pub struct Corpus {
    /// What was said on spot.
    pub spot: Heard,
    /// On futures.
    pub usdt: Heard,
    /// On cross margin.
    pub margin: Heard,
    golden: Vec<(String, Value)>,
    recorded: Vec<String>,
    recorded_answers: Vec<String>,
    /// A recording as it lies on the disk, its first lines.
    pub recording: Vec<String>,
}

impl Corpus {
    /// Makes it. Recordings of that folder belong to it, if there is one.
    pub fn new(recordings: Option<&Path>) -> Self {
        let mut golden = Vec::new();
        for file in GOLDEN {
            let frames: Vec<Value> = serde_json::from_str(file).expect("the golden frames are JSON");
            golden.extend(frames.into_iter().map(|frame| (text_of(&frame["from"]), frame["frame"].clone())));
        }
        let (recorded, recorded_answers, recording) = recordings.map(recorded).unwrap_or_default();
        let (spot, usdt, margin) = (play(Product::Spot), play(Product::Usdt), play(Product::Margin));
        Self { spot, usdt, margin, golden, recorded, recorded_answers, recording }
    }

    fn all(&self) -> [&Heard; 3] {
        [&self.spot, &self.usdt, &self.margin]
    }

    fn golden_of(&self, from: &str) -> impl Iterator<Item = &Value> {
        self.golden.iter().filter(move |(of, _)| of == from).map(|(_, frame)| frame)
    }

    /// Frames of market-data hosts, and the data in them.
    pub fn market_frames(&self) -> Vec<Vec<u8>> {
        let simulated = self.all().into_iter().flat_map(|heard| &heard.frames);
        let frames: Vec<&String> =
            simulated.filter(|frame| !frame.contains("\"status\"")).chain(&self.recorded).collect();
        let inner = frames.iter().filter_map(|frame| member(frame, "data"));
        let all = frames.iter().map(|frame| frame.to_string()).chain(inner);
        few_of_each(all.chain([
            r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#.to_owned(),
            r#"{"result":null,"id":1}"#.to_owned(),
            r#"{"error":{"code":2,"msg":"Invalid request"},"id":3}"#.to_owned(),
        ]))
    }

    /// Frames of the websocket API and of private streams.
    pub fn api_frames(&self) -> Vec<Vec<u8>> {
        let frames = self.all().into_iter().flat_map(|heard| &heard.frames);
        let events: Vec<String> = frames.clone().filter_map(|frame| member(frame, "event")).collect();
        few_of_each(frames.cloned().chain(events).filter(|frame| !frame.contains("\"stream\":\"dogeusdt@")))
    }

    /// Results of questions.
    pub fn answers(&self) -> Vec<Vec<u8>> {
        let frames = self.all().into_iter().flat_map(|heard| &heard.frames);
        let bodies = self.all().into_iter().flat_map(|heard| heard.bodies.iter().cloned());
        few_of_each(frames.filter_map(|frame| member(frame, "result")).chain(bodies))
    }

    /// Lists of symbols.
    pub fn listings(&self) -> Vec<Vec<u8>> {
        let bodies = self.all().into_iter().flat_map(|heard| heard.bodies.iter().cloned());
        let frames = self.all().into_iter().flat_map(|heard| &heard.frames);
        let all = frames.filter_map(|frame| member(frame, "result")).chain(bodies);
        let mut found: Vec<String> = all.filter(|text| text.contains("\"symbols\":[")).collect();
        found.extend(self.recorded_answers.iter().cloned());
        let unique: BTreeSet<String> = found.iter().map(|text| first_symbols(text)).collect();
        unique.into_iter().map(String::into_bytes).collect()
    }

    /// Frames of clients.
    pub fn calls(&self) -> Vec<Vec<u8>> {
        let golden = self.golden_of("client").map(Value::to_string);
        few_of_each(golden.chain(self.all().into_iter().flat_map(|heard| heard.calls.iter().cloned())))
    }

    /// Frames of gateways, and what is in them.
    pub fn local_frames(&self) -> Vec<Vec<u8>> {
        let golden = self.golden_of("gateway").map(Value::to_string);
        let simulated = self.all().into_iter().flat_map(|heard| heard.local.iter().cloned());
        let frames: Vec<String> = golden.chain(simulated).collect();
        let mut inner = Vec::new();
        for frame in &frames {
            inner.extend(
                ["result", "data", "order", "position", "error"]
                    .iter()
                    .filter_map(|name| member(frame, name)),
            );
        }
        few_of_each(frames.into_iter().chain(inner))
    }

    /// What an operator is told, from the greeting on, a frame a line.
    pub fn operated(&self) -> Vec<u8> {
        let frames: Vec<Value> = serde_json::from_str(OPERATOR).expect("the golden frames are JSON");
        let told = frames.iter().filter(|frame| frame["from"] == "gateway");
        let told: Vec<String> = told.map(|frame| frame["frame"].to_string()).collect();
        told.join("\n").into_bytes()
    }

    /// Client order ids and texts that might be.
    pub fn ids(&self) -> Vec<Vec<u8>> {
        let mut found = BTreeSet::new();
        for heard in self.all() {
            for frame in &heard.calls {
                let parts = frame.split('"').filter(|part| part.len() >= 22 && part.contains('-'));
                found.extend(parts.map(str::to_owned));
            }
        }
        found.extend(
            ["o7cz1k-0x3bg0001-0002h", "web_1a2b3c", "autoclose-1630000000000", "7cz1k"].map(str::to_owned),
        );
        found.into_iter().take(60).map(String::into_bytes).collect()
    }

    /// Records of the journal.
    pub fn records(&self) -> Vec<Vec<u8>> {
        let rows = self.all().into_iter().flat_map(|heard| heard.records.iter().cloned());
        let more = [
            r#"{"kind":"scanned","symbol":"dogeusdt"}"#,
            r#"{"kind":"adjust","session":1,"symbol":"dogeusdt","revision":3,"shown":"10","qty":"12","delta":"2","time":5}"#,
            r#"{"kind":"cash","owner":{"session":1},"asset":"USDT","delta":"-0.5","reason":"transfer","time":5}"#,
            r#"{"kind":"trusted","symbol":"dogeusdt","time":5}"#,
            r#"{"kind":"end","time":1795000000000000000}"#,
        ];
        few_of_each(rows.chain(more.map(str::to_owned)))
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A member of an object, as it is written there.
fn member(frame: &str, name: &str) -> Option<String> {
    let value: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(frame).ok()?;
    let found = value.get(name)?.get();
    (found != "null").then(|| found.to_owned())
}

/// The first two symbols of a list are enough to begin with.
fn first_symbols(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    if let Some(symbols) = value.get_mut("symbols").and_then(Value::as_array_mut) {
        symbols.truncate(2);
    }
    value.to_string()
}

/// Of texts with the same words, digits and long strings not counted, a few.
fn few_of_each(texts: impl Iterator<Item = String>) -> Vec<Vec<u8>> {
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let mut kept = Vec::new();
    for text in texts.filter(|text| text.len() <= SEED_BYTES) {
        let shape: String = text.chars().filter(char::is_ascii_alphabetic).take(400).collect();
        let count = seen.entry(shape).or_default();
        *count += 1;
        if *count <= ALIKE_MAX {
            kept.push(text.into_bytes());
        }
    }
    kept
}

/// Frames, answers, and the first lines of a recording.
fn recorded(folder: &Path) -> (Vec<String>, Vec<String>, Vec<String>) {
    let (mut frames, mut answers, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "gz")).collect();
    files.sort();
    for file in files {
        let Ok(packed) = std::fs::read(&file) else { continue };
        let mut text = String::new();
        // What is cut off is recorded, too.
        let _ = flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_string(&mut text);
        if file.to_string_lossy().ends_with(".json.gz") {
            answers.push(text);
            continue;
        }
        let found = text.lines().filter_map(|line| line.split_once(' ')).map(|(_, frame)| frame.to_owned());
        frames.extend(found.filter(|frame| frame.len() < SEED_BYTES).take(RECORDED_MAX));
        lines.push(text.lines().take(60).collect::<Vec<_>>().join("\n"));
    }
    (frames, answers, lines)
}
