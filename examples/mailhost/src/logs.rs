//! Events to standard error, each one line.
//!
//! Names, addresses and texts in events come from peers. One place, here, sees to it that nothing in them can end a
//! line, begin another one, steer a terminal, or pass for a field of its own: all that is not printable ASCII is
//! escaped, values that could be misread stand in quotes, and a line has at most [`MAX_LINE`] octets.
//!
//! A line is for people, or an object of JSON: see [`Format`]. `docs/logs.md` has a table of all events.

mod safe;

use std::fmt::{self, Write as _};
use std::io;
use std::panic;

use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber, error};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use self::safe::Escape;
pub use self::safe::Safe;
use crate::config::{Format, Log};

/// The longest line in octets, its LF included.
pub const MAX_LINE: usize = 2_048;

/// Sends events to standard error, panics among them. A second call does nothing.
pub fn init(log: Log) {
    if tracing::subscriber::set_global_default(subscriber(log, io::stderr)).is_ok() {
        // What a panic says may hold what a peer has said, and has more than one line.
        panic::set_hook(Box::new(|panic| error!(%panic, "the host has panicked, which is a defect")));
    }
}

/// What writes events to `writer`, one call of `write_all` for each.
pub fn subscriber<W>(log: Log, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let Log { format, level } = log;
    let layer = tracing_subscriber::fmt::layer()
        .fmt_fields(Line(format))
        .event_format(Line(format))
        .with_writer(writer)
        // A write that fails would be reported to standard error, which panics if that is closed.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(LevelFilter::from_level(level)).with(layer)
}

/// `TIME LEVEL target: message key=value ...`, then the fields of the spans around it; or the same as an object of JSON.
struct Line(Format);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        if self.0 == Format::Json {
            let mut object = Object::default();
            object.put("time", &now());
            object.put("level", metadata.level().as_str());
            object.put("target", metadata.target());
            event.record(&mut object);
            for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
                if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                    object.append(&fields.fields);
                }
            }
            return writer.write_str(&object.finish());
        }
        let mut line = Bounded::new();
        // An error of `line` only says that it is full.
        let _ = write!(line, "{} {} {}:", now(), metadata.level(), metadata.target());
        event.record(&mut Fields(&mut line));
        for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                let _ = line.write_str(&fields.fields);
            }
        }
        writer.write_str(&line.finish())
    }
}

impl<'w> FormatFields<'w> for Line {
    fn format_fields<R>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result
    where
        R: tracing_subscriber::field::RecordFields,
    {
        if self.0 == Format::Json {
            let mut object = Object::default();
            fields.record(&mut object);
            return writer.write_str(&object.text);
        }
        let mut line = Bounded::new();
        fields.record(&mut Fields(&mut line));
        writer.write_str(&line.text)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        // They begin with what parts them from those before.
        self.format_fields(current.as_writer(), fields)
    }
}

/// The members of an object of JSON, each with a comma in front, all in ASCII.
#[derive(Default)]
struct Object {
    text: String,
    cut: bool,
}

impl Visit for Object {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), &value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), &value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), if value { "true" } else { "false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(name(field), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded::new();
        let _ = write!(text, "{value:?}");
        self.cut |= text.cut;
        match unquoted(&text.text) {
            Some(text) => self.put(name(field), &text),
            None => self.put(name(field), &text.text),
        }
    }
}

impl Object {
    fn put(&mut self, name: &str, text: &str) {
        let room = MAX_OBJECT.saturating_sub(self.text.len() + name.len() + 8);
        let mut value = String::from('"');
        let mut units = [0; 2];
        for c in text.chars() {
            let before = value.len();
            match c {
                '"' | '\\' => value.extend(['\\', c]),
                ' '..='~' => value.push(c),
                c => {
                    for unit in c.encode_utf16(&mut units) {
                        // Writing to a String cannot fail.
                        let _ = write!(value, "\\u{unit:04x}");
                    }
                }
            }
            if value.len() > room {
                value.truncate(before);
                self.cut = true;
                break;
            }
        }
        value.push('"');
        self.member(name, &value);
    }

