//! Mail programs without a window, each set up by what autoconfiguration says and by nothing else: the name of the host as it stands
//! there, its port, how TLS begins, and the user name.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use mailhost::listener::Service;

use super::ask;
use crate::support::{Folder, Host, PASSWORD, Run, Site, Wire, is_installed, run, skip, stuffed};

const ADDRESS: &str = "anna@example.test";
const WRAPPER: &str = "libnss_wrapper.so";

/// One server of the file.
#[derive(Debug)]
struct Setting {
    kind: String,
    host: String,
    port: u16,
    /// Whether TLS begins with the first octet.
    implicit: bool,
    user: String,
}

/// A host with an account, its settings, and a folder to work in.
struct Desk {
    site: Site,
    host: Host,
    settings: Vec<Setting>,
    folder: Folder,
}

impl Desk {
    /// `None` if the test is skipped.
    fn new(test: &str, program: &str) -> Option<Self> {
        for (program, version) in [(program, "--version"), ("curl", "--version")] {
            // getmail and mutt know other words for it, and mutt ends well with any of them.
            if !is_installed(program, version) && !is_installed(program, "-v") {
                skip(test, &format!("{program} is not installed"));
                return None;
            }
        }
        if !run(Command::new("true").env("LD_PRELOAD", WRAPPER), "").stderr.is_empty() {
            skip(test, "libnss-wrapper is not installed");
            return None;
        }
        let site = Site::with_accounts("", &["ben"]);
        // The user name of the settings is the address, whatever the login name.
        site.does(&format!("account add {ADDRESS} --login anna --password-stdin"));
        let host = site.start();
        let path = format!("/mail/config-v1.1.xml?emailaddress={ADDRESS}");
        let file = ask(&site, &host, Service::Webs, &path, &[]).body;
        let settings: Vec<Setting> = file.split("Server type=\"").skip(1).map(setting).collect();
        assert_eq!(settings.len(), 6, "{file}");
        let folder = Folder::new();
        folder.write("hosts", "127.0.0.1 mail.example.test\n");
        Some(Self { site, host, settings, folder })
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(move |setting| setting.kind == kind)
    }

    fn deliver(&self, subject: &str) {
        let mut wire = Wire::smtp(self.host.address(Service::Smtp));
        wire.say("MAIL FROM:<x@far.test>", "250 ");
        wire.say(&format!("RCPT TO:<{ADDRESS}>"), "250 ");
        wire.say("DATA", "354 ");
        wire.send(stuffed(format!("From: x@far.test\r\nSubject: {subject}\r\n\r\nhello\r\n").as_bytes()));
        wire.expect("250 ");
    }

