//! TLS towards a gateway on another machine: the public authorities, or those of `ca` alone.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// What all connections of a session are made with.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub(crate) fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let roots = match ca {
        Some(file) => read_roots(file).map_err(|problem| format!("ca {}: {problem}", file.display()))?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("tls: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn read_roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("holds no certificate".into());
    }
    Ok(roots)
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
