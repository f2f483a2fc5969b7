//! SIGKILL under load, again and again on the same data directory: what was acknowledged is there, exactly once.
//!
//! A process that is killed loses what it holds in memory, not what it has written: that the octets are on stable
//! storage before the reply is seen in `strace.rs`.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use mailhost::listener::Service;

use crate::imap::Imap;
use crate::support::{DEADLINE, Host, PASSWORD, Site, Wire, stuffed};

/// How many rounds, unless `cargo xtask torture kill --rounds` says it.
const ROUNDS: usize = 25;
const SENDERS: usize = 4;
/// The number of the one who appends over IMAP.
const APPENDER: usize = SENDERS;
const ACCOUNTS: [&str; 2] = ["anna@example.test", "ben@example.test"];

/// What a sender knows of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// 250.
    Accepted,
    /// 4yz or 5yz.
    Refused,
    /// All of it was sent, and there was no answer: it is there, or it is not.
    InDoubt,
    /// Not even its end was sent.
    Unfinished,
}

/// One message: who sent it, in which round, as the how many-th.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Id {
    pub(crate) round: usize,
    pub(crate) sender: usize,
    pub(crate) number: usize,
}

/// Everything that was ever sent and seen.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) fates: BTreeMap<Id, Fate>,
    /// The unique ids of each mailbox in their order, with what is behind them.
    mailboxes: [Vec<(String, Id)>; ACCOUNTS.len()],
    /// UIDs of messages that were marked over IMAP, by account: with OK, or in doubt.
    marks: [BTreeMap<u32, Fate>; ACCOUNTS.len()],
}

/// What the one who appends knows at the end of a round.
#[derive(Default)]
struct Appended {
    fates: Vec<(Id, Fate)>,
    marks: Vec<(u32, Fate)>,
}

impl Id {
    /// Some go to both accounts, others to one of them.
    fn recipients(self) -> &'static [&'static str] {
        if self.sender == APPENDER {
            return &ACCOUNTS[self.account()..][..1];
        }
        match self.number % 3 {
            0 => &ACCOUNTS,
            which => &ACCOUNTS[which - 1..which],
        }
    }

    /// Where the one who appends is logged in.
    const fn account(self) -> usize {
        self.round % ACCOUNTS.len()
    }

    /// A bare LF: the host has to read it all and say no.
    pub(crate) const fn is_bad(self) -> bool {
        self.number % 16 == 9
    }

    /// Small ones go into the journal, large ones into files.
    fn message(self) -> Vec<u8> {
        let size = if self.number % 8 == 4 { 100 << 10 } else { 1 << 10 };
        let Self { round, sender, number } = self;
        let mut message = format!("Subject: message {round} {sender} {number}\r\n\r\n").into_bytes();
        while message.len() < size {
            let line = format!("{} of {round}/{sender}/{number}\r\n", message.len());
            message.extend_from_slice(line.as_bytes());
        }
        message
    }

    /// From the message as it was collected.
    fn of(collected: &[u8]) -> Self {
        let text = str::from_utf8(collected).expect("all messages are text");
        let line = text.lines().find_map(|line| line.strip_prefix("Subject: message ")).expect("its subject");
        let numbers: Vec<usize> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        Self { round: numbers[0], sender: numbers[1], number: numbers[2] }
    }
}

/// Sends until the host is gone.
fn keep_sending(
    address: SocketAddr,
    round: usize,
    sender: usize,
    acknowledged: &Sender<()>,
) -> Vec<(Id, Fate)> {
    let mut fates = Vec::new();
    let Ok(mut wire) = Wire::try_connect(address) else { return fates };
    if wire.try_line().is_err() || wire.try_send("HELO client.test\r\n").is_err() || wire.try_line().is_err()
    {
        return fates;
    }
    loop {
        let id = Id { round, sender, number: fates.len() };
        let fate = send(&mut wire, id);
        fates.push((id, fate));
        match fate {
            Fate::Accepted => {
                let _ = acknowledged.send(());
            }
            Fate::Refused => {}
            Fate::InDoubt | Fate::Unfinished => return fates,
        }
    }
}

pub(crate) fn send(wire: &mut Wire, id: Id) -> Fate {
    let mut group = "MAIL FROM:<carla@far.test>\r\n".to_owned();
    for recipient in id.recipients() {
        group.push_str(&format!("RCPT TO:<{recipient}>\r\n"));
    }
    group.push_str("DATA\r\n");
    if wire.try_send(group).is_err() {
        return Fate::Unfinished;
    }
    for _ in 0..id.recipients().len() + 2 {
        match wire.try_line() {
            Ok(line) if line.starts_with(b"250") || line.starts_with(b"354") => {}
            Ok(line) if line.len() > 3 => panic!("{}", String::from_utf8_lossy(&line)),
            _ => return Fate::Unfinished,
        }
    }
    let mut octets = if id.is_bad() { b"a line that ends in LF alone\n".to_vec() } else { Vec::new() };
    octets.extend(stuffed(&id.message()));
    if wire.try_send(octets).is_err() {
        return Fate::Unfinished;
    }
    match wire.try_line() {
        // Not even a whole line: that is no answer.
        Ok(line) if !line.ends_with(b"\r\n") => Fate::InDoubt,
        Ok(line) if line.starts_with(b"250 ") => Fate::Accepted,
        // With a good message nothing is wrong for ever.
        Ok(line) if line.starts_with(b"4") || line.starts_with(b"5") && id.is_bad() => Fate::Refused,
        Ok(line) => panic!("{}", String::from_utf8_lossy(&line)),
        Err(_) => Fate::InDoubt,
    }
}

