//! Users and their programs: they send, keep account of what they were told, and collect.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use mailhost::auth::Password;
use mailhost::client::Credentials;
use mailhost::relay::connection::{Body, Connection, End, NoConnection, Peer, Security};
use mailhost::wire::{Wire, until};
use pop3_codec::client as pop3;
use pop3_codec::command::UserName;
use smtp_codec::client::Envelope;
use smtp_codec::{Domain, ForwardPath, Mailbox, ReversePath};
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use crate::dice::Dice;
use crate::invariants::{Answered, Copy, Sent};
use crate::moody;
use crate::names::THOUGHT;
use crate::network::{MAIL, lock};
use crate::plan::DEAD;
use crate::world::World;

/// The life of a user's programs.
pub async fn live(world: Arc<World>, user: usize) {
    let plan = &world.plan.users[user];
    let mut dice = Dice::new(world.plan.options.seed, &plan.address);
    let hours = world.plan.lasts().as_secs() / 3_600;
    let pause = Duration::from_secs(world.plan.lasts().as_secs() / (plan.messages + 1));
    let every = Duration::from_secs(3_600 * dice.between(1, (hours / 4).max(1)));
    let (mut next_send, mut next_look) = (Instant::now() + dice.time(THOUGHT, pause), Instant::now() + every);
    let (mut sent, end) = (0, world.start + world.plan.lasts());
    while Instant::now() < end {
        let now = Instant::now();
        if now >= next_send && sent < plan.messages {
            sent += 1;
            send(&world, user, &mut dice).await;
            // Often in pairs: two messages over two connections at once are another matter.
            next_send =
                Instant::now() + if dice.chance(300) { THOUGHT } else { dice.time(pause / 2, pause * 3 / 2) };
        } else if now >= next_look {
            let deletes = plan.deletes && dice.chance(700);
            if timeout(PATIENCE, collect(&world, user, deletes)).await.is_err() {
                info!(user = plan.address, "gave up collecting");
            }
            next_look = Instant::now() + dice.time(every / 2, every * 3 / 2);
        }
        let next = if sent < plan.messages { next_send.min(next_look) } else { next_look };
        sleep(next.saturating_duration_since(Instant::now()).max(THOUGHT)).await;
    }
}

async fn send(world: &World, user: usize, dice: &mut Dice) {
    let plan = &world.plan.users[user];
    let tag = world.next_tag();
    let size = match dice.below(20) {
        0 => dice.between(70 << 10, 200 << 10),
        1..=3 => dice.between(5_000, 60_000),
        _ => dice.between(100, 2_000),
    };
    let mut to: Vec<String> = (0..dice.between(1, 4)).map(|_| recipient(world, user, dice)).collect();
    to.sort();
    to.dedup();
    let from = (!dice.chance(100)).then(|| plan.address.clone());
    let login = dice.chance(500);
    let (offered, at) = (to.clone(), world.start.elapsed());
    let mut sent =
        Sent { tag, user, from, offered, taken: Vec::new(), answered: Answered::InDoubt, id: None, at };
    let message = message(tag, size, &plan.address);
    info!(user = plan.address, tag, to = to.join(","), null = sent.from.is_none(), size, login, "sends");
    // Whoever reads it before the sender knows how it ended still has to know that it was sent.
    lock(&world.oracle).sends(sent.clone(), &message);
    let result = timeout(PATIENCE, try_send(world, user, login, &mut sent, &to, message)).await;
    match result {
        Ok(Ok(())) => {}
        Ok(Err(why)) => {
            sent.answered = Answered::Unfinished;
            info!(user = plan.address, tag, why, "could not send");
        }
        Err(_) => {
            info!(user = plan.address, tag, "gave up sending");
        }
    }
    info!(user = plan.address, tag, answered = ?sent.answered, id = sent.id, "sent");
    lock(&world.oracle).answered(sent);
}

