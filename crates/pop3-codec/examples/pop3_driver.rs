//! A POP3 server on loopback over two messages in memory: `cargo run -p pop3-codec --example pop3_driver`, then
//! `telnet 127.0.0.1 2110` with the user "ann" and the password "secret".
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a driver does the I/O"
)]

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use pop3_codec::server::Reason;
use pop3_codec::{Event, Maildrop, Reply, ServerConfig, ServerSession, UniqueId};

#[derive(Clone)]
struct Messages(Vec<(u32, &'static str)>);

impl Maildrop for Messages {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn size(&self, index: usize) -> u64 {
        self.0[index].1.len() as u64
    }
    fn unique_id(&self, index: usize) -> UniqueId {
        // Not the index, which is another one once a message before it is gone.
        UniqueId::new(&format!("message-{}", self.0[index].0)).expect("visible ASCII")
    }
}

/// One connection at a time, which makes the lock on the mailbox.
fn main() -> Result<()> {
    let mut stored = Messages(vec![
        (1, "Subject: one\r\n\r\nHello.\r\n"),
        (2, "Subject: two\r\n\r\n.\r\nStill there.\r\n"),
    ]);
    let listener = TcpListener::bind("127.0.0.1:2110")?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        println!("{:?}", serve(stream?, &mut stored));
    }
    Ok(())
}

fn serve(mut stream: TcpStream, stored: &mut Messages) -> Result<Reason> {
    // A client that does not read must not hold the session for ever.
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    let start = Instant::now();
    let (mut chunk, mut buffer, mut out) = ([0; 4096], BytesMut::new(), BytesMut::new());
    let config = ServerConfig::new().plaintext_auth(); // on loopback
    let mut session = ServerSession::new(config, start.elapsed(), &mut out);
    loop {
        stream.write_all(&out.split())?;
        if let Some(reason) = session.closed() {
            return Ok(reason);
        }
        let left = session.poll_timeout().map(|deadline| deadline.saturating_sub(start.elapsed()));
        stream.set_read_timeout(left.map(|left| left.max(Duration::from_millis(1))))?;
        match stream.read(&mut chunk) {
            Ok(0) => session.handle_eof(),
            Ok(count) => buffer.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                session.handle_timeout(start.elapsed(), &mut out);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        let mut input = &buffer[..];
        while let Some(event) = session.receive(start.elapsed(), &mut input, &mut out) {
            match event {
                Event::Login(login) if (login.user(), login.password()) == ("ann", "secret") => {
                    login.accept(stored.clone(), &mut out);
                }
                Event::Login(login) => login.reject(Reply::AUTH_FAILED, &mut out),
                Event::Retrieve(retrieve) => {
                    let (_, text) = retrieve.maildrop().0[retrieve.index()];
                    let mut message = retrieve.accept(&mut out);
                    message.write(text.as_bytes(), &mut out);
                    message.finish(&mut out);
                }
                Event::Update(update) => {
                    let deleted: Vec<usize> = update.deleted().collect();
                    let mut index = 0..;
                    stored.0.retain(|_| index.next().is_none_or(|index| !deleted.contains(&index)));
                    update.accept(&mut out);
                }
                _ => {}
            }
            stream.write_all(&out.split())?;
        }
        let used = buffer.len() - input.len();
        buffer.advance(used);
    }
}
