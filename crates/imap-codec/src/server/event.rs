//! What a server session asks of its caller.

use core::fmt;
use core::num::NonZeroU32;
use core::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use super::Core;
use super::state::{Mode, Pending};
use crate::command::{Append, Verb};
use crate::encode::{Names, Wire, Writer};
use crate::extension::esearch::Esearch;
use crate::extension::{Extensions, condstore, idle};
use crate::response::fetch::write_head;
use crate::response::{Condition, Data, FetchItem, Reply, Source};
use crate::types::string::Atom;

/// What has happened, or what is asked.
///
/// Events that hold a struct want an answer through one of its consuming methods; dropped, they are answered BAD by the
/// next call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'s> {
    /// A command, and what answers it.
    Command(Verb<'s>, Answer<'s>),
    /// AUTHENTICATE: a login begins.
    Authenticate(Login<'s>),
    /// The client answered a challenge.
    LoginResponse(LoginResponse<'s>),
    /// The client gave the login up, or answered with something that is not base64. It has been told so.
    LoginCancelled,
    /// STARTTLS.
    StartTls(StartTls<'s>),
    /// APPEND, before its payload.
    Append(AppendStart<'s>),
    /// The next octets of the payload.
    Chunk(&'s [u8]),
    /// The whole payload has come. Saying OK means that it is kept.
    AppendEnd(Answer<'s>),
    /// The command did not end behind its payload: what came of it is void. The client has been, or will be, told.
    AppendAborted,
    /// IDLE.
    Idle(IdleStart<'s>),
    /// DONE: the answer is to IDLE.
    IdleEnd(Answer<'s>),
    /// Nothing is asked: much has been written, so flush, and call again.
    Continue,
}

/// Answers a command: with any number of [`untagged`](Self::untagged) data, and then with one of [`ok`](Self::ok),
/// [`no`](Self::no) and [`bad`](Self::bad).
#[derive(Debug)]
#[must_use = "a command that is not answered is answered BAD"]
pub struct Answer<'s> {
    pub(super) core: &'s mut Core,
}

/// What stands in front of a literal that is streamed: a FETCH response up to it.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The sequence number of the message.
    pub number: NonZeroU32,
    /// Items before the literal.
    pub items: &'a [FetchItem<'a>],
    /// The item that is the literal.
    pub source: Source<'a>,
}

impl Answer<'_> {
    /// The tag of the command, which an ESEARCH response repeats.
    pub fn tag(&self) -> &str {
        &self.core.tag
    }

    /// Whether the client has said that it knows CONDSTORE: FETCH responses then have MODSEQ.
    pub const fn condstore(&self) -> bool {
        self.core.condstore
    }

    /// Whether the client has enabled IMAP4rev2: no RECENT for it, and ESEARCH instead of SEARCH.
    pub fn rev2(&self) -> bool {
        self.core.rev2
    }

    /// Whether EXPUNGE may be told now.
    ///
    /// [RFC 9051 §7.5.1](https://www.rfc-editor.org/rfc/rfc9051#section-7.5.1): not during FETCH, STORE and SEARCH, but
    /// during their UID forms.
    pub fn may_expunge(&self) -> bool {
        self.core.pending.is_some_and(Pending::may_expunge)
    }

    /// Sends data. False if it is EXPUNGE and that [has to wait](Self::may_expunge): nothing is written then.
    pub fn untagged(&mut self, data: &Data<'_>, out: &mut BytesMut) -> bool {
        if matches!(data, Data::Expunge(_)) && !self.may_expunge() {
            return false;
        }
        self.core.untagged(data, out);
        true
    }

    /// Begins a FETCH response whose last item is a literal of so many octets, which are then
    /// [written](Literal::write) as they are there.
    pub fn literal(&mut self, head: &Head<'_>, size: u64, out: &mut BytesMut) -> Literal<'_> {
        let mut writer = Writer::new(self.core.wire(), out);
        writer.raw(b"* ");
        write_head(head.number, head.items, &mut writer);
        if !head.items.is_empty() {
            writer.octet(b' ');
        }
        Literal::begin(self.core, &head.source, size, writer)
    }

    /// Begins the SEARCH response of IMAP4rev1, whose numbers are then [written](Numbers::write) as they are there. It is one
    /// line, however many there are ([RFC 3501 §7.2.5](https://www.rfc-editor.org/rfc/rfc3501#section-7.2.5)); `out` may be sent in between.
    pub fn search(&mut self, out: &mut BytesMut) -> Numbers<'_> {
        out.extend_from_slice(b"* SEARCH");
        self.core.literal = Some(0);
        Numbers { core: self.core, any: false }
    }

    /// Begins an ESEARCH response, with everything in `found` but its numbers: these are then [written](Ranges::write) as they are
    /// there. `out` may be sent in between.
    pub fn esearch(&mut self, found: &Esearch<'_>, out: &mut BytesMut) -> Ranges<'_> {
        let mut writer = Writer::new(self.core.wire(), out);
        writer.raw(b"* ESEARCH");
        found.write_head(&mut writer);
        self.core.literal = Some(0);
        Ranges { core: self.core, any: false }
    }

    /// Switches off, from now on, what is not in this set: extensions that whoever logs in is not to have. To be called
    /// before the login is answered, which tells the capabilities.
    pub fn restrict(&mut self, to: Extensions) {
        self.core.restrict(to);
    }

    /// Done. After a login without a code, the capabilities are told.
    pub fn ok<'r>(self, reply: impl Into<Reply<'r>>, out: &mut BytesMut) {
        self.core.answer(Condition::Ok, reply.into(), out);
    }

    /// Not done.
    pub fn no<'r>(self, reply: impl Into<Reply<'r>>, out: &mut BytesMut) {
        self.core.answer(Condition::No, reply.into(), out);
    }

    /// Not understood: an argument that only the caller can judge, such as a sequence number beyond the last message.
    pub fn bad<'r>(self, reply: impl Into<Reply<'r>>, out: &mut BytesMut) {
        self.core.answer(Condition::Bad, reply.into(), out);
    }

    /// Done or not done.
    pub fn answer<'r>(self, result: Result<Reply<'r>, Reply<'r>>, out: &mut BytesMut) {
        match result {
            Ok(reply) => self.ok(reply, out),
            Err(reply) => self.no(reply, out),
        }
    }
}

