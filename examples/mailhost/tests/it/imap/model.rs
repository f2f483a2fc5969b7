//! Several sessions that change one mailbox at random, each of which keeps its own count of it.

use super::{Imap, Said, site};

const SESSIONS: usize = 3;
const COMMANDS: usize = 250;

/// A client, and what it makes of what it is told.
struct Client {
    imap: Imap,
    /// The UIDs by their sequence numbers, and the flags; zero where it has not heard of them.
    messages: Vec<(u32, String)>,
}

impl Client {
    fn say(&mut self, command: &str) -> Said {
        let said = self.imap.ok(command);
        self.hear(command, &said);
        said
    }

    fn hear(&mut self, command: &str, said: &Said) {
        let counts = ["FETCH", "STORE", "SEARCH"].iter().any(|word| command.starts_with(word));
        for line in said.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(Ok(number)), Some(kind)) = (words.next().map(str::parse::<usize>), words.next()) else {
                continue;
            };
            match kind {
                "EXPUNGE" => {
                    // RFC 9051 §7.5.1.
                    assert!(!counts, "{command}: {line}");
                    assert!((1..=self.messages.len()).contains(&number), "{command}: {line}");
                    self.messages.remove(number - 1);
                }
                "EXISTS" => {
                    assert!(number >= self.messages.len(), "{command}: {line}");
                    self.messages.resize(number, (0, String::new()));
                }
                "FETCH" => {
                    let rest = words.next().expect("items");
                    let known =
                        self.messages.get_mut(number - 1).unwrap_or_else(|| panic!("{command}: {line}"));
                    let (_, uid) = rest.split_once("UID ").expect("a UID");
                    let uid = uid.split([' ', ')']).next().unwrap().parse().unwrap();
                    assert!(known.0 == 0 || known.0 == uid, "{command}: {line} instead of UID {}", known.0);
                    known.0 = uid;
                    if let Some((_, flags)) = rest.split_once("FLAGS (") {
                        known.1 = flags.split_once(')').expect("the end of the flags").0.to_owned();
                    }
                }
                _ => {}
            }
        }
    }

    /// What it has heard is what there is.
    fn check(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let count = self.messages.len();
        let said = self.say("FETCH 1:* (UID FLAGS)");
        // What has changed meanwhile may be told behind them once more.
        let listed = said.lines().into_iter().take(count);
        for (number, line) in (1..=count).zip(listed) {
            assert!(line.starts_with(&format!("{number} FETCH (UID ")), "{line}");
        }
        let known = &self.messages[..count];
        assert!(known[0].0 > 0 && known.windows(2).all(|pair| pair[0].0 < pair[1].0), "{known:?}");
    }
}

#[test]
fn every_session_counts_right_whatever_the_others_do() {
    let site = site();
    let host = site.start();
    let mut clients: Vec<Client> = (0..SESSIONS)
        .map(|_| {
            let mut client = Client { imap: Imap::anna(&host), messages: Vec::new() };
            client.say("SELECT INBOX");
            client
        })
        .collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |most: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % most
    };
    for number in 0..COMMANDS {
        let client = &mut clients[below(SESSIONS)];
        let there = client.messages.len();
        let message = below(there.max(1)) + 1;
        let flags = ["\\Seen", "\\Deleted", "\\Flagged $x", "\\Answered"][below(4)];
        let command = match below(10) {
            0..=2 => {
                let text = format!("Subject: {number}\r\n\r\n");
                format!("APPEND INBOX ({flags}) {{{}+}}\r\n{text}", text.len())
            }
            3 => "EXPUNGE".to_owned(),
            4 => "NOOP".to_owned(),
            _ if there == 0 => "CHECK".to_owned(),
            5 => format!("STORE {message} +FLAGS ({flags})"),
            6 => format!("UID STORE 1:* {}FLAGS.SILENT ({flags})", ["+", "-", ""][below(3)]),
            7 => format!("COPY {message}:* INBOX"),
            8 => format!("MOVE {message} Archive"),
            _ => "SEARCH UNDELETED".to_owned(),
        };
        client.say(&command);
        if below(3) == 0 {
            client.check();
        }
        if client.messages.len() > 60 {
            client.say("UID STORE 1:* +FLAGS.SILENT (\\Deleted)");
            client.say("EXPUNGE");
        }
    }
    for client in &mut clients {
        client.say("NOOP");
        client.check();
    }
    assert!(clients.iter().all(|client| client.messages == clients[0].messages));
    drop(host);
    let host = site.start();
    let mut after = Client { imap: Imap::anna(&host), messages: Vec::new() };
    after.say("SELECT INBOX");
    after.check();
    assert_eq!(after.messages, clients[0].messages);
}
