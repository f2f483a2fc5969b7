//! `mailhost client send`

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use smtp_codec::client::{Envelope, Outcome};
use smtp_codec::command::Body;
use smtp_codec::{Domain, ForwardPath, Mailbox, ReversePath};
use time::OffsetDateTime;

use super::progress::Progress;
use super::{Failure, target};
use crate::cli::client::Send;
use crate::client::compose::Draft;
use crate::client::message::{Missing, Outgoing, temporary};
use crate::client::settings::Protocol;
use crate::client::smtp::Smtp;
use crate::client::{ClientError, shown};
use crate::commands::output::output;
use crate::logs::Safe;
use crate::words::number;
use crate::writing::{Party, mailbox};

/// A message with its envelope.
struct Letter {
    from: Mailbox<'static>,
    to: Vec<Mailbox<'static>>,
    message: Outgoing,
}

pub(super) async fn run(command: &Send) -> Result<ExitCode, Failure> {
    let stdin_is_read = command.file.as_deref().is_some_and(is_stdin)
        || command.text_file.as_deref().is_some_and(is_stdin)
        || command.file.is_none() && wants_text(command);
    if command.connection.password_stdin && stdin_is_read {
        return Err(Failure::new(
            "standard input cannot be both the password and the message; put one of them into a file: --password-file, \
             --file, --text-file",
        ));
    }
    let target = target(&command.connection, Protocol::Smtp).await?;
    let from = command.from.as_deref().or(target.from.as_deref());
    let mut letter = match &command.file {
        Some(file) => Letter::read(command, file, from)?,
        None => Letter::compose(command, from)?,
    };
    let name = Domain::parse(EHLO)?;
    let mut smtp = Smtp::open(&target.server, &name, target.login.map(Arc::new)).await?;
    let envelope = letter.envelope(&smtp)?;
    let progress = Progress::new(letter.message.size());
    let sent = {
        let mut octets = letter.message.octets(|count| progress.add(count))?;
        smtp.send(envelope, &mut octets).await?
    };
    drop(progress);
    smtp.quit().await;

    let mut out = output();
    for (to, reply) in letter.to.iter().zip(&sent.recipients) {
        writeln!(out, "{}: {}", to.as_str(), Safe(shown(reply)))?;
    }
    let refused = sent.recipients.iter().filter(|reply| reply.is_negative()).count();
    match sent.outcome {
        Some(Outcome::Taken(reply)) => {
            writeln!(out, "message: {}", Safe(shown(&reply)))?;
            if refused == 0 {
                return Ok(ExitCode::SUCCESS);
            }
            let all = number(letter.to.len() as u64, "recipient");
            Err(Failure::new(format!("{refused} of {all} refused; the message went to the others")))
        }
        Some(Outcome::Refused { reply, .. }) if refused == letter.to.len() => {
            let all = if refused == 1 { "the recipient was" } else { "all recipients were" };
            Err(Failure::new(format!(
                "nothing was sent: {all} refused, at last with {}",
                Safe(shown(&reply))
            )))
        }
        Some(Outcome::Refused { reply, .. }) => {
            Err(Failure::new(format!("nothing was sent: the server says {}", Safe(shown(&reply)))))
        }
        None => Err(Failure::new("nothing was sent: the server has not said why")),
    }
}

impl Letter {
    /// A message that is there.
    fn read(command: &Send, file: &Path, from: Option<&str>) -> Result<Self, Failure> {
        let typed = from.map(Party::parse).transpose()?;
        let domain = typed.as_ref().map(|party| party.address.domain().as_str().to_owned());
        let missing = Missing::new(domain.as_deref().unwrap_or("localhost"), OffsetDateTime::now_utc())?;
        let message = if is_stdin(file) {
            Outgoing::spooled(&mut io::stdin().lock(), &missing)?
        } else {
            let opened = File::open(file).map_err(|error| {
                Failure::new(format!("cannot read the message {}: {error}", Safe(file.display())))
            })?;
            if opened.metadata()?.is_file() {
                Outgoing::new(opened, &missing)?
            } else {
                // A pipe can be read once only.
                Outgoing::spooled(&mut { opened }, &missing)?
            }
        };
        let mut to = Vec::new();
        for address in &command.recipients {
            add(&mut to, mailbox(address)?);
        }
        if command.read_recipients {
            message.recipients().iter().for_each(|address| add(&mut to, address.clone()));
        }
        if to.is_empty() {
            return Err(Failure::new(if command.read_recipients {
                "the message names nobody in To, Cc or Bcc"
            } else {
                "to whom? name the recipients, or say --read-recipients to take them from the message"
            }));
        }
        let from = typed.map(|party| party.address).or_else(|| message.from().cloned());
        let from = from.ok_or_else(|| {
            Failure::new("the message has no From with an address; say who writes with --from")
        })?;
        Ok(Self { from, to, message })
    }

