//! Letters in texts of others that have no business on a page.

use mailstore::search::{decode_lossy, decode_words};

/// Control characters, and those that turn the direction of what follows, or are there and not seen.
pub(in crate::web) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text that makes no second line.
pub(in crate::web) fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}

/// What a field or a parameter says, to be shown: encoded words undone, and without characters that change how the rest is read.
pub(in crate::web) fn words(value: &[u8]) -> String {
    // A header that is not UTF-8 is what old programs write.
    let text = match str::from_utf8(value) {
        Ok(_) => decode_words(value),
        Err(_) => decode_lossy(b"", value),
    };
    text.chars()
        .map(|c| if matches!(c, '\t' | '\r' | '\n') { ' ' } else { c })
        .filter(|c| !is_hidden(*c))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_all_scripts_are_seen() {
        // With a joiner, which makes one sign of several in some scripts, and one face of a family.
        for c in "aß漢ق😀\u{200c}\u{200d}\u{301}\u{a0}".chars() {
            assert!(!is_hidden(c), "{c:?}");
        }
        for c in "\0\n\u{7f}\u{9b}\u{202e}\u{2066}\u{2069}\u{200f}\u{61c}\u{feff}".chars() {
            assert!(is_hidden(c), "{c:?}");
        }
    }
}
