//! `cargo xtask ledger`: what the RFCs demand of our roles, and which test would notice if it were not so.
//!
//! A row of `docs/ledger/rfc*.tsv` is one requirement in the words of its RFC, with a verdict. A test says which rows
//! it is for in a line `// Ledger: 9051-6.3.2-1, 3501-6.3.1-2` above or inside it, a transcript in a line that begins
//! with `#` instead. From both comes `docs/ledger.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use crate::project::Project;

const FOLDER: &str = "docs/ledger/";
const REPORT: &str = "docs/ledger.md";
const HEADER: &str = "id\trole\tverdict\twords";

/// Who has to do it; `-` where the row is not ours.
const ROLES: [&str; 9] = [
    "SMTP server",
    "SMTP client",
    "relay",
    "DSN generator",
    "POP3 server",
    "POP3 client",
    "IMAP server",
    "IMAP client",
    "-",
];

/// In capitals, as the RFCs write them: no sentence without one is a requirement.
const WORDS: [&str; 3] = ["MUST", "SHALL", "REQUIRED"];

const INTRODUCTION: &str = "\
# What the RFCs demand

Written by `cargo xtask ledger` from the tables in `docs/ledger/` and from the tests: change those, and run it again.

A row is one sentence with MUST, MUST NOT, SHALL, SHALL NOT or REQUIRED. *Test*: the tests that are named would fail if
it were broken. *No*: it is not done, and why. *Not ours*: it binds no role that is built here. *Open*: what is missing.

";

/// Prints what is wrong; writes the report, or compares it with what would be written.
pub(crate) fn run(project: &Project, write: bool) -> Result<(), String> {
    let (mut tables, mut sources) = (Vec::new(), Vec::new());
    for file in project.files()? {
        let is_table = file.starts_with(FOLDER) && file.ends_with(".tsv");
        if is_table || file.ends_with(".rs") || file.contains("/tests/transcripts/") {
            let path = project.root.join(&file);
            let text = fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
            if is_table { &mut tables } else { &mut sources }.push((file, text));
        }
    }
    let ledger = Ledger::new(&tables, &sources);
    let mut violations = ledger.violations;
    let report = project.root.join(REPORT);
    if write {
        fs::write(report, &ledger.report).map_err(|error| format!("{REPORT}: {error}"))?;
    } else if fs::read_to_string(report).unwrap_or_default() != ledger.report {
        violations.push(format!("{REPORT}: out of date, write it with `cargo xtask ledger`"));
    }
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() { Ok(()) } else { Err(format!("{} violations", violations.len())) }
}

type Files = [(String, String)];

struct Ledger {
    violations: Vec<String>,
    report: String,
}

impl Ledger {
    fn new(tables: &Files, sources: &Files) -> Self {
        let mut violations = Vec::new();
        let rfcs: Vec<(&str, Vec<Row<'_>>)> =
            tables.iter().map(|(file, text)| (rfc(file), rows(file, text, &mut violations))).collect();
        let mut known: BTreeMap<&str, &Row<'_>> = BTreeMap::new();
        for row in rfcs.iter().flat_map(|(_, rows)| rows) {
            if known.insert(row.id, row).is_some() {
                violations.push(format!("{}: stands there twice", row.id));
            }
        }
        let mut done: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for note in sources.iter().flat_map(|(file, text)| notes(file, text, sources)) {
            let place = format!("{}:{}", note.file, note.line);
            match &note.test {
                Err(what) => violations.push(format!("{place}: {what}")),
                Ok(test) => {
                    for id in note.ids {
                        match known.get(id) {
                            None => violations.push(format!("{place}: no row is called `{id}`")),
                            Some(row) if row.verdict != Verdict::Test => {
                                violations.push(format!("{place}: the verdict of {id} is not `test`"));
                            }
                            Some(row) => {
                                done.entry(row.id).or_default().insert(test.clone());
                            }
                        }
                    }
                }
            }
        }
        for row in known.values() {
            if row.verdict == Verdict::Test && !done.contains_key(row.id) {
                violations.push(format!("{}: its test is gone", row.id));
            }
        }
        Self { report: report(&rfcs, &done), violations }
    }
}

fn rfc(file: &str) -> &str {
    file.strip_prefix(FOLDER)
        .and_then(|name| name.strip_prefix("rfc"))
        .unwrap_or(file)
        .trim_end_matches(".tsv")
}

struct Row<'a> {
    id: &'a str,
    role: &'a str,
    verdict: Verdict,
    /// What stands behind the verdict's name.
    reason: &'a str,
    words: &'a str,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Test,
    No,
    NotOurs,
    Open,
}

