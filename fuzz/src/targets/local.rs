//! The local protocol, both directions, and the words and numbers of it.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use binance_wire::sign::{percent_decode, percent_encode, query};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tradingsys::client::operator::{Heard, Operator};
use tradingsys::ids::{Asset, ClientOrderId, Install, Symbol};
use tradingsys::market::{Channel, Interval, OrderStatus, OrderType, Side, Tif};
use tradingsys::num::{Cash, Percent, Price, Qty, Rate, parse_raw};
use tradingsys::wire::error::ErrorBody;
use tradingsys::wire::event::{
    BalanceView, BarData, BookData, DepthData, LoggedIn, MarkData, Numbered, OrderView, PositionView,
    Product, ProductsEvent, Snapshot, StateEvent, TradeData, Welcome,
};
use tradingsys::wire::{proof, request};

use super::{Verdict, law, shown, text};
use crate::corpus::Corpus;
use crate::json::is_json;

/// A frame of a client.
pub fn calls(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    match request::parse(text) {
        Ok(found) => {
            law(is_json(text.as_bytes()), || format!("no JSON is taken for a call: {}", shown(text)))?;
            let written = request::encode(&found);
            law(is_json(written.as_bytes()), || format!("no JSON is written: {}", shown(&written)))?;
            let again = request::parse(&written);
            law(again == Ok(found.clone()), || format!("written as {written}, read as {again:?}"))?;
            Ok(format!("{} {:?}", found.call.method(), found.id.is_some()))
        }
        Err((id, error)) => {
            let told = serde_json::to_string(&error).map_err(|error| error.to_string())?;
            law(is_json(told.as_bytes()), || format!("the refusal is no JSON: {}", shown(&told)))?;
            // A refusal is no way to have much sent back for little.
            let least = 2_000 + 8 * text.len();
            law(told.len() <= least, || format!("a refusal of {} bytes to {}", told.len(), text.len()))?;
            Ok(format!(
                "{} {} {}",
                error.name,
                id.is_some(),
                error.message.chars().take(60).collect::<String>()
            ))
        }
    }
}

/// Its corpus.
pub fn call_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    corpus.calls()
}

/// What is read is written, and read as the same.
fn both_ways<T: DeserializeOwned + Serialize + PartialEq + Debug>(
    name: &str,
    text: &str,
    taken: &mut String,
) -> Result<(), String> {
    match serde_json::from_str::<T>(text) {
        Ok(found) => {
            taken.push_str(name);
            law(is_json(text.as_bytes()), || format!("{name} is read of no JSON: {}", shown(text)))?;
            let written = serde_json::to_string(&found).map_err(|error| format!("{name}: {error}"))?;
            let again = serde_json::from_str::<T>(&written);
            let same = again.as_ref().is_ok_and(|again| *again == found);
            law(same, || format!("{name} is read as {found:?}, written as {written}, read as {again:?}"))
        }
        Err(error) => {
            taken.extend(error.to_string().chars().take(16));
            Ok(())
        }
    }
}

/// A frame of a gateway, or its inside.
pub fn frames(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let mut taken = String::new();
    both_ways::<Numbered>("event", text, &mut taken)?;
    both_ways::<StateEvent>("state", text, &mut taken)?;
    both_ways::<ProductsEvent>("products", text, &mut taken)?;
    both_ways::<Snapshot>("snapshot", text, &mut taken)?;
    both_ways::<Welcome>("welcome", text, &mut taken)?;
    both_ways::<LoggedIn>("logged in", text, &mut taken)?;
    both_ways::<OrderView>("order", text, &mut taken)?;
    both_ways::<PositionView>("position", text, &mut taken)?;
    both_ways::<BalanceView>("balance", text, &mut taken)?;
    both_ways::<Product>("product", text, &mut taken)?;
    both_ways::<DepthData>("depth", text, &mut taken)?;
    both_ways::<BookData>("book", text, &mut taken)?;
    both_ways::<MarkData>("mark", text, &mut taken)?;
    both_ways::<TradeData>("trade", text, &mut taken)?;
    both_ways::<BarData>("bar", text, &mut taken)?;
    both_ways::<ErrorBody>("error", text, &mut taken)?;
    Ok(taken)
}

/// Its corpus.
pub fn frame_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    corpus.local_frames()
}

/// The operator's token and nonce in the golden frames.
const OPERATOR: (&str, &str) =
    ("0000000000000000000000000000000000000000000000000000000000000000", "000102030405060708090a0b0c0d0e0f");

/// Frames an operator hears, a line each. Once he is in he asks again after every reply.
pub fn operator(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let mut operator = Operator::new("fuzz");
    let nothing = RawValue::from_string("{}".to_owned()).map_err(|error| error.to_string())?;
    let (mut said, mut inside, mut outcome) = (operator.opened(OPERATOR.0, OPERATOR.1), false, String::new());
    for line in text.lines() {
        let sent = request::parse(&said);
        law(sent.is_ok(), || format!("an operator says what no gateway reads: {said}: {sent:?}"))?;
        let heard = operator.take(line);
        law(is_json(line.as_bytes()) || heard.is_err(), || format!("no JSON is taken: {}", shown(line)))?;
        match heard {
            Ok(Heard::Say(frame)) => said = frame,
            Ok(Heard::In(_)) => {
                let proven = operator.gateway().is_some_and(|welcome| {
                    proof::is_gateway(OPERATOR.0, OPERATOR.1, &welcome.nonce, &welcome.proof)
                });
                law(proven, || format!("whoever proves nothing lets him in: {}", shown(line)))?;
                inside = true;
                said = operator.ask("operator.status", &nothing);
                outcome.push_str("in ");
            }
            Ok(Heard::Reply(reply)) => {
                law(inside, || format!("a reply before he is in: {}", shown(line)))?;
                said = operator.ask("operator.status", &nothing);
                outcome.push_str(if reply.is_ok() { "reply " } else { "refusal " });
            }
            Ok(Heard::Nothing) => outcome.push_str("nothing "),
            // He does not come back by himself.
            Err(error) => return Ok(format!("{outcome}{}", error.name)),
        }
    }
    Ok(outcome)
}

