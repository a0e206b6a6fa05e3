//! Where a gateway is, and where its token lies.

use std::fs;
use std::path::{Path, PathBuf};

/// A gateway's address as the strategy gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `ws://host:port`, or `wss://host:port`.
    Tcp { host: String, port: u16, tls: bool },
    /// `unix:/path/to/socket`.
    Unix(PathBuf),
}

impl Address {
    /// Reads an address.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{text:?} is no gateway address: {what}; give ws://localhost:8111");
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(wrong("no absolute path"))
            };
        }
        let (tls, rest) = match (text.strip_prefix("ws://"), text.strip_prefix("wss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(wrong("it does not begin with ws://, wss:// or unix:")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
        let port =
            port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("its port is no number"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || host.contains(['/', '@', '?', '#']) {
            return Err(wrong("its host cannot be read"));
        }
        Ok(Self::Tcp { host: host.to_owned(), port, tls })
    }

    /// Is TLS spoken there?
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: true, .. })
    }

    /// The URL of the websocket handshake, whatever that is carried by.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("ws://[{host}]:{port}/"),
            Self::Tcp { host, port, .. } => format!("ws://{host}:{port}/"),
            Self::Unix(_) => "ws://localhost/".to_owned(),
        }
    }

    /// Files the token may be in, the likeliest first.
    fn token_files(&self) -> Vec<PathBuf> {
        let port = match self {
            Self::Tcp { port, .. } => port,
            Self::Unix(path) => {
                let mut beside = path.as_os_str().to_owned();
                beside.push(".token");
                return vec![beside.into()];
            }
        };
        let name = format!("{port}.token");
        let folder = |variable: &str, folder: &str| {
            std::env::var_os(variable)
                .filter(|value| !value.is_empty())
                .map(|root| Path::new(&root).join(folder))
        };
        let folders = [folder("XDG_RUNTIME_DIR", "tradingsys"), folder("HOME", ".tradingsys")];
        folders.into_iter().flatten().map(|folder| folder.join(&name)).collect()
    }
}

/// What the strategy said of the token.
#[derive(Clone)]
pub(crate) enum Given {
    /// Itself.
    Text(String),
    /// The file it is in.
    File(PathBuf),
    /// Nothing.
    Nothing,
}

/// The token of the gateway at an address: what was given, else from `TRADINGSYS_TOKEN_FILE`, else from where the
/// gateway writes it.
pub(crate) fn find(address: &Address, given: &Given) -> Result<String, String> {
    let chosen = match given {
        Given::Text(token) => return Ok(token.clone()),
        Given::File(file) => Some(file.clone()),
        Given::Nothing => None,
    };
    let chosen = chosen.or_else(|| std::env::var_os("TRADINGSYS_TOKEN_FILE").map(PathBuf::from));
    if let Some(file) = chosen {
        return match read(&file) {
            Ok(token) => Ok(token),
            Err(error) => Err(format!(
                "the token file {} cannot be read: {error}; give the file that the running gateway has written, and run \
                 the strategy as its user",
                file.display()
            )),
        };
    }
    let files = address.token_files();
    let mut tried = Vec::new();
    for file in &files {
        match read(file) {
            Ok(token) => return Ok(token),
            Err(error) => tried.push(format!("{} ({error})", file.display())),
        }
    }
    Err(format!(
        "the gateway's token was not found: {}; run the strategy as the gateway's user, or give token= or token_file=",
        tried.join(", ")
    ))
}

/// The operator's token of the gateway at an address: what was given, else from `TRADINGSYS_OPERATOR_TOKEN_FILE`, else
/// beside the token of strategies, `operator.` before its name.
pub(crate) fn find_operators(address: &Address, given: &Given) -> Result<String, String> {
    let chosen = match given {
        Given::Text(token) => return Ok(token.clone()),
        Given::File(file) => Some(file.clone()),
        Given::Nothing => None,
    };
    let named = |variable: &str| std::env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from);
    let chosen = chosen.or_else(|| named("TRADINGSYS_OPERATOR_TOKEN_FILE"));
    let beside = || match named("TRADINGSYS_TOKEN_FILE") {
        Some(file) => vec![beside_it(&file)],
        None => address.token_files().iter().map(|file| beside_it(file)).collect(),
    };
    let mut tried = Vec::new();
    for file in chosen.map_or_else(beside, |file| vec![file]) {
        match read(&file) {
            Ok(token) => return Ok(token),
            Err(error) => tried.push(format!("{} ({error})", file.display())),
        }
    }
    Err(format!(
        "the operator's token was not found: {}; run this as the gateway's user, or give the file",
        tried.join(", ")
    ))
}

/// Where the operator's token lies, if a strategy's lies there.
fn beside_it(file: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from("operator.");
    name.push(file.file_name().unwrap_or_default());
    file.with_file_name(name)
}

fn read(file: &Path) -> std::io::Result<String> {
    fs::read_to_string(file).map(|text| text.trim().to_owned())
}
