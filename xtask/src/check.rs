//! `cargo xtask check`: what every commit should pass, in under two minutes.

use std::collections::BTreeSet;
use std::process::Command;

use crate::command::{self, cargo};
use crate::ledger;
use crate::project::{Package, Project};
use crate::rules;
use crate::stage::Stages;

pub(crate) fn run(project: &Project) -> Result<bool, String> {
    let mut stages = Stages::default();
    stages.run("repository rules", || rules::check(project));
    stages.run("the ledger of the RFCs", || ledger::run(project, false));
    stages.run("format", || format(project));
    stages.run("clippy", || clippy(project));
    stages.run("tests of what changed", || test_changed(project));
    stages.print_summary();
    Ok(stages.all_good())
}

pub(crate) fn format(project: &Project) -> Result<(), String> {
    command::run(cargo(project).args(["fmt", "--all", "--check"]))?;
    if project.has("fuzz/Cargo.toml") {
        command::run(cargo(project).args(["fmt", "--all", "--check", "--manifest-path", "fuzz/Cargo.toml"]))?;
    }
    Ok(())
}

pub(crate) fn clippy(project: &Project) -> Result<(), String> {
    command::run(cargo(project).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn test_changed(project: &Project) -> Result<(), String> {
    let changed = match changed_files(project)? {
        Some(files) => changed_packages(&project.packages, &files),
        None => project.packages.iter().collect(),
    };
    if changed.is_empty() {
        println!("no package differs from HEAD");
        return Ok(());
    }
    // What lies in examples/ tests whole servers against foreign programs: only its unit tests
    // are quick enough here.
    let (examples, others): (Vec<&Package>, Vec<&Package>) =
        changed.into_iter().partition(|package| package.folder.starts_with("examples/"));
    if !others.is_empty() {
        let mut tests = cargo(project);
        tests.arg("test").arg("--no-fail-fast").arg("--tests");
        for package in others {
            tests.args(["-p", &package.name]);
        }
        command::run(&mut tests)?;
    }
    for package in examples {
        let mut tests = cargo(project);
        tests.args(["test", "-p", &package.name, "--bins"]);
        if package.has_library {
            tests.arg("--lib");
        }
        command::run(&mut tests)?;
    }
    Ok(())
}

/// What differs from HEAD; `None` where there is no HEAD to compare with.
fn changed_files(project: &Project) -> Result<Option<BTreeSet<String>>, String> {
    let git = || {
        let mut git = Command::new("git");
        git.current_dir(&project.root);
        git
    };
    if !command::succeeds(git().args(["rev-parse", "--verify", "--quiet", "HEAD"])) {
        return Ok(None);
    }
    let tracked = command::output(git().args(["diff", "--name-only", "--no-renames", "-z", "HEAD"]))?;
    let others = command::output(git().args(["ls-files", "--others", "--exclude-standard", "-z"]))?;
    let files = tracked.split_terminator('\0').chain(others.split_terminator('\0'));
    Ok(Some(files.map(str::to_owned).collect()))
}

fn changed_packages<'a>(packages: &'a [Package], files: &BTreeSet<String>) -> Vec<&'a Package> {
    if files.iter().any(|file| concerns_all(file)) {
        return packages.iter().collect();
    }
    packages
        .iter()
        .filter(|package| {
            files
                .iter()
                .any(|file| file.strip_prefix(&package.folder).is_some_and(|rest| rest.starts_with('/')))
        })
        .collect()
}

fn concerns_all(file: &str) -> bool {
    matches!(file, "Cargo.toml" | "Cargo.lock" | "rust-toolchain.toml") || file.starts_with(".cargo/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(files: &[&str]) -> Vec<String> {
        let package = |name: &str, folder: &str| Package {
            name: name.to_owned(),
            folder: folder.to_owned(),
            has_library: true,
            siblings: Vec::new(),
        };
        let packages = [
            package("one", "crates/one"),
            package("one-more", "crates/one-more"),
            package("host", "examples/host"),
        ];
        changed_packages(&packages, &files.iter().map(|&file| file.to_owned()).collect())
            .iter()
            .map(|package| package.name.clone())
            .collect()
    }

    #[test]
    fn a_file_belongs_to_the_package_whose_folder_holds_it() {
        assert_eq!(changed(&["crates/one-more/src/lib.rs"]), ["one-more"]);
        assert_eq!(changed(&["crates/one/a.rs", "examples/host/b.rs"]), ["one", "host"]);
    }

    #[test]
    fn a_root_file_concerns_every_package_and_a_document_none() {
        assert_eq!(changed(&["Cargo.lock"]).len(), 3);
        assert_eq!(changed(&[".cargo/config.toml"]).len(), 3);
        assert!(changed(&["README.md", "docs/rfcs.tsv"]).is_empty());
    }
}