    fn member(&mut self, name: &str, value: &str) {
        self.append(&format!(",\"{name}\":{value}"));
    }

    fn append(&mut self, members: &str) {
        if self.text.len() + members.len() <= MAX_OBJECT {
            self.text.push_str(members);
        } else {
            self.cut = true;
        }
    }

    fn finish(self) -> String {
        let members = self.text.strip_prefix(',').unwrap_or_default();
        format!("{{{members}{}}}\n", if self.cut { ",\"cut\":true" } else { "" })
    }
}

/// The sentence of an event is its name.
fn name(field: &Field) -> &'static str {
    match field.name() {
        "message" => "event",
        name => name,
    }
}

/// What stands in the quotes of one string as Debug writes it.
fn unquoted(text: &str) -> Option<String> {
    if !is_quoted(text) {
        return None;
    }
    let mut chars = text[1..text.len() - 1].chars();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                'u' => {
                    let code: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    char::from_u32(u32::from_str_radix(&code, 16).ok()?)?
                }
                c => c,
            },
            c => c,
        });
    }
    Some(out)
}

struct Fields<'a>(&'a mut Bounded);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // A message is a text of ours, unless somebody formats one of a peer into it: it is escaped all the same.
        self.put(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format_args!("{value:?}"));
    }
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut text = Bounded::new();
        // What does not fit is cut: a bound on the line is a bound on the work.
        let _ = write!(Escape(&mut text), "{value}");
        let text = text.text;
        let _ = match field.name() {
            "message" => write!(self.0, " {text}"),
            name if is_plain(&text) || is_quoted(&text) => write!(self.0, " {name}={text}"),
            name => write!(self.0, " {name}=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        };
    }
}

/// Takes no more than fits in a line.
struct Bounded {
    text: String,
    cut: bool,
}

impl Bounded {
    fn new() -> Self {
        Self { text: String::new(), cut: false }
    }

    fn finish(mut self) -> String {
        if self.cut || self.text.len() > MAX_LINE - 1 {
            // All is ASCII, so any octet is a boundary.
            self.text.truncate(MAX_LINE - 1 - CUT.len());
            self.text.push_str(CUT);
        }
        self.text.push('\n');
        self.text
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_LINE - self.text.len();
        // Everything that comes here went through `Escape`, or is a name of the program's own.
        let fits = text.floor_char_boundary(room);
        self.text.push_str(&text[..fits]);
        self.cut |= fits < text.len();
        // An error stops whoever formats a large value.
        if self.cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Nothing in it could be taken for the end of the value or the beginning of another field.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains([' ', '"', '\\', '='])
}

/// One string as Debug writes it: quotes around it, and none inside without a backslash.
fn is_quoted(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut escaped = false;
    for c in inner.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return false,
            _ => {}
        }
    }
    !escaped
}

/// The time in UTC with milliseconds.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let (date, time) = (now.date(), now.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second, milli) = time.as_hms_milli();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

