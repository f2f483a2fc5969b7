//! The settings of a mail program, in the forms in which mail programs ask for them.
//!
//! An answer says how this host is reached and nothing about its users: it is the same whether an address exists or not. The user
//! name is the address, with which everybody can log in.

mod apple;
mod autoconfig;
mod autodiscover;

use smtp_codec::{Domain, Mailbox};

pub(super) use self::apple::profile;
pub(super) use self::autoconfig::autoconfig;
pub(super) use self::autodiscover::autodiscover;
use crate::config::Config;
use crate::offers::{Offer, Protocol};

/// An address of a domain of this host, whether somebody has it or not.
fn address(text: &str, config: &Config) -> Option<Mailbox<'static>> {
    let mailbox = Mailbox::parse(text.trim()).ok()?;
    is_ours(&mailbox.domain(), config).then(|| mailbox.into_owned())
}

fn is_ours(domain: &Domain<'_>, config: &Config) -> bool {
    config.domains.iter().any(|ours| domain.eq_ignore_ascii_case(ours.as_str()))
}

/// The best offer of each of these.
fn best<'a>(offers: &'a [Offer], protocols: &'a [Protocol]) -> impl Iterator<Item = &'a Offer> {
    let first = |protocol: &Protocol| offers.iter().find(|offer| offer.protocol == *protocol);
    protocols.iter().filter_map(first)
}

#[cfg(test)]
mod tests;
