//! The private key: read once, checked, never shown. Whatever is wrong with the file is said by name. It may be
//! encrypted; then its passphrase is asked for ([`passphrase`]).

mod encryption;
pub mod passphrase;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use encryption::Shut;
use passphrase::{PassphraseError, Source};

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
    /// Anybody may exchange it.
    #[error(
        "private key {file}: anybody may exchange the file, its folder can be written by all (mode {mode:03o}); run: \
         chmod o-w {folder}",
        file = file.display(), folder = folder.display()
    )]
    Folder {
        /// The file.
        file: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// The folder's permission bits.
        mode: u32,
    },
    /// The passphrase does not open it.
    #[error("private key {file}: wrong passphrase", file = .0.display())]
    WrongPassphrase(PathBuf),
    /// There is no passphrase.
    #[error("private key {file} is encrypted, and {source}", file = file.display())]
    NoPassphrase {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: PassphraseError,
    },
    /// Encrypted, but not by PBES2 with scrypt or PBKDF2 and AES.
    #[error(
        "private key {file} is encrypted by a method that is not supported ({method}); write it anew with: openssl \
         pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in {file} -out private_key.new.pem",
        file = file.display()
    )]
    Method {
        /// The file.
        file: PathBuf,
        /// The method's object identifier.
        method: String,
    },
    /// It asks for more than a file may.
    #[error(
        "private key {file} is encrypted so that opening it takes {cost}, which is none or too much; write it anew with: \
         openssl pkcs8 -topk8 -scrypt -in {file} -out private_key.new.pem",
        file = file.display()
    )]
    Cost {
        /// The file.
        file: PathBuf,
        /// What it asks for.
        cost: String,
    },
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
            KeyError::Open { .. }
            | KeyError::Folder { .. }
            | KeyError::WrongPassphrase(_)
            | KeyError::NoPassphrase { source: PassphraseError::Open { .. }, .. } => ExitCode::KeyRefused,
            _ => ExitCode::Configuration,
        };
        Self { code, message: error.to_string() }
    }
}

/// Reads the key.
///
/// # Errors
/// [`KeyError`] for any file that is not an Ed25519 key in PKCS#8 PEM, readable by its owner only; and for an
/// encrypted one without its passphrase.
pub fn load(file: &Path, passphrase: &Source) -> Result<SigningKey, KeyError> {
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
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Some(mode) = files::mode_writable_by_all(folder).map_err(unreadable)? {
        return Err(KeyError::Folder { file: file.to_owned(), folder: folder.to_owned(), mode });
    }
    parse(&text, file, passphrase)
}

/// What its BEGIN line names.
fn label(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
}

fn parse(text: &str, file: &Path, passphrase: &Source) -> Result<SigningKey, KeyError> {
    let junk = |reason: String| KeyError::Junk { file: file.to_owned(), reason };
    let kind = |found: &str| KeyError::Kind { file: file.to_owned(), found: found.to_owned() };
    let label = label(text).ok_or_else(|| junk("it has no BEGIN line".into()))?;
    match label {
        "PRIVATE KEY" | encryption::LABEL => {}
        "RSA PRIVATE KEY" => return Err(kind("an RSA key")),
        "EC PRIVATE KEY" => return Err(kind("an EC key")),
        "OPENSSH PRIVATE KEY" => return Err(kind("an SSH key")),
        "PUBLIC KEY" => return Err(KeyError::Public(file.to_owned())),
        _ => return Err(junk("its BEGIN line names no key".into())),
    }
    if text.split_once("-----END ").is_some_and(|(_, rest)| rest.trim_end().lines().count() > 1) {
        return Err(junk("there is more behind its END line; keep the key alone".into()));
    }
    let (_, mut document) = SecretDocument::from_pem(text.trim()).map_err(|error| junk(error.to_string()))?;
    if label == encryption::LABEL {
        document = opened(&document, file, passphrase)?;
    }
    let info = PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|error| junk(error.to_string()))?;
    match info.algorithm.oid {
        ED25519 => {}
        RSA => return Err(kind("an RSA key")),
        other => return Err(kind(&format!("a key of algorithm {other}"))),
    }
    SigningKey::from_pkcs8_der(document.as_bytes()).map_err(|error| junk(error.to_string()))
}

