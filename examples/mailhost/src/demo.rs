//! A guided tour: two hosts on loopback with DNS between them. What is printed is what was observed.

mod dns;
mod process;

use std::fmt::Display;
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use imap_codec::Mailbox as Folder;
use imap_codec::command::{Append, Search, SearchKey, SearchKeys, Verb};
use imap_codec::response::Data;
use imap_codec::types::flag::{Flag, Flags};
use imap_codec::types::sequence::SequenceSet;
use imap_codec::types::string::IString;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use smtp_codec::client::{Envelope, Outcome};
use smtp_codec::{Domain, ForwardPath, Mailbox, ReversePath};
use tokio::time::{Instant, sleep};

use self::dns::Zone;
use self::process::Process;
use crate::admin::{self, Request, Response};
use crate::auth::{Password, Secrets};
use crate::client::imap::Imap;
use crate::client::{Collected, Credentials, Encryption, Sent, Server, shown};
use crate::commands::Failure;
use crate::config::Config;
use crate::listener::{Service, Stop};
use crate::relay::{Ordered, Shown};

/// Shows the host at work. With `once` it ends after the tour; otherwise it stays up for real mail programs.
pub async fn run(dir: Option<&Path>, once: bool) -> Result<bool, Failure> {
    let temporary = dir.is_none();
    let dir = match dir {
        Some(dir) => dir.to_owned(),
        None => std::env::temp_dir().join(format!("mailhost-demo-{}", std::process::id())),
    };
    let good = tour(&dir, once).await;
    if temporary {
        // A folder that stays in the place for temporary things harms nobody.
        let _ = fs::remove_dir_all(&dir);
    }
    good
}

