//! Fills the queue of a host that is stopped, as if it had accepted so many messages of 1 KiB, and ends as if it were killed:
//! `cargo run --release -p mailhost --example fill_queue -- mailhost.toml 1000000`. For `cargo xtask bench queue`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mailhost::config::Config;
use mailhost::relay::{Relay, handle};
use mailhost::store::{Opening, Store};
use mailhost::system::Machine;
use mailstore::{Commit, Source};
use relay_queue::{Address, Envelope};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [config, count] = &args[..] else { return Err("mailhost.toml COUNT".into()) };
    let (config, count) = (Config::load(Path::new(config))?, count.parse::<u64>()?);
    std::fs::create_dir_all(config.mail_dir())?;
    let limits = mailstore::Limits::default();
    let (store, _) = Store::open(Arc::new(Machine), &config.mail_dir(), limits, Opening::Usual).await?;
    let relay = Arc::new(Relay::open(store.clone(), &config, None).await?);
    let body = Bytes::from([&b"Subject: x\r\n\r\n"[..], &[b'x'; 1_008], b"\r\n"].concat());
    let from = Address::new("anna@example.test")?;
    let mut work = JoinSet::new();
    for number in 0..count {
        let (store, relay, source) = (store.clone(), Arc::clone(&relay), Source::Inline(body.clone()));
        let held = handle(&relay.next_id());
        let to = Address::new(&format!("somebody{}@d{}.far.test", number % 7, number % DOMAINS))?;
        let envelope = Envelope::new(Some(from.clone()), held).size(body.len() as u64).to(to);
        work.spawn(async move {
            let accepted = relay.accept(envelope, held).map_err(|refusal| refusal.to_string())?;
            let result = store.commit(Commit::delivery(source, accepted.intents.clone())).await;
            relay.committed(&accepted, &result);
            result.map(drop).map_err(|failure| failure.to_string())
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
    Ok(())
}

const DOMAINS: u64 = 1_000;
/// Commits that wait for the disk together.
const TOGETHER: usize = 2_000;
