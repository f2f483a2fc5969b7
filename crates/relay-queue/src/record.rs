//! What is kept on stable storage: opaque keys and values, versioned, each within 64 KiB.
//!
//! ```text
//! key    message (8, big endian)  kind (1)  part (2, recipients only)
//! kind   0  of message 0: the number below which message identifiers may have been given out
//!        1  the message: envelope, time of acceptance, whether the sender has been warned
//!        2  up to 32 recipients: address and state
//! value  version (1)  and then, integers big endian, texts behind their length (2):
//!   0    identifier (8)
//!   1    written (8)  accepted (8)  body (8)  size (8)  tag (4)  flags (1)  recipients (4)  from  id
//!   2    written (8)  answers (2) { at (8)  code (2)  status (1 2 2)  host  text }
//!        recipients (2) { state (1)  notify (1)  tries (2)  next (8)  answer (2)  address  original }
//! ```
//!
//! Times are seconds since the UNIX epoch. An absent text is 65535.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::envelope::{Address, BodyHandle, MAX_RECIPIENTS, MessageId, Notify, printable};
use crate::error::RecordError;
use crate::outcome::{Answer, Status};
use crate::queue::message::{Last, Message, Name, Slot, State, Warning};
use crate::schedule::Time;

/// How many recipients share a record.
pub(crate) const PART: usize = 32;

/// A change of what is on stable storage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Sets a record.
    Put {
        /// At most 11 octets.
        key: Bytes,
        /// At most 64 KiB.
        value: Bytes,
    },
    /// Removes a record. That it is gone already is no error.
    Remove {
        /// Its key.
        key: Bytes,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    Ceiling,
    Message(MessageId),
    Part(MessageId, u16),
}

impl Key {
    pub(crate) fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(11);
        match self {
            Self::Ceiling => {
                out.put_u64(0);
                out.put_u8(0);
            }
            Self::Message(id) => {
                out.put_u64(id.0);
                out.put_u8(1);
            }
            Self::Part(id, part) => {
                out.put_u64(id.0);
                out.put_u8(2);
                out.put_u16(part);
            }
        }
        out.freeze()
    }

    pub(crate) fn decode(mut octets: &[u8]) -> Option<Self> {
        let id = octets.try_get_u64().ok()?;
        let key = match (octets.try_get_u8().ok()?, id) {
            (0, 0) => Self::Ceiling,
            (1, 1..) => Self::Message(MessageId(id)),
            (2, 1..) => Self::Part(MessageId(id), octets.try_get_u16().ok()?),
            _ => return None,
        };
        octets.is_empty().then_some(key)
    }
}

pub(crate) fn ceiling(id: u64) -> Change {
    let mut out = BytesMut::with_capacity(9);
    out.put_u8(VERSION);
    out.put_u64(id);
    Change::Put { key: Key::Ceiling.encode(), value: out.freeze() }
}

pub(crate) fn decode_ceiling(value: &[u8]) -> Result<u64, RecordError> {
    let mut octets = versioned(value)?;
    let id = octets.try_get_u64().map_err(|_| RecordError::Damaged)?;
    if octets.is_empty() { Ok(id) } else { Err(RecordError::Damaged) }
}

