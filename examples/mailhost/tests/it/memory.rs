//! A message passes through the host without ever being in its memory as a whole, and so do answers that nobody reads.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use mailhost::listener::Service;
use rustix::process::Pid;

use crate::imap::Imap;
use crate::support::{Host, PASSWORD, Site, Wire, program};

const MEBIBYTE: u64 = 1 << 20;
const SIZE: u64 = 100 * MEBIBYTE;
const BLOCK: usize = 64 << 10;

/// What the memory of the host may grow by.
const ROOM: u64 = 8 * MEBIBYTE;

/// A message without end, as it goes over the wire: the same block over and over, each with its number on top.
struct Wave {
    block: Vec<u8>,
    number: u64,
}

impl Wave {
    fn new() -> Self {
        let mut block = format!("block {:010}\r\n", 0).into_bytes();
        let mut random = 1u64;
        while block.len() < BLOCK - 80 {
            // Lines of all lengths up to 78, some of which begin with a dot that is doubled on the wire.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let length = (random >> 33) % 77;
            if random >> 60 == 0 {
                block.extend_from_slice(b"..");
            }
            block.extend((0..length).map(|at| b'a' + ((random >> 40) + at) as u8 % 26));
            block.extend_from_slice(b"\r\n");
        }
        let rest = BLOCK - 2 - block.len();
        block.extend(std::iter::repeat_n(b'z', rest));
        block.extend_from_slice(b"\r\n");
        Self { block, number: 0 }
    }

    fn next(&mut self) -> &[u8] {
        self.block[6..16].copy_from_slice(format!("{:010}", self.number).as_bytes());
        self.number += 1;
        &self.block
    }
}

/// Looks at the memory of a process.
pub(crate) struct Memory {
    status: String,
    /// When it was first looked at.
    before: u64,
    most: u64,
}

impl Memory {
    pub(crate) fn new(process: Pid) -> Self {
        let number = process.as_raw_nonzero();
        // "5" resets the peak that the kernel remembers.
        fs::write(format!("/proc/{number}/clear_refs"), "5").expect("one's own processes may be reset");
        let mut memory = Self { status: format!("/proc/{number}/status"), before: 0, most: 0 };
        memory.before = memory.read("VmRSS:");
        memory
    }

    fn look(&mut self) {
        self.most = self.most.max(self.read("VmRSS:"));
    }

