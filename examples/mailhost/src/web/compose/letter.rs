//! A message, written out: its header, its text, and the files that go along, which pass through in pieces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mailstore::Failure;
use mailstore::message::Message;
use smtp_codec::Reply;
use time::OffsetDateTime;

use super::original::File;
use crate::host::Host;
use crate::intake::{Entrance, Intake};
use crate::store::{Incoming, Snapshot};
use crate::web::flowed::flow;
use crate::writing::{Header, LINE, Party, Unwritable, attachment, date, message_id, write_text};

/// What is written, all of it valid.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) from: Party,
    pub(super) to: Vec<Party>,
    pub(super) cc: Vec<Party>,
    pub(super) bcc: Vec<Party>,
    pub(super) subject: String,
    pub(super) text: String,
    /// What it answers, and what that answers, the oldest first: identifiers without brackets.
    pub(super) references: Vec<String>,
    /// Its own identifier, without brackets.
    pub(super) message_id: String,
    pub(super) at: OffsetDateTime,
}

/// What is left of a field that is not right yet, for a draft.
#[derive(Clone, Debug, Default)]
pub(super) struct Unfinished(pub(super) Vec<(&'static str, String)>);

/// Where a message is written to.
pub(super) enum Sink<'h> {
    /// Into a mailbox.
    Draft(Box<Incoming>),
    /// On its way.
    Send(Box<Intake>, &'h Host, Entrance<'h>),
}

/// Why a message is not written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Unwritten {
    /// It would be larger than messages may be.
    TooLarge,
    /// Something in it cannot stand in a message.
    Unwritable(String),
    /// What it is made of cannot be read.
    Unreadable,
    /// The store has no room.
    NoSpace,
    /// Whose it is has no more room.
    OverQuota,
    /// The store does not work.
    Failed,
}

/// A message that is being written.
pub(super) struct Writer<'h> {
    sink: Sink<'h>,
    boundary: Option<String>,
    size: u64,
    limit: u64,
}

impl Letter {
    /// The fields that go out. Whoever gets a hidden copy is in none of them.
    fn header(&self) -> Result<Header, Unwritable> {
        let mut header = Header::default();
        header.raw("Date", &date(self.at));
        header.parties("From", std::slice::from_ref(&self.from));
        header.parties("To", &self.to);
        header.parties("Cc", &self.cc);
        header.text("Subject", &self.subject)?;
        header.raw("Message-ID", &message_id(&self.message_id)?);
        // RFC 5322 §3.6.4.
        let references: Vec<String> =
            self.references.iter().map(|id| message_id(id)).collect::<Result<_, _>>()?;
        if let Some(answered) = references.last() {
            header.raw("In-Reply-To", answered);
            header.words("References", references.clone());
        }
        header.raw("MIME-Version", "1.0");
        Ok(header)
    }

    /// The field for hidden copies, which stands above the copy of who has written it and nowhere else.
    pub(super) fn hidden(&self) -> Bytes {
        let mut header = Header::default();
        header.parties("Bcc", &self.bcc);
        Bytes::copy_from_slice(header.as_bytes())
    }
}

impl<'h> Writer<'h> {
    /// Writes all but the files. `boundary` parts them, if there may be some: nothing that anybody else could know.
    pub(super) async fn begin(
        sink: Sink<'h>,
        limit: u64,
        letter: &Letter,
        unfinished: Option<&Unfinished>,
        boundary: Option<String>,
    ) -> Result<Self, Unwritten> {
        let mut header = letter.header()?;
        if let Some(Unfinished(fields)) = unfinished {
            header.parties("Bcc", &letter.bcc);
            for (name, value) in fields {
                header.text(name, value)?;
            }
        }
        let mut text = Vec::new();
        if let Some(boundary) = &boundary {
            let head =
                format!("Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n");
            text.extend_from_slice(head.as_bytes());
        }
        write_text("plain", "; format=flowed", &flow(&letter.text), &mut text)
            .map_err(|_| Unwritten::Failed)?;
        let mut this = Self { sink, boundary, size: 0, limit };
        this.push(header.as_bytes()).await?;
        this.push(&text).await?;
        Ok(this)
    }

