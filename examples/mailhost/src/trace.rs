//! What the host writes above a message: trace fields, and what a submission may lack.

mod scan;

use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::{BufMut as _, BytesMut};
use smtp_codec::{Domain, ReversePath};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

pub use self::scan::{Fields, HeaderScan, MAX_HEADER, MAX_HOPS};

/// How a message came ([RFC 3848](https://www.rfc-editor.org/rfc/rfc3848)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Protocol {
    /// It was written on the web.
    pub web: bool,
    /// The client said EHLO, not HELO.
    pub extended: bool,
    /// Under TLS.
    pub tls: bool,
    /// After a login.
    pub authenticated: bool,
}

/// A `Received:` field ([RFC 5321 §4.4](https://www.rfc-editor.org/rfc/rfc5321#section-4.4)).
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// What the client said it is.
    pub client: Option<&'a Domain<'a>>,
    /// Where it connected from. Not written for one that has logged in: where people are is nobody's business.
    pub peer: IpAddr,
    /// This host.
    pub host: &'a Domain<'a>,
    /// How the message came.
    pub protocol: Protocol,
    /// The host's own name for the message: letters and digits.
    pub id: &'a str,
    /// The recipient, if there is exactly one. With more, the field would tell one of them of the others.
    pub recipient: Option<&'a str>,
    /// When, in UTC.
    pub at: OffsetDateTime,
}

impl Protocol {
    /// The keyword behind `with`.
    pub const fn keyword(self) -> &'static str {
        match (self.extended, self.tls, self.authenticated) {
            // Deviates from RFC 5321 §4.4: nobody has registered these two, and who sends mail from the web has long written them.
            (_, false, _) if self.web => "HTTP",
            (_, true, _) if self.web => "HTTPS",
            (false, false, false) => "SMTP",
            (_, false, false) => "ESMTP",
            (_, true, false) => "ESMTPS",
            (_, false, true) => "ESMTPA",
            (_, true, true) => "ESMTPSA",
        }
    }
}

impl Received<'_> {
    /// Writes the field, folded, with its CRLF.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut field = Folded::new("Received:");
        field.words(&["from", &self.from()]);
        if !self.protocol.authenticated {
            field.words(&[&format!("([{}])", literal(self.peer))]);
        }
        field.words(&["by", self.host.as_str(), "with", self.protocol.keyword()]);
        field.words(&["id", &token(self.id)]);
        // RFC 5322 §2.1.1: a line has at most 998 octets, and an address cannot be folded.
        if let Some(recipient) = self.recipient.filter(|recipient| recipient.len() <= LONGEST_ADDRESS) {
            field.words(&["for", &format!("<{}>", printable(recipient))]);
        }
        field.text.push(';');
        field.words(&[&date(self.at)]);
        out.put_slice(field.text.as_bytes());
        out.put_slice(b"\r\n");
    }

    fn from(&self) -> String {
        match self.client {
            // RFC 5321 §4.4: FROM names the source as it was given in EHLO. A mail program has no name and gives its
            // address at home instead, which is left out as well.
            Some(client) if self.protocol.authenticated && client.is_literal() => {
                "submitter.invalid".to_owned()
            }
            Some(client) => printable(client.as_str()),
            None if self.protocol.authenticated => "submitter.invalid".to_owned(),
            None => "unknown.invalid".to_owned(),
        }
    }
}

/// Writes `Return-Path:`, which goes above everything else at delivery
/// ([RFC 5321 §4.4](https://www.rfc-editor.org/rfc/rfc5321#section-4.4)).
pub fn return_path(path: &ReversePath<'_>, out: &mut BytesMut) {
    out.put_slice(b"Return-Path: <");
    out.put_slice(printable(path.as_str()).as_bytes());
    out.put_slice(b">\r\n");
}

/// Writes `Delivered-To:`, the address that the message was accepted for.
pub fn delivered_to(address: &str, out: &mut BytesMut) {
    out.put_slice(b"Delivered-To: ");
    out.put_slice(printable(address).as_bytes());
    out.put_slice(b"\r\n");
}

