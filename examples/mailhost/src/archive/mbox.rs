//! mbox: messages one behind the other, each behind a line that begins with "From " (RFC 4155).

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use super::files::{Broken, Counts, Feeder, ReadOptions, Variant, WriteOptions, bar, broken_at, failed_at};
use super::frames::{MailboxHead, MessageHead};
use super::maildir::{sync_all, without_cr};
use crate::commands::Failure;

/// Sends what is in a file, or in all files of a folder and those below.
pub(super) fn read(path: &Path, options: &ReadOptions, feeder: &mut Feeder) -> Result<(), Broken> {
    let mut found = Vec::new();
    let about = fs::metadata(path).map_err(|error| broken_at(path, &error))?;
    if about.is_dir() {
        find(path, &[], &mut found).map_err(|error| broken_at(path, &error))?;
        if found.is_empty() {
            let why = format!("{}: no file in it begins as an mbox does, with \"From \"", path.display());
            return Err(Broken::Failed(Failure::new(why)));
        }
    } else {
        if !begins(path).map_err(|error| broken_at(path, &error))? && about.len() > 0 {
            let why = format!("{} is no mbox: it does not begin with \"From \"", path.display());
            return Err(Broken::Failed(Failure::new(why)));
        }
        found.push((path.to_owned(), Vec::new()));
    }
    let octets = found.iter().filter_map(|(path, _)| fs::metadata(path).ok()).map(|about| about.len()).sum();
    feeder.bar = bar(octets, "octets");
    for (path, levels) in found {
        let (name, similar) = match (&options.mailbox, levels.is_empty()) {
            (Some(into), _) => ([std::slice::from_ref(into), &levels[..]].concat().join("/"), false),
            (None, true) => ("INBOX".to_owned(), true),
            (None, false) => (levels.join("/"), true),
        };
        feeder.mailbox(name, similar)?;
        Reader::new(&path, options)?.run(feeder)?;
    }
    Ok(())
}

/// The files that are an mbox, with the levels of their names. Thunderbird puts what is below `x` into `x.sbd`.
fn find(path: &Path, levels: &[String], found: &mut Vec<(PathBuf, Vec<String>)>) -> io::Result<()> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(path)? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
    }
    names.sort_unstable();
    for name in names {
        let below = path.join(&name);
        let about = fs::metadata(&below)?;
        let stem = |end: &str| name.strip_suffix(end).unwrap_or(&name).to_owned();
        if about.is_dir() {
            find(&below, &[levels, &[stem(".sbd")]].concat(), found)?;
        } else if about.is_file() && begins(&below)? {
            found.push((below, [levels, &[stem(".mbox")]].concat()));
        }
    }
    Ok(())
}

fn begins(path: &Path) -> io::Result<bool> {
    let mut start = [0; 5];
    let count = File::open(path)?.read_at(&mut start, 0)?;
    Ok(start[..count] == *FROM)
}

