//! SEARCH: which messages match a query, asking for as little of them as it takes.
//!
//! A [`Search`] decides by facts (flags, dates, sizes) where they suffice. Then it wants the [`Structure`] of a message,
//! which answers for addresses, subjects and sent dates; and only if that leaves something open, octets: the header, and
//! the texts within, up to the place that decides. It does no I/O: what it wants, [`Search::poll`] says, and `handle_*` takes.
//!
//! ```
//! use mailstore::message::UnixTime;
//! use mailstore::mime::Scanner;
//! use mailstore::search::{Event, Facts, Key, Query, Search};
//!
//! let messages = [&b"Subject: one\r\n\r\nhello\r\n"[..], b"Subject: two\r\n\r\nworld\r\n"];
//! let query = Query::from(Key::Body("WORLD".to_owned())).and(Query::from(Key::Subject("one".to_owned())).not());
//! let mut search = Search::new(query).expect("it is small");
//!
//! let (mut next, mut found) = (0, Vec::new());
//! loop {
//!     match search.poll() {
//!         Event::Message if next == messages.len() => search.handle_end(),
//!         Event::Message => {
//!             next += 1;
//!             let size = messages[next - 1].len() as u64;
//!             let (number, uid) = (next as u32, 100 + next as u32);
//!             search.handle_message(Facts { number, uid, size, ..Facts::default() });
//!         }
//!         Event::Structure => {
//!             let mut scanner = Scanner::new();
//!             scanner.push(messages[next - 1]);
//!             search.handle_structure(scanner.finish(), 0);
//!         }
//!         Event::Read(range) => search.handle_octets(&messages[next - 1][range.start as usize..range.end as usize]),
//!         Event::Match(facts) => found.push(facts.uid),
//!         Event::Pause => {} // somebody else's turn
//!         Event::Done => break,
//!     }
//! }
//! assert_eq!(found, [102]);
//! ```
//!
//! | bound | |
//! |---|---|
//! | a query | 1,000 keys with texts of 16 KiB in all, otherwise [`TooLarge`] |
//! | octets that are asked for at once | 64 KiB |
//! | what is looked at of a field of a header | 100 KiB |
//! | memory | some 40 times the texts, twice the octets that come at once, and one structure |
//! | work between two events | some 10,000 steps |
//!
//! | RFC | what of it |
//! |---|---|
//! | [RFC 9051 §6.4.4](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.4), [RFC 3501 §6.4.4](https://www.rfc-editor.org/rfc/rfc3501#section-6.4.4) | all keys; parts that are neither text nor message are not looked at, which it permits |
//! | [RFC 7162 §3.1.5](https://www.rfc-editor.org/rfc/rfc7162#section-3.1.5) | MODSEQ, without the entry of a flag |
//! | [RFC 2047](https://www.rfc-editor.org/rfc/rfc2047) | encoded words, wherever they stand |

mod query;
mod text;

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::automaton::StateID;

use crate::message::UnixTime;
use crate::mime::{self, Addresses, Envelope, Field, Kind, Part, Structure};
use query::Operation;
pub use query::{Day, Key, Numbers, Query, TooLarge};
use text::{At, Decoder, Patterns, folded};
pub use text::{decode, decode_lossy, decode_words};

/// What is known of a message without looking into it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// Its sequence number.
    pub number: u32,
    /// Its unique identifier.
    pub uid: u32,
    /// Its flags and keywords, a bit each.
    pub flags: u64,
    /// Whether this session is the first to see it.
    pub recent: bool,
    /// When it was delivered. Its day is that of UTC.
    pub date: UnixTime,
    /// Its size in octets.
    pub size: u64,
    /// The modification sequence of its last change.
    pub mod_seq: u64,
}

