//! What has to stand in DNS for a host to get mail, to have its own believed, and to be found by mail programs: written out
//! for pasting by `quickstart`, and looked for one by one by `check`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::config::Config;
use crate::listener::Service;
use crate::lookup::{Lookup, LookupError, reverse};
use crate::offers::{self, KINDS, srv_label};
use crate::preflight::{Finding, Severity};

/// A record that ought to be published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its name, without a final dot.
    pub name: String,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Data {
    /// Where the mail of a domain goes.
    MailHost(String),
    /// An address of the host.
    Address(IpAddr),
    /// Who sends mail with names of this domain: RFC 7208.
    Senders(String),
    /// What to do with mail that only pretends to be from the domain: RFC 7489.
    Policy(String),
    /// A service and its port, for mail programs; `None` where it is not offered: RFC 6186, RFC 8314 §5.1.
    Service(Option<(u16, String)>),
    /// Another name of the host.
    Alias(String),
    /// The name of an address, published by whoever gives the address out.
    Reverse(String),
}

impl Record {
    /// All of them, for a host with these addresses.
    pub fn all(config: &Config, addresses: &[IpAddr]) -> Vec<Self> {
        let hostname = config.hostname.as_str();
        let receives = port(config, Service::Smtp).is_some();
        // Mail programs ask there how to set themselves up; only under TLS are they sure whom they ask.
        let (offers, web) = (offers::configured(config), port(config, Service::Webs));
        let mut all = Vec::new();
        let mut put = |name: String, data| all.push(Self { name, data });
        for address in addresses {
            put(hostname.to_owned(), Data::Address(*address));
        }
        for address in addresses {
            put(reverse(*address), Data::Reverse(hostname.to_owned()));
        }
        // RFC 7208 §2.3: the name in EHLO is looked at, too, where a report has no sender.
        put(hostname.to_owned(), Data::Senders("v=spf1 a -all".to_owned()));
        for domain in config.domains.iter().map(|domain| domain.as_str()) {
            if receives {
                put(domain.to_owned(), Data::MailHost(hostname.to_owned()));
            }
            if domain != hostname {
                let who = if receives { "mx".to_owned() } else { format!("a:{hostname}") };
                // Mail goes out without a signature: a hard failure would lose what others forward.
                put(domain.to_owned(), Data::Senders(format!("v=spf1 {who} ~all")));
            }
            let policy = format!("v=DMARC1; p=none; rua=mailto:postmaster@{domain}");
            put(format!("_dmarc.{domain}"), Data::Policy(policy));
            for (protocol, security) in KINDS {
                let offer =
                    offers.iter().find(|offer| (offer.protocol, offer.security) == (protocol, security));
                let offered = offer.map(|offer| (offer.port, hostname.to_owned()));
                put(format!("{}.{domain}", srv_label(protocol, security)), Data::Service(offered));
            }
            if let Some(port) = web {
                put(format!("autoconfig.{domain}"), Data::Alias(hostname.to_owned()));
                put(format!("autodiscover.{domain}"), Data::Alias(hostname.to_owned()));
                let service = Data::Service(Some((port, hostname.to_owned())));
                put(format!("_autodiscover._tcp.{domain}"), service);
            }
        }
        all
    }

    /// Looks whether it is published.
    pub async fn check(&self, lookup: &Lookup, ours: &BTreeSet<IpAddr>) -> Finding {
        match self.look(lookup, ours).await {
            Ok(finding) => finding,
            Err(error) => warning(format!("{} could not be looked up: {error}", self.title())),
        }
    }

