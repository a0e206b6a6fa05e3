//! What a user changed in `position` while no gateway looked: each difference to the shadow, understood or
//! named.

use std::collections::BTreeMap;

use rusqlite::Connection;
use tradingsys::gateway::io::{BadEdit, Edit};
use tradingsys::ids::{SessionId, Symbol};
use tradingsys::num::{Price, Qty};

use super::mirror::Mirror;
use super::{Key, Shown, Texts};
use crate::store::typed;

/// Why a row that is gone does not count as deleted.
pub(super) const MISPLACED: &str =
    "it is gone, and there is a row that cannot be understood: is that the one?";

/// A row as it stands in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawRow {
    session: i64,
    market: String,
    symbol: String,
    side: String,
    texts: Texts,
}

/// One difference.
#[derive(Debug)]
pub(super) enum Difference {
    Edit(Edit),
    /// None: the row stands as it was shown.
    AsShown(Edit),
    /// The row's key, if it has one.
    Bad(Option<Key>, BadEdit),
}

/// All rows of `position`. A missing table reads as an error.
pub(super) fn read_rows(connection: &Connection) -> rusqlite::Result<Vec<RawRow>> {
    let mut select =
        connection.prepare("SELECT session_id, market, symbol, side, qty, avg_price FROM position")?;
    let rows = select.query_map([], |row| {
        Ok(RawRow {
            session: row.get(0)?,
            market: row.get(1)?,
            symbol: row.get(2)?,
            side: row.get(3)?,
            texts: Texts { qty: row.get(4)?, avg_price: row.get(5)? },
        })
    })?;
    rows.collect()
}

/// Compares the rows with the shadow, and notes in the mirror what is expected to stand in each row from now
/// on.
pub(super) fn compare(mirror: &mut Mirror, rows: Vec<RawRow>, market: &str, inserts: u64) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut present: BTreeMap<Key, Texts> = BTreeMap::new();
    let mut misplaced = false;
    for row in rows {
        match key_of(&row, market) {
            Ok(key) => {
                present.insert(key, row.texts);
            }
            Err(reason) => {
                let symbol = Symbol::new(&row.symbol);
                let reason = format!(
                    "position row ({}, {:?}): {reason}; mend that row and restart",
                    row.session, row.symbol
                );
                differences.push(Difference::Bad(None, BadEdit { symbol: Some(symbol), reason }));
                misplaced = true;
            }
        }
    }
    let shown = mirror.all_shown();
    let mut keys: Vec<Key> = shown.keys().chain(present.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let found = present.remove(&key);
        let row = shown.entry(key.clone()).or_insert(Shown { shadow: None, expected: None, revision: 0 });
        let outcome = match difference(&key, row, found.as_ref(), inserts) {
            // Perhaps the user did not delete it but spoiled what it is found by: no reason to book it to zero.
            Ok(Some(_)) if misplaced && found.is_none() => Err(MISPLACED.to_owned()),
            outcome => outcome,
        };
        match outcome {
            Ok(edit) => {
                let as_shown = || row_as_shown(&key, row).map(Difference::AsShown);
                differences.extend(edit.map(Difference::Edit).or_else(as_shown));
                row.expected = found;
            }
            Err(reason) => {
                // A row the gateway had shown is deleted only to say that nothing is held.
                let advice = if row.shadow.is_some() { "mend that row" } else { "mend or DELETE that row" };
                let (session, symbol) = (key.0, key.1.as_str());
                let reason = format!("position row ({session}, {symbol:?}): {reason}; {advice} and restart");
                let bad = BadEdit { symbol: Some(key.1.clone()), reason };
                differences.push(Difference::Bad(Some(key), bad));
            }
        }
    }
    differences
}

fn key_of(row: &RawRow, market: &str) -> Result<Key, String> {
    let session = u16::try_from(row.session)
        .map_err(|_| format!("session_id {} is not between 0 and 65535", row.session))?;
    if row.market != market {
        return Err(format!("market {:?} is not this gateway's {market:?}", row.market));
    }
    if row.side != "BOTH" {
        return Err(format!("side {:?} must be 'BOTH'", row.side));
    }
    if row.symbol.is_empty() || !row.symbol.bytes().all(|b| b.is_ascii_graphic()) && row.symbol.is_ascii() {
        return Err("symbol is empty or has blanks in it".into());
    }
    Ok((SessionId(session), Symbol::new(&row.symbol)))
}

/// What the row says, where it says what was shown.
fn row_as_shown(key: &Key, shown: &Shown) -> Option<Edit> {
    let texts = shown.shadow.as_ref()?;
    let qty = typed::number::<Qty>(&texts.qty).ok()?;
    let avg_price = typed::number::<Price>(&texts.avg_price).ok()?;
    Some(Edit {
        session: key.0,
        symbol: key.1.clone(),
        revision: shown.revision,
        shown: qty,
        found: qty,
        shown_avg: Some(avg_price),
        found_avg: Some(avg_price),
    })
}

fn difference(key: &Key, shown: &Shown, found: Option<&Texts>, inserts: u64) -> Result<Option<Edit>, String> {
    if shown.shadow.as_ref() == found {
        return Ok(None);
    }
    let found_qty = found.map_or(Ok(Qty::ZERO), |texts| {
        typed::number::<Qty>(&texts.qty).map_err(|error| format!("qty {error}"))
    })?;
    let found_avg = found
        .map(|texts| typed::number::<Price>(&texts.avg_price).map_err(|error| format!("avg_price {error}")))
        .transpose()?;
    if found_avg.is_some_and(Price::is_negative) {
        return Err("avg_price is negative".into());
    }
    if found_avg.is_some_and(|price| price.worth(found_qty).is_none()) {
        return Err("qty times avg_price is over 10^15".into());
    }
    let unreadable = |error| format!("what was shown cannot be read: {error}");
    let shown_qty =
        shown.shadow.as_ref().map_or(Ok(Qty::ZERO), |texts| typed::number(&texts.qty)).map_err(unreadable)?;
    let shown_avg = shown
        .shadow
        .as_ref()
        .map(|texts| typed::number::<Price>(&texts.avg_price))
        .transpose()
        .map_err(unreadable)?;
    // A price nobody gave is no price.
    let found_avg =
        if shown.shadow.is_none() { found_avg.filter(|price| !price.is_zero()) } else { found_avg };
    let same_price = found.is_none() || found_avg.unwrap_or_default() == shown_avg.unwrap_or_default();
    if found_qty == shown_qty && same_price {
        return Ok(None);
    }
    Ok(Some(Edit {
        session: key.0,
        symbol: key.1.clone(),
        revision: if shown.shadow.is_some() { shown.revision } else { inserts },
        shown: shown_qty,
        found: found_qty,
        shown_avg,
        found_avg,
    }))
}
