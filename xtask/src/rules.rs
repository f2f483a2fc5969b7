//! What holds for the whole repository and no compiler checks.
//!
//! Each rule is a function from text to violations, so that its tests can plant one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::COMMANDS;
use crate::project::{Package, Project};

const RFC_TABLE: &str = "docs/rfcs.tsv";
const RFC_TABLE_HEADER: &str = "number\tstatus\tcrates\ttitle";

/// The end of every address of an RFC at its editor, but for the number.
const RFC_LINK: &str = "/rfc/rfc";

/// The commands that README.md must give.
const README_COMMANDS: [&str; 2] = ["cargo run --release -p mailhost -- demo", "cargo xtask test"];

/// Where the homes of people and of build machines begin. Split, so that this file keeps its own rule.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

/// Prints every violation.
pub(crate) fn check(project: &Project) -> Result<(), String> {
    let violations = violations(project)?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => Ok(()),
        1 => Err("1 violation".to_owned()),
        count => Err(format!("{count} violations")),
    }
}

fn violations(project: &Project) -> Result<Vec<String>, String> {
    let read =
        |file: &str| fs::read_to_string(project.root.join(file)).map_err(|error| format!("{file}: {error}"));
    let mut found = independence(&project.packages);

    let table = read(RFC_TABLE)?;
    let names: BTreeSet<&str> = project.packages.iter().map(|package| &*package.name).collect();
    found.extend(rfc_table(&table, &names));
    let known = rfc_numbers(&table);
    for file in project.files()? {
        let octets = fs::read(project.root.join(&file)).map_err(|error| format!("{file}: {error}"))?;
        let text = String::from_utf8_lossy(&octets);
        found.extend(machine_paths(&file, &text));
        if may_cite(&file) {
            found.extend(citations(&file, &text, &known));
        }
        if file.ends_with(".md") {
            found.extend(links(&file, &text, &project.root));
        }
    }
    found.extend(readme(&read("README.md")?, &names));

    let workspace = read("Cargo.toml")?;
    for package in &project.packages {
        let manifest = read(&format!("{}/Cargo.toml", package.folder))?;
        found.extend(inherits(&package.folder, &manifest));
        if package.is_crate() {
            let library = read(&format!("{}/src/lib.rs", package.folder))?;
            found.extend(forbids_unsafe(&package.folder, &library, &workspace));
        }
    }
    Ok(found)
}

/// Crates in crates/ depend on none of ours.
fn independence(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages.iter().filter(|package| package.is_crate()) {
        for sibling in &package.siblings {
            if *sibling != package.folder {
                found.push(format!("{}: depends on {sibling}", package.folder));
            }
        }
    }
    found
}

fn rfc_table(table: &str, packages: &BTreeSet<&str>) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |line: usize, what: &str| found.push(format!("{RFC_TABLE}:{line}: {what}"));
    if table.lines().next() != Some(RFC_TABLE_HEADER) {
        say(1, "the header line is not: number, status, crates, title");
    }
    let mut last = 0;
    for (line, row) in (2..).zip(table.lines().skip(1)) {
        let [number, status, crates, title] = row.split('\t').collect::<Vec<_>>()[..] else {
            say(line, "not four fields with tabs between them");
            continue;
        };
        match number.parse::<u32>() {
            Ok(number) if number > last => last = number,
            Ok(number) if number == last => say(line, "the number stands there twice"),
            Ok(_) => say(line, "the number is out of order"),
            Err(_) => say(line, "the first field is not a number"),
        }
        if title.is_empty() || title.trim() != title {
            say(line, "the title is empty or has space around it");
        }
        match status {
            "Yes" | "Partial" => {
                for name in crates.split(", ").filter(|name| !packages.contains(name)) {
                    say(line, &format!("no package here is called `{name}`"));
                }
            }
            "No" if crates.is_empty() => say(line, "no crate: `-` says that none is foreseen"),
            "No" => {}
            _ => say(line, "the status is none of Yes, Partial, No"),
        }
    }
    found
}

