//! The first ten minutes, as the README tells them: its commands are taken from its own text.
//!
//! What is not the same here as on a machine of one's own is all in [`Minutes::command`].

use std::fs;
use std::net::IpAddr;
use std::process::Command;

use mailhost::listener::Service;

use crate::relay::{Knot, PRIVATE, collected, configure, logged, loopback, mx, site, submit};
use crate::support::{Folder, Host, Run, Site, Wire, base64, is_installed, program, run, skip};

const README: &str = include_str!("../../../../README.md");
const HEADING: &str = "## The first ten minutes";

struct Minutes {
    folder: Folder,
    address: IpAddr,
}

/// The commands of the first block of that section.
fn commands() -> Vec<String> {
    let (_, section) = README.split_once(HEADING).expect("README.md tells of the first ten minutes");
    let (_, block) = section.split_once("```sh\n").expect("in commands");
    let (block, _) = block.split_once("```").expect("a block ends");
    let lines = block.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

impl Minutes {
    fn new() -> Self {
        Self { folder: Folder::new(), address: loopback() }
    }

    /// A command of the README as it is run here: the program that was built and a folder that goes away, a domain that
    /// nobody has, an address of loopback, high ports, a DNS server and another mail host of the test. Without root, `sudo`
    /// has nothing to add; with it, the host becomes nobody.
    fn command(&self, line: &str, dns: &Knot) -> Run {
        let dir = self.folder.path("").display().to_string();
        let line =
            line.replace("/srv/mailhost", dir.trim_end_matches('/')).replace("example.org", "example.test");
        let mut words = line.split(' ').skip_while(|word| *word == "sudo");
        assert_eq!(words.next(), Some("mailhost"), "{line}");
        let mut command = program();
        command.args(words);
        if line.contains(" quickstart ") {
            let (address, dns) = (self.address.to_string(), dns.address().to_string());
            command.args(["--ports", "high", "--user", "nobody", "--listen", &address, "--public", &address]);
            command.args(["--dns", &dns]);
        }
        if line.contains(" quickstart ") || line.contains(" check ") {
            command.args(["--probe", "mail.b.test:2525"]);
        }
        run(&mut command, "")
    }
}

fn line_with<'t>(text: &'t str, start: &str) -> &'t str {
    let found = text.lines().find_map(|line| line.trim_start().strip_prefix(start));
    found.unwrap_or_else(|| panic!("no {start:?} in {text}")).trim()
}

#[track_caller]
fn good(run: &Run) -> &str {
    assert_eq!((run.status, &*run.stderr), (Some(0), ""), "{}", run.stdout);
    &run.stdout
}

fn submitting(host: &Host, site: &Site, login: &str, password: &str) -> Wire {
    let mut wire = Wire::connect(host.address(Service::Submissions)).start_tls(&site.tls());
    wire.expect("220 mail.example.test");
    wire.say("EHLO laptop.test", "250-");
    wire.say(&format!("AUTH PLAIN {}", base64(format!("\0{login}\0{password}").as_bytes())), "235");
    wire
}

