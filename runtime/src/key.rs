//! The private key: read once, checked, never shown. Whatever is wrong with the file is said by name.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use crate::exit::{Exit, ExitCode};
use crate::files;

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Marks the file that ships with the sources in place of a key.
const PLACEHOLDER: &str = "PLACEHOLDER";

/// Largest file taken for a key.
const KEY_FILE_MAX: u64 = 64 * 1024;

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not there, or not a file we may read.
    #[error("private key {file}: {source}; \"pem\" must name it, `spot keygen` makes one", file = file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The sample.
    #[error(
        "private key {file} is the placeholder of the sources; make your own with `spot keygen` and register its \
         public half at the exchange",
        file = .0.display()
    )]
    Placeholder(PathBuf),
    /// Others may read it.
    #[error("private key {file} can be read by others (mode {mode:03o}); run: chmod 600 {file}", file = file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The half that is not secret.
    #[error(
        "{file} holds a public key; \"pem\" must name the file of its private half, `spot keygen` makes a pair",
        file = .0.display()
    )]
    Public(PathBuf),
    /// Of another kind.
    #[error("private key {file} is {found}; an Ed25519 key is required: `spot keygen` makes one", file = file.display())]
    Kind {
        /// The file.
        file: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// Needs a passphrase.
    #[error(
        "private key {file} is encrypted, and passphrases are not supported yet; decrypt it with: openssl pkey -in \
         {file} -out plain.pem && chmod 600 plain.pem",
        file = .0.display()
    )]
    Encrypted(PathBuf),
    /// Not a PEM of a key at all.
    #[error("private key {file} is not a PKCS#8 PEM ({reason}); `spot keygen` makes one", file = file.display())]
    Junk {
        /// The file.
        file: PathBuf,
        /// What the parser met.
        reason: String,
    },
}

impl From<KeyError> for Exit {
    fn from(error: KeyError) -> Self {
        let code = match error {
            KeyError::Open { .. } => ExitCode::KeyRefused,
            _ => ExitCode::Configuration,
        };
        Self { code, message: error.to_string() }
    }
}

/// Reads the key.
///
/// # Errors
/// [`KeyError`] for any file that is not an unencrypted Ed25519 key in PKCS#8 PEM, readable by its owner
/// only.
pub fn load(file: &Path) -> Result<SigningKey, KeyError> {
    let unreadable = |source| KeyError::Unreadable { file: file.to_owned(), source };
    let length = std::fs::metadata(file).map_err(unreadable)?.len();
    if length > KEY_FILE_MAX {
        return Err(KeyError::Junk { file: file.to_owned(), reason: format!("{length} bytes long") });
    }
    let bytes = Zeroizing::new(std::fs::read(file).map_err(unreadable)?);
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    if text.contains(PLACEHOLDER) {
        return Err(KeyError::Placeholder(file.to_owned()));
    }
    // It may well be readable by all: that is not what is wrong with it.
    if label(&text) == Some("PUBLIC KEY") {
        return Err(KeyError::Public(file.to_owned()));
    }
    if let Some(mode) = files::mode_open_to_others(file).map_err(unreadable)? {
        return Err(KeyError::Open { file: file.to_owned(), mode });
    }
    parse(&text, file)
}

/// What its BEGIN line names.
fn label(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
}

fn parse(text: &str, file: &Path) -> Result<SigningKey, KeyError> {
    let junk = |reason: String| KeyError::Junk { file: file.to_owned(), reason };
    let kind = |found: &str| KeyError::Kind { file: file.to_owned(), found: found.to_owned() };
    match label(text).ok_or_else(|| junk("it has no BEGIN line".into()))? {
        "PRIVATE KEY" => {}
        "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted(file.to_owned())),
        "RSA PRIVATE KEY" => return Err(kind("an RSA key")),
        "EC PRIVATE KEY" => return Err(kind("an EC key")),
        "OPENSSH PRIVATE KEY" => return Err(kind("an SSH key")),
        "PUBLIC KEY" => return Err(KeyError::Public(file.to_owned())),
        _ => return Err(junk("its BEGIN line names no key".into())),
    }
    let (_, document) = SecretDocument::from_pem(text.trim()).map_err(|error| junk(error.to_string()))?;
    let info = PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|error| junk(error.to_string()))?;
    match info.algorithm.oid {
        ED25519 => {}
        RSA => return Err(kind("an RSA key")),
        other => return Err(kind(&format!("a key of algorithm {other}"))),
    }
    SigningKey::from_pkcs8_der(document.as_bytes()).map_err(|error| junk(error.to_string()))
}

