//! Fills the inbox of an account of a host that is stopped with so many messages, three of which make a conversation, as if they
//! had been delivered: `cargo run --release -p mailhost --example fill_mailbox -- mailhost.toml anna@example.test 1000000`. For
//! `cargo xtask bench webmail`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mailhost::accounts::Accounts;
use mailhost::config::Config;
use mailhost::store::{Opening, Store};
use mailhost::system::Machine;
use mailstore::mailbox::{AccountId, INBOX};
use mailstore::message::{NamedFlags, UnixTime};
use mailstore::mime::Scanner;
use mailstore::{Actor, Commit, Intent, Source};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [config, address, count] = &args[..] else { return Err("mailhost.toml ADDRESS COUNT".into()) };
    let (config, count) = (Config::load(Path::new(config))?, count.parse::<u32>()?);
    let limits = mailstore::Limits::default();
    let (store, _) = Store::open(Arc::new(Machine), &config.mail_dir(), limits, Opening::Usual).await?;
    let accounts = Accounts::of(store.clone(), &config).await?;
    let account = accounts.accounts().into_iter().find(|account| account.address == *address);
    let account = AccountId(account.ok_or("no such account")?.id);
    let mailbox = store.find(Actor::Host, account, INBOX).await.ok_or("no inbox")?;
    let mut work = JoinSet::new();
    for number in 0..count {
        let store = store.clone();
        work.spawn(async move {
            let body = message(number);
            let (mut scanner, mut structure) = (Scanner::new(), Vec::new());
            scanner.push(&body);
            scanner.finish().encode(&mut structure);
            let date = UnixTime(1_700_000_000 + i64::from(number));
            let deliver = Intent::Deliver { mailbox, prefix: PREFIX, date, flags: NamedFlags::NONE };
            let commit = Commit::delivery(Source::Inline(body), vec![deliver]);
            store.commit(commit.with_structure(Some(structure.into()))).await
        });
        while work.len() >= TOGETHER
            && let Some(done) = work.join_next().await
        {
            done??;
        }
    }
    while let Some(done) = work.join_next().await {
        done??;
    }
    store.close().await;
    Ok(())
}

/// A letter of some 1.5 KiB.
fn message(number: u32) -> Bytes {
    let (person, first) = (number % 97, number - number % 3);
    let answers = match number - first {
        0 => String::new(),
        _ => format!(
            "In-Reply-To: <{}@far.test>\r\nReferences: <{first}@far.test> <{}@far.test>\r\n",
            number - 1,
            number - 1
        ),
    };
    let text = "There is nothing new here, and yet it goes on for a while, as letters do.\r\n".repeat(15);
    format!(
        "Received: from mx.far.test by mail.example.test; Tue, 14 Nov 2023 22:13:20 +0000\r\n\
         From: Person {person} <person{person}@far.test>\r\nTo: anna@example.test\r\nSubject: Letter {first}\r\n\
         Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <{number}@far.test>\r\n{answers}\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nDear Anna,\r\n\r\n{text}"
    )
    .into()
}

const PREFIX: Bytes =
    Bytes::from_static(b"Return-Path: <person@far.test>\r\nDelivered-To: anna@example.test\r\n");
/// Commits that wait for the disk together.
const TOGETHER: usize = 2_000;
