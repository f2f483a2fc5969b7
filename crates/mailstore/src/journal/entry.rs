//! Records: what they hold and how they are laid out.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::index::{Allowance, BODY_FIXED, DELIVER_FIXED, Highest, What};
use crate::mailbox::{AccountId, MailboxId, ModSeq, SpecialUse, Uid, UidValidity};
use crate::message::flags::MAX_KEYWORDS;
use crate::message::{BodyId, Flags, UnixTime};

/// A record of the journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Record {
    /// A body that lies here.
    Body {
        id: BodyId,
        data: Bytes,
    },
    /// A body that lies in a file of its own, which was synced before this was written.
    BodyFile {
        id: BodyId,
        size: u64,
    },
    /// A mailbox that was made, or has another name or one more keyword; or its numbers as they were when the records went of
    /// which they followed.
    Mailbox {
        id: MailboxId,
        account: AccountId,
        uid_validity: UidValidity,
        /// The identifier of the next message; beyond all of them when they are used up.
        uid_next: u64,
        mod_seq: ModSeq,
        special_use: Option<SpecialUse>,
        name: String,
        keywords: Arc<[String]>,
    },
    DeleteMailbox {
        id: MailboxId,
    },
    Deliver {
        mailbox: MailboxId,
        uid: Uid,
        mod_seq: ModSeq,
        date: UnixTime,
        body: BodyId,
        /// As they were when this was written, the mod-sequence too: a copy says what is.
        flags: Flags,
        prefix: Bytes,
    },
    Expunge {
        mailbox: MailboxId,
        uid: Uid,
        mod_seq: ModSeq,
    },
    Put {
        table: u16,
        key: Bytes,
        value: Bytes,
    },
    Remove {
        table: u16,
        key: Bytes,
        what: What,
    },
    /// Ends a batch.
    Batch {
        /// Where its first record begins.
        first: u64,
        /// How many records stand before this one in the batch.
        records: u32,
        /// Everything below this offset of the segment was synced when this was written.
        synced: u64,
    },
    /// The last record of a segment that was closed in order.
    Seal {
        synced: u64,
    },
    /// A record of the caller's holds a body.
    Hold {
        body: BodyId,
        table: u16,
        key: Bytes,
    },
    /// The highest identifiers as they were when the records went of which they followed.
    Highest(Highest),
    /// A message has other flags.
    Flags {
        mailbox: MailboxId,
        uid: Uid,
        mod_seq: ModSeq,
        flags: Flags,
    },
    /// What the caller has found out about a body.
    Structure {
        body: BodyId,
        data: Bytes,
    },
    /// How much an account may have. One without any limit takes back what stood before.
    Quota {
        account: AccountId,
        allowance: Allowance,
    },
}

impl Record {
    pub(crate) const fn kind(&self) -> u8 {
        match self {
            Self::Body { .. } => 1,
            Self::BodyFile { .. } => 2,
            Self::Mailbox { .. } => 3,
            Self::DeleteMailbox { .. } => 4,
            Self::Deliver { .. } => 5,
            Self::Expunge { .. } => 6,
            Self::Put { .. } => 7,
            Self::Remove { .. } => 8,
            Self::Batch { .. } => 9,
            Self::Seal { .. } => 10,
            Self::Hold { .. } => 11,
            Self::Highest(_) => 12,
            Self::Flags { .. } => 13,
            Self::Structure { .. } => 14,
            Self::Quota { .. } => 15,
        }
    }

