//! What the fields of the form say that are not for people.

use mailstore::mailbox::Uid;

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::web) enum Deed {
    #[default]
    Save,
    Send,
    Attach,
    Remove(usize),
    Discard,
}

/// The message that is answered or sent on, and how: `reply:3.15.1790000000`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::web) struct Origin {
    pub(in crate::web) forward: bool,
    pub(in crate::web) folder: u64,
    pub(in crate::web) uid: Uid,
    /// The life of the folder.
    pub(in crate::web) validity: u32,
}

impl Origin {
    pub(in crate::web) fn parse(text: &str) -> Option<Self> {
        let (how, place) = text.split_once(':')?;
        let mut numbers = place.splitn(3, '.');
        Some(Self {
            forward: match how {
                "forward" => true,
                "reply" => false,
                _ => return None,
            },
            folder: numbers.next()?.parse().ok()?,
            uid: Uid::new(numbers.next()?.parse().ok()?)?,
            validity: numbers.next()?.parse().ok()?,
        })
    }

    pub(in crate::web) fn text(&self) -> String {
        let how = if self.forward { "forward" } else { "reply" };
        format!("{how}:{}.{}.{}", self.folder, self.uid, self.validity)
    }
}

impl Deed {
    pub(in crate::web) fn parse(text: &str) -> Self {
        match text {
            "send" => Self::Send,
            "attach" => Self::Attach,
            "discard" => Self::Discard,
            _ => text
                .strip_prefix("remove:")
                .and_then(|number| number.parse().ok())
                .map_or(Self::Save, Self::Remove),
        }
    }
}

/// Whether this is the name of a form: one that nobody can guess.
pub(in crate::web) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
}

/// `3.15`: a folder and a message.
pub(in crate::web) fn place(text: &str) -> Option<(u64, Uid)> {
    let (folder, uid) = text.split_once('.')?;
    Some((folder.parse().ok()?, Uid::new(uid.parse().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_and_deeds_are_read_back() {
        let origin = Origin { forward: true, folder: 3, uid: Uid::new(15).unwrap(), validity: 1_790_000_000 };
        assert_eq!(Origin::parse(&origin.text()), Some(origin));
        for bad in
            ["", "reply", "reply:", "reply:1", "reply:1.0.1", "steal:1.2.3", "reply:1.2.3.4", "reply:-1.2.3"]
        {
            assert_eq!(Origin::parse(bad), None, "{bad}");
        }
        assert_eq!(Deed::parse("remove:2"), Deed::Remove(2));
        for unknown in ["", "remove:", "remove:x", "anything"] {
            assert_eq!(Deed::parse(unknown), Deed::Save, "what is not understood keeps what was typed");
        }
    }

    #[test]
    fn places_are_two_numbers() {
        assert_eq!(place("3.15"), Uid::new(15).map(|uid| (3, uid)));
        for bad in ["", "3", "3.", "3.0", "x.1", "3.1.2", "-3.1"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