/// Writes the fields that a submission lacks and a submission server may add
/// ([RFC 6409 §8](https://www.rfc-editor.org/rfc/rfc6409#section-8)): Date and Message-ID.
///
/// `found` is what [`HeaderScan::fields`] gave. Without it, when the header is longer than what was looked at, nothing
/// is added: a second Date does more harm than none.
pub fn missing_fields(
    found: Option<&Fields>,
    host: &Domain<'_>,
    id: &str,
    at: OffsetDateTime,
    out: &mut BytesMut,
) {
    let Some(found) = found else {
        return;
    };
    if found.date == 0 {
        out.put_slice(format!("Date: {}\r\n", date(at)).as_bytes());
    }
    if found.message_id == 0 {
        out.put_slice(format!("Message-ID: <{}@{}>\r\n", token(id), host.as_str()).as_bytes());
    }
}

/// `Tue, 29 Sep 2026 12:34:56 +0000` ([RFC 5322 §3.3](https://www.rfc-editor.org/rfc/rfc5322#section-3.3)).
pub fn date(at: OffsetDateTime) -> String {
    // RFC 5321 §4.4: the zone SHOULD be given as a number.
    let utc = at.to_offset(time::UtcOffset::UTC);
    utc.format(&Rfc2822).unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 +0000".to_owned())
}

/// A field whose words go to a new line where the old one would get too long.
struct Folded {
    text: String,
    line: usize,
}

impl Folded {
    fn new(name: &str) -> Self {
        Self { text: name.to_owned(), line: name.len() }
    }

    /// Words that stay together if they fit.
    fn words(&mut self, words: &[&str]) {
        let length: usize = words.iter().map(|word| word.len() + 1).sum();
        let fold_all = self.line + length > WIDTH;
        for (number, word) in words.iter().enumerate() {
            // A semicolon may come behind a word.
            if (number == 0 && fold_all) || self.line + 1 + word.len() > WIDTH {
                self.text.push_str("\r\n\t");
                self.line = 1 + word.len();
            } else {
                self.text.push(' ');
                self.line += 1 + word.len();
            }
            self.text.push_str(word);
        }
    }
}

/// `127.0.0.1` or `IPv6:::1` ([RFC 5321 §4.1.3](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.3)).
fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("IPv6:{address}"),
    }
}

/// The types of the caller let nothing else through; a field that could be broken out of is not left to that alone.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            out.push(c);
        } else {
            let _ = write!(out, "?");
        }
    }
    out
}

/// What may stand in an `id` and in a Message-ID without quotes.
fn token(text: &str) -> String {
    let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let token: String = text.chars().filter(good).take(64).collect();
    if token.is_empty() { "0".to_owned() } else { token }
}

/// One less than the 78 of RFC 5322 §2.1.1, for the semicolon.
const WIDTH: usize = 77;
const LONGEST_ADDRESS: usize = 900;

#[cfg(test)]
mod tests {
    use super::*;

    const AT: OffsetDateTime = match OffsetDateTime::from_unix_timestamp(1_790_685_296) {
        Ok(at) => at,
        Err(_) => panic!("in range"),
    };
    const DATE: &str = "Tue, 29 Sep 2026 12:34:56 +0000";

