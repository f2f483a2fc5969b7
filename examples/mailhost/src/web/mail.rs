//! Mail in the browser: folders and what is in them, straight from the store, as IMAP has it.

mod act;
mod attachment;
mod events;
mod frame;
mod html;
pub(super) mod letters;
mod list;
mod manage;
mod outcome;
pub(super) mod parts;
mod read;
mod search;
#[cfg(test)]
mod stocked;
#[cfg(test)]
#[expect(dead_code, reason = "the browser opens whole messages, see `tests/it`")]
#[path = "../../tests/it/web/browser/techniques.rs"]
mod techniques;
mod text;
mod threads;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Redirect;
use axum::routing::get;
use mailstore::Intent;
use mailstore::mailbox::{INBOX, MailboxId, MailboxStatus, SpecialUse};
use mailstore::message::UnixTime;

use self::act::Deeds;
use self::events::AtOnce;
use self::threads::Threads;
use super::problem::Problem;
use super::visit::SignedIn;
use crate::host::Host;
use crate::store::Snapshot;

/// What pages of mail are made of beside what the store has; nothing of it outlives the host.
#[derive(Debug, Default)]
pub struct Memory {
    /// Which messages belong together.
    pub(super) threads: Arc<Threads>,
    /// What was done last.
    pub(super) done: Deeds,
    /// Who is told of changes.
    pub(super) listeners: AtOnce,
    /// Who searches.
    pub(super) searches: AtOnce,
    /// What those who write share.
    pub(super) writing: super::compose::Places,
}

/// The folders of somebody, in the order in which they are shown: the inbox, those that are for something, all others.
#[derive(Clone, Debug)]
pub(super) struct Folders(Vec<MailboxStatus>);

impl Folders {
    /// Those that are there now.
    pub(super) async fn of(host: &Host, signed_in: &SignedIn) -> Self {
        let mut all = host.store.mailboxes(signed_in.actor(), Some(signed_in.account())).await;
        all.sort_by_cached_key(|folder| (rank(folder), folder.name.to_lowercase()));
        Self(all)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &MailboxStatus> {
        self.0.iter()
    }

    /// One, by the number that stands in addresses of pages.
    pub(super) fn get(&self, number: u64) -> Result<&MailboxStatus, Problem> {
        self.0.iter().find(|folder| folder.id.get() == number).ok_or(Problem::NotFound)
    }

    /// The one that is for this.
    pub(super) fn for_use(&self, special_use: SpecialUse) -> Option<&MailboxStatus> {
        self.0.iter().find(|folder| folder.special_use == Some(special_use))
    }

    /// The one that is for this, or else the one that is called so.
    pub(super) fn for_use_or_called(&self, special_use: SpecialUse, name: &str) -> Option<&MailboxStatus> {
        self.for_use(special_use).or_else(|| self.0.iter().find(|folder| folder.name == name))
    }

    /// The same, and what makes it if there is none. Mail programs show what somebody has subscribed to.
    pub(super) fn for_use_or_made(
        &self,
        host: &Host,
        signed_in: &SignedIn,
        special_use: SpecialUse,
        name: &str,
    ) -> (Vec<Intent>, MailboxId) {
        if let Some(folder) = self.for_use_or_called(special_use, name) {
            return (Vec::new(), folder.id);
        }
        let (account, name) = (signed_in.account(), name.to_owned());
        let now = UnixTime(host.store.system().unix_seconds());
        let subscribe = Intent::Subscribe { account, name: name.clone() };
        let create = Intent::CreateMailbox { account, name, special_use: Some(special_use), now };
        (vec![subscribe, create], MailboxId::CREATED)
    }

    /// Whether what is in a folder was put aside: nobody looks for it there, and what is deleted there is gone.
    pub(super) fn is_aside(&self, folder: &MailboxStatus) -> bool {
        let mut aside = [(SpecialUse::Trash, TRASH), (SpecialUse::Junk, JUNK)].into_iter();
        aside.any(|(special_use, name)| {
            self.for_use_or_called(special_use, name).is_some_and(|aside| aside.id == folder.id)
        })
    }

    /// The inbox, which everybody has.
    pub(super) fn inbox(&self) -> Result<&MailboxStatus, Problem> {
        self.0.iter().find(|folder| folder.name == INBOX).ok_or(Problem::NotFound)
    }
}

/// What a folder is called on pages.
pub(super) fn title(folder: &MailboxStatus) -> &str {
    if folder.name == INBOX { "Inbox" } else { &folder.name }
}

/// Where its list is.
pub(super) fn path(folder: MailboxId) -> String {
    format!("/mail/{}", folder.get())
}

/// Opens a folder as it is now.
pub(super) async fn open(
    host: &Host,
    signed_in: &SignedIn,
    folder: &MailboxStatus,
) -> Result<Snapshot, Problem> {
    host.store.load(signed_in.actor(), folder.id).await.ok_or(Problem::NotFound)
}

/// The same for whoever needs so many of its newest messages: older ones may be missing.
pub(super) async fn open_newest(
    host: &Host,
    signed_in: &SignedIn,
    folder: &MailboxStatus,
    count: usize,
) -> Result<Snapshot, Problem> {
    host.store.load_newest(signed_in.actor(), folder.id, count).await.ok_or(Problem::NotFound)
}

fn rank(folder: &MailboxStatus) -> u8 {
    match folder.special_use {
        _ if folder.name == INBOX => 0,
        Some(SpecialUse::Flagged) => 1,
        Some(SpecialUse::Drafts) => 2,
        Some(SpecialUse::Sent) => 3,
        Some(SpecialUse::Archive | SpecialUse::All) => 4,
        Some(SpecialUse::Junk) => 5,
        Some(SpecialUse::Trash) => 6,
        _ => 7,
    }
}

pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new()
        .route("/mail", get(inbox))
        .merge(list::routes())
        .merge(act::routes())
        .merge(events::routes())
        .merge(manage::routes())
        .merge(outcome::routes())
        .merge(read::routes())
}

/// What folders are called that are made where there is none for this.
const TRASH: &str = "Trash";
const JUNK: &str = "Junk";

async fn inbox(State(host): State<Arc<Host>>, signed_in: SignedIn) -> Result<Redirect, Problem> {
    let folders = Folders::of(&host, &signed_in).await;
    Ok(Redirect::to(&path(folders.inbox()?.id)))
}
