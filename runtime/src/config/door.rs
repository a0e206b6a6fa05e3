//! The keys of the local door: where it is, who opens it with which token, and what it shows by TLS.

use std::collections::BTreeMap;
use std::path::Path;

use tradingsys::ids::SessionId;

use tradingsys::jsonc::nearest;

use super::{LocalAddress, TlsFiles, value};

/// With TLS strategies are on other machines, where nobody can look up a token that changes with every start.
pub(super) const NO_TOKEN_FILE: &str = "with \"tls\" there must be a \"token_file\": its token is kept over restarts, for \
    a copy of it to be on the strategies' machines";

/// `ws://` on the loopback, or with `tls` `wss://` anywhere.
pub(super) fn local(text: &str, tls: bool) -> Result<LocalAddress, String> {
    let shape = || format!("\"local\": {text:?} is no address like \"ws://localhost:8111\"");
    let (secure, rest) = match (text.strip_prefix("ws://"), text.strip_prefix("wss://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err(shape()),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = rest.rsplit_once(':').ok_or_else(shape)?;
    let port = port.parse().map_err(|_| shape())?;
    let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match (secure, tls) {
        (false, false) if !loopback => Err(format!(
            "\"local\": {host:?} is not a loopback address; strategies on other machines need TLS: use \
             \"wss://{host}:{port}\" with \"tls\", or \"ws://localhost:{port}\""
        )),
        (false, true) => Err(format!(
            "\"local\": {text:?} is without TLS, and \"tls\" is there: use \"wss://{host}:{port}\", or remove \"tls\""
        )),
        (true, false) => {
            Err(format!("\"local\": {text:?} needs \"tls\", an object with \"cert\" and \"key\""))
        }
        (true, true) if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) => Err(shape()),
        _ => Ok(LocalAddress { host: host.to_owned(), port }),
    }
}

/// `http://` on the loopback.
pub(super) fn metrics(text: &str) -> Result<LocalAddress, String> {
    let shape = || format!("\"metrics\": {text:?} is no address like \"http://localhost:9464\"");
    let rest = text.strip_prefix("http://").ok_or_else(shape)?;
    let (host, port) = rest.strip_suffix('/').unwrap_or(rest).rsplit_once(':').ok_or_else(shape)?;
    let port = port.parse().map_err(|_| shape())?;
    if !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        return Err(format!(
            "\"metrics\": {host:?} is not a loopback address; for a monitor on another machine use a tunnel or a \
             proxy that asks who is there, and \"http://localhost:{port}\""
        ));
    }
    Ok(LocalAddress { host: host.to_owned(), port })
}

/// Origins as browsers write them: they are compared character by character, so another form would never match.
pub(super) fn origins(given: Vec<String>) -> Result<Vec<String>, String> {
    match given.iter().find(|origin| !is_origin(origin)) {
        Some(wrong) => Err(format!(
            "\"allowed_origins\": {wrong:?} is no origin as a browser writes it: name each page's as scheme://host or \
             scheme://host:port, in lower case, without a path, a usual port or a slash at the end, e.g. \
             \"https://desk.example\""
        )),
        None => Ok(given),
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let of = |text: &str, others: &[u8]| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(&byte);
        !text.is_empty() && text.bytes().all(fits)
    };
    let named = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => {
            address.parse::<std::net::Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == address)
        }
        None => of(host, b".-_"),
    };
    let usual = match scheme {
        "http" => Some("80"),
        "https" => Some("443"),
        _ => None,
    };
    let is_port =
        |port: &str| port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
    of(scheme, b"+-.") && named && port.is_none_or(|port| is_port(port) && Some(port) != usual)
}

/// Certificate and key, both or neither.
pub(super) fn tls(
    given: Option<BTreeMap<String, String>>,
    exe: &str,
    folder: &Path,
) -> Result<Option<TlsFiles>, String> {
    const NAMES: [&str; 2] = ["cert", "key"];
    let Some(mut given) = given else { return Ok(None) };
    if let Some(name) = given.keys().find(|name| !NAMES.contains(&name.as_str())) {
        let near = nearest(name, NAMES);
        return Err(value::unknown(&format!("tls.{name}"), exe, near, &NAMES));
    }
    let mut take = |name: &str| {
        let file = given.remove(name).filter(|file| !file.is_empty());
        file.map(|file| folder.join(file))
            .ok_or_else(|| format!("\"tls.{name}\" is missing; it must name a PEM file"))
    };
    Ok(Some(TlsFiles { cert: take("cert")?, key: take("key")? }))
}

/// No strategy's token lies where the operator's does.
pub(super) fn operators_own<'a>(
    own: Option<&Path>,
    mut others: impl Iterator<Item = &'a std::path::PathBuf>,
) -> Result<(), String> {
    match own.filter(|own| others.any(|other| other == own)) {
        Some(own) => Err(format!(
            "\"operator_token_file\": {} is a token of strategies, and theirs must not be the operator's: name another \
             file",
            own.display()
        )),
        None => Ok(()),
    }
}

/// Files of tokens by session number.
pub(super) fn session_tokens(
    given: Option<BTreeMap<String, String>>,
    folder: &Path,
) -> Result<BTreeMap<SessionId, std::path::PathBuf>, String> {
    let read = |(number, file): (String, String)| match number.parse::<u16>() {
        Ok(id) if id.to_string() == number && !file.is_empty() => Ok((SessionId(id), folder.join(file))),
        _ => Err(format!(
            "\"session_tokens\": {number:?} is no session and its file; write {{\"7\": \"tokens/7.token\"}}"
        )),
    };
    given.unwrap_or_default().into_iter().map(read).collect()
}
