//! Where `imap-codec` here and the published one read differently, and who is right.

/// What the two readers make of the same octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reading {
    /// The same, or both refuse.
    Same,
    /// Only ours takes it.
    OursAlone,
    /// Only the peer takes it.
    TheirsAlone,
    /// Both take it for something, and not for the same.
    Differently,
}

/// A way in which they differ.
#[derive(Debug)]
pub struct Difference {
    /// Which it is.
    pub what: &'static str,
    /// Who is right, and why.
    pub verdict: &'static str,
    /// How they read the example.
    pub reading: Reading,
    /// The shortest octets that show it, with their CRLF.
    pub example: &'static [u8],
    /// Whether octets that are read so are of this kind.
    pub holds: fn(&[u8]) -> bool,
}

/// Panics at a difference that is not in the list.
pub fn judge(list: &[Difference], wire: &[u8], reading: Reading) {
    if reading == Reading::Same {
        return;
    }
    let known = list.iter().any(|difference| difference.reading == reading && (difference.holds)(wire));
    assert!(known, "{reading:?}: {}", wire.escape_ascii());
}

/// Of commands.
pub const COMMANDS: &[Difference] = &[
    Difference {
        what: "a mailbox name that is no modified UTF-7, or has controls",
        verdict: "ours: RFC 3501 §5.1.3 has one spelling for each name, and a control in a name gets into logs and files",
        reading: Reading::TheirsAlone,
        example: b"a SELECT x&\r\n",
        holds: |wire| wire.contains(&b'&') || has_controls(wire),
    },
    Difference {
        what: "a number above zero that begins with zero",
        verdict: "ours: RFC 3501 §9, nz-number begins with digit-nz",
        reading: Reading::TheirsAlone,
        example: b"a FETCH 01 FLAGS\r\n",
        holds: has_leading_zero,
    },
    Difference {
        what: "a literal8 as the payload of APPEND",
        verdict: "ours: RFC 3516 §4.4, it belongs to BINARY, which is not announced",
        reading: Reading::TheirsAlone,
        example: b"a APPEND x ~{1}\r\ny\r\n",
        holds: |wire| has(wire, b"APPEND ") && has(wire, b"~{"),
    },
    Difference {
        what: "a space and nothing behind the mechanism",
        verdict: "ours: RFC 4959 §3, an empty initial response is =",
        reading: Reading::TheirsAlone,
        example: b"a AUTHENTICATE PLAIN \r\n",
        holds: |wire| has(wire, b"AUTHENTICATE "),
    },
    Difference {
        what: "an initial response that is no base64",
        verdict: "both: ours refuses it where the session decodes it, with a sentence that says so",
        reading: Reading::OursAlone,
        example: b"a AUTHENTICATE PLAIN YQ\r\n",
        holds: |wire| has(wire, b"AUTHENTICATE "),
    },
    Difference {
        what: "UTF-8 within quotes before it was enabled",
        verdict: "ours: clients send it, RFC 9051 §4.3 lets them, and no octet of it can end the string",
        reading: Reading::OursAlone,
        example: b"a LOGIN x \"\xc3\xa4\"\r\n",
        holds: |wire| wire.contains(&b'"') && !wire.is_ascii(),
    },
    Difference {
        what: "a FETCH of nothing",
        verdict: "ours: RFC 3501 §9, a list has one item or more",
        reading: Reading::TheirsAlone,
        example: b"a FETCH 1 ()\r\n",
        holds: |wire| has(wire, b" FETCH ") && has(wire, b" ()\r\n"),
    },
    Difference {
        what: "NUL in the payload of APPEND",
        verdict: "both: RFC 3501 §9 has no NUL in a literal; ours streams the payload, and the store refuses it",
        reading: Reading::OursAlone,
        example: b"a APPEND x {1}\r\n\0\r\n",
        holds: |wire| has(wire, b"APPEND ") && wire.contains(&0),
    },
    Difference {
        what: "a tag of more than 128 octets",
        verdict: "both: RFC 3501 has no limit, and clients use a dozen; ours keeps the tag, and keeps it small",
        reading: Reading::TheirsAlone,
        example: &long_tag(*b" NOOP\r\n"),
        holds: has_long_tag,
    },
];