fn rfc_numbers(table: &str) -> BTreeSet<&str> {
    table.lines().skip(1).filter_map(|row| row.split('\t').next()).collect()
}

fn may_cite(file: &str) -> bool {
    // The ledger has the words of the RFCs, which cite what they like.
    let is_quoted = file.starts_with("docs/ledger/") || file == "docs/ledger.md";
    file != RFC_TABLE && !is_quoted && !file.starts_with("LICENSE-") && !file.contains("/corpus/")
}

/// Every RFC that is cited stands in the table, and is cited in the one form that grep finds.
fn citations(file: &str, text: &str, known: &BTreeSet<&str>) -> Vec<String> {
    // Sample messages and transcripts say what they like: the form matters where we write.
    let ours = [".rs", ".md", ".toml"].iter().any(|end| file.ends_with(end));
    let mut found = Vec::new();
    let mut after_bare_word = false;
    for (line, content) in (1..).zip(text.lines()) {
        let mut say = |what: String| found.push(format!("{file}:{line}: {what}"));
        let first = content.trim_start_matches([' ', '\t', '/', '!', '#', '*', '>']);
        if ours && after_bare_word && first.starts_with(|c: char| c.is_ascii_digit()) {
            say("an RFC and its number stand on two lines".to_owned());
        }
        after_bare_word =
            content.strip_suffix("RFC").is_some_and(|before| !before.ends_with(char::is_alphanumeric));
        for (at, _) in content.match_indices(RFC_LINK) {
            let number = digits(&content[at + RFC_LINK.len()..]);
            if !number.is_empty() && !known.contains(number) {
                say(format!("RFC {number} is not in {RFC_TABLE}"));
            }
        }
        for (at, _) in content.match_indices("RFC") {
            if content[..at].ends_with(char::is_alphanumeric) {
                continue;
            }
            let rest = &content[at + 3..];
            if let Some(number) = rest.strip_prefix(' ').map(digits).filter(|n| !n.is_empty()) {
                if !known.contains(number) {
                    say(format!("RFC {number} is not in {RFC_TABLE}"));
                }
            } else if ours && is_other_form(rest) {
                say("a citation reads: RFC, one space, the number".to_owned());
            }
        }
    }
    found
}

/// Fewer than four digits are words of IMAP: the data item for a header, say.
fn is_other_form(rest: &str) -> bool {
    let bare = rest.trim_start_matches(['-', '_', '\u{a0}']);
    let plural = rest.strip_prefix("s ").map_or("", digits);
    digits(bare).len() >= 4 || !plural.is_empty()
}

fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

/// No file names a place on somebody's machine.
fn machine_paths(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        for path in MACHINE_PATHS {
            // `docs/...`, `https://host/...` and `{dir}/...` are not absolute paths.
            let absolute = content.match_indices(path).any(|(at, _)| {
                !content[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}~".contains(c))
            });
            if absolute {
                found.push(format!("{file}:{line}: a path of somebody's machine, {path}"));
            }
        }
    }
    found
}

/// Links between files of the repository lead somewhere.
fn links(file: &str, text: &str, root: &Path) -> Vec<String> {
    let folder = Path::new(file).parent().unwrap_or_else(|| Path::new(""));
    let mut found = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        for (at, _) in content.match_indices("](") {
            let target = content[at + 2..].split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains(':') {
                continue;
            }
            match inside(&folder.join(target)) {
                Some(path) if root.join(&path).exists() => {}
                _ => found.push(format!("{file}:{line}: the link to {target} leads nowhere")),
            }
        }
    }
    found
}

/// Without `.` and `..`; `None` if it leaves the repository.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::CurDir => {}
            Component::ParentDir if result.pop() => {}
            _ => return None,
        }
    }
    Some(result)
}

