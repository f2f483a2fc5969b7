//! Octets of messages: which ones an item means, and how they get to the client.
//!
//! What is small is read for many messages at once and held until it is told; what is large goes through in slices, at
//! the pace of the client. Fields of a header and decoded parts, which are not as long as what they are made of, are gone
//! through twice if they are large: how long they are has to be said first.

use std::io;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use imap_codec::command::FetchAttribute;
use imap_codec::response::{FetchItem, Source};
use imap_codec::server::Literal;
use imap_codec::types::section::{PartPath, Partial, Section, SectionKind};
use mailstore::message::Message;
use mailstore::mime::{self, Decoder, HeaderFields, NoBinary, Structure};

use crate::store::Reader;
use crate::wire::{HIGH_WATER, Wire};

/// An item that is octets of a message, or how many they are.
pub(super) struct Want<'a> {
    kind: Kind<'a>,
    partial: Option<Partial>,
}

enum Kind<'a> {
    Section(Section<'a>),
    Binary(PartPath<'a>),
    BinarySize(PartPath<'a>),
    Rfc822,
    Rfc822Header,
    Rfc822Text,
}

/// What the items of one message have come to.
#[derive(Default)]
pub(super) struct Cuts {
    pub(super) all: Vec<Cut>,
    /// A part is in an encoding that nobody knows.
    pub(super) undecodable: bool,
    /// A part was to be decoded that has parts itself.
    pub(super) no_leaf: bool,
}

/// What an item has come to.
pub(super) enum Cut {
    /// There is no such part.
    Nil,
    /// To BINARY.SIZE.
    Size(u64),
    Octets(Octets),
}

/// Octets to be sent.
pub(super) enum Octets {
    Held(Bytes),
    /// Of what comes out when these octets of the message are worked on, so many, from the first wanted one on. The
    /// first slice has been read.
    Streamed {
        range: Range<u64>,
        work: Work,
        skip: u64,
        size: u64,
        first: Bytes,
    },
}

/// What is done with octets on their way.
#[derive(Clone)]
pub(super) enum Work {
    Nothing,
    Fields(HeaderFields),
    Decode(Decoder),
}

/// Octets that are meant, before any is read.
struct Meant {
    range: Range<u64>,
    work: Work,
    partial: Option<Partial>,
    only_size: bool,
}

impl<'a> Want<'a> {
    /// `None` for an item of another kind.
    pub(super) fn new(attribute: &FetchAttribute<'a>) -> Option<Self> {
        let (kind, partial) = match attribute {
            FetchAttribute::Section { section, partial, .. } => (Kind::Section(section.clone()), *partial),
            FetchAttribute::Binary { path, partial, .. } => (Kind::Binary(path.clone()), *partial),
            FetchAttribute::BinarySize(path) => (Kind::BinarySize(path.clone()), None),
            FetchAttribute::Rfc822 => (Kind::Rfc822, None),
            FetchAttribute::Rfc822Header => (Kind::Rfc822Header, None),
            FetchAttribute::Rfc822Text => (Kind::Rfc822Text, None),
            _ => return None,
        };
        Some(Self { kind, partial })
    }

    /// Whether where the parts lie has to be known: not for the whole message.
    pub(super) fn needs_structure(&self) -> bool {
        !self.is_whole()
    }

    fn is_whole(&self) -> bool {
        match &self.kind {
            Kind::Section(section) => section.path().is_message() && *section.kind() == SectionKind::All,
            Kind::Rfc822 => true,
            _ => false,
        }
    }

    /// What it is called in the response.
    pub(super) fn source(&self) -> Source<'a> {
        let origin = self.partial.map(|partial| partial.offset);
        match &self.kind {
            Kind::Section(section) => Source::Body(section.clone(), origin),
            Kind::Binary(path) | Kind::BinarySize(path) => Source::Binary(path.clone(), origin),
            Kind::Rfc822 => Source::Rfc822,
            Kind::Rfc822Header => Source::Rfc822Header,
            Kind::Rfc822Text => Source::Rfc822Text,
        }
    }

    /// What is said where there is no such part.
    pub(super) fn nil(&self) -> FetchItem<'a> {
        match &self.kind {
            Kind::Binary(_) => FetchItem::Binary(self.source(), None),
            // RFC 9051 §6.4.5 has no NIL for a size.
            Kind::BinarySize(path) => FetchItem::BinarySize(path.clone(), 0),
            _ => FetchItem::Section(self.source(), None),
        }
    }

    pub(super) fn binary_size(&self, size: u64) -> Option<FetchItem<'a>> {
        match &self.kind {
            Kind::BinarySize(path) => {
                Some(FetchItem::BinarySize(path.clone(), u32::try_from(size).unwrap_or(u32::MAX)))
            }
            _ => None,
        }
    }

    /// Which octets it means; `None` if there is no such part.
    fn meant(&self, message: &Message, structure: Option<&Structure>) -> Result<Option<Meant>, NoBinary> {
        let meant = |range, work| Meant { range, work, partial: self.partial, only_size: false };
        if self.is_whole() {
            return Ok(Some(meant(0..message.size(), Work::Nothing)));
        }
        let Some(structure) = structure else { return Ok(None) };
        let prefix = message.prefix_size();
        let numbers = |path: &PartPath<'_>| path.numbers().map(u32::from).collect::<Vec<u32>>();
        Ok(match &self.kind {
            Kind::Section(section) => {
                let (part, work) = match section.kind() {
                    SectionKind::Header => (mime::Section::Header, Work::Nothing),
                    SectionKind::Text => (mime::Section::Text, Work::Nothing),
                    SectionKind::Mime => (mime::Section::Mime, Work::Nothing),
                    SectionKind::HeaderFields(names) => {
                        (mime::Section::Header, Work::Fields(HeaderFields::new(names.iter(), false)))
                    }
                    SectionKind::HeaderFieldsNot(names) => {
                        (mime::Section::Header, Work::Fields(HeaderFields::new(names.iter(), true)))
                    }
                    _ => (mime::Section::All, Work::Nothing),
                };
                structure.section(prefix, numbers(section.path()), part).map(|range| meant(range, work))
            }
            Kind::Binary(path) | Kind::BinarySize(path) => match structure.binary(prefix, numbers(path)) {
                Ok((range, decoder)) => {
                    let only_size = matches!(self.kind, Kind::BinarySize(_));
                    Some(Meant { only_size, ..meant(range, Work::Decode(decoder)) })
                }
                Err(NoBinary::NoSuchPart) => None,
                Err(error) => return Err(error),
            },
            Kind::Rfc822Header => {
                structure.section(prefix, [], mime::Section::Header).map(|range| meant(range, Work::Nothing))
            }
            Kind::Rfc822Text => {
                structure.section(prefix, [], mime::Section::Text).map(|range| meant(range, Work::Nothing))
            }
            Kind::Rfc822 => None,
        })
    }
}