/// The key inside an encrypted file.
fn opened(document: &SecretDocument, file: &Path, passphrase: &Source) -> Result<SecretDocument, KeyError> {
    let shut = |why: Shut| match why {
        Shut::Passphrase => KeyError::WrongPassphrase(file.to_owned()),
        Shut::Method(method) => KeyError::Method { file: file.to_owned(), method },
        Shut::Cost(cost) => KeyError::Cost { file: file.to_owned(), cost },
        Shut::Junk(reason) => KeyError::Junk { file: file.to_owned(), reason },
    };
    let sealed = encryption::read(document).map_err(shut)?;
    let passphrase =
        passphrase.ask(file).map_err(|source| KeyError::NoPassphrase { file: file.to_owned(), source })?;
    encryption::open(&sealed, &passphrase).map_err(shut)
}

/// Makes a key, writes its private half to a new file of mode 0600, under a passphrase if one is given, and
/// returns the public half as PEM.
///
/// # Errors
/// The file exists already (a key is never overwritten), or cannot be written, or the system gives no
/// randomness.
pub fn generate(file: &Path, passphrase: Option<&str>) -> Result<String, Exit> {
    let failed = |error: String| Exit::configuration(format!("cannot make {}: {error}", file.display()));
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| Exit::failure(format!("no randomness: {error}")))?;
    let key = SigningKey::from_bytes(&seed);
    // Without the public half inside: that form every tool reads.
    let pair = KeypairBytes { secret_key: *seed, public_key: None };
    let pem = match passphrase {
        None => pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| failed(error.to_string()))?,
        Some(passphrase) => {
            let plain = pair.to_pkcs8_der().map_err(|error| failed(error.to_string()))?;
            encryption::seal(&plain, passphrase)?
        }
    };
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
        parse(text, Path::new("k.pem"), &Source::default())
            .err()
            .unwrap_or_else(|| panic!("{text} was taken"))
            .to_string()
    }

    #[test]
    fn row_004_29_a_generated_key_is_read_back_and_matches_its_public_half() {
        let dir = Scratch::new("keygen");
        let file = dir.path("private_key.pem");
        let public = generate(&file, None).unwrap();
        let key = load(&file, &Source::default()).unwrap();
        assert_eq!(key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap(), public);
        assert_eq!(files::mode_open_to_others(&file).unwrap(), None);
        let again = generate(&file, None).unwrap_err();
        assert_eq!(again.code, ExitCode::Configuration);
        assert!(again.message.contains("never overwritten"), "{again}");
    }

    #[test]
    fn a_key_that_openssl_wrote_is_read() {
        let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
        let seed: Vec<u8> = (0..32).collect();
        assert_eq!(parse(text, Path::new("k"), &Source::default()).unwrap().to_bytes().as_slice(), seed);
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
                "not a PKCS#8 PEM",
            ),
            ("-----BEGIN PRIVATE KEY-----\n????\n-----END PRIVATE KEY-----\n", "not a PKCS#8 PEM"),
            ("-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n", "not a PKCS#8 PEM"),
        ] {
            let message = refusal(text);
            assert!(message.contains(words) && message.contains("k.pem"), "{text}: {message}");
        }
    }

    #[test]
    fn r69_what_stands_behind_the_key_is_named() {
        let dir = Scratch::new("behind");
        let file = dir.path("k.pem");
        generate(&file, None).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        for more in ["junk", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----", "\0"] {
            let message = refusal(&format!("{text}{more}\n"));
            assert!(message.contains("more behind its END line"), "{more}: {message}");
        }
        // A byte behind the key's own structure: 0x2f for 0x2e would make it part of it.
        let bytes: Vec<u8> = SecretDocument::from_pem(&text).unwrap().1.as_bytes().to_vec();
        let longer = [bytes.as_slice(), &[0]].concat();
        let body = pem_of("PRIVATE KEY", &longer);
        assert!(refusal(&body).contains("trailing data"), "{}", refusal(&body));
        assert!(parse(&format!("{text}\n \n"), &file, &Source::default()).is_ok(), "blank lines are none");
    }

    #[cfg(unix)]
    #[test]
    fn r68_a_key_in_a_folder_that_all_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Scratch::new("folder");
        let file = dir.path("k.pem");
        generate(&file, None).unwrap();
        for (mode, taken) in [(0o700, true), (0o755, true), (0o775, true), (0o1777, true), (0o777, false)] {
            std::fs::set_permissions(&dir.0, std::fs::Permissions::from_mode(mode)).unwrap();
            let outcome = load(&file, &Source::default());
            assert_eq!(outcome.is_ok(), taken, "{mode:o}");
            if let Err(error) = outcome {
                let exit = Exit::from(error);
                assert_eq!(exit.code, ExitCode::KeyRefused);
                assert!(exit.message.contains("chmod o-w"), "{exit}");
            }
        }
    }

    #[test]
    fn r69_an_encrypted_key_opens_with_its_passphrase_alone() {
        let dir = Scratch::new("encrypted");
        let file = dir.path("k.pem");
        let public = generate(&file, Some("correct horse")).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{text}");
        let given = |passphrase: &str| {
            std::fs::write(dir.path("p"), passphrase).unwrap();
            let opened = std::fs::File::open(dir.path("p")).unwrap();
            let descriptor = u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&opened)).ok();
            load(&file, &Source { descriptor })
        };
        let key = given("correct horse\n").unwrap();
        assert_eq!(key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap(), public);
        for wrong in ["Correct horse\n", "correct horse \n", "x\n"] {
            let exit = Exit::from(given(wrong).unwrap_err());
            assert_eq!(exit.code, ExitCode::KeyRefused);
            assert!(exit.message.ends_with("wrong passphrase") && !exit.message.contains("horse"), "{exit}");
        }
        let empty = Exit::from(given("\n").unwrap_err());
        assert_eq!(empty.code, ExitCode::Configuration);
        assert!(empty.message.contains("it is empty"), "{empty}");
    }

    /// A PEM of any bytes.
    fn pem_of(label: &'static str, bytes: &[u8]) -> String {
        pkcs8::der::pem::encode_string(label, LineEnding::LF, bytes).unwrap()
    }

    #[test]
    fn row_004_22_the_shipped_file_is_an_inert_placeholder() {
        let dir = Scratch::new("placeholder");
        let file = dir.path("private_key.pem");
        std::fs::write(&file, include_str!("../../private_key.pem")).unwrap();
        let exit = Exit::from(load(&file, &Source::default()).unwrap_err());
        assert_eq!(exit.code, ExitCode::Configuration);
        assert!(exit.message.contains("placeholder") && exit.message.contains("private_key.pem"));
    }

    #[cfg(unix)]
    #[test]
    fn r68_a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Scratch::new("modes");
        let file = dir.path("k.pem");
        generate(&file, None).unwrap();
        for (mode, taken) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o660, false)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let outcome = load(&file, &Source::default());
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
        let public = generate(&dir.path("k.pem"), None).unwrap();
        let file = dir.path("k.pub.pem");
        std::fs::write(&file, public).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let exit = Exit::from(load(&file, &Source::default()).unwrap_err());
        assert_eq!(exit.code, ExitCode::Configuration);
        assert!(exit.message.contains("a public key") && !exit.message.contains("chmod"), "{exit}");
    }

    #[test]
    fn a_missing_key_file_says_how_to_make_one() {
        let exit = Exit::from(load(Path::new("/nonexistent/k.pem"), &Source::default()).unwrap_err());
        assert_eq!(exit.code, ExitCode::Configuration);
        assert!(exit.message.contains("/nonexistent/k.pem") && exit.message.contains("keygen"));
    }
}
