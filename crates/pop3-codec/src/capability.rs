//! What a server announces.

use bytes::BufMut;

use crate::command::{Mechanism, number};

/// The answer to CAPA ([RFC 2449 §5](https://www.rfc-editor.org/rfc/rfc2449#section-5)).
///
/// What is not known here is left out when it is read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The command TOP. RFC 2449 §6.1.
    pub top: bool,
    /// The commands USER and PASS. RFC 2449 §6.2.
    pub user: bool,
    /// Response codes in brackets. RFC 2449 §6.4.
    pub resp_codes: bool,
    /// Every refusal of a name or password has the code AUTH. RFC 3206 §6.
    pub auth_resp_code: bool,
    /// Commands need not wait for responses. RFC 2449 §6.6.
    pub pipelining: bool,
    /// The command UIDL. RFC 2449 §6.8.
    pub uidl: bool,
    /// The command STLS. RFC 2595 §4.
    pub stls: bool,
    /// The mechanisms of AUTH, sixteen at most; none without that command. RFC 5034 §3.
    pub sasl: Vec<Mechanism>,
    /// The command UTF8. RFC 6856 §2.
    pub utf8: bool,
    /// Names and passwords may hold more than ASCII. RFC 6856 §2.2.
    pub utf8_user: bool,
    /// The command LANG. RFC 6856 §3.
    pub lang: bool,
    /// Seconds between two logins; it may be another number after the login. RFC 2449 §6.5.
    pub login_delay: Option<u32>,
    /// How long messages stay. RFC 2449 §6.7.
    pub expire: Option<Expire>,
    /// What the server calls itself; what is not ASCII is left out. RFC 2449 §6.9.
    pub implementation: Option<String>,
}

/// How long messages stay on the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Expire {
    /// For ever.
    Never,
    /// For so many days; with 0, a message may be gone once it has been fetched.
    Days(u32),
}

impl Capabilities {
    /// Adds what a line says whose CRLF has been removed.
    pub fn read(&mut self, line: &[u8]) {
        let word_end = line.iter().position(|octet| *octet == b' ').unwrap_or(line.len());
        let (word, rest) = line.split_at(word_end);
        let argument = str::from_utf8(rest).unwrap_or_default().trim();
        let first = argument.split(' ').next().unwrap_or_default();
        match &*word.to_ascii_uppercase() {
            b"TOP" => self.top = true,
            b"USER" => self.user = true,
            b"RESP-CODES" => self.resp_codes = true,
            b"AUTH-RESP-CODE" => self.auth_resp_code = true,
            b"PIPELINING" => self.pipelining = true,
            b"UIDL" => self.uidl = true,
            b"STLS" => self.stls = true,
            b"SASL" => {
                let names = argument.split(' ').filter_map(|name| Mechanism::parse(name.as_bytes()).ok());
                self.sasl = names.take(MAX_MECHANISMS).collect();
            }
            b"UTF8" => {
                self.utf8 = true;
                self.utf8_user = argument.split(' ').any(|word| word.eq_ignore_ascii_case("USER"));
            }
            b"LANG" => self.lang = true,
            b"LOGIN-DELAY" => self.login_delay = number(first).or(self.login_delay),
            b"EXPIRE" if first.eq_ignore_ascii_case("NEVER") => self.expire = Some(Expire::Never),
            b"EXPIRE" => self.expire = number(first).map(Expire::Days).or(self.expire),
            b"IMPLEMENTATION" => {
                let visible = argument.chars().filter(|c| *c == ' ' || c.is_ascii_graphic());
                let name = visible.collect::<String>().trim().to_owned();
                self.implementation = Some(name).filter(|name| !name.is_empty());
            }
            _ => {}
        }
    }