async fn tour(dir: &Path, once: bool) -> Result<bool, Failure> {
    let mut tour = Tour { failed: 0 };
    say(
        "This is mailhost's tour: two hosts on loopback, no root, no certificate of an authority, and DNS of their own.",
    );
    say(&format!("Everything it makes is in {}.\n", dir.display()));

    step("A DNS server starts, which knows two domains.");
    let dns = dns::Server::start(&ZONES)?;
    for Zone { domain, host, address } in ZONES {
        tour.observed(true, format!("{domain} MX 10 {host}, {host} A {address}"));
    }
    let [near, far] = write_configs(dir, dns.address)?;

    step("Two hosts start, and make themselves certificates.");
    let mut near_process = Process::start(&near)?;
    let mut far_process = Process::start(&far)?;
    let (near, far) = (Site::new(&near)?, Site::new(&far)?);
    tour.observed(true, format!("{} is process {}", near.config.hostname, near_process.id()));
    tour.observed(true, format!("{} is process {}", far.config.hostname, far_process.id()));

    step("Accounts are added while they run.");
    let anna = Arc::new(near.add_account(ANNA).await?);
    let carla = far.add_account(CARLA).await?;
    tour.observed(true, format!("{ANNA} on the first, {CARLA} on the second"));

    step("Anna logs in under TLS and submits a message to Carla, whose mail is on the other host.");
    let first = message("Lunch?", "Dear Carla,\r\n.and a line that begins with a dot.\r\n");
    let submit = near.server(Service::Submissions)?;
    let sent = submit.send(laptop()?, Some(Arc::clone(&anna)), envelope(ANNA, CARLA)?, &first).await?;
    tour.accepted(&sent);
    let line = near_process.wait_for(is_attempt)?;
    for asked in dns.take_asked() {
        tour.observed(true, format!("DNS was asked: {asked}"));
    }
    tour.observed(line.contains("250 "), format!("the first host relayed it: {}", fields(&line)));

    step("Carla collects it over POP3 and TLS.");
    let collect = far.server(Service::Pop3s)?;
    let mail = until(&collect, &carla, 1).await?;
    tour.observed(
        ends_with(&mail, 0, &first),
        "octet for octet what Anna sent, under the trace fields of two hosts",
    );

    step("A third host delivers a message for Anna over SMTP and STARTTLS, and she collects it.");
    let second = message("From far away", "Hello from another host.\r\n");
    let outside = near.server(Service::Smtp)?;
    let sent = outside.send(third()?, None, envelope(DORA, ANNA)?, &second).await?;
    tour.accepted(&sent);
    let inbox = near.server(Service::Pop3s)?;
    let mail = until(&inbox, &anna, 1).await?;
    tour.observed(ends_with(&mail, 0, &second), "octet for octet what was sent");

    step(
        "Anna's mail program opens her mailbox over IMAP and TLS. It files a draft, and waits for what comes.",
    );
    let mut reader = Imap::open(&near.server(Service::Imaps)?, &anna).await?;
    let draft = message("A draft", "Not finished yet.\r\n");
    let (flags, date) = (Flags::new([Flag::Draft]), None);
    let filed = reader.append(&Append { mailbox: Folder::new("Drafts")?, flags, date }, &draft).await?;
    tour.observed(filed.starts_with("[APPENDUID] "), filed);
    let mut there = 0;
    let exists = |data: &Data<'_>, there: &mut u32| {
        if let Data::Exists(count) = data {
            *there = *count;
        }
    };
    reader.command(&Verb::Select(Folder::INBOX.into()), |data| exists(data, &mut there)).await?;
    tour.observed(there == 1, format!("{there} message in her inbox"));
    let news = message("Wake up", "Something has come.\r\n");
    let sending = outside.send(third()?, None, envelope(DORA, ANNA)?, &news);
    let sent = reader
        .idle(sending, |data| {
            exists(data, &mut there);
            there == 2
        })
        .await??;
    tour.accepted(&sent);
    tour.observed(there == 2, "the program was told at once, without asking");
    let mut found = Vec::new();
    let text = IString::try_from("wake UP")?;
    let search =
        Verb::Search { uid: false, search: Search::new(SearchKeys::new([SearchKey::Subject(text)])?) };
    reader
        .command(&search, |data| {
            if let Data::Search { numbers, .. } = data {
                found.extend(numbers.iter().map(|number| number.get()));
            }
        })
        .await?;
    tour.observed(found == [2], format!("a search for its subject finds message {found:?}"));
    let (set, mailbox) = (SequenceSet::new("2")?, Folder::new("Archive")?);
    let moved = reader.command(&Verb::Move { uid: false, set, mailbox }, |_| {}).await?;
    tour.observed(true, format!("it goes to the archive: {moved}"));
    reader.command(&Verb::Logout, |_| {}).await?;

    step("That host may not send to somebody who does not exist, nor through us to a third place.");
    let sent = outside.send(third()?, None, envelope(DORA, "nobody@example.test")?, &second).await?;
    tour.refused(&sent, 550);
    let sent = outside.send(third()?, None, envelope(DORA, CARLA)?, &second).await?;
    tour.refused(&sent, 550);

    step("Who submits without a login is refused.");
    let open = near.server(Service::Submission)?;
    let sent = open.send(laptop()?, None, envelope(ANNA, CARLA)?, &first).await?;
    tour.refused(&sent, 530);

    step("Anna writes to somebody whom the other host does not know, and gets a report.");
    let sent =
        submit.send(laptop()?, Some(Arc::clone(&anna)), envelope(ANNA, "nobody@far.test")?, &first).await?;
    tour.accepted(&sent);
    let mail = until(&inbox, &anna, 2).await?;
    for line in lines_of(mail.get(1), &["Subject:", "Action:", "Status:", "Diagnostic-Code:"]) {
        tour.observed(true, line);
    }
    tour.observed(
        lines_of(mail.get(1), &["Status: 5.1.1"]).len() == 1,
        "the report says why, in words and for programs",
    );

    step("The other host is taken down. Anna's next message to Carla is accepted all the same, and waits.");
    far_process.stop()?;
    let third_message = message("Are you there?", "Accepted is accepted.\r\n");
    let sent =
        submit.send(laptop()?, Some(Arc::clone(&anna)), envelope(ANNA, CARLA)?, &third_message).await?;
    tour.accepted(&sent);
    near_process.wait_for(|line| line.contains("deferred"))?;
    for line in near.why().await? {
        tour.observed(true, line);
    }

    step("The first host is killed (SIGKILL) while the message waits, and starts again.");
    let killed = near_process.kill()?;
    tour.observed(true, format!("process {} ended: {killed}", near_process.id()));
    near_process = Process::start(&near.config.file)?;
    let waiting = near.queue().await?.len();
    tour.observed(waiting == 1, format!("{waiting} message in its queue"));
    let after = inbox.collect(&anna).await?;
    tour.observed(
        after == mail,
        format!("{} messages in Anna's inbox, unchanged under their old ids", after.len()),
    );

    step("The other host comes back, and the queue is told not to wait for its next turn.");
    far_process = Process::start(&far.config.file)?;
    let order = Request::Order { what: "all".to_owned(), recipient: None, order: Ordered::Retry };
    admin::ask(&near.config, order, |_| Ok(())).await?;
    let line = near_process.wait_for(is_attempt)?;
    tour.observed(line.contains("250 "), fields(&line));
    let mail = until(&collect, &carla, 2).await?;
    tour.observed(ends_with(&mail, 1, &third_message), "Carla has it, once, octet for octet");
    let waiting = near.queue().await?.len();
    tour.observed(waiting == 0, format!("{waiting} messages in the queue"));

    say("");
    let good = tour.failed == 0;
    if good {
        say("Every step did what it should.");
    } else {
        let (near, far) = (near_process.log().display(), far_process.log().display());
        say(&format!(
            "{} of the observations are not what they should be; the logs are {near} and {far}.",
            tour.failed
        ));
    }
    if !once {
        say("\nThe hosts stay up. Open either in a browser, or point a mail program at it:");
        near.print(&anna, near_process.log(), &near.operator().await?);
        far.print(&carla, far_process.log(), &far.operator().await?);
        say("\nCtrl-C ends it.");
        let (stop, _) = Stop::new();
        let signal = stop.on_signal()?;
        tokio::select! {
            () = signal => {}
            () = near_process.ended() => say("The first host has ended by itself; see its log."),
            () = far_process.ended() => say("The second host has ended by itself; see its log."),
        }
    }
    near_process.stop()?;
    far_process.stop()?;
    Ok(good)
}