impl Verdict {
    const ALL: [(&str, Self); 4] =
        [("test", Self::Test), ("no", Self::No), ("not ours", Self::NotOurs), ("open", Self::Open)];

    fn parse(text: &str) -> Option<(Self, &str)> {
        let (name, reason) = text.split_once(": ").unwrap_or((text, ""));
        let (_, verdict) = Self::ALL.into_iter().find(|(known, _)| *known == name)?;
        // A test speaks for itself, and everything else has to say why.
        ((verdict == Self::Test) == reason.is_empty()).then_some((verdict, reason))
    }
}

fn rows<'a>(file: &str, text: &'a str, violations: &mut Vec<String>) -> Vec<Row<'a>> {
    let mut all = Vec::new();
    let mut say = |line: usize, what: &str| violations.push(format!("{file}:{line}: {what}"));
    if text.lines().next() != Some(HEADER) {
        say(1, "the header line is not: id, role, verdict, words");
    }
    for (line, row) in (2..).zip(text.lines().skip(1)) {
        let [id, role, verdict, words] = row.split('\t').collect::<Vec<_>>()[..] else {
            say(line, "not four fields with tabs between them");
            continue;
        };
        if !id.strip_prefix(rfc(file)).is_some_and(|rest| rest.starts_with('-')) {
            say(line, "the number of another RFC");
        }
        if !role.split(", ").all(|role| ROLES.contains(&role)) {
            say(line, "a role that is none of ours");
        }
        if !words.split(|c: char| !c.is_ascii_alphabetic()).any(|word| WORDS.contains(&word)) {
            say(line, "no word that makes it a requirement");
        }
        let Some((verdict, reason)) = Verdict::parse(verdict) else {
            say(line, "a verdict is `test`, or one of `no: `, `not ours: `, `open: ` with a reason");
            continue;
        };
        all.push(Row { id, role, verdict, reason, words });
    }
    all
}

/// One line with identifiers of rows.
struct Note<'a> {
    file: &'a str,
    line: usize,
    ids: Vec<&'a str>,
    /// Where it stands, or why it counts for nothing.
    test: Result<String, &'static str>,
}

fn notes<'a>(file: &'a str, text: &'a str, sources: &Files) -> Vec<Note<'a>> {
    if file.ends_with(".rs") { notes_of_tests(file, text) } else { notes_of_transcript(file, text, sources) }
}

fn ids<'a>(line: &'a str, comment: &str) -> Option<Vec<&'a str>> {
    let rest = line.trim_start().strip_prefix(comment)?.strip_prefix(" Ledger:")?;
    Some(rest.split(',').map(str::trim).collect())
}

/// Those of test functions, which rustfmt ends with a brace below their `fn`.
fn notes_of_tests<'a>(file: &'a str, text: &'a str) -> Vec<Note<'a>> {
    const NO_TEST: &str = "stands at no test";
    let mut all: Vec<Note<'a>> = Vec::new();
    // How many at the end wait for their function.
    let mut waiting = 0;
    let mut inside: Option<(String, &str)> = None;
    let (mut is_test, mut is_ignored) = (false, false);
    for (line, content) in (1..).zip(text.lines()) {
        let code = content.trim_start();
        if let Some(ids) = ids(content, "//") {
            let test = inside.as_ref().map(|(name, _)| name.clone()).ok_or(NO_TEST);
            waiting += usize::from(inside.is_none());
            all.push(Note { file, line, ids, test });
        } else if let Some((_, indent)) = &inside {
            if content.strip_prefix(indent) == Some("}") {
                inside = None;
            }
        } else if code.starts_with("#[") {
            is_test |= code.starts_with("#[test]") || code.starts_with("#[tokio::test");
            is_ignored |= code.starts_with("#[ignore");
        } else if !code.is_empty() && !code.starts_with("//") {
            let name =
                code.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            let test = match name {
                Some(_) if is_ignored => Err("stands at a test that is not run"),
                Some(name) if is_test => Ok(format!("{} `{name}`", package(file))),
                _ => Err(NO_TEST),
            };
            let first = all.len() - waiting;
            for note in &mut all[first..] {
                note.test.clone_from(&test);
            }
            if let Ok(test) = test {
                inside = Some((test, &content[..content.len() - code.len()]));
            }
            (waiting, is_test, is_ignored) = (0, false, false);
        }
    }
    all
}

