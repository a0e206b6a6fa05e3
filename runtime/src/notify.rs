//! What the service manager is told (systemd's notify protocol): that strategies can log in, how things stand, that the
//! loop still turns, and that the end has begun.
//!
//! The signs of life are sent by the loop itself, between two inputs: a loop that is stuck sends none, whatever other
//! threads still do, and is started anew. Ready means that the door is open. Whether the exchange is there is told as a
//! status: a gateway waits for an exchange that is away, and starting it anew would not bring that back.
//!
//! Every datagram is sent without waiting. One that the manager's socket does not take is lost.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tradingsys::time::{Span, Time, earliest};

/// How often the status is looked at.
const STATUS_EVERY: Span = Span::from_secs(1);

/// Longest status told.
const STATUS_CHARS: usize = 400;

/// Who is told, and when.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    beat_every: Option<Span>,
    beat_at: Option<Time>,
    status_at: Option<Time>,
    status: String,
}

/// What a service manager has laid into the environment.
#[derive(Debug, Default)]
pub struct Manager {
    /// `NOTIFY_SOCKET`.
    pub socket: Option<OsString>,
    /// `WATCHDOG_USEC`.
    pub watchdog_usec: Option<OsString>,
    /// `WATCHDOG_PID`.
    pub watchdog_pid: Option<OsString>,
}

impl Manager {
    /// As this process finds it.
    pub fn of_environment() -> Self {
        let variable = std::env::var_os;
        Self {
            socket: variable("NOTIFY_SOCKET"),
            watchdog_usec: variable("WATCHDOG_USEC"),
            watchdog_pid: variable("WATCHDOG_PID"),
        }
    }
}

impl Notifier {
    /// For that manager; one that tells nobody where there is none. `process` is this process's number.
    ///
    /// # Errors
    /// There is one, and its socket cannot be reached; the text says why.
    pub fn new(manager: &Manager, process: u32) -> Result<Self, String> {
        let Some(name) = manager.socket.as_ref().filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let socket = connected(name.as_bytes())
            .map_err(|error| format!("NOTIFY_SOCKET {}: {error}", name.to_string_lossy()))?;
        let number = |text: &Option<OsString>| -> Option<u64> { text.as_ref()?.to_str()?.parse().ok() };
        let for_us = manager.watchdog_pid.is_none() || number(&manager.watchdog_pid) == Some(process.into());
        let micros = number(&manager.watchdog_usec).filter(|micros| for_us && *micros > 1);
        let half = |micros: u64| Duration::from_micros(micros / 2).as_nanos();
        let beat_every =
            micros.map(|micros| Span::from_nanos(i64::try_from(half(micros)).unwrap_or(i64::MAX)));
        Ok(Self { socket: Some(socket), beat_every, ..Self::default() })
    }

    /// Strategies can log in. From here on there are signs of life.
    pub fn ready(&mut self, now: Time) {
        if self.socket.is_some() {
            self.tell(&format!("READY=1\nMAINPID={}", std::process::id()));
            self.status_at = Some(now);
            self.beat_at = self.beat_every.map(|_| now);
        }
    }

    /// When [`Notifier::timer`] is due.
    pub fn deadline(&self) -> Option<Time> {
        earliest(self.beat_at, self.status_at)
    }

    /// Gives a sign of life when it is due, and says how things stand when that has changed.
    pub fn timer(&mut self, now: Time, status: impl FnOnce() -> String) {
        if let (Some(every), true) = (self.beat_every, self.beat_at.is_some_and(|at| at <= now)) {
            self.tell("WATCHDOG=1");
            self.beat_at = Some(now + every);
        }
        if self.status_at.is_some_and(|at| at <= now) {
            self.status_at = Some(now + STATUS_EVERY);
            self.tell_status(&status());
        }
    }

    /// The end has begun: signs of life go on until it is over.
    pub fn stopping(&mut self) {
        self.status_at = None;
        self.tell("STOPPING=1");
        self.tell_status("ending in order");
    }

    fn tell_status(&mut self, words: &str) {
        // A line is a field of the message: whatever else is a line end must not begin one.
        let words: String =
            words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(STATUS_CHARS).collect();
        if words != self.status {
            self.tell(&format!("STATUS={words}"));
            self.status = words;
        }
    }

    fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(message.as_bytes());
        }
    }
}

