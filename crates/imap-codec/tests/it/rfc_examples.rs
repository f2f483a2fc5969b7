//! The dialogues printed in the RFCs, played by both roles.
//!
//! A server is fed what the client says there, its host answers what the server says there, and what goes out has to mean
//! the same. A client sends the commands, is fed the responses, and has to say and to understand the same. Tags, and
//! the words of what a session answers by itself, are its own.

use core::time::Duration;
use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BytesMut};
use imap_codec::client::{ClientConfig, ClientSession, CommandId, Event as Told};
use imap_codec::command::{Command, Verb};
use imap_codec::encode::Names;
use imap_codec::error::SendError;
use imap_codec::extension::Extensions;
use imap_codec::fragment::{Bounds, Fragment, Fragmenter, Sender};
use imap_codec::response::{Code, Condition, Data, Reply, Response, Status};
use imap_codec::server::{Event, ServerConfig, ServerSession};
use imap_codec::types::Atom;

macro_rules! rfc {
    ($number:literal, $servers:literal, $clients:literal, $responses:literal) => {
        Rfc {
            number: $number,
            text: include_str!(concat!("../transcripts/rfc", $number, ".imap")),
            counts: [$servers, $clients, $responses],
        }
    };
}

struct Rfc {
    number: u32,
    text: &'static str,
    /// How many dialogues are played by a server and by a client, and how many responses there are.
    counts: [usize; 3],
}

const RFCS: [Rfc; 13] = [
    rfc!(2177, 1, 1, 19),
    rfc!(3501, 33, 45, 174),
    rfc!(4315, 2, 2, 18),
    rfc!(4731, 5, 5, 18),
    rfc!(5161, 2, 2, 8),
    rfc!(5182, 9, 8, 42),
    rfc!(5258, 21, 23, 133),
    rfc!(5819, 2, 2, 10),
    rfc!(6851, 1, 1, 3),
    rfc!(7162, 39, 40, 139),
    rfc!(7888, 2, 2, 2),
    rfc!(9051, 105, 126, 469),
    rfc!(9208, 7, 14, 28),
];

const BOUNDS: Bounds = Bounds { line: 1 << 20, literals: 1 << 20, total: 1 << 20, discard: 1 << 20 };

/// What a server announces to the clients here.
const CAPABILITIES: &str = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID CONDSTORE QUOTA QUOTASET AUTH=PLAIN AUTH=GSSAPI AUTH=EXTERNAL AUTH=SCRAM-SHA-256";
const WAITING: &str = "IMAP4rev1 ENABLE ID UIDPLUS ESEARCH SEARCHRES CONDSTORE QUOTA QUOTASET";

#[derive(Clone, Debug)]
struct Dialogue {
    /// The number of the RFC and the section.
    section: String,
    /// Whether both have enabled IMAP4rev2 before.
    rev2: bool,
    /// Lines that the client or the server says, in turn.
    turns: Vec<(bool, Vec<u8>)>,
}

