//! SIGUSR1 pulls the kill switch, from the program's first moment on. Unheard it would end the process, and whatever
//! starts the gateway anew would have it trade again.
//!
//! ```text
//! held ─────────▶ the switch's file is made ─────▶ the loop is told ───────▶ the file is made
//!   configuration is read               the loop turns              it has ended
//! ```
//!
//! A thread of its own waits for it: meanwhile the other may read a passphrase, or hundreds of megabytes of journal.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tradingsys::gateway::stop::Kill;

use super::{KILL, StopEvent};
use crate::files::{self, sync};

/// Both ways at once, in case the thread takes its time.
const WAYS: usize = 2;

/// Where a pull goes.
#[derive(Debug)]
enum Way {
    /// Nobody knows yet.
    Nowhere,
    /// Into the switch's file, in that folder.
    File(PathBuf),
    /// To the loop; once that has ended, into the file.
    Loop(mpsc::Sender<StopEvent>, PathBuf),
}

/// The signal is listened to as long as the process lives.
#[derive(Debug)]
pub struct KillSignal {
    ways: mpsc::Sender<Way>,
}

impl KillSignal {
    /// From here on the signal ends nothing.
    ///
    /// # Errors
    /// The system gives no thread, or no signals.
    pub fn listen() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut pulled = {
            let _within = runtime.enter();
            signal(SignalKind::user_defined1())?
        };
        let pulls = stream::poll_fn(move |context| pulled.poll_recv(context));
        let (ways, given) = mpsc::channel(WAYS);
        let carry = move || runtime.block_on(carry(pulls, given));
        std::thread::Builder::new().name("kill".to_owned()).spawn(carry)?;
        Ok(Self { ways })
    }

    /// The folder of the databases is known: a pull is kept there, and found once the gateway looks.
    pub fn keep_in(&self, folder: &Path) {
        self.go(Way::File(folder.to_owned()));
    }

    /// The loop turns: it is told, and keeps the pull itself.
    pub fn tell(&self, folder: &Path, events: mpsc::Sender<StopEvent>) {
        self.go(Way::Loop(events, folder.to_owned()));
    }

    fn go(&self, way: Way) {
        // There is room for all there are, and the thread never ends.
        let _taken = self.ways.try_send(way);
    }
}

async fn carry(mut pulls: impl Stream<Item = ()> + Unpin, mut ways: mpsc::Receiver<Way>) {
    let (mut way, mut held) = (Way::Nowhere, false);
    loop {
        tokio::select! {
            Some(next) = ways.recv() => way = next,
            Some(()) = pulls.next() => held = true,
            else => return,
        }
        // What cannot be kept waits for the next way: the loop takes it without a disk.
        held = held && !way.carry().await;
    }
}

impl Way {
    /// Has the pull arrived?
    async fn carry(&self) -> bool {
        match self {
            Self::Nowhere => false,
            Self::File(folder) => told(pull(folder)),
            Self::Loop(events, folder) => {
                events.send(StopEvent::Kill(by_signal())).await.is_ok() || told(pull(folder))
            }
        }
    }
}

fn by_signal() -> Kill {
    Kill { by: "the signal SIGUSR1".to_owned(), ..Kill::default() }
}

fn told(made: io::Result<()>) -> bool {
    match made {
        Ok(()) => tracing::warn!(target: "runtime", "kill_switch_file_made"),
        Err(ref error) => {
            tracing::error!(target: "runtime", reason = %error, "kill_switch_file_not_made");
        }
    }
    made.is_ok()
}

/// Makes the switch's file in that folder, unless it is there: then it is pulled already, and may say more.
fn pull(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = match files::create_private(&folder.join(KILL)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    };
    // It counts as soon as it is there; a full disk takes an empty file, too.
    let text = serde_json::to_string(&by_signal()).unwrap_or_default();
    let _words = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let _kept = sync(folder);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::scratch::Scratch;
    use crate::stop::read;

    /// The pulls to come, the ways to come, and what carries the ones by the others.
    fn bench() -> (mpsc::Sender<()>, mpsc::Sender<Way>, tokio::task::JoinHandle<()>) {
        let (pull, mut pulls) = mpsc::channel(1);
        let (way, ways) = mpsc::channel(WAYS);
        let pulls = stream::poll_fn(move |context| pulls.poll_recv(context));
        (pull, way, tokio::spawn(carry(pulls, ways)))
    }

    /// Sends it, and waits until it was looked at.
    async fn give<T>(sender: &mpsc::Sender<T>, given: T) {
        assert!(sender.send(given).await.is_ok(), "it is carried");
        let _all = sender.reserve_many(sender.max_capacity()).await.unwrap();
    }

    #[tokio::test]
    async fn r60_a_pull_before_anything_is_known_is_held_and_then_kept_in_the_file() {
        let folder = Scratch::new("signal");
        let (pull, way, carried) = bench();
        give(&pull, ()).await;
        give(&way, Way::File(folder.path("db"))).await;
        drop((pull, way));
        carried.await.unwrap();
        assert_eq!(read(&folder.path("db")).kill, Some(by_signal()));
    }

    #[tokio::test]
    async fn r60_a_pull_that_cannot_be_kept_is_told_to_the_loop_as_soon_as_it_turns() {
        let folder = Scratch::new("signal");
        fs::write(folder.path("db"), "no folder").unwrap();
        let (pull, way, carried) = bench();
        give(&way, Way::File(folder.path("db"))).await;
        give(&pull, ()).await;
        let (events, mut heard) = mpsc::channel(1);
        give(&way, Way::Loop(events, folder.path("db"))).await;
        drop((pull, way));
        carried.await.unwrap();
        assert_eq!(heard.recv().await, Some(StopEvent::Kill(by_signal())));
        assert_eq!(heard.recv().await, None, "once is enough");
    }

    #[tokio::test]
    async fn r60_a_pull_after_the_loop_has_ended_is_kept_in_the_file() {
        let folder = Scratch::new("signal");
        let (pull, way, carried) = bench();
        let (events, heard) = mpsc::channel(1);
        drop(heard);
        give(&way, Way::Loop(events, folder.0.clone())).await;
        give(&pull, ()).await;
        drop((pull, way));
        carried.await.unwrap();
        assert_eq!(read(&folder.0).kill, Some(by_signal()));
    }

    #[test]
    fn r60_a_file_that_is_there_may_say_more_and_is_left_alone() {
        let folder = Scratch::new("signal");
        fs::write(folder.path(KILL), "flatten the lot").unwrap();
        pull(&folder.0).unwrap();
        assert_eq!(fs::read_to_string(folder.path(KILL)).unwrap(), "flatten the lot");
    }
}
