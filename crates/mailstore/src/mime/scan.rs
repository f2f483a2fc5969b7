//! The scanner: octets of a message in, where its parts are out.

use memchr::{memchr, memchr_iter, memmem};

use super::decode::Encoding;
use super::field::{self, Field};
use super::{Entry, Fields, Form, NONE, Structure};

/// Finds the parts of a message while its octets go by.
///
/// Give it the octets with [`Scanner::push`], in any pieces, and ask for the [`Structure`] at their end. There are no
/// errors: any octets have a structure. What is beyond a bound is opaque text:
///
/// | bound | |
/// |---|---|
/// | parts within parts, messages within messages counted | 100 |
/// | parts | 10,000, and one more within each `message/rfc822` that is not opened |
/// | a boundary | 256 octets ([RFC 2046 §5.1.1](https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1): 70) |
/// | what a field says, if it is kept | 100 KiB, the rest is cut off |
/// | what all fields say that are kept | 1 MiB |
///
/// Time is linear in the octets. No body is copied; memory is that of the structure and of one field.
#[derive(Debug)]
pub struct Scanner {
    /// Where the next octet stands.
    offset: u64,
    /// Line feeds in front of it.
    newlines: u64,
    entries: Vec<Entry>,
    values: Vec<u8>,
    /// What is open around the current part, and perhaps that part itself, outermost first.
    open: Vec<Open>,
    /// The part whose header or body the next octet belongs to.
    current: usize,
    mode: Mode,
    /// The field that is being read, unfolded, and whether it is kept.
    field: Option<Field>,
    value: Vec<u8>,
    /// The fields that the current part has: a bit each.
    seen: u32,
    /// The beginning of a line that has not been given as a whole.
    line: Vec<u8>,
    /// Where the current line begins, and how long the line end in front of it is; only where lines matter.
    line_at: u64,
    line_end: u64,
    /// Whether the next octet, with what `line` holds, may begin a delimiter.
    fresh: bool,
    /// In front of this, nothing belongs to the next delimiter.
    floor: u64,
    /// Whether the last octet was a CR.
    carriage: bool,
    /// The longest boundary that may come; zero if none may.
    longest: usize,
    finder: memmem::Finder<'static>,
    /// Octets that have been looked at, each time that they were.
    #[cfg(test)]
    looked: core::cell::Cell<u64>,
}

#[derive(Debug)]
struct Open {
    entry: usize,
    /// Empty for a message, and for a multipart that has been closed.
    boundary: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Header,
    Body,
    /// Behind the boundary of a delimiter of this open multipart, up to the end of the line.
    Delimiter {
        open: usize,
        close: bool,
    },
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the first octet of a message.
    pub fn new() -> Self {
        Self {
            offset: 0,
            newlines: 0,
            entries: vec![Entry::new(0, 0, 0)],
            values: Vec::new(),
            open: Vec::new(),
            current: 0,
            mode: Mode::Header,
            field: None,
            value: Vec::new(),
            seen: 0,
            line: Vec::new(),
            line_at: 0,
            line_end: 0,
            fresh: true,
            floor: 0,
            carriage: false,
            longest: 0,
            finder: memmem::Finder::new(b"\n--"),
            #[cfg(test)]
            looked: core::cell::Cell::new(0),
        }
    }

    /// Takes the next octets of the message.
    pub fn push(&mut self, mut input: &[u8]) {
        while !input.is_empty() {
            // Nothing is used where it only turns out that a line is no delimiter.
            let used = match self.mode {
                Mode::Header => self.header(input),
                Mode::Body => self.body(input),
                Mode::Delimiter { open, close } => self.delimiter_end(input, open, close),
            };
            let (gone, rest) = input.split_at(used);
            self.carriage = gone.last().map_or(self.carriage, |&octet| octet == b'\r');
            input = rest;
        }
    }

    /// The structure of all octets that have come.
    pub fn finish(mut self) -> Structure {
        let line = core::mem::take(&mut self.line);
        match self.mode {
            Mode::Header if !line.is_empty() => self.header_line(&line, 0),
            Mode::Body if self.fresh => {
                if let Some((open, close)) = self.matching(&line) {
                    self.begin_delimiter(open, close);
                }
            }
            _ => {}
        }
        if let Mode::Delimiter { open, close } = self.mode {
            self.end_delimiter(open, close, self.offset);
        }
        while matches!(self.mode, Mode::Header) {
            self.end_header();
        }
        self.close(0, self.offset, self.newlines);
        Structure { size: self.offset, entries: self.entries, values: self.values.into() }
    }

