//! SASLprep: one form for the names that look alike ([RFC 4013](https://www.rfc-editor.org/rfc/rfc4013)).

use std::borrow::Cow;

use stringprep::tables;
use unicode_normalization::UnicodeNormalization as _;

use crate::error::Invalid;

/// What becomes of characters that Unicode 3.2 did not have, emoji among them
/// ([RFC 3454 §7](https://www.rfc-editor.org/rfc/rfc3454#section-7)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unassigned {
    /// They stay: the string is looked up, a "query".
    Allowed,
    /// They are refused: the string is kept to be compared with, a "stored string".
    Refused,
}

/// Maps, normalizes and checks a string.
pub fn prepare(text: &str, unassigned: Unassigned) -> Result<Cow<'_, str>, Invalid> {
    if text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        return Ok(Cow::Borrowed(text));
    }
    // RFC 4013 §2.1 and §2.2.
    let mapped = text
        .chars()
        .map(|c| if tables::non_ascii_space_character(c) { ' ' } else { c })
        .filter(|c| !tables::commonly_mapped_to_nothing(*c));
    let text: String = mapped.nfkc().collect();
    // RFC 4013 §2.3 and §2.5.
    let bad = |c| is_prohibited(c) || (unassigned == Unassigned::Refused && tables::unassigned_code_point(c));
    if text.contains(bad) || !reads_one_way(&text) {
        return Err(Invalid::new("name or password"));
    }
    Ok(Cow::Owned(text))
}

fn is_prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
}

/// RFC 3454 §6: text that reads from right to left does so from its first character to its last.
fn reads_one_way(text: &str) -> bool {
    !text.contains(tables::bidi_r_or_al)
        || (!text.contains(tables::bidi_l)
            && text.starts_with(tables::bidi_r_or_al)
            && text.ends_with(tables::bidi_r_or_al))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn prepared(text: &str) -> Option<String> {
        let ours = prepare(text, Unassigned::Refused).ok().map(Cow::into_owned);
        let theirs = stringprep::saslprep(text).ok().map(Cow::into_owned);
        assert_eq!(ours, theirs, "{text:?}");
        ours
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 4013 §3.
        assert_eq!(prepared("I\u{ad}X").as_deref(), Some("IX"));
        assert_eq!(prepared("user").as_deref(), Some("user"));
        assert_eq!(prepared("USER").as_deref(), Some("USER"));
        assert_eq!(prepared("\u{aa}").as_deref(), Some("a"));
        assert_eq!(prepared("\u{2168}").as_deref(), Some("IX"));
        assert_eq!(prepared("\u{7}"), None);
        assert_eq!(prepared("\u{627}1"), None);
    }

    #[test]
    fn every_character_is_prepared_as_another_implementation_does() {
        for c in ('\0'..=char::MAX).filter(|c| u32::from(*c) < 0x3_2000 || u32::from(*c) > 0xd_fff0) {
            prepared(&format!("{c}"));
            prepared(&format!("a{c}"));
            prepared(&format!("\u{627}{c}\u{628}"));
        }
    }

    #[test]
    fn new_characters_are_for_queries_only() {
        assert_eq!(prepared("\u{1f511}"), None);
        assert_eq!(prepare("\u{1f511}", Unassigned::Allowed).unwrap(), "\u{1f511}");
    }
}