/// A literal whose octets are written as they are there. One that is left short, or not finished, ends the session:
/// nothing else could be told from its octets.
#[derive(Debug)]
#[must_use = "a literal that is not finished ends the session"]
pub struct Literal<'a> {
    core: &'a mut Core,
}

impl<'a> Literal<'a> {
    fn begin(core: &'a mut Core, source: &Source<'_>, size: u64, mut writer: Writer<'_>) -> Self {
        source.write(&mut writer);
        writer.octet(b' ');
        // RFC 9051 §4.3.1: decoded octets may have NUL, which only literal8 has.
        if matches!(source, Source::Binary(..)) {
            writer.octet(b'~');
        }
        writer.literal_head(size);
        core.literal = Some(size);
        Self { core }
    }

    /// Octets that are still to be written.
    pub fn left(&self) -> u64 {
        self.core.literal.unwrap_or_default()
    }

    /// Writes the next octets; what goes beyond the size is left out. How many were written is given back.
    pub fn write(&mut self, octets: &[u8], out: &mut BytesMut) -> usize {
        let count = self.left().min(octets.len() as u64) as usize;
        out.extend_from_slice(&octets[..count]);
        self.core.literal = Some(self.left() - count as u64);
        count
    }

    /// Goes on with more items and another literal of the same message.
    pub fn next(self, items: &[FetchItem<'_>], source: &Source<'_>, size: u64, out: &mut BytesMut) -> Self {
        if self.left() > 0 {
            // The next call ends the session; until then, nothing more is written into the hole.
            return self;
        }
        let mut writer = Writer::new(self.core.wire(), out);
        for item in items {
            writer.octet(b' ');
            item.write(&mut writer);
        }
        writer.octet(b' ');
        Self::begin(self.core, source, size, writer)
    }

    /// Ends the response, with more items if there are any.
    pub fn finish(self, items: &[FetchItem<'_>], out: &mut BytesMut) {
        if self.left() > 0 {
            return;
        }
        self.core.literal = None;
        let mut writer = Writer::new(self.core.wire(), out);
        for item in items {
            writer.octet(b' ');
            item.write(&mut writer);
        }
        writer.raw(b")\r\n");
    }
}

/// A SEARCH response whose numbers are written as they are there. One that is not finished ends the session, as a
/// [`Literal`] does.
#[derive(Debug)]
#[must_use = "a response that is not finished ends the session"]
pub struct Numbers<'a> {
    core: &'a mut Core,
    any: bool,
}

impl Numbers<'_> {
    /// Writes the next number.
    pub fn write(&mut self, number: NonZeroU32, out: &mut BytesMut) {
        self.any = true;
        let mut writer = Writer::new(self.core.wire(), out);
        writer.octet(b' ');
        writer.number(u64::from(number.get()));
    }

