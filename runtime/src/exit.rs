//! How a gateway ends: a code a script can act on and words a human can act on.

use std::fmt;

/// Why the process ends, as its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Something broke that should not.
    Failure = 1,
    /// Command line not understood.
    Usage = 2,
    /// An address cannot be reached or bound.
    Unreachable = 69,
    /// The key was refused, by us or by the exchange.
    KeyRefused = 77,
    /// Configuration, files or stores are not as they must be.
    Configuration = 78,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

/// An end that is not a success: shown on standard error, then the process exits with the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit status.
    pub code: ExitCode,
    /// What was found, where, and what to do. Empty for an end by signal.
    pub message: String,
}

impl Exit {
    /// Configuration, a file or a store is not as it must be (78).
    pub fn configuration(message: impl Into<String>) -> Self {
        Self { code: ExitCode::Configuration, message: message.into() }
    }
    /// The key cannot be used (77).
    pub fn key_refused(message: impl Into<String>) -> Self {
        Self { code: ExitCode::KeyRefused, message: message.into() }
    }
    /// An address cannot be reached or bound (69).
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { code: ExitCode::Unreachable, message: message.into() }
    }
    /// Something broke that should not (1).
    pub fn failure(message: impl Into<String>) -> Self {
        Self { code: ExitCode::Failure, message: message.into() }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The exchange's refusal of the key, and what to look at.
pub(crate) fn refused_by_the_exchange(reason: &str) -> String {
    // The venue's words end with a full stop of their own.
    let reason = reason.trim_end_matches(['.', ' ']);
    format!(
        "the exchange refused the key: {reason}. See at the exchange's API management that this \"apikey\" is there \
         and of type Ed25519, that its public key is the one of \"pem\", that its IP restriction has this \
         machine's address, and that it may trade; for another \"env\" make a key there"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_venues_full_stop_is_not_doubled() {
        let told = refused_by_the_exchange("-2015 Invalid API-key, IP, or permissions for action.");
        assert!(told.contains("permissions for action. See at"), "{told}");
        assert!(refused_by_the_exchange("gone").contains("the key: gone. See at"));
    }
}
