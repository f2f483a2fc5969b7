//! Where a visitor goes on to when something is done.

/// A path of this host to go on to, if it is one: no browser takes it for an address elsewhere.
pub(in crate::web) fn own_path(path: &str) -> Option<&str> {
    let own = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    own.then_some(path)
}

/// The same path, asking for what was done last by its number.
pub(in crate::web) fn with_done(path: &str, number: u64) -> String {
    let (path, fragment) = path.split_once('#').map_or((path, ""), |(path, fragment)| (path, fragment));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut query: Vec<&str> =
        query.split('&').filter(|part| !part.is_empty() && !part.starts_with("done=")).collect();
    let done = format!("done={number}");
    query.push(&done);
    let fragment = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
    format!("{path}?{}{fragment}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_nowhere_else() {
        for good in ["/", "/mail/1?before=2", "/mail/1/2#main"] {
            assert_eq!(own_path(good), Some(good));
        }
        for bad in [
            "",
            "mail",
            "//elsewhere.test",
            "/\\elsewhere.test",
            "https://elsewhere.test",
            "/a\r\nb",
            "/\t/b",
            "/ä",
        ] {
            assert_eq!(own_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_page_is_asked_for_what_was_done_last_alone() {
        for (path, asked) in [
            ("/mail/1", "/mail/1?done=7"),
            ("/mail/1?before=2&done=6&&q=x#main", "/mail/1?before=2&q=x&done=7#main"),
            ("/mail/1?done=5#", "/mail/1?done=7"),
        ] {
            assert_eq!(with_done(path, 7), asked);
        }
    }
}