    /// A file that nobody else may read.
    fn write(&self, name: &str, text: &str) {
        let file = self.folder.write(name, text);
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A program that keeps each message in a file of its own.
    fn taker(&self) -> String {
        fs::create_dir_all(self.folder.path("taken")).unwrap();
        let here = self.folder.path("taken").display().to_string();
        let file = self.folder.write("take", &format!("#!/bin/sh\nexec cat >$(mktemp {here}/XXXXXX)\n"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
        file.display().to_string()
    }

    /// What has been taken since the last time.
    fn taken(&self) -> Vec<String> {
        files(&self.folder.path("taken"))
    }

    /// Runs a program in the folder, for which the name of the host is in a hosts file.
    fn run(&self, command: &mut Command, stdin: &str) -> Run {
        command.env("LD_PRELOAD", WRAPPER).env("NSS_WRAPPER_HOSTS", self.folder.path("hosts"));
        command.env("HOME", self.folder.path("")).current_dir(self.folder.path(""));
        run(command, stdin)
    }

    fn certificate(&self) -> String {
        self.site.data("self-signed.pem").display().to_string()
    }

    /// What ben has, by subject.
    fn arrived(&self) -> Vec<String> {
        let mut ben = Wire::connect(self.host.address(Service::Pop3s)).start_tls(&self.site.tls());
        ben.expect("+OK");
        ben.log_in_pop3("ben@example.test");
        let mut subjects = Vec::new();
        for number in 1..=ben.unique_ids().len() {
            let message = String::from_utf8(ben.retrieve(number)).unwrap();
            let subject = message.split("\r\nSubject: ").nth(1).and_then(|rest| rest.split('\r').next());
            subjects.push(subject.unwrap_or_default().to_owned());
        }
        subjects
    }
}

fn setting(text: &str) -> Setting {
    let value = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>")).expect("the element");
        rest.split('<').next().expect("its end").to_owned()
    };
    assert_eq!(value("authentication"), "password-cleartext");
    Setting {
        kind: text.split('"').next().expect("its type").to_owned(),
        host: value("hostname"),
        port: value("port").parse().unwrap(),
        implicit: match &*value("socketType") {
            "SSL" => true,
            "STARTTLS" => false,
            other => panic!("{other}"),
        },
        user: value("username").replace("%EMAILADDRESS%", ADDRESS),
    }
}

/// The contents of the files in a folder, which go.
fn files(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.push(fs::read_to_string(&path).unwrap());
        fs::remove_file(path).unwrap();
    }
    all
}

#[test]
fn fetchmail_collects_by_the_settings() {
    let Some(desk) = Desk::new("fetchmail_collects_by_the_settings", "fetchmail") else { return };
    let take = desk.taker();
    for setting in desk.of("imap").chain(desk.of("pop3")) {
        let Setting { kind, host, port, user, implicit } = setting;
        let tls = if *implicit { "ssl" } else { "sslproto \"TLS1+\"" };
        desk.write(
            "fetchmailrc",
            &format!(
                "poll {host} protocol {kind} port {port}\nuser \"{user}\" password \"{PASSWORD}\" {tls} sslcertck \
                 sslcertfile {certificate:?}\nno keep mda {take:?}\n",
                certificate = desk.certificate(),
            ),
        );
        desk.deliver("for fetchmail");
        let mut command = Command::new("fetchmail");
        command
            .env("FETCHMAILHOME", desk.folder.path(""))
            .arg("--fetchmailrc")
            .arg(desk.folder.path("fetchmailrc"));
        let result = desk.run(&mut command, "");
        assert_eq!(result.status, Some(0), "{setting:?}: {}{}", result.stdout, result.stderr);
        let taken = desk.taken();
        assert!(taken.len() == 1 && taken[0].contains("Subject: for fetchmail"), "{setting:?}: {taken:?}");
    }
}

#[test]
fn getmail_collects_by_the_settings() {
    let Some(desk) = Desk::new("getmail_collects_by_the_settings", "getmail") else { return };
    let take = desk.taker();
    // It has no STARTTLS.
    for setting in desk.of("imap").chain(desk.of("pop3")).filter(|setting| setting.implicit) {
        let Setting { kind, host, port, user, .. } = setting;
        let kind = kind.to_uppercase();
        desk.write(
            "getmailrc",
            &format!(
                "[retriever]\ntype = Simple{kind}SSLRetriever\nserver = {host}\nport = {port}\nusername = {user}\n\
                 password = {PASSWORD}\nca_certs = {certificate}\n[destination]\ntype = MDA_external\npath = {take}\n\
                 allow_root_commands = true\n[options]\ndelete = true\nread_all = true\n",
                certificate = desk.certificate(),
            ),
        );
        desk.deliver("for getmail");
        let mut command = Command::new("getmail");
        command
            .arg("--getmaildir")
            .arg(desk.folder.path(""))
            .arg("--rcfile")
            .arg(desk.folder.path("getmailrc"));
        let result = desk.run(&mut command, "");
        assert_eq!(result.status, Some(0), "{setting:?}: {}{}", result.stdout, result.stderr);
        let taken = desk.taken();
        assert!(taken.len() == 1 && taken[0].contains("Subject: for getmail"), "{setting:?}: {taken:?}");
    }
}

#[test]
fn mpop_collects_by_the_settings() {
    let Some(desk) = Desk::new("mpop_collects_by_the_settings", "mpop") else { return };
    let take = desk.taker();
    for setting in desk.of("pop3") {
        desk.write(
            "mpoprc",
            &(account(&desk, setting) + &format!("keep off\nuidls_file uidls\ndelivery mda {take}\n")),
        );
        desk.deliver("for mpop");
        let mut command = Command::new("mpop");
        let result = desk.run(command.arg("--quiet").arg("--file").arg(desk.folder.path("mpoprc")), "");
        assert_eq!(result.status, Some(0), "{setting:?}: {}{}", result.stdout, result.stderr);
        let taken = desk.taken();
        assert!(taken.len() == 1 && taken[0].contains("Subject: for mpop"), "{setting:?}: {taken:?}");
    }
}

#[test]
fn msmtp_submits_by_the_settings() {
    let Some(desk) = Desk::new("msmtp_submits_by_the_settings", "msmtp") else { return };
    for setting in desk.of("smtp") {
        desk.write("msmtprc", &(account(&desk, setting) + &format!("from {ADDRESS}\n")));
        let mut command = Command::new("msmtp");
        command.arg("--file").arg(desk.folder.path("msmtprc")).arg("ben@example.test");
        let message =
            format!("From: {ADDRESS}\nTo: ben@example.test\nSubject: by {}\n\nhello\n", setting.port);
        let result = desk.run(&mut command, &message);
        assert_eq!(result.status, Some(0), "{setting:?}: {}{}", result.stdout, result.stderr);
    }
    let expected: Vec<_> = desk.of("smtp").map(|setting| format!("by {}", setting.port)).collect();
    assert_eq!(desk.arrived(), expected);
}

/// An account of mpop or msmtp, which are one family.
fn account(desk: &Desk, setting: &Setting) -> String {
    let Setting { host, port, user, implicit, .. } = setting;
    format!(
        "account default\nhost {host}\nport {port}\ntls on\ntls_starttls {}\ntls_trust_file {}\nauth on\nuser {user}\n\
         password \"{PASSWORD}\"\n",
        if *implicit { "off" } else { "on" },
        desk.certificate(),
    )
}

#[test]
fn mutt_sends_and_files_by_the_settings() {
    let Some(desk) = Desk::new("mutt_sends_and_files_by_the_settings", "mutt") else { return };
    for (reading, sending) in desk.of("imap").zip(desk.of("smtp")) {
        let url = |setting: &Setting, scheme: &str| {
            let s = if setting.implicit { "s" } else { "" };
            format!("{scheme}{s}://{}@{}:{}/", setting.user.replace('@', "%40"), setting.host, setting.port)
        };
        let certificate = desk.certificate();
        desk.write(
            "muttrc",
            &format!(
                "set from=\"{ADDRESS}\"\nset use_from=yes\nset folder=\"{}\"\nset imap_pass=\"{PASSWORD}\"\n\
                 set spoolfile=\"+INBOX\"\nset record=\"+Sent\"\nset smtp_url=\"{}\"\nset smtp_pass=\"{PASSWORD}\"\n\
                 # A password as it is, as the settings say.\nset smtp_authenticators=\"plain\"\n\
                 set ssl_force_tls=yes\nset ssl_starttls=yes\nset ssl_ca_certificates_file=\"{certificate}\"\n\
                 set certificate_file=\"{certificate}\"\n",
                url(reading, "imap"),
                url(sending, "smtp"),
            ),
        );
        let mut command = Command::new("mutt");
        command.arg("-F").arg(desk.folder.path("muttrc"));
        command.args(["-s", &format!("by {}", sending.port), "ben@example.test"]);
        let result = desk.run(&mut command, "hello\n");
        assert_eq!(result.status, Some(0), "{reading:?} {sending:?}: {}{}", result.stdout, result.stderr);
    }
    let expected: Vec<_> = desk.of("smtp").map(|setting| format!("by {}", setting.port)).collect();
    assert_eq!(desk.arrived(), expected);
    let filed = |line: &&String| line.contains("message filed") && line.contains("mailbox=Sent");
    assert_eq!(desk.host.log().iter().filter(filed).count(), expected.len(), "each has its copy in Sent");
}