    fn read(&self, key: &str) -> u64 {
        let status = fs::read_to_string(&self.status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    #[track_caller]
    pub(crate) fn has_not_grown(&mut self, what: &str) {
        self.look();
        let grown = self.read("VmHWM:").max(self.most) - self.before;
        println!("{what}: {} KiB before, at most {} KiB more", self.before >> 10, grown >> 10);
        assert!(grown < ROOM, "memory has grown by {grown} octets, {what}");
    }
}

fn send(host: &Host, blocks: u64, memory: &mut Memory) {
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.begin("carla@far.test", &["anna@example.test"]);
    smtp.send(TOP);
    let mut wave = Wave::new();
    for number in 0..blocks {
        smtp.send(wave.next());
        if number % 16 == 0 {
            memory.look();
        }
    }
    smtp.send(".\r\n");
    smtp.expect("250 2.0.0 accepted as ");
    smtp.say("QUIT", "221");
}

fn collect(pop3: &mut Wire, number: usize, blocks: u64, memory: &mut Memory) {
    pop3.say(&format!("RETR {number}"), "+OK");
    while pop3.line() != TOP.trim_end() {}
    let mut wave = Wave::new();
    for number in 0..blocks {
        assert!(pop3.exactly(BLOCK) == wave.next(), "other octets in block {number}");
        if number % 16 == 0 {
            memory.look();
        }
    }
    pop3.expect(".");
}

#[test]
fn a_hundred_mebibytes_pass_through_a_few() {
    let site = Site::with_accounts(
        "[auth]\nallow_plaintext = true\n[limits]\nmessage_size = \"200 MiB\"\n",
        &["anna"],
    );
    // Otherwise the C library keeps what a password hash took, and a message could hide in there.
    let mut command = program();
    command.env("MALLOC_MMAP_THRESHOLD_", "1048576");
    let host = site.start_under(command);
    let start = Instant::now();
    // What has to be there for any message at all, the login and its hashing included, does not count.
    let mut warm = Memory::new(host.process());
    send(&host, 2, &mut warm);
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    collect(&mut pop3, 1, 2, &mut warm);

    let mut memory = Memory::new(host.process());
    send(&host, SIZE / BLOCK as u64, &mut memory);
    memory.has_not_grown("100 MiB in");
    println!("{:.1} s", start.elapsed().as_secs_f64());
    pop3.say("QUIT", "+OK");
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    let mut memory = Memory::new(host.process());
    collect(&mut pop3, 2, SIZE / BLOCK as u64, &mut memory);
    memory.has_not_grown("100 MiB out");
    println!("{:.1} s", start.elapsed().as_secs_f64());
    pop3.say("QUIT", "+OK");

    let mut imap = Imap::anna(&host);
    imap.ok("SELECT INBOX");
    imap.ok("FETCH 1 (BODY.PEEK[] BODYSTRUCTURE)");
    append(&mut imap, 2, &mut warm);
    let mut memory = Memory::new(host.process());
    append(&mut imap, SIZE / BLOCK as u64, &mut memory);
    memory.has_not_grown("100 MiB in by APPEND");
    let mut memory = Memory::new(host.process());
    imap.send("a FETCH 4 BODY.PEEK[TEXT]\r\n");
    imap.line("* 4 FETCH (BODY[TEXT] {");
    let mut wave = Wave::new();
    for number in 0..SIZE / BLOCK as u64 {
        assert!(imap.exactly(BLOCK) == wave.next(), "other octets in block {number}");
        if number % 16 == 0 {
            memory.look();
        }
    }
    imap.line(")");
    imap.line("a OK");
    memory.has_not_grown("100 MiB out by FETCH");
    // What is not in slices from the start: it is gone through twice.
    let mut memory = Memory::new(host.process());
    imap.ok("FETCH 4 (BINARY.SIZE[1] BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    imap.ok("SEARCH BODY nothing");
    memory.has_not_grown("100 MiB searched");
    println!("{:.1} s", start.elapsed().as_secs_f64());
}

fn append(imap: &mut Imap, blocks: u64, memory: &mut Memory) {
    let head = format!("{TOP}\r\n");
    imap.send(format!("a APPEND INBOX {{{}+}}\r\n{head}", head.len() as u64 + blocks * BLOCK as u64));
    let mut wave = Wave::new();
    for number in 0..blocks {
        imap.send(wave.next());
        if number % 16 == 0 {
            memory.look();
        }
    }
    imap.send("\r\n");
    assert!(imap.until("a ").starts_with("OK"));
}

const TOP: &str = "Subject: large\r\n";

/// What is asked over and over; nothing of what is answered is read.
const FLOODS: [(Service, bool, &str); 10] = [
    (Service::Smtp, false, "NOOP\r\n"),
    (Service::Smtp, false, "RSET\r\n"),
    (Service::Submission, true, "VRFY ben\r\n"),
    (Service::Pop3, false, "CAPA\r\n"),
    (Service::Pop3, true, "UIDL\r\n"),
    (Service::Imap, false, "a CAPABILITY\r\n"),
    (Service::Imap, true, "a NOOP\r\n"),
    (Service::Imap, true, "a FETCH 1:* (FLAGS UID)\r\n"),
    (Service::Imap, true, "a UID SEARCH ALL\r\n"),
    (Service::Imap, true, "a LIST \"\" *\r\n"),
];

/// A client of this kind, before its first flood.
fn client(host: &Host, (service, login, _): (Service, bool, &str)) -> Wire {
    let mut wire = Wire::connect(host.address(service));
    match service {
        Service::Imap => {
            wire.expect("* OK");
            if login {
                wire.send(format!("a LOGIN anna@example.test \"{PASSWORD}\"\r\na SELECT INBOX\r\n"));
                while !wire.line().starts_with("a OK [READ-WRITE]") {}
            }
        }
        Service::Pop3 => {
            wire.expect("+OK");
            if login {
                wire.log_in_pop3("anna@example.test");
            }
        }
        _ => {
            wire.expect("220 ");
            wire.say("EHLO client.test", "250-");
            if login {
                wire.log_in_smtp("anna@example.test");
            }
        }
    }
    wire.patience(STUCK).unwrap();
    wire
}

/// How many of its commands a client gets rid of.
fn flood(mut wire: Wire, command: &str) -> usize {
    let block = command.repeat(1_000);
    (0..1_000).take_while(|_| wire.try_send(&block).is_ok()).count() * 1_000
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up_and_keep_nobody_waiting() {
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    let mut command = program();
    command.env("MALLOC_MMAP_THRESHOLD_", "1048576");
    let host = site.start_under(command);
    let mut imap = Imap::anna(&host);
    for number in 0..20 {
        imap.append("INBOX", format!("Subject: {number}\r\n\r\n"));
    }
    // What a login takes is there by now.
    let mut other = Imap::of(&host, "ben");
    other.ok("SELECT INBOX");
    let clients = FLOODS.map(|kind| (kind, client(&host, kind)));
    let mut memory = Memory::new(host.process());
    thread::scope(|scope| {
        let floods = clients.map(|(kind, wire)| (kind, scope.spawn(move || flood(wire, kind.2))));
        while !floods.iter().all(|(_, flood)| flood.is_finished()) {
            other.ok("NOOP");
            memory.look();
        }
        for ((service, _, command), flood) in floods {
            let sent = flood.join().unwrap();
            println!("{service:?} {}: {sent}", command.trim_end());
            assert!(sent < 1_000_000, "the host has read it all");
        }
    });
    memory.has_not_grown("ten clients that do not read");
    other.ok("NOOP");
}

/// After so long without progress nobody reads any more.
const STUCK: Duration = Duration::from_secs(3);
