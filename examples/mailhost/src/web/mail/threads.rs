//! Conversations: which messages of a mailbox belong together.
//!
//! Messages belong together that name the same message identifier, as their own or as one that they answer, and so do those that
//! belong together with the same others (RFC 5256, REFERENCES, but for its steps that go by the subject: "Re: hello" of two
//! strangers is no conversation). For that, the host has an index of each mailbox that somebody looks at, in memory and of its
//! newest messages alone: [`AT_ONCE`] as soon as it is looked at, more by and by up to [`MOST`]. An older message stands alone.
//!
//! Whoever writes a message chooses the identifiers in it. So they are known by a keyed hash, [`IDS`] of them count at either
//! end of a field, and what all indexes hold together is bounded: the one that was looked at least recently goes.

mod identifiers;
mod partition;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mailstore::Actor;
use mailstore::mailbox::{Messages, ModSeq, Uid, UidValidity};
use mailstore::message::Message;
use tokio::sync::Mutex as Turn;
use tracing::{debug, warn};

use self::identifiers::identifiers;
use self::partition::Partition;
use crate::store::{Reader, Snapshot, Store};

/// The conversations of all mailboxes that somebody has looked at of late.
#[derive(Default)]
pub(in crate::web) struct Threads {
    /// Nobody who writes a message knows what its identifiers come to.
    keys: RandomState,
    kept: Mutex<Kept>,
}

/// The indexes there are.
#[derive(Default)]
struct Kept {
    /// Each with how much it holds, and when it was last asked for.
    indexes: BTreeMap<u64, Known>,
    /// Counts what is asked.
    clock: u64,
}

struct Known {
    index: Arc<Turn<Index>>,
    size: usize,
    used: u64,
}

/// The conversations of one mailbox as it is asked about them.
pub(crate) struct Conversations {
    index: Arc<Turn<Index>>,
}

/// What is known of a mailbox: its newest messages, without a gap.
#[derive(Default)]
struct Index {
    life: Option<UidValidity>,
    /// How far the mailbox had come when it was looked at last.
    mod_seq: ModSeq,
    /// Some may have been added that were gone by then.
    unsure: bool,
    partition: Partition,
    /// The lowest and the highest identifier that it has seen, gone or not.
    seen: Option<(Uid, Uid)>,
    /// Somebody is about to add older ones.
    growing: bool,
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

impl Threads {
    /// The conversations of a mailbox as it is in this snapshot: at least those of its newest messages. Older ones are added by a
    /// task behind the back of whoever asks.
    pub(crate) async fn of(self: &Arc<Self>, store: &Store, snapshot: &Snapshot) -> Conversations {
        let mailbox = snapshot.status.id;
        let index = self.kept().index(mailbox.get());
        let grows = {
            let mut turn = index.lock().await;
            self.follow(&mut turn, snapshot).await;
            self.kept().resized(mailbox.get(), &index, turn.partition.size());
            let wants = turn.wants_more(snapshot) && !turn.growing;
            turn.growing |= wants;
            wants
        };
        if grows {
            let (threads, store, index) = (Arc::clone(self), store.clone(), Arc::clone(&index));
            let actor = Actor::Account(snapshot.status.account);
            tokio::spawn(async move {
                if let Some(snapshot) = store.load(actor, mailbox).await {
                    threads.grow(&index, &snapshot).await;
                }
                index.lock().await.growing = false;
            });
        }
        Conversations { index }
    }

    /// Makes the index know what the snapshot has, if that is newer than what it knows.
    async fn follow(&self, index: &mut Index, snapshot: &Snapshot) {
        let status = &snapshot.status;
        if index.life != Some(status.uid_validity) {
            index.begin(status.uid_validity);
        } else if index.seen.is_some()
            && (status.highest_mod_seq < index.mod_seq
                || status.highest_mod_seq == index.mod_seq && !index.unsure)
        {
            // Somebody with a newer snapshot was here before.
            return;
        }
        self.take_up(index, snapshot).await;
        // At the end: whoever asks may go away in between, and leaves the rest to the next one.
        let unsure = index.seen.is_some_and(|(low, _)| low < oldest(&snapshot.messages));
        (index.mod_seq, index.unsure) = (status.highest_mod_seq, unsure);
    }