/// Appends over IMAP, and marks what was taken, until the host is gone.
fn keep_appending(address: SocketAddr, round: usize) -> Appended {
    let mut appended = Appended::default();
    let Ok(mut wire) = Wire::try_connect(address) else { return appended };
    let login = ACCOUNTS[Id { round, sender: APPENDER, number: 0 }.account()];
    let start = format!("l LOGIN {login} {PASSWORD:?}\r\ns SELECT INBOX\r\n");
    if wire.try_send(start).is_err() || answer(&mut wire, "s ").is_none() {
        return appended;
    }
    loop {
        let id = Id { round, sender: APPENDER, number: appended.fates.len() };
        let mut message = if id.is_bad() { b"a line that ends in LF alone\n".to_vec() } else { Vec::new() };
        message.extend(id.message());
        let mut octets = format!("a APPEND INBOX {{{}+}}\r\n", message.len()).into_bytes();
        octets.extend(message);
        octets.extend(b"\r\n");
        if wire.try_send(octets).is_err() {
            appended.fates.push((id, Fate::Unfinished));
            return appended;
        }
        let uid = match answer(&mut wire, "a ") {
            None => {
                appended.fates.push((id, Fate::InDoubt));
                return appended;
            }
            Some(line) if line.starts_with("NO ") => {
                appended.fates.push((id, Fate::Refused));
                continue;
            }
            Some(line) => {
                appended.fates.push((id, Fate::Accepted));
                let code = line.strip_prefix("OK [APPENDUID ").and_then(|rest| rest.split_once(']'));
                let uid = code.and_then(|(code, _)| code.split_once(' ')?.1.parse::<u32>().ok());
                uid.unwrap_or_else(|| panic!("{line:?} names no UID"))
            }
        };
        if id.number.is_multiple_of(2) {
            continue;
        }
        let sent = wire.try_send(format!("m UID STORE {uid} +FLAGS (\\Answered)\r\n"));
        let fate = match answer(&mut wire, "m ") {
            Some(line) => {
                assert!(line.starts_with("OK "), "{line:?}");
                Fate::Accepted
            }
            None if sent.is_err() => Fate::Unfinished,
            None => Fate::InDoubt,
        };
        appended.marks.push((uid, fate));
        if fate != Fate::Accepted {
            return appended;
        }
    }
}

/// The answer with this tag, without it; `None` if there was none.
fn answer(wire: &mut Wire, tag: &str) -> Option<String> {
    loop {
        let line = String::from_utf8(wire.try_line().ok()?).expect("text");
        let line = line.strip_suffix("\r\n")?;
        if let Some(answer) = line.strip_prefix(tag) {
            return Some(answer.to_owned());
        }
    }
}