pub(crate) fn head(id: MessageId, message: &Message, now: Time) -> Change {
    let mut out = BytesMut::with_capacity(128);
    out.put_u8(VERSION);
    out.put_i64(now);
    out.put_i64(message.accepted);
    out.put_u64(message.body.0);
    out.put_u64(message.size);
    out.put_u32(message.tag);
    out.put_u8(u8::from(message.warning != Warning::None));
    out.put_u32(message.slots.len() as u32);
    text(message.from.as_ref().map(Address::as_str), &mut out);
    text(message.id.as_deref(), &mut out);
    Change::Put { key: Key::Message(id).encode(), value: out.freeze() }
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
/// A message whose recipients are still to come: how many, and when it was written.
pub(crate) struct Head {
    pub(crate) message: Message,
    pub(crate) recipients: usize,
    pub(crate) written: Time,
}

pub(crate) fn decode_head(value: &[u8]) -> Result<Head, RecordError> {
    let octets = versioned(value)?;
    read_head(octets).ok_or(RecordError::Damaged)
}

fn read_head(mut octets: &[u8]) -> Option<Head> {
    let written = time(&mut octets)?;
    let accepted = time(&mut octets)?;
    let body = BodyHandle(octets.try_get_u64().ok()?);
    let size = octets.try_get_u64().ok()?;
    let tag = octets.try_get_u32().ok()?;
    let warning = match octets.try_get_u8().ok()? {
        0 => Warning::None,
        1 => Warning::Told,
        _ => return None,
    };
    let recipients = octets.try_get_u32().ok()? as usize;
    if recipients == 0 || recipients > MAX_RECIPIENTS {
        return None;
    }
    let from = match read_text(&mut octets)? {
        Some(from) => Some(Address::new(from).ok()?),
        None => None,
    };
    let id = match read_text(&mut octets)? {
        Some(id) => Some(printable(id, 100).ok()?),
        None => None,
    };
    let message = Message {
        from,
        body,
        size,
        tag,
        id,
        accepted,
        warning,
        slots: Vec::new(),
        active: true,
        saving: false,
        listed: false,
        stalled: None,
        freed: Time::MIN / 2,
        deadline: None,
        facts: Vec::new(),
    };
    octets.is_empty().then_some(Head { message, recipients, written })
}

pub(crate) fn part(id: MessageId, number: usize, slots: &[Slot], now: Time) -> Change {
    let mut answers: Vec<&Last> = Vec::new();
    let mut recipients = BytesMut::with_capacity(64 * slots.len());
    for slot in slots {
        let answer = slot.last.as_ref().map_or(0, |last| {
            let found = answers.iter().position(|other| {
                other.at == last.at
                    && (other.answer.address() == last.answer.address() || other.answer == last.answer)
            });
            1 + found.unwrap_or_else(|| {
                answers.push(last);
                answers.len() - 1
            }) as u16
        });
        recipients.put_u8(match slot.state {
            // What is under way is not kept: after a crash it is due again.
            State::Waiting | State::Ready | State::Trying(_) => 0,
            State::Held => 1,
            State::Delivered => 2,
            State::Failed => 3,
            State::Dropped => 4,
        });
        recipients.put_u8(u8::from(slot.notify.failure) | u8::from(slot.notify.delay) << 1);
        recipients.put_u16(slot.tries);
        recipients.put_i64(slot.next);
        recipients.put_u16(answer);
        text(Some(slot.address.as_str()), &mut recipients);
        text(slot.original.as_deref(), &mut recipients);
    }
    let mut out = BytesMut::with_capacity(32 + 64 * answers.len() + recipients.len());
    out.put_u8(VERSION);
    out.put_i64(now);
    out.put_u16(answers.len() as u16);
    for last in answers {
        out.put_i64(last.at);
        out.put_u16(last.answer.code().unwrap_or(0));
        let status = last.answer.status().unwrap_or(Status::new(0, 0, 0));
        out.put_u8(status.class);
        out.put_u16(status.subject);
        out.put_u16(status.detail);
        text(last.answer.host(), &mut out);
        text(Some(last.answer.text()), &mut out);
    }
    out.put_u16(slots.len() as u16);
    out.put_slice(&recipients);
    Change::Put { key: Key::Part(id, number as u16).encode(), value: out.freeze() }
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) slots: Vec<Slot>,
    pub(crate) written: Time,
}

/// `share` gives one of a kind: the name of a domain, and an answer that others have as well.
pub(crate) fn decode_part(
    value: &[u8],
    name: impl FnMut(&str) -> Name,
    share: impl FnMut(Last) -> Last,
) -> Result<Part, RecordError> {
    let octets = versioned(value)?;
    read_part(octets, name, share).ok_or(RecordError::Damaged)
}