    /// Takes up what has come and lets go of what is gone.
    async fn take_up(&self, index: &mut Index, snapshot: &Snapshot) {
        let (messages, status) = (&snapshot.messages, &snapshot.status);
        let newest = messages.len().checked_sub(1).and_then(|last| messages.get(last));
        let Some(newest) = newest.map(|message| message.uid()) else {
            return index.begin(status.uid_validity);
        };
        let from = match index.seen {
            // Identifiers rise: none comes between those that were seen.
            Some((low, high)) => {
                let known = messages.range(low..=high);
                // What the snapshot misses may be there or not.
                let indexed: Vec<Uid> = index.partition.uids_from(oldest(messages)).collect();
                if known.len() != indexed.len() {
                    let there: BTreeSet<Uid> =
                        messages.slice(known.clone()).map(|message| message.uid()).collect();
                    let gone: Vec<Uid> = indexed.into_iter().filter(|uid| !there.contains(uid)).collect();
                    index.partition.remove(&gone);
                }
                known.end
            }
            None => messages.len().saturating_sub(AT_ONCE),
        };
        // After an import of many it is cheaper to begin anew.
        let from = if messages.len() - from > AT_ONCE {
            index.begin(status.uid_validity);
            messages.len() - AT_ONCE
        } else {
            from
        };
        let new: Vec<Message> = messages.slice(from..messages.len()).collect();
        let Some(oldest) = new.first().map(Message::uid) else { return };
        for (uid, ids) in self.read(&snapshot.reader(), &new).await {
            index.partition.insert(uid, ids);
        }
        let low = index.seen.map_or(oldest, |(low, _)| low);
        index.seen = Some((low, newest));
        let over = index.partition.len().saturating_sub(MOST);
        if over > 0 {
            let oldest: Vec<Uid> = index.partition.uids().take(over).collect();
            index.partition.remove(&oldest);
            let low = index.partition.uids().next();
            index.seen = low.map(|low| (low, newest));
        }
    }

    /// Adds older messages, step by step, for as long as there are some and there is room for them.
    async fn grow(&self, index: &Arc<Turn<Index>>, snapshot: &Snapshot) {
        let messages = &snapshot.messages;
        loop {
            let (low, life) = {
                let turn = index.lock().await;
                if !turn.wants_more(snapshot) || !self.kept().has_room(snapshot.status.id.get(), index) {
                    return;
                }
                match (turn.seen, turn.life) {
                    (Some((low, _)), life) => (low, life),
                    (None, _) => return,
                }
            };
            let end = messages.range(Uid::FIRST..=low).end;
            // The lowest one itself may be gone by now.
            let end = end - usize::from(messages.find(low).is_some());
            let older: Vec<Message> = messages.slice(end.saturating_sub(STEP)..end).collect();
            let Some(oldest) = older.first().map(Message::uid) else { return };
            let read = self.read(&snapshot.reader(), &older).await;
            let mut turn = index.lock().await;
            // Somebody may have begun anew meanwhile.
            let same = turn.seen.filter(|(now, _)| *now == low && life == turn.life);
            let Some((_, high)) = same else { return };
            for (uid, ids) in read {
                turn.partition.insert(uid, ids);
            }
            turn.seen = Some((oldest, high));
            turn.unsure |= turn.mod_seq != snapshot.status.highest_mod_seq;
            let size = turn.partition.size();
            drop(turn);
            self.kept().resized(snapshot.status.id.get(), index, size);
            debug!(mailbox = snapshot.status.id.get(), size, "conversations looked up");
        }
    }

    /// The identifiers of some messages. One that cannot be read stands alone.
    async fn read(&self, reader: &Reader, messages: &[Message]) -> Vec<(Uid, Box<[u64]>)> {
        let mut all = Vec::with_capacity(messages.len());
        for part in messages.chunks(READ_AT_ONCE) {
            let heads =
                reader.read_all(part.iter().map(|message| (message, 0..HEAD.min(message.size())))).await;
            for (message, head) in part.iter().zip(heads) {
                all.push((message.uid(), self.ids(message, head)));
            }
        }
        all
    }

