//! Text of messages: charsets and encoded words undone, case taken away, patterns found in any pieces.

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use encoding_rs::{CoderResult, Encoding, UTF_8, WINDOWS_1252};

use crate::mime;

/// What makes text of octets in this charset. `None` for one that is not known.
fn charset(label: &[u8]) -> Option<&'static Encoding> {
    // Mail that says US-ASCII and has more than that is mostly UTF-8, of which US-ASCII is a part.
    if is_ascii(label) { Some(UTF_8) } else { Encoding::for_label(label) }
}

fn is_ascii(label: &[u8]) -> bool {
    [&b"us-ascii"[..], b"ascii"].iter().any(|name| label.eq_ignore_ascii_case(name))
}

/// Whether octets are UTF-8, or the beginning of it: the last character may be cut off if there is another one beyond ASCII.
fn may_be_utf8(octets: &[u8]) -> bool {
    match str::from_utf8(octets) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !octets[..error.valid_up_to()].is_ascii(),
    }
}

/// A text in a charset, as the CHARSET of SEARCH names it; `None` if the charset is not known, or the text is not in it.
pub fn decode(label: &[u8], octets: &[u8]) -> Option<String> {
    let text = charset(label)?.decode_without_bom_handling_and_without_replacement(octets)?;
    Some(text.into_owned())
}

/// The text that octets in a charset stand for, whatever they are: what is not in the charset is U+FFFD, one that is not known is
/// taken for UTF-8. Octets without a charset, and those that are no US-ASCII although it is said (a part that says nothing says so
/// by default), are UTF-8 if they can be, also such that is cut off, and Windows-1252 otherwise, as old programs have it.
///
/// Takes up to three times the memory of the octets.
pub fn decode_lossy(label: &[u8], octets: &[u8]) -> String {
    let known = match label.trim_ascii() {
        label if (label.is_empty() || is_ascii(label)) && !may_be_utf8(octets) => WINDOWS_1252,
        label => charset(label).unwrap_or(UTF_8),
    };
    known.decode_with_bom_removal(octets).0.into_owned()
}

/// Takes the case away, as Unicode's simple folding does: characters that differ in case only become the same one.
fn fold(character: char) -> char {
    fn single(mut mapped: impl Iterator<Item = char>) -> Option<char> {
        let first = mapped.next()?;
        mapped.next().is_none().then_some(first)
    }
    // The dotless i is a letter of its own.
    if character == '\u{131}' {
        return character;
    }
    let upper = single(character.to_uppercase()).unwrap_or(character);
    single(upper.to_lowercase()).unwrap_or(character)
}

/// A text without case.
pub(crate) fn folded(text: &str) -> String {
    text.chars().map(fold).collect()
}

/// What a field says, with its encoded words undone: [RFC 2047](https://www.rfc-editor.org/rfc/rfc2047). They are undone
/// wherever they stand, and those that are none are left.
pub fn decode_words(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    // Words of one charset are put together before they are decoded: some end within a character.
    let mut pending = None::<(&[u8], Vec<u8>)>;
    let flush = |pending: &mut Option<(&[u8], Vec<u8>)>, out: &mut String| {
        if let Some((label, octets)) = pending.take() {
            let (text, _) = charset(label).unwrap_or(UTF_8).decode_without_bom_handling(&octets);
            out.push_str(&text);
        }
    };
    let mut rest = value;
    loop {
        let start = memchr::memmem::find(rest, b"=?");
        let (plain, behind) = rest.split_at(start.unwrap_or(rest.len()));
        let word = if start.is_some() { encoded_word(behind) } else { None };
        // RFC 2047 §6.2: white space between two encoded words is not shown.
        let joins = word.is_some() && plain.iter().all(u8::is_ascii_whitespace);
        if !(pending.is_some() && joins) {
            flush(&mut pending, &mut out);
            out.push_str(&String::from_utf8_lossy(plain));
        }
        match word {
            Some((label, octets, behind)) => {
                match &mut pending {
                    Some((before, held)) if before.eq_ignore_ascii_case(label) => held.extend(octets),
                    other => {
                        flush(other, &mut out);
                        *other = Some((label, octets));
                    }
                }
                rest = behind;
            }
            None if start.is_some() => {
                flush(&mut pending, &mut out);
                out.push_str("=?");
                rest = &behind[2..];
            }
            None => return out,
        }
    }
}