    /// Ends the response, with the highest mod-sequence if that is to be told (CONDSTORE); it is not where nothing was found.
    pub fn finish(self, modseq: Option<u64>, out: &mut BytesMut) {
        self.core.literal = None;
        let mut writer = Writer::new(self.core.wire(), out);
        condstore::write_found(modseq.filter(|_| self.any), &mut writer);
        writer.raw(b"\r\n");
    }
}

/// An ESEARCH response whose numbers are written as they are there. One that is not finished ends the session, as a [`Literal`] does.
#[derive(Debug)]
#[must_use = "a response that is not finished ends the session"]
pub struct Ranges<'a> {
    core: &'a mut Core,
    any: bool,
}

impl Ranges<'_> {
    /// Writes the next range of numbers. Without any there is no ALL
    /// ([RFC 4731 §3.1](https://www.rfc-editor.org/rfc/rfc4731#section-3.1)).
    pub fn write(&mut self, range: &RangeInclusive<NonZeroU32>, out: &mut BytesMut) {
        let mut writer = Writer::new(self.core.wire(), out);
        writer.raw(if self.any { &b","[..] } else { b" ALL " });
        self.any = true;
        writer.number(u64::from(range.start().get()));
        if range.start() != range.end() {
            writer.octet(b':');
            writer.number(u64::from(range.end().get()));
        }
    }

    /// Ends the response.
    pub fn finish(self, out: &mut BytesMut) {
        self.core.literal = None;
        Writer::new(self.core.wire(), out).raw(b"\r\n");
    }
}

/// The client begins a login. `Debug` does not show the response.
#[must_use = "an event that is not answered is refused"]
pub struct Login<'s> {
    pub(super) core: &'s mut Core,
    pub(super) mechanism: Atom<'s>,
    pub(super) initial: Option<&'s [u8]>,
}

impl Login<'_> {
    /// The mechanism, one of those that were announced.
    pub fn mechanism(&self) -> &str {
        self.mechanism.as_str()
    }

    /// The initial response, decoded.
    pub const fn initial(&self) -> Option<&[u8]> {
        self.initial
    }
}

/// The client answers a challenge. `Debug` does not show the response.
#[must_use = "an event that is not answered is refused"]
pub struct LoginResponse<'s> {
    pub(super) core: &'s mut Core,
    pub(super) data: &'s [u8],
}

impl LoginResponse<'_> {
    /// The response, decoded.
    pub const fn data(&self) -> &[u8] {
        self.data
    }
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

impl fmt::Debug for LoginResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginResponse(..)")
    }
}

macro_rules! login_answers {
    ($event:ident) => {
        impl $event<'_> {
            /// Sends a challenge; the response comes as [`Event::LoginResponse`].
            pub fn challenge(self, challenge: &[u8], out: &mut BytesMut) {
                out.extend_from_slice(b"+ ");
                out.extend_from_slice(STANDARD.encode(challenge).as_bytes());
                out.extend_from_slice(b"\r\n");
                self.core.pending = None;
                self.core.restart = true;
                self.core.mode = Mode::Login;
            }

            /// Switches off what is not in this set: see [`Answer::restrict`].
            pub fn restrict(&mut self, to: Extensions) {
                self.core.restrict(to);
            }

            /// The client is who it says. Without a code, the capabilities are told.
            pub fn ok<'r>(self, reply: impl Into<Reply<'r>>, out: &mut BytesMut) {
                self.core.answer(Condition::Ok, reply.into(), out);
            }

            /// The login has failed.
            pub fn no<'r>(self, reply: impl Into<Reply<'r>>, out: &mut BytesMut) {
                self.core.answer(Condition::No, reply.into(), out);
            }

            /// Not understood, or an initial response to a mechanism that has none:
            /// [RFC 9051 §6.2.2](https://www.rfc-editor.org/rfc/rfc9051#section-6.2.2).
            pub fn bad<'r>(self, reply: impl Into<Reply<'r>>, out: &mut BytesMut) {
                self.core.answer(Condition::Bad, reply.into(), out);
            }
        }
    };
}

