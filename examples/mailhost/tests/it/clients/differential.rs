//! This host and Dovecot over the same messages: what FETCH and SEARCH say has to be equal, or the difference stands in
//! `differences.txt`, with a verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::server::{Kind, Server};
use super::typed::{Typed, Value, items, seconds};
use super::work::samples;
use crate::support::{is_installed, run, skip};

/// A line for each difference that is known: what was asked, of which message, ours, theirs, and why that is right.
const KNOWN: &str = include_str!("differences.txt");
/// A search on each line.
const SEARCHES: &str = include_str!("searches.txt");

/// What is fetched of every message.
const ITEMS: &[&str] = &[
    "ENVELOPE",
    "BODYSTRUCTURE",
    "BODY",
    "RFC822.SIZE",
    "INTERNALDATE",
    "FLAGS",
    "BODY.PEEK[]",
    "BODY.PEEK[HEADER]",
    "BODY.PEEK[TEXT]",
    "RFC822.HEADER",
    "BODY.PEEK[HEADER.FIELDS (From to SUBJECT x-none)]",
    "BODY.PEEK[HEADER.FIELDS (Received)]",
    "BODY.PEEK[HEADER.FIELDS.NOT (Received Content-Type To)]",
    "BODY.PEEK[1]",
    "BODY.PEEK[1.MIME]",
    "BODY.PEEK[1.HEADER]",
    "BODY.PEEK[1.TEXT]",
    "BODY.PEEK[1.1]",
    "BODY.PEEK[1.1.MIME]",
    "BODY.PEEK[1.2]",
    "BODY.PEEK[1.1.1]",
    "BODY.PEEK[2]",
    "BODY.PEEK[2.MIME]",
    "BODY.PEEK[2.HEADER]",
    "BODY.PEEK[2.HEADER.FIELDS (Subject From)]",
    "BODY.PEEK[2.TEXT]",
    "BODY.PEEK[2.1]",
    "BODY.PEEK[2.1.1]",
    "BODY.PEEK[2.2]",
    "BODY.PEEK[3]",
    "BODY.PEEK[3.1]",
    "BODY.PEEK[4]",
    "BODY.PEEK[9]",
    "BODY.PEEK[]<0.20>",
    "BODY.PEEK[]<10.1000>",
    "BODY.PEEK[]<100000.5>",
    "BODY.PEEK[TEXT]<5.7>",
    "BODY.PEEK[HEADER]<3.30>",
    "BODY.PEEK[1]<2.9>",
    "BODY.PEEK[HEADER.FIELDS (Subject)]<4.10>",
    "BINARY.PEEK[1]",
    "BINARY.SIZE[1]",
    "BINARY.PEEK[2]",
];

/// The names and octets of messages.
type Messages = Vec<(String, Vec<u8>)>;

/// Those of Python's tests with our own, and those of Python's tests that Debian's version does not have.
fn messages() -> Option<(Messages, Messages)> {
    let program = "import os, test.test_email; print(os.path.dirname(test.test_email.__file__))";
    let python = run(Command::new("python3").args(["-c", program]), "").stdout;
    let folders = ["/usr/lib/python3.11/test/test_email", python.trim()].map(PathBuf::from);
    let mut found = BTreeMap::new();
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder.join("data")) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name.ends_with(".txt") {
                found.entry(name).or_insert_with(|| with_crlf(&fs::read(path).unwrap()));
            }
        }
    }
    let newer = found.split_off("msg_46.txt\0");
    if found.len() != 47 {
        return None;
    }
    let own = samples().into_iter().map(|sample| (sample.name.to_owned(), sample.octets));
    Some((found.into_iter().chain(own).collect(), newer.into_iter().collect()))
}

/// As a mail program would send it: other line ends than CRLF become that.
fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let (mut out, mut last) = (Vec::new(), 0);
    for octet in octets {
        match octet {
            b'\n' if last == b'\r' => {}
            b'\r' | b'\n' => out.extend(b"\r\n"),
            other => out.push(*other),
        }
        last = *octet;
    }
    if !out.ends_with(b"\r\n") {
        out.extend(b"\r\n");
    }
    out
}

