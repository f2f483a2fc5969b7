//! HTML taken apart into tags and text, in one pass and without memory of its own.
//!
//! It goes by the tokenizer of the HTML standard, but for what makes no difference to a reader: what is in a script ends at the first
//! end tag, and references to characters are left as they stand. Whoever is mistaken about where a tag ends is mistaken about what is
//! text, and no more than that: what is written from these tokens is written anew.

/// A piece of a document. Comments, declarations and processing instructions are none.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token<'a> {
    /// Text; references to characters are left as they stand.
    Text(&'a str),
    /// The text of an element that holds nothing else: no tag in it is one, and in most of them no reference either.
    Raw(&'a str, &'a str),
    /// A start tag.
    Start(&'a str, Attributes<'a>),
    /// An end tag.
    End(&'a str),
}

/// The pieces of a document, in their order.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// The element that was begun, if it holds text alone.
    raw: Option<&'a str>,
}

/// The attributes of a tag: names and values, as they are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(super) const fn new(html: &'a str) -> Self {
        Self { rest: html, raw: None }
    }

    fn raw(&mut self, name: &'a str) -> Token<'a> {
        let end = raw_end(self.rest, name);
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Token::Raw(name, text)
    }

    /// What stands behind a `<`; `None` if it is neither tag nor text.
    fn markup(&mut self, behind: &'a str) -> Option<Token<'a>> {
        let (close, body) = behind.strip_prefix('/').map_or((false, behind), |body| (true, body));
        match body.as_bytes().first() {
            Some(octet) if octet.is_ascii_alphabetic() => {
                let length = body.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'));
                let (name, rest) = body.split_at(length.unwrap_or(body.len()));
                let mut attributes = Attributes { rest };
                while attributes.next().is_some() {}
                // A tag that does not end is none, and there is nothing behind it.
                let Some(rest) = attributes.rest.strip_prefix('>') else {
                    self.rest = "";
                    return None;
                };
                self.rest = rest;
                if close {
                    return Some(Token::End(name));
                }
                self.raw = RAW.iter().any(|raw| name.eq_ignore_ascii_case(raw)).then_some(name);
                Some(Token::Start(name, Attributes { rest: &body[length.unwrap_or(body.len())..] }))
            }
            Some(_) if close => {
                self.rest = behind_first(body, '>');
                None
            }
            Some(b'!' | b'?') => {
                self.rest = match body.strip_prefix("!--") {
                    Some(comment) => behind_comment(comment),
                    None => behind_first(body, '>'),
                };
                None
            }
            _ => {
                self.rest = behind;
                Some(Token::Text("<"))
            }
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if let Some(name) = self.raw.take() {
            return Some(self.raw(name));
        }
        loop {
            match self.rest.find('<') {
                None if self.rest.is_empty() => return None,
                Some(0) => {
                    if let Some(token) = self.markup(&self.rest[1..]) {
                        return Some(token);
                    }
                }
                found => {
                    let (text, rest) = self.rest.split_at(found.unwrap_or(self.rest.len()));
                    self.rest = rest;
                    return Some(Token::Text(text));
                }
            }
        }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        self.rest = self.rest.trim_start_matches(|c: char| is_space(c) || c == '/');
        // An equals sign in front of a name belongs to it.
        let first = self.rest.chars().next().filter(|&first| first != '>')?;
        let length = self.rest[first.len_utf8()..]
            .find(|c: char| is_space(c) || matches!(c, '/' | '>' | '='))
            .map_or(self.rest.len(), |length| length + first.len_utf8());
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        let Some(rest) = rest.trim_start_matches(is_space).strip_prefix('=') else { return Some((name, "")) };
        let rest = rest.trim_start_matches(is_space);
        let (value, rest) = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => rest[1..].split_once(quote).unwrap_or_else(|| (&rest[1..], "")),
            _ => rest.split_at(rest.find(|c: char| is_space(c) || c == '>').unwrap_or(rest.len())),
        };
        self.rest = rest;
        Some((name, value))
    }
}

/// Where the text of such an element ends: at its end tag, or nowhere.
fn raw_end(text: &str, name: &str) -> usize {
    if name.eq_ignore_ascii_case("plaintext") {
        return text.len();
    }
    let mut at = 0;
    while let Some(found) = text[at..].find("</") {
        let start = at + found;
        let tag = &text.as_bytes()[start + 2..];
        let behind = tag.get(name.len());
        if tag.get(..name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name.as_bytes()))
            && behind.is_some_and(|&octet| is_space(octet.into()) || matches!(octet, b'/' | b'>'))
        {
            return start;
        }
        at = start + 2;
    }
    text.len()
}

fn behind_comment(comment: &str) -> &str {
    // `<!-->` and `<!--->` are whole.
    if let Some(rest) = comment.strip_prefix('>').or_else(|| comment.strip_prefix("->")) {
        return rest;
    }
    let mut rest = comment;
    while let Some(found) = rest.find("--") {
        let behind = &rest[found + 2..];
        if let Some(rest) = behind.strip_prefix('>').or_else(|| behind.strip_prefix("!>")) {
            return rest;
        }
        rest = &rest[found + 1..];
    }
    ""
}

fn behind_first(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

/// Elements that hold text alone.
const RAW: [&str; 9] =
    ["script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "plaintext"];