/// What a search wants or has found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The next message is wanted: [`Search::handle_message`] or [`Search::handle_end`].
    Message,
    /// The structure of that message: [`Search::handle_structure`].
    Structure,
    /// These octets of it, what stands in front of its body included: [`Search::handle_octets`].
    Read(Range<u64>),
    /// It matches.
    Match(Facts),
    /// Nothing is wanted; there was much to do, and there is more.
    Pause,
    /// There are no more messages.
    Done,
}

/// Goes over messages, one after the other, and says which match.
///
/// What is asked for and cannot be had is answered with [`Search::handle_unreadable`]. An answer that was not asked for changes
/// nothing.
#[derive(Debug)]
pub struct Search {
    operations: Vec<Operation>,
    /// What is known of each key, in their order.
    known: Vec<Option<bool>>,
    /// For working out what they come to.
    stack: Vec<Option<bool>>,
    patterns: Patterns,
    /// The key that each pattern belongs to, as a number and where it stands.
    owners: Vec<(usize, usize)>,
    /// The names of fields that HEADER asks for, in lower case, and the keys that only ask whether there is one.
    names: BTreeMap<Vec<u8>, Vec<usize>>,
    /// Where patterns end that have been found in the current text.
    places: BTreeSet<StateID>,
    facts: Facts,
    phase: Phase,
    reading: Option<Reading>,
    /// Whether something has become known since it was last worked out what that comes to.
    news: bool,
    /// What is still open of the message that is being read.
    open: Open,
    open_is_old: bool,
    work: usize,
}

/// Whether keys of a kind are open.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    header: bool,
    body: bool,
    text: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Message,
    Facts,
    Structure,
    Octets,
    Done,
}

/// A message that is being read.
#[derive(Debug)]
struct Reading {
    structure: Structure,
    prefix: u64,
    /// The octet that is wanted next.
    at: u64,
    /// The part that comes next, and whether its header is behind us.
    part: usize,
    behind_header: bool,
    segment: Option<Segment>,
}

/// Octets that are looked at, and how.
#[derive(Debug)]
struct Segment {
    range: Range<u64>,
    stream: Stream,
}

#[derive(Debug)]
enum Stream {
    Header { context: Context<'static>, field: Vec<u8>, line_begins: bool },
    Text { decoder: Box<Decoder>, at: At },
}

/// What a text is, for the keys that want to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Context<'a> {
    From,
    To,
    Cc,
    Bcc,
    Subject,
    /// What a field of this name says.
    Field(&'a [u8]),
    /// A line of the header of the message.
    Header,
    /// A line of the header of a part.
    PartHeader,
    /// A text within, or a line of the header of a message within.
    Body,
}

impl Context<'_> {
    /// Whether a key is about such a text.
    fn is_for(self, key: &Key) -> bool {
        match (self, key) {
            (Self::From, Key::From(_))
            | (Self::To, Key::To(_))
            | (Self::Cc, Key::Cc(_))
            | (Self::Bcc, Key::Bcc(_))
            | (Self::Subject, Key::Subject(_))
            | (Self::Header | Self::PartHeader | Self::Body, Key::Text(_))
            | (Self::Body, Key::Body(_)) => true,
            (Self::Field(name), Key::Header(wanted, _)) => name.eq_ignore_ascii_case(wanted.as_bytes()),
            _ => false,
        }
    }
}

