//! Messages of fifty mebibytes pass through a few.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use super::plain;
use crate::support::{DEADLINE, Folder, PASSWORD};

const LINE: &[u8] = b"0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ. 0123456789.\r\n";
const LINES: usize = (50 << 20) / LINE.len();
/// What the memory of the client may grow by, from its login to the last octet.
const ROOM: u64 = 8 << 20;

/// The most memory that a process has had.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// Runs a client with a server that is given the connection, and a function that looks at the client's memory.
#[track_caller]
fn watched(
    command: impl FnOnce(u16) -> Command,
    serve: impl FnOnce(&mut BufReader<TcpStream>, &mut TcpStream, &dyn Fn() -> u64) + Send + 'static,
) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = command(listener.local_addr().unwrap().port());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let process = child.id();
    writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    let (sender, served) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        serve(&mut reader, &mut stream, &|| peak(process));
        let _ = sender.send(());
    });
    served.recv_timeout(DEADLINE).expect("a session in time");
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success(), "{stderr}");
}

#[track_caller]
fn grown(before: u64, after: u64, what: &str) {
    println!("{what}: {} KiB before, {} KiB more", before >> 10, (after - before) >> 10);
    assert!(after - before < ROOM, "memory has grown by {} octets, {what}", after - before);
}

fn put_lines(to: &mut TcpStream) {
    let mut to = BufWriter::with_capacity(1 << 16, to);
    for _ in 0..LINES {
        to.write_all(LINE).unwrap();
    }
    to.flush().unwrap();
}

#[track_caller]
fn is_whole(file: &Path, head: usize, line: usize) {
    assert_eq!(fs::metadata(file).unwrap().len(), (head + LINES * line) as u64);
}

#[test]
fn fifty_mebibytes_are_collected_through_a_few() {
    let folder = Folder::new();
    let maildir = folder.path("mail");
    let command = |port| {
        let mut command = plain("pop3", port, &["fetch", "--delete", "--to"]);
        command.arg(&maildir);
        command
    };
    watched(command, |reader, stream, peak| {
        let mut before = 0;
        stream.write_all(b"+OK\r\n").unwrap();
        for line in reader.lines().map_while(Result::ok) {
            match line.split(' ').next().unwrap() {
                "CAPA" => stream.write_all(b"+OK\r\nUSER\r\n.\r\n").unwrap(),
                "LIST" => stream.write_all(b"+OK\r\n1 52428800\r\n.\r\n").unwrap(),
                "UIDL" => stream.write_all(b"+OK\r\n1 a\r\n.\r\n").unwrap(),
                "RETR" => {
                    before = peak();
                    stream.write_all(b"+OK\r\nA: b\r\n\r\n").unwrap();
                    put_lines(stream);
                    stream.write_all(b".\r\n").unwrap();
                }
                "DELE" => {
                    grown(before, peak(), "collected");
                    stream.write_all(b"+OK\r\n").unwrap();
                }
                _ => stream.write_all(b"+OK\r\n").unwrap(),
            }
        }
    });
    let file = fs::read_dir(maildir.join("new")).unwrap().next().unwrap().unwrap().path();
    is_whole(&file, 6, LINE.len() - 1);
}

#[test]
fn fifty_mebibytes_are_fetched_through_a_few() {
    let folder = Folder::new();
    let maildir = folder.path("mail");
    let command = |port| {
        let mut command = plain("imap", port, &["fetch", "INBOX", "1", "--to"]);
        command.arg(&maildir);
        command
    };
    watched(command, |reader, stream, peak| {
        stream.write_all(b"* OK [CAPABILITY IMAP4rev1] hi\r\n").unwrap();
        let mut before = 0;
        for line in reader.lines().map_while(Result::ok) {
            let mut words = line.split(' ');
            let (tag, verb) = (words.next().unwrap(), words.next().unwrap());
            let data = match (verb, words.next().unwrap_or_default()) {
                ("LOGIN", _) => "* CAPABILITY IMAP4rev1\r\n".to_owned(),
                ("CAPABILITY", _) => "* CAPABILITY IMAP4rev1\r\n".to_owned(),
                ("EXAMINE", _) => "* 1 EXISTS\r\n".to_owned(),
                ("UID", "SEARCH") => "* SEARCH 1\r\n".to_owned(),
                ("UID", "FETCH") => {
                    before = peak();
                    let size = 8 + LINES * LINE.len();
                    write!(stream, "* 1 FETCH (UID 1 FLAGS (\\Seen) BODY[] {{{size}}}\r\nA: b\r\n\r\n")
                        .unwrap();
                    put_lines(stream);
                    ")\r\n".to_owned()
                }
                ("LOGOUT", _) => {
                    grown(before, peak(), "fetched");
                    "* BYE\r\n".to_owned()
                }
                _ => String::new(),
            };
            write!(stream, "{data}{tag} OK done\r\n").unwrap();
        }
    });
    let file = fs::read_dir(maildir.join("cur")).unwrap().next().unwrap().unwrap().path();
    assert!(file.to_str().unwrap().ends_with(":2,S"));
    is_whole(&file, 6, LINE.len() - 1);
}

#[test]
fn fifty_mebibytes_are_sent_through_a_few() {
    let folder = Folder::new();
    let file = folder.path("message");
    {
        let mut file = BufWriter::new(File::create(&file).unwrap());
        file.write_all(b"Date: x\r\nMessage-ID: <y@z>\r\n\r\n").unwrap();
        for _ in 0..LINES {
            file.write_all(LINE).unwrap();
        }
    }
    let size = fs::metadata(&file).unwrap().len();
    let command = |port: u16| {
        let mut command = crate::support::program();
        command.args(["client", "send", "--tls", "none", "--server", &format!("127.0.0.1:{port}")]);
        command.args(["--from", "anna@a.test", "ben@b.test", "--file"]).arg(&file);
        command
    };
    watched(command, move |reader, stream, peak| {
        stream.write_all(b"220 hi\r\n").unwrap();
        let (mut before, mut octets, mut in_data) = (0, 0, false);
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).unwrap() == 0 {
                return;
            }
            let answer: &[u8] = match (in_data, &line[..]) {
                (true, b".\r\n") => {
                    grown(before, peak(), "sent");
                    assert_eq!(octets, size);
                    in_data = false;
                    b"250 ok\r\n"
                }
                (true, line) => {
                    octets += line.len() as u64;
                    b""
                }
                (_, b"DATA\r\n") => {
                    before = peak();
                    in_data = true;
                    b"354 go\r\n"
                }
                (_, line) if line.starts_with(b"EHLO") => b"250-hi\r\n250 SIZE\r\n",
                (_, line) if line.starts_with(b"MAIL") => {
                    assert_eq!(line, format!("MAIL FROM:<anna@a.test> SIZE={size}\r\n").as_bytes());
                    b"250 ok\r\n"
                }
                _ => b"250 ok\r\n",
            };
            stream.write_all(answer).unwrap();
        }
    });
}
