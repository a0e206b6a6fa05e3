//! Keys at rest under a passphrase: PKCS#8 with PBES2 (scrypt or PBKDF2, AES), the form OpenSSL reads and writes.

use pkcs8::der::{self, ErrorKind, Tag};
use pkcs8::pkcs5::{self, pbes2, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use crate::exit::Exit;

/// Word of the BEGIN line.
pub(super) const LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// Cost of a guess: 2^14 blocks of 1 KiB, five times over. More memory than that OpenSSL refuses to use.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// Why a key stays shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// The passphrase does not open it.
    Passphrase,
    /// It is encrypted in a way nobody should use any more, or that we do not know.
    Method(String),
    /// It is no encrypted key.
    Junk(String),
}

impl From<der::Error> for Shut {
    fn from(error: der::Error) -> Self {
        match error.kind() {
            ErrorKind::OidUnknown { oid } => Self::Method(oid.to_string()),
            // The method's name is there, and none that is known: those of PKCS#12 and older.
            ErrorKind::Value { tag: Tag::ObjectIdentifier } => Self::Method("an old one".to_owned()),
            _ => Self::Junk(error.to_string()),
        }
    }
}

/// Is the file of a form that can be opened at all? To be asked before anybody is asked for a passphrase.
pub(super) fn read(document: &SecretDocument) -> Result<EncryptedPrivateKeyInfoRef<'_>, Shut> {
    use pkcs8::der::Decode as _;
    let info = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes())?;
    match &info.encryption_algorithm {
        pkcs5::EncryptionScheme::Pbes2(_) => Ok(info),
        other => Err(Shut::Method(other.oid().to_string())),
    }
}

/// Opens it; what comes out is checked to be a PKCS#8 key, of whatever kind.
pub(super) fn open(info: &EncryptedPrivateKeyInfoRef<'_>, passphrase: &str) -> Result<SecretDocument, Shut> {
    let opened = info.decrypt(passphrase).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs5::Error::AlgorithmParametersInvalid { oid } | pkcs5::Error::UnsupportedAlgorithm { oid },
        ) => Shut::Method(oid.to_string()),
        _ => Shut::Passphrase,
    })?;
    // A wrong passphrase leaves a right padding by chance, once in 256 times.
    match PrivateKeyInfoRef::try_from(opened.as_bytes()) {
        Ok(_) => Ok(opened),
        Err(_) => Err(Shut::Passphrase),
    }
}

/// The PEM of a key under a passphrase.
///
/// # Errors
/// The system gives no randomness.
pub(super) fn seal(plain: &SecretDocument, passphrase: &str) -> Result<Zeroizing<String>, Exit> {
    let failed = |error: &dyn std::fmt::Display| Exit::failure(format!("cannot encrypt the key: {error}"));
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    for random in [&mut salt, &mut iv] {
        getrandom::fill(random).map_err(|error| Exit::failure(format!("no randomness: {error}")))?;
    }
    let (log_n, r, p) = SCRYPT;
    let cost = scrypt::Params::new(log_n, r, p).map_err(|error| failed(&error))?;
    let method =
        pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).map_err(|error| failed(&error))?;
    let info = PrivateKeyInfoRef::try_from(plain.as_bytes()).map_err(|error| failed(&error))?;
    let sealed = info.encrypt_with_params(method, passphrase).map_err(|error| failed(&error))?;
    sealed.to_pem(LABEL, LineEnding::LF).map_err(|error| failed(&error))
}
