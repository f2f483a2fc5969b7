//! LIST and LSUB.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::BytesMut;
use imap_codec::Mailbox;
use imap_codec::extension::Extension;
use imap_codec::extension::list_extended::{List, ListEntry, ListReturn};
use imap_codec::extension::status::StatusAttribute;
use imap_codec::response::Data;
use imap_codec::server::Answer;
use imap_codec::types::flag::Flag;
use imap_codec::types::string::Atom;
use imap_codec::types::{Delimiter, Flags, Pattern};
use mailstore::Actor;
use mailstore::mailbox::{INBOX, MailboxStatus};

use super::flags;
use super::mailboxes::{composed, values};
use super::selected::flush;
use super::session::{End, Session};
use crate::wire::Wire;

/// All names that a listing may show.
struct Names {
    /// Mailboxes by name.
    there: BTreeMap<String, MailboxStatus>,
    /// With a mailbox or without one.
    subscribed: BTreeSet<String>,
}

impl Session<'_> {
    pub(super) async fn list(
        &self,
        list: &List<'_>,
        answer: &mut Answer<'_>,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<End> {
        if !list.extended && list.patterns.iter().all(|pattern| pattern.as_str().is_empty()) {
            // RFC 9051 §6.3.9: an empty name asks for the delimiter and the root of the reference.
            if let Ok(root) = Mailbox::new("") {
                answer.untagged(&Data::List(entry([Flag::Extension(word("Noselect"))], root)), out);
            }
            return Ok(End::ok("that is the root"));
        }
        let names = self.names().await;
        let returns = list.returns.unwrap_or_default();
        let reference = list.reference.as_str();
        // RFC 9051 §6.3.9: an empty name is like no other here, with a reference in front of it too.
        let patterns = list.patterns.iter().filter(|pattern| !pattern.as_str().is_empty());
        let patterns: Vec<_> = patterns.filter_map(|pattern| interpreted(reference, pattern)).collect();
        let select = list.select;
        // RFC 9051 §6.3.9.1: with SUBSCRIBED these are the names of subscriptions, and not those of mailboxes.
        let candidates: BTreeSet<&str> = match (select.subscribed, select.recursive_match) {
            (true, false) => names.subscribed.iter().map(String::as_str).collect(),
            (true, true) => {
                let above = names.subscribed.iter().flat_map(|name| above(name));
                names.subscribed.iter().map(String::as_str).chain(above).collect()
            }
            (false, _) => names.there.keys().map(String::as_str).collect(),
        };
        for name in candidates {
            if !patterns.iter().any(|pattern| pattern.matches(name, Some(Delimiter::SLASH))) {
                tokio::task::yield_now().await;
                continue;
            }
            let mailbox = names.there.get(name);
            let fits = |name: &str| {
                let special = || names.there.get(name).is_some_and(|mailbox| mailbox.special_use.is_some());
                (!select.subscribed || names.subscribed.contains(name)) && (!select.special_use || special())
            };
            let child = select.recursive_match && names.below(name).any(fits);
            if !fits(name) && !child {
                continue;
            }
            let subscribed = select.subscribed || returns.subscribed;
            let Ok(shown) = Mailbox::new(name) else { continue };
            let special = self.has(Extension::SpecialUse);
            let attributes = names.attributes(name, mailbox, subscribed, returns.children, special);
            let mut entry = entry(attributes, shown.clone());
            entry.child_subscribed = child && select.subscribed;
            answer.untagged(&Data::List(entry), out);
            self.list_status(shown, mailbox, &returns, answer, out).await;
            flush(wire, out).await?;
        }
        Ok(End::ok("that is all"))
    }

    /// RFC 5819: the status behind each mailbox that can be opened.
    async fn list_status(
        &self,
        name: Mailbox<'_>,
        mailbox: Option<&MailboxStatus>,
        returns: &ListReturn,
        answer: &mut Answer<'_>,
        out: &mut BytesMut,
    ) {
        if let Some(mailbox) = mailbox
            && returns.status != Default::default()
        {
            let mut values = values(mailbox, returns.status, self.append_limit());
            if returns.status.has(StatusAttribute::DeletedStorage) {
                values.deleted_storage = Some(self.deleted_octets(mailbox).await);
            }
            answer.untagged(&Data::MailboxStatus(name, values), out);
        }
    }

    pub(super) async fn lsub(
        &self,
        reference: &Mailbox<'_>,
        pattern: &Pattern<'_>,
        answer: &mut Answer<'_>,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<End> {
        let names = self.names().await;
        let Some(pattern) = interpreted(reference.as_str(), pattern) else {
            return Ok(End::ok("there is none"));
        };
        let matches = |name: &str| pattern.matches(name, Some(Delimiter::SLASH));
        // RFC 3501 §6.3.9: with "%", a name that only leads to one that is subscribed is shown, as one that is not.
        let above: BTreeSet<&str> = if pattern.as_str().ends_with('%') {
            names.subscribed.iter().flat_map(|name| above(name)).collect()
        } else {
            BTreeSet::new()
        };
        let all: BTreeSet<&str> = names.subscribed.iter().map(String::as_str).chain(above).collect();
        for name in all {
            if !matches(name) {
                tokio::task::yield_now().await;
                continue;
            }
            let Ok(shown) = Mailbox::new(name) else { continue };
            let only_above = !names.subscribed.contains(name);
            let attribute = only_above.then(|| Flag::Extension(word("Noselect")));
            answer.untagged(&Data::Lsub(entry(attribute, shown)), out);
            flush(wire, out).await?;
        }
        Ok(End::ok("that is all"))
    }

    /// What a listing says of a mailbox that is there, and of its name alone.
    pub(super) async fn listed(&self, mailbox: &MailboxStatus) -> Flags<'static> {
        let special = self.has(Extension::SpecialUse);
        Flags::new(self.names().await.attributes(&mailbox.name, Some(mailbox), false, false, special))
    }

    async fn names(&self) -> Names {
        let Some(user) = self.user else {
            return Names { there: BTreeMap::new(), subscribed: BTreeSet::new() };
        };
        let (actor, store) = (Actor::Account(user.account), &self.host.store);
        let there = store.mailboxes(actor, Some(user.account)).await;
        let subscribed = store.subscriptions(actor, user.account).await;
        Names {
            there: there.into_iter().map(|mailbox| (mailbox.name.clone(), mailbox)).collect(),
            subscribed: subscribed.into_iter().collect(),
        }
    }
}