    async fn look(&self, lookup: &Lookup, ours: &BTreeSet<IpAddr>) -> Result<Finding, LookupError> {
        let name = &self.name;
        let add = || format!("publish\n    {}", self.zone_line());
        Ok(match &self.data {
            Data::MailHost(host) => {
                let found = lookup.mail_hosts(name).await?;
                if found.iter().any(|(_, other)| other == host) {
                    ok(format!("mail for {name} comes to {host}"))
                } else if found.is_empty() {
                    error(format!(
                        "no MX record of {name} is found, so its mail does not come here; {}",
                        add()
                    ))
                } else {
                    let found: Vec<_> =
                        found.iter().map(|(number, host)| format!("{number} {host}")).collect();
                    let found = found.join(", ");
                    error(format!("the MX of {name} is {found}, so its mail does not come here; {}", add()))
                }
            }
            Data::Address(_) => {
                let found = lookup.addresses(name).await?;
                if found.is_empty() {
                    error(format!("{name} has no address, so nobody finds this host; {}", add()))
                } else if ours.is_empty() || found.iter().any(|address| ours.contains(address)) {
                    ok(format!("{name} has the address {}", list(&found)))
                } else {
                    let (found, ours) = (list(&found), list(ours));
                    warning(format!(
                        "{name} has the address {found} and this machine {ours}; if nothing between them forwards mail, {}",
                        add()
                    ))
                }
            }
            Data::Senders(wanted) => {
                let found = lookup.texts(name).await?;
                let found: Vec<_> = found.into_iter().filter(|text| is_spf(text)).collect();
                match &found[..] {
                    [] => warning(format!(
                        "no SPF record of {name} is found, so others trust its mail less; {}",
                        add()
                    )),
                    [one] if one == wanted => ok(format!("SPF of {name} is \"{one}\"")),
                    [one] if one == "v=spf1 -all" => warning(format!(
                        "SPF of {name} is \"{one}\", which says that it sends no mail; {}",
                        add()
                    )),
                    [one] => ok(format!("SPF of {name} is \"{one}\"; see that it takes in this host")),
                    // RFC 7208 §4.5: more than one is an error for ever.
                    more => warning(format!(
                        "{name} has {} SPF records, where one is allowed; remove all but one",
                        more.len()
                    )),
                }
            }
            Data::Policy(_) => {
                let found = lookup.texts(name).await?;
                let found: Vec<_> = found.into_iter().filter(|text| text.starts_with("v=DMARC1")).collect();
                match &found[..] {
                    [] => warning(format!("no DMARC record {name} is found; {}", add())),
                    [one] => ok(format!("DMARC at {name} is \"{one}\"")),
                    // RFC 7489 §6.6.3: then there is none at all.
                    more => warning(format!(
                        "{name} has {} DMARC records, where one is allowed; remove all but one",
                        more.len()
                    )),
                }
            }
            Data::Service(wanted) => {
                let found = lookup.services(name).await?;
                let shown = |(port, host): &(u16, String)| match host.is_empty() {
                    true => "\"not offered\"".to_owned(),
                    false => format!("{host} port {port}"),
                };
                let is_wanted = |one: &(u16, String)| match wanted {
                    Some(wanted) => one == wanted,
                    None => one.1.is_empty(),
                };
                if found.iter().any(is_wanted) {
                    ok(match wanted {
                        Some(wanted) => format!("mail programs find {name} at {}", shown(wanted)),
                        None => format!("{name} says that there is no such service"),
                    })
                } else if found.is_empty() {
                    match wanted {
                        Some(_) => warning(format!(
                            "no SRV record {name} is found, with which mail programs set themselves up; {}",
                            add()
                        )),
                        None => ok(format!("{name} is not offered, and there is no record of it")),
                    }
                } else {
                    let found: Vec<_> = found.iter().map(shown).collect();
                    warning(format!("{name} is {}; {}", found.join(", "), add()))
                }
            }
            Data::Alias(host) => {
                let (found, wanted) = tokio::join!(lookup.addresses(name), lookup.addresses(host));
                let (found, wanted) = (found?, wanted?);
                if found.is_empty() {
                    warning(format!(
                        "{name} is not found, with which mail programs set themselves up; {}",
                        add()
                    ))
                } else if found.is_disjoint(&wanted) {
                    warning(format!(
                        "{name} has the address {}, which is not {host}; {}",
                        list(&found),
                        add()
                    ))
                } else {
                    ok(format!("{name} is {host}"))
                }
            }
            Data::Reverse(host) => {
                let found = lookup.names(self.address_of_reverse(ours)).await?;
                let address = self.address_of_reverse(ours);
                if found.iter().any(|name| name == host) {
                    ok(format!("{address} is named {host}"))
                } else {
                    let found = if found.is_empty() { "no name".to_owned() } else { found.join(", ") };
                    warning(format!(
                        "{address} has {found} for its reverse name, and many hosts want {host}; \
                         ask whoever gives you the address to set it"
                    ))
                }
            }
        })
    }