/// Both with the same messages, dates and flags.
fn fill(server: &Server, messages: &Messages, newer: &Messages) -> Typed {
    let mut typed = Typed::log_in(server);
    typed.does("CREATE Newer");
    for (_, octets) in newer {
        typed.append("Newer", "\"01-Jan-2026 00:00:00 +0000\" ", octets);
    }
    let flags = [
        "",
        "\\Seen",
        "\\Flagged",
        "\\Answered \\Seen",
        "\\Draft",
        "$Forwarded",
        "\\Deleted",
        "project \\Seen",
    ];
    for (number, (_, octets)) in messages.iter().enumerate() {
        let arguments = format!(
            "({}) \"{:02}-{}-2026 {:02}:30:00 {}\" ",
            flags[number % flags.len()],
            number % 28 + 1,
            ["Jan", "Feb", "Mar"][number % 3],
            number % 24,
            ["+0000", "-0500", "+0530"][number % 3],
        );
        typed.append("INBOX", &arguments, octets);
    }
    look(server, "INBOX")
}

/// A session that sees what there is.
fn look(server: &Server, mailbox: &str) -> Typed {
    let mut typed = Typed::log_in(server);
    typed.does(&format!("EXAMINE {mailbox}"));
    typed
}

/// What means the same is made equal: the case of media types, names of parameters and encodings, how a date is written,
/// the order of flags, and whether the charset that a text has without a word is said (RFC 2046 §4.1.2).
fn plain(item: &str, value: &Value) -> Value {
    match (item, value) {
        ("BODYSTRUCTURE" | "BODY", Value::List(parts)) => Value::List(structure(parts)),
        ("INTERNALDATE", value) => Value::Atom(seconds(&value.text()).to_string()),
        ("FLAGS", Value::List(flags)) => {
            let flags: BTreeSet<String> = flags.iter().map(Value::text).collect();
            Value::List(flags.into_iter().filter(|flag| flag != "\\Recent").map(Value::Atom).collect())
        }
        (_, value) => value.clone(),
    }
}

fn structure(parts: &[Value]) -> Vec<Value> {
    let upper = |value: &Value| match value {
        Value::Text(text) => Value::Text(text.to_ascii_uppercase()),
        other => other.clone(),
    };
    let parameters = |value: &Value| match value {
        Value::List(pairs) => {
            let pairs = pairs.chunks(2).map(|pair| [upper(&pair[0]), pair[1].clone()]);
            let default = |pair: &[Value; 2]| {
                matches!(pair, [Value::Text(name), Value::Text(value)]
                if name == b"CHARSET" && value.eq_ignore_ascii_case(b"us-ascii"))
            };
            let pairs: Vec<Value> = pairs.filter(|pair| !default(pair)).flatten().collect();
            if pairs.is_empty() { Value::Atom("NIL".to_owned()) } else { Value::List(pairs) }
        }
        other => other.clone(),
    };
    let many = parts.iter().take_while(|part| matches!(part, Value::List(_))).count();
    let extension = |value: &Value| match value {
        // The disposition: a word and its parameters.
        Value::List(two) if two.len() == 2 && !matches!(two[1], Value::Text(_)) => {
            Value::List(vec![upper(&two[0]), parameters(&two[1])])
        }
        other => other.clone(),
    };
    if many > 0 {
        let mut out: Vec<Value> = parts[..many]
            .iter()
            .map(|part| match part {
                Value::List(part) => Value::List(structure(part)),
                other => other.clone(),
            })
            .collect();
        for (at, part) in parts[many..].iter().enumerate() {
            out.push(match at {
                0 => upper(part),
                1 => parameters(part),
                _ => extension(part),
            });
        }
        return out;
    }
    let is_message = matches!(parts, [Value::Text(kind), Value::Text(sub), ..]
        if kind.eq_ignore_ascii_case(b"message") && sub.eq_ignore_ascii_case(b"rfc822"));
    let parts = parts.iter().enumerate().map(|(at, part)| match (at, part) {
        (0 | 1 | 5, part) => upper(part),
        (2, part) => parameters(part),
        (8, Value::List(inner)) if is_message => Value::List(structure(inner)),
        (9.., part) => extension(part),
        (_, part) => part.clone(),
    });
    parts.collect()
}