/// Makes a key, writes its private half to a new file of mode 0600 and returns the public half as PEM.
///
/// # Errors
/// The file exists already (a key is never overwritten), or cannot be written, or the system gives no
/// randomness.
pub fn generate(file: &Path) -> Result<String, Exit> {
    let failed = |error: String| Exit::configuration(format!("cannot make {}: {error}", file.display()));
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| Exit::failure(format!("no randomness: {error}")))?;
    let key = SigningKey::from_bytes(&seed);
    // Without the public half inside: that form every tool reads.
    let pair = KeypairBytes { secret_key: *seed, public_key: None };
    let pem = pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| failed(error.to_string()))?;
    let public =
        key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|error| failed(error.to_string()))?;
    let mut out = files::create_private(file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            failed("it exists already, and a key is never overwritten; name another with --out".into())
        }
        _ => failed(error.to_string()),
    })?;
    out.write_all(pem.as_bytes()).and_then(|()| out.sync_all()).map_err(|error| failed(error.to_string()))?;
    Ok(public)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::scratch::Scratch;

    const RSA_PEM: &str = "-----BEGIN PRIVATE KEY-----\nMCACAQAwDQYJKoZIhvcNAQEBBQAEDDAKAgEAAgEAAgEAAA==\n-----END PRIVATE KEY-----\n";

    fn refusal(text: &str) -> String {
        parse(text, Path::new("k.pem")).err().unwrap_or_else(|| panic!("{text} was taken")).to_string()
    }

    #[test]
    fn row_004_29_a_generated_key_is_read_back_and_matches_its_public_half() {
        let dir = Scratch::new("keygen");
        let file = dir.path("private_key.pem");
        let public = generate(&file).unwrap();
        let key = load(&file).unwrap();
        assert_eq!(key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap(), public);
        assert_eq!(files::mode_open_to_others(&file).unwrap(), None);
        let again = generate(&file).unwrap_err();
        assert_eq!(again.code, ExitCode::Configuration);
        assert!(again.message.contains("never overwritten"), "{again}");
    }

    #[test]
    fn a_key_that_openssl_wrote_is_read() {
        let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
        let seed: Vec<u8> = (0..32).collect();
        assert_eq!(parse(text, Path::new("k")).unwrap().to_bytes().as_slice(), seed);
    }

    #[test]
    fn row_004_29_every_other_file_is_refused_by_name() {
        for (text, words) in [
            ("", "not a PKCS#8 PEM (it has no BEGIN line)"),
            ("hello", "not a PKCS#8 PEM"),
            (RSA_PEM, "is an RSA key; an Ed25519 key is required"),
            ("-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n", "is an RSA key"),
            ("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n", "is an EC key"),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\nAA==\n-----END OPENSSH PRIVATE KEY-----\n",
                "is an SSH key",
            ),
            ("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", "holds a public key"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "openssl pkey",
            ),
            ("-----BEGIN PRIVATE KEY-----\n????\n-----END PRIVATE KEY-----\n", "not a PKCS#8 PEM"),
            ("-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n", "not a PKCS#8 PEM"),
        ] {
            let message = refusal(text);
            assert!(message.contains(words) && message.contains("k.pem"), "{text}: {message}");
        }
    }

    #[test]
    fn row_004_22_the_shipped_file_is_an_inert_placeholder() {
        let dir = Scratch::new("placeholder");
        let file = dir.path("private_key.pem");
        std::fs::write(&file, include_str!("../../private_key.pem")).unwrap();
        let exit = Exit::from(load(&file).unwrap_err());
        assert_eq!(exit.code, ExitCode::Configuration);
        assert!(exit.message.contains("placeholder") && exit.message.contains("private_key.pem"));
    }

    #[cfg(unix)]
    #[test]
    fn r68_a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Scratch::new("modes");
        let file = dir.path("k.pem");
        generate(&file).unwrap();
        for (mode, taken) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o660, false)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let outcome = load(&file);
            assert_eq!(outcome.is_ok(), taken, "{mode:o}");
            if let Err(error) = outcome {
                let exit = Exit::from(error);
                assert_eq!(exit.code, ExitCode::KeyRefused);
                assert!(exit.message.contains("chmod 600"), "{exit}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_public_key_is_called_one_whoever_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Scratch::new("public");
        let public = generate(&dir.path("k.pem")).unwrap();
        let file = dir.path("k.pub.pem");
        std::fs::write(&file, public).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let exit = Exit::from(load(&file).unwrap_err());
        assert_eq!(exit.code, ExitCode::Configuration);
        assert!(exit.message.contains("a public key") && !exit.message.contains("chmod"), "{exit}");
    }

    #[test]
    fn a_missing_key_file_says_how_to_make_one() {
        let exit = Exit::from(load(Path::new("/nonexistent/k.pem")).unwrap_err());
        assert_eq!(exit.code, ExitCode::Configuration);
        assert!(exit.message.contains("/nonexistent/k.pem") && exit.message.contains("keygen"));
    }
}
