//! A server, as a client is told of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use mailhost::listener::Service;

use super::dovecot::{self, Dovecot};
use crate::support::{Host, Site, Wire, skip, stuffed};

/// Which.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Dovecot,
    Ours,
}

/// One that runs, with [`LOGIN`] and nothing in its mailboxes.
pub(super) struct Server(Running);

enum Running {
    Dovecot(Box<Dovecot>),
    Ours(Box<Site>, Box<Host>),
}

impl Server {
    /// Starts it; says that the test is skipped if it cannot be had.
    pub(super) fn start(kind: Kind, test: &str) -> Option<Self> {
        Some(Self(match kind {
            Kind::Dovecot => {
                if let Some(why) = dovecot::missing() {
                    skip(test, why);
                    return None;
                }
                Running::Dovecot(Box::new(Dovecot::start()))
            }
            Kind::Ours => {
                // The session that the test types is in the clear.
                let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna"]);
                let host = site.start();
                Running::Ours(Box::new(site), Box::new(host))
            }
        }))
    }

    /// One that was started by the test.
    pub(super) fn of(dovecot: Dovecot) -> Self {
        Self(Running::Dovecot(Box::new(dovecot)))
    }

    /// Ours while it does not run.
    pub(super) fn site(&self) -> Option<&Site> {
        match &self.0 {
            Running::Dovecot(_) => None,
            Running::Ours(site, _) => Some(site),
        }
    }

    /// Where Dovecot's mailboxes are.
    pub(super) fn maildir(&self) -> Option<PathBuf> {
        match &self.0 {
            Running::Dovecot(dovecot) => Some(dovecot.maildir()),
            Running::Ours(..) => None,
        }
    }

    /// In the clear, with STARTTLS.
    pub(super) fn imap(&self) -> SocketAddr {
        match &self.0 {
            Running::Dovecot(dovecot) => dovecot.imap,
            Running::Ours(_, host) => host.address(Service::Imap),
        }
    }

    /// Under TLS from the first octet.
    pub(super) fn imaps(&self) -> SocketAddr {
        match &self.0 {
            Running::Dovecot(dovecot) => dovecot.imaps,
            Running::Ours(_, host) => host.address(Service::Imaps),
        }
    }

    /// POP3 in the clear, for those who have it.
    pub(super) fn pop3(&self) -> Option<SocketAddr> {
        match &self.0 {
            Running::Dovecot(_) => None,
            Running::Ours(_, host) => Some(host.address(Service::Pop3)),
        }
    }

    /// POP3 of any of them, with STLS; then the port under TLS from the first octet.
    pub(super) fn maildrops(&self) -> [SocketAddr; 2] {
        match &self.0 {
            Running::Dovecot(dovecot) => [dovecot.pop3, dovecot.pop3s],
            Running::Ours(_, host) => [host.address(Service::Pop3), host.address(Service::Pop3s)],
        }
    }

    /// For localhost and 127.0.0.1, signed by itself.
    pub(super) fn certificate(&self) -> PathBuf {
        match &self.0 {
            Running::Dovecot(dovecot) => dovecot.certificate(),
            Running::Ours(site, _) => site.data("self-signed.pem"),
        }
    }

    /// What [`LOGIN`] does without in IMAP from now on, where that can be chosen.
    #[track_caller]
    pub(super) fn goes_without(&self, capabilities: &[&str]) {
        if let Running::Ours(site, _) = &self.0
            && !capabilities.is_empty()
        {
            let words: String = capabilities.iter().map(|word| format!(" --without {word}")).collect();
            site.does(&format!("account imap {LOGIN}{words}"));
        }
    }

    /// Mail for [`LOGIN`] from elsewhere; it is in INBOX when this returns.
    #[track_caller]
    pub(super) fn deliver(&self, message: &[u8]) {
        let mut wire = match &self.0 {
            Running::Dovecot(dovecot) => {
                let mut wire = Wire::connect(dovecot.lmtp);
                wire.expect("220 ");
                wire.say("LHLO client.test", "250-");
                wire
            }
            Running::Ours(_, host) => Wire::smtp(host.address(Service::Smtp)),
        };
        wire.say("MAIL FROM:<carla@far.test>", "250 ");
        wire.say(&format!("RCPT TO:<{LOGIN}>"), "250 ");
        wire.say("DATA", "354 ");
        wire.send(stuffed(message));
        wire.expect("250 ");
    }
}

pub(super) const LOGIN: &str = "anna@example.test";
