//! What an operator sees of the queue, and what can be ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relay_queue::queue::{Order, RecipientView, Standing, View, Which};
use relay_queue::{Address, MessageId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::window::is_there;
use super::{BODIES, Relay, handle, key, log_id};
use crate::metrics::state;
use crate::words;

/// A message in the queue, for a person to read.
#[derive(Debug, Deserialize, Serialize)]
pub struct Shown {
    /// What the queue calls it.
    pub message: String,
    /// What the logs call it, from MAIL on.
    pub id: String,
    /// Its sender.
    pub from: String,
    /// Its octets.
    pub size: u64,
    /// When it was accepted.
    pub accepted: String,
    /// When it goes back to its sender.
    pub expires: String,
    /// Its recipients, a block of lines each.
    pub recipients: Vec<Vec<String>>,
}

/// A message in the queue, for whoever wants more than lines of text.
#[derive(Debug)]
pub struct Entry {
    /// What the queue calls it.
    pub message: String,
    /// What the logs call it, from MAIL on.
    pub id: String,
    /// Its sender; `None` for a report.
    pub from: Option<String>,
    /// Its octets.
    pub size: u64,
    /// When it was accepted, since the UNIX epoch.
    pub accepted: Duration,
    /// When it goes back to its sender, since the UNIX epoch.
    pub expires: Duration,
    /// Its recipients that are not done with, and those that are about to be.
    pub recipients: Vec<Outstanding>,
}

/// A recipient of a message in the queue.
#[derive(Debug)]
pub struct Outstanding {
    /// Its address.
    pub address: String,
    /// What it is at.
    pub standing: String,
    /// Whether the operator holds it.
    pub held: bool,
    /// How often it was tried.
    pub tries: u16,
    /// The last answer, and when it came, since the UNIX epoch.
    pub last: Option<(String, Duration)>,
    /// When the next try comes, if it waits for that, since the UNIX epoch.
    pub next: Option<Duration>,
    /// When it is tried for the last time, since the UNIX epoch.
    pub expires: Option<Duration>,
    /// What is known of the way to its host, a line each, if that was asked for.
    pub way: Vec<String>,
}

/// What waits for one domain, as far as it is in memory.
#[derive(Debug)]
pub struct Destination {
    /// The domain.
    pub domain: String,
    /// How many messages.
    pub messages: usize,
    /// How many recipients of theirs.
    pub recipients: usize,
    /// How many of the recipients the operator holds.
    pub held: usize,
    /// When the oldest of the messages was accepted, since the UNIX epoch.
    pub oldest: Duration,
    /// Why that one is still here.
    pub why: String,
}

/// Some messages of the queue.
#[derive(Debug)]
pub struct Page<T = Shown> {
    /// The oldest first.
    pub messages: Vec<T>,
    /// Behind which message it goes on; `None` if this is the last one.
    pub next: Option<MessageId>,
    /// What is to be said if not all that waits has been read yet.
    pub reading: Option<String>,
}

/// What an order goes to.
#[derive(Debug)]
pub enum Target {
    /// A message, or one recipient of it.
    One(MessageId, Option<Address>),
    /// All, or what goes to a destination; up to a message, which was the last one when the order came.
    Many(Option<String>, MessageId),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ordered {
    /// Try now.
    Retry,
    /// Do nothing until told otherwise.
    Hold,
    /// Go on.
    Release,
    /// Give up and tell the sender.
    Bounce,
    /// Give up and tell nobody.
    Drop,
}

impl Relay {
    /// Messages of the queue, from behind one on. With `why`, all that is known of each recipient.
    pub async fn page(&self, after: Option<MessageId>, why: bool) -> Page {
        self.some(after, STEP, |view| self.view(view, why), Shown::unreadable).await
    }

    /// The same for whoever wants more than text, no more than `most` of them, and without the ways to their hosts.
    pub async fn entries(&self, after: Option<MessageId>, most: usize) -> Page<Entry> {
        self.some(after, most.min(STEP), |view| self.entry(view, false), Entry::unreadable).await
    }

    async fn some<T>(
        &self,
        after: Option<MessageId>,
        most: usize,
        view: impl Fn(View<'_>) -> T + Send + Sync,
        unreadable: impl Fn(MessageId) -> T,
    ) -> Page<T>
    where
        T: Send,
    {
        let ids: Vec<_> = self.queue().ids(after).take(most).collect();
        let mut shown = self.each(&ids, |queue, id| queue.show(id).map(&view)).await;
        let queue = self.queue();
        let of = |id: &MessageId| {
            let shown = shown.remove(id).flatten();
            shown.or_else(|| is_there(&queue, *id).then(|| unreadable(*id)))
        };
        let messages = ids.iter().filter_map(of).collect();
        drop(queue);
        let next = ids.last().copied().filter(|_| ids.len() == most);
        Page { messages, next, reading: self.still_reading() }
    }

    /// One message of the queue, for whoever wants more than text.
    pub async fn entry_of(&self, text: &str) -> Result<Entry, String> {
        let id = self.find(text).await?;
        let found = self.each(&[id], |queue, id| queue.show(id).map(|view| self.entry(view, true))).await;
        Ok(found.into_values().flatten().next().unwrap_or_else(|| Entry::unreadable(id)))
    }

    /// What waits for each domain, the longest waits first. Of messages that are not in memory nothing is known here.
    pub fn destinations(&self) -> Vec<Destination> {
        let mut all = BTreeMap::<String, Destination>::new();
        let queue = self.queue();
        for view in queue.list() {
            let mut counted = BTreeSet::new();
            for recipient in view.recipients().filter(|recipient| state(&recipient.standing).is_some()) {
                let domain = recipient.address.domain().into_owned();
                let accepted = view.accepted();
                let new = || Destination {
                    domain: domain.clone(),
                    messages: 0,
                    recipients: 0,
                    held: 0,
                    oldest: Duration::MAX,
                    why: String::new(),
                };
                let destination = all.entry(domain.clone()).or_insert_with(new);
                destination.recipients += 1;
                destination.held += usize::from(recipient.standing == Standing::Held);
                destination.messages += usize::from(counted.insert(domain));
                if accepted < destination.oldest {
                    destination.oldest = accepted;
                    destination.why = reason(&recipient);
                }
            }
        }
        drop(queue);
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_by_key(|destination| destination.oldest);
        all
    }

    /// One message of the queue.
    pub async fn show(&self, text: &str, why: bool) -> Result<Shown, String> {
        let id = self.find(text).await?;
        let shown = self.each(&[id], |queue, id| queue.show(id).map(|view| self.view(view, why))).await;
        Ok(shown.into_values().flatten().next().unwrap_or_else(|| Shown::unreadable(id)))
    }

    /// What an order for a message, a recipient of it, a destination, or all goes to.
    pub async fn target(&self, what: &str, recipient: Option<&str>) -> Result<Target, String> {
        let address =
            recipient.map(|text| Address::new(text).map_err(|_| format!("{text} is not a mail address")));
        let address = address.transpose()?;
        let many = |name: Option<&str>| match self.still_reading() {
            Some(reading) => Err(format!("{reading}; ask again when all of it is known")),
            // Reports that an order leads to are no part of it.
            None => {
                let last = self.queue().ids(None).last().unwrap_or(MessageId(0));
                Ok(Target::Many(name.map(str::to_owned), last))
            }
        };
        if what == "all" {
            return many(None);
        }
        match self.find(what).await {
            Ok(id) => Ok(Target::One(id, address)),
            Err(_) if address.is_none() && what.contains('@') => Err(format!(
                "{what} is an address; name a message in front of it, or only its domain for all that goes there"
            )),
            Err(_) if address.is_none() && what.contains('.') => many(Some(what)),
            Err(error) => Err(error),
        }
    }

    /// Carries out an order for some of its messages, from behind one on, and returns when that is durable: for how many
    /// recipients it was done, and behind which message it goes on.
    pub async fn order(
        &self,
        target: &Target,
        order: Ordered,
        after: Option<MessageId>,
    ) -> Result<(usize, Option<MessageId>), String> {
        let order = match order {
            Ordered::Retry => Order::Retry,
            Ordered::Hold => Order::Hold,
            Ordered::Release => Order::Release,
            Ordered::Bounce => Order::Bounce,
            Ordered::Drop => Order::Drop,
        };
        if order == Order::Retry && after.is_none() {
            // What has changed in DNS meanwhile is what the operator waits for.
            self.dns.flush();
        }
        let (ids, next) = match target {
            Target::One(id, _) => (vec![*id], None),
            Target::Many(_, last) => {
                let queue = self.queue();
                let ids: Vec<_> = queue.ids(after).take_while(|id| id <= last).take(STEP).collect();
                let next = ids.last().copied().filter(|_| ids.len() == STEP);
                (ids, next)
            }
        };
        let concerned: Vec<_> = match target {
            Target::Many(Some(name), _) => {
                let queue = self.queue();
                ids.into_iter().filter(|id| queue.may_go_to(*id, name)).collect()
            }
            _ => ids,
        };
        let which = |id| match target {
            Target::One(_, Some(address)) => Which::Recipient(id, address),
            Target::One(_, None) | Target::Many(None, _) => Which::Message(id),
            Target::Many(Some(name), _) => Which::DestinationOf(id, name),
        };
        let now = self.unix_now();
        let done = self.each(&concerned, |queue, id| queue.handle_order(now, which(id), order)).await;
        self.wake.notify_one();
        if let Target::One(id, _) = target
            && !done.contains_key(id)
            && is_there(&self.queue(), *id)
        {
            return Err(format!("the records of message {id} cannot be read; see `mailhost verify`"));
        }
        let changed: Vec<_> = done.iter().filter(|(_, count)| **count > 0).map(|(id, _)| *id).collect();
        self.saved(&changed).await.map_err(|error| error.to_string())?;
        Ok((done.values().sum(), next))
    }

    /// Carries out an order for all that it goes to, and tells for how many recipients it was done.
    pub async fn order_all(&self, target: &Target, order: Ordered) -> Result<usize, String> {
        let (mut done, mut after) = (0, None);
        loop {
            let (count, next) = self.order(target, order, after).await?;
            done += count;
            after = next;
            if after.is_none() {
                return Ok(done);
            }
        }
    }

    /// A message by either of its names.
    async fn find(&self, text: &str) -> Result<MessageId, String> {
        let id = u64::from_str_radix(text, 16).ok().map(MessageId);
        if let Some(id) = id.filter(|id| is_there(&self.queue(), *id)) {
            return Ok(id);
        }
        let body = handle(text);
        let none = || {
            let reading = self.still_reading().map(|reading| format!("; {reading}")).unwrap_or_default();
            format!("there is no message {text} in the queue; see `mailhost queue list`{reading}")
        };
        // Without the body there is no message, and nothing has to be read to know it.
        self.store.held(BODIES, key(body)).await.ok_or_else(none)?;
        let here = self.queue().list().find(|view| view.body() == body).map(|view| view.id());
        if let Some(id) = here {
            return Ok(id);
        }
        let mut after = None;
        loop {
            let ids: Vec<_> = self.queue().ids(after).take(STEP).collect();
            let bodies = self.each(&ids, |queue, id| queue.show(id).map(|view| view.body())).await;
            if let Some((id, _)) = bodies.into_iter().find(|(_, found)| *found == Some(body)) {
                return Ok(id);
            }
            after = Some(ids.last().copied().ok_or_else(none)?);
        }
    }

    fn view(&self, view: View<'_>, why: bool) -> Shown {
        Shown {
            message: view.id().to_string(),
            id: log_id(view.body()),
            from: view.from().map_or_else(|| "<>".to_owned(), ToString::to_string),
            size: view.size(),
            accepted: when(view.accepted()),
            expires: when(view.expires()),
            recipients: view
                .recipients()
                .map(|recipient| self.recipient(&recipient, why).lines(why))
                .collect(),
        }
    }

    fn entry(&self, view: View<'_>, why: bool) -> Entry {
        Entry {
            message: view.id().to_string(),
            id: log_id(view.body()),
            from: view.from().map(ToString::to_string),
            size: view.size(),
            accepted: view.accepted(),
            expires: view.expires(),
            recipients: view.recipients().map(|recipient| self.recipient(&recipient, why)).collect(),
        }
    }

    fn recipient(&self, recipient: &RecipientView<'_>, why: bool) -> Outstanding {
        Outstanding {
            address: recipient.address.to_string(),
            standing: recipient.standing.to_string(),
            held: recipient.standing == Standing::Held,
            tries: recipient.tries,
            last: recipient.last.map(|(answer, at)| (answer.to_string(), at)),
            next: matches!(recipient.standing, Standing::Waiting).then_some(recipient.next),
            expires: recipient.expires,
            way: if why { self.way(&recipient.address.domain()) } else { Vec::new() },
        }
    }

    /// What is known of the way to a domain.
    fn way(&self, domain: &str) -> Vec<String> {
        let known = self.known();
        let Some(looked) = known.domains.get(domain) else {
            return vec!["its domain has not been looked up since the host started".to_owned()];
        };
        let mut lines = vec!["how its domain was looked up:".to_owned()];
        lines.extend(looked.trace.lines().map(|line| format!("  {line}")));
        let hops = looked.site.iter().filter_map(|site| known.sites.get(site)).flatten();
        for (index, hop) in hops.enumerate() {
            let addresses: Vec<_> = hop.addresses.iter().map(ToString::to_string).collect();
            lines.push(format!(
                "host {}: {} port {}, at {}",
                index + 1,
                hop.name,
                hop.port,
                addresses.join(", ")
            ));
        }
        lines
    }
}

impl Outstanding {
    /// In words, the most important ones first; with `why`, all of them.
    fn lines(&self, why: bool) -> Vec<String> {
        let mut lines = vec![format!("{}: {}", self.address, self.standing)];
        if !why {
            return lines;
        }
        match &self.last {
            Some((answer, at)) => {
                lines.push(format!(
                    "tried {}, last at {}: {answer}",
                    words::number(self.tries.into(), "time"),
                    when(*at)
                ));
            }
            None => lines.push("not tried yet".to_owned()),
        }
        if let Some(next) = self.next {
            lines.push(format!("next try at {}", when(next)));
        }
        if let Some(expires) = self.expires {
            lines.push(format!("goes back to its sender, after one more try, at {}", when(expires)));
        }
        lines.extend(self.way.iter().cloned());
        lines
    }
}

impl Entry {
    fn unreadable(id: MessageId) -> Self {
        Self {
            message: id.to_string(),
            id: "unknown".to_owned(),
            from: Some("unknown: its records cannot be read; see the log, and `mailhost verify`".to_owned()),
            size: 0,
            accepted: Duration::ZERO,
            expires: Duration::ZERO,
            recipients: Vec::new(),
        }
    }
}

/// What the last answer was, or what a recipient is at if there is none.
fn reason(recipient: &RecipientView<'_>) -> String {
    match (&recipient.standing, recipient.last) {
        (Standing::Held, _) | (_, None) => recipient.standing.to_string(),
        (_, Some((answer, _))) => answer.to_string(),
    }
}

impl Shown {
    fn unreadable(id: MessageId) -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            message: id.to_string(),
            id: unknown(),
            from: unknown(),
            size: 0,
            accepted: unknown(),
            expires: unknown(),
            recipients: vec![vec![
                "its records cannot be read; see the log, and `mailhost verify`".to_owned(),
            ]],
        }
    }
}

fn when(time: Duration) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).unwrap_or_else(|_| seconds.to_string())
}

/// Messages that an operator's request has in memory at a time.
const STEP: usize = 256;