    /// A message that is written now.
    fn compose(command: &Send, from: Option<&str>) -> Result<Self, Failure> {
        let from = from
            .ok_or_else(|| Failure::new("who writes? say it with --from, or with `from` in the settings"))?;
        let from = Party::parse(from)?;
        let list = |typed: &[String]| -> Result<Vec<Party>, ClientError> {
            Ok(typed.iter().map(|typed| Party::parse_list(typed)).collect::<Result<Vec<_>, _>>()?.concat())
        };
        let draft = Draft {
            from,
            to: list(&command.to)?,
            cc: list(&command.cc)?,
            reply_to: command.reply_to.as_deref().map(Party::parse).transpose()?,
            subject: command.subject.clone(),
            in_reply_to: command.in_reply_to.clone(),
            text: text(command)?,
            html: command.html.as_deref().map(read_text).transpose()?,
            attachments: command.attach.clone(),
        };
        let mut to = Vec::new();
        for party in draft.to.iter().chain(&draft.cc).chain(&list(&command.bcc)?) {
            add(&mut to, party.address.clone());
        }
        if to.is_empty() {
            return Err(Failure::new("to whom? name the recipients with --to, --cc or --bcc"));
        }
        let missing = Missing::new(draft.from.address.domain().as_str(), OffsetDateTime::now_utc())?;
        let mut file = io::BufWriter::new(temporary()?);
        draft.write(&missing, &mut file)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { from: draft.from.address, to, message: Outgoing::new(file, &missing)? })
    }

    fn envelope(&self, smtp: &Smtp) -> Result<Envelope, Failure> {
        let mut envelope = Envelope::new(ReversePath::Mailbox(self.from.clone())).size(self.message.size());
        if self.message.eight_bit() {
            if !smtp.capabilities().eight_bit_mime() {
                return Err(Failure::new(
                    "the message has octets above 127, and the server does not announce 8BITMIME; write it in \
                     quoted-printable or base64",
                ));
            }
            envelope = envelope.body(Body::EightBitMime);
        }
        if self.message.eight_bit_header() && smtp.capabilities().smtp_utf8() {
            // Deviates from RFC 6531 §3.4: where it is not announced, the message goes as 8BITMIME all the same. So do the
            // mail programs that leave letters as they are.
            envelope = envelope.smtp_utf8();
        }
        Ok(self.to.iter().cloned().fold(envelope, |envelope, to| envelope.to(ForwardPath::Mailbox(to))))
    }
}

fn add(to: &mut Vec<Mailbox<'static>>, address: Mailbox<'static>) {
    if !to.contains(&address) {
        to.push(address);
    }
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Whether what the message says comes from standard input, since nothing else is said of it.
fn wants_text(command: &Send) -> bool {
    command.text.is_none() && command.text_file.is_none() && command.html.is_none()
}

fn text(command: &Send) -> Result<Option<String>, Failure> {
    if wants_text(command) {
        if io::stdin().is_terminal() {
            let _ = writeln!(io::stderr(), "Write the message; a line with Ctrl-D alone ends it.");
        }
        return read_text(Path::new("-")).map(Some);
    }
    match &command.text_file {
        Some(file) => read_text(file).map(Some),
        None => Ok(command.text.clone()),
    }
}

fn read_text(file: &Path) -> Result<String, Failure> {
    let octets = if is_stdin(file) {
        let mut octets = Vec::new();
        io::stdin().lock().read_to_end(&mut octets)?;
        octets
    } else {
        let unreadable = |error| Failure::new(format!("cannot read {}: {error}", Safe(file.display())));
        fs::read(file).map_err(unreadable)?
    };
    String::from_utf8(octets).map_err(|_| {
        let what =
            if is_stdin(file) { "standard input".to_owned() } else { Safe(file.display()).to_string() };
        Failure::new(format!("{what} is not text in UTF-8; --attach sends files as they are"))
    })
}

/// What a client without a name of its own says: an address that tells nobody where it is.
const EHLO: &str = "[127.0.0.1]";
