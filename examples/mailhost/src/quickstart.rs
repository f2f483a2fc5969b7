//! From nothing to a host that can be started: looks around, writes a configuration, a unit for systemd and the DNS records,
//! makes a certificate and the first account. Nothing that is there is overwritten.

mod unit;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{self, Path, PathBuf};

use smtp_codec::Domain;
use tokio::runtime;

use crate::admin::{self, Request};
use crate::auth::{Password, Secrets};
use crate::cli::{Ports, Quickstart};
use crate::commands::Failure;
use crate::config::Config;
use crate::listener::Service;
use crate::lookup::LookupError;
use crate::preflight::{Finding, Severity, Unclaimed};
use crate::privileges::{self, Other, PrivilegeError};
use crate::published;
use crate::survey::{self, Port, World};
use crate::tls::Plan;

/// What is going to be written.
struct Setup {
    dir: PathBuf,
    hostname: Domain<'static>,
    domain: String,
    listen: Vec<IpAddr>,
    ports: Vec<(Service, u16)>,
    high: bool,
    other: Option<Other>,
    dns: Vec<SocketAddr>,
}

/// Does it all, and says what it does. `world` gets the DNS servers.
pub fn run(
    command: &Quickstart,
    world: impl FnOnce(Vec<SocketAddr>) -> World,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let (setup, mut findings) = plan(command)?;
    let text = setup.config();
    let file = setup.file(CONFIG);
    // Whatever is wrong with the names is found before anything is written.
    let config = Config::parse(&text, &file)?;
    let ours: BTreeSet<IpAddr> = match &command.public[..] {
        [] => survey::public_addresses(),
        named => named.iter().copied().collect(),
    };
    say(out, &format!("Setting up {} for mail of {}.\n", setup.hostname, setup.domain))?;
    say(out, "What this machine and its surroundings are like:\n")?;
    let asks = !command.offline && (!survey::is_for_tests(&setup.domain) || !command.dns.is_empty());
    if asks {
        let world = world(config.dns.clone());
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        findings.extend(runtime.block_on(around(&config, &world, &ours)));
    } else {
        findings.push(finding(Severity::Ok, "no other host was asked anything".to_owned()));
        findings.extend(addresses(&ours));
    }
    for finding in &findings {
        let mark = match finding.severity {
            Severity::Ok => "ok  ",
            Severity::Warning | Severity::Error => "NOTE",
        };
        wrapped(out, &format!("  {mark} "), "       ", &finding.text)?;
    }

    let addresses: Vec<IpAddr> = ours.iter().copied().collect();
    let zone = published::zone(&config, &addresses);
    let password = write(&setup, &config, &text, &zone, command)?;

    say(out, "\nWritten, and nothing that was there has been changed:\n")?;
    for (name, what) in [
        (CONFIG, "the configuration; every setting is in it, explained"),
        (UNIT, "for systemd"),
        (ZONE, "the DNS records below"),
        (DATA, "accounts, mail, and a self-signed certificate"),
    ] {
        let name = setup.file(name).display().to_string();
        say(out, &format!("  {name}\n      {what}"))?;
    }
    say(out, "\nThe first account. The password is shown this once:\n")?;
    say(out, &format!("  address and login  {}", command.address))?;
    say(out, &format!("  password           {}", password.expose()))?;
    say(out, &format!("\nDNS records to publish, in the form of a zone file:\n\n{}", zone.trim_end()))?;
    next(&setup, out)
}

