//! What opens the door: a token for strategies, those of single sessions, and the operator's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tradingsys::ids::SessionId;
use tradingsys_logger::redact;

use crate::config::Config;
use crate::exit::Exit;
use crate::files;

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
    /// A file cannot be written, can be read by others, or holds no token; or a strategy's is the operator's.
    pub(crate) fn new(config: &Config, port: u16) -> Result<Self, Exit> {
        let path = files::token_path(config.token_file.as_deref(), port)?;
        let operators = config.operator_token_file.clone();
        let operators = operators.unwrap_or_else(|| files::operators_token_path(&path));
        let socket = config.unix_socket.as_deref().map(files::token_path_of_socket);
        let strategies: Vec<PathBuf> = std::iter::once(path.clone()).chain(socket.clone()).collect();
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
        if std::iter::once(&token).chain(of_sessions.values()).any(|strategies| *strategies == operator) {
            return Err(Exit::configuration(
                "the operator's token is also a strategy's: remove the file of one, and the next start makes another",
            ));
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
