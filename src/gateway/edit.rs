//! Edits of `pos.db`, and the rows shown there.
//!
//! An edit is a correction relative to the value the user saw: shown 5, set to 3, one fill of +1 meanwhile, makes 4.
//! What was accepted of a revision is remembered in the journal, so that a crash between accepting and showing again
//! applies nothing twice.

use super::Gateway;
use super::io::{AssetRow, BadEdit, Edit, FeeRow, LogLevel, PositionRow, Projection};
use crate::ids::{SessionId, Symbol};
use crate::journal::{AdjustRecord, Record};
use crate::ledger::books::Touched;
use crate::num::Price;
use crate::time::Time;
use crate::wire::event::Private;

impl Gateway {
    /// Edits of symbols in use; a row that stands as it was shown is one where the last edit of it was booked, never
    /// shown and is taken back. Those of other symbols wait until the exchange's symbols are known.
    pub(super) fn accept_edits(&mut self, now: Time, edits: Vec<Edit>) {
        for edit in edits {
            let before = self.books.accepted(edit.session, &edit.symbol, edit.revision);
            if before.is_none() && edit.is_as_shown() {
                continue;
            }
            if self.books.listing(&edit.symbol).is_none() {
                self.waiting_edits.push(edit);
                continue;
            }
            let base = before.map_or(edit.shown, |accepted| accepted.qty);
            let delta = edit.found - base;
            let known_avg = before.and_then(|accepted| accepted.avg_price).or(edit.shown_avg);
            // A flat position keeps no average: what comes in brings its own, also one that was known.
            let opens = !delta.is_zero() && self.books.position(edit.session, &edit.symbol).qty.is_zero();
            let news = |avg: &Price| if opens { !avg.is_zero() } else { Some(*avg) != known_avg };
            let avg_price = edit.found_avg.filter(news);
            if delta.is_zero() && avg_price.is_none() {
                continue;
            }
            let fields = format!(
                "session={} symbol={} shown={} found={} delta={delta}",
                edit.session, edit.symbol, edit.shown, edit.found
            );
            // The user's own last word, or an older copy of the file put in its place.
            if edit.is_as_shown() {
                self.log(LogLevel::Warn, "edit taken back", fields);
            } else {
                self.log(LogLevel::Info, "edit of pos.db accepted", fields);
            }
            self.emit(Record::Adjust(AdjustRecord {
                session: edit.session,
                symbol: edit.symbol.clone(),
                revision: edit.revision,
                shown: edit.shown,
                qty: edit.found,
                delta,
                avg_price,
                time: now,
            }));
            let position = self.position_view(edit.session, &edit.symbol);
            let reason = "edit of pos.db".to_owned();
            self.tell(now, edit.session, Private::Position { position, reason, fill: None });
        }
    }

    /// Edits of symbols no session has used yet: the symbols are known now.
    pub(super) fn accept_waiting_edits(&mut self, now: Time) {
        for edit in std::mem::take(&mut self.waiting_edits) {
            match self.instrument(&edit.symbol).cloned() {
                Ok(instrument) => {
                    self.list(now, &instrument);
                    self.accept_edits(now, vec![edit]);
                }
                Err(_) => {
                    let reason = format!(
                        "row of session {0} names symbol {1:?}, which the exchange does not have; stop the gateway and run \
                         DELETE FROM position WHERE session_id = {0} AND symbol = {2}",
                        edit.session,
                        edit.symbol.as_str(),
                        sql_text(edit.symbol.as_str())
                    );
                    self.log(LogLevel::Error, "edit of pos.db refused", format!("reason={reason:?}"));
                    self.bad_edits.push(BadEdit { symbol: Some(edit.symbol), reason });
                }
            }
        }
    }

    pub(super) fn project_all(&self) -> Projection {
        let touched = Touched {
            positions: self.books.positions().map(|(session, symbol, _)| (session, symbol.clone())).collect(),
            assets: self.books.assets().map(|(owner, asset, _)| (owner, asset.clone())).collect(),
            fees: self.books.fees().map(|(session, asset, _)| (session, asset.clone())).collect(),
        };
        self.project(&touched)
    }

    pub(super) fn project(&self, touched: &Touched) -> Projection {
        Projection {
            positions: touched
                .positions
                .iter()
                .filter_map(|(session, symbol)| self.row(*session, symbol))
                .collect(),
            assets: touched
                .assets
                .iter()
                .map(|(owner, asset)| AssetRow {
                    owner: *owner,
                    asset: asset.clone(),
                    amount: self.books.asset(*owner, asset),
                })
                .collect(),
            fees: touched
                .fees
                .iter()
                .map(|(session, asset)| FeeRow {
                    session: *session,
                    asset: asset.clone(),
                    amount: self.books.fee(*session, asset),
                })
                .collect(),
        }
    }

    fn row(&self, session: SessionId, symbol: &Symbol) -> Option<PositionRow> {
        let totals = self.books.position(session, symbol);
        let quote = self.books.listing(symbol).map(|listing| listing.quote.clone())?;
        Some(PositionRow {
            session,
            symbol: symbol.clone(),
            qty: totals.qty,
            avg_price: totals.avg_price(),
            realised: totals.realised,
            quote,
            time: totals.time,
        })
    }
}

/// A text as SQL writes it: to be pasted, whatever it holds. A log escapes what cannot be seen, so that is written as
/// bytes.
fn sql_text(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_graphic() || c.is_alphanumeric()) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let bytes: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("CAST(x'{bytes}' AS TEXT)")
}
