//! The journal's schema and the way from each older one. A schema that was ever merged keeps its step and its
//! test.

use rusqlite::Connection;

use super::compact;

/// The schema this version writes.
pub(super) const SCHEMA: i64 = 3;

/// `tsys`: SQLite's mark of whose file it is.
pub(super) const APPLICATION_ID: i64 = 0x7473_7973;

/// Schema 1: the rows, what the journal is, and views for readers.
const CREATE_1: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE record(seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, sum TEXT NOT NULL) STRICT;
CREATE INDEX record_fill ON record(seq) WHERE kind = 'fill';
CREATE INDEX record_order ON record(seq) WHERE kind = 'order';
CREATE INDEX record_cash ON record(seq) WHERE kind = 'cash';
CREATE INDEX record_adjust ON record(seq) WHERE kind = 'adjust';
";

/// Schema 2: perpetuals. Records of new kinds, which a program of schema 1 would take for damage.
const STEP_2: &str = "
CREATE INDEX record_funding ON record(seq) WHERE kind = 'funding';
CREATE INDEX record_charge ON record(seq) WHERE kind = 'charge';
CREATE INDEX record_allocation ON record(seq) WHERE kind = 'allocation';
";

// Schema 3: records of `event`, `answer` and `ack` may have lost their text, which a program of schema 2 would take for
// damage. Nothing is made for it.

/// What readers see. Made anew at every start, so that a view can be improved without a new schema.
const VIEWS: [(&str, &str, &[&str]); 10] = [
    (
        "fill",
        "fill",
        &[
            "session",
            "symbol",
            "trade_id",
            "venue_id",
            "order",
            "side",
            "price",
            "qty",
            "quote",
            "realised",
            "fee",
            "fee_asset",
            "maker",
            "time",
        ],
    ),
    (
        "orders",
        "order",
        &[
            "id",
            "session",
            "symbol",
            "side",
            "order_type",
            "tif",
            "price",
            "stop",
            "qty",
            "quote_amount",
            "time",
        ],
    ),
    (
        "order_state",
        "order_state",
        &["id", "state", "venue_id", "known_as", "qty", "filled", "reason", "time"],
    ),
    ("cash", "cash", &["owner", "asset", "delta", "reason", "time"]),
    (
        "adjustment",
        "adjust",
        &["session", "symbol", "revision", "shown", "qty", "delta", "avg_price", "time"],
    ),
    ("debt", "debt", &["asset", "owed", "liabilities", "difference", "time"]),
    ("funding", "funding", &["symbol", "charge", "time", "asset", "rate", "mark", "paid"]),
    ("charge", "charge", &["charge", "symbol", "asset", "owner", "delta", "id", "time", "loan", "nth"]),
    (
        "allocation",
        "allocation",
        &[
            "forced",
            "session",
            "symbol",
            "trade_id",
            "venue_id",
            "side",
            "price",
            "qty",
            "quote",
            "fee",
            "fee_asset",
            "time",
        ],
    ),
    ("event", "event", &["session", "generation", "sequence", "frame"]),
];

/// An empty journal of the newest schema, named by that id.
pub(super) fn create(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    connection.execute_batch(CREATE_1)?;
    connection.execute_batch(STEP_2)?;
    connection.execute("INSERT INTO meta VALUES('id', ?1)", [id])?;
    create_views(connection)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", SCHEMA)
}

/// A member of the record as a column. An owner is a session's number, `external`, `unattributed` or `clearing`.
fn column(member: &str) -> String {
    match member {
        "owner" => "coalesce(body ->> '$.owner.session', body ->> '$.owner') AS owner".into(),
        _ => format!("body ->> '$.\"{member}\"' AS \"{member}\""),
    }
}

/// Brings the views up to date, if they are not.
pub(super) fn create_views(connection: &Connection) -> rusqlite::Result<()> {
    for (name, kind, members) in VIEWS {
        let columns: Vec<String> = members.iter().map(|member| column(member)).collect();
        let wanted = format!(
            "CREATE VIEW \"{name}\" AS SELECT seq, {} FROM record WHERE kind = '{kind}'{}",
            columns.join(", "),
            if compact::KINDS.contains(&kind) { " AND body <> ''" } else { "" }
        );
        let mut query =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?1")?;
        let present: Option<String> = query.query_map([name], |row| row.get(0))?.next().transpose()?;
        if present.as_deref() != Some(wanted.as_str()) {
            connection.execute_batch(&format!("DROP VIEW IF EXISTS \"{name}\"; {wanted};"))?;
        }
    }
    Ok(())
}

/// Runs the steps from an older schema, within the caller's transaction.
pub(super) fn step_up(connection: &Connection, from: i64) -> rusqlite::Result<()> {
    debug_assert!(from < SCHEMA);
    if from < 2 {
        connection.execute_batch(STEP_2)?;
    }
    connection.pragma_update(None, "user_version", SCHEMA)
}