fn dialogues(rfc: &Rfc) -> Vec<Dialogue> {
    let mut all: Vec<Dialogue> = Vec::new();
    for line in rfc.text.lines() {
        if let Some(section) = line.strip_prefix("# §") {
            let section = format!("{} §{section}", rfc.number);
            all.push(Dialogue { section, rev2: rfc.number == 9051, turns: Vec::new() });
        }
        let (client, said) = match (line.strip_prefix("C:"), line.strip_prefix("S:")) {
            (Some(said), _) => (true, said),
            (_, Some(said)) => (false, said),
            _ => continue,
        };
        let turns = &mut all.last_mut().expect("a section").turns;
        if turns.last().is_none_or(|(last, _)| *last != client) {
            turns.push((client, Vec::new()));
        }
        let lines = &mut turns.last_mut().expect("one at least").1;
        lines.extend_from_slice(said.strip_prefix(' ').unwrap_or(said).as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    all
}

/// Whole messages; what stands in a literal is part of them.
fn messages(octets: &[u8], sender: Sender) -> Vec<Vec<u8>> {
    let (mut reader, mut input, mut all) = (Fragmenter::new(sender), octets, Vec::new());
    while let Some(fragment) = reader.next(&mut input, &BOUNDS, false) {
        if let Fragment::Whole { message, .. } = fragment {
            all.push(message.to_vec());
        }
    }
    assert!(input.is_empty(), "{}", octets.escape_ascii());
    all
}

/// The example writes names in UTF-8, which a client of IMAP4rev2 has enabled before.
fn understood(message: &[u8]) -> Response<'_> {
    let response = Response::parse(message, Names::Utf8);
    response.unwrap_or_else(|error| panic!("{error}: {}", message.escape_ascii()))
}

impl Dialogue {
    fn is_login(&self) -> bool {
        let said = self.said(true).to_ascii_uppercase();
        let text = String::from_utf8_lossy(&said);
        [" LOGIN ", " AUTHENTICATE ", " STARTTLS"].iter().any(|word| text.contains(word))
    }

    fn said(&self, by_client: bool) -> Vec<u8> {
        self.turns.iter().filter(|(client, _)| *client == by_client).flat_map(|turn| turn.1.clone()).collect()
    }

    fn has_login(&self) -> bool {
        self.said(true).windows(14).any(|octets| octets.eq_ignore_ascii_case(b" AUTHENTICATE "))
    }

    /// What a server announces to clients here: where the example has a literal wait, nothing that lets it come by itself.
    fn capabilities(&self) -> &'static str {
        match self.turns.iter().any(|(client, turn)| *client && waits(turn)) {
            true if !self.rev2 => WAITING,
            _ => CAPABILITIES,
        }
    }

    /// Whether the first command needs a mailbox that is selected.
    fn needs_mailbox(&self) -> bool {
        let said = self.said(true);
        let text = String::from_utf8_lossy(&said).to_ascii_uppercase();
        let words =
            ["FETCH", "STORE", "COPY", "MOVE", "SEARCH", "EXPUNGE", "CHECK", "CLOSE", "UNSELECT", "UID"];
        let selects = text.split_once(" SELECT ").map_or(text.as_str(), |(before, _)| before);
        text.starts_with("A143 SELECT") // it closes the mailbox before
            || selects.lines().any(|line| line.split(' ').nth(1).is_some_and(|word| words.contains(&word)))
    }
}

/// What a response means, as far as it is not the session's own choice of words.
fn meaning(message: &[u8], own: &[String]) -> String {
    match understood(message) {
        Response::Continue(_) => "+".into(),
        Response::Tagged(tag, status) if own.iter().any(|each| each == tag.as_str()) => {
            format!("{} {:?}", tag.as_str(), status.condition)
        }
        Response::Tagged(tag, mut status) => {
            // After a login ours tells the capabilities.
            if matches!(status.code, Some(Code::Capability(_))) {
                status.code = None;
            }
            format!("{} {status:?}", tag.as_str())
        }
        Response::Untagged(Data::Capability(_)) => "* CAPABILITY".into(),
        Response::Untagged(Data::Enabled(_)) => "* ENABLED".into(),
        Response::Untagged(Data::Status(Status { condition: Condition::Bye, .. })) => "* BYE".into(),
        Response::Untagged(Data::Status(Status { code: Some(Code::Closed), .. })) => "* CLOSED".into(),
        other => format!("{other:?}"),
    }
}

/// Plays the host: says what the server of the example says.
struct Script {
    lines: VecDeque<Vec<u8>>,
}

impl Script {
    /// Data up to the end of the command.
    fn data(&mut self) -> Vec<Vec<u8>> {
        let mut data = Vec::new();
        while self.lines.front().is_some_and(|line| line.starts_with(b"* ")) {
            data.push(self.lines.pop_front().expect("looked at just now"));
        }
        data
    }

    fn status(&mut self) -> Vec<u8> {
        self.lines.pop_front().unwrap_or_else(|| b"x OK".to_vec())
    }
}

macro_rules! finish {
    ($answer:expr, $status:expr, $out:expr) => {{
        let status = $status;
        let Response::Tagged(_, Status { condition, code, text }) = understood(&status) else {
            panic!("not the end of a command: {}", status.escape_ascii());
        };
        let reply = Reply { code, text };
        match condition {
            Condition::Ok => $answer.ok(reply, $out),
            _ => $answer.no(reply, $out),
        }
    }};
}

