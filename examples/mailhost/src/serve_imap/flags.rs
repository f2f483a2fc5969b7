//! Flags as the wire has them and as the store has them, and what mailboxes are for.

use std::sync::Arc;

use imap_codec::types::flag::{Flag, Flags as Words};
use imap_codec::types::string::Atom;
use mailstore::mailbox::SpecialUse;
use mailstore::message::{FlagChange, Flags, NamedFlags};

/// The names of flags in one mailbox.
pub(super) struct Names {
    keywords: Arc<[String]>,
    /// What was asked for last: neighbours mostly have the same flags.
    last: Option<(Flags, Words<'static>)>,
}

impl Names {
    pub(super) const fn new(keywords: Arc<[String]>) -> Self {
        Self { keywords, last: None }
    }

    /// The flags of a message, as they are told.
    pub(super) fn words(&mut self, flags: Flags) -> Words<'static> {
        match &self.last {
            Some((of, words)) if *of == flags => words.clone(),
            _ => {
                let words = words(flags, &self.keywords);
                self.last = Some((flags, words.clone()));
                words
            }
        }
    }
}

fn words(flags: Flags, keywords: &[String]) -> Words<'static> {
    let system = SYSTEM.into_iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| word);
    let named = flags.keywords().filter_map(|place| keywords.get(place));
    Words::new(system.chain(named.filter_map(|name| keyword(name))))
}

/// All flags that a mailbox knows; with `more`, new ones can be made.
pub(super) fn known(keywords: &[String], more: bool) -> Words<'static> {
    let system = SYSTEM.into_iter().map(|(_, word)| word);
    let named = keywords.iter().filter_map(|name| keyword(name));
    Words::new(system.chain(named).chain(more.then_some(Flag::Any)))
}

fn keyword(name: &str) -> Option<Flag<'_>> {
    Atom::new(name).ok().map(Flag::Keyword)
}

/// Flags that a client names. `None` if there is one that no message can have.
pub(super) fn named(words: &Words<'_>) -> Option<NamedFlags> {
    let mut named = NamedFlags::NONE;
    for word in words.iter() {
        match word {
            Flag::Keyword(name) => named.keywords.push(name.as_str().to_owned()),
            word => named.system = named.system.union(SYSTEM.iter().find(|(_, of)| *of == word)?.0),
        }
    }
    Some(named)
}

/// What a change makes of flags, in a mailbox with these keywords.
pub(super) fn changed(before: Flags, change: &FlagChange, keywords: &[String]) -> Flags {
    let (FlagChange::Add(named) | FlagChange::Remove(named) | FlagChange::Replace(named)) = change;
    let place = |name: &String| keywords.iter().position(|keyword| keyword.eq_ignore_ascii_case(name));
    let words = named.keywords.iter().filter_map(place).filter_map(Flags::keyword);
    let flags = words.fold(named.system, Flags::union);
    match change {
        FlagChange::Add(_) => before.union(flags),
        FlagChange::Remove(_) => before.without(flags),
        FlagChange::Replace(_) => flags,
    }
}

/// The attribute that says what a mailbox is for.
pub(super) fn attribute(special_use: SpecialUse) -> Option<Flag<'static>> {
    let name = USES.iter().find(|(of, _)| *of == special_use)?.1;
    Some(Flag::Extension(Atom::new(name).ok()?))
}

/// What a mailbox is for, from the attribute.
pub(super) fn special_use(attribute: &Flag<'_>) -> Option<SpecialUse> {
    // `\Flagged` is both.
    let name = match attribute {
        Flag::Flagged => "Flagged",
        Flag::Extension(name) => name.as_str(),
        _ => return None,
    };
    USES.iter().find(|(_, of)| of.eq_ignore_ascii_case(name)).map(|(of, _)| *of)
}

const SYSTEM: [(Flags, Flag<'static>); 5] = [
    (Flags::ANSWERED, Flag::Answered),
    (Flags::FLAGGED, Flag::Flagged),
    (Flags::DELETED, Flag::Deleted),
    (Flags::SEEN, Flag::Seen),
    (Flags::DRAFT, Flag::Draft),
];

/// RFC 6154 §2.
const USES: [(SpecialUse, &str); 7] = [
    (SpecialUse::Drafts, "Drafts"),
    (SpecialUse::Sent, "Sent"),
    (SpecialUse::Junk, "Junk"),
    (SpecialUse::Trash, "Trash"),
    (SpecialUse::Archive, "Archive"),
    (SpecialUse::All, "All"),
    (SpecialUse::Flagged, "Flagged"),
];
