//! Every class of reply at every stage of a client session, and the connection lost at every octet.
//!
//! What has to come of it is in the tables here, which were written from RFC 5321 §3.8, §4.2.1, §4.3.2 and §4.5.3.2, RFC 2920 §3,
//! RFC 3207 §4 and RFC 4954 §4. The host is a model that answers as those ask, but for one place in the dialogue.

use core::time::Duration;

use smtp_codec::address::{ForwardPath, Mailbox, ReversePath};
use smtp_codec::client::{Envelope, Reason, Timer};
use smtp_codec::error::ReplyError;

use crate::client::{Client, Step, Writing, mail};
use crate::{here, seconds};

/// What the host answers: a place in the dialogue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Greeting,
    Ehlo,
    /// The fall-back of a host that does not know EHLO.
    Helo,
    StartTls,
    EhloTls,
    Auth,
    /// The name, in answer to the first challenge.
    Name,
    /// The password, in answer to the second.
    Password,
    Mail,
    First,
    Middle,
    Last,
    /// Every recipient of the first message.
    All,
    Data,
    /// The end of the message.
    Final,
    Reset,
    NextMail,
    NextRcpt,
    NextData,
    NextFinal,
    Quit,
}

/// How the session has to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Quit,
    /// The host said something that cannot be said here.
    Garbled,
    /// The host said 421.
    Stopping,
}
use End::{Garbled, Quit, Stopping};

