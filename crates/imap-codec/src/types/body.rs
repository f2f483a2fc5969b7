//! BODY and BODYSTRUCTURE: the MIME parts of a message.

use crate::encode::Writer;
use crate::parse::{Cursor, Parsed};
use crate::types::envelope::Envelope;
use crate::types::string::IString;

/// How deep parts within parts are read; a deeper structure is refused.
pub const NESTING: u32 = 32;

/// [RFC 9051 §7.5.2](https://www.rfc-editor.org/rfc/rfc9051#section-7.5.2), `body`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body<'a> {
    /// A part that is no multipart.
    Part(Box<Part<'a>>),
    /// A multipart with its parts, of which there is at least one on the wire; one without any is written as an empty text.
    Multipart(Box<Multipart<'a>>),
}

/// Pairs of attribute and value.
pub type Parameters<'a> = Vec<(IString<'a>, IString<'a>)>;

/// A part that is no multipart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part<'a> {
    /// `TEXT` and the like. What the kind says goes before.
    pub media: IString<'a>,
    /// `PLAIN` and the like.
    pub subtype: IString<'a>,
    /// Parameters of Content-Type.
    pub parameters: Parameters<'a>,
    /// Content-ID.
    pub id: Option<IString<'a>>,
    /// Content-Description.
    pub description: Option<IString<'a>>,
    /// Content-Transfer-Encoding.
    pub encoding: IString<'a>,
    /// The size in octets, as it is encoded.
    pub octets: u64,
    /// What else there is for some media.
    pub kind: PartKind<'a>,
    /// Content-MD5, which only BODYSTRUCTURE has.
    pub md5: Option<IString<'a>>,
    /// What only BODYSTRUCTURE has.
    pub extension: Extension<'a>,
}

/// What some media have beyond the others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PartKind<'a> {
    /// Nothing.
    Basic,
    /// `TEXT`: the number of lines.
    Text(u64),
    /// `MESSAGE/RFC822` and `MESSAGE/GLOBAL`: the message within.
    Message {
        /// Its envelope.
        envelope: Box<Envelope<'a>>,
        /// Its structure.
        body: Body<'a>,
        /// Its lines.
        lines: u64,
    },
}

/// A multipart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Multipart<'a> {
    /// The parts.
    pub parts: Vec<Body<'a>>,
    /// `MIXED` and the like.
    pub subtype: IString<'a>,
    /// Parameters of Content-Type, which only BODYSTRUCTURE has.
    pub parameters: Parameters<'a>,
    /// What only BODYSTRUCTURE has.
    pub extension: Extension<'a>,
}

/// What only BODYSTRUCTURE has. What is written beyond it is read over.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Extension<'a> {
    /// Content-Disposition and its parameters.
    pub disposition: Option<(IString<'a>, Parameters<'a>)>,
    /// Content-Language.
    pub language: Vec<IString<'a>>,
    /// Content-Location.
    pub location: Option<IString<'a>>,
}

impl<'a> Body<'a> {
    /// No recursion: how deep a structure is, is the server's choice.
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut open = Vec::new();
        'part: loop {
            if open.len() >= NESTING as usize {
                return cursor.error("a part that is not so deep");
            }
            cursor.open()?;
            if cursor.peek() == Some(b'(') {
                open.push(Open::Multipart(Vec::new()));
                continue;
            }
            let mut part = Box::new(Part::parse(cursor)?);
            if let Some(envelope) = part.parse_kind(cursor)? {
                open.push(Open::Message(part, envelope));
                continue;
            }
            part.parse_extension(cursor)?;
            cursor.close()?;
            let mut body = Self::Part(part);
            loop {
                body = match open.pop() {
                    None => return Ok(body),
                    Some(Open::Multipart(mut parts)) => {
                        parts.push(body);
                        if cursor.peek() == Some(b'(') {
                            open.push(Open::Multipart(parts));
                            continue 'part;
                        }
                        Self::Multipart(Box::new(Multipart::parse(cursor, parts)?))
                    }
                    Some(Open::Message(mut part, envelope)) => {
                        cursor.space()?;
                        part.kind = PartKind::Message { envelope, body, lines: cursor.number64()? };
                        part.parse_extension(cursor)?;
                        Self::Part(part)
                    }
                };
                cursor.close()?;
            }
        }
    }

    /// `extended` for BODYSTRUCTURE.
    pub(crate) fn write(&self, extended: bool, writer: &mut Writer<'_>) {
        writer.octet(b'(');
        match self {
            Self::Part(part) => part.write(extended, writer),
            Self::Multipart(multipart) => multipart.write(extended, writer),
        }
        writer.octet(b')');
    }
}

