//! What a server says, read without any of the code under test.

use std::io;

use bytes::{Buf as _, BytesMut};
use mailhost::system::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::client::PATIENCE;

/// A part of a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// An atom, a number, NIL, or a section such as `BODY[TEXT]`.
    Word(String),
    /// A string, quoted or literal.
    Octets(Vec<u8>),
    /// Values in parentheses.
    List(Vec<Self>),
}

/// A response.
#[derive(Clone, Debug)]
pub enum Response {
    /// `+`.
    Go,
    /// OK, NO, BAD, BYE, with the tag of a command or without one.
    Status {
        /// `None` for an untagged one.
        tag: Option<String>,
        /// OK and the like.
        word: String,
        /// The code, without its brackets.
        code: Vec<Value>,
    },
    /// Everything else without its `*`.
    Data(Vec<Value>),
}

/// A connection of a client.
pub struct Connection {
    stream: Stream,
    buffer: BytesMut,
    /// How much of the first response has been looked at.
    looked: usize,
    /// The last response as it came, for the trace.
    pub last: String,
}

impl Value {
    /// As text.
    pub fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Octets(octets) => str::from_utf8(octets).unwrap_or_default(),
            Self::List(_) => "",
        }
    }

    /// Its octets; none for a list and for NIL.
    pub fn octets(&self) -> &[u8] {
        match self {
            Self::Octets(octets) => octets,
            _ => b"",
        }
    }

    /// As a number.
    pub fn number(&self) -> Option<u64> {
        self.text().parse().ok()
    }

    /// What is in it; nothing if it is no list.
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }

    /// Whether it is this word.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own.eq_ignore_ascii_case(word))
    }
}

impl Connection {
    /// On a stream that is open.
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: BytesMut::new(), looked: 0, last: String::new() }
    }

    /// Sends all of it.
    pub async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        // Where nobody takes anything any more, writing would wait for ever.
        timeout(PATIENCE, self.stream.write_all(octets)).await?
    }

    /// The next response. May be dropped at any time without loss.
    pub async fn next(&mut self) -> io::Result<Response> {
        loop {
            if let Some(end) = self.complete() {
                let octets = self.buffer.split_to(end);
                self.looked = 0;
                let shown = &octets[..octets.len().min(SHOWN)];
                self.last = shown.escape_ascii().to_string();
                return parse(&octets)
                    .ok_or_else(|| io::Error::other(format!("this is no response: {}", self.last)));
            }
            self.buffer.reserve(16 << 10);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// A line without its end, for protocols that have nothing else.
    pub async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.buffer.split_to(end);
                self.buffer.advance(2);
                return String::from_utf8(line.to_vec()).map_err(io::Error::other);
            }
            self.buffer.reserve(16 << 10);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The end of the first response, once all of it is there.
    fn complete(&mut self) -> Option<usize> {
        loop {
            let rest = &self.buffer[self.looked..];
            let at = rest.windows(2).position(|two| two == b"\r\n")?;
            let (line, end) = (&rest[..at], self.looked + at + 2);
            match literal(line) {
                Some(size) if self.buffer.len() < end + size => return None,
                Some(size) => self.looked = end + size,
                None => return Some(end),
            }
        }
    }
}

/// The size of the literal that a line announces at its end.
fn literal(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let start = inner.iter().rposition(|octet| *octet == b'{')? + 1;
    str::from_utf8(&inner[start..]).ok()?.parse().ok()
}

/// Takes a whole response apart.
fn parse(octets: &[u8]) -> Option<Response> {
    if octets.starts_with(b"+") {
        return Some(Response::Go);
    }
    let space = octets.iter().position(|octet| *octet == b' ')?;
    let tag = str::from_utf8(&octets[..space]).ok()?;
    let rest = &octets[space + 1..octets.len() - 2];
    let word = rest.split(|octet| *octet == b' ').next()?;
    if let word @ (b"OK" | b"NO" | b"BAD" | b"BYE" | b"PREAUTH") = word {
        let mut code = Vec::new();
        if rest.get(word.len() + 1) == Some(&b'[') {
            let mut parser = Parser { octets: rest, at: word.len() + 2, code: true };
            while parser.octets.get(parser.at)? != &b']' {
                code.push(parser.value()?);
                parser.space();
            }
        }
        let word = str::from_utf8(word).ok()?.to_owned();
        let tag = (tag != "*").then(|| tag.to_owned());
        return Some(Response::Status { tag, word, code });
    }
    let mut parser = Parser { octets: rest, at: 0, code: false };
    let mut values = Vec::new();
    while parser.at < rest.len() {
        values.push(parser.value()?);
        parser.space();
    }
    (tag == "*").then_some(Response::Data(values))
}

