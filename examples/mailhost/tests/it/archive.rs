//! Import, export, backup and restore: mail comes in from files, goes out to files, and comes back from a copy.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use std::{env, thread};

use mailhost::listener::Service;

use crate::imap::Imap;
use crate::relay::{no_dns, queue, site as relay_site, submit};
use crate::support::{DEADLINE, Run, Site, Wire, is_installed, program, run, skip};

/// More of them with `MAILHOST_ARCHIVE_MESSAGES=200000`.
const MESSAGES: usize = 5_000;
/// What no process may need, however many there are.
const MEMORY: u64 = 256 << 20;
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python/archive.py");
const ACCOUNT: &str = "--account anna@example.test";

fn messages() -> usize {
    env::var("MAILHOST_ARCHIVE_MESSAGES").map_or(MESSAGES, |count| count.parse().expect("a number"))
}

/// Message `number`, its letters and its time. Every thousandth one is too large for the journal.
fn message(number: usize) -> (Vec<u8>, String, u64) {
    let mut random = number as u64 + 1;
    let mut text = format!("From: a{number}@far.test\nSubject: number {number}\n\n");
    let lines = if number % 1_000 == 999 { 3_000 } else { number % 80 };
    for _ in 0..lines {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = (random >> 33) as usize % 70;
        text.extend((0..length).map(|at| char::from(b'a' + ((random >> 40) as usize + at) as u8 % 26)));
        text.push('\n');
    }
    let letters = "DFPRSTab".chars().enumerate().filter(|(place, _)| number >> place & 1 == 1);
    (text.into(), letters.map(|(_, letter)| letter).collect(), 1_600_000_000 + number as u64 * 61)
}

/// A Maildir of so many messages in three mailboxes.
fn make(top: &Path, count: usize) {
    for number in 0..count {
        let folder = top.join(["", ".Work", ".Work.Done"][number % 3]);
        if number < 3 {
            for kind in ["cur", "new", "tmp"] {
                fs::create_dir_all(folder.join(kind)).unwrap();
            }
            fs::write(folder.join("dovecot-keywords"), "0 $Forwarded\n1 project\n").unwrap();
        }
        let (text, letters, seconds) = message(number);
        let file = folder.join(format!("cur/{seconds}.M{number}P1.host,S=1,W=1:2,{letters}"));
        fs::write(&file, text).unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(seconds);
        File::options()
            .append(true)
            .open(&file)
            .unwrap()
            .set_times(FileTimes::new().set_modified(at))
            .unwrap();
    }
}

/// All messages below a folder: octets with LF alone, with their folder, flags, and time.
fn found(top: &Path) -> BTreeMap<Vec<u8>, (String, String, u64)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(top).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let folders = if name == "cur" || name == "new" {
            vec![top.join(&name)]
        } else {
            vec![path.join("cur"), path.join("new")]
        };
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            let keywords =
                fs::read_to_string(folder.parent().unwrap().join("dovecot-keywords")).unwrap_or_default();
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let mut octets = fs::read(&path).unwrap();
                octets.retain(|octet| *octet != b'\r');
                let file = path.file_name().unwrap().to_str().unwrap();
                let letters = file.split_once(":2,").map_or("", |(_, letters)| letters);
                let word = |letter: char| match letter {
                    'A'..='Z' => letter.to_string(),
                    _ => {
                        let number = (letter as u8 - b'a').to_string();
                        let named = |line: &str| line.strip_prefix(&format!("{number} ")).map(str::to_owned);
                        keywords.lines().find_map(named).expect("a letter has a keyword")
                    }
                };
                let mut flags: Vec<String> = letters.chars().map(word).collect();
                // Both stand for the same.
                flags.iter_mut().filter(|flag| *flag == "P").for_each(|flag| *flag = "$Forwarded".to_owned());
                flags.sort();
                flags.dedup();
                let time = fs::metadata(&path).unwrap().modified().unwrap();
                let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
                let folder = if name == "cur" || name == "new" { String::new() } else { name.clone() };
                found.insert(octets, (folder, flags.join(" "), seconds));
            }
        }
    }
    found
}

