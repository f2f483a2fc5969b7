//! The identifiers in the header of a message.

/// The identifiers that a header names: of the message itself, and of those that it answers.
pub(super) fn identifiers(head: &[u8], mut found: impl FnMut(Vec<u8>)) {
    let mut seen = [false; FIELDS.len()];
    let mut lines = head.split_inclusive(|octet| *octet == b'\n').peekable();
    while let Some(line) = lines.next() {
        if matches!(line, b"\r\n" | b"\n") {
            return;
        }
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let name = line[..colon].trim_ascii_end();
        let Some(field) = FIELDS.iter().position(|known| name.eq_ignore_ascii_case(known)) else { continue };
        let mut value = line[colon + 1..].to_vec();
        // RFC 5322 §2.2.3: a line that begins with white space goes on.
        while let Some(more) = lines.next_if(|next| matches!(next.first(), Some(b' ' | b'\t'))) {
            value.extend_from_slice(more);
        }
        // RFC 5322 §3.6: there is one of each; the first one counts.
        if std::mem::replace(&mut seen[field], true) {
            continue;
        }
        let ids = in_brackets(&value);
        let own = field == 0;
        let tail = if own { 0 } else { ids.len().saturating_sub(IDS).max(IDS.min(ids.len())) };
        let first = if own { 1 } else { IDS };
        ids.iter().take(first).for_each(|id| found(plain(id)));
        if !own {
            ids[tail..].iter().for_each(|id| found(plain(id)));
        }
    }
}

/// What stands between angle brackets.
fn in_brackets(value: &[u8]) -> Vec<&[u8]> {
    let mut ids = Vec::new();
    let mut rest = value;
    while let Some(start) = memchr::memchr(b'<', rest) {
        rest = &rest[start + 1..];
        let Some(end) = memchr::memchr2(b'<', b'>', rest) else { break };
        if rest[end] == b'>' {
            ids.push(&rest[..end]);
            rest = &rest[end + 1..];
        }
    }
    ids.retain(|id| !id.trim_ascii().is_empty() && id.len() <= LONGEST);
    ids
}

/// RFC 5256, REFERENCES: the same identifier with and without quotes is the same. White space in one comes from folding.
fn plain(id: &[u8]) -> Vec<u8> {
    id.iter()
        .copied()
        .filter(|octet| !octet.is_ascii_whitespace() && !matches!(octet, b'"' | b'\\'))
        .collect()
}

/// The message's own first.
const FIELDS: [&[u8]; 3] = [b"message-id", b"in-reply-to", b"references"];
/// Identifiers that count at either end of a field: where the conversation began, and what was answered last.
const IDS: usize = 20;
/// Octets of an identifier. RFC 5322 §2.1.1 has lines of no more.
const LONGEST: usize = 998;

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(head: &str) -> Vec<String> {
        let mut ids = Vec::new();
        identifiers(head.as_bytes(), |id| ids.push(String::from_utf8(id).unwrap()));
        ids
    }

    #[test]
    fn identifiers_stand_in_three_fields() {
        assert_eq!(
            ids("Message-ID: <a@x>\r\nSubject: <no@x>\r\nin-reply-to : (of today) <b@x>, <c@x>\r\n\
                 References: <d@x>\r\n\t<e@x>\r\n <f@\r\n x>\r\n\r\nReferences: <body@x>\r\n"),
            ["a@x", "b@x", "c@x", "d@x", "e@x", "f@x"]
        );
        assert_eq!(ids("Message-ID: <\"a.b\"@x> <second@x>\nReferences: <a.b@x>"), ["a.b@x", "a.b@x"]);
        assert_eq!(ids("Message-ID: <a@x>\r\nMessage-ID: <b@x>\r\n"), ["a@x"], "the first one counts");
        for none in [
            "",
            "\r\n",
            "Message-ID: a@x\r\n",
            "Message-ID: <>\r\n",
            "Message-ID: < >\r\n",
            "Message-ID: <a@x\r\n",
            "References\r\n",
            "In-Reply-To: Your message of Friday\r\n",
            "X-Message-ID: <a@x>\r\n",
        ] {
            assert_eq!(ids(none), [""; 0], "{none:?}");
        }
        assert_eq!(ids("References: <a <b@x> >c <d@x>"), ["b@x", "d@x"]);
        assert_eq!(ids(&format!("References: <{}>", "a".repeat(999))), [""; 0]);
    }

    #[test]
    fn of_many_references_the_first_and_the_last_count() {
        let references = |count: usize| (0..count).map(|at| format!("<{at}@x>\r\n ")).collect::<String>();
        let numbers = |count| ids(&format!("References: {}", references(count)));
        for count in [0, 1, 19, 20, 21, 39, 40, 41, 10_000] {
            let expected: Vec<String> =
                (0..count).filter(|at| *at < IDS || *at + IDS >= count).map(|at| format!("{at}@x")).collect();
            assert_eq!(numbers(count), expected, "{count}");
        }
    }
}
