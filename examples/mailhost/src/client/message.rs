//! A message on its way out: a file, whose lines are made to end in CRLF while it is sent.
//!
//! Only its header is ever in memory. It is gone through twice: once to know its size and what it is made of, and once to send
//! it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::{env, fs, process};

use bytes::{BufMut as _, Bytes, BytesMut};
use mail_parser::{HeaderName, MessageParser};
use smtp_codec::Mailbox;

use super::{ClientError, text};
use crate::logs::Safe;
use crate::relay::connection::Body;
use crate::wire::HIGH_WATER;
use crate::writing::mailbox;

/// A message that can be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// What goes in front of the body: all fields but Bcc, and the line that ends them.
    header: Bytes,
    file: File,
    /// Where the body begins in the file.
    body: u64,
    size: u64,
    eight_bit: bool,
    eight_bit_header: bool,
    from: Option<Mailbox<'static>>,
    recipients: Vec<Mailbox<'static>>,
}

/// The octets of a message, and what hears how many have gone.
#[derive(Debug)]
pub struct Octets<'m, F> {
    message: &'m mut Outgoing,
    header: Bytes,
    lines: Lines,
    ended: bool,
    progress: F,
}

/// Makes every line end in CRLF: those that ended in LF or CR alone, too.
#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    after_cr: bool,
    within: bool,
}

/// What a message is given that has none.
#[derive(Clone, Debug)]
pub struct Missing {
    /// The value of Date.
    pub date: String,
    /// The value of Message-ID.
    pub message_id: String,
}

/// A file that is gone when it is closed.
pub fn temporary() -> io::Result<File> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let name = format!("mailhost-{}-{:016x}", process::id(), u64::from_ne_bytes(random));
    let path = env::temp_dir().join(name);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

impl Outgoing {
    /// Takes what comes from a pipe, by way of the disk.
    pub fn spooled(from: &mut impl Read, missing: &Missing) -> Result<Self, ClientError> {
        let mut file =
            temporary().map_err(ClientError::file("cannot keep the message in a temporary file"))?;
        io::copy(from, &mut file)
            .map_err(ClientError::file("cannot keep the message in a temporary file"))?;
        Self::new(file, missing)
    }

    /// Goes through a file.
    pub fn new(mut file: File, missing: &Missing) -> Result<Self, ClientError> {
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let (header, body) = read_header(&mut file)?;
        let mut this = Self {
            header: Bytes::new(),
            file,
            body,
            size: 0,
            eight_bit: false,
            eight_bit_header: false,
            from: None,
            recipients: Vec::new(),
        };
        this.take_header(&header, missing)?;
        this.measure()?;
        Ok(this)
    }

    /// How many octets will be sent.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether there are octets above 127.
    pub const fn eight_bit(&self) -> bool {
        self.eight_bit
    }

    /// Whether there are some in its header.
    pub const fn eight_bit_header(&self) -> bool {
        self.eight_bit_header
    }