/// The most memory that a process has had so far.
fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Runs a command that has to succeed, however long it takes; gives what it says, and the most memory that it has had.
#[track_caller]
fn watched(config: &Path, line: &str) -> (String, u64) {
    let mut command = program();
    command.args(line.split(' ')).arg("--config").arg(config);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = child.id();
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let (start, mut most) = (Instant::now(), 0);
    let output = loop {
        most = most.max(memory(process));
        match ended.recv_timeout(Duration::from_millis(20)) {
            Ok(output) => break output.unwrap(),
            Err(_) => assert!(start.elapsed() < 30 * DEADLINE, "{line} does not end"),
        }
    };
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{line}: {stdout}");
    println!("{line}: at most {} MiB; {stdout}", most >> 20);
    (stdout, most)
}

#[track_caller]
fn with(config: &Path, line: &str) -> Run {
    let mut command = program();
    command.args(line.split(' ')).arg("--config").arg(config);
    run(&mut command, "")
}

/// The same configuration with another data directory.
fn elsewhere(site: &Site, name: &str) -> PathBuf {
    let text = fs::read_to_string(site.config()).unwrap();
    let text = text.replace("data_dir = \"data\"", &format!("data_dir = \"{name}\""));
    site.folder().write(&format!("{name}.toml"), &text)
}

#[test]
fn a_large_maildir_comes_in_is_backed_up_while_mail_arrives_and_goes_out_again() {
    let site = Site::with_accounts("", &["anna"]);
    let count = messages();
    let maildir = site.folder().path("maildir");
    make(&maildir, count);
    let import = format!("import maildir {} {ACCOUNT}", maildir.display());
    let (said, most) = watched(site.config(), &import);
    assert!(said.starts_with(&format!("{count} messages (")), "{said}");
    assert!(most < MEMORY, "{most} octets of memory");

    // Once more, into the host that runs: nothing is there twice.
    let host = site.start();
    let (said, most) = watched(site.config(), &import);
    assert!(said.starts_with("0 messages (0 octets)"), "{said}");
    assert!(said.contains(&format!("{count} messages were there already")), "{said}");
    let hosts = memory(host.process().as_raw_nonzero().get().unsigned_abs());
    println!("the host: at most {} MiB", hosts >> 20);
    assert!(most.max(hosts) < MEMORY, "{most} and {hosts} octets of memory");

    let (stop, accepted) = (AtomicBool::new(false), AtomicU64::new(0));
    let (backup, address) = (site.folder().path("backup"), host.address(Service::Smtp));
    let (first, second) = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                let mut smtp = Wire::smtp(address);
                for _ in 0..50 {
                    let number = accepted.load(Ordering::Acquire);
                    smtp.deliver(
                        &["anna@example.test"],
                        format!("Subject: meanwhile {number}\r\n\r\ntext\r\n"),
                    );
                    accepted.fetch_add(1, Ordering::Release);
                }
                smtp.say("QUIT", "221");
            }
        });
        let line = format!("backup {}", backup.display());
        watched(site.config(), &line);
        let first = accepted.load(Ordering::Acquire);
        let (said, _) = watched(site.config(), &line);
        let second = accepted.load(Ordering::Acquire);
        stop.store(true, Ordering::Release);
        // What is sealed is there already.
        let kept = said.split(" copied in ").nth(1).and_then(|rest| rest.split(", ").nth(1)).unwrap();
        assert!(kept.ends_with(" there already") && !kept.starts_with("0 "), "{said}");
        (first, second)
    });
    println!("{first} and {second} messages came meanwhile");
    assert!(second > first && first > 0);
    host.stop();

    let restored = elsewhere(&site, "restored");
    let (said, _) = watched(&restored, &format!("restore {}", backup.display()));
    assert!(said.contains(" 0 damaged places\n"), "{said}");
    let (said, _) = watched(&restored, "verify");
    assert!(said.ends_with(" 0 damaged places\n"), "{said}");
    let out = site.folder().path("out");
    watched(&restored, &format!("export maildir {} {ACCOUNT}", out.display()));
    let (before, mut after) = (found(&maildir), found(&out));
    assert_eq!(before.len(), count);
    for (octets, about) in &before {
        let text = String::from_utf8_lossy(&octets[..octets.len().min(60)]);
        assert_eq!(after.remove(octets).as_ref(), Some(about), "{text}");
    }
    // Everything that was acknowledged before the second backup began, in the order in which it was.
    let mut meanwhile = 0;
    while after
        .keys()
        .any(|octets| octets.ends_with(format!("Subject: meanwhile {meanwhile}\n\ntext\n").as_bytes()))
    {
        meanwhile += 1;
    }
    println!("{meanwhile} of them are in the second backup");
    assert!(
        (first..=second + 1).contains(&meanwhile) && meanwhile == after.len() as u64,
        "{meanwhile} of {}",
        after.len()
    );
}

