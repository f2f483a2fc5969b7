//! Reading over IMAP: one command after the other.

use bytes::{Buf as _, BytesMut};
use imap_codec::client::{Event, Reason};
use imap_codec::command::{Append, Password, Verb};
use imap_codec::error::SendError;
use imap_codec::extension::Extension;
use imap_codec::response::{Condition, Data, Status};
use imap_codec::types::string::{Atom, IString};
use imap_codec::{ClientConfig, ClientSession};
use tokio::time::Instant;

use super::auth::{Way, Ways};
use super::{ClientError, Credentials, Encryption, Server};
use crate::wire::{HIGH_WATER, Wire, until};

/// A session behind its login.
#[derive(Debug)]
pub struct Imap {
    server: Server,
    wire: Wire,
    session: ClientSession,
    buffer: BytesMut,
    out: BytesMut,
    start: Instant,
}

impl Imap {
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
        let mut this = Self { server: server.clone(), wire, session, buffer: BytesMut::new(), out, start };
        this.ready().await?;
        let ask = match server.encryption {
            Encryption::Required => true,
            Encryption::Opportunistic => this.session.capabilities().contains("STARTTLS"),
            Encryption::Implicit | Encryption::Off => false,
        };
        if ask {
            this.session.starttls(&mut this.out).map_err(unsent)?;
            // A server that says no is not logged in to.
            this.until(|event, _| match event {
                Event::Ready => Some(Ok(())),
                event => done(&event)?.err().map(Err),
            })
            .await?;
        }
        // Who is greeted with PREAUTH is known already.
        if !this.session.is_authenticated() {
            this.log_in(login).await?;
        }
        Ok(this)
    }

    async fn log_in(&mut self, login: &Credentials) -> Result<(), ClientError> {
        let bad = |_| ClientError::Unsendable("the name or the password cannot be sent over IMAP".to_owned());
        let (mut ways, mut denied) = (Ways::new(login), None);
        loop {
            let capabilities = self.session.capabilities();
            let command = !capabilities.contains("LOGINDISABLED");
            let offered: Vec<_> = capabilities.mechanisms().map(str::to_owned).collect();
            let offered = offered.iter().map(String::as_str);
            let way = ways.next(offered, command, self.session.is_tls(), self.wire.exported())?;
            let (ended, mut exchange) = match way {
                None => {
                    let none = || ClientError::NotOffered("a way to log in that is known here");
                    return Err(denied.map_or_else(none, ClientError::LoginRefused));
                }
                Some(Way::Command) => {
                    let user = IString::try_from(login.name.as_str()).map_err(bad)?;
                    let password = Password(IString::try_from(login.password.expose()).map_err(bad)?);
                    (self.command(&Verb::Login { user, password }, |_| {}).await, None)
                }
                Some(Way::Exchange(mut exchange)) => {
                    let mechanism = Atom::new(exchange.mechanism()).map_err(bad)?;
                    let initial = exchange.initial();
                    let initial = initial.as_ref().map(|octets| &octets[..]);
                    self.session.authenticate(mechanism, initial, &mut self.out).map_err(unsent)?;
                    let ended = self.until(|event, out| match event {
                        Event::Challenge(challenge) => {
                            match exchange.answer(challenge.data()) {
                                Some(answer) => challenge.respond(&answer, out),
                                None => challenge.cancel(out),
                            }
                            None
                        }
                        event => done(&event),
                    });
                    (ended.await, Some(exchange))
                }
            };
            match ended {
                Ok(_) => {
                    exchange.map_or(Ok(true), |mut exchange| exchange.finish(true))?;
                    // What the server can do now may be more than before.
                    return self.ready().await;
                }
                Err(ClientError::Refused(words)) => {
                    exchange.as_mut().map_or(Ok(false), |exchange| exchange.finish(false))?;
                    denied = Some(words);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until it is known what the server can do.
    async fn ready(&mut self) -> Result<(), ClientError> {
        self.until(|event, _| match event {
            Event::Greeting(status) if status.condition == Condition::Bye => {
                Some(Err(ClientError::refused(status.text.as_str())))
            }
            Event::Ready => Some(Ok(())),
            _ => None,
        })
        .await
    }

    /// Whether the server announces this.
    pub fn offers(&self, extension: Extension) -> bool {
        self.session.capabilities().has(extension)
    }

    /// Sends a command and shows every event to `hear`, literals that are streamed included. What the server says at its end is
    /// given back. No is an error, and so is what `hear` says; then the session cannot be used any more.
    pub async fn stream(
        &mut self,
        verb: &Verb<'_>,
        mut hear: impl FnMut(&Event<'_>) -> Result<(), ClientError>,
    ) -> Result<String, ClientError> {
        self.session.send(verb, &mut self.out).map_err(unsent)?;
        self.until(|event, _| match hear(&event) {
            Ok(()) => done(&event),
            Err(error) => Some(Err(error)),
        })
        .await
    }

    /// Says goodbye. What has been done is done, so that nothing depends on the answer.
    pub async fn logout(mut self) {
        let _ = self.command(&Verb::Logout, |_| {}).await;
    }

    /// Sends a command, shows what comes of it to `hear`, and gives what the server says at its end. No is an error.
    pub async fn command(
        &mut self,
        verb: &Verb<'_>,
        mut hear: impl FnMut(&Data<'_>),
    ) -> Result<String, ClientError> {
        self.session.send(verb, &mut self.out).map_err(unsent)?;
        self.until(|event, _| match event {
            Event::Data(data) => {
                hear(&data);
                None
            }
            event => done(&event),
        })
        .await
    }

    /// Files a message.
    pub async fn append(&mut self, append: &Append<'_>, message: &[u8]) -> Result<String, ClientError> {
        self.session.append(append, message.len() as u64, &mut self.out).map_err(unsent)?;
        let refused = self
            .until(|event, _| match event {
                Event::AppendReady => Some(Ok(None)),
                event => done(&event).map(|end| end.map(Some)),
            })
            .await?;
        if let Some(end) = refused {
            return Ok(end);
        }
        for piece in message.chunks(HIGH_WATER) {
            self.session.append_write(piece, &mut self.out);
            self.wire.send(&mut self.out).await?;
        }
        self.until(|event, _| done(&event)).await
    }

    /// Waits in IDLE until `hear` has heard what it wants; `meanwhile` is done as soon as the server has begun to listen.
    pub async fn idle<T>(
        &mut self,
        meanwhile: impl Future<Output = T>,
        mut hear: impl FnMut(&Data<'_>) -> bool,
    ) -> Result<T, ClientError> {
        self.session.idle(&mut self.out).map_err(unsent)?;
        self.until(|event, _| matches!(event, Event::Idling).then_some(Ok(()))).await?;
        let result = meanwhile.await;
        self.until(|event, _| match event {
            Event::Data(data) => hear(&data).then_some(Ok(())),
            _ => None,
        })
        .await?;
        self.session.idle_done(&mut self.out);
        self.until(|event, _| done(&event)).await?;
        Ok(result)
    }

    /// Waits in IDLE until `hear` wants to do something, the session leaves by itself to say it anew, or `stop` comes: then it
    /// is true. All three leave IDLE.
    pub async fn watch(
        &mut self,
        stop: &mut (impl Future<Output = ()> + Unpin),
        mut hear: impl FnMut(&Data<'_>) -> bool,
    ) -> Result<bool, ClientError> {
        self.session.idle(&mut self.out).map_err(unsent)?;
        let mut stopped = false;
        // Dropped, it loses nothing: what has been read is in the buffer.
        let ended = tokio::select! {
            ended = self.until(|event, _| match event {
                Event::Data(data) if hear(&data) => Some(Ok(None)),
                event => done(&event).map(|end| end.map(Some)),
            }) => ended?,
            () = stop => {
                stopped = true;
                None
            }
        };
        if ended.is_none() {
            self.session.idle_done(&mut self.out);
            self.until(|event, _| match event {
                Event::Data(data) => {
                    hear(&data);
                    None
                }
                event => done(&event),
            })
            .await?;
        }
        Ok(stopped)
    }

    /// Goes on until `take` has what it wants.
    async fn until<T>(
        &mut self,
        mut take: impl FnMut(Event<'_>, &mut BytesMut) -> Option<Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        loop {
            let (mut input, mut taken) = (&self.buffer[..], None);
            while taken.is_none()
                && let Some(event) = self.session.receive(self.start.elapsed(), &mut input, &mut self.out)
            {
                taken = take(event, &mut self.out);
            }
            let used = self.buffer.len() - input.len();
            self.buffer.advance(used);
            if let Some(taken) = taken {
                self.wire.send(&mut self.out).await?;
                return taken;
            }
            if let Some(reason) = self.session.closed() {
                return Err(ClientError::Ended(told(reason)));
            }
            if self.session.wants_tls() {
                self.wire.send(&mut self.out).await?;
                self.server.start_tls(&mut self.wire).await?;
                self.session.handle_tls_started(self.start.elapsed());
                continue;
            }
            tokio::select! {
                biased;
                () = until(self.start, self.session.poll_timeout()) => {
                    self.session.handle_timeout(self.start.elapsed(), &mut self.out);
                }
                moved = self.wire.exchange(&mut self.buffer, &mut self.out) => {
                    if moved? {
                        self.session.handle_eof();
                    }
                }
            }
        }
    }
}

/// What the end of a command says, if this is one.
fn done(event: &Event<'_>) -> Option<Result<String, ClientError>> {
    let Event::Done { status: Status { condition, code, text }, .. } = event else { return None };
    let code = code.as_ref().map_or_else(String::new, |code| format!("[{}] ", code.name()));
    let text = format!("{code}{}", text.as_str());
    Some(if *condition == Condition::Ok { Ok(text) } else { Err(ClientError::refused(text)) })
}

/// Why a session has ended, for people.
fn told(reason: Reason) -> String {
    let text = match reason {
        Reason::Eof | Reason::Bye | Reason::Logout => "the server closed the connection",
        Reason::Timeout => "the server did not answer in time",
        Reason::Garbled => "the server did not answer in IMAP",
        Reason::PlaintextBehindStartTls => "the server went on in the clear behind its answer to STARTTLS",
        Reason::PreAuthWithoutTls => "the server wants no login and no TLS: somebody may stand in between",
        _ => "the session ended",
    };
    text.to_owned()
}

fn unsent(error: SendError) -> ClientError {
    ClientError::Unsendable(format!("the server cannot be asked for that: {error}"))
}
