//! Frames that are not as they should be: what a fault makes of one.

use bytes::Bytes;

use crate::faults::{Fault, Rule};
use crate::io::Oddity;

/// The faults that deform a frame.
pub(crate) const FRAMES: [Fault; 8] = [
    Fault::FrameGarbage,
    Fault::FrameCut,
    Fault::FrameGiant,
    Fault::FrameField,
    Fault::FrameEnum,
    Fault::FrameBinary,
    Fault::FrameFragment,
    Fault::FrameUtf8,
];

/// Length of a giant frame unless the rule says another.
pub(crate) const GIANT: usize = 4 << 20;
/// What no JSON begins with.
pub(crate) const GARBAGE: &str = "<html><body>502 Bad Gateway</body></html>";
/// Fields with few words: the status of an order in events, and in replies.
const WORDS: [&str; 2] = ["\"X\":\"", "\"status\":\""];

/// What has become of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Deformed {
    /// Another text.
    Text(Bytes),
    /// The same text in another way.
    Odd(Oddity),
}

/// Makes of a frame what a rule says.
pub(crate) fn deform(rule: &Rule, frame: &Bytes) -> Deformed {
    let text = std::str::from_utf8(frame).unwrap_or_default();
    let made = match rule.fault {
        Fault::FrameBinary => return Deformed::Odd(Oddity::Binary),
        Fault::FrameFragment => return Deformed::Odd(Oddity::Fragments),
        Fault::FrameUtf8 => return Deformed::Odd(Oddity::BadUtf8),
        Fault::FrameGarbage => GARBAGE.to_owned(),
        Fault::FrameCut => text.chars().take(text.chars().count() / 2).collect(),
        Fault::FrameGiant => {
            let room = rule.bytes.unwrap_or(GIANT).saturating_sub(text.len());
            format!("{text}{}", " ".repeat(room))
        }
        Fault::FrameField => fielded(text),
        Fault::FrameEnum => reworded(text),
        _ => text.to_owned(),
    };
    Deformed::Text(Bytes::from(made))
}

/// Every object has a field nobody knows.
fn fielded(text: &str) -> String {
    text.replace("{\"", "{\"novelty\":{\"of\":[1,null]},\"")
}

/// The first of the fields with few words has one nobody knows.
fn reworded(text: &str) -> String {
    for field in WORDS {
        if let Some((before, after)) = text.split_once(field)
            && let Some((_, rest)) = after.split_once('"')
        {
            return format!("{before}{field}NOVEL\"{rest}");
        }
    }
    text.to_owned()
}