fn step(what: &str) {
    say(&format!("* {what}"));
}

/// Counts what went wrong.
struct Tour {
    failed: usize,
}

impl Tour {
    fn observed(&mut self, good: bool, what: impl Display) {
        self.failed += usize::from(!good);
        say(&format!("    {} {what}", if good { "ok  " } else { "BAD " }));
    }

    fn accepted(&mut self, sent: &Sent) {
        match &sent.outcome {
            Some(Outcome::Taken(reply)) => self.observed(reply.code() == 250, shown(reply)),
            other => self.observed(false, format!("{other:?}")),
        }
    }

    fn refused(&mut self, sent: &Sent, code: u16) {
        match &sent.outcome {
            Some(Outcome::Refused { reply, .. }) => self.observed(reply.code() == code, shown(reply)),
            other => self.observed(false, format!("{other:?}")),
        }
    }
}

/// One of the two hosts.
struct Site {
    config: Config,
    certificate: PathBuf,
    tls: Arc<ClientConfig>,
}

impl Site {
    fn new(file: &Path) -> Result<Self, Failure> {
        let config = Config::load(file)?;
        let certificate = config.data_dir.join("self-signed.pem");
        let pem = CertificateDer::from_pem_file(&certificate)
            .map_err(|error| Failure::new(format!("{}: {error}", certificate.display())))?;
        Ok(Self { tls: Server::trusting(&pem)?, certificate, config })
    }

    fn server(&self, service: Service) -> Result<Server, Failure> {
        let listen = self.config.listen.iter().find(|listen| listen.service == service);
        let address = listen.ok_or_else(|| Failure::new(format!("the demo has no {service}")))?.address;
        let name = ServerName::try_from(self.config.hostname.as_str().to_owned())?;
        let encryption = if service.implicit_tls() { Encryption::Implicit } else { Encryption::Required };
        Ok(Server::at(address, encryption, name, Arc::clone(&self.tls)))
    }

