//! Whom somebody has written to, for addresses that complete themselves: read from Sent, the newest first, some messages at a time,
//! and kept in memory until others need the room.

use std::collections::BTreeMap;

use mailstore::mailbox::{MailboxId, UidValidity};
use mailstore::message::Message;
use mailstore::mime::{Addresses, Structure};
use mailstore::search::decode_words;
use serde::Serialize;

use super::recipients::typed;
use crate::store::Snapshot;
use crate::web::mail::letters::one_line;

/// Whom one account has written to.
#[derive(Debug, Default)]
pub(super) struct People {
    /// Which folder, and in which of its lives, this is from.
    of: Option<(MailboxId, UidValidity)>,
    /// The identifiers of the messages that have been read: none below the first, none above the second.
    read: Option<(u32, u32)>,
    /// By address, without case.
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    name: String,
    address: String,
    /// The newest message that names them.
    last: u32,
    count: u32,
}

/// One to choose.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) address: String,
}

impl People {
    /// Reads what has come since, and some of what is older and has not been read yet.
    pub(super) async fn read_on(&mut self, sent: &Snapshot) {
        let of = Some((sent.status.id, sent.status.uid_validity));
        if self.of != of {
            *self = Self { of, ..Self::default() };
        }
        let messages = &sent.messages;
        let place =
            |uid: u32| mailstore::mailbox::Uid::new(uid).map_or(0, |uid| messages.range(uid..=uid).start);
        // Behind the newest that is known, or all.
        let fresh = self.read.map_or(messages.len(), |(_, last)| {
            messages.iter().rev().take_while(|message| message.uid().get() > last).take(STEP + 1).count()
        });
        if self.read.is_some() && fresh > STEP {
            // More has come than is read at a time: begin again from the newest.
            *self = Self { of, ..Self::default() };
        }
        let older_end = self.read.map_or(messages.len(), |(first, _)| place(first));
        let mut wanted: Vec<Message> = match self.read {
            Some(_) => messages.slice(messages.len() - fresh..messages.len()).collect(),
            None => Vec::new(),
        };
        let depth = messages.len() - older_end;
        let room = STEP.min(DEEPEST.saturating_sub(depth)).min(older_end);
        wanted.extend(messages.slice(older_end - room..older_end));
        if wanted.is_empty() {
            return;
        }
        let borrowed: Vec<&Message> = wanted.iter().collect();
        let structures = sent.reader().structures(&borrowed).await;
        for (message, structure) in wanted.iter().zip(structures) {
            let uid = message.uid().get();
            let (first, last) = self.read.unwrap_or((uid, uid));
            self.read = Some((first.min(uid), last.max(uid)));
            if let Ok(structure) = structure {
                self.take(uid, &structure);
            }
        }
        self.bound();
    }

    fn take(&mut self, uid: u32, structure: &Structure) {
        let Some(envelope) = structure.root().envelope() else { return };
        for addresses in [envelope.to(), envelope.cc(), envelope.bcc()] {
            self.take_all(uid, addresses);
        }
    }

    fn take_all(&mut self, uid: u32, addresses: Addresses<'_>) {
        for one in addresses.take(100) {
            let (Some(local), Some(host)) = (&one.mailbox, &one.host) else { continue };
            let address = one_line(&String::from_utf8_lossy(&[local, &b"@"[..], host].concat()));
            if smtp_codec::Mailbox::parse(&address).is_err() {
                continue;
            }
            let name = one.name.as_deref().map(decode_words).unwrap_or_default();
            let name: String = one_line(&name).chars().take(100).collect();
            let known = self.known.entry(address.to_lowercase()).or_insert_with(|| Known {
                name: String::new(),
                address,
                last: 0,
                count: 0,
            });
            known.count += 1;
            if uid >= known.last || known.name.is_empty() {
                known.last = known.last.max(uid);
                if !name.is_empty() {
                    known.name = name;
                }
            }
        }
    }

