use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tradingsys::gateway::stop::Policy;
use tradingsys::ids::SessionId;

use super::crashes::{COUNT, Counted};
use super::*;
use crate::exit::{Exit, ExitCode};
use crate::files::scratch::Scratch;

struct Bench {
    folder: Scratch,
    keeper: Keeper,
    events: mpsc::Receiver<StopEvent>,
}

impl Bench {
    fn new() -> Self {
        Self::on(Scratch::new("stop"))
    }

    fn on(folder: Scratch) -> Self {
        let (sender, events) = mpsc::channel(16);
        let kept = read(&folder.0);
        let keeper = Keeper::start(&folder.0, &kept, None, sender).unwrap();
        Self { folder, keeper, events }
    }

    fn switch(&self) -> PathBuf {
        self.folder.0.join(KILL)
    }

    fn hears(&mut self) -> StopEvent {
        self.events.blocking_recv().unwrap()
    }

    fn kept(&mut self) {
        assert_eq!(self.hears(), StopEvent::Kept(1, Ok(())));
    }
}

fn killed(flatten: bool) -> Kept {
    let kill = Kill { by: "an operator".to_owned(), reason: "enough".to_owned(), flatten, ..Kill::default() };
    Kept { kill: Some(kill), ..Kept::default() }
}

#[test]
fn r60_whoever_makes_the_file_pulls_the_switch_and_whoever_removes_it_clears_it() {
    let mut bench = Bench::new();
    fs::write(bench.switch(), "").unwrap();
    let StopEvent::File(kill, 1) = bench.hears() else { panic!("pulled") };
    assert_eq!((kill.by.as_str(), kill.flatten), ("the file KILL", false));
    fs::write(bench.switch(), "flatten the lot\n").unwrap();
    // It may be seen while it is being written.
    let flattens = |event: &StopEvent| matches!(event, StopEvent::File(kill, _) if kill.flatten);
    let StopEvent::File(kill, changes) = std::iter::repeat_with(|| bench.hears()).find(flattens).unwrap()
    else {
        panic!("pulled with more")
    };
    assert_eq!(kill.reason, "the lot");
    fs::remove_file(bench.switch()).unwrap();
    assert_eq!(bench.hears(), StopEvent::FileGone(changes + 1, 0));
}

#[test]
fn r60_a_file_removed_while_the_gateway_started_is_a_removal() {
    let folder = Scratch::new("stop");
    let (sender, mut events) = mpsc::channel(16);
    let keeper = Keeper::start(&folder.0, &killed(false), None, sender).unwrap();
    keeper.keep(1, killed(false));
    assert_eq!(events.blocking_recv().unwrap(), StopEvent::FileGone(1, 0));
}

#[test]
fn r60_a_switch_pulled_otherwise_is_a_file_too_and_outlives_a_restart() {
    let mut bench = Bench::new();
    assert_eq!(read(&bench.folder.0), Kept::default());
    bench.keeper.keep(1, killed(false));
    bench.kept();
    assert_eq!(read(&bench.folder.0), killed(false));
    assert_eq!(fs::metadata(bench.switch()).unwrap().permissions().mode() & 0o777, 0o600);
    bench.keeper.keep(1, killed(true));
    bench.kept();
    let mut bench = Bench::on(bench.folder);
    assert_eq!(read(&bench.folder.0), killed(true));
    // Its own file tells it nothing new.
    bench.keeper.keep(1, Kept::default());
    bench.kept();
    assert_eq!((read(&bench.folder.0), bench.switch().exists()), (Kept::default(), false));
}

/// What a person removed is not written again because something else was to be kept.
#[test]
fn a_removal_wins_over_what_was_said_before_it() {
    let mut bench = Bench::new();
    bench.keeper.keep(1, killed(false));
    bench.kept();
    fs::remove_file(bench.switch()).unwrap();
    let pause = Pause { by: "an operator".to_owned(), ..Pause::default() };
    bench.keeper.keep(1, Kept { paused_all: Some(pause), ..killed(false) });
    assert_eq!(bench.hears(), StopEvent::FileGone(1, 0));
    bench.kept();
    assert!(!bench.switch().exists() && read(&bench.folder.0).paused_all.is_some());
}

