//! Where mail goes, and who may send as whom.

use std::collections::BTreeSet;

use mailstore::mailbox::MailboxId;
use relay_queue::Address;
use smtp_codec::{ForwardPath, Mailbox, ReversePath};

use super::Accounts;
use super::directory::{POSTMASTER, Stop, is_catch_all};
use super::srs::{NotOurs, Srs};

/// Where the mail for an address goes.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Target {
    /// Into this inbox.
    Inbox(MailboxId),
    /// To an address of another host, which an alias or an account sends its mail on to, under a sender of ours.
    Elsewhere(Address),
    /// To the sender of something that was sent on from here. Only reports go there.
    Sender(Address),
}

/// Why an address gets no mail here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unroutable {
    /// It is of a domain that is not ours.
    NotLocal,
    /// Its domain is ours, and nobody has it.
    NoSuchMailbox,
    /// Whoever has it gets no mail for now.
    Suspended,
    /// It is a sender of ours that was good for three weeks.
    Expired,
    /// It stands for more addresses than may be.
    TooLarge,
}

impl Accounts {
    /// Where the mail for a recipient goes.
    pub fn route(&self, to: &ForwardPath<'_>) -> Result<BTreeSet<Target>, Unroutable> {
        let key = match to {
            // RFC 5321 §4.5.1: "postmaster" without a domain is always taken.
            ForwardPath::Postmaster => self.in_first_domain(POSTMASTER),
            ForwardPath::Mailbox(mailbox) => {
                let key = self.key(mailbox).ok_or(Unroutable::NotLocal)?;
                if let Some(sender) = self.forwarded(mailbox, &key) {
                    return self.route_report(sender?);
                }
                key
            }
        };
        self.deliver(&key)
    }

    /// The sender under which something is sent on to other hosts: one of ours, whose mail we may send, and to which reports
    /// come back. `None` if the sender stays what it is: nobody, one of ours already, or one that cannot be rewritten.
    pub fn forwarding_sender(&self, from: &ReversePath<'_>) -> Option<Address> {
        let ReversePath::Mailbox(mailbox) = from else { return None };
        if self.key(mailbox).is_some() {
            return None;
        }
        self.srs.forward(mailbox, self.first_domain().as_str(), self.day())
    }

    /// Whether a login may send as this address: its own, with whatever behind a separator; an alias that leads to it; what
    /// nobody has, if the catch-all leads to it. Where an account sends its mail on gives nobody a right to its address.
    pub fn may_send_as(&self, account: u64, from: &Mailbox<'_>) -> bool {
        let Some(key) = self.key(from) else { return false };
        let directory = self.read();
        if directory.view().named(&key).is_none() && Srs::is_one(&from.local_part_unquoted()) {
            return false;
        }
        let mut its = false;
        let walked = directory.view().walk(&key, |stop| {
            its |= stop == Stop::Account(account);
            matches!(stop, Stop::Alias(_))
        });
        walked.is_ok() && its && directory.inboxes.contains_key(&account)
    }

    /// The addresses that an account may be asked to choose from when it writes: its own, then aliases of which it is a target
    /// and that lead to it alone. A list of many is nobody's address; who may send as one may still type it.
    pub fn senders(&self, account: u64) -> Vec<String> {
        let directory = self.read();
        let Some(own) = directory.accounts.get(&account).filter(|account| !account.removed) else {
            return Vec::new();
        };
        let its = |key: &str| {
            let (mut its, mut others) = (false, false);
            let walked = directory.view().walk(key, |stop| {
                its |= stop == Stop::Account(account);
                others |= !matches!(stop, Stop::Alias(_)) && stop != Stop::Account(account);
                matches!(stop, Stop::Alias(_))
            });
            walked.is_ok() && its && !others && !is_catch_all(key)
        };
        let aliases = directory.aliases.iter().filter(|(key, _)| its(key));
        std::iter::once(own.address.clone())
            .chain(aliases.map(|(_, (alias, _))| alias.alias.clone()))
            .take(SENDERS)
            .collect()
    }

    fn deliver(&self, key: &str) -> Result<BTreeSet<Target>, Unroutable> {
        let directory = self.read();
        let (mut targets, mut suspended) = (BTreeSet::new(), false);
        let walked = directory.view().walk(key, |stop| match stop {
            Stop::Alias(_) => true,
            Stop::Elsewhere(address) => {
                targets.insert(Target::Elsewhere(address.clone()));
                false
            }
            Stop::Account(id) => {
                let Some((account, inbox)) = directory.accounts.get(&id).zip(directory.inboxes.get(&id))
                else {
                    return false;
                };
                if account.refuses_mail() {
                    suspended = true;
                    return false;
                }
                // Whoever has taken an account over may have set where its mail goes, too.
                let forwards = account.suspended.is_none() && !account.forward.targets.is_empty();
                if !forwards || account.forward.keep {
                    targets.insert(Target::Inbox(*inbox));
                }
                forwards
            }
        });
        match walked {
            Err(_) => Err(Unroutable::TooLarge),
            Ok(()) if !targets.is_empty() => Ok(targets),
            Ok(()) if suspended => Err(Unroutable::Suspended),
            Ok(()) => Err(Unroutable::NoSuchMailbox),
        }
    }

    /// The sender that an address of ours stands for, if it is no name and looks like one.
    fn forwarded(&self, mailbox: &Mailbox<'_>, key: &str) -> Option<Result<Address, Unroutable>> {
        let sender = self.srs.reverse(&mailbox.local_part_unquoted(), self.day())?;
        if self.read().view().named(key).is_some() {
            return None;
        }
        Some(sender.map_err(|not| match not {
            NotOurs::Forged => Unroutable::NoSuchMailbox,
            NotOurs::Expired => Unroutable::Expired,
        }))
    }

    /// A sender is of another host, or it has been forwarded from here twice, or its domain has become ours since.
    fn route_report(&self, sender: Address) -> Result<BTreeSet<Target>, Unroutable> {
        let Ok(mailbox) = Mailbox::parse(sender.as_str()) else { return Err(Unroutable::NoSuchMailbox) };
        let Some(key) = self.key(&mailbox) else { return Ok(BTreeSet::from([Target::Sender(sender)])) };
        match self.forwarded(&mailbox, &key) {
            // What an SRS1 of ours stands for is an SRS0, and what that stands for is neither of ours.
            Some(sender) => Ok(BTreeSet::from([Target::Sender(sender?)])),
            None => self.deliver(&key),
        }
    }

    /// The day of Unix.
    pub(super) fn day(&self) -> u64 {
        self.store.system().unix_seconds().max(0) as u64 / DAY
    }
}

/// How many addresses somebody is shown to choose from.
const SENDERS: usize = 50;
/// Seconds.
const DAY: u64 = 86_400;
