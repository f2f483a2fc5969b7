//! Plans: where mail for a domain goes, or why it goes nowhere.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use crate::error::{DomainError, Failure};

/// Where mail for a domain goes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Plan {
    /// To the first of these hosts that takes it.
    Deliver {
        /// In the order in which to try them, each with at least one address.
        hosts: Vec<Host>,
        /// The same for all domains with the same hosts, in the same ranks.
        site: Site,
        /// DNSSEC proves the MX records, says a server that is trusted. For the addresses see [`Host::authenticated`].
        authenticated: bool,
        /// Until when the plan holds, on the scale of `now`.
        expires: Duration,
    },
    /// Nowhere: the domain says that it takes no mail ([RFC 7505 §3](https://www.rfc-editor.org/rfc/rfc7505#section-3)).
    NullMx {
        /// 556 5.1.10.
        verdict: Verdict,
        /// Until when that holds.
        expires: Duration,
    },
    /// Nowhere: there is no such domain.
    NoSuchDomain {
        /// 550 5.1.2.
        verdict: Verdict,
        /// Until when that holds.
        expires: Duration,
    },
    /// Nowhere: the domain is there, and no host of it can be reached by mail.
    NoMail {
        /// What is wrong.
        why: NoMail,
        /// 550 with 5.1.2 or 5.4.4, or 554 5.4.6.
        verdict: Verdict,
        /// Until when that holds.
        expires: Duration,
    },
    /// Not known now. The mail stays in the queue.
    Defer {
        /// What has failed.
        why: Failure,
        /// 451 4.4.3.
        verdict: Verdict,
        /// Before that, another lookup gives the same.
        until: Duration,
    },
}

impl Plan {
    /// What to tell the sender, unless the mail can be delivered.
    pub const fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Deliver { .. } => None,
            Self::NullMx { verdict, .. }
            | Self::NoSuchDomain { verdict, .. }
            | Self::NoMail { verdict, .. }
            | Self::Defer { verdict, .. } => Some(verdict),
        }
    }

    /// Until when the plan holds, on the scale of `now`.
    pub const fn expires(&self) -> Duration {
        match self {
            Self::Deliver { expires, .. }
            | Self::NullMx { expires, .. }
            | Self::NoSuchDomain { expires, .. }
            | Self::NoMail { expires, .. } => *expires,
            Self::Defer { until, .. } => *until,
        }
    }

    pub(crate) fn null_mx(domain: &str, expires: Duration) -> Self {
        // RFC 7505 §4.1: 556 and 5.1.10.
        Self::NullMx {
            verdict: Verdict::new(556, (5, 1, 10), domain, "the domain takes no mail (null MX)"),
            expires,
        }
    }

    pub(crate) fn no_such_domain(domain: &str, expires: Duration) -> Self {
        Self::NoSuchDomain { verdict: Verdict::new(550, (5, 1, 2), domain, "no such domain"), expires }
    }

    pub(crate) fn no_mail(domain: &str, why: NoMail, expires: Duration) -> Self {
        let (code, enhanced, text) = match why {
            NoMail::BadDomain(error) => {
                let text = format!("bad domain ({error})");
                return Self::NoMail {
                    why,
                    verdict: Verdict { code: 550, enhanced: (5, 1, 2), text },
                    expires,
                };
            }
            NoMail::SpecialName => (550, (5, 1, 2), "a special-use name, not a domain with mail"),
            NoMail::NoUsableHost => (550, (5, 4, 4), "none of the MX records names a host"),
            NoMail::NoAddress => (550, (5, 4, 4), "no mail host of the domain has an address"),
            NoMail::SpecialAddress => {
                (550, (5, 4, 4), "the mail hosts have only private or special-use addresses")
            }
            NoMail::Loop => {
                (554, (5, 4, 6), "the best mail host of the domain is this one, which does not take its mail")
            }
        };
        Self::NoMail { why, verdict: Verdict::new(code, enhanced, domain, text), expires }
    }

    pub(crate) fn defer(domain: &str, why: Failure, until: Duration) -> Self {
        Self::Defer { why, verdict: Verdict::new(451, (4, 4, 3), domain, &why.to_string()), until }
    }
}

/// A host that mail goes to.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Host {
    /// Its name in lower case, as the MX record has it; of an address literal the literal.
    pub name: String,
    /// The preference of its MX record; of an implicit one, 0.
    pub preference: u16,
    /// In the order in which to try them: IPv6 and IPv4 by turns.
    pub addresses: Vec<IpAddr>,
    /// DNSSEC proves the addresses, says a server that is trusted.
    pub authenticated: bool,
}

/// A name for a set of mail hosts: the same for all domains that have the same hosts in the same ranks.
///
/// The hosts by name, `|` between those of one preference and `>` between two preferences: `a.example|b.example>c.example`.
/// A queue can send mail for several domains of one site over the same connections. It comes from the MX records
/// alone, so it does not change while the address of one host is not to be had.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Site(String);

impl Site {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of hosts by rising preference.
    pub(crate) fn of<'a>(hosts: impl IntoIterator<Item = (u16, &'a str)>) -> Self {
        let mut hosts: Vec<_> = hosts.into_iter().collect();
        hosts.sort_unstable();
        let mut text = String::new();
        let mut last = None;
        for (preference, name) in hosts {
            if let Some(last) = last {
                text.push(if last == preference { '|' } else { '>' });
            }
            text.push_str(name);
            last = Some(preference);
        }
        Self(text)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Why a domain that is there gets no mail.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NoMail {
    /// It is no domain.
    BadDomain(DomainError),
    /// It stands for nothing on the Internet: `localhost` and the like.
    SpecialName,
    /// There are MX records, and none of them names a host.
    NoUsableHost,
    /// None of its hosts has an address.
    NoAddress,
    /// Its hosts have only addresses that nobody has on the Internet.
    SpecialAddress,
    /// The best of its hosts is our own.
    Loop,
}

/// What to tell the sender.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// The reply code.
    pub code: u16,
    /// The enhanced status code ([RFC 3463](https://www.rfc-editor.org/rfc/rfc3463)).
    pub enhanced: (u8, u16, u16),
    /// One line of printable ASCII.
    pub text: String,
}

impl Verdict {
    /// Whether it may be different another time.
    pub const fn is_temporary(&self) -> bool {
        self.code < 500
    }

    fn new(code: u16, enhanced: (u8, u16, u16), domain: &str, text: &str) -> Self {
        Self { code, enhanced, text: format!("{domain}: {text}") }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, subject, detail) = self.enhanced;
        write!(out, "{} {class}.{subject}.{detail} {}", self.code, self.text)
    }
}
