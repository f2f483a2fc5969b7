//! What the form begins with: nothing, an answer, something that is sent on, or a draft.

use mail_parser::HeaderName;
use mailstore::mailbox::Uid;
use mailstore::message::Message;
use smtp_codec::Mailbox;

use super::Asked;
use super::fields::{self, Origin, is_id};
use super::form::Filled;
use super::original::{Fields, Original, Person};
use super::recipients::typed;
use super::{save, send};
use crate::host::Host;
use crate::store::Snapshot;
use crate::web::flowed::quote;
use crate::web::mail::letters::one_line;
use crate::web::mail::{self, Folders};
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;

/// Files, each with its name and about how large it is.
pub(super) type Files = Vec<(String, u64)>;

/// How a message is taken up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum How {
    Reply,
    All,
    Forward,
}

/// Fills the form in.
pub(super) async fn prepare(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    asked: &Asked,
) -> Result<(Filled, Files), Problem> {
    if let Some(draft) = &asked.draft {
        return open_draft(host, signed_in, folders, draft).await;
    }
    let mut filled = Filled::new(host)?;
    filled.from = usual(host, signed_in, folders).await;
    let taken_up = [(&asked.reply, How::Reply), (&asked.all, How::All), (&asked.forward, How::Forward)];
    let Some((place, how)) = taken_up.into_iter().find_map(|(place, how)| Some((place.as_deref()?, how)))
    else {
        filled.to = one_line(&asked.to);
        filled.cc = one_line(&asked.cc);
        filled.subject = one_line(&asked.subject);
        filled.text = signed(host, signed_in, "");
        return Ok((filled, Files::new()));
    };
    let (snapshot, message) = open(host, signed_in, folders, place).await?;
    let original = read(&snapshot, &message, QUOTED).await?;
    let fields = original.fields();
    let origin = Origin {
        forward: how == How::Forward,
        folder: snapshot.status.id.get(),
        uid: message.uid(),
        validity: snapshot.status.uid_validity.get(),
    };
    filled.origin = Some(origin);
    let own = |address: &str| is_own(host, signed_in, address);
    filled.from = addressed(host, signed_in, &fields).unwrap_or(filled.from);
    if how == How::Forward {
        filled.subject = prefixed("Fwd", &["fwd:", "fw:"], &fields.subject());
        filled.text = signed(host, signed_in, "") + &sent_on(signed_in, &fields, &original.text);
    } else {
        let (to, cc) = answered(&fields, how == How::All, own);
        (filled.to, filled.cc) = (listed(&to), listed(&cc));
        filled.subject = prefixed("Re", &["re:"], &fields.subject());
        filled.text = signed(host, signed_in, &quoted(signed_in, &fields, &original.text));
        let mut references = fields.references();
        references.extend(fields.message_id());
        filled.references = save::references(&references.join(" ")).join(" ");
    }
    let files: Files = match how {
        How::Forward => original.files.iter().map(|file| (file.name.clone(), file.size)).collect(),
        _ => Files::new(),
    };
    filled.attached = files.len();
    Ok((filled, files))
}

async fn open(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    place: &str,
) -> Result<(Snapshot, Message), Problem> {
    let (folder, uid): (u64, Uid) = fields::place(place).ok_or(Problem::NotFound)?;
    let snapshot = mail::open(host, signed_in, folders.get(folder)?).await?;
    let message = snapshot.messages.find(uid).ok_or(Problem::NotFound)?;
    Ok((snapshot, message))
}

async fn read(snapshot: &Snapshot, message: &Message, text: u64) -> Result<Original, Problem> {
    let original = Original::read(&snapshot.reader(), message, text).await;
    original.map_err(|error| Problem::failed("a message", error))
}