/// Starts a command, and kills it as soon as this is so; false if it ended before.
#[track_caller]
fn killed(config: &Path, line: &str, mut when: impl FnMut() -> bool) -> bool {
    let mut command = program();
    command.args(line.split(' ')).arg("--config").arg(config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (mut child, start) = (command.spawn().unwrap(), Instant::now());
    while !when() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < 30 * DEADLINE, "{line} does not come so far");
        thread::yield_now();
    }
    let _ = child.kill();
    child.wait().unwrap().code().is_none()
}

/// How many messages are in the inbox.
fn inbox(wire: &mut Wire) -> usize {
    wire.send("a STATUS INBOX (MESSAGES)\r\n");
    let said = wire.line();
    assert!(wire.line().starts_with("a OK"));
    let count = said.strip_prefix("* STATUS INBOX (MESSAGES ").and_then(|rest| rest.strip_suffix(')'));
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

fn signed_in(host: &crate::support::Host) -> Wire {
    let mut wire = Wire::connect(host.address(Service::Imap));
    wire.expect("* OK");
    wire.send(format!("a LOGIN anna@example.test \"{}\"\r\n", crate::support::PASSWORD));
    while !wire.line().starts_with("a OK") {}
    wire
}

#[test]
fn an_import_that_is_killed_or_whose_host_is_brings_nothing_twice_and_loses_nothing() {
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna"]);
    let (count, maildir) = (3_000, site.folder().path("maildir"));
    make(&maildir, count);
    let import = format!("import maildir {} {ACCOUNT}", maildir.display());
    let host = site.start();
    let mut wire = signed_in(&host);
    let before = inbox(&mut wire);
    assert!(killed(site.config(), &import, || inbox(&mut wire) > before + 100), "it was to be killed");
    // The host goes on, and takes what is left until it is killed itself.
    let before = inbox(&mut wire);
    let mut alive = Some(host);
    killed(site.config(), &import, || {
        let enough = alive.is_none() || inbox(&mut wire) > before + 100;
        if enough && let Some(host) = alive.take() {
            host.kill();
        }
        // The command ends by itself.
        false
    });
    let host = site.start();
    let before = inbox(&mut signed_in(&host));
    assert!((200..count / 3).contains(&before), "{before} of {}", count / 3);
    let said = site.does(&import);
    let number = |text: &str| text.split(' ').next().and_then(|number| number.parse::<usize>().ok());
    let there = said.lines().find(|line| line.contains(" were there already"));
    let there = there.and_then(|line| line.rsplit(", ").next().and_then(number).or_else(|| number(line)));
    let (new, there) = (number(&said).expect(&said), there.expect(&said));
    assert!(new > 0 && new + there == count, "{said}");
    assert!(site.does(&import).starts_with("0 messages (0 octets)"));
    let out = site.folder().path("out");
    let said = site.does(&format!("export maildir {} {ACCOUNT}", out.display()));
    assert!(said.starts_with(&format!("{count} messages (")), "nothing is there twice: {said}");
    assert!(found(&out) == found(&maildir), "something is missing");
    host.stop();
}

#[test]
fn a_backup_that_is_killed_is_none_or_the_one_before_and_is_made_whole_by_the_next() {
    let site = Site::with_accounts("", &["anna"]);
    let (count, maildir, backup) = (3_000, site.folder().path("maildir"), site.folder().path("backup"));
    make(&maildir, count);
    site.does(&format!("import maildir {} {ACCOUNT}", maildir.display()));
    let line = format!("backup {}", backup.display());
    let octets = || -> u64 {
        let files = |folder: &str| fs::read_dir(backup.join(folder)).into_iter().flatten().flatten();
        let length = |entry: fs::DirEntry| entry.metadata().map_or(0, |about| about.len());
        ["journal", "bodies", "snapshots"].into_iter().flat_map(files).map(length).sum()
    };
    let restored = |name: &str| {
        let config = elsewhere(&site, name);
        let said = with(&config, &format!("restore {}", backup.display()));
        assert_eq!((said.status, &*said.stderr), (Some(0), ""));
        assert!(said.stdout.contains(" 0 damaged places\n"), "{}", said.stdout);
        let out = site.folder().path(&format!("{name}-out"));
        assert_eq!(with(&config, &format!("export maildir {} {ACCOUNT}", out.display())).status, Some(0));
        found(&out)
    };
    assert!(killed(site.config(), &line, || octets() > 0), "it was to be killed");
    let none = format!("{} holds no backup: there is no backup.json in it", backup.display());
    let config = elsewhere(&site, "nothing");
    with(&config, &format!("restore {}", backup.display())).failed(&none);
    site.does(&line);
    assert!(restored("first") == found(&maildir), "what the first one held");

    // More mail, and the next one is killed with some of it copied: the first one is as good as it was.
    let (more, before) = (site.folder().path("more"), octets());
    fs::create_dir_all(more.join("cur")).unwrap();
    for number in 0..200 {
        let text = format!("Subject: more {number}\n\n{}\n", "x".repeat(69).repeat(1_000));
        fs::write(more.join(format!("cur/{number}.more:2,S")), text).unwrap();
    }
    site.does(&format!("import maildir {} {ACCOUNT} --mailbox More", more.display()));
    assert!(killed(site.config(), &line, || octets() > before), "it was to be killed");
    assert!(restored("again") == found(&maildir), "what the first one held");
    site.does(&line);
    assert_eq!(restored("second").len(), count + 200);
}

#[test]
fn pythons_mailbox_reads_what_we_write_and_writes_what_we_read() {
    let name = "pythons_mailbox_reads_what_we_write_and_writes_what_we_read";
    if !is_installed("python3", "--version") {
        return skip(name, "python3 is not installed");
    }
    let python = |what: &str, path: &Path| {
        let result = run(Command::new("python3").args(["-B", PYTHON, what]).arg(path), "");
        assert_eq!((result.status, &*result.stderr), (Some(0), ""));
        result.stdout
    };
    let site = Site::with_accounts("", &["anna", "ben"]);
    let path = |name: &str| site.folder().path(name);
    let made = python("make_maildir", &path("maildir"));
    site.does(&format!("import maildir {} {ACCOUNT}", path("maildir").display()));
    site.does(&format!("export maildir {} {ACCOUNT}", path("out").display()));
    assert_eq!(python("read_maildir", &path("out")), made);
    let made = python("make_mbox", &path("mbox"));
    let ben = "--account ben@example.test --mailbox INBOX";
    site.does(&format!("import mbox {} {ben}", path("mbox").display()));
    for (name, options) in [("out.mbox", "--status"), ("lf.mbox", "--status --lf")] {
        site.does(&format!("export mbox {} {ben} {options}", path(name).display()));
        assert_eq!(python("read_mbox", &path(name)), made, "{name}");
    }
    // What has gone out comes in as what is there.
    for name in ["out.mbox", "lf.mbox"] {
        let said = site.does(&format!("import mbox {} {ben}", path(name).display()));
        assert!(said.starts_with("0 messages (0 octets)"), "{said}");
    }
    let octets = fs::read(path("lf.mbox")).unwrap();
    assert!(!octets.contains(&b'\r'), "CR in a file that was to have none");
}

#[test]
fn what_cannot_be_taken_is_told() {
    let site = Site::with_accounts("", &["anna"]);
    let maildir = site.folder().path("maildir");
    make(&maildir, 30);
    let import = format!("import maildir {} {ACCOUNT}", maildir.display());
    let nobody = site.command(&format!("import maildir {} --account nobody@example.test", maildir.display()));
    nobody.failed_with("there is no account nobody@example.test; `mailhost account list` shows all");
    assert_eq!(nobody.stdout, "", "nothing is counted where nothing was taken");
    let nothing = site.folder().path("data");
    site.command(&format!("import maildir {} {ACCOUNT}", nothing.display())).failed_with(" is no Maildir: ");
    site.command(&format!("import mbox {} {ACCOUNT}", site.config().display())).failed_with(" is no mbox: ");

    // A quota ends an import; what is there stays, and is not taken twice.
    site.does("account quota anna@example.test --messages 10");
    let result = site.command(&import);
    assert_eq!(result.status, Some(1));
    assert!(result.stdout.starts_with("10 messages ("), "{}", result.stdout);
    assert!(result.stderr.contains("the account has as much as it may have"), "{}", result.stderr);
    site.does("account quota anna@example.test");
    let said = site.does(&import);
    assert!(said.starts_with("20 messages (") && said.contains("10 messages were there already"), "{said}");
    let again = site.does(&format!("{import} --again"));
    assert!(again.starts_with("30 messages ("), "{again}");

    // What is odd is named, what cannot be read is left out.
    let odd = site.folder().path("odd");
    fs::create_dir_all(odd.join("cur")).unwrap();
    fs::write(odd.join("cur/1.odd:2,S"), "Subject: odd\n\na\0b\rc\n").unwrap();
    fs::write(odd.join("cur/2.empty:2,S"), "").unwrap();
    let result = site.command(&format!("import maildir {} {ACCOUNT} --mailbox Odd/One", odd.display()));
    assert_eq!((result.status, &*result.stderr), (Some(1), ""));
    for what in
        ["1 message (", "1.odd:2,S: 1 NUL", "1.odd:2,S: 1 CR", "2.empty:2,S: empty", "LEFT OUT: 1 message\n"]
    {
        assert!(result.stdout.contains(what), "{what}: {}", result.stdout);
    }
    let out = site.folder().path("out");
    let export = format!("export mbox {} {ACCOUNT} --mailbox Odd/One", out.display());
    site.does(&export);
    assert!(fs::read(&out).unwrap().ends_with(b"Subject: odd\r\n\r\na\x80b\r\nc\r\n\n"));
    site.command(&export).failed_with(" is there already; name one that is not");
    site.command(&format!("export maildir {} {ACCOUNT}", odd.display())).failed_with(" is not empty; ");
    site.command(&format!("export maildir {} {ACCOUNT} --mailbox None", odd.display()))
        .failed_with("the account has no mailbox \"None\"");

    // To go on adds what is missing, and nothing else.
    let out = site.folder().path("again");
    let export = format!("export maildir {} {ACCOUNT}", out.display());
    site.does(&export);
    let gone = fs::read_dir(out.join("cur")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&gone).unwrap();
    let said = site.does(&format!("{export} --continue"));
    assert!(said.starts_with("1 message (") && said.contains("60 messages were there already"), "{said}");
    assert!(gone.exists());
}

// The folder that was named was the one above: INBOX came in, and all the folders beside it were left out unsaid.
#[test]
fn folders_of_a_maildir_below_the_one_that_was_named_are_taken() {
    let site = Site::with_accounts("", &["anna"]);
    make(&site.folder().path("users/anna"), 3);
    let said = site.does(&format!("import maildir {} {ACCOUNT}", site.folder().path("users").display()));
    assert!(said.starts_with("3 messages ("), "{said}");
    for mailbox in ["anna", "anna/Work", "anna/Work/Done"] {
        let out = site.folder().path(&mailbox.replace('/', "-"));
        let said = site.does(&format!("export mbox {} {ACCOUNT} --mailbox {mailbox}", out.display()));
        assert!(said.starts_with("1 message ("), "{mailbox}: {said}");
    }
}

#[test]
fn a_backup_goes_only_where_it_may_and_a_restore_too() {
    let site = Site::with_accounts("", &["anna"]);
    let path = |name: &str| site.folder().path(name).display().to_string();
    site.command(&format!("backup {}", path("data/mail/copy"))).failed_with(" lie one within the other; ");
    let maildir = site.folder().path("maildir");
    make(&maildir, 3);
    site.command(&format!("backup {}", path("maildir"))).failed_with(" holds something that is no backup (");
    site.command(&format!("backup {}", path(""))).failed_with(" lie one within the other; ");
    site.does(&format!("backup {}", path("backup")));
    site.command(&format!("restore {}", path("backup"))).failed_with("there is mail already, in ");
    site.command(&format!("restore {}", path("data"))).failed_with(" holds no backup: ");

    // Another store is not mixed up with this one.
    let other = Site::with_accounts("", &["anna"]);
    other.command(&format!("backup {}", path("backup"))).failed_with(" holds a backup of another store (");

    // Hard links are as good, and each run leaves nothing of the one before.
    for _ in 0..3 {
        site.does(&format!("backup {} --link", path("linked")));
    }
    let restored = elsewhere(&site, "restored");
    let said = with(&restored, &format!("restore {}", path("linked")));
    assert_eq!((said.status, &*said.stderr), (Some(0), ""), "{}", said.stdout);
    assert!(said.stdout.contains("1 account, 6 mailboxes, 0 messages"), "{}", said.stdout);

    // Damage is told, and the rest is there.
    let segment = fs::read_dir(site.folder().path("backup/journal")).unwrap().next().unwrap().unwrap().path();
    let mut octets = fs::read(&segment).unwrap();
    let last = octets.len() - 40;
    octets[last] ^= 1;
    fs::write(&segment, octets).unwrap();
    let damaged = elsewhere(&site, "damaged");
    let said = with(&damaged, &format!("restore {}", path("backup")));
    assert_eq!((said.status, &*said.stderr), (Some(1), ""), "{}", said.stdout);
    assert!(said.stdout.contains(" cannot be read; they held "), "{}", said.stdout);
}

#[test]
fn restored_mail_is_not_sent_twice_and_restored_mailboxes_are_read_anew() {
    let smtp = crate::relay::loopback();
    let site = relay_site("a", smtp, no_dns(), "", &["anna"]);
    let host = site.start();
    let text = "Subject: out\r\n\r\ntext\r\n";
    let id = submit(&host, "anna@a.test", "anna@a.test", &["ben@b.test", "cleo@c.test"], text);
    queue(&site, "queue list", |shown| shown.contains(&id));
    let backup = site.folder().path("backup");
    site.does(&format!("backup {}", backup.display()));
    let validity = |host: &crate::support::Host| {
        let mut imap = Imap::connect(host);
        imap.ok("LOGIN anna@a.test \"correct horse\"");
        let said = imap.ok("SELECT INBOX");
        let text =
            said.data.iter().map(|data| String::from_utf8_lossy(data).into_owned()).collect::<String>();
        let number = text.split("[UIDVALIDITY ").nth(1).and_then(|rest| rest.split(']').next());
        number.expect("a UIDVALIDITY").parse::<u32>().unwrap()
    };
    let before = validity(&host);
    host.kill();

    fs::rename(site.folder().path("data"), site.folder().path("lost")).unwrap();
    let said = site.does(&format!("restore {}", backup.display()));
    assert!(said.contains("mail for 2 recipients waited for other hosts, and is HELD"), "{said}");
    let shown = site.does("queue list");
    assert!(shown.contains(&id) && shown.matches("held").count() == 2, "{shown}");
    let host = site.start();
    assert!(validity(&host) > before, "mail programs would take new messages for old ones");
    host.kill();

    // As when a host moves: nothing has happened since.
    fs::remove_dir_all(site.folder().path("data")).unwrap();
    site.does(&format!("restore {} --queue send --same-uids", backup.display()));
    let shown = site.does("queue list");
    assert!(shown.contains(&id) && !shown.contains("held"), "{shown}");
    let host = site.start();
    assert_eq!(validity(&host), before);
    host.kill();

    fs::remove_dir_all(site.folder().path("data")).unwrap();
    let said = site.does(&format!("restore {} --queue drop", backup.display()));
    assert!(said.contains("mail for 2 recipients that waited for other hosts was dropped"), "{said}");
    assert_eq!(site.does("queue list"), "the queue is empty\n");
}

#[test]
fn what_root_has_done_belongs_to_the_host() {
    if !rustix::process::geteuid().is_root() {
        println!("only root can do something for somebody else");
        return;
    }
    const SOMEBODY: u32 = 65_534;
    let site = Site::with_accounts("", &["anna"]);
    let path = |name: &str| site.folder().path(name);
    let given = run(Command::new("chown").args(["-R", "65534:65534"]).arg(path("data")), "");
    assert_eq!(given.status, Some(0), "{}", given.stderr);
    // What only root can read.
    make(&path("maildir"), 30);
    fs::set_permissions(path("maildir"), fs::Permissions::from_mode(0o700)).unwrap();
    site.does(&format!("import maildir {} {ACCOUNT}", path("maildir").display()));
    site.does(&format!("backup {}", path("backup").display()));
    let restored = elsewhere(&site, "restored");
    fs::create_dir(path("restored")).unwrap();
    std::os::unix::fs::chown(path("restored"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let said = with(&restored, &format!("restore {}", path("backup").display()));
    assert_eq!((said.status, &*said.stderr), (Some(0), ""), "{}", said.stdout);
    for mail in [path("data/mail"), path("restored/mail")] {
        let others = run(Command::new("find").arg(&mail).args(["!", "-user", "65534"]), "");
        assert_eq!((&*others.stdout, others.status), ("", Some(0)), "{}", mail.display());
    }
    site.start().stop();
}
