//! The order of sync and reply, seen from outside: strace watches the host while it takes a message.
//!
//! A line of strace stands for a moment at which the process was stopped, so a call whose return comes first in the
//! file had returned before the other one began.

use std::fs;
use std::process::{Command, Stdio};

use mailhost::listener::Service;

use crate::support::{Folder, Host, Site, Wire, executed, program, run, skip};

/// A call, with the numbers of the lines at which it began and returned.
#[derive(Debug)]
struct Call {
    name: String,
    /// Arguments and result, as far as they were written.
    text: String,
    began: usize,
    returned: usize,
}

/// Puts together what strace writes on two lines when another thread comes in between.
fn calls(trace: &str) -> Vec<Call> {
    let mut all: Vec<Call> = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let (thread, rest) = line.split_once(' ').expect("each line begins with a thread");
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let (name, result) = resumed.split_once(" resumed>").expect("how strace says it");
            let key = format!("{thread} {name}");
            let call = all.iter_mut().rev().find(|call| call.name == key && call.returned == usize::MAX);
            let call = call.expect("a call resumes that began");
            call.text.push_str(result);
            call.returned = number;
        } else if let Some((name, text)) = rest.split_once('(') {
            let unfinished = text.strip_suffix(" <unfinished ...>");
            all.push(Call {
                name: format!("{thread} {name}"),
                text: unfinished.unwrap_or(text).to_owned(),
                began: number,
                returned: if unfinished.is_some() { usize::MAX } else { number },
            });
        }
    }
    for call in &mut all {
        call.name = call.name.split_once(' ').expect("thread and name").1.to_owned();
    }
    all
}

/// The first call of one of these names with all of these texts in it that begins behind a line.
#[track_caller]
fn find<'c>(calls: &'c [Call], behind: usize, names: &[&str], texts: &[&str]) -> &'c Call {
    let mut found = calls.iter().filter(|call| {
        call.began > behind
            && names.contains(&&*call.name)
            && texts.iter().all(|text| call.text.contains(text))
    });
    found.next().unwrap_or_else(|| panic!("no {names:?} with {texts:?} behind line {behind}: {calls:#?}"))
}

/// Runs the host under strace; `None` if that cannot be done here.
fn start(site: &Site, name: &str) -> Option<Host> {
    let works = Command::new("strace")
        .args(["-f", "-e", "trace=fdatasync", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    match works {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            skip(name, &format!("strace cannot trace: {}", why.lines().next().unwrap_or_default()));
            return None;
        }
        Err(_) => {
            skip(name, "strace is not installed");
            return None;
        }
    }
    let mut command = Command::new("strace");
    // -y shows which file a descriptor stands for.
    command.args(["-f", "-y", "-s", "4096", "-e"]);
    command.arg(format!("trace={},{}", SYNCS.join(","), WRITES.join(",")));
    command.arg("-o").arg(site.folder().path("trace")).arg(program().get_program());
    Some(site.start_under(command))
}

/// Delivers a message under strace and gives the calls.
fn trace(name: &str, message: &str) -> Option<Vec<Call>> {
    let site = Site::with_accounts("", &["anna"]);
    let host = start(&site, name)?;
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["anna@example.test"], message);
    smtp.say("QUIT", "221");
    host.stop();
    Some(calls(&fs::read_to_string(site.folder().path("trace")).unwrap()))
}

/// Each host of these tests is looked at, when it ends, for programs that it has started: here it is seen that this is
/// done, and that a program would be seen.
#[test]
fn a_host_starts_no_program() {
    let name = "a_host_starts_no_program";
    let Some((mut command, file)) = executed::tracer() else { return skip(name, "strace cannot trace here") };
    let folder = Folder::new();
    let config = folder.config("data", "");
    let result = run(command.args(["check", "--config"]).arg(&config), "");
    assert_eq!(result.status, Some(0), "{result:?}");
    executed::check(&file);

    let (command, file) = executed::tracer().unwrap();
    let mut other = Command::new("strace");
    other.args(command.get_args().take(command.get_args().count() - 1)).args([
        "sh",
        "-c",
        "true; /bin/true; exit 0",
    ]);
    assert_eq!(run(&mut other, "").status, Some(0));
    assert_eq!(executed::started(&file).len(), 2);
    fs::remove_file(file).unwrap();
}

