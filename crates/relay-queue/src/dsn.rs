//! Reports to senders: a `multipart/report` of a `message/delivery-status`
//! ([RFC 3464](https://www.rfc-editor.org/rfc/rfc3464), [RFC 6522](https://www.rfc-editor.org/rfc/rfc6522)).
//!
//! ```text
//! head      From, To, Subject, Auto-Submitted, Content-Type        Report::head
//!           --boundary  text/plain: what happened, in words
//!           --boundary  message/delivery-status
//!           --boundary  text/rfc822-headers
//! original  the header section of the message, from its body       Report::original
//! tail      --boundary--                                           Report::tail
//! ```

use bytes::Bytes;

use crate::envelope::{Address, BodyHandle, Envelope, MessageId};
use crate::outcome::{Answer, Status};
use crate::queue::message::{Last, Message, Slot};
use crate::schedule::Time;
use crate::seed::{BOUNDARY, NAME, Seed};

/// A message to the sender of another. The host makes its body of `head`, the header section of `original` and `tail`, one
/// behind the other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// The message it is about.
    pub about: MessageId,
    /// Whom it is for. It goes out from the null reverse-path.
    pub to: Address,
    /// What stands in front.
    pub head: Bytes,
    /// The body whose header section follows: up to its first empty line and without it, each line ended by CRLF. What is
    /// over some limit of the host's may be left out, and all of it if the body cannot be read.
    pub original: BodyHandle,
    /// What stands behind.
    pub tail: Bytes,
}

impl Report {
    /// The envelope to [accept](crate::Queue::accept_report), once the host knows under which handle it keeps the report.
    ///
    /// RFC 5321 §4.5.5: notifications go out with a null reverse-path.
    pub fn envelope(&self, body: BodyHandle) -> Envelope {
        Envelope::new(None, body).to(self.to.clone())
    }
}

/// What is told, apart from who and when.
pub(crate) struct Facts<'a> {
    pub(crate) host: &'a str,
    pub(crate) seed: Seed,
    pub(crate) id: MessageId,
    pub(crate) message: &'a Message,
    pub(crate) to: &'a Address,
    pub(crate) failed: Vec<&'a Slot>,
    pub(crate) delayed: Vec<&'a Slot>,
    pub(crate) expiry: Time,
    pub(crate) now: Time,
}