login_answers!(Login);
login_answers!(LoginResponse);

/// The client wants TLS.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct StartTls<'s> {
    pub(super) core: &'s mut Core,
}

impl StartTls<'_> {
    /// Begins TLS: the driver flushes, does the handshake, and calls
    /// [`handle_tls_started`](super::ServerSession::handle_tls_started).
    pub fn accept(self, out: &mut BytesMut) {
        let core = self.core;
        core.answer(Condition::Ok, "begin TLS".into(), out);
        core.mode = Mode::TlsWanted;
    }

    /// Not now.
    pub fn no<'r>(self, reply: impl Into<Reply<'r>>, out: &mut BytesMut) {
        self.core.answer(Condition::No, reply.into(), out);
    }
}

/// The client wants to add a message.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct AppendStart<'s> {
    pub(super) core: &'s mut Core,
    pub(super) append: Append<'s>,
    pub(super) size: u64,
    pub(super) non_sync: bool,
}

impl<'s> AppendStart<'s> {
    /// Mailbox, flags and date.
    pub const fn append(&self) -> &Append<'s> {
        &self.append
    }

    /// The size of the message in octets. It has been compared with the limit already.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Lets the message come, as [`Event::Chunk`]s.
    pub fn accept(self, out: &mut BytesMut) {
        if !self.non_sync {
            out.extend_from_slice(super::GO_ON);
        }
        self.core.pending = None;
        self.core.restart = true;
        self.core.mode = Mode::Append;
    }

    /// Not done, and the message is not read: TOOBIG, OVERQUOTA, TRYCREATE. If it comes anyway it is dropped, or the session
    /// ends ([`Limits::discard`](crate::Limits::discard)).
    pub fn no<'r>(self, reply: impl Into<Reply<'r>>, out: &mut BytesMut) {
        self.core.answer(Condition::No, reply.into(), out);
    }
}

/// The client wants to be told what happens.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct IdleStart<'s> {
    pub(super) core: &'s mut Core,
}

impl IdleStart<'_> {
    /// Sends data that is there already, before the client waits.
    pub fn untagged(&mut self, data: &Data<'_>, out: &mut BytesMut) {
        self.core.untagged(data, out);
    }

    /// From now on [`idling`](super::ServerSession::idling) takes data, until [`Event::IdleEnd`].
    pub fn accept(self, out: &mut BytesMut) {
        out.extend_from_slice(idle::WAITING);
        self.core.pending = None;
        self.core.restart = true;
        self.core.mode = Mode::Idle;
    }

    /// Not now.
    pub fn no<'r>(self, reply: impl Into<Reply<'r>>, out: &mut BytesMut) {
        self.core.answer(Condition::No, reply.into(), out);
    }
}

/// The client waits to be told what happens.
#[derive(Debug)]
pub struct Idling<'s> {
    pub(super) core: &'s mut Core,
}

impl Idling<'_> {
    /// Sends data.
    pub fn untagged(&mut self, data: &Data<'_>, out: &mut BytesMut) {
        self.core.untagged(data, out);
    }

    /// Whether the client has said that it knows CONDSTORE.
    pub const fn condstore(&self) -> bool {
        self.core.condstore
    }

    /// Whether the client has enabled IMAP4rev2.
    pub const fn rev2(&self) -> bool {
        self.core.rev2
    }
}

impl Core {
    pub(super) fn wire(&self) -> Wire {
        let names = if self.rev2 { Names::Utf8 } else { Names::Utf7 };
        Wire { names, ..Wire::default() }
    }

    pub(super) fn untagged(&self, data: &Data<'_>, out: &mut BytesMut) {
        let mut writer = Writer::new(self.wire(), out);
        writer.raw(b"* ");
        data.write(&mut writer);
        writer.raw(b"\r\n");
    }
}
