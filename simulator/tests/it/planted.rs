//! Each defect that can be planted is found, in no more worlds than CI runs.

use mailhost::planted::{Bug, plant};
use simulator::{Options, run};

/// In how many worlds it was found, and what was broken there.
#[track_caller]
fn is_found(bug: Bug, sign: &str) {
    plant(Some(bug));
    let found = (0..BUDGET).find_map(|seed| {
        let outcome = run(Options { seed, hosts: 5, days: 1 }, 0);
        outcome.violations.into_iter().find(|violation| violation.contains(sign)).map(|what| (seed, what))
    });
    plant(None);
    let (seed, violation) = found.unwrap_or_else(|| panic!("{bug:?} is not found in {BUDGET} worlds"));
    println!("{bug:?}: found in world {} of {BUDGET}: {violation}", seed + 1);
}

#[test]
fn a_report_that_is_queued_apart_is_found() {
    is_found(Bug::ReportApart, "was neither delivered nor reported");
}

#[test]
fn an_expiry_that_is_not_looked_at_is_found() {
    is_found(Bug::ExpiryUnchecked, "is the most");
}

#[test]
fn a_state_that_is_not_kept_is_found() {
    is_found(Bug::StateNotKept, "and now is Delivered");
}

#[test]
fn a_message_that_is_sent_again_is_found() {
    is_found(Bug::SentAgain, "times without a reason");
}

#[test]
fn a_doubt_that_is_forgotten_is_found() {
    is_found(Bug::DoubtForgotten, "times without a reason");
}

#[test]
fn a_change_of_unknown_outcome_that_is_forgotten_is_found() {
    is_found(Bug::UnknownForgotten, "is the most");
}

/// As many as `cargo xtask test` runs.
const BUDGET: u64 = 200;