    fn address_of_reverse(&self, ours: &BTreeSet<IpAddr>) -> IpAddr {
        let mine = ours.iter().find(|address| reverse(**address) == self.name);
        mine.copied().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
    }

    fn title(&self) -> String {
        let (kind, _) = self.kind();
        format!("the {kind} record of {}", self.name)
    }

    fn kind(&self) -> (&'static str, String) {
        match &self.data {
            Data::MailHost(host) => ("MX", format!("10 {host}.")),
            Data::Address(IpAddr::V4(address)) => ("A", address.to_string()),
            Data::Address(IpAddr::V6(address)) => ("AAAA", address.to_string()),
            Data::Senders(text) | Data::Policy(text) => ("TXT", format!("\"{text}\"")),
            Data::Service(Some((port, host))) => ("SRV", format!("0 1 {port} {host}.")),
            Data::Service(None) => ("SRV", "0 0 0 .".to_owned()),
            Data::Alias(host) => ("CNAME", format!("{host}.")),
            Data::Reverse(host) => ("PTR", format!("{host}.")),
        }
    }

    /// The record as a zone file has it.
    pub fn zone_line(&self) -> String {
        let (kind, data) = self.kind();
        format!("{}. {kind} {data}", self.name)
    }
}

/// All of them as a zone file has them, with remarks.
pub fn zone(config: &Config, addresses: &[IpAddr]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_zone(config, addresses, &mut out);
    out
}

fn write_zone(config: &Config, addresses: &[IpAddr], out: &mut String) -> std::fmt::Result {
    let hostname = &config.hostname;
    let all = Record::all(config, addresses);
    let width = all.iter().map(|record| record.name.len() + 1).filter(|width| *width < 40).max().unwrap_or(0);
    let line = |out: &mut String, record: &Record| {
        let (kind, data) = record.kind();
        writeln!(out, "{:width$} {kind:5} {data}", format!("{}.", record.name))
    };
    let of = |wanted: fn(&Data) -> bool| all.iter().filter(move |record| wanted(&record.data));
    writeln!(out, "; Where this host is.")?;
    if addresses.is_empty() {
        writeln!(out, "; No public address of this machine is known; put yours here:")?;
        writeln!(out, "; {hostname}. A 192.0.2.1")?;
    }
    for record in of(|data| matches!(data, Data::Address(_))) {
        line(out, record)?;
    }
    if addresses.is_empty() {
        writeln!(out, "; Ask whoever gives you the address to name it {hostname} (PTR).")?;
    } else {
        writeln!(out, "; Whoever gives you the address has to publish its name:")?;
        for record in of(|data| matches!(data, Data::Reverse(_))) {
            writeln!(out, "; {}", record.zone_line())?;
        }
    }
    writeln!(out, "\n; Where mail goes.")?;
    for record in of(|data| matches!(data, Data::MailHost(_))) {
        line(out, record)?;
    }
    writeln!(out, "\n; Who sends mail with these names (SPF), and what others do if it was")?;
    writeln!(out, "; somebody else (DMARC: nothing yet, but they report).")?;
    if config.relay.smarthost.is_some() {
        writeln!(out, "; Your smarthost sends for you: ask it what to add to each SPF record.")?;
    }
    for record in of(|data| matches!(data, Data::Senders(_) | Data::Policy(_))) {
        line(out, record)?;
    }
    writeln!(out, "\n; Where mail programs find what they need. \"0 0 0 .\" says: not here.")?;
    for record in of(|data| matches!(data, Data::Service(_) | Data::Alias(_))) {
        line(out, record)?;
    }
    writeln!(out, "\n; If you want only one authority to issue certificates, for instance:")?;
    for domain in &config.domains {
        writeln!(out, "; {domain}. CAA 0 issue \"letsencrypt.org\"")?;
    }
    Ok(())
}