    /// Adds a part of another message, as it is.
    pub(super) async fn carry(
        &mut self,
        snapshot: &Snapshot,
        message: &Message,
        file: &File,
    ) -> Result<(), Unwritten> {
        self.delimit("").await?;
        self.push(file.head.as_bytes()).await?;
        let (reader, mut at) = (snapshot.reader(), file.range.start);
        while at < file.range.end {
            let octets = reader.read_within(message, at..file.range.end).await;
            let octets = octets.ok().filter(|octets| !octets.is_empty()).ok_or(Unwritten::Unreadable)?;
            at += octets.len() as u64;
            self.push(&octets).await?;
        }
        Ok(())
    }

    /// Begins a file, whose octets come then.
    pub(super) async fn file(&mut self, media_type: &str, name: &str) -> Result<Encoder, Unwritten> {
        self.delimit("").await?;
        self.push(attachment(media_type, name).as_bytes()).await?;
        Ok(Encoder(Vec::new()))
    }

    /// There is no more.
    pub(super) async fn end(mut self) -> Result<Sink<'h>, Unwritten> {
        self.delimit("--").await?;
        Ok(self.sink)
    }

    async fn delimit(&mut self, end: &str) -> Result<(), Unwritten> {
        match self.boundary.as_ref().map(|boundary| format!("\r\n--{boundary}{end}\r\n")) {
            Some(line) => self.push(line.as_bytes()).await,
            None => Ok(()),
        }
    }

    async fn push(&mut self, octets: &[u8]) -> Result<(), Unwritten> {
        self.size += octets.len() as u64;
        if self.size > self.limit {
            return Err(Unwritten::TooLarge);
        }
        match &mut self.sink {
            Sink::Draft(incoming) => Ok(incoming.push(octets, Bytes::new).await?),
            // What is wrong is said at its end.
            Sink::Send(intake, host, entrance) => {
                intake.push(host, entrance, octets).await;
                Ok(())
            }
        }
    }
}

/// What is left of a file until a line of base64 is full.
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    /// Adds octets of the file.
    pub(super) async fn push(&mut self, writer: &mut Writer<'_>, mut octets: &[u8]) -> Result<(), Unwritten> {
        if !self.0.is_empty() {
            let (fill, rest) = octets.split_at(octets.len().min(LINE - self.0.len()));
            self.0.extend_from_slice(fill);
            octets = rest;
            if self.0.len() < LINE {
                return Ok(());
            }
            let line = std::mem::take(&mut self.0);
            writer.push(&lines(&line)).await?;
        }
        let whole = octets.len() / LINE * LINE;
        if whole > 0 {
            writer.push(&lines(&octets[..whole])).await?;
        }
        self.0.extend_from_slice(&octets[whole..]);
        Ok(())
    }

    /// The file ends.
    pub(super) async fn end(self, writer: &mut Writer<'_>) -> Result<(), Unwritten> {
        if self.0.is_empty() { Ok(()) } else { writer.push(&lines(&self.0)).await }
    }
}

fn lines(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() / LINE * 78 + 80);
    for line in octets.chunks(LINE) {
        out.extend_from_slice(STANDARD.encode(line).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

impl Unwritten {
    /// What a host says of it that does not take it.
    pub(super) fn said(reply: &Reply) -> String {
        let text = reply.text().to_string();
        format!("{text} ({})", reply.code())
    }
}

impl From<Unwritable> for Unwritten {
    fn from(Unwritable(why): Unwritable) -> Self {
        Self::Unwritable(why)
    }
}

impl From<Failure> for Unwritten {
    fn from(failure: Failure) -> Self {
        if failure == Failure::NoSpace { Self::NoSpace } else { Self::Failed }
    }
}