fn play_server(dialogue: &Dialogue) {
    let mechanisms =
        ["PLAIN", "GSSAPI", "EXTERNAL", "SCRAM-SHA-256"].map(|name| Atom::new(name).expect("an atom"));
    let mut config = ServerConfig::new(Extensions::all()).plaintext_auth().mechanisms(&mechanisms).starttls();
    if !dialogue.is_login() {
        config = config.preauth();
    }
    let (mut out, mut all, mut input) = (BytesMut::new(), Vec::new(), BytesMut::new());
    let mut session = ServerSession::new(config, Duration::ZERO, &mut out);
    let mut own = Vec::new();
    // What belongs to the example is the answer to its commands: not the greeting, nor the SELECT that goes before.
    let mut script = Script { lines: VecDeque::new() };
    if dialogue.needs_mailbox() {
        let mut select = &b"zz SELECT before\r\n"[..];
        serve(&mut session, &mut select, &mut out, &mut script, &mut own);
    }
    // Names in UTF-8, as the examples of RFC 9051 have them.
    let mut enable = if dialogue.rev2 { &b"zy ENABLE IMAP4rev2\r\n"[..] } else { b"" };
    serve(&mut session, &mut enable, &mut out, &mut script, &mut own);
    out.clear();
    let expected = messages(&dialogue.said(false), Sender::Server);
    script.lines = expected.iter().filter(|line| !is_own(line)).cloned().collect();
    for (client, lines) in &dialogue.turns {
        if session.is_idling() {
            for data in script.data() {
                let Response::Untagged(data) = understood(&data) else { panic!("no data") };
                session.idling().expect("in IDLE").untagged(&data, &mut out);
            }
        }
        if !client {
            all.extend_from_slice(&out.split());
            continue;
        }
        input.extend_from_slice(lines);
        let mut unread = &input[..];
        serve(&mut session, &mut unread, &mut out, &mut script, &mut own);
        let used = input.len() - unread.len();
        input.advance(used);
        if session.wants_tls() {
            session.handle_tls_started(Duration::ZERO);
        }
    }
    all.extend_from_slice(&out);
    let mut said: Vec<String> =
        messages(&all, Sender::Server).iter().map(|line| meaning(line, &own)).collect();
    // A greeting, and what an example says between its commands, went with the next command.
    let expected = expected.iter().filter(|line| !is_greeting(line));
    let expected: Vec<String> = expected.map(|line| meaning(line, &own)).collect();
    // RFC 7162 §3.2.11: older examples do not know CLOSED.
    said.retain(|line| dialogue.rev2 || line != "* CLOSED" || expected.contains(line));
    assert_eq!(said, expected, "RFC {}", dialogue.section);
}

/// What a session says by itself.
fn is_own(line: &[u8]) -> bool {
    match understood(line) {
        Response::Untagged(Data::Capability(_) | Data::Enabled(_)) => true,
        // Challenges are the host's; an empty one is what a server without SASL-IR says.
        Response::Continue(text) => text.as_str().is_empty() || text.as_str().contains(' '),
        Response::Untagged(Data::Status(status)) => {
            status.condition == Condition::Bye || status.code == Some(Code::Closed) || is_greeting(line)
        }
        _ => false,
    }
}

fn is_hello(text: &str) -> bool {
    text == "IMAP4rev1 Server" || ["server ready", "Service Ready"].iter().any(|words| text.contains(words))
}

fn is_greeting(line: &[u8]) -> bool {
    match understood(line) {
        Response::Untagged(Data::Status(status)) => {
            matches!(status.code, Some(Code::Capability(_))) || is_hello(status.text.as_str())
        }
        _ => false,
    }
}

