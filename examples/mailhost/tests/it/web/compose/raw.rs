//! The form as octets on a connection of the test's own, so that it can be cut off anywhere.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use mailhost::listener::Service;

use super::{Writer, value};
use crate::support::DEADLINE;

/// What a request is made of: fields, and then a file.
pub(super) struct Form {
    head: String,
    body: Vec<u8>,
}

impl Form {
    /// The form of a page with these fields in the place of what they had, with a file of these octets, and this button pressed.
    #[track_caller]
    pub(super) fn of(
        writer: &Writer<'_>,
        page: &str,
        fields: &[(&str, &str)],
        file: Option<(&str, &[u8])>,
        button: &str,
    ) -> Self {
        let mut body = Vec::new();
        let mut add = |head: &str, octets: &[u8]| {
            body.extend_from_slice(
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(octets);
            body.extend_from_slice(b"\r\n");
        };
        for name in super::FIELDS {
            let given = fields.iter().find(|(field, _)| *field == name).map(|(_, value)| (*value).to_owned());
            if let Some(value) = given.or_else(|| value(page, name)) {
                add(&format!("name=\"{name}\""), value.as_bytes());
            }
        }
        if let Some((name, octets)) = file {
            add(&format!("name=\"file\"; filename=\"{name}\""), octets);
        }
        add("name=\"do\"", button.as_bytes());
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let jar = fs::read_to_string(&writer.jar).expect("cookies");
        let cookie = jar.lines().rev().map(|line| line.split('\t').collect::<Vec<_>>());
        let cookie =
            cookie.filter(|fields| fields.len() == 7).find(|fields| fields[5].starts_with("postrider"));
        let cookie = cookie.expect("the cookie of the session");
        let port = writer.host.address(Service::Web).port();
        let head = format!(
            "POST /compose HTTP/1.1\r\nHost: mail.example.test:{port}\r\nCookie: {}={}\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
            cookie[5],
            cookie[6],
            body.len()
        );
        Self { head, body }
    }

    /// Its octets, the head of the request included.
    pub(super) fn octets(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }
}

/// Connects to the pages of a host.
#[track_caller]
pub(super) fn connect(writer: &Writer<'_>) -> TcpStream {
    let stream =
        TcpStream::connect_timeout(&writer.host.address(Service::Web), DEADLINE).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// The head of the answer, or as much of it as came before the connection was gone.
pub(super) fn head(stream: &mut TcpStream) -> String {
    let mut octets = Vec::new();
    let mut some = [0; 4_096];
    while !octets.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(count) => octets.extend_from_slice(&some[..count]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// Writes as far as the other side takes it.
pub(super) fn push(stream: &mut TcpStream, octets: &[u8]) {
    let _ = stream.write_all(octets);
}

const BOUNDARY: &str = "boundary-of-the-form";
