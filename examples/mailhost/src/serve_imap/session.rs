//! What the host knows of one client, and which file does what it asks for.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use imap_codec::Verb;
use imap_codec::extension::id::Id;
use imap_codec::extension::{Extension, Extensions};
use imap_codec::response::{Code, Data, Reply, Status};
use imap_codec::server::{Answer, Idling};
use imap_codec::types::string::IString;
use mailstore::commit::Receipt;
use mailstore::error::Refusal;
use mailstore::mailbox::AccountId;
use mailstore::{Actor, Commit, Failure, Intent};
use tracing::{info, warn};

use super::append::Arriving;
use super::selected::Selected;
use crate::accounts::Presence;
use crate::auth::{Exchange, Offer};
use crate::host::Host;
use crate::listener::Service;
use crate::planted::Bug;
use crate::wire::Wire;

/// A client.
pub(super) struct Session<'h> {
    pub(super) host: &'h Host,
    pub(super) service: Service,
    pub(super) peer: SocketAddr,
    /// The logins that there are on this connection.
    pub(super) offer: Offer,
    /// A login under way.
    pub(super) exchange: Option<Exchange<'h>>,
    pub(super) user: Option<User>,
    /// How long they may stay.
    pub(super) presence: Option<Presence>,
    pub(super) selected: Option<Selected>,
    /// Whether it has been told of the last change since it asked for mod-sequences.
    pub(super) knows_mod_seq: bool,
    /// A message that APPEND brings.
    pub(super) arriving: Option<Arriving>,
}

/// Who has logged in.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) account: AccountId,
    /// What there is for them.
    pub(super) extensions: Extensions,
}