/// Its corpus.
pub fn operator_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    vec![corpus.operated()]
}

/// A name of an order, an installation, a proof; a text in a query.
pub fn ids(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let id = ClientOrderId::foreign(text);
    let mut outcome = "foreign".to_owned();
    if let Some(parts) = id.parts() {
        // Leading zeros of the command's number are no difference: what is minted names the same.
        let minted = ClientOrderId::mint(parts);
        law(minted.parts() == Some(parts), || {
            format!("{text:?} has the parts {parts:?}, but {minted} has not")
        })?;
        law(id.stem().parts().is_some(), || format!("the stem of {text:?} is foreign"))?;
        outcome = format!("{:?}", parts.kind);
    }
    law(id.as_str() == text, || format!("{text:?} is kept as {id}"))?;
    if let Ok(install) = text.parse::<Install>() {
        law(install.as_str() == text, || format!("{text:?} is read as {install:?}"))?;
        outcome.push_str(" install");
    }
    // Whoever does not know the token proves nothing, whatever he says.
    law(!proof::is_client("token", "aa", "bb", 1, text), || format!("{text:?} is taken for a proof"))?;
    let encoded = percent_encode(text);
    let plain = encoded.bytes().all(|byte| byte.is_ascii_graphic() && !b"&=?#+\"".contains(&byte));
    law(plain, || format!("{text:?} is encoded as {encoded}"))?;
    law(percent_decode(&encoded).as_deref() == Some(text), || {
        format!("{encoded} is decoded as something else")
    })?;
    law(query([(text, text)]) == format!("{encoded}={encoded}"), || format!("a query of {text:?}"))?;
    let folded = (Symbol::new(text), Asset::new(text));
    let twice = (Symbol::new(folded.0.as_str()), Asset::new(folded.1.as_str()));
    law(folded == twice, || format!("the case of {text:?} is folded again: {folded:?}, {twice:?}"))?;
    outcome.push_str(if percent_decode(text).is_some() { " decodes" } else { "" });
    Ok(outcome)
}

/// Its corpus.
pub fn id_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    corpus.ids()
}

/// A number is read exactly, and written as it is read.
fn number<T: FromStr + Display + PartialEq + Debug>(name: &str, text: &str) -> Result<bool, String> {
    let Ok(found) = text.parse::<T>() else { return Ok(false) };
    let written = found.to_string();
    let again = written.parse::<T>().ok();
    law(again.as_ref() == Some(&found), || {
        format!("{name} {text:?} is {found:?}, written {written}, read {again:?}")
    })?;
    Ok(true)
}

/// The digits of a plain decimal without those that say nothing: `-00.50` is (true, "", "5").
fn plain(text: &str) -> Option<(bool, &str, &str)> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let dangling = digits.ends_with('.') || digits.is_empty() || (whole.is_empty() && fraction.is_empty());
    let decimal = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let negative = text.starts_with('-') && !(whole.is_empty() && fraction.is_empty());
    (decimal && !dangling).then_some((negative, whole, fraction))
}

/// A number, or a word of the vocabulary.
pub fn numbers(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let read = parse_raw(text).map(Price::from_raw);
    let expected = plain(text);
    if let Ok(price) = read {
        let written = price.to_string();
        law(plain(&written) == expected, || format!("{text:?} is read as {written}"))?;
    }
    let fits = expected.is_some_and(|(_, whole, fraction)| whole.len() <= 15 && fraction.len() <= 10);
    law(!fits || read.is_ok(), || format!("{text:?} is not read: {read:?}"))?;
    law(read.is_err() || expected.is_some(), || format!("{text:?} is read: {read:?}"))?;
    let mut outcome = format!("{:?}", read.map(|price| price.is_zero()));
    for taken in [
        number::<Price>("price", text)?,
        number::<Qty>("quantity", text)?,
        number::<Cash>("amount", text)?,
        number::<Percent>("percentage", text)?,
        number::<Rate>("rate", text)?,
    ] {
        outcome.push(if taken { 'y' } else { 'n' });
    }
    let words = [
        Channel::from_word(text).map(|word| word.to_string()),
        Interval::from_word(text).map(|word| word.to_string()),
        Side::from_word(text).map(|word| word.to_string()),
        OrderType::from_word(text).map(|word| word.to_string()),
        OrderStatus::from_word(text).map(|word| word.to_string()),
        Tif::from_word(text).map(|word| word.to_string()),
    ];
    for word in words.into_iter().flatten() {
        law(word == text, || format!("{text:?} is read as {word:?}"))?;
        outcome.push_str(" word");
    }
    Ok(outcome)
}

/// Its corpus.
pub fn number_seeds(_: &Corpus) -> Vec<Vec<u8>> {
    let numbers = [
        "0",
        "0.2",
        "-12.5",
        "100000.00000001",
        "999999999999999.9999999999",
        "1000000000000000",
        "0.0000000001",
    ];
    let words =
        ["depth:100ms", "kline:1m", "kline:1M", "1s", "BUY", "STOP_LOSS_LIMIT", "GTC", "EXPIRED_IN_MATCH"];
    numbers.iter().chain(&words).map(|text| text.as_bytes().to_vec()).collect()
}