/// A socket that sends to that name: a path, or with `@` in front one of Linux's abstract names.
fn connected(name: &[u8]) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match name {
        [b'@', name @ ..] => socket.connect_addr(&abstract_name(name)?)?,
        [b'/', ..] => socket.connect(std::ffi::OsStr::from_bytes(name))?,
        _ => return Err(std::io::Error::other("neither a path nor an abstract name")),
    }
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn abstract_name(name: &[u8]) -> std::io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &[u8]) -> std::io::Result<SocketAddr> {
    Err(std::io::Error::other("abstract names are Linux's"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::scratch::Scratch;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    fn manager(socket: &str, watchdog: &[&str]) -> Manager {
        Manager {
            socket: Some(socket.into()),
            watchdog_usec: watchdog.first().map(Into::into),
            watchdog_pid: watchdog.get(1).map(Into::into),
        }
    }

    /// What has arrived, message by message.
    fn told(heard: &UnixDatagram) -> Vec<String> {
        heard.set_nonblocking(true).unwrap();
        let mut buffer = [0; 1024];
        std::iter::from_fn(|| {
            let count = heard.recv(&mut buffer).ok()?;
            Some(String::from_utf8(buffer[..count].to_vec()).unwrap())
        })
        .collect()
    }

    fn pair(watchdog: &[&str]) -> (Notifier, UnixDatagram, Scratch) {
        let folder = Scratch::new("notify");
        let path = folder.path("n");
        let heard = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(&manager(path.to_str().unwrap(), watchdog), 17).unwrap();
        (notifier, heard, folder)
    }

    #[test]
    fn without_a_manager_nothing_is_told_and_nothing_is_due() {
        let mut notifier = Notifier::new(&Manager::default(), 17).unwrap();
        notifier.ready(at(0));
        notifier.timer(at(0), || panic!("nobody asks"));
        notifier.stopping();
        assert_eq!(notifier.deadline(), None);
    }

    #[test]
    fn signs_of_life_come_at_half_the_time_and_the_status_when_it_changes() {
        let (mut notifier, heard, _folder) = pair(&["3000000"]);
        assert_eq!(notifier.deadline(), None);
        notifier.ready(at(0));
        assert_eq!(told(&heard), [format!("READY=1\nMAINPID={}", std::process::id())]);
        notifier.timer(at(0), || "comparing".to_owned());
        assert_eq!(told(&heard), ["WATCHDOG=1", "STATUS=comparing"]);
        assert_eq!(notifier.deadline(), Some(at(1_000)));
        notifier.timer(at(1_000), || "comparing".to_owned());
        assert_eq!(told(&heard), Vec::<String>::new());
        assert_eq!(notifier.deadline(), Some(at(1_500)));
        notifier.timer(at(1_500), || panic!("not due"));
        assert_eq!(told(&heard), ["WATCHDOG=1"]);
        notifier.timer(at(2_000), || "ready\nWATCHDOG=1".to_owned());
        assert_eq!(told(&heard), ["STATUS=ready WATCHDOG=1"]);
        notifier.stopping();
        assert_eq!(told(&heard), ["STOPPING=1", "STATUS=ending in order"]);
        assert_eq!(notifier.deadline(), Some(at(3_000)));
    }

    #[test]
    fn a_watchdog_of_another_process_or_of_no_time_gets_nothing() {
        for watchdog in [&[][..], &["0"], &["x"], &["3000000", "18"]] {
            let (mut notifier, heard, _folder) = pair(watchdog);
            notifier.ready(at(0));
            notifier.timer(at(0), String::new);
            assert!(!told(&heard).contains(&"WATCHDOG=1".to_owned()), "{watchdog:?}");
        }
        let (mut notifier, heard, _folder) = pair(&["3000000", "17"]);
        notifier.ready(at(0));
        notifier.timer(at(0), String::new);
        assert!(told(&heard).contains(&"WATCHDOG=1".to_owned()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_is_reached_too() {
        let name = format!("tradingsys-notify-{}", std::process::id());
        let heard = UnixDatagram::bind_addr(&abstract_name(name.as_bytes()).unwrap()).unwrap();
        Notifier::new(&manager(&format!("@{name}"), &[]), 17).unwrap().ready(at(0));
        assert_eq!(told(&heard).len(), 1);
    }

    #[test]
    fn a_manager_that_cannot_be_reached_is_told_by_its_name() {
        for name in ["/nowhere/notify", "notify", "@"] {
            let outcome = Notifier::new(&manager(name, &[]), 17);
            assert!(name == "@" || outcome.unwrap_err().contains(name), "{name}");
        }
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nothing_up() {
        let (mut notifier, heard, _folder) = pair(&["2"]);
        notifier.ready(at(0));
        for n in 0..5_000 {
            notifier.timer(at(n * 1_000), || n.to_string());
        }
        drop(heard);
        notifier.timer(at(9_000_000), || "nobody is there any more".to_owned());
    }
}
