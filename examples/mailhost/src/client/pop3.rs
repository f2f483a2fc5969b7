//! Collecting over POP3: one question after the other.

use bytes::{Buf as _, BytesMut};
use pop3_codec::client::{ClientConfig, ClientSession, Event, Mailbox, Reason, Request, Timer};
use pop3_codec::command::{Mechanism, Password, UserName};
use pop3_codec::reply::StatusLine;
use tokio::time::Instant;

use super::auth::{Exchange, Way, Ways};
use super::{ClientError, Collected, Credentials, Encryption, Server};
use crate::logs::Safe;
use crate::wire::{Wire, until};

/// A session behind its login.
#[derive(Debug)]
pub struct Pop3 {
    wire: Wire,
    session: ClientSession,
    buffer: BytesMut,
    out: BytesMut,
    start: Instant,
}

/// What a mailbox holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entry {
    /// The number of the message in this session.
    pub number: u32,
    /// Its octets, as the server counts them.
    pub octets: u64,
    /// What identifies it in every session, if the server can tell.
    pub unique_id: Option<String>,
}

impl Pop3 {
    /// Connects, starts TLS and logs in.
    pub async fn open(server: &Server, login: &Credentials) -> Result<Self, ClientError> {
        server.may_log_in(Some(login))?;
        let (wire, mut out, start) = (server.connect().await?, BytesMut::new(), Instant::now());
        let mut config = ClientConfig::new();
        match server.encryption {
            Encryption::Implicit => config = config.implicit_tls(),
            Encryption::Required => {}
            Encryption::Opportunistic | Encryption::Off => config = config.plaintext_auth(),
        }
        let session = ClientSession::new(config, start.elapsed(), &mut out);
        let mut this = Self { wire, session, buffer: BytesMut::new(), out, start };
        this.log_in(server, login).await?;
        Ok(this)
    }

    async fn log_in(&mut self, server: &Server, login: &Credentials) -> Result<(), ClientError> {
        let bad = |_| ClientError::Unsendable("the name or the password cannot be sent over POP3".to_owned());
        let (mut ways, mut exchange, mut denied) = (Ways::new(login), None::<Box<Exchange>>, None);
        let mut asked_for_utf8 = false;
        loop {
            let mut input = &self.buffer[..];
            let mut end = None;
            while end.is_none()
                && let Some(event) = self.session.receive(self.start.elapsed(), &mut input, &mut self.out)
            {
                match event {
                    Event::Login(offer) => {
                        let ask = match server.encryption {
                            Encryption::Required => true,
                            Encryption::Opportunistic => offer.capabilities().stls,
                            Encryption::Implicit | Encryption::Off => false,
                        };
                        if ask && !offer.is_tls() {
                            offer.stls(&mut self.out);
                            continue;
                        }
                        // So that messages come as they are stored, and not as surrogates (RFC 6856 §2.1).
                        if offer.capabilities().utf8 && !std::mem::replace(&mut asked_for_utf8, true) {
                            offer.utf8(&mut self.out);
                            continue;
                        }
                        let capabilities = offer.capabilities();
                        // A server from before RFC 2449 does not tell that it has USER.
                        let command = capabilities.user || capabilities.sasl.is_empty();
                        let offered: Vec<_> = capabilities.sasl.iter().map(Mechanism::as_str).collect();
                        let channel = self.wire.exported();
                        match ways.next(offered.iter().copied(), command, offer.is_tls(), channel) {
                            Ok(Some(Way::Exchange(mut way))) => {
                                let name = Mechanism::parse(way.mechanism().as_bytes()).map_err(bad)?;
                                let initial = way.initial();
                                offer.authenticate(
                                    name,
                                    initial.as_ref().map(|octets| &octets[..]),
                                    &mut self.out,
                                );
                                exchange = Some(way);
                            }
                            Ok(Some(Way::Command)) => {
                                offer.user(UserName::new(&login.name).map_err(bad)?, &mut self.out);
                            }
                            Ok(None) => {
                                let none = || ClientError::NotOffered("a way to log in that is known here");
                                end = Some(Err(denied.take().map_or_else(none, ClientError::LoginRefused)));
                            }
                            Err(error) => end = Some(Err(error)),
                        }
                    }
                    Event::Password(wanted) => {
                        wanted.pass(Password::new(login.password.expose()).map_err(bad)?, &mut self.out);
                    }
                    Event::Challenge(challenge) => {
                        match exchange.as_mut().and_then(|exchange| exchange.answer(challenge.data())) {
                            Some(answer) => challenge.respond(&answer, &mut self.out),
                            None => challenge.cancel(&mut self.out),
                        }
                    }
                    // It is the server's right.
                    Event::Refused { request: Request::Utf8, .. } => {}
                    Event::Refused { request: Request::Stls, .. } => {
                        end = Some(Err(ClientError::NotOffered("STLS")));
                    }
                    Event::Refused { request: Request::Capa, .. } | Event::Capabilities(_) => {
                        end = Some(Ok(()))
                    }
                    Event::Refused { request, reply } => {
                        let words = said(&reply);
                        let login = matches!(request, Request::User | Request::Pass | Request::Auth);
                        if !login {
                            end = Some(Err(ClientError::Refused(words)));
                        } else if let Some(Err(error)) =
                            exchange.take().map(|mut exchange| exchange.finish(false))
                        {
                            end = Some(Err(error));
                        } else {
                            denied = Some(words);
                        }
                    }
                    Event::Mailbox(mut mailbox) => {
                        match exchange.take().map_or(Ok(true), |mut exchange| exchange.finish(true)) {
                            // Some answers differ behind the login; and the offer wants a command.
                            Ok(_) => mailbox.capa(&mut self.out).map_err(|_| full())?,
                            Err(error) => end = Some(Err(error)),
                        }
                    }
                    _ => {}
                }
            }
            let used = self.buffer.len() - input.len();
            self.buffer.advance(used);
            if let Some(end) = end {
                return end;
            }
            if self.session.wants_tls() {
                self.wire.send(&mut self.out).await?;
                server.start_tls(&mut self.wire).await?;
                self.session.handle_tls_started(self.start.elapsed());
                continue;
            }
            self.wait().await?;
        }
    }

