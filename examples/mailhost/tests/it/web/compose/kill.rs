//! SIGKILL while a message is being sent, at one call of the host after the other: it is sent as a whole or not at all, and who
//! presses the button once more sends it once.

use std::fs;

use super::raw::{Form, connect, head, push};
use super::{Answer, Writer, curl_is_missing, hidden, plain, saved, sent, two};
use crate::imap::Imap;
use crate::support::{Host, PASSWORD, Site, skip};
use crate::torture::faults::Injection;

/// Where a message is, by how often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Seen {
    drafts: usize,
    sent: usize,
    inbox: usize,
    queued: usize,
}

/// Nothing was done.
const BEFORE: Seen = Seen { drafts: 1, sent: 0, inbox: 0, queued: 0 };
/// All was done.
const AFTER: Seen = Seen { drafts: 0, sent: 1, inbox: 1, queued: 1 };

impl Seen {
    #[track_caller]
    fn of(site: &Site, host: &Host, name: &str) -> Self {
        let found = |user: &str, mailbox: &str| {
            let mut imap = Imap::connect(host);
            imap.ok(format!("LOGIN {user}@a.test {PASSWORD:?}"));
            if !imap.ok(format!("LIST \"\" {mailbox}")).lines().iter().any(|line| line.starts_with("LIST")) {
                return 0;
            }
            imap.ok(format!("EXAMINE {mailbox}"));
            let lines = imap.ok(format!("SEARCH SUBJECT {name}")).lines();
            let found = lines.iter().find_map(|line| line.strip_prefix("SEARCH")).expect("an answer");
            found.split_ascii_whitespace().count()
        };
        Self {
            drafts: found("anna", "Drafts"),
            sent: found("anna", "Sent"),
            inbox: found("otto", "INBOX"),
            queued: site.does("queue list").matches(&format!("{name}@down.test")).count(),
        }
    }
}

/// Whether it has not been killed.
fn is_running(host: &Host) -> bool {
    let stat =
        fs::read_to_string(format!("/proc/{}/stat", host.process().as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// What the other end of a lost connection does: presses the button again, signs in, and presses it until it has worked.
#[track_caller]
fn press_again(site: &Site, host: &Host, page: &Answer) -> Answer {
    let jar = site.folder().path("cookies-again").display().to_string();
    let _ = fs::remove_file(&jar);
    let anna = Writer { site, host, jar };
    let out = anna.fill(page, &[], &[], "send");
    assert_eq!(out.status, 401, "{}", plain(&out.body));
    anna.sign_in("anna@a.test");
    let back = anna.fill(&out, &[], &[], "send");
    assert_eq!(back.status, 403, "{}", plain(&back.body));
    anna.fill(&back, &[], &[], "send")
}

#[test]
fn a_message_is_sent_once_or_not_at_all_wherever_the_host_is_killed() {
    let name = "a_message_is_sent_once_or_not_at_all_wherever_the_host_is_killed";
    if curl_is_missing(name) {
        return;
    }
    let (near, _) = two();
    let file = near.folder().path("file.bin");
    fs::write(&file, vec![b'x'; 100_000]).unwrap();
    let file = file.display().to_string();
    let mut host = near.start_untraced();
    let (mut killed, mut whole, mut nothing, mut told) = (0, 0, 0, 0);
    let kinds = [(DISK, false), (DISK, true), (WIRE, false)];
    for (number, (calls, with_file)) in kinds.into_iter().enumerate() {
        for call in 1..MOST {
            let name = format!("round-{number}-{call}");
            let anna = Writer::new(&near, &host, "anna@a.test");
            let to = format!("otto@a.test, {name}@down.test");
            let fields = [("to", &*to), ("subject", &*name), ("text", "words")];
            let files = if with_file { &[&*file][..] } else { &[] };
            let page = anna.get(&saved(&anna.fill(&anna.get("/compose"), &fields, files, "save")));
            assert_eq!(hidden(&page.body, "attached"), files.len().to_string());
            let octets = Form::of(&anna, &page.body, &[], None, "send").octets();
            let mut stream = connect(&anna);
            let what = format!("{calls}:signal=SIGKILL:when={call}");
            let injection = match Injection::attach(&host, &what, &near.folder().path("strace")) {
                Ok(injection) => injection,
                Err(why) => {
                    return skip("a_message_is_sent_once_or_not_at_all_wherever_the_host_is_killed", &why);
                }
            };
            push(&mut stream, &octets);
            let answer = head(&mut stream);
            let success = answer.starts_with("HTTP/1.1 303 ") && answer.contains("/outcome?sent=now\r\n");
            // One that waits for threads of a process that it has killed may wait for ever.
            drop(injection);
            let survived = success && is_running(&host);
            host.kill();
            host = near.start_untraced();
            let seen = Seen::of(&near, &host, &name);
            assert!(
                seen == AFTER || seen == BEFORE && !success,
                "{what}: {seen:?}, and the browser was told {answer:?}"
            );
            let again = press_again(&near, &host, &page);
            if seen == AFTER {
                assert!(again.head.contains("/outcome?sent=again\r\n"), "{what}: {}", again.head);
            } else {
                sent(&again);
            }
            assert_eq!(Seen::of(&near, &host, &name), AFTER, "{what}, once more");
            if survived {
                // So many calls it does not take.
                break;
            }
            killed += 1;
            told += usize::from(success);
            whole += usize::from(seen == AFTER);
            nothing += usize::from(seen == BEFORE);
        }
    }
    println!(
        "{killed} kills: {whole} sent, {told} of them with a browser that was told so; {nothing} not sent; none twice, none \
         in part, after another press none missing"
    );
    // That some fall behind the commit is left to chance; the simulator sees to it.
    assert!(killed > 10 && nothing > 0, "{killed} kills, {nothing} before the commit");
}

/// Calls of the thread that writes.
const DISK: &str = "pwrite64,pwritev,fdatasync,fsync,openat,fallocate,ftruncate,unlink,unlinkat";
/// Calls of those that talk, and wake one another.
const WIRE: &str = "write,writev,sendto,sendmsg,recvfrom,read,futex";
/// More calls than there are on the way.
const MOST: usize = 60;