/// What was said before anybody knew of the file does not remove it, whichever of the two is seen first.
#[test]
fn r60_a_file_just_made_is_not_removed_by_what_was_said_before_it() {
    let mut bench = Bench::new();
    let pause = Pause { by: "an operator".to_owned(), ..Pause::default() };
    let paused = Kept { paused_all: Some(pause), ..Kept::default() };
    // Whole at once: one change.
    fs::write(bench.folder.path("aside"), "flatten").unwrap();
    fs::rename(bench.folder.path("aside"), bench.switch()).unwrap();
    bench.keeper.keep(1, paused.clone());
    assert!(matches!(bench.hears(), StopEvent::File(_, 1)));
    bench.kept();
    assert!(read(&bench.folder.0).kill.is_some_and(|kill| kill.flatten));
    bench.keeper.keep(1, paused.clone());
    bench.kept();
    assert!(bench.switch().exists(), "nor by what was said before it was heard of");
    bench.keeper.keep(1, Kept { changes: 1, ..paused });
    bench.kept();
    assert!(!bench.switch().exists(), "who knows of it clears it");
}

/// The switch is on; somebody removes the file, and before that is seen it is pulled again.
#[test]
fn r60_the_removal_of_a_file_takes_no_later_pull_along() {
    let mut bench = Bench::new();
    bench.keeper.keep(1, Kept { pulls: 1, ..killed(false) });
    bench.kept();
    fs::remove_file(bench.switch()).unwrap();
    bench.keeper.keep(1, Kept { pulls: 2, ..killed(false) });
    assert_eq!(bench.hears(), StopEvent::FileGone(1, 1), "what was removed stood for the first");
    bench.kept();
    assert_eq!(read(&bench.folder.0), killed(false));
    fs::remove_file(bench.switch()).unwrap();
    assert_eq!(bench.hears(), StopEvent::FileGone(2, 2));
}

#[test]
fn pauses_and_policies_are_kept_and_what_cannot_be_read_pauses_all() {
    let mut bench = Bench::new();
    let policy = Policy { heartbeat_ms: Some(500), cancel_after_ms: Some(0) };
    let kept = Kept {
        paused: [(SessionId(7), Pause { reason: "lunch".to_owned(), ..Pause::default() })].into(),
        policies: [(SessionId(9), policy)].into(),
        ..Kept::default()
    };
    bench.keeper.keep(1, kept.clone());
    bench.kept();
    assert_eq!(read(&bench.folder.0), kept);
    fs::write(bench.folder.0.join(REST), "{\"paused\"").unwrap();
    let pause = read(&bench.folder.0).paused_all.unwrap();
    assert!(pause.reason.contains("stop.json cannot be read"), "{pause:?}");
}

#[test]
fn whatever_lies_there_counts_as_pulled() {
    let bench = Bench::new();
    for text in ["{\"by\": 7}", "\u{0}\u{1}", "{"] {
        fs::write(bench.switch(), text).unwrap();
        assert!(read(&bench.folder.0).kill.is_some(), "{text:?}");
    }
    fs::remove_file(bench.switch()).unwrap();
    fs::create_dir(bench.switch()).unwrap();
    assert!(read(&bench.folder.0).kill.is_some(), "a folder");
    fs::remove_dir(bench.switch()).unwrap();
    std::os::unix::fs::symlink("nowhere", bench.switch()).unwrap();
    assert!(read(&bench.folder.0).kill.is_some(), "a link that leads nowhere");
}

/// The switch holds in the loop; it is written as soon as it can be, and a file that is not there yet is no removal.
#[test]
fn r60_what_cannot_be_written_is_told_once_and_tried_again() {
    let folder = Scratch::new("stop");
    let place = folder.0.join("db");
    fs::create_dir(&place).unwrap();
    let (sender, mut events) = mpsc::channel(16);
    let keeper = Keeper::start(&place, &Kept::default(), None, sender).unwrap();
    fs::remove_dir(&place).unwrap();
    keeper.keep(1, killed(false));
    let StopEvent::Kept(1, Err(reason)) = events.blocking_recv().unwrap() else {
        panic!("it cannot be written")
    };
    assert!(reason.contains(KILL), "{reason}");
    fs::create_dir(&place).unwrap();
    assert_eq!(events.blocking_recv().unwrap(), StopEvent::Kept(1, Ok(())));
    assert_eq!(read(&place), killed(false));
}

