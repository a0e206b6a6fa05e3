//! What stands in the gateway's own tables, held in memory: it says what is expected in `position`, carries
//! the checksum along row by row, and can write the whole file anew.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};
use sha2::{Digest as _, Sha256};
use tradingsys::gateway::io::{AssetRow, FeeRow, PositionRow};
use tradingsys::ids::{SessionId, Symbol};
use tradingsys::journal::Owner;

use super::{Applied, Key, Shown, Texts, meta};
use crate::store::chain::hex;

/// Rows of the gateway's tables: by table and key columns, the value columns.
type Cells = BTreeMap<(&'static str, String, String), String>;

#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    shown: BTreeMap<Key, Shown>,
    cells: Cells,
    /// Exclusive or of the hashes of all rows: independent of their order, and changed row by row.
    folded: [u8; 32],
}

const SHADOW: &str = "_shadow";
const ASSET: &str = "_asset";
const PROFIT: &str = "_profit";
const FEE: &str = "_fee";

impl Mirror {
    pub(super) fn shown(&self, key: &Key) -> Option<Shown> {
        self.shown.get(key).cloned()
    }

    pub(super) fn iter_shown(&self) -> impl Iterator<Item = (&Key, &Shown)> {
        self.shown.iter()
    }

    pub(super) fn all_shown(&mut self) -> &mut BTreeMap<Key, Shown> {
        &mut self.shown
    }

    /// In a new file stands what was shown last, and no user has been there: a showing of its own, for of the one
    /// before an edit may have been booked.
    pub(super) fn show_anew(&mut self) {
        for (key, shown) in std::mem::take(&mut self.shown) {
            if let Some(texts) = shown.shadow {
                self.note_shown(&key, texts, shown.revision + 1);
            }
        }
    }

    /// Puts a row into memory and checksum; `true` if it is not there already.
    fn put(&mut self, table: &'static str, key: (String, String), value: String) -> bool {
        let (first, second) = (key.0.clone(), key.1.clone());
        let old = self.cells.insert((table, key.0, key.1), value.clone());
        if old.as_ref() == Some(&value) {
            return false;
        }
        if let Some(old) = &old {
            self.fold(table, &first, &second, old);
        }
        self.fold(table, &first, &second, &value);
        true
    }

    fn fold(&mut self, table: &str, first: &str, second: &str, value: &str) {
        let hash = Sha256::digest(format!("{table}\0{first}\0{second}\0{value}"));
        for (folded, byte) in self.folded.iter_mut().zip(hash) {
            *folded ^= byte;
        }
    }

    pub(super) fn set_shown(
        &mut self,
        transaction: &Transaction<'_>,
        key: &Key,
        texts: Texts,
        revision: u64,
        market: &str,
    ) -> rusqlite::Result<()> {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO _shadow VALUES(?1, ?2, ?3, 'BOTH', ?4, ?5, ?6)")?
            .execute(params![key.0.0, market, key.1.as_str(), texts.qty, texts.avg_price, revision as i64])?;
        self.note_shown(key, texts, revision);
        Ok(())
    }

    fn note_shown(&mut self, key: &Key, texts: Texts, revision: u64) {
        let value = format!("{}\0{}\0{revision}", texts.qty, texts.avg_price);
        self.put(SHADOW, (key.0.to_string(), key.1.to_string()), value);
        let shown = Shown { shadow: Some(texts.clone()), expected: Some(texts), revision };
        self.shown.insert(key.clone(), shown);
    }

    pub(super) fn set_asset(
        &mut self,
        transaction: &Transaction<'_>,
        row: &AssetRow,
        market: &str,
    ) -> rusqlite::Result<()> {
        let (owner, amount) = (owner_text(row.owner), row.amount.to_string());
        if self.put(ASSET, (owner.clone(), row.asset.to_string()), amount.clone()) {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO _asset VALUES(?1, ?2, ?3, ?4)")?
                .execute(params![owner, market, row.asset.as_str(), amount])?;
        }
        Ok(())
    }

    pub(super) fn set_profit(
        &mut self,
        transaction: &Transaction<'_>,
        row: &PositionRow,
        market: &str,
    ) -> rusqlite::Result<()> {
        let (realised, quote) = (row.realised.to_string(), row.quote.as_str());
        let key = (row.session.to_string(), row.symbol.to_string());
        if self.put(PROFIT, key, format!("{realised}\0{quote}")) {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO _profit VALUES(?1, ?2, ?3, ?4, ?5)")?
                .execute(params![row.session.0, market, row.symbol.as_str(), realised, quote])?;
        }
        Ok(())
    }

    pub(super) fn set_fee(
        &mut self,
        transaction: &Transaction<'_>,
        row: &FeeRow,
        market: &str,
    ) -> rusqlite::Result<()> {
        let amount = row.amount.to_string();
        if self.put(FEE, (row.session.to_string(), row.asset.to_string()), amount.clone()) {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO _fee VALUES(?1, ?2, ?3, ?4)")?
                .execute(params![row.session.0, market, row.asset.as_str(), amount])?;
        }
        Ok(())
    }