    fn ids(&self, message: &Message, head: io::Result<bytes::Bytes>) -> Box<[u64]> {
        match head {
            Ok(head) => {
                let mut ids = Vec::new();
                identifiers(&head, |id| ids.push(self.keys.hash_one(id)));
                ids.sort_unstable();
                ids.dedup();
                ids.into_boxed_slice()
            }
            Err(error) => {
                warn!(uid = message.uid().get(), %error, "a message cannot be read");
                Box::default()
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conversations {
    /// The conversation of a message, the oldest one first, itself included. Some of it may be gone.
    pub(crate) async fn with(&self, uid: Uid) -> Vec<Uid> {
        let turn = self.index.lock().await;
        turn.partition.of(uid).map_or_else(|| vec![uid], |members| members.iter().copied().collect())
    }

    /// Goes through some of the messages and gives conversations, each at its newest message, until there are so many. Each
    /// conversation begins with its oldest message. `None` if one of them may have messages that are missing.
    pub(crate) async fn newest_of(
        &self,
        messages: &Messages,
        some: impl Iterator<Item = Uid>,
        count: usize,
    ) -> Option<Vec<Vec<Uid>>> {
        let turn = self.index.lock().await;
        // What others have seen come or go meanwhile is not so here.
        let there = |uid: &&Uid| messages.find(**uid).is_some();
        let oldest = oldest(messages);
        let mut found = Vec::new();
        for uid in some {
            match turn.partition.of(uid) {
                None => found.push(vec![uid]),
                Some(members) if members.iter().rev().find(there) == Some(&uid) => {
                    if members.iter().any(|member| *member < oldest) {
                        return None;
                    }
                    found.push(members.iter().filter(there).copied().collect());
                }
                Some(_) => {}
            }
            if found.len() == count {
                break;
            }
        }
        Some(found)
    }

    /// Messages of another mailbox that belong to the conversation of a message of this one, and more of this one that they
    /// bring with them; at most so many of either.
    pub(crate) async fn across(&self, uid: Uid, other: &Self, most: usize) -> (Vec<Uid>, Vec<Uid>) {
        if Arc::ptr_eq(&self.index, &other.index) {
            return (self.with(uid).await, Vec::new());
        }
        let (mut here, mut there) = (BTreeSet::from_iter(self.with(uid).await), BTreeSet::new());
        let mut ids: BTreeSet<u64> = BTreeSet::new();
        loop {
            let before = (here.len(), there.len());
            for (index, members) in [(&self.index, &mut here), (&other.index, &mut there)] {
                let turn = index.lock().await;
                members.extend(turn.partition.with_ids(&ids));
                for member in members.iter().take(most) {
                    ids.extend(turn.partition.ids(*member));
                }
            }
            if before == (here.len(), there.len()) || here.len() > most || there.len() > most {
                break;
            }
        }
        let newest = |members: BTreeSet<Uid>| {
            let skip = members.len().saturating_sub(most);
            members.into_iter().skip(skip).collect()
        };
        (newest(here), newest(there))
    }
}

impl Kept {
    fn index(&mut self, mailbox: u64) -> Arc<Turn<Index>> {
        self.clock += 1;
        let new = || Known { index: Arc::default(), size: 0, used: 0 };
        let known = self.indexes.entry(mailbox).or_insert_with(new);
        known.used = self.clock;
        Arc::clone(&known.index)
    }

    /// An index has another size; others make room for it.
    fn resized(&mut self, mailbox: u64, index: &Arc<Turn<Index>>, size: usize) {
        match self.indexes.get_mut(&mailbox) {
            Some(known) if Arc::ptr_eq(&known.index, index) => known.size = size,
            // It has gone meanwhile.
            _ => return,
        }
        while self.size() > ROOM || self.indexes.len() > INDEXES {
            let others = self.indexes.iter().filter(|(other, _)| **other != mailbox);
            let Some(oldest) = others.min_by_key(|(_, known)| known.used).map(|(other, _)| *other) else {
                return;
            };
            self.indexes.remove(&oldest);
        }
    }

    /// Whether an index is still kept, and may grow.
    fn has_room(&self, mailbox: u64, index: &Arc<Turn<Index>>) -> bool {
        self.indexes.get(&mailbox).is_some_and(|known| Arc::ptr_eq(&known.index, index)) && self.size() < ROOM
    }

    fn size(&self) -> usize {
        self.indexes.values().map(|known| known.size).sum()
    }
}

impl Index {
    /// Forgets everything.
    fn begin(&mut self, life: UidValidity) {
        let (mod_seq, growing) = (self.mod_seq, self.growing);
        *self = Self { life: Some(life), mod_seq, growing, ..Self::default() };
    }

    /// Whether there are older messages that it should know.
    fn wants_more(&self, snapshot: &Snapshot) -> bool {
        let below = self.seen.map_or(0, |(low, _)| {
            let end = snapshot.messages.range(Uid::FIRST..=low).end;
            end - usize::from(snapshot.messages.find(low).is_some())
        });
        below > 0 && self.partition.len() + STEP <= MOST
    }
}

/// From which identifier on a snapshot tells what is there.
fn oldest(messages: &Messages) -> Uid {
    let missing = Some(messages.missing()).filter(|missing| *missing > 0);
    missing.and_then(|missing| messages.get(missing)).map_or(Uid::FIRST, |message| message.uid())
}

/// Octets of a message in which these fields are looked for.
const HEAD: u64 = 32 << 10;
/// Messages that are looked up before anything is shown.
pub(super) const AT_ONCE: usize = 500;
/// Messages that are looked up together, later on.
const STEP: usize = 500;
/// Messages of one mailbox that are in conversations; tests do with fewer.
const MOST: usize = if cfg!(test) { 2_000 } else { 20_000 };
/// Messages that are read in one go: some of their bodies may have to be read whole.
const READ_AT_ONCE: usize = 50;
/// Messages and identifiers of all mailboxes: some 30 MiB.
const ROOM: usize = 500_000;
/// Mailboxes.
const INDEXES: usize = 2_000;

#[cfg(test)]
pub(super) mod tests {
    use std::task::Poll;

    use super::*;
    use crate::web::mail::stocked::{ANNA, Stocked};

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    async fn put(stocked: &Stocked, mailbox: mailstore::mailbox::MailboxId, header: String) -> Uid {
        stocked.deliver(mailbox, format!("{header}\r\n\r\n")).await
    }

    /// 1,300 messages, of which each tenth one is in one conversation.
    pub(in crate::web::mail) async fn filled() -> Stocked {
        let stocked = Stocked::new().await;
        fill(&stocked, 1..=1_300).await;
        stocked
    }

    async fn fill(stocked: &Stocked, numbers: std::ops::RangeInclusive<u32>) {
        for number in numbers {
            let answers = if number % 10 == 0 { "\r\nReferences: <root@x>" } else { "" };
            put(stocked, stocked.inbox, format!("Message-ID: <{number}@x>{answers}")).await;
        }
    }

    async fn grown(conversations: &Conversations) {
        while conversations.index.lock().await.growing {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_newest_are_known_at_once_and_the_others_by_and_by() {
        let stocked = filled().await;
        let (store, inbox) = (&stocked.store, stocked.inbox);
        let threads = Arc::<Threads>::default();
        let snapshot = stocked.load(inbox).await;
        let conversations = threads.of(store, &snapshot).await;
        let last = uid(1_300);
        assert!(conversations.with(last).await.len() >= AT_ONCE / 10);
        grown(&conversations).await;
        assert_eq!(conversations.with(last).await.len(), 130);
        assert_eq!(conversations.with(uid(11)).await.len(), 1);

        // What goes and what comes is followed, by those who look at an older moment as well.
        stocked.expunge_all(inbox, (1..=1_300).filter(|uid| uid % 20 == 0)).await;
        let new = put(&stocked, inbox, "Message-ID: <new@x>\r\nIn-Reply-To: <root@x>".to_owned()).await;
        let newer = stocked.load(inbox).await;
        let conversations = threads.of(store, &newer).await;
        assert_eq!(conversations.with(new).await.len(), 66);
        let conversations = threads.of(store, &snapshot).await;
        assert_eq!(conversations.with(new).await.len(), 66, "nothing is forgotten");
        let rows =
            conversations.newest_of(&snapshot.messages, [last, uid(1_290)].into_iter(), 9).await.unwrap();
        assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [1, 65], "the newest that was there");

        stocked.expunge_all(inbox, 1..=1_301).await;
        let empty = stocked.load(inbox).await;
        threads.of(store, &empty).await;
        assert_eq!(threads.kept().size(), 0);
        drop((snapshot, newer, empty));
        stocked.end().await;
    }

    /// What is read for an index, counted: so many heads before anything is shown, each other one once, and none of a mailbox that
    /// has not changed.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_index_reads_each_message_once_and_few_of_them_at_once() {
        let stocked = filled().await;
        let (store, inbox) = (&stocked.store, stocked.inbox);
        let threads = Arc::<Threads>::default();
        let snapshot = stocked.load(inbox).await;
        stocked.reads.take();
        let mut index = Index::default();
        threads.follow(&mut index, &snapshot).await;
        assert_eq!(stocked.reads.take().1, AT_ONCE, "the newest alone");
        assert_eq!(index.seen, Some((uid(801), uid(1_300))));
        // One that nobody keeps any more does not grow, whoever has asked for that.
        let gone = Arc::new(Turn::new(index));
        threads.grow(&gone, &snapshot).await;
        assert_eq!(stocked.reads.take().1, 0);

        let conversations = threads.of(store, &snapshot).await;
        let again = threads.of(store, &snapshot).await;
        grown(&conversations).await;
        assert_eq!(stocked.reads.take().1, 1_300, "each one once");
        assert_eq!(again.index.lock().await.partition.len(), 1_300);
        let size = again.index.lock().await.partition.size();
        assert_eq!(threads.kept().size(), size, "and that is known");
        threads.of(store, &snapshot).await;
        grown(&conversations).await;
        assert_eq!(stocked.reads.take().1, 0, "nothing has changed");
        fill(&stocked, 1_301..=1_303).await;
        let newer = stocked.load(inbox).await;
        stocked.reads.take();
        threads.of(store, &newer).await;
        assert_eq!(stocked.reads.take().1, 3, "what has come");

        // After an import it begins anew, so that the newest are without a gap.
        fill(&stocked, 1_304..=1_304 + AT_ONCE as u32).await;
        let newest = stocked.load(inbox).await;
        stocked.reads.take();
        let mut turn = conversations.index.lock().await;
        threads.follow(&mut turn, &newest).await;
        assert_eq!(stocked.reads.take().1, AT_ONCE);
        assert_eq!(turn.seen, Some((uid(1_305), uid(1_804))));
        assert_eq!(turn.partition.len(), AT_ONCE);
        drop(turn);
        drop((snapshot, newer, newest));
        stocked.end().await;
    }

    /// Whoever asks may go away at any time, and leaves to the next one what they have begun.
    #[tokio::test(flavor = "multi_thread")]
    async fn who_gives_up_early_leaves_the_index_to_the_next_one() {
        let stocked = filled().await;
        let (store, inbox) = (&stocked.store, stocked.inbox);
        let threads = Arc::<Threads>::default();
        let snapshot = stocked.load(inbox).await;
        for polls in 1..=6 {
            let mut asked = Box::pin(threads.of(store, &snapshot));
            for _ in 0..polls {
                let done = std::future::poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx).is_ready())).await;
                if done {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let conversations = threads.of(store, &snapshot).await;
        grown(&conversations).await;
        assert_eq!(conversations.with(uid(1_300)).await.len(), 130);
        let index = conversations.index.lock().await;
        assert_eq!(index.seen, Some((uid(1), uid(1_300))));
        assert_eq!(index.partition.len(), 1_300);
        drop(index);
        drop(snapshot);
        stocked.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn identifiers_are_found_in_long_headers_but_not_in_endless_ones() {
        let stocked = Stocked::new().await;
        let inbox = stocked.inbox;
        put(&stocked, inbox, "Message-ID: <root@x>".to_owned()).await;
        let head = usize::try_from(HEAD).unwrap();
        for length in [head - 100, head + 100] {
            let header = format!("X-Long: {}\r\nReferences: <root@x>", "x".repeat(length));
            put(&stocked, inbox, header).await;
        }
        let threads = Arc::<Threads>::default();
        let snapshot = stocked.load(inbox).await;
        stocked.reads.take();
        let conversations = threads.of(&stocked.store, &snapshot).await;
        let (calls, messages, octets) = stocked.reads.take();
        assert_eq!((calls, messages), (1, 3));
        assert!(octets <= 3 * HEAD, "{octets}");
        assert_eq!(conversations.with(uid(1)).await, [uid(1), uid(2)]);
        assert_eq!(conversations.with(uid(3)).await, [uid(3)]);
        drop(snapshot);
        stocked.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_more_than_are_kept_the_newest_stay() {
        let stocked = filled().await;
        let (store, inbox) = (&stocked.store, stocked.inbox);
        let threads = Arc::<Threads>::default();
        let most = u32::try_from(MOST).unwrap();
        let mut last = 1_300;
        let snapshot = stocked.load(inbox).await;
        let conversations = threads.of(store, &snapshot).await;
        grown(&conversations).await;
        while last < most + 200 {
            fill(&stocked, last + 1..=last + 400).await;
            last += 400;
            let newer = stocked.load(inbox).await;
            threads.of(store, &newer).await;
        }
        let newest = stocked.load(inbox).await;
        stocked.reads.take();
        threads.of(store, &newest).await;
        grown(&conversations).await;
        assert_eq!(stocked.reads.take().1, 0, "there is no room for older ones");
        let index = conversations.index.lock().await;
        assert_eq!(index.seen, Some((uid(last - most + 1), uid(last))));
        assert_eq!(index.partition.len(), MOST);
        drop(index);
        assert_eq!(conversations.with(uid(last)).await.len(), MOST / 10);
        assert_eq!(conversations.with(uid(10)).await, [uid(10)], "an older one stands alone");
        drop((snapshot, newest));
        stocked.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_snapshot_of_the_newest_misses_is_not_taken_for_gone() {
        let stocked = filled().await;
        let threads = Arc::<Threads>::default();
        let all = stocked.load(stocked.inbox).await;
        grown(&threads.of(&stocked.store, &all).await).await;
        drop(all);
        stocked.expunge_all(stocked.inbox, [20, 1_290]).await;
        let stocked = stocked.opened_again().await;
        let (store, mailbox) = (&stocked.store, stocked.inbox);
        let newest = store.load_newest(ANNA, mailbox, 600).await.unwrap();
        assert_eq!(newest.messages.missing(), 698);
        let conversations = threads.of(store, &newest).await;
        let last = uid(1_300);
        assert!(matches!(conversations.with(last).await.len(), 128 | 129), "what can be seen to be gone is");
        assert_eq!(conversations.newest_of(&newest.messages, [last].into_iter(), 1).await, None);
        let alone = uid(1_299);
        assert_eq!(
            conversations.newest_of(&newest.messages, [alone].into_iter(), 1).await,
            Some(vec![vec![alone]])
        );
        let all = stocked.load(mailbox).await;
        let conversations = threads.of(store, &all).await;
        assert_eq!(conversations.with(last).await.len(), 128);
        let rows = conversations.newest_of(&all.messages, [last].into_iter(), 1).await.unwrap();
        assert_eq!(rows[0].len(), 128);
        grown(&conversations).await;
        drop((newest, all));
        stocked.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sent_mail_belongs_to_a_conversation_too() {
        let stocked = filled().await;
        let (store, inbox) = (&stocked.store, stocked.inbox);
        let sent = stocked.folder("Sent").await;
        let root = put(&stocked, sent, "Message-ID: <root@x>".to_owned()).await;
        put(&stocked, sent, "Message-ID: <other@x>".to_owned()).await;
        // It answers one message of the inbox, and a later one there answers it.
        let bridge = put(&stocked, sent, "Message-ID: <b@x>\r\nIn-Reply-To: <1295@x>".to_owned()).await;
        let late = put(&stocked, inbox, "Message-ID: <late@x>\r\nIn-Reply-To: <b@x>".to_owned()).await;
        let threads = Arc::<Threads>::default();
        let snapshots = (store.load(ANNA, inbox).await.unwrap(), store.load(ANNA, sent).await.unwrap());
        let here = threads.of(store, &snapshots.0).await;
        let there = threads.of(store, &snapshots.1).await;
        grown(&here).await;
        let (own, answers) = here.across(uid(1_300), &there, 1_000).await;
        assert_eq!((own.len(), answers), (130, vec![root]));
        let (own, answers) = here.across(late, &there, 1_000).await;
        assert_eq!((own, answers), (vec![uid(1_295), late], vec![bridge]));
        let (own, answers) = here.across(uid(1_300), &there, 10).await;
        assert_eq!(own, (1..=10).map(|ten| uid(1_200 + ten * 10)).collect::<Vec<_>>(), "the newest of many");
        assert_eq!(answers.len(), 1);
        drop(snapshots);
        stocked.end().await;
    }

    #[test]
    fn indexes_make_room_for_the_one_that_is_used() {
        let mut kept = Kept::default();
        let one = kept.index(1);
        kept.resized(1, &one, ROOM + 1);
        assert_eq!(kept.indexes.len(), 1, "the one that is used stays");
        assert!(!kept.has_room(1, &one));
        kept.resized(1, &one, ROOM / 2);
        assert!(kept.has_room(1, &one));
        let other = kept.index(2);
        kept.resized(2, &other, ROOM / 4);
        kept.index(1);
        let third = kept.index(3);
        kept.resized(3, &third, ROOM / 3);
        assert_eq!(
            kept.indexes.keys().copied().collect::<Vec<_>>(),
            [1, 3],
            "the second has not been asked for since"
        );
        assert!(!kept.has_room(2, &other), "what has gone does not grow");
        kept.resized(2, &other, 5);
        assert_eq!(kept.indexes.len(), 2);
        assert!(!Arc::ptr_eq(&kept.index(2), &other), "it begins anew");
        assert!(!kept.has_room(2, &other));
    }
}
