//! Reading back over POP3: when everything has arrived, and whether it is what was sent.

use std::io;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use super::load::{self, MAILBOXES, share};
use super::wire::Wire;

/// The password of every mailbox.
pub(super) const PASSWORD: &str = "a password of the bench";

/// Waits until STAT counts every message in every mailbox; when that was.
///
/// Looking costs the server something. So while much is missing it is done seldom and in one mailbox, and the others
/// are looked at when that one is complete.
pub(super) fn wait(port: u16, messages: usize, start: Instant) -> Result<Instant, String> {
    complete(port, 0, messages, start)?;
    each(1..MAILBOXES, |index| complete(port, index, messages, start))?;
    Ok(Instant::now())
}

/// Retrieves some messages of every mailbox, and compares them octet for octet; how many.
pub(super) fn compare(port: u16, messages: usize) -> Result<usize, String> {
    let compared = each(0..MAILBOXES, |index| sample(port, index, share(index, messages)))?;
    Ok(compared.into_iter().sum())
}

/// A few at once: many first logins at once from one address look like guessing to a careful server.
fn each<T: Send>(
    mailboxes: Range<usize>,
    work: impl Fn(usize) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (work, own) = (&work, mailboxes.clone().skip(reader).step_by(READERS));
                scope.spawn(move || own.map(work).collect())
            })
            .collect();
        let done: Result<Vec<Vec<T>>, String> =
            readers.into_iter().map(|reader| reader.join().expect("a reader does not panic")).collect();
        Ok(done?.into_iter().flatten().collect())
    })
}

fn complete(port: u16, index: usize, messages: usize, start: Instant) -> Result<(), String> {
    let wanted = share(index, messages);
    let (mut last, mut changed) = (0, Instant::now());
    loop {
        let count = stat(port, index).map_err(|error| format!("{}: {error}", load::mailbox(index)))?;
        if count == wanted {
            return Ok(());
        }
        if count > wanted {
            return Err(format!("{} holds {count} messages of {wanted}", load::mailbox(index)));
        }
        if count > last {
            (last, changed) = (count, Instant::now());
        } else if changed.elapsed() > PATIENCE {
            return Err(format!(
                "{} holds {count} messages of {wanted}, and no more come",
                load::mailbox(index)
            ));
        }
        thread::sleep(pause(start.elapsed(), count, wanted));
    }
}

/// Until the next look: half of what is still to be expected.
fn pause(elapsed: Duration, count: usize, wanted: usize) -> Duration {
    let left = elapsed.as_secs_f64() / count.max(1) as f64 * (wanted - count) as f64;
    Duration::from_secs_f64((left / 2.0).clamp(0.02, 2.0))
}

fn login(port: u16, index: usize) -> io::Result<(Wire, usize)> {
    let mut wire = Wire::connect(port)?;
    wire.ok()?;
    wire.send(format!("USER {}\r\n", load::recipient(index, super::DOMAIN)))?;
    wire.ok()?;
    wire.send(format!("PASS {PASSWORD}\r\n"))?;
    wire.ok()?;
    wire.send("STAT\r\n")?;
    let count = wire.ok()?;
    let count = count.split(' ').next().and_then(|count| count.parse().ok());
    count.map(|count| (wire, count)).ok_or_else(|| io::Error::other("STAT gives no count"))
}

fn stat(port: u16, index: usize) -> io::Result<usize> {
    let (mut wire, count) = login(port, index)?;
    wire.send("QUIT\r\n")?;
    wire.ok()?;
    Ok(count)
}

fn sample(port: u16, index: usize, count: usize) -> Result<usize, String> {
    let failed = |error: io::Error| format!("{}: {error}", load::mailbox(index));
    let (mut wire, _) = login(port, index).map_err(failed)?;
    let mut wanted = vec![1, count / 2, count];
    wanted.retain(|&number| number > 0 && number <= count);
    wanted.dedup();
    for number in &wanted {
        wire.send(format!("RETR {number}\r\n")).map_err(failed)?;
        wire.ok().map_err(failed)?;
        let message = wire.message().map_err(failed)?;
        let id = message.split_inclusive(|&octet| octet == b'\n').find_map(load::number);
        // What the server has put in front is its own.
        if !id.is_some_and(|id| id % MAILBOXES == index && message.ends_with(&load::message(id))) {
            return Err(format!(
                "{}: message {number} is not what was sent:\n{}",
                load::mailbox(index),
                String::from_utf8_lossy(&message)
            ));
        }
    }
    wire.send("QUIT\r\n").map_err(failed)?;
    wire.ok().map_err(failed)?;
    Ok(wanted.len())
}

const READERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_seldom_while_much_is_missing_and_frequent_at_the_end() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(10 * second, 0, 100), 2 * second);
        assert_eq!(pause(9 * second, 90, 100), second / 2);
        assert_eq!(pause(10 * second, 999, 1_000), Duration::from_millis(20));
    }
}
