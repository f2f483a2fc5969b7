//! `cargo xtask test`: everything there is, and a list of what could not be run.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use crate::check;
use crate::command::{self, cargo};
use crate::ledger;
use crate::peers;
use crate::project::Project;
use crate::rules;
use crate::simulate;
use crate::stage::Stages;

pub(crate) fn run(project: &Project, install_peers: bool) -> Result<bool, String> {
    let mut stages = Stages::default();
    let mut seen = Seen::default();
    let skips = SkipFile::new()?;

    if install_peers {
        stages.run("installation of peers", || peers::install(project));
    }
    stages.run("repository rules", || rules::check(project));
    stages.run("the ledger of the RFCs", || ledger::run(project, false));
    stages.run("format", || check::format(project));
    stages.run("clippy", || check::clippy(project));
    stages.run("tests of the workspace", || {
        let mut tests = cargo(project);
        // The torture has a stage of its own, which says what it has counted.
        tests.args(["test", "--workspace", "--no-fail-fast", "--", "--skip", "torture::"]);
        tests.env("POSTRIDER_SKIPS", &skips.0);
        if install_peers {
            tests.env("POSTRIDER_NO_SKIPS", "1");
        }
        seen.run(&mut tests)
    });
    stages.run("release build of mailhost", || {
        command::run(cargo(project).args(["build", "--release", "--package", "mailhost"]))
    });
    stages.run("the demo", || {
        command::run(cargo(project).args([
            "run",
            "--release",
            "--package",
            "mailhost",
            "--",
            "demo",
            "--once",
        ]))
    });
    stages.run("the real program under torture", || {
        let mut tests = simulate::tests(project, "torture::");
        tests.env("POSTRIDER_SKIPS", &skips.0);
        if install_peers {
            tests.env("POSTRIDER_NO_SKIPS", "1");
        }
        seen.run(&mut tests)
    });
    stages.run("worlds, simulated", || simulate::stage(project));
    stages.run("IMAP sessions, simulated", || simulate::sessions(project));
    stages.run("documentation", || {
        command::run(
            cargo(project).args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
        )
    });
    if project.has("fuzz/Cargo.toml") {
        stages.run("fuzz corpora, replayed", || {
            seen.run(cargo(project).args(["test", "--no-fail-fast", "--manifest-path", "fuzz/Cargo.toml"]))
        });
    }
    if project.has("benches/Cargo.toml") {
        stages.run("benches compile", || {
            command::run(cargo(project).args([
                "check",
                "--all-targets",
                "--manifest-path",
                "benches/Cargo.toml",
            ]))
        });
    }
    let mut skipped = Vec::new();
    let mut out_of_reach = Vec::new();
    match peers::cargo_deny(project) {
        Some(cargo_deny) => {
            stages.run("licences, bans, sources", || licences(project, &cargo_deny));
            if command::succeeds(deny(project, &cargo_deny, "Cargo.toml").args(["fetch", "db"])) {
                stages.run("advisories", || {
                    command::run(deny(project, &cargo_deny, "Cargo.toml").args([
                        "check",
                        "--disable-fetch",
                        "advisories",
                    ]))
                });
            } else {
                // Nothing that could be installed helps against this one.
                out_of_reach.push("advisories: the database of RustSec is out of reach from here");
            }
        }
        None => skipped
            .push("SKIPPED: licences, bans, sources, advisories: cargo-deny is not installed".to_owned()),
    }
    skipped.extend(skips.lines());
    if install_peers {
        stages.run("nothing skipped", || match skipped.len() {
            0 => Ok(()),
            count => Err(format!("{count} skipped although the peers are installed")),
        });
    }

    stages.print_summary();
    println!("\n=== what could not be run");
    for line in &skipped {
        println!("{line}");
    }
    for line in &out_of_reach {
        println!("{line}");
    }
    if seen.ignored > 0 {
        println!("{} tests or examples that are marked as ignored", seen.ignored);
    }
    if skipped.is_empty() && out_of_reach.is_empty() && seen.ignored == 0 {
        println!("nothing: all was run");
    }
    println!("\n{} passed, {} failed", seen.passed, seen.failed);
    Ok(stages.all_good() && seen.failed == 0)
}

fn licences(project: &Project, cargo_deny: &Path) -> Result<(), String> {
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml", "benches/Cargo.toml"] {
        if project.has(manifest) {
            command::run(deny(project, cargo_deny, manifest).args([
                "check",
                "--hide-inclusion-graph",
                "licenses",
                "bans",
                "sources",
            ]))?;
        }
    }
    Ok(())
}

fn deny(project: &Project, cargo_deny: &Path, manifest: &str) -> Command {
    let mut command = Command::new(cargo_deny);
    command
        .current_dir(&project.root)
        .arg("--manifest-path")
        .arg(project.root.join(manifest))
        .arg("--config")
        .arg(project.root.join("deny.toml"));
    command
}

/// The sums of the `test result:` lines that went by.
#[derive(Default)]
struct Seen {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Seen {
    fn run(&mut self, command: &mut Command) -> Result<(), String> {
        command::run_and_watch(command, &mut io::stdout(), |line| self.add(line))
    }

    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            return;
        };
        let count = |word| {
            counts
                .split([';', '.'])
                .filter_map(|part| part.trim().strip_suffix(word))
                .find_map(|number| number.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
        self.ignored += count("ignored");
    }
}

/// Where tests that lack their foreign program say so; gone when this is dropped.
struct SkipFile(PathBuf);

impl SkipFile {
    fn new() -> Result<Self, String> {
        let path = env::temp_dir().join(format!("postrider-skips-{}", process::id()));
        fs::write(&path, "").map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.0)
            .unwrap_or_else(|error| format!("SKIPPED: unknown: {}: {error}", self.0.display()))
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for SkipFile {
    fn drop(&mut self) {
        // A file left in the temporary folder harms nobody.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_over_all_test_programs() {
        let mut seen = Seen::default();
        for line in [
            "running 3 tests\n",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
            "test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s\n",
        ] {
            seen.add(line);
        }
        assert_eq!((seen.passed, seen.failed, seen.ignored), (15, 2, 1));
    }

    #[test]
    fn what_tests_append_to_the_skip_file_is_read_back() {
        let skips = SkipFile::new().unwrap();
        assert!(skips.lines().is_empty());
        fs::write(&skips.0, "SKIPPED: a: no b\nSKIPPED: c: no d\n").unwrap();
        assert_eq!(skips.lines(), ["SKIPPED: a: no b", "SKIPPED: c: no d"]);
        let path = skips.0.clone();
        drop(skips);
        assert!(!path.exists());
    }
}
