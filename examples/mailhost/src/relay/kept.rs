//! What has become of messages that were written on the web, kept beyond their end for those who wrote them.
//!
//! A record is made in the commit that accepts a message, and each recipient's end is written into it in the commit that takes
//! the recipient out of the queue. There are [`MOST`] at most: the oldest goes for a new one.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use mailstore::Intent;
use relay_queue::queue::{Fact, Standing};
use relay_queue::{Address, BodyHandle, MessageId};
use serde::{Deserialize, Serialize};
use tracing::error;

use super::{Accepted, Relay, handle, key};
use crate::store::Store;

/// What is known of a message that somebody has sent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sent {
    /// Whose it is.
    pub account: u64,
    /// When it was accepted, in seconds of Unix.
    pub at: i64,
    /// What the queue calls it, if anything of it was queued.
    pub queued: Option<u64>,
    /// Its recipients, as they were typed.
    pub to: Vec<Recipient>,
}

/// A recipient of such a message.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// How it has ended; without an end it waits in the queue.
    pub end: Option<End>,
}

/// How it has ended with a recipient.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct End {
    /// When, in seconds of Unix.
    pub at: i64,
    /// What has happened.
    pub how: How,
    /// The host that has said so.
    pub host: Option<String>,
    /// What was said.
    pub answer: String,
}

/// What has happened in the end.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// This host has put it into a mailbox.
    #[default]
    Here,
    /// Whose address it is wants it sent on, and keeps nothing of it here. What becomes of it there is theirs to know.
    SentOn,
    /// The next host has it.
    Delivered,
    /// It was refused, and its sender was told.
    Refused,
    /// Its time was up, and its sender was told.
    Expired,
    /// Whoever runs the host has taken it out of the queue.
    Dropped,
}

/// A recipient that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The address.
    pub address: String,
    /// What it is at.
    pub standing: Standing,
    /// When it is tried again.
    pub next: Duration,
    /// The last answer, and when it came.
    pub last: Option<(String, Duration)>,
    /// When it is given up.
    pub expires: Option<Duration>,
}

/// The messages of which there is a record.
#[derive(Debug, Default)]
pub(super) struct Kept(BTreeSet<u64>);

impl Kept {
    /// Those that the store holds.
    pub(super) async fn load(store: &Store) -> io::Result<Self> {
        let all = store.keys(SENT).await?;
        Ok(Self(all.iter().filter_map(|key| Some(u64::from_be_bytes(*key.first_chunk()?))).collect()))
    }

    /// One more; gives those that go for it, so that there are no more than this.
    fn add(&mut self, body: BodyHandle, most: usize) -> Vec<BodyHandle> {
        self.0.insert(body.0);
        let over = self.0.len().saturating_sub(most);
        (0..over).filter_map(|_| self.0.pop_first().map(BodyHandle)).collect()
    }
}

impl Relay {
    /// What belongs into the commit that accepts a message, so that it is known later what has become of it. Recipients here are
    /// at their end already.
    pub fn keep_sent(&self, id: &str, queued: &[Accepted], mut sent: Sent) -> Vec<Intent> {
        let body = handle(id);
        sent.queued = queued.first().map(|accepted| accepted.message.0);
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut intents = Vec::new();
        // Should the commit fail, there is a name without a record, which does no harm.
        for oldest in kept.add(body, MOST) {
            intents.push(Intent::Remove { table: SENT, key: key(oldest) });
        }
        intents.extend(put(body, &mut sent));
        intents
    }

    /// What is known of a message that this account has sent, and what its recipients that still wait are at.
    pub async fn sent(&self, account: u64, id: &str) -> Option<(Sent, Vec<Waiting>)> {
        let sent = self.read_sent(handle(id)).await.filter(|sent| sent.account == account)?;
        let Some(message) = sent.queued.map(MessageId) else { return Some((sent, Vec::new())) };
        let waiting = self.each(&[message], |queue, id| queue.show(id).map(|view| self.waiting(view))).await;
        Some((sent, waiting.into_values().flatten().next().unwrap_or_default()))
    }

