//! Webmail between two hosts, from the first sign-in to what is brought back from Trash; with scripts and without.

use std::fs;
use std::path::PathBuf;

use mailhost::listener::Service;

use super::Browser;
use crate::imap::Imap;
use crate::relay::{Knot, PRIVATE, loopback, mx, site};
use crate::support::{Host, PASSWORD, Site, program, run};

/// Anna's host and Ben's, and a name of a host that is down.
struct Two {
    near: Site,
    host: Host,
    far: Site,
    other: Host,
    _knot: Knot,
}

impl Two {
    /// `None` if the test is skipped.
    fn start(test: &str) -> Option<Self> {
        let (here, there, nowhere) = (loopback(), loopback(), loopback());
        let records = [mx("a.test", here), mx("b.test", there), mx("c.test", nowhere)].concat();
        let knot = Knot::start(test, &records)?;
        let relay = format!("{PRIVATE}[queue]\nretry = [\"3s\"]\nexpire = \"20s\"\n");
        let near = site("a", here, knot.address(), &relay, &["anna"]);
        let far = site("b", there, knot.address(), PRIVATE, &["ben"]);
        let (host, other) = (near.start(), far.start());
        Some(Self { near, host, far, other, _knot: knot })
    }

    /// What Ben has as soon as he has so many messages, over IMAP.
    #[track_caller]
    fn of_ben(&self, count: usize) -> String {
        let mut imap = Imap::connect(&self.other);
        imap.ok(format!("LOGIN ben@b.test {PASSWORD:?}"));
        imap.ok("SELECT INBOX");
        while found(&mut imap, "ALL") < count {
            imap.idle();
            // What came before is told at once, what comes then as soon as it is there.
            imap.line("* ");
            imap.done();
        }
        String::from_utf8_lossy(&imap.ok(format!("FETCH {count} BODY.PEEK[]")).data[0]).into_owned()
    }

    /// Ben's answer, from the command line.
    #[track_caller]
    fn ben_answers(&self, to: &str, subject: &str, text: &str) {
        let mut command = program();
        let port = self.other.address(Service::Submission).port();
        command.args([
            "client",
            "send",
            "--server",
            &format!("localhost:{port}"),
            "--tls",
            "starttls",
            "--ca",
        ]);
        command.arg(self.far.data("self-signed.pem"));
        command.args(["--user", "ben@b.test", "--password-stdin", "--from", "Ben Okafor <ben@b.test>"]);
        command.args(["--to", "anna@a.test", "--in-reply-to", to, "--subject", subject, "--text", text]);
        let result = run(&mut command, &format!("{PASSWORD}\n"));
        assert_eq!((result.status, &*result.stderr), (Some(0), ""), "{}", result.stdout);
    }
}

/// How many messages match.
#[track_caller]
fn found(imap: &mut Imap, what: &str) -> usize {
    let lines = imap.ok(format!("SEARCH {what}")).lines();
    lines.iter().find_map(|line| line.strip_prefix("SEARCH")).expect("an answer").split_whitespace().count()
}

impl Browser {
    #[track_caller]
    fn writes(&mut self, to: &str, subject: &str, text: &str, files: &[PathBuf]) {
        self.follow("Write");
        self.fill("To", to);
        self.fill("Subject", subject);
        self.fill("Message", text);
        if !files.is_empty() {
            self.attach(files);
        }
        self.follow("Send");
        self.sees("Your message is on its way");
    }

    /// Waits for something that comes by itself; without scripts, one looks again.
    #[track_caller]
    fn receives(&mut self, text: &str, scripts: bool) {
        if scripts {
            let loads = self.record().loads;
            self.sees(text);
            assert_eq!(self.record().loads, loads, "it has come without another page");
            return;
        }
        self.looks_until(text);
    }

    /// Loads the page again until there is something.
    #[track_caller]
    fn looks_until(&mut self, text: &str) {
        let path = self.path();
        self.wait(&format!("{text:?} in the end"), |this| {
            this.open(&path);
            this.text().contains(text).then_some(())
        });
    }

