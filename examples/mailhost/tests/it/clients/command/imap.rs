//! Reading at Dovecot and at this host.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::super::maildir::{letters, mailboxes};
use super::super::server::{Kind, Server};
use super::super::typed::Typed;
use super::super::work::{DELIVERED, samples, short, table};
use super::{client, does, fails};
use crate::support::{DEADLINE, Folder, PASSWORD};

fn works_with(kind: Kind, without: &[&str], test: &str) {
    let Some(server) = Server::start(kind, test) else { return };
    server.goes_without(without);
    let folder = Folder::new();
    let mut typed = Typed::log_in(&server);
    typed.does("CREATE Work");
    typed.does("CREATE \"Old one\"");
    let samples = samples();
    for sample in &samples {
        typed.append("Work", &format!("({}) ", sample.flags.join(" ")), &sample.octets);
    }
    let encoded = "From: =?utf-8?Q?J=C3=B6rg?= <j@far.test>\r\nSubject: =?utf-8?B?R3LDvMOfZSBhdXMgS8O2bG4=?=\r\n\r\nx\r\n";
    typed.append("Work", "", encoded.as_bytes());
    let imap = |tls: &str, arguments: &[&str]| client(&server, "imap", tls, arguments);

    let listed = does(imap("implicit", &["list"]));
    let counts = |name: &str| {
        let line = listed.lines().find(|line| line.ends_with(&format!("  {name}")));
        let line = line.unwrap_or_else(|| panic!("{name}: {listed}"));
        line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((counts("INBOX"), counts("Old one")), (vec!["0".into(); 2], vec!["0".into(); 2]));
    let unseen = samples.iter().filter(|sample| !sample.flags.contains(&"\\Seen")).count() + 1;
    assert_eq!(counts("Work"), [(samples.len() + 1).to_string(), unseen.to_string()]);

    let listed = does(imap("starttls", &["list", "Work"]));
    assert_eq!(listed.lines().count(), samples.len() + 2, "{listed}");
    assert!(listed.contains("Jörg  ") && listed.contains("  Grüße aus Köln\n"), "{listed}");
    let line = listed.lines().find(|line| line.ends_with("  dots")).unwrap();
    assert!(line.trim_start().starts_with("5 A ") && line.contains("  Carla  "), "{line}");
    let last = does(imap("implicit", &["list", "Work", "--last", "2"]));
    assert_eq!(last.lines().count(), 3, "{last}");

    // Criteria, each with the UIDs that it finds.
    for (criteria, uids) in [
        (&["--subject", "dots"][..], "5\n"),
        (&["--text", "needle", "--from", "carla"], "1\n"),
        (&["--flagged"], "3\n"),
        (&["--larger", "100KiB"], "6\n"),
        (&["--subject", "Grüße"], "11\n"),
        (&["--raw", "OR SUBJECT \"eight bits\" UID 7"], "2,7\n"),
        (&["--subject", "nothing at all"], ""),
        (&["--since", "2026-01-01", "--seen"], "2,5\n"),
        (&["--before", "2000-01-01"], ""),
    ] {
        let arguments = [&["search", "Work", "--uids"][..], criteria].concat();
        assert_eq!(does(imap("implicit", &arguments)), uids, "{criteria:?}");
    }
    let found = does(imap("implicit", &["search", "Work", "--subject", "dots"]));
    assert_eq!(found, format!("{line}\n"));
    fails(imap("implicit", &["search", "Work", "--raw", "OR FROM"]));
    let none = fails(imap("implicit", &["list", "None"]));
    assert!(none.stderr.contains("the server says "), "{}", none.stderr);

    // One as it is, and all with their flags.
    assert!(does(imap("implicit", &["fetch", "Work", "6"])).into_bytes() == samples[5].octets);
    fails(imap("implicit", &["fetch", "Work", "99"]));
    fails(imap("implicit", &["fetch", "Work", "1:2"]));
    let maildir = folder.path("mail");
    let mut fetch = imap("implicit", &["fetch", "Work", "2:*", "--to"]);
    fetch.arg(&maildir);
    assert_eq!(does(fetch), "10 messages\n");
    let mut fetched: Vec<_> =
        mailboxes(&maildir)[""].iter().map(|mail| (mail.octets.clone(), mail.flags.clone())).collect();
    let mut there: Vec<_> = typed.messages("Work")[1..]
        .iter()
        .map(|message| (super::super::maildir::with_crlf(&message.octets), letters(&message.flags)))
        .collect();
    fetched.sort();
    there.sort();
    assert!(fetched == there, "other messages or flags");

    assert_eq!(
        does(imap(
            "implicit",
            &["flag", "Work", "1,3,99", "--add", "seen", "--add", "urgent", "--remove", "flagged"]
        )),
        "2 messages changed\n"
    );
    fails(imap("implicit", &["flag", "Work", "99", "--add", "seen"]));
    assert_eq!(does(imap("implicit", &["move", "Work", "4:9", "Old one"])), "6 messages moved to Old one\n");
    fails(imap("implicit", &["move", "Work", "4:9", "Old one"]));
    let refused = fails(imap("implicit", &["move", "Work", "1", "Nowhere"]));
    assert!(refused.stderr.contains("the server says "), "{}", refused.stderr);
    let view = typed.view();
    assert_eq!(
        short(&view)["Work"].len() + short(&view)["Old one"].len(),
        samples.len() + 1,
        "none is lost, and none is there twice"
    );
    let mut work = short(&view);
    work.retain(|name, _| name == "Work");
    for rows in work.values_mut() {
        rows.truncate(4);
    }
    assert_eq!(
        work,
        table(&[(
            "Work",
            &[
                ("plain", &["\\Seen", "urgent"]),
                ("eight bits", &["\\Seen"]),
                ("attachment", &["\\Seen", "urgent"]),
                ("alternative", &[]),
            ]
        )])
    );

    let more = if without.contains(&"IDLE") { &["watch", "--every", "1"][..] } else { &["watch"] };
    watches(imap("implicit", more), &server);
}

/// Each message is told once, while the program runs, and SIGINT is a good end.
#[track_caller]
fn watches(mut command: Command, server: &Server) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (sender, lines) = mpsc::channel();
    for pipe in [Box::new(stdout) as Box<dyn std::io::Read + Send>, Box::new(stderr)] {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
    }
    drop(sender);
    let next = || lines.recv_timeout(DEADLINE).expect("a line in time");
    assert_eq!(next(), "watching INBOX, 0 messages there now; Ctrl-C ends it");
    for number in 1..=3 {
        server.deliver(
            DELIVERED.replace("Subject: delivered", &format!("Subject: number {number}")).as_bytes(),
        );
        let line = next();
        assert!(line.ends_with(&format!("  number {number}")) && line.contains("  Carla  "), "{line}");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(lines.recv().ok(), None, "more was said");
}

#[test]
fn our_client_reads_at_dovecot() {
    works_with(Kind::Dovecot, &[], "our_client_reads_at_dovecot");
}

#[test]
fn our_client_reads_at_us() {
    works_with(Kind::Ours, &[], "our_client_reads_at_us");
}

/// What a server of the old kind cannot do, the client does in other ways.
#[test]
fn our_client_reads_at_a_server_that_can_do_little() {
    let least = [
        "IMAP4rev2",
        "IDLE",
        "MOVE",
        "ESEARCH",
        "LIST-STATUS",
        "LIST-EXTENDED",
        "SPECIAL-USE",
        "SASL-IR",
        "LITERAL+",
        "LITERAL-",
    ];
    works_with(Kind::Ours, &least, "our_client_reads_at_a_server_that_can_do_little");
}
