//! A connection that blocks, in the clear or under TLS, and how one speaks SMTP and POP3 on it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::{DEADLINE, PASSWORD};

pub(crate) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    /// How much of `buffer` has been read.
    used: usize,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Connects, in the clear.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the host accepts connections")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&address, DEADLINE)?)
    }

    /// Connects from an address of this machine.
    pub(crate) fn connect_from(from: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddr::from((from, 0)))?;
        connect(&socket, &address)?;
        Self::over(TcpStream::from(socket))
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: Stream::Plain(stream), buffer: Vec::new(), used: 0 })
    }

    /// An SMTP session behind its EHLO.
    #[track_caller]
    pub(crate) fn smtp(address: SocketAddr) -> Self {
        let mut wire = Self::connect(address);
        wire.expect("220 mail.example.test ESMTP");
        wire.say("EHLO client.test", "250-mail.example.test");
        wire
    }

    /// Waits no longer than this for an answer, and for what is sent to be taken.
    pub(crate) fn patience(&self, wait: Duration) -> io::Result<()> {
        let stream = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
        };
        stream.set_write_timeout(Some(wait))?;
        stream.set_read_timeout(Some(wait))
    }

    /// A POP3 session behind its login, without TLS.
    #[track_caller]
    pub(crate) fn pop3(address: SocketAddr, login: &str) -> Self {
        let mut wire = Self::connect(address);
        wire.expect("+OK");
        wire.log_in_pop3(login);
        wire
    }

    #[track_caller]
    pub(crate) fn log_in_pop3(&mut self, login: &str) {
        self.say(&format!("USER {login}"), "+OK");
        self.say(&format!("PASS {PASSWORD}"), "+OK");
    }

    /// AUTH PLAIN.
    #[track_caller]
    pub(crate) fn log_in_smtp(&mut self, login: &str) {
        let response = base64(format!("\0{login}\0{PASSWORD}").as_bytes());
        self.say(&format!("AUTH PLAIN {response}"), "235 2.7.0");
    }

    /// Does the handshake.
    #[track_caller]
    pub(crate) fn start_tls(self, config: &Arc<ClientConfig>) -> Self {
        self.try_start_tls(config).expect("a handshake")
    }

    #[track_caller]
    pub(crate) fn try_start_tls(self, config: &Arc<ClientConfig>) -> io::Result<Self> {
        assert_eq!(self.used, self.buffer.len(), "plaintext behind the reply");
        let Stream::Plain(mut stream) = self.stream else { panic!("under TLS already") };
        let name = ServerName::try_from("mail.example.test").unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        let stream = Stream::Tls(Box::new(StreamOwned::new(connection, stream)));
        Ok(Self { stream, buffer: Vec::new(), used: 0 })
    }

    /// What this end of the TLS connection exports for channel binding.
    #[track_caller]
    pub(crate) fn exported(&self) -> [u8; 32] {
        let Stream::Tls(stream) = &self.stream else { panic!("not under TLS") };
        stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None).unwrap()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.try_send(octets).expect("the host reads");
    }

    pub(crate) fn try_send(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets.as_ref()),
            Stream::Tls(stream) => {
                stream.write_all(octets.as_ref())?;
                stream.flush()
            }
        }
    }

    /// Reads more into the buffer; zero at the end.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + READ, 0);
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut self.buffer[old..]),
            Stream::Tls(stream) => stream.read(&mut self.buffer[old..]),
        };
        self.buffer.truncate(old + read.as_ref().map_or(0, |read| *read));
        read
    }

    /// So many octets.
    #[track_caller]
    pub(crate) fn exactly(&mut self, count: usize) -> &[u8] {
        while self.buffer.len() - self.used < count {
            assert_ne!(self.fill().expect("more octets"), 0, "the connection has ended");
        }
        self.used += count;
        &self.buffer[self.used - count..self.used]
    }

    /// The next line, with its line end; whatever is left at the end of the connection.
    pub(crate) fn try_line(&mut self) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let rest = &self.buffer[self.used..];
            if let Some(end) = memchr::memchr(b'\n', &rest[searched..]) {
                let line = rest[..=searched + end].to_vec();
                self.used += line.len();
                return Ok(line);
            }
            searched = rest.len();
            if self.fill()? == 0 {
                self.used = self.buffer.len();
                return Ok(self.buffer.clone());
            }
        }
    }

    /// The next line without its CRLF.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let line = String::from_utf8(self.try_line().expect("a line")).expect("text");
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("not a whole line: {line:?}")).to_owned()
    }

    /// The next reply, whose lines are parted by LF.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> String {
        let mut reply = self.line();
        let mut last = reply.clone();
        while last.len() > 3 && last.as_bytes()[..3].iter().all(u8::is_ascii_digit) && &last[3..4] == "-" {
            last = self.line();
            reply = format!("{reply}\n{last}");
        }
        reply
    }

    /// The next reply, which has to begin so.
    #[track_caller]
    pub(crate) fn expect(&mut self, start: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(start), "{reply:?} instead of {start:?}");
        reply
    }

    /// A command and its reply, which has to begin so.
    #[track_caller]
    pub(crate) fn say(&mut self, command: &str, start: &str) -> String {
        self.send(format!("{command}\r\n"));
        let reply = self.reply();
        assert!(reply.starts_with(start), "{command}: {reply:?} instead of {start:?}");
        reply
    }

    /// The host has closed the connection and said no more.
    #[track_caller]
    pub(crate) fn ended(&mut self) {
        assert_eq!(self.used, self.buffer.len(), "more was said: {:?}", self.buffer);
        match self.fill() {
            Ok(0) => {}
            // It closed while there was something left to read.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            other => panic!("{other:?} instead of the end: {:?}", String::from_utf8_lossy(&self.buffer)),
        }
    }

    /// MAIL, each RCPT, and DATA up to its 354.
    #[track_caller]
    pub(crate) fn begin(&mut self, from: &str, to: &[&str]) {
        self.say(&format!("MAIL FROM:<{from}>"), "250 2.1.0");
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), "250 2.1.5");
        }
        self.say("DATA", "354");
    }

    /// A whole transaction; gives the reply to the message.
    #[track_caller]
    pub(crate) fn offer(&mut self, from: &str, to: &[&str], message: impl AsRef<[u8]>) -> String {
        self.begin(from, to);
        self.send(stuffed(message.as_ref()));
        self.reply()
    }

    /// A whole transaction that succeeds.
    #[track_caller]
    pub(crate) fn deliver(&mut self, to: &[&str], message: impl AsRef<[u8]>) {
        let reply = self.offer("carla@far.test", to, message);
        assert!(reply.starts_with("250 2.0.0 accepted as "), "{reply}");
    }

    /// What follows a positive answer of POP3 on many lines, unstuffed.
    #[track_caller]
    pub(crate) fn listing(&mut self, command: &str) -> Vec<u8> {
        self.say(command, "+OK");
        let mut all = Vec::new();
        loop {
            let line = self.try_line().expect("a line");
            assert!(line.ends_with(b"\r\n"), "not a whole line");
            match line.strip_prefix(b".") {
                Some(b"\r\n") => return all,
                Some(rest) => all.extend_from_slice(rest),
                None => all.extend_from_slice(&line),
            }
        }
    }

    #[track_caller]
    pub(crate) fn retrieve(&mut self, number: usize) -> Vec<u8> {
        self.listing(&format!("RETR {number}"))
    }

    /// The unique ids of all messages, in their order.
    #[track_caller]
    pub(crate) fn unique_ids(&mut self) -> Vec<String> {
        let listing = String::from_utf8(self.listing("UIDL")).unwrap();
        listing.lines().map(|line| line.split_once(' ').expect("number and id").1.to_owned()).collect()
    }
}

/// A message as it goes over the wire behind DATA; it has to end with CRLF.
pub(crate) fn stuffed(message: &[u8]) -> Vec<u8> {
    assert!(message.is_empty() || message.ends_with(b"\r\n"));
    let mut out = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b".\r\n");
    out
}

pub(crate) fn base64(octets: &[u8]) -> String {
    let mut text = String::new();
    for three in octets.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at)) as usize & 63;
            text.push(if at <= three.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    text
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const READ: usize = 64 << 10;