impl Ledger {
    /// Loads the host from all sides and kills it in the midst of that. Gives how many messages it had wholly, and
    /// had not answered.
    fn round(&mut self, round: usize, host: Host) -> usize {
        let address = host.address(Service::Smtp);
        let (acknowledged, first) = mpsc::channel();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let acknowledged = acknowledged.clone();
                thread::spawn(move || keep_sending(address, round, sender, &acknowledged))
            })
            .collect();
        let imap = host.address(Service::Imap);
        let appender = thread::spawn(move || keep_appending(imap, round));
        first.recv_timeout(DEADLINE).expect("a message is acknowledged");
        // This waits for no event: it is the moment of the blow.
        thread::sleep(delay(round));
        host.kill();
        let mut unanswered = 0;
        let appended = appender.join().unwrap();
        self.marks[Id { round, sender: APPENDER, number: 0 }.account()].extend(appended.marks);
        let sent = senders.into_iter().map(|sender| sender.join().unwrap());
        for fates in sent.chain([appended.fates]) {
            for (id, fate) in fates {
                assert_ne!(fate, if id.is_bad() { Fate::Accepted } else { Fate::Refused }, "{id:?}");
                unanswered += usize::from(fate == Fate::InDoubt);
                self.fates.insert(id, fate);
            }
        }
        unanswered
    }

    /// Compares what is there with what there has to be. Reads what was not read before, or else all of it.
    pub(crate) fn check(&mut self, host: &Host, all: bool) {
        for ((account, known), marks) in ACCOUNTS.iter().zip(&mut self.mailboxes).zip(&self.marks) {
            let mut pop3 = Wire::pop3(host.address(Service::Pop3), account);
            let unique_ids = pop3.unique_ids();
            let kept: Vec<&String> = known.iter().map(|(unique_id, _)| unique_id).collect();
            assert!(unique_ids.iter().take(kept.len()).eq(kept), "{account} has lost what was there before");
            if all {
                known.clear();
            }
            let name = account.split('@').next().unwrap_or_default();
            let mut read = read_back(&mut Imap::of(host, name), &unique_ids, known.len(), marks);
            for (index, unique_id) in unique_ids.into_iter().enumerate().skip(known.len()) {
                let collected = pop3.retrieve(index + 1);
                assert_eq!(read.remove(&unique_id).as_ref(), Some(&collected), "{unique_id}, over IMAP");
                let id = Id::of(&collected);
                assert!(collected.ends_with(&id.message()), "{id:?} has other octets");
                known.push((unique_id, id));
            }
            pop3.say("QUIT", "+OK");
        }
        let counts = self.mailboxes.each_ref().map(|mailbox| {
            let mut counts = BTreeMap::new();
            for (_, id) in mailbox {
                assert!(self.fates.contains_key(id), "nobody has sent {id:?}");
                *counts.entry(*id).or_default() += 1;
            }
            counts
        });
        for (id, fate) in &self.fates {
            let found = counts.each_ref().map(|counts| counts.get(id).copied().unwrap_or(0));
            let everywhere = ACCOUNTS.map(|account| usize::from(id.recipients().contains(&account)));
            let good = match fate {
                Fate::Accepted => found == everywhere,
                // All or nothing.
                Fate::InDoubt if !id.is_bad() => found == everywhere || found == [0; ACCOUNTS.len()],
                _ => found == [0; ACCOUNTS.len()],
            };
            assert!(good, "{id:?}, {fate:?}, for {:?}, is there {found:?} times", id.recipients());
        }
    }

    fn marked(&self) -> usize {
        let marks = self.marks.iter().flat_map(BTreeMap::values);
        marks.filter(|fate| **fate == Fate::Accepted).count()
    }

    pub(crate) fn count(&self, fate: Fate) -> usize {
        self.fates.values().filter(|other| **other == fate).count()
    }
}

/// Reads over IMAP what is behind the first ones, by their unique ids; all of them are there under these UIDs, and are
/// marked if they were marked with OK.
fn read_back(
    imap: &mut Imap,
    unique_ids: &[String],
    skip: usize,
    marks: &BTreeMap<u32, Fate>,
) -> BTreeMap<String, Vec<u8>> {
    let selected = imap.ok("SELECT INBOX").lines().join("\n");
    let (_, validity) = selected.split_once("[UIDVALIDITY ").expect("UIDVALIDITY");
    let validity = validity.split(']').next().unwrap_or_default();
    let mut found = Vec::new();
    for line in imap.ok("UID FETCH 1:* (FLAGS)").lines() {
        let (_, uid) = line.split_once("UID ").expect("a UID");
        let digits: String = uid.chars().take_while(char::is_ascii_digit).collect();
        let uid: u32 = digits.parse().expect("a number");
        let marked = line.contains("\\Answered");
        match marks.get(&uid) {
            Some(Fate::Accepted) => assert!(marked, "UID {uid} has lost its flag: {line}"),
            Some(_) => {}
            None => assert!(!marked, "UID {uid} has a flag that nobody has set: {line}"),
        }
        found.push(format!("{validity}.{uid}"));
    }
    assert_eq!(found, unique_ids, "over IMAP and over POP3");
    let rest = &found[skip..];
    rest.iter()
        .map(|unique_id| {
            let uid = unique_id.rsplit('.').next().unwrap_or_default();
            let said = imap.ok(format!("UID FETCH {uid} BODY.PEEK[]"));
            let data = said.data.first().expect("a message");
            let start = data.windows(3).position(|three| three == b"}\r\n").expect("a literal") + 3;
            (unique_id.clone(), data[start..data.len() - 1].to_vec())
        })
        .collect()
}

fn rounds() -> usize {
    env::var("POSTRIDER_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"))
}

/// When a round ends, after its first acknowledged message: 5 to 300 ms, no two neighbours alike.
fn delay(round: usize) -> Duration {
    Duration::from_millis(5 + round as u64 * 179 % 296)
}

// Ledger: 5321-2.1-1, 5321-6.1-1
#[test]
fn what_was_acknowledged_survives_a_kill_exactly_once() {
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    let mut ledger = Ledger::default();
    let (mut busy, rounds) = (0, rounds());
    for round in 0..rounds {
        let host = site.start();
        ledger.check(&host, false);
        busy += usize::from(ledger.round(round, host) > 0);
    }
    let host = site.start();
    ledger.check(&host, true);
    println!(
        "{} rounds, in {busy} of them work was unanswered at the kill; {} acknowledged, {} refused, {} in doubt, \
         {} unfinished; {} read back over POP3 and IMAP; {} marked",
        rounds,
        ledger.count(Fate::Accepted),
        ledger.count(Fate::Refused),
        ledger.count(Fate::InDoubt),
        ledger.count(Fate::Unfinished),
        ledger.mailboxes.iter().map(Vec::len).sum::<usize>(),
        ledger.marked(),
    );
    assert!(busy * 5 >= rounds * 4, "the kills hit an idle host");
}
