//! What the queue has in memory, and what is read when it wants it: all records once, while the host is at work, and from
//! then on those of messages outside its window.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use relay_queue::queue::{Damage, Load, Standing, View};
use relay_queue::{MessageId, Queue};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, info};

use super::{QUEUE, Relay};

/// How far the records of the queue have been read.
#[derive(Debug)]
pub(super) struct Reading {
    /// Where to go on; `None` when all have been read.
    from: Option<Bytes>,
    read: usize,
    all: usize,
    /// How many are read at a time.
    step: usize,
}

/// A load, and the values of its records if the disk gave them.
type Loaded = (Load, Option<Vec<Option<Bytes>>>);

impl Reading {
    pub(super) fn new(all: usize, step: usize) -> Self {
        Self { from: Some(Bytes::new()), read: 0, all, step: step.clamp(1, PAGE) }
    }
}

impl Relay {
    /// Reads the rest of the records, however often it takes.
    pub async fn read_all(&self) {
        loop {
            match self.read_on().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    error!(%error, "the queue cannot be read on; it is tried again in a minute");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Reads some records; whether there are more. A disk that does not give one is an error, and that one is read again:
    /// what is not read now is not lost, and must not be taken for it.
    pub(super) async fn read_on(&self) -> io::Result<bool> {
        let Some((from, step)) = ({
            let reading = self.reading();
            reading.from.clone().map(|from| (from, reading.step))
        }) else {
            return Ok(false);
        };
        let page = self.store.records(QUEUE, from, step).await?;
        let mut next = page.next;
        let (mut count, mut failed) = (0, None);
        {
            let mut queue = self.queue();
            for (key, value) in page.records {
                match value {
                    Ok(value) => queue.handle_record(&key, &value),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        error!(?key, %error, "a record of the queue is damaged");
                    }
                    Err(error) => {
                        next = Some(key);
                        failed = Some(error);
                        break;
                    }
                }
                count += 1;
            }
            if next.is_none() {
                say(&queue.handle_restored());
                if !queue.is_empty() {
                    info!(messages = queue.len(), "mail for others waits");
                }
            }
        }
        let more = next.is_some();
        {
            let mut reading = self.reading();
            reading.read += count;
            reading.from = next;
        }
        self.wake.notify_one();
        failed.map_or(Ok(more), Err)
    }

    /// Whether all that waits is known.
    pub fn is_read(&self) -> bool {
        self.reading().from.is_none()
    }

    /// For a person to read, as long as not all that waits is known.
    pub(super) fn still_reading(&self) -> Option<String> {
        let reading = self.reading();
        let all = reading.all.max(reading.read);
        reading
            .from
            .is_some()
            .then(|| format!("the queue is still being read, {} of {all} records", reading.read))
    }

    /// What all messages of which something is known are called, the oldest first.
    pub fn ids(&self) -> Vec<MessageId> {
        self.queue().ids(None).collect()
    }

    /// Reads what the queue has asked for.
    pub(super) async fn fetch(&self, loads: Vec<Load>) {
        let loaded = self.read(loads).await;
        self.hand_in(&mut self.queue(), loaded);
        self.saved.notify_waiters();
        self.wake.notify_one();
    }

    async fn read(&self, loads: Vec<Load>) -> Vec<Loaded> {
        if loads.is_empty() {
            return Vec::new();
        }
        let keys = loads.iter().flat_map(Load::keys).cloned().collect();
        let mut values = match self.store.values(QUEUE, keys).await {
            Ok(values) => values.into_iter(),
            Err(error) => {
                error!(%error, messages = loads.len(), "messages of the queue cannot be read now");
                return loads.into_iter().map(|load| (load, None)).collect();
            }
        };
        let value = |value: Option<io::Result<Bytes>>| match value {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            // No record is empty: the queue says what is to be said.
            Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(Bytes::new())),
            Some(Err(error)) => Err(error),
        };
        let each = |load: Load| {
            let mine: Vec<_> = values.by_ref().take(load.keys().len()).collect();
            let read = mine.into_iter().map(value).collect::<io::Result<Vec<_>>>();
            if let Err(error) = &read {
                error!(queue_id = %load.message(), %error, "a message of the queue cannot be read now");
            }
            (load, read.ok())
        };
        loads.into_iter().map(each).collect()
    }

    fn hand_in(&self, queue: &mut Queue, loaded: Vec<Loaded>) {
        for (load, values) in loaded {
            match values {
                Some(values) => queue.handle_loaded(self.unix_now(), load, values),
                None => queue.handle_not_loaded(self.unix_now(), load),
            }
        }
    }

    /// Does something with each of these messages while it is in memory. Those that are gone, or that cannot be read, are
    /// not in what comes of it.
    pub(super) async fn each<T>(
        &self,
        ids: &[MessageId],
        mut what: impl FnMut(&mut Queue, MessageId) -> T + Send,
    ) -> BTreeMap<MessageId, T> {
        let (mut left, mut done) = (ids.to_vec(), BTreeMap::new());
        let end = Instant::now() + PATIENCE;
        while !left.is_empty() {
            let loads: Vec<Load> = {
                let (mut queue, now) = (self.queue(), self.unix_now());
                left.iter().filter_map(|id| queue.load(now, *id)).collect()
            };
            let tried: BTreeSet<_> = loads.iter().map(Load::message).collect();
            let loaded = self.read(loads).await;
            let mut again = pin!(self.saved.notified());
            again.as_mut().enable();
            {
                let mut queue = self.queue();
                self.hand_in(&mut queue, loaded);
                left.retain(|id| {
                    if queue.show(*id).is_some() {
                        done.insert(*id, what(&mut queue, *id));
                        return false;
                    }
                    // Somebody else is reading it.
                    !tried.contains(id) && is_there(&queue, *id)
                });
            }
            self.wake.notify_one();
            if !left.is_empty() && timeout_at(end, again).await.is_err() {
                break;
            }
        }
        done
    }

    /// Waits until what has become of messages is durable, as far as it is known by then.
    pub(super) async fn saved(&self, messages: &[MessageId]) -> io::Result<()> {
        let saving =
            |view: View<'_>| view.recipients().any(|recipient| recipient.standing == Standing::Saving);
        let end = Instant::now() + SAVING;
        let mut left = messages.to_vec();
        loop {
            let mut again = pin!(self.saved.notified());
            again.as_mut().enable();
            {
                // What is not in memory is durable.
                let queue = self.queue();
                left.retain(|id| queue.show(*id).is_some_and(saving));
            }
            if left.is_empty() {
                return Ok(());
            }
            timeout_at(end, again)
                .await
                .map_err(|_| io::Error::other("the disk does not keep what has become of a message"))?;
        }
    }
}

/// Whether the queue has a message, in memory or not.
pub(super) fn is_there(queue: &Queue, id: MessageId) -> bool {
    let before = id.0.checked_sub(1).map(MessageId);
    queue.ids(before).next() == Some(id)
}

fn say(damage: &[Damage]) {
    for damage in damage {
        error!(key = ?damage.key, error = %damage.error, "a record of the queue cannot be read");
    }
}

/// Records that are read at a time.
const PAGE: usize = 1_000;
/// How long a disk is left alone that did not give a record.
const AGAIN: Duration = Duration::from_secs(60);
/// How long an operator waits for somebody else's read.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a disk may take to keep what was delivered, before no more is sent.
const SAVING: Duration = Duration::from_secs(60);
