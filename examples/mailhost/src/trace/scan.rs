//! Reading along in the header of a message that streams past, in constant memory.

use std::collections::BTreeSet;

use memchr::memchr;
use smtp_codec::reply::Enhanced;
use smtp_codec::{Domain, Reply};

/// The most `Received:` fields that a message may come with; more is a loop.
/// [RFC 5321 §6.3](https://www.rfc-editor.org/rfc/rfc5321#section-6.3) asks for a bound of 100 or so; Postfix has 50.
pub const MAX_HOPS: u32 = 50;

/// The longest header in octets.
pub const MAX_HEADER: u64 = 1 << 20;

/// How often some fields occur in a header.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fields {
    /// `From:`
    pub from: u32,
    /// `Date:`
    pub date: u32,
    /// `Message-ID:`
    pub message_id: u32,
    /// `Received:`
    pub received: u32,
}

/// Counts fields of a message's header, whatever the pieces it comes in.
///
/// The header ends with the first empty line. Names are compared without case, at the beginning of a line only.
#[derive(Clone, Debug, Default)]
pub struct HeaderScan {
    fields: Fields,
    octets: u64,
    at: At,
    name: [u8; LONGEST_NAME],
    length: usize,
    /// This host, in lower case.
    host: String,
    /// What was read of a `Received:` field, if it is of interest.
    field: Option<Vec<u8>>,
    been_for: BTreeSet<String>,
}

/// Where the next octet stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum At {
    /// At the beginning of a line.
    #[default]
    Start,
    /// Behind a CR at the beginning of a line: with LF it is the empty line.
    StartCr,
    /// In a name.
    Name,
    /// In white space behind a name, which old mail has before the colon.
    Space,
    /// In the rest of a line.
    Rest,
    /// Behind the header.
    Body,
}

impl HeaderScan {
    /// Ready for the first octet of a message.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, which also notes for whom this host has had the message before.
    pub fn at(host: &Domain<'_>) -> Self {
        Self { host: host.as_str().to_lowercase(), ..Self::default() }
    }

    /// Takes the next octets of the message; those of the body cost nothing.
    pub fn push(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while self.at != At::Body
            && let Some((octet, behind)) = rest.split_first()
        {
            if self.at == At::Rest {
                // RFC 5322 §2.2: nothing matters here but the end of the line.
                let end = memchr(b'\n', rest);
                let used = end.map_or(rest.len(), |end| end + 1);
                self.octets += used as u64;
                self.gather(&rest[..used]);
                rest = &rest[used..];
                if end.is_some() {
                    self.begin_line();
                }
                continue;
            }
            self.octets += 1;
            rest = behind;
            self.step(*octet);
        }
    }

    /// The message has ended: what was a header without an empty line is one now.
    pub fn finish(&mut self) {
        self.end_field();
        self.at = At::Body;
    }

    /// What was found; `None` until the whole header was seen.
    pub fn fields(&self) -> Option<&Fields> {
        (self.at == At::Body).then_some(&self.fields)
    }

    /// The recipients, in lower case, for whom this host has had the message before, each as its only one: as its own
    /// `Received:` fields say, of which [`MAX_HOPS`] are looked at.
    pub const fn been_for(&self) -> &BTreeSet<String> {
        &self.been_for
    }

    /// How many `Received:` fields came so far.
    pub const fn hops(&self) -> u32 {
        self.fields.received
    }

    /// Why the message cannot be taken, if it is for its header: it goes round in circles, or the header has no end.
    /// It may be asked at any time; a refusal stays.
    pub fn refusal(&self) -> Option<Reply> {
        let (code, detail, text) = if self.hops() > MAX_HOPS {
            // RFC 3463 §3.5, X.4.6: routing loop detected.
            (554, Enhanced { subject: 4, detail: 6 }, "too many hops, this message goes round in circles")
        } else if self.octets > MAX_HEADER {
            // RFC 3463 §3.4, X.3.4: message too big for system.
            (552, Enhanced { subject: 3, detail: 4 }, "the header of this message is too long")
        } else {
            return None;
        };
        Some(Reply::new(code, Some(detail), text).unwrap_or(Reply::LOCAL_ERROR))
    }

