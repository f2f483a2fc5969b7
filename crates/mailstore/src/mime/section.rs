//! What FETCH asks for: sections, fields of headers, decoded parts.

use core::ops::Range;

use super::decode::{Decoder, Encoding};
use super::{Entry, Form, Part, Structure};

/// What of a part is asked for: [RFC 9051 §6.4.5.1](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.5.1).
///
/// For `HEADER.FIELDS` and `HEADER.FIELDS.NOT` ask for the header, and pass its octets through [`HeaderFields`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Section {
    /// All of it: of the message itself with its header, of a part without.
    All,
    /// `HEADER`: of the message, or of the message that the part is.
    Header,
    /// `TEXT`: the body of the message, or of the message that the part is.
    Text,
    /// `MIME`: the header of the part.
    Mime,
}

/// What cannot be had of BINARY: [RFC 9051 §6.4.5](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoBinary {
    /// There is no such part.
    NoSuchPart,
    /// It is a multipart or a message, which have no encoding of their own.
    NotALeaf,
    /// Its transfer encoding is not known: `UNKNOWN-CTE`.
    UnknownEncoding,
}

impl Structure {
    /// Where a section lies, in octets from the beginning of the message, of which `prefix` octets stand in front of the
    /// body that was scanned and belong to its header. `None` if there is no such section, which IMAP shows as `NIL`.
    ///
    /// `path` is the numbers of the part, from one up and from the outermost part inwards; without any, it is the
    /// message itself. The header of a message includes the empty line behind it.
    pub fn section(
        &self,
        prefix: u64,
        path: impl IntoIterator<Item = u32>,
        section: Section,
    ) -> Option<Range<u64>> {
        let (part, message) = self.find(path)?;
        let part = match section {
            Section::Header | Section::Text if !message => part.message()?,
            _ => part,
        };
        let &Entry { header, body, end, .. } = part.entry();
        let within = match section {
            Section::All if message => header..end,
            Section::All | Section::Text => body..end,
            Section::Header => header..body,
            Section::Mime if message => return None,
            Section::Mime => header..body,
        };
        // What stands in front belongs to the header of the message itself.
        let first = part.index == 0 && section != Section::Text && (message || section != Section::All);
        Some(if first { 0 } else { within.start + prefix }..within.end + prefix)
    }

    /// Where the octets of a part lie, as [`Structure::section`] says, and what undoes their transfer encoding.
    ///
    /// Without numbers it is the whole message, as it is.
    pub fn binary(
        &self,
        prefix: u64,
        path: impl IntoIterator<Item = u32>,
    ) -> Result<(Range<u64>, Decoder), NoBinary> {
        let (part, message) = self.find(path).ok_or(NoBinary::NoSuchPart)?;
        if message {
            let decoder = Encoding::Identity.decoder().ok_or(NoBinary::UnknownEncoding)?;
            return Ok((0..self.size + prefix, decoder));
        }
        if part.entry().form != Form::Leaf {
            return Err(NoBinary::NotALeaf);
        }
        let decoder = part.encoding().decoder().ok_or(NoBinary::UnknownEncoding)?;
        let entry = part.entry();
        Ok((entry.body + prefix..entry.end + prefix, decoder))
    }

    /// The part with these numbers, and whether it is the message itself, for want of any.
    fn find(&self, path: impl IntoIterator<Item = u32>) -> Option<(Part<'_>, bool)> {
        // Whether it is a message whose parts are meant, and not a part that is or has one.
        let (mut part, mut whole, mut message) = (self.root(), true, true);
        for number in path {
            message = false;
            if let (false, Some(inner)) = (whole, part.message()) {
                (part, whole) = (inner, true);
            }
            let index = usize::try_from(number.checked_sub(1)?).ok()?;
            if part.entry().form == Form::Multipart {
                part = part.parts().nth(index)?;
            } else if !whole || index > 0 {
                // RFC 9051 §6.4.5.1: a message that is no multipart has a part 1, which has no parts.
                return None;
            }
            whole = false;
        }
        Some((part, message))
    }
}

