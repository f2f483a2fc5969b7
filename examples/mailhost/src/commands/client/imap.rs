//! `mailhost client imap`

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::num::NonZeroU32;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use imap_codec::client::Event;
use imap_codec::command::fetch::{FetchAttribute, FetchAttributes};
use imap_codec::command::search::{Search, SearchKey, SearchKeys};
use imap_codec::command::{Select, StoreAction, Verb};
use imap_codec::extension::Extension;
use imap_codec::extension::esearch::ReturnOptions;
use imap_codec::extension::list_extended::{List, ListEntry, ListReturn};
use imap_codec::extension::status::{StatusAttribute, StatusAttributes, StatusValues};
use imap_codec::response::{Code, Data, FetchItem, Source};
use imap_codec::types::envelope::{Address, Envelope};
use imap_codec::types::flag::{Flag, Flags};
use imap_codec::types::mailbox::{Mailbox, Pattern};
use imap_codec::types::section::Section;
use imap_codec::types::sequence::SequenceSet;
use imap_codec::types::string::IString;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::progress::Progress;
use super::{Failure, Target};
use crate::cli::client::{Criteria, Imap as Command};
use crate::client::ClientError;
use crate::client::imap::Imap;
use crate::client::maildir::Maildir;
use crate::client::text::{Printable, fit, size, unstructured};
use crate::commands::output::output;
use crate::words::number;

pub(super) async fn run(command: &Command, target: &Target) -> Result<ExitCode, Failure> {
    let mut imap = Imap::open(&target.server, target.login()?).await?;
    match command {
        Command::List { mailbox: None, .. } => list_mailboxes(&mut imap).await?,
        Command::List { mailbox: Some(mailbox), last, .. } => list(&mut imap, mailbox, *last).await?,
        Command::Fetch { mailbox, uids, to, .. } => fetch(&mut imap, mailbox, uids, to.as_deref()).await?,
        Command::Search { mailbox, criteria, uids, .. } => {
            search(&mut imap, mailbox, criteria, *uids).await?
        }
        Command::Move { mailbox, uids, to, .. } => move_to(&mut imap, mailbox, uids, to).await?,
        Command::Flag { mailbox, uids, add, remove, .. } => {
            flag(&mut imap, mailbox, uids, [(StoreAction::Add, add), (StoreAction::Remove, remove)]).await?;
        }
        Command::Watch { mailbox, every, .. } => {
            watch(&mut imap, mailbox, Duration::from_secs(*every)).await?;
        }
    }
    imap.logout().await;
    Ok(ExitCode::SUCCESS)
}

/// A mailbox and what is known of it.
#[derive(Default)]
struct Shown {
    attributes: Vec<String>,
    selectable: bool,
    status: StatusValues,
}