/// The encoded word at the beginning: its charset, its octets, and what is behind it.
fn encoded_word(text: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let mut pieces = text.splitn(5, |&octet| octet == b'?');
    let (_, label, encoding, encoded) = (pieces.next()?, pieces.next()?, pieces.next()?, pieces.next()?);
    let behind = pieces.next()?.strip_prefix(b"=")?;
    // RFC 2231 §5: a language may follow the charset.
    let label = label.split(|&octet| octet == b'*').next()?;
    let mut octets = Vec::with_capacity(encoded.len());
    match encoding {
        b"B" | b"b" => {
            let mut decoder = mime::Encoding::Base64.decoder()?;
            decoder.push(encoded, &mut octets);
            decoder.finish(&mut octets);
        }
        b"Q" | b"q" => {
            let mut rest = encoded;
            while let [octet, behind @ ..] = rest {
                rest = behind;
                let pair = match behind {
                    [high, low, ..] if *octet == b'=' => mime::hex(*high).zip(mime::hex(*low)),
                    _ => None,
                };
                match (octet, pair) {
                    (_, Some((high, low))) => {
                        octets.push(high << 4 | low);
                        rest = &behind[2..];
                    }
                    // RFC 2047 §4.2
                    (b'_', None) => octets.push(b' '),
                    (octet, None) => octets.push(*octet),
                }
            }
        }
        _ => return None,
    }
    Some((label, octets, behind))
}

/// Makes text of the octets of a part, in any pieces.
pub(crate) struct Decoder {
    transfer: mime::Decoder,
    charset: encoding_rs::Decoder,
    /// What the transfer encoding stood for; kept for its memory.
    octets: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new(part: mime::Part<'_>) -> Option<Self> {
        // An encoding that is not known is looked at as it stands.
        let transfer = part.encoding().decoder().or_else(|| mime::Encoding::Identity.decoder())?;
        let label = part.parameter(b"charset").unwrap_or_default();
        // RFC 6532 and habit: what says nothing is UTF-8.
        let charset = charset(&label).unwrap_or(UTF_8).new_decoder_with_bom_removal();
        Some(Self { transfer, charset, octets: Vec::new() })
    }

    /// Takes octets, and gives what they stand for to `text`; `last` at the end of the part.
    pub(crate) fn push(&mut self, input: &[u8], last: bool, mut text: impl FnMut(&str)) {
        self.octets.clear();
        self.transfer.push(input, &mut self.octets);
        if last {
            self.transfer.finish(&mut self.octets);
        }
        let mut rest = &self.octets[..];
        let mut buffer = [0; 4_096];
        loop {
            let (result, read, written, _) = self.charset.decode_to_utf8(rest, &mut buffer, last);
            rest = &rest[read..];
            // What the decoder writes is UTF-8.
            text(core::str::from_utf8(&buffer[..written]).unwrap_or_default());
            if result == CoderResult::InputEmpty {
                return;
            }
        }
    }
}

impl core::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Decoder").field("charset", &self.charset.encoding().name()).finish_non_exhaustive()
    }
}

/// Finds which of some texts stand in another one, which comes in pieces.
#[derive(Debug)]
pub(crate) struct Patterns {
    automaton: Option<NFA>,
    start: StateID,
}

/// How far a text has been looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At(StateID);

impl Patterns {
    /// The texts have been folded. There are not too many for an automaton: [`super::MAX_TEXT`].
    pub(crate) fn new(texts: &[String]) -> Option<Self> {
        if texts.is_empty() {
            return Some(Self { automaton: None, start: StateID::ZERO });
        }
        let automaton = NFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(texts).ok()?;
        let start = automaton.start_state(Anchored::No).ok()?;
        Some(Self { automaton: Some(automaton), start })
    }

    /// In front of a text.
    pub(crate) const fn begin(&self) -> At {
        At(self.start)
    }