/// A file, taken apart line by line.
struct Reader<'a> {
    path: &'a Path,
    file: BufReader<File>,
    size: u64,
    at: u64,
    options: &'a ReadOptions,
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path, options: &'a ReadOptions) -> Result<Self, Broken> {
        let file = File::open(path).map_err(|error| broken_at(path, &error))?;
        let size = file.metadata()?.len();
        Ok(Self { path, file: BufReader::with_capacity(PIECE, file), size, at: 0, options })
    }

    /// The next line, or a piece of one; false at the end.
    fn piece(&mut self, piece: &mut Vec<u8>) -> Result<bool, Broken> {
        piece.clear();
        loop {
            let there = self.file.fill_buf().map_err(|error| broken_at(self.path, &error))?;
            if there.is_empty() {
                return Ok(!piece.is_empty());
            }
            let most = (PIECE - piece.len()).min(there.len());
            let (count, ended) = match memchr::memchr(b'\n', &there[..most]) {
                Some(place) => (place + 1, true),
                None => (most, false),
            };
            piece.extend_from_slice(&there[..count]);
            self.file.consume(count);
            self.at += count as u64;
            if ended || piece.len() >= PIECE {
                return Ok(true);
            }
        }
    }

    fn run(mut self, feeder: &mut Feeder) -> Result<(), Broken> {
        let (mut piece, mut number, mut told) = (Vec::new(), 0_u64, 0);
        // The first line is known to begin a message, whatever stands in it.
        let mut date = match self.piece(&mut piece)? {
            true => Some(from_date(&piece).unwrap_or(0)),
            false => None,
        };
        while let Some(received) = date.take() {
            number += 1;
            let head = self.header(&mut piece)?;
            let origin = format!("{} message {number}", self.path.display());
            if head.expunged {
                feeder.counts.deleted += 1;
            } else {
                feeder.begin(MessageHead {
                    origin,
                    flags: head.flags,
                    date: received,
                    ..Default::default()
                })?;
                feeder.octets(&head.octets)?;
            }
            let mut put = |octets: &[u8]| if head.expunged { Ok(()) } else { feeder.octets(octets) };
            // The end of the header, or a length that was right, is as good as an empty line.
            let mut may_end = true;
            if let Some(length) = head.length.filter(|_| head.ended)
                && self.leads_to_a_message(length)?
            {
                let unquote = self.options.variant == Variant::Mboxcl;
                self.exactly(length, unquote, &mut piece, &mut put)?;
            }
            // An empty line in front of the next message is not a part of this one.
            let (mut held, mut fresh) = (Vec::new(), true);
            let mut over = head.over;
            while over.is_none() && self.piece(&mut piece)? {
                if fresh && (may_end || !held.is_empty()) && from_date(&piece).is_some() {
                    over = from_date(&piece);
                    break;
                }
                may_end = false;
                put(&held)?;
                held.clear();
                if fresh && matches!(&piece[..], b"\n" | b"\r\n") {
                    held.extend_from_slice(&piece);
                } else {
                    put(if fresh { self.unquoted(&piece) } else { &piece })?;
                }
                fresh = piece.ends_with(b"\n");
            }
            if !head.expunged {
                feeder.end()?;
            }
            feeder.bar.inc(self.at - told);
            told = self.at;
            date = over;
        }
        Ok(())
    }

    fn unquoted<'l>(&self, line: &'l [u8]) -> &'l [u8] {
        let quotes = line.iter().take_while(|octet| **octet == b'>').count();
        let quoted = line[quotes..].starts_with(FROM);
        match self.options.variant {
            Variant::Mboxrd | Variant::Mboxcl if quoted && quotes > 0 => &line[1..],
            Variant::Mboxo if quoted && quotes == 1 => &line[1..],
            _ => line,
        }
    }

    /// Reads up to the end of the header, without what mail programs have put there for themselves.
    fn header(&mut self, piece: &mut Vec<u8>) -> Result<Head, Broken> {
        let mut head = Head::default();
        // The field that was begun last, if it is one of those.
        let mut own: Option<Vec<u8>> = None;
        let mut fresh = true;
        while self.piece(piece)? {
            let goes_on = !fresh || piece.starts_with(b" ") || piece.starts_with(b"\t");
            fresh = piece.ends_with(b"\n");
            if let Some(field) = own.as_mut().filter(|_| goes_on) {
                if field.len() < MAX_FIELD {
                    field.extend_from_slice(piece);
                }
                if self.options.keep_status {
                    head.octets.extend_from_slice(piece);
                }
                continue;
            }
            if let Some(field) = own.take() {
                head.field(&field);
            }
            if !goes_on {
                if from_date(piece).is_some() && head.octets.is_empty() {
                    // A message without anything.
                    head.over = from_date(piece);
                    return Ok(head);
                }
                if let Some(value) = field(piece, "Content-Length:") {
                    head.length = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
                }
                if OWN.iter().any(|name| field(piece, name).is_some()) {
                    own = Some(piece.clone());
                    if self.options.keep_status {
                        head.octets.extend_from_slice(piece);
                    }
                    continue;
                }
            }
            head.octets.extend_from_slice(piece);
            if !goes_on && matches!(&piece[..], b"\n" | b"\r\n") {
                head.ended = true;
                break;
            }
            if head.octets.len() > MAX_HEADER {
                // Whatever follows is not looked at for flags.
                break;
            }
        }
        if let Some(field) = own.take() {
            head.field(&field);
        }
        Ok(head)
    }

    /// Whether so many octets on stands what ends a message. Nothing else makes a length believed.
    fn leads_to_a_message(&self, length: u64) -> Result<bool, Broken> {
        if !matches!(self.options.variant, Variant::Mboxcl | Variant::Mboxcl2) {
            return Ok(false);
        }
        let Some(end) = self.at.checked_add(length).filter(|end| *end <= self.size) else { return Ok(false) };
        let mut next = [0; 200];
        let count = self.file.get_ref().read_at(&mut next, end)?;
        let next = &next[..count];
        let next = next.strip_prefix(b"\r\n").or_else(|| next.strip_prefix(b"\n")).unwrap_or(next);
        Ok(next.is_empty() || from_date(next).is_some())
    }

    fn exactly(
        &mut self,
        length: u64,
        unquote: bool,
        piece: &mut Vec<u8>,
        put: &mut impl FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let end = self.at + length;
        let mut fresh = true;
        while self.at < end && self.piece(piece)? {
            if self.at > end {
                let over = usize::try_from(self.at - end).unwrap_or(0);
                piece.truncate(piece.len().saturating_sub(over));
                self.file.seek(SeekFrom::Start(end))?;
                self.at = end;
            }
            put(if fresh && unquote { self.unquoted(piece) } else { piece })?;
            fresh = piece.ends_with(b"\n");
        }
        Ok(())
    }
}

