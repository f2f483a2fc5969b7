//! What the host knows of one client, and which file does what it asks for.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use imap_codec::Verb;
use imap_codec::extension::id::Id;
use imap_codec::response::{Code, Data, Reply};
use imap_codec::server::{Answer, Idling};
use imap_codec::types::string::IString;
use mailstore::mailbox::AccountId;

use crate::auth::{Exchange, Offer};
use crate::host::Host;
use crate::listener::Service;
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
}

/// Who has logged in.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) account: AccountId,
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
        Self { host, service, peer, offer, exchange: None, user: None }
    }

    /// Whether a message is coming in.
    pub(super) const fn is_receiving(&self) -> bool {
        false
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
            Verb::Id(_) => {
                answer.untagged(&Data::Id(identity()), out);
                End::ok("that is who")
            }
            // SETQUOTA, and whatever a later version of the codec understands and does not announce.
            _ => End::no((Code::Cannot, "not here")),
        };
        self.conclude(answer, end, wire, out).await
    }

    /// Tells what has happened meanwhile, and answers.
    pub(super) async fn conclude(
        &mut self,
        answer: Answer<'_>,
        end: End,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        let _ = wire;
        end.answer(answer, out)
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
        self.untagged(data, out);
    }

    fn may_expunge(&self) -> bool {
        Answer::may_expunge(self)
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

/// RFC 2971 §3.3, and no more than anybody may know.
fn identity() -> Id<'static> {
    let text = |text: &'static str| IString::try_from(text);
    let field = |name, value| Some((text(name).ok()?, text(value).ok()));
    Id { fields: [field("name", "Postrider"), field("vendor", "Postrider")].into_iter().flatten().collect() }
}
