//! The table of configuration keys: what the parser accepts, what messages name and what
//! `docs/configuration.md` documents.

use tradingsys::market::SideEffect;

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds.
    Whole(u64, u64),
    /// A list of texts.
    Texts,
    /// An object of texts.
    Addresses,
    /// An object.
    Object,
}

impl Kind {
    /// In words, for messages and the documentation.
    pub fn words(self) -> String {
        match self {
            Self::Text => "a string".into(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Flag => "true or false".into(),
            Self::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Self::Texts => "a list of strings".into(),
            Self::Addresses => "an object of strings".into(),
            Self::Object => "an object".into(),
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// Must it be there?
    pub required: bool,
    /// Known only to the programs that name it in [`crate::Product::keys`]: the program it is for.
    pub of: Option<&'static str>,
}

const fn required(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: true, of: None }
}

const fn optional(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: false, of: None }
}

const fn own(name: &'static str, kind: Kind, program: &'static str) -> Key {
    Key { name, kind, required: false, of: Some(program) }
}

/// What orders of a margin wallet may do besides.
const SIDE_EFFECTS: &[&str] = &[
    SideEffect::None.as_str(),
    SideEffect::MarginBuy.as_str(),
    SideEffect::AutoRepay.as_str(),
    SideEffect::AutoBorrowRepay.as_str(),
];

/// All keys, in the order of the documentation.
pub const KEYS: [Key; 29] = [
    required("apikey", Kind::Text),
    required("pem", Kind::Text),
    own("margin", Kind::Flag, "spot"),
    own("side_effect", Kind::Word(SIDE_EFFECTS), "spot"),
    own("auto_repay_at_cancel", Kind::Flag, "spot"),
    own("set_one_way_mode", Kind::Flag, "usdt"),
    required("local", Kind::Text),
    optional("env", Kind::Text),
    optional("endpoints", Kind::Addresses),
    optional("db", Kind::Text),
    optional("install", Kind::Text),
    optional("unix_socket", Kind::Text),
    optional("token_file", Kind::Text),
    optional("session_tokens", Kind::Addresses),
    optional("operator_token_file", Kind::Text),
    optional("tls", Kind::Addresses),
    optional("allowed_origins", Kind::Texts),
    optional("log_dir", Kind::Text),
    optional("log_file_mb", Kind::Whole(1, 100_000)),
    optional("log_files", Kind::Whole(0, 100_000)),
    optional("metrics", Kind::Text),
    optional("spin", Kind::Flag),
    optional("recv_window_ms", Kind::Whole(100, 60_000)),
    optional("recovery_lag_ms", Kind::Whole(0, 60_000)),
    optional("retention_days", Kind::Whole(0, 3650)),
    optional("snapshot_rows", Kind::Whole(0, 1_000_000_000)),
    optional("pause_after_crashes", Kind::Whole(0, 1_000)),
    optional("ca_file", Kind::Text),
    optional("limits", Kind::Object),
];

/// Addresses in `endpoints` by which one program's configuration is known when another reads it.
const ENDPOINTS: [(&str, &str); 6] = [
    ("public", "usdt"),
    ("market", "usdt"),
    ("private", "usdt"),
    ("streams", "spot"),
    ("margin_stream", "spot"),
    ("sbe", "spot"),
];

/// What a name is that this program does not know, though somebody does, and what to do; `None` if nobody does.
pub fn known_elsewhere(name: &str, exe: &str) -> Option<String> {
    if name.to_lowercase().contains("isolated") {
        return Some(format!(
            "{name:?}: isolated margin is not traded: `spot` trades the spot account, or with \"margin\": true the \
             cross-margin account; `usdt` trades symbols on cross margin. Remove it"
        ));
    }
    let key = KEYS.iter().find(|key| key.name == name).and_then(|key| key.of);
    let address = || ENDPOINTS.iter().find(|(of, _)| Some(*of) == name.strip_prefix("endpoints."));
    let program = key.or_else(|| address().map(|(_, program)| *program)).filter(|program| *program != exe)?;
    Some(format!(
        "{name:?} is of `{program}`, and this is `{exe}`: remove it, or, if this is the configuration of `{program}`, \
         start that"
    ))
}

#[cfg(test)]
mod tests {
    use tradingsys::jsonc::nearest;

    use super::*;

    #[test]
    fn a_mistyped_key_finds_its_neighbour() {
        let known = || KEYS.iter().map(|key| key.name);
        for (typed, meant) in [
            ("api_key", Some("apikey")),
            ("apiKey", Some("apikey")),
            ("endpoint", Some("endpoints")),
            ("locale", Some("local")),
            ("tokenfile", Some("token_file")),
            ("recv_window", Some("recv_window_ms")),
            ("leverage", None),
        ] {
            assert_eq!(nearest(typed, known()), meant, "{typed}");
        }
    }
}
