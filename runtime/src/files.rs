//! Files with a meaning of their own: private ones, the lock of a store's folder, the token of the local
//! door.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::exit::Exit;

/// Makes a new file that only its owner can read.
pub(crate) fn create_private(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options).open(file)
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Writes a file aside and puts it in the old one's place: a full disk or the loss of power leaves the old or the new.
pub(crate) fn replace(folder: &Path, path: &Path, text: &str) -> Result<(), String> {
    let at = |error: io::Error| format!("{}: {error}", path.display());
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let mut options = OpenOptions::new();
    let file = private(options.write(true).create(true).truncate(true)).open(&aside);
    file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
    .and_then(|()| fs::rename(&aside, path))
    .map_err(at)?;
    sync(folder)
}

/// Has the folder's names reach the disk.
pub(crate) fn sync(folder: &Path) -> Result<(), String> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| format!("{}: {error}", folder.display()))
}

/// The permission bits, if others than the owner may read or write the file. A credential of the service may be
/// readable by its group.
#[cfg(unix)]
pub(crate) fn mode_open_to_others(file: &Path) -> io::Result<Option<u32>> {
    let credentials = std::env::var_os(CREDENTIALS_VARIABLE).filter(|folder| !folder.is_empty());
    mode_open_beside(file, credentials.as_deref().map(Path::new))
}

/// Names the folder in which systemd hands a service its credentials. Of a unit with `User=` they belong to root,
/// and an access-control list lets that user read them; a list's mask is shown as the right of the group: 0440.
#[cfg(unix)]
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

#[cfg(unix)]
fn mode_open_beside(file: &Path, credentials: Option<&Path>) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file)?.permissions().mode() & 0o777;
    // By its real name: what a link or `..` leads to is no credential.
    let within =
        |folder: &Path| -> io::Result<bool> { Ok(file.canonicalize()?.starts_with(folder.canonicalize()?)) };
    let may = match credentials {
        Some(folder) if mode & 0o040 != 0 && within(folder).unwrap_or(false) => 0o740,
        _ => 0o700,
    };
    Ok((mode & !may != 0).then_some(mode))
}

/// The permission bits, if others than the owner may read or write the file.
#[cfg(not(unix))]
pub(crate) fn mode_open_to_others(_: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

/// The permission bits, if anybody may exchange the folder's files. A sticky folder, as `/tmp`, guards them.
#[cfg(unix)]
pub(crate) fn mode_writable_by_all(folder: &Path) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(folder)?.permissions().mode() & 0o7777;
    Ok((mode & 0o002 != 0 && mode & 0o1000 == 0).then_some(mode))
}

/// The permission bits, if anybody may exchange the folder's files.
#[cfg(not(unix))]
pub(crate) fn mode_writable_by_all(_: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Takes others' rights to a file or folder away.
#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

/// Takes others' rights to a file away.
pub(crate) fn restrict_file(path: &Path) -> io::Result<()> {
    restrict(path, 0o600)
}

/// The right to a store's folder: one gateway at a time. Freed when dropped, and by the system when the
/// process dies.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why a folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A gateway runs there.
    #[error(
        "{folder} is in use by {holder}; stop it, or give this one its own folder with \"db\" in its configuration",
        folder = .folder.display()
    )]
    Held {
        /// The folder.
        folder: PathBuf,
        /// `another gateway (pid 17)`.
        holder: String,
    },
    /// It cannot be made or written.
    #[error("cannot use folder {folder}: {source}", folder = .folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<LockError> for Exit {
    fn from(error: LockError) -> Self {
        Self::configuration(error.to_string())
    }
}