/// The first port that a service has.
fn port(config: &Config, service: Service) -> Option<u16> {
    let listen = config.listen.iter().find(|listen| listen.service == service)?;
    Some(listen.address.port())
}

fn is_spf(text: &str) -> bool {
    // RFC 7208 §4.5: the version, and then a space or nothing.
    text.strip_prefix("v=spf1").is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn ok(text: String) -> Finding {
    Finding { severity: Severity::Ok, text }
}

fn warning(text: String) -> Finding {
    Finding { severity: Severity::Warning, text }
}

fn error(text: String) -> Finding {
    Finding { severity: Severity::Error, text }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(listen: &str) -> Config {
        let text = format!(
            "hostname = \"mail.a.test\"\ndata_dir = \"d\"\ndomains = [\"a.test\", \"b.test\"]\n[listen]\n{listen}"
        );
        Config::parse(&text, Path::new("mail.toml")).unwrap()
    }

    #[test]
    fn every_record_is_a_line_of_a_zone_file() {
        let config = config("smtp = [\"0.0.0.0:25\"]\nimaps = [\"0.0.0.0:993\", \"[::]:993\"]\n");
        let addresses = ["192.0.2.5".parse().unwrap(), "2001:db8::5".parse().unwrap()];
        let zone = zone(&config, &addresses);
        let lines: Vec<_> = zone
            .lines()
            .filter(|line| !line.starts_with(';') && !line.is_empty())
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let expected = [
            "mail.a.test. A 192.0.2.5",
            "mail.a.test. AAAA 2001:db8::5",
            "a.test. MX 10 mail.a.test.",
            "b.test. MX 10 mail.a.test.",
            "mail.a.test. TXT \"v=spf1 a -all\"",
            "a.test. TXT \"v=spf1 mx ~all\"",
            "_dmarc.a.test. TXT \"v=DMARC1; p=none; rua=mailto:postmaster@a.test\"",
            "b.test. TXT \"v=spf1 mx ~all\"",
            "_dmarc.b.test. TXT \"v=DMARC1; p=none; rua=mailto:postmaster@b.test\"",
        ];
        let services = |domain: &str| {
            ["_imaps", "_imap", "_pop3s", "_pop3", "_submissions", "_submission"].map(|name| {
                let data = if name == "_imaps" { "0 1 993 mail.a.test." } else { "0 0 0 ." };
                format!("{name}._tcp.{domain}. SRV {data}")
            })
        };
        let all: Vec<_> = expected
            .map(str::to_owned)
            .into_iter()
            .chain(services("a.test"))
            .chain(services("b.test"))
            .collect();
        assert_eq!(lines, all);
        assert!(zone.contains("; 5.2.0.192.in-addr.arpa. PTR mail.a.test."), "{zone}");
    }

    #[test]
    fn a_host_that_takes_no_mail_asks_for_none() {
        let records = Record::all(&config("submission = [\"0.0.0.0:587\"]\n"), &[]);
        assert!(!records.iter().any(|record| matches!(record.data, Data::MailHost(_))));
        assert!(
            records.iter().any(|record| record.zone_line() == "a.test. TXT \"v=spf1 a:mail.a.test ~all\"")
        );
    }
}
