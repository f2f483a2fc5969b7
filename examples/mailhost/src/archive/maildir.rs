//! Maildir, with the folders of Maildir++ or one within the other, and what Dovecot keeps beside the messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileTimes};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imap_codec::types::mailbox::{from_utf7, to_utf7};

use super::files::{Broken, Counts, Dates, Feeder, ReadOptions, WriteOptions, bar, broken_at, failed_at};
use super::frames::{Frame, MailboxHead, MessageHead};
use crate::commands::Failure;

/// A mailbox that was found.
struct Found {
    path: PathBuf,
    /// Its levels, none for the one at the top.
    levels: Vec<String>,
}

/// Sends all mailboxes of a Maildir.
pub(super) fn read(path: &Path, options: &ReadOptions, feeder: &mut Feeder) -> Result<(), Broken> {
    let mut found = Vec::new();
    find(path, &[], &mut found).map_err(|error| broken_at(path, &error))?;
    if found.is_empty() {
        return Err(Broken::Failed(Failure::new(format!(
            "{} is no Maildir: there is no folder `cur` in it, nor in a folder below it",
            path.display()
        ))));
    }
    let mut all = 0;
    for folder in &found {
        for kind in KINDS {
            all += fs::read_dir(folder.path.join(kind)).map_or(0, Iterator::count) as u64;
        }
    }
    feeder.bar = bar(all, "messages");
    for folder in &found {
        let (name, similar) = name_of(&folder.levels, options.mailbox.as_deref());
        feeder.mailbox(name, similar)?;
        messages(&folder.path, options, feeder)?;
    }
    if options.mailbox.is_none() {
        subscriptions(path, feeder)?;
    }
    Ok(())
}

/// The mailbox at `path` and all below it.
fn find(path: &Path, levels: &[String], found: &mut Vec<Found>) -> io::Result<()> {
    if path.join("cur").is_dir() {
        found.push(Found { path: path.to_owned(), levels: levels.to_vec() });
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    for name in names {
        let below = path.join(&name);
        if let Some(dotted) = name.strip_prefix('.') {
            // Maildir++: all folders are side by side, with the levels divided by dots. The Maildir may lie below the
            // folder that was named, as that of a user below those of all.
            if !dotted.is_empty() && below.join("cur").is_dir() {
                let dotted = dotted.split('.').filter(|level| !level.is_empty()).map(decoded);
                found.push(Found { path: below, levels: levels.iter().cloned().chain(dotted).collect() });
            }
        } else if !KINDS.contains(&&*name) && name != "tmp" {
            find(&below, &[levels, &[decoded(&name)]].concat(), found)?;
        }
    }
    Ok(())
}

/// One level of a name; one that is not in modified UTF-7 is taken as it is.
fn decoded(level: &str) -> String {
    from_utf7(level).unwrap_or_else(|| level.to_owned()).replace('/', "_")
}

/// The name of a mailbox, and whether one with another name may stand for it.
fn name_of(levels: &[String], into: Option<&str>) -> (String, bool) {
    match into {
        Some(into) => ([&[into.to_owned()], levels].concat().join("/"), false),
        None if levels.is_empty() => ("INBOX".to_owned(), true),
        None => (levels.join("/"), true),
    }
}

fn messages(folder: &Path, options: &ReadOptions, feeder: &mut Feeder) -> Result<(), Broken> {
    let keywords = keywords(folder);
    let mut files = Vec::new();
    for kind in KINDS {
        let path = folder.join(kind);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(broken_at(&path, &error)),
        };
        for entry in entries {
            let name = entry.map_err(|error| broken_at(&path, &error))?.file_name();
            if !name.as_encoded_bytes().starts_with(b".") {
                files.push((seconds(&name.to_string_lossy()), name, kind));
            }
        }
    }
    // As they have come in, as far as the names tell.
    files.sort_unstable();
    for (seconds, name, kind) in files {
        let path = folder.join(kind).join(&name);
        message(&path, &name.to_string_lossy(), seconds, &keywords, options, feeder)?;
        feeder.bar.inc(1);
    }
    Ok(())
}

