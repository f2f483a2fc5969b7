//! `cargo xtask bench logins`: whether names that exist can be told by the time that a refusal takes; and `cargo xtask bench guessing`:
//! how long others wait while passwords are guessed.

use crate::command::{self, cargo};
use crate::project::Project;

/// Measures so many pairs for each protocol and mechanism, in the test that compares words and work in each run.
pub(crate) fn logins(project: &Project, pairs: &str) -> Result<bool, String> {
    if !pairs.parse::<u32>().is_ok_and(|pairs| pairs >= 100) {
        return Err(format!("{pairs} is no number of pairs; 100 are the least to say anything"));
    }
    measure(project, "watch::oracle::", ("POSTRIDER_LOGIN_PAIRS", pairs))
}

/// Measures others during so many bad logins from 200 addresses, in the test that bounds their memory in each run.
pub(crate) fn guessing(project: &Project, count: &str) -> Result<bool, String> {
    if !count.parse::<u32>().is_ok_and(|count| count >= 600) {
        return Err(format!("{count} is no number of logins; 600 are the least to say anything"));
    }
    measure(project, "watch::guessing::", ("POSTRIDER_GUESSES", count))
}

fn measure(project: &Project, test: &str, (name, value): (&str, &str)) -> Result<bool, String> {
    let mut tests = cargo(project);
    tests.args(["test", "--release", "--package", "mailhost", "--test", "it", "--", "--nocapture", test]);
    command::run(tests.env(name, value)).map(|()| true)
}