    fn waiting(&self, view: relay_queue::queue::View<'_>) -> Vec<Waiting> {
        let waiting = |recipient: relay_queue::queue::RecipientView<'_>| Waiting {
            address: recipient.address.as_str().to_owned(),
            standing: recipient.standing,
            next: recipient.next,
            last: recipient.last.map(|(answer, at)| (answer.to_string(), at)),
            expires: recipient.expires,
        };
        view.recipients().map(waiting).collect()
    }

    /// What belongs into a commit of the queue that writes these down.
    pub(super) async fn keep_ends(&self, facts: &[Fact]) -> Vec<Intent> {
        let ends: Vec<_> = facts.iter().filter_map(end).collect();
        let Some((body, ..)) = ends.first() else { return Vec::new() };
        let body = *body;
        // Most messages were not written on the web, and cost nothing.
        let is_kept = |kept: &Kept| kept.0.contains(&body.0);
        if !is_kept(&self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)) {
            return Vec::new();
        }
        let Some(mut sent) = self.read_sent(body).await else { return Vec::new() };
        let now = self.store.system().unix_seconds();
        for (_, address, end) in ends {
            let same = |recipient: &&mut Recipient| recipient.address.eq_ignore_ascii_case(address.as_str());
            for recipient in sent.to.iter_mut().filter(same) {
                recipient.end = Some(End { at: now, ..end.clone() });
            }
        }
        put(body, &mut sent).into_iter().collect()
    }

    async fn read_sent(&self, body: BodyHandle) -> Option<Sent> {
        let values = self.store.values(SENT, vec![key(body)]).await;
        let value = match values.map(|mut values| values.pop().flatten()) {
            Ok(Some(Ok(value))) => value,
            Ok(None) => return None,
            Ok(Some(Err(error))) | Err(error) => {
                error!(id = super::log_id(body), %error, "what has become of a message cannot be read");
                return None;
            }
        };
        serde_json::from_slice(&value).ok()
    }
}

/// A recipient's end, if this is one, without its time.
fn end(fact: &Fact) -> Option<(BodyHandle, &Address, End)> {
    let of = |how, answer: Option<&relay_queue::Answer>| End {
        at: 0,
        how,
        host: answer.and_then(|answer| answer.host()).map(str::to_owned),
        answer: answer.map(said).unwrap_or_default(),
    };
    match fact {
        Fact::Delivered { body, recipient, answer, .. } => {
            Some((*body, recipient, of(How::Delivered, Some(answer))))
        }
        Fact::Failed { body, recipient, answer, expired, .. } => {
            let how = if *expired { How::Expired } else { How::Refused };
            Some((*body, recipient, of(how, answer.as_ref())))
        }
        Fact::Ordered { body, recipient, order: relay_queue::queue::Order::Drop, .. } => {
            Some((*body, recipient, of(How::Dropped, None)))
        }
        _ => None,
    }
}

/// Without the host, which is told apart.
fn said(answer: &relay_queue::Answer) -> String {
    let mut text = String::new();
    if let Some(code) = answer.code() {
        text = format!("{code} ");
    }
    if let Some(status) = answer.status() {
        text += &format!("{status} ");
    }
    text + answer.text()
}

fn put(body: BodyHandle, sent: &mut Sent) -> Option<Intent> {
    let mut value = serde_json::to_vec(sent).ok()?;
    if value.len() > LONGEST {
        // Who, when and how is worth more than each word of it.
        sent.to.iter_mut().filter_map(|recipient| recipient.end.as_mut()).for_each(|end| {
            end.answer.truncate(end.answer.floor_char_boundary(40));
        });
        value = serde_json::to_vec(sent).ok()?;
    }
    let fits = value.len() <= LONGEST;
    fits.then(|| Intent::Put { table: SENT, key: key(body), value: Bytes::from(value) })
}

/// The records.
const SENT: u16 = 7;
/// How many there are at most, of all accounts together.
const MOST: usize = 20_000;
/// Octets of a record; the store takes no longer ones.
const LONGEST: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_for_a_new_one() {
        let mut kept = Kept(BTreeSet::from([5, 3, 9]));
        assert_eq!(kept.add(BodyHandle(10), 4), []);
        assert_eq!(kept.add(BodyHandle(11), 4), [BodyHandle(3)]);
        assert_eq!(kept.add(BodyHandle(11), 2), [BodyHandle(5), BodyHandle(9)]);
    }

    #[test]
    fn a_record_with_long_answers_still_fits() {
        let end = End { answer: "é".repeat(256), host: Some("h".repeat(255)), ..End::default() };
        let recipient =
            |number| Recipient { address: format!("{number}@{}", "d".repeat(150)), end: Some(end.clone()) };
        let mut sent = Sent { to: (0..100).map(recipient).collect(), ..Sent::default() };
        let Some(Intent::Put { value, .. }) = put(BodyHandle(1), &mut sent) else {
            panic!("it does not fit")
        };
        assert_eq!(serde_json::from_slice::<Sent>(&value).unwrap().to.len(), 100);
        assert_eq!(sent.to[0].end.as_ref().unwrap().answer, "é".repeat(20));
    }
}
