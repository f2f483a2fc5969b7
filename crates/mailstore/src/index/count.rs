//! What is counted when all has been read: who holds what, how much is alive, how much each mailbox and each account has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mailbox::{Base, Delta};
use super::{
    About, BODY_FILE, Entry, Index, QUOTA, Runs, Section, Since, body_octets, hold_octets, put_octets,
};
use crate::mailbox::{AccountId, MailboxId, Uid, UidValidity};
use crate::message::flags::MAX_KEYWORDS;
use crate::message::{BodyId, Flags};

impl Index {
    /// Where the messages lie that have to be counted, by where that is.
    pub(crate) fn sections(&self) -> Vec<(Section, MailboxId)> {
        let mut sections: Vec<_> = self
            .mailboxes
            .iter()
            .filter_map(|(id, mailbox)| mailbox.section().map(|section| (section, *id)))
            .collect();
        sections.sort_unstable_by_key(|(section, _)| section.at);
        sections
    }

    /// All has been read but the messages in the snapshot: begins to count.
    pub(crate) fn begin_count(&mut self) {
        self.bodies.drop_lost_structures();
        self.name_the_lost();
        for (id, mailbox) in core::mem::take(&mut self.mailboxes) {
            let mut mailbox = Arc::unwrap_or_clone(mailbox);
            if let Some(about) = &mailbox.about {
                self.space.add(about.segment, about.octets());
            }
            let known = |(uid, delta): (&Uid, &Delta)| match delta.since {
                Since::Is(facts) if self.bodies.size(facts.body).is_some() => {
                    Some(Entry { uid: *uid, facts })
                }
                _ => None,
            };
            let entries: Vec<_> = mailbox.delta.iter().filter_map(known).collect();
            mailbox.lost = mailbox.delta.values().filter(|delta| matches!(delta.since, Since::Is(_))).count()
                > entries.len();
            if matches!(mailbox.base, Base::Whole(_)) {
                let mut messages = Runs::default();
                for entry in &entries {
                    messages.insert(entry.uid, entry.facts);
                }
                mailbox.base = Base::Whole(messages);
                mailbox.delta = BTreeMap::new();
            }
            self.mailboxes.insert(id, Arc::new(mailbox));
            for Entry { facts, .. } in entries {
                self.count_message(id, &facts);
                self.see_flags(id, facts.flags);
            }
        }
        let held: Vec<_> =
            self.tables.values().flat_map(|table| table.holds.iter().map(|(_, hold)| hold.body)).collect();
        for body in held {
            self.hold(BodyId(body));
        }
        let Self { tables, bodies, space, allowances, .. } = self;
        for table in tables.values() {
            for (key, place) in table.values.iter() {
                space.add(place.segment, put_octets(key.octets().len(), place.length));
            }
            for (key, hold) in table.holds.iter() {
                space.add(hold.segment, hold_octets(key.octets().len()));
            }
        }
        for (_, body) in bodies.inline.iter() {
            space.add(body.place.segment, body_octets(body.place.length));
        }
        for (_, body) in bodies.large.iter() {
            space.add(body.segment, BODY_FILE);
        }
        for (_, place) in bodies.structures.iter() {
            space.add(place.segment, body_octets(place.length));
        }
        for (_, segment) in allowances.values() {
            space.add(*segment, QUOTA);
        }
    }

    /// A message of the snapshot.
    pub(crate) fn count_base(&mut self, id: MailboxId, entry: &Entry) {
        let Some(mailbox) = self.mailboxes.get(&id) else { return };
        let facts = match mailbox.since(entry.uid) {
            None => entry.facts,
            // Counted already, or not there.
            Some(Since::Is(_) | Since::Gone) => return,
            Some(since @ Since::Flags { .. }) => {
                let Some(facts) = since.over(Some(entry.facts)) else { return };
                let epoch = self.epoch;
                self.mailbox(id).delta.insert(entry.uid, Delta { epoch, since: Since::Is(facts) });
                facts
            }
        };
        self.count_message(id, &facts);
        self.see_flags(id, facts.flags);
    }

    /// Everything has been counted.
    pub(crate) fn end_count(&mut self) {
        self.unused = self.bodies.unused().collect();
        for mailbox in self.mailboxes.values_mut() {
            // Flags of messages that damage has taken.
            if mailbox.delta.values().any(|delta| matches!(delta.since, Since::Flags { .. })) {
                let delta = &mut Arc::make_mut(mailbox).delta;
                delta.retain(|_, delta| !matches!(delta.since, Since::Flags { .. }));
            }
        }
        self.name_lost_keywords();
        self.counted = true;
    }

    fn see_flags(&mut self, id: MailboxId, flags: Flags) {
        if flags.without(Flags::SYSTEM) != Flags::NONE {
            let mailbox = self.mailbox(id);
            mailbox.counted_flags = mailbox.counted_flags.union(flags);
        }
    }

    /// Damage may have taken what a keyword was called. Its place is not to come to mean something else.
    fn name_lost_keywords(&mut self) {
        for mailbox in self.mailboxes.values_mut() {
            let wanted = mailbox.counted_flags.keywords().last().map_or(0, |last| last + 1).min(MAX_KEYWORDS);
            let Some(about) = &mailbox.about else { continue };
            if about.keywords.len() < wanted {
                let lost = (about.keywords.len()..wanted).map(|place| format!("lost-{place}"));
                let keywords: Arc<[String]> = about.keywords.iter().cloned().chain(lost).collect();
                let mailbox = Arc::make_mut(mailbox);
                if let Some(about) = &mut mailbox.about {
                    self.space.sub(about.segment, about.octets());
                    about.keywords = keywords;
                    self.space.add(about.segment, about.octets());
                }
            }
        }
    }

    /// Damage may have taken a mailbox and left its messages, or taken that its name is another's by now. What is in it is kept,
    /// under a name of nobody's.
    fn name_the_lost(&mut self) {
        self.mailboxes.retain(|_, mailbox| {
            mailbox.about.is_some() || mailbox.delta.values().any(|delta| matches!(delta.since, Since::Is(_)))
        });
        let is_lost = |(id, about): (MailboxId, Option<&About>)| match about {
            Some(about) => self.names.get(&(about.account, about.name.clone())) != Some(&id),
            None => true,
        };
        let lost: Vec<_> = self
            .mailboxes
            .iter()
            .map(|(id, mailbox)| (*id, mailbox.about.as_ref()))
            .filter(|of| is_lost(*of))
            .map(|(id, _)| id)
            .collect();
        for id in lost {
            let (account, name) = (AccountId::LOST, format!("lost {}", id.0));
            self.names.insert((account, name.clone()), id);
            let known = self.mailbox(id).about.take();
            let about = known.map(|about| About { account, name: name.clone(), ..about });
            let about = about.unwrap_or_else(|| {
                self.highest.uid_validity = self.highest.uid_validity.saturating_add(1);
                let uid_validity =
                    UidValidity::new(self.highest.uid_validity).expect("one more than a number");
                let (special_use, keywords) = (None, Arc::default());
                About { account, name, uid_validity, special_use, keywords, segment: 0, at: 0 }
            });
            self.mailbox(id).about = Some(about);
        }
    }
}
