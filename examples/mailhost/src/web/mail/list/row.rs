//! The rows of a list: what is shown of a conversation, read with as little of it as that takes.

use std::ops::Range;

use mailstore::mailbox::{MailboxId, Uid};
use mailstore::message::{Flags, Message};
use mailstore::mime::Structure;

use super::text;
use crate::store::{Reader, Snapshot};
use crate::web::mail::letters::words;
use crate::web::mail::parts::Contents;

/// What is shown of a conversation.
#[derive(Debug, Default)]
pub(in crate::web::mail) struct Row {
    pub(in crate::web::mail) folder: u64,
    /// Its newest message.
    pub(in crate::web::mail) uid: u32,
    /// How many messages there are.
    pub(in crate::web::mail) count: usize,
    pub(in crate::web::mail) unread: usize,
    pub(in crate::web::mail) flagged: bool,
    pub(in crate::web::mail) answered: bool,
    pub(in crate::web::mail) draft: bool,
    pub(in crate::web::mail) attachment: bool,
    /// Who is in it; whether something by them is unread.
    pub(in crate::web::mail) people: Vec<(String, bool)>,
    /// The people are those whom it was sent to.
    pub(in crate::web::mail) outgoing: bool,
    pub(in crate::web::mail) subject: String,
    /// The first words of its newest message.
    pub(in crate::web::mail) beginning: String,
    /// When the newest message came.
    pub(in crate::web::mail) date: i64,
}

/// Makes rows of conversations, each of which begins with its oldest message. Of one, [`LOOKED_AT`] messages are looked at.
pub(in crate::web::mail) async fn rows(
    snapshot: &Snapshot,
    conversations: &[Vec<Uid>],
    outgoing: bool,
) -> Vec<Row> {
    let (mut rows, mut looked_at, mut whose) = (Vec::new(), Vec::<Message>::new(), Vec::new());
    for conversation in conversations {
        let messages: Vec<Message> =
            conversation.iter().filter_map(|uid| snapshot.messages.find(*uid)).collect();
        let Some(newest) = messages.last() else { continue };
        rows.push(Row::of(snapshot.status.id, newest, &messages, outgoing));
        let skipped = 1..messages.len().saturating_sub(LOOKED_AT - 1).max(1);
        let shown = messages.iter().enumerate().filter(|(at, _)| !skipped.contains(at));
        for (_, message) in shown {
            looked_at.push(message.clone());
            whose.push(rows.len() - 1);
        }
    }
    let reader = snapshot.reader();
    let structures = reader.structures_within(&looked_at.iter().collect::<Vec<_>>(), GLANCE).await;
    let mut texts = Vec::new();
    for ((message, structure), at) in looked_at.iter().zip(structures).zip(whose) {
        let row = &mut rows[at];
        let Ok(structure) = structure else {
            if message.uid().get() == row.uid {
                row.subject = "This message cannot be read".to_owned();
            }
            continue;
        };
        row.look_at(message, &structure);
        if message.uid().get() == row.uid
            && let Some(range) = beginning_of(&structure, message.prefix_size())
        {
            texts.push((at, message, structure, range));
        }
    }
    read_beginnings(&reader, &mut rows, &texts).await;
    rows
}

/// The text of a row: whose it is, its message, and which part of that it is and where.
type Text<'m> = (usize, &'m Message, Structure, (usize, Range<u64>));

