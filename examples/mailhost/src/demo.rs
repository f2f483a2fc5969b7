//! A guided tour: a host on loopback, mail in, mail out, refusals, a crash. What is printed is what was observed.

use std::fmt::Display;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use smtp_codec::client::{Envelope, Outcome};
use smtp_codec::{Domain, ForwardPath, Mailbox, ReversePath};

use crate::admin::{self, Request};
use crate::auth::{Password, PasswordHash};
use crate::client::{Collected, Credentials, Sent, Server, shown};
use crate::commands::Failure;
use crate::config::Config;
use crate::listener::{Service, Stop};

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
    say("This is mailhost's tour: one host on loopback, no root, no DNS, no certificate of an authority.");
    say(&format!("Everything it makes is in {}.\n", dir.display()));
    let file = write_config(dir)?;
    let config = Config::load(&file)?;

    step("The host starts, and makes itself a certificate.");
    let mut host = Process::start(&file, dir)?;
    let pem = config.data_dir.join("self-signed.pem");
    let certificate = CertificateDer::from_pem_file(&pem)
        .map_err(|error| Failure::new(format!("{}: {error}", pem.display())))?;
    let tls = Server::trusting(&certificate)?;
    let at = |service| server(&config, &tls, service);
    tour.observed(true, format!("process {} listens; certificate {}", host.child.id(), pem.display()));

    step("Two accounts are added while it runs.");
    let anna = add_account(&config, ANNA).await?;
    let ben = add_account(&config, BEN).await?;
    tour.observed(true, format!("{} and {}", anna.name, ben.name));

    step("Anna logs in under TLS and submits a message to Ben.");
    let submitted = message("Lunch?", "Dear Ben,\r\n.and a line that begins with a dot.\r\n");
    let to_ben = || envelope(ANNA, BEN);
    let sent = at(Service::Submissions)?
        .send(name("laptop.example.test")?, Some(&anna), to_ben()?, &submitted)
        .await?;
    tour.accepted(&sent);

    step("Another host delivers a message for Ben over SMTP and STARTTLS.");
    let outside = message("From far away", "Hello from another host.\r\n");
    let sent = at(Service::Smtp)?
        .send(name("mx.far.test")?, None, envelope("carla@far.test", BEN)?, &outside)
        .await?;
    tour.accepted(&sent);

    step("Ben collects both over POP3 and TLS.");
    let before = at(Service::Pop3s)?.collect(&ben).await?;
    for message in &before {
        tour.observed(true, format!("{}, {} octets", subject(message), message.octets.len()));
    }
    tour.observed(
        before.len() == 2 && ends_with(&before, 0, &submitted) && ends_with(&before, 1, &outside),
        "both are octet for octet what was sent, under the host's trace fields",
    );

    step("Mail for somebody who does not exist is refused at once.");
    let sent = at(Service::Smtp)?
        .send(name("mx.far.test")?, None, envelope("carla@far.test", "nobody@example.test")?, &outside)
        .await?;
    tour.refused(&sent, 550);

    step("A stranger who wants mail relayed to a third place is refused.");
    let sent = at(Service::Smtp)?
        .send(name("mx.far.test")?, None, envelope("carla@far.test", "dora@elsewhere.test")?, &outside)
        .await?;
    tour.refused(&sent, 550);

    step("Who submits without a login is refused.");
    let sent =
        at(Service::Submission)?.send(name("laptop.example.test")?, None, to_ben()?, &submitted).await?;
    tour.refused(&sent, 530);

    step("One more message, and at the moment it is accepted the host is killed (SIGKILL).");
    let last = message("Just before the crash", "Accepted is accepted.\r\n");
    let sent =
        at(Service::Submissions)?.send(name("laptop.example.test")?, Some(&anna), to_ben()?, &last).await?;
    tour.accepted(&sent);
    let killed = host.kill()?;
    tour.observed(true, format!("process {} ended: {killed}", host.child.id()));

    step("It starts again, and nothing is lost.");
    host = Process::start(&file, dir)?;
    let after = at(Service::Pop3s)?.collect(&ben).await?;
    for message in &after {
        tour.observed(
            true,
            format!("{}, {} octets, unique id {}", subject(message), message.octets.len(), message.unique_id),
        );
    }
    tour.observed(
        after.len() == 3 && after[..2] == before[..] && ends_with(&after, 2, &last),
        "the first two are unchanged under their old ids, the third is there",
    );

    say("");
    let good = tour.failed == 0;
    if good {
        say("Every step did what it should.");
    } else {
        say(&format!(
            "{} of the observations are not what they should be; the host's log is {}.",
            tour.failed,
            log(dir).display()
        ));
    }
    if !once {
        table(&config, &pem, &[&anna, &ben], &log(dir));
        let (stop, _) = Stop::new();
        tokio::select! {
            signal = stop.on_signal() => signal?,
            () = host.ended() => say("The host has ended by itself; see its log."),
        }
    }
    host.stop()?;
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

/// The host as a process of its own, so that it can be killed.
struct Process {
    child: Child,
    /// Closed when the process has ended.
    ended: Receiver<()>,
}

