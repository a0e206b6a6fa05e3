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

/// What a file may ask for before its passphrase is tried: the file says it, and nobody knows yet who wrote that.
/// Memory of scrypt in bytes, its work in blocks mixed (N times r times p), and rounds of PBKDF2: seconds each.
const SCRYPT_BYTES: u64 = 256 << 20;
const SCRYPT_BLOCKS: u64 = 1 << 23;
const PBKDF2_ROUNDS: u32 = 10_000_000;

/// Why a key stays shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// The passphrase does not open it.
    Passphrase,
    /// It is encrypted in a way nobody should use any more, or that we do not know.
    Method(String),
    /// Opening it would cost more than a file may ask for, or the cost is none.
    Cost(String),
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
        pkcs5::EncryptionScheme::Pbes2(method) => affordable(&method.kdf).map(|()| info),
        other => Err(Shut::Method(other.oid().to_string())),
    }
}

/// Is what the file asks for a cost that can be borne?
fn affordable(kdf: &pbes2::Kdf) -> Result<(), Shut> {
    let (asked, fits) = match (kdf.scrypt(), kdf.pbkdf2()) {
        (Some(scrypt), _) => {
            let (n, r, p) = (scrypt.cost_parameter, scrypt.block_size.into(), scrypt.parallelization.into());
            let bytes = n.checked_mul(r).and_then(|blocks| blocks.checked_mul(128));
            let blocks = n.checked_mul(r).and_then(|blocks| blocks.checked_mul(p));
            let fits = n.is_power_of_two()
                && n > 1
                && bytes.is_some_and(|bytes| (1..=SCRYPT_BYTES).contains(&bytes))
                && blocks.is_some_and(|blocks| (1..=SCRYPT_BLOCKS).contains(&blocks));
            (format!("scrypt with N={n}, r={r}, p={p}"), fits)
        }
        (None, Some(pbkdf2)) => {
            let rounds = pbkdf2.iteration_count;
            (format!("{rounds} rounds of PBKDF2"), (1..=PBKDF2_ROUNDS).contains(&rounds))
        }
        // Opening it says which it is.
        (None, None) => return Ok(()),
    };
    if fits { Ok(()) } else { Err(Shut::Cost(asked)) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use pkcs8::der::Encode as _;
    use pkcs8::pkcs5::pbes2::{Kdf, Pbkdf2Params, ScryptParams};

    /// A file under scrypt that asks for so much.
    fn under(n: u64, r: u16, p: u16) -> Kdf {
        let least = scrypt::Params::new(1, 1, 1).unwrap();
        let params = ScryptParams::from_params_and_salt(least, &[0; 16]).unwrap();
        Kdf::Scrypt(ScryptParams { cost_parameter: n, block_size: r, parallelization: p, ..params })
    }

    fn rounds(count: u32) -> Kdf {
        let params = Pbkdf2Params::hmac_sha256(1, &[0; 16]).unwrap();
        Kdf::Pbkdf2(Pbkdf2Params { iteration_count: count, ..params })
    }

    #[test]
    fn r69_what_a_key_file_may_cost_is_bounded_before_it_is_tried() {
        let (log_n, r, p) = SCRYPT;
        let own = under(1 << log_n, u16::try_from(r).unwrap(), u16::try_from(p).unwrap());
        for taken in
            [own, under(1 << 18, 8, 1), under(1 << 17, 8, 8), under(2, 1, 1), rounds(1), rounds(10_000_000)]
        {
            assert_eq!(affordable(&taken), Ok(()), "{taken:?}");
        }
        for refused in [
            under(1 << 19, 8, 1),
            under(1 << 18, 9, 1),
            under(1 << 17, 8, 9),
            under(1 << 62, u16::MAX, u16::MAX),
            under(0, 8, 1),
            under(1, 8, 1),
            under(3, 8, 1),
            under(2, 0, 1),
            under(2, 1, 0),
            rounds(0),
            rounds(10_000_001),
            rounds(u32::MAX),
        ] {
            assert!(matches!(affordable(&refused), Err(Shut::Cost(_))), "{refused:?}");
        }
    }

    #[test]
    fn r69_a_cost_of_nothing_is_refused_and_does_not_panic() {
        let plain = [
            0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let info = PrivateKeyInfoRef::try_from(plain.as_slice()).unwrap();
        let cost = scrypt::Params::new(1, 1, 1).unwrap();
        let method = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &[0; 16], [0; 16]).unwrap();
        let sealed = info.encrypt_with_params(method, "x").unwrap();
        let mut info = EncryptedPrivateKeyInfoRef::try_from(sealed.as_bytes()).unwrap();
        let pkcs5::EncryptionScheme::Pbes2(method) = &mut info.encryption_algorithm else { panic!("PBES2") };
        method.kdf = under(0, 1, 1);
        let bytes = info.to_der().unwrap();
        let document = SecretDocument::try_from(bytes.as_slice()).unwrap();
        assert_eq!(read(&document).err(), Some(Shut::Cost("scrypt with N=0, r=1, p=1".to_owned())));
    }
}