/// The commands in the README name packages and subcommands that exist.
fn readme(text: &str, packages: &BTreeSet<&str>) -> Vec<String> {
    let mut found = Vec::new();
    for command in README_COMMANDS {
        if !text.contains(command) {
            found.push(format!("README.md: `{command}` is missing"));
        }
    }
    for (line, content) in (1..).zip(text.lines()) {
        let words: Vec<&str> = content
            .split_whitespace()
            .map(|word| word.trim_matches(['`', '.', ',', ';', ':', '(', ')']))
            .collect();
        for pair in words.windows(2) {
            match pair {
                ["-p" | "--package", name] if !packages.contains(name) => {
                    found.push(format!("README.md:{line}: no package is called `{name}`"));
                }
                ["xtask", name] if content.contains("cargo xtask") && !COMMANDS.contains(name) => {
                    found.push(format!("README.md:{line}: xtask has no command `{name}`"));
                }
                _ => {}
            }
        }
    }
    found
}

/// Lints and the minimal Rust version are said once, for the workspace.
fn inherits(folder: &str, manifest: &str) -> Vec<String> {
    let manifest = Manifest::parse(manifest);
    let mut found = Vec::new();
    if !manifest.says("lints", "workspace", "true") {
        found.push(format!("{folder}/Cargo.toml: without `[lints] workspace = true`"));
    }
    if !manifest.says("package", "rust-version.workspace", "true")
        && !manifest.says("package", "rust-version", "{ workspace = true }")
    {
        found.push(format!("{folder}/Cargo.toml: without `rust-version.workspace = true`"));
    }
    found
}

/// In the library itself, or for the whole workspace.
fn forbids_unsafe(folder: &str, library: &str, workspace: &str) -> Option<String> {
    let itself = library.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]");
    let inherited = Manifest::parse(workspace).says("workspace.lints.rust", "unsafe_code", "\"forbid\"");
    (!itself && !inherited).then(|| format!("{folder}/src/lib.rs: unsafe code is not forbidden"))
}

/// As much of TOML as our manifests use for one-line settings.
struct Manifest<'a>(BTreeMap<(&'a str, &'a str), &'a str>);