    /// Octets of a header: a line, or what there is of one. Gives how many were used.
    fn header(&mut self, input: &[u8]) -> usize {
        let (line, used) = match memchr(b'\n', input) {
            Some(end) => (&input[..end], end + 1),
            None => (input, input.len()),
        };
        self.look(used);
        if used == line.len() || !self.line.is_empty() {
            // RFC 5322 §2.1.1 has lines of 998 octets; what is beyond a field's bound is not looked at.
            let room = MAX_FIELD.saturating_sub(self.line.len());
            self.line.extend_from_slice(&line[..line.len().min(room)]);
        }
        self.offset += used as u64;
        if used == line.len() {
            return used;
        }
        self.newlines += 1;
        let carriage = line.last().map_or(self.carriage, |&octet| octet == b'\r');
        let line_end = if carriage { 2 } else { 1 };
        if self.line.is_empty() {
            self.header_line(line, line_end);
        } else {
            let mut whole = core::mem::take(&mut self.line);
            self.header_line(&whole, line_end);
            whole.clear();
            self.line = whole;
        }
        self.start_line(line_end);
        used
    }

    /// A line of a header, without its LF; `offset` is behind that. The line end has no octets where the message ends.
    fn header_line(&mut self, line: &[u8], line_end: u64) {
        if let Some((open, close)) = self.matching(line) {
            let part = &mut self.entries[self.current];
            if !close && open + 1 == self.open.len() && part.header == self.line_at {
                // RFC 2046 §5.1.1: a line end of its own stands in front of each delimiter. One directly behind another
                // begins no part that would have nothing in it, not even that.
                part.header = self.offset;
                return;
            }
            // RFC 2046 §5.1.1: a part may have neither an empty line nor a body.
            let (offset, newlines) = (self.offset, self.newlines);
            self.offset = self.line_at;
            self.newlines -= u64::from(line_end > 0);
            while matches!(self.mode, Mode::Header) {
                self.end_header();
            }
            self.begin_delimiter(open, close);
            (self.offset, self.newlines) = (offset, newlines);
            if line_end > 0 {
                self.end_delimiter(open, close, offset - line_end);
            }
            return;
        }
        let line = if line_end == 2 { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        match line.first() {
            None => self.end_header(),
            // RFC 5322 §2.2.3: unfolding takes the line end away and leaves the white space.
            Some(b' ' | b'\t') => {
                if self.field.is_some() {
                    self.keep(line);
                }
            }
            Some(_) => {
                self.end_field();
                let Some((name, value)) = field::split(line) else { return };
                let Some(field) = Field::named(name) else { return };
                let entry = &self.entries[self.current];
                // The first field of a name counts.
                if self.seen & 1 << field.number() == 0 && (entry.message || !field.is_envelope()) {
                    self.seen |= 1 << field.number();
                    self.field = Some(field);
                    self.keep(&line[value..]);
                }
            }
        }
    }

    fn keep(&mut self, octets: &[u8]) {
        let room = MAX_FIELD.saturating_sub(self.value.len());
        self.value.extend_from_slice(&octets[..octets.len().min(room)]);
    }

    fn end_field(&mut self) {
        let Some(field) = self.field.take() else { return };
        // A value can be put into any line of any protocol.
        for octet in &mut self.value {
            if matches!(octet, b'\r' | b'\n' | 0) {
                *octet = b' ';
            }
        }
        let value = self.value.trim_ascii();
        if self.values.len() + value.len() <= MAX_VALUES {
            self.values.push(field.number());
            super::stored::number(value.len() as u64, &mut self.values);
            self.values.extend_from_slice(value);
        }
        self.value.clear();
    }

    /// The header of the current part ends at `offset`. What comes then is its body, or the header of a message in it.
    fn end_header(&mut self) {
        self.end_field();
        self.seen = 0;
        let (offset, newlines, opens) = (self.offset, self.newlines, self.entries.len() < MAX_PARTS);
        let entry = &mut self.entries[self.current];
        entry.body = offset;
        entry.lines = newlines;
        entry.values.1 = self.values.len() as u32;
        self.mode = Mode::Body;
        self.floor = offset;
        let part = Fields(&self.values[entry.values.0 as usize..]);
        let (digest, depth) = (entry.digest, entry.depth);
        let opens = opens && depth < MAX_DEPTH;
        if part.is_message(digest) {
            entry.form = Form::Message;
            let opens = opens && part.encoding() == Encoding::Identity;
            self.open.push(Open { entry: self.current, boundary: Vec::new() });
            self.current = self.entries.len();
            let mut inner = Entry::new(depth + 1, offset, self.values.len() as u32);
            inner.message = true;
            self.entries.push(inner);
            if opens {
                self.mode = Mode::Header;
            } else {
                self.end_header();
            }
        } else if let Some(boundary) = part.boundary().filter(|_| opens) {
            let digest = part.is_digest();
            let entry = &mut self.entries[self.current];
            entry.form = Form::Multipart;
            entry.digest = digest;
            self.open.push(Open { entry: self.current, boundary });
            self.find_longest();
        }
    }

    /// Octets of a body, up to where a line begins that may be a delimiter. Gives how many were used.
    fn body(&mut self, input: &[u8]) -> usize {
        if self.longest == 0 {
            return self.pass(input, input.len());
        }
        if !self.fresh {
            // The end of this line, and all lines that begin with something else.
            let Some(end) = self.finder.find(input).map(|at| at + 1).or_else(|| match input {
                [.., b'\n'] => Some(input.len()),
                [.., b'\n', b'-'] => Some(input.len() - 1),
                _ => None,
            }) else {
                return self.pass(input, input.len());
            };
            let before = if end >= 2 { input[end - 2] == b'\r' } else { self.carriage };
            self.pass(input, end);
            self.start_line(if before { 2 } else { 1 });
            return end;
        }
        // RFC 2046 §5.1.1: what matters is the boundary behind the hyphens, and whether two more follow.
        let most = self.longest + 4 - self.line.len();
        let some = &input[..input.len().min(most)];
        let (some, ended) = match memchr(b'\n', some) {
            Some(end) => (&some[..end], true),
            None => (some, false),
        };
        self.look(some.len());
        let hyphens = self.line.iter().chain(some).take(2).all(|&octet| octet == b'-');
        if hyphens && !ended && some.len() < most {
            self.line.extend_from_slice(some);
            return self.pass(input, some.len());
        }
        let found = if !hyphens {
            None
        } else if self.line.is_empty() {
            self.matching(some)
        } else {
            self.line.extend_from_slice(some);
            let line = core::mem::take(&mut self.line);
            self.matching(&line)
        };
        self.line.clear();
        self.fresh = false;
        let used = self.pass(input, some.len());
        if let Some((open, close)) = found {
            self.begin_delimiter(open, close);
        }
        used
    }

    /// Goes over octets of a body.
    fn pass(&mut self, input: &[u8], count: usize) -> usize {
        self.look(count);
        self.newlines += memchr_iter(b'\n', &input[..count]).count() as u64;
        self.offset += count as u64;
        count
    }

    /// The rest of a line with a delimiter.
    fn delimiter_end(&mut self, input: &[u8], open: usize, close: bool) -> usize {
        let Some(end) = memchr(b'\n', input) else {
            return self.pass(input, input.len());
        };
        let before = if end >= 1 { input[end - 1] == b'\r' } else { self.carriage };
        let line_end = if before { 2 } else { 1 };
        self.pass(input, end + 1);
        self.end_delimiter(open, close, self.offset - line_end);
        self.start_line(line_end);
        end + 1
    }

    fn start_line(&mut self, line_end: u64) {
        self.line_at = self.offset;
        self.line_end = line_end;
        self.fresh = true;
    }

    /// Which open multipart a line is a delimiter of, and whether it closes it.
    fn matching(&self, line: &[u8]) -> Option<(usize, bool)> {
        if self.longest == 0 {
            return None;
        }
        let line = line.strip_prefix(b"--")?;
        let mut best = None::<usize>;
        for (at, open) in self.open.iter().enumerate() {
            self.look(
                line.iter().zip(&open.boundary).take_while(|(octet, wanted)| octet == wanted).count() + 1,
            );
            // RFC 2046 §5.1.1: a line need only begin with the boundary. Where several do, it is the longest, and among
            // equals the innermost.
            if !open.boundary.is_empty()
                && line.starts_with(&open.boundary)
                && best.is_none_or(|best| self.open[best].boundary.len() <= open.boundary.len())
            {
                best = Some(at);
            }
        }
        let best = best?;
        let close = line[self.open[best].boundary.len()..].starts_with(b"--");
        // One part too many: what remains is the rest of the last one.
        (close || self.entries.len() < MAX_PARTS).then_some((best, close))
    }

    /// A delimiter begins the current line: everything within its multipart ends.
    fn begin_delimiter(&mut self, open: usize, close: bool) {
        // RFC 2046 §5.1.1: the line end in front of a delimiter belongs to it.
        let end = (self.line_at - self.line_end).max(self.floor);
        // What has been read of the line has no line feed.
        let newlines = self.newlines - u64::from(end < self.line_at);
        let multipart = self.open[open].entry;
        self.close(open + 1, end, newlines);
        let entry = &mut self.entries[multipart];
        if entry.first == NONE {
            entry.first = end;
        }
        self.current = multipart;
        self.mode = Mode::Delimiter { open, close };
    }

    /// The line of a delimiter has ended: `line_end` is where its line end begins, and `offset` is behind it.
    fn end_delimiter(&mut self, open: usize, close: bool, line_end: u64) {
        let multipart = self.open[open].entry;
        if close {
            // RFC 2046 §5.1.1: close-delimiter transport-padding [CRLF epilogue].
            self.entries[multipart].last = line_end;
            self.open[open].boundary.clear();
            self.find_longest();
            self.mode = Mode::Body;
            return;
        }
        let entry = &self.entries[multipart];
        let (digest, depth) = (entry.digest, entry.depth);
        self.current = self.entries.len();
        let mut part = Entry::new(depth + 1, self.offset, self.values.len() as u32);
        part.digest = digest;
        self.entries.push(part);
        self.mode = Mode::Header;
    }

    /// Ends the current part and what is open from `open` on. What remains open is never ended here.
    fn close(&mut self, open: usize, end: u64, newlines: u64) {
        if self.open.last().is_none_or(|open| open.entry != self.current) {
            self.close_entry(self.current, end, newlines);
        }
        while self.open.len() > open {
            if let Some(Open { entry, .. }) = self.open.pop() {
                self.close_entry(entry, end, newlines);
            }
        }
        self.find_longest();
    }

    fn close_entry(&mut self, entry: usize, end: u64, newlines: u64) {
        let next = self.entries.len();
        let childless = next == entry + 1;
        let entry = &mut self.entries[entry];
        entry.end = end;
        entry.lines = newlines - entry.lines;
        entry.next = next as u32;
        if entry.form == Form::Multipart && childless {
            // Without a part it is one.
            (entry.form, entry.first, entry.last) = (Form::Leaf, NONE, NONE);
        }
    }

    /// Says how many octets are looked at, for the test that no octet is more often than it has to.
    #[cfg(test)]
    fn look(&self, octets: usize) {
        self.looked.set(self.looked.get() + octets as u64);
    }

    #[cfg(not(test))]
    const fn look(&self, _: usize) {}

    fn find_longest(&mut self) {
        self.longest = self.open.iter().map(|open| open.boundary.len()).max().unwrap_or(0);
    }
}

/// How deep parts and messages are within each other.
pub(crate) const MAX_DEPTH: u8 = 100;
/// How many parts a message has, but for those that stand for what is not opened.
pub(crate) const MAX_PARTS: usize = 10_000;
/// How long a boundary is.
pub(crate) const MAX_BOUNDARY: usize = 256;
/// How much of what a field says is kept.
pub(crate) const MAX_FIELD: usize = 100 << 10;
/// How much of what all fields say is kept.
const MAX_VALUES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each octet is looked at, on average, however the octets come.
    fn looks(message: &str, piece: usize) -> u64 {
        let mut scanner = Scanner::new();
        message.as_bytes().chunks(piece).for_each(|piece| scanner.push(piece));
        scanner.looked.get().div_ceil(message.len() as u64)
    }