/// The header of a message.
#[derive(Default)]
struct Head {
    octets: Vec<u8>,
    flags: Vec<String>,
    length: Option<u64>,
    /// Its empty line was read.
    ended: bool,
    /// Thunderbird has deleted the message, and not taken it out.
    expunged: bool,
    /// The next message begins at once.
    over: Option<i64>,
}

impl Head {
    /// Takes flags out of a field that a mail program keeps them in.
    fn field(&mut self, line: &[u8]) {
        if let Some(value) = field(line, "Status:").or_else(|| field(line, "X-Status:")) {
            for octet in value {
                self.flag(match octet {
                    b'R' => "\\Seen",
                    b'A' => "\\Answered",
                    b'F' => "\\Flagged",
                    b'T' => "\\Draft",
                    b'D' => "\\Deleted",
                    _ => continue,
                });
            }
        } else if let Some(value) = field(line, "X-Keywords:").or_else(|| field(line, "X-Mozilla-Keys:")) {
            for word in String::from_utf8_lossy(value).split_whitespace() {
                self.flag(word);
            }
        } else if let Some(value) = field(line, "X-Mozilla-Status:") {
            let text = String::from_utf8_lossy(value);
            let bits = u32::from_str_radix(text.trim(), 16).unwrap_or(0);
            for (bit, flag) in [(1, "\\Seen"), (2, "\\Answered"), (4, "\\Flagged"), (0x1000, "$Forwarded")] {
                if bits & bit != 0 {
                    self.flag(flag);
                }
            }
            self.expunged |= bits & 8 != 0;
        }
    }

    fn flag(&mut self, flag: &str) {
        if !self.flags.iter().any(|known| known.eq_ignore_ascii_case(flag)) {
            self.flags.push(flag.to_owned());
        }
    }
}

/// What stands behind the name of a field.
fn field<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    let (begin, value) = line.split_at_checked(name.len())?;
    begin.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
}