/// Finds what all items mean in all these messages, and reads what is small of it.
pub(super) async fn read(
    reader: &Reader,
    messages: &[&Message],
    structures: Vec<io::Result<Option<Structure>>>,
    wants: &[Option<Want<'_>>],
) -> Vec<io::Result<(Option<Structure>, Cuts)>> {
    let mut room = HELD;
    let mut planned = Vec::with_capacity(messages.len());
    let mut ranges = Vec::new();
    for (message, structure) in messages.iter().zip(structures) {
        let structure = match structure {
            Ok(structure) => structure,
            Err(error) => {
                planned.push(Err(error));
                continue;
            }
        };
        let (mut meant, mut cuts) = (Vec::new(), Cuts::default());
        for want in wants.iter().flatten() {
            match want.meant(message, structure.as_ref()) {
                Ok(one) => {
                    let held = one.as_ref().map(Meant::wanted).filter(|range| {
                        let length = range.end - range.start;
                        let fits = length <= SMALL.min(room);
                        room -= if fits { length } else { 0 };
                        fits
                    });
                    ranges.extend(held.clone().map(|range| (*message, range)));
                    meant.push((one, held.is_some()));
                }
                Err(NoBinary::UnknownEncoding) => cuts.undecodable = true,
                Err(_) => cuts.no_leaf = true,
            }
        }
        planned.push(Ok((structure, meant, cuts)));
    }
    let mut held = reader.read_all(ranges.into_iter()).await.into_iter();
    let mut made = Vec::with_capacity(messages.len());
    for (message, planned) in messages.iter().zip(planned) {
        let (structure, meant, mut cuts) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                made.push(Err(error));
                continue;
            }
        };
        let mut failed = None;
        for (meant, is_held) in meant {
            // Taken from the pile even if one before has failed: each belongs to its message.
            let octets = is_held.then(|| held.next()).flatten();
            if failed.is_some() {
                continue;
            }
            let cut = match (meant, octets) {
                (None, _) => Ok(Cut::Nil),
                (Some(meant), Some(Ok(octets))) => Ok(meant.of(octets)),
                (Some(_), Some(Err(error))) => Err(error),
                (Some(meant), None) => meant.begin(reader, message).await,
            };
            match cut {
                Ok(cut) => cuts.all.push(cut),
                Err(error) => failed = Some(error),
            }
        }
        made.push(failed.map_or(Ok((structure, cuts)), Err));
    }
    made
}

