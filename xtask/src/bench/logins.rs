//! `cargo xtask bench logins`: whether names that exist can be told by the time that a refusal takes.

use crate::command::{self, cargo};
use crate::project::Project;

/// Measures so many pairs for each protocol and mechanism, in the test that compares words and work in each run.
pub(crate) fn logins(project: &Project, pairs: &str) -> Result<bool, String> {
    if !pairs.parse::<u32>().is_ok_and(|pairs| pairs >= 100) {
        return Err(format!("{pairs} is no number of pairs; 100 are the least to say anything"));
    }
    let mut tests = cargo(project);
    tests.args([
        "test",
        "--release",
        "--package",
        "mailhost",
        "--test",
        "it",
        "--",
        "--nocapture",
        "watch::oracle::",
    ]);
    command::run(tests.env("POSTRIDER_LOGIN_PAIRS", pairs)).map(|()| true)
}
