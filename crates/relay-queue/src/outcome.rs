//! What came of a delivery.

use core::fmt;
use std::sync::Arc;

/// An enhanced status code ([RFC 3463 §2](https://www.rfc-editor.org/rfc/rfc3463#section-2)).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Status {
    /// 2 done, 4 not now, 5 no.
    pub class: u8,
    /// What it is about.
    pub subject: u16,
    /// The detail within the subject.
    pub detail: u16,
}

impl Status {
    /// A status of these three numbers.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// What was answered: a reply of another host, or what went wrong on the way to it.
///
/// The text is made harmless when it comes in: line ends and other controls become one space, and what is beyond 512 octets
/// is cut off. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Answer(Arc<Inner>);

#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Inner {
    code: u16,
    status: Option<Status>,
    host: Option<Box<str>>,
    text: Box<str>,
}

impl Answer {
    /// A reply: its code, its enhanced code if it had one, and its text, lines joined in any way.
    pub fn reply(code: u16, status: Option<Status>, text: &str) -> Self {
        Self(Arc::new(Inner { code, status, host: None, text: harmless(text, TEXT) }))
    }

    /// Something that no other host has said: a connection that was refused, a name that does not exist.
    pub fn local(status: Status, text: &str) -> Self {
        Self(Arc::new(Inner { code: 0, status: Some(status), host: None, text: harmless(text, TEXT) }))
    }

    /// The host that said it, or that did not answer.
    pub fn by(self, host: &str) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.host = Some(harmless(host, HOST)).filter(|host| !host.is_empty());
        Self(Arc::new(inner))
    }

    /// The code of the reply; `None` when nobody replied.
    pub fn code(&self) -> Option<u16> {
        (self.0.code != 0).then_some(self.0.code)
    }

    /// The enhanced code.
    pub fn status(&self) -> Option<Status> {
        self.0.status
    }

    /// The host.
    pub fn host(&self) -> Option<&str> {
        self.0.host.as_deref()
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = self.host() {
            write!(f, "{host}: ")?;
        }
        if let Some(code) = self.code() {
            write!(f, "{code} ")?;
        }
        if let Some(status) = self.status() {
            write!(f, "{status} ")?;
        }
        f.write_str(self.text())
    }
}

/// What came of a delivery to one recipient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The other host has it.
    Delivered(Answer),
    /// No, and it will stay no (5yz).
    Refused(Answer),
    /// Not now (4yz).
    Deferred(Answer),
    /// The connection was lost between the final dot and its reply. It is tried again, and may arrive twice: RFC 5321 §4.5.3.2.6.
    Unknown(Answer),
}

impl Outcome {
    /// The outcome that the first digit of a reply means: 2 delivered, 5 refused, all else deferred.
    pub fn of(answer: Answer) -> Self {
        match answer.0.code / 100 {
            2 => Self::Delivered(answer),
            5 => Self::Refused(answer),
            _ => Self::Deferred(answer),
        }
    }
}

/// How an attempt, which is one connection, has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ending {
    /// In good order. A recipient without an outcome counts as deferred, for want of a better answer.
    Closed,
    /// There was no connection to any host of the site, or none that would take mail. The site is left alone for a while;
    /// recipients without an outcome are deferred.
    Unreachable(Answer),
    /// The connection was lost, or ended by the other side (421). The site gets fewer connections, and is left alone for a
    /// while if nothing had gone through; recipients without an outcome are deferred.
    Broken(Answer),
}

/// Text of others, without line ends or other controls, and not too long.
pub(crate) fn harmless(text: &str, limit: usize) -> Box<str> {
    let mut clean = String::with_capacity(text.len().min(limit));
    for character in text.trim().chars() {
        let blank = character.is_control() || character.is_whitespace();
        if blank && clean.ends_with(' ') {
            continue;
        }
        let character = if blank { ' ' } else { character };
        if clean.len() + character.len_utf8() > limit {
            break;
        }
        clean.push(character);
    }
    clean.truncate(clean.trim_end().len());
    clean.into_boxed_str()
}

pub(crate) const TEXT: usize = 512;
pub(crate) const HOST: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_holds_no_line_end_and_has_an_end() {
        let answer = Answer::reply(550, None, "no\r\nAction: delivered\0\u{2028}x\n").by("evil\r\nhost");
        assert_eq!(answer.text(), "no Action: delivered x");
        assert_eq!(answer.host(), Some("evil host"));
        assert_eq!(Answer::reply(550, None, &"é".repeat(600)).text().len(), 512);
        assert_eq!(Answer::reply(550, None, " \r\n ").text(), "");
    }

    // Ledger: 5321-4.2-6
    #[test]
    fn the_first_digit_decides() {
        let of = |code| Outcome::of(Answer::reply(code, None, ""));
        assert!(matches!(of(250), Outcome::Delivered(_)));
        assert!(matches!(of(550), Outcome::Refused(_)));
        assert!(matches!(
            (of(450), of(0), of(354)),
            (Outcome::Deferred(_), Outcome::Deferred(_), Outcome::Deferred(_))
        ));
    }
}
