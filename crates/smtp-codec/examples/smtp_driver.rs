//! A server on loopback that takes mail for anybody and prints how much came: one thread per connection, std alone.
//!
//! `cargo run -p smtp-codec --example smtp_driver`, then point a mail program at 127.0.0.1:2525.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "a driver is where the sockets, the clock and the threads are"
)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use smtp_codec::server::Reason;
use smtp_codec::{Domain, Event, ServerConfig, ServerSession};

fn main() -> io::Result<()> {
    for stream in TcpListener::bind("127.0.0.1:2525")?.incoming() {
        let stream = stream?;
        thread::spawn(move || println!("session ended: {:?}", serve(stream)));
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> io::Result<Reason> {
    let start = Instant::now();
    let host = Domain::parse("localhost").expect("a domain").into_owned();
    let (mut chunk, mut buffer, mut out) = ([0; 16_384], BytesMut::new(), BytesMut::new());
    let mut session = ServerSession::new(ServerConfig::new(host), start.elapsed(), &mut out);
    stream.set_write_timeout(Some(Duration::from_secs(300)))?;
    loop {
        stream.write_all(&out.split())?;
        let Some(deadline) = session.poll_timeout() else {
            return Ok(session.closed().expect("only a closed session has no deadline"));
        };
        let left = deadline.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => session.handle_eof(),
            Ok(count) => buffer.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                session.handle_timeout(start.elapsed(), &mut out);
            }
            Err(error) => return Err(error),
        }
        let mut input = &buffer[..];
        while let Some(event) = session.receive(start.elapsed(), &mut input, &mut out) {
            match event {
                Event::Mail(mail) => mail.accept(&mut out),
                Event::Rcpt(rcpt) => rcpt.accept(&mut out),
                Event::Data(data) => data.accept(&mut out),
                Event::End(end) => {
                    println!("{} octets", end.octets());
                    end.accept(&mut out);
                }
                _ => {}
            }
            if out.len() > 16_384 {
                stream.write_all(&out.split())?;
            }
        }
        let used = buffer.len() - input.len();
        buffer.advance(used);
    }
}