fn serve(
    session: &mut ServerSession,
    input: &mut &[u8],
    out: &mut BytesMut,
    script: &mut Script,
    own: &mut Vec<String>,
) {
    let before = out.len();
    while let Some(event) = session.receive(Duration::ZERO, input, out) {
        match event {
            Event::Command(_, mut answer) | Event::AppendEnd(mut answer) | Event::IdleEnd(mut answer) => {
                for data in script.data() {
                    let Response::Untagged(data) = understood(&data) else { panic!("no data") };
                    assert!(answer.untagged(&data, out), "{data:?}");
                }
                finish!(answer, script.status(), out);
            }
            Event::Authenticate(login) if login.initial().is_none() => login.challenge(b"", out),
            Event::Authenticate(login) => match script.lines.front() {
                Some(line) if line.starts_with(b"+ ") => {
                    login.challenge(b"challenge", out);
                    script.lines.pop_front();
                }
                _ => finish!(login, script.status(), out),
            },
            Event::LoginResponse(login) => match script.lines.front() {
                Some(line) if line.starts_with(b"+ ") => {
                    login.challenge(b"challenge", out);
                    script.lines.pop_front();
                }
                _ => finish!(login, script.status(), out),
            },
            Event::StartTls(tls) => {
                tls.accept(out);
                script.lines.pop_front();
            }
            Event::Append(append) => append.accept(out),
            Event::Idle(mut idle) => {
                for data in script.data() {
                    let Response::Untagged(data) = understood(&data) else { panic!("no data") };
                    idle.untagged(&data, out);
                }
                assert_eq!(script.status(), b"+ idling");
                idle.accept(out);
            }
            Event::Chunk(_) => {}
            other => panic!("an event that this test does not know: {other:?}"),
        }
    }
    // What the session has answered by itself: it chose the words, and the script has them no more.
    let said = out[before..].to_vec();
    for line in messages(&said, Sender::Server) {
        if let Response::Tagged(tag, status) = understood(&line) {
            let words = ["CAPABILITY completed", "ENABLE completed", "LOGOUT completed", "begin TLS"];
            if words.contains(&status.text.as_str()) {
                own.push(tag.as_str().to_owned());
                let at = script
                    .lines
                    .iter()
                    .position(|line| line.starts_with(format!("{} ", tag.as_str()).as_bytes()));
                if let Some(at) = at {
                    script.lines.remove(at);
                }
            }
        }
    }
}

/// What a server says before, or between, what the example shows.
fn say(session: &mut ClientSession, text: String) {
    let mut input = text.as_bytes();
    let mut scratch = BytesMut::new();
    while session.receive(Duration::ZERO, &mut input, &mut scratch).is_some() {}
}

/// A client that has come to where the example begins.
fn client_before(dialogue: &Dialogue) -> (ClientSession, BytesMut) {
    let state = if dialogue.is_login() { "OK" } else { "PREAUTH" };
    let mut out = BytesMut::new();
    let config = ClientConfig::new().plaintext_auth();
    let mut session = ClientSession::new(config, Duration::ZERO, &mut out);
    say(&mut session, format!("* {state} [CAPABILITY {}] hello\r\n", dialogue.capabilities()));
    if !dialogue.is_login() {
        let mut tag = 0;
        let mut run = |session: &mut ClientSession, verb: Verb<'_>, untagged: &str| {
            tag += 1;
            session.send(&verb, &mut BytesMut::new()).expect("may be sent");
            say(session, format!("{untagged}a{tag} OK done\r\n"));
        };
        if dialogue.rev2 {
            let enable =
                Command::parse(b"x ENABLE IMAP4rev2", Extensions::all(), Names::Utf8).expect("valid");
            run(&mut session, enable.verb, "* ENABLED IMAP4rev2\r\n");
        }
        if dialogue.needs_mailbox() {
            let before = imap_codec::types::Mailbox::new("before").expect("a name");
            run(&mut session, Verb::Select(before.into()), "");
        }
    }
    (session, out)
}

/// The conversation that a client is to have, seen from its caller.
struct Lines {
    commands: VecDeque<Vec<u8>>,
    /// To challenges, decoded.
    responses: VecDeque<Vec<u8>>,
    /// A login is on its way: what the client says are those.
    in_login: bool,
    /// The message of an APPEND.
    payload: Vec<u8>,
    /// The tags of the example, and ours.
    tags: Vec<(String, CommandId)>,
}

/// An APPEND up to its message, and that.
fn split_append(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.windows(3).position(|three| three == b"}\r\n")?;
    let start = line[..end].iter().rposition(|octet| *octet == b'{')?;
    let head = Command::parse(&line[..start], Extensions::all(), Names::Utf8).ok()?;
    matches!(head.verb, Verb::Append(_)).then_some((&line[..start], &line[end + 3..]))
}

fn command(line: &[u8]) -> Option<Command<'_>> {
    let line = split_append(line).map_or(line, |(head, _)| head);
    Command::parse(line, Extensions::all(), Names::Utf8).ok()
}