pub(crate) fn compose(facts: &Facts<'_>) -> Report {
    let (words, status) = (words(facts), status(facts));
    let from = |number: u64| facts.seed.hash(BOUNDARY, facts.id.0, facts.now as u64 ^ number << 56);
    // It follows from a seed that nobody else knows, so the original cannot hold it; our own parts are looked through.
    let boundary = (0..)
        .map(|number| format!("=_{:016x}{:016x}", from(2 * number), from(2 * number + 1)))
        .find(|boundary| !words.contains(boundary.as_str()) && !status.contains(boundary.as_str()))
        .expect("there are more boundaries than octets");
    let (host, date) = (facts.host, date(facts.now));
    let subject = match (facts.failed.is_empty(), facts.delayed.is_empty()) {
        (true, _) => "Your message is late",
        (false, true) => "Your message could not be delivered",
        (false, false) => "Your message could not be delivered to everyone yet",
    };
    let ascii = words.is_ascii();
    let (charset, encoding) = if ascii { ("us-ascii", "7bit") } else { ("utf-8", "8bit") };
    // Two reports on one message within one second are about different recipients, and so need names of their own.
    let about =
        status.bytes().fold(facts.now as u64, |sum, octet| facts.seed.hash(NAME, sum, u64::from(octet)));
    let name = facts.seed.hash(NAME, facts.id.0, about);
    // RFC 3834 §5: auto-replied, so that no responder answers it. RFC 6522 §3: the report-type.
    let head = format!(
        "From: Mail delivery <MAILER-DAEMON@{host}>\r\n\
         To: <{to}>\r\n\
         Date: {date}\r\n\
         Message-ID: <{id}.{name:016x}@{host}>\r\n\
         Subject: {subject}\r\n\
         Auto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\
         \tboundary=\"{boundary}\"\r\n\
         \r\n\
         This is a report on a message, in the MIME format.\r\n\
         \r\n\
         --{boundary}\r\n\
         Content-Type: text/plain; charset={charset}\r\n\
         Content-Transfer-Encoding: {encoding}\r\n\
         \r\n\
         {words}\
         \r\n\
         --{boundary}\r\n\
         Content-Type: message/delivery-status\r\n\
         \r\n\
         {status}\
         \r\n\
         --{boundary}\r\n\
         Content-Type: text/rfc822-headers\r\n\
         \r\n",
        to = facts.to,
        id = facts.id,
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    Report {
        about: facts.id,
        to: facts.to.clone(),
        head: head.into(),
        original: facts.message.body,
        tail: tail.into(),
    }
}

/// The part for people.
fn words(facts: &Facts<'_>) -> String {
    let mut out = String::new();
    let mut line = |line: &str| fold(line, "", 76, &mut out);
    line(&format!("This is the mail system of {}.", facts.host));
    line("");
    line(&format!("It took a message of yours on {}.", date(facts.message.accepted)));
    line("");
    if !facts.failed.is_empty() {
        line("It could not be delivered to the following, and will not be tried again:");
        line("");
        facts.failed.iter().for_each(|slot| tell(slot, &mut line));
    }
    if !facts.delayed.is_empty() {
        line("It has not yet been delivered to the following:");
        line("");
        facts.delayed.iter().for_each(|slot| tell(slot, &mut line));
        line("You need not send it again. It is tried until");
        line(&format!("{}.", date(facts.expiry)));
        line("Should that fail, you will be told.");
        line("");
    }
    line("Below is a description for programs, and the header of your message.");
    out
}

fn tell(slot: &Slot, line: &mut impl FnMut(&str)) {
    line(&format!("  <{}>", slot.address));
    match &slot.last {
        Some(Last { answer, .. }) if answer.code().is_some() => {
            line(&format!("    The answer of {} was:", answer.host().unwrap_or("the other host")));
            line(&format!("    {}", spoken(answer)));
        }
        Some(Last { answer, .. }) => {
            line(&format!("    {}", answer.text()));
            if let Some(host) = answer.host() {
                line(&format!("    (tried: {host})"));
            }
        }
        None => line("    It was not possible to try so far."),
    }
    line("");
}

/// The part for programs: RFC 3464 §2.
fn status(facts: &Facts<'_>) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: &str| fold(&ascii(value), &format!("{name}: "), 76, &mut out);
    if let Some(id) = &facts.message.id {
        field("Original-Envelope-Id", id);
    }
    field("Reporting-MTA", &format!("dns; {}", facts.host));
    field("Arrival-Date", &date(facts.message.accepted));
    let groups =
        facts.failed.iter().map(|slot| (slot, false)).chain(facts.delayed.iter().map(|slot| (slot, true)));
    for (slot, delayed) in groups {
        out.push_str("\r\n");
        let mut field = |name: &str, value: &str| fold(&ascii(value), &format!("{name}: "), 76, &mut out);
        if let Some(original) = &slot.original {
            field("Original-Recipient", &original.replacen(';', "; ", 1));
        }
        field("Final-Recipient", &typed(slot.address.as_str()));
        field("Action", if delayed { "delayed" } else { "failed" });
        let last = slot.last.as_ref();
        let known = last.and_then(|last| last.answer.status());
        field("Status", &known_or_not(known, last, delayed).to_string());
        if let Some(Last { at, answer }) = last {
            // RFC 3464 §2.3.5: the name of the host that said it, and only if one did.
            if let Some(host) = answer.host().filter(|_| answer.code().is_some()) {
                field("Remote-MTA", &format!("dns; {host}"));
            }
            match answer.code() {
                Some(_) => field("Diagnostic-Code", &format!("smtp; {}", spoken(answer))),
                None => field("Diagnostic-Code", &format!("x-postrider; {}", answer.text())),
            }
            field("Last-Attempt-Date", &date(*at));
        }
        if delayed {
            field("Will-Retry-Until", &date(facts.expiry));
        }
    }
    out
}

/// RFC 3464 §2.3.4: the status agrees with the action. RFC 3463 §3.5, X.4.7: better the actual problem than the expiry.
fn known_or_not(status: Option<Status>, last: Option<&Last>, delayed: bool) -> Status {
    let permanent = last.is_some_and(|last| match last.answer.code() {
        Some(code) => code / 100 == 5,
        None => last.answer.status().is_some_and(|status| status.class == 5),
    });
    let class = if delayed || !permanent { 4 } else { 5 };
    match status {
        Some(status) if status.class > 2 => Status { class, ..status },
        _ if delayed || permanent => Status::new(class, 0, 0),
        _ => Status::new(4, 4, 7),
    }
}

fn spoken(answer: &Answer) -> String {
    let code = answer.code().map_or_else(String::new, |code| format!("{code} "));
    let status = answer.status().map_or_else(String::new, |status| format!("{status} "));
    format!("{code}{status}{}", answer.text())
}

/// An address with its type: RFC 3464 §2.3.2, and RFC 6533 §3 for what is not ASCII.
fn typed(address: &str) -> String {
    if address.is_ascii() {
        return format!("rfc822; {address}");
    }
    let mut out = String::from("utf-8; ");
    for character in address.chars() {
        match character {
            '!'..='~' if !matches!(character, '\\' | '+' | '=') => out.push(character),
            _ => out.push_str(&format!("\\x{{{:X}}}", u32::from(character))),
        }
    }
    out
}

/// RFC 3464 §2.1.1: the fields are ASCII.
fn ascii(text: &str) -> String {
    text.chars().map(|character| if matches!(character, ' '..='~') { character } else { '?' }).collect()
}

/// One line, folded at spaces where it is long; what has none is cut, so that no line is over 998 octets (RFC 5322 §2.1.1).
fn fold(text: &str, name: &str, width: usize, out: &mut String) {
    let indent = if name.is_empty() { &text[..text.len() - text.trim_start().len()] } else { "\t" };
    out.push_str(name);
    let mut column = name.len();
    if name.is_empty() {
        out.push_str(indent);
        column = indent.len();
    }
    for (number, word) in text.split(' ').filter(|word| !word.is_empty()).enumerate() {
        if number > 0 {
            if column + 1 + word.len() > width {
                out.push_str("\r\n");
                out.push_str(indent);
                column = indent.len();
            } else {
                out.push(' ');
                column += 1;
            }
        }
        for character in word.chars() {
            if column + character.len_utf8() > 990 {
                out.push_str("\r\n");
                out.push_str(if indent.is_empty() { " " } else { indent });
                column = indent.len().max(1);
            }
            out.push(character);
            column += character.len_utf8();
        }
    }
    out.push_str("\r\n");
}

/// RFC 5322 §3.3, in UTC.
pub(crate) fn date(time: Time) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // A year has four digits.
    let time = time.clamp(0, 253_402_300_799);
    let (days, second) = (time / 86_400, time % 86_400);
    // Civil from days, with years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{}, {day} {} {year:04} {:02}:{:02}:{:02} +0000",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize - 1],
        second / 3_600,
        second / 60 % 60,
        second % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(date(1_795_311_961), "Sun, 22 Nov 2026 01:46:01 +0000");
        assert_eq!(date(-5), date(0));
        assert_eq!(date(i64::MAX), "Fri, 31 Dec 9999 23:59:59 +0000");
    }

    #[test]
    fn long_text_is_folded_and_none_of_it_is_lost() {
        let mut out = String::new();
        fold(&format!("{} {}", "word ".repeat(40), "x".repeat(2_500)), "Name: ", 76, &mut out);
        assert!(out.split("\r\n").all(|line| line.len() <= 998));
        assert!(out.trim_end().split("\r\n").skip(1).all(|line| line.starts_with('\t') && line.len() > 1));
        assert_eq!(out.matches('x').count(), 2_500);
    }

    #[test]
    fn addresses_outside_ascii_are_written_in_ascii() {
        assert_eq!(typed("a@b"), "rfc822; a@b");
        assert_eq!(typed("grå+x@é.test"), "utf-8; gr\\x{E5}\\x{2B}x@\\x{E9}.test");
    }
}
