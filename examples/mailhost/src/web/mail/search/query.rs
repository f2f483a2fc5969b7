//! What is typed into the search field, as a query.

use mailstore::message::Flags;
use mailstore::search::{Day, Key, Query};

/// What is searched for.
#[derive(Debug)]
pub(in crate::web) struct Words {
    pub(in crate::web) query: Query,
    /// In all folders, not in one.
    pub(in crate::web) everywhere: bool,
    /// What was not understood, in words for whoever has typed it.
    pub(in crate::web) doubts: Vec<String>,
}

impl Words {
    /// All of the words have to be there, each somewhere.
    pub(in crate::web) fn read(text: &str) -> Self {
        let mut words = Self { query: Query::all(), everywhere: false, doubts: Vec::new() };
        let (text, everywhere) = match text.strip_prefix(EVERYWHERE) {
            Some(text) => (text, true),
            None => (text, false),
        };
        for (number, (word, quoted)) in split(text).into_iter().enumerate() {
            if number >= MOST {
                words.doubts.push(format!("Of so many words, the first {MOST} count."));
                break;
            }
            words.add(word, quoted);
        }
        words.everywhere |= everywhere;
        words
    }

    fn add(&mut self, word: &str, quoted: Quoted) {
        let (minus, word) = match word.strip_prefix('-') {
            Some(rest) if quoted != Quoted::Whole && !rest.is_empty() => (true, rest),
            _ => (false, word),
        };
        let field = if quoted == Quoted::Whole { None } else { word.split_once(':') };
        let key = match field {
            Some((field, value)) => match self.field(&field.to_lowercase(), value.trim_matches('"')) {
                Known::Key(key) => key,
                Known::Nothing => return,
                // A word with a colon in it.
                Known::No => anywhere(word),
            },
            None => anywhere(word),
        };
        let query = std::mem::replace(&mut self.query, Query::all());
        self.query = query.and(if minus { key.not() } else { key });
    }

    fn field(&mut self, field: &str, value: &str) -> Known {
        let text = || value.to_owned();
        Known::Key(match field {
            "from" | "to" | "cc" | "bcc" | "subject" | "body" if value.is_empty() => {
                self.doubts.push(format!("There is nothing behind “{field}:”."));
                return Known::Nothing;
            }
            "from" => Key::From(text()).into(),
            "to" => Query::from(Key::To(text())).or(Key::Cc(text())).or(Key::Bcc(text())),
            "cc" => Key::Cc(text()).into(),
            "bcc" => Key::Bcc(text()).into(),
            "subject" => Key::Subject(text()).into(),
            "body" => Key::Body(text()).into(),
            "is" => match &*value.to_lowercase() {
                "unread" => Query::from(Key::Flags(Flags::SEEN.bits())).not(),
                "read" => Key::Flags(Flags::SEEN.bits()).into(),
                "flagged" | "starred" => Key::Flags(Flags::FLAGGED.bits()).into(),
                "answered" => Key::Flags(Flags::ANSWERED.bits()).into(),
                "draft" => Key::Flags(Flags::DRAFT.bits()).into(),
                _ => {
                    self.doubts.push(format!(
                        "A message can be “is:unread”, “is:read”, “is:flagged”, “is:answered” or “is:draft”, not “is:{value}”."
                    ));
                    return Known::Nothing;
                }
            },
            "before" | "after" | "on" => match (day(value), field) {
                (Some(day), "before") => Key::Before(day).into(),
                (Some(day), "after") => Key::Since(Day(day.0 + 1)).into(),
                (Some(day), _) => Key::On(day).into(),
                (None, _) => {
                    self.doubts
                        .push(format!("Behind “{field}:” stands a day such as 2026-11-01, not “{value}”."));
                    return Known::Nothing;
                }
            },
            "larger" | "smaller" => match (octets(value), field) {
                (Some(octets), "larger") => Key::Larger(octets).into(),
                (Some(octets), _) => Key::Smaller(octets).into(),
                (None, _) => {
                    self.doubts
                        .push(format!("Behind “{field}:” stands a size such as 500k or 2M, not “{value}”."));
                    return Known::Nothing;
                }
            },
            "in" if value.eq_ignore_ascii_case("all") => {
                self.everywhere = true;
                return Known::Nothing;
            }
            "in" => {
                self.doubts
                    .push("A search is in the folder that is open, or everywhere with “in:all”.".to_owned());
                return Known::Nothing;
            }
            "has" if ["attachment", "attachments"].iter().any(|known| value.eq_ignore_ascii_case(known)) => {
                Key::Attachment.into()
            }
            "has" => {
                self.doubts.push(format!("Known here is “has:attachment”, not “has:{value}”."));
                return Known::Nothing;
            }
            _ => return Known::No,
        })
    }
}