    /// Forgets those that were written to longest ago.
    fn bound(&mut self) {
        while self.known.len() > MOST {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.last).map(|(key, _)| key.clone());
            let Some(key) = oldest else { return };
            self.known.remove(&key);
        }
    }

    /// Those whose name, or a word of it, or whose address begins so; who was written to last comes first.
    pub(super) fn matching(&self, typed: &str, most: usize) -> Vec<Person> {
        let typed = typed.trim().to_lowercase();
        let begins = |text: &str| text.starts_with(&typed);
        let fits = |key: &str, known: &Known| {
            let name = known.name.to_lowercase();
            begins(key) || begins(&name) || name.split([' ', '-', '.']).any(begins)
        };
        let mut found: Vec<_> = self.known.iter().filter(|(key, known)| fits(key, known)).collect();
        found.sort_by_key(|(key, known)| (std::cmp::Reverse(known.last), *key));
        found.into_iter().take(most).map(|(_, known)| known.person()).collect()
    }

    /// Those that were written to most often.
    pub(super) fn frequent(&self, most: usize) -> Vec<Person> {
        let mut found: Vec<_> = self.known.values().collect();
        found.sort_by_key(|known| (std::cmp::Reverse(known.count), std::cmp::Reverse(known.last)));
        found.into_iter().take(most).map(Known::person).collect()
    }
}

impl Known {
    fn person(&self) -> Person {
        Person { name: self.name.clone(), address: self.address.clone() }
    }
}

impl Person {
    /// As it is typed.
    pub(super) fn typed(&self) -> String {
        typed(Some(&self.name), &self.address)
    }
}

/// Messages that are read at a time.
const STEP: usize = 500;
/// How far back.
const DEEPEST: usize = 10_000;
/// People of one account.
const MOST: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::compose::original::structure;

    fn wrote(people: &mut People, uid: u32, to: &str) {
        people.take(uid, &structure(format!("To: {to}\r\n\r\n").as_bytes()));
    }

    #[test]
    fn who_was_written_to_last_comes_first() {
        let mut people = People::default();
        wrote(&mut people, 1, "Anna Ash <anna@example.test>, ben@example.test");
        wrote(&mut people, 2, "\"Ash, Otto\" <otto@other.test>, ben@example.test");
        wrote(&mut people, 3, "=?utf-8?B?w4RubmU=?= <ANNA@example.test>");
        let shown = |typed: &str| people.matching(typed, 9).iter().map(Person::typed).collect::<Vec<_>>();
        assert_eq!(shown("ann"), ["Änne <anna@example.test>"]);
        assert_eq!(shown("än"), ["Änne <anna@example.test>"]);
        assert_eq!(shown("ot"), ["\"Ash, Otto\" <otto@other.test>"]);
        assert_eq!(
            shown(""),
            ["Änne <anna@example.test>", "ben@example.test", "\"Ash, Otto\" <otto@other.test>"]
        );
        assert_eq!(shown("example"), [""; 0], "not in the middle");
        assert_eq!(people.frequent(1)[0].address, "anna@example.test");
        assert_eq!(people.matching("", 2).len(), 2);
    }

    #[test]
    fn what_is_no_address_is_not_offered_and_there_is_an_end() {
        let mut people = People::default();
        wrote(&mut people, 1, "undisclosed:;, <a@>, \"\r\n x\" <y@z.test>, ok@z.test");
        let all: Vec<_> = people.matching("", 9).into_iter().map(|person| person.address).collect();
        assert_eq!(all, ["ok@z.test", "y@z.test"]);
        for uid in 0..3_000 {
            wrote(&mut people, uid, &format!("p{uid}@z.test"));
        }
        people.bound();
        assert_eq!(people.known.len(), MOST);
        assert!(people.known.contains_key("p2999@z.test") && !people.known.contains_key("p0@z.test"));
    }
}
