//! Where the passphrase of an encrypted key comes from: a file descriptor, a file that the environment names, or
//! the terminal. It is kept in memory that is wiped, and read byte by byte so that no buffer keeps a copy.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::exit::{Exit, ExitCode};
use crate::files;

/// Names the file that holds the passphrase, for a start without a terminal.
pub const FILE_VARIABLE: &str = "TRADINGSYS_PASSPHRASE_FILE";

/// Longest passphrase.
const PASSPHRASE_MAX: usize = 1024;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// No descriptor, no file, no terminal.
    #[error(
        "there is no terminal to ask for it at: give it with --passphrase-fd=N, or name a file that holds it, mode \
         600, in {FILE_VARIABLE}"
    )]
    NobodyToAsk,
    /// Others may read the file.
    #[error("its passphrase in {file} can be read by others (mode {mode:03o}); run: chmod 600 {file}", file = .file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It could not be read.
    #[error("its passphrase cannot be read from {place}: {reason}")]
    Unreadable {
        /// A file, a descriptor or the terminal.
        place: String,
        /// Why.
        reason: String,
    },
    /// The two at the terminal differ.
    #[error("the two passphrases differ; nothing was written")]
    Different,
}

impl From<PassphraseError> for Exit {
    fn from(error: PassphraseError) -> Self {
        let code = match error {
            PassphraseError::Open { .. } => ExitCode::KeyRefused,
            _ => ExitCode::Configuration,
        };
        Self { code, message: format!("the key needs a passphrase: {error}") }
    }
}

/// Whom to ask. The first that is there: a descriptor, a file of the environment, the terminal.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// An open file descriptor; its first line is the passphrase.
    pub descriptor: Option<u32>,
}

impl Source {
    /// The passphrase of that key.
    ///
    /// # Errors
    /// There is none, or others can read it.
    pub fn ask(&self, key: &Path) -> Result<Zeroizing<String>, PassphraseError> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        prompt(&format!("passphrase of {}: ", key.display()))
    }

    /// A new passphrase, at the terminal asked for twice.
    ///
    /// # Errors
    /// As [`Source::ask`]; or the two differ.
    pub fn choose(&self, key: &Path) -> Result<Zeroizing<String>, PassphraseError> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        let first = prompt(&format!("new passphrase of {}: ", key.display()))?;
        let second = prompt("once more: ")?;
        if *first == *second { Ok(first) } else { Err(PassphraseError::Different) }
    }

    fn given(&self) -> Result<Option<Zeroizing<String>>, PassphraseError> {
        if let Some(number) = self.descriptor {
            // Opening it anew by its name takes no descriptor out of anybody's hands.
            let place = PathBuf::from(format!("/dev/fd/{number}"));
            return first_line_of(&place, &format!("file descriptor {number}")).map(Some);
        }
        let Some(file) = std::env::var_os(FILE_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from)
        else {
            return Ok(None);
        };
        let place = format!("{} ({FILE_VARIABLE})", file.display());
        match files::mode_open_to_others(&file) {
            Ok(None) => first_line_of(&file, &place).map(Some),
            Ok(Some(mode)) => Err(PassphraseError::Open { file, mode }),
            Err(error) => Err(PassphraseError::Unreadable { place, reason: error.to_string() }),
        }
    }
}

fn first_line_of(file: &Path, place: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let unreadable = |reason: String| PassphraseError::Unreadable { place: place.to_owned(), reason };
    let file = File::open(file).map_err(|error| unreadable(error.to_string()))?;
    first_line(file).map_err(unreadable)
}

/// The first line, without its end.
fn first_line(mut from: impl Read) -> Result<Zeroizing<String>, String> {
    // All of it at once: a vector that grows leaves copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE_MAX));
    let mut byte = Zeroizing::new([0]);
    loop {
        match from.read(byte.as_mut()) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() == PASSPHRASE_MAX => {
                return Err(format!("it is longer than {PASSPHRASE_MAX} bytes"));
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let text = std::str::from_utf8(&line).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// Asks at the terminal, whatever standard input is, without showing what is typed.
fn prompt(words: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let Ok(terminal) = opened else { return Err(PassphraseError::NobodyToAsk) };
    let unreadable =
        |reason: String| PassphraseError::Unreadable { place: "the terminal".to_owned(), reason };
    let _silence = Silence::over(&terminal).map_err(|error| unreadable(error.to_string()))?;
    (&terminal).write_all(words.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
    first_line(&terminal).map_err(unreadable)
}

/// The terminal shows nothing but the end of the line until this is dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn over(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::scratch::Scratch;

    #[test]
    fn a_passphrase_is_the_first_line() {
        for text in ["öffne dich", "öffne dich\n", "öffne dich\r\n", "öffne dich\nmore\n"] {
            assert_eq!(*first_line(text.as_bytes()).unwrap(), "öffne dich", "{text:?}");
        }
        let longest = "x".repeat(PASSPHRASE_MAX);
        assert_eq!(*first_line(longest.as_bytes()).unwrap(), longest);
        for (bytes, words) in [
            (b"".as_slice(), "empty"),
            (b"\nsecond", "empty"),
            (b"\xff\n", "not UTF-8"),
            ("x".repeat(PASSPHRASE_MAX + 1).as_bytes(), "longer than 1024"),
        ] {
            let error = first_line(bytes).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_named() {
        let source = Source { descriptor: Some(987) };
        let exit = Exit::from(source.ask(Path::new("k.pem")).unwrap_err());
        assert_eq!(exit.code, ExitCode::Configuration);
        assert!(exit.message.contains("file descriptor 987"), "{exit}");
    }

    #[test]
    fn a_descriptor_is_read() {
        use std::os::fd::AsRawFd as _;
        let dir = Scratch::new("descriptor");
        std::fs::write(dir.path("p"), "from a file\n").unwrap();
        let file = File::open(dir.path("p")).unwrap();
        let source = Source { descriptor: u32::try_from(file.as_raw_fd()).ok() };
        assert_eq!(*source.ask(Path::new("k.pem")).unwrap(), "from a file");
    }
}