impl<'a> Manifest<'a> {
    fn parse(text: &'a str) -> Self {
        let mut table = "";
        let mut settings = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                table = header.trim();
            } else if !line.starts_with('#')
                && let Some((key, value)) = line.split_once('=')
            {
                let value = value.split(" #").next().unwrap_or_default();
                settings.insert((table, key.trim()), value.trim());
            }
        }
        Self(settings)
    }

    fn says(&self, table: &str, key: &str, value: &str) -> bool {
        self.0.get(&(table, key)) == Some(&value)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::env;
    use std::process;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A temporary folder, gone when it is dropped.
    pub(crate) struct Folder(PathBuf);

    impl Folder {
        pub(crate) fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("postrider-xtask-{}-{number}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// A small repository that keeps every rule.
    fn sound_repository() -> (Folder, Project) {
        let folder = Folder::new();
        folder.write(
            "Cargo.toml",
            "[workspace]\nmembers = []\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n",
        );
        folder.write("README.md", "cargo run --release -p mailhost -- demo\ncargo xtask test\n");
        folder.write("docs/rfcs.tsv", "number\tstatus\tcrates\ttitle\n7\tYes\tone\tA Title\n");
        let manifest = "[package]\nrust-version.workspace = true\n[lints]\nworkspace = true\n";
        let mut packages = Vec::new();
        for (name, place) in [("one", "crates/one"), ("two", "crates/two"), ("mailhost", "host")] {
            folder.write(&format!("{place}/Cargo.toml"), manifest);
            folder.write(&format!("{place}/src/lib.rs"), "//! A library.\n");
            packages.push(package(name, place, &[]));
        }
        let project = Project { root: folder.path(""), target: folder.path("target"), packages };
        (folder, project)
    }

    fn package(name: &str, folder: &str, siblings: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            folder: folder.to_owned(),
            has_library: true,
            siblings: siblings.iter().map(|&sibling| sibling.to_owned()).collect(),
        }
    }

    /// A citation, made up here so that this file does not cite.
    fn rfc(number: u32) -> String {
        format!("RFC {number}")
    }

    #[track_caller]
    fn none(violations: &[String]) {
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    #[track_caller]
    fn one(violations: Vec<String>, text: &str) {
        assert!(
            violations.len() == 1 && violations[0].contains(text),
            "expected one violation with {text:?}, found {violations:?}"
        );
    }

    #[test]
    fn this_repository_keeps_every_rule() {
        let project = Project::load().unwrap();
        none(&violations(&project).unwrap());
    }

    #[test]
    fn a_sound_repository_has_no_violations() {
        let (_folder, project) = sound_repository();
        none(&violations(&project).unwrap());
    }

    #[test]
    fn a_violation_in_any_file_is_found_by_the_whole_check() {
        let (folder, project) = sound_repository();
        folder.write("crates/one/src/deep/file.rs", &rfc(8));
        one(violations(&project).unwrap(), "crates/one/src/deep/file.rs:1: ");
        assert!(check(&project).is_err());
    }

    #[test]
    fn a_build_product_is_not_a_file_of_the_repository() {
        let (folder, project) = sound_repository();
        folder.write("target/debug/one.d", concat!("/ho", "me/someone"));
        none(&violations(&project).unwrap());
    }

    #[test]
    fn a_crate_that_depends_on_another_of_ours_is_found() {
        let packages = [
            package("one", "crates/one", &["crates/two"]),
            package("two", "crates/two", &["crates/two"]),
            package("host", "examples/host", &["crates/one", "crates/two"]),
        ];
        one(independence(&packages), "crates/one: depends on crates/two");
    }

    #[test]
    fn dependencies_of_every_kind_are_read_from_cargo() {
        let metadata = r#"{"workspace_root": "/p", "target_directory": "/p/target", "packages": [{
            "name": "one", "manifest_path": "/p/crates/one/Cargo.toml",
            "targets": [{"kind": ["lib"]}, {"kind": ["test"]}],
            "dependencies": [
                {"name": "bytes", "kind": null, "source": "registry"},
                {"name": "two", "kind": null, "path": "/p/crates/two"},
                {"name": "three", "kind": "dev", "path": "/p/crates/three"},
                {"name": "four", "kind": "build", "path": "/p/crates/four"}
            ]}]}"#;
        let project = Project::from_metadata(metadata).unwrap();
        assert!(project.packages[0].has_library);
        assert_eq!(independence(&project.packages).len(), 3);
    }

    #[test]
    fn each_kind_of_bad_row_in_the_table_is_found() {
        let table =
            |rows: &str| rfc_table(&format!("{RFC_TABLE_HEADER}\n{rows}"), &BTreeSet::from(["one", "two"]));
        assert!(table("7\tYes\tone, two\tA\n8\tNo\t-\tB\n9\tPartial\ttwo\tC\n").is_empty());
        one(rfc_table("7\tYes\tone\tA\n", &BTreeSet::from(["one"])), ":1: the header");
        one(table("7\tYes\tone\n"), ":2: not four fields");
        one(table("7\tYes\tone\tA\textra\n"), ":2: not four fields");
        one(table("seven\tYes\tone\tA\n"), "not a number");
        one(table("7\tYes\tone\tA\n7\tYes\tone\tA\n"), ":3: the number stands there twice");
        one(table("8\tYes\tone\tA\n7\tYes\tone\tA\n"), ":3: the number is out of order");
        one(table("7\tyes\tone\tA\n"), "the status");
        one(table("7\tYes\tthree\tA\n"), "`three`");
        one(table("7\tPartial\tone,two\tA\n"), "`one,two`");
        one(table("7\tYes\t\tA\n"), "no package");
        one(table("7\tNo\t\tA\n"), "no crate");
        one(table("7\tNo\t-\t A\n"), "the title");
        one(table("7\tNo\t-\t\n"), "the title");
    }

    #[test]
    fn a_citation_that_is_not_in_the_table_is_found() {
        let known = BTreeSet::from(["7", "5000"]);
        let cite = |text: &str| citations("a.rs", text, &known);
        assert!(cite(&format!("// {} §1 and {}.\n", rfc(7), rfc(5000))).is_empty());
        one(cite(&format!("ok\n// {}, {} §2: so\n", rfc(7), rfc(8))), "a.rs:2: ");
        one(cite(&format!("({})", rfc(70))), "70 is not in");
        one(citations("a.smtp", &format!("S: 250 {}", rfc(71)), &known), "a.smtp:1: ");
    }

    #[test]
    fn a_citation_in_another_form_is_found() {
        let known = BTreeSet::from(["7", "5000"]);
        let cite = |text: &str| citations("a.rs", text, &known);
        one(cite(&format!("// see RFC{}", 5000)), "one space");
        one(cite(&format!("// see RFC-{}", 5000)), "one space");
        one(cite(&format!("// see {} 7 and 8", "RFCs")), "one space");
        one(cite(&format!("/// as in {}\n/// 5000 §1", "RFC")), "a.rs:2: an RFC and its number");
        assert!(cite("the words of the RFC\nare 3\n").is_empty());
        assert!(cite("FETCH RFC822.SIZE, rfc5000, xRFC5000").is_empty());
        let sample = format!("RFC{}", 5000);
        assert!(citations("sample.eml", &sample, &known).is_empty());
    }

    #[test]
    fn a_link_to_an_rfc_is_a_citation() {
        let known = BTreeSet::from(["7"]);
        let link = |number: u32| format!("<https://www.rfc-editor.org{RFC_LINK}{number}#section-1>");
        assert!(citations("a.rs", &link(7), &known).is_empty());
        one(citations("a.rs", &link(8), &known), "8 is not in");
    }

    #[test]
    fn a_path_of_somebodys_machine_is_found() {
        for path in MACHINE_PATHS {
            one(machine_paths("a.md", &format!("text\nsee {path}x")), "a.md:2: ");
            one(machine_paths("a.md", &format!("\"file://{path}x\"")), "a.md:1: ");
            for harmless in ["docs", "https://example.test", "{dir}", "..", "~"] {
                assert!(machine_paths("a.md", &format!("{harmless}{path}x")).is_empty());
            }
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let (folder, project) = sound_repository();
        folder.write("docs/a.md", "");
        let links = |text: &str| links("docs/b.md", text, &project.root);
        assert!(links("[a](a.md) [a](../docs/a.md#b) [b](#b) [c](https://c.test)").is_empty());
        one(links("\n[a](c.md)"), "docs/b.md:2: the link to c.md");
        one(links("[a](../../docs/a.md)"), "leads nowhere");
    }

    #[test]
    fn a_readme_with_missing_or_wrong_commands_is_found() {
        let packages = BTreeSet::from(["mailhost"]);
        let good = README_COMMANDS.join("\n");
        assert!(readme(&good, &packages).is_empty());
        one(readme("cargo xtask test", &packages), "demo` is missing");
        one(readme(README_COMMANDS[0], &packages), "`cargo xtask test` is missing");
        one(readme(&format!("{good}\ncargo test -p other"), &packages), "README.md:3: no package");
        one(readme(&format!("{good}\n(`cargo xtask fly`)"), &packages), "no command `fly`");
    }

    #[test]
    fn a_package_that_does_not_inherit_is_found() {
        let inherit = |manifest: &str| inherits("p", manifest);
        let version = "[package]\nrust-version.workspace = true\n";
        let lints = "[lints]\nworkspace = true # all of them\n";
        assert!(inherit(&format!("{version}{lints}")).is_empty());
        one(inherit(version), "[lints]");
        one(inherit(&format!("{version}# [lints]\n# workspace = true\n")), "[lints]");
        one(inherit(&format!("[package]\nrust-version = \"1.0\"\n{lints}")), "rust-version");
        one(inherit(&format!("[other]\nrust-version.workspace = true\n{lints}")), "rust-version");
    }

    #[test]
    fn a_library_that_allows_unsafe_code_is_found() {
        let forbidden = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
        let library = "//! A library.\n#![forbid(unsafe_code)]\n";
        assert_eq!(forbids_unsafe("p", library, ""), None);
        assert_eq!(forbids_unsafe("p", "", forbidden), None);
        let denied = "[workspace.lints.rust]\nunsafe_code = \"deny\"\n";
        assert!(forbids_unsafe("p", "// #![forbid(unsafe_code)]", denied).is_some());
    }
}
