//! Reading over IMAP: one command after the other.

use bytes::{Buf as _, BytesMut};
use imap_codec::client::Event;
use imap_codec::command::{Append, Password, Verb};
use imap_codec::error::SendError;
use imap_codec::response::{Condition, Data, Status};
use imap_codec::types::string::IString;
use imap_codec::{ClientConfig, ClientSession};
use tokio::time::Instant;

use super::{ClientError, Credentials, Server};
use crate::wire::{HIGH_WATER, Wire, until};

/// A session behind its login, always under TLS.
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
    /// Logs in.
    pub async fn open(server: &Server, login: &Credentials) -> Result<Self, ClientError> {
        let (wire, mut out, start) = (server.connect().await?, BytesMut::new(), Instant::now());
        let config =
            if server.implicit_tls { ClientConfig::new().implicit_tls() } else { ClientConfig::new() };
        let session = ClientSession::new(config, start.elapsed(), &mut out);
        let mut this = Self { server: server.clone(), wire, session, buffer: BytesMut::new(), out, start };
        this.until(|event| matches!(event, Event::Ready).then_some(Ok(()))).await?;
        if !server.implicit_tls {
            this.session.starttls(&mut this.out).map_err(unsent)?;
            // A server that says no is not logged in to.
            this.until(|event| match event {
                Event::Ready => Some(Ok(())),
                event => done(&event)?.err().map(Err),
            })
            .await?;
        }
        let bad = |_| ClientError::Refused("nothing: name or password cannot be sent over IMAP".to_owned());
        let user = IString::try_from(login.name.as_str()).map_err(bad)?;
        let password = Password(IString::try_from(login.password.expose()).map_err(bad)?);
        this.command(&Verb::Login { user, password }, |_| {}).await?;
        // What the server can do now may be more than before.
        this.until(|event| matches!(event, Event::Ready).then_some(Ok(()))).await?;
        Ok(this)
    }

    /// Sends a command, shows what comes of it to `hear`, and gives what the server says at its end. No is an error.
    pub async fn command(
        &mut self,
        verb: &Verb<'_>,
        mut hear: impl FnMut(&Data<'_>),
    ) -> Result<String, ClientError> {
        self.session.send(verb, &mut self.out).map_err(unsent)?;
        self.until(|event| match event {
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
            .until(|event| match event {
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
        self.until(|event| done(&event)).await
    }

    /// Waits in IDLE until `hear` has heard what it wants; `meanwhile` is done as soon as the server has begun to listen.
    pub async fn idle<T>(
        &mut self,
        meanwhile: impl Future<Output = T>,
        mut hear: impl FnMut(&Data<'_>) -> bool,
    ) -> Result<T, ClientError> {
        self.session.idle(&mut self.out).map_err(unsent)?;
        self.until(|event| matches!(event, Event::Idling).then_some(Ok(()))).await?;
        let result = meanwhile.await;
        self.until(|event| match event {
            Event::Data(data) => hear(&data).then_some(Ok(())),
            _ => None,
        })
        .await?;
        self.session.idle_done(&mut self.out);
        self.until(|event| done(&event)).await?;
        Ok(result)
    }

    /// Goes on until `take` has what it wants.
    async fn until<T>(
        &mut self,
        mut take: impl FnMut(Event<'_>) -> Option<Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        loop {
            let (mut input, mut taken) = (&self.buffer[..], None);
            while taken.is_none()
                && let Some(event) = self.session.receive(self.start.elapsed(), &mut input, &mut self.out)
            {
                taken = take(event);
            }
            let used = self.buffer.len() - input.len();
            self.buffer.advance(used);
            self.wire.send(&mut self.out).await?;
            if let Some(taken) = taken {
                return taken;
            }
            if let Some(reason) = self.session.closed() {
                return Err(ClientError::Ended(format!("{reason:?}")));
            }
            if self.session.wants_tls() {
                self.wire.connect_tls(&self.server.tls, self.server.name.clone()).await?;
                self.session.handle_tls_started(self.start.elapsed());
                continue;
            }
            tokio::select! {
                biased;
                () = until(self.start, self.session.poll_timeout()) => {
                    self.session.handle_timeout(self.start.elapsed(), &mut self.out);
                }
                read = self.wire.read(&mut self.buffer) => if read? == 0 { self.session.handle_eof() },
            }
        }
    }
}

/// What the end of a command says, if this is one.
fn done(event: &Event<'_>) -> Option<Result<String, ClientError>> {
    let Event::Done { status: Status { condition, code, text }, .. } = event else { return None };
    let code = code.as_ref().map_or_else(String::new, |code| format!("[{}] ", code.name()));
    let text = format!("{code}{}", text.as_str());
    Some(if *condition == Condition::Ok { Ok(text) } else { Err(ClientError::Refused(text)) })
}

fn unsent(error: SendError) -> ClientError {
    ClientError::Refused(format!("nothing: {error}"))
}