/// The time in a line that begins a message, such as `From anna@example.test Sat Mar  1 12:00:00 2025`; `None` if it begins none.
fn from_date(line: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(line.strip_prefix(FROM)?.strip_suffix(b"\n")?).ok()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.windows(3).rposition(|words| {
        month(words[0]).is_some() && words[1].parse::<u8>().is_ok() && words[2].contains(':')
    })?;
    let mut clock = words[at + 2].split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?);
    let rest = &words[at + 3..];
    let year = rest.iter().find_map(|word| (word.len() == 4).then(|| word.parse::<i32>().ok()).flatten())?;
    let date = Date::from_calendar_date(year, month(words[at])?, words[at + 1].parse().ok()?).ok()?;
    let time = Time::from_hms(hour, minute, second.min(59)).ok()?;
    let offset = rest.iter().find_map(|word| zone(word)).unwrap_or(UtcOffset::UTC);
    Some(date.with_time(time).assume_offset(offset).unix_timestamp())
}

fn zone(word: &str) -> Option<UtcOffset> {
    let sign = match word.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = word.get(1..).filter(|digits| digits.len() == 4)?;
    UtcOffset::from_hms(sign * digits[..2].parse::<i8>().ok()?, sign * digits[2..].parse::<i8>().ok()?, 0)
        .ok()
}

fn month(word: &str) -> Option<Month> {
    let place = MONTHS.iter().position(|month| *month == word)?;
    Month::try_from(place as u8 + 1).ok()
}

/// The line that begins a message.
fn from_line(sender: &str, date: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(date).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let weekday = DAYS[at.weekday().number_days_from_monday() as usize];
    let month = MONTHS[u8::from(at.month()) as usize - 1];
    let (hour, minute, second) = at.to_hms();
    let (day, year) = (at.day(), at.year());
    format!("From {sender} {weekday} {month} {day:>2} {hour:02}:{minute:02}:{second:02} {year:04}\n")
}

/// Writes mboxrd.
pub(super) struct Writer {
    path: PathBuf,
    options: WriteOptions,
    files: BTreeSet<PathBuf>,
    open: Option<(PathBuf, BufWriter<File>)>,
    head: Option<MessageHead>,
    /// Where the message begins that is being written, should it have to be taken back.
    begin: u64,
    line: Vec<u8>,
    fresh: bool,
    ended: bool,
    held_cr: bool,
    unended: u64,
    counts: Counts,
}

