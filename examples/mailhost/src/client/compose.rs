//! Writing a message from its parts: RFC 5322 and MIME.
//!
//! Attachments go through in pieces; texts are in memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

use super::ClientError;
use super::message::Missing;
use crate::logs::Safe;
use crate::writing::{Header, LINE, Party, attachment, date, media_type, message_id, write_text};

/// The parts of a message.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who writes.
    pub from: Party,
    /// To whom.
    pub to: Vec<Party>,
    /// Who gets a copy.
    pub cc: Vec<Party>,
    /// Whom answers go to, if not to the writer.
    pub reply_to: Option<Party>,
    /// What it is about.
    pub subject: Option<String>,
    /// The Message-ID of what it answers.
    pub in_reply_to: Option<String>,
    /// What people read.
    pub text: Option<String>,
    /// The same in HTML.
    pub html: Option<String>,
    /// Files that go along.
    pub attachments: Vec<PathBuf>,
}

impl Missing {
    /// The time, and an identifier that nobody else has, in the domain of the writer.
    pub fn new(domain: &str, now: OffsetDateTime) -> Result<Self, ClientError> {
        let unique = random_hex()?;
        Ok(Self { date: date(now), message_id: format!("<{unique}@{domain}>") })
    }
}

impl Draft {
    /// Writes the message, its lines ending in CRLF.
    pub fn write(&self, missing: &Missing, out: &mut impl Write) -> Result<(), ClientError> {
        let mut header = Header::default();
        header.raw("Date", &missing.date);
        header.parties("From", std::slice::from_ref(&self.from));
        header.parties("To", &self.to);
        header.parties("Cc", &self.cc);
        header.parties("Reply-To", self.reply_to.as_slice());
        if let Some(subject) = &self.subject {
            header.text("Subject", subject)?;
        }
        header.raw("Message-ID", &missing.message_id);
        if let Some(id) = &self.in_reply_to {
            let id = message_id(id)?;
            // RFC 5322 §3.6.4: with the References of what is answered, if they were known.
            header.raw("In-Reply-To", &id);
            header.raw("References", &id);
        }
        header.raw("MIME-Version", "1.0");
        let boundary = format!("=_{}", random_hex()?);
        let written = |error| ClientError::File { what: "the message cannot be written".to_owned(), error };
        out.write_all(header.as_bytes()).map_err(written)?;
        if self.attachments.is_empty() {
            return self.write_texts(&format!("{boundary}_a"), out).map_err(written);
        }
        write!(out, "Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n")
            .map_err(written)?;
        self.write_texts(&format!("{boundary}_a"), out).map_err(written)?;
        for path in &self.attachments {
            write!(out, "\r\n--{boundary}\r\n").map_err(written)?;
            attach(path, out)?;
        }
        write!(out, "\r\n--{boundary}--\r\n").map_err(written)
    }

    /// The texts as one part, header included.
    fn write_texts(&self, boundary: &str, out: &mut impl Write) -> io::Result<()> {
        match (&self.text, &self.html) {
            (Some(text), Some(html)) => {
                write!(out, "Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n\r\n")?;
                write!(out, "--{boundary}\r\n")?;
                write_text("plain", "", text, out)?;
                write!(out, "\r\n--{boundary}\r\n")?;
                write_text("html", "", html, out)?;
                write!(out, "\r\n--{boundary}--\r\n")
            }
            (None, Some(html)) => write_text("html", "", html, out),
            (text, None) => write_text("plain", "", text.as_deref().unwrap_or_default(), out),
        }
    }
}

/// A file as a part, in base64.
fn attach(path: &Path, out: &mut impl Write) -> Result<(), ClientError> {
    let unreadable =
        |error| ClientError::File { what: format!("cannot attach {}", Safe(path.display())), error };
    let mut file = File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let head = attachment(media_type(path), &name);
    let written = |error| ClientError::File { what: "the message cannot be written".to_owned(), error };
    out.write_all(head.as_bytes()).map_err(written)?;
    let mut piece = vec![0; LINE * 1_024];
    loop {
        // A piece is filled, or base64 would end within the file.
        let mut filled = 0;
        while filled < piece.len() {
            match file.read(&mut piece[filled..]).map_err(unreadable)? {
                0 => break,
                count => filled += count,
            }
        }
        for line in piece[..filled].chunks(LINE) {
            write!(out, "{}\r\n", STANDARD.encode(line)).map_err(written)?;
        }
        if filled < piece.len() {
            return Ok(());
        }
    }
}

fn random_hex() -> Result<String, ClientError> {
    let mut random = [0; 12];
    let fill = getrandom::fill(&mut random);
    fill.map_err(|error| ClientError::Unsendable(format!("the system gives no random octets: {error}")))?;
    Ok(random.iter().map(|octet| format!("{octet:02x}")).collect())
}