    #[test]
    fn no_octet_is_looked_at_more_often_than_it_has_to() {
        let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
        // A hundred boundaries that differ in their last octets only, and lines that begin with what they share.
        let shared = "b".repeat(250);
        let families: String = (0..100)
            .map(|depth| {
                let boundary = format!("{shared}{depth:03}");
                format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n")
            })
            .collect();
        for (what, message, most) in [
            ("delimiters", format!("{multipart}{}", "--b\r\n\r\n".repeat(50_000)), 4),
            ("what is none", format!("{multipart}{}", "--\r\n".repeat(50_000)), 4),
            ("almost one", format!("{multipart}--b\r\n\r\n{}", "-b\n".repeat(50_000)), 4),
            ("hyphens", format!("{multipart}{}", "-".repeat(500_000)), 2),
            ("a line", format!("{multipart}{}", "x".repeat(500_000)), 2),
            ("empty lines", format!("{multipart}{}", "\n".repeat(500_000)), 2),
            ("a line of a header", format!("X: {}", "x".repeat(500_000)), 2),
            ("many nested", format!("{multipart}--b\r\n").repeat(10_000), 30),
            ("families", format!("{families}\r\n{}", format!("--{shared}\r\n").repeat(500)), 110),
        ] {
            for piece in [message.len(), 1_000, 7, 1] {
                let looks = looks(&message, piece);
                assert!(looks <= most, "{what} in pieces of {piece}: {looks} times");
            }
        }
    }
}