/// What is read of a structure, up to one within it.
enum Open<'a> {
    /// The parts so far.
    Multipart(Vec<Body<'a>>),
    /// A part up to its message.
    Message(Box<Part<'a>>, Box<Envelope<'a>>),
}

impl<'a> Multipart<'a> {
    /// What stands behind the parts.
    fn parse(cursor: &mut Cursor<'a>, parts: Vec<Body<'a>>) -> Parsed<Self> {
        cursor.space()?;
        let subtype = cursor.string()?;
        let (mut params, mut extension) = (Vec::new(), Extension::default());
        if cursor.eat(b' ') {
            params = parameters(cursor)?;
            extension = Extension::parse(cursor)?;
        }
        Ok(Self { parts, subtype, parameters: params, extension })
    }

    fn write(&self, extended: bool, writer: &mut Writer<'_>) {
        if self.parts.is_empty() {
            // RFC 9051 §9: a multipart has at least one part, so one without any shows an empty text.
            writer.raw(b"(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0)");
        }
        for part in &self.parts {
            part.write(extended, writer);
        }
        writer.octet(b' ');
        writer.string(self.subtype.as_bytes());
        if extended {
            writer.octet(b' ');
            write_parameters(&self.parameters, writer);
            self.extension.write(writer);
        }
    }
}

impl<'a> Part<'a> {
    /// What all parts have.
    fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let media = cursor.string()?;
        cursor.space()?;
        let subtype = cursor.string()?;
        cursor.space()?;
        let params = parameters(cursor)?;
        cursor.space()?;
        let id = cursor.nstring()?;
        cursor.space()?;
        let description = cursor.nstring()?;
        cursor.space()?;
        let encoding = cursor.string()?;
        cursor.space()?;
        let octets = cursor.number64()?;
        Ok(Self {
            media,
            subtype,
            parameters: params,
            id,
            description,
            encoding,
            octets,
            kind: PartKind::Basic,
            md5: None,
            extension: Extension::default(),
        })
    }

    /// What some kinds have; of a message, up to its structure.
    fn parse_kind(&mut self, cursor: &mut Cursor<'a>) -> Parsed<Option<Box<Envelope<'a>>>> {
        if self.media.as_bytes().eq_ignore_ascii_case(b"TEXT") {
            cursor.space()?;
            self.kind = PartKind::Text(cursor.number64()?);
        } else if is_message(&self.media, &self.subtype) && {
            let mut ahead = *cursor;
            ahead.eat(b' ') && ahead.eat(b'(')
        } {
            cursor.space()?;
            let envelope = Box::new(Envelope::parse(cursor)?);
            cursor.space()?;
            return Ok(Some(envelope));
        }
        Ok(None)
    }

    fn parse_extension(&mut self, cursor: &mut Cursor<'a>) -> Parsed<()> {
        if cursor.eat(b' ') {
            self.md5 = cursor.nstring()?;
            self.extension = Extension::parse(cursor)?;
        }
        Ok(())
    }

    fn write(&self, extended: bool, writer: &mut Writer<'_>) {
        // The grammar of what follows hangs on these words, so the kind has the last word.
        let text = self.media.as_bytes().eq_ignore_ascii_case(b"TEXT");
        match &self.kind {
            PartKind::Text(_) if !text => writer.raw(b"\"TEXT\""),
            PartKind::Message { .. } if !is_message(&self.media, &self.subtype) => {
                writer.raw(b"\"MESSAGE\"");
            }
            PartKind::Basic if text => writer.raw(b"\"APPLICATION\""),
            _ => writer.string(self.media.as_bytes()),
        }
        writer.octet(b' ');
        match &self.kind {
            PartKind::Message { .. } if !is_message(&self.media, &self.subtype) => {
                writer.raw(b"\"RFC822\"");
            }
            _ => writer.string(self.subtype.as_bytes()),
        }
        writer.octet(b' ');
        write_parameters(&self.parameters, writer);
        writer.octet(b' ');
        writer.nstring(self.id.as_ref());
        writer.octet(b' ');
        writer.nstring(self.description.as_ref());
        writer.octet(b' ');
        writer.string(self.encoding.as_bytes());
        writer.octet(b' ');
        writer.number(self.octets);
        match &self.kind {
            PartKind::Basic => {}
            PartKind::Text(lines) => {
                writer.octet(b' ');
                writer.number(*lines);
            }
            PartKind::Message { envelope, body, lines } => {
                writer.octet(b' ');
                envelope.write(writer);
                writer.octet(b' ');
                body.write(extended, writer);
                writer.octet(b' ');
                writer.number(*lines);
            }
        }
        if extended {
            writer.octet(b' ');
            writer.nstring(self.md5.as_ref());
            self.extension.write(writer);
        }
    }
}