/// The same words, to be looked for in all folders. That stands in front of them: behind them it would be within the quotes that
/// somebody has opened and not closed, or one word too many.
pub(in crate::web) fn everywhere(text: &str) -> String {
    format!("{EVERYWHERE}{}", text.strip_prefix(EVERYWHERE).unwrap_or(text))
}

/// What a word with a colon is.
enum Known {
    Key(Query),
    /// It is understood, or said not to be, and is nothing to look for.
    Nothing,
    No,
}

/// Whether a word stands in quotes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Quoted {
    No,
    /// From its beginning on.
    Whole,
    /// Behind a colon.
    Value,
}

fn anywhere(word: &str) -> Query {
    Key::Text(word.to_owned()).into()
}

/// Words, and what stands in quotes as one: `a "b c" from:"d e"`. As many as count, and one more: each may take a look at all that follows.
fn split(text: &str) -> Vec<(&str, Quoted)> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() && words.len() <= MOST {
        if let Some(inner) = rest.strip_prefix('"') {
            let end = inner.find('"').unwrap_or(inner.len());
            words.extend(Some((&inner[..end], Quoted::Whole)).filter(|(word, _)| !word.is_empty()));
            rest = inner.get(end + 1..).unwrap_or_default().trim_start();
            continue;
        }
        let mut end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let mut quoted = Quoted::No;
        if let Some(quote) = rest[..end].find(":\"") {
            let behind = &rest[quote + 2..];
            end = quote + 2 + behind.find('"').map_or(behind.len(), |at| at + 1);
            quoted = Quoted::Value;
        }
        words.push((&rest[..end], quoted));
        rest = rest[end..].trim_start();
    }
    words
}

/// `2026-11-01`, `2026-11` for its first day, `2026` for its first.
fn day(text: &str) -> Option<Day> {
    let mut numbers = text.splitn(3, ['-', '/', '.']);
    let year = numbers.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let mut number = || numbers.next().map_or(Some(1), |number| number.parse().ok());
    let month = number()?;
    Day::new(year, month, number()?)
}

/// `500`, `500k`, `2M`, `1.5G`.
fn octets(text: &str) -> Option<u64> {
    let text = text.trim_end_matches(['b', 'B']);
    let (number, unit) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1_u64 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    let tenths = match part.as_bytes() {
        [] => 0,
        [digit, ..] if part.bytes().all(|octet| octet.is_ascii_digit()) => u64::from(digit - b'0'),
        _ => return None,
    };
    whole.checked_mul(unit)?.checked_add(unit / 10 * tenths)
}