fn recipient(world: &World, user: usize, dice: &mut Dice) -> String {
    let own = world.plan.users[user].host;
    match dice.below(20) {
        0 => format!("nobody@d{own}.test"),
        1 => format!("unknown@d{}.test", dice.index(world.plan.hosts.len())),
        2 | 3 => format!("somebody@{}", dice.pick(&DEAD)),
        9 | 10 => format!("{}@{}", dice.pick(&["somebody", "another", "third"]), moody::DOMAIN),
        4..=8 => {
            let all: Vec<_> = world.plan.hosts.iter().flat_map(|host| &host.aliases).collect();
            match all.is_empty() {
                true => world.plan.users[user].address.clone(),
                false => dice.pick(&all).0.clone(),
            }
        }
        _ => dice.pick(&world.plan.users).address.clone(),
    }
}

async fn try_send(
    world: &World,
    user: usize,
    login: bool,
    sent: &mut Sent,
    to: &[String],
    message: Bytes,
) -> Result<(), String> {
    let plan = &world.plan.users[user];
    let host = IpAddr::V4(world.plan.hosts[plan.host].address);
    let port = if login { SUBMISSION } else { MAIL };
    let peer = Peer { address: SocketAddr::new(host, port), name: world.plan.hosts[plan.host].name.clone() };
    let password = || Password::new(PASSWORD.to_owned()).map_err(|error| error.to_string());
    let login = match login {
        true => Some(Arc::new(Credentials { name: plan.address.clone(), password: password()? })),
        false => None,
    };
    let security = Security { login, ..world.security.clone() };
    let client = Domain::parse("client.test").map_err(|error| error.to_string())?.into_owned();
    let machine = &world.machines[user];
    let opened = Connection::open(machine, &client, &peer, &security).await;
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(NoConnection::Network(why)) => return Err(why),
        Err(NoConnection::Refused(reply)) => return Err(reply.text().to_owned()),
    };
    let parse =
        |address: &str| Mailbox::parse(address).map(Mailbox::into_owned).map_err(|error| error.to_string());
    let from = match &sent.from {
        Some(from) => ReversePath::Mailbox(parse(from)?),
        None => ReversePath::Null,
    };
    let mut envelope = Envelope::new(from).size(message.len() as u64);
    for address in to {
        envelope = envelope.to(ForwardPath::Mailbox(parse(address)?));
    }
    let transaction = connection.send(envelope, &mut Octets(message)).await;
    let replies = to.iter().zip(&transaction.recipients);
    sent.taken = replies.filter(|(_, reply)| !reply.is_negative()).map(|(to, _)| to.clone()).collect();
    sent.answered = match transaction.end {
        End::Taken(reply) => {
            sent.id = reply.text().strip_prefix("accepted as ").map(str::to_owned);
            Answered::Accepted
        }
        End::Unsendable(why) | End::Unreadable(why) => return Err(why),
        End::Refused(..) => Answered::Refused,
        End::Lost(_) => Answered::Unfinished,
        End::InDoubt(_) => Answered::InDoubt,
    };
    connection.quit().await;
    Ok(())
}

struct Octets(Bytes);

impl Body for Octets {
    async fn next(&mut self) -> io::Result<Bytes> {
        let count = self.0.len().min(SLICE);
        Ok(self.0.split_to(count))
    }
}

/// The octets of a message follow from its tag and size.
pub fn message(tag: u64, size: u64, from: &str) -> Bytes {
    let mut text = format!(
        "Date: Sun, 09 Sep 2001 01:46:40 +0000\r\nFrom: <{from}>\r\nMessage-ID: <{tag}@client.test>\r\n\
         Subject: tag {tag}\r\n\r\n"
    );
    let mut number = 0_u64;
    while (text.len() as u64) < size {
        // Dots at the beginnings of lines, and empty lines.
        match number % 7 {
            0 => text.push_str(".\r\n"),
            1 => text.push_str("..dots\r\n"),
            2 => text.push_str("\r\n"),
            _ => _ = write!(text, "{number} of {tag}, {}\r\n", "abcdefghij".repeat(5)),
        }
        number += 1;
    }
    text.into()
}