    fn step(&mut self, octet: u8) {
        if self.at == At::Start && !matches!(octet, b' ' | b'\t') {
            self.end_field();
        }
        self.at = match (self.at, octet) {
            (At::StartCr, b'\n') => At::Body,
            (_, b'\n') => return self.begin_line(),
            (At::Start, b'\r') => At::StartCr,
            // White space at the beginning goes on with the field before.
            (At::Start, b' ' | b'\t') => At::Rest,
            (At::Start | At::Name, b':') | (At::Space, b':') => {
                self.count();
                At::Rest
            }
            (At::Name, b' ' | b'\t') | (At::Space, b' ' | b'\t') => At::Space,
            (At::Start | At::Name, octet) if self.length < LONGEST_NAME => {
                self.name[self.length] = octet.to_ascii_lowercase();
                self.length += 1;
                At::Name
            }
            _ => At::Rest,
        };
    }

    fn begin_line(&mut self) {
        self.at = At::Start;
        self.length = 0;
    }

    fn count(&mut self) {
        let count = match &self.name[..self.length] {
            b"from" => &mut self.fields.from,
            b"date" => &mut self.fields.date,
            b"message-id" => &mut self.fields.message_id,
            b"received" => {
                self.field = (!self.host.is_empty() && self.fields.received < MAX_HOPS).then(Vec::new);
                &mut self.fields.received
            }
            _ => return,
        };
        *count = count.saturating_add(1);
    }

    fn gather(&mut self, octets: &[u8]) {
        if let Some(field) = &mut self.field {
            let room = LONGEST_FIELD - field.len().min(LONGEST_FIELD);
            field.extend_from_slice(&octets[..octets.len().min(room)]);
        }
    }

    /// RFC 5321 §4.4: `by` names the host that wrote the field, and `for` the recipient.
    fn end_field(&mut self) {
        let Some(field) = self.field.take() else { return };
        let text = String::from_utf8_lossy(&field).to_lowercase();
        let words = text.split(|c: char| c.is_ascii_whitespace() || c == ';');
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let behind = |word: &str| words.windows(2).find(|pair| pair[0] == word).map(|pair| pair[1]);
        if behind("by") == Some(&self.host)
            && let Some(address) =
                behind("for").and_then(|path| path.strip_prefix('<')).and_then(|path| path.strip_suffix('>'))
        {
            self.been_for.insert(address.to_owned());
        }
    }
}