fn message(
    path: &Path,
    name: &str,
    seconds: i64,
    keywords: &BTreeMap<char, String>,
    options: &ReadOptions,
    feeder: &mut Feeder,
) -> Result<(), Broken> {
    // A pipe would be waited for.
    let about = fs::metadata(path).and_then(|about| Ok((about.modified()?, about.is_file(), about.len())));
    let (modified, size) = match about {
        Ok((modified, true, size)) => (modified, size),
        Ok((_, false, _)) => {
            feeder.counts.leave_out(path.display(), "no file");
            return Ok(());
        }
        Err(error) => {
            feeder.counts.leave_out(path.display(), &error.to_string());
            return Ok(());
        }
    };
    if size == 0 {
        feeder.counts.leave_out(path.display(), "empty");
        return Ok(());
    }
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            feeder.counts.leave_out(path.display(), &error.to_string());
            return Ok(());
        }
    };
    let date = match options.dates {
        Dates::Name if seconds > 0 => seconds,
        Dates::Name | Dates::Mtime => unix(modified),
    };
    let flags = flags(name, keywords);
    feeder.begin(MessageHead { origin: path.display().to_string(), flags, date, ..Default::default() })?;
    let mut octets = vec![0; Frame::MOST];
    loop {
        match file.read(&mut octets) {
            Ok(0) => return feeder.end(),
            Ok(count) => feeder.octets(&octets[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return feeder.give_up(&error.to_string()),
        }
    }
}

/// The flags in the name of a file. On systems that want no colon in a name, others stand for it.
fn flags(name: &str, keywords: &BTreeMap<char, String>) -> Vec<String> {
    let Some((_, letters)) = [":2,", ";2,", "!2,"].iter().find_map(|mark| name.rsplit_once(mark)) else {
        return Vec::new();
    };
    let mut flags: Vec<String> = Vec::new();
    for letter in letters.chars() {
        let flag = match LETTERS.iter().find(|(known, _)| *known == letter) {
            Some((_, flag)) => Some((*flag).to_owned()),
            None => keywords.get(&letter).cloned(),
        };
        if let Some(flag) = flag
            && !flags.iter().any(|known| known.eq_ignore_ascii_case(&flag))
        {
            flags.push(flag);
        }
    }
    flags
}

/// What Dovecot's letters stand for: a number and a keyword in each line.
fn keywords(folder: &Path) -> BTreeMap<char, String> {
    let text = fs::read_to_string(folder.join(KEYWORDS)).unwrap_or_default();
    let line = |line: &str| {
        let (number, keyword) = line.split_once(' ')?;
        let letter = char::from(b'a'.checked_add(number.parse().ok().filter(|number| *number < 26)?)?);
        Some((letter, keyword.trim().to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// The seconds at the beginning of a name; 0 if there are none.
fn seconds(name: &str) -> i64 {
    let digits = name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    name[..digits].parse().unwrap_or(0)
}

/// What Dovecot, or Courier, says to be subscribed to.
fn subscriptions(path: &Path, feeder: &Feeder) -> Result<(), Broken> {
    for file in [SUBSCRIPTIONS, "courierimapsubscribed"] {
        let text = fs::read_to_string(path.join(file)).unwrap_or_default();
        // Dovecot's second version divides levels by tabs, the first one as its mailboxes do.
        let second = text.starts_with("V\t2");
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("V\t")) {
            let levels: Vec<String> = match second {
                true => line.split('\t').map(decoded).collect(),
                false => line.split(['.', '/']).map(decoded).collect(),
            };
            feeder.send(Frame::Subscribe(levels.join("/")))?;
        }
    }
    Ok(())
}

/// Writes a Maildir.
pub(super) struct Writer {
    path: PathBuf,
    options: WriteOptions,
    /// Folders of this export, so that no two mailboxes get the same one.
    folders: BTreeSet<String>,
    open: Option<Open>,
    message: Option<Message>,
    subscriptions: Vec<String>,
    counts: Counts,
}

/// The mailbox that is being written.
struct Open {
    path: PathBuf,
    uid_validity: u32,
    keywords: Vec<String>,
    /// Names of messages that are there, without sizes and flags.
    there: BTreeSet<String>,
}

/// A message that is being written.
struct Message {
    head: MessageHead,
    name: String,
    file: File,
    path: PathBuf,
    size: u64,
    held_cr: bool,
}

impl Writer {
    pub(super) fn new(path: &Path, options: &WriteOptions) -> Result<Self, Failure> {
        let taken = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if taken && !options.go_on {
            return Err(Failure::new(format!(
                "{} is not empty; name a folder that is not there yet, or add what is missing with --continue",
                path.display()
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            options: options.clone(),
            folders: BTreeSet::new(),
            open: None,
            message: None,
            subscriptions: Vec::new(),
            counts: Counts::default(),
        })
    }

    pub(super) fn mailbox(&mut self, head: &MailboxHead) -> Result<(), Failure> {
        self.close()?;
        let folder =
            if self.options.single || head.name == "INBOX" { String::new() } else { self.folder(&head.name) };
        let path = self.path.join(&folder);
        for kind in ["tmp", "new", "cur"] {
            let kind = path.join(kind);
            fs::create_dir_all(&kind).map_err(|error| failed_at(&kind, &error))?;
        }
        if !folder.is_empty() {
            let mark = path.join("maildirfolder");
            File::create(&mark).map_err(|error| failed_at(&mark, &error))?;
        }
        let mut there = BTreeSet::new();
        for kind in KINDS {
            for entry in fs::read_dir(path.join(kind)).map_err(|error| failed_at(&path, &error))? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                there.insert(name.split([',', ':']).next().unwrap_or_default().to_owned());
            }
        }
        let mut known = vec![String::new(); 26];
        for (letter, keyword) in keywords(&path) {
            known[letter as usize - 'a' as usize] = keyword;
        }
        while known.last().is_some_and(String::is_empty) {
            known.pop();
        }
        self.open = Some(Open { path, uid_validity: head.uid_validity, keywords: known, there });
        Ok(())
    }

    /// The folder of a mailbox. What a dot divides there is not what divides levels here.
    fn folder(&mut self, name: &str) -> String {
        let level = |level: &str| to_utf7(&level.replace('.', "_"));
        let plain = format!(".{}", name.split('/').map(level).collect::<Vec<_>>().join("."));
        let mut folder = plain.clone();
        for number in 2_u32.. {
            if self.folders.insert(folder.clone()) {
                break;
            }
            folder = format!("{plain}_{number}");
        }
        if name.contains('.') || folder != plain {
            self.counts
                .say(format!("the mailbox {name:?} is called {folder:?}, for a dot divides levels there"));
        }
        folder
    }

    pub(super) fn message(&mut self, head: MessageHead) -> Result<(), Failure> {
        let Some(open) = &self.open else { return Ok(()) };
        let name =
            format!("{}.V{}U{}.{}", head.date.max(0), open.uid_validity, head.uid, self.options.hostname);
        if open.there.contains(&name) {
            self.counts.skipped += 1;
            return Ok(());
        }
        let path = open.path.join("tmp").join(&name);
        let file = File::create(&path).map_err(|error| failed_at(&path, &error))?;
        self.message = Some(Message { head, name, file, path, size: 0, held_cr: false });
        Ok(())
    }

    pub(super) fn data(&mut self, octets: &[u8]) -> Result<(), Failure> {
        let Some(message) = &mut self.message else { return Ok(()) };
        if !self.options.lf {
            return message.put(octets);
        }
        let mut text = Vec::with_capacity(octets.len() + 1);
        without_cr(octets, &mut message.held_cr, &mut text);
        message.put(&text)
    }

    pub(super) fn end(&mut self) -> Result<(), Failure> {
        let (Some(open), Some(mut message)) = (&mut self.open, self.message.take()) else { return Ok(()) };
        if message.held_cr {
            message.put(b"\r")?;
        }
        let mut letters = BTreeSet::new();
        for flag in &message.head.flags {
            if let Some((letter, _)) = LETTERS.iter().find(|(_, known)| known.eq_ignore_ascii_case(flag)) {
                letters.insert(*letter);
            }
            if flag.starts_with('\\') {
                continue;
            }
            let place = open.keywords.iter().position(|known| known.eq_ignore_ascii_case(flag));
            let free = || (open.keywords.len() < 26).then_some(open.keywords.len());
            match place.or_else(free) {
                Some(place) => {
                    if place == open.keywords.len() {
                        open.keywords.push(flag.clone());
                    }
                    letters.insert(char::from(b'a' + place as u8));
                }
                None => self.counts.note(
                    &message.head.origin,
                    &format!("without its keyword {flag}, for a Maildir has room for 26"),
                ),
            }
        }
        let letters: String = letters.into_iter().collect();
        let Message { head, name, file, path, size, .. } = message;
        let name = format!("{name},S={size},W={}:2,{letters}", head.size);
        let at = UNIX_EPOCH + Duration::from_secs(head.date.max(0).unsigned_abs());
        let to = open.path.join("cur").join(name);
        file.set_times(FileTimes::new().set_accessed(at).set_modified(at))
            .and_then(|()| fs::rename(&path, &to))
            .map_err(|error| failed_at(&to, &error))?;
        self.counts.messages += 1;
        self.counts.octets += size;
        Ok(())
    }

    pub(super) fn give_up(&mut self) -> Result<(), Failure> {
        self.counts.left_out += 1;
        let Some(message) = self.message.take() else { return Ok(()) };
        fs::remove_file(&message.path).map_err(|error| failed_at(&message.path, &error))
    }

    pub(super) fn subscribe(&mut self, name: String) {
        self.subscriptions.push(name);
    }

    fn close(&mut self) -> Result<(), Failure> {
        let Some(open) = self.open.take() else { return Ok(()) };
        if open.keywords.is_empty() {
            return Ok(());
        }
        let named = |(place, name): (usize, &String)| (!name.is_empty()).then(|| format!("{place} {name}\n"));
        let text: String = open.keywords.iter().enumerate().filter_map(named).collect();
        let path = open.path.join(KEYWORDS);
        fs::write(&path, text).map_err(|error| failed_at(&path, &error))
    }

    pub(super) fn finish(mut self) -> Result<Counts, Failure> {
        self.close()?;
        if !self.subscriptions.is_empty() {
            let line = |name: &String| {
                let levels: Vec<String> =
                    name.split('/').map(|level| to_utf7(&level.replace('.', "_"))).collect();
                format!("{}\n", levels.join("."))
            };
            let text: String = self.subscriptions.iter().map(line).collect();
            let path = self.path.join(SUBSCRIPTIONS);
            fs::write(&path, text).map_err(|error| failed_at(&path, &error))?;
        }
        sync_all(&self.path)?;
        Ok(self.counts)
    }
}

impl Message {
    fn put(&mut self, octets: &[u8]) -> Result<(), Failure> {
        self.size += octets.len() as u64;
        self.file.write_all(octets).map_err(|error| failed_at(&self.path, &error))
    }
}

/// Brings everything on a file system to stable storage: one call for any number of files.
pub(super) fn sync_all(path: &Path) -> Result<(), Failure> {
    let dir = File::open(path).map_err(|error| failed_at(path, &error))?;
    rustix::fs::syncfs(&dir).map_err(|error| failed_at(path, &error.into()))
}

/// CR LF becomes LF, over the ends of pieces too.
pub(super) fn without_cr(octets: &[u8], held_cr: &mut bool, out: &mut Vec<u8>) {
    for octet in octets {
        if std::mem::take(held_cr) && *octet != b'\n' {
            out.push(b'\r');
        }
        if *octet == b'\r' {
            *held_cr = true;
        } else {
            out.push(*octet);
        }
    }
}

fn unix(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    }
}

const KINDS: [&str; 2] = ["cur", "new"];
const KEYWORDS: &str = "dovecot-keywords";
const SUBSCRIPTIONS: &str = "subscriptions";
const LETTERS: [(char, &str); 6] = [
    ('D', "\\Draft"),
    ('F', "\\Flagged"),
    ('P', "$Forwarded"),
    ('R', "\\Answered"),
    ('S', "\\Seen"),
    ('T', "\\Deleted"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_in_names() {
        let keywords = BTreeMap::from([('a', "$Forwarded".to_owned()), ('c', "work".to_owned())]);
        for (name, expected) in [
            ("1700000000.M1P2.host:2,", ""),
            ("1700000000.M1P2.host", ""),
            (
                "1700000000.M1P2.host,S=5,W=6:2,DFPRST",
                "\\Draft \\Flagged $Forwarded \\Answered \\Seen \\Deleted",
            ),
            ("1.x;2,S", "\\Seen"),
            ("1.x!2,FSac", "\\Flagged \\Seen $Forwarded work"),
            ("1.x:2,PabX", "$Forwarded"),
        ] {
            assert_eq!(flags(name, &keywords).join(" "), expected, "{name}");
        }
    }

    #[test]
    fn names_of_files_begin_with_seconds() {
        assert_eq!(seconds("1700000000.M1P2.host:2,S"), 1_700_000_000);
        assert_eq!(seconds("msg.1"), 0);
        assert_eq!(seconds("99999999999999999999.x"), 0);
        assert_eq!(seconds(""), 0);
    }

    #[test]
    fn line_ends_lose_their_cr_over_any_cut() {
        for size in 1..6 {
            let (mut held, mut out) = (false, Vec::new());
            b"a\r\nb\rc\r\r\n".chunks(size).for_each(|piece| without_cr(piece, &mut held, &mut out));
            assert_eq!((&*out, held), (&b"a\nb\rc\r\n"[..], false), "pieces of {size}");
        }
    }
}