async fn list_mailboxes(imap: &mut Imap) -> Result<(), Failure> {
    let counts = StatusAttributes::default().with(StatusAttribute::Messages).with(StatusAttribute::Unseen);
    let mut list = List::new(Mailbox::new("")?, Pattern::new("*")?);
    let at_once = imap.offers(Extension::ListStatus) && imap.offers(Extension::ListExtended);
    if at_once {
        let mut returns = ListReturn::default();
        returns.status = counts;
        returns.special_use = imap.offers(Extension::SpecialUse);
        (list.returns, list.extended) = (Some(returns), true);
    }
    let mut mailboxes = BTreeMap::<String, Shown>::new();
    imap.stream(&Verb::List(list), |event| {
        match event {
            Event::Data(Data::List(entry)) => {
                let shown = mailboxes.entry(entry.mailbox.as_str().to_owned()).or_default();
                (shown.attributes, shown.selectable) = uses(entry);
            }
            Event::Data(Data::MailboxStatus(mailbox, values)) => {
                mailboxes.entry(mailbox.as_str().to_owned()).or_default().status = *values;
            }
            _ => {}
        }
        if mailboxes.len() > MOST_MAILBOXES {
            return Err(ClientError::TooMuch { what: "mailboxes", limit: MOST_MAILBOXES });
        }
        Ok(())
    })
    .await?;
    if !at_once {
        for (name, shown) in mailboxes.iter_mut().filter(|(_, shown)| shown.selectable) {
            let asked = imap
                .command(&Verb::Status(Mailbox::new(name.as_str())?, counts), |data| {
                    if let Data::MailboxStatus(mailbox, values) = data
                        && mailbox.as_str() == name
                    {
                        shown.status = *values;
                    }
                })
                .await;
            match asked {
                // It may have gone meanwhile, or not be ours to look into.
                Ok(_) | Err(ClientError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut out = output();
    writeln!(out, "{:>8} {:>8}  mailbox", "messages", "unseen")?;
    // INBOX first, as people think of it.
    let inbox = |name: &str| name.eq_ignore_ascii_case("INBOX");
    let (first, rest): (Vec<_>, Vec<_>) = mailboxes.iter().partition(|(name, _)| inbox(name));
    for (name, shown) in first.into_iter().chain(rest) {
        let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let (messages, unseen) = (number(shown.status.messages), number(shown.status.unseen));
        let uses = shown.attributes.join(", ");
        let uses = if uses.is_empty() { String::new() } else { format!("  ({uses})") };
        writeln!(out, "{messages:>8} {unseen:>8}  {}{}", Printable(name), Printable(&uses))?;
    }
    Ok(())
}

/// What a mailbox is for, and whether it can be selected.
fn uses(entry: &ListEntry<'_>) -> (Vec<String>, bool) {
    let known = ["All", "Archive", "Drafts", "Flagged", "Junk", "Sent", "Trash"];
    let (mut uses, mut selectable) = (Vec::new(), true);
    for flag in entry.attributes.iter() {
        let text = flag.to_string();
        let name = text.trim_start_matches('\\');
        selectable &= !["Noselect", "NonExistent"].iter().any(|no| name.eq_ignore_ascii_case(no));
        uses.extend(
            known.iter().filter(|known| name.eq_ignore_ascii_case(known)).map(|known| known.to_lowercase()),
        );
    }
    (uses, selectable)
}

/// How a mailbox is opened, and how many messages it has.
async fn select(imap: &mut Imap, mailbox: &Mailbox<'_>, writable: bool) -> Result<u32, Failure> {
    let select = Select::from(mailbox.clone());
    let verb = if writable { Verb::Select(select) } else { Verb::Examine(select) };
    let (mut exists, mut read_only) = (0, false);
    imap.stream(&verb, |event| {
        match event {
            Event::Data(Data::Exists(count)) => exists = *count,
            Event::Done { status, .. } => read_only = status.code == Some(Code::ReadOnly),
            _ => {}
        }
        Ok(())
    })
    .await?;
    if writable && read_only {
        let name = Printable(mailbox.as_str());
        return Err(Failure::new(format!("the server lets you read {name} and change nothing there")));
    }
    Ok(exists)
}

/// What a list shows of a message.
#[derive(Default)]
struct Row {
    uid: Option<NonZeroU32>,
    flags: String,
    date: String,
    octets: u64,
    from: String,
    subject: String,
}

impl Row {
    fn read(items: &[FetchItem<'_>]) -> Self {
        let mut row = Self::default();
        for item in items {
            match item {
                FetchItem::Uid(uid) => row.uid = Some(*uid),
                FetchItem::Rfc822Size(octets) => row.octets = *octets,
                FetchItem::Flags(flags) => row.flags = flags_shown(flags),
                FetchItem::InternalDate(date) => {
                    let (day, (hour, minute, _)) = (date.date(), date.time());
                    row.date = format!(
                        "{:04}-{:02}-{:02} {hour:02}:{minute:02}",
                        day.year(),
                        day.month(),
                        day.day()
                    );
                }
                FetchItem::Envelope(envelope) => (row.from, row.subject) = who_and_what(envelope),
                _ => {}
            }
        }
        row
    }

    fn print(&self) -> io::Result<()> {
        // A FETCH response that nobody has asked for tells other things.
        let Some(uid) = self.uid.filter(|_| !self.date.is_empty()) else { return Ok(()) };
        let (flags, from, subject) = (fit(&self.flags, 5), fit(&self.from, 24), Printable(&self.subject));
        let line = format!("{uid:>7} {flags} {} {:>5}  {from}  {subject}", self.date, size(self.octets));
        writeln!(output(), "{}", line.trim_end())
    }
}

/// N for what has not been seen, then A, F, D, T for answered, flagged, draft and deleted.
fn flags_shown(flags: &Flags<'_>) -> String {
    let letters = [(Flag::Answered, 'A'), (Flag::Flagged, 'F'), (Flag::Draft, 'D'), (Flag::Deleted, 'T')];
    let new = if flags.contains(&Flag::Seen) { None } else { Some('N') };
    new.into_iter()
        .chain(letters.iter().filter(|(flag, _)| flags.contains(flag)).map(|(_, letter)| *letter))
        .collect()
}

fn who_and_what(envelope: &Envelope<'_>) -> (String, String) {
    let text = |string: &Option<IString<'_>>| {
        string.as_ref().map_or_else(String::new, |text| unstructured(text.as_bytes()))
    };
    let name = |address: &Address<'_>| {
        let (name, mailbox, host) = (text(&address.name), text(&address.mailbox), text(&address.host));
        if name.trim().is_empty() { format!("{mailbox}@{host}") } else { name }
    };
    (envelope.from.first().map(name).unwrap_or_default(), text(&envelope.subject))
}

/// Prints a line for each message, and shows everything else that is told meanwhile to `hear`.
async fn print_rows(
    imap: &mut Imap,
    uid: bool,
    set: SequenceSet<'_>,
    mut hear: impl FnMut(&Data<'_>),
) -> Result<(), Failure> {
    let items = FetchAttributes::new([
        FetchAttribute::Uid,
        FetchAttribute::Flags,
        FetchAttribute::InternalDate,
        FetchAttribute::Rfc822Size,
        FetchAttribute::Envelope,
    ])?;
    let mut skipped = 0;
    imap.stream(&Verb::Fetch { uid, set, items, changed_since: None }, |event| {
        match event {
            Event::Data(Data::Fetch(fetch)) => Row::read(&fetch.items).print()?,
            Event::Data(data) => hear(data),
            Event::Skipped => skipped += 1,
            _ => {}
        }
        Ok(())
    })
    .await?;
    if skipped > 0 {
        let _ = writeln!(io::stderr(), "{} not shown: the header is too long", number(skipped, "message"));
    }
    Ok(())
}

async fn list(imap: &mut Imap, mailbox: &Mailbox<'_>, last: Option<u32>) -> Result<(), Failure> {
    let exists = select(imap, mailbox, false).await?;
    let first = last.map_or(1, |last| exists.saturating_sub(last.saturating_sub(1)).max(1));
    if exists > 0 && last != Some(0) {
        print_rows(imap, false, SequenceSet::new(format!("{first}:*"))?, |_| {}).await?;
    }
    writeln!(output(), "{} in {}", number(exists.into(), "message"), Printable(mailbox.as_str()))?;
    Ok(())
}

/// The UIDs that match, as a set; none if nothing does.
async fn uids_of(imap: &mut Imap, search: Search<'_>) -> Result<Option<SequenceSet<'static>>, Failure> {
    let mut search = search;
    if imap.offers(Extension::Esearch) {
        search.returns = Some(ReturnOptions::ALL);
    }
    let (mut numbers, mut set) = (Vec::new(), None);
    imap.stream(&Verb::Search { uid: true, search }, |event| {
        match event {
            Event::Data(Data::Search { numbers: found, .. }) => numbers.extend_from_slice(found),
            Event::Data(Data::Esearch(found)) => set = found.all.as_ref().map(|all| all.as_str().to_owned()),
            Event::Skipped => {
                return Err(ClientError::TooMuch { what: "octets in one answer", limit: 1 << 20 });
            }
            _ => {}
        }
        if numbers.len() > MOST_NUMBERS {
            return Err(ClientError::TooMuch { what: "messages", limit: MOST_NUMBERS });
        }
        Ok(())
    })
    .await?;
    Ok(match set {
        Some(set) => Some(SequenceSet::new(set)?),
        None => SequenceSet::from_numbers(numbers),
    })
}

async fn search(
    imap: &mut Imap,
    mailbox: &Mailbox<'_>,
    criteria: &Criteria,
    uids: bool,
) -> Result<(), Failure> {
    let mut search = Search::new(keys(criteria)?);
    let Criteria { from, to, subject, text, raw, .. } = criteria;
    if ![from, to, subject, text].into_iter().flatten().chain(raw).all(|text| text.is_ascii()) {
        // RFC 3501 §6.4.4: a server of IMAP4rev1 takes strings for US-ASCII otherwise.
        search.charset = Some(IString::try_from("UTF-8")?);
    }
    select(imap, mailbox, false).await?;
    let found = uids_of(imap, search).await?;
    let Some(set) = found else {
        if !uids {
            writeln!(output(), "no message matches")?;
        }
        return Ok(());
    };
    if uids {
        writeln!(output(), "{}", set.as_str())?;
        return Ok(());
    }
    for part in parts(&set) {
        print_rows(imap, true, part, |_| {}).await?;
    }
    Ok(())
}

/// Which of these are there.
fn there(uids: SequenceSet<'_>) -> Result<Search<'static>, Failure> {
    Ok(Search::new(SearchKeys::new([SearchKey::Uid(uids)])?))
}

/// A set in pieces that fit into a command line of any server.
fn parts(set: &SequenceSet<'_>) -> Vec<SequenceSet<'static>> {
    let ranges: Vec<&str> = set.as_str().split(',').collect();
    ranges.chunks(RANGES).filter_map(|ranges| SequenceSet::new(ranges.join(",")).ok()).collect()
}

fn keys(criteria: &Criteria) -> Result<SearchKeys<'static>, Failure> {
    let text = |texts: &[String], key: fn(IString<'static>) -> SearchKey<'static>| {
        let read = |text: &String| IString::new(text.clone().into_bytes()).map(key);
        texts.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    let mut keys = text(&criteria.from, SearchKey::From)?;
    keys.extend(text(&criteria.to, SearchKey::To)?);
    keys.extend(text(&criteria.subject, SearchKey::Subject)?);
    keys.extend(text(&criteria.text, SearchKey::Text)?);
    keys.extend(criteria.since.map(SearchKey::Since));
    keys.extend(criteria.before.map(SearchKey::Before));
    let mut set = |wanted: bool, key| keys.extend(wanted.then_some(key));
    set(criteria.unseen, SearchKey::Unseen);
    set(criteria.seen, SearchKey::Seen);
    set(criteria.flagged, SearchKey::Flagged);
    keys.extend(criteria.larger.map(SearchKey::Larger));
    if let Some(raw) = &criteria.raw {
        let read = SearchKeys::parse(raw).map_err(|_| {
            Failure::new("--raw is not what SEARCH understands; write it as in RFC 9051 §6.4.4: OR FROM anna SUBJECT \"two words\"")
        })?;
        keys.push(SearchKey::Group(read.into_owned()));
    }
    if keys.is_empty() {
        return Err(Failure::new(
            "what to look for? `mailhost client imap search --help` lists what can be asked",
        ));
    }
    Ok(SearchKeys::new(keys)?)
}

async fn fetch(
    imap: &mut Imap,
    mailbox: &Mailbox<'_>,
    set: &SequenceSet<'_>,
    to: Option<&Path>,
) -> Result<(), Failure> {
    let maildir = to.map(Maildir::open).transpose()?;
    select(imap, mailbox, false).await?;
    let mut found = Vec::new();
    for part in parts(set) {
        if let Some(set) = uids_of(imap, there(part)?).await? {
            // The ends of ranges are in the hands of the server.
            let numbers = set.resolved(0).flatten().filter_map(NonZeroU32::new).take(MOST_NUMBERS + 1);
            found.extend(numbers);
        }
        if found.len() > MOST_NUMBERS {
            return Err(ClientError::TooMuch { what: "messages", limit: MOST_NUMBERS }.into());
        }
    }
    if found.is_empty() {
        return Err(Failure::new("there is no message with such a UID"));
    }
    let Some(maildir) = maildir else {
        let [uid] = found[..] else {
            return Err(Failure::new("more than one message goes into a Maildir: name it with --to"));
        };
        let mut out = output();
        let whole = fetch_one(imap, uid, |octets| Ok(out.write_all(octets)?)).await?;
        out.flush()?;
        return match whole {
            Some(_) => Ok(()),
            None => Err(Failure::new("the message is gone")),
        };
    };
    let mut fetched = 0;
    for uid in found {
        let mut incoming = maildir.begin()?;
        // One that is gone meanwhile is none of ours.
        if let Some(flags) = fetch_one(imap, uid, |octets| incoming.write(octets)).await? {
            incoming.finish(&flags)?;
            fetched += 1;
        }
    }
    writeln!(output(), "{}", number(fetched, "message"))?;
    Ok(())
}

/// Gives a message to `take`, piece by piece. What comes back are its flags, as a Maildir has them; `None` if there is no such
/// message any more.
async fn fetch_one(
    imap: &mut Imap,
    uid: NonZeroU32,
    mut take: impl FnMut(&[u8]) -> Result<(), ClientError>,
) -> Result<Option<String>, ClientError> {
    let unsendable = |error: imap_codec::error::Invalid| ClientError::Unsendable(error.to_string());
    let section = FetchAttribute::Section { peek: true, section: Section::default(), partial: None };
    let items = [FetchAttribute::Uid, FetchAttribute::Flags, FetchAttribute::Rfc822Size, section];
    let items = FetchAttributes::new(items).map_err(unsendable)?;
    let set = SequenceSet::one(uid);
    let (mut flags, mut progress) = (String::new(), None);
    let mut state = Arriving::No;
    imap.stream(&Verb::Fetch { uid: true, set, items, changed_since: None }, |event| {
        match event {
            Event::Data(Data::Fetch(fetch)) => {
                letters_of(&fetch.items, &mut flags);
                for item in fetch.items.iter() {
                    if let FetchItem::Section(source, Some(octets)) = item
                        && is_whole(source)
                    {
                        state = state.begin()?;
                        take(octets.as_bytes())?;
                        state = Arriving::Done;
                    }
                }
            }
            Event::Literal { items, source, size, .. } => {
                letters_of(items, &mut flags);
                if is_whole(source) {
                    state = state.begin()?;
                    progress = Some(Progress::new(*size));
                }
            }
            Event::Chunk(octets) if state == Arriving::Now => {
                if let Some(progress) = &progress {
                    progress.add(octets.len() as u64);
                }
                take(octets)?;
            }
            Event::LiteralEnd { items, .. } => {
                letters_of(items, &mut flags);
                if state == Arriving::Now {
                    state = Arriving::Done;
                }
            }
            _ => {}
        }
        Ok(())
    })
    .await?;
    Ok((state == Arriving::Done).then_some(flags))
}

/// A message, whose octets come once.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Arriving {
    No,
    Now,
    Done,
}

impl Arriving {
    fn begin(self) -> Result<Self, ClientError> {
        match self {
            Self::No => Ok(Self::Now),
            _ => Err(ClientError::Ended("the server sends a message twice".to_owned())),
        }
    }
}

fn is_whole(source: &Source<'_>) -> bool {
    matches!(source, Source::Body(section, None) if *section == Section::default())
}

fn letters_of(items: &[FetchItem<'_>], letters: &mut String) {
    let all = [
        (Flag::Draft, 'D'),
        (Flag::Flagged, 'F'),
        (Flag::Answered, 'R'),
        (Flag::Seen, 'S'),
        (Flag::Deleted, 'T'),
    ];
    for item in items {
        if let FetchItem::Flags(flags) = item {
            *letters =
                all.iter().filter(|(flag, _)| flags.contains(flag)).map(|(_, letter)| *letter).collect();
        }
    }
}

async fn move_to(
    imap: &mut Imap,
    mailbox: &Mailbox<'_>,
    set: &SequenceSet<'_>,
    to: &Mailbox<'_>,
) -> Result<(), Failure> {
    select(imap, mailbox, true).await?;
    // What is named may not all be there, and `*` is whoever is last: the same messages are meant in all steps.
    let mut moved = 0;
    let mut left = false;
    for part in parts(set) {
        let Some(found) = uids_of(imap, there(part)?).await? else { continue };
        for set in parts(&found) {
            let number = set.resolved(0).map(|range| u64::from(range.end() - range.start()) + 1).sum::<u64>();
            let mailbox = to.clone();
            if imap.offers(Extension::Move) {
                imap.command(&Verb::Move { uid: true, set, mailbox }, |_| {}).await?;
            } else {
                left |= copy_and_remove(imap, set, mailbox).await?;
            }
            moved += number;
        }
    }
    if moved == 0 {
        return Err(Failure::new("there is no message with such a UID"));
    }
    writeln!(output(), "{} moved to {}", number(moved, "message"), Printable(to.as_str()))?;
    if left {
        let why = "the originals are marked as deleted: the server has no UIDPLUS, without which others would go with them";
        writeln!(output(), "{why}")?;
    }
    Ok(())
}

/// MOVE for servers without it, as RFC 6851 §3.3 describes it. True if the originals could only be marked.
async fn copy_and_remove(
    imap: &mut Imap,
    set: SequenceSet<'static>,
    mailbox: Mailbox<'_>,
) -> Result<bool, ClientError> {
    imap.command(&Verb::Copy { uid: true, set: set.clone(), mailbox }, |_| {}).await?;
    let store = Verb::Store {
        uid: true,
        set: set.clone(),
        action: StoreAction::Add,
        silent: true,
        flags: Flags::new([Flag::Deleted]),
        unchanged_since: None,
    };
    imap.command(&store, |_| {}).await?;
    if !imap.offers(Extension::UidPlus) {
        return Ok(true);
    }
    imap.command(&Verb::UidExpunge(set), |_| {}).await?;
    Ok(false)
}

async fn flag(
    imap: &mut Imap,
    mailbox: &Mailbox<'_>,
    set: &SequenceSet<'_>,
    changes: [(StoreAction, &Vec<Flag<'static>>); 2],
) -> Result<(), Failure> {
    select(imap, mailbox, true).await?;
    let mut changed = 0;
    for part in parts(set) {
        let Some(found) = uids_of(imap, there(part)?).await? else { continue };
        for set in parts(&found) {
            changed += set.resolved(0).map(|range| u64::from(range.end() - range.start()) + 1).sum::<u64>();
            for (action, flags) in changes.iter().filter(|(_, flags)| !flags.is_empty()) {
                let flags = Flags::new(flags.iter().cloned());
                let (set, action) = (set.clone(), *action);
                let store =
                    Verb::Store { uid: true, set, action, silent: true, flags, unchanged_since: None };
                imap.command(&store, |_| {}).await?;
            }
        }
    }
    if changed == 0 {
        return Err(Failure::new("there is no message with such a UID"));
    }
    writeln!(output(), "{} changed", number(changed, "message"))?;
    Ok(())
}

/// What has changed while nobody looked.
#[derive(Clone, Copy)]
struct Seen {
    /// How many messages there are.
    exists: u32,
    /// How many of them have been shown.
    shown: u32,
}

impl Seen {
    /// True if there is something to show.
    fn hear(&mut self, data: &Data<'_>) -> bool {
        match data {
            Data::Exists(count) => self.exists = *count,
            Data::Expunge(number) => {
                self.exists = self.exists.saturating_sub(1);
                if number.get() <= self.shown {
                    self.shown -= 1;
                }
            }
            _ => {}
        }
        self.exists > self.shown
    }
}

async fn watch(imap: &mut Imap, mailbox: &Mailbox<'_>, every: Duration) -> Result<(), Failure> {
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut stop = pin!(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    });
    let exists = select(imap, mailbox, false).await?;
    let mut seen = Seen { exists, shown: exists };
    let _ = writeln!(
        io::stderr(),
        "watching {}, {} there now; Ctrl-C ends it",
        Printable(mailbox.as_str()),
        number(exists.into(), "message")
    );
    loop {
        let stopped = if imap.offers(Extension::Idle) {
            imap.watch(&mut stop, |data| seen.hear(data)).await?
        } else {
            let stopped = tokio::select! {
                () = &mut stop => true,
                () = sleep(every) => false,
            };
            imap.command(&Verb::Noop, |data| {
                seen.hear(data);
            })
            .await?;
            stopped
        };
        if seen.exists > seen.shown {
            let set = SequenceSet::new(format!("{}:{}", seen.shown + 1, seen.exists))?;
            seen.shown = seen.exists;
            // What comes while these are fetched is told here, too.
            print_rows(imap, false, set, |data| {
                seen.hear(data);
            })
            .await?;
        }
        if stopped {
            return Ok(());
        }
    }
}

const MOST_MAILBOXES: usize = 100_000;
const MOST_NUMBERS: usize = 1_000_000;
/// Of a set in one command: each has 21 octets at most, and RFC 9051 §4 has servers take lines of 8,192.
const RANGES: usize = 300;
