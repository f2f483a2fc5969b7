//! What an operator sees of the queue, and what can be ordered.

use std::time::Duration;

use relay_queue::queue::{Event, Order, RecipientView, Standing, View, Which};
use relay_queue::{Address, MessageId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Relay, log_id};
use crate::accounts::Accounts;

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

/// What an order is for.
#[derive(Debug, Deserialize, Serialize)]
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
    /// Messages of the queue: all, or one. With `why`, all that is known of each recipient.
    pub fn show(&self, message: Option<&str>, why: bool) -> Result<Vec<Shown>, String> {
        let queue = self.queue();
        match message {
            None => Ok(queue.list().map(|view| self.shown(view, why)).collect()),
            Some(text) => {
                let id = self.find(&queue, text)?;
                Ok(queue.show(id).map(|view| self.shown(view, why)).into_iter().collect())
            }
        }
    }

    /// Carries out an order for a message, a recipient of it, a destination, or all; tells for how many recipients.
    pub fn order(&self, what: &str, recipient: Option<&str>, order: &Ordered) -> Result<usize, String> {
        let order = match order {
            Ordered::Retry => Order::Retry,
            Ordered::Hold => Order::Hold,
            Ordered::Release => Order::Release,
            Ordered::Bounce => Order::Bounce,
            Ordered::Drop => Order::Drop,
        };
        if order == Order::Retry {
            // What has changed in DNS meanwhile is what the operator waits for.
            self.dns.flush();
        }
        let mut queue = self.queue();
        let address =
            recipient.map(|text| Address::new(text).map_err(|_| format!("{text} is not a mail address")));
        let address = address.transpose()?;
        let id = self.find(&queue, what);
        let which = match (&id, &address) {
            _ if what == "all" => Which::All,
            (Ok(id), Some(address)) => Which::Recipient(*id, address),
            (Ok(id), None) => Which::Message(*id),
            (Err(_), None) if what.contains('.') => Which::Destination(what),
            (Err(error), _) => return Err(error.clone()),
        };
        let count = queue.handle_order(self.unix_now(), which, order);
        drop(queue);
        self.wake.notify_one();
        if count == 0 {
            Err(format!("there is nothing in the queue for {what} that this could be done to"))
        } else {
            Ok(count)
        }
    }

    /// Makes durable what an order has changed, where no loop does.
    pub async fn settle(&self, accounts: &Accounts) {
        loop {
            let event = self.queue().poll(self.unix_now());
            match event {
                Some(Event::Commit(commit)) => self.carry_out(accounts, commit).await,
                Some(Event::Fact(fact)) => self.say(&fact),
                Some(_) => {}
                None => return,
            }
        }
    }

    /// A message by either of its names.
    fn find(&self, queue: &relay_queue::Queue, text: &str) -> Result<MessageId, String> {
        let of_queue =
            u64::from_str_radix(text, 16).ok().map(MessageId).filter(|id| queue.show(*id).is_some());
        let of_logs = || queue.list().find(|view| log_id(view.body()) == text).map(|view| view.id());
        of_queue
            .or_else(of_logs)
            .ok_or_else(|| format!("there is no message {text} in the queue; see `mailhost queue list`"))
    }

    fn shown(&self, view: View<'_>, why: bool) -> Shown {
        Shown {
            message: view.id().to_string(),
            id: log_id(view.body()),
            from: view.from().map_or_else(|| "<>".to_owned(), ToString::to_string),
            size: view.size(),
            accepted: when(view.accepted()),
            expires: when(view.expires()),
            recipients: view.recipients().map(|recipient| self.recipient(&recipient, why)).collect(),
        }
    }

    fn recipient(&self, recipient: &RecipientView<'_>, why: bool) -> Vec<String> {
        let mut lines = vec![format!("{}: {}", recipient.address, recipient.standing)];
        if !why {
            return lines;
        }
        match recipient.last {
            Some((answer, at)) => {
                lines.push(format!("tried {} times, last at {}: {answer}", recipient.tries, when(at)));
            }
            None => lines.push("not tried yet".to_owned()),
        }
        if matches!(recipient.standing, Standing::Waiting) {
            lines.push(format!("next try at {}", when(recipient.next)));
        }
        if let Some(expires) = recipient.expires {
            lines.push(format!("goes back to its sender, after one more try, at {}", when(expires)));
        }
        let known = self.known();
        let Some(looked) = known.domains.get(&*recipient.address.domain()) else {
            lines.push("its domain has not been looked up since the host started".to_owned());
            return lines;
        };
        lines.push("how its domain was looked up:".to_owned());
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

fn when(time: Duration) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).unwrap_or_else(|_| seconds.to_string())
}
