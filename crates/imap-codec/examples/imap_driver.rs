//! A server on loopback with one mailbox in memory that all share, and IDLE: two threads per connection, std alone.
//!
//! `cargo run -p imap-codec --example imap_driver`, then point a mail program at 127.0.0.1:2143; any password will do.
//! It answers FETCH with flags, size and whole messages, whatever was asked: a real one looks at the items.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "a driver is where the sockets, the clock and the threads are"
)]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use imap_codec::command::Verb;
use imap_codec::extension::Extensions;
use imap_codec::extension::list_extended::ListEntry;
use imap_codec::response::{Code, Data, FetchItem, Source};
use imap_codec::server::{Head, Reason};
use imap_codec::types::{Delimiter, Flags};
use imap_codec::{Event, Mailbox, ServerConfig, ServerSession};

/// What a connection waits for.
enum Happening {
    Octets(Vec<u8>),
    Eof,
    /// Somebody has added a message.
    Grown,
}

/// The messages, and who wants to be told of more.
#[derive(Default)]
struct Inbox {
    messages: Vec<Arc<[u8]>>,
    watchers: Vec<Sender<Happening>>,
}

fn main() -> io::Result<()> {
    let inbox = Arc::new(Mutex::new(Inbox::default()));
    for stream in TcpListener::bind("127.0.0.1:2143")?.incoming() {
        let (stream, inbox) = (stream?, Arc::clone(&inbox));
        thread::spawn(move || println!("session ended: {:?}", serve(stream, &inbox)));
    }
    Ok(())
}

fn serve(mut stream: TcpStream, inbox: &Mutex<Inbox>) -> io::Result<Reason> {
    let start = Instant::now();
    let (sender, happenings) = mpsc::channel();
    inbox.lock().expect("no panic").watchers.push(sender.clone());
    let mut from = stream.try_clone()?;
    thread::spawn(move || {
        let mut chunk = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            if sender.send(Happening::Octets(chunk[..count].to_vec())).is_err() {
                return;
            }
        }
        let _ = sender.send(Happening::Eof);
    });
    stream.set_write_timeout(Some(Duration::from_secs(300)))?;

    let (mut buffer, mut out, mut draft) = (BytesMut::new(), BytesMut::new(), Vec::new());
    let config = ServerConfig::new(Extensions::rev2()).plaintext_auth();
    let mut session = ServerSession::new(config, start.elapsed(), &mut out);
    loop {
        stream.write_all(&out.split())?;
        let Some(deadline) = session.poll_timeout() else {
            return Ok(session.closed().expect("only a closed session has no deadline"));
        };
        match happenings.recv_timeout(deadline.saturating_sub(start.elapsed())) {
            Ok(Happening::Octets(octets)) => buffer.extend_from_slice(&octets),
            Ok(Happening::Grown) => {
                let count = inbox.lock().expect("no panic").messages.len() as u32;
                if let Some(mut idling) = session.idling() {
                    idling.untagged(&Data::Exists(count), &mut out);
                }
            }
            Ok(Happening::Eof) | Err(RecvTimeoutError::Disconnected) => session.handle_eof(),
            Err(RecvTimeoutError::Timeout) => session.handle_timeout(start.elapsed(), &mut out),
        }
        let mut input = &buffer[..];
        while let Some(event) = session.receive(start.elapsed(), &mut input, &mut out) {
            match event {
                Event::Command(verb, answer) => command(&verb, answer, inbox, &mut stream, &mut out)?,
                Event::Append(append) if append.append().mailbox.is_inbox() => append.accept(&mut out),
                Event::Append(append) => append.no((Code::TryCreate, "no such mailbox"), &mut out),
                Event::Chunk(octets) => draft.extend_from_slice(octets),
                Event::AppendAborted => draft.clear(),
                Event::AppendEnd(answer) => {
                    let mut inbox = inbox.lock().expect("no panic");
                    inbox.messages.push(std::mem::take(&mut draft).into());
                    inbox.watchers.retain(|watcher| watcher.send(Happening::Grown).is_ok());
                    answer.ok("kept until the process ends", &mut out);
                }
                Event::Idle(idle) => idle.accept(&mut out),
                Event::IdleEnd(answer) => answer.ok("done", &mut out),
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

fn command(
    verb: &Verb<'_>,
    mut answer: imap_codec::server::Answer<'_>,
    inbox: &Mutex<Inbox>,
    stream: &mut TcpStream,
    out: &mut BytesMut,
) -> io::Result<()> {
    let messages = inbox.lock().expect("no panic").messages.clone();
    let last = messages.len() as u32;
    match verb {
        Verb::Login { .. } => answer.ok("welcome", out),
        Verb::Noop | Verb::Close | Verb::Unselect => {
            answer.untagged(&Data::Exists(last), out);
            answer.ok("done", out);
        }
        Verb::List(_) => {
            let entry = ListEntry::new(Flags::default(), Some(Delimiter::SLASH), Mailbox::INBOX);
            answer.untagged(&Data::List(entry), out);
            answer.ok("listed", out);
        }
        Verb::Select(select) | Verb::Examine(select) if select.mailbox.is_inbox() => {
            answer.untagged(&Data::Flags(Flags::default()), out);
            answer.untagged(&Data::Exists(last), out);
            answer.ok((Code::ReadOnly, "selected"), out);
        }
        Verb::Select(_) | Verb::Examine(_) => answer.no((Code::NonExistent, "no such mailbox"), out),
        Verb::Fetch { set, .. } => {
            for range in set.resolved(last) {
                for number in range {
                    let (Some(number), Some(message)) =
                        (NonZeroU32::new(number), messages.get(number as usize - 1))
                    else {
                        break;
                    };
                    let size = message.len() as u64;
                    let items = [
                        FetchItem::Uid(number),
                        FetchItem::Flags(Flags::default()),
                        FetchItem::Rfc822Size(size),
                    ];
                    let source = Source::Body(Default::default(), None);
                    let mut literal = answer.literal(&Head { number, items: &items, source }, size, out);
                    for piece in message.chunks(16_384) {
                        literal.write(piece, out);
                        stream.write_all(&out.split())?;
                    }
                    literal.finish(&[], out);
                }
            }
            answer.ok("fetched", out);
        }
        _ => answer.no((Code::Cannot, "only an example"), out),
    }
    Ok(())
}