impl Meant {
    /// What has to be read for it.
    fn wanted(&self) -> Range<u64> {
        match (&self.work, self.partial) {
            (Work::Nothing, Some(partial)) => {
                mime::partial(self.range.clone(), partial.offset, partial.count.get())
            }
            _ => self.range.clone(),
        }
    }

    /// What comes of it when all of what is wanted has been read.
    fn of(mut self, octets: Bytes) -> Cut {
        if matches!(self.work, Work::Nothing) {
            return Cut::Octets(Octets::Held(octets));
        }
        let mut worked = Vec::new();
        self.work.push(&octets, &mut worked);
        self.work.finish(&mut worked);
        if self.only_size {
            return Cut::Size(worked.len() as u64);
        }
        let worked = Bytes::from(worked);
        Cut::Octets(Octets::Held(match self.partial {
            Some(partial) => {
                let range = mime::partial(0..worked.len() as u64, partial.offset, partial.count.get());
                worked.slice(range.start as usize..range.end as usize)
            }
            None => worked,
        }))
    }

    /// Gets ready to send what is too large to be held.
    async fn begin(self, reader: &Reader, message: &Message) -> io::Result<Cut> {
        let range = self.wanted();
        if matches!(self.work, Work::Nothing) {
            let first = front(reader, message, range.clone()).await?;
            let size = range.end - range.start;
            return Ok(Cut::Octets(Octets::Streamed { range, work: self.work, skip: 0, size, first }));
        }
        // All of it is read once to know how long it is.
        let (mut work, mut at, mut size, mut worked) = (self.work.clone(), range.start, 0, Vec::new());
        while at < range.end {
            let slice = reader.read_within(message, at..range.end).await?;
            at += slice.len() as u64;
            work.push(&slice, &mut worked);
            size += worked.len() as u64;
            worked.clear();
        }
        work.finish(&mut worked);
        size += worked.len() as u64;
        if self.only_size {
            return Ok(Cut::Size(size));
        }
        let wanted = match self.partial {
            Some(partial) => mime::partial(0..size, partial.offset, partial.count.get()),
            None => 0..size,
        };
        let first = front(reader, message, range.clone()).await?;
        let (skip, size) = (wanted.start, wanted.end - wanted.start);
        Ok(Cut::Octets(Octets::Streamed { range, work: self.work, skip, size, first }))
    }
}

impl Work {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Nothing => out.extend_from_slice(octets),
            Self::Fields(fields) => fields.push(octets, |kept| out.extend_from_slice(kept)),
            Self::Decode(decoder) => decoder.push(octets, out),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Fields(fields) => fields.finish(|kept| out.extend_from_slice(kept)),
            Self::Decode(decoder) => decoder.finish(out),
        }
    }
}

impl Octets {
    pub(super) const fn size(&self) -> u64 {
        match self {
            Self::Held(octets) => octets.len() as u64,
            Self::Streamed { size, .. } => *size,
        }
    }

    /// Sends them; the client sets the pace. What cannot be read any more ends the session, for nothing else could be told
    /// from octets that are missing.
    pub(super) async fn write(
        self,
        reader: &Reader,
        message: &Message,
        literal: &mut Literal<'_>,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        let (range, mut work, mut skip, mut slice) = match self {
            Self::Held(octets) => {
                literal.write(&octets, out);
                return Ok(());
            }
            Self::Streamed { range, work, skip, first, .. } => (range, work, skip, first),
        };
        let (mut at, mut worked) = (range.start, Vec::new());
        loop {
            at += slice.len() as u64;
            let last = at >= range.end || slice.is_empty();
            if let Work::Nothing = work {
                literal.write(&slice, out);
            } else {
                work.push(&slice, &mut worked);
                if last {
                    work.finish(&mut worked);
                }
                let left_out = skip.min(worked.len() as u64);
                skip -= left_out;
                literal.write(&worked[left_out as usize..], out);
                worked.clear();
            }
            if out.len() > HIGH_WATER {
                wire.send(out).await?;
            }
            if last || literal.left() == 0 {
                return Ok(());
            }
            slice = reader.read_within(message, at..range.end).await?;
        }
    }
}

/// The first octets of a range, from more than one place on disk if need be: when they can be had, a response is begun.
async fn front(reader: &Reader, message: &Message, range: Range<u64>) -> io::Result<Bytes> {
    let end = range.end.min(range.start.saturating_add(SMALL));
    let mut read = reader.read_all(std::iter::once((message, range.start..end))).await;
    read.pop().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
}

/// What is held of all messages that are read together.
const HELD: u64 = 1 << 20;
/// More of a message than this goes through in slices.
const SMALL: u64 = 64 << 10;