    /// How long the payload is.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Body { data, .. } | Self::Structure { data, .. } => usize::from(BODY_FIXED) + data.len(),
            Self::Mailbox { name, keywords, .. } => mailbox_length(name, keywords),
            Self::DeleteMailbox { .. } | Self::Seal { .. } => 8,
            Self::Deliver { prefix, .. } => usize::from(DELIVER_FIXED) + prefix.len(),
            Self::BodyFile { .. } => 16,
            Self::Expunge { .. } | Self::Batch { .. } | Self::Highest(_) => 20,
            Self::Put { key, value, .. } => 4 + key.len() + value.len(),
            Self::Remove { key, .. } => 5 + key.len(),
            Self::Hold { key, .. } => 12 + key.len(),
            Self::Flags { .. } => 28,
            Self::Quota { .. } => 24,
        }
    }

    /// Writes the payload.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Body { id, data } => {
                out.put_u64_le(id.0);
                out.put_slice(data);
            }
            Self::BodyFile { id, size } => {
                out.put_u64_le(id.0);
                out.put_u64_le(*size);
            }
            Self::Mailbox { id, account, uid_validity, uid_next, mod_seq, special_use, name, keywords } => {
                out.put_u64_le(id.0);
                out.put_u64_le(account.0);
                out.put_u32_le(uid_validity.get());
                out.put_u64_le(*uid_next);
                out.put_u64_le(mod_seq.0);
                put_names(*special_use, name, keywords, out);
            }
            Self::DeleteMailbox { id } => out.put_u64_le(id.0),
            Self::Deliver { mailbox, uid, mod_seq, date, body, flags, prefix } => {
                out.put_u64_le(mailbox.0);
                out.put_u32_le(uid.get());
                out.put_u64_le(mod_seq.0);
                out.put_i64_le(date.0);
                out.put_u64_le(body.0);
                out.put_u64_le(flags.0);
                out.put_slice(prefix);
            }
            Self::Expunge { mailbox, uid, mod_seq } => {
                out.put_u64_le(mailbox.0);
                out.put_u32_le(uid.get());
                out.put_u64_le(mod_seq.0);
            }
            Self::Put { table, key, value } => {
                put_key(*table, key, out);
                out.put_slice(value);
            }
            Self::Remove { table, key, what } => {
                put_key(*table, key, out);
                out.put_u8(u8::from(what.value) | u8::from(what.hold) << 1);
            }
            Self::Batch { first, records, synced } => {
                out.put_u64_le(*first);
                out.put_u32_le(*records);
                out.put_u64_le(*synced);
            }
            Self::Seal { synced } => out.put_u64_le(*synced),
            Self::Hold { body, table, key } => {
                out.put_u64_le(body.0);
                put_key(*table, key, out);
            }
            Self::Highest(highest) => {
                out.put_u64_le(highest.body);
                out.put_u64_le(highest.mailbox);
                out.put_u32_le(highest.uid_validity);
            }
            Self::Flags { mailbox, uid, mod_seq, flags } => {
                out.put_u64_le(mailbox.0);
                out.put_u32_le(uid.get());
                out.put_u64_le(mod_seq.0);
                out.put_u64_le(flags.0);
            }
            Self::Structure { body, data } => {
                out.put_u64_le(body.0);
                out.put_slice(data);
            }
            Self::Quota { account, allowance } => {
                out.put_u64_le(account.0);
                out.put_u64_le(allowance.octets.unwrap_or(NO_LIMIT));
                out.put_u64_le(allowance.messages.unwrap_or(NO_LIMIT));
            }
        }
    }

    /// Reads a payload whose checksum was right. `None` is a record that no version so far has written.
    pub(crate) fn decode(kind: u8, mut payload: Bytes) -> Option<Self> {
        let record = match kind {
            1 => Self::Body { id: body(&mut payload)?, data: payload.split_off(0) },
            2 => Self::BodyFile { id: body(&mut payload)?, size: payload.try_get_u64_le().ok()? },
            3 => {
                let id = mailbox(&mut payload)?;
                let account = AccountId(payload.try_get_u64_le().ok()?);
                let uid_validity = UidValidity::new(payload.try_get_u32_le().ok()?)?;
                let uid_next = payload.try_get_u64_le().ok()?;
                let mod_seq = ModSeq(payload.try_get_u64_le().ok()?);
                let (special_use, name, keywords) = get_names(&mut payload)?;
                Self::Mailbox { id, account, uid_validity, uid_next, mod_seq, special_use, name, keywords }
            }
            4 => Self::DeleteMailbox { id: mailbox(&mut payload)? },
            5 => Self::Deliver {
                mailbox: mailbox(&mut payload)?,
                uid: uid(&mut payload)?,
                mod_seq: ModSeq(payload.try_get_u64_le().ok()?),
                date: UnixTime(payload.try_get_i64_le().ok()?),
                body: body(&mut payload)?,
                flags: Flags(payload.try_get_u64_le().ok()?),
                prefix: payload.split_off(0),
            },
            6 => Self::Expunge {
                mailbox: mailbox(&mut payload)?,
                uid: uid(&mut payload)?,
                mod_seq: ModSeq(payload.try_get_u64_le().ok()?),
            },
            7 => {
                let (table, key) = get_key(&mut payload)?;
                Self::Put { table, key, value: payload.split_off(0) }
            }
            8 => {
                let (table, key) = get_key(&mut payload)?;
                let what = payload.try_get_u8().ok().filter(|what| (1..4).contains(what))?;
                Self::Remove { table, key, what: What { value: what & 1 != 0, hold: what & 2 != 0 } }
            }
            9 => Self::Batch {
                first: payload.try_get_u64_le().ok()?,
                records: payload.try_get_u32_le().ok()?,
                synced: payload.try_get_u64_le().ok()?,
            },
            10 => Self::Seal { synced: payload.try_get_u64_le().ok()? },
            11 => {
                let body = body(&mut payload)?;
                let (table, key) = get_key(&mut payload)?;
                Self::Hold { body, table, key }
            }
            12 => Self::Highest(Highest {
                body: payload.try_get_u64_le().ok()?,
                mailbox: payload.try_get_u64_le().ok()?,
                uid_validity: payload.try_get_u32_le().ok()?,
            }),
            13 => Self::Flags {
                mailbox: mailbox(&mut payload)?,
                uid: uid(&mut payload)?,
                mod_seq: ModSeq(payload.try_get_u64_le().ok()?),
                flags: Flags(payload.try_get_u64_le().ok()?),
            },
            14 => Self::Structure { body: body(&mut payload)?, data: payload.split_off(0) },
            15 => Self::Quota {
                account: AccountId(payload.try_get_u64_le().ok()?),
                allowance: Allowance {
                    octets: limit(payload.try_get_u64_le().ok()?),
                    messages: limit(payload.try_get_u64_le().ok()?),
                },
            },
            _ => return None,
        };
        payload.is_empty().then_some(record)
    }
}

