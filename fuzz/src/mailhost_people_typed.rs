//! Whom a letter goes to: what is typed comes apart, and each who is in it is read back from what is shown, and from the field that is
//! written, by another reader.

use mailstore::mime::Scanner;
use mailstore::search::decode_words;

use super::compose::recipients::{parts, typed};
use super::mail::letters::one_line;
use crate::common::is_linear;
use crate::writing::{Header, Party};

/// `data` is what was typed.
pub fn run(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    let all = parts(text);
    // Nothing is left out but what parts them.
    let parted = |c: &char| !matches!(c, ',' | ';' | '\n') && !c.is_whitespace();
    assert!(
        all.iter().flat_map(|part| part.chars()).filter(parted).eq(text.chars().filter(parted)),
        "{all:?}"
    );
    assert!(all.iter().all(|part| !part.trim().is_empty()));
    let mut people = Vec::new();
    for part in all {
        let line = one_line(part);
        assert!(!line.contains(char::is_control));
        match Party::parse(&line) {
            Ok(party) => {
                let shown = typed(party.name.as_deref(), party.address.as_str());
                let [again] = parts(&shown)[..] else { panic!("{shown:?} is one") };
                let again = Party::parse(&one_line(again));
                assert_eq!(again.as_ref().map(|again| &again.address), Ok(&party.address), "{shown:?}");
                assert_eq!(
                    again.map(|again| name(&again)),
                    Ok(name(&party).replace("=?", "= ?")),
                    "{shown:?}"
                );
                people.push(party);
            }
            Err(why) => {
                let why = why.to_string();
                // What is wrong is said on one line, and no letter steers anything.
                assert!(why.chars().all(|c| matches!(c, ' '..='~')), "{why:?}");
                assert!(why.len() <= 24 * line.len() + 200);
            }
        }
    }
    people.truncate(MOST);
    sent(&people);
    is_linear(text, |text| drop(parts(text)));
}

/// The field as it goes out.
fn sent(people: &[Party]) {
    let mut header = Header::default();
    header.parties("To", people);
    let field = header.as_bytes();
    if people.is_empty() {
        return assert!(field.is_empty());
    }
    let lines: Vec<&str> = str::from_utf8(field).expect("a field is ASCII").split("\r\n").collect();
    let (last, lines) = lines.split_last().expect("a line");
    assert!(last.is_empty() && lines[0].starts_with("To: "), "{lines:?}");
    assert!(lines[1..].iter().all(|line| line.starts_with(' ')), "{lines:?}");
    for line in lines {
        assert!(line.bytes().all(|octet| matches!(octet, b' '..=b'~')) && line.len() <= 998, "{line:?}");
    }
    let mut scanner = Scanner::new();
    scanner.push(&[field, b"\r\n"].concat());
    let structure = scanner.finish();
    let envelope = structure.root().envelope().expect("a header has one");
    let read: Vec<(String, String)> = envelope
        .to()
        .map(|one| {
            let part = |octets: Option<_>| -> String {
                octets
                    .map(|octets: std::borrow::Cow<'_, [u8]>| String::from_utf8_lossy(&octets).into_owned())
                    .unwrap_or_default()
            };
            let name = one.name.as_deref().map(decode_words).unwrap_or_default();
            (words(&name), format!("{}@{}", part(one.mailbox), part(one.host)))
        })
        .collect();
    let meant: Vec<(String, String)> = people
        .iter()
        .map(|party| {
            (name(party), format!("{}@{}", party.address.local_part_unquoted(), party.address.domain()))
        })
        .collect();
    assert_eq!(read, meant, "{lines:?}");
}

fn name(party: &Party) -> String {
    words(party.name.as_deref().unwrap_or_default())
}

/// Space is space.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A field of so many is read whole.
const MOST: usize = 50;