    /// The first address of From.
    pub const fn from(&self) -> Option<&Mailbox<'static>> {
        self.from.as_ref()
    }

    /// Those of To, Cc and Bcc, each once.
    pub fn recipients(&self) -> &[Mailbox<'static>] {
        &self.recipients
    }

    /// All of its octets; `progress` hears how many there were so far.
    pub fn octets<F: FnMut(u64)>(&mut self, progress: F) -> io::Result<Octets<'_, F>> {
        self.file.seek(SeekFrom::Start(self.body))?;
        let header = self.header.clone();
        Ok(Octets { message: self, header, lines: Lines::default(), ended: false, progress })
    }

    fn take_header(&mut self, octets: &[u8], missing: &Missing) -> Result<(), ClientError> {
        let mut lines = BytesMut::new();
        let mut ends = Lines::default();
        ends.convert(octets, &mut lines);
        ends.finish(&mut lines);
        let (mut header, mut dropping) = (BytesMut::new(), false);
        let (mut has_date, mut has_id) = (false, false);
        for line in lines.split_inclusive(|octet| *octet == b'\n') {
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                let Some(colon) = line.iter().position(|octet| *octet == b':') else {
                    return Err(ClientError::Unsendable(format!(
                        "the message has a line in its header that is no field: {:?}; a header is lines such as \
                         \"Subject: hello\", and an empty line ends it",
                        Safe(String::from_utf8_lossy(line.trim_ascii_end())).to_string()
                    )));
                };
                let name = line[..colon].trim_ascii_end();
                dropping = name.eq_ignore_ascii_case(b"bcc");
                has_date |= name.eq_ignore_ascii_case(b"date");
                has_id |= name.eq_ignore_ascii_case(b"message-id");
            }
            if !dropping {
                header.extend_from_slice(line);
            }
        }
        // RFC 5322 §3.6: Date has to be there, Message-ID should be.
        if !has_date {
            header.extend_from_slice(format!("Date: {}\r\n", missing.date).as_bytes());
        }
        if !has_id {
            header.extend_from_slice(format!("Message-ID: {}\r\n", missing.message_id).as_bytes());
        }
        lines.extend_from_slice(b"\r\n");
        if let Some(message) = MessageParser::default().parse_headers(&lines) {
            for field in message.headers() {
                let Some(addresses) = text::listed(&field.value) else { continue };
                match field.name {
                    HeaderName::From if self.from.is_none() => {
                        self.from = addresses.first().map(|(_, address)| mailbox(address)).transpose()?;
                    }
                    HeaderName::To | HeaderName::Cc | HeaderName::Bcc => {
                        for (_, address) in addresses {
                            let address = mailbox(&address)?;
                            if !self.recipients.contains(&address) {
                                self.recipients.push(address);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        header.extend_from_slice(b"\r\n");
        self.eight_bit_header = !header.is_ascii();
        self.header = header.freeze();
        Ok(())
    }

    /// Goes through the body.
    fn measure(&mut self) -> Result<(), ClientError> {
        self.file.seek(SeekFrom::Start(self.body)).map_err(unreadable)?;
        let (mut lines, mut piece, mut out) = (Lines::default(), vec![0; PIECE], BytesMut::new());
        self.size = self.header.len() as u64;
        self.eight_bit = self.eight_bit_header;
        let nul = |piece: &[u8]| memchr::memchr(0, piece).is_some();
        let mut has_nul = nul(&self.header);
        loop {
            let count = self.file.read(&mut piece).map_err(unreadable)?;
            if count == 0 {
                break;
            }
            has_nul |= nul(&piece[..count]);
            self.eight_bit |= !piece[..count].is_ascii();
            out.clear();
            lines.convert(&piece[..count], &mut out);
            self.size += out.len() as u64;
        }
        out.clear();
        lines.finish(&mut out);
        self.size += out.len() as u64;
        if has_nul {
            let why =
                "the message has an octet that is zero, which SMTP cannot carry; is it a message at all?";
            return Err(ClientError::Unsendable(why.to_owned()));
        }
        Ok(())
    }
}

impl<F: FnMut(u64) + Send> Body for Octets<'_, F> {
    async fn next(&mut self) -> io::Result<Bytes> {
        let mut out = BytesMut::new();
        if !self.header.is_empty() {
            let length = self.header.len().min(HIGH_WATER);
            out.extend_from_slice(&self.header.split_to(length));
        }
        let mut piece = vec![0; PIECE];
        while out.is_empty() && !self.ended {
            let count = self.message.file.read(&mut piece)?;
            if count == 0 {
                self.ended = true;
                self.lines.finish(&mut out);
            }
            self.lines.convert(&piece[..count], &mut out);
        }
        (self.progress)(out.len() as u64);
        Ok(out.freeze())
    }
}

impl Lines {
    fn convert(&mut self, piece: &[u8], out: &mut BytesMut) {
        for part in piece.split_inclusive(|octet| matches!(octet, b'\r' | b'\n')) {
            let (text, end) = match part {
                [text @ .., end @ (b'\r' | b'\n')] => (text, Some(*end)),
                text => (text, None),
            };
            let joined = std::mem::take(&mut self.after_cr) && text.is_empty() && end == Some(b'\n');
            if joined {
                continue;
            }
            out.put_slice(text);
            self.within |= !text.is_empty();
            if let Some(end) = end {
                out.put_slice(b"\r\n");
                self.after_cr = end == b'\r';
                self.within = false;
            }
        }
    }

    /// The last line ends, too.
    fn finish(&mut self, out: &mut BytesMut) {
        if std::mem::take(&mut self.within) {
            out.put_slice(b"\r\n");
        }
    }
}

/// The octets of the header, and where what follows its empty line begins. The line that a mailbox in mbox format puts in front
/// of a message is left out.
fn read_header(file: &mut File) -> Result<(Vec<u8>, u64), ClientError> {
    let (mut read, mut piece) = (Vec::new(), vec![0; PIECE]);
    loop {
        let start = read.len();
        let count = file.read(&mut piece).map_err(unreadable)?;
        read.extend_from_slice(&piece[..count]);
        // An empty line may lie across two pieces, and a CR at the end may be half of a line's end.
        if let Some((end, body)) = empty_line(&read, start.saturating_sub(4), count == 0) {
            read.truncate(end);
            let envelope = if read.starts_with(b"From ") {
                memchr::memchr(b'\n', &read).map_or(read.len(), |at| at + 1)
            } else {
                0
            };
            return Ok((read.split_off(envelope), body as u64));
        }
        if count == 0 {
            let end = read.len() as u64;
            return Ok((read, end));
        }
        if read.len() > MOST_HEADER {
            return Err(ClientError::Unsendable(format!(
                "the header of the message has more than {MOST_HEADER} octets; is there an empty line behind it?"
            )));
        }
    }
}

/// Where the header ends, line end included, and where the body begins.
fn empty_line(octets: &[u8], from: usize, is_all: bool) -> Option<(usize, usize)> {
    let line_end = |at: usize| match octets.get(at..)? {
        [b'\r', b'\n', ..] => Some(2),
        [b'\r'] if !is_all => None,
        [b'\r' | b'\n', ..] => Some(1),
        _ => None,
    };
    if let Some(length) = line_end(0)
        && from == 0
    {
        return Some((0, length));
    }
    let mut at = from;
    while at < octets.len() {
        let Some(length) = line_end(at) else {
            at += 1;
            continue;
        };
        at += length;
        if let Some(next) = line_end(at) {
            return Some((at, at + next));
        }
    }
    None
}

fn unreadable(error: io::Error) -> ClientError {
    ClientError::File { what: "the message cannot be read".to_owned(), error }
}

const PIECE: usize = 64 << 10;
/// More than any server takes.
const MOST_HEADER: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(text: &[u8]) -> Result<Outgoing, ClientError> {
        let missing = Missing { date: "now".to_owned(), message_id: "<1@a>".to_owned() };
        Outgoing::spooled(&mut &text[..], &missing)
    }

    fn sent(message: &mut Outgoing) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut all, mut told) = (Vec::new(), 0);
            let mut octets = message.octets(|count| told += count).unwrap();
            loop {
                let piece = octets.next().await.unwrap();
                if piece.is_empty() {
                    break;
                }
                all.extend_from_slice(&piece);
            }
            drop(octets);
            assert_eq!(told, all.len() as u64);
            all
        })
    }

    const HEADER: &str = "Date: x\r\nMessage-ID: <y@z>\r\n";

    #[test]
    fn every_line_ends_in_crlf_and_nothing_else_changes() {
        for body in ["a\nb\n", "a\r\nb\r\n", "a\rb\r", "a\r\nb", "a\nb"] {
            for header_end in ["\n", "\r\n"] {
                let text = HEADER.replace("\r\n", header_end) + header_end + body;
                let mut message = outgoing(text.as_bytes()).unwrap();
                let octets = sent(&mut message);
                assert_eq!(String::from_utf8(octets).unwrap(), format!("{HEADER}\r\na\r\nb\r\n"), "{text:?}");
                assert_eq!(message.size(), HEADER.len() as u64 + 8);
            }
        }
        // A CRLF across two pieces is one line end.
        let mut long = format!("{HEADER}\r\n").into_bytes();
        let start = long.len();
        long.resize(start + 3 * PIECE, b'x');
        let ends = [PIECE - 1, 2 * PIECE - 1, start + PIECE - 1, start + 2 * PIECE - 1];
        for at in ends {
            long[at..at + 2].copy_from_slice(b"\r\n");
        }
        long.extend_from_slice(b"\r\n");
        let mut message = outgoing(&long).unwrap();
        assert!(sent(&mut message) == long);
        assert_eq!(message.size(), long.len() as u64);
    }

    #[test]
    fn recipients_are_read_and_bcc_is_not_sent() {
        let text = "From: Anna <a@x.test>\nTo: B <b@x.test>,\n c@x.test\nbcc : hidden@x.test,\n also@x.test\n\
                    Cc: b@x.test, Friends: d@x.test;\n\nbody\n";
        let mut message = outgoing(text.as_bytes()).unwrap();
        let recipients: Vec<_> = message.recipients().iter().map(Mailbox::as_str).collect();
        assert_eq!(recipients, ["b@x.test", "c@x.test", "hidden@x.test", "also@x.test", "d@x.test"]);
        assert_eq!(message.from().unwrap().as_str(), "a@x.test");
        let octets = String::from_utf8(sent(&mut message)).unwrap();
        assert_eq!(
            octets,
            "From: Anna <a@x.test>\r\nTo: B <b@x.test>,\r\n c@x.test\r\nCc: b@x.test, Friends: d@x.test;\r\n\
             Date: now\r\nMessage-ID: <1@a>\r\n\r\nbody\r\n"
        );
    }

    #[test]
    fn what_a_message_is_made_of_is_known() {
        let kind =
            |text: &[u8]| outgoing(text).map(|message| (message.eight_bit(), message.eight_bit_header()));
        assert_eq!(kind(b"A: b\n\nc\n").unwrap(), (false, false));
        assert_eq!(kind(b"A: b\n\n\xc3\xa9\n").unwrap(), (true, false));
        assert_eq!(kind("A: é\n\nc\n".as_bytes()).unwrap(), (true, true));
        assert!(kind(b"A: b\n\nc\0\n").unwrap_err().to_string().contains("zero"));
        assert!(kind(b"hello\nworld\n").unwrap_err().to_string().contains("no field: \"hello\""));
        assert!(kind(&vec![b'x'; MOST_HEADER + PIECE]).unwrap_err().to_string().contains("empty line"));
        // No body, no header, and the envelope of an mbox.
        assert!(outgoing(b"A: b").is_ok() && outgoing(b"\nbody").is_ok() && outgoing(b"").is_ok());
        let mut message = outgoing(b"From anna Mon\nDate: x\nMessage-ID: y\n\n").unwrap();
        assert_eq!(sent(&mut message), b"Date: x\r\nMessage-ID: y\r\n\r\n");
    }
}
