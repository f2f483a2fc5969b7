//! What reading and writing files have in common: what is asked for, what is counted, and messages on their way.

use std::io;
use std::path::Path;

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::frames::{Frame, MailboxHead, MessageHead};
use super::lines::Lines;
use super::{maildir, mbox};
use crate::commands::Failure;

/// How messages lie in files.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Format {
    /// A folder for each mailbox, and a file for each message.
    Maildir,
    /// A file for each mailbox.
    Mbox,
}

/// Where the time comes from at which a message of a Maildir was received.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Dates {
    /// The time of the file, which Dovecot and Courier set.
    #[default]
    Mtime,
    /// The seconds at the beginning of its name, for folders that were copied without their times.
    Name,
}

/// How an mbox hides lines that begin with "From ".
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Variant {
    /// ">From " is "From ", ">>From " is ">From ", and so on.
    #[default]
    Mboxrd,
    /// ">From " is "From ", and nothing else is changed.
    Mboxo,
    /// As mboxrd; and Content-Length says how long a message is, where that leads to the next one.
    Mboxcl,
    /// The same with nothing hidden.
    Mboxcl2,
}

/// How files are read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// What they are.
    pub format: Format,
    /// Into which mailbox, instead of those that the files name.
    pub mailbox: Option<String>,
    /// Where times come from.
    pub dates: Dates,
    /// How an mbox is quoted.
    pub variant: Variant,
    /// Fields with flags stay in messages of an mbox.
    pub keep_status: bool,
}

/// How files are written.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// What they are to be.
    pub format: Format,
    /// It is one mailbox.
    pub single: bool,
    /// What is missing in a Maildir is added to it.
    pub go_on: bool,
    /// Lines end in LF alone.
    pub lf: bool,
    /// Flags become fields of messages in an mbox.
    pub status: bool,
    /// Goes into names of files.
    pub hostname: String,
}

/// What was read or written.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Messages.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages that had lines with LF alone, with CR alone, and with NUL.
    pub lf: u64,
    /// See above.
    pub cr: u64,
    /// See above.
    pub nul: u64,
    /// Messages that a mail program had deleted, and not yet taken out of its mbox.
    pub deleted: u64,
    /// Messages that were written before.
    pub skipped: u64,
    /// Messages that are not there now.
    pub left_out: u64,
    /// What else there is to say, most of it about single messages.
    pub notes: Vec<String>,
    /// Notes beyond those that are kept.
    pub more_notes: u64,
}

/// Why reading or writing has ended early.
#[derive(Debug)]
pub(super) enum Broken {
    /// The other side has gone, and says why itself.
    Gone,
    Failed(Failure),
}

/// Sends messages.
pub(super) struct Feeder {
    out: mpsc::Sender<Frame>,
    pub(super) bar: ProgressBar,
    pub(super) counts: Counts,
    lines: Lines,
    held: Vec<u8>,
    origin: String,
}

/// Reads files and sends what is in them. Blocks.
pub fn read(path: &Path, options: &ReadOptions, out: mpsc::Sender<Frame>) -> Result<Counts, Failure> {
    let bar = ProgressBar::hidden();
    let (counts, lines) = (Counts::default(), Lines::default());
    let mut feeder = Feeder { out, bar, counts, lines, held: Vec::new(), origin: String::new() };
    let result = match options.format {
        Format::Maildir => maildir::read(path, options, &mut feeder),
        Format::Mbox => mbox::read(path, options, &mut feeder),
    };
    feeder.bar.finish_and_clear();
    match result.and_then(|()| feeder.send(Frame::Done)) {
        Ok(()) | Err(Broken::Gone) => Ok(feeder.counts),
        Err(Broken::Failed(failure)) => Err(failure),
    }
}

/// Writes what comes into files. Blocks.
pub fn write(
    path: &Path,
    options: &WriteOptions,
    messages: u64,
    frames: &mut mpsc::Receiver<Frame>,
) -> Result<Counts, Failure> {
    let bar = bar(messages, "messages");
    let mut sink = match options.format {
        Format::Maildir => Sink::Maildir(maildir::Writer::new(path, options)?),
        Format::Mbox => Sink::Mbox(mbox::Writer::new(path, options)?),
    };
    let mut done = false;
    while let Some(frame) = frames.blocking_recv() {
        match frame {
            Frame::Mailbox(head) => sink.mailbox(&head)?,
            Frame::Message(head) => sink.message(head)?,
            Frame::Data(octets) => sink.data(&octets)?,
            Frame::End => {
                sink.end()?;
                bar.inc(1);
            }
            Frame::GiveUp => sink.give_up()?,
            Frame::Subscribe(name) => sink.subscribe(name),
            Frame::Done => done = true,
            Frame::Told(_) => {}
        }
    }
    bar.finish_and_clear();
    if !done {
        return Err(Failure::new(
            "the host has ended before it had sent everything; what is there is not all",
        ));
    }
    sink.finish()
}

