//! A copy of all mail, accounts and the queue, in a folder; a later one into the same folder copies only what is new.
//!
//! The folder is a store of its own, and `backup.json` in it: what belongs to the copy, and how much of each file. It is
//! replaced when all the rest is on stable storage. Files only ever grow until then, so that a copy that was not finished
//! leaves the one before as good as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{bar, failed_at};
use super::frames::FileEntry;
use super::maildir::sync_all;
use crate::commands::Failure;

/// What belongs to a backup.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Contents {
    /// Of this file.
    pub version: u32,
    /// Whose mail it is.
    pub hostname: String,
    /// When it began, in seconds since 1970.
    pub taken: i64,
    /// The files, and how much of each.
    pub files: Vec<FileEntry>,
    /// What stands behind the last segment, in hexadecimal.
    pub seal: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copied {
    /// Files that were copied, and their octets.
    pub files: u64,
    /// See above.
    pub octets: u64,
    /// Files that were there already.
    pub kept: u64,
    /// Files that belonged to an earlier backup alone.
    pub removed: u64,
    /// Files that are shorter than they should be.
    pub short: u64,
}

impl Contents {
    /// Reads what a backup consists of; `None` if there is none.
    pub fn read(dir: &Path) -> Result<Option<Self>, Failure> {
        let path = dir.join(CONTENTS);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed_at(&path, &error)),
        };
        let contents: Self = serde_json::from_slice(&text)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        if contents.version != VERSION {
            let (path, version) = (path.display(), contents.version);
            return Err(Failure::new(format!("{path} has format {version}, which this version cannot read")));
        }
        Ok(Some(contents))
    }

    /// How many octets belong to it.
    pub fn octets(&self) -> u64 {
        self.files.iter().filter(|file| file.length < u64::MAX).map(|file| file.length).sum()
    }
}

/// Looks whether a backup can go into a folder, which is made if it is not there.
pub fn prepare(dir: &Path, store: &Path) -> Result<Option<Contents>, Failure> {
    let (here, there) = (place(dir)?, place(store)?);
    if here.starts_with(&there) || there.starts_with(&here) {
        return Err(Failure::new(format!(
            "{} and the mail of the host ({}) lie one within the other; name a folder elsewhere, best on another disk",
            dir.display(),
            store.display()
        )));
    }
    private(dir)?;
    let before = Contents::read(dir)?;
    let ours = |name: &str| SUBFOLDERS.contains(&name) || name == CONTENTS || name.ends_with(PART);
    for entry in fs::read_dir(dir).map_err(|error| failed_at(dir, &error))? {
        let name = entry?.file_name();
        if before.is_none() && !name.to_str().is_some_and(ours) {
            return Err(Failure::new(format!(
                "{} holds something that is no backup ({}); name a folder that is empty, or not there yet",
                dir.display(),
                name.display()
            )));
        }
    }
    for name in SUBFOLDERS {
        private(&dir.join(name))?;
    }
    Ok(before)
}

/// Where a folder is, or will be.
fn place(dir: &Path) -> Result<PathBuf, Failure> {
    let parent = dir.parent().filter(|parent| *parent != Path::new("")).unwrap_or_else(|| Path::new("."));
    let found = match fs::canonicalize(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::canonicalize(parent).map(|parent| parent.join(dir.file_name().unwrap_or_default()))
        }
        found => found,
    };
    found.map_err(|error| failed_at(dir, &error))
}

/// Copies what the host has said; it keeps the files in their places meanwhile. Blocks.
pub fn copy(
    store: &Path,
    dir: &Path,
    before: Option<&Contents>,
    contents: &Contents,
    link: bool,
) -> Result<Copied, Failure> {
    check_same_store(dir, before, contents)?;
    let mut copied = Copied::default();
    let bar = bar(contents.octets(), "octets");
    for file in &contents.files {
        let (from, to) = (store.join(checked(&file.path)?), dir.join(&file.path));
        let (times, length) =
            copy_one(&from, &to, file, link && !is_last(contents, file)).map_err(|error| {
                // Which of the two it is, a full disk does not say.
                let (from, to) = (from.display(), to.display());
                Failure::new(format!("cannot copy {from} to {to}: {error}"))
            })?;
        match times {
            Some(octets) => {
                copied.files += 1;
                copied.octets += octets;
            }
            None => copied.kept += 1,
        }
        copied.short += u64::from(file.length < u64::MAX && length < file.length);
        bar.inc(file.length.min(length));
    }
    bar.finish_and_clear();
    sync_all(dir)?;
    let path = dir.join(CONTENTS);
    replace(&path, &serde_json::to_vec_pretty(contents)?).map_err(|error| failed_at(&path, &error))?;
    let wanted: BTreeSet<PathBuf> = contents.files.iter().map(|file| dir.join(&file.path)).collect();
    for name in SUBFOLDERS {
        let folder = dir.join(name);
        for entry in fs::read_dir(&folder).map_err(|error| failed_at(&folder, &error))? {
            let path = entry?.path();
            if !wanted.contains(&path) {
                fs::remove_file(&path).map_err(|error| failed_at(&path, &error))?;
                copied.removed += 1;
            }
        }
    }
    Ok(copied)
}

