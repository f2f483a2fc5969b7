//! Who a message is from and for, and what it is called here.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use std::borrow::Cow;

use crate::error::{Invalid, Refusal};

/// What tells one queued message from another. Once a message was durable, its identifier is never used again, also not
/// after a restart.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId(pub u64);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where the host keeps a body. The queue gives no meaning to it; one handle serves all recipients of a message.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BodyHandle(pub u64);

/// A mail address that cannot break out of a line: `local-part@domain`, without angle brackets.
///
/// At most 254 octets, [RFC 5321 §4.5.3.1.3](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3). It is kept
/// as it was written, for that is how a report has to name it ([RFC 3464 §2.3.2](https://www.rfc-editor.org/rfc/rfc3464#section-2.3.2));
/// two are equal if their local parts are, and their domains without regard to case. UTF-8 may stand in both.
#[derive(Clone, Debug)]
pub struct Address(Box<str>);

impl Address {
    /// Checks an address.
    pub fn new(address: &str) -> Result<Self, Invalid> {
        let (local, domain) = address.rsplit_once('@').ok_or(Invalid::Address)?;
        if local.is_empty() || domain.is_empty() || address.len() > 254 {
            return Err(Invalid::Address);
        }
        let bad = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
        let apart =
            |character: char| matches!(character, ' ' | '<' | '>' | '"' | '(' | ')' | ',' | ';' | '\\');
        if local.chars().any(bad) || domain.chars().any(|character| bad(character) || apart(character)) {
            return Err(Invalid::Address);
        }
        // What is not quoted has no space and no bracket, or it would not survive a header field.
        if !(local.len() > 1 && local.starts_with('"') && local.ends_with('"')) && local.chars().any(apart) {
            return Err(Invalid::Address);
        }
        Ok(Self(address.into()))
    }

    /// The whole.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the last `@`, in lower case.
    pub fn domain(&self) -> Cow<'_, str> {
        let (_, domain) = self.parts();
        if domain.bytes().any(|octet| octet.is_ascii_uppercase()) {
            domain.to_ascii_lowercase().into()
        } else {
            domain.into()
        }
    }

    fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('@').unwrap_or((&self.0, ""))
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Address {}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((local, domain), (other_local, other_domain)) = (self.parts(), other.parts());
        let octets = domain.bytes().map(|octet| octet.to_ascii_lowercase());
        let others = other_domain.bytes().map(|octet| octet.to_ascii_lowercase());
        local.cmp(other_local).then_with(|| octets.cmp(others))
    }
}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().0.hash(state);
        self.domain().hash(state);
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which reports a recipient's sender wants ([RFC 3461 §4.1](https://www.rfc-editor.org/rfc/rfc3461#section-4.1)).
///
/// Success is not among them: this queue does not report it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Notify {
    /// When it has failed for good.
    pub failure: bool,
    /// When it is late.
    pub delay: bool,
}

impl Notify {
    /// What is done unless the sender asks otherwise: both.
    pub const DEFAULT: Self = Self { failure: true, delay: true };
    /// `NOTIFY=NEVER`.
    pub const NEVER: Self = Self { failure: false, delay: false };
}

impl Default for Notify {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One recipient of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recipient {
    pub(crate) address: Address,
    pub(crate) original: Option<Box<str>>,
    pub(crate) notify: Notify,
}

impl Recipient {
    /// A recipient of whom nothing else is known.
    pub const fn new(address: Address) -> Self {
        Self { address, original: None, notify: Notify::DEFAULT }
    }

    /// What the sender called it: ORCPT, decoded, with its type (`rfc822;bob@example.test`).
    ///
    /// [RFC 3461 §4.2](https://www.rfc-editor.org/rfc/rfc3461#section-4.2). Printable ASCII, at most 500 octets.
    pub fn original(mut self, original: &str) -> Result<Self, Invalid> {
        self.original = Some(printable(original, 500)?);
        Ok(self)
    }

    /// Which reports are wanted.
    pub const fn notify(mut self, notify: Notify) -> Self {
        self.notify = notify;
        self
    }