impl<'a> Extension<'a> {
    /// What follows the first field of the extension data.
    fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut extension = Self::default();
        if !cursor.eat(b' ') {
            return Ok(extension);
        }
        if !cursor.nil() {
            cursor.open()?;
            let name = cursor.string()?;
            cursor.space()?;
            extension.disposition = Some((name, parameters(cursor)?));
            cursor.close()?;
        }
        if !cursor.eat(b' ') {
            return Ok(extension);
        }
        if cursor.peek() == Some(b'(') {
            extension.language = cursor.list(Cursor::string)?;
        } else if let Some(language) = cursor.nstring()? {
            extension.language.push(language);
        }
        if !cursor.eat(b' ') {
            return Ok(extension);
        }
        extension.location = cursor.nstring()?;
        // RFC 9051 §9: a client must accept whatever may come here one day.
        while cursor.eat(b' ') {
            cursor.skip_value()?;
        }
        Ok(extension)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match &self.disposition {
            None => writer.raw(b" NIL "),
            Some((name, parameters)) => {
                writer.raw(b" (");
                writer.string(name.as_bytes());
                writer.octet(b' ');
                write_parameters(parameters, writer);
                writer.raw(b") ");
            }
        }
        match &self.language[..] {
            [] => writer.raw(b"NIL"),
            [language] => writer.string(language.as_bytes()),
            languages => writer.list(languages, |writer, language| writer.string(language.as_bytes())),
        }
        writer.octet(b' ');
        writer.nstring(self.location.as_ref());
    }
}

fn is_message(media: &IString<'_>, subtype: &IString<'_>) -> bool {
    let subtype = subtype.as_bytes();
    media.as_bytes().eq_ignore_ascii_case(b"MESSAGE")
        && (subtype.eq_ignore_ascii_case(b"RFC822") || subtype.eq_ignore_ascii_case(b"GLOBAL"))
}

fn parameters<'a>(cursor: &mut Cursor<'a>) -> Parsed<Parameters<'a>> {
    if cursor.nil() {
        return Ok(Vec::new());
    }
    cursor.list(|cursor| {
        let name = cursor.string()?;
        cursor.space()?;
        Ok((name, cursor.string()?))
    })
}

fn write_parameters(parameters: &Parameters<'_>, writer: &mut Writer<'_>) {
    if parameters.is_empty() {
        return writer.raw(b"NIL");
    }
    writer.list(parameters, |writer, (name, value)| {
        writer.string(name.as_bytes());
        writer.octet(b' ');
        writer.string(value.as_bytes());
    });
}