impl Writer {
    pub(super) fn new(path: &Path, options: &WriteOptions) -> Result<Self, Failure> {
        if options.go_on {
            return Err(Failure::new(
                "an mbox cannot be continued; name a file or folder that is not there yet",
            ));
        }
        let taken = match options.single {
            true => fs::symlink_metadata(path).is_ok(),
            false => fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()),
        };
        if taken {
            return Err(Failure::new(format!("{} is there already; name one that is not", path.display())));
        }
        Ok(Self {
            path: path.to_owned(),
            options: options.clone(),
            files: BTreeSet::new(),
            open: None,
            head: None,
            begin: 0,
            line: Vec::new(),
            fresh: true,
            ended: true,
            held_cr: false,
            unended: 0,
            counts: Counts::default(),
        })
    }

    pub(super) fn mailbox(&mut self, head: &MailboxHead) -> Result<(), Failure> {
        self.close()?;
        let path = if self.options.single { self.path.clone() } else { self.file(&head.name) };
        if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
            fs::create_dir_all(parent).map_err(|error| failed_at(parent, &error))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| failed_at(&path, &error))?;
        self.open = Some((path, BufWriter::with_capacity(PIECE, file)));
        Ok(())
    }

    /// `a/b` is the file b.mbox in the folder a. No level leads out of the folder, or hides there.
    fn file(&mut self, name: &str) -> PathBuf {
        let level = |level: &str| match level.strip_prefix('.') {
            Some(rest) => format!("_{rest}"),
            None => level.to_owned(),
        };
        let levels: Vec<String> = name.split('/').map(level).collect();
        let plain = levels.join("/");
        let mut path = self.path.join(format!("{plain}.mbox"));
        for number in 2_u32.. {
            if self.files.insert(path.clone()) {
                break;
            }
            path = self.path.join(format!("{plain}_{number}.mbox"));
        }
        path
    }

    pub(super) fn message(&mut self, head: MessageHead) {
        self.head = Some(head);
        (self.fresh, self.ended, self.held_cr) = (true, true, false);
        self.line.clear();
    }

    pub(super) fn data(&mut self, octets: &[u8]) -> Result<(), Failure> {
        if let Some(head) = self.head.take() {
            self.begin_message(&head, octets)?;
        }
        let mut text = Vec::new();
        let octets = if self.options.lf {
            without_cr(octets, &mut self.held_cr, &mut text);
            &text
        } else {
            octets
        };
        for piece in octets.split_inclusive(|octet| *octet == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= PIECE {
                self.put_line()?;
            }
        }
        Ok(())
    }

    fn begin_message(&mut self, head: &MessageHead, octets: &[u8]) -> Result<(), Failure> {
        let Some((path, file)) = &mut self.open else { return Ok(()) };
        let sender = return_path(octets).unwrap_or("MAILER-DAEMON");
        let mut text = from_line(sender, head.date);
        if self.options.status {
            text.push_str(&status(&head.flags, if self.options.lf { "\n" } else { "\r\n" }));
        }
        file.stream_position()
            .and_then(|at| {
                self.begin = at;
                file.write_all(text.as_bytes())
            })
            .map_err(|error| failed_at(path, &error))
    }

    fn put_line(&mut self) -> Result<(), Failure> {
        let Some((path, file)) = &mut self.open else { return Ok(()) };
        let quotes = self.line.iter().take_while(|octet| **octet == b'>').count();
        let quote = self.fresh && self.line[quotes..].starts_with(FROM);
        self.fresh = self.line.ends_with(b"\n");
        self.ended = self.fresh;
        let written = if quote { file.write_all(b">") } else { Ok(()) };
        written.and_then(|()| file.write_all(&self.line)).map_err(|error| failed_at(path, &error))?;
        self.counts.octets += self.line.len() as u64;
        self.line.clear();
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), Failure> {
        if let Some(head) = self.head.take() {
            self.begin_message(&head, b"")?;
        }
        if self.held_cr {
            self.line.push(b'\r');
        }
        if !self.line.is_empty() {
            self.put_line()?;
        }
        let Some((path, file)) = &mut self.open else { return Ok(()) };
        if !self.ended {
            self.unended += 1;
        }
        let end: &[u8] = if self.ended { b"\n" } else { b"\n\n" };
        file.write_all(end).map_err(|error| failed_at(path, &error))?;
        self.counts.messages += 1;
        Ok(())
    }

    /// What has been written of a message goes again.
    pub(super) fn give_up(&mut self) -> Result<(), Failure> {
        self.counts.left_out += 1;
        self.line.clear();
        if self.head.take().is_some() {
            return Ok(());
        }
        let Some((path, file)) = &mut self.open else { return Ok(()) };
        let begin = self.begin;
        file.flush()
            .and_then(|()| file.get_ref().set_len(begin))
            .and_then(|()| file.seek(SeekFrom::Start(begin)))
            .map_err(|error| failed_at(path, &error))?;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        let Some((path, mut file)) = self.open.take() else { return Ok(()) };
        file.flush().map_err(|error| failed_at(&path, &error))
    }

    pub(super) fn finish(mut self) -> Result<Counts, Failure> {
        self.close()?;
        if self.unended > 0 {
            let one = format!("{} messages did not end with a line end, and have got one", self.unended);
            self.counts.say(one);
        }
        sync_all(&self.path)?;
        Ok(self.counts)
    }
}

/// The sender that our own trace field names.
fn return_path(octets: &[u8]) -> Option<&str> {
    let line = octets.split(|octet| *octet == b'\n').next()?;
    let value = std::str::from_utf8(field(line, "Return-Path:")?).ok()?;
    let sender = value.trim().strip_prefix('<')?.strip_suffix('>')?;
    (!sender.is_empty() && !sender.contains(char::is_whitespace)).then_some(sender)
}