fn base64(text: &[u8]) -> Vec<u8> {
    if text == b"=" { Vec::new() } else { STANDARD.decode(text).expect("base64") }
}

impl Lines {
    /// Sends the next command, and takes note of what its continuations will be.
    fn send(&mut self, session: &mut ClientSession, out: &mut BytesMut) -> Result<(), SendError> {
        let line = self.commands.pop_front().expect("a command");
        if line == b"DONE" {
            session.idle_done(out);
            return Ok(());
        }
        let Command { tag, verb } = command(&line).expect("a command");
        let id = match &verb {
            Verb::Idle => session.idle(out),
            Verb::StartTls => session.starttls(out),
            Verb::Append(append) => {
                self.payload = split_append(&line).expect("with its message").1.to_vec();
                session.append(append, self.payload.len() as u64, out)
            }
            Verb::Authenticate(login) => {
                while let Some(response) = self.commands.pop_front_if(|line| command(line).is_none()) {
                    self.responses.push_back(base64(&response));
                }
                self.in_login = true;
                let initial = line.split(|octet| *octet == b' ').nth(3).map(base64);
                session.authenticate(login.mechanism.clone(), initial.as_deref(), out)
            }
            verb => session.send(verb, out),
        }?;
        self.tags.push((tag.as_str().to_owned(), id));
        Ok(())
    }
}

/// Whether another client turn goes on with the command: the last line announces a literal that waits.
fn waits(lines: &[u8]) -> bool {
    lines.ends_with(b"}\r\n") && !lines.ends_with(b"+}\r\n")
}

/// What a client says has to mean the same as in the example, in the same order, and what it hears what is said there.
fn play_client(dialogue: &Dialogue) -> bool {
    let expected = messages(&dialogue.said(true), Sender::Client);
    let understood_by_us = |line: &Vec<u8>| line == b"DONE" || command(line).is_some();
    if !dialogue.has_login() && !expected.iter().all(understood_by_us) {
        return false;
    }
    let (mut session, mut out) = client_before(dialogue);
    let mut lines = Lines {
        commands: expected.iter().cloned().collect(),
        responses: VecDeque::new(),
        in_login: false,
        payload: Vec::new(),
        tags: Vec::new(),
    };
    let (mut wire, mut inside) = (Vec::new(), false);
    for (client, turn) in &dialogue.turns {
        if *client {
            let starts = if inside || lines.in_login {
                0
            } else if waits(turn) {
                1
            } else {
                messages(turn, Sender::Client).len()
            };
            inside = waits(turn);
            for _ in 0..starts {
                match lines.send(&mut session, &mut out) {
                    Ok(()) => wire.extend_from_slice(&out.split()),
                    // Commands in parallel that a server may take in any order are not sent in parallel.
                    Err(SendError::Busy) => return false,
                    Err(error) => panic!("RFC {}: {error}", dialogue.section),
                }
            }
            continue;
        }
        for line in messages(turn, Sender::Server) {
            if !is_greeting(&line) {
                hear(dialogue, &line, &mut session, &mut lines, &mut out);
            }
            // Behind a login and STARTTLS the capabilities are asked for.
            match messages(&out, Sender::Client).as_slice() {
                [asked] if command(asked).is_some_and(|asked| asked.verb == Verb::Capability) => {
                    let tag = command(asked).expect("looked at just now").tag.as_str().to_owned();
                    out.clear();
                    say(&mut session, format!("* CAPABILITY {}\r\n{tag} OK\r\n", dialogue.capabilities()));
                }
                _ => wire.extend_from_slice(&out.split()),
            }
        }
    }
    let said = messages(&wire, Sender::Client);
    assert_eq!(said.len(), expected.len(), "RFC {}", dialogue.section);
    for (said, expected) in said.iter().zip(&expected) {
        assert_eq!(split_append(said).map(|parts| parts.1), split_append(expected).map(|parts| parts.1));
        match (command(said), command(expected)) {
            (Some(said), Some(expected)) => assert_eq!(said.verb, expected.verb, "RFC {}", dialogue.section),
            _ => assert_eq!(said, expected, "RFC {}", dialogue.section),
        }
    }
    true
}

