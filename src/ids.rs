//! Names of things: sessions, symbols, assets, orders, trades.
//!
//! The [`ClientOrderId`] carries its owner, so that any order seen on the exchange can be attributed with no database.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $fold:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);
        impl $name {
            /// From any spelling; the case is folded.
            pub fn new(text: &str) -> Self { Self(Arc::from(text.$fold().as_str())) }
            /// Its text.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.serialize_str(&self.0) }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Ok(Self::new(&<std::borrow::Cow<'de, str>>::deserialize(d)?))
            }
        }
    };
}

text_name! {
    /// An instrument's name, lower case (`btcusdt`). Any case is taken in.
    Symbol, to_lowercase
}
text_name! {
    /// An asset's name, upper case (`USDT`).
    Asset, to_uppercase
}

impl Symbol {
    /// The venue's spelling (`BTCUSDT`).
    pub fn upper(&self) -> String {
        self.0.to_uppercase()
    }
}

/// One strategy's seat at the gateway; 0 to 65,535.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u16);

/// Number of a command within its session and epoch, given by the SDK; from 1, strictly rising.
pub type CommandNumber = u64;

/// The venue's own order number.
pub type VenueOrderId = u64;

/// The venue's trade number; unique per symbol, shared by the two orders of a self-trade.
pub type TradeId = u64;

/// A local websocket connection, numbered by the shell, never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A connection to the venue, numbered by the venue's machine, never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Digits and consonants: what is written with them contains no word, above all no SQL keyword, for which the
/// venue's firewall blocks requests (binance.com/…/general-info, 2026-07).
const ALPHABET: &[u8; 30] = b"0123456789bcdfghjkmnpqrstvwxyz";

fn encode(mut value: u64, width: usize, out: &mut String) {
    // 30^13 is just below 2^64.
    let mut digits = [b'0'; 14];
    let mut at = digits.len();
    while value > 0 {
        at -= 1;
        digits[at] = ALPHABET[(value % 30) as usize];
        value /= 30;
    }
    let start = at.min(digits.len() - width);
    out.extend(digits[start..].iter().map(|b| char::from(*b)));
}

fn decode(text: &str) -> Option<u64> {
    text.bytes().try_fold(0_u64, |value, b| {
        let digit = ALPHABET.iter().position(|a| *a == b)? as u64;
        value.checked_mul(30)?.checked_add(digit)
    })
}

/// Which installation minted an id: five characters of the id alphabet, from API key and market unless configured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Install([u8; 5]);

impl Install {
    /// From any 64-bit number (a hash of API key and market).
    pub fn from_hash(hash: u64) -> Self {
        let mut text = String::new();
        encode(hash % 30_u64.pow(5), 5, &mut text);
        text.parse().expect("five characters of the alphabet were just written")
    }
    /// Its five characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII only")
    }
}

impl FromStr for Install {
    type Err = BadInstall;
    fn from_str(text: &str) -> Result<Self, BadInstall> {
        let bytes: [u8; 5] = text.as_bytes().try_into().map_err(|_| BadInstall)?;
        if bytes.iter().all(|b| ALPHABET.contains(b)) { Ok(Self(bytes)) } else { Err(BadInstall) }
    }
}
impl fmt::Debug for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The configured install name is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an install name has exactly five characters, digits and consonants without l: 0-9 b-z")]
pub struct BadInstall;

/// What a client order id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdKind {
    /// The order itself.
    Order,
    /// The order after its cancel renamed it.
    Cancel,
    /// The order after an amend renamed it; a digit tells amends apart.
    Amend(u8),
}

/// Parts of a [`ClientOrderId`]. One order keeps its stem through every renaming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdParts {
    /// What it names.
    pub kind: IdKind,
    /// Who minted it.
    pub install: Install,
    /// The gateway's start, in minutes since 2025-01-01 at least.
    pub epoch: u32,
    /// The owner.
    pub session: SessionId,
    /// The command of that session in that epoch.
    pub command: CommandNumber,
}

/// A client order id, at most 36 characters of `[a-z0-9-]`:
/// `kind install(5) '-' epoch(5) session(4) '-' command(≥4) check`, e.g. `o7cz1k-0x3bg0001-0002h`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientOrderId(Arc<str>);

impl IdParts {
    /// Epochs that fit into an id.
    pub const EPOCHS: u32 = 30_u32.pow(5);
}