    /// Its address.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// What the sender called it.
    pub fn original_recipient(&self) -> Option<&str> {
        self.original.as_deref()
    }
}

impl From<Address> for Recipient {
    fn from(address: Address) -> Self {
        Self::new(address)
    }
}

/// A message that is to be relayed: everything but its octets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    pub(crate) from: Option<Address>,
    pub(crate) to: Vec<Recipient>,
    pub(crate) body: BodyHandle,
    pub(crate) size: u64,
    pub(crate) tag: u32,
    pub(crate) id: Option<Box<str>>,
}

impl Envelope {
    /// A message from this sender, or from the null reverse-path, as yet to nobody.
    pub const fn new(from: Option<Address>, body: BodyHandle) -> Self {
        Self { from, to: Vec::new(), body, size: 0, tag: 0, id: None }
    }

    /// One recipient more.
    pub fn to(mut self, recipient: impl Into<Recipient>) -> Self {
        self.to.push(recipient.into());
        self
    }

    /// The size of the message in octets. It comes back with each delivery.
    pub const fn size(mut self, octets: u64) -> Self {
        self.size = octets;
        self
    }

    /// A number of the host's, such as whether the message needs SMTPUTF8. It comes back with each delivery.
    pub const fn tag(mut self, tag: u32) -> Self {
        self.tag = tag;
        self
    }

    /// What the sender calls the message: ENVID, decoded.
    ///
    /// [RFC 3461 §4.4](https://www.rfc-editor.org/rfc/rfc3461#section-4.4). Printable ASCII, at most 100 octets.
    pub fn id(mut self, id: &str) -> Result<Self, Invalid> {
        self.id = Some(printable(id, 100)?);
        Ok(self)
    }

    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self.to.len() {
            0 => Err(Refusal::NoRecipient),
            count if count > MAX_RECIPIENTS => Err(Refusal::TooManyRecipients),
            _ => Ok(()),
        }
    }
}

pub(crate) fn printable(text: &str, limit: usize) -> Result<Box<str>, Invalid> {
    if text.is_empty() || text.len() > limit || !text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        return Err(Invalid::Text);
    }
    Ok(text.into())
}

/// How many recipients a message can have.
pub(crate) const MAX_RECIPIENTS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_out_of_a_line_is_no_address() {
        for good in
            ["a@b", "\"a b\"@c.test", "a@B.TEST", "\"a@b\"@c.test", "grå@exämple.test", "a@[127.0.0.1]"]
        {
            assert!(Address::new(good).is_ok(), "{good}");
        }
        let long = format!("a@{}", "b".repeat(253));
        for bad in
            ["", "a", "@b", "a@", "a\r\n@b", "a@b\nc", "a b@c", "a@b c", "<a@b>", "a\0@b", "a\u{85}@b", &long]
        {
            assert_eq!(Address::new(bad), Err(Invalid::Address), "{bad}");
        }
    }

    #[test]
    fn the_case_of_a_domain_is_kept_and_makes_no_difference() {
        let address = |text| Address::new(text).expect("good");
        let (mixed, plain) = (address("A@B.Test"), address("A@b.test"));
        assert_eq!((mixed.as_str(), &*mixed.domain(), &*plain.domain()), ("A@B.Test", "b.test", "b.test"));
        assert_eq!(std::collections::BTreeSet::from([mixed.clone(), plain.clone()]).len(), 1);
        assert_eq!(mixed, plain);
        assert_ne!(mixed, address("a@B.Test"));
        assert!(plain < address("A@C.test") && address("A@C.test") < address("B@a.test"));
    }

    #[test]
    fn original_recipients_and_envelope_ids_are_printable() {
        let recipient = Recipient::new(Address::new("a@b").expect("good"));
        assert!(recipient.clone().original("rfc822;a@b\r\nAction: delivered").is_err());
        assert!(recipient.original("rfc822;a@b").is_ok());
        assert!(Envelope::new(None, BodyHandle(1)).id("a\nb").is_err());
    }
}