const CUT: &str = " [cut]";
/// Leaves room for the braces and for `"cut":true`.
const MAX_OBJECT: usize = MAX_LINE - 16;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;
    use tracing::{info, info_span, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(events: impl FnOnce()) -> String {
        logged_as(Log::default(), events)
    }

    fn logged_as(log: Log, events: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        with_default(subscriber(log, move || writer.clone()), events);
        let octets = buffer.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    /// Without the time.
    fn line(events: impl FnOnce()) -> String {
        logged(events).split_once(' ').unwrap().1.to_owned()
    }

    const HOSTILE: [&str; 14] = [
        "a\r\n2026-01-01T00:00:00.000Z INFO mailhost: accepted user=root",
        "a\nb",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "\0\x01\x7f\u{80}\u{85}\u{9b}",
        "\u{2028}\u{2029}\u{202e}\u{feff}\u{200b}",
        "x user=root login=yes",
        "\" user=\"root",
        "\"a\" user=\"root\"",
        "\\\" user=root \\",
        "\"\\\"",
        "%s%n{}{:?}",
        "\u{e9}\u{1f4e7}",
        "",
        "=",
    ];

    #[test]
    fn nothing_in_a_value_can_forge_a_line_or_a_field() {
        for value in HOSTILE.iter().map(|value| (*value).to_owned()).chain(['x', '\u{1b}', '"'].map(|c| {
            // Far longer than a line.
            c.to_string().repeat(100_000)
        })) {
            let whole = logged(|| {
                let span = info_span!("session", ehlo = %value, other = ?value);
                let _in = span.enter();
                info!(a = %value, b = ?value, c = value, "said");
                warn!("{value}");
            });
            assert_eq!(whole.matches('\n').count(), 2, "{value:?}");
            for line in whole.split_terminator('\n') {
                assert!(line.len() < MAX_LINE, "{} octets", line.len());
                assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{line}");
            }
            let first = whole.split_terminator('\n').next().unwrap();
            if first.ends_with(CUT) {
                continue;
            }
            assert_eq!(names(first), ["a", "b", "c", "ehlo", "other"], "{first}");
        }
    }

    /// The names of the fields as a reader of logs finds them.
    fn names(line: &str) -> Vec<String> {
        let mut rest = line.split_once(" said ").unwrap().1;
        let mut names = Vec::new();
        while let Some((name, value)) = rest.split_once('=') {
            names.push(name.trim().to_owned());
            rest = match value.strip_prefix('"') {
                Some(quoted) => {
                    let (mut end, mut escaped) = (quoted.len(), false);
                    for (at, c) in quoted.char_indices() {
                        if c == '"' && !escaped {
                            end = at + 1;
                            break;
                        }
                        escaped = c == '\\' && !escaped;
                    }
                    &quoted[end..]
                }
                None => value.split_once(' ').map_or("", |(_, rest)| rest),
            };
        }
        names
    }

    /// What a peer may send in each place where it can, a hundred thousand times over.
    fn hostile(count: usize) -> impl Iterator<Item = String> {
        // A generator of one's own: the same values in each run.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        (0..count).map(move |number| {
            if number % 20_000 == 19_999 {
                let piece = PIECES[next(PIECES.len())];
                return piece.repeat((1 << 20) / piece.len());
            }
            let mut value = String::new();
            for _ in 0..1 + next(6) {
                match next(4) {
                    0 => value.extend(char::from_u32(next(0x11_0000) as u32)),
                    1 => value.push(char::from(next(256) as u8)),
                    _ => value.push_str(PIECES[next(PIECES.len())]),
                }
            }
            // As it is where octets that are no UTF-8 come in.
            if next(8) == 0 {
                value =
                    String::from_utf8_lossy(&[value.as_bytes(), &[0xff, 0xc0, 0x80]].concat()).into_owned();
            }
            value
        })
    }

    const PIECES: [&str; 30] = [
        "\r",
        "\n",
        "\r\n",
        "\0",
        "\u{1b}[2J",
        "\u{1b}]0;x\u{7}",
        "\u{85}",
        "\u{9b}31m",
        "\u{2028}",
        "\u{2029}",
        "\u{202e}",
        "\u{2066}",
        "\u{200f}",
        "\u{feff}",
        "\u{fffd}",
        "\" user=\"root",
        "\"",
        "\\",
        "\\\"",
        "=",
        " x=y",
        "\",\"user\":\"root",
        "}\n{\"event\":\"logged in\"",
        "2026-01-01T00:00:00.000Z INFO mailhost: ready",
        "[cut]",
        "{}",
        "%n%s",
        "\u{e9}",
        "anna@example.test",
        "a b",
    ];

    /// An event with a value in every way in which values get into events.
    fn say(value: &str) {
        let span = info_span!("session", session = value, tls = tracing::field::Empty, user = value);
        let _in = span.enter();
        span.record("tls", value);
        let error = io::Error::other(value.to_owned());
        info!(a = %value, b = ?value, c = value, d = ?Some(value), e = %error, f = &error as &dyn std::error::Error, "said");
        warn!("{value}");
    }

    const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "session", "user", "tls"];

    #[test]
    fn a_hundred_thousand_hostile_values_forge_nothing() {
        for (format, count) in [(Format::Text, 100_000), (Format::Json, 100_000)] {
            let log = Log { format, ..Log::default() };
            let mut values = hostile(count);
            let mut whole = 0;
            loop {
                let part: Vec<_> = values.by_ref().take(1_000).collect();
                if part.is_empty() {
                    break;
                }
                let text = logged_as(log, || part.iter().for_each(|value| say(value)));
                let lines: Vec<_> = text.split_inclusive('\n').collect();
                assert_eq!(lines.len(), 2 * part.len());
                for (line, value) in lines.iter().zip(part.iter().flat_map(|value| [value, value])) {
                    assert!(line.len() <= MAX_LINE && line.ends_with('\n'), "{line}");
                    assert!(
                        line[..line.len() - 1].bytes().all(|octet| (b' '..=b'~').contains(&octet)),
                        "{line}"
                    );
                    let event = line.contains(" said ") || line.contains("\"event\":\"said\"");
                    if format == Format::Json {
                        let object: serde_json::Map<String, serde_json::Value> =
                            serde_json::from_str(line).unwrap();
                        if event && !object.contains_key("cut") {
                            whole += 1;
                            for name in ["a", "b", "c", "e", "session", "user", "tls"] {
                                // What is shown in quotes cannot be told from a string that Debug has quoted.
                                let bare = unquoted(value);
                                assert!(
                                    object[name] == **value || bare.is_some_and(|bare| object[name] == *bare),
                                    "{name}"
                                );
                            }
                            assert_eq!(object.len(), 4 + NAMES.len(), "{line}");
                        }
                    } else if event && !line.ends_with(" [cut]\n") && !value.contains(" said ") {
                        whole += 1;
                        assert_eq!(names(line.trim_end()), NAMES, "{line}");
                    }
                }
            }
            assert!(whole > count / 2, "{whole} lines were not cut");
        }
    }

    #[test]
    fn an_event_is_one_object() {
        let log = Log { format: Format::Json, ..Log::default() };
        let line = logged_as(log, || {
            info!(peer = %"192.0.2.1:5", user = "anna", from = ?"a\"b\u{e9}", count = 3, good = true, "login");
        });
        let (_, rest) = line.split_once(',').unwrap();
        assert_eq!(
            rest,
            "\"level\":\"INFO\",\"target\":\"mailhost::logs::tests\",\"event\":\"login\",\"peer\":\"192.0.2.1:5\",\
             \"user\":\"anna\",\"from\":\"a\\\"b\\u00e9\",\"count\":3,\"good\":true}\n"
        );
    }

    #[test]
    fn an_event_is_one_readable_line() {
        assert_eq!(
            line(|| info!(peer = %"192.0.2.1:5", user = "anna", reason = ?Some("a b"), count = 3, "login")),
            "INFO mailhost::logs::tests: login peer=192.0.2.1:5 user=anna reason=\"Some(\\\"a b\\\")\" count=3\n"
        );
        assert_eq!(line(|| info!(text = ?"a b", "said")), "INFO mailhost::logs::tests: said text=\"a b\"\n");
    }

    #[test]
    fn no_more_of_a_value_is_formatted_than_fits() {
        let mut line = Bounded::new();
        let written = (0..10_000).take_while(|_| line.write_str("0123456789").is_ok()).count();
        assert_eq!((written, line.text.len()), (MAX_LINE / 10, MAX_LINE));
        assert_eq!(line.finish().len(), MAX_LINE);
    }

    #[test]
    fn a_sentence_for_people_is_one_line_too() {
        assert_eq!(Safe("no file \"a\nb\u{e9}\"").to_string(), "no file \"a\\nb\\u{e9}\"");
    }
}
