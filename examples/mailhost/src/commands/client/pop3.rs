//! `mailhost client pop3`

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use super::progress::Progress;
use super::{Failure, Target};
use crate::cli::client::Pop3 as Command;
use crate::client::ClientError;
use crate::client::maildir::{Fetched, Maildir};
use crate::client::pop3::{Entry, Pop3};
use crate::client::text::{Printable, Summary, fit, size};
use crate::commands::output::output;
use crate::logs::Safe;
use crate::words::number;

pub(super) async fn run(command: &Command, target: &Target) -> Result<ExitCode, Failure> {
    match command {
        Command::List { .. } => list(target).await?,
        Command::Get { number, to, .. } => get(target, *number, to.as_deref()).await?,
        Command::Fetch { to, delete, .. } => fetch(target, to, *delete).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(target: &Target) -> Result<(), Failure> {
    let mut session = Pop3::open(&target.server, target.login()?).await?;
    let entries = session.list().await?;
    let mut out = output();
    for entry in &entries {
        let mut header = Vec::new();
        if session.has_top() {
            // RFC 1939 §7: the header, and no line of the body. What goes beyond all reason is read over.
            session
                .top(entry.number, 0, |octets| {
                    let room = MOST_HEADER - header.len();
                    header.extend_from_slice(&octets[..octets.len().min(room)]);
                    Ok(())
                })
                .await?;
        }
        let Summary { from, subject, date } = Summary::of(&header);
        let id = entry.unique_id.as_deref().unwrap_or("-");
        let (from, date, subject) = (fit(&from, 24), fit(&date, 16), Printable(&subject));
        let line =
            format!("{:>5} {:>6}  {id:<20}  {date}  {from}  {subject}", entry.number, size(entry.octets));
        writeln!(out, "{}", line.trim_end())?;
    }
    let octets = entries.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.octets));
    writeln!(out, "{}, {}", number(entries.len() as u64, "message"), size(octets))?;
    Ok(session.quit().await?)
}

async fn get(target: &Target, number: u32, to: Option<&Path>) -> Result<(), Failure> {
    let mut session = Pop3::open(&target.server, target.login()?).await?;
    let mut out: Box<dyn Write> = match to {
        None => Box::new(output()),
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let file =
                file.map_err(|error| Failure::new(format!("cannot make {}: {error}", Safe(path.display()))))?;
            Box::new(io::BufWriter::new(file))
        }
    };
    let progress = Progress::new(if to.is_some() { size_of(&mut session, number).await? } else { 0 });
    session
        .retrieve(number, |octets| {
            progress.add(octets.len() as u64);
            Ok(out.write_all(octets)?)
        })
        .await?;
    out.flush()?;
    Ok(session.quit().await?)
}

async fn size_of(session: &mut Pop3, number: u32) -> Result<u64, ClientError> {
    let entries = session.list().await?;
    Ok(entries.iter().find(|entry| entry.number == number).map_or(0, |entry| entry.octets))
}

async fn fetch(target: &Target, to: &Path, delete: bool) -> Result<(), Failure> {
    let login = target.login()?;
    let maildir = Maildir::open(to)?;
    let mut session = Pop3::open(&target.server, login).await?;
    let mut fetched = maildir.fetched(&format!("pop3 {} {}", target.server.host(), login.name))?;
    let entries = session.list().await?;
    if !delete && entries.iter().any(|entry| entry.unique_id.is_none()) {
        return Err(Failure::new(
            "the server has no unique ids (UIDL), so that nobody could tell the next time which messages are new; fetch them \
             with --delete",
        ));
    }
    let known = known_before(&entries, &fetched, delete);
    let octets = entries
        .iter()
        .zip(&known)
        .filter(|(_, known)| !**known)
        .fold(0u64, |sum, (entry, _)| sum.saturating_add(entry.octets));
    let (progress, mut new) = (Progress::new(octets), 0);
    for (entry, known) in entries.iter().zip(known) {
        if !known {
            let mut incoming = maildir.begin()?;
            session
                .retrieve(entry.number, |octets| {
                    progress.add(octets.len() as u64);
                    incoming.write(octets)
                })
                .await?;
            // From here on it is ours, whatever happens to either side.
            incoming.finish("")?;
            if let Some(id) = &entry.unique_id {
                fetched.add(id)?;
            }
            new += 1;
        }
        if delete {
            session.delete(entry.number).await?;
        }
    }
    drop(progress);
    session.quit().await?;
    // What is deleted will not be offered again. What was left is remembered.
    let there: HashSet<_> =
        entries.iter().filter(|_| !delete).filter_map(|entry| entry.unique_id.as_deref()).collect();
    fetched.keep_only(&there)?;
    let old = entries.len() - new;
    let mut told = number(new as u64, "new message");
    if old > 0 {
        told.push_str(&format!(", {old} fetched before"));
    }
    if delete && !entries.is_empty() {
        told.push_str(&format!("; {} deleted on the server", entries.len()));
    }
    writeln!(output(), "{told}")?;
    Ok(())
}

/// Which messages an earlier session has fetched.
///
/// RFC 1939 §7 lets copies have one id in common. What is to be deleted is fetched in spite of that: nobody but the server
/// knows whether they are copies.
fn known_before(entries: &[Entry], fetched: &Fetched<'_>, delete: bool) -> Vec<bool> {
    let mut times = HashMap::<&str, u32>::new();
    for id in entries.iter().filter_map(|entry| entry.unique_id.as_deref()) {
        *times.entry(id).or_default() += 1;
    }
    let known = |id: &str| fetched.contains(id) && !(delete && times.get(id).is_some_and(|times| *times > 1));
    entries.iter().map(|entry| entry.unique_id.as_deref().is_some_and(known)).collect()
}

/// Of a header that is only looked at.
const MOST_HEADER: usize = 64 << 10;
