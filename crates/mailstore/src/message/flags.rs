//! Flags of messages.

use crate::error::Refusal;

/// The flags of a message, as its mailbox counts them.
///
/// Bits 0 to 7 are the system flags ([RFC 9051 §2.3.2](https://www.rfc-editor.org/rfc/rfc9051#section-2.3.2)); the others are
/// the keywords of the mailbox, by their place in [`MailboxStatus::keywords`](crate::mailbox::MailboxStatus::keywords).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Flags(pub(crate) u64);

impl Flags {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// The message has been read.
    pub const SEEN: Self = Self(1);
    /// The message has been answered.
    pub const ANSWERED: Self = Self(1 << 1);
    /// The message wants attention.
    pub const FLAGGED: Self = Self(1 << 2);
    /// The message goes with the next EXPUNGE.
    pub const DELETED: Self = Self(1 << 3);
    /// The message has not been finished.
    pub const DRAFT: Self = Self(1 << 4);
    /// All flags that are no keywords.
    pub const SYSTEM: Self = Self(0b1_1111);

    /// The flag of the keyword at this place in its mailbox; `None` beyond the last one there can be.
    pub const fn keyword(index: usize) -> Option<Self> {
        if index < MAX_KEYWORDS { Some(Self(1 << (FIRST_KEYWORD + index))) } else { None }
    }

    /// Those with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `others` are among them.
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Those that are here or there.
    #[must_use]
    pub const fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that are here and there.
    #[must_use]
    pub const fn intersection(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Those that are here and not there.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// The places of its keywords in their mailbox.
    pub fn keywords(self) -> impl Iterator<Item = usize> {
        (0..MAX_KEYWORDS).filter(move |index| self.0 >> (FIRST_KEYWORD + index) & 1 != 0)
    }
}

/// Flags as a caller gives them: a keyword by its name, whatever its place in a mailbox may be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NamedFlags {
    /// System flags. Bits beyond [`Flags::SYSTEM`] do not count.
    pub system: Flags,
    /// Keywords, compared without regard to case: 1 to 128 octets each, as an atom has them.
    pub keywords: Vec<String>,
}

impl NamedFlags {
    /// None at all.
    pub const NONE: Self = Self { system: Flags::NONE, keywords: Vec::new() };
}

impl From<Flags> for NamedFlags {
    /// The system flags among them.
    fn from(flags: Flags) -> Self {
        Self { system: flags.intersection(Flags::SYSTEM), keywords: Vec::new() }
    }
}

/// What is to become of the flags of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FlagChange {
    /// These come to those that are there.
    Add(NamedFlags),
    /// These go.
    Remove(NamedFlags),
    /// These and no others.
    Replace(NamedFlags),
}

/// RFC 9051 §9: a keyword is an atom. A caller that has parsed one has checked that already.
pub(crate) fn check_keyword(name: &str) -> Result<(), Refusal> {
    let is_atom_char = |octet: u8| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet);
    let good = (1..=MAX_KEYWORD).contains(&name.len()) && name.bytes().all(is_atom_char);
    if good { Ok(()) } else { Err(Refusal::BadKeyword) }
}

/// The place of a keyword among those of a mailbox.
pub(crate) fn place_of(keywords: &[String], name: &str) -> Option<usize> {
    keywords.iter().position(|known| known.eq_ignore_ascii_case(name))
}

/// How many keywords a mailbox has at most.
pub(crate) const MAX_KEYWORDS: usize = 56;
const FIRST_KEYWORD: usize = 8;
/// Octets of a keyword.
const MAX_KEYWORD: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_have_bits_of_their_own_behind_the_system_flags() {
        let all: Vec<_> = (0..MAX_KEYWORDS).filter_map(Flags::keyword).collect();
        assert_eq!(all.len(), MAX_KEYWORDS);
        assert_eq!(Flags::keyword(MAX_KEYWORDS), None);
        for (index, flag) in all.iter().enumerate() {
            assert!(flag.intersection(Flags(0xff)).is_empty());
            assert_eq!(flag.union(Flags::SEEN).keywords().collect::<Vec<_>>(), [index]);
        }
        let every = all.iter().fold(Flags::NONE, |flags, flag| flags.union(*flag));
        assert_eq!(every.bits(), !0xff);
        assert!(every.contains(all[3]) && !every.without(all[3]).contains(all[3]));
    }

    #[test]
    fn a_keyword_is_an_atom() {
        for good in ["$Forwarded", "Junk", "a", "x-y.z", &"k".repeat(128)] {
            assert_eq!(check_keyword(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "\\Seen", "a(", "a]", "\"", "ä", "a\r\n", &"k".repeat(129)] {
            assert_eq!(check_keyword(bad), Err(Refusal::BadKeyword), "{bad}");
        }
    }
}
