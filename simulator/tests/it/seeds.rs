//! Worlds that once went wrong, and runs that must be the same.

use std::fs;

use simulator::{Options, imap, run, seeds};

#[test]
fn seeds_that_once_failed_do_not_fail_again() {
    let mut count = 0;
    for entry in fs::read_dir("tests/seeds").unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let violations = match seeds::read_imap(&file).unwrap() {
            Some(options) => imap::run(options, 0).violations,
            None => run(seeds::read(&file).unwrap(), 0).violations,
        };
        assert_eq!(violations, [""; 0], "{}", file.display());
        count += 1;
    }
    println!("{count} seeds");
    assert!(count > 0);
}

#[test]
fn a_run_is_the_same_each_time() {
    let options = Options { seed: 10, hosts: 5, days: 1 };
    let first = run(options, usize::MAX);
    assert!(first.fingerprint.1 > 100, "something was said");
    for _ in 0..4 {
        let again = run(options, usize::MAX);
        assert_eq!(again.lines, first.lines);
        assert_eq!(again.fingerprint, first.fingerprint);
    }
    assert_ne!(run(Options { seed: 11, ..options }, 0).fingerprint, first.fingerprint);
}