fn begun(folder: &Path) -> Counted {
    Counted::begin(folder, 3)
}

fn before(folder: &Path) -> u32 {
    begun(folder).crashes().in_a_row
}

fn ended_in_order() -> Exit {
    Exit { code: ExitCode::Terminated, message: String::new() }
}

#[test]
fn r53_a_run_that_is_gone_is_one_more_and_one_that_ends_in_order_begins_anew() {
    let folder = Scratch::new("crashes");
    let found: Vec<u32> = (0..4).map(|_| before(&folder.0)).collect();
    assert_eq!(found, [0, 1, 2, 3]);
    begun(&folder.0).ended(&ended_in_order());
    assert_eq!((before(&folder.0), before(&folder.0)), (0, 1));
    begun(&folder.0).ended(&Exit::failure("the journal's thread ended"));
    assert_eq!(before(&folder.0), 3, "whatever broke, it broke");
    assert_eq!(fs::metadata(folder.0.join(COUNT)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn r53_a_start_that_is_refused_neither_counts_nor_begins_anew() {
    let folder = Scratch::new("crashes");
    begun(&folder.0).ended(&Exit::configuration("no journal of this market"));
    assert!(!folder.0.join(COUNT).exists());
    drop((begun(&folder.0), begun(&folder.0)));
    for refused in [Exit::configuration(""), Exit::key_refused(""), Exit::unreachable("")] {
        begun(&folder.0).ended(&refused);
        assert_eq!(crashes::read(&folder.0), Ok(2), "{refused:?}");
    }
}

/// The thread tells what it kept, and after that looks whether the run has lived: what was told the second time came
/// after one whole look.
#[test]
fn r53_a_run_that_lives_counts_no_more_however_it_ends() {
    for (after, lives) in
        [(Some(Duration::ZERO), true), (Some(Duration::from_secs(3_600)), false), (None, false)]
    {
        let folder = Scratch::new("crashes");
        drop((begun(&folder.0), begun(&folder.0)));
        let counted = begun(&folder.0);
        let (sender, mut events) = mpsc::channel(16);
        let keeper = Keeper::start(&folder.0, &Kept::default(), after, sender).unwrap();
        for number in 1..=2 {
            keeper.keep(number, Kept::default());
            assert_eq!(events.blocking_recv().unwrap(), StopEvent::Kept(number, Ok(())));
        }
        assert_eq!(crashes::read(&folder.0), Ok(if lives { 0 } else { 3 }), "{after:?}");
        counted.ended(&Exit::key_refused("the key was taken away"));
        assert_eq!(crashes::read(&folder.0), Ok(if lives { 0 } else { 2 }), "{after:?}");
    }
}

#[test]
fn r53_a_damaged_count_is_told_and_is_none() {
    let folder = Scratch::new("crashes");
    let path = folder.0.join(COUNT);
    for junk in ["", "{}", "3", "{\"fast_crashes\": -1}", "{\"fast_crashes\": 3", "\u{0}\u{1}"] {
        fs::write(&path, junk).unwrap();
        let told = crashes::read(&folder.0).unwrap_err();
        assert!(told.contains(COUNT), "{told}");
        assert_eq!(before(&folder.0), 0, "{junk:?}");
        assert_eq!(crashes::read(&folder.0), Ok(1), "{junk:?}: counted on from none");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(crashes::read(&folder.0).is_err() && before(&folder.0) == 0, "a folder");
}

#[test]
fn r53_where_crashes_are_not_to_count_there_is_no_file() {
    let folder = Scratch::new("crashes");
    drop((begun(&folder.0), begun(&folder.0), begun(&folder.0)));
    let off = Counted::begin(&folder.0, 0);
    assert_eq!((off.crashes().in_a_row, off.lives_after()), (0, None));
    assert!(!folder.0.join(COUNT).exists(), "what was counted once is not found again years later");
    assert_eq!(begun(&folder.0).lives_after(), Some(Duration::from_secs(10)));
}