/// How a command ends.
#[derive(Debug)]
pub(super) enum End {
    Ok(Reply<'static>),
    No(Reply<'static>),
    Bad(Reply<'static>),
}

/// Whom data is sent to: a client that has asked for something, or one that waits in IDLE.
pub(super) trait Hearer {
    /// Sends data.
    fn hear(&mut self, data: &Data<'_>, out: &mut BytesMut);
    /// Whether EXPUNGE may be told now.
    fn may_expunge(&self) -> bool;
    /// Whether MODSEQ is wanted.
    fn condstore(&self) -> bool;
}

impl<'h> Session<'h> {
    pub(super) fn new(host: &'h Host, service: Service, peer: SocketAddr, wire: &Wire) -> Self {
        let offer = Offer::new(host, wire);
        Self {
            host,
            service,
            peer,
            offer,
            exchange: None,
            user: None,
            presence: None,
            selected: None,
            knows_mod_seq: false,
            arriving: None,
        }
    }

    /// Whether who has logged in may do nothing more.
    pub(super) fn is_over(&self) -> bool {
        self.presence.as_ref().is_some_and(Presence::is_over)
    }

    /// Waits until that is so; for ever, while nobody has logged in.
    pub(super) fn over(&self) -> impl Future<Output = ()> + use<> {
        let presence = self.presence.clone();
        async move {
            match presence {
                Some(presence) => presence.over().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Whether a message is coming in.
    pub(super) const fn is_receiving(&self) -> bool {
        self.arriving.is_some()
    }

    pub(super) async fn command(
        &mut self,
        verb: Verb<'_>,
        mut answer: Answer<'_>,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        let end = match verb {
            Verb::Login { user, password } => {
                self.log_in(&user, &password, answer, out).await;
                return Ok(());
            }
            Verb::Noop => End::ok("nothing done"),
            Verb::Check => End::ok("everything is kept already"),
            Verb::Id(id) => {
                let (name, version) = (id.get("name"), id.get("version"));
                info!(service = %self.service, peer = %self.peer, ?name, ?version, "the client says what it is");
                answer.untagged(&Data::Id(identity()), out);
                End::ok("that is who")
            }
            Verb::Select(select) => {
                let end = self.select(&select, false, &mut answer, out).await;
                return end.answer(answer, out);
            }
            Verb::Examine(select) => {
                let end = self.select(&select, true, &mut answer, out).await;
                return end.answer(answer, out);
            }
            Verb::Close => {
                let end = self.close().await?;
                return end.answer(answer, out);
            }
            Verb::Unselect => {
                self.selected = None;
                return End::ok("left").answer(answer, out);
            }
            Verb::Create { mailbox, special_use } => {
                self.create(&mailbox, &special_use, &mut answer, out).await?
            }
            Verb::Delete(mailbox) => self.delete(&mailbox).await?,
            Verb::Rename(from, to) => self.rename(&from, &to).await?,
            Verb::Subscribe(mailbox) => self.subscribe(&mailbox, true).await?,
            Verb::Unsubscribe(mailbox) => self.subscribe(&mailbox, false).await?,
            Verb::List(list) => self.list(&list, &mut answer, wire, out).await?,
            Verb::Lsub(reference, pattern) => self.lsub(&reference, &pattern, &mut answer, wire, out).await?,
            Verb::Namespace => self.namespace(&mut answer, out),
            Verb::Status(mailbox, items) => self.status(&mailbox, items, &mut answer, out).await,
            Verb::GetQuota(root) => self.quota(&root, &mut answer, out).await,
            Verb::GetQuotaRoot(mailbox) => self.quota_root(&mailbox, &mut answer, out).await,
            Verb::Expunge => self.expunge(None).await?,
            Verb::UidExpunge(set) => self.expunge(Some(&set)).await?,
            Verb::Search { uid, search } => self.search(uid, &search, &mut answer, wire, out).await?,
            Verb::Fetch { uid, set, items, changed_since } => {
                self.fetch(uid, &set, &items, changed_since, &mut answer, wire, out).await?
            }
            Verb::Store { uid, set, action, silent, flags, unchanged_since } => {
                let change = super::store::Change { action, silent, flags: &flags, unchanged_since };
                self.store(uid, &set, &change, &mut answer, wire, out).await?
            }
            Verb::Copy { uid, set, mailbox } => self.copy(uid, &set, &mailbox).await?,
            Verb::Move { uid, set, mailbox } => {
                self.move_messages(uid, &set, &mailbox, &mut answer, wire, out).await?
            }
            // SETQUOTA, and whatever a later version of the codec understands and does not announce.
            _ => End::no((Code::Cannot, "not here")),
        };
        self.conclude(answer, end, wire, out).await
    }

    /// Tells what has happened meanwhile, and answers.
    pub(super) async fn conclude(
        &mut self,
        mut answer: Answer<'_>,
        end: End,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        self.update(&mut answer, wire, out).await?;
        // RFC 7162 §3.1: the first command that has to do with mod-sequences is told where the mailbox stands.
        if answer.condstore()
            && !std::mem::replace(&mut self.knows_mod_seq, true)
            && let Some(selected) = &self.selected
        {
            let code = Code::HighestModSeq(selected.told.status.highest_mod_seq.get());
            answer.untagged(&Data::Status(Status::ok("the last change").with(code)), out);
        }
        end.answer(answer, out)
    }

    /// Whether this is there for who has logged in.
    pub(super) fn has(&self, extension: Extension) -> bool {
        self.user.is_some_and(|user| user.extensions.has(extension))
    }

    /// Commits in the name of who has logged in; what is refused comes back as the answer.
    pub(super) async fn commit(&self, intents: Vec<Intent>) -> io::Result<Result<Receipt, End>> {
        let Some(user) = self.user else { return Ok(Err(End::no("nobody has logged in"))) };
        let commit = Commit::of(intents).by(Actor::Account(user.account));
        self.committed(self.host.store.commit(commit).await)
    }

    /// What is to be said of a commit that has not come to pass.
    pub(super) fn committed(&self, result: Result<Receipt, Failure>) -> io::Result<Result<Receipt, End>> {
        let failure = match result {
            Ok(receipt) => return Ok(Ok(receipt)),
            Err(failure) => failure,
        };
        if failure == Failure::Unknown {
            // Neither yes nor no would be true: the client hears nothing, and looks again.
            return Err(io::Error::other("nobody knows what became of a change"));
        }
        if !matches!(failure, Failure::Refused(_)) {
            warn!(service = %self.service, peer = %self.peer, %failure, "a change could not be made");
        }
        Ok(Err(End::No(said(&failure))))
    }
}

impl End {
    pub(super) fn ok(reply: impl Into<Reply<'static>>) -> Self {
        Self::Ok(reply.into())
    }

    pub(super) fn no(reply: impl Into<Reply<'static>>) -> Self {
        Self::No(reply.into())
    }

    pub(super) fn bad(reply: impl Into<Reply<'static>>) -> Self {
        Self::Bad(reply.into())
    }

    pub(super) fn answer(self, answer: Answer<'_>, out: &mut BytesMut) -> io::Result<()> {
        match self {
            Self::Ok(reply) => answer.ok(reply, out),
            Self::No(reply) => answer.no(reply, out),
            Self::Bad(reply) => answer.bad(reply, out),
        }
        Ok(())
    }
}

impl Hearer for Answer<'_> {
    fn hear(&mut self, data: &Data<'_>, out: &mut BytesMut) {
        if let Data::Expunge(number) = data
            && Bug::ExpungeInFetch.is_planted()
        {
            // The codec would not do it.
            out.extend_from_slice(format!("* {number} EXPUNGE\r\n").as_bytes());
            return;
        }
        self.untagged(data, out);
    }

    fn may_expunge(&self) -> bool {
        Answer::may_expunge(self) || Bug::ExpungeInFetch.is_planted()
    }

    fn condstore(&self) -> bool {
        Answer::condstore(self)
    }
}

impl Hearer for Idling<'_> {
    fn hear(&mut self, data: &Data<'_>, out: &mut BytesMut) {
        self.untagged(data, out);
    }

    fn may_expunge(&self) -> bool {
        true
    }

    fn condstore(&self) -> bool {
        Idling::condstore(self)
    }
}

/// What is said of a change that was not made.
pub(super) fn said(failure: &Failure) -> Reply<'static> {
    match failure {
        Failure::NoSpace => (Code::Limit, "the disk is full").into(),
        Failure::Refused(refusal) => refused(refusal),
        Failure::Disk | Failure::Unknown => {
            (Code::Unavailable, "the disk failed, nothing was changed").into()
        }
    }
}

fn refused(refusal: &Refusal) -> Reply<'static> {
    match refusal {
        Refusal::NoSuchMailbox => (Code::NonExistent, "no such mailbox").into(),
        Refusal::MailboxExists => (Code::AlreadyExists, "there is such a mailbox already").into(),
        Refusal::BadName => (Code::Cannot, "no mailbox can have this name").into(),
        Refusal::Inbox => (Code::Cannot, "not with INBOX").into(),
        Refusal::HasChildren => (Code::HasChildren, "there are mailboxes below it").into(),
        Refusal::BadKeyword => (Code::Cannot, "no keyword can be like this").into(),
        Refusal::NotAllowed => (Code::NoPerm, "not allowed").into(),
        Refusal::TooManyKeywords => (Code::Limit, "too many keywords").into(),
        Refusal::OverQuota => (Code::OverQuota, "over quota").into(),
        Refusal::TooLarge => (Code::Limit, "too much at once").into(),
        Refusal::Closed => (Code::Unavailable, "closing down").into(),
        _ => (Code::ServerBug, "this was not expected").into(),
    }
}

/// RFC 2971 §3.3, and no more than anybody may know.
fn identity() -> Id<'static> {
    let text = |text: &'static str| IString::try_from(text);
    let field = |name, value| Some((text(name).ok()?, text(value).ok()));
    Id { fields: [field("name", "Postrider"), field("vendor", "Postrider")].into_iter().flatten().collect() }
}
