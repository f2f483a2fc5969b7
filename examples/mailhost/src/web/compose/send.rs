//! Sending: what was typed is checked, and then one commit does all of it.

use axum::http::StatusCode;
use mailstore::Intent;
use mailstore::mailbox::SpecialUse;
use mailstore::message::{FlagChange, Flags, NamedFlags, UnixTime};
use relay_queue::Address;
use smtp_codec::{ForwardPath, ReversePath};
use tracing::info;

use super::form::Filled;
use super::letter::{Letter, Sink, Unwritten, Writer};
use super::recipients::parts;
use super::save::{self, Source};
use super::show::{Told, said};
use super::{Place, sent};
use crate::host::Host;
use crate::intake::{Entrance, Intake, Untaken};
use crate::planted::Bug;
use crate::relay::{End, How, Recipient, Sent};
use crate::trace::Protocol;
use crate::web::mail::letters::one_line;
use crate::web::mail::{self, Folders};
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;
use crate::writing::Party;

/// Why a message was not sent: a page that says so.
pub(super) struct Unsent {
    pub(super) status: StatusCode,
    pub(super) told: Told,
    pub(super) errors: Vec<(&'static str, String)>,
}

impl Unsent {
    fn because(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, told: Told::Bad(why.into()), errors: Vec::new() }
    }
}

/// The path of a message that was sent already. Where that cannot be known, nothing is sent.
pub(super) async fn already(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    id: &str,
) -> Result<Option<String>, Problem> {
    let Some(folder) = sent(folders) else { return Ok(None) };
    let snapshot = mail::open_newest(host, signed_in, folder, save::RECENT).await?;
    let uid = save::named(&snapshot, id).await;
    Ok(uid.map(|uid| format!("{}/{uid}", mail::path(folder.id))))
}

