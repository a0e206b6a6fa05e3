//! TLS towards a gateway on another machine: the public authorities, or those of `ca` alone.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// What all connections of a session are made with.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub(crate) fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    tradingsys_tls::client(ca).map_err(|problem| match ca {
        Some(file) => format!("ca {}: {problem}", file.display()),
        None => problem,
    })
}

/// A connection to that host, whose certificate must bear its name.
pub(crate) fn connection(config: &Arc<ClientConfig>, host: &str) -> Result<ClientConnection, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
    ClientConnection::new(Arc::clone(config), name).map_err(|error| format!("tls: {error}"))
}

/// A TLS error in words a human can act on.
pub(crate) fn words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => format!(
            "tls: the gateway's certificate is not to be trusted ({reason:?}); give the one of its authority, or its own, \
             with ca=, and the name it was made for in addr"
        ),
        rustls::Error::InvalidMessage(_) => {
            "tls: what listens there speaks no TLS; without \"tls\" in its configuration a gateway is at ws://".into()
        }
        other => format!("tls: {other}"),
    }
}