/// Collects everything; deletes it if wanted.
async fn collect(world: &World, user: usize, delete: bool) -> Result<(), String> {
    let plan = &world.plan.users[user];
    let address = SocketAddr::new(IpAddr::V4(world.plan.hosts[plan.host].address), POP3);
    let from = IpAddr::V4(plan.machine);
    let result = converse(world, user, delete, from, address).await;
    if let Err(why) = &result {
        info!(user = plan.address, why, "could not collect");
    }
    result
}

async fn converse(
    world: &World,
    user: usize,
    delete: bool,
    from: IpAddr,
    address: SocketAddr,
) -> Result<(), String> {
    let plan = &world.plan.users[user];
    let text = |error: io::Error| error.to_string();
    let mut wire = Wire::Plain(world.network.connect(from, address).await.map_err(text)?);
    let name = UserName::new(&plan.address).map_err(|error| error.to_string())?;
    let password = pop3_codec::command::Password::new(PASSWORD).map_err(|error| error.to_string())?;
    let (mut buffer, mut out, start) = (BytesMut::new(), BytesMut::new(), Instant::now());
    let mut session = pop3::ClientSession::new(pop3::ClientConfig::new(), start.elapsed(), &mut out);
    let (mut ids, mut listed) = (Vec::<String>::new(), false);
    let (mut next, mut deleted, mut octets) = (0, 0, Vec::new());
    loop {
        let mut input = &buffer[..];
        while let Some(event) = session.receive(start.elapsed(), &mut input, &mut out) {
            match event {
                pop3::Event::Login(login) => login.user(name, &mut out),
                pop3::Event::Password(wanted) => wanted.pass(password, &mut out),
                pop3::Event::Mailbox(mut mailbox) => {
                    if !listed {
                        listed = true;
                        mailbox.uidl(None, &mut out).map_err(|_| "no room")?;
                    } else if next < ids.len() {
                        next += 1;
                        mailbox.retr(number(next), &mut out).map_err(|_| "no room")?;
                    } else if delete && deleted < ids.len() {
                        deleted += 1;
                        // What happens at QUIT may happen although nobody is told of it.
                        lock(&world.oracle).may_be_gone(user, &ids[deleted - 1]);
                        mailbox.dele(number(deleted), &mut out).map_err(|_| "no room")?;
                    } else {
                        mailbox.quit(&mut out);
                    }
                }
                pop3::Event::UniqueId { id, .. } => ids.push(id.as_str().to_owned()),
                pop3::Event::Chunk(chunk) => octets.extend_from_slice(chunk),
                pop3::Event::MessageEnd => {
                    lock(&world.oracle).seen(user, &ids[next - 1], Copy::parse(&octets));
                    octets.clear();
                }
                pop3::Event::Refused { reply, .. } => return Err(format!("refused: {reply:?}")),
                _ => {}
            }
        }
        let used = buffer.len() - input.len();
        buffer.advance(used);
        wire.send(&mut out).await.map_err(text)?;
        match session.closed() {
            Some(pop3::Reason::Quit) => {
                info!(user = plan.address, messages = ids.len(), deleted, "collected");
                return Ok(());
            }
            Some(reason) => return Err(format!("the session ended: {reason:?}")),
            None => {}
        }
        tokio::select! {
            biased;
            () = until(start, session.poll_timeout()) => session.handle_timeout(start.elapsed(), &mut out),
            read = wire.read(&mut buffer) => if read.map_err(text)? == 0 { session.handle_eof() },
        }
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Of all users.
pub const PASSWORD: &str = "correct horse";
/// Where users send with a login.
pub const SUBMISSION: u16 = 587;
/// Where they collect.
pub const POP3: u16 = 110;
const PATIENCE: Duration = Duration::from_secs(3_600);
const SLICE: usize = 16 << 10;
