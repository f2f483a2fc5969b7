//! Carries a search out: for IMAP, and for whoever searches in a browser.

use std::io;
use std::ops::ControlFlow;

use mailstore::mailbox::Uid;
use mailstore::message::Message;
use mailstore::mime::Structure;
use mailstore::search::{Event, Facts, Search};

use crate::store::Reader;

/// What has happened in a search.
pub(crate) enum Step {
    /// A message matches.
    Match(Facts),
    /// A message cannot be read, and does not match.
    Unreadable(Uid, io::Error),
    /// There was much to do, and there is more: all others have had their turn.
    Pause,
}

/// Goes through messages, each with its number, until there are no more or `step` wants no more.
pub(crate) async fn drive(
    search: &mut Search,
    reader: &Reader,
    messages: &mut impl Iterator<Item = (u32, Message)>,
    mut step: impl FnMut(Step) -> ControlFlow<()>,
) {
    let mut current = None::<Message>;
    loop {
        let goes_on = match search.poll() {
            Event::Message => {
                match messages.next() {
                    Some((number, message)) => {
                        search.handle_message(facts(number, &message));
                        current = Some(message);
                    }
                    None => search.handle_end(),
                }
                continue;
            }
            Event::Structure => match structure(reader, current.as_ref()).await {
                Ok((structure, prefix)) => {
                    search.handle_structure(structure, prefix);
                    continue;
                }
                Err(error) => unreadable(search, current.as_ref(), error, &mut step),
            },
            Event::Read(range) => {
                let read = match &current {
                    Some(message) => reader.read_within(message, range).await,
                    None => Err(io::ErrorKind::NotFound.into()),
                };
                match read {
                    Ok(octets) => {
                        search.handle_octets(&octets);
                        continue;
                    }
                    Err(error) => unreadable(search, current.as_ref(), error, &mut step),
                }
            }
            Event::Match(facts) => step(Step::Match(facts)),
            // One who looks for something leaves room for others.
            Event::Pause => {
                tokio::task::yield_now().await;
                step(Step::Pause)
            }
            Event::Done => return,
        };
        if goes_on.is_break() {
            return;
        }
    }
}

async fn structure(reader: &Reader, message: Option<&Message>) -> io::Result<(Structure, u64)> {
    let message = message.ok_or(io::ErrorKind::NotFound)?;
    let mut structures = reader.structures(&[message]).await;
    let structure = structures.pop().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
    Ok((structure, message.prefix_size()))
}

fn unreadable(
    search: &mut Search,
    message: Option<&Message>,
    error: io::Error,
    step: &mut impl FnMut(Step) -> ControlFlow<()>,
) -> ControlFlow<()> {
    search.handle_unreadable();
    message.map_or(ControlFlow::Continue(()), |message| step(Step::Unreadable(message.uid(), error)))
}

fn facts(number: u32, message: &Message) -> Facts {
    Facts {
        number,
        uid: message.uid().get(),
        flags: message.flags().bits(),
        recent: false,
        date: message.date(),
        size: message.size(),
        mod_seq: message.mod_seq().get(),
    }
}