impl Key {
    /// The text that it looks for.
    fn text(&self) -> Option<&str> {
        match self {
            Self::From(text)
            | Self::To(text)
            | Self::Cc(text)
            | Self::Bcc(text)
            | Self::Subject(text)
            | Self::Header(_, text)
            | Self::Body(text)
            | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the facts have it, if they say.
    fn holds(&self, facts: &Facts) -> Option<bool> {
        Some(match self {
            Self::All => true,
            Self::Flags(flags) => facts.flags & flags == *flags,
            Self::Recent => facts.recent,
            Self::Before(day) => Day::of(facts.date) < *day,
            Self::On(day) => Day::of(facts.date) == *day,
            Self::Since(day) => Day::of(facts.date) >= *day,
            Self::Larger(size) => facts.size > *size,
            Self::Smaller(size) => facts.size < *size,
            Self::Uid(uids) => uids.contains(facts.uid),
            Self::Number(numbers) => numbers.contains(facts.number),
            Self::ModSeq(least) => facts.mod_seq >= *least,
            // RFC 9051 §6.4.4: the empty string is a substring.
            Self::Body(text) | Self::Text(text) if text.is_empty() => true,
            _ => return None,
        })
    }

    /// Whether a message with such a Date has it, if that says so.
    fn was_sent(&self, sent: Option<Day>) -> Option<bool> {
        Some(match self {
            Self::SentBefore(day) => sent.is_some_and(|sent| sent < *day),
            Self::SentOn(day) => sent.is_some_and(|sent| sent == *day),
            Self::SentSince(day) => sent.is_some_and(|sent| sent >= *day),
            _ => return None,
        })
    }
}

impl Search {
    /// Looks for what matches the query.
    pub fn new(query: Query) -> Result<Self, TooLarge> {
        let operations = query.operations;
        let (mut texts, mut owners, mut names) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (mut keys, mut octets) = (0, 0);
        for (at, operation) in operations.iter().enumerate() {
            let Operation::Key(key) = operation else { continue };
            if let Some(text) = key.text().filter(|text| !text.is_empty()) {
                let text = folded(text);
                octets += text.len();
                if octets > MAX_TEXT {
                    return Err(TooLarge);
                }
                texts.push(text);
                owners.push((keys, at));
            }
            if let Key::Header(name, text) = key {
                let empty: &mut Vec<_> = names.entry(name.to_ascii_lowercase().into_bytes()).or_default();
                if text.is_empty() {
                    empty.push(keys);
                }
            }
            keys += 1;
            if keys > MAX_KEYS {
                return Err(TooLarge);
            }
        }
        Ok(Self {
            known: vec![None; keys],
            stack: Vec::new(),
            patterns: Patterns::new(&texts).ok_or(TooLarge)?,
            owners,
            operations,
            names,
            open: Open::default(),
            places: BTreeSet::new(),
            facts: Facts::default(),
            phase: Phase::Message,
            reading: None,
            news: false,
            open_is_old: true,
            work: 0,
        })
    }

    /// What is wanted now, or has been found.
    pub fn poll(&mut self) -> Event {
        if self.work > MAX_WORK {
            self.work = 0;
            return Event::Pause;
        }
        if core::mem::take(&mut self.news) && self.verdict().is_some() {
            return self.next();
        }
        match self.phase {
            Phase::Message => Event::Message,
            Phase::Done => Event::Done,
            Phase::Facts | Phase::Structure => {
                self.phase = Phase::Structure;
                Event::Structure
            }
            Phase::Octets => match self.wanted() {
                Some(range) => Event::Read(range),
                None => {
                    // What was not found anywhere is not there.
                    for known in &mut self.known {
                        known.get_or_insert(false);
                    }
                    self.next()
                }
            },
        }
    }

    /// Goes to the next message, once it is known what the keys come to.
    fn next(&mut self) -> Event {
        self.news = false;
        self.phase = Phase::Message;
        self.reading = None;
        if self.verdict() == Some(true) { Event::Match(self.facts) } else { Event::Message }
    }

    /// The next message.
    pub fn handle_message(&mut self, facts: Facts) {
        if self.phase != Phase::Message {
            return;
        }
        self.facts = facts;
        for (known, key) in self.known.iter_mut().zip(keys(&self.operations)) {
            *known = key.holds(&facts);
        }
        self.work += self.operations.len();
        self.news = true;
        self.phase = Phase::Facts;
    }

    /// There are no more messages.
    pub fn handle_end(&mut self) {
        if self.phase == Phase::Message {
            self.phase = Phase::Done;
        }
    }

    /// The structure of the message, and how many octets stand in front of the body that it is of.
    pub fn handle_structure(&mut self, structure: Structure, prefix: u64) {
        if self.phase != Phase::Structure {
            return;
        }
        if let Some(envelope) = structure.root().envelope() {
            self.envelope(envelope);
        }
        if keys(&self.operations).any(|key| *key == Key::Attachment) {
            let attachment = structure.has_attachment();
            for (known, key) in self.known.iter_mut().zip(keys(&self.operations)) {
                if *key == Key::Attachment {
                    *known = Some(attachment);
                }
            }
        }
        let reading = Reading { structure, prefix, at: 0, part: 0, behind_header: false, segment: None };
        self.reading = Some(reading);
        (self.news, self.open_is_old) = (true, true);
        self.phase = Phase::Octets;
    }

    /// Octets of the message, from the first one on that was asked for: all of them, or fewer. None at all is the same as
    /// [`Search::handle_unreadable`].
    pub fn handle_octets(&mut self, mut octets: &[u8]) {
        let Some(mut reading) = self.reading.take() else { return };
        if octets.is_empty() {
            return self.handle_unreadable();
        }
        self.work += octets.len() / 32;
        while let Some(segment) = &mut reading.segment {
            let before = segment.range.start.saturating_sub(reading.at).min(octets.len() as u64);
            reading.at += before;
            octets = &octets[before as usize..];
            if octets.is_empty() {
                break;
            }
            let count = (segment.range.end - reading.at).min(octets.len() as u64);
            let (some, behind) = octets.split_at(count as usize);
            reading.at += count;
            octets = behind;
            let last = reading.at == segment.range.end;
            self.look_into(&mut segment.stream, some, last);
            if last {
                reading.segment = None;
                self.advance(&mut reading);
            }
            if self.news && self.verdict().is_some() {
                break;
            }
        }
        self.reading = Some(reading);
    }

    /// What was asked for cannot be had. The message does not match; the next one is asked for.
    pub fn handle_unreadable(&mut self) {
        if matches!(self.phase, Phase::Structure | Phase::Octets) {
            self.reading = None;
            self.news = false;
            self.phase = Phase::Message;
        }
    }

    /// What the keys come to, if enough of them is known.
    fn verdict(&mut self) -> Option<bool> {
        self.work += self.operations.len();
        self.stack.clear();
        let mut known = self.known.iter();
        for operation in &self.operations {
            let result = match operation {
                Operation::Key(_) => known.next().copied().flatten(),
                Operation::Not => self.stack.pop().flatten().map(|known| !known),
                Operation::And | Operation::Or => {
                    let pair = [self.stack.pop().flatten(), self.stack.pop().flatten()];
                    let strong = *operation == Operation::Or;
                    if pair.contains(&Some(strong)) {
                        Some(strong)
                    } else if pair.contains(&None) {
                        None
                    } else {
                        Some(!strong)
                    }
                }
            };
            self.stack.push(result);
        }
        self.stack.pop().flatten()
    }

    /// What the envelope says of the keys that are about it.
    fn envelope(&mut self, envelope: Envelope<'_>) {
        let sent = envelope.date().and_then(Day::of_field);
        for (known, key) in self.known.iter_mut().zip(keys(&self.operations)) {
            *known = known.or_else(|| key.was_sent(sent));
        }
        let addresses = [
            (Context::From, Field::From, envelope.from()),
            (Context::To, Field::To, envelope.to()),
            (Context::Cc, Field::Cc, envelope.cc()),
            (Context::Bcc, Field::Bcc, envelope.bcc()),
        ];
        for (context, field, addresses) in addresses {
            if self.wants(context) {
                self.field(context, envelope.raw(field).map(decode_words));
                // As they are shown: without quotes and comments.
                self.field(context, envelope.raw(field).map(|_| shown(addresses)));
            }
        }
        if self.wants(Context::Subject) {
            self.field(Context::Subject, envelope.subject().map(decode_words));
        }
        // RFC 9051 §6.4.4: these are about the envelope, and nothing else is to come.
        for (known, key) in self.known.iter_mut().zip(keys(&self.operations)) {
            if matches!(key, Key::From(_) | Key::To(_) | Key::Cc(_) | Key::Bcc(_) | Key::Subject(_)) {
                known.get_or_insert(false);
            }
        }
    }

    /// Whether a key that is open is about such a text.
    fn wants(&self, context: Context<'_>) -> bool {
        let mut keys = keys(&self.operations).zip(&self.known);
        keys.any(|(key, known)| known.is_none() && context.is_for(key))
    }

    /// Looks into what a field of the envelope says.
    fn field(&mut self, context: Context<'_>, text: Option<String>) {
        let Some(text) = text else { return };
        // There is such a field, which is all that an empty text asks for.
        for (known, key) in self.known.iter_mut().zip(keys(&self.operations)) {
            if known.is_none() && context.is_for(key) && key.text() == Some("") {
                *known = Some(true);
            }
        }
        let mut at = self.begin();
        self.look(&mut at, context, &text);
    }

    /// In front of a text.
    fn begin(&mut self) -> At {
        self.places.clear();
        self.patterns.begin()
    }

    /// Looks into some of a text.
    fn look(&mut self, at: &mut At, context: Context<'_>, text: &str) {
        self.work += text.len() / 32;
        let Self { patterns, places, owners, operations, known, news, open_is_old, .. } = self;
        patterns.feed(at, text, |place| {
            // Where many patterns end at once, once is enough.
            if !places.insert(place) {
                return;
            }
            for pattern in patterns.ending(place) {
                let (index, operation) = owners[pattern];
                if let Operation::Key(key) = &operations[operation]
                    && known[index].is_none()
                    && context.is_for(key)
                {
                    (known[index], *news, *open_is_old) = (Some(true), true, true);
                }
            }
        });
    }

    /// The octets that are wanted next.
    fn wanted(&mut self) -> Option<Range<u64>> {
        let mut reading = self.reading.take()?;
        if reading.segment.is_none() {
            self.advance(&mut reading);
        }
        let range = reading.segment.as_ref().map(|segment| {
            let at = reading.at.max(segment.range.start);
            // What follows is mostly wanted too, and one read for many small parts is cheaper than many.
            let end = if self.open.body || self.open.text {
                reading.structure.size() + reading.prefix
            } else {
                segment.range.end
            };
            at..end.min(at + MAX_READ)
        });
        if let Some(range) = &range {
            reading.at = range.start;
        }
        self.reading = Some(reading);
        range
    }

    /// Goes to the next octets that can decide something.
    fn advance(&mut self, reading: &mut Reading) {
        let Open { header, body, text } = self.find_open();
        let prefix = reading.prefix;
        while let Some(part) = reading.structure.part(reading.part) {
            self.work += 1;
            let root = part.index() == 0;
            if !core::mem::replace(&mut reading.behind_header, true) {
                let context = match part.envelope() {
                    _ if root => Context::Header,
                    Some(_) => Context::Body,
                    None => Context::PartHeader,
                };
                let wanted = match context {
                    Context::Header => text || header,
                    Context::Body => text || body,
                    _ => text,
                };
                let range = if root { 0 } else { part.header().start + prefix }..part.header().end + prefix;
                if wanted && !range.is_empty() {
                    let stream = Stream::Header { context, field: Vec::new(), line_begins: true };
                    reading.segment = Some(Segment { range, stream });
                    return;
                }
                continue;
            }
            if !body && !text {
                return;
            }
            let range = part.body().start + prefix..part.body().end + prefix;
            let decoder = (is_text(part) && !range.is_empty()).then(|| Decoder::new(part)).flatten();
            reading.part += 1;
            reading.behind_header = false;
            if let Some(decoder) = decoder {
                let stream = Stream::Text { decoder: Box::new(decoder), at: self.begin() };
                reading.segment = Some(Segment { range, stream });
                return;
            }
        }
    }

    /// Finds out what is still open.
    fn find_open(&mut self) -> Open {
        if self.open_is_old {
            self.open_is_old = false;
            self.open = Open::default();
            for (key, _) in keys(&self.operations).zip(&self.known).filter(|(_, known)| known.is_none()) {
                match key {
                    Key::Header(..) => self.open.header = true,
                    Key::Body(_) => self.open.body = true,
                    Key::Text(_) => self.open.text = true,
                    _ => {}
                }
            }
        }
        self.open
    }

    fn look_into(&mut self, stream: &mut Stream, octets: &[u8], last: bool) {
        match stream {
            Stream::Text { decoder, at } => {
                decoder.push(octets, last, |text| self.look(at, Context::Body, text));
            }
            Stream::Header { context, field, line_begins } => {
                let mut rest = octets;
                while let [first, ..] = rest {
                    // RFC 5322 §2.2.3: a line that begins with white space goes on.
                    if *line_begins && !matches!(first, b' ' | b'\t') {
                        self.header_field(*context, field);
                    }
                    let end = memchr::memchr(b'\n', rest).map(|end| end + 1);
                    let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
                    let room = mime::MAX_FIELD.saturating_sub(field.len());
                    field.extend_from_slice(&line[..line.len().min(room)]);
                    *line_begins = end.is_some();
                    rest = behind;
                }
                if last {
                    self.header_field(*context, field);
                }
            }
        }
    }

    /// Looks into a field of a header, and forgets it.
    fn header_field(&mut self, context: Context<'static>, field: &mut Vec<u8>) {
        field.retain(|octet| !matches!(octet, b'\r' | b'\n'));
        let Open { header, body, text } = self.find_open();
        if header
            && context == Context::Header
            && let Some((name, value)) = mime::split(field)
            && let Some(empty) = self.names.get(&name.to_ascii_lowercase())
        {
            // There is such a field, which is all that an empty text asks for.
            if empty.first().is_some_and(|&key| self.known[key].is_none()) {
                for &key in empty {
                    self.known[key] = Some(true);
                }
                (self.news, self.open_is_old) = (true, true);
            }
            let mut at = self.begin();
            self.look(&mut at, Context::Field(name), &decode_words(field[value..].trim_ascii()));
        }
        if text || body && context == Context::Body {
            let mut at = self.begin();
            self.look(&mut at, context, &decode_words(field));
        }
        field.clear();
    }
}

fn keys(operations: &[Operation]) -> impl Iterator<Item = &Key> {
    operations.iter().filter_map(|operation| match operation {
        Operation::Key(key) => Some(key),
        _ => None,
    })
}

/// Whether the body of a part is looked into.
///
/// RFC 9051 §6.4.4: parts that are neither text nor message may be left out.
fn is_text(part: Part<'_>) -> bool {
    let (media, _) = part.media();
    let text = media.eq_ignore_ascii_case(b"text") || media.eq_ignore_ascii_case(b"message");
    matches!(part.kind(), Kind::Leaf) && text
}

/// Addresses as they are shown to people.
fn shown(addresses: Addresses<'_>) -> String {
    let mut out = String::new();
    for address in addresses {
        if !out.is_empty() {
            out.push_str(", ");
        }
        let mut push = |part: Option<&[u8]>, before: &str, after: &str| {
            if let Some(part) = part {
                out.push_str(before);
                out.push_str(&decode_words(part));
                out.push_str(after);
            }
        };
        let host = address.host.as_deref();
        push(address.name.as_deref(), "", " ");
        push(address.mailbox.as_deref(), if host.is_some() { "<" } else { "" }, "");
        push(host, "@", ">");
    }
    out
}

/// Keys of a query.
const MAX_KEYS: usize = 1_000;
/// Octets of all texts of a query.
const MAX_TEXT: usize = 16 << 10;
/// Octets that are asked for at once.
const MAX_READ: u64 = 64 << 10;
/// Steps between two events.
const MAX_WORK: usize = 10_000;