/// Where messages go.
enum Sink {
    Maildir(maildir::Writer),
    Mbox(mbox::Writer),
}

impl Sink {
    fn mailbox(&mut self, head: &MailboxHead) -> Result<(), Failure> {
        match self {
            Self::Maildir(writer) => writer.mailbox(head),
            Self::Mbox(writer) => writer.mailbox(head),
        }
    }

    fn message(&mut self, head: MessageHead) -> Result<(), Failure> {
        match self {
            Self::Maildir(writer) => writer.message(head),
            Self::Mbox(writer) => {
                writer.message(head);
                Ok(())
            }
        }
    }

    fn data(&mut self, octets: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Maildir(writer) => writer.data(octets),
            Self::Mbox(writer) => writer.data(octets),
        }
    }

    fn end(&mut self) -> Result<(), Failure> {
        match self {
            Self::Maildir(writer) => writer.end(),
            Self::Mbox(writer) => writer.end(),
        }
    }

    fn give_up(&mut self) -> Result<(), Failure> {
        match self {
            Self::Maildir(writer) => writer.give_up(),
            Self::Mbox(writer) => writer.give_up(),
        }
    }

    fn subscribe(&mut self, name: String) {
        match self {
            Self::Maildir(writer) => writer.subscribe(name),
            // An mbox has no place for it.
            Self::Mbox(_) => {}
        }
    }

    fn finish(self) -> Result<Counts, Failure> {
        match self {
            Self::Maildir(writer) => writer.finish(),
            Self::Mbox(writer) => writer.finish(),
        }
    }
}

impl Counts {
    /// Something to say; the first ones are kept.
    pub(super) fn note(&mut self, about: impl std::fmt::Display, what: &str) {
        self.say(format!("{about}: {what}"));
    }

    pub(super) fn say(&mut self, note: String) {
        if self.notes.len() < NOTES {
            self.notes.push(note);
        } else {
            self.more_notes += 1;
        }
    }

    /// A message that is not there now.
    pub(super) fn leave_out(&mut self, about: impl std::fmt::Display, why: &str) {
        self.left_out += 1;
        self.note(about, why);
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Feeder {
    pub(super) fn send(&self, frame: Frame) -> Result<(), Broken> {
        self.out.blocking_send(frame).map_err(|_| Broken::Gone)
    }

    pub(super) fn mailbox(&self, name: String, similar: bool) -> Result<(), Broken> {
        self.send(Frame::Mailbox(MailboxHead { name, similar, ..MailboxHead::default() }))
    }

    pub(super) fn begin(&mut self, head: MessageHead) -> Result<(), Broken> {
        (self.lines, self.origin) = (Lines::default(), head.origin.clone());
        self.held.clear();
        self.send(Frame::Message(head))
    }

    pub(super) fn octets(&mut self, octets: &[u8]) -> Result<(), Broken> {
        for piece in octets.chunks(PIECE) {
            self.lines.push(piece, &mut self.held);
            if self.held.len() >= PIECE {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Broken> {
        let octets = Bytes::copy_from_slice(&self.held);
        self.counts.octets += octets.len() as u64;
        self.held.clear();
        self.send(Frame::Data(octets))
    }

    pub(super) fn end(&mut self) -> Result<(), Broken> {
        self.lines.finish(&mut self.held);
        if !self.held.is_empty() {
            self.flush()?;
        }
        let Lines { lf, cr, nul, .. } = self.lines;
        self.counts.messages += 1;
        self.counts.lf += u64::from(lf > 0);
        if cr > 0 {
            self.counts.cr += 1;
            self.counts.note(&self.origin, &format!("{cr} CR without LF, each a line end now"));
        }
        if nul > 0 {
            self.counts.nul += 1;
            self.counts.note(&self.origin, &format!("{nul} NUL, each the octet 128 now"));
        }
        self.send(Frame::End)
    }

    /// A message that cannot be read to its end.
    pub(super) fn give_up(&mut self, why: &str) -> Result<(), Broken> {
        let origin = std::mem::take(&mut self.origin);
        self.counts.leave_out(origin, why);
        self.send(Frame::GiveUp)
    }
}

/// A bar on a terminal, and nothing elsewhere.
pub(super) fn bar(all: u64, of: &'static str) -> ProgressBar {
    let template = match of {
        "octets" => "{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
        _ => "{wide_bar} {pos}/{len} messages  {per_sec}  {eta} left",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // On standard error, and only if that is a terminal.
    ProgressBar::new(all).with_style(style)
}

pub(super) fn failed_at(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

pub(super) fn broken_at(path: &Path, error: &io::Error) -> Broken {
    Broken::Failed(failed_at(path, error))
}

/// Read at once; twice as much, should every octet be a line end, goes into a frame.
const PIECE: usize = Frame::MOST / 2;
/// Notes that are kept.
const NOTES: usize = 20;