/// Where the reply to the message begins to go out.
#[track_caller]
fn reply(calls: &[Call]) -> &Call {
    find(calls, 0, WRITES, &["socket:", "\"250 2.0.0 accepted as "])
}

// Ledger: 5321-6.1-1, 5321-6.1-8
#[test]
fn a_message_is_accepted_behind_the_sync_of_the_journal() {
    let name = "a_message_is_accepted_behind_the_sync_of_the_journal";
    let Some(calls) = trace(name, "Subject: a small message\r\n\r\nwith a mark\r\n") else { return };
    let written = find(&calls, 0, WRITES, &["/mail/", "Subject: a small message"]);
    let file = file_of(written);
    let synced = find(&calls, written.returned, SYNCS, &[file, " = 0"]);
    let reply = reply(&calls);
    assert!(synced.returned < reply.began, "{synced:?}, {reply:?}");
    // Nothing else that takes time stands between the dot and the reply.
    let go_ahead = find(&calls, 0, WRITES, &["socket:", "\"354 "]);
    let between = |call: &&Call| call.began > go_ahead.began && call.began < reply.began;
    let syncs: Vec<_> = calls.iter().filter(between).filter(|call| SYNCS.contains(&&*call.name)).collect();
    assert_eq!(syncs.len(), 1, "{syncs:?}");
}

#[test]
fn the_end_of_a_pop3_session_is_confirmed_behind_the_sync_of_what_it_removes() {
    let name = "the_end_of_a_pop3_session_is_confirmed_behind_the_sync_of_what_it_removes";
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna"]);
    let Some(host) = start(&site, name) else { return };
    Wire::smtp(host.address(Service::Smtp)).deliver(&["anna@example.test"], "Subject: x\r\n\r\nx\r\n");
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    pop3.say("DELE 1", "+OK");
    pop3.say("QUIT", "+OK goodbye");
    host.stop();
    let calls = calls(&fs::read_to_string(site.folder().path("trace")).unwrap());
    let marked = find(&calls, 0, WRITES, &["socket:", "\"+OK\\r\\n\""]);
    let written = find(&calls, marked.began, WRITES, &["/mail/journal"]);
    let synced = find(&calls, written.returned, SYNCS, &[file_of(written), " = 0"]);
    let reply = find(&calls, 0, WRITES, &["socket:", "\"+OK goodbye"]);
    assert!(synced.returned < reply.began, "{synced:?}, {reply:?}");
}

#[test]
fn a_large_body_and_its_name_are_synced_before_the_journal() {
    let name = "a_large_body_and_its_name_are_synced_before_the_journal";
    let message = format!("Subject: a large message\r\n\r\n{}the end\r\n", "a line\r\n".repeat(50_000));
    let Some(calls) = trace(name, &message) else { return };
    let written = find(&calls, 0, WRITES, &["/mail/bodies/", "Subject: a large message"]);
    let file = file_of(written);
    // The first write of many: none of them may come behind the sync.
    let last = calls.iter().rfind(|call| WRITES.contains(&&*call.name) && call.text.contains(file)).unwrap();
    let body = find(&calls, last.returned, SYNCS, &[file, " = 0"]);
    let folder = find(&calls, 0, &["fsync"], &["/mail/bodies>", " = 0"]);
    let entry = find(&calls, body.returned, WRITES, &["/mail/journal"]);
    assert!(folder.returned < entry.began, "{folder:?}, {entry:?}");
    let synced = find(&calls, entry.returned, SYNCS, &[file_of(entry), " = 0"]);
    let reply = reply(&calls);
    assert!(synced.returned < reply.began, "{synced:?}, {reply:?}");
}

/// The path of the descriptor that a call works on, with its angle brackets.
#[track_caller]
fn file_of(call: &Call) -> &str {
    let start = call.text.find('<').expect("-y shows it");
    let end = call.text.find('>').expect("-y shows it");
    &call.text[start..=end]
}

const SYNCS: &[&str] = &["fdatasync", "fsync"];
const WRITES: &[&str] = &["write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg"];