/// Sends it; gives the path of the copy in Sent.
pub(super) async fn send(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    place: &Place,
    filled: &Filled,
    source: Option<&Source>,
) -> Result<String, Unsent> {
    let letter = checked(host, signed_in, filled)?;
    let unwritten = |why: Unwritten| {
        let (status, why) = said(host, &why);
        Unsent::because(status, format!("The message was not sent. {why}"))
    };
    if source.map_or(0, |source| source.files().len()) < filled.attached {
        return Err(unwritten(Unwritten::Unreadable));
    }
    let account = signed_in.account();
    // The copy in Sent takes the place of the draft.
    let draft = source.and_then(Source::draft_size);
    let size = letter.text.len() as u64 + source.map_or(0, Source::size);
    let more = (size.saturating_sub(draft.unwrap_or(0)), u64::from(draft.is_none()));
    if !host.store.quota(account).await.allows(more.0, more.1) {
        return Err(unwritten(Unwritten::OverQuota));
    }
    if !host.has_room() {
        return Err(unwritten(Unwritten::NoSpace));
    }
    let (visitor, id) = (signed_in.visitor, host.relay.next_id());
    let from = letter.from.address.clone();
    info!(id, service = %visitor.service, peer = %visitor.peer, from = ?from.as_str(), user = signed_in.address(), "mail");
    let mut intake = Intake::new(host, id.clone(), ReversePath::Mailbox(from));
    let mut errors = Vec::new();
    let mut count = 0;
    for (field, party) in letter.recipients() {
        let to = ForwardPath::Mailbox(party.address.clone());
        match intake.add(host, &to, true).await {
            Ok(()) => {
                count += 1;
                info!(id, to = ?to.as_str(), "recipient");
            }
            Err(reply) => {
                host.counts.refuse("recipient", &reply);
                info!(id, to = ?to.as_str(), code = reply.code(), why = reply.text(), "recipient refused");
                errors.push((field, format!("{}: {}", party.address, Unwritten::said(&reply))));
            }
        }
    }
    if !errors.is_empty() {
        return Err(Unsent { status: StatusCode::BAD_REQUEST, told: Told::Bad(WRONG.to_owned()), errors });
    }
    let now = host.store.system().unix_seconds();
    let recipients = letter.recipients().map(|(_, party)| recipient(&intake, party, now)).collect();
    intake.begin(host, true).await.map_err(|_| unwritten(Unwritten::Failed))?;
    let protocol =
        Protocol { web: true, extended: true, tls: visitor.service.implicit_tls(), authenticated: true };
    let entrance =
        Entrance { service: visitor.service, client: None, peer: visitor.peer, port: None, protocol };
    let sink = Sink::Send(Box::new(intake), host, entrance);
    let Sink::Send(intake, ..) = compose(host, sink, &letter, source).await.map_err(unwritten)? else {
        return Err(unwritten(Unwritten::Failed));
    };
    // Last, so that what cannot be sent uses nothing up.
    if !place.budget.take(count, now) {
        let why = "You have written to very many people within the last hour. The message was not sent: wait a while, then send it.";
        return Err(Unsent::because(StatusCode::TOO_MANY_REQUESTS, why));
    }
    if Bug::DraftGoneFirst.is_planted() {
        let _ = save::discard(host, signed_in, source).await;
    }
    let (mut also, mailbox) = folders.for_use_or_made(host, signed_in, SpecialUse::Sent, "Sent");
    also.push(Intent::Deliver {
        mailbox,
        prefix: letter.hidden(),
        date: UnixTime(now),
        flags: NamedFlags::from(Flags::SEEN),
    });
    if let Some((mailbox, uid)) = source.and_then(Source::draft) {
        also.push(Intent::Expunge { mailbox, uid, only_deleted: false });
    }
    also.extend(marked(folders, filled));
    let kept = Sent { account: account.get(), at: now, queued: None, to: recipients };
    let receipt = (*intake)
        .end(host, &entrance, |queued| {
            also.extend(host.relay.keep_sent(&id, queued, kept));
            also
        })
        .await
        .map_err(|untaken| match untaken {
            Untaken::Refused(reply) => Unsent::because(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("The message was not sent: {}.", Unwritten::said(&reply)),
            ),
            Untaken::Unknown => Unsent::because(
                StatusCode::SERVICE_UNAVAILABLE,
                "The disk of the host has failed, and nobody knows whether the message was sent. Look into Sent before you send it \
                 once more.",
            ),
        })?;
    let (mailbox, uid) = save::delivered(&receipt, mailbox).ok_or_else(|| unwritten(Unwritten::Failed))?;
    Ok(format!("{}/{uid}", mail::path(mailbox)))
}

async fn compose<'h>(
    host: &Host,
    sink: Sink<'h>,
    letter: &Letter,
    source: Option<&Source>,
) -> Result<Sink<'h>, Unwritten> {
    let files = source.filter(|source| !source.files().is_empty());
    let boundary = files.map(|_| save::boundary(host)).transpose()?;
    let mut writer = Writer::begin(sink, save::limit(host), letter, None, boundary).await?;
    if let Some(files) = files {
        files.carry(&mut writer, |_| true).await?;
    }
    writer.end().await
}

/// What is known of a recipient from the beginning: to whom it goes here, it has come; and whose mail is sent on from here, for them
/// all is done that the sender has asked for.
fn recipient(intake: &Intake, party: &Party, now: i64) -> Recipient {
    let address = party.address.as_str().to_owned();
    let elsewhere = Address::new(&address).is_ok_and(|address| intake.is_elsewhere(&address));
    let how = if intake.only_passes(&address) { How::SentOn } else { How::Here };
    Recipient { end: (!elsewhere).then(|| End { at: now, how, ..End::default() }), address }
}