impl ClientOrderId {
    /// Mints the id of these parts.
    pub fn mint(parts: IdParts) -> Self {
        let mut text = String::with_capacity(28);
        text.push(match parts.kind {
            IdKind::Order => 'o',
            IdKind::Cancel => 'c',
            IdKind::Amend(n) => char::from(b"abdefghijk"[usize::from(n % 10)]),
        });
        text.push_str(parts.install.as_str());
        text.push('-');
        encode(u64::from(parts.epoch), 5, &mut text);
        encode(u64::from(parts.session.0), 4, &mut text);
        text.push('-');
        encode(parts.command, 4, &mut text);
        text.push(check_char(&text));
        Self(Arc::from(text.as_str()))
    }

    /// Any text the venue shows as a client order id, ours or not.
    pub fn foreign(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, if this system minted it (any install) and its check character holds.
    pub fn parts(&self) -> Option<IdParts> {
        let text = &*self.0;
        if !text.is_ascii() || text.len() < 22 || text.len() > 36 {
            return None;
        }
        let (body, check) = text.split_at(text.len() - 1);
        if check != check_char(body).to_string() || &body[6..7] != "-" || &body[16..17] != "-" {
            return None;
        }
        let kind = match body.as_bytes()[0] {
            b'o' => IdKind::Order,
            b'c' => IdKind::Cancel,
            b => IdKind::Amend(u8::try_from(b"abdefghijk".iter().position(|a| *a == b)?).ok()?),
        };
        Some(IdParts {
            kind,
            install: body[1..6].parse().ok()?,
            epoch: u32::try_from(decode(&body[7..12])?).ok()?,
            session: SessionId(u16::try_from(decode(&body[12..16])?).ok()?),
            command: decode(&body[17..])?,
        })
    }

    /// The id the same order carries under another kind; `None` for a foreign id.
    pub fn renamed(&self, kind: IdKind) -> Option<Self> {
        self.parts().map(|parts| Self::mint(IdParts { kind, ..parts }))
    }

    /// The order's own id, whatever renaming this one went through; a foreign id stays as it is.
    pub fn stem(&self) -> Self {
        self.renamed(IdKind::Order).unwrap_or_else(|| self.clone())
    }
}

/// Position-weighted sum over the alphabet, so that a changed or swapped character shows.
fn check_char(text: &str) -> char {
    let digit = |b: u8| ALPHABET.iter().position(|a| *a == b).unwrap_or(0);
    let sum: usize = text.bytes().enumerate().map(|(i, b)| (i + 1) * digit(b)).sum();
    char::from(ALPHABET[sum % 29])
}

impl fmt::Display for ClientOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for ClientOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl serde::Serialize for ClientOrderId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}
impl<'de> serde::Deserialize<'de> for ClientOrderId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self::foreign(&<std::borrow::Cow<'de, str>>::deserialize(d)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(session: u16, epoch: u32, command: u64) -> IdParts {
        IdParts {
            kind: IdKind::Order,
            install: Install::from_hash(77),
            epoch,
            session: SessionId(session),
            command,
        }
    }

    #[test]
    fn row_004_53_every_id_names_its_owner_and_fits() {
        for session in [0, 1, 29, 30, 65_535] {
            for epoch in [0, 1, 989_000, 24_299_999] {
                for command in [1, 2, 809_999, 810_000, u64::from(u32::MAX), 10_u64.pow(15), u64::MAX] {
                    let id = ClientOrderId::mint(parts(session, epoch, command));
                    assert!(id.as_str().len() <= 36, "{id}");
                    assert!(
                        id.as_str()
                            .bytes()
                            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                        "{id}"
                    );
                    assert_eq!(id.parts(), Some(parts(session, epoch, command)), "{id}");
                    let cancel = id.renamed(IdKind::Cancel).unwrap();
                    assert_ne!(cancel, id);
                    assert_eq!(cancel.stem(), id);
                    assert_eq!(id.renamed(IdKind::Amend(3)).unwrap().stem(), id);
                }
            }
        }
    }

    /// Words a firewall takes for SQL: the statements, clauses, operators, types and catalogues of SQL:2023, MySQL,
    /// PostgreSQL, SQL Server and Oracle that rules against injection name, and functions.
    const SQL: &str = "\
        abs add all alter analyze and any array as asc assert attach avg backup before begin benchmark \
        between bigint binary bit blob boolean both break bulk by call cascade case cast catalog char \
        character check clob close cluster coalesce collate column columns commit compress concat \
        connect constraint convert copy count create cross cube current cursor database databases date \
        datetime db dbms_lock dbms_pipe dbo deallocate dec decimal declare default delay delete desc \
        describe detach distinct div do drop dual dump dumpfile each else elsif end escape except exec \
        execute exists exit explain extract false fetch file first float for foreign found from full \
        function functions get global go goto grant group handler having hex identified if ifnull ilike \
        immediate in index infile information_schema inner inout insert instr int integer intersect \
        interval into is isnull join key kill last lateral lead leave left length level like limit load \
        lock log loop lower ltrim master match merge min minus mod modify mssql mysql natural next \
        nocase not notnull null nullif number numeric nvarchar of off offset on only open openquery \
        openrowset option or order out outer outfile over partition password percent pg_catalog pg_sleep \
        pivot pragma precision prepare primary print privileges procedure public purge raise range rank \
        read real recursive references regexp release rename repeat replace restore restrict return \
        revoke right rlike rollback rollup row rowid rownum rows savepoint schema schemas scroll select \
        sequence session set setval shell show shutdown similar sleep smallint some soundex \
        sp_executesql sql sqlite sqlite_master start substr substring sum synonym sys sysdate sysobjects \
        system table tables temp temporary text then time timestamp tinyint to top trigger trim true \
        truncate try type ucase unhex union unique unknown unlock until update upper usage use user \
        using utl_http utl_inaddr values varbinary varchar verbose view waitfor when where while window \
        with within without write xmltype xor xp_cmdshell xp_dirtree year zone";

    /// The one word whose first letter may be that of a kind, before four of the alphabet. It names a function: that
    /// means something before a parenthesis only, and behind it an id always goes on.
    const BEFORE_A_PARENTHESIS: &str = "instr";

    /// Could an id hold that word at all: a first letter that says its kind, then only the id's own alphabet?
    fn can_be_spelt(word: &str) -> bool {
        let (first, rest) = word.as_bytes().split_at(1);
        let kind = b"ocabdefghijk".contains(&first[0]) || ALPHABET.contains(&first[0]);
        kind && rest.iter().all(|b| ALPHABET.contains(b))
    }

    /// What stands between two signs that are neither letter nor digit: what a rule that looks for words would see.
    fn words(id: &str) -> impl Iterator<Item = &str> {
        id.split(|sign: char| !sign.is_ascii_alphanumeric())
    }

    /// By the alphabet: no word of four letters can be spelt, and a shorter one never stands for itself.
    #[test]
    fn r12_the_alphabet_of_ids_spells_no_word_of_sql() {
        let listed: Vec<&str> = SQL.split_whitespace().collect();
        assert!(
            listed.len() > 300 && ["select", "union", "or", "by"].iter().all(|word| listed.contains(word))
        );
        let spelt: Vec<&&str> = listed.iter().filter(|w| w.len() >= 4 && can_be_spelt(w)).collect();
        assert_eq!(spelt, [&BEFORE_A_PARENTHESIS]);
        let shortest = ClientOrderId::mint(parts(0, 0, 1));
        assert_eq!(words(shortest.as_str()).map(str::len).collect::<Vec<_>>(), [6, 9, 5]);
    }

    /// By many: ids of all kinds, installs, epochs, sessions and commands.
    #[test]
    fn r12_no_id_contains_a_word_of_sql() {
        let seed = 12;
        let mut random = fastrand::Rng::with_seed(seed);
        let listed: std::collections::BTreeSet<&str> = SQL.split_whitespace().collect();
        for _ in 0..20_000 {
            let bits = random.u32(1..54);
            let kind = match random.u8(0..12) {
                0 => IdKind::Order,
                1 => IdKind::Cancel,
                n => IdKind::Amend(n - 2),
            };
            let id = ClientOrderId::mint(IdParts {
                kind,
                install: Install::from_hash(random.u64(..)),
                epoch: random.u32(0..24_300_000),
                session: SessionId(random.u16(..)),
                command: random.u64(0..1 << bits),
            });
            let found: Vec<&str> = words(id.as_str()).filter(|word| listed.contains(word)).collect();
            assert!(found.is_empty(), "seed {seed}: {id} holds {found:?}");
            // And for a rule that does not ask where a word ends: nothing of four letters anywhere.
            let long = |word: &&&str| word.len() >= 4 && **word != BEFORE_A_PARENTHESIS;
            let hidden = listed.iter().filter(long).find(|word| id.as_str().contains(**word));
            assert_eq!(hidden, None, "seed {seed}: {id}");
        }
    }

    #[test]
    fn a_changed_character_is_noticed() {
        let id = ClientOrderId::mint(parts(7, 989_123, 42));
        for at in 0..id.as_str().len() {
            let mut bytes = id.as_str().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'2' { b'3' } else { b'2' };
            let other = ClientOrderId::foreign(std::str::from_utf8(&bytes).unwrap());
            assert_eq!(other.parts(), None, "{other}");
        }
        for foreign in ["", "x-TKT5PX2F1234", "web_abc", "ünïcode-ünïcode-ünïcode", "autoclose-1234567890123"]
        {
            assert_eq!(ClientOrderId::foreign(foreign).parts(), None);
        }
    }
}
