//! Messages from the store into frames.

use mailstore::Actor;
use mailstore::mailbox::{AccountId, MailboxStatus};
use mailstore::message::Message;
use tokio::sync::mpsc;

use super::frames::{Frame, MailboxHead, MessageHead, Told};
use super::import::{Ended, SYSTEM};
use crate::store::Store;

/// Sends an account, or one mailbox of it, as it is now.
pub(super) async fn run(
    store: &Store,
    account: AccountId,
    mailbox: Option<&str>,
    out: &mpsc::Sender<Frame>,
) -> Result<(), Ended> {
    let mut mailboxes = store.mailboxes(Actor::Host, Some(account)).await;
    if let Some(name) = mailbox {
        let only = store.status(Actor::Host, account, name).await;
        let only = only.ok_or_else(|| Ended(format!("the account has no mailbox {name:?}")))?;
        mailboxes.retain(|status| status.id == only.id);
    }
    send(out, Frame::Told(Told::Messages(mailboxes.iter().map(|status| status.messages).sum()))).await?;
    for status in mailboxes {
        one(store, status, out).await?;
    }
    if mailbox.is_none() {
        for name in store.subscriptions(Actor::Host, account).await {
            send(out, Frame::Subscribe(name)).await?;
        }
    }
    send(out, Frame::Done).await
}

async fn one(store: &Store, status: MailboxStatus, out: &mpsc::Sender<Frame>) -> Result<(), Ended> {
    // Deleted a moment ago, it is not there to be exported.
    let Some(snapshot) = store.load(Actor::Host, status.id).await else { return Ok(()) };
    let status = &snapshot.status;
    let head = MailboxHead {
        name: status.name.clone(),
        similar: false,
        messages: snapshot.messages.len() as u64,
        uid_validity: status.uid_validity.get(),
    };
    send(out, Frame::Mailbox(head)).await?;
    let reader = snapshot.reader();
    for message in snapshot.messages.iter() {
        let (uid, size) = (message.uid().get(), message.size());
        let origin = format!("{} {uid}", status.name);
        let flags = words(&message, &status.keywords);
        let head = MessageHead { origin, flags, date: message.date().0, size, uid };
        send(out, Frame::Message(head)).await?;
        let mut at = 0;
        while at < size {
            match reader.read(&message, at).await {
                Ok(slice) if !slice.is_empty() => {
                    at += slice.len() as u64;
                    send(out, Frame::Data(slice)).await?;
                }
                Ok(_) => break,
                Err(error) => {
                    let why = format!("it cannot be read, and is left out: {error}");
                    send(out, Frame::Told(Told::About(format!("{} {uid}", status.name), why))).await?;
                    break;
                }
            }
        }
        send(out, if at == size { Frame::End } else { Frame::GiveUp }).await?;
    }
    Ok(())
}

fn words(message: &Message, keywords: &[String]) -> Vec<String> {
    let flags = message.flags();
    let system = SYSTEM.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| (*name).to_owned());
    system.chain(flags.keywords().filter_map(|place| keywords.get(place).cloned())).collect()
}

async fn send(out: &mpsc::Sender<Frame>, frame: Frame) -> Result<(), Ended> {
    out.send(frame).await.map_err(|_| Ended("nobody listens any more".to_owned()))
}