    /// Whether the server can show the beginning of a message.
    pub fn has_top(&self) -> bool {
        self.session.capabilities().top
    }

    /// All messages, with their sizes, and their unique ids if the server has them.
    pub async fn list(&mut self) -> Result<Vec<Entry>, ClientError> {
        let mut entries = Vec::<Entry>::new();
        let queue =
            |mailbox: &mut Mailbox<'_>, out: &mut BytesMut| mailbox.list(None, out).map_err(|_| full());
        self.ask(queue, |event| match event {
            Event::Size { number, octets } => {
                if entries.len() == MOST_MESSAGES {
                    return Err(ClientError::TooMuch { what: "messages", limit: MOST_MESSAGES });
                }
                entries.push(Entry { number, octets, unique_id: None });
                Ok(())
            }
            Event::Refused { reply, .. } => Err(ClientError::Refused(said(&reply))),
            _ => Ok(()),
        })
        .await?;
        entries.sort_by_key(|entry| entry.number);
        entries.dedup_by_key(|entry| entry.number);
        let queue =
            |mailbox: &mut Mailbox<'_>, out: &mut BytesMut| mailbox.uidl(None, out).map_err(|_| full());
        self.ask(queue, |event| {
            if let Event::UniqueId { number, id } = event
                && let Ok(at) = entries.binary_search_by_key(&number, |entry| entry.number)
            {
                entries[at].unique_id = Some(id.as_str().to_owned());
            }
            // A server without UIDL refuses it.
            Ok(())
        })
        .await?;
        Ok(entries)
    }

    /// Gives the octets of a message to `take`, piece by piece; an error of it ends the session.
    pub async fn retrieve(
        &mut self,
        number: u32,
        take: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        self.stream(take, |mailbox, out| mailbox.retr(number, out).map_err(|_| full())).await
    }

    /// The same with the header and the first lines of the body.
    pub async fn top(
        &mut self,
        number: u32,
        lines: u64,
        take: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        self.stream(take, |mailbox, out| mailbox.top(number, lines, out).map_err(|_| full())).await
    }

    /// Marks a message. QUIT deletes it, and nothing else does.
    pub async fn delete(&mut self, number: u32) -> Result<(), ClientError> {
        let queue =
            |mailbox: &mut Mailbox<'_>, out: &mut BytesMut| mailbox.dele(number, out).map_err(|_| full());
        self.ask(queue, no_refusal).await
    }

    /// Ends the session. Fails if the server has not confirmed that what was marked is deleted.
    pub async fn quit(mut self) -> Result<(), ClientError> {
        let mut said_it = false;
        loop {
            let mut input = &self.buffer[..];
            while let Some(event) = self.session.receive(self.start.elapsed(), &mut input, &mut self.out) {
                if let Event::Mailbox(mailbox) = event
                    && !said_it
                {
                    said_it = true;
                    mailbox.quit(&mut self.out);
                }
            }
            let used = self.buffer.len() - input.len();
            self.buffer.advance(used);
            match self.session.closed() {
                Some(Reason::Quit) => return Ok(()),
                Some(reason) => return Err(ClientError::Ended(told(reason))),
                None => {}
            }
            self.wait().await?;
        }
    }

