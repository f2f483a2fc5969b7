//! Where a link in a message may lead, and what an image may come from.

use std::borrow::Cow;

/// A link to somewhere on the web, written anew; `None` if it leads elsewhere.
pub(in crate::web) fn web(url: &str) -> Option<String> {
    let url = tidy(url);
    let (scheme, rest) = scheme(&url)?;
    let known = ["http", "https"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
    if url.len() > LONGEST {
        return None;
    }
    // As it will stand there: what goes on the way may have stood in front of a slash.
    let rest = escaped(rest.strip_prefix("//")?);
    let host = !rest.is_empty() && !rest.starts_with(['/', '?', '#']) && !rest.starts_with("%5C");
    host.then(|| format!("{known}://{rest}"))
}

/// The page where one writes to whom a `mailto` link names; `None` if it is none ([RFC 6068](https://www.rfc-editor.org/rfc/rfc6068)).
pub(in crate::web) fn mail(url: &str) -> Option<String> {
    let url = tidy(url);
    let (scheme, rest) = scheme(&url)?;
    if !scheme.eq_ignore_ascii_case("mailto") || url.len() > LONGEST {
        return None;
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (to, fields) = rest.split_once('?').unwrap_or((rest, ""));
    let mut link = format!("/compose?to={}", form(&percent_decoded(to)));
    // RFC 6068 §7: what else a link would like to fill in is left out, above all who gets a copy.
    let subject = fields.split('&').find_map(|field| {
        let (name, value) = field.split_once('=')?;
        name.eq_ignore_ascii_case("subject").then_some(value)
    });
    if let Some(subject) = subject {
        link.push_str("&subject=");
        link.push_str(&form(&percent_decoded(subject)));
    }
    Some(link)
}

/// The Content-ID that an image names: [RFC 2392](https://www.rfc-editor.org/rfc/rfc2392).
pub(super) fn content_id(url: &str) -> Option<String> {
    let url = tidy(url);
    let (scheme, rest) = scheme(&url)?;
    scheme.eq_ignore_ascii_case("cid").then(|| percent_decoded(rest))
}

/// An image that stands in its own address, written anew; `None` if it is none of those that are nothing but images.
pub(super) fn data_image(url: &str) -> Option<String> {
    let url = tidy(url);
    let (scheme, rest) = scheme(&url)?;
    let (media, data) = rest.split_once(',').filter(|_| scheme.eq_ignore_ascii_case("data"))?;
    let (media, encoding) = media.split_once(';')?;
    let known = ["png", "jpeg", "gif", "webp"]
        .into_iter()
        .find(|known| media.eq_ignore_ascii_case(&format!("image/{known}")));
    let known = known.filter(|_| encoding.eq_ignore_ascii_case("base64"))?;
    let data: Cow<'_, str> =
        if data.contains(' ') { Cow::Owned(data.replace(' ', "")) } else { Cow::Borrowed(data) };
    let base64 = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=');
    (!data.is_empty() && data.bytes().all(base64)).then(|| format!("data:image/{known};base64,{data}"))
}

/// What a value says once its references to characters are undone: the numeric ones, and the few names that addresses are disguised
/// with. A name that is not known here is left as it stands, and stands for itself from then on.
pub(super) fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('&') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match reference(rest) {
            Some((character, behind)) => {
                out.push(character);
                rest = behind;
            }
            None => out.push('&'),
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A reference, without its ampersand, and what is behind it.
fn reference(text: &str) -> Option<(char, &str)> {
    if let Some(number) = text.strip_prefix('#') {
        let (radix, digits) = match number.strip_prefix(['x', 'X']) {
            Some(digits) => (16, digits),
            None => (10, number),
        };
        let length = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
        let (digits, behind) = digits.split_at(length);
        if digits.is_empty() {
            return None;
        }
        let character = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let character =
            character.filter(|&character| character != '\0').unwrap_or(char::REPLACEMENT_CHARACTER);
        return Some((character, behind.strip_prefix(';').unwrap_or(behind)));
    }
    NAMES.into_iter().find_map(|(name, character)| {
        let behind = text.strip_prefix(name)?;
        // These five have been names without a semicolon, too.
        let bare = matches!(name, "amp" | "lt" | "gt" | "quot" | "nbsp");
        let behind = match behind.strip_prefix(';') {
            Some(behind) => behind,
            // In a value, `&lt=` and `&ltx` are no references.
            None if bare && !behind.starts_with(|c: char| c == '=' || c.is_ascii_alphanumeric()) => behind,
            None => return None,
        };
        Some((character, behind))
    })
}

/// As browsers read it: without line ends and tabs anywhere, nor control characters and spaces around it.
fn tidy(url: &str) -> String {
    let url: String = url.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    url.trim_matches(|c: char| c <= ' ').to_owned()
}

fn scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let mut octets = scheme.bytes();
    let good = octets.next()?.is_ascii_alphabetic()
        && octets.all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'));
    good.then_some((scheme, rest))
}

/// Without what has no place in an address.
fn escaped(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                out.push_str(&format!("%{:02X}", u32::from(c)));
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

fn percent_decoded(text: &str) -> String {
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [octet, behind @ ..] = rest {
        rest = behind;
        match (octet, behind) {
            (b'%', [high, low, behind @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                let value = digit(high).zip(digit(low)).map_or(0, |(high, low)| high << 4 | low);
                out.push(u8::try_from(value).unwrap_or_default());
                rest = behind;
            }
            _ => out.push(*octet),
        }
    }
    String::from_utf8_lossy(&out).chars().filter(|c| !c.is_control()).collect()
}

/// As a value in the query of one of our own addresses.
pub(in crate::web) fn form(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                out.push(octet.into())
            }
            octet => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}

/// The longest address of a link.
const LONGEST: usize = 8 << 10;

/// Names of characters that addresses and styles are written with.
const NAMES: [(&str, char); 18] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("colon", ':'),
    ("semi", ';'),
    ("comma", ','),
    ("period", '.'),
    ("sol", '/'),
    ("bsol", '\\'),
    ("lpar", '('),
    ("rpar", ')'),
    ("num", '#'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("commat", '@'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_web_or_to_a_letter() {
        for (url, link) in [
            ("https://a.test/?b=1&c=2#d", "https://a.test/?b=1&c=2#d"),
            (" \x01HTTP://a.test", "http://a.test"),
            ("ht\ntps:\t//a.test/x y\"<z>", "https://a.test/x%20y%22%3Cz%3E"),
            ("http://xn--80ak6aa92e.test/", "http://xn--80ak6aa92e.test/"),
        ] {
            assert_eq!(web(url).as_deref(), Some(link), "{url}");
        }
        for url in [
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "//a.test",
            "/mail",
            "#x",
            "",
            "http:",
            "http:a.test",
            "http:\\\\a.test",
            "http:///a.test",
            "http://\u{1}/a.test",
            "http://\u{1}#a.test",
            "http://\\a.test",
            "http://\u{1}",
            "blob:http://a.test",
            "view-source:http://a.test",
            "h\u{131}ttp://a.test",
        ] {
            assert_eq!(web(url), None, "{url}");
            assert_eq!(mail(url), None, "{url}");
        }
        assert_eq!(web(&format!("http://a.test/{}", "x".repeat(9_000))), None);
        assert_eq!(
            mail("MAILTO:a%40b.test?cc=c@d.test&Subject=x%20%26y&body=z#q").as_deref(),
            Some("/compose?to=a@b.test&subject=x%20%26y")
        );
        assert_eq!(mail("mailto:").as_deref(), Some("/compose?to="));
        assert_eq!(
            mail("mailto:a@b?subject=%0d%0aBcc:x").as_deref(),
            Some("/compose?to=a@b&subject=Bcc%3Ax")
        );
    }

    #[test]
    fn references_are_undone() {
        for (value, text) in [
            ("a&amp;b", "a&b"),
            ("&#106;&#x61;&#X76;a&colon;&Tab;&NewLine;", "java:\t\n"),
            ("&#0000106avascript&#58x", "javascript:x"),
            ("&lt;&gt;&quot;&apos;&nbsp;", "<>\"'\u{a0}"),
            ("?a=1&lt=2&copy=3&lt", "?a=1&lt=2&copy=3<"),
            ("&", "&"),
            ("&#;&#x;&unknown;", "&#;&#x;&unknown;"),
            ("&#0;&#x110000;&#xd800;&#99999999999;", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(unescaped(value), text, "{value}");
        }
    }

    #[test]
    fn images_are_of_the_message_or_whole_in_their_address() {
        assert_eq!(content_id("cid:a%40b").as_deref(), Some("a@b"));
        assert_eq!(content_id("http://cid:a"), None);
        assert_eq!(
            data_image("data:IMAGE/PNG;base64,iV B\nO=").as_deref(),
            Some("data:image/png;base64,iVBO=")
        );
        for url in [
            "data:image/svg+xml;base64,PHN2Zz4=",
            "data:image/png,x",
            "data:text/html;base64,PHN2Zz4=",
            "data:image/png;base64,<x>",
            "data:image/png;base64,",
            "data:image/png;charset=x;base64,aaaa",
            "data:;base64,aaaa",
            "datax:image/png;base64,aaaa",
        ] {
            assert_eq!(data_image(url), None, "{url}");
        }
    }
}