    /// Writes the whole response to CAPA.
    pub fn encode(&self, out: &mut impl BufMut) {
        let mut line = |there: bool, word: &str, argument: &str| {
            if there {
                out.put_slice(word.as_bytes());
                out.put_slice(argument.as_bytes());
                out.put_slice(b"\r\n");
            }
        };
        line(true, "+OK capabilities follow", "");
        line(self.top, "TOP", "");
        line(self.user, "USER", "");
        line(self.resp_codes, "RESP-CODES", "");
        line(self.auth_resp_code, "AUTH-RESP-CODE", "");
        line(self.pipelining, "PIPELINING", "");
        line(self.uidl, "UIDL", "");
        line(self.stls, "STLS", "");
        let names: Vec<_> = self.sasl.iter().take(MAX_MECHANISMS).map(Mechanism::as_str).collect();
        line(!names.is_empty(), "SASL ", &names.join(" "));
        line(self.utf8, "UTF8", if self.utf8_user { " USER" } else { "" });
        line(self.lang, "LANG", "");
        if let Some(seconds) = self.login_delay {
            line(true, "LOGIN-DELAY ", &seconds.to_string());
        }
        match self.expire {
            Some(Expire::Never) => line(true, "EXPIRE NEVER", ""),
            Some(Expire::Days(days)) => line(true, "EXPIRE ", &days.to_string()),
            None => {}
        }
        if let Some(name) = &self.implementation {
            // The field is the caller's to fill: nothing in it may end the line.
            let name: String = name.chars().filter(|c| *c == ' ' || c.is_ascii_graphic()).take(400).collect();
            line(!name.trim().is_empty(), "IMPLEMENTATION ", name.trim());
        }
        line(true, ".", "");
    }
}

/// More than there are in use, and 340 octets.
const MAX_MECHANISMS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let all = Capabilities {
            top: true,
            user: true,
            resp_codes: true,
            auth_resp_code: true,
            pipelining: true,
            uidl: true,
            stls: true,
            sasl: [&b"PLAIN"[..], b"SCRAM-SHA-256-PLUS"].map(|name| Mechanism::parse(name).unwrap()).to_vec(),
            utf8: true,
            utf8_user: true,
            lang: true,
            login_delay: Some(900),
            expire: Some(Expire::Days(60)),
            implementation: Some("Shlemazle-Plotz-v302".into()),
        };
        for capabilities in [all, Capabilities { expire: Some(Expire::Never), ..Capabilities::default() }] {
            let mut wire = Vec::new();
            capabilities.encode(&mut wire);
            let mut read = Capabilities::default();
            for line in wire.split(|octet| *octet == b'\n') {
                read.read(line.strip_suffix(b"\r").unwrap_or(line));
            }
            assert_eq!(read, capabilities);
        }
    }

    #[test]
    fn odd_lines_do_no_harm() {
        let mut read = Capabilities::default();
        for line in [
            "",
            " ",
            "TOPX",
            "X-EXTRA 1 2",
            "EXPIRE",
            "EXPIRE 4294967296",
            "LOGIN-DELAY -1",
            "SASL",
            "SASL P+",
            "SASL 123456789012345678901",
        ] {
            read.read(line.as_bytes());
        }
        read.read(b"IMPLEMENTATION \xff");
        read.read("IMPLEMENTATION \u{e9}".as_bytes());
        assert_eq!(read, Capabilities::default());
        read.read(b"utf8 ME");
        assert_eq!((read.utf8, read.utf8_user), (true, false));
        read.read(b"top");
        read.read(b"EXPIRE 30 USER");
        read.read(b"LOGIN-DELAY 5 USER");
        assert_eq!((read.top, read.expire, read.login_delay), (true, Some(Expire::Days(30)), Some(5)));
    }

    #[test]
    fn a_name_cannot_smuggle_a_line() {
        let mut wire = Vec::new();
        let implementation = Some("a\r\n.\r\n+OK".into());
        Capabilities { implementation, ..Capabilities::default() }.encode(&mut wire);
        assert_eq!(wire, b"+OK capabilities follow\r\nIMPLEMENTATION a.+OK\r\n.\r\n");
    }
}