/// By the number of the message, what an item is.
fn fetch(server: &Server, typed: &mut Typed, mailbox: &str, item: &str, count: usize) -> Vec<String> {
    // What cannot be decoded is an error of its message alone.
    let sets: Vec<String> = match item.starts_with("BINARY") {
        true => (1..=count).map(|number| number.to_string()).collect(),
        false => vec!["1:*".to_owned()],
    };
    let mut found = vec!["nothing".to_owned(); count];
    let nothing = Value::Text(Vec::new());
    for set in sets {
        let answer = typed.try_answer(&format!("FETCH {set} ({item})"));
        let (responses, end) = answer.unwrap_or_else(|| (Vec::new(), "the end of the connection".to_owned()));
        if !end.starts_with("OK") {
            *typed = look(server, mailbox);
            if let Ok(number) = set.parse::<usize>() {
                found[number - 1] = end.split(['.', '(']).next().unwrap_or_default().to_owned();
            }
        }
        for response in &responses {
            let Some(items) = items(response) else { continue };
            let number: usize = response[0].text().parse().unwrap();
            let all = items.iter().map(|(name, value)| {
                // RFC 9051 §9: names of fields are compared without case, and a part that is not there has no octets.
                let value = if matches!(value, Value::Atom(nil) if nil == "NIL" && name.starts_with('B')) {
                    &nothing
                } else {
                    value
                };
                format!("{} {}", name.to_ascii_uppercase(), shown(&plain(name, value)))
            });
            found[number - 1] = all.collect::<Vec<_>>().join(" ");
        }
    }
    found
}

fn shown(value: &Value) -> String {
    match value {
        Value::Atom(atom) => atom.to_ascii_uppercase(),
        Value::Text(octets) => format!("\"{}\"", octets.escape_ascii()),
        Value::List(values) => format!("({})", values.iter().map(shown).collect::<Vec<_>>().join(" ")),
    }
}

