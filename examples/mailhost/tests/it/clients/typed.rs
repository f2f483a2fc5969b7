//! An IMAP session that the test types, with a reader of its own: what a client saw is judged by no client.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::server::{LOGIN, Server};
use crate::support::{PASSWORD, Wire};

/// A session behind its login.
pub(super) struct Typed {
    wire: Wire,
    commands: u32,
}

/// A part of a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    /// What stands there as it is: atoms, numbers, NIL, flags, names of items with their brackets.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    List(Vec<Self>),
}

/// What an account has, by the names of the mailboxes in Unicode.
pub(super) type View = BTreeMap<String, Vec<Message>>;

#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Message {
    pub(super) uid: u32,
    /// Without \Recent, which belongs to a session.
    pub(super) flags: BTreeSet<String>,
    /// INTERNALDATE, since 1970.
    pub(super) seconds: i64,
    pub(super) octets: Vec<u8>,
}

impl Typed {
    #[track_caller]
    pub(super) fn log_in(server: &Server) -> Self {
        let mut typed = Self { wire: Wire::connect(server.imap()), commands: 0 };
        let greeting = typed.wire.line();
        assert!(greeting.starts_with("* OK "), "{greeting}");
        typed.does(&format!("LOGIN {LOGIN} \"{PASSWORD}\""));
        typed
    }

    /// A command that succeeds; gives the untagged responses, each without its star.
    #[track_caller]
    pub(super) fn does(&mut self, command: &str) -> Vec<Vec<Value>> {
        let (responses, end) = self.answer(command);
        assert!(end.starts_with("OK"), "{command}: {end}");
        responses
    }

    /// A command, its untagged responses, and what stands behind its tag.
    #[track_caller]
    pub(super) fn answer(&mut self, command: &str) -> (Vec<Vec<Value>>, String) {
        self.try_answer(command).unwrap_or_else(|| panic!("{command}: the end of the connection"))
    }

    /// The same, or nothing if the server ends the connection.
    #[track_caller]
    pub(super) fn try_answer(&mut self, command: &str) -> Option<(Vec<Vec<Value>>, String)> {
        let tag = self.begin(command);
        self.finish(&tag)
    }

    /// What is the tag of a command that is sent with this.
    #[track_caller]
    fn begin(&mut self, command: &str) -> String {
        self.commands += 1;
        let tag = format!("t{}", self.commands);
        self.wire.send(format!("{tag} {command}\r\n"));
        tag
    }

    #[track_caller]
    fn finish(&mut self, tag: &str) -> Option<(Vec<Vec<Value>>, String)> {
        let mut responses = Vec::new();
        loop {
            let response = self.response()?;
            if let Some(end) = response.strip_prefix(format!("{tag} ").as_bytes()) {
                return Some((responses, String::from_utf8_lossy(end).into_owned()));
            }
            let data = response.strip_prefix(b"* ");
            let data = data.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&response)));
            responses.push(values(data));
        }
    }

    /// A whole response, with its literals, without its last CRLF.
    #[track_caller]
    fn response(&mut self) -> Option<Vec<u8>> {
        let mut response = Vec::new();
        loop {
            response.extend(self.wire.try_line().expect("a line"));
            if !response.ends_with(b"\r\n") {
                return None;
            }
            let Some(size) = announced(&response) else { break };
            response.extend_from_slice(self.wire.exactly(size));
        }
        response.truncate(response.len() - 2);
        Some(response)
    }

    /// Appends to a mailbox whose name needs no quotes.
    #[track_caller]
    pub(super) fn append(&mut self, mailbox: &str, arguments: &str, octets: &[u8]) {
        let tag = self.begin(&format!("APPEND {mailbox} {arguments}{{{}}}", octets.len()));
        let response = self.response().expect("a response");
        assert!(response.starts_with(b"+"), "{}", String::from_utf8_lossy(&response));
        self.wire.send(octets);
        self.wire.send("\r\n");
        let (_, end) = self.finish(&tag).expect("an answer");
        assert!(end.starts_with("OK"), "{end}");
    }

    /// The names of all mailboxes, as they go over the wire.
    #[track_caller]
    pub(super) fn names(&mut self, command: &str) -> Vec<String> {
        let listed = self.does(&format!("{command} \"\" \"*\""));
        let names = listed.iter().filter_map(|response| match &response[..] {
            [Value::Atom(word), Value::List(attributes), _, name, ..] if command.starts_with(word) => {
                let there = attributes
                    .iter()
                    .all(|attribute| !matches!(&*attribute.text(), "\\Noselect" | "\\NonExistent"));
                there.then(|| name.text())
            }
            _ => None,
        });
        names.collect()
    }

    /// The messages of a mailbox.
    #[track_caller]
    pub(super) fn messages(&mut self, mailbox: &str) -> Vec<Message> {
        let name = mailbox.replace('\\', "\\\\").replace('"', "\\\"");
        let selected = self.does(&format!("EXAMINE \"{name}\""));
        let exists = selected.iter().find_map(|response| match &response[..] {
            [Value::Atom(number), Value::Atom(word)] if word == "EXISTS" => Some(number.clone()),
            _ => None,
        });
        let exists: usize = exists.expect("EXISTS").parse().unwrap();
        if exists == 0 {
            return Vec::new();
        }
        let fetched = self.does("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])");
        let messages: Vec<Message> = fetched.iter().filter_map(|response| message(response)).collect();
        assert_eq!(messages.len(), exists, "{mailbox}");
        messages
    }

    /// All there is.
    #[track_caller]
    pub(super) fn view(&mut self) -> View {
        let names = self.names("LIST");
        names.iter().map(|name| (unicode(name), self.messages(name))).collect()
    }
}