#[test]
fn they_go_as_the_readme_says() {
    let name = "they_go_as_the_readme_says";
    let commands = commands();
    let find = |word: &str| {
        let found: Vec<_> = commands.iter().filter(|line| line.contains(word)).collect();
        assert_eq!(found.len(), 1, "{word} in {commands:#?}");
        found[0].clone()
    };
    // Nothing that the README has is left out here.
    let known = [
        "cargo build",
        " install ",
        " useradd ",
        " quickstart ",
        " systemctl enable ",
        " account add ",
        " check ",
    ];
    for line in &commands {
        assert!(
            known.iter().any(|word| format!(" {line}").contains(word)),
            "{line} is not tried by this test"
        );
    }
    let minutes = Minutes::new();
    let there = loopback();
    let far = mx("b.test", there);
    let Some(knot) = Knot::start(name, &far) else { return };

    let quick = minutes.command(&find(" quickstart "), &knot);
    let said = good(&quick);
    assert!(
        said.lines()
            .all(|line| line.chars().count() <= 80 || line.contains(" TXT ") || line.contains("/tmp")),
        "{said}"
    );
    assert!(said.contains("DNS answers; mail.example.test has no address yet"), "{said}");
    let password = line_with(said, "password ").to_owned();
    let records = fs::read_to_string(minutes.folder.path("dns-records.txt")).unwrap();
    assert!(said.contains(records.trim_end()), "{said}");
    let again = minutes.command(&find(" quickstart "), &knot);
    let file = minutes.folder.path("mailhost.toml");
    again.failed(&format!(
        "{} exists, and nothing is overwritten; name another folder with --dir",
        file.display()
    ));

    // The unit starts the host as it is started here.
    let unit = fs::read_to_string(minutes.folder.path("mailhost.service")).unwrap();
    let program = program().get_program().to_string_lossy().into_owned();
    let program = fs::canonicalize(program).unwrap();
    let start = format!("\"{}\" serve --config \"{}\"", program.display(), file.display());
    assert_eq!(line_with(&unit, "ExecStart="), start);
    assert!(find(" systemctl enable ").ends_with("/srv/mailhost/mailhost.service"));

    // In this world other hosts listen on port 2525, and on loopback: two lines of the configuration lose their mark.
    let text = fs::read_to_string(&file).unwrap();
    let lacking: String = records
        .lines()
        .filter(|line| !line.contains(" MX ") && !line.starts_with("_imaps."))
        .map(|line| format!("{line}\n"))
        .collect();
    let Some(second) = Knot::start(name, &format!("{far}{lacking}")) else { return };
    let text = text
        .replace("#port = 25\n", "port = 2525\n")
        .replace("#allow_private_addresses = false", "allow_private_addresses = true")
        .replace(&knot.address().to_string(), &second.address().to_string());
    fs::write(&file, &text).unwrap();

    let add = minutes.command(&find(" account add "), &knot);
    assert!(good(&add).contains("ben@example.test added"), "{}", add.stdout);
    let second_password = line_with(&add.stdout, "password ").to_owned();
    let far_site = site("b", there, second.address(), PRIVATE, &["carla"]);
    let other = far_site.start();

    // Two records are missing, and both are named with the line that brings them.
    let check = find(" check ");
    let first = minutes.command(&check, &knot);
    assert_eq!((first.status, &*first.stderr), (Some(1), ""), "{}", first.stdout);
    let wrong: Vec<_> =
        first.stdout.lines().filter(|line| line.starts_with("error") || line.contains("SRV")).collect();
    assert_eq!(
        wrong,
        [
            "error: no MX record of example.test is found, so its mail does not come here; publish",
            "warning: no SRV record _imaps._tcp.example.test is found, with which mail programs set themselves up; publish",
            "    _imaps._tcp.example.test. SRV 0 1 2993 mail.example.test.",
        ],
        "{}",
        first.stdout
    );
    assert!(first.stdout.contains("\n    example.test. MX 10 mail.example.test.\n"), "{}", first.stdout);
    assert!(
        first.stdout.contains("ok: port 2525 of other hosts can be reached: mail.b.test greets"),
        "{}",
        first.stdout
    );

    // The host runs, and takes the DNS server up that has them all.
    let site = Site::made(minutes.folder);
    let host = site.start();
    let Some(third) = Knot::start(name, &format!("{far}{records}")) else { return };
    fs::write(&file, text.replace(&second.address().to_string(), &third.address().to_string())).unwrap();
    logged(&host, "configuration reloaded changed=dns.servers");
    let minutes = Minutes { folder: Folder::new(), address: minutes.address };
    let check = check.replace("/srv/mailhost", file.parent().unwrap().to_str().unwrap());
    let last = minutes.command(&check, &third);
    assert!(
        !good(&last).lines().any(|line| line.starts_with("error") || line.contains("SRV ")),
        "{}",
        last.stdout
    );

    // Out, and in.
    let mut you = submitting(&host, &site, "you@example.test", &password);
    let message = "From: you@example.test\r\nSubject: out\r\n\r\n";
    let reply = you.offer("you@example.test", &["carla@b.test"], message);
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    logged(&host, " attempt id=");
    let mail = collected(&other, "carla@b.test");
    assert!(mail.len() == 1 && mail[0].ends_with(message), "{mail:#?}");
    configure(&far_site, "b", there, third.address(), PRIVATE);
    logged(&other, "configuration reloaded changed=dns.servers");
    let message = "From: carla@b.test\r\nSubject: in\r\n\r\n";
    submit(&other, "carla@b.test", "carla@b.test", &["you@example.test", "ben@example.test"], message);
    logged(&other, " attempt id=");
    for (login, password) in [("you@example.test", &password), ("ben@example.test", &second_password)] {
        let mut wire = Wire::connect(host.address(Service::Pop3s)).start_tls(&site.tls());
        wire.expect("+OK");
        wire.say(&format!("USER {login}"), "+OK");
        wire.say(&format!("PASS {password}"), "+OK");
        let mail = String::from_utf8(wire.retrieve(1)).unwrap();
        assert!(mail.ends_with(message), "{mail}");
    }
    host.stop();
}

#[test]
fn systemd_takes_the_unit() {
    let name = "systemd_takes_the_unit";
    if !is_installed("systemd-analyze", "--version") {
        return skip(name, "systemd-analyze is not installed");
    }
    let folder = Folder::new();
    let dir = folder.path("100% of it");
    let mut command = program();
    command
        .args(["quickstart", "you@example.test", "--ports", "high", "--user", "nobody", "--dir"])
        .arg(&dir);
    good(&run(&mut command, ""));
    let verified = run(Command::new("systemd-analyze").arg("verify").arg(dir.join("mailhost.service")), "");
    assert_eq!((verified.status, &*verified.stdout, &*verified.stderr), (Some(0), "", ""));
}