impl Names {
    /// All names below this one.
    fn below<'n>(&'n self, name: &str) -> impl Iterator<Item = &'n str> {
        let front = format!("{name}/");
        let mailboxes = self.there.range(front.clone()..).map(|(name, _)| name.as_str());
        let subscribed = self.subscribed.range(front.clone()..).map(String::as_str);
        let end = front.clone();
        mailboxes
            .take_while(move |name| name.starts_with(&front))
            .chain(subscribed.take_while(move |name| name.starts_with(&end)))
    }

    fn attributes(
        &self,
        name: &str,
        mailbox: Option<&MailboxStatus>,
        subscribed: bool,
        children: bool,
        special: bool,
    ) -> Vec<Flag<'static>> {
        let mut attributes = Vec::new();
        if subscribed && self.subscribed.contains(name) {
            attributes.push(Flag::Extension(word("Subscribed")));
        }
        let Some(mailbox) = mailbox else {
            attributes.push(Flag::Extension(word("NonExistent")));
            // Whatever stands above a mailbox is a mailbox.
            attributes.extend(children.then(|| Flag::Extension(word("HasNoChildren"))));
            return attributes;
        };
        let front = format!("{name}/");
        let parent =
            self.there.range(front.clone()..).next().is_some_and(|(name, _)| name.starts_with(&front));
        attributes.push(Flag::Extension(word(if parent { "HasChildren" } else { "HasNoChildren" })));
        attributes.extend(mailbox.special_use.filter(|_| special).and_then(flags::attribute));
        attributes
    }
}

/// What a pattern means behind a reference: both, one behind the other. `None` if nothing can match it.
fn interpreted(reference: &str, pattern: &Pattern<'_>) -> Option<Pattern<'static>> {
    let mut text = composed(&format!("{reference}{}", pattern.as_str()));
    // RFC 9051 §5.1: INBOX is the same whatever its case, above others too.
    if let Some((first, _)) = text.split_once('/')
        && first.eq_ignore_ascii_case(INBOX)
    {
        text.replace_range(..INBOX.len(), INBOX);
    }
    // CVE-2021-40110: a row of wildcards is worth one.
    while text.contains("**") {
        text = text.replace("**", "*");
    }
    Pattern::new(text).ok()
}

/// The names above this one.
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

fn entry(attributes: impl IntoIterator<Item = Flag<'static>>, mailbox: Mailbox<'_>) -> ListEntry<'_> {
    ListEntry::new(Flags::new(attributes), Some(Delimiter::SLASH), mailbox)
}

fn word(text: &'static str) -> Atom<'static> {
    Atom::new(text).expect("the attributes are atoms")
}