async fn open_draft(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    place: &str,
) -> Result<(Filled, Files), Problem> {
    let (snapshot, message) = open(host, signed_in, folders, place).await?;
    if super::drafts(folders).is_none_or(|drafts| drafts.id != snapshot.status.id) {
        return Err(Problem::NotFound);
    }
    let original = read(&snapshot, &message, WRITTEN).await?;
    if original.cut {
        // What is not shown would be gone with the first change.
        return Err(Problem::Wrong("The text of this draft is too long to be changed here.".to_owned()));
    }
    let fields = original.fields();
    let mut filled = Filled::new(host)?;
    // One that was begun here keeps its name, but not a copy of what was sent: that is to be another message.
    if let Some(id) = fields.message_id().and_then(|id| Some(id.split_once('@')?.0.to_owned()))
        && is_id(&id)
        && send::already(host, signed_in, folders, &id).await?.is_none()
    {
        filled.id = id;
    }
    let people = |unfinished: &'static str, name: HeaderName<'static>| {
        fields.own(unfinished).unwrap_or_else(|| listed(&fields.people(name)))
    };
    filled.from = people(save::FROM, HeaderName::From);
    filled.to = people(save::TO, HeaderName::To);
    filled.cc = people(save::CC, HeaderName::Cc);
    filled.bcc = people(save::BCC, HeaderName::Bcc);
    filled.subject = fields.subject();
    filled.references = save::references(&fields.references().join(" ")).join(" ");
    filled.origin = fields.own(save::ORIGIN).and_then(|origin| Origin::parse(&origin));
    filled.draft = format!("{}.{}", snapshot.status.id.get(), message.uid());
    filled.text = original.text;
    let files: Files = original.files.iter().map(|file| (file.name.clone(), file.size)).collect();
    filled.attached = files.len();
    Ok((filled, files))
}

/// The address that the last message was sent from, with its name, if it is still theirs; or else their first.
async fn usual(host: &Host, signed_in: &SignedIn, folders: &Folders) -> String {
    let last = async {
        let snapshot = mail::open_newest(host, signed_in, super::sent(folders)?, 1).await.ok()?;
        let message = snapshot.messages.iter().next_back()?;
        let original = Original::read(&snapshot.reader(), &message, 0).await.ok()?;
        let (name, address) = original.fields().people(HeaderName::From).into_iter().next()?;
        is_own(host, signed_in, &address).then(|| typed(name.as_deref(), &address))
    };
    last.await.unwrap_or_else(|| signed_in.address().to_owned())
}

/// Which of their addresses a message has come to, if it names one; those whom it is for count before those who got a copy.
fn addressed(host: &Host, signed_in: &SignedIn, fields: &Fields<'_>) -> Option<String> {
    let senders = host.accounts.senders(signed_in.account().get());
    let named = |name: HeaderName<'static>| {
        let people = fields.people(name);
        let is_named =
            |sender: &&String| people.iter().any(|(_, address)| address.eq_ignore_ascii_case(sender));
        senders.iter().find(is_named).cloned()
    };
    let found = named(HeaderName::To).or_else(|| named(HeaderName::Cc))?;
    // Their first address is used with the name that they write under.
    (!found.eq_ignore_ascii_case(signed_in.address())).then_some(found)
}

fn is_own(host: &Host, signed_in: &SignedIn, address: &str) -> bool {
    let account = signed_in.account().get();
    Mailbox::parse(address).is_ok_and(|mailbox| host.accounts.may_send_as(account, &mailbox))
}

/// Who gets an answer, and who a copy of it.
fn answered(fields: &Fields<'_>, all: bool, own: impl Fn(&str) -> bool) -> (Vec<Person>, Vec<Person>) {
    let from = fields.people(HeaderName::From);
    // An answer to what one has written oneself goes on to those it was for.
    let mine = !from.is_empty() && from.iter().all(|(_, address)| own(address));
    let mut to = if mine { fields.people(HeaderName::To) } else { fields.answer_to() };
    let mut cc = Vec::new();
    if all {
        if !mine {
            to.extend(fields.people(HeaderName::To));
        }
        cc = fields.people(HeaderName::Cc);
    }
    let first = to.first().cloned();
    let mut seen = std::collections::BTreeSet::new();
    let mut others = |people: Vec<Person>| -> Vec<Person> {
        people
            .into_iter()
            .filter(|(_, address)| !own(address) && seen.insert(address.to_lowercase()))
            .collect()
    };
    let (mut to, cc) = (others(to), others(cc));
    if to.is_empty() && cc.is_empty() {
        // Nobody but oneself.
        to.extend(first);
    }
    (to, cc)
}