fn plan(command: &Quickstart) -> Result<(Setup, Vec<Finding>), Failure> {
    let domain = command.address.domain().as_str().to_ascii_lowercase();
    let hostname = match &command.hostname {
        Some(hostname) => hostname.clone(),
        None => Domain::parse(&format!("mail.{domain}"))?.into_owned(),
    };
    let dir = path::absolute(&command.dir)?;
    for name in [CONFIG, UNIT, ZONE, DATA] {
        let file = dir.join(name);
        // What cannot be looked at counts as there.
        if file.try_exists().unwrap_or(true) {
            return Err(Failure::new(format!(
                "{} exists, and nothing is overwritten; name another folder with --dir",
                file.display()
            )));
        }
    }
    let other = match privileges::is_root().then(|| Other::named(&command.user)).transpose() {
        // There is no configuration yet that could name another.
        Err(PrivilegeError::Unknown(name)) => {
            return Err(Failure::new(format!(
                "there is no user {name}; `useradd --system --shell /usr/sbin/nologin {name}` makes one, or name another with --user"
            )));
        }
        other => other?,
    };
    let listen = match &command.listen[..] {
        [] => {
            let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
            // A machine may be without one of the families.
            all.into_iter().filter(|address| survey::port(&[*address], 0) == Port::Free).collect()
        }
        named => named.to_vec(),
    };
    let low: Vec<_> =
        LOW.iter().map(|(service, port)| (*service, *port, survey::port(&listen, *port))).collect();
    let forbidden = low.iter().any(|(.., port)| *port == Port::Forbidden);
    let high = match command.ports {
        Ports::Low => false,
        Ports::High => true,
        Ports::Auto => forbidden,
    };
    let mut findings = Vec::new();
    let ports = if high {
        let why = if command.ports == Ports::High { "as you asked" } else { "for low ones take root" };
        findings.push(finding(
            Severity::Warning,
            format!(
                "high ports are used, {why}; other hosts come to port 25, so forward it to the port of smtp, \
                 or run this as root"
            ),
        ));
        high_ports(&listen)?
    } else {
        for (service, port, state) in &low {
            findings.push(match state {
                Port::Free => finding(Severity::Ok, format!("port {port} is free for {service}")),
                Port::Taken if *service == Service::Webs => finding(
                    Severity::Warning,
                    "port 443 is in use, so settings for mail programs are not served; see webs in the configuration"
                        .to_owned(),
                ),
                Port::Taken => finding(
                    Severity::Warning,
                    format!(
                        "port {port} for {service} is in use; stop the program that has it before you go on"
                    ),
                ),
                Port::Forbidden => finding(
                    Severity::Warning,
                    format!("port {port} for {service} takes root, or CAP_NET_BIND_SERVICE"),
                ),
                Port::Unusable => finding(
                    Severity::Warning,
                    format!("port {port} for {service} cannot be had on these addresses"),
                ),
            });
        }
        // A web server may well be here, and is not asked to leave.
        let wanted =
            low.iter().filter(|(service, _, state)| *service != Service::Webs || *state != Port::Taken);
        wanted.map(|(service, port, _)| (*service, *port)).collect()
    };
    // Eleven lines that say the same are none too many for a log, but for a person.
    if findings.iter().all(|finding| finding.severity == Severity::Ok) {
        let all: Vec<_> = ports.iter().map(|(_, port)| port.to_string()).collect();
        findings = vec![finding(Severity::Ok, format!("the ports {} are free", all.join(", ")))];
    }
    if !high && survey::port(&listen, 80) != Port::Taken {
        findings.push(finding(
            Severity::Ok,
            "port 80 is free, which programs that fetch certificates use".to_owned(),
        ));
    }
    Ok((Setup { dir, hostname, domain, listen, ports, high, other, dns: command.dns.clone() }, findings))
}

/// The ports that are like the low ones, or the next that are free.
fn high_ports(listen: &[IpAddr]) -> Result<Vec<(Service, u16)>, Failure> {
    let mut taken = BTreeSet::new();
    LOW.iter()
        .map(|(service, low)| {
            let first = if *low == 25 { 2_525 } else { HIGH + low };
            let mut candidates = (0..100).map(|step| first + step * 1_000 % 60_000).chain(first..first + 900);
            let free =
                candidates.find(|port| !taken.contains(port) && survey::port(listen, *port) == Port::Free);
            let port = free.ok_or_else(|| Failure::new(format!("no port can be had for {service}")))?;
            taken.insert(port);
            Ok((*service, port))
        })
        .collect()
}

