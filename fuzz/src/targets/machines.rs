//! Whole machines of the product, put through scripts of what they hear.

use std::collections::BTreeMap;

use tradingsys::client::machine::{Client, Input as ClientInput, Output as ClientOutput};
use tradingsys::gateway::Gateway;
use tradingsys::gateway::io::{Input, Output};
use tradingsys::ids::LinkId;
use tradingsys::journal::Record;
use tradingsys::time::Time;
use tradingsys::venue::port::{LinkAction, LinkInput};
use tradingsys::wire::request;
use tradingsys_world::product::Product;

use super::{Verdict, law, shown, text};
use crate::corpus::Corpus;
use crate::house::{self, CONN, NONCE, START, TOKEN};
use crate::json::is_json;
use crate::script::{Step, steps};

/// Timers at one instant before a machine counts as going round in circles.
const TIMERS_MAX: usize = 200;
/// Bytes a gateway may send in answer to one input: a recovery asks much, a login is told all there is.
const BYTES_MAX: usize = 4 << 20;

struct Rig {
    product: Product,
    now: Time,
    gateway: Gateway,
    records: Vec<Record>,
    /// What was sent, and how often.
    sent: BTreeMap<&'static str, usize>,
    bytes: usize,
}

/// A gateway of spot.
pub fn spot(input: &[u8]) -> Verdict {
    gateway(Product::Spot, input)
}

/// Of futures.
pub fn usdt(input: &[u8]) -> Verdict {
    gateway(Product::Usdt, input)
}

/// Of cross margin.
pub fn margin(input: &[u8]) -> Verdict {
    gateway(Product::Margin, input)
}

/// Its corpus: what it heard in the house.
pub fn spot_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    vec![corpus.spot.gateway.text().as_bytes().to_vec()]
}

/// See there.
pub fn usdt_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    vec![corpus.usdt.gateway.text().as_bytes().to_vec()]
}

/// See there.
pub fn margin_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    vec![corpus.margin.gateway.text().as_bytes().to_vec()]
}

fn gateway(product: Product, input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let mut out = Vec::new();
    let gateway = house::gateway(product, &[], &mut out).ok_or("a gateway does not start on nothing")?;
    let mut rig = Rig { product, now: START, gateway, records: Vec::new(), sent: BTreeMap::new(), bytes: 0 };
    rig.perform(out)?;
    for step in steps(text) {
        rig.wait(step.after)?;
        rig.step(&step)?;
    }
    rig.starts_again()?;
    let many: Vec<String> = rig.sent.iter().map(|(what, count)| format!("{what}{}", count.ilog2())).collect();
    Ok(many.join(" "))
}

impl Rig {
    fn wait(&mut self, span: tradingsys::time::Span) -> Result<(), String> {
        let end = self.now + span;
        let mut rounds = 0;
        while let Some(due) = self.gateway.deadline().filter(|due| *due <= end) {
            rounds = if due > self.now { 0 } else { rounds + 1 };
            law(rounds < TIMERS_MAX, || {
                format!("the timer of {:?} comes again and again", due.since(START))
            })?;
            self.now = self.now.max(due);
            self.take(Input::Timer)?;
        }
        self.now = end;
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), String> {
        let link = LinkId(step.number);
        match step.kind {
            'U' => self.take(Input::Link(link, LinkInput::Up)),
            'D' => self.take(Input::Link(link, LinkInput::Down("closed"))),
            'A' => self.take(Input::Link(link, LinkInput::Alive)),
            'T' => self.take(Input::Link(link, LinkInput::Text(step.rest))),
            'H' => match house::response(step.rest) {
                Some((status, headers, body)) => {
                    self.take(Input::Link(link, LinkInput::Response { status, headers: &headers, body }))
                }
                None => Ok(()),
            },
            'o' => self.take(Input::ClientOpened(CONN)),
            'c' => self.take(Input::ClientClosed(CONN)),
            'f' => self.client_frame(step.rest),
            _ => Ok(()),
        }
    }

    /// What cannot be understood is answered or ends the connection, and does nothing else.
    fn client_frame(&mut self, frame: &str) -> Result<(), String> {
        let refused = request::parse(frame).is_err();
        let mut out = Vec::new();
        self.gateway.handle(self.now, Input::ClientFrame(CONN, frame), &mut out);
        if refused {
            let deed = out.iter().find(|output| {
                !matches!(output, Output::Ready(_) | Output::Log(_) | Output::CloseClient(..))
            });
            law(deed.is_none(), || format!("a frame that is none does {deed:?}: {}", shown(frame)))?;
        }
        self.perform(out)
    }

    fn take(&mut self, input: Input<'_>) -> Result<(), String> {
        let mut out = Vec::new();
        self.gateway.handle(self.now, input, &mut out);
        self.perform(out)
    }

    fn perform(&mut self, out: Vec<Output>) -> Result<(), String> {
        self.bytes = 0;
        let mut waiting = out;
        while !waiting.is_empty() {
            let mut next = Vec::new();
            for output in waiting {
                let what = self.output(output, &mut next)?;
                *self.sent.entry(what).or_default() += 1;
            }
            law(self.bytes <= BYTES_MAX, || format!("{} bytes are sent after one input", self.bytes))?;
            waiting = next;
        }
        Ok(())
    }

