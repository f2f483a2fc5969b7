//! What import, export and backup say over the administration socket once they have been asked for.

use std::io;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::import::Totals;

/// One thing that is said, in either direction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// What follows is in this mailbox.
    Mailbox(MailboxHead),
    /// A message begins.
    Message(MessageHead),
    /// Some of its octets, up to [`Frame::MOST`].
    Data(Bytes),
    /// It has ended.
    End,
    /// It cannot be read to its end: there is none.
    GiveUp,
    /// A name that the account has subscribed to.
    Subscribe(String),
    /// What else there is to say.
    Told(Told),
    /// There is no more.
    Done,
}

/// A mailbox.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct MailboxHead {
    /// Its name, its levels divided by `/`.
    pub name: String,
    /// On import: a mailbox with another name may stand for it, if both are for drafts, say.
    #[serde(default)]
    pub similar: bool,
    /// On export: how many messages it has.
    #[serde(default)]
    pub messages: u64,
    /// On export: its UIDVALIDITY.
    #[serde(default)]
    pub uid_validity: u32,
}

/// A message.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct MessageHead {
    /// Where it comes from, for people.
    pub origin: String,
    /// Its flags and keywords, as IMAP writes them.
    pub flags: Vec<String>,
    /// When it was received, in seconds since 1970.
    pub date: i64,
    /// On export: its octets.
    #[serde(default)]
    pub size: u64,
    /// On export: its UID.
    #[serde(default)]
    pub uid: u32,
}

/// What a host says about its work.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// So far.
    Progress(Totals),
    /// A message was not taken, or not as it was: which, and why.
    About(String, String),
    /// To an export: how many messages there are.
    Messages(u64),
    /// To a backup: what is to be copied.
    Files(Vec<FileEntry>),
    /// To a backup: octets that may stand behind the last segment, in hexadecimal.
    Seal(String),
    /// An import is over, and durable.
    Imported(Totals),
    /// It was not done, or not to its end: one sentence.
    Failed(String),
}

/// The beginning of a file of a store.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FileEntry {
    /// Where it is, within the store.
    pub path: String,
    /// How many octets of it count.
    pub length: u64,
    /// What tells a segment from another store's; 0 for other files.
    #[serde(default)]
    pub identity: u64,
}

impl Frame {
    /// The most octets of a message that go into one frame.
    pub const MOST: usize = 64 << 10;

    /// Writes it: a letter, the length of what follows, and that.
    pub async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let (kind, payload): (u8, Bytes) = match self {
            Self::Mailbox(head) => (b'B', serde_json::to_vec(head)?.into()),
            Self::Message(head) => (b'M', serde_json::to_vec(head)?.into()),
            Self::Data(octets) => (b'D', octets.clone()),
            Self::End => (b'E', Bytes::new()),
            Self::GiveUp => (b'G', Bytes::new()),
            Self::Subscribe(name) => (b'S', Bytes::copy_from_slice(name.as_bytes())),
            Self::Told(told) => (b'T', serde_json::to_vec(told)?.into()),
            Self::Done => (b'Z', Bytes::new()),
        };
        let length = u32::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        to.write_u8(kind).await?;
        to.write_u32(length).await?;
        to.write_all(&payload).await
    }

    /// Reads one; `None` at the end.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let kind = match from.read_u8().await {
            Ok(kind) => kind,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = from.read_u32().await? as usize;
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut payload = BytesMut::zeroed(length);
        from.read_exact(&mut payload).await?;
        Ok(Some(match kind {
            b'B' => Self::Mailbox(serde_json::from_slice(&payload)?),
            b'M' => Self::Message(serde_json::from_slice(&payload)?),
            b'D' => Self::Data(payload.freeze()),
            b'E' => Self::End,
            b'G' => Self::GiveUp,
            b'S' => Self::Subscribe(String::from_utf8_lossy(&payload).into_owned()),
            b'T' => Self::Told(serde_json::from_slice(&payload)?),
            b'Z' => Self::Done,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }))
    }
}

/// Octets of a frame.
const LONGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_back() {
        let name = "a/b".to_owned();
        let frames = [
            Frame::Mailbox(MailboxHead { name: name.clone(), similar: true, ..MailboxHead::default() }),
            Frame::Message(MessageHead { flags: vec!["\\Seen".to_owned()], date: -5, ..Default::default() }),
            Frame::Data(Bytes::from_static(b"\0\r\n\xff")),
            Frame::End,
            Frame::GiveUp,
            Frame::Subscribe(name),
            Frame::Told(Told::Imported(Totals { imported: 3, ..Totals::default() })),
            Frame::Done,
        ];
        let mut octets = Vec::new();
        for frame in &frames {
            frame.write(&mut octets).await.unwrap();
        }
        let mut rest = &octets[..];
        for frame in frames {
            assert_eq!(Frame::read(&mut rest).await.unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut rest).await.unwrap(), None);
        assert!(Frame::read(&mut &b"D\xff\xff\xff\xff"[..]).await.is_err());
        assert!(Frame::read(&mut &b"?\0\0\0\0"[..]).await.is_err());
    }
}