fn listed(people: &[Person]) -> String {
    let all: Vec<String> = people
        .iter()
        .map(|(name, address)| typed(name.as_deref().map(one_line).as_deref(), &one_line(address)))
        .collect();
    all.join(", ")
}

fn prefixed(prefix: &str, known: &[&str], subject: &str) -> String {
    let lower = subject.to_lowercase();
    let has = known.iter().any(|known| lower.starts_with(known));
    if has { subject.to_owned() } else { format!("{prefix}: {subject}").trim().to_owned() }
}

/// The text with what its writer has put below all that they write.
fn signed(host: &Host, signed_in: &SignedIn, text: &str) -> String {
    let signature = host.accounts.signature(signed_in.account().get());
    match &*signature {
        "" => text.to_owned(),
        signature => format!("{}\n\n-- \n{signature}\n", text.trim_end()),
    }
}

fn quoted(signed_in: &SignedIn, fields: &Fields<'_>, text: &str) -> String {
    let from = fields.people(HeaderName::From);
    let who = from.first().map_or("somebody", |(name, address)| {
        name.as_deref().map(str::trim).filter(|name| !name.is_empty()).unwrap_or(address)
    });
    let when = fields.date().map(|at| format!("On {}, ", signed_in.clock.text(at))).unwrap_or_default();
    format!("\n\n{when}{} wrote:\n{}", one_line(who), quote(text))
}

fn sent_on(signed_in: &SignedIn, fields: &Fields<'_>, text: &str) -> String {
    let mut out = "\n\n-------- Forwarded message --------\n".to_owned();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            out.push_str(&format!("{name}: {value}\n"));
        }
    };
    line("From", &listed(&fields.people(HeaderName::From)));
    line("Date", &fields.date().map(|at| signed_in.clock.text(at)).unwrap_or_default());
    line("Subject", &fields.subject());
    line("To", &listed(&fields.people(HeaderName::To)));
    line("Cc", &listed(&fields.people(HeaderName::Cc)));
    out.push('\n');
    out + text.trim_end() + "\n"
}

/// Octets that are read of a text which is quoted.
const QUOTED: u64 = 512 << 10;
/// Octets that are read of a text which is written on: as much as can be typed, each octet of it encoded, with soft line ends.
const WRITTEN: u64 = 4 * send::TEXT as u64;

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;
    use crate::web::compose::original::tests::fields;

    fn to_whom(header: &str, all: bool) -> (String, String) {
        let parsed = MessageParser::default().parse_headers(header.as_bytes()).unwrap();
        let (to, cc) = answered(&fields(parsed), all, |address| address.eq_ignore_ascii_case("me@x.test"));
        (listed(&to), listed(&cc))
    }

    #[test]
    fn answers_go_where_they_are_wanted_and_not_to_oneself() {
        let header = "From: Anna <anna@y.test>\r\nTo: Me <ME@x.test>, Ben <ben@z.test>\r\nCc: cleo@z.test, anna@y.test\r\n\r\n";
        assert_eq!(to_whom(header, false), ("Anna <anna@y.test>".into(), String::new()));
        assert_eq!(
            to_whom(header, true),
            ("Anna <anna@y.test>, Ben <ben@z.test>".into(), "cleo@z.test".into())
        );
        let list = format!("Reply-To: list@y.test\r\n{header}");
        assert_eq!(to_whom(&list, false).0, "list@y.test");
        let mine = "From: me@x.test\r\nTo: ben@z.test\r\nCc: me@x.test\r\n\r\n";
        assert_eq!(to_whom(mine, false), ("ben@z.test".into(), String::new()));
        assert_eq!(to_whom(mine, true), ("ben@z.test".into(), String::new()));
        let alone = "From: me@x.test\r\nTo: me@x.test\r\n\r\n";
        assert_eq!(to_whom(alone, true), ("me@x.test".into(), String::new()));
    }

    #[test]
    fn subjects_get_one_prefix() {
        assert_eq!(prefixed("Re", &["re:"], "lunch"), "Re: lunch");
        assert_eq!(prefixed("Re", &["re:"], "RE: lunch"), "RE: lunch");
        assert_eq!(prefixed("Fwd", &["fwd:", "fw:"], ""), "Fwd:");
    }
}
