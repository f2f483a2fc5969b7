//! What mail programs are offered: the one list that autoconfiguration, SRV records and pages are made of.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

use smtp_codec::Domain;

use crate::config::Config;
use crate::listener::Service;

/// A service that a mail program may use, as it is reached from outside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    /// What is spoken.
    pub protocol: Protocol,
    /// How it is protected.
    pub security: Security,
    /// The name of the host, which is in its certificate.
    pub host: Domain<'static>,
    /// The port, as it is seen from outside.
    pub port: u16,
}

/// What a mail program speaks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// To read mail where it is.
    Imap,
    /// To take it away.
    Pop3,
    /// To send it.
    Submission,
}

/// How TLS begins. There is nothing without.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Security {
    /// With the first octet.
    Tls,
    /// With STARTTLS or STLS.
    StartTls,
}

/// All that can be offered, the best first
/// ([RFC 8314 §4.1](https://www.rfc-editor.org/rfc/rfc8314#section-4.1): TLS from the first octet).
pub const KINDS: [(Protocol, Security); 6] = [
    (Protocol::Imap, Security::Tls),
    (Protocol::Imap, Security::StartTls),
    (Protocol::Pop3, Security::Tls),
    (Protocol::Pop3, Security::StartTls),
    (Protocol::Submission, Security::Tls),
    (Protocol::Submission, Security::StartTls),
];

/// What a host offers that listens at these addresses, the best first, each kind and port once.
///
/// Addresses of loopback do not count when mail programs can reach others: then they are for what is on the same machine.
/// `[public]` has the last word about ports. Port 0, which the system is yet to choose, is not offered.
pub fn offers(config: &Config, addresses: impl IntoIterator<Item = (Service, SocketAddr)>) -> Vec<Offer> {
    let of_mail = |(service, _): &(Service, SocketAddr)| kind(*service).is_some();
    let addresses: Vec<_> = addresses.into_iter().filter(of_mail).collect();
    let open = addresses.iter().any(|(_, address)| !address.ip().is_loopback());
    let mut found = BTreeSet::new();
    for (service, address) in addresses {
        let public = config.public.iter().find(|(of, _)| *of == service).map(|(_, port)| *port);
        let port = public.or_else(|| (!open || !address.ip().is_loopback()).then(|| address.port()));
        if let (Some((protocol, security)), Some(port @ 1..)) = (kind(service), port) {
            found.insert((protocol, security, port));
        }
    }
    let offer =
        |(protocol, security, port)| Offer { protocol, security, host: config.hostname.clone(), port };
    found.into_iter().map(offer).collect()
}

/// The same, from the addresses of the configuration.
pub fn configured(config: &Config) -> Vec<Offer> {
    offers(config, config.listen.iter().map(|listen| (listen.service, listen.address)))
}

/// The label under which a kind is found in DNS
/// ([RFC 6186 §3](https://www.rfc-editor.org/rfc/rfc6186#section-3),
/// [RFC 8314 §5.1](https://www.rfc-editor.org/rfc/rfc8314#section-5.1)).
pub const fn srv_label(protocol: Protocol, security: Security) -> &'static str {
    match (protocol, security) {
        (Protocol::Imap, Security::Tls) => "_imaps._tcp",
        (Protocol::Imap, Security::StartTls) => "_imap._tcp",
        (Protocol::Pop3, Security::Tls) => "_pop3s._tcp",
        (Protocol::Pop3, Security::StartTls) => "_pop3._tcp",
        (Protocol::Submission, Security::Tls) => "_submissions._tcp",
        (Protocol::Submission, Security::StartTls) => "_submission._tcp",
    }
}

const fn kind(service: Service) -> Option<(Protocol, Security)> {
    match service {
        Service::Imaps => Some((Protocol::Imap, Security::Tls)),
        Service::Imap => Some((Protocol::Imap, Security::StartTls)),
        Service::Pop3s => Some((Protocol::Pop3, Security::Tls)),
        Service::Pop3 => Some((Protocol::Pop3, Security::StartTls)),
        Service::Submissions => Some((Protocol::Submission, Security::Tls)),
        Service::Submission => Some((Protocol::Submission, Security::StartTls)),
        Service::Smtp | Service::Web | Service::Webs | Service::WebAdmin => None,
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Submission => "SMTP",
        })
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tls => "TLS",
            Self::StartTls => "STARTTLS",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The offers of a host that listens like this, each in a word.
    fn offered(lines: &str) -> Vec<String> {
        let text = format!(
            "hostname = \"mail.a.test\"\ndata_dir = \"d\"\ndomains = [\"a.test\"]\n[listen]\n\
             smtp = [\"0.0.0.0:25\"]\n{lines}"
        );
        let config = Config::parse(&text, Path::new("mail.toml")).unwrap();
        let word = |offer: &Offer| format!("{}:{}", srv_label(offer.protocol, offer.security), offer.port);
        let offers = configured(&config);
        assert!(offers.iter().all(|offer| offer.host.as_str() == "mail.a.test"));
        offers.iter().map(word).collect()
    }

    #[test]
    fn what_is_listened_on_is_offered_with_tls_from_the_first_octet_in_front() {
        let all = "submission = [\"0.0.0.0:587\", \"[::]:587\"]\nsubmissions = [\"0.0.0.0:465\", \"[::]:465\"]\n\
                   pop3s = [\"0.0.0.0:995\"]\nimap = [\"0.0.0.0:143\"]\nimaps = [\"0.0.0.0:993\", \"[::]:993\"]\n";
        let expected = [
            "_imaps._tcp:993",
            "_imap._tcp:143",
            "_pop3s._tcp:995",
            "_submissions._tcp:465",
            "_submission._tcp:587",
        ];
        assert_eq!(offered(all), expected);
        assert_eq!(offered(""), [""; 0]);
    }

    #[test]
    fn loopback_is_offered_where_there_is_nothing_else() {
        assert_eq!(
            offered("pop3s = [\"127.0.0.1:2995\"]\nimaps = [\"[::1]:2993\"]\n"),
            ["_imaps._tcp:2993", "_pop3s._tcp:2995"],
            "that of SMTP between hosts does not count"
        );
        assert_eq!(
            offered("pop3s = [\"127.0.0.1:2995\"]\nimaps = [\"0.0.0.0:993\", \"127.0.0.1:2993\"]\n"),
            ["_imaps._tcp:993"]
        );
    }

    #[test]
    fn the_ports_of_outside_are_those_of_public() {
        assert_eq!(
            offered(
                "pop3s = [\"0.0.0.0:2995\"]\nimaps = [\"0.0.0.0:2993\", \"[::]:2993\"]\nimap = [\"127.0.0.1:2143\"]\n\
                 [public]\nimaps = 993\nimap = 143\npop3s = 0\nsubmissions = 465\n"
            ),
            ["_imaps._tcp:993", "_imap._tcp:143"],
            "what is not listened on is not offered"
        );
    }

    #[test]
    fn every_kind_has_a_label_of_its_own() {
        let labels: BTreeSet<_> =
            KINDS.iter().map(|(protocol, security)| srv_label(*protocol, *security)).collect();
        assert_eq!(labels.len(), KINDS.len());
        assert!(KINDS.is_sorted());
    }
}