    fn domain(text: &str) -> Domain<'_> {
        Domain::parse(text).unwrap()
    }

    fn received(received: &Received<'_>) -> String {
        let mut out = BytesMut::new();
        received.encode(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn sample<'a>(client: &'a Domain<'a>, host: &'a Domain<'a>) -> Received<'a> {
        Received {
            client: Some(client),
            peer: "192.0.2.1".parse().unwrap(),
            host,
            protocol: Protocol { web: false, extended: true, tls: true, authenticated: false },
            id: "k7",
            recipient: Some("anna@example.test"),
            at: AT,
        }
    }

    // Ledger: 5321-4.4-2, 5321-4.4-3, 5321-4.4-4, 5321-4.4-16, 5321-F.5-1
    #[test]
    fn a_received_field_says_from_by_with_id_for_and_when() {
        let (client, host) = (domain("client.example"), domain("mail.example.test"));
        assert_eq!(
            received(&sample(&client, &host)),
            format!(
                "Received: from client.example ([192.0.2.1]) by mail.example.test with ESMTPS\r\n\
                 \tid k7 for <anna@example.test>; {DATE}\r\n"
            )
        );
        let peer = "2001:db8::1".parse().unwrap();
        let protocol = Protocol { web: false, extended: false, tls: false, authenticated: false };
        assert_eq!(
            received(&Received { client: None, peer, protocol, recipient: None, ..sample(&client, &host) }),
            format!(
                "Received: from unknown.invalid ([IPv6:2001:db8::1])\r\n\
                 \tby mail.example.test with SMTP id k7; {DATE}\r\n"
            )
        );
    }

    #[test]
    fn the_address_of_a_logged_in_submitter_is_nowhere() {
        let (client, host) = (domain("[192.0.2.1]"), domain("mail.example.test"));
        let protocol = Protocol { web: false, extended: true, tls: true, authenticated: true };
        let field = received(&Received { protocol, ..sample(&client, &host) });
        assert!(!field.contains("192.0.2.1"), "{field}");
        assert_eq!(
            field,
            format!(
                "Received: from submitter.invalid by mail.example.test with ESMTPSA id k7\r\n\
                 \tfor <anna@example.test>; {DATE}\r\n"
            )
        );
        assert_eq!(Protocol { tls: false, ..protocol }.keyword(), "ESMTPA");
        let protocol = Protocol { web: true, ..protocol };
        let field = received(&Received { protocol, client: None, ..sample(&client, &host) });
        assert!(
            field.starts_with("Received: from submitter.invalid by mail.example.test with HTTPS id k7"),
            "{field}"
        );
        assert_eq!(Protocol { tls: false, ..protocol }.keyword(), "HTTP");
    }

    #[test]
    fn lines_are_folded_and_no_name_breaks_out_of_them() {
        let label = "a".repeat(60);
        let long = format!("{label}.{label}.{label}.{label}");
        let (client, host) = (domain("[x:(\"<>;by]"), domain(&long));
        let mailbox = format!("{}@{long}", "b".repeat(700));
        for recipient in ["\"a b; c\"@example.test", "a\r\nX: y@b", &mailbox, &"c".repeat(2_000)] {
            let field = received(&Received { recipient: Some(recipient), ..sample(&client, &host) });
            let lines: Vec<&str> = field.strip_suffix("\r\n").unwrap().split("\r\n").collect();
            assert!(lines[1..].iter().all(|line| line.starts_with('\t') && line.len() > 1), "{field}");
            assert!(lines.iter().all(|line| line.len() <= 998 && line.is_ascii()), "{field}");
            // Only what cannot be folded is longer than 78.
            assert!(lines.iter().all(|line| line.len() <= 78 || line.split(' ').count() <= 2), "{field}");
            assert!(field.ends_with(&format!("{DATE}\r\n")), "{field}");
        }
    }

    // Ledger: 5321-4.4-8
    #[test]
    fn what_goes_above_a_delivery() {
        let mut out = BytesMut::new();
        return_path(&ReversePath::Null, &mut out);
        let mailbox = smtp_codec::Mailbox::parse("a@b.test").unwrap();
        return_path(&ReversePath::Mailbox(mailbox), &mut out);
        delivered_to("anna@example.test", &mut out);
        assert_eq!(
            &out[..],
            b"Return-Path: <>\r\nReturn-Path: <a@b.test>\r\nDelivered-To: anna@example.test\r\n"
        );
    }

    #[test]
    fn only_what_is_missing_is_added_and_nothing_when_in_doubt() {
        let host = domain("mail.example.test");
        let added = |message: &[u8]| {
            let mut scan = HeaderScan::new();
            scan.push(message);
            let mut out = BytesMut::new();
            missing_fields(scan.fields(), &host, "k7", AT, &mut out);
            String::from_utf8(out.to_vec()).unwrap()
        };
        let (date, id) = (format!("Date: {DATE}\r\n"), "Message-ID: <k7@mail.example.test>\r\n");
        assert_eq!(added(b"From: a@b\r\n\r\nx"), format!("{date}{id}"));
        assert_eq!(added(b"date: now\r\n\r\n"), id);
        assert_eq!(added(b"Message-Id:<1@b>\r\n\r\nDate: x\r\n"), date);
        assert_eq!(added(b"Message-Id:<1@b>\r\nDate: x\r\n\r\n"), "");
        assert_eq!(added(b"From: a@b\r\nX: no end"), "");
    }
}