/// Characters of what is asked for: what the field on the page takes, and where to look.
pub(in crate::web) const LONGEST: usize = 500 + EVERYWHERE.len();
/// What is in front of words that are looked for in all folders.
const EVERYWHERE: &str = "in:all ";
/// Words that count.
const MOST: usize = 20;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn text(words: &str) -> Query {
        Key::Text(words.to_owned()).into()
    }

    fn read(words: &str) -> Query {
        let read = Words::read(words);
        assert_eq!(read.doubts, [""; 0], "{words}");
        read.query
    }

    #[test]
    fn words_and_phrases_stand_anywhere() {
        assert_eq!(read("  invoice  may "), Query::all().and(text("invoice")).and(text("may")));
        assert_eq!(read("\"two words\" one"), Query::all().and(text("two words")).and(text("one")));
        assert_eq!(read("\"not closed"), Query::all().and(text("not closed")));
        assert_eq!(read("\"from:anna\""), Query::all().and(text("from:anna")), "in quotes it is a text");
        assert_eq!(read("\"-x\""), Query::all().and(text("-x")));
        assert_eq!(read("-spam"), Query::all().and(text("spam").not()));
        assert_eq!(
            read("- http://x.test 10:30"),
            Query::all().and(text("-")).and(text("http://x.test")).and(text("10:30"))
        );
        for nothing in ["", "  ", "\"\"", "\"", "\"\" \"\""] {
            assert_eq!(read(nothing), Query::all(), "{nothing:?}");
        }
    }

    #[test]
    fn fields_are_searched_by_name() {
        let one = |key: Key| Query::all().and(key);
        assert_eq!(read("from:anna"), one(Key::From("anna".to_owned())));
        assert_eq!(read("FROM:\"Anna B\" x"), one(Key::From("Anna B".to_owned())).and(text("x")));
        assert_eq!(read("-subject:x"), Query::all().and(Query::from(Key::Subject("x".to_owned())).not()));
        let to =
            Query::from(Key::To("b".to_owned())).or(Key::Cc("b".to_owned())).or(Key::Bcc("b".to_owned()));
        assert_eq!(read("to:b"), Query::all().and(to));
        assert_eq!(read("is:unread"), Query::all().and(Query::from(Key::Flags(1)).not()));
        assert_eq!(read("is:Starred"), one(Key::Flags(Flags::FLAGGED.bits())));
        assert_eq!(read("bcc:b"), one(Key::Bcc("b".to_owned())));
        for (word, flag) in [
            ("read", Flags::SEEN),
            ("flagged", Flags::FLAGGED),
            ("answered", Flags::ANSWERED),
            ("draft", Flags::DRAFT),
        ] {
            assert_eq!(read(&format!("is:{word}")), one(Key::Flags(flag.bits())));
        }
        assert_eq!(read("larger:1M"), one(Key::Larger(1 << 20)));
        assert_eq!(read("larger:2G"), one(Key::Larger(2 << 30)));
        assert_eq!(read("smaller:1.5kb"), one(Key::Smaller(1_534)));
        let day = Day::new(2026, 11, 1).unwrap();
        assert_eq!(read("before:2026-11-01"), one(Key::Before(day)));
        assert_eq!(read("on:2026-11"), one(Key::On(day)));
        assert_eq!(read("after:2026-11-01"), one(Key::Since(Day(day.0 + 1))));
        assert_eq!(read("has:Attachment"), one(Key::Attachment));
        assert!(Words::read("x in:ALL").everywhere && !Words::read("x").everywhere);
    }

    // A quotation mark that nobody closed took in what said so, and so did the bound on words.
    #[test]
    fn whatever_is_searched_for_can_be_searched_for_everywhere() {
        for words in [
            "x",
            "\"not closed",
            "from:\"not closed",
            &"x ".repeat(30),
            "",
            "in:all x",
            &format!("in:all {}", "x ".repeat(20)),
        ] {
            let (here, there) = (Words::read(words), Words::read(&everywhere(words)));
            assert!(there.everywhere, "{words}");
            assert_eq!((here.query, here.doubts), (there.query, there.doubts), "{words}");
        }
        assert_eq!(everywhere(&"x".repeat(500)).len(), LONGEST);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (words, doubt) in [
            ("is:green", "is:green"),
            ("before:yesterday", "yesterday"),
            ("before:2026-13-01", "2026-13-01"),
            ("after:26-01-01", "26-01-01"),
            ("larger:much", "much"),
            ("larger:99999999999999999999", "999"),
            ("larger:1.xM", "1.xM"),
            ("from:", "from:"),
            ("in:sent", "in:all"),
            ("has:pigeons", "pigeons"),
        ] {
            let read = Words::read(words);
            assert_eq!(read.query, Query::all(), "{words}");
            assert!(read.doubts.len() == 1 && read.doubts[0].contains(doubt), "{words}: {:?}", read.doubts);
        }
        let many = Words::read(&"x ".repeat(10_000));
        assert_eq!(many.doubts.len(), 1);
        assert!(mailstore::search::Search::new(many.query).is_ok());
        // Each of them looked for a space in all that followed, and there was none: that took minutes.
        let start = Instant::now();
        assert_eq!(Words::read(&"c:\"d\"".repeat(100_000)).doubts.len(), 1);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}
