//! People, as they are typed.

/// Somebody, as people type them.
pub(in crate::web) fn typed(name: Option<&str>, address: &str) -> String {
    // What looks encoded would be decoded once more, and be another name then.
    let name = name.map(|name| name.trim().replace("=?", "= ?")).filter(|name| !name.is_empty());
    match name {
        // Quotes at the start would be those of a name.
        None if address.starts_with('"') => format!("<{address}>"),
        None => address.to_owned(),
        Some(name) if name.chars().all(|c| c.is_alphanumeric() || c == ' ') => format!("{name} <{address}>"),
        Some(name) => format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// A list of addresses in its parts, so that the one can be named that is wrong: at commas, semicolons and line ends that are not
/// within quotes or angle brackets.
pub(in crate::web) fn parts(typed: &str) -> Vec<&str> {
    let (mut all, mut from, mut quoted, mut angle, mut escaped) = (Vec::new(), 0, false, false, false);
    for (at, c) in typed.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            ',' | ';' | '\n' if !quoted && !angle => {
                all.push(&typed[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    all.push(&typed[from..]);
    all.retain(|one| !one.trim().is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    // In a name that a stranger gave himself, it was a line end in the answer to him.
    #[test]
    fn a_name_that_looks_encoded_is_not_decoded_once_more() {
        let shown = typed(Some("=?utf-8?Q?a=0D=0ABcc:_x?="), "a@b.test");
        assert_eq!(shown, "\"= ?utf-8?Q?a=0D=0ABcc:_x?=\" <a@b.test>");
        let read = crate::writing::Party::parse(&shown).unwrap();
        assert_eq!(read.name.as_deref(), Some("= ?utf-8?Q?a=0D=0ABcc:_x?="));
    }

    #[test]
    fn an_address_in_quotes_is_no_name() {
        for address in ["\"\"@x.test", "\"a b\"@x.test", "a@x.test"] {
            let read = crate::writing::Party::parse(&typed(None, address)).unwrap();
            assert_eq!((read.name, read.address.as_str()), (None, address));
        }
    }

    #[test]
    fn lists_of_people_come_apart() {
        let typed = "Anna <a@b.test>, \"Ash, Otto; \\\"x\\\"\" <o@c.test>;d@e.test,\n , <x,y@z>";
        assert_eq!(
            parts(typed).iter().map(|one| one.trim()).collect::<Vec<_>>(),
            ["Anna <a@b.test>", "\"Ash, Otto; \\\"x\\\"\" <o@c.test>", "d@e.test", "<x,y@z>"]
        );
        assert!(parts(" , ;").is_empty());
    }
}