/// Marks what is answered or sent on, if it is still where it was.
fn marked(folders: &Folders, filled: &Filled) -> Option<Intent> {
    let origin = filled.origin?;
    let folder = folders.get(origin.folder).ok()?;
    let flags = if origin.forward {
        NamedFlags { system: Flags::NONE, keywords: vec!["$Forwarded".to_owned()] }
    } else {
        NamedFlags::from(Flags::ANSWERED)
    };
    let (mailbox, uid) = (folder.id, origin.uid);
    let change = FlagChange::Add(flags);
    let same = folder.uid_validity.get() == origin.validity;
    // A folder has room for so many keywords, and a message is sent without a mark rather than not at all.
    let keywords = &folder.keywords;
    let fits =
        keywords.len() < KEYWORDS || keywords.iter().any(|known| known.eq_ignore_ascii_case("$Forwarded"));
    (same && (fits || !origin.forward)).then_some(Intent::Store {
        mailbox,
        uid,
        change,
        unchanged_since: None,
    })
}

/// What was typed, if all of it can be sent.
fn checked(host: &Host, signed_in: &SignedIn, filled: &Filled) -> Result<Letter, Unsent> {
    let mut errors = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut people = |field: &'static str, typed: &str| {
        let mut parties = Vec::new();
        for one in parts(typed) {
            match Party::parse(&one_line(one)) {
                Ok(party) if field == "from" || seen.insert(party.address.as_str().to_lowercase()) => {
                    parties.push(party);
                }
                // Named twice, it gets the message once.
                Ok(_) => {}
                Err(why) => errors.push((field, format!("{why}."))),
            }
        }
        parties
    };
    let mut from = people("from", &filled.from);
    let (to, cc, bcc) = (people("to", &filled.to), people("cc", &filled.cc), people("bcc", &filled.bcc));
    let count = to.len() + cc.len() + bcc.len();
    if count == 0 && errors.is_empty() {
        errors.push(("to", "Write here who is to get the message.".to_owned()));
    }
    let most = host.config.limits.recipients.min(RECIPIENTS);
    if count > most {
        errors.push(("to", format!("These are {count} people; at most {most} are taken at once.")));
    }
    let account = signed_in.account().get();
    match (from.pop(), from.is_empty()) {
        (Some(party), true) if host.accounts.may_send_as(account, &party.address) => from = vec![party],
        (Some(party), true) => {
            errors.push(("from", format!("{} is not an address of yours.", party.address)))
        }
        (Some(_), false) => errors.push(("from", "Write from one address.".to_owned())),
        (None, _) if errors.iter().any(|(field, _)| *field == "from") => {}
        (None, _) => errors.push(("from", "Write here which of your addresses it is from.".to_owned())),
    }
    let Some(from) = from.pop().filter(|_| errors.is_empty()) else {
        return Err(Unsent { status: StatusCode::BAD_REQUEST, told: Told::Bad(WRONG.to_owned()), errors });
    };
    let letter = Letter {
        message_id: format!("{}@{}", filled.id, from.address.domain()),
        from,
        to,
        cc,
        bcc,
        subject: one_line(&filled.subject),
        text: filled.text.clone(),
        references: save::references(&filled.references),
        at: save::now(host),
    };
    if letter.hidden().len() > HIDDEN {
        let why = "These are too many hidden copies for one message.".to_owned();
        return Err(Unsent {
            status: StatusCode::BAD_REQUEST,
            told: Told::Bad(WRONG.to_owned()),
            errors: vec![("bcc", why)],
        });
    }
    Ok(letter)
}

impl Letter {
    /// Everybody who gets it, with the field they stand in.
    fn recipients(&self) -> impl Iterator<Item = (&'static str, &Party)> {
        let to = self.to.iter().map(|party| ("to", party));
        let cc = self.cc.iter().map(|party| ("cc", party));
        to.chain(cc).chain(self.bcc.iter().map(|party| ("bcc", party)))
    }
}

/// Octets of what is typed.
pub(super) const TEXT: usize = 1 << 20;
/// Recipients of a message on the web.
const RECIPIENTS: usize = 100;
/// Octets that may stand above a copy in Sent.
const HIDDEN: usize = 15 << 10;
/// Keywords of a folder.
const KEYWORDS: usize = 56;
const WRONG: &str = "The message was not sent. What is wrong stands below.";