fn read_part(
    mut octets: &[u8],
    mut name: impl FnMut(&str) -> Name,
    mut share: impl FnMut(Last) -> Last,
) -> Option<Part> {
    let written = time(&mut octets)?;
    let mut answers = Vec::new();
    for _ in 0..octets.try_get_u16().ok()? {
        let at = time(&mut octets)?;
        let code = octets.try_get_u16().ok()?;
        let class = octets.try_get_u8().ok()?;
        let status = Status::new(class, octets.try_get_u16().ok()?, octets.try_get_u16().ok()?);
        let status = (class != 0).then_some(status);
        let host = read_text(&mut octets)?;
        let mut answer = Answer::reply(code, status, read_text(&mut octets)??);
        if let Some(host) = host {
            answer = answer.by(host);
        }
        answers.push(share(Last { at, answer }));
    }
    let mut slots = Vec::new();
    for _ in 0..octets.try_get_u16().ok()? {
        let state = match octets.try_get_u8().ok()? {
            0 => State::Waiting,
            1 => State::Held,
            2 => State::Delivered,
            3 => State::Failed,
            4 => State::Dropped,
            _ => return None,
        };
        let notify = octets.try_get_u8().ok()?;
        if notify > 3 {
            return None;
        }
        let tries = octets.try_get_u16().ok()?;
        let next = time(&mut octets)?;
        let last = match octets.try_get_u16().ok()? {
            0 => None,
            number => Some(answers.get(usize::from(number) - 1)?.clone()),
        };
        let address = Address::new(read_text(&mut octets)??).ok()?;
        let original = match read_text(&mut octets)? {
            Some(original) => Some(printable(original, 500).ok()?),
            None => None,
        };
        slots.push(Slot {
            domain: name(&address.domain()),
            address,
            original,
            site: None,
            state,
            next,
            last,
            tries,
            notify: Notify { failure: notify & 1 != 0, delay: notify & 2 != 0 },
            unsaved: false,
            saving: false,
            wish: None,
        });
    }
    (octets.is_empty() && !slots.is_empty() && slots.len() <= PART).then_some(Part { slots, written })
}

fn versioned(value: &[u8]) -> Result<&[u8], RecordError> {
    match value.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((&version, _)) if version > VERSION => Err(RecordError::Newer(version)),
        _ => Err(RecordError::Damaged),
    }
}

fn text(text: Option<&str>, out: &mut BytesMut) {
    match text {
        Some(text) => {
            out.put_u16(text.len() as u16);
            out.put_slice(text.as_bytes());
        }
        None => out.put_u16(ABSENT),
    }
}

fn read_text<'a>(octets: &mut &'a [u8]) -> Option<Option<&'a str>> {
    let length = octets.try_get_u16().ok()?;
    if length == ABSENT {
        return Some(None);
    }
    let (text, rest) = octets.split_at_checked(usize::from(length))?;
    *octets = rest;
    Some(Some(core::str::from_utf8(text).ok()?))
}

/// Within what cannot overflow, whatever is in the record.
fn time(octets: &mut &[u8]) -> Option<Time> {
    octets.try_get_i64().ok().filter(|time| time.unsigned_abs() <= 1 << 42)
}

const VERSION: u8 = 1;
const ABSENT: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_largest_record_fits_into_64_kib() {
        let slots = (0..PART).map(|number| {
            let address = format!("{}@{}", "a".repeat(60), "b".repeat(193));
            let mut answer = Answer::reply(450, Some(Status::new(4, 999, 999)), &format!("{number:x<600}"));
            answer = answer.by(&"h".repeat(300));
            Slot {
                address: Address::new(&address).expect("good"),
                original: Some("o".repeat(500).into()),
                domain: Arc::from("b"),
                site: None,
                state: State::Waiting,
                next: 0,
                last: Some(Last { at: 0, answer }),
                tries: 0,
                notify: Notify::DEFAULT,
                unsaved: false,
                saving: false,
                wish: None,
            }
        });
        let Change::Put { value, .. } = part(MessageId(1), 0, &slots.collect::<Vec<_>>(), 0) else {
            unreachable!("a part is put")
        };
        assert!(value.len() < 64 << 10, "{}", value.len());
        let part = decode_part(&value, |name| Arc::from(name), |last| last).expect("reads back");
        assert_eq!(part.slots.len(), PART);
        for length in (0..value.len()).step_by(211) {
            assert!(decode_part(&value[..length], |name| Arc::from(name), |last| last).is_err());
        }
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        assert_eq!(decode_ceiling(&[2, 0]), Err(RecordError::Newer(2)));
        assert_eq!(decode_ceiling(&[0, 0]), Err(RecordError::Damaged));
        assert_eq!(decode_ceiling(&[]), Err(RecordError::Damaged));
    }

    #[test]
    fn an_index_is_about_two_hundred_octets_a_recipient() {
        assert!(size_of::<Slot>() <= 128, "{}", size_of::<Slot>());
        assert!(size_of::<Message>() <= 216, "{}", size_of::<Message>());
    }
}
