//! Extensions: which there are, which a host has switched on, and what belongs to each.
//!
//! All of them are compiled in; a host chooses at run time. One that is off is not announced, and what belongs to it is
//! answered like anything unknown: BAD.
//!
//! One that has a grammar of its own has a file of its own. The others are words in tables: MOVE has the grammar of COPY, and UNSELECT that of
//! CLOSE ([`command`](crate::command)); what CHILDREN adds to LIST are attributes like others, and an option of
//! [`list_extended`]; STATUS=SIZE is an attribute of [`status`].

pub(crate) mod append_limit;
pub mod condstore;
pub(crate) mod enable;
pub mod esearch;
pub mod id;
pub(crate) mod idle;
pub mod list_extended;
pub(crate) mod list_status;
pub(crate) mod literal;
pub mod namespace;
pub mod quota;
pub(crate) mod sasl_ir;
pub(crate) mod search_res;
pub mod special_use;
pub mod status;
pub(crate) mod uid_plus;

use core::fmt;
use std::borrow::Cow;

use crate::parse::{Cursor, Parsed};
use crate::types::string::{Atom, Words, is_atom_char};

macro_rules! extensions {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What a server may be able to do.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Extension {
            $($(#[$doc])* $name,)*
        }

        impl Extension {
            const EVERY: &'static [Self] = &[$(Self::$name),*];

            /// The word that announces it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

extensions! {
    /// IMAP4rev1: [RFC 3501](https://www.rfc-editor.org/rfc/rfc3501).
    Imap4Rev1 = "IMAP4rev1",
    /// IMAP4rev2: [RFC 9051](https://www.rfc-editor.org/rfc/rfc9051). It holds many of the others.
    Imap4Rev2 = "IMAP4rev2",
    /// Responses to LOGIN and AUTHENTICATE in one step: [RFC 4959](https://www.rfc-editor.org/rfc/rfc4959).
    SaslIr = "SASL-IR",
    /// Literals that do not wait: [RFC 7888](https://www.rfc-editor.org/rfc/rfc7888).
    LiteralPlus = "LITERAL+",
    /// The same, up to 4,096 octets. Not announced together with LITERAL+.
    LiteralMinus = "LITERAL-",
    /// [RFC 5161](https://www.rfc-editor.org/rfc/rfc5161).
    Enable = "ENABLE",
    /// [RFC 2971](https://www.rfc-editor.org/rfc/rfc2971).
    Id = "ID",
    /// [RFC 2177](https://www.rfc-editor.org/rfc/rfc2177).
    Idle = "IDLE",
    /// [RFC 2342](https://www.rfc-editor.org/rfc/rfc2342).
    Namespace = "NAMESPACE",
    /// [RFC 3348](https://www.rfc-editor.org/rfc/rfc3348).
    Children = "CHILDREN",
    /// [RFC 3691](https://www.rfc-editor.org/rfc/rfc3691).
    Unselect = "UNSELECT",
    /// [RFC 4315](https://www.rfc-editor.org/rfc/rfc4315).
    UidPlus = "UIDPLUS",
    /// [RFC 6851](https://www.rfc-editor.org/rfc/rfc6851).
    Move = "MOVE",
    /// [RFC 4731](https://www.rfc-editor.org/rfc/rfc4731).
    Esearch = "ESEARCH",
    /// [RFC 5182](https://www.rfc-editor.org/rfc/rfc5182).
    SearchRes = "SEARCHRES",
    /// [RFC 5258](https://www.rfc-editor.org/rfc/rfc5258).
    ListExtended = "LIST-EXTENDED",
    /// [RFC 5819](https://www.rfc-editor.org/rfc/rfc5819).
    ListStatus = "LIST-STATUS",
    /// [RFC 8438](https://www.rfc-editor.org/rfc/rfc8438).
    StatusSize = "STATUS=SIZE",
    /// [RFC 6154](https://www.rfc-editor.org/rfc/rfc6154).
    SpecialUse = "SPECIAL-USE",
    /// [RFC 6154](https://www.rfc-editor.org/rfc/rfc6154).
    CreateSpecialUse = "CREATE-SPECIAL-USE",
    /// [RFC 7162](https://www.rfc-editor.org/rfc/rfc7162), without QRESYNC.
    Condstore = "CONDSTORE",
    /// [RFC 7889](https://www.rfc-editor.org/rfc/rfc7889).
    AppendLimit = "APPENDLIMIT",
    /// [RFC 9208](https://www.rfc-editor.org/rfc/rfc9208).
    Quota = "QUOTA",
    /// SETQUOTA: [RFC 9208 §4.1.3](https://www.rfc-editor.org/rfc/rfc9208#section-4.1.3).
    QuotaSet = "QUOTASET",
}

impl Extension {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::EVERY.iter().copied()
    }

    /// The one that a word announces, in any case.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::all().find(|extension| extension.as_str().eq_ignore_ascii_case(word))
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// A set of extensions.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Extensions(u64);

/// What IMAP4rev2 holds: RFC 9051 Appendix E.
const REV2: [Extension; 14] = [
    Extension::SaslIr,
    Extension::Enable,
    Extension::Idle,
    Extension::Namespace,
    Extension::Children,
    Extension::Unselect,
    Extension::UidPlus,
    Extension::Move,
    Extension::Esearch,
    Extension::SearchRes,
    Extension::ListExtended,
    Extension::ListStatus,
    Extension::StatusSize,
    Extension::SpecialUse,
];

impl Extensions {
    /// IMAP4rev1 and nothing else.
    pub fn rev1() -> Self {
        Self::default().with(Extension::Imap4Rev1)
    }

    /// IMAP4rev1 and IMAP4rev2 with all that the latter holds, and LITERAL+.
    pub fn rev2() -> Self {
        Self::rev1().with(Extension::Imap4Rev2).with(Extension::LiteralPlus)
    }

    /// All that this crate knows, with LITERAL+ and not LITERAL-.
    pub const fn all() -> Self {
        Self(((1 << Extension::EVERY.len()) - 1) & !Extension::LiteralMinus.bit())
    }

    /// With one more, and with what that one needs. LITERAL+ and LITERAL- replace each other.
    pub fn with(mut self, extension: Extension) -> Self {
        self.0 |= extension.bit();
        match extension {
            // RFC 7888 §5: not both.
            Extension::LiteralPlus => self.0 &= !Extension::LiteralMinus.bit(),
            Extension::LiteralMinus => self.0 &= !Extension::LiteralPlus.bit(),
            Extension::Imap4Rev2 => {
                self = REV2.into_iter().fold(self, Self::with);
                // RFC 9051 Appendix E: LITERAL- is a part of it, and LITERAL+ does all that LITERAL- does.
                if !self.has(Extension::LiteralPlus) {
                    self = self.with(Extension::LiteralMinus);
                }
            }
            Extension::SearchRes => self = self.with(Extension::Esearch),
            Extension::ListStatus => self = self.with(Extension::ListExtended),
            Extension::QuotaSet => self = self.with(Extension::Quota),
            _ => {}
        }
        self
    }

    /// Without one. What IMAP4rev2 holds stays as long as IMAP4rev2 does.
    pub fn without(mut self, extension: Extension) -> Self {
        self.0 &= !extension.bit();
        if self.has(Extension::Imap4Rev2) { self.with(Extension::Imap4Rev2) } else { self }
    }

    /// Without one, and without IMAP4rev2 if that holds it: nothing of it is announced or understood any more.
    pub fn switched_off(mut self, extension: Extension) -> Self {
        if REV2.contains(&extension) {
            self.0 &= !Extension::Imap4Rev2.bit();
        }
        let needing = match extension {
            Extension::Esearch => Some(Extension::SearchRes),
            Extension::ListExtended => Some(Extension::ListStatus),
            Extension::Quota => Some(Extension::QuotaSet),
            _ => None,
        };
        needing.map_or(self, |needing| self.without(needing)).without(extension)
    }

    /// What is in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether this one is in the set.
    pub const fn has(self, extension: Extension) -> bool {
        self.0 & extension.bit() != 0
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Extension> {
        Extension::all().filter(move |extension| self.has(*extension))
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What a server announces: the words of CAPABILITY, or of ENABLE and ENABLED.
#[derive(Clone, Debug, Default)]
pub struct Capabilities<'a>(pub(crate) Words<'a>);

impl<'a> Capabilities<'a> {
    /// These words.
    pub fn new<'w>(words: impl IntoIterator<Item = Atom<'w>>) -> Self {
        let mut list = Words::default();
        for word in words {
            list.push(word.as_str());
        }
        Self(list)
    }

    /// The words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter()
    }

    /// Whether a word is among them, in any case.
    pub fn contains(&self, word: &str) -> bool {
        self.iter().any(|each| each.eq_ignore_ascii_case(word))
    }

    /// Whether the word of an extension itself is among them.
    pub(crate) fn has_word(&self, extension: Extension) -> bool {
        self.contains(extension.as_str())
    }

    /// Whether an extension is announced, by itself or as a part of IMAP4rev2.
    pub fn has(&self, extension: Extension) -> bool {
        self.extensions().has(extension)
    }

    /// All extensions that are announced.
    pub fn extensions(&self) -> Extensions {
        self.iter().fold(Extensions::default(), |set, word| {
            let name = word.split_once('=').map_or(word, |(name, _)| name);
            match Extension::from_word(word) {
                Some(extension) => set.with(extension),
                None if name.eq_ignore_ascii_case("APPENDLIMIT") => set.with(Extension::AppendLimit),
                // RFC 9208 §3.1.1: each resource has a capability of its own.
                None if name.eq_ignore_ascii_case("QUOTA") => set.with(Extension::Quota),
                None => set,
            }
        })
    }

    /// The mechanisms of AUTHENTICATE that are announced.
    pub fn mechanisms(&self) -> impl Iterator<Item = &str> {
        self.iter().filter_map(|word| {
            let (name, mechanism) = word.split_once('=')?;
            name.eq_ignore_ascii_case("AUTH").then_some(mechanism)
        })
    }

    /// The size in octets of the largest message that APPEND takes in any mailbox, if there is one.
    pub fn append_limit(&self) -> Option<u64> {
        self.iter().find_map(|word| {
            let (name, limit) = word.split_once('=')?;
            if name.eq_ignore_ascii_case("APPENDLIMIT") { limit.parse().ok() } else { None }
        })
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Capabilities<'static> {
        Capabilities(self.0.into_owned())
    }

    /// Reads words with a space in front of each.
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let start = cursor.at();
        while cursor.peek() == Some(b' ') {
            let mut ahead = *cursor;
            ahead.eat(b' ');
            // Some servers end their list with a space.
            if ahead.take_while(is_atom_char).is_empty() {
                break;
            }
            *cursor = ahead;
        }
        let words = cursor.since(start);
        cursor.eat(b' ');
        Ok(Self(Words::trusted(words.strip_prefix(b" ").unwrap_or(words))))
    }

    pub(crate) fn write(&self, writer: &mut crate::encode::Writer<'_>) {
        for word in self.iter() {
            writer.octet(b' ');
            writer.raw(word);
        }
    }
}

impl PartialEq for Capabilities<'_> {
    /// The same words in the same order, in any case, as [`Atom`]s are compared.
    fn eq(&self, other: &Self) -> bool {
        self.iter().map(str::to_ascii_lowercase).eq(other.iter().map(str::to_ascii_lowercase))
    }
}

impl Eq for Capabilities<'_> {}

impl From<Extensions> for Capabilities<'_> {
    fn from(extensions: Extensions) -> Self {
        let mut words = Words(Cow::Borrowed(""));
        extensions.iter().for_each(|extension| words.push(extension.as_str()));
        Self(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Ledger: 5182-2.1-1, 5182-2.4-1, 7888-5-4
    #[test]
    fn rev2_holds_its_parts_and_one_kind_of_literal() {
        let set = Extensions::default().with(Extension::Imap4Rev2);
        assert!(set.has(Extension::Move) && set.has(Extension::LiteralMinus));
        assert!(!Extensions::rev2().has(Extension::LiteralMinus));
        assert!(!Extensions::all().has(Extension::LiteralMinus));
        assert!(Extensions::rev2().without(Extension::Idle).has(Extension::Idle));
        let set = Extensions::rev1().with(Extension::SearchRes);
        assert!(set.has(Extension::Esearch) && !set.has(Extension::Idle));
    }

    #[test]
    fn what_is_switched_off_takes_along_what_needs_it() {
        for extension in Extension::all() {
            assert!(!Extensions::all().switched_off(extension).has(extension), "{extension:?}");
        }
        let set = Extensions::all().switched_off(Extension::Esearch);
        assert!(!set.has(Extension::SearchRes) && !set.has(Extension::Imap4Rev2) && set.has(Extension::Move));
        assert!(Extensions::all().switched_off(Extension::Id).has(Extension::Imap4Rev2));
        let both = Extensions::rev2().intersection(Extensions::rev1().with(Extension::Idle));
        assert_eq!(both, Extensions::rev1().with(Extension::Idle));
    }

    #[test]
    fn announcements_are_read_with_their_values() {
        let mut cursor = Cursor::new(b" imap4REV1 AUTH=PLAIN auth=X APPENDLIMIT=35 QUOTA=RES-STORAGE NEW");
        let announced = Capabilities::parse(&mut cursor).unwrap();
        assert!(cursor.is_empty());
        assert_eq!(announced.mechanisms().collect::<Vec<_>>(), ["PLAIN", "X"]);
        assert_eq!(announced.append_limit(), Some(35));
        assert!(announced.has(Extension::Quota) && announced.contains("new"));
        assert!(!announced.has(Extension::Idle));
    }
}