    async fn stream(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), ClientError>,
        queue: impl FnMut(&mut Mailbox<'_>, &mut BytesMut) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        self.ask(queue, |event| match event {
            Event::Chunk(octets) => take(octets),
            event => no_refusal(event),
        })
        .await
    }

    /// Asks one thing and shows everything up to its end to `hear`, whose error ends the session. What comes next is left
    /// unread: the offer that follows wants a command.
    async fn ask(
        &mut self,
        mut queue: impl FnMut(&mut Mailbox<'_>, &mut BytesMut) -> Result<(), ClientError>,
        mut hear: impl FnMut(Event<'_>) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        loop {
            let (mut input, mut ended) = (&self.buffer[..], false);
            while !ended
                && let Some(event) = self.session.receive(self.start.elapsed(), &mut input, &mut self.out)
            {
                ended = matches!(
                    event,
                    Event::ListEnd | Event::MessageEnd | Event::Done(_) | Event::Refused { .. }
                );
                match event {
                    Event::Mailbox(mut mailbox) => queue(&mut mailbox, &mut self.out)?,
                    event => hear(event)?,
                }
            }
            let used = self.buffer.len() - input.len();
            self.buffer.advance(used);
            if ended {
                return Ok(());
            }
            self.wait().await?;
        }
    }

    /// Writes and reads, whichever can go on; an end of the session is an error.
    async fn wait(&mut self) -> Result<(), ClientError> {
        if let Some(reason) = self.session.closed() {
            return Err(ClientError::Ended(told(reason)));
        }
        tokio::select! {
            biased;
            () = until(self.start, self.session.poll_timeout()) => {
                self.session.handle_timeout(self.start.elapsed(), &mut self.out);
            }
            moved = self.wire.exchange(&mut self.buffer, &mut self.out) => match moved {
                Ok(false) => {}
                // The session says what it means, for instance for deletions that were asked for.
                Ok(true) | Err(_) => self.session.handle_eof(),
            }
        }
        Ok(())
    }
}

impl Server {
    /// Collects all messages into memory, and leaves them where they are.
    pub async fn collect(&self, login: &Credentials) -> Result<Vec<Collected>, ClientError> {
        let mut pop3 = Pop3::open(self, login).await?;
        let mut collected = Vec::new();
        for entry in pop3.list().await? {
            let mut octets = Vec::new();
            pop3.retrieve(entry.number, |piece| {
                octets.extend_from_slice(piece);
                Ok(())
            })
            .await?;
            collected.push(Collected { unique_id: entry.unique_id.unwrap_or_default(), octets });
        }
        pop3.quit().await?;
        Ok(collected)
    }
}

fn no_refusal(event: Event<'_>) -> Result<(), ClientError> {
    match event {
        Event::Refused { reply, .. } => Err(ClientError::Refused(said(&reply))),
        _ => Ok(()),
    }
}

/// The words of a refusal, made safe.
fn said(reply: &StatusLine<'_>) -> String {
    let code = reply.code().map_or_else(String::new, |code| format!("[{code}] "));
    Safe(format_args!("-ERR {code}{}", String::from_utf8_lossy(reply.text()))).to_string()
}

/// Why a session has ended, for people.
fn told(reason: Reason) -> String {
    let text = match reason {
        Reason::Eof => "the server closed the connection; nothing is deleted there",
        Reason::Refused => "the server takes nobody now",
        Reason::NotDeleted => "the server has not deleted all that it was told to; the next time tries again",
        Reason::DeletionsUnknown => {
            "the connection was lost behind QUIT: the messages may be deleted on the server or not"
        }
        Reason::Timeout(Timer::Greeting) => "the server did not greet in time",
        Reason::Timeout(_) => "the server did not answer in time; nothing is deleted there",
        Reason::Garbled(error) => return format!("the server did not answer in POP3: {error}"),
        Reason::NotAscii => "the name or the password is not ASCII, and the server takes no other",
        Reason::PlaintextBehindStls => "the server went on in the clear behind its answer to STLS",
        _ => "the session ended",
    };
    text.to_owned()
}

fn full() -> ClientError {
    ClientError::NotOffered("room for a command")
}

/// Of how many messages the sizes and ids are kept: as many take some 150 MB.
const MOST_MESSAGES: usize = 1_000_000;