impl Value {
    /// An atom or a string that has to be text.
    #[track_caller]
    pub(super) fn text(&self) -> String {
        match self {
            Self::Atom(atom) => atom.clone(),
            Self::Text(octets) => String::from_utf8(octets.clone()).unwrap(),
            Self::List(_) => panic!("{self:?} is not text"),
        }
    }
}

/// The items of a FETCH response, by their names.
pub(super) fn items(response: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let [Value::Atom(_), Value::Atom(word), Value::List(items)] = response else { return None };
    let pairs = items.chunks(2).map(|pair| match pair {
        [Value::Atom(name), value] => (&**name, value),
        other => panic!("{other:?} in {items:?}"),
    });
    (word == "FETCH").then(|| pairs.collect())
}

#[track_caller]
fn message(response: &[Value]) -> Option<Message> {
    let items = items(response)?;
    let octets = match items["BODY[]"] {
        Value::Text(octets) => octets.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(items["RFC822.SIZE"].text(), octets.len().to_string());
    let Value::List(flags) = items["FLAGS"] else { panic!("{items:?}") };
    Some(Message {
        uid: items["UID"].text().parse().unwrap(),
        flags: flags.iter().map(Value::text).filter(|flag| flag != "\\Recent").collect(),
        seconds: seconds(&items["INTERNALDATE"].text()),
        octets,
    })
}

/// The size of the literal that follows this line.
fn announced(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}\r\n")?;
    let open = line.iter().rposition(|octet| *octet == b'{')?;
    std::str::from_utf8(&line[open + 1..]).ok()?.parse().ok()
}

/// A response in its parts; the text behind a status is one of them.
pub(super) fn values(mut response: &[u8]) -> Vec<Value> {
    for status in [&b"OK "[..], b"NO ", b"BAD ", b"BYE ", b"PREAUTH "] {
        if let Some(text) = response.strip_prefix(status) {
            let word = String::from_utf8_lossy(status.trim_ascii_end()).into_owned();
            return vec![Value::Atom(word), Value::Text(text.to_vec())];
        }
    }
    let values = list(&mut response);
    assert!(response.is_empty(), "behind {values:?}: {:?}", String::from_utf8_lossy(response));
    values
}

/// Up to the end, or to a parenthesis that closes.
fn list(rest: &mut &[u8]) -> Vec<Value> {
    let mut values = Vec::new();
    loop {
        match rest.first() {
            None | Some(b')') => return values,
            Some(b' ') => *rest = &rest[1..],
            Some(b'(') => {
                *rest = &rest[1..];
                values.push(Value::List(list(rest)));
                *rest = rest.strip_prefix(b")").unwrap_or_else(|| panic!("open behind {values:?}"));
            }
            Some(b'"') => values.push(Value::Text(quoted(rest))),
            // RFC 9051 §4.3: what is binary has a tilde in front.
            Some(b'~') if rest.starts_with(b"~{") => *rest = &rest[1..],
            Some(b'{') => {
                let end = rest.iter().position(|octet| *octet == b'\n').expect("a literal") + 1;
                let size = announced(&rest[..end]).expect("the size of a literal");
                values.push(Value::Text(rest[end..end + size].to_vec()));
                *rest = &rest[end + size..];
            }
            Some(_) => values.push(Value::Atom(atom(rest))),
        }
    }
}

