//! Those who come over other protocols: senders over SMTP, and programs that collect over POP3 and delete.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::info;

use super::client::PATIENCE;
use super::letter;
use super::shared::Shared;
use super::wire::Connection;
use crate::dice::Dice;
use crate::network::{MAIL, lock};
use crate::users::{PASSWORD, POP3};

/// Sends until all is over.
pub(super) async fn send(shared: Arc<Shared>, number: usize) {
    let mut dice = Dice::new(shared.options.seed, &format!("sender {number}"));
    loop {
        shared.attend(number, None).await;
        sleep(dice.time(Duration::from_millis(50), Duration::from_millis(1_500))).await;
        if shared.is_over() {
            continue;
        }
        if let Ok(Err(error)) | Err(error) =
            timeout(PATIENCE, send_one(&shared, &mut dice)).await.map_err(io::Error::from)
        {
            info!(number, %error, "could not send");
        }
    }
}

async fn send_one(shared: &Shared, dice: &mut Dice) -> io::Result<()> {
    let first = dice.index(shared.accounts());
    let mut to = vec![first];
    if shared.accounts() > 1 && dice.chance(300) {
        to.push((first + 1) % shared.accounts());
    }
    let mut wire = connect(shared, first, MAIL).await?;
    expect(&mut wire, "220").await?;
    say(&mut wire, "EHLO client.test", "250").await?;
    say(&mut wire, "MAIL FROM:<sender@far.test>", "250").await?;
    for account in &to {
        let address = &shared.world.plan.users[*account].address;
        say(&mut wire, &format!("RCPT TO:<{address}>"), "250").await?;
    }
    say(&mut wire, "DATA", "354").await?;
    let (tag, creations) = {
        let mut model = lock(&shared.model);
        let tag = model.new_tag();
        let begun = to.iter().map(|account| model.begin_creation(*account, "INBOX", tag, Some(0)));
        (tag, begun.collect::<Vec<_>>())
    };
    let mut octets = letter::octets(tag);
    octets.extend_from_slice(b".\r\n");
    wire.send(&octets).await?;
    let reply = reply(&mut wire).await?;
    info!(tag, ?to, reply, "sent");
    let mut model = lock(&shared.model);
    for creation in creations {
        match reply.starts_with("250") {
            true => model.creation_sure(creation),
            false => model.creation_over(creation),
        }
    }
    lock(&shared.counts).delivered += u64::from(reply.starts_with("250"));
    Ok(())
}

/// Collects and deletes until all is over.
pub(super) async fn collect(shared: Arc<Shared>, number: usize, account: usize) {
    let mut dice = Dice::new(shared.options.seed, &format!("collector {number}"));
    let mut deleted = BTreeSet::new();
    loop {
        shared.attend(number, None).await;
        sleep(dice.time(Duration::from_millis(500), Duration::from_secs(4))).await;
        if shared.is_over() {
            continue;
        }
        let collecting = collect_once(&shared, account, &mut dice, &mut deleted);
        if let Ok(Err(error)) | Err(error) = timeout(PATIENCE, collecting).await.map_err(io::Error::from) {
            info!(number, %error, "could not collect");
        }
    }
}

async fn collect_once(
    shared: &Shared,
    account: usize,
    dice: &mut Dice,
    deleted: &mut BTreeSet<String>,
) -> io::Result<()> {
    let mut wire = connect(shared, account, POP3).await?;
    expect(&mut wire, "+OK").await?;
    say(&mut wire, &format!("USER {}", shared.world.plan.users[account].address), "+OK").await?;
    say(&mut wire, &format!("PASS {PASSWORD}"), "+OK").await?;
    let listing = listing(&mut wire, "UIDL").await?;
    let ids: Vec<(String, String)> = listing
        .iter()
        .filter_map(|line| line.split_once(' '))
        .map(|(number, id)| (number.to_owned(), id.to_owned()))
        .collect();
    if let Some((_, id)) = ids.iter().find(|(_, id)| deleted.contains(id)) {
        lock(&shared.model).violated(format!("{id} was deleted over POP3, and is there"));
    }
    let mut going = Vec::new();
    for _ in 0..dice.between(1, 3).min(ids.len() as u64) {
        let (number, id) = dice.pick(&ids);
        if going.contains(id) {
            continue;
        }
        let message = self::listing(&mut wire, &format!("RETR {number}")).await?;
        let text = message.join("\r\n") + "\r\n";
        let tag = letter::tag(text.as_bytes());
        let right = tag.is_some_and(|tag| text.as_bytes().ends_with(&letter::octets(tag)));
        let (Some(tag), true) = (tag, right) else {
            lock(&shared.model).violated(format!("{id} has other octets over POP3"));
            continue;
        };
        lock(&shared.model).bodies += 1;
        {
            let mut model = lock(&shared.model);
            model.tick();
            model.begin_removal_of(account, "INBOX", tag);
        }
        say(&mut wire, &format!("DELE {number}"), "+OK").await?;
        going.push(id.clone());
    }
    wire.send(b"QUIT\r\n").await?;
    if reply(&mut wire).await?.starts_with("+OK") {
        lock(&shared.counts).popped += going.len() as u64;
        deleted.extend(going);
    }
    Ok(())
}

async fn connect(shared: &Shared, account: usize, port: u16) -> io::Result<Connection> {
    let user = &shared.world.plan.users[account];
    let host = shared.world.plan.hosts[user.host].address;
    let stream =
        shared.world.network.connect(user.machine.into(), SocketAddr::new(host.into(), port)).await?;
    Ok(Connection::new(stream))
}

async fn say(wire: &mut Connection, command: &str, wanted: &str) -> io::Result<()> {
    wire.send(format!("{command}\r\n").as_bytes()).await?;
    expect(wire, wanted).await
}

async fn expect(wire: &mut Connection, wanted: &str) -> io::Result<()> {
    let reply = reply(wire).await?;
    if reply.starts_with(wanted) { Ok(()) } else { Err(io::Error::other(reply)) }
}

/// The last line of a reply.
async fn reply(wire: &mut Connection) -> io::Result<String> {
    loop {
        let line = wire.line().await?;
        if line.as_bytes().get(3) != Some(&b'-') || line.starts_with("-ERR") {
            return Ok(line);
        }
    }
}

/// What follows a positive answer of POP3 on many lines.
async fn listing(wire: &mut Connection, command: &str) -> io::Result<Vec<String>> {
    say(wire, command, "+OK").await?;
    let mut lines = Vec::new();
    loop {
        let line = wire.line().await?;
        match line.strip_prefix('.') {
            Some("") => return Ok(lines),
            Some(rest) => lines.push(rest.to_owned()),
            None => lines.push(line),
        }
    }
}