    /// Fills an empty file.
    pub(super) fn write_all(&self, transaction: &Transaction<'_>, market: &str) -> rusqlite::Result<()> {
        for ((table, first, second), value) in &self.cells {
            let values: Vec<&str> = value.split('\0').collect();
            let (sql, cells): (&str, Vec<&str>) = match (*table, values.as_slice()) {
                (SHADOW, [qty, avg, rev]) => {
                    transaction
                        .prepare_cached(
                            "INSERT INTO position(session_id, market, symbol, qty, avg_price) VALUES(?1, ?2, ?3, ?4, ?5)",
                        )?
                        .execute([first, market, second, qty, avg])?;
                    ("INSERT INTO _shadow VALUES(?1, ?2, ?3, 'BOTH', ?4, ?5, ?6)", vec![qty, avg, rev])
                }
                (ASSET, [amount]) => ("INSERT INTO _asset VALUES(?1, ?2, ?3, ?4)", vec![amount]),
                (PROFIT, [realised, quote]) => {
                    ("INSERT INTO _profit VALUES(?1, ?2, ?3, ?4, ?5)", vec![realised, quote])
                }
                (_, [amount, ..]) => ("INSERT INTO _fee VALUES(?1, ?2, ?3, ?4)", vec![amount]),
                (_, []) => continue,
            };
            let all = [first.as_str(), market, second.as_str()].into_iter().chain(cells);
            transaction.prepare_cached(sql)?.execute(rusqlite::params_from_iter(all))?;
        }
        Ok(())
    }

    /// Checksum over all of the gateway's tables and what they belong to.
    pub(super) fn sum(&self, applied: &Applied, market: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.folded);
        let Applied { journal, seq, generation } = applied;
        hash.update(format!("{journal}\0{seq}\0{generation}\0{market}"));
        hex(&hash.finalize())
    }
}

fn owner_text(owner: Owner) -> String {
    match owner {
        Owner::Session(session) => session.to_string(),
        Owner::External => "external".into(),
        Owner::Unattributed => "unattributed".into(),
        Owner::Clearing => "clearing".into(),
    }
}

/// Writes what the rows belong to, and the checksum.
pub(super) fn write_meta(
    transaction: &Transaction<'_>,
    mirror: &Mirror,
    applied: &Applied,
    market: &str,
) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO _meta VALUES(?1, ?2)")?;
    put.execute(["journal", &applied.journal])?;
    put.execute(["applied", &applied.seq.to_string()])?;
    put.execute(["generation", &applied.generation.to_string()])?;
    put.execute(["sum", &mirror.sum(applied, market)])?;
    Ok(())
}

/// The file's own number, beyond all numbers of records: the revision of rows the user inserted. What was booked of one
/// in a file that was lost since says nothing of one in this file. Older files have none.
pub(super) fn inserts(connection: &Connection) -> rusqlite::Result<u64> {
    Ok(meta(connection, "inserts")?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Reads the gateway's tables: the mirror, what they belong to, and the checksum in the file.
pub(super) fn load(connection: &Connection, market: &str) -> rusqlite::Result<(Mirror, Applied, String)> {
    let mut mirror = Mirror::default();
    let mut shadow = connection
        .prepare("SELECT session_id, symbol, qty, avg_price, rev, market, side FROM _shadow ORDER BY 1, 2")?;
    let mut rows = shadow.query([])?;
    while let Some(row) = rows.next()? {
        let session = SessionId(row.get(0)?);
        let texts = Texts { qty: row.get(2)?, avg_price: row.get(3)? };
        let (symbol, kept_market, side): (String, String, String) = (row.get(1)?, row.get(5)?, row.get(6)?);
        if kept_market == market && side == "BOTH" {
            mirror.note_shown(&(session, Symbol::new(&symbol)), texts, row.get::<_, i64>(4)? as u64);
        } else {
            // Never written by us: it spoils the checksum, as it must.
            mirror.put(SHADOW, (kept_market, side), symbol);
        }
    }
    for (table, sql) in [
        (ASSET, "SELECT owner, asset, amount, market FROM _asset"),
        (PROFIT, "SELECT session_id || '', symbol, realised || char(0) || quote, market FROM _profit"),
        (FEE, "SELECT session_id || '', asset, amount, market FROM _fee"),
    ] {
        let mut select = connection.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let kept_market: String = row.get(3)?;
            let key = if kept_market == market { row.get(0)? } else { kept_market };
            mirror.put(table, (key, row.get(1)?), row.get(2)?);
        }
    }
    let number = |key: &str| -> rusqlite::Result<u64> {
        Ok(meta(connection, key)?.and_then(|text| text.parse().ok()).unwrap_or(0))
    };
    let applied = Applied {
        journal: meta(connection, "journal")?.unwrap_or_default(),
        seq: number("applied")?,
        generation: number("generation")?,
    };
    let sum = match meta(connection, "sum")? {
        Some(sum) => sum,
        // A file made but never written to.
        None => mirror.sum(&applied, market),
    };
    Ok((mirror, applied, sum))
}