impl Setup {
    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn config(&self) -> String {
        let title = format!(
            "The configuration of {}, written by `mailhost quickstart`.\n\n\
             What stands behind a # is what holds without it, or an example where the\n\
             remark says what holds. `mailhost check` looks at it all; a running host takes\n\
             changes up by itself, a moment after they are saved.",
            self.hostname
        );
        let quoted = Config::quoted;
        let mut set = vec![
            ("", "hostname", quoted(self.hostname.as_str())),
            ("", "data_dir", quoted(DATA)),
            ("", "domains", format!("[{}]", quoted(&self.domain))),
        ];
        for (service, port) in &self.ports {
            let address = |address: &IpAddr| quoted(&SocketAddr::new(*address, *port).to_string());
            let all: Vec<_> = self.listen.iter().map(address).collect();
            set.push(("listen", service.key(), format!("[{}]", all.join(", "))));
        }
        if let Some(other) = &self.other {
            set.push(("run", "user", quoted(other.name())));
        }
        if !self.dns.is_empty() {
            let all: Vec<_> = self.dns.iter().map(|server| quoted(&server.to_string())).collect();
            set.push(("dns", "servers", format!("[{}]", all.join(", "))));
        }
        Config::commented(&title, &set)
    }
}

/// Everything that takes a question to somebody else, all at once.
async fn around(config: &Config, world: &World, ours: &BTreeSet<IpAddr>) -> Vec<Finding> {
    let hostname = config.hostname.as_str();
    let told = world.lookup.addresses(hostname).await;
    if let Err(why @ (LookupError::NoServer | LookupError::Silent(_))) = &told {
        return addresses(ours).into_iter().chain([survey::silence(why)]).collect();
    }
    let told = async {
        match told {
            Err(error) => {
                vec![finding(Severity::Warning, format!("{hostname} could not be looked up: {error}"))]
            }
            Ok(found) if found.is_empty() => {
                vec![finding(
                    Severity::Ok,
                    format!("DNS answers; {hostname} has no address yet, see the records below"),
                )]
            }
            Ok(found) => {
                let list: Vec<_> = found.iter().map(ToString::to_string).collect();
                let fits = ours.is_empty() || !found.is_disjoint(ours);
                let severity = if fits { Severity::Ok } else { Severity::Warning };
                let of = if fits { "" } else { ", which is none of this machine" };
                vec![finding(
                    severity,
                    format!("DNS answers; {hostname} has the address {}{of}", list.join(", ")),
                )]
            }
        }
    };
    let reverse = async {
        let mut findings = addresses(ours);
        for address in ours {
            findings.push(match world.lookup.names(*address).await {
                Ok(names) if names.iter().any(|name| name == hostname) => {
                    finding(Severity::Ok, format!("{address} is named {hostname}"))
                }
                Ok(names) => {
                    let found = if names.is_empty() { "has no name".to_owned() } else { format!("is named {}", names.join(", ")) };
                    finding(
                        Severity::Warning,
                        format!("{address} {found}, and other hosts want {hostname}; whoever gives you the address sets it"),
                    )
                }
                Err(error) => {
                    finding(Severity::Warning, format!("the name of {address} could not be looked up: {error}"))
                }
            });
        }
        findings
    };
    let (told, reverse, way_out) = tokio::join!(told, reverse, survey::way_out(world));
    told.into_iter().chain(reverse).chain([way_out]).collect()
}

fn addresses(ours: &BTreeSet<IpAddr>) -> Vec<Finding> {
    if ours.is_empty() {
        let text = "this machine has no public address, as behind a router; name it with --public, and have the \
                    router forward the ports";
        return vec![finding(Severity::Warning, text.to_owned())];
    }
    let list: Vec<_> = ours.iter().map(ToString::to_string).collect();
    vec![finding(Severity::Ok, format!("the public address is {}", list.join(", ")))]
}