impl FolderLock {
    /// Takes the lock, making the folder if it is missing.
    ///
    /// # Errors
    /// Another gateway holds it (named by its process id), or the folder cannot be written.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join("gateway.lock");
        let failed = |source| LockError::Unusable { folder: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = private(&mut options).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(folder, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn held(folder: &Path, file: &mut File) -> LockError {
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    let holder = match pid.trim() {
        "" => "another gateway".to_owned(),
        pid => format!("another gateway (pid {pid})"),
    };
    // `.` would not say which.
    LockError::Held { folder: folder.canonicalize().unwrap_or_else(|_| folder.to_owned()), holder }
}

/// Where the token of the door at that port is written.
///
/// # Errors
/// There is neither a run-time folder nor a home to put it in.
pub fn token_path(configured: Option<&Path>, port: u16) -> Result<PathBuf, Exit> {
    if let Some(path) = configured {
        return Ok(path.to_owned());
    }
    let name = format!("{port}.token");
    let folder = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
    if let Some(run) = folder("XDG_RUNTIME_DIR") {
        return Ok(Path::new(&run).join("tradingsys").join(name));
    }
    if let Some(home) = folder("HOME") {
        return Ok(Path::new(&home).join(".tradingsys").join(name));
    }
    Err(Exit::configuration(
        "neither XDG_RUNTIME_DIR nor HOME is set; say with \"token_file\" where to put the token",
    ))
}

/// Where the token of the door at that Unix socket is written: beside it.
pub fn token_path_of_socket(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".token");
    PathBuf::from(name)
}

/// Where the operator's token is written, unless the configuration says it: beside that of the door.
pub fn operators_token_path(door: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from("operator.");
    name.push(door.file_name().unwrap_or_default());
    door.with_file_name(name)
}

/// A fresh token: 64 hex characters.
///
/// # Errors
/// The system gives no randomness.
pub fn new_token() -> Result<String, Exit> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Exit::failure(format!("no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Characters of a token at least.
const TOKEN_MIN: usize = 32;

/// The token of that file, made new if it is not there: for those who have a copy of it elsewhere.
///
/// # Errors
/// As [`token_in`]; or it cannot be written.
pub fn kept_token(path: &Path) -> Result<String, Exit> {
    if let Some(token) = token_in(path)? {
        return Ok(token);
    }
    let token = new_token()?;
    write_token(path, &token)?;
    Ok(token)
}

/// The token of that file, if it is there.
///
/// # Errors
/// Others can read the file (77), it cannot be read, or it holds no token (78).
pub fn token_in(path: &Path) -> Result<Option<String>, Exit> {
    let file = path.display();
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => {
            read.map_err(|error| Exit::configuration(format!("cannot read the token of {file}: {error}")))?
        }
    };
    if let Ok(Some(mode)) = mode_open_to_others(path) {
        return Err(Exit::key_refused(format!(
            "the token in {file} can be read by others (mode {mode:03o}); run: chmod 600 {file}"
        )));
    }
    let token = text.trim();
    if token.len() < TOKEN_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Exit::configuration(format!(
            "{file} holds no token of {TOKEN_MIN} or more characters without blanks; remove it, and the next start makes \
             one"
        )));
    }
    Ok(Some(token.to_owned()))
}

/// Writes the token to its file, whole or not at all, readable by its owner only. Its folder is made (mode
/// 0700) if missing.
///
/// # Errors
/// The file cannot be written.
pub fn write_token(path: &Path, token: &str) -> Result<(), Exit> {
    let failed = |error: io::Error| {
        Exit::configuration(format!(
            "cannot write the token to {}: {error}; say with \"token_file\" where to put it",
            path.display()
        ))
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        std::fs::create_dir_all(folder).and_then(|()| restrict(folder, 0o700)).map_err(failed)?;
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let _ = std::fs::remove_file(&new);
    create_private(&new)
        .and_then(|mut file| file.write_all(token.as_bytes()))
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(failed)
}

/// A folder of a test, removed with it.
#[cfg(test)]
pub(crate) mod scratch {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    static NEXT: AtomicU32 = AtomicU32::new(0);

    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Self {
            let unique = format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            // In memory where there is such a place: these tests sync thousands of times.
            let memory = PathBuf::from("/dev/shm");
            let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
            let path = base.join("tradingsys-runtime").join(unique);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
        pub(crate) fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scratch::Scratch;
    use super::*;

    #[test]
    fn a_folder_has_one_gateway_at_a_time() {
        let dir = Scratch::new("lock");
        let folder = dir.path("books");
        let first = FolderLock::take(&folder).unwrap();
        let second = FolderLock::take(&folder).unwrap_err().to_string();
        let pid = format!("(pid {})", std::process::id());
        assert!(second.contains(&pid) && second.contains("\"db\""), "{second}");
        drop(first);
        FolderLock::take(&folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_kept_token_is_made_once_and_read_only_if_it_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Scratch::new("kept");
        let path = dir.path("7.token");
        let token = kept_token(&path).unwrap();
        assert_eq!(kept_token(&path).unwrap(), token);
        assert_eq!(mode_open_to_others(&path).unwrap(), None);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let exit = kept_token(&path).unwrap_err();
        assert!(exit.message.contains("chmod 600") && !exit.message.contains(&token), "{exit}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["", "short", &"with a blank ".repeat(5)] {
            std::fs::write(&path, bad).unwrap();
            let exit = kept_token(&path).unwrap_err();
            assert!(exit.message.contains("holds no token"), "{exit}");
        }
    }

    #[test]
    fn the_operators_token_lies_beside_the_doors() {
        for (door, operator) in [
            ("/run/user/1/tradingsys/8111.token", "/run/user/1/tradingsys/operator.8111.token"),
            ("token", "operator.token"),
            ("a/spot.sock.token", "a/operator.spot.sock.token"),
        ] {
            assert_eq!(operators_token_path(Path::new(door)), Path::new(operator));
        }
    }

    #[cfg(unix)]
    #[test]
    fn r68_a_credential_may_be_readable_by_its_group_and_nothing_else_may() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Scratch::new("credentials");
        let credentials = dir.path("credentials");
        std::fs::create_dir_all(&credentials).unwrap();
        let (inside, outside) = (credentials.join("passphrase"), dir.path("passphrase"));
        let way_out = credentials.join("../passphrase");
        let link = credentials.join("link");
        for file in [&inside, &outside] {
            std::fs::write(file, "correct horse").unwrap();
        }
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        for (mode, taken) in [(0o440, true), (0o640, true), (0o444, false), (0o460, false), (0o450, false)] {
            for file in [&inside, &outside] {
                std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            let open = |file: &Path, folder: Option<&Path>| mode_open_beside(file, folder).unwrap();
            assert_eq!(open(&inside, Some(&credentials)), (!taken).then_some(mode), "{mode:o}");
            assert_eq!(open(&inside, None), Some(mode), "{mode:o} without credentials");
            for other in [&outside, &way_out, &link] {
                assert_eq!(open(other, Some(&credentials)), Some(mode), "{mode:o} of {}", other.display());
            }
            assert_eq!(open(&inside, Some(&dir.path("none"))), Some(mode), "{mode:o} of no folder");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_token_is_new_and_private() {
        let dir = Scratch::new("token");
        let path = dir.path("run/8111.token");
        for _ in 0..2 {
            let token = new_token().unwrap();
            assert_eq!(token.len(), 64);
            write_token(&path, &token).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), token);
        }
        assert_ne!(new_token().unwrap(), new_token().unwrap());
        assert_eq!(mode_open_to_others(&path).unwrap(), None);
        assert_eq!(mode_open_to_others(path.parent().unwrap()).unwrap(), None);
    }
}
