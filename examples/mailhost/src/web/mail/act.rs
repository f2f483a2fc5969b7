//! What is done with messages: marked, moved, deleted. What is done at once happens as a whole or not at all, and every IMAP
//! session sees it when it is durable.

mod done;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use mailstore::commit::{Outcome, Receipt};
use mailstore::error::Refusal;
use mailstore::mailbox::{INBOX, MailboxId, MailboxStatus, SpecialUse, Uid};
use mailstore::message::{FlagChange, Flags, Message};
use mailstore::{Commit, Failure, Intent};
use maud::html;
use serde::Deserialize;
use tracing::warn;

pub(in crate::web) use self::done::Deeds;
pub(super) use self::done::Done;
use self::done::{Undo, read, written};
use super::list::{counted, number};
use super::{Folders, JUNK, TRASH, open, path, title};
use crate::host::Host;
use crate::moving::{self, moved};
use crate::store::Snapshot;
use crate::web::onward::{own_path, with_done};
use crate::web::page::{Shell, seal};
use crate::web::problem::Problem;
use crate::web::visit::{SealedForm, SignedIn};

/// What is asked for. Messages are named one by one, by stretches, or by the newest one of a conversation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    uid: Vec<u32>,
    conversation: Vec<u32>,
    uids: String,
    /// What to do, but for the stars, which are buttons of their own.
    r#do: String,
    star: Option<u32>,
    unstar: Option<u32>,
    /// Where to.
    to: String,
    /// The path to go on to.
    then: String,
    /// It was asked whether this is meant.
    sure: String,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Deed {
    Flag(Flags, bool),
    Move(Aim),
    DeleteForGood,
}

/// Where to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Aim {
    Folder(MailboxId),
    /// The folder for this, which is made if there is none.
    Use(SpecialUse, &'static str),
}

pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new().route("/mail/{folder}/act", post(act)).layer(DefaultBodyLimit::max(BODY))
}

async fn act(
    State(host): State<Arc<Host>>,
    Path(folder): Path<String>,
    SealedForm(signed_in, asked): SealedForm<Asked>,
) -> Result<Response, Problem> {
    let folders = Folders::of(&host, &signed_in).await;
    let folder = folders.get(number(&folder)?)?;
    let then = own_path(&asked.then).map_or_else(|| path(folder.id), str::to_owned);
    match attempt(&host, &signed_in, &folders, folder, &asked, &then).await {
        // The page that it was asked on says best why it was not done: there it can be asked better.
        Err(Problem::Wrong(why)) => Ok(told(&host, &signed_in, &then, Done::refused(why))),
        answer => answer,
    }
}

async fn attempt(
    host: &Arc<Host>,
    signed_in: &SignedIn,
    folders: &Folders,
    folder: &MailboxStatus,
    asked: &Asked,
    then: &str,
) -> Result<Response, Problem> {
    let deed = asked.deed(folders, folder)?;
    let snapshot = open(host, signed_in, folder).await?;
    let messages = asked.messages(host, &snapshot).await?;
    if messages.is_empty() {
        return Err(Problem::Wrong("Nothing was chosen, or it is gone already.".to_owned()));
    }
    if deed == Deed::DeleteForGood && asked.sure.is_empty() {
        return Ok(ask(signed_in, folders, folder, &messages, then));
    }
    let doing = Arc::clone(host);
    let (by, folder, folders) = (signed_in.clone(), folder.clone(), folders.clone());
    // Apart, since a browser that goes away must not leave half of it behind.
    let task =
        tokio::spawn(
            async move { carry_out(&doing, &by, &folders, &folder, &snapshot, &messages, deed).await },
        );
    let done = task.await.map_err(|error| Problem::failed("an action", error))??;
    Ok(told(host, signed_in, then, done))
}

