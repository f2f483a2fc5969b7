//! A host of somebody else: it speaks SMTP, and says and does whatever it feels like.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailhost::system::Stream;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::invariants::{Copy, Oracle};
use crate::network::lock;

/// The host. Clones share their mood.
#[derive(Clone)]
pub struct Moody {
    dice: Arc<Mutex<Dice>>,
    oracle: Arc<Mutex<Oracle>>,
}

impl Moody {
    /// Tells of all that it takes.
    pub fn new(seed: u64, oracle: Arc<Mutex<Oracle>>) -> Self {
        Self { dice: Arc::new(Mutex::new(Dice::new(seed, "moody"))), oracle }
    }

    /// Serves a connection, for as long as it likes.
    pub async fn serve(self, stream: Stream) {
        // An error is the end of the connection, on whichever side.
        let _ = timeout(PATIENCE, self.converse(stream)).await;
    }

    async fn converse(&self, stream: Stream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let greeting = self.pick(&[("220 moody.test ESMTP", 18), ("421 not now", 1), ("554 not for you", 1)]);
        if !self.say(&mut stream, greeting).await? || !greeting.starts_with("220") {
            return Ok(());
        }
        let mut to: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            if (&mut stream).take(4_096).read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let reply = match verb.as_str() {
                "EHLO" => self.pick(&[
                    ("250-moody.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES", 4),
                    ("250 moody.test", 2),
                    ("502 never heard of that", 1),
                ]),
                "HELO" => "250 moody.test",
                "MAIL" => {
                    to.clear();
                    self.pick(&[("250 2.1.0 go on", 14), ("451 4.3.0 later", 1), ("550 5.7.1 not you", 1)])
                }
                "RCPT" => {
                    let reply = self.pick(&[
                        ("250 2.1.5 fine", 12),
                        ("450 4.2.0 come back later", 6),
                        ("550 5.1.1 nobody", 1),
                        ("452 4.5.3 too many", 1),
                    ]);
                    if reply.starts_with("250")
                        && let Some((_, rest)) = line.split_once('<')
                    {
                        to.push(rest.split('>').next().unwrap_or_default().to_owned());
                    }
                    reply
                }
                "DATA" if to.is_empty() => "503 5.5.1 to whom?",
                "DATA" => {
                    if !self.say(&mut stream, "354 go on").await? {
                        return Ok(());
                    }
                    let mut octets = Vec::new();
                    while !octets.ends_with(b"\r\n.\r\n") {
                        if stream.read_until(b'\n', &mut octets).await? == 0 {
                            return Ok(());
                        }
                    }
                    self.end(&octets, &to)
                }
                "RSET" | "NOOP" => "250 fine",
                "QUIT" => "221 bye",
                _ => "502 what?",
            };
            if !self.say(&mut stream, reply).await? || verb == "QUIT" {
                return Ok(());
            }
        }
    }

    /// What becomes of a message.
    fn end(&self, octets: &[u8], to: &[String]) -> &'static str {
        let reply = self.pick(&[
            ("250 2.0.0 mine", 14),
            ("", 1),
            ("-", 1),
            ("451 4.3.0 not now", 3),
            ("554 5.6.0 not that", 1),
            ("421 4.3.2 going down", 1),
        ]);
        if reply.starts_with("250") || reply == "-" {
            let mut text = octets[..octets.len() - 3].to_vec();
            if octets.starts_with(b".") || octets.windows(3).any(|three| three == b"\n..") {
                text = unstuffed(&text);
            }
            let copy = Copy::parse(&text);
            to.iter().for_each(|to| lock(&self.oracle).taken_elsewhere(to, copy.clone()));
        }
        if reply == "-" { "" } else { reply }
    }

    /// False if it has ended the connection instead.
    async fn say(&self, stream: &mut BufReader<Stream>, reply: &str) -> std::io::Result<bool> {
        let (slow, gone) = {
            let mut dice = lock(&self.dice);
            (dice.chance(30), dice.chance(15))
        };
        if slow {
            sleep(SLOW).await;
        }
        if reply.is_empty() || gone {
            return Ok(false);
        }
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        Ok(!reply.starts_with("421"))
    }

    fn pick(&self, from: &[(&'static str, u64)]) -> &'static str {
        let all = from.iter().map(|(_, weight)| weight).sum();
        let mut at = lock(&self.dice).below(all);
        for (reply, weight) in from {
            match at.checked_sub(*weight) {
                Some(left) => at = left,
                None => return reply,
            }
        }
        from[0].0
    }
}

fn unstuffed(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    out
}

/// Where it is.
pub const ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 66, 0, 3);
/// Its domain.
pub const DOMAIN: &str = "moody.test";
/// How long it sometimes thinks, which is within what RFC 5321 §4.5.3.2 has one wait for.
const SLOW: Duration = Duration::from_secs(100);
const PATIENCE: Duration = Duration::from_secs(1_800);
