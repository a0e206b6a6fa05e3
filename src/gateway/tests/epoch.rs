//! Epochs of runs that the journal does not know: it is an older copy, put back while nobody looked.

use super::*;

const LACKS: &str = "journal.db is an older copy: it lacks a run";

fn errors(bench: &Bench) -> usize {
    bench.logs.iter().filter(|log| log.starts_with(LACKS)).count()
}

/// A gateway that starts from these records, some time later, beside that note.
fn beside(noted: Option<u32>, journal: &[Record]) -> Bench {
    let config = GatewayConfig { noted_epoch: noted, ..config() };
    Bench::of(config, journal.to_vec(), Vec::new(), START + Span::from_secs(1))
}

#[test]
fn i7_no_epoch_is_given_again_that_is_noted_beside_an_older_copy() {
    let first = Bench::ready();
    let (began, generation) = (first.gateway.epoch, first.gateway.generation);
    // As it should be: the note says what the journal says, or less, for a kill came between the two.
    for noted in [Some(began), Some(began - 1)] {
        let bench = beside(noted, &first.journal);
        assert_eq!((bench.gateway.epoch, bench.gateway.generation), (began + 1, generation), "{noted:?}");
        assert_eq!(errors(&bench), 0);
    }
    let bench = beside(Some(began + 20), &first.journal);
    assert_eq!(bench.gateway.epoch, began + 21);
    assert!(bench.gateway.generation > generation, "events told since are not taken for those to come");
    assert_eq!(errors(&bench), 1, "{:?}", bench.logs);
}

/// The runs that a copy lacks began ahead of the clock, or in this very minute.
#[test]
fn i7_a_start_that_knows_its_journal_for_a_copy_or_finds_no_note_begins_ahead() {
    let first = Bench::ready();
    let (began, seed) = (first.gateway.epoch, 1_000);
    let pos_db = Some("journal.db ends at record 3, pos.db has seen record 9".to_owned());
    for (noted_epoch, journal_rebuilt) in [(Some(began), pos_db), (None, None)] {
        let config = GatewayConfig { noted_epoch, journal_rebuilt, seed, ..config() };
        let bench = Bench::of(config, first.journal.clone(), Vec::new(), START + Span::from_secs(1));
        assert!(bench.gateway.epoch >= began + 999, "{} after {began}", bench.gateway.epoch);
    }
}

#[test]
fn i7_no_epoch_is_given_again_that_is_noted_beside_no_journal() {
    let began = Bench::new(Vec::new(), Vec::new(), START).gateway.epoch;
    for (noted, expected) in [(began - 9, began), (began, began + 1), (began + 50, began + 51)] {
        let bench = beside(Some(noted), &[]);
        assert_eq!((bench.gateway.epoch, errors(&bench)), (expected, 0), "as after a first start");
    }
}

/// Logs session 2 in with the epoch that its last login was told.
fn told(bench: &mut Bench, epoch: u32) -> Value {
    bench.told = Some(epoch);
    bench.take_over = true;
    let reply = bench.login_as(2, None);
    bench.told = None;
    reply
}

#[test]
fn a_strategy_that_was_told_an_epoch_of_a_lost_run_shows_that_the_journal_is_an_older_copy() {
    let copy = Bench::ready().journal;
    // One this run has not come to, its own by chance, and one of the time since the copy was made.
    for (later, more) in [(1, 7), (1, 0), (600, -3)] {
        let mut bench = Bench::new(copy.clone(), Vec::new(), START + Span::from_secs(later * 1_000));
        bench.login(None);
        let (began, generation, seated) = (bench.gateway.epoch, bench.gateway.generation, bench.conn);
        let lost = began.checked_add_signed(more).unwrap();
        let reply = told(&mut bench, lost);
        assert!(reply["result"]["last"]["gen"].as_u64() > Some(generation), "{reply}");
        assert!(bench.closed.contains(&(seated, 1012)), "its numbers, too, would mean other events");
        assert_eq!(errors(&bench), 1, "{more}");
        assert!(bench.gateway.epoch > lost, "{more}: its ids are not given again");
    }
}

#[test]
fn an_epoch_of_before_the_present_numbering_shows_nothing() {
    let first = Bench::ready();
    let (began, lost) = (first.gateway.epoch, first.gateway.epoch - 5);
    // A journal was lost, and this one has had a run since; or an older copy was known for what it was in a run since.
    let known = beside(Some(began + 20), &first.journal);
    for (journal, told_then) in [(first.journal, lost), (known.journal, began + 20)] {
        let mut bench = Bench::new(journal, Vec::new(), START + Span::from_secs(60));
        let generation = bench.gateway.generation;
        let reply = told(&mut bench, told_then);
        assert_eq!(reply["result"]["last"]["gen"].as_u64(), Some(generation), "{reply}");
        assert_eq!(errors(&bench), 0, "{:?}", bench.logs);
    }
}

#[test]
fn no_login_is_told_an_epoch_that_is_not_on_the_disk() {
    let mut first = Bench::ready();
    first.gateway.notice(first.now, SessionId(1), "n", String::new(), None);
    first.input(Input::Timer);
    let journal = first.journal.clone();
    let mut bench = Bench::new(journal, Vec::new(), START + Span::from_secs(60));
    let begins = bench.gateway.epoch + 1;
    bench.hold_commits = true;
    bench.gateway.begin_epoch(bench.now, begins);
    bench.input(Input::Timer);
    let generation = bench.gateway.generation;
    assert_eq!(bench.login(Some((generation, 0))), Value::Null, "no answer yet");
    bench.commit();
    let told: Vec<&Value> =
        bench.sent.iter().filter(|frame| frame["result"]["epoch"] == json!(begins)).collect();
    assert_eq!(told.len(), 1, "{:?}", bench.sent);
    assert_eq!(told[0]["result"]["resume"], "events");
    assert_eq!(
        bench.sent.iter().filter(|frame| frame["replayed"] == json!(true)).count(),
        1,
        "{:?}",
        bench.sent
    );
}

#[test]
fn who_was_told_this_epoch_or_one_of_an_earlier_run_shows_nothing() {
    let first = Bench::ready();
    let earlier = first.gateway.epoch;
    let mut bench = Bench::new(first.journal, Vec::new(), START + Span::from_secs(60));
    let (began, generation) = (bench.gateway.epoch, bench.gateway.generation);
    told(&mut bench, earlier);
    // What no gateway ever gave proves nothing either.
    for epoch in [began, earlier, u32::MAX] {
        let reply = told(&mut bench, epoch);
        assert_eq!(reply["result"]["epoch"], json!(began), "{epoch}");
    }
    assert_eq!((bench.gateway.generation, errors(&bench)), (generation, 0));
}

/// A strategy that comes back some runs later was told an epoch of the same lost runs as the one that showed them.
#[test]
fn an_older_copy_is_numbered_anew_once_whoever_comes_back_later() {
    let copy = Bench::ready().journal;
    let mut shown = Bench::new(copy, Vec::new(), START + Span::from_secs(60));
    let lost = shown.gateway.epoch + 1;
    told(&mut shown, lost);
    assert_eq!(errors(&shown), 1, "{:?}", shown.logs);
    assert!(shown.gateway.epoch > lost);
    let mut later = Bench::new(shown.journal.clone(), Vec::new(), START + Span::from_secs(120));
    let generation = later.gateway.generation;
    told(&mut later, lost);
    assert_eq!((errors(&later), later.gateway.generation), (0, generation), "{:?}", later.logs);
}
