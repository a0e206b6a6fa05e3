//! What opens the door: a token for strategies, those of single sessions, and the operator's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tradingsys::ids::SessionId;
use tradingsys_logger::redact;

use crate::config::Config;
use crate::exit::Exit;
use crate::files;

const OPERATORS_TOO: &str =
    "the operator's token is also a strategy's: remove the file of one, and the next start makes another";

/// The tokens of a run, and the files they are left in for those who may know them.
pub(crate) struct Tokens {
    /// Of all sessions without one of their own.
    pub(crate) token: String,
    /// Of single sessions.
    pub(crate) of_sessions: BTreeMap<SessionId, String>,
    /// The operator's.
    pub(crate) operator: String,
    /// Of this run alone.
    written: Vec<PathBuf>,
}

impl Tokens {
    /// Makes those that are new at each start, and reads those that are kept.
    ///
    /// # Errors
    /// A file cannot be written, can be read by others, or holds no token; or two that must differ are the same.
    pub(crate) fn new(config: &Config, port: u16) -> Result<Self, Exit> {
        let path = files::token_path(config.token_file.as_deref(), port)?;
        let operators = config.operator_token_file.clone();
        let operators = operators.unwrap_or_else(|| files::operators_token_path(&path));
        let socket = config.unix_socket.as_deref().map(files::token_path_of_socket);
        let strategies: Vec<PathBuf> = std::iter::once(path.clone()).chain(socket.clone()).collect();
        // Before one is written over another.
        let files = files_of(strategies.iter(), config);
        each_its_own(files.iter().map(|held| (*held, place(held.1))))?;
        let mut written = Vec::new();
        let mut one = |path: PathBuf, beside: Option<PathBuf>| -> Result<String, Exit> {
            let kept = config.tls.is_some();
            let token = if kept { files::kept_token(&path)? } else { files::new_token()? };
            redact::add_secret(&token);
            let of_this_run: Vec<PathBuf> = (!kept).then_some(path).into_iter().chain(beside).collect();
            for file in &of_this_run {
                files::write_token(file, &token)?;
            }
            written.extend(of_this_run);
            Ok(token)
        };
        let token = one(path, socket.clone())?;
        let operator = one(operators, socket.as_deref().map(files::operators_token_path))?;
        let mut of_sessions = BTreeMap::new();
        for (session, file) in &config.session_tokens {
            let own = files::kept_token(file)?;
            redact::add_secret(&own);
            of_sessions.insert(*session, own);
        }
        let held = |whose: Option<SessionId>| whose.map_or(Some(&token), |session| of_sessions.get(&session));
        each_its_own(files.iter().map(|&(whose, file)| ((whose, file), held(whose))))?;
        if std::iter::once(&token).chain(of_sessions.values()).any(|strategies| *strategies == operator) {
            return Err(Exit::configuration(OPERATORS_TOO));
        }
        kept_apart(&strategies, &operator)?;
        Ok(Self { token, of_sessions, operator, written })
    }

    /// Removes what is of this run alone.
    pub(crate) fn put_away(self) {
        for file in self.written {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// A file with a token of strategies, and the session it is of; `None`: of all that have none of their own.
type Held<'a> = (Option<SessionId>, &'a Path);

fn files_of<'a>(door: impl Iterator<Item = &'a PathBuf>, config: &'a Config) -> Vec<Held<'a>> {
    let sessions = config.session_tokens.iter().map(|(session, file)| (Some(*session), file.as_path()));
    door.map(|file| (None, file.as_path())).chain(sessions).collect()
}

/// Where a file is or will be, by whatever path it was named.
fn place(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = || Some(folder.canonicalize().ok()?.join(file.file_name()?));
    file.canonicalize().ok().or_else(beside).unwrap_or_else(|| file.to_owned())
}

/// Is what each of them has its own alone? Who has the token of one would be let in as the other.
fn each_its_own<'a, T: Ord>(held: impl Iterator<Item = (Held<'a>, T)>) -> Result<(), Exit> {
    let mut first: BTreeMap<T, Held<'a>> = BTreeMap::new();
    for ((whose, file), token) in held {
        let (other, its) = *first.entry(token).or_insert((whose, file));
        if other != whose {
            return Err(Exit::configuration(format!(
                "{} and {} have the same token, in {} and {}; whoever has it would be let in as either: name another \
                 file for one of them, or remove it, and the next start makes another",
                owner(other),
                owner(whose),
                its.display(),
                file.display()
            )));
        }
    }
    Ok(())
}