    /// Chooses the message of this subject, and presses a button of those for what is chosen.
    #[track_caller]
    fn does(&mut self, subject: &str, button: &str) {
        self.tick(subject);
        self.follow(button);
        self.sees_no_row(subject);
    }

    /// Waits until no message of the list has this subject.
    #[track_caller]
    fn sees_no_row(&mut self, subject: &str) {
        self.wait(&format!("{subject:?} to go"), |this| {
            let rows = this.controls(&["checkbox"]);
            (!rows.iter().any(|(_, name)| name.contains(subject))).then_some(())
        });
    }
}

fn story(test: &str, scripts: bool) {
    let Some(two) = Two::start(test) else { return };
    let Some(mut browser) = Browser::start(test, &two.near, &two.host) else { return };
    if !scripts {
        browser.without_scripts();
    }
    browser.open("/");
    browser.signs_in("anna@a.test");
    browser.sees("Inbox");

    // Anna writes, with a file; Ben reads it over IMAP.
    let file = two.near.folder().path("crew list.txt");
    fs::write(&file, "Anna\nBen\nMei\n").unwrap();
    browser.writes("ben@b.test", "Crew for Saturday", "Here is who comes.\n\nGrüße, Anna", &[file]);
    let read = two.of_ben(1);
    assert!(read.contains("Subject: Crew for Saturday") && read.contains("crew list.txt"), "{read}");
    assert!(read.contains("QW5uYQpCZW4KTWVpCg==") || read.contains("Anna\r\nBen\r\nMei"), "{read}");
    let id =
        read.split_once("\r\nMessage-ID: ").expect("its name").1.split("\r\n").next().unwrap().to_owned();

    // He answers from the command line, which she sees come.
    browser.open("/mail");
    two.ben_answers(&id, "Re: Crew for Saturday", "Good. And who brings lunch?");
    browser.receives("Re: Crew for Saturday", scripts);

    // She reads it and passes it on.
    browser.goes_to("Re: Crew for Saturday");
    browser.sees("And who brings lunch?");
    browser.follow("Forward");
    browser.fill("To", "ben@b.test");
    let quoted = browser.filled("Message");
    browser.fill("Message", &format!("Somebody has to.\n{quoted}"));
    browser.follow("Send");
    let read = two.of_ben(2);
    assert!(read.contains("Somebody has to.") && read.contains("And who brings lunch?"), "{read}");

    // She finds it again, moves it, deletes it, finds it in Trash, and takes it back.
    browser.open("/mail");
    browser.fill("Search mail", "lunch");
    browser.follow("Search");
    browser.finds("Re: Crew for Saturday");
    browser.tick("Re: Crew for Saturday");
    browser.choose("Move to", "Archive");
    browser.follow("Move");
    browser.goes_to("Archive");
    browser.does("Re: Crew for Saturday", "Delete");
    browser.goes_to("Trash");
    browser.does("Re: Crew for Saturday", "Restore");
    let mut imap = Imap::connect(&two.host);
    imap.ok(format!("LOGIN anna@a.test {PASSWORD:?}"));
    let holds = |imap: &mut Imap, mailbox: &str| {
        imap.ok(format!("EXAMINE {mailbox}"));
        found(imap, "SUBJECT Crew")
    };
    assert_eq!((holds(&mut imap, "Trash"), holds(&mut imap, "Archive") + holds(&mut imap, "INBOX")), (0, 1));

    // What became of a message to a host that is down.
    browser.writes("eva@c.test", "Is anybody there?", "Hello?", &[]);
    browser.goes_to("Sent");
    browser.goes_to("Is anybody there?");
    browser.looks_until("next try");
    for told in ["eva@c.test", "waiting", "because"] {
        browser.sees(told);
    }
    if scripts {
        browser.draws("outcome");
    }
    browser.goes_to("Inbox");
    browser.receives("Your message could not be delivered", scripts);
    browser.has_behaved();
}

#[test]
fn a_story_of_two_hosts_in_the_browser() {
    story("a_story_of_two_hosts_in_the_browser", true);
}

#[test]
fn the_same_story_without_scripts() {
    story("the_same_story_without_scripts", false);
}