/// A segment has the same identity as long as it is there: another one is another store's.
fn check_same_store(dir: &Path, before: Option<&Contents>, now: &Contents) -> Result<(), Failure> {
    let Some(before) = before else { return Ok(()) };
    let known: BTreeMap<&str, u64> = before.files.iter().map(|file| (&*file.path, file.identity)).collect();
    let other = now.files.iter().any(|file| known.get(&*file.path).is_some_and(|of| *of != file.identity));
    if other || before.hostname != now.hostname {
        return Err(Failure::new(format!(
            "{} holds a backup of another store (of {}); name another folder",
            dir.display(),
            before.hostname
        )));
    }
    Ok(())
}

/// The octets that were copied, unless the file was there; and how long it is.
fn copy_one(from: &Path, to: &Path, file: &FileEntry, link: bool) -> io::Result<(Option<u64>, u64)> {
    let mut source = File::open(from)?;
    let about = source.metadata()?;
    let length = about.len().min(file.length);
    if let Ok(there) = fs::symlink_metadata(to)
        && is_same(&there, &about, length, file.identity != 0)
        && (file.identity == 0 || beginning(&mut source)? == beginning(&mut File::open(to)?)?)
    {
        return Ok((None, length));
    }
    source.rewind()?;
    let part = to.with_extension(&PART[1..]);
    let _ = fs::remove_file(&part);
    if link && fs::hard_link(from, &part).is_ok() {
        fs::rename(&part, to)?;
        return Ok((Some(0), length));
    }
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    // Where the file system shares blocks between files, none are copied.
    let octets = io::copy(&mut source.take(length), &mut copy)?;
    copy.set_times(FileTimes::new().set_modified(about.modified()?))?;
    fs::rename(&part, to)?;
    Ok((Some(octets), octets))
}

/// Whether a copy needs no other one: bodies and snapshots never change, and segments only grow.
fn is_same(there: &Metadata, from: &Metadata, length: u64, segment: bool) -> bool {
    let linked = there.dev() == from.dev() && there.ino() == from.ino();
    let times = || there.modified().ok() == from.modified().ok();
    linked || (there.len() == length && (segment || times()))
}

/// What tells a segment from all others stands there.
fn beginning(file: &mut File) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    file.take(HEADER).read_to_end(&mut octets)?;
    Ok(octets)
}

/// The segment that is still written to.
fn is_last(contents: &Contents, file: &FileEntry) -> bool {
    let last = contents.files.iter().rfind(|file| file.path.starts_with("journal/"));
    last.is_some_and(|last| last.path == file.path)
}

/// A path as a store has them, and no other.
pub(super) fn checked(path: &str) -> Result<&Path, Failure> {
    let good = path.split_once('/').is_some_and(|(folder, name)| {
        SUBFOLDERS.contains(&folder)
            && name.len() == 16
            && name.bytes().all(|octet| octet.is_ascii_hexdigit())
    });
    if good { Ok(Path::new(path)) } else { Err(Failure::new(format!("{path:?} is no file of a store"))) }
}

/// Makes a folder for nobody else.
pub(super) fn private(dir: &Path) -> Result<(), Failure> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed_at(dir, &error)),
        _ => Ok(()),
    }
}

/// Puts a file in the place of another, so that one of them is there after a power cut.
fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let part = path.with_extension("json.part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(path.parent().unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// What belongs to a backup.
const CONTENTS: &str = "backup.json";
pub(super) const VERSION: u32 = 1;
pub(super) const SUBFOLDERS: [&str; 3] = ["journal", "bodies", "snapshots"];
const PART: &str = ".part";
/// Octets of a header.
const HEADER: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_store_are_copied() {
        for good in ["journal/0000000000000001", "bodies/00000000000000ff", "snapshots/0000000000000002"] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in
            ["../journal/0000000000000001", "journal/../../../etc/passwd", "lock", "/etc/000000000000000a"]
        {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_copied_is_told_with_where_it_was_to_go() {
        let file = FileEntry { path: "journal/0000000000000001".to_owned(), length: 1, identity: 0 };
        let (hostname, seal) = ("mail.example.test".to_owned(), String::new());
        let contents = Contents { version: 1, hostname, taken: 0, files: vec![file], seal };
        let (store, dir) = (Path::new("/nowhere/mail"), Path::new("/nowhere/backup"));
        // A disk that is full is that of the copy, and looked like that of the host.
        let said = copy(store, dir, None, &contents, false).unwrap_err().to_string();
        let (from, to) = (store.join("journal"), dir.join("journal"));
        let (from, to) = (format!("copy {}", from.display()), format!(" to {}", to.display()));
        assert!(said.contains(&from) && said.contains(&to), "{said}");
    }
}
