//! Records: what they hold and how they are laid out.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::index::{Highest, What};
use crate::mailbox::{AccountId, MailboxId, ModSeq, Uid, UidValidity};
use crate::message::{BodyId, UnixTime};

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
    /// A mailbox that was made; or its numbers as they were when the records went of which they followed.
    Mailbox {
        id: MailboxId,
        account: AccountId,
        uid_validity: UidValidity,
        /// The identifier of the next message; beyond all of them when they are used up.
        uid_next: u64,
        mod_seq: ModSeq,
        name: String,
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
            Self::Mailbox { id, account, uid_validity, uid_next, mod_seq, name } => {
                out.put_u64_le(id.0);
                out.put_u64_le(account.0);
                out.put_u32_le(uid_validity.get());
                out.put_u64_le(*uid_next);
                out.put_u64_le(mod_seq.0);
                out.put_slice(name.as_bytes());
            }
            Self::DeleteMailbox { id } => out.put_u64_le(id.0),
            Self::Deliver { mailbox, uid, mod_seq, date, body, prefix } => {
                out.put_u64_le(mailbox.0);
                out.put_u32_le(uid.get());
                out.put_u64_le(mod_seq.0);
                out.put_i64_le(date.0);
                out.put_u64_le(body.0);
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
        }
    }

    /// Reads a payload whose checksum was right. `None` is a record that no version so far has written.
    pub(crate) fn decode(kind: u8, mut payload: Bytes) -> Option<Self> {
        let record = match kind {
            1 => Self::Body { id: body(&mut payload)?, data: payload.split_off(0) },
            2 => Self::BodyFile { id: body(&mut payload)?, size: payload.try_get_u64_le().ok()? },
            3 => Self::Mailbox {
                id: mailbox(&mut payload)?,
                account: AccountId(payload.try_get_u64_le().ok()?),
                uid_validity: UidValidity::new(payload.try_get_u32_le().ok()?)?,
                uid_next: payload.try_get_u64_le().ok()?,
                mod_seq: ModSeq(payload.try_get_u64_le().ok()?),
                name: String::from_utf8(payload.split_off(0).into()).ok()?,
            },
            4 => Self::DeleteMailbox { id: mailbox(&mut payload)? },
            5 => Self::Deliver {
                mailbox: mailbox(&mut payload)?,
                uid: uid(&mut payload)?,
                mod_seq: ModSeq(payload.try_get_u64_le().ok()?),
                date: UnixTime(payload.try_get_i64_le().ok()?),
                body: body(&mut payload)?,
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

fn body(payload: &mut Bytes) -> Option<BodyId> {
    payload.try_get_u64_le().ok().map(BodyId)
}

fn mailbox(payload: &mut Bytes) -> Option<MailboxId> {
    payload.try_get_u64_le().ok().map(MailboxId)
}

fn uid(payload: &mut Bytes) -> Option<Uid> {
    Uid::new(payload.try_get_u32_le().ok()?)
}

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
                name: "INBOX".to_owned(),
            },
            Record::DeleteMailbox { id: mailbox },
            Record::Deliver {
                mailbox,
                uid: Uid::FIRST,
                mod_seq,
                date: UnixTime(-1),
                body,
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
        ]
    }

    #[test]
    fn records_are_read_back_as_written() {
        for record in samples() {
            let mut out = BytesMut::new();
            record.encode(&mut out);
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
                Record::Body { .. } | Record::Mailbox { .. } | Record::Deliver { .. } | Record::Put { .. }
            );
            for length in 0..whole.len() {
                let cut = Record::decode(record.kind(), whole.slice(..length));
                assert!(cut.is_none() || variable, "{record:?} cut to {length}");
                assert_ne!(cut, Some(record.clone()));
            }
        }
    }
}