fn put_key(table: u16, key: &Bytes, out: &mut BytesMut) {
    out.put_u16_le(table);
    out.put_u16_le(u16::try_from(key.len()).expect("keys are checked when a commit comes in"));
    out.put_slice(key);
}

fn get_key(payload: &mut Bytes) -> Option<(u16, Bytes)> {
    let table = payload.try_get_u16_le().ok()?;
    let length = usize::from(payload.try_get_u16_le().ok()?);
    (payload.len() >= length).then(|| (table, payload.split_to(length)))
}

/// What a mailbox is for and called, and its keywords, as a record and a snapshot have them.
pub(crate) fn put_names(
    special_use: Option<SpecialUse>,
    name: &str,
    keywords: &[String],
    out: &mut BytesMut,
) {
    out.put_u8(SpecialUse::number(special_use));
    out.put_u8(u8::try_from(keywords.len()).expect("there are 56 at most"));
    out.put_u16_le(u16::try_from(name.len()).expect("names are checked when a commit comes in"));
    out.put_slice(name.as_bytes());
    for keyword in keywords {
        out.put_u8(u8::try_from(keyword.len()).expect("keywords are checked when a commit comes in"));
        out.put_slice(keyword.as_bytes());
    }
}

pub(crate) fn get_names(payload: &mut Bytes) -> Option<(Option<SpecialUse>, String, Arc<[String]>)> {
    let special_use = SpecialUse::from_number(payload.try_get_u8().ok()?)?;
    let count = usize::from(payload.try_get_u8().ok()?);
    if count > MAX_KEYWORDS {
        return None;
    }
    let length = usize::from(payload.try_get_u16_le().ok()?);
    let name = get_text(payload, length)?;
    let mut keywords = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::from(payload.try_get_u8().ok()?);
        keywords.push(get_text(payload, length)?);
    }
    Some((special_use, name, keywords.into()))
}