    /// Goes over some text, and gives each place of the automaton at which a pattern ends.
    pub(crate) fn feed(&self, at: &mut At, text: &str, mut found: impl FnMut(StateID)) {
        let Some(automaton) = &self.automaton else { return };
        let mut state = at.0;
        let mut step = |octet: u8| {
            state = automaton.next_state(Anchored::No, state, octet);
            if automaton.is_special(state) && automaton.is_match(state) {
                found(state);
            }
        };
        let mut utf8 = [0; 4];
        for character in text.chars() {
            if character.is_ascii() {
                step(character.to_ascii_lowercase() as u8);
            } else {
                fold(character).encode_utf8(&mut utf8).bytes().for_each(&mut step);
            }
        }
        at.0 = state;
    }

    /// The patterns that end at such a place.
    pub(crate) fn ending(&self, place: StateID) -> impl Iterator<Item = usize> {
        self.automaton.iter().flat_map(move |automaton| {
            (0..automaton.match_len(place)).map(move |index| automaton.match_pattern(place, index).as_usize())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_of_whatever_there_is() {
        for (label, octets, text) in [
            (&b"utf-8"[..], &b"na\xc3\xafve"[..], "na\u{ef}ve"),
            (b"US-ASCII", b"na\xc3\xafve", "na\u{ef}ve"),
            (b"US-ASCII", b"na\xefve", "na\u{ef}ve"),
            (b"US-ASCII", b"na\xc3\xafve caf\xc3", "na\u{ef}ve caf\u{fffd}"),
            (b"", b"caf\xe9", "caf\u{e9}"),
            (b" iso-8859-1 ", b"na\xefve", "na\u{ef}ve"),
            (b"", b"na\xc3\xafve", "na\u{ef}ve"),
            (b"", b"na\xefve", "na\u{ef}ve"),
            (b"utf-8", b"na\xefve", "na\u{fffd}ve"),
            (b"no-such", b"na\xc3\xafve", "na\u{ef}ve"),
            (b"utf-8", b"\xef\xbb\xbfx", "x"),
            (b"iso-2022-jp", b"\x1b$B$\"\x1b(B", "\u{3042}"),
            (b"utf-7", b"+ADw-", "+ADw-"),
            (b"", b"", ""),
        ] {
            assert_eq!(decode_lossy(label, octets), text, "{label:?} {octets:?}");
        }
    }

    #[test]
    fn encoded_words_are_undone() {
        // RFC 2047 §8
        for (value, text) in [
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=  \t =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            (
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            ("=?US-ASCII*EN?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
            ("=?utf-8?q?=C3?= =?UTF-8?b?pA==?=", "\u{e4}"),
            ("=?utf-8?x?a?= =?utf-8?q?b=?= c =? =?=", "=?utf-8?x?a?= b= c =? =?="),
            ("=?no-such?q?a=41?=", "aA"),
            ("=?utf-8?q?a b?=", "a b"),
            ("caf\u{e9} =?utf-8?q?a", "caf\u{e9} =?utf-8?q?a"),
            ("", ""),
        ] {
            assert_eq!(decode_words(value.as_bytes()), text, "{value}");
        }
        assert_eq!(decode_words(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn case_is_taken_away_as_simple_folding_does() {
        for (one, other) in [
            ("STRASSE", "strasse"),
            ("\u{c4}\u{d6}\u{dc}", "\u{e4}\u{f6}\u{fc}"),
            ("\u{3a3}\u{3c2}", "\u{3c3}\u{3c3}"),
            ("\u{1e9e}", "\u{df}"),
            ("\u{212a}\u{17f}", "ks"),
            ("\u{41c}\u{410}\u{422}\u{42c}", "\u{43c}\u{430}\u{442}\u{44c}"),
        ] {
            assert_eq!(folded(one), folded(other));
        }
        assert_ne!(folded("\u{131}"), folded("i"));
        assert_ne!(folded("\u{130}"), folded("i"));
        assert_ne!(folded("\u{df}"), folded("ss"));
    }

    #[test]
    fn a_charset_is_known_or_not() {
        assert_eq!(decode(b"iso-8859-1", b"\xe4").as_deref(), Some("\u{e4}"));
        assert_eq!(decode(b"UTF-8", "\u{e4}".as_bytes()).as_deref(), Some("\u{e4}"));
        assert_eq!(decode(b"us-ascii", b"a").as_deref(), Some("a"));
        assert_eq!(decode(b"utf-8", b"\xff"), None);
        assert_eq!(decode(b"x-unknown", b"a"), None);
    }
}