    async fn add_account(&self, address: &str) -> Result<Credentials, Failure> {
        let password = Password::generate()?;
        let secrets = Secrets::new(&password)?;
        let (hash, scram) = (secrets.hash.as_str().to_owned(), secrets.scram_texts());
        let request = Request::AddAccount { address: address.to_owned(), login: None, password: hash, scram };
        admin::ask(&self.config, request, |_| Ok(())).await?;
        Ok(Credentials { name: address.to_owned(), password })
    }

    async fn queue(&self) -> Result<Vec<Shown>, Failure> {
        let (mut shown, request) = (Vec::new(), Request::Queue { message: None, why: true });
        let collect = |response| match response {
            Response::Queue { messages, .. } => {
                shown.extend(messages);
                Ok(())
            }
            _ => Err(Failure::new("the host does not answer the question that was asked")),
        };
        admin::ask(&self.config, request, collect).await?;
        Ok(shown)
    }

    /// What the host says of the mail that waits.
    async fn why(&self) -> Result<Vec<String>, Failure> {
        Ok(self.queue().await?.into_iter().flat_map(|message| message.recipients).flatten().collect())
    }

    /// A link to the operator's pages.
    async fn operator(&self) -> Result<String, Failure> {
        let mut link = None;
        let keep = |response| match response {
            Response::Operator(made) => {
                link = Some(made);
                Ok(())
            }
            _ => Err(Failure::new("the host does not answer the question that was asked")),
        };
        admin::ask(&self.config, Request::Operator, keep).await?;
        link.ok_or_else(|| Failure::new("the host does not answer the question that was asked"))
    }

    /// What a person needs to point a mail program at the host.
    fn print(&self, account: &Credentials, log: &Path, operator: &str) {
        say(&format!("\n  {:<13} {:<17} {:<20} for", self.config.hostname.as_str(), "address", "security"));
        for listen in &self.config.listen {
            let (service, address) = (listen.service, listen.address.to_string());
            let (security, purpose) = match service {
                Service::Smtp => ("STARTTLS", "mail from other hosts"),
                Service::Submission => ("STARTTLS", "sending, with login"),
                Service::Submissions => ("TLS from the start", "sending, with login"),
                Service::Pop3 => ("STLS", "collecting"),
                Service::Pop3s => ("TLS from the start", "collecting"),
                Service::Imap => ("STARTTLS", "reading"),
                Service::Imaps => ("TLS from the start", "reading"),
                Service::Web => ("none", "browsers, http"),
                Service::Webs => ("TLS from the start", "browsers, https"),
                Service::WebAdmin => ("none", "the operator, http"),
            };
            say(&format!("  {service:<17} {address:<17} {security:<20} {purpose}"));
        }
        say(&format!("  login and address {}, password {}", account.name, account.password.expose()));
        if let Some(web) = self.config.listen.iter().find(|listen| listen.service == Service::Web) {
            say(&format!("  webmail           http://{}/, with the same login", web.address));
        }
        say(&format!("  operator's pages  {operator} (works once, for ten minutes)"));
        say(&format!("  certificate       {} (self-signed)", self.certificate.display()));
        say(&format!("  log               {}", log.display()));
    }
}

