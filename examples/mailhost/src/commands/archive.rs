//! Import, export, backup, restore.

use std::fmt;
use std::io::{self, Write as _};
use std::path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;
use tokio::{runtime, task};

use super::Failure;
use crate::archive::backup::{Contents, Copied, copy, prepare};
use crate::archive::restore::{RestoreOptions, Restored, Waiting};
use crate::archive::{self, Counts, Format, Frame, Job, ReadOptions, Told, Totals, Variant, WriteOptions};
use crate::cli::archive::{Backup, Export, Import, Restore, Source, Target};
use crate::commands::output::output;
use crate::config::Config;
use crate::logs::Safe;
use crate::words::number;

pub(super) fn import(command: &Import) -> Result<ExitCode, Failure> {
    let (into, mut options) = match command {
        Import::Maildir { into, dates } => {
            (into, ReadOptions { dates: *dates, ..read_options(Format::Maildir) })
        }
        Import::Mbox { into, variant, keep_status } => {
            let (variant, keep_status) = (*variant, *keep_status);
            (into, ReadOptions { variant, keep_status, ..read_options(Format::Mbox) })
        }
    };
    let Target { path, account, mailbox, again, config } = into;
    options.mailbox.clone_from(mailbox);
    let config = Config::load(&config.file)?;
    let job = Job::Import { account: account.as_str().to_owned(), again: *again };
    let begin = Instant::now();
    let (to_host, from_here) = mpsc::channel(WAITING);
    let (to_here, mut from_host) = mpsc::channel(WAITING);
    let path = path.clone();
    let reading = move || archive::read(&path, &options, to_host);
    let (counts, totals, failure) = runtime()?.block_on(async {
        let reading = task::spawn_blocking(reading);
        let link = archive::run(&config, job, from_here, to_here);
        let listening = async {
            let (mut totals, mut failure, mut notes) = (Totals::default(), None, Vec::new());
            while let Some(frame) = from_host.recv().await {
                match frame {
                    Frame::Told(Told::Progress(so_far) | Told::Imported(so_far)) => totals = so_far,
                    Frame::Told(Told::About(what, why)) => notes.push(format!("{what}: {why}")),
                    Frame::Told(Told::Failed(why)) => failure = Some(Failure::new(why)),
                    _ => {}
                }
            }
            (totals, failure, notes)
        };
        let (linked, (totals, failure, notes)) = tokio::join!(link, listening);
        let (counts, unread) = match reading.await? {
            Ok(counts) => (counts, None),
            Err(failure) => (Counts::default(), Some(failure)),
        };
        let mut counts: Counts = counts;
        counts.notes.extend(notes);
        // What could not be read is the reason why the host has heard no more.
        Ok::<_, Failure>((counts, totals, unread.or_else(|| linked.err()).or(failure)))
    })?;
    let Totals { imported, octets, skipped } = totals;
    let failure = match failure {
        Some(failure) if imported + skipped == 0 => return Err(failure),
        failure => failure,
    };
    let mut out = output();
    let rate = Rate { messages: imported + skipped, begin };
    writeln!(out, "{} ({}) imported into {account} in {rate}", number(imported, "message"), Size(octets))?;
    if skipped > 0 {
        let were = if skipped == 1 { "was" } else { "were" };
        writeln!(out, "{} {were} there already, and not taken again", number(skipped, "message"))?;
    }
    if counts.lf > 0 {
        writeln!(
            out,
            "{} had lines that end in LF alone; they end in CR LF now",
            number(counts.lf, "message")
        )?;
    }
    if counts.cr > 0 {
        writeln!(out, "{} had CR without LF", number(counts.cr, "message"))?;
    }
    if counts.nul > 0 {
        writeln!(out, "{} had NUL", number(counts.nul, "message"))?;
    }
    if counts.deleted > 0 {
        writeln!(
            out,
            "{} had been deleted in Thunderbird, and did not come",
            number(counts.deleted, "message")
        )?;
    }
    if counts.left_out > 0 {
        writeln!(out, "LEFT OUT: {}", number(counts.left_out, "message"))?;
    }
    notes(&counts, &mut out)?;
    match failure {
        Some(failure) => Err(Failure::new(format!(
            "the import has ended before its end, and what is imported stays: {failure}; run the same command again to \
             go on, what is there is not taken twice"
        ))),
        None => Ok(if counts.left_out == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    }
}

pub(super) fn export(command: &Export) -> Result<ExitCode, Failure> {
    let (from, format, go_on, status) = match command {
        Export::Maildir { from, go_on } => (from, Format::Maildir, *go_on, false),
        Export::Mbox { from, status } => (from, Format::Mbox, false, *status),
    };
    let Source { path, account, mailbox, lf, config } = from;
    let config = Config::load(&config.file)?;
    let hostname = config.hostname.as_str().to_owned();
    let options = WriteOptions { format, single: mailbox.is_some(), go_on, lf: *lf, status, hostname };
    let job = Job::Export { account: account.as_str().to_owned(), mailbox: mailbox.clone() };
    let begin = Instant::now();
    let (_nothing, from_here) = mpsc::channel(1);
    drop(_nothing);
    let (to_here, mut from_host) = mpsc::channel(WAITING);
    let (to_files, mut frames) = mpsc::channel(WAITING);
    let (counts, told) = runtime()?.block_on(async {
        let link = archive::run(&config, job, from_here, to_here);
        let work = async {
            // Nothing is made before it is known that there is something.
            let messages = match from_host.recv().await {
                Some(Frame::Told(Told::Messages(messages))) => messages,
                Some(Frame::Told(Told::Failed(why))) => return Err(Failure::new(why)),
                _ => return Ok((Counts::default(), Vec::new())),
            };
            let path = path.clone();
            let writing =
                task::spawn_blocking(move || archive::write(&path, &options, messages, &mut frames));
            let (mut told, mut failure) = (Vec::new(), None);
            while let Some(frame) = from_host.recv().await {
                match frame {
                    Frame::Told(Told::About(what, why)) => told.push(format!("{what}: {why}")),
                    Frame::Told(Told::Failed(why)) => failure = Some(Failure::new(why)),
                    frame => {
                        if to_files.send(frame).await.is_err() {
                            break;
                        }
                    }
                }
            }
            drop((to_files, from_host));
            let written = writing.await?;
            match failure {
                Some(failure) => Err(failure),
                None => Ok((written?, told)),
            }
        };
        let (linked, worked) = tokio::join!(link, work);
        let worked = worked?;
        linked?;
        Ok::<_, Failure>(worked)
    })?;
    let mut counts = counts;
    counts.notes.extend(told);
    let mut out = output();
    let rate = Rate { messages: counts.messages, begin };
    let (written, octets) = (number(counts.messages, "message"), Size(counts.octets));
    writeln!(out, "{written} ({octets}) of {account} written to {} in {rate}", path.display())?;
    if counts.skipped > 0 {
        let were = if counts.skipped == 1 { "was" } else { "were" };
        writeln!(out, "{} {were} there already", number(counts.skipped, "message"))?;
    }
    if counts.left_out > 0 {
        writeln!(out, "LEFT OUT: {}", number(counts.left_out, "message"))?;
    }
    if format == Format::Mbox && !status {
        writeln!(out, "flags are not exported; --status writes them into the messages")?;
    }
    notes(&counts, &mut out)?;
    Ok(if counts.left_out == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn backup(command: &Backup) -> Result<ExitCode, Failure> {
    let config = Config::load(&command.config.file)?;
    let (dir, store) = (command.dir.clone(), config.mail_dir());
    let before = prepare(&dir, &store)?;
    let begin = Instant::now();
    let taken = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut contents = Contents {
        version: 1,
        hostname: config.hostname.as_str().to_owned(),
        taken: i64::try_from(taken).unwrap_or(i64::MAX),
        files: Vec::new(),
        seal: String::new(),
    };
    // As long as this is there, the host keeps the files.
    let (keep, from_here) = mpsc::channel(1);
    let (to_here, mut from_host) = mpsc::channel(WAITING);
    let (contents, copied) = runtime()?.block_on(async {
        let link = archive::run(&config, Job::Backup, from_here, to_here);
        let work = async {
            loop {
                match from_host.recv().await {
                    Some(Frame::Told(Told::Files(files))) => contents.files.extend(files),
                    Some(Frame::Told(Told::Seal(seal))) => contents.seal = seal,
                    Some(Frame::Told(Told::Failed(why))) => return Err(Failure::new(why)),
                    Some(Frame::Done) => break,
                    Some(_) => {}
                    None => return Ok(None),
                }
            }
            let link = command.link;
            let copying = task::spawn_blocking(move || {
                copy(&store, &dir, before.as_ref(), &contents, link).map(|copied| (contents, copied))
            });
            let mut copied = std::pin::pin!(copying);
            let copied = tokio::select! {
                copied = &mut copied => copied??,
                // It says why, or is gone: then the files may go, too.
                gone = from_host.recv() => {
                    let why = match gone {
                        Some(Frame::Told(Told::Failed(why))) => why,
                        _ => "the host has ended".to_owned(),
                    };
                    let _ = copied.await;
                    return Err(Failure::new(format!("the backup is not whole: {why}")));
                }
            };
            drop(keep);
            Ok(Some(copied))
        };
        let (linked, worked) = tokio::join!(link, work);
        match worked? {
            Some(copied) => Ok(copied),
            None => Err(linked
                .err()
                .unwrap_or_else(|| Failure::new("the host has said nothing; look at its log"))),
        }
    })?;
    let Copied { files, octets, kept, removed, short } = copied;
    let mut out = output();
    writeln!(
        out,
        "{} ({}) of {} backed up in {}: all mail, accounts and the queue, as of {}",
        number(contents.files.len() as u64, "file"),
        Size(contents.octets()),
        contents.hostname,
        path::absolute(&command.dir)?.display(),
        when(contents.taken),
    )?;
    let seconds = begin.elapsed().as_secs_f64();
    writeln!(
        out,
        "{} ({}) copied in {seconds:.1} s, {kept} there already, {removed} of an earlier backup removed",
        number(files, "file"),
        Size(octets)
    )?;
    writeln!(out, "not in it: the configuration, certificates and keys; keep copies of them elsewhere")?;
    if short > 0 {
        writeln!(
            out,
            "{} shorter than it should be: what is missing is missing on the host, see `mailhost verify`",
            number(short, "file")
        )?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(command: &Restore) -> Result<ExitCode, Failure> {
    let config = Config::load(&command.config.file)?;
    let begin = Instant::now();
    let options = RestoreOptions { queue: command.queue, same_uids: command.same_uids };
    let restored = runtime()?.block_on(archive::restore::restore(&command.dir, &config, options))?;
    let Restored { taken, accounts, mailboxes, messages, recipients, files, damage } = restored;
    let mut out = output();
    for line in &damage {
        writeln!(out, "{line}")?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    writeln!(
        out,
        "restored to {}: {}, {}, {}, as of {}, in {seconds:.1} s",
        config.mail_dir().display(),
        number(accounts as u64, "account"),
        Plural(mailboxes as u64, "mailbox", "mailboxes"),
        number(messages, "message"),
        when(taken)
    )?;
    writeln!(
        out,
        "{}, {}",
        Plural(files as u64, "file read", "files read"),
        number(damage.len() as u64, "damaged place")
    )?;
    match (command.queue, recipients) {
        (_, 0) | (Waiting::Send, _) => {}
        (Waiting::Hold, _) => writeln!(
            out,
            "mail for {} waited for other hosts, and is HELD: some of it may have been sent since \
             the backup. `mailhost queue list` shows it; `mailhost queue release all` sends it, `queue drop` does not",
            number(recipients as u64, "recipient")
        )?,
        (Waiting::Drop, _) => writeln!(
            out,
            "mail for {} that waited for other hosts was dropped",
            number(recipients as u64, "recipient")
        )?,
    }
    if !command.same_uids {
        writeln!(
            out,
            "mail programs will read all mailboxes anew, for what they have seen since the backup is not there"
        )?;
    }
    Ok(if damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_options(format: Format) -> ReadOptions {
    let (dates, variant) = (archive::Dates::default(), Variant::default());
    ReadOptions { format, mailbox: None, dates, variant, keep_status: false }
}

fn runtime() -> io::Result<runtime::Runtime> {
    runtime::Builder::new_multi_thread().enable_all().build()
}

fn notes(counts: &Counts, out: &mut impl io::Write) -> io::Result<()> {
    for note in &counts.notes {
        writeln!(out, "    {}", Safe(note))?;
    }
    match counts.more_notes {
        0 => Ok(()),
        more => writeln!(out, "    and {more} more"),
    }
}

fn when(taken: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(taken).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).unwrap_or_default()
}

/// So many of something, where more than one is called otherwise.
struct Plural(u64, &'static str, &'static str);

impl fmt::Display for Plural {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { self.1 } else { self.2 })
    }
}

/// Octets, for people.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut amount, mut unit) = (self.0 as f64, 0);
        while amount >= 1_024.0 && unit + 1 < UNITS.len() {
            (amount, unit) = (amount / 1_024.0, unit + 1);
        }
        match unit {
            0 => write!(f, "{} octets", self.0),
            _ => write!(f, "{amount:.1} {}", UNITS[unit]),
        }
    }
}

/// How long so many messages have taken.
struct Rate {
    messages: u64,
    begin: Instant,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.begin.elapsed().as_secs_f64();
        write!(f, "{seconds:.1} s: {:.0} a second", self.messages as f64 / seconds.max(0.001))
    }
}

const UNITS: [&str; 5] = ["octets", "KiB", "MiB", "GiB", "TiB"];
/// Frames that wait between files and host.
const WAITING: usize = 16;
