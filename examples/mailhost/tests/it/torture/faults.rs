//! A disk that fails and a disk that is full, under the real program: no 250 for what is not there after a restart, and
//! service goes on when the disk does.
//!
//! strace lets calls of the running host fail from outside. What is counted are calls since it has looked on, so each
//! position is one in the midst of the work.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mailhost::listener::Service;
use rustix::process::{Pid, Signal, kill_process};

use super::kill::{Fate, Id, Ledger, send};
use crate::support::{Host, Lines, Site, Wire, skip};

/// Makes calls of a host fail, as long as it lives.
pub(crate) struct Injection {
    strace: Child,
    said: Lines,
}

impl Injection {
    /// Attaches to a host; `None`, and why, if that cannot be done here.
    pub(crate) fn attach(host: &Host, what: &str, log: &Path) -> Result<Self, String> {
        let calls = what.split(':').next().unwrap_or_default();
        let mut strace = Command::new("strace")
            .args(["-f", "-e", &format!("trace={calls}"), "-e", &format!("inject={what}"), "-o"])
            .arg(log)
            .args(["-p", &host.process().as_raw_nonzero().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|_| "strace is not installed".to_owned())?;
        let said = Lines::of(strace.stderr.take().expect("a pipe"));
        match said.wait_until(|_| true) {
            Ok(line) if line.contains(" attached") => Ok(Self { strace, said }),
            first => {
                let _ = strace.kill();
                let _ = strace.wait();
                Err(match first {
                    Ok(line) => format!("strace cannot attach: {line}"),
                    Err(_) => "strace says nothing".to_owned(),
                })
            }
        }
    }

    /// Lets go of the host, which then runs as before.
    pub(crate) fn detach(mut self) {
        kill_process(Pid::from_child(&self.strace), Signal::INT).unwrap();
        self.said.wait_for_the_end();
        self.strace.wait().unwrap();
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        // After a panic; otherwise it has ended.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// Sends some messages, over a new connection where one is lost. Gives how many were not taken although they are good.
fn load(ledger: &mut Ledger, host: &Host, round: usize, count: usize) -> usize {
    let mut failed = 0;
    let mut wire = None;
    for number in 0..count {
        let id = Id { round, sender: 0, number };
        let open = wire.get_or_insert_with(|| {
            let mut wire = Wire::connect(host.address(Service::Smtp));
            wire.expect("220");
            wire.say("HELO client.test", "250");
            wire
        });
        let fate = send(open, id);
        if matches!(fate, Fate::InDoubt | Fate::Unfinished) {
            wire = None;
        }
        failed += usize::from(fate != Fate::Accepted && !id.is_bad());
        ledger.fates.insert(id, fate);
    }
    failed
}

/// The n-th position: which calls fail, how, and whether only one of them.
fn position(number: usize) -> String {
    let which = number / KINDS.len() + 1;
    KINDS[number % KINDS.len()].replace("{}", &which.to_string())
}

fn positions() -> usize {
    env::var("POSTRIDER_POSITIONS").map_or(POSITIONS, |count| count.parse().expect("a number of positions"))
}

// Ledger: 5321-4.1.1.4-6
#[test]
fn a_failing_disk_gives_no_wrong_250() {
    let name = "a_failing_disk_gives_no_wrong_250";
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    let mut ledger = Ledger::default();
    let (mut hit, mut refused) = (0, 0);
    for number in 0..positions() {
        let what = position(number);
        // More syncs and writes than the position.
        let messages = MESSAGES + number / KINDS.len();
        let host = site.start_untraced();
        ledger.check(&host, false);
        let log = site.folder().path("strace");
        let injection = match Injection::attach(&host, &what, &log) {
            Ok(injection) => injection,
            Err(why) => return skip(name, &why),
        };
        let failed = load(&mut ledger, &host, 2 * number, messages);
        injection.detach();
        let injected = fs::read_to_string(&log).unwrap().matches("(INJECTED)").count();
        hit += usize::from(injected > 0);
        refused += failed;
        let round = 2 * number;
        let taken =
            ledger.fates.iter().filter(|(id, fate)| id.round == round && **fate == Fate::Accepted).count();
        if what.starts_with("fdatasync") && injected > 0 {
            assert!(failed > 0, "{what}: a sync has failed, and every message was taken");
            // Each message has a sync of its own, and from this one on they all fail.
            let most = what.strip_suffix('+').map_or(messages, |_| number / KINDS.len());
            assert!(taken <= most, "{what}: {taken} messages were taken");
        }
        // The disk is well again: what fails now is at most what was under way.
        let failed = load(&mut ledger, &host, 2 * number + 1, AFTER);
        assert!(failed < AFTER / 2, "{what}: {failed} of {AFTER} messages were not taken after the fault");
        // Nothing that the page cache still holds is lost, but nothing is written in order either.
        host.kill();
    }
    let host = site.start();
    ledger.check(&host, true);
    println!(
        "{} positions, {hit} of them hit; {refused} messages not taken under the fault; {} acknowledged, {} refused, \
         {} in doubt; none acknowledged and missing, none refused and there",
        positions(),
        ledger.count(Fate::Accepted),
        ledger.count(Fate::Refused),
        ledger.count(Fate::InDoubt),
    );
    assert!(hit * 5 >= positions() * 4, "most positions were behind the end of the work");
    assert!(refused > 0, "no fault was ever felt");
}

/// A file system of its own, of 24 MiB; unmounted when it is dropped.
struct Small<'p>(&'p Path);

impl<'p> Small<'p> {
    fn mount(folder: &'p Path) -> Result<Self, String> {
        fs::create_dir_all(folder).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs"])
            .arg(folder)
            .output()
            .map_err(|_| "mount is not installed".to_owned())?;
        let why =
            || format!("no tmpfs can be mounted: {}", String::from_utf8_lossy(&mount.stderr).trim_end());
        if mount.status.success() { Ok(Self(folder)) } else { Err(why()) }
    }

    /// Takes all that is left, but for so many octets.
    fn fill(&self, left: u64) {
        let chunk = vec![1; 64 << 10];
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length - left).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_for_now_and_takes_again_when_there_is_room() {
    let name = "a_full_disk_refuses_for_now_and_takes_again_when_there_is_room";
    // With a reserve the host sees it coming; without one a large message finds no room for its file.
    for (reserve, left) in [("0 %", 40 << 10), ("10 %", 0)] {
        let site =
            Site::new(&format!("[auth]\nallow_plaintext = true\n[limits]\ndisk_reserve = \"{reserve}\"\n"));
        let folder = site.data("");
        let small = match Small::mount(&folder) {
            Ok(small) => small,
            Err(why) => return skip(name, &why),
        };
        for account in ["anna", "ben"] {
            site.does(&format!("account add {account}@example.test --password-stdin"));
        }
        let host = site.start();
        let taken = Id { round: 0, sender: 0, number: 0 };
        let mut ledger = Ledger::default();
        assert_eq!(load(&mut ledger, &host, 0, 1), 0);
        assert_eq!(ledger.fates.get(&taken), Some(&Fate::Accepted));
        small.fill(left);
        let refused = refused(&mut ledger, &host, 1);
        assert!(refused > 0, "all was taken on a full disk");
        small.free();
        assert_eq!(load(&mut ledger, &host, 2, 6), 0, "there is room again");
        host.kill();
        let host = site.start();
        ledger.check(&host, true);
        println!(
            "reserve {reserve}: {refused} refused for now, {} acknowledged and there",
            ledger.count(Fate::Accepted)
        );
        host.stop();
        drop(small);
    }
}

/// Sends until some were refused, each in a session of its own; every refusal has to be one for now.
fn refused(ledger: &mut Ledger, host: &Host, round: usize) -> usize {
    let mut refused = 0;
    // What was reserved ahead takes the first ones.
    for number in 0..200 {
        let id = Id { round, sender: 0, number };
        if id.is_bad() {
            continue;
        }
        let mut wire = Wire::smtp(host.address(Service::Smtp));
        wire.send("MAIL FROM:<carla@far.test>\r\n");
        let reply = wire.reply();
        let fate = if reply.starts_with("250") {
            wire.say("RSET", "250");
            send(&mut wire, id)
        } else {
            assert!(reply.starts_with("452"), "{reply}");
            Fate::Unfinished
        };
        let full = matches!(fate, Fate::Refused | Fate::Unfinished);
        refused += usize::from(full);
        ledger.fates.insert(id, fate);
        if refused > 5 {
            break;
        }
    }
    refused
}

/// RFC 1939 §6: what could not be removed is still there, and the client is told.
#[test]
fn a_failing_disk_gives_no_wrong_end_to_a_pop3_session() {
    let name = "a_failing_disk_gives_no_wrong_end_to_a_pop3_session";
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna"]);
    let host = site.start_untraced();
    let pop3 = || Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    Wire::smtp(host.address(Service::Smtp)).deliver(&["anna@example.test"], "Subject: x\r\n\r\nx\r\n");
    let mut failing = pop3();
    failing.say("DELE 1", "+OK");
    let what = "fdatasync:error=EIO:when=1";
    let injection = match Injection::attach(&host, what, &site.folder().path("injected")) {
        Ok(injection) => injection,
        Err(why) => return skip(name, &why),
    };
    failing.say("QUIT", "-ERR [SYS/TEMP] some messages were not removed");
    failing.ended();
    injection.detach();
    let mut again = pop3();
    assert_eq!(again.unique_ids().len(), 1, "it is still there");
    again.say("DELE 1", "+OK");
    again.say("QUIT", "+OK goodbye");
    assert_eq!(pop3().unique_ids().len(), 0);
}

/// `strace -e inject=`, with the number of the call.
const KINDS: [&str; 6] = [
    "fdatasync:error=EIO:when={}",
    "pwrite64:error=ENOSPC:when={}",
    "fdatasync:error=EIO:when={}+",
    "pwrite64:error=EIO:when={}",
    "pwrite64:error=ENOSPC:when={}+",
    "fsync,fdatasync:error=EIO:when={}+2",
];
/// How many positions, unless `cargo xtask torture faults --positions` says it.
const POSITIONS: usize = 30;
/// Messages under the first faults.
const MESSAGES: usize = 10;
const AFTER: usize = 6;
