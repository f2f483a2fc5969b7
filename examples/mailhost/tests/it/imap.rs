//! IMAP, spoken by hand.

mod append;
mod fetch;
mod hostile;
mod idle;
mod login;
mod mailboxes;
mod messages;
mod model;
mod quota;
mod required;
mod search;
mod select;

use std::ops::Deref;

use mailhost::listener::Service;

use crate::support::{Host, PASSWORD, Site, Wire};

/// A client.
pub(crate) struct Imap {
    wire: Wire,
    tags: u32,
}

/// What a command has led to.
#[derive(Debug)]
pub(crate) struct Said {
    /// Untagged responses without their `* ` and CRLF, literals included.
    pub(crate) data: Vec<Vec<u8>>,
    /// The response that ends the command, without its tag.
    pub(crate) end: String,
}

/// Accounts anna and ben, and logins in the clear.
pub(crate) fn site() -> Site {
    Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"])
}

impl Imap {
    /// Behind the greeting.
    #[track_caller]
    pub(crate) fn connect(host: &Host) -> Self {
        Self::greeted(Wire::connect(host.address(Service::Imap)))
    }

    /// The same on a connection that is there.
    #[track_caller]
    pub(crate) fn greeted(wire: Wire) -> Self {
        let mut this = Self { wire, tags: 0 };
        this.line("* OK [CAPABILITY IMAP4rev1 ");
        this
    }

    /// Anna, behind her login.
    #[track_caller]
    pub(crate) fn anna(host: &Host) -> Self {
        Self::of(host, "anna")
    }

    #[track_caller]
    pub(crate) fn of(host: &Host, name: &str) -> Self {
        let mut this = Self::connect(host);
        this.ok(format!("LOGIN {name}@example.test {PASSWORD:?}"));
        this
    }

    #[track_caller]
    pub(crate) fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.wire.send(octets);
    }

    /// The next line, which has to begin so.
    #[track_caller]
    pub(crate) fn line(&mut self, start: &str) -> String {
        let line = self.wire.line();
        assert!(line.starts_with(start), "{line:?} instead of {start:?}");
        line
    }

    /// So many octets.
    #[track_caller]
    pub(crate) fn exactly(&mut self, count: usize) -> &[u8] {
        self.wire.exactly(count)
    }

    #[track_caller]
    pub(crate) fn ended(&mut self) {
        self.wire.ended();
    }

    /// TLS, on the same connection.
    #[track_caller]
    pub(crate) fn start_tls(mut self, site: &Site) -> Self {
        self.ok("STARTTLS");
        let Self { wire, tags } = self;
        Self { wire: wire.start_tls(&site.tls()), tags }
    }

    /// A response with its literals, without its last CRLF.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let line = self.wire.try_line().expect("a line");
            assert!(line.ends_with(b"\r\n"), "not a whole line: {:?}", line.escape_ascii().to_string());
            all.extend_from_slice(&line);
            let Some(size) = literal(&line) else {
                all.truncate(all.len() - 2);
                return all;
            };
            all.extend_from_slice(self.wire.exactly(size));
        }
    }

    /// A command up to its end.
    #[track_caller]
    pub(crate) fn say(&mut self, command: impl AsRef<[u8]>) -> Said {
        self.tags += 1;
        let tag = format!("t{} ", self.tags);
        self.send([tag.as_bytes(), command.as_ref(), b"\r\n"].concat());
        self.until(&tag)
    }

    /// Everything up to the response with this tag, which has a space behind it.
    #[track_caller]
    pub(crate) fn until(&mut self, tag: &str) -> Said {
        let mut data = Vec::new();
        loop {
            let response = self.response();
            if let Some(untagged) = response.strip_prefix(b"* ") {
                data.push(untagged.to_vec());
                continue;
            }
            let end = String::from_utf8(response).expect("text");
            let end = end.strip_prefix(tag).unwrap_or_else(|| panic!("{end:?} instead of {tag}")).to_owned();
            return Said { data, end };
        }
    }

    #[track_caller]
    pub(crate) fn ok(&mut self, command: impl AsRef<[u8]>) -> Said {
        self.ends(command, "OK")
    }

    #[track_caller]
    pub(crate) fn no(&mut self, command: impl AsRef<[u8]>) -> Said {
        self.ends(command, "NO")
    }

    #[track_caller]
    pub(crate) fn bad(&mut self, command: impl AsRef<[u8]>) -> Said {
        self.ends(command, "BAD")
    }

    #[track_caller]
    fn ends(&mut self, command: impl AsRef<[u8]>, word: &str) -> Said {
        let said = self.say(command.as_ref());
        let shown = command.as_ref().escape_ascii();
        assert!(said.end.starts_with(word), "{shown}: {} instead of {word}", said.end);
        said
    }

    /// A command that fails with this code.
    #[track_caller]
    pub(crate) fn refused(&mut self, command: impl AsRef<[u8]>, code: &str) {
        let said = self.no(command.as_ref());
        assert!(
            said.end.starts_with(&format!("NO [{code}] ")),
            "{}: {} instead of {code}",
            command.as_ref().escape_ascii(),
            said.end
        );
    }

    /// Begins IDLE; what is told before the client waits is left out.
    #[track_caller]
    pub(crate) fn idle(&mut self) {
        self.send("i IDLE\r\n");
        self.line("+ ");
    }

    /// Ends IDLE.
    #[track_caller]
    pub(crate) fn done(&mut self) -> Said {
        self.send("DONE\r\n");
        self.until("i ")
    }

    /// APPEND, with these arguments in front of the message.
    #[track_caller]
    pub(crate) fn append(&mut self, arguments: &str, message: impl AsRef<[u8]>) -> Said {
        let message = message.as_ref();
        let command = format!("APPEND {arguments} {{{}+}}\r\n", message.len());
        self.say([command.as_bytes(), message].concat())
    }
}

impl Said {
    /// The untagged responses as text.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.data.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    /// Whether there is this response.
    pub(crate) fn has(&self, line: &str) -> bool {
        self.data.iter().any(|each| each == line.as_bytes())
    }

    /// The numbers in the code of the end, such as those of APPENDUID.
    #[track_caller]
    pub(crate) fn code(&self, name: &str) -> Vec<String> {
        let code = self.end.split_once(&format!("[{name} ")).and_then(|(_, rest)| rest.split_once(']'));
        let (code, _) = code.unwrap_or_else(|| panic!("no {name}: {}", self.end));
        code.split(' ').map(str::to_owned).collect()
    }
}

impl Deref for Said {
    type Target = str;

    fn deref(&self) -> &str {
        &self.end
    }
}

/// The size of the literal that a line announces.
fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}\r\n")?;
    let at = line.iter().rposition(|octet| *octet == b'{')?;
    std::str::from_utf8(&line[at + 1..]).ok()?.parse().ok()
}
