//! Search keys are what a slow and obvious reading makes of them, none deeper than 32, and walking them ends.

use imap_codec::command::search::NESTING;
use imap_codec::command::{Command, SearchKey, SearchKeys, Verb};
use imap_codec::encode::Names;
use imap_codec::extension::Extensions;

use crate::common::Steps;

/// `data` is what stands behind SEARCH.
pub fn run(data: &[u8]) {
    // A whole command is one too.
    let search = data.windows(7).position(|octets| octets.eq_ignore_ascii_case(b"SEARCH "));
    let data = &data[search.map_or(0, |at| at + 7)..];
    let line = [b"a SEARCH ", data].concat();
    let read = Command::parse(&line, Extensions::all(), Names::Utf7);
    let Ok(Command { verb: Verb::Search { search, .. }, .. }) = read else {
        return;
    };
    // Each level is read again where it is walked: as many steps for an octet as there are levels.
    let mut steps = Steps::for_octets(data.len() * NESTING as usize);
    let mut walked = Vec::new();
    walk(&search.keys, 1, &mut walked, &mut steps);
    assert!(!walked.is_empty(), "one key or more");
    let mut tokens = tokens(data);
    // Behind RETURN (...) and CHARSET x.
    if tokens.first().is_some_and(|token| token.eq_ignore_ascii_case("return")) {
        let end = tokens.iter().position(|token| token == ")").expect("a list has an end");
        tokens.drain(..=end);
    }
    if tokens.first().is_some_and(|token| token.eq_ignore_ascii_case("charset")) {
        tokens.drain(..2);
    }
    let (mut rest, mut obvious) = (&tokens[..], Vec::new());
    while !rest.is_empty() {
        key(&mut rest, 1, &mut obvious);
    }
    assert_eq!(walked, obvious);
}

/// The shape of keys: how deep each is, and what kind.
fn walk(keys: &SearchKeys<'_>, depth: u32, walked: &mut Vec<(u32, String)>, steps: &mut Steps) {
    assert!(depth <= NESTING);
    for key in keys.iter() {
        steps.count();
        let mut within = |name: &str, of: &[&SearchKeys<'_>]| {
            walked.push((depth, name.to_owned()));
            of.iter().for_each(|keys| walk(keys, depth + 1, walked, steps));
        };
        match key {
            SearchKey::Not(keys) => within("NOT", &[&keys]),
            SearchKey::Or(one, other) => within("OR", &[&one, &other]),
            SearchKey::Group(keys) => within("(", &[&keys]),
            SearchKey::Numbers(_) => within("NUMBERS", &[]),
            other => {
                let name = format!("{other:?}");
                let end = name.find('(').unwrap_or(name.len());
                within(&name[..end].to_uppercase(), &[]);
            }
        }
    }
}

/// The same, from tokens and by plain recursion.
fn key(rest: &mut &[String], depth: u32, found: &mut Vec<(u32, String)>) {
    let (first, behind) = rest.split_first().expect("a key");
    *rest = behind;
    let name = first.to_uppercase();
    let arguments = match &name[..] {
        "(" => {
            found.push((depth, name));
            while rest[0] != ")" {
                key(rest, depth + 1, found);
            }
            *rest = &rest[1..];
            return;
        }
        "NOT" | "OR" => {
            let count = if name == "OR" { 2 } else { 1 };
            found.push((depth, name));
            (0..count).for_each(|_| key(rest, depth + 1, found));
            return;
        }
        "HEADER" => 2,
        // An entry and its type, if there is one.
        "MODSEQ" if !rest[0].starts_with(|first: char| first.is_ascii_digit()) => 3,
        "BCC" | "BODY" | "CC" | "FROM" | "SUBJECT" | "TEXT" | "TO" | "KEYWORD" | "UNKEYWORD" | "BEFORE"
        | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE" | "LARGER" | "SMALLER" | "UID"
        | "MODSEQ" => 1,
        _ => 0,
    };
    *rest = &rest[arguments..];
    let number = name.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '*' | '$'));
    found.push((depth, if number { "NUMBERS".to_owned() } else { name }));
}

/// Parentheses, strings and words. A string is `"`, whatever it holds, so that it is no keyword and no parenthesis.
fn tokens(data: &[u8]) -> Vec<String> {
    let (mut tokens, mut rest) = (Vec::new(), data);
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b' ' => {}
            b'(' | b')' => tokens.push((*first as char).to_string()),
            b'"' => {
                while let Some((octet, behind)) = rest.split_first() {
                    rest = behind;
                    match octet {
                        b'"' => break,
                        b'\\' => rest = &rest[1..],
                        _ => {}
                    }
                }
                tokens.push("\"".to_owned());
            }
            b'{' => {
                let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
                let size: usize = str::from_utf8(&rest[..digits]).expect("digits").parse().expect("a size");
                let line = rest.iter().position(|octet| *octet == b'\n').expect("the end of the line");
                rest = &rest[line + 1 + size..];
                tokens.push("\"".to_owned());
            }
            _ => {
                let count = rest.iter().take_while(|octet| !matches!(octet, b' ' | b'(' | b')')).count();
                let word = [&[*first], &rest[..count]].concat();
                rest = &rest[count..];
                tokens.push(String::from_utf8(word).expect("words are ASCII"));
            }
        }
    }
    tokens
}
