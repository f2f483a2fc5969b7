//! What is typed into the search field: a query that a search takes, read as a slow and obvious reading has it, or words that say
//! what was not understood.

use mailstore::search::{Key, Query, Search};

use super::mail::search::query::{LONGEST, Words, everywhere};
use crate::common::is_linear;

/// `data` is what was typed.
pub fn run(data: &[u8]) {
    let typed = &*String::from_utf8_lossy(data);
    let text: String = typed.chars().take(LONGEST).collect();
    let words = Words::read(&text);
    assert!(Search::new(words.query.clone()).is_ok(), "a search takes it: {text:?}");
    assert!(words.doubts.len() <= MOST + 1, "{:?}", words.doubts);
    assert!(words.doubts.iter().map(String::len).sum::<usize>() <= text.len() + 200 * (MOST + 1));
    // The link to all folders leads to the same search.
    let there = Words::read(&everywhere(&text));
    assert!(there.everywhere && there.query == words.query, "{text:?}");
    assert!(there.doubts == words.doubts || text.starts_with("in:all "), "{text:?}");
    if let Some((query, all)) = obvious(&text) {
        assert_eq!(words.query, query, "{text:?}");
        assert!(!words.everywhere && words.doubts.len() == usize::from(!all), "{text:?}");
    }
    is_linear(typed, |text| drop(Words::read(text)));
}

/// What words mean that are looked for in texts, and whether all of them count; `None` where there is anything else.
fn obvious(text: &str) -> Option<(Query, bool)> {
    let (mut rest, mut query, mut count) = (text, Query::all(), 0);
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Some((query, true)) };
        let mut word = String::new();
        let mut in_quotes = first == '"';
        let whole = in_quotes;
        let mut chars = rest[usize::from(whole)..].chars();
        for c in chars.by_ref() {
            match c {
                '"' if in_quotes => {
                    if !whole {
                        word.push(c);
                    }
                    break;
                }
                '"' if word.ends_with(':') => in_quotes = true,
                c if c.is_whitespace() && !in_quotes => break,
                _ => {}
            }
            word.push(c);
        }
        rest = chars.as_str();
        if word.is_empty() {
            continue;
        }
        count += 1;
        if count > MOST {
            return Some((query, false));
        }
        let minus = !whole && word.len() > 1 && word.starts_with('-');
        let word = &word[usize::from(minus)..];
        let key = match word.split_once(':').filter(|_| !whole) {
            None => Key::Text(word.to_owned()),
            Some((field, value)) => {
                let value = value.trim_matches('"').to_owned();
                match &*field.to_lowercase() {
                    "from" | "to" | "cc" | "bcc" | "subject" | "body" if value.is_empty() => return None,
                    "from" => Key::From(value),
                    "cc" => Key::Cc(value),
                    "bcc" => Key::Bcc(value),
                    "subject" => Key::Subject(value),
                    "body" => Key::Body(value),
                    "to" | "is" | "before" | "after" | "on" | "larger" | "smaller" | "in" | "has" => {
                        return None;
                    }
                    _ => Key::Text(word.to_owned()),
                }
            }
        };
        query = query.and(if minus { Query::from(key).not() } else { key.into() });
    }
}

/// Words that count.
const MOST: usize = 20;