/// Writes it all. What root owns, the host cannot change; what the host works with is its user's.
fn write(
    setup: &Setup,
    config: &Config,
    text: &str,
    zone: &str,
    command: &Quickstart,
) -> Result<Password, Failure> {
    let failed = |what: &Path, error: io::Error| {
        Failure::new(format!(
            "{}: {error}; remove what was made of {} before another try",
            what.display(),
            setup.dir.display()
        ))
    };
    fs::create_dir_all(&setup.dir).map_err(|error| failed(&setup.dir, error))?;
    if setup.other.is_some() {
        // The user of the host has to get to its data, and to read its configuration.
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&setup.dir, fs::Permissions::from_mode(0o755))
            .map_err(|error| failed(&setup.dir, error))?;
    }
    let low = setup.ports.iter().any(|(_, port)| *port < 1_024);
    let unit = unit::text(setup.other.as_ref(), low, &setup.file(CONFIG), &setup.file(DATA))?;
    for (name, text) in [(CONFIG, text), (UNIT, &unit), (ZONE, zone)] {
        let file = setup.file(name);
        let written =
            OpenOptions::new().write(true).create_new(true).mode(0o644).open(&file).and_then(|mut opened| {
                // The mask is for mail; none of these holds a secret.
                use std::os::unix::fs::PermissionsExt as _;
                opened.set_permissions(fs::Permissions::from_mode(0o644))?;
                opened.write_all(text.as_bytes())
            });
        written.map_err(|error| failed(&file, error))?;
    }
    privileges::settle(config)?;
    // The certificate is made now, so that it can be looked at before the first start.
    {
        let _claimed = Unclaimed::probe(&config.data_dir)?.claim()?;
        Plan::make(config)?.carry_out()?;
    }
    let password = Password::generate()?;
    let secrets = Secrets::new(&password)?;
    let request = Request::AddAccount {
        address: command.address.as_str().to_owned(),
        login: None,
        password: secrets.hash.as_str().to_owned(),
        scram: secrets.scram_texts(),
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(admin::ask(config, request, |_| Ok(())))?;
    Ok(password)
}

fn next(setup: &Setup, out: &mut impl Write) -> Result<(), Failure> {
    let (config, unit) = (setup.file(CONFIG), setup.file(UNIT));
    let (config, unit) = (config.display(), unit.display());
    say(out, "\nWhat to do next:\n")?;
    let mut number = 0;
    let mut step = |out: &mut _, text: &str, command: &str| {
        number += 1;
        wrapped(out, &format!("  {number}. "), "     ", text)?;
        if command.is_empty() { Ok(()) } else { say(out, &format!("         {command}")) }
    };
    step(out, "Publish the records above, and have the address of this machine named.", "")?;
    let text = "Get a certificate for these names, and say where it is in [tls]; until then mail programs ask about the \
                self-signed one. For instance, once the records are published:";
    let web = setup.ports.iter().any(|(service, _)| *service == Service::Webs);
    let names = if web {
        format!(" \\\n             -d autoconfig.{0} -d autodiscover.{0}", setup.domain)
    } else {
        String::new()
    };
    step(out, text, &format!("certbot certonly --standalone -d {}{names}", setup.hostname))?;
    if setup.other.is_some() && !setup.high {
        let text = "Start the host, now and with the machine. Or, to watch it first, by hand:";
        step(out, text, &format!("systemctl enable --now {unit}"))?;
        say(out, &format!("         mailhost serve --config {config}"))?;
    } else {
        step(out, "Start the host:", &format!("mailhost serve --config {config}"))?;
    }
    if let Some((_, port)) = setup.ports.iter().find(|(service, _)| *service == Service::Webs) {
        let port = if *port == 443 { String::new() } else { format!(":{port}") };
        let text = "Read and write mail in a browser, with the address and the password above; mail programs find their settings \
                    there, too:";
        step(out, text, &format!("https://{}{port}/", setup.hostname))?;
    }
    step(
        out,
        "See what is still missing, as often as you like:",
        &format!("mailhost check --config {config}"),
    )?;
    let more = format!("mailhost account add --config {config} ben@{}", setup.domain);
    step(out, "Add whom you like:", &more)
}

fn say(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    Ok(writeln!(out, "{text}")?)
}

/// Lines of at most 80 columns.
fn wrapped(out: &mut impl Write, first: &str, rest: &str, text: &str) -> Result<(), Failure> {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > 80 {
            say(out, &line)?;
            rest.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    say(out, &line)
}

fn finding(severity: Severity, text: String) -> Finding {
    Finding { severity, text }
}

const CONFIG: &str = "mailhost.toml";
const UNIT: &str = "mailhost.service";
const ZONE: &str = "dns-records.txt";
const DATA: &str = "data";
const HIGH: u16 = 2_000;
const LOW: [(Service, u16); 8] = [
    (Service::Smtp, 25),
    (Service::Submission, 587),
    (Service::Submissions, 465),
    (Service::Pop3, 110),
    (Service::Pop3s, 995),
    (Service::Imap, 143),
    (Service::Imaps, 993),
    // Not `web`: port 80 is for whoever fetches certificates.
    (Service::Webs, 443),
];