fn get_text(payload: &mut Bytes, length: usize) -> Option<String> {
    let text = (payload.len() >= length).then(|| payload.split_to(length))?;
    String::from_utf8(text.into()).ok()
}

/// How long the payload of the record of a mailbox is.
pub(crate) fn mailbox_length(name: &str, keywords: &[String]) -> usize {
    MAILBOX_FIXED + name.len() + keywords.iter().map(|keyword| 1 + keyword.len()).sum::<usize>()
}

fn limit(number: u64) -> Option<u64> {
    (number != NO_LIMIT).then_some(number)
}

fn body(payload: &mut Bytes) -> Option<BodyId> {
    payload.try_get_u64_le().ok().map(BodyId)
}

fn mailbox(payload: &mut Bytes) -> Option<MailboxId> {
    payload.try_get_u64_le().ok().map(MailboxId)
}

fn uid(payload: &mut Bytes) -> Option<Uid> {
    Uid::new(payload.try_get_u32_le().ok()?)
}

/// Octets of the record of a mailbox without its name and its keywords.
const MAILBOX_FIXED: usize = 40;
/// Where there is no limit. Nobody has as much.
pub(crate) const NO_LIMIT: u64 = u64::MAX;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One record of each kind.
    pub(crate) fn samples() -> Vec<Record> {
        let (mailbox, mod_seq, body) = (MailboxId(3), ModSeq(5), BodyId(9));
        vec![
            Record::Body { id: body, data: Bytes::from_static(b"Subject: x\r\n\r\ny\r\n") },
            Record::BodyFile { id: BodyId(10), size: 70_000 },
            Record::Mailbox {
                id: mailbox,
                account: AccountId(2),
                uid_validity: UidValidity::new(77).expect("not zero"),
                uid_next: 6,
                mod_seq,
                special_use: Some(SpecialUse::Junk),
                name: "INBOX".to_owned(),
                keywords: ["$Forwarded".to_owned(), "x".to_owned()].into(),
            },
            Record::DeleteMailbox { id: mailbox },
            Record::Deliver {
                mailbox,
                uid: Uid::FIRST,
                mod_seq,
                date: UnixTime(-1),
                body,
                flags: Flags(0x101),
                prefix: Bytes::from_static(b"Return-Path: <>\r\n"),
            },
            Record::Expunge { mailbox, uid: Uid::FIRST, mod_seq },
            Record::Put { table: 1, key: Bytes::from_static(b"k"), value: Bytes::from_static(b"v") },
            Record::Remove {
                table: 1,
                key: Bytes::from_static(b"k"),
                what: What { value: true, hold: false },
            },
            Record::Batch { first: 8_192, records: 8, synced: 8_192 },
            Record::Seal { synced: 9_000 },
            Record::Hold { body, table: 1, key: Bytes::from_static(b"k") },
            Record::Highest(Highest { body: 12, mailbox: 4, uid_validity: 78 }),
            Record::Flags { mailbox, uid: Uid::FIRST, mod_seq, flags: Flags(0x102) },
            Record::Structure { body, data: Bytes::from_static(b"structure") },
            Record::Quota {
                account: AccountId(2),
                allowance: Allowance { octets: Some(1_000), messages: None },
            },
        ]
    }

    #[test]
    fn records_are_read_back_as_written() {
        for record in samples() {
            let mut out = BytesMut::new();
            record.encode(&mut out);
            assert_eq!(out.len(), record.length());
            assert_eq!(Record::decode(record.kind(), out.freeze()), Some(record));
        }
    }

    #[test]
    fn a_payload_cut_short_is_no_record() {
        for record in samples() {
            let mut out = BytesMut::new();
            record.encode(&mut out);
            let whole = out.freeze();
            let variable = matches!(
                record,
                Record::Body { .. } | Record::Deliver { .. } | Record::Put { .. } | Record::Structure { .. }
            );
            for length in 0..whole.len() {
                let cut = Record::decode(record.kind(), whole.slice(..length));
                assert!(cut.is_none() || variable, "{record:?} cut to {length}");
                assert_ne!(cut, Some(record.clone()));
            }
        }
    }
}
