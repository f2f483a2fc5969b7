//! Events to standard error, each one line.
//!
//! Names, addresses and texts in events come from peers. One place, here, sees to it that nothing in them can end a
//! line, begin another one, steer a terminal, or pass for a field of its own: all that is not printable ASCII is
//! escaped, values that could be misread stand in quotes, and a line has at most [`MAX_LINE`] octets.

use std::fmt::{self, Write as _};
use std::io;

use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

/// The longest line in octets, its LF included.
pub const MAX_LINE: usize = 2_048;

/// Text from outside as it may stand in a message of one line: what is not printable ASCII is escaped.
#[derive(Clone, Copy, Debug)]
pub struct Safe<T>(pub T);

/// Sends events of this level and above to standard error. A second call does nothing.
pub fn init(level: Level) {
    let _ = tracing::subscriber::set_global_default(subscriber(level, io::stderr));
}

/// What writes events to `writer`, one call of `write_all` for each.
pub fn subscriber<W>(level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .fmt_fields(Line)
        .event_format(Line)
        .with_writer(writer)
        // A write that fails would be reported to standard error, which panics if that is closed.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(LevelFilter::from_level(level)).with(layer)
}

impl<T: fmt::Display> fmt::Display for Safe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape(f), "{}", self.0)
    }
}

/// `TIME LEVEL target: message key=value ...`, then the fields of the spans around it.
struct Line;

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
        let mut line = Bounded::new();
        fields.record(&mut Fields(&mut line));
        writer.write_str(&line.text)
    }
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

/// Lets printable ASCII through and escapes the rest.
struct Escape<W>(W);

impl<W: fmt::Write> fmt::Write for Escape<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| !matches!(c, ' '..='~')) {
            self.0.write_str(&rest[..at])?;
            let mut chars = rest[at..].chars();
            if let Some(c) = chars.next() {
                write!(self.0, "{}", c.escape_default())?;
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
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
        let buffer = Buffer::default();
        let writer = buffer.clone();
        with_default(subscriber(Level::INFO, move || writer.clone()), events);
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