fn status(flags: &[String], end: &str) -> String {
    let has = |flag: &str| flags.iter().any(|known| known.eq_ignore_ascii_case(flag));
    let mut text = format!("Status: {}O{end}", if has("\\Seen") { "R" } else { "" });
    let letters = [("\\Answered", 'A'), ("\\Flagged", 'F'), ("\\Draft", 'T'), ("\\Deleted", 'D')];
    let letters: String = letters.iter().filter(|(flag, _)| has(flag)).map(|(_, letter)| *letter).collect();
    if !letters.is_empty() {
        text.push_str(&format!("X-Status: {letters}{end}"));
    }
    let keywords: Vec<&str> =
        flags.iter().map(String::as_str).filter(|flag| !flag.starts_with('\\')).collect();
    if !keywords.is_empty() {
        text.push_str(&format!("X-Keywords: {}{end}", keywords.join(" ")));
    }
    text
}

const FROM: &[u8] = b"From ";
/// Fields in which mail programs keep what they know of a message.
const OWN: [&str; 6] =
    ["Status:", "X-Status:", "X-Keywords:", "X-Mozilla-Status:", "X-Mozilla-Status2:", "X-Mozilla-Keys:"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Read at once, of a line too.
const PIECE: usize = 64 << 10;
/// Octets of a header in which flags are looked for, and of one field with them.
const MAX_HEADER: usize = 256 << 10;
const MAX_FIELD: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::{env, process};

    use tokio::sync::mpsc;

    use super::super::files::{self, Dates, Format};
    use super::super::frames::Frame;
    use super::*;

    #[test]
    fn lines_that_begin_a_message_have_a_time() {
        for (line, date) in [
            ("From anna@example.test Thu Jan  1 00:00:00 1970\n", Some(0)),
            ("From - Sat Mar 01 12:30:00 2025\n", Some(1_740_832_200)),
            ("From a b Sat Mar  1 12:30 2025\n", Some(1_740_832_200)),
            ("From a Sat Mar  1 12:30:00 2025 +0100\r\n", Some(1_740_828_600)),
            ("From a Sat Mar  1 12:30:00 CET 2025\n", Some(1_740_832_200)),
            ("From what I have heard, May 5 at 10:00 will do\n", None),
            ("From a Sat Mar  1 12:30:00 2025", None),
            (">From a Sat Mar  1 12:30:00 2025\n", None),
            ("From \n", None),
            ("From a Sat Feb 30 12:30:00 2025\n", None),
        ] {
            assert_eq!(from_date(line.as_bytes()), date, "{line:?}");
        }
        for date in [0, 1_740_832_200, 4_102_444_799] {
            assert_eq!(from_date(from_line("MAILER-DAEMON", date).as_bytes()), Some(date));
        }
    }

    /// What is in a file: flags, the time, and the octets with LF alone; and how many were left aside as deleted.
    fn messages(text: &str, variant: Variant, keep_status: bool) -> (Vec<(String, i64, String)>, u64) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("mailhost-mbox-{}-{number}", process::id()));
        fs::write(&path, text).unwrap();
        let dates = Dates::Mtime;
        let options = ReadOptions { format: Format::Mbox, mailbox: None, dates, variant, keep_status };
        let (out, mut frames) = mpsc::channel(1_000);
        let counts = files::read(&path, &options, out);
        fs::remove_file(&path).unwrap();
        let (mut found, mut octets) = (Vec::new(), Vec::new());
        while let Some(frame) = frames.blocking_recv() {
            match frame {
                Frame::Message(head) => found.push((head.flags.join(" "), head.date, String::new())),
                Frame::Data(data) => octets.extend_from_slice(&data),
                Frame::End => {
                    let text = String::from_utf8(std::mem::take(&mut octets)).unwrap();
                    found.last_mut().expect("it has begun").2 = text.replace("\r\n", "\n");
                }
                _ => {}
            }
        }
        (found, counts.map_or(0, |counts| counts.deleted))
    }

    fn texts(text: &str, variant: Variant) -> Vec<String> {
        messages(text, variant, false).0.into_iter().map(|(.., text)| text).collect()
    }

    #[test]
    fn messages_end_where_the_next_one_begins() {
        let text = format!(
            "{FIRST}Subject: a\n\nbody\nFrom here on\n\nFrom what I know\n\n{FIRST}Subject: b\n\n{FIRST}\nno header\n\n\n{FIRST}Subject: c"
        );
        assert_eq!(
            texts(&text, Variant::Mboxrd),
            [
                "Subject: a\n\nbody\nFrom here on\n\nFrom what I know\n",
                "Subject: b\n\n",
                "\nno header\n\n",
                "Subject: c",
            ]
        );
        assert_eq!(texts("", Variant::Mboxrd), [""; 0]);
    }

    #[test]
    fn what_was_hidden_is_shown_as_the_variant_says() {
        let text = format!("{FIRST}A: b\n\n>From a\n>>From b\n> From c\nx >From d\n\n{FIRST}C: d\n\n");
        for (variant, body) in [
            (Variant::Mboxrd, "From a\n>From b\n> From c\nx >From d\n"),
            (Variant::Mboxcl, "From a\n>From b\n> From c\nx >From d\n"),
            (Variant::Mboxo, "From a\n>>From b\n> From c\nx >From d\n"),
            (Variant::Mboxcl2, ">From a\n>>From b\n> From c\nx >From d\n"),
        ] {
            assert_eq!(
                texts(&text, variant),
                [format!("A: b\n\n{body}"), "C: d\n\n".to_owned()],
                "{variant:?}"
            );
        }
    }

    #[test]
    fn a_length_is_believed_where_it_leads_to_a_message() {
        let body = format!("one\n\n{FIRST}two\n");
        let head = |length: usize| format!("Content-Length: {length}\n\n");
        let right = format!("{FIRST}{}{body}\n{FIRST}{}{body}", head(body.len()), head(body.len()));
        let whole = format!("{}{body}", head(body.len()));
        assert_eq!(texts(&right, Variant::Mboxcl2), [whole.clone(), whole]);
        for wrong in [0, 3, body.len() - 1, body.len() + 10, usize::MAX] {
            let text = format!("{FIRST}{}{body}\n{FIRST}A: b\n\n", head(wrong));
            let first = format!("{}one\n", head(wrong));
            assert_eq!(
                texts(&text, Variant::Mboxcl2),
                [first, "two\n\n".to_owned(), "A: b\n\n".to_owned()],
                "{wrong}"
            );
        }
    }

    #[test]
    fn fields_of_mail_programs_become_flags() {
        let text = format!(
            "{FIRST}Status: RO\nSubject: a\nX-STATUS: AF\nX-Keywords: $Junk\n work\nX-Other: b\n\nStatus: D\n\n\
             {FIRST}X-Mozilla-Status: 1003\nX-Mozilla-Status2: 00000000\nSubject: b\n\n\
             {FIRST}X-Mozilla-Status: 0009\nSubject: gone\n\nbody\n"
        );
        let (found, deleted) = messages(&text, Variant::Mboxrd, false);
        let first = ("\\Seen \\Answered \\Flagged $Junk work", "Subject: a\nX-Other: b\n\nStatus: D\n");
        let second = ("\\Seen \\Answered $Forwarded", "Subject: b\n\n");
        let expected = [first, second].map(|(flags, text)| (flags.to_owned(), AT, text.to_owned()));
        assert_eq!((found, deleted), (expected.to_vec(), 1));
        let (kept, _) = messages(&text, Variant::Mboxrd, true);
        assert_eq!(kept[0].0, first.0);
        assert!(
            kept[0].2.starts_with("Status: RO\nSubject: a\nX-STATUS: AF\nX-Keywords: $Junk\n work\nX-Other")
        );
    }

    const FIRST: &str = "From anna@example.test Sat Mar  1 12:30:00 2025\n";
    const AT: i64 = 1_740_832_200;

    #[test]
    fn the_sender_is_what_our_trace_says() {
        assert_eq!(return_path(b"Return-Path: <anna@example.test>\r\nX: y"), Some("anna@example.test"));
        for none in ["", "Return-Path: <>\r\n", "Return-Path: <a b@c>\r\n", "Subject: x\r\n"] {
            assert_eq!(return_path(none.as_bytes()), None, "{none:?}");
        }
    }
}
