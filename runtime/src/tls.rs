//! TLS towards the exchange, with the public authorities, or those of `ca_file` alone; and at the door, with the
//! configured certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::TlsFiles;
use crate::exit::Exit;
use crate::files;

/// What opens TLS connections.
///
/// # Errors
/// `ca_file` cannot be read or holds no certificate.
pub(crate) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, Exit> {
    let config = tradingsys_tls::client(ca_file).map_err(|problem| match ca_file {
        Some(file) => Exit::configuration(format!("\"ca_file\" {}: {problem}", file.display())),
        None => Exit::failure(problem),
    })?;
    Ok(TlsConnector::from(config))
}

/// What takes TLS connections at the door.
///
/// # Errors
/// A file cannot be read or does not fit the other, or others can read the key.
pub(crate) fn acceptor(tls: &TlsFiles) -> Result<TlsAcceptor, Exit> {
    let wrong = |name: &str, file: &Path, problem: String| {
        Exit::configuration(format!("\"tls.{name}\" {}: {problem}", file.display()))
    };
    let chain = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong("cert", &tls.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong("cert", &tls.cert, "holds no certificate".into()));
    }
    match files::mode_open_to_others(&tls.key) {
        Ok(None) => {}
        Ok(Some(mode)) => {
            let file = tls.key.display();
            return Err(Exit::key_refused(format!(
                "\"tls.key\" {file} can be read by others (mode {mode:03o}); run: chmod 600 {file}"
            )));
        }
        Err(error) => return Err(wrong("key", &tls.key, error.to_string())),
    }
    let key =
        PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| wrong("key", &tls.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Exit::failure(format!("tls: {error}")))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong("cert", &tls.cert, format!("does not go with \"tls.key\": {error}")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