struct Parser<'o> {
    octets: &'o [u8],
    at: usize,
    /// In the brackets of a code, where `]` ends it.
    code: bool,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.at += usize::from(self.octets.get(self.at) == Some(&b' '));
    }

    fn value(&mut self) -> Option<Value> {
        match *self.octets.get(self.at)? {
            b'(' => {
                self.at += 1;
                let mut list = Vec::new();
                while *self.octets.get(self.at)? != b')' {
                    list.push(self.value()?);
                    self.space();
                }
                self.at += 1;
                Some(Value::List(list))
            }
            b'"' => {
                self.at += 1;
                let mut text = Vec::new();
                loop {
                    let mut octet = *self.octets.get(self.at)?;
                    self.at += 1;
                    match octet {
                        b'"' => return Some(Value::Octets(text)),
                        b'\\' => {
                            octet = *self.octets.get(self.at)?;
                            self.at += 1;
                        }
                        _ => {}
                    }
                    text.push(octet);
                }
            }
            b'{' | b'~' => {
                let end = self.at + self.octets[self.at..].windows(2).position(|two| two == b"\r\n")?;
                let size = literal(&self.octets[self.at..end])?;
                let text = self.octets.get(end + 2..end + 2 + size)?.to_vec();
                self.at = end + 2 + size;
                Some(Value::Octets(text))
            }
            _ => {
                let (start, mut depth) = (self.at, 0);
                while let Some(octet) = self.octets.get(self.at) {
                    match octet {
                        b'[' => depth += 1,
                        b']' if depth == 0 && self.code => break,
                        b']' => depth -= 1,
                        b' ' | b'(' | b')' if depth == 0 => break,
                        _ => {}
                    }
                    self.at += 1;
                }
                // Nothing of a word would go on for ever.
                if self.at == start {
                    return None;
                }
                Some(Value::Word(str::from_utf8(&self.octets[start..self.at]).ok()?.to_owned()))
            }
        }
    }
}

/// The numbers of a sequence set.
pub fn numbers(set: &str) -> Vec<u32> {
    let mut all = Vec::new();
    for part in set.split(',') {
        let (from, to) = part.split_once(':').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.parse::<u32>(), to.parse::<u32>()) {
            all.extend(from.min(to)..=from.max(to));
        }
    }
    all
}

/// What is shown of a response in the trace.
const SHOWN: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_taken_apart() {
        let Some(Response::Data(values)) = parse(
            b"* 3 FETCH (UID 7 FLAGS (\\Seen a) BODY[HEADER.FIELDS (SUBJECT)] {5}\r\na\r\n)b MODSEQ (9))\r\n",
        ) else {
            panic!("data");
        };
        assert_eq!(values[0].number(), Some(3));
        let items = values[2].list();
        assert_eq!(items[1].number(), Some(7));
        assert!(items[3].list()[0].is("\\seen"));
        assert!(items[4].is("BODY[HEADER.FIELDS (SUBJECT)]"));
        assert_eq!(items[5].octets(), b"a\r\n)b");
        assert_eq!(items[7].list()[0].number(), Some(9));
        let Some(Response::Status { tag, word, code }) = parse(b"a1 OK [COPYUID 5 1:3 7:9] fine\r\n") else {
            panic!("a status");
        };
        assert_eq!((tag.as_deref(), &*word), (Some("a1"), "OK"));
        assert!(code[0].is("COPYUID"));
        assert_eq!(numbers(code[3].text()), [7, 8, 9]);
    }
}