fn quoted(rest: &mut &[u8]) -> Vec<u8> {
    let (mut text, mut at) = (Vec::new(), 1);
    while rest[at] != b'"' {
        at += usize::from(rest[at] == b'\\');
        text.push(rest[at]);
        at += 1;
    }
    *rest = &rest[at + 1..];
    text
}

/// Up to a space or a parenthesis that is not in brackets.
fn atom(rest: &mut &[u8]) -> String {
    let mut brackets = 0;
    let end = rest.iter().position(|octet| {
        match octet {
            b'[' => brackets += 1,
            b']' => brackets -= 1,
            b' ' | b'(' | b')' => return brackets == 0,
            _ => {}
        }
        false
    });
    let (atom, behind) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = behind;
    String::from_utf8(atom.to_vec()).expect("an atom is ASCII")
}

/// RFC 9051 §9: date-time, as seconds since 1970.
#[track_caller]
pub(super) fn seconds(text: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| text[range].trim().parse::<i64>().unwrap();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = 1 + months.iter().position(|month| *month == &text[3..6]).expect("a month") as i64;
    let (year, day) = (number(7..11), number(0..2));
    // Years begin in March, so that the odd day is their last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let time = number(12..14) * 3600 + number(15..17) * 60 + number(18..20);
    let zone = number(22..24) * 3600 + number(24..26) * 60;
    days * 86_400 + time - if &text[21..22] == "-" { -zone } else { zone }
}

/// A mailbox's name as people see it (RFC 3501 §5.1.3).
pub(super) fn unicode(name: &str) -> String {
    let mut parts = name.split('&');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (shifted, plain) = part.split_once('-').expect("the end of a shift");
        if shifted.is_empty() {
            text.push('&');
        } else {
            let octets = STANDARD_NO_PAD.decode(shifted.replace(',', "/")).expect("base64");
            let units: Vec<u16> =
                octets.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            text.push_str(&String::from_utf16(&units).expect("UTF-16"));
        }
        text.push_str(plain);
    }
    text
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.octets[..self.octets.len().min(100)];
        let (size, shown) = (self.octets.len(), shown.escape_ascii());
        write!(f, "{} {:?} {} {size} octets: {shown}", self.uid, self.flags, self.seconds)
    }
}

#[test]
fn a_date_is_read() {
    assert_eq!(seconds("01-Jan-1970 00:00:00 +0000"), 0);
    assert_eq!(seconds("29-Feb-2024 23:59:59 -0130"), 1_709_256_599);
    assert_eq!(seconds(" 1-Mar-2024 01:29:59 +0000"), 1_709_256_599);
    assert_eq!(seconds("17-Jul-1996 02:44:25 -0700"), 837_596_665);
}

#[test]
fn a_response_is_read() {
    let response = b"1 FETCH (UID 7 FLAGS (\\Seen a) BODY[HEADER.FIELDS (\"A\" b)]<3> {4}\r\n)\" x BODY[] \"a\\\"\\\\\" X NIL)";
    let atom = |text: &str| Value::Atom(text.to_owned());
    let text = |text: &[u8]| Value::Text(text.to_vec());
    let all = [
        atom("UID"),
        atom("7"),
        atom("FLAGS"),
        Value::List(vec![atom("\\Seen"), atom("a")]),
        atom("BODY[HEADER.FIELDS (\"A\" b)]<3>"),
        text(b")\" x"),
        atom("BODY[]"),
        text(b"a\"\\"),
        atom("X"),
        atom("NIL"),
    ];
    assert_eq!(values(response), [atom("1"), atom("FETCH"), Value::List(all.to_vec())]);
    assert_eq!(values(b"OK [X (] a"), [atom("OK"), text(b"[X (] a")]);
    assert_eq!(values(b"SEARCH"), [atom("SEARCH")]);
}

#[test]
fn a_name_is_read() {
    assert_eq!(unicode("Entw&APw-rfe &- more"), "Entwürfe & more");
    assert_eq!(unicode("~peter/mail/&U,BTFw-/&ZeVnLIqe-"), "~peter/mail/台北/日本語");
}