impl Asked {
    fn deed(&self, folders: &Folders, folder: &MailboxStatus) -> Result<Deed, Problem> {
        let inbox = || Ok(Aim::Folder(folders.inbox()?.id));
        Ok(match &*self.r#do {
            "" if self.star.is_some() => Deed::Flag(Flags::FLAGGED, true),
            "" if self.unstar.is_some() => Deed::Flag(Flags::FLAGGED, false),
            "read" => Deed::Flag(Flags::SEEN, true),
            "unread" => Deed::Flag(Flags::SEEN, false),
            "flag" => Deed::Flag(Flags::FLAGGED, true),
            "unflag" => Deed::Flag(Flags::FLAGGED, false),
            "archive" => Deed::Move(Aim::Use(SpecialUse::Archive, "Archive")),
            "junk" => Deed::Move(Aim::Use(SpecialUse::Junk, JUNK)),
            "delete" if folders.is_aside(folder) => Deed::DeleteForGood,
            "delete" => Deed::Move(Aim::Use(SpecialUse::Trash, TRASH)),
            "restore" => Deed::Move(inbox()?),
            "move" | "undo" if self.to.is_empty() => {
                return Err(Problem::Wrong(
                    "Choose a folder to move to first, then press the button.".to_owned(),
                ));
            }
            "move" | "undo" => Deed::Move(Aim::Folder(folders.get(number(&self.to)?)?.id)),
            _ => return Err(Problem::Wrong("There is no such action.".to_owned())),
        })
    }

    /// The messages that are meant and are still there, by rising number. What has come to a conversation since it was shown is
    /// not meant: it is newer than the message by which the conversation is named.
    async fn messages(&self, host: &Host, snapshot: &Snapshot) -> Result<Vec<Message>, Problem> {
        let there = &snapshot.messages;
        let starred = self.star.or(self.unstar).filter(|_| self.r#do.is_empty());
        let mut meant = BTreeSet::new();
        // A star says something of all that is chosen only if its own button says so.
        let (single, conversations) = match starred {
            Some(uid) => (&[][..], vec![uid]),
            None => (&*self.uid, self.conversation.clone()),
        };
        meant.extend(single.iter().copied().filter_map(Uid::new));
        if !conversations.is_empty() {
            let threads = host.web_memory.threads.of(&host.store, snapshot).await;
            for newest in conversations.into_iter().filter_map(Uid::new) {
                // One star is enough for a conversation, and all of them go.
                if self.star.is_some() && starred.is_some() {
                    meant.insert(newest);
                } else {
                    meant.extend(threads.with(newest).await.into_iter().filter(|uid| *uid <= newest));
                }
            }
        }
        if starred.is_none() {
            let ranges =
                read(&self.uids).ok_or_else(|| Problem::Wrong("There are no such messages.".to_owned()))?;
            for range in ranges {
                let places = there.range(range);
                if places.len() > MOST {
                    return Err(too_many());
                }
                meant.extend(there.slice(places).map(|message| message.uid()));
            }
        }
        if meant.len() > MOST {
            return Err(too_many());
        }
        Ok(meant.into_iter().filter_map(|uid| there.find(uid)).collect())
    }
}

async fn carry_out(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    folder: &MailboxStatus,
    snapshot: &Snapshot,
    messages: &[Message],
    deed: Deed,
) -> Result<Done, Problem> {
    match deed {
        Deed::Flag(flag, on) => {
            let change = if on { FlagChange::Add(flag.into()) } else { FlagChange::Remove(flag.into()) };
            let changes = messages.iter().filter(|message| message.flags().contains(flag) != on);
            let intents = changes.map(|message| Intent::Store {
                mailbox: folder.id,
                uid: message.uid(),
                change: change.clone(),
                unchanged_since: None,
            });
            commit(host, signed_in, intents.collect()).await?;
            let what = match (flag == Flags::SEEN, on) {
                (true, true) => "as read",
                (true, false) => "as unread",
                (false, true) => "with a star",
                (false, false) => "without a star",
            };
            Ok(Done::new(format!("Marked {} {what}.", messages_of(messages.len()))))
        }
        Deed::DeleteForGood => {
            let gone = |message: &Message| Intent::Expunge {
                mailbox: folder.id,
                uid: message.uid(),
                only_deleted: false,
            };
            commit(host, signed_in, messages.iter().map(gone).collect()).await?;
            Ok(Done::new(format!("Deleted {} for good.", messages_of(messages.len()))))
        }
        Deed::Move(aim) => {
            let (mut intents, to) = match aim {
                Aim::Folder(to) => (Vec::new(), to),
                Aim::Use(special_use, name) => folders.for_use_or_made(host, signed_in, special_use, name),
            };
            let there = folders.iter().find(|folder| folder.id == to);
            let name = there.map_or_else(|| aim.name(), title);
            if to == folder.id {
                return Ok(Done::new(format!("What you chose is in {name} already.")));
            }
            let picked = moving::pick(snapshot, messages).await;
            let picked = picked.map_err(|error| Problem::failed("a message", error))?;
            intents.extend(picked.iter().flat_map(|picked| moved(picked, folder.id, to)));
            let receipt = commit(host, signed_in, intents).await?;
            let made = receipt.outcomes.iter().find_map(|outcome| match outcome {
                Outcome::MailboxCreated { mailbox, .. } => Some(*mailbox),
                _ => None,
            });
            let copies = receipt.outcomes.iter().filter_map(|outcome| match outcome {
                Outcome::Delivered { uid, .. } => Some(*uid),
                _ => None,
            });
            let copies: Vec<Uid> = copies.collect();
            let text = format!("Moved {} to {name}.", messages_of(copies.len()));
            let undo = Undo { from: made.unwrap_or(to), to: folder.id, uids: written(copies) };
            Ok(Done { undo: Some(undo).filter(|undo| !undo.uids.is_empty()), ..Done::new(text) })
        }
    }
}