fn owner(whose: Option<SessionId>) -> String {
    whose.map_or_else(|| "the door".to_owned(), |session| format!("session {session}"))
}

/// The tokens that a start would find and keep, looked at without making any: how many of how many are there. `None`:
/// all are new at each start.
///
/// # Errors
/// As at a start.
pub(crate) fn look(config: &Config) -> Result<Option<String>, Exit> {
    let door = config.token_file.as_ref();
    let files = files_of(door.into_iter(), config);
    each_its_own(files.iter().map(|held| (*held, place(held.1))))?;
    let kept = files.into_iter().filter(|(whose, _)| whose.is_some() || config.tls.is_some());
    let mut found = Vec::new();
    let mut missing = 0;
    for held in kept {
        match files::token_in(held.1)? {
            Some(token) => found.push((held, token)),
            None => missing += 1,
        }
    }
    let operators = door.map(|door| files::operators_token_path(door));
    let operators = config.operator_token_file.clone().or(operators).filter(|_| config.tls.is_some());
    let operator = operators.map(|file| files::token_in(&file)).transpose()?.flatten();
    if found.iter().any(|(_, token)| operator.as_ref() == Some(token)) {
        return Err(Exit::configuration(OPERATORS_TOO));
    }
    let there = found.len();
    each_its_own(found.into_iter())?;
    Ok((there + missing > 0).then(|| match missing {
        0 => format!("{there} are kept, and each is its session's own"),
        missing => format!("{there} are kept; the next start makes {missing} more"),
    }))
}

/// Two keys may name one file, by whatever path: what strategies read would be the token that was written last.
fn kept_apart(strategies: &[PathBuf], operator: &str) -> Result<(), Exit> {
    let shared = |file: &&PathBuf| std::fs::read_to_string(file).is_ok_and(|found| found.trim() == operator);
    let Some(file) = strategies.iter().find(shared) else { return Ok(()) };
    let _ = std::fs::remove_file(file);
    Err(Exit::configuration(format!(
        "{} is to hold the token of strategies and the operator's: name another file for one of them",
        file.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::scratch::Scratch;

    #[test]
    fn r73_a_file_or_a_token_that_two_share_is_refused_with_both_named() {
        let folder = Scratch::new("tokens");
        let (door, seven, link) = (folder.path("door"), folder.path("7"), folder.path("8"));
        files::write_token(&door, "theirs").unwrap();
        std::os::unix::fs::symlink(&door, &link).unwrap();
        let round = folder.path("nowhere").join("..").join("7");
        std::fs::create_dir(folder.path("nowhere")).unwrap();
        let of = |number| Some(SessionId(number));
        let places = |held: &[Held<'_>]| {
            each_its_own(held.iter().map(|held| (*held, place(held.1)))).map_err(|exit| exit.message)
        };
        // The door may keep its one token in two places.
        assert_eq!(places(&[(None, &door), (None, &door), (of(7), &seven)]), Ok(()));
        let shared = places(&[(None, &door), (of(7), &seven), (of(8), &link)]).unwrap_err();
        assert!(shared.starts_with("the door and session 8 have the same token, in "), "{shared}");
        assert!(shared.contains("door and ") && shared.contains("8; whoever"), "{shared}");
        let shared = places(&[(None, &door), (of(7), &seven), (of(8), &round)]).unwrap_err();
        assert!(
            shared.starts_with("session 7 and session 8 have"),
            "by another path, and not made yet: {shared}"
        );
        let copied = [((of(7), seven.as_path()), "a"), ((of(8), door.as_path()), "a")];
        assert!(each_its_own(copied.into_iter()).is_err(), "copied");
    }

    #[test]
    fn r64_a_file_that_is_named_twice_gives_no_strategy_the_operators_token() {
        let folder = Scratch::new("tokens");
        let (door, operators) = (folder.path("door"), folder.path("operators"));
        files::write_token(&door, "theirs").unwrap();
        files::write_token(&operators, "his").unwrap();
        assert!(kept_apart(&[door.clone(), folder.path("nowhere")], "his").is_ok());
        let again = folder.path("again");
        std::os::unix::fs::symlink(&operators, &again).unwrap();
        let refused = kept_apart(&[door.clone(), again.clone()], "his").unwrap_err();
        assert!(refused.message.contains("again is to hold"), "{}", refused.message);
        assert!(door.exists() && !again.exists());
    }
}