/// Reads the first words of texts, all at once.
async fn read_beginnings(reader: &Reader, rows: &mut [Row], texts: &[Text<'_>]) {
    let within = |range: &Range<u64>| range.start..range.end.min(range.start + BEGINNING);
    let ranges = texts.iter().map(|(_, message, _, (_, range))| (*message, within(range)));
    for (octets, (at, _, structure, (part, range))) in reader.read_all(ranges).await.into_iter().zip(texts) {
        let Some(part) = structure.parts().nth(*part) else { continue };
        // What cannot be read now has no words; whoever opens it is told.
        let octets = octets.unwrap_or_default();
        let whole = octets.len() as u64 == range.end - range.start;
        rows[*at].beginning = text::beginning(part, &octets, whole);
    }
}

impl Row {
    /// What is known without looking into it.
    fn of(folder: MailboxId, newest: &Message, messages: &[Message], outgoing: bool) -> Self {
        let has = |flag: Flags| messages.iter().any(|message| message.flags().contains(flag));
        Self {
            folder: folder.get(),
            uid: newest.uid().get(),
            count: messages.len(),
            unread: messages.iter().filter(|message| !message.flags().contains(Flags::SEEN)).count(),
            flagged: has(Flags::FLAGGED),
            answered: newest.flags().contains(Flags::ANSWERED),
            draft: has(Flags::DRAFT),
            date: newest.date().0,
            outgoing,
            ..Self::default()
        }
    }

    fn look_at(&mut self, message: &Message, structure: &Structure) {
        self.attachment |= structure.has_attachment();
        let Some(envelope) = structure.root().envelope() else { return };
        if message.uid().get() == self.uid {
            self.subject = text::line(&words(envelope.subject().unwrap_or_default()), SUBJECT);
        }
        let unread = !message.flags().contains(Flags::SEEN);
        let people: Vec<_> = if self.outgoing {
            envelope.to().chain(envelope.cc()).chain(envelope.bcc()).take(PEOPLE).collect()
        } else {
            envelope.from().take(1).collect()
        };
        for name in people.iter().filter_map(text::name) {
            let name = text::line(&name, NAME);
            if let Some((_, has_unread)) = self.people.iter_mut().find(|(known, _)| *known == name) {
                *has_unread |= unread;
            } else if self.people.len() < PEOPLE {
                self.people.push((name, unread));
            }
        }
    }
}

/// The text of a message, by the number of its part and where it lies.
fn beginning_of(structure: &Structure, prefix: u64) -> Option<(usize, Range<u64>)> {
    let part = Contents::bounded(structure.root(), PARTS, PARTS).text()?;
    let range = part.body();
    Some((part.index(), range.start + prefix..range.end + prefix))
}

/// Messages of a conversation that are looked at: the first one, which says what it is about, and the newest ones.
pub(super) const LOOKED_AT: usize = 4;
/// Octets that are looked at of a message whose structure is not kept.
const GLANCE: u64 = 64 << 10;
/// Octets of a text that are read for its first words.
const BEGINNING: u64 = 4 << 10;
/// Parts that are looked at.
const PARTS: usize = 50;
/// People who are named, and how long a name and a subject may be in a page.
const PEOPLE: usize = 3;
const NAME: usize = 80;
const SUBJECT: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::mail::stocked::{Stocked, message};

    /// What a page reads, counted: of each conversation the first message and the newest three, and of the newest its beginning.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_page_reads_little_of_few_messages() {
        let stocked = Stocked::new().await;
        let mut conversations = Vec::new();
        for number in 0..10 {
            let mut uids = Vec::new();
            for person in 0..=number {
                let from = format!("p{person}@far.test");
                uids.push(stocked.deliver(stocked.inbox, message(&from, "x", "hello")).await);
            }
            conversations.push(uids);
        }
        let snapshot = stocked.load(stocked.inbox).await;
        stocked.reads.take();
        let shown = rows(&snapshot, &conversations, false).await;
        // No structure is kept of what was delivered here, so each is made anew, one read for each; and all beginnings are one.
        let looked_at: usize = (1..=10).map(|count| count.min(LOOKED_AT)).sum();
        assert_eq!(stocked.reads.take().1, looked_at + conversations.len());
        let names = |at: usize| shown[at].people.iter().map(|(name, _)| &**name).collect::<Vec<_>>();
        assert_eq!(names(2), ["p0@far.test", "p1@far.test", "p2@far.test"]);
        assert_eq!(names(9), ["p0@far.test", "p7@far.test", "p8@far.test"], "the first one and the newest");
        assert!(shown.iter().zip(1..).all(|(row, count)| row.count == count && row.unread == count));
        assert!(shown.iter().all(|row| row.beginning == "hello"));

        // Neither the length of a message nor that of its text says what a page costs.
        let long =
            stocked.deliver(stocked.inbox, message("p@far.test", "long", &"hello ".repeat(11_800))).await;
        let snapshot = stocked.load(stocked.inbox).await;
        let size = snapshot.messages.find(long).unwrap().size();
        assert!(size > GLANCE, "{size}");
        stocked.reads.take();
        let shown = rows(&snapshot, &[vec![long]], false).await;
        assert!(shown[0].beginning.starts_with("hello hello") && shown[0].subject == "long");
        let (_, _, octets) = stocked.reads.take();
        assert_eq!(octets, GLANCE + BEGINNING);
        drop(snapshot);
        stocked.end().await;
    }

    /// What cannot be read has its place in the list, and says so.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_message_that_cannot_be_read_is_listed() {
        let stocked = Stocked::new().await;
        let uid = stocked.deliver(stocked.inbox, message("p@far.test", "x", "hello")).await;
        let snapshot = stocked.load(stocked.inbox).await;
        stocked.reads.fail(true);
        let shown = rows(&snapshot, &[vec![uid]], false).await;
        assert_eq!((shown.len(), &*shown[0].subject), (1, "This message cannot be read"));
        drop(snapshot);
        stocked.end().await;
    }
}