impl Aim {
    /// What it is called once it is made.
    const fn name(&self) -> &'static str {
        match self {
            Self::Folder(_) => INBOX,
            Self::Use(_, name) => name,
        }
    }
}

/// Commits on behalf of somebody. What is refused is said in words.
pub(super) async fn commit(
    host: &Host,
    signed_in: &SignedIn,
    intents: Vec<Intent>,
) -> Result<Receipt, Problem> {
    let commit = Commit::of(intents).by(signed_in.actor());
    host.store.commit(commit).await.map_err(|failure| {
        let why = match failure {
            Failure::Refused(Refusal::NoSuchMailbox) => return Problem::NotFound,
            Failure::Refused(Refusal::OverQuota) => "There is no room left in your account. Delete something first.",
            Failure::Refused(Refusal::MailboxExists) => "There is a folder of this name already.",
            Failure::Refused(Refusal::BadName) => {
                "A folder cannot have this name: it has an empty part, is too long or too deep, or the folder would lie within itself."
            }
            Failure::Refused(Refusal::Inbox) => "The inbox stays as it is.",
            Failure::Refused(Refusal::HasChildren) => "There are folders within this one. Delete them first.",
            Failure::Unknown => {
                "Whether this was done is not certain: something has failed on the way. Load the list anew and look."
            }
            _ => {
                warn!(account = signed_in.account().get(), %failure, "a change could not be made");
                return Problem::Unavailable;
            }
        };
        Problem::Wrong(why.to_owned())
    })
}

/// Goes back to a page, which says what was done.
pub(super) fn told(host: &Host, signed_in: &SignedIn, then: &str, done: Done) -> Response {
    let number = host.web_memory.done.keep(&signed_in.session.id, done);
    Redirect::to(&with_done(then, number)).into_response()
}

/// Asks whether it is meant.
fn ask(
    signed_in: &SignedIn,
    folders: &Folders,
    folder: &MailboxStatus,
    messages: &[Message],
    then: &str,
) -> Response {
    let what = messages_of(messages.len());
    let text = html! {
        h1 { "Delete " (what) " for good?" }
        p { "Nobody can bring them back." }
        form.sure action={ (path(folder.id)) "/act" } method="post" {
            (seal(signed_in))
            input type="hidden" name="uids" value=(written(messages.iter().map(Message::uid)));
            input type="hidden" name="then" value=(then);
            input type="hidden" name="sure" value="yes";
            button name="do" value="delete" { "Delete for good" }
            a.button.quiet href=(then) { "Keep" }
        }
    };
    let shell = Shell { signed_in, folders, current: Some(folder.id), query: "", title: "Delete for good?" };
    shell.render(StatusCode::OK, &text)
}

fn messages_of(count: usize) -> String {
    counted(count as u64, "message", "messages")
}

fn too_many() -> Problem {
    Problem::Wrong("That is more than 5,000 messages at once. Choose fewer.".to_owned())
}

/// Messages that something is done with at once: what fits into one commit.
const MOST: usize = moving::MOVED_AT_ONCE;
/// Octets of a form: so many numbers.
const BODY: usize = 128 << 10;