/// What a search finds, with strings that are not ASCII as literals.
fn search(server: &Server, typed: &mut Typed, program: &str) -> String {
    let mut command = "SEARCH ".to_owned();
    for (at, part) in program.split('"').enumerate() {
        command += &match at % 2 {
            1 if !part.is_ascii() => format!("{{{}+}}\r\n{part}", part.len()),
            1 => format!("\"{part}\""),
            _ => part.to_owned(),
        };
    }
    let (responses, end) = typed.answer(&command);
    let found = responses.iter().find_map(|response| match &response[..] {
        [Value::Atom(word), found @ ..] if word == "SEARCH" => {
            let numbers: BTreeSet<u32> = found.iter().filter_map(|value| value.text().parse().ok()).collect();
            Some(numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
        }
        [Value::Atom(word), Value::List(_), found @ ..] if word == "ESEARCH" => {
            let pairs: BTreeSet<String> =
                found.chunks(2).map(|pair| pair.iter().map(shown).collect::<Vec<_>>().join(" ")).collect();
            Some(pairs.into_iter().collect::<Vec<_>>().join(" "))
        }
        _ => None,
    });
    match end.split(' ').next() {
        Some("OK") => found.unwrap_or_default(),
        word => {
            // Neither bears many mistakes in one session.
            *typed = look(server, "INBOX");
            word.unwrap_or_default().to_owned()
        }
    }
}

/// The names of the messages that were found, or what was said instead.
fn named(found: &str, messages: &Messages) -> BTreeSet<String> {
    let name = |word: &str| match word.parse::<usize>() {
        Ok(number) => messages[number - 1].0.clone(),
        Err(_) => word.to_owned(),
    };
    match found.starts_with(|first: char| first.is_ascii_digit()) {
        true => found.split(' ').map(name).collect(),
        false => [found.to_owned()].into_iter().filter(|found| !found.is_empty()).collect(),
    }
}

/// What is different in two texts, without what is equal in front and behind, and not too much of it.
fn parted(ours: &str, theirs: &str) -> (String, String) {
    let (ours, theirs): (Vec<char>, Vec<char>) = (ours.chars().collect(), theirs.chars().collect());
    let front = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let left = ours.len().min(theirs.len()) - front;
    let behind =
        ours.iter().rev().zip(theirs.iter().rev()).take(left).take_while(|(ours, theirs)| ours == theirs);
    let behind = behind.count();
    let cut = |text: &[char]| -> String {
        let text: String = text[front..text.len() - behind].iter().collect();
        match text.char_indices().nth(60) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    };
    (cut(&ours), cut(&theirs))
}

#[test]
fn what_is_fetched_and_found_is_what_dovecot_says() {
    let test = "what_is_fetched_and_found_is_what_dovecot_says";
    if !is_installed("python3", "--version") {
        return skip(test, "python3 is not installed");
    }
    let Some((messages, newer)) = messages() else {
        return skip(test, "python3 is here without its tests (libpython3.11-testsuite)");
    };
    let Some(dovecot) = Server::start(Kind::Dovecot, test) else { return };
    let Some(host) = Server::start(Kind::Ours, test) else { return };
    let mut sessions = [&host, &dovecot].map(|server| (server, fill(server, &messages, &newer)));
    let mut found = BTreeSet::new();
    let mut compared = 0;
    let mut note = |asked: &str, of: &str, ours: &str, theirs: &str| {
        compared += 1;
        if ours != theirs {
            found.insert(format!("{asked}\t{of}\t{ours}\t{theirs}"));
        }
    };
    for (mailbox, messages) in [("Newer", &newer), ("INBOX", &messages)] {
        for (server, typed) in &mut sessions {
            *typed = look(server, mailbox);
        }
        for item in ITEMS.iter().filter(|_| !messages.is_empty()) {
            let [ours, theirs] = sessions
                .each_mut()
                .map(|(server, typed)| fetch(server, typed, mailbox, item, messages.len()));
            for (number, (name, _)) in messages.iter().enumerate() {
                let (ours, theirs) = parted(&ours[number], &theirs[number]);
                note(item, name, &ours, &theirs);
            }
        }
    }
    let mut searches = 0;
    for program in SEARCHES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let both = sessions.each_mut().map(|(server, typed)| search(server, typed, program));
        let [ours, theirs] = both.map(|found| named(&found, &messages));
        let only = |some: &BTreeSet<String>, others: &BTreeSet<String>| -> String {
            some.difference(others).cloned().collect::<Vec<_>>().join(", ")
        };
        note(&format!("SEARCH {program}"), "", &only(&ours, &theirs), &only(&theirs, &ours));
        searches += 1;
    }
    let verdicts: BTreeMap<&str, &str> = KNOWN
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once('\t').expect("a difference and its verdict"))
        // Not every Python has brought the newer ones.
        .filter(|(line, _)| !newer.is_empty() || !line.contains("\tmsg_47.txt\t"))
        .collect();
    let known: BTreeSet<String> = verdicts.keys().map(|line| (*line).to_owned()).collect();
    println!(
        "{} messages, {} items, {searches} searches: {compared} compared, {} differ",
        messages.len(),
        ITEMS.len(),
        found.len()
    );
    let new: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    for line in &new {
        println!("new: {line}");
    }
    for line in &gone {
        println!("gone: {line}");
    }
    assert!(new.is_empty() && gone.is_empty(), "{} new, {} gone", new.len(), gone.len());
    for (line, verdict) in verdicts {
        let known = ["ours is right: ", "both allowed: "].iter().any(|start| verdict.starts_with(start));
        assert!(known, "{line}: {verdict:?}");
    }
}