/// What this host writes is shorter.
const LONGEST_FIELD: usize = 2_048;
/// `message-id`
const LONGEST_NAME: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// The same result whole, and cut at every place into two and into three pieces.
    #[track_caller]
    fn scan(message: &str) -> HeaderScan {
        let octets = message.as_bytes();
        let new = || HeaderScan::at(&Domain::parse("Mail.a.test").unwrap());
        let mut whole = new();
        whole.push(octets);
        let same = |other: &HeaderScan, cut: &[usize]| {
            assert_eq!(
                (other.fields(), other.hops(), other.octets, other.been_for()),
                (whole.fields(), whole.hops(), whole.octets, whole.been_for())
            );
            assert_eq!(other.at, whole.at, "{message:?} cut at {cut:?}");
        };
        for first in 0..=octets.len() {
            for second in first..=octets.len() {
                let mut pieces = new();
                pieces.push(&octets[..first]);
                pieces.push(&octets[first..second]);
                pieces.push(&octets[second..]);
                same(&pieces, &[first, second]);
            }
        }
        whole
    }

    fn fields(message: &str) -> Fields {
        *scan(message).fields().expect("the header has an end")
    }

    #[test]
    fn fields_are_counted_without_case_and_at_line_starts_only() {
        let found = fields(
            "Received: a\r\n\tReceived: folded\r\n Received: folded\r\nrEcEiVeD:b\r\nReceived \t: old\r\n\
             X-Received: c\r\nReceivedX: d\r\nReceived d: e\r\nReceived\r\n: f\r\n\
             From: a\r\nFROM: b\r\nMessage-Id: <x>\r\nDate:\r\n\r\nReceived: body\r\nFrom: body\r\n",
        );
        assert_eq!(found, Fields { from: 2, date: 1, message_id: 1, received: 3 });
    }

    #[test]
    fn for_whom_this_host_has_had_a_message_is_read_from_its_own_fields() {
        let found = |message: &str| scan(message).been_for().iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            found(
                "Received: from b.test ([::1]) by mail.A.test with ESMTPS\r\n\tid 5 for <Anna@a.test>; Tue\r\n\
                 Received: by mail.a.test for\r\n <ben@a.test>\r\nX: 1\r\n\r\n"
            ),
            ["anna@a.test", "ben@a.test"]
        );
        let others = "Received: by mail.b.test for <anna@a.test>; x\r\nReceived: by mail.a.test; for\r\n\
            X-Received: by mail.a.test for <anna@a.test>\r\n\r\nReceived: by mail.a.test for <anna@a.test>\r\n";
        assert_eq!(found(others), Vec::<String>::new());
        let mut unfinished = scan("Received: by mail.a.test for <anna@a.test>");
        unfinished.finish();
        assert_eq!(unfinished.been_for().len(), 1);
        let mut long = HeaderScan::at(&Domain::parse("a.test").unwrap());
        long.push(b"Received: by a.test ");
        long.push(&vec![b'a'; 100_000]);
        assert!(long.field.as_ref().is_some_and(|field| field.len() <= LONGEST_FIELD));
    }

    #[test]
    fn the_header_ends_with_the_first_empty_line() {
        assert_eq!(fields("\r\nReceived: body\r\n"), Fields::default());
        assert_eq!(fields("From: a\r\n\r\n\r\nFrom: b\r\n\r\n").from, 1);
        assert_eq!(scan("From: a\r\n").fields(), None);
        assert_eq!(scan("From: a\r\n\r").fields(), None);
        assert_eq!(scan("").fields(), None);
        assert_eq!(fields("From: a\r\n \r\nFrom: b\r\n\r\n").from, 2, "a line of white space is no end");
    }

    #[test]
    fn a_message_without_an_empty_line_is_all_header() {
        let mut found = scan("From: a\r\nDate: b\r\n");
        found.finish();
        assert_eq!(found.fields().map(|fields| (fields.from, fields.date)), Some((1, 1)));
    }

    #[test]
    fn fifty_hops_are_taken_and_one_more_is_a_loop() {
        let code = |hops: usize| {
            let mut scan = HeaderScan::new();
            scan.push("Received: x\r\n".repeat(hops).as_bytes());
            scan.push(b"\r\nReceived: body\r\n");
            scan.refusal().map(|reply| {
                let mut out = bytes::BytesMut::new();
                reply.encode(&mut out);
                String::from_utf8(out[..9].to_vec()).unwrap()
            })
        };
        assert_eq!(code(50), None);
        assert_eq!(code(51).as_deref(), Some("554 5.4.6"));
    }

    #[test]
    fn a_header_of_more_than_a_mebibyte_is_refused_and_a_body_is_not() {
        let mut scan = HeaderScan::new();
        scan.push(b"X: ");
        scan.push(&vec![b'a'; MAX_HEADER as usize - 3]);
        assert_eq!(scan.refusal(), None);
        scan.push(b"a");
        assert!(scan.refusal().is_some());

        let mut scan = HeaderScan::new();
        scan.push(b"X: a\r\n\r\n");
        scan.push(&vec![b'a'; 2 * MAX_HEADER as usize]);
        assert_eq!(scan.refusal(), None);
    }
}
