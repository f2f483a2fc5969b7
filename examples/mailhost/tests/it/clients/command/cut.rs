//! A connection that breaks, and a client that is killed, at any point of `fetch --delete`: each message is on the disk, or
//! still with the server.

use std::io::{BufRead as _, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::{messages, plain};
use crate::support::{Folder, PASSWORD, stuffed};

/// A maildrop: unique ids and messages.
type Drop = Arc<Mutex<Vec<(u32, Vec<u8>)>>>;

/// What happens once so many octets have been sent.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// The connection breaks.
    Cut(usize),
    /// The client is killed, and the session goes on as long as anybody reads.
    Kill(usize),
    Nothing,
}

/// Octets to a client, up to a certain one.
struct Sender {
    stream: TcpStream,
    sent: usize,
    fate: Fate,
    client: Pid,
}

impl Sender {
    /// Whether the session goes on.
    fn send(&mut self, octets: &[u8]) -> bool {
        for octet in octets {
            match self.fate {
                Fate::Cut(at) if at == self.sent => {
                    let _ = self.stream.shutdown(Shutdown::Both);
                    return false;
                }
                Fate::Kill(at) if at == self.sent => {
                    let _ = kill_process(self.client, Signal::KILL);
                    self.fate = Fate::Nothing;
                }
                _ => {}
            }
            if self.stream.write_all(&[*octet]).is_err() {
                return false;
            }
            self.sent += 1;
        }
        true
    }
}

/// One session, at whose QUIT what is marked is deleted, before the answer. Gives how many octets were sent.
fn serve(listener: &TcpListener, maildrop: &Drop, fate: Fate, client: Pid) -> usize {
    let stream = listener.accept().unwrap().0;
    stream.set_nodelay(true).unwrap();
    let mut sender = Sender { stream: stream.try_clone().unwrap(), sent: 0, fate, client };
    let held = maildrop.lock().unwrap().clone();
    let mut marked = Vec::new();
    if !sender.send(b"+OK\r\n") {
        return sender.sent;
    }
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let mut words = line.split(' ');
        let verb = words.next().unwrap();
        let number = words.next().and_then(|word| word.parse::<usize>().ok()).unwrap_or(1);
        let entries = |shown: fn(&(u32, Vec<u8>)) -> String| {
            let lines = (1..).zip(&held).map(|(number, entry)| format!("{number} {}\r\n", shown(entry)));
            format!("+OK\r\n{}.\r\n", lines.collect::<String>())
        };
        let answer = match verb {
            "CAPA" => b"+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\n.\r\n".to_vec(),
            "LIST" => entries(|(_, octets)| octets.len().to_string()).into_bytes(),
            "UIDL" => entries(|(id, _)| format!("id{id}")).into_bytes(),
            "RETR" => [b"+OK\r\n".to_vec(), stuffed(&held[number - 1].1)].concat(),
            "DELE" => {
                marked.push(held[number - 1].0);
                b"+OK\r\n".to_vec()
            }
            "QUIT" => {
                maildrop.lock().unwrap().retain(|(id, _)| !marked.contains(id));
                b"+OK\r\n".to_vec()
            }
            _ => b"+OK\r\n".to_vec(),
        };
        if !sender.send(&answer) {
            break;
        }
    }
    sender.sent
}

/// One run of `fetch --delete`; gives how many octets the server sent, and whether the client says that all is well.
fn fetch(folder: &Folder, maildrop: &Drop, fate: Fate) -> (usize, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = plain("pop3", listener.local_addr().unwrap().port(), &["fetch", "--delete", "--to"]);
    command.arg(folder.path("mail")).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child: Child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    let (maildrop, client) = (Arc::clone(maildrop), Pid::from_child(&child));
    let server = thread::spawn(move || serve(&listener, &maildrop, fate, client));
    let status = child.wait().unwrap();
    (server.join().unwrap(), status.success())
}

#[test]
fn a_message_is_deleted_only_once_it_is_on_the_disk() {
    let all: Vec<Vec<u8>> = (0..4)
        .map(|number| {
            format!("Subject: {number}\r\n\r\n{}.\r\n", ".line\r\n".repeat(20 * number)).into_bytes()
        })
        .collect();
    let maildrop = || -> Drop { Arc::new(Mutex::new((0..).zip(all.iter().cloned()).collect())) };
    let folder = Folder::new();
    let (whole, good) = fetch(&folder, &maildrop(), Fate::Nothing);
    assert!(good);
    assert_eq!(messages(&folder.path("mail")), all);

    // Points of all kinds: within the login, the lists, each message, its end, what answers DELE, and the answer to QUIT.
    let points = (0..whole).step_by((whole / 10).max(1)).chain([whole - 5, whole - 1]);
    for (number, point) in points.enumerate() {
        let fates = [Fate::Cut(point), Fate::Kill(point)];
        for fate in &fates[..1 + number % 2] {
            let fate = *fate;
            let (folder, maildrop) = (Folder::new(), maildrop());
            let (_, good) = fetch(&folder, &maildrop, fate);
            let left = maildrop.lock().unwrap().clone();
            // An answer to QUIT that came in part is none.
            assert!(!good || matches!(fate, Fate::Kill(_)), "{fate:?}");
            // Killed before the folder was there, it has made none.
            let there =
                if folder.path("mail/new").exists() { messages(&folder.path("mail")) } else { Vec::new() };
            for message in &all {
                let safe = there.contains(message) || left.iter().any(|(_, octets)| octets == message);
                assert!(safe, "{fate:?}: {} is gone", String::from_utf8_lossy(&message[..20]));
            }
            for message in &there {
                assert!(all.contains(message), "{fate:?}: half a message, or none of ours");
            }
            // The next time brings what is left, and no more.
            let (_, good) = fetch(&folder, &maildrop, Fate::Nothing);
            assert!(good, "{fate:?}: the next time");
            assert!(maildrop.lock().unwrap().is_empty());
            let mut there = messages(&folder.path("mail"));
            if matches!(fate, Fate::Kill(_)) {
                // Between the message and the note of it a kill lets it come twice; nothing lets it come never.
                there.dedup();
            }
            assert_eq!(there, all, "{fate:?}");
        }
    }
}
