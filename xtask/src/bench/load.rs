//! The load: messages of 1 KiB over some connections, each used for message after message.

use std::io;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::wire::Wire;

/// How many mailboxes the messages go to, in turn.
pub(super) const MAILBOXES: usize = 20;

/// What there is to send.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) connections: usize,
    pub(super) messages: usize,
    pub(super) domain: &'a str,
}

/// What came of it.
pub(super) struct Sent {
    pub(super) start: Instant,
    /// When the last message was accepted.
    pub(super) end: Instant,
    /// From the final dot to its reply, sorted.
    pub(super) waits: Vec<Duration>,
    /// When each message was accepted, by its number.
    pub(super) accepted: Vec<Instant>,
}

impl Load<'_> {
    /// Sends everything. The clock starts when all connections have been greeted.
    pub(super) fn send(self, port: u16) -> Result<Sent, String> {
        let failed = |error: io::Error| format!("sending: {error}");
        let greeted = |_| {
            let mut wire = Wire::connect(port)?;
            wire.reply("220")?;
            wire.send("EHLO far.test\r\n")?;
            wire.reply("250")?;
            Ok(wire)
        };
        let wires = (0..self.connections).map(greeted).collect::<io::Result<Vec<_>>>().map_err(failed)?;
        let next = AtomicUsize::new(0);
        let start = Instant::now();
        let done: io::Result<Vec<Vec<Accepted>>> = thread::scope(|scope| {
            let senders: Vec<_> = wires
                .into_iter()
                .map(|wire| {
                    let next = &next;
                    scope.spawn(move || self.send_over(wire, next))
                })
                .collect();
            senders.into_iter().map(|sender| sender.join().expect("a sender does not panic")).collect()
        });
        let mut all: Vec<Accepted> = done.map_err(failed)?.into_iter().flatten().collect();
        all.sort_unstable_by_key(|accepted| accepted.number);
        let mut waits: Vec<Duration> = all.iter().map(|accepted| accepted.wait).collect();
        waits.sort_unstable();
        let accepted: Vec<Instant> = all.iter().map(|accepted| accepted.at).collect();
        let end = accepted.iter().max().copied().unwrap_or(start);
        Ok(Sent { start, end, waits, accepted })
    }

    /// The envelope in one group, then the message, then the next.
    fn send_over(self, mut wire: Wire, next: &AtomicUsize) -> io::Result<Vec<Accepted>> {
        let mut accepted = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.messages {
                break;
            }
            let mut data = message(number);
            data.extend_from_slice(b".\r\n");
            let to = recipient(number, self.domain);
            wire.send(format!("MAIL FROM:<bench@sender.test>\r\nRCPT TO:<{to}>\r\nDATA\r\n"))?;
            wire.reply("250")?;
            wire.reply("250")?;
            wire.reply("354")?;
            let start = Instant::now();
            wire.send(&data)?;
            wire.reply("250")?;
            let at = Instant::now();
            accepted.push(Accepted { number, wait: at - start, at });
        }
        wire.send("QUIT\r\n")?;
        wire.reply("221")?;
        Ok(accepted)
    }
}

struct Accepted {
    number: usize,
    wait: Duration,
    at: Instant,
}

impl Sent {
    pub(super) fn seconds(&self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }
}

/// What 99 in 100 do not exceed; `sorted` is.
pub(super) fn p99(sorted: &[Duration]) -> Duration {
    sorted.get((sorted.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

pub(super) fn recipient(number: usize, domain: &str) -> String {
    format!("{}@{domain}", mailbox(number % MAILBOXES))
}

pub(super) fn mailbox(index: usize) -> String {
    format!("user{index:02}")
}

/// How many of the messages go to a mailbox.
pub(super) fn share(mailbox: usize, messages: usize) -> usize {
    (messages + MAILBOXES - 1 - mailbox) / MAILBOXES
}

/// A message of 1 KiB, with all header fields that a server might want to add.
pub(super) fn message(number: usize) -> Vec<u8> {
    static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(sample);
    let mut message = SAMPLE.clone();
    message[ID.len()..][..DIGITS].copy_from_slice(format!("{number:0DIGITS$}").as_bytes());
    message
}

fn sample() -> Vec<u8> {
    let mut sample = format!(
        "{ID}{:0DIGITS$}@sender.test>\r\nFrom: bench@sender.test\r\nTo: everybody:;\r\n\
         Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nSubject: a message of 1 KiB\r\n\r\n",
        0
    )
    .into_bytes();
    while sample.len() < SIZE {
        let left = SIZE - sample.len();
        // What is left behind a line is nothing, or enough for another one.
        let line = if left < 2 * LINE { left } else { LINE };
        sample.resize(sample.len() + line - 2, b'x');
        sample.extend_from_slice(b"\r\n");
    }
    sample
}

/// The number of a message, if this line of its header gives it.
pub(super) fn number(line: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(ID.as_bytes())?;
    std::str::from_utf8(rest.get(..DIGITS)?).ok()?.parse().ok()
}

const ID: &str = "Message-ID: <";
/// Of the number of a message.
const DIGITS: usize = 8;
const SIZE: usize = 1_024;
const LINE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_size_and_lines_that_no_server_changes() {
        for number in [0, 1, 12_345_678] {
            let message = message(number);
            assert_eq!(message.len(), 1_024);
            assert!(message.ends_with(b"\r\n"));
            let text = String::from_utf8(message).unwrap();
            assert!(text.split("\r\n").all(|line| line.len() <= 126 && !line.starts_with('.')));
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
            assert_eq!(text.split("\r\n").find_map(|line| super::number(line.as_bytes())), Some(number));
        }
    }

    #[test]
    fn the_shares_of_the_mailboxes_are_what_is_sent_to_them() {
        for messages in [0, 1, 19, 20, 21, 1_000, 1_013] {
            for index in 0..MAILBOXES {
                let sent = (0..messages).filter(|number| number % MAILBOXES == index).count();
                assert_eq!(share(index, messages), sent);
            }
        }
    }

    #[test]
    fn p99_is_exceeded_by_one_in_a_hundred() {
        let sorted: Vec<Duration> = (1..=1_000).map(Duration::from_millis).collect();
        assert_eq!(p99(&sorted), Duration::from_millis(990));
        assert_eq!(p99(&sorted[..1]), Duration::from_millis(1));
        assert_eq!(p99(&[]), Duration::ZERO);
    }
}