/// One response of the example, under our tag.
fn hear(
    dialogue: &Dialogue,
    line: &[u8],
    session: &mut ClientSession,
    lines: &mut Lines,
    out: &mut BytesMut,
) {
    let expected = understood(line);
    let mut octets = line.to_vec();
    if let Response::Tagged(tag, _) = &expected {
        let ours = lines.tags.iter().rev().find(|(theirs, _)| theirs == tag.as_str());
        let id = ours.expect("an answer to a command").1.to_string();
        octets = [id.as_bytes(), &line[tag.as_str().len()..]].concat();
    }
    octets.extend_from_slice(b"\r\n");
    let (mut input, mut heard) = (&octets[..], false);
    while let Some(event) = session.receive(Duration::ZERO, &mut input, out) {
        match (event, &expected) {
            (Told::Ready, _) => {}
            (Told::Data(data), Response::Untagged(expected)) => {
                assert_eq!(data, *expected);
                heard = true;
            }
            (Told::Done { status, .. }, Response::Tagged(_, expected)) => {
                assert_eq!(status, *expected);
                heard = true;
                lines.in_login = false;
            }
            // What it lets come may have come without being asked for.
            (Told::Idling | Told::Unknown(_), Response::Continue(_)) => {}
            (Told::Challenge(challenge), Response::Continue(_)) => {
                challenge.respond(&lines.responses.pop_front().expect("a response"), out);
            }
            (Told::AppendReady, _) => {
                session.append_write(&lines.payload, out);
            }
            (event, expected) => panic!("RFC {}: {event:?} for {expected:?}", dialogue.section),
        }
    }
    assert!(heard || matches!(expected, Response::Continue(_)), "RFC {}: {expected:?}", dialogue.section);
    if session.wants_tls() {
        session.handle_tls_started(Duration::ZERO);
        while session.receive(Duration::ZERO, &mut &b""[..], out).is_some() {}
    }
}

/// Whether our server can give the answers in the order in which the example has them: one command at a time.
fn is_in_order(dialogue: &Dialogue) -> bool {
    let tags = |lines: Vec<Vec<u8>>| -> Vec<String> {
        let words = lines.into_iter().filter_map(|line| {
            let word = line.split(|octet| *octet == b' ').next()?;
            (line != b"DONE" && word != b"*" && word != b"+")
                .then(|| String::from_utf8_lossy(word).into_owned())
        });
        words.collect()
    };
    let asked = tags(messages(&dialogue.said(true), Sender::Client));
    let answered = tags(messages(&dialogue.said(false), Sender::Server));
    let mut asked = asked.into_iter();
    answered.iter().all(|tag| asked.any(|each| each == *tag))
}

fn count(rfc: &Rfc, role: usize, counted: usize) {
    assert_eq!(counted, rfc.counts[role], "of RFC {}", rfc.number);
}

// Ledger: 3501-5.5-3, 5182-2.3-1, 7888-3-3, 9051-5.5-2, 9051-6.4.4.2-1
#[test]
fn servers_play_the_dialogues_of_the_rfcs() {
    for rfc in &RFCS {
        let mut played = 0;
        for dialogue in dialogues(rfc) {
            let both = dialogue.turns.iter().any(|turn| turn.0) && dialogue.turns.iter().any(|turn| !turn.0);
            if both && is_in_order(&dialogue) {
                play_server(&dialogue);
                played += 1;
            }
        }
        count(rfc, 0, played);
    }
}

// Ledger: 2177-3-2, 7162-3.1.3-7, 9051-6.3.10-2, 9208-3.2-1
#[test]
fn clients_play_the_dialogues_of_the_rfcs() {
    for rfc in &RFCS {
        count(rfc, 1, dialogues(rfc).iter().filter(|dialogue| play_client(dialogue)).count());
    }
}

// Ledger: 3501-9-1, 9051-9-1
#[test]
fn responses_of_the_rfcs_are_read_and_written_back() {
    for rfc in &RFCS {
        let mut read = 0;
        for dialogue in dialogues(rfc) {
            for line in messages(&dialogue.said(false), Sender::Server) {
                let response = understood(&line);
                let mut out = BytesMut::new();
                response.encode(Names::Utf8, &mut out);
                let again = messages(&out, Sender::Server);
                assert_eq!(understood(&again[0]), response);
                read += 1;
            }
        }
        count(rfc, 2, read);
    }
}
