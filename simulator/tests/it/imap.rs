//! IMAP sessions against their model, and defects of sessions that the model finds.

use mailhost::planted::{Bug, plant};
use simulator::imap::{Options, run};

const SLICE: Options = Options { seed: 0, sessions: 16, commands: 2_500 };

/// Found by one of a few worlds of the slice's size.
#[track_caller]
fn is_found(bug: Bug, signs: &[&str]) {
    plant(Some(bug));
    let violations = (0..WORLDS).map(|seed| run(Options { seed, ..SLICE }, 0).violations);
    let found = violations.enumerate().find(|(_, violations)| !violations.is_empty());
    plant(None);
    let (world, violations) = found.unwrap_or_else(|| panic!("{bug:?} is not found in {WORLDS} worlds"));
    println!("{bug:?}: found in world {} of {WORLDS}: {}", world + 1, violations[0]);
    let known = |violation: &String| signs.iter().any(|sign| violation.contains(sign));
    assert!(violations.iter().any(known), "{bug:?} is taken for something else: {violations:?}");
}

#[test]
fn sessions_see_what_they_must() {
    let outcome = run(SLICE, 0);
    assert_eq!(outcome.violations, [""; 0]);
    assert!(outcome.counts.rests > 1 && outcome.counts.looks > 10_000, "{:?}", outcome.counts);
}

#[test]
fn sessions_are_the_same_each_time() {
    let options = Options { seed: 1, sessions: 8, commands: 500 };
    let first = run(options, usize::MAX);
    let again = run(options, usize::MAX);
    assert_eq!(again.lines, first.lines);
    assert_eq!(again.fingerprint, first.fingerprint);
    assert_ne!(run(Options { seed: 2, ..options }, 0).fingerprint, first.fingerprint);
}

#[test]
fn an_expunge_during_fetch_is_found() {
    is_found(Bug::ExpungeInFetch, &["EXPUNGE is told during"]);
}

#[test]
fn flags_that_others_are_not_told_are_found() {
    is_found(Bug::FlagsUntold, &["takes UID"]);
}

#[test]
fn an_ok_before_the_commit_is_durable_is_found() {
    is_found(Bug::OkBeforeDurable, &["and is lost", "which nobody has put there"]);
}

#[test]
fn a_move_that_leaves_the_source_is_found() {
    is_found(Bug::SourceLeft, &["still sees UID", "is gone, and is there", "and is still there"]);
}

#[test]
fn numbers_that_are_off_after_an_expunge_are_found() {
    is_found(Bug::NumbersOff, &["EXPUNGE", "is UID", "was told that UID", "for one with", "counts"]);
}

/// As many as are run for each defect.
const WORLDS: u64 = 8;