/// The part of a range that `<origin.count>` asks for
/// ([RFC 9051 §6.4.5](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.5)); empty if it is beyond the end.
pub fn partial(range: Range<u64>, origin: u64, count: u64) -> Range<u64> {
    let start = range.start.saturating_add(origin).min(range.end);
    start..start.saturating_add(count).min(range.end)
}

/// Takes some fields out of a header, while its octets go by in any pieces.
///
/// `HEADER.FIELDS` keeps those that are named, `HEADER.FIELDS.NOT` all others; the empty line at the end is kept by both
/// ([RFC 9051 §6.4.5.1](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.5.1)). A line that is no field has no name.
#[derive(Clone, Debug)]
pub struct HeaderFields {
    names: Vec<Vec<u8>>,
    not: bool,
    /// The beginning of a line whose name has not ended.
    held: Vec<u8>,
    state: Line,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Line {
    /// Where a line begins, behind a field that is kept or not.
    Begin(bool),
    /// Before its colon.
    Name(bool),
    /// Behind it.
    Rest(bool),
}

impl HeaderFields {
    /// Keeps the fields with these names, in any case, or all others.
    pub fn new<N: AsRef<[u8]>>(names: impl IntoIterator<Item = N>, not: bool) -> Self {
        let names = names.into_iter().map(|name| name.as_ref().to_vec()).collect();
        Self { names, not, held: Vec::new(), state: Line::Begin(false) }
    }

    /// Takes octets of the header, and gives those that are kept to `keep`.
    pub fn push(&mut self, mut input: &[u8], mut keep: impl FnMut(&[u8])) {
        while let [octet, ..] = input {
            match self.state {
                // RFC 5322 §2.2.3: a line that begins with white space goes on.
                Line::Begin(kept) if matches!(octet, b' ' | b'\t') => self.state = Line::Rest(kept),
                Line::Begin(kept) => self.state = Line::Name(kept),
                Line::Rest(kept) => {
                    let end = memchr::memchr(b'\n', input).map(|at| at + 1);
                    let (line, rest) = input.split_at(end.unwrap_or(input.len()));
                    if kept {
                        keep(line);
                    }
                    if end.is_some() {
                        self.state = Line::Begin(kept);
                    }
                    input = rest;
                }
                Line::Name(_) => {
                    let end = input.iter().position(|octet| matches!(octet, b':' | b'\n')).map(|at| at + 1);
                    let (name, rest) = input.split_at(end.unwrap_or(input.len()));
                    let whole = end.is_some() || self.held.len() + name.len() > MAX_NAME;
                    if whole {
                        let kept = self.keeps(name);
                        if kept {
                            keep(&self.held);
                            keep(name);
                        }
                        self.held.clear();
                        let line = name.ends_with(b"\n");
                        self.state = if line { Line::Begin(kept) } else { Line::Rest(kept) };
                    } else {
                        self.held.extend_from_slice(name);
                    }
                    input = rest;
                }
            }
        }
    }

    /// What is still to come at the end of the header.
    pub fn finish(&mut self, mut keep: impl FnMut(&[u8])) {
        if !self.held.is_empty() && self.not {
            keep(&self.held);
        }
        self.held.clear();
        self.state = Line::Begin(false);
    }

    /// Whether the line is kept that begins with what is held and ends with `rest`.
    fn keeps(&self, rest: &[u8]) -> bool {
        let line = || self.held.iter().chain(rest);
        if line().all(|octet| matches!(octet, b'\r' | b'\n')) {
            return true;
        }
        let named = rest.ends_with(b":") && self.held.len() + rest.len() <= MAX_NAME && {
            let mut name = self.held.clone();
            name.extend_from_slice(&rest[..rest.len() - 1]);
            // RFC 5322 §4.5: white space may stand in front of the colon.
            let name = name.trim_ascii_end();
            self.names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        named != self.not
    }
}

/// A name that is longer than this is none.
const MAX_NAME: usize = 1_024;