/// What has to become of three recipients of one message and of one of the next, each a letter: `t`aken, `r`efused with the
/// reply under test, `n`ot sent, `u`nknown.
struct Row {
    stage: Stage,
    /// 2yz.
    done: (&'static str, End),
    /// 3yz.
    go_on: (&'static str, End),
    /// 4yz and 5yz.
    refused: (&'static str, End),
    stopping: (&'static str, End),
    /// No whole reply.
    lost: &'static str,
    /// The connection is lost behind the reply that is hoped for here.
    lost_behind_good: &'static str,
    /// The connection is lost behind a 4yz or 5yz.
    lost_behind_refusal: &'static str,
}

const fn row(
    stage: Stage,
    done: (&'static str, End),
    go_on: (&'static str, End),
    refused: (&'static str, End),
    stopping: (&'static str, End),
    lost: [&'static str; 3],
) -> Row {
    let [lost, lost_behind_good, lost_behind_refusal] = lost;
    Row { stage, done, go_on, refused, stopping, lost, lost_behind_good, lost_behind_refusal }
}

/// In the order of the dialogue.
#[rustfmt::skip]
const TABLE: [Row; 21] = [
    //                     2yz                3yz                4yz, 5yz         421                 lost    behind 2yz  4yz, 5yz
    row(Stage::Greeting,  ("tttt", Quit),    ("nnnn", Garbled), ("nnnn", Quit), ("nnnn", Stopping), ["nnnn", "nnnn", "nnnn"]),
    row(Stage::Ehlo,      ("tttt", Quit),    ("nnnn", Garbled), ("nnnn", Quit), ("nnnn", Stopping), ["nnnn", "nnnn", "nnnn"]),
    row(Stage::Helo,      ("tttt", Quit),    ("nnnn", Garbled), ("nnnn", Quit), ("nnnn", Stopping), ["nnnn", "nnnn", "nnnn"]),
    // Whether to go on without TLS, or without a login, is for the caller, who does so here.
    row(Stage::StartTls,  ("tttt", Quit),    ("nnnn", Garbled), ("tttt", Quit), ("nnnn", Stopping), ["nnnn", "nnnn", "nnnn"]),
    row(Stage::EhloTls,   ("tttt", Quit),    ("nnnn", Garbled), ("nnnn", Quit), ("nnnn", Stopping), ["nnnn", "nnnn", "nnnn"]),
    row(Stage::Auth,      ("tttt", Quit),    ("nnnn", Garbled), ("tttt", Quit), ("nnnn", Stopping), ["nnnn", "nnnn", "nnnn"]),
    row(Stage::Name,      ("tttt", Quit),    ("nnnn", Garbled), ("tttt", Quit), ("nnnn", Stopping), ["nnnn", "nnnn", "nnnn"]),
    row(Stage::Password,  ("tttt", Quit),    ("nnnn", Garbled), ("tttt", Quit), ("nnnn", Stopping), ["nnnn", "nnnn", "nnnn"]),
    row(Stage::Mail,      ("tttt", Quit),    ("nnnn", Garbled), ("rrrt", Quit), ("rrrn", Stopping), ["nnnn", "nnnn", "rrrn"]),
    row(Stage::First,     ("tttt", Quit),    ("nnnn", Garbled), ("rttt", Quit), ("rrrn", Stopping), ["nnnn", "nnnn", "rnnn"]),
    row(Stage::Middle,    ("tttt", Quit),    ("nnnn", Garbled), ("trtt", Quit), ("rrrn", Stopping), ["nnnn", "nnnn", "nrnn"]),
    row(Stage::Last,      ("tttt", Quit),    ("nnnn", Garbled), ("ttrt", Quit), ("rrrn", Stopping), ["nnnn", "nnnn", "nnrn"]),
    row(Stage::All,       ("tttt", Quit),    ("nnnn", Garbled), ("rrrt", Quit), ("rrrn", Stopping), ["nnnn", "nnnn", "rrrn"]),
    // Here it is 3yz that is hoped for.
    row(Stage::Data,      ("nnnn", Garbled), ("tttt", Quit),    ("rrrt", Quit), ("rrrn", Stopping), ["nnnn", "uuun", "rrrn"]),
    row(Stage::Final,     ("tttt", Quit),    ("uuun", Garbled), ("rrrt", Quit), ("rrrn", Stopping), ["uuun", "tttn", "rrrn"]),
    row(Stage::Reset,     ("tttt", Quit),    ("tttn", Garbled), ("tttn", Quit), ("tttn", Stopping), ["tttn", "tttn", "tttn"]),
    row(Stage::NextMail,  ("tttt", Quit),    ("tttn", Garbled), ("tttr", Quit), ("tttr", Stopping), ["tttn", "tttn", "tttr"]),
    row(Stage::NextRcpt,  ("tttt", Quit),    ("tttn", Garbled), ("tttr", Quit), ("tttr", Stopping), ["tttn", "tttn", "tttr"]),
    row(Stage::NextData,  ("tttn", Garbled), ("tttt", Quit),    ("tttr", Quit), ("tttr", Stopping), ["tttn", "tttu", "tttr"]),
    row(Stage::NextFinal, ("tttt", Quit),    ("tttu", Garbled), ("tttr", Quit), ("tttr", Stopping), ["tttu", "tttt", "tttr"]),
    // RFC 5321 §4.1.1.10: behind QUIT there is nothing left to lose.
    row(Stage::Quit,      ("tttt", Quit),    ("tttt", Quit),    ("tttt", Quit), ("tttt", Quit),     ["tttt", "tttt", "tttt"]),
];

impl Row {
    /// What has to come of a whole reply.
    fn of(&self, code: u16, lines: usize) -> (&'static str, End) {
        match (self.stage, code) {
            (_, 421) => self.stopping,
            // RFC 5321 §3.2: "command not recognized" calls for HELO.
            (Stage::Ehlo | Stage::EhloTls, 500 | 502) => ("tttt", Quit),
            // RFC 4954 §4: one challenge more; the caller has no answer to it and cancels.
            (Stage::Auth | Stage::Name | Stage::Password, 334) if lines == 1 => ("tttt", Quit),
            // RFC 5321 §4.3.2: otherwise the first digit says it all.
            _ => match code / 100 {
                2 => self.done,
                3 => self.go_on,
                _ => self.refused,
            },
        }
    }

    const fn good(&self) -> &'static str {
        match self.stage {
            Stage::Data | Stage::NextData => "354 go\r\n",
            _ => "250 ok\r\n",
        }
    }

    /// RFC 5321 §4.5.3.2.
    const fn patience(&self) -> (u64, Timer) {
        match self.stage {
            Stage::Greeting => (300, Timer::Greeting),
            Stage::Data | Stage::NextData => (120, Timer::DataStart),
            Stage::Final | Stage::NextFinal => (600, Timer::DataEnd),
            _ => (300, Timer::Command),
        }
    }
}

/// The host, and what it does at one place.
struct Host {
    at: Stage,
    answer: Vec<u8>,
    /// Behind this answer nothing comes, and nothing is heard.
    last: bool,
    pipelining: bool,
    tls: bool,
    login: usize,
    /// The second of two messages.
    next: bool,
    from: bool,
    recipients: usize,
    taken: usize,
    receiving: bool,
    deaf: bool,
    unread: Vec<u8>,
    /// What it has said to what.
    said: Vec<(Stage, Vec<u8>)>,
    /// How many octets had come at the end of each command.
    heard: Vec<(Stage, usize)>,
    octets: usize,
    /// What a client must not say.
    wrong: Vec<String>,
    quit: bool,
}

impl Host {
    fn new(at: Stage, answer: &[u8], last: bool, pipelining: bool) -> Self {
        Self {
            at,
            answer: answer.to_vec(),
            last,
            pipelining,
            tls: false,
            login: 0,
            next: false,
            from: false,
            recipients: 0,
            taken: 0,
            receiving: false,
            deaf: false,
            unread: Vec::new(),
            said: Vec::new(),
            heard: Vec::new(),
            octets: 0,
            wrong: Vec::new(),
            quit: false,
        }
    }

    /// The answer at this place; its code.
    fn say(&mut self, stage: Stage, usual: &str, out: &mut Vec<u8>) -> u16 {
        if self.deaf {
            return 0;
        }
        let one_of_all = matches!(stage, Stage::First | Stage::Middle | Stage::Last);
        let here = self.at == stage || (self.at == Stage::All && one_of_all);
        let octets = if here { self.answer.clone() } else { usual.as_bytes().to_vec() };
        // RFC 5321 §3.8: the host closes the connection behind 421.
        let stops = octets.starts_with(b"421");
        self.deaf = stops || (here && self.last && (self.at == stage || stage == Stage::Last));
        out.extend_from_slice(&octets);
        let code = core::str::from_utf8(&octets).ok().and_then(|text| text.get(..3)?.parse().ok());
        self.said.push((stage, octets));
        code.unwrap_or(0)
    }

    fn greet(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.say(Stage::Greeting, "220 h\r\n", &mut out);
        out
    }

    fn hear(&mut self, octets: &[u8]) -> Vec<u8> {
        if (self.deaf || self.quit) && !octets.is_empty() {
            self.wrong.push(format!("{} behind the end", octets.escape_ascii()));
        }
        let mut out = Vec::new();
        for octet in octets {
            self.unread.push(*octet);
            self.octets += 1;
            if self.unread.ends_with(b"\r\n") && !self.deaf {
                let line = core::mem::take(&mut self.unread);
                let line = String::from_utf8(line).expect("commands are ASCII");
                self.obey(line.trim_end(), &mut out);
            }
        }
        out
    }

    fn obey(&mut self, line: &str, out: &mut Vec<u8>) {
        let stage = self.stage(line);
        let Some(stage) = stage else {
            if !self.receiving {
                out.extend_from_slice(b"503 no\r\n");
                self.said.push((Stage::Mail, b"503 no\r\n".to_vec()));
            }
            return;
        };
        self.heard.push((stage, self.octets));
        match stage {
            Stage::Ehlo if self.at == Stage::Helo => {
                self.say(stage, "502 what\r\n", out);
            }
            Stage::Ehlo => {
                let more = if self.pipelining { "250-PIPELINING\r\n" } else { "" };
                self.say(stage, &format!("250-h\r\n{more}250 STARTTLS\r\n"), out);
            }
            Stage::EhloTls => {
                let more = if self.pipelining { "250-PIPELINING\r\n" } else { "" };
                self.say(stage, &format!("250-h\r\n{more}250 AUTH LOGIN\r\n"), out);
            }
            Stage::Auth | Stage::Name | Stage::Password => {
                self.login = match (stage, line) {
                    (_, "*") => {
                        out.extend_from_slice(b"501 cancelled\r\n");
                        0
                    }
                    (Stage::Auth, _) => usize::from(self.say(stage, "334 VXNlcm5hbWU6\r\n", out) == 334),
                    (Stage::Name, _) => 2 * usize::from(self.say(stage, "334 UGFzc3dvcmQ6\r\n", out) == 334),
                    _ => 2 * usize::from(self.say(stage, "235 in\r\n", out) == 334),
                };
            }
            Stage::Mail | Stage::NextMail => {
                self.from = self.say(stage, "250 ok\r\n", out) / 100 == 2;
                (self.recipients, self.taken) = (0, 0);
            }
            Stage::First | Stage::Middle | Stage::Last | Stage::NextRcpt => {
                self.recipients += 1;
                self.taken += usize::from(self.say(stage, "250 ok\r\n", out) / 100 == 2);
            }
            Stage::Data | Stage::NextData => {
                self.receiving = self.say(stage, "354 go\r\n", out) / 100 == 3;
            }
            Stage::Final | Stage::NextFinal => {
                (self.receiving, self.from) = (false, false);
                self.say(stage, "250 taken\r\n", out);
            }
            // One that ends a transaction, or the one between the two messages.
            Stage::Reset if core::mem::take(&mut self.from) => {
                out.extend_from_slice(b"250 reset\r\n");
                self.said.push((Stage::Mail, b"250 reset\r\n".to_vec()));
            }
            Stage::Quit => {
                self.say(stage, "221 bye\r\n", out);
                self.quit = true;
            }
            _ => {
                self.say(stage, "250 ok\r\n", out);
            }
        }
    }

    /// What a line is; `None` for text, and for a command that has to be answered 503.
    fn stage(&mut self, line: &str) -> Option<Stage> {
        if self.receiving {
            return (line == ".").then_some(if self.next { Stage::NextFinal } else { Stage::Final });
        }
        let wanted = match line.split([' ', ':']).next().unwrap_or("") {
            "EHLO" => Ok(if self.tls { Stage::EhloTls } else { Stage::Ehlo }),
            "HELO" => Ok(Stage::Helo),
            "STARTTLS" => Ok(Stage::StartTls),
            "AUTH" => Ok(Stage::Auth),
            _ if self.login == 1 => Ok(Stage::Name),
            _ if self.login == 2 => Ok(Stage::Password),
            "MAIL" if self.from => Err("MAIL within a transaction"),
            "MAIL" => {
                self.next = line.contains("<next@");
                Ok(if self.next { Stage::NextMail } else { Stage::Mail })
            }
            "RCPT" if !self.from => Err("RCPT without MAIL"),
            "RCPT" => Ok(match line {
                _ if line.contains("<b@h>") => Stage::First,
                _ if line.contains("<c@h>") => Stage::Middle,
                _ if line.contains("<d@h>") => Stage::Last,
                _ => Stage::NextRcpt,
            }),
            "DATA" if !self.from || self.taken == 0 => Err("DATA without recipients"),
            "DATA" => Ok(if self.next { Stage::NextData } else { Stage::Data }),
            "RSET" => Ok(Stage::Reset),
            "QUIT" => Ok(Stage::Quit),
            _ => Err("not a command"),
        };
        // RFC 2920 §3.1: behind a refusal the rest of a group is sent in vain.
        if let Err(why) = wanted
            && (!self.pipelining || !(why.starts_with("RCPT") || why.starts_with("DATA")))
        {
            self.wrong.push(format!("{why}: {line}"));
        }
        wanted.ok()
    }
}

/// One run: a client with two messages against the host.
struct Run {
    /// How many octets the client reads at once.
    step: usize,
    /// How many octets the host may say, and hear.
    octets: (usize, usize),
    /// Whether silence, and not the end of the connection, follows.
    silent: bool,
}

impl Default for Run {
    fn default() -> Self {
        Self { step: usize::MAX, octets: (usize::MAX, usize::MAX), silent: false }
    }
}

/// What came of it.
struct Seen {
    fates: String,
    /// The codes of refusals.
    codes: Vec<u16>,
    reason: Reason,
    /// The driver still held some of what was written.
    undelivered: bool,
    /// What the session said of the doubt, by itself.
    in_doubt: bool,
    /// How long after the last whole reply the session gave up.
    waited: Duration,
    host: Host,
    /// The end of each of the host's answers in its octets.
    ends: Vec<(Stage, usize)>,
}

const BODY: &str = "Subject: x\r\n\r\n.dots\r\n..\r\ntext\r\n";

fn script() -> Vec<Step> {
    let next = ReversePath::Mailbox(Mailbox::parse("next@client.test").expect("valid"));
    let to = ForwardPath::Mailbox(Mailbox::parse("z@h").expect("valid"));
    vec![
        Step::Tls,
        Step::Auth("LOGIN", None),
        mail(&["b@h", "c@h", "d@h"], BODY),
        Step::Reset,
        Step::Mail(Envelope::new(next).to(to), BODY.into()),
        Step::Quit,
    ]
}

fn run(mut host: Host, how: &Run) -> Seen {
    let mut client = Client::new(here(), &script());
    client.responses = [Some(b"alice".to_vec()), Some(b"secret".to_vec())].into();
    let (mut may_say, mut may_hear) = how.octets;
    let mut said = host.greet();
    let (mut undelivered, mut at, mut answers) = (false, client.now, 0);
    loop {
        client.now += seconds(7);
        // A whole reply, or something to reply to, starts the time anew.
        let answered = host.said[answers..].iter().any(|(_, said)| !host.last || *said != host.answer);
        answers = host.said.len();
        let spoken = said.len().min(may_say);
        may_say -= spoken;
        for piece in said[..spoken].chunks(how.step.min(said.len().max(1))) {
            client.feed(piece);
        }
        if client.session.wants_tls() && spoken == said.len() && !host.deaf {
            client.session.handle_tls_started(client.now);
            client.feed(b"");
            host.tls = true;
        }
        let octets = client.out.split();
        let heard = octets.len().min(may_hear);
        may_hear -= heard;
        undelivered |= heard < octets.len();
        if !octets.is_empty() || answered {
            at = client.now;
        }
        said = host.hear(&octets[..heard]);
        if client.session.closed().is_some()
            || (said.is_empty() && octets.is_empty() && answers == host.said.len())
        {
            break;
        }
    }
    let mut waited = Duration::ZERO;
    if client.session.closed().is_none() {
        if how.silent {
            let deadline = client.session.poll_timeout().expect("silence has an end");
            waited = deadline.saturating_sub(at);
            client.session.handle_timeout(deadline - Duration::from_nanos(1), &mut client.out);
            assert_eq!(client.session.closed(), None);
            client.session.handle_timeout(deadline, &mut client.out);
        } else {
            client.session.handle_eof();
        }
    }
    // What is certain by now is told; nothing is written any more.
    client.feed(b"");
    assert!(client.out.is_empty(), "{:?} behind the end", client.out);
    let mut ends = Vec::new();
    let mut octets = 0;
    for (stage, said) in &host.said {
        octets += said.len();
        ends.push((*stage, octets));
    }
    let (fates, codes) = fates(&client.events, client.session.is_in_doubt() && !undelivered);
    let reason = client.session.closed().expect("every session ends");
    Seen { fates, codes, reason, undelivered, in_doubt: client.session.is_in_doubt(), waited, host, ends }
}

/// What a caller knows of the four recipients, from the events alone.
fn fates(events: &[String], in_doubt: bool) -> (String, Vec<u16>) {
    let mut codes = Vec::new();
    let mut fates = String::new();
    let mut events = events.iter().peekable();
    for recipients in [3, 1] {
        let mut told = vec![None; recipients];
        let (mut rest, mut written) = ('n', false);
        for event in events.by_ref() {
            let words: Vec<&str> = event.split(' ').collect();
            match words[..] {
                ["recipient", index, code] => {
                    let index: usize = index.parse().expect("an index");
                    assert_eq!(told[index].replace(code.parse::<u16>().expect("a code")), None, "told once");
                }
                ["message", "written"] => written = true,
                ["taken", _] => {
                    rest = 't';
                    break;
                }
                ["refused", _, code] => {
                    rest = 'r';
                    codes.push(code.parse().expect("a code"));
                    break;
                }
                _ => {}
            }
        }
        if rest == 'n' && written && in_doubt {
            rest = 'u';
        }
        let refused = |code: &Option<u16>| code.is_some_and(|code| code >= 400);
        codes.extend(told.iter().filter(|code| refused(code)).flatten());
        fates.extend(told.iter().map(|code| if refused(code) { 'r' } else { rest }));
        assert!(rest != 'n' || !told.iter().all(refused), "that all were refused is told");
    }
    (fates, codes)
}

fn reason_of(end: End) -> impl Fn(Reason) -> bool {
    move |reason| match end {
        Quit => reason == Reason::Quit,
        Garbled => matches!(reason, Reason::Garbled(_)),
        Stopping => reason == Reason::ServerStopping,
    }
}

/// How much has been run, for who wants to see it.
#[expect(clippy::disallowed_macros, reason = "a test may say what it has done")]
fn say(count: usize, what: &str) {
    println!("{count} {what}");
}

/// A reply in so many lines.
fn reply(code: u16, lines: usize, text: &str) -> String {
    let more = format!("{code}-more\r\n").repeat(lines - 1);
    format!("{more}{code}{text}\r\n")
}

const CODES: [u16; 24] = [
    200, 211, 220, 235, 250, 251, 299, 300, 334, 354, 399, 421, 432, 450, 451, 452, 454, 499, 500, 501, 502,
    550, 554, 599,
];

// Ledger: 5321-3.3-6, 5321-4.2-2, 5321-4.2-5, 5321-4.2-6, 5321-4.3.2-1, 5321-4.5.4.1-4
#[test]
fn every_class_of_reply_at_every_stage_does_what_the_table_says() {
    let mut count = 0;
    for row in &TABLE {
        for code in CODES {
            for (lines, text) in [(1, " text"), (1, ""), (3, " text")] {
                for pipelining in [false, true] {
                    for step in [usize::MAX, 1] {
                        let answer = reply(code, lines, text);
                        let host = Host::new(row.stage, answer.as_bytes(), false, pipelining);
                        let seen = run(host, &Run { step, ..Run::default() });
                        let case = format!("{:?} {answer:?}, pipelining {pipelining}", row.stage);
                        let (fates, end) = row.of(code, lines);
                        assert_eq!(seen.fates, fates, "{case}");
                        assert!(reason_of(end)(seen.reason), "{case}: {:?}", seen.reason);
                        assert!(seen.codes.iter().all(|said| *said == code), "{case}: {:?}", seen.codes);
                        assert_eq!(seen.host.wrong, Vec::<String>::new(), "{case}");
                        // RFC 5321 §4.1.1.10, §3.8: no goodbye to a host that is gone or out of step.
                        assert_eq!(seen.host.quit, end == Quit, "{case}");
                        // The caller's own RSET found no transaction: one that was refused had been ended before.
                        let said = |wanted| seen.host.said.iter().any(|(stage, _)| *stage == wanted);
                        assert!(said(Stage::Reset) || !said(Stage::NextMail), "{case}");
                        count += 1;
                    }
                }
            }
        }
    }
    say(count, "combinations of stage, reply, form, pieces and pipelining");
}

/// What is no whole reply, or none at all; whether it says so by itself.
fn broken() -> Vec<(String, bool)> {
    let mut all = Vec::new();
    for text in
        ["", "2", "250", "250 ok", "250 ok\r", "250-more\r\n", "250-more\r\n250 o", "550 no", "421 stopping"]
    {
        all.push((text.to_owned(), false));
    }
    for text in [
        "HTTP/1.1 400 Bad Request\r\n",
        "\r\n",
        "ok\r\n",
        "25\r\n",
        "2500 ok\r\n",
        "250_ok\r\n",
        "150 ok\r\n",
        "650 no\r\n",
        "250 ok\n",
        "550 no\n",
        "250-a\r\n251 b\r\n",
        "250-a\r\n550 b\r\n",
        "550-a\r\n250 b\r\n",
        "450-a\r\n421 b\r\n",
        "250-a\r\nb\r\n",
    ] {
        all.push((text.to_owned(), true));
    }
    all.push((format!("250 {}\r\n", "x".repeat(13_000)), true));
    all.push((format!("550 {}", "x".repeat(13_000)), true));
    all.push((format!("250-{}\r\n", "x".repeat(500)).repeat(40), true));
    all
}

#[test]
fn whatever_is_no_whole_reply_leaves_what_was_certain_and_no_more() {
    let mut count = 0;
    for row in TABLE.iter().filter(|row| row.stage != Stage::All) {
        for (answer, garbled) in broken() {
            for pipelining in [false, true] {
                for (step, silent) in [(usize::MAX, false), (1, false), (usize::MAX, true)] {
                    let host = Host::new(row.stage, answer.as_bytes(), true, pipelining);
                    let seen = run(host, &Run { step, silent, ..Run::default() });
                    let start = &answer[..answer.len().min(40)];
                    let case = format!("{:?} {start:?}, pipelining {pipelining}, silent {silent}", row.stage);
                    assert_eq!(seen.fates, row.lost, "{case}");
                    assert_eq!(seen.host.wrong, Vec::<String>::new(), "{case}");
                    assert_eq!(seen.host.quit, row.stage == Stage::Quit, "{case}");
                    match seen.reason {
                        Reason::Garbled(_) => assert!(garbled, "{case}"),
                        Reason::Timeout(timer) => {
                            let (wait, wanted) = row.patience();
                            assert!(silent && !garbled, "{case}");
                            assert_eq!((seen.waited, timer), (seconds(wait), wanted), "{case}");
                        }
                        Reason::Eof => assert!(!silent && !garbled && row.stage != Stage::Quit, "{case}"),
                        Reason::Quit => assert!(!silent && !garbled && row.stage == Stage::Quit, "{case}"),
                        other => panic!("{case}: {other:?}"),
                    }
                    count += 1;
                }
            }
        }
    }
    say(count, "combinations of stage, broken reply, pieces, end and pipelining");
}

#[test]
fn a_connection_lost_right_behind_a_reply_does_not_take_it_back() {
    let mut count = 0;
    for row in &TABLE {
        let refusals = [450, 451, 452, 554, 550, 571].map(|code| reply(code, 1, " no"));
        let refusals = refusals.iter().map(|answer| (answer.as_str(), row.lost_behind_refusal));
        for (answer, fates) in refusals.chain([(row.good(), row.lost_behind_good)]) {
            for pipelining in [false, true] {
                for (step, silent) in [(usize::MAX, false), (1, false), (usize::MAX, true)] {
                    let host = Host::new(row.stage, answer.as_bytes(), true, pipelining);
                    let seen = run(host, &Run { step, silent, ..Run::default() });
                    let case = format!("{:?} {answer:?}, pipelining {pipelining}", row.stage);
                    assert_eq!(seen.fates, fates, "{case}");
                    assert!(
                        matches!(seen.reason, Reason::Eof | Reason::Timeout(_) | Reason::Quit),
                        "{case}: {:?}",
                        seen.reason
                    );
                    count += 1;
                }
            }
        }
    }
    say(count, "combinations of stage, reply, pieces, end and pipelining");
}

/// One of three recipients is refused; then the connection is lost at each octet that the host says.
// Ledger: 5321-4.1.1.10-5
#[test]
fn a_connection_lost_at_any_octet_of_the_host_leaves_no_doubt_but_behind_the_end() {
    let mut count = 0;
    for pipelining in [false, true] {
        let dialogue = |octets, silent| {
            let host = Host::new(Stage::Middle, b"550 no\r\n", false, pipelining);
            run(host, &Run { octets: (octets, usize::MAX), silent, ..Run::default() })
        };
        let whole = dialogue(usize::MAX, false);
        assert_eq!((&*whole.fates, whole.reason), ("trtt", Reason::Quit));
        let end =
            |wanted: Stage| whole.ends.iter().find(|(stage, _)| *stage == wanted).expect("it was said").1;
        for octets in 0..=end(Stage::Quit) {
            for silent in [false, true] {
                let has = |stage| octets >= end(stage);
                let first = if has(Stage::Final) {
                    "trt"
                } else if has(Stage::Data) {
                    "uru"
                } else if has(Stage::Middle) {
                    "nrn"
                } else {
                    "nnn"
                };
                let next = if has(Stage::NextFinal) {
                    "t"
                } else if has(Stage::NextData) {
                    "u"
                } else {
                    "n"
                };
                let seen = dialogue(octets, silent);
                assert_eq!(seen.fates, format!("{first}{next}"), "{octets} octets, pipelining {pipelining}");
                assert_eq!(seen.in_doubt, seen.fates.contains('u'), "{octets} octets");
                count += 1;
            }
        }
    }
    say(count, "cuts of the host's octets");
}

/// The same at each octet that the client writes: what was not delivered cannot have been taken.
#[test]
fn a_connection_lost_at_any_octet_of_the_client_leaves_no_doubt_at_all() {
    let mut count = 0;
    for pipelining in [false, true] {
        let dialogue = |octets, silent| {
            let host = Host::new(Stage::Middle, b"550 no\r\n", false, pipelining);
            run(host, &Run { octets: (usize::MAX, octets), silent, ..Run::default() })
        };
        let whole = dialogue(usize::MAX, false).host;
        let end =
            |wanted: Stage| whole.heard.iter().find(|(stage, _)| *stage == wanted).expect("it was heard").1;
        for octets in 0..=whole.octets {
            for silent in [false, true] {
                let has = |stage| octets >= end(stage);
                let first = if has(Stage::Final) {
                    "trt"
                } else if has(Stage::Middle) {
                    "nrn"
                } else {
                    "nnn"
                };
                let next = if has(Stage::NextFinal) { "t" } else { "n" };
                let seen = dialogue(octets, silent);
                let case = format!("{octets} octets, pipelining {pipelining}");
                assert_eq!(seen.fates, format!("{first}{next}"), "{case}");
                assert_eq!(seen.undelivered, octets < whole.octets, "{case}");
                // The session alone cannot know how much of the end has left the driver.
                let written = |data, last| has(data) && !has(last);
                let handed_out =
                    written(Stage::Data, Stage::Final) || written(Stage::NextData, Stage::NextFinal);
                assert_eq!(seen.in_doubt, handed_out, "{case}");
                count += 1;
            }
        }
    }
    say(count, "cuts of the client's octets");
}

/// A host that goes on with a login that was cancelled, or even takes it, has read something else than was said.
#[test]
fn a_cancelled_login_can_only_be_refused() {
    for (answer, events, reason) in [
        ("501 cancelled\r\n", &["login failed 501"][..], None),
        ("454 no\r\n", &["login failed 454"], None),
        ("421 no\r\n", &["login failed 421"], Some(Reason::ServerStopping)),
        ("334 \r\n", &[], Some(Reason::Garbled(ReplyError::OutOfStep))),
        ("235 in\r\n", &[], Some(Reason::Garbled(ReplyError::OutOfStep))),
    ] {
        let mut client = Client::new(here().implicit_tls(), &[Step::Auth("LOGIN", None), Step::Idle]);
        client.talk("220 h\r\n250-h\r\n250 AUTH LOGIN\r\n");
        assert_eq!(client.talk("334 VXNlcm5hbWU6\r\n"), "*\r\n");
        client.events.clear();
        assert_eq!(client.talk(answer), "", "{answer}");
        assert_eq!(
            (&client.events[..], client.session.closed()),
            (&events.iter().map(ToString::to_string).collect::<Vec<_>>()[..], reason),
            "{answer}"
        );
    }
}

/// A refusal that has come in full stands, whatever becomes of the replies to the rest of the group.
#[test]
fn a_group_whose_beginning_was_refused_is_refused_though_its_end_is_lost() {
    let hello = "220 h\r\n250-h\r\n250 PIPELINING\r\n";
    for (replies, events) in [
        ("550 no\r\n", &["refused Mail 550"][..]),
        ("550 no\r\n503 no\r\n50", &["refused Mail 550"]),
        ("550 no\r\njunk\r\n", &["refused Mail 550"]),
        ("550 no\r\n421 bye\r\n", &["refused Mail 550"]),
        ("550 no\r\n503 no\r\n503 no\r\n421 bye\r\n", &["refused Mail 550"]),
        ("550 no\r\n503 no\r\n503 no\r\n354 go\r\n", &["refused Mail 550"]),
        ("550 no\r\n250 ok\r\n250 ok\r\n354 go\r\n", &["refused Mail 550"]),
        ("250 ok\r\n550 no\r\n450 no\r\n", &["recipient 0 550", "recipient 1 450", "refused Recipients 450"]),
        (
            "250 ok\r\n550 no\r\n450 no\r\n421 bye\r\n",
            &["recipient 0 550", "recipient 1 450", "refused Recipients 450"],
        ),
        (
            "250 ok\r\n550 no\r\n450 no\r\n354 go\r\n",
            &["recipient 0 550", "recipient 1 450", "refused Recipients 450"],
        ),
        ("250 ok\r\n550 no\r\n", &["recipient 0 550"]),
        (
            "250 ok\r\n550 no\r\n421 bye\r\n",
            &["recipient 0 550", "recipient 1 421", "refused Recipients 421"],
        ),
        ("250 ok\r\n550 no\r\n250 ok\r\n", &["recipient 0 550", "recipient 1 250"]),
    ] {
        for step in [usize::MAX, 1] {
            let mut client = Client::new(here(), &[mail(&["b@h", "c@h"], "x\r\n"), Step::Idle]);
            client.talk(hello);
            replies.as_bytes().chunks(step).for_each(|piece| client.feed(piece));
            client.session.handle_eof();
            client.feed(b"");
            assert_eq!(client.events, events, "{replies:?}");
            assert!(client.session.closed().is_some() && !client.session.is_in_doubt());
        }
    }
}

/// RFC 5321 §3.8: 421 may come at any time; a host that gives up otherwise has no way back into step either.
#[test]
fn a_reply_within_the_message_ends_the_session_and_leaves_no_doubt() {
    for code in CODES {
        for lines in [1, 3] {
            for step in [usize::MAX, 1] {
                let mut client = Client::new(here(), &[mail(&["b@h", "c@h"], "x\r\n"), Step::Idle]);
                client.message = Writing::Pause;
                client.talk("220 h\r\n250 h\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n");
                client.events.clear();
                reply(code, lines, " text").as_bytes().chunks(step).for_each(|piece| client.feed(piece));
                assert_eq!(client.said(), "", "{code}");
                let refused = format!("refused Message {code}");
                let (events, reason) = match code {
                    400.. => (vec![refused], Reason::ServerStopping),
                    _ => (vec![], Reason::Garbled(ReplyError::OutOfStep)),
                };
                assert_eq!((&client.events, client.session.closed()), (&events, Some(reason)), "{code}");
                assert!(!client.session.is_in_doubt(), "{code}");
            }
        }
    }
}

/// The reply to nothing would be taken for the reply to the next command.
#[test]
fn an_idle_session_into_which_something_was_said_is_not_resumed() {
    for (said, ended) in [
        ("", None),
        ("2", Some(ReplyError::OutOfStep)),
        ("250-x\r\n", Some(ReplyError::OutOfStep)),
        ("250-x\r\n25", Some(ReplyError::OutOfStep)),
        ("250 x\r\n", Some(ReplyError::OutOfStep)),
        ("\r\n", Some(ReplyError::Syntax { offset: 0 })),
    ] {
        let mut client = Client::new(here(), &[mail(&["b@h"], "x\r\n"), Step::Idle]);
        client.talk("220 h\r\n250 h\r\n250 ok\r\n250 ok\r\n354 go\r\n");
        client.talk(&["250 taken\r\n", said].concat());
        assert_eq!(client.events.last().map(String::as_str), Some("taken 250"), "{said:?}");
        assert_eq!(client.session.resume().is_none(), ended.is_some(), "{said:?}");
        assert_eq!(client.session.closed(), ended.map(Reason::Garbled), "{said:?}");
    }
}
