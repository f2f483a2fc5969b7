//! The queue alone, with its records in an SQLite database; what is delivered is printed.
//!
//! ```text
//! cargo run -p relay-queue --example sqlite -- queue.db
//! ```
//!
//! It accepts one message for three recipients and two for one, plays thirty hours on a clock of its own with a host that is
//! down for the first day, and throws the queue away and restores it from the database before every step. One message is in
//! memory at a time: the others are read from the database when it is their turn.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "an example is a program")]

use core::time::Duration;
use std::error::Error;

use relay_queue::queue::Load;
use relay_queue::{
    Address, Answer, Attempt, BodyHandle, Change, Commit, Config, Ending, Envelope, Event, Limits, Outcome,
    Queue, Route, Status,
};
use rusqlite::{Connection, OptionalExtension as _, params};

fn main() -> Result<(), Box<dyn Error>> {
    let database = match std::env::args().nth(1) {
        Some(path) => Connection::open(path)?,
        None => Connection::open_in_memory()?,
    };
    // The 250 of a queue is as good as its disk: FULL syncs each commit.
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch(
        "CREATE TABLE IF NOT EXISTS queue (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    )?;
    let mut host = Host { database, start: Duration::from_secs(1_700_000_000) };

    let mut now = host.start;
    let mut queue = host.restore(now)?;
    let envelope = Envelope::new(Some(Address::new("alice@example.test")?), BodyHandle(1))
        .to(Address::new("bob@up.test")?)
        .to(Address::new("carol@down.test")?)
        .to(Address::new("dave@never.test")?);
    let commit = queue.accept(now, envelope)?;
    host.store(&mut queue, commit)?;
    for (number, to) in [(2, "erin@down.test"), (3, "frank@up.test")] {
        let envelope = Envelope::new(None, BodyHandle(number)).to(Address::new(to)?);
        let commit = queue.accept(now, envelope)?;
        host.store(&mut queue, commit)?;
    }
    loop {
        host.drive(&mut queue, now)?;
        // As if the machine had stopped.
        queue = host.restore(now)?;
        match queue.poll_timeout() {
            Some(next) => now = now.max(next),
            None => break,
        }
    }
    println!("the queue is empty: {}", queue.is_empty());
    Ok(())
}

struct Host {
    database: Connection,
    start: Duration,
}

impl Host {
    /// By rising keys, with one record in memory at a time. A server would go on with its work meanwhile.
    fn restore(&self, now: Duration) -> Result<Queue, Box<dyn Error>> {
        let limits = Limits::default().resident(1, usize::MAX);
        let config = Config::new("mail.example.test")?.limits(limits);
        let mut queue = Queue::restoring(config, 0x5eed, now);
        let mut query = self.database.prepare("SELECT key, value FROM queue ORDER BY key")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            queue.handle_record(&row.get::<_, Vec<u8>>(0)?, &row.get::<_, Vec<u8>>(1)?);
        }
        for damage in queue.handle_restored() {
            println!("cannot read a record: {}", damage.error);
        }
        Ok(queue)
    }

    /// A message outside the window is due.
    fn load(&self, queue: &mut Queue, load: Load, now: Duration) -> Result<(), Box<dyn Error>> {
        let mut query = self.database.prepare_cached("SELECT value FROM queue WHERE key = ?")?;
        let value =
            |key: &bytes::Bytes| query.query_row([&key[..]], |row| row.get::<_, Vec<u8>>(0)).optional();
        let values = load.keys().iter().map(value).collect::<Result<Vec<_>, _>>()?;
        println!("{:>6} min  {} is read", (now - self.start).as_secs() / 60, load.message());
        queue.handle_loaded(now, load, values);
        Ok(())
    }

    /// One transaction for everything that belongs together.
    fn store(&mut self, queue: &mut Queue, commit: Commit) -> Result<(), Box<dyn Error>> {
        let transaction = self.database.transaction()?;
        for change in &commit.changes {
            match change {
                Change::Put { key, value } => transaction
                    .execute("INSERT OR REPLACE INTO queue VALUES (?, ?)", params![&key[..], &value[..]])?,
                Change::Remove { key } => {
                    transaction.execute("DELETE FROM queue WHERE key = ?", [&key[..]])?
                }
            };
        }
        // Here a report would be stored as well. This host only shows it.
        match transaction.commit() {
            Ok(()) => {
                if let Some(report) = &commit.report {
                    println!("a report to {}:", report.to);
                    let text = String::from_utf8_lossy(&report.head).into_owned();
                    text.lines()
                        .filter(|line| line.starts_with(['F', 'S', 'A', 'D']))
                        .for_each(|line| println!("  {line}"));
                }
                queue.handle_durable(commit.id);
            }
            Err(error) => {
                println!("not stored: {error}");
                queue.handle_failed(commit.id);
            }
        }
        Ok(())
    }

    fn drive(&mut self, queue: &mut Queue, now: Duration) -> Result<(), Box<dyn Error>> {
        while let Some(event) = queue.poll(now) {
            match event {
                Event::Commit(commit) => self.store(queue, commit)?,
                Event::Resolve(domain) => {
                    let route =
                        Route::Site { site: format!("mx.{domain}"), until: now + Duration::from_secs(3_600) };
                    queue.handle_route(now, &domain, route);
                }
                Event::Load(load) => self.load(queue, load, now)?,
                Event::Attempt(attempt) => self.attempt(queue, attempt, now),
                Event::Fact(fact) => println!("{:>6} min  {fact}", (now - self.start).as_secs() / 60),
                _ => {}
            }
        }
        Ok(())
    }

    /// Here an SMTP client would connect.
    fn attempt(&self, queue: &mut Queue, mut attempt: Attempt, now: Duration) {
        let up = match attempt.site() {
            "mx.up.test" => true,
            "mx.down.test" => now >= self.start + Duration::from_secs(24 * 3_600),
            _ => false,
        };
        let site = attempt.site().to_owned();
        if !up {
            let answer = Answer::local(Status::new(4, 4, 1), "connection refused").by(&site);
            return queue.handle_outcome(now, attempt, Ending::Unreachable(answer));
        }
        loop {
            attempt.settle_rest(&Outcome::of(
                Answer::reply(250, Some(Status::new(2, 0, 0)), "queued").by(&site),
            ));
            if !queue.next_delivery(now, &mut attempt) {
                return queue.handle_outcome(now, attempt, Ending::Closed);
            }
        }
    }
}
