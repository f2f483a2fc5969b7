//! Sequence sets: read as a slow and obvious reading reads them, and never expanded.

use imap_codec::types::{SeqNumber, SequenceSet};

/// `data` is a sequence set, or not.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let expected = read(text);
    let set = SequenceSet::new(text);
    assert_eq!(set.is_ok(), expected.is_some(), "{text:?}");
    let (Ok(set), Some(expected)) = (set, expected) else {
        return;
    };
    assert_eq!(set.as_str(), text);
    let number = |number: SeqNumber| match number {
        SeqNumber::Number(number) => Some(number.get()),
        SeqNumber::Last => None,
    };
    let ranges: Vec<_> = set.ranges().map(|(from, to)| (number(from), number(to))).collect();
    assert_eq!(ranges, expected);
    for last in [0, 1, 7, u32::MAX] {
        for probe in [0, 1, 2, 7, 8, u32::MAX] {
            let within = expected.iter().any(|(from, to)| {
                let (from, to) = (from.unwrap_or(last), to.unwrap_or(last));
                from.max(to) > 0 && from.min(to) > 0 && (from.min(to)..=from.max(to)).contains(&probe)
            });
            assert_eq!(set.contains(probe, last), within, "{probe} of {last} in {text:?}");
        }
    }
}

/// Numbers, `None` for `*`; no ranges for `$`.
#[allow(clippy::type_complexity, reason = "a pair of numbers, and there may be none of them")]
fn read(text: &str) -> Option<Vec<(Option<u32>, Option<u32>)>> {
    if text == "$" {
        return Some(Vec::new());
    }
    let number = |text: &str| {
        if text == "*" {
            return Some(None);
        }
        let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        if !digits || text.starts_with('0') { None } else { text.parse().ok().map(Some) }
    };
    text.split(',')
        .map(|range| match range.split_once(':') {
            None => number(range).map(|number| (number, number)),
            Some((from, to)) => Some((number(from)?, number(to)?)),
        })
        .collect()
}