/// Collects until so many messages are there.
async fn until(server: &Server, login: &Credentials, count: usize) -> Result<Vec<Collected>, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mail = server.collect(login).await?;
        if mail.len() >= count || Instant::now() > deadline {
            return Ok(mail);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn write_configs(dir: &Path, dns: SocketAddr) -> Result<[PathBuf; 2], Failure> {
    fs::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    // Both have to listen on the same port, for MX records name none.
    let smtp = free(&ZONES.map(|zone| zone.address.into()), 2525)?;
    let mut planned = Vec::new();
    for Zone { domain, host, address } in ZONES {
        let file = dir.join(format!("{domain}.toml"));
        if file.exists() {
            return Err(Failure::new(format!("{} exists; name an empty folder with --dir", file.display())));
        }
        let mut listen = String::new();
        for service in Service::ALL {
            let port = match service {
                Service::Smtp => smtp,
                Service::Submission => free(&[address.into()], 2587)?,
                Service::Submissions => free(&[address.into()], 2465)?,
                Service::Pop3 => free(&[address.into()], 2110)?,
                Service::Pop3s => free(&[address.into()], 2995)?,
                Service::Imap => free(&[address.into()], 2143)?,
                Service::Imaps => free(&[address.into()], 2993)?,
                Service::Web => free(&[address.into()], 8080)?,
                Service::Webs => free(&[address.into()], 8443)?,
                Service::WebAdmin => free(&[address.into()], 8081)?,
            };
            listen.push_str(&format!("{} = [\"{address}:{port}\"]\n", service.key()));
        }
        let text = format!(
            "# Written by `mailhost demo`.\nhostname = \"{host}\"\ndata_dir = \"{domain}\"\ndomains = [\"{domain}\"]\n\n\
             [listen]\n{listen}\n[dns]\nservers = [\"{dns}\"]\n\n\
             [relay]\nport = {smtp}\nallow_private_addresses = true\n"
        );
        fs::write(&file, text)?;
        planned.push(file);
    }
    planned.try_into().map_err(|_| Failure::new("there are two zones"))
}

/// The port that people expect, or another one if it is taken on any of the addresses.
fn free(addresses: &[IpAddr], preferred: u16) -> io::Result<u16> {
    let all = |port| addresses.iter().all(|address| TcpListener::bind((*address, port)).is_ok());
    if all(preferred) {
        return Ok(preferred);
    }
    for _ in 0..100 {
        let port = TcpListener::bind((addresses[0], 0))?.local_addr()?.port();
        if all(port) {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn laptop() -> Result<Domain<'static>, Failure> {
    Ok(Domain::parse("laptop.example.test")?)
}

fn third() -> Result<Domain<'static>, Failure> {
    Ok(Domain::parse("mx.elsewhere.test")?)
}

fn envelope(from: &str, to: &str) -> Result<Envelope, Failure> {
    let from = ReversePath::Mailbox(Mailbox::parse(from)?.into_owned());
    Ok(Envelope::new(from).to(ForwardPath::Mailbox(Mailbox::parse(to)?.into_owned())))
}

fn message(subject: &str, text: &str) -> Vec<u8> {
    format!("From: the tour <tour@example.test>\r\nSubject: {subject}\r\n\r\n{text}").into_bytes()
}

fn ends_with(messages: &[Collected], index: usize, sent: &[u8]) -> bool {
    messages.get(index).is_some_and(|message| message.octets.ends_with(sent)) && messages.len() == index + 1
}

/// Those lines of a message that begin so.
fn lines_of(message: Option<&Collected>, beginnings: &[&str]) -> Vec<String> {
    let text = message.map(|message| String::from_utf8_lossy(&message.octets)).unwrap_or_default();
    let wanted = |line: &&str| beginnings.iter().any(|beginning| line.starts_with(beginning));
    text.lines()
        .take_while(|line| !line.starts_with("Content-Type: text/rfc822"))
        .filter(wanted)
        .map(str::to_owned)
        .collect()
}

fn is_attempt(line: &str) -> bool {
    line.contains(" attempt id=")
}

/// A line of a log without its time and place.
fn fields(line: &str) -> &str {
    line.split_once(" attempt ").map_or(line, |(_, fields)| fields)
}

fn say(line: &str) {
    // Standard output may be closed; the tour goes on for its status.
    let _ = writeln!(io::stdout(), "{line}");
}

const ZONES: [Zone; 2] = [
    Zone { domain: "example.test", host: "mail.example.test", address: Ipv4Addr::new(127, 0, 0, 1) },
    Zone { domain: "far.test", host: "mail.far.test", address: Ipv4Addr::new(127, 0, 0, 2) },
];
const ANNA: &str = "anna@example.test";
const CARLA: &str = "carla@far.test";
const DORA: &str = "dora@elsewhere.test";
const PATIENCE: Duration = Duration::from_secs(60);
