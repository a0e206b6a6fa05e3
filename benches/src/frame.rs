//! Websocket frames, as far as programs that trust each other need them: a message is one frame.

use std::io::{self, Read};

/// Opcode of a text frame.
pub(crate) const TEXT: u8 = 1;

/// Room for what one read brings.
const ROOM: usize = 256 * 1024;

/// A frame found in the bytes that came.
pub(crate) struct Frame<'a> {
    /// What kind it is.
    pub(crate) opcode: u8,
    /// As it came, header and mask included.
    pub(crate) whole: &'a [u8],
    /// What it says, unmasked.
    pub(crate) text: &'a [u8],
}

/// Cuts a stream of bytes into frames.
pub(crate) struct Frames {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    text: Vec<u8>,
}

impl Default for Frames {
    fn default() -> Self {
        Self { bytes: vec![0; ROOM], start: 0, end: 0, text: Vec::new() }
    }
}

impl Frames {
    /// With little room at first, for one of many connections.
    pub(crate) fn small() -> Self {
        Self { bytes: vec![0; 4 * 1024], start: 0, end: 0, text: Vec::new() }
    }

    /// Reads once. False at the end of the stream.
    pub(crate) fn fill(&mut self, stream: &mut impl Read) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start.., 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.bytes.len() {
                self.bytes.resize(2 * self.end, 0);
            }
        }
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let count = stream.read(room)?;
        self.end += count;
        Ok(count > 0)
    }

    /// The head of an HTTP message, up to and with its empty line.
    pub(crate) fn head(&mut self, stream: &mut impl Read) -> io::Result<Vec<u8>> {
        loop {
            let bytes = &self.bytes[self.start..self.end];
            if let Some(at) = find(bytes, b"\r\n\r\n") {
                let head = bytes[..at + 4].to_vec();
                self.start += at + 4;
                return Ok(head);
            }
            if !self.fill(stream)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next whole frame, if it is there.
    pub(crate) fn take(&mut self) -> Option<Frame<'_>> {
        let bytes = &self.bytes[self.start..self.end];
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (length, mut at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let mask: Option<[u8; 4]> = match second & 0x80 {
            0 => None,
            _ => {
                at += 4;
                Some(bytes.get(at - 4..at)?.try_into().ok()?)
            }
        };
        let whole = at + usize::try_from(length).ok()?;
        let payload = bytes.get(at..whole)?;
        self.text.clear();
        match mask {
            None => self.text.extend_from_slice(payload),
            Some(mask) => {
                self.text.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key))
            }
        }
        let start = self.start;
        self.start += whole;
        let whole = &self.bytes[start..start + whole];
        Some(Frame { opcode: first & 0x0f, whole, text: &self.text })
    }
}

/// A text frame as a server sends it.
pub(crate) fn of_server(text: &str) -> Vec<u8> {
    let mut frame = header(text.len(), 0);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A text frame as a client sends it. The mask is zero: it costs the reader the same as any other.
pub(crate) fn of_client(text: &str) -> Vec<u8> {
    let mut frame = header(text.len(), 0x80);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

fn header(length: usize, masked: u8) -> Vec<u8> {
    let mut frame = vec![0x80 | TEXT];
    if length < 126 {
        frame.push(masked | length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        frame.push(masked | 126);
        frame.extend_from_slice(&length.to_be_bytes());
    } else {
        frame.push(masked | 127);
        frame.extend_from_slice(&(length as u64).to_be_bytes());
    }
    frame
}

/// Where something first stands.
pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The value of a member, without quotes, where it first stands. Good for frames whose values hold no escapes.
pub(crate) fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let from = text.find(&format!("\"{name}\":"))? + name.len() + 3;
    let rest = text.get(from..)?;
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split([',', '}', ']']).next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_and_both_sides_come_back() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
            let text = "x".repeat(length);
            let mut masked = of_client(&text);
            let at = masked.len() - length;
            masked[at - 4..at].copy_from_slice(&[1, 2, 3, 4]);
            for (place, byte) in masked[at..].iter_mut().enumerate() {
                *byte ^= [1, 2, 3, 4][place % 4];
            }
            let bytes = [of_server(&text), masked].concat();
            let (mut frames, mut found, mut rest) = (Frames::default(), 0, bytes.as_slice());
            loop {
                while let Some(frame) = frames.take() {
                    assert_eq!((frame.opcode, frame.text), (TEXT, text.as_bytes()));
                    found += 1;
                }
                if !frames.fill(&mut rest).unwrap() {
                    break;
                }
            }
            assert_eq!(found, 2, "{length}");
        }
    }

    #[test]
    fn members() {
        let text = r#"{"id":7,"params":{"quantity":"12","orderId":5}}"#;
        assert_eq!(member(text, "id"), Some("7"));
        assert_eq!(member(text, "quantity"), Some("12"));
        assert_eq!(member(text, "orderId"), Some("5"));
        assert_eq!(member(text, "price"), None);
    }
}
