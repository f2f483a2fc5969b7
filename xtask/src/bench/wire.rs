//! Lines and replies, as the load generator, the sink and the reader of mailboxes need them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

pub(super) struct Wire {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    line: Vec<u8>,
}

impl Wire {
    pub(super) fn connect(port: u16) -> io::Result<Self> {
        Self::new(TcpStream::connect(("127.0.0.1", port))?)
    }

    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { writer: stream.try_clone()?, reader: BufReader::new(stream), line: Vec::new() })
    }

    pub(super) fn send(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        self.writer.write_all(octets.as_ref())
    }

    /// The next line with its end; empty at the end of the stream.
    pub(super) fn line(&mut self) -> io::Result<&[u8]> {
        self.line.clear();
        (&mut self.reader).take(LONGEST).read_until(b'\n', &mut self.line)?;
        Ok(&self.line)
    }

    /// A reply of SMTP, of one or more lines, that starts as it should.
    pub(super) fn reply(&mut self, code: &str) -> io::Result<()> {
        loop {
            let line = self.line()?;
            if !line.starts_with(code.as_bytes()) {
                return Err(unexpected(code, line));
            }
            if line.get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    /// What follows `+OK` in a status line of POP3.
    pub(super) fn ok(&mut self) -> io::Result<String> {
        let line = self.line()?;
        match line.strip_prefix(b"+OK") {
            Some(rest) => Ok(String::from_utf8_lossy(rest).trim().to_owned()),
            None => Err(unexpected("+OK", line)),
        }
    }

    /// A message up to the dot that ends it, without dots that were stuffed.
    pub(super) fn message(&mut self) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            match self.line()? {
                b".\r\n" => return Ok(message),
                b"" => return Err(unexpected("a dot", b"")),
                line => message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line)),
            }
        }
    }
}

pub(super) fn free_port() -> Result<u16, String> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|error| error.to_string())
}

fn unexpected(wanted: &str, line: &[u8]) -> io::Error {
    io::Error::other(format!("expected {wanted}, got {:?}", String::from_utf8_lossy(line)))
}

/// Longer than anything that a server needs here.
const LONGEST: u64 = 4_096;
const DEADLINE: Duration = Duration::from_secs(120);