impl Process {
    /// Starts it and waits until it is ready.
    fn start(file: &Path, dir: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve".as_ref(), "--config".as_ref(), file.as_os_str()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or_else(|| Failure::new("the host has no standard error"))?;
        let mut log = fs::OpenOptions::new().create(true).append(true).open(log(dir))?;
        let (tell, told) = mpsc::channel();
        let (alive, ended) = mpsc::channel();
        thread::spawn(move || {
            let _alive = alive;
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = writeln!(log, "{line}");
                if line.contains(READY) || line.starts_with("mailhost:") {
                    let _ = tell.send(line);
                }
            }
        });
        match told.recv_timeout(START) {
            Ok(line) if line.contains(READY) => Ok(Self { child, ended }),
            Ok(line) => Err(Failure::new(line.trim_start_matches("mailhost: "))),
            Err(_) => {
                Err(Failure::new(format!("the host did not get ready; see {}", self::log(dir).display())))
            }
        }
    }

    /// SIGKILL: it gets no chance to do anything any more.
    fn kill(&mut self) -> io::Result<std::process::ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// SIGTERM, and waits until it has ended.
    fn stop(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM)?;
            self.child.wait()?;
        }
        Ok(())
    }

    async fn ended(&self) {
        while !matches!(self.ended.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After an error nobody has stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write_config(dir: &Path) -> Result<PathBuf, Failure> {
    fs::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    let file = dir.join("mailhost.toml");
    if file.exists() {
        return Err(Failure::new(format!("{} exists; name an empty folder with --dir", file.display())));
    }
    let mut listen = String::new();
    for service in Service::ALL {
        let preferred = match service {
            Service::Smtp => 2525,
            Service::Submission => 2587,
            Service::Submissions => 2465,
            Service::Pop3 => 2110,
            Service::Pop3s => 2995,
        };
        listen.push_str(&format!("{} = [\"{}\"]\n", service.key(), free(preferred)?));
    }
    let text = format!(
        "# Written by `mailhost demo`.\nhostname = \"mail.example.test\"\ndata_dir = \"data\"\ndomains = [\"example.test\"]\n\n[listen]\n{listen}"
    );
    fs::write(&file, text)?;
    Ok(file)
}

/// The address that people expect, or another one if it is taken.
fn free(preferred: u16) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, preferred))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    listener.local_addr()
}

fn server(config: &Config, tls: &Arc<ClientConfig>, service: Service) -> Result<Server, Failure> {
    let listen = config.listen.iter().find(|listen| listen.service == service);
    let address = listen.ok_or_else(|| Failure::new(format!("the demo has no {service}")))?.address;
    let name = ServerName::try_from(config.hostname.as_str().to_owned())?;
    Ok(Server { address, implicit_tls: service.implicit_tls(), name, tls: Arc::clone(tls) })
}

async fn add_account(config: &Config, address: &str) -> Result<Credentials, Failure> {
    let password = Password::generate()?;
    let hash = PasswordHash::new(&password)?.as_str().to_owned();
    let request = Request::AddAccount { address: address.to_owned(), login: None, password: hash };
    admin::ask(config, request).await?;
    Ok(Credentials { name: address.to_owned(), password })
}

fn name(text: &'static str) -> Result<Domain<'static>, Failure> {
    Ok(Domain::parse(text)?)
}

fn envelope(from: &str, to: &str) -> Result<Envelope, Failure> {
    let from = ReversePath::Mailbox(Mailbox::parse(from)?.into_owned());
    Ok(Envelope::new(from).to(ForwardPath::Mailbox(Mailbox::parse(to)?.into_owned())))
}

fn message(subject: &str, text: &str) -> Vec<u8> {
    format!("From: the tour <tour@example.test>\r\nSubject: {subject}\r\n\r\n{text}").into_bytes()
}

fn ends_with(messages: &[Collected], index: usize, sent: &[u8]) -> bool {
    messages.get(index).is_some_and(|message| message.octets.ends_with(sent))
}

fn subject(message: &Collected) -> String {
    let text = String::from_utf8_lossy(&message.octets);
    text.lines().find(|line| line.starts_with("Subject: ")).unwrap_or("no subject").to_owned()
}

/// What a person needs to point a mail program at the host.
fn table(config: &Config, certificate: &Path, accounts: &[&Credentials], log: &Path) {
    let security = |service: Service| match service {
        Service::Smtp | Service::Submission => "STARTTLS",
        Service::Pop3 => "STLS",
        Service::Submissions | Service::Pop3s => "TLS from the start",
    };
    let purpose = |service: Service| match service {
        Service::Smtp => "mail from other hosts",
        Service::Submission | Service::Submissions => "sending, with login",
        Service::Pop3 | Service::Pop3s => "collecting",
    };
    say("\nThe host stays up. Point a mail program at it:\n");
    say(&format!("  {:<13} {:<17} {:<20} {}", "service", "address", "security", "for"));
    for listen in &config.listen {
        let (service, address) = (listen.service, listen.address);
        say(&format!("  {service:<13} {address:<17} {:<20} {}", security(service), purpose(service)));
    }
    say(&format!("\n  {:<24} password", "login and address"));
    for account in accounts {
        say(&format!("  {:<24} {}", account.name, account.password.expose()));
    }
    say(&format!(
        "\n  certificate (self-signed, for {} and localhost): {}",
        config.hostname,
        certificate.display()
    ));
    say(&format!("  log of the host: {}", log.display()));
    say("\nCtrl-C ends it.");
}

fn log(dir: &Path) -> PathBuf {
    dir.join("mailhost.log")
}

fn say(line: &str) {
    // Standard output may be closed; the tour goes on for its status.
    let _ = writeln!(io::stdout(), "{line}");
}

const ANNA: &str = "anna@example.test";
const BEN: &str = "ben@example.test";
const READY: &str = " ready";
const START: Duration = Duration::from_secs(60);