/// Of responses.
pub const RESPONSES: &[Difference] = &[
    Difference {
        what: "text that is missing, not ASCII or has controls, spaces at the end, codes and items that nobody knows",
        verdict: "ours: a client takes what servers get wrong where nothing can be mistaken for something else",
        reading: Reading::OursAlone,
        example: b"* 1 EXISTS \r\n",
        holds: |wire| !is_fetch(wire),
    },
    Difference {
        what: "FETCH with MODSEQ",
        verdict: "both: RFC 7162 §3.1.4, CONDSTORE is no part of IMAP4rev1, and the peer has it behind a Cargo feature",
        reading: Reading::OursAlone,
        example: b"* 1 FETCH (MODSEQ (5))\r\n",
        holds: |wire| is_fetch(wire) && has(wire, b"MODSEQ ("),
    },
    Difference {
        what: "FETCH with spaces between addresses or at its end, flags that nobody knows, sizes of 63 bits, UTF-8 within quotes",
        verdict: "ours: the examples of RFC 9051 §7.5.2 have such spaces, servers send the rest, and nothing can be mistaken",
        reading: Reading::OursAlone,
        example: b"* 1 FETCH (RFC822.SIZE 4294967296)\r\n",
        holds: |wire| {
            let digits = wire.split(|octet| !octet.is_ascii_digit()).any(|digits| digits.len() > 9);
            let spaces = wire.ends_with(b" \r\n") || has(wire, b") (");
            digits || spaces || has(wire, b"FLAGS (") || !wire.is_ascii()
        },
    },
    Difference {
        what: "a mailbox name that is no modified UTF-7, or has controls; a delimiter that is a control, a space or a wildcard",
        verdict: "ours: as in commands; RFC 3501 §5.1.1, no name could be told from a pattern",
        reading: Reading::TheirsAlone,
        example: b"* LIST () \"*\" x\r\n",
        holds: |wire| {
            wire.contains(&b'&')
                || has_controls(wire)
                || [" ", "*", "%"].iter().any(|delimiter| has(wire, format!(" \"{delimiter}\" ").as_bytes()))
        },
    },
    Difference {
        what: "a tag of more than 128 octets",
        verdict: "both: as in commands; no client of ours sends one",
        reading: Reading::TheirsAlone,
        example: &long_tag(*b" OK x\r\n"),
        holds: has_long_tag,
    },
    Difference {
        what: "a number above zero that begins with zero",
        verdict: "ours: RFC 3501 §9, nz-number begins with digit-nz",
        reading: Reading::TheirsAlone,
        example: b"* 1 FETCH (UID 01)\r\n",
        holds: has_leading_zero,
    },
    Difference {
        what: "the same in a response code",
        verdict: "ours: it is then a code that nobody knows, and the status stays what it is",
        reading: Reading::Differently,
        example: b"* OK [UIDNEXT 01] x\r\n",
        holds: |wire| has(wire, b"[") && has_leading_zero(wire),
    },
];

/// Whether `word` is found, in any case.
fn has(wire: &[u8], word: &[u8]) -> bool {
    wire.windows(word.len()).any(|octets| octets.eq_ignore_ascii_case(word))
}

fn is_fetch(wire: &[u8]) -> bool {
    let mut words = wire.split(|octet| *octet == b' ');
    words.next() == Some(b"*")
        && words.next().is_some_and(|number| number.iter().all(u8::is_ascii_digit))
        && words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"FETCH"))
}

fn has_long_tag(wire: &[u8]) -> bool {
    wire.iter().position(|octet| *octet == b' ').is_some_and(|end| end > 128)
}

/// A tag of 129 octets, and what stands behind it.
const fn long_tag(behind: [u8; 7]) -> [u8; 136] {
    let (mut wire, mut at) = ([b'x'; 136], 0);
    while at < behind.len() {
        wire[129 + at] = behind[at];
        at += 1;
    }
    wire
}

fn has_controls(wire: &[u8]) -> bool {
    wire.strip_suffix(b"\r\n").unwrap_or(wire).iter().any(u8::is_ascii_control)
}

fn has_leading_zero(wire: &[u8]) -> bool {
    let zero = |octets: &[u8]| matches!(octets, [before, b'0', b'0'..=b'9'] if !before.is_ascii_digit());
    wire.windows(3).any(zero)
}