    fn output(&mut self, output: Output, next: &mut Vec<Output>) -> Result<&'static str, String> {
        Ok(match output {
            Output::Link(action) => return self.action(action),
            Output::Ready(conn) => {
                while let Some(frame) = self.gateway.pull(self.now, conn) {
                    self.bytes += frame.len();
                    let told = String::from_utf8_lossy(&frame);
                    law(is_json(&frame), || format!("a client is told no JSON: {}", shown(&told)))?;
                }
                "told"
            }
            Output::Commit(batch) => {
                self.records.extend(batch.records);
                self.gateway.handle(self.now, Input::Committed(batch.id), next);
                "committed"
            }
            Output::Log(log) => {
                let impossible = log.event == "impossible order event";
                law(!impossible, || format!("an order's life left its table: {}", log.fields))?;
                log.event
            }
            Output::CloseClient(..) => "closed",
            Output::Keep(number, _) => {
                self.gateway.handle(self.now, Input::Kept(number, Ok(())), next);
                "kept"
            }
            Output::Project(_) => "shown",
            Output::KeyRefused(_) => "key refused",
            Output::Refused(_) => "refused",
            Output::Stopped => "stopped",
        })
    }

    fn action(&mut self, action: LinkAction) -> Result<&'static str, String> {
        Ok(match action {
            LinkAction::Open { url, .. } => {
                law(is_address(&url), || format!("no address: {url:?}"))?;
                "open"
            }
            LinkAction::Send { text, .. } => {
                self.bytes += text.len();
                let words = String::from_utf8_lossy(&text);
                law(is_json(&text), || format!("the exchange is sent no JSON: {}", shown(&words)))?;
                "send"
            }
            LinkAction::Close { .. } => "close",
            LinkAction::Request { url, headers, .. } => {
                law(is_address(&url), || format!("no address: {url:?}"))?;
                let broken = headers.iter().find(|(_, value)| value.contains(['\r', '\n']));
                law(broken.is_none(), || format!("a header field of two lines: {broken:?}"))?;
                "request"
            }
        })
    }

    /// What was journaled can be written, read, and started from.
    fn starts_again(&self) -> Result<(), String> {
        for record in &self.records {
            let written = serde_json::to_string(record).map_err(|error| format!("{record:?}: {error}"))?;
            let again = serde_json::from_str::<Record>(&written);
            let same = again.as_ref().is_ok_and(|again| again == record);
            law(same, || format!("journaled {record:?}, written as {written}, read as {again:?}"))?;
        }
        let again = house::gateway(self.product, &self.records, &mut Vec::new());
        law(again.is_some(), || "a gateway does not start on its own journal".to_owned())
    }
}

fn is_address(url: &str) -> bool {
    url.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The SDK's machine.
pub fn client(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let (mut client, mut now) = (house::client(), START);
    let mut sent = BTreeMap::<String, usize>::new();
    let mut out = Vec::new();
    client.handle(now, ClientInput::Start, &mut out);
    for step in steps(text) {
        let end = now + step.after;
        let mut rounds = 0;
        while let Some(due) = client.deadline().filter(|due| *due <= end) {
            rounds = if due > now { 0 } else { rounds + 1 };
            law(rounds < TIMERS_MAX, || "the timer comes again and again".to_owned())?;
            now = now.max(due);
            client.handle(now, ClientInput::Timer, &mut out);
        }
        now = end;
        match step.kind {
            'K' => client.handle(now, ClientInput::Opened { token: TOKEN, nonce: NONCE }, &mut out),
            'F' => hears(&mut client, now, step.rest, &mut out)?,
            'L' => client.handle(now, ClientInput::Lost(None, "lost"), &mut out),
            'a' => house::act(&mut client, now, step.number, &mut out),
            _ => {}
        }
        client.begin();
        house::read_all(&mut client, &mut out);
        for output in out.drain(..) {
            let what = match output {
                ClientOutput::Send(frame) => {
                    let read = request::parse(&frame);
                    law(read.is_ok(), || format!("a client sends what no gateway reads: {frame}: {read:?}"))?;
                    read.map(|call| call.call.method().to_owned()).unwrap_or_default()
                }
                ClientOutput::Connect => "connect".to_owned(),
                ClientOutput::Disconnect(code, _) => format!("leave {code}"),
            };
            *sent.entry(what).or_default() += 1;
        }
    }
    let many: Vec<String> = sent.iter().map(|(what, count)| format!("{what}{}", count.ilog2())).collect();
    Ok(format!("{} {}", many.join(" "), client.is_closed()))
}

/// What is no JSON changes neither orders nor positions.
fn hears(client: &mut Client, now: Time, frame: &str, out: &mut Vec<ClientOutput>) -> Result<(), String> {
    let known =
        |client: &Client| (client.orders().open().count(), client.positions().clone(), client.cursor());
    let before = known(client);
    client.handle(now, ClientInput::Frame(frame), out);
    let after = known(client);
    let same = is_json(frame.as_bytes()) || before == after;
    law(same, || format!("what is no JSON changes {before:?} to {after:?}: {}", shown(frame)))
}

/// Its corpus.
pub fn client_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    [&corpus.spot, &corpus.usdt, &corpus.margin].map(|heard| heard.client.text().as_bytes().to_vec()).to_vec()
}
