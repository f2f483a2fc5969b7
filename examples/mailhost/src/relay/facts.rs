//! What the queue has done, for the log.

use relay_queue::Fact;
use tracing::{debug, error, info, warn};

use super::{Relay, log_id};

impl Relay {
    pub(super) fn say(&self, fact: &Fact) {
        match fact {
            Fact::Failed { message, body, recipient, answer, expired, told } => {
                let (id, answer) =
                    (log_id(*body), answer.as_ref().map(ToString::to_string).unwrap_or_default());
                warn!(id, queue_id = %message, to = %recipient, expired, ?told, answer, "given up");
            }
            Fact::Deferred { message, body, recipient, answer, next } => {
                let (id, wait) = (log_id(*body), next.saturating_sub(self.unix_now()).as_secs());
                info!(id, queue_id = %message, to = %recipient, %answer, next_in_seconds = wait, "deferred");
            }
            // The session and the attempt say these with more detail, but before they are durable.
            Fact::Accepted { message, body } => debug!(id = log_id(*body), queue_id = %message, "kept"),
            Fact::Delivered { message, body, recipient, .. } => {
                debug!(id = log_id(*body), queue_id = %message, to = %recipient, "delivered");
            }
            Fact::Finished { message, body } => info!(id = log_id(*body), queue_id = %message, "finished"),
            Fact::Warned { message, body } => {
                info!(id = log_id(*body), queue_id = %message, "the sender was told that it is late");
            }
            Fact::Ordered { message, body, recipient, order } => {
                info!(id = log_id(*body), queue_id = %message, to = %recipient, ?order, "ordered");
            }
            Fact::Unreadable { message, error } => {
                error!(queue_id = %message, %error, "a record of the queue cannot be read");
            }
            other => info!(fact = ?other, "queue"),
        }
    }
}
