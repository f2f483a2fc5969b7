//! Names of mailboxes and what stands above and below them.

use crate::error::Refusal;
use crate::limits::MAX_NAME;

/// The one mailbox that every account has ([RFC 9051 §5.1](https://www.rfc-editor.org/rfc/rfc9051#section-5.1)).
pub const INBOX: &str = "INBOX";
/// Stands between the levels of a name.
pub const SEPARATOR: char = '/';

/// The name as the store keeps it, or why it keeps none like that.
///
/// A name has 1 to 1,024 octets, no control characters and 1 to 32 levels, none of them empty. INBOX in any case is INBOX, as
/// the first level too.
pub fn normalise(name: &str) -> Result<String, Refusal> {
    let levels = name.split(SEPARATOR);
    let bad = name.len() > MAX_NAME
        || name.chars().any(char::is_control)
        || levels.clone().any(str::is_empty)
        || levels.count() > MAX_LEVELS;
    if bad {
        return Err(Refusal::BadName);
    }
    let first = name.split(SEPARATOR).next().unwrap_or_default();
    // RFC 9051 §5.1: INBOX is the same whatever its case.
    if first.eq_ignore_ascii_case(INBOX) {
        return Ok([INBOX, &name[INBOX.len()..]].concat());
    }
    Ok(name.to_owned())
}

/// The names above this one, the highest first.
pub(crate) fn superiors(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(SEPARATOR).map(|(at, _)| &name[..at])
}

/// What all names below this one begin with.
pub(crate) fn below(name: &str) -> String {
    format!("{name}{SEPARATOR}")
}

const MAX_LEVELS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_as_they_are_but_inbox() {
        for (name, kept) in [
            ("inbox", "INBOX"),
            ("InBoX/Sub", "INBOX/Sub"),
            ("inboxes", "inboxes"),
            ("a/inbox", "a/inbox"),
            ("Büro", "Büro"),
        ] {
            assert_eq!(normalise(name).as_deref(), Ok(kept));
        }
        let deep = vec!["x"; MAX_LEVELS].join("/");
        assert_eq!(normalise(&deep).as_deref(), Ok(&*deep));
        assert_eq!(normalise(&"x".repeat(MAX_NAME)).map(|name| name.len()), Ok(MAX_NAME));
        for bad in
            ["", "/", "a/", "/a", "a//b", "a\0b", "a\u{85}", &format!("{deep}/x"), &"x".repeat(MAX_NAME + 1)]
        {
            assert_eq!(normalise(bad), Err(Refusal::BadName), "{bad:?}");
        }
    }

    #[test]
    fn superiors_come_from_above() {
        assert_eq!(superiors("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(superiors("a").count(), 0);
    }
}
