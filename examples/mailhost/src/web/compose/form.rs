//! The form, as it comes back: its fields first, then files, which go to the store while they come in.

use axum::extract::multipart::{Field, Multipart, MultipartError};

use super::fields::{Deed, Origin, is_id};
use super::letter::{Encoder, Sink, Unwritten, Writer};
use super::{save, send};
use crate::host::Host;
use crate::web::mail::Folders;
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;
use crate::writing::media_type;

/// What was filled in.
#[derive(Clone, Debug, Default)]
pub(super) struct Filled {
    pub(super) seal: String,
    /// What the message is called, before the `@` of its Message-ID: so it is the same one whoever sends it twice.
    pub(super) id: String,
    /// Why it is written.
    pub(super) origin: Option<Origin>,
    /// What it answers, by Message-ID.
    pub(super) references: String,
    /// Where its draft was.
    pub(super) draft: String,
    /// How many files it has.
    pub(super) attached: usize,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) cc: String,
    pub(super) bcc: String,
    pub(super) subject: String,
    pub(super) text: String,
    /// The button that was pressed.
    pub(super) deed: Deed,
}

/// What has become of the files of a form.
pub(super) enum Upload {
    None,
    /// A draft with all that was typed, the files it had, and the new ones.
    Written {
        writer: Box<Writer<'static>>,
        /// How many files it had.
        beside: usize,
    },
    Failed(Unwritten),
}

impl Filled {
    /// A form for a new message.
    pub(super) fn new(host: &Host) -> Result<Self, Problem> {
        Ok(Self { id: new_id(host)?, ..Self::default() })
    }

    /// Only what was typed, of somebody who is not signed in any more: what comes behind it is not read.
    pub(super) async fn read_fields(multipart: &mut Multipart) -> Result<Self, Problem> {
        let mut filled = Self::default();
        for _ in 0..FIELDS {
            match multipart.next_field().await.map_err(unreadable)? {
                Some(field) if field.name() != Some("file") => filled.take(field).await?,
                _ => break,
            }
        }
        Ok(filled)
    }

    /// All of it. Files become part of a draft that is not in the store yet.
    pub(super) async fn read(
        host: &Host,
        signed_in: &SignedIn,
        mut multipart: Multipart,
    ) -> Result<(Self, Upload), Problem> {
        let (mut filled, mut upload, mut files) = (Self::default(), Upload::None, 0);
        while let Some(mut field) = multipart.next_field().await.map_err(unreadable)? {
            if field.name() != Some("file") {
                filled.take(field).await?;
                continue;
            }
            let name = field.file_name().unwrap_or_default().to_owned();
            // A browser that has no file to send says so by an empty name; and nothing is kept for another session's form.
            if name.is_empty() || signed_in.check(&filled.seal).is_err() {
                while field.chunk().await.map_err(unreadable)?.is_some() {}
                continue;
            }
            if filled.id.is_empty() {
                filled.id = new_id(host)?;
            }
            files += 1;
            if files > FILES {
                upload = Upload::Failed(Unwritten::TooLarge);
            }
            let begun = match std::mem::replace(&mut upload, Upload::None) {
                Upload::None => begin(host, signed_in, &filled).await?,
                Upload::Written { writer, beside } => Ok((*writer, beside)),
                Upload::Failed(why) => Err(why),
            };
            upload = match begun {
                Ok((writer, beside)) => match receive(writer, &name, &mut field).await? {
                    Ok(writer) => Upload::Written { writer: Box::new(writer), beside },
                    Err(why) => Upload::Failed(why),
                },
                Err(why) => Upload::Failed(why),
            };
            // What is not taken is read over, so that the browser gets to hear why.
            while field.chunk().await.map_err(unreadable)?.is_some() {}
        }
        if !is_id(&filled.id) {
            filled.id = new_id(host)?;
        }
        Ok((filled, upload))
    }

    async fn take(&mut self, field: Field<'_>) -> Result<(), Problem> {
        let name = field.name().unwrap_or_default().to_owned();
        let most = if name == "text" { send::TEXT } else { LINE };
        let value = text(field, most).await?;
        match &*name {
            "seal" => self.seal = value,
            "id" => self.id = if is_id(&value) { value } else { String::new() },
            "origin" => self.origin = Origin::parse(&value),
            "references" => self.references = value,
            "draft" => self.draft = value,
            "attached" => self.attached = value.parse().unwrap_or_default(),
            "from" => self.from = value,
            "to" => self.to = value,
            "cc" => self.cc = value,
            "bcc" => self.bcc = value,
            "subject" => self.subject = value,
            "text" => self.text = value.replace("\r\n", "\n").replace('\r', "\n"),
            "do" => self.deed = Deed::parse(&value),
            _ => {}
        }
        Ok(())
    }
}

async fn text(mut field: Field<'_>, most: usize) -> Result<String, Problem> {
    let mut octets = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        if octets.len() + chunk.len() > most {
            return Err(Problem::TooLarge);
        }
        octets.extend_from_slice(&chunk);
    }
    // What a browser sends is UTF-8; what else comes has no better meaning.
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// Begins a draft with what was typed and the files there are; tells how many those are.
async fn begin(
    host: &Host,
    signed_in: &SignedIn,
    filled: &Filled,
) -> Result<Result<(Writer<'static>, usize), Unwritten>, Problem> {
    let folders = Folders::of(host, signed_in).await;
    let source = save::source(host, signed_in, &folders, filled).await?;
    let Some(incoming) = host.store.receive().await else { return Err(Problem::Unavailable) };
    if !host.has_room() {
        return Ok(Err(Unwritten::NoSpace));
    }
    let sink = Sink::Draft(Box::new(incoming.scanned()));
    let beside = source.as_ref().map_or(0, |source| source.files().len());
    let writer = save::begin(host, signed_in, sink, filled, source.as_ref(), true).await;
    Ok(writer.map(|writer| (writer, beside)))
}

async fn receive(
    mut writer: Writer<'static>,
    name: &str,
    field: &mut Field<'_>,
) -> Result<Result<Writer<'static>, Unwritten>, Problem> {
    // A browser may give a whole path.
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let name = if name.trim().is_empty() { "file".to_owned() } else { name };
    let kind = media_type(std::path::Path::new(&name));
    let mut encoder: Encoder = match writer.file(kind, &name).await {
        Ok(encoder) => encoder,
        Err(why) => return Ok(Err(why)),
    };
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        if let Err(why) = encoder.push(&mut writer, &chunk).await {
            return Ok(Err(why));
        }
    }
    Ok(encoder.end(&mut writer).await.map(|()| writer))
}

fn unreadable(error: MultipartError) -> Problem {
    match error.status() {
        axum::http::StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
        _ => Problem::Wrong("The form did not come through whole, so nothing was done.".to_owned()),
    }
}

/// A name that nobody can guess.
fn new_id(host: &Host) -> Result<String, Problem> {
    let mut octets = [0; 16];
    host.store.system().fill_random(&mut octets).map_err(|error| Problem::failed("a form", error))?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// Files that come at once.
const FILES: usize = 100;
/// More fields than the form has.
const FIELDS: usize = 30;
/// Octets of a line: enough for a hundred addresses with names.
const LINE: usize = 64 << 10;