/// A transcript is a test if one of its package reads it.
fn notes_of_transcript<'a>(file: &'a str, text: &'a str, sources: &Files) -> Vec<Note<'a>> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let stem = name.split('.').next().unwrap_or(name);
    let (by_name, by_stem) = (format!("/{name}\""), format!("\"{stem}\""));
    let is_read = sources.iter().any(|(source, text)| {
        source.ends_with(".rs")
            && package(source) == package(file)
            && (text.contains(&by_name) || text.contains(&by_stem))
    });
    let test = || {
        if is_read { Ok(format!("{} `{name}`", package(file))) } else { Err("no test reads this transcript") }
    };
    (1..)
        .zip(text.lines())
        .filter_map(|(line, content)| Some(Note { file, line, ids: ids(content, "#")?, test: test() }))
        .collect()
}

fn package(file: &str) -> &str {
    let mut parts = file.split('/');
    match parts.next() {
        Some("crates" | "examples") => parts.next().unwrap_or(file),
        first => first.unwrap_or(file),
    }
}

fn report(rfcs: &[(&str, Vec<Row<'_>>)], done: &BTreeMap<&str, BTreeSet<String>>) -> String {
    let mut out = INTRODUCTION.to_owned();
    out.push_str("| RFC | rows | test | no | not ours | open |\n|---|---:|---:|---:|---:|---:|\n");
    let counts = |rows: &mut dyn Iterator<Item = &Row<'_>>| {
        let verdicts: Vec<Verdict> = rows.map(|row| row.verdict).collect();
        let of = |verdict| verdicts.iter().filter(|each| **each == verdict).count().to_string();
        let mut cells = vec![verdicts.len().to_string()];
        cells.extend(Verdict::ALL.map(|(_, verdict)| of(verdict)));
        cells.join(" | ")
    };
    let mut sorted: Vec<_> = rfcs.iter().collect();
    sorted.sort_by_key(|(number, _)| number.parse::<u32>().unwrap_or_default());
    // Writing into a string does not fail.
    for (number, rows) in &sorted {
        let _ = writeln!(out, "| [{number}](#rfc-{number}) | {} |", counts(&mut rows.iter()));
    }
    let _ = writeln!(out, "| all | {} |", counts(&mut sorted.iter().flat_map(|(_, rows)| rows)));
    for (number, rows) in &sorted {
        let _ = writeln!(out, "\n## RFC {number}\n\n| row | role | words | verdict |\n|---|---|---|---|");
        for row in rows {
            let verdict = match row.verdict {
                Verdict::Test => {
                    let tests = done.get(row.id).into_iter().flatten();
                    tests.cloned().collect::<Vec<_>>().join(", ")
                }
                Verdict::No => format!("**no**: {}", cell(row.reason)),
                Verdict::NotOurs => format!("*not ours*: {}", cell(row.reason)),
                Verdict::Open => format!("**open**: {}", cell(row.reason)),
            };
            let _ = writeln!(out, "| {} | {} | {} | {verdict} |", row.id, row.role, cell(row.words));
        }
    }
    out
}

/// Text as it is, whatever Markdown makes of its characters.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\|<>*_[]`".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Split, so that this file holds no annotation of its own.
    const MARK: &str = concat!("// Led", "ger:");

    fn ledger(table: &str, source: &str) -> Ledger {
        let table = (format!("{FOLDER}rfc7.tsv"), format!("{HEADER}\n{table}"));
        Ledger::new(&[table], &[("crates/a/tests/it/b.rs".to_owned(), source.to_owned())])
    }

    const ROW: &str = "7-1.2-1\tIMAP server\ttest\tIt MUST be so.\n";

    fn test(attributes: &str) -> String {
        format!("{MARK} 7-1.2-1\n{attributes}fn it_is_so() {{\n    assert!(true);\n}}\n")
    }

    #[track_caller]
    fn one(table: &str, source: &str, expected: &str) {
        let violations = ledger(table, source).violations;
        assert!(violations.len() == 1 && violations[0].contains(expected), "{violations:?}");
    }

    #[test]
    fn a_row_with_its_test_is_sound_and_in_the_report() {
        for source in [
            test("#[test]\n"),
            test("/// Why.\n#[tokio::test]\n"),
            format!("mod tests {{\n    #[test]\n    fn it_is_so() {{\n        {MARK} 7-1.2-1\n    }}\n}}\n"),
        ] {
            let ledger = ledger(ROW, &source);
            assert_eq!(ledger.violations, [""; 0], "{source}");
            assert!(ledger.report.contains("| 7-1.2-1 | IMAP server | It MUST be so. | a `it_is_so` |"));
            assert!(ledger.report.contains("| all | 1 | 1 | 0 | 0 | 0 |"), "{}", ledger.report);
        }
    }

    #[test]
    fn a_test_that_is_gone_is_found() {
        one(ROW, "", "7-1.2-1: its test is gone");
        one(ROW, "#[test]\nfn it_is_so() {\n}\n", "7-1.2-1: its test is gone");
    }

    #[test]
    fn a_note_that_is_at_no_test_that_runs_is_found() {
        for (attributes, expected) in [
            ("", "it/b.rs:1: stands at no test"),
            ("#[allow(dead_code)]\n", "stands at no test"),
            ("#[test]\n#[ignore = \"slow\"]\n", "a test that is not run"),
        ] {
            let violations = ledger(ROW, &test(attributes)).violations;
            assert!(violations.len() == 2 && violations[0].contains(expected), "{violations:?}");
        }
        let behind = format!("{}{MARK} 7-1.2-1\n", test("#[test]\n"));
        one(ROW, &behind, "b.rs:6: stands at no test");
    }

    #[test]
    fn a_note_for_a_row_that_is_not_there_or_judged_otherwise_is_found() {
        one("", &test("#[test]\n"), "no row is called `7-1.2-1`");
        for verdict in ["no: it costs too much", "not ours: a gateway", "open: the host"] {
            let row = ROW.replace("\ttest\t", &format!("\t{verdict}\t"));
            assert_eq!(ledger(&row, "").violations, [""; 0]);
            one(&row, &test("#[test]\n"), "the verdict of 7-1.2-1 is not `test`");
        }
    }

    #[test]
    fn a_row_that_is_none_is_found() {
        let sound = test("#[test]\n");
        one(&format!("{ROW}{ROW}"), &sound, "twice");
        for (wrong, expected) in [
            (ROW.replace("IMAP server", "king"), "a role"),
            (ROW.replace("MUST", "must"), "no word"),
            (format!("8-1-1\t-\tno: x\tMUST\n{ROW}"), "rfc7.tsv:2: the number of another RFC"),
            (format!("{ROW}7-2-1\t-\tno\tMUST\n"), "rfc7.tsv:3: a verdict"),
            (format!("{ROW}7-2-1\t-\ttest: all of them\tMUST\n"), "a verdict"),
            (format!("{ROW}7-2-1\t-\tMUST\n"), "four fields"),
        ] {
            one(&wrong, &sound, expected);
        }
    }

    #[test]
    fn a_transcript_counts_if_a_test_reads_it() {
        let table = (format!("{FOLDER}rfc7.tsv"), format!("{HEADER}\n{ROW}"));
        let transcript = (
            "crates/a/tests/transcripts/t.imap".to_owned(),
            format!("{}\n", MARK.replace("//", "#") + " 7-1.2-1"),
        );
        let with = |package: &str, text: &str| {
            let source = (format!("crates/{package}/tests/it/b.rs"), text.to_owned());
            Ledger::new(std::slice::from_ref(&table), &[transcript.clone(), source]).violations
        };
        assert_eq!(with("a", "include_str!(\"../transcripts/t.imap\")"), [""; 0]);
        assert_eq!(with("a", "transcript!(\"t\")"), [""; 0]);
        assert_eq!(with("a", "").len(), 2);
        assert_eq!(with("b", "transcript!(\"t\")").len(), 2);
    }

    #[test]
    fn the_ledger_of_this_repository_is_sound() {
        assert_eq!(run(&Project::load().unwrap(), false), Ok(()));
    }
}
