//! The list of what is in a folder: conversations, the newest first, fifty to a page.

mod row;
mod text;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mailstore::mailbox::{INBOX, MailboxStatus, SpecialUse, Uid};
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;

pub(super) use self::row::{Row, rows};
pub(super) use self::text::line;
use super::act::Done;
use super::threads::{AT_ONCE, Conversations, Threads};
use super::{Folders, events, open, open_newest, path, search, title};
use crate::host::Host;
use crate::store::{Snapshot, Store};
use crate::web::page::{Shell, seal};
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;

/// What is asked for. Numbers that make no sense are left out of account.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// What lies before this message, which is older.
    pub(super) before: String,
    /// What lies after it.
    pub(super) after: String,
    /// What is searched for.
    pub(super) q: String,
    /// Where a search goes on: a folder and a message.
    pub(super) at: String,
    /// What was done last.
    pub(super) done: String,
}

/// A page of a list.
struct Page {
    rows: Vec<Row>,
    newer: Option<u32>,
    older: Option<u32>,
}

pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new().route("/mail/{folder}", get(list))
}

async fn list(
    State(host): State<Arc<Host>>,
    signed_in: SignedIn,
    Path(folder): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let folders = Folders::of(&host, &signed_in).await;
    let folder = folders.get(number(&folder)?)?;
    if !asked.q.trim().is_empty() {
        return search::show(&host, &signed_in, &folders, folder, &asked).await;
    }
    let mut snapshot = open_newest(&host, &signed_in, folder, NEWEST).await?;
    let page = loop {
        match page(&host.web_memory.threads, &host.store, &snapshot, &asked).await {
            Some(page) => break page,
            None => snapshot = open(&host, &signed_in, folder).await?,
        }
    };
    let done = host.web_memory.done.get(&signed_in.session.id, &asked.done);
    let text = html! {
        header.head {
            h1 { (title(folder)) }
            p.hint { (counted(snapshot.status.messages, "message", "messages")) }
        }
        (notice(&signed_in, done.as_ref()))
        p #news.hidden role="status" aria-live="polite" {}
        div #live data-events=(events::address(&folders, folder)?) {
            @if page.rows.is_empty() {
                p.nothing { (nothing(folder)) }
            } @else {
                (form(&signed_in, &folders, folder, &here(folder, &asked), &page.rows, true))
                (turn(folder, &page))
            }
        }
        (keys())
    };
    let unseen = folder.unseen;
    let title = match unseen {
        0 => title(folder).to_owned(),
        _ => format!("({unseen}) {}", title(folder)),
    };
    let shell = Shell {
        signed_in: &signed_in,
        folders: &folders,
        current: Some(folder.id),
        query: "",
        title: &title,
    };
    Ok(shell.render(StatusCode::OK, &text))
}

/// The conversations of a page; `None` if the snapshot misses messages that this takes. What is less than a page from the newest on is
/// the first page, and where nothing older is left, as behind who has put away the last page, the oldest there are.
async fn page(threads: &Arc<Threads>, store: &Store, snapshot: &Snapshot, asked: &Asked) -> Option<Page> {
    let conversations = threads.of(store, snapshot).await;
    let messages = &snapshot.messages;
    let behind = |uid: Uid| messages.range(Uid::FIRST..=uid).end;
    let before = uid(&asked.before).filter(|_| asked.after.is_empty());
    let mut listed = Listed::default();
    if let Some(after) = uid(&asked.after) {
        listed = Listed::rising(&conversations, snapshot, behind(after)).await?;
    } else if let Some(before) = before {
        let end = behind(before) - usize::from(messages.find(before).is_some());
        listed = Listed::falling(&conversations, snapshot, end).await?;
        if listed.found.is_empty() {
            listed = Listed::rising(&conversations, snapshot, 0).await?;
        }
    }
    if listed.found.is_empty() || !listed.newer && listed.found.len() < PAGE {
        listed = Listed::falling(&conversations, snapshot, messages.len()).await?;
    }
    let Listed { found, newer, older } = listed;
    let last = |conversation: &Vec<Uid>| conversation.last().map(|uid| uid.get());
    let ends = (found.first().and_then(last), found.last().and_then(last));
    let rows = rows(snapshot, &found, is_outgoing(&snapshot.status)).await;
    Some(Page { rows, newer: ends.0.filter(|_| newer), older: ends.1.filter(|_| older) })
}

/// At most a page of conversations, the newest first, and whether there are others on either side of them.
#[derive(Default)]
struct Listed {
    found: Vec<Vec<Uid>>,
    newer: bool,
    older: bool,
}

/// `None` if the snapshot misses messages that this takes.
impl Listed {
    /// The newest ones in front of a place.
    async fn falling(conversations: &Conversations, snapshot: &Snapshot, end: usize) -> Option<Self> {
        let messages = &snapshot.messages;
        let mut found = conversations.newest_of(messages, falling(snapshot, end), PAGE + 1).await?;
        let older = found.len() > PAGE;
        if !older && messages.missing() > 0 {
            return None;
        }
        found.truncate(PAGE);
        Some(Self { found, newer: end < messages.len(), older })
    }

    /// The oldest ones from a place on.
    async fn rising(conversations: &Conversations, snapshot: &Snapshot, from: usize) -> Option<Self> {
        let messages = &snapshot.messages;
        if messages.missing() > 0 && from == messages.missing() {
            return None;
        }
        let rising = messages.slice(from..messages.len()).map(|message| message.uid());
        let mut found = conversations.newest_of(messages, rising, PAGE + 1).await?;
        let newer = found.len() > PAGE;
        found.truncate(PAGE);
        found.reverse();
        // What lies in front of it may belong to conversations that have gone on behind it.
        let older = !conversations.newest_of(messages, falling(snapshot, from), 1).await?.is_empty();
        if !older && messages.missing() > 0 {
            return None;
        }
        Some(Self { found, newer, older })
    }
}

/// The messages in front of a place that are here, the newest first. They are looked up step by step: nobody wants all of a million.
pub(super) fn falling(snapshot: &Snapshot, end: usize) -> impl Iterator<Item = Uid> {
    let messages = snapshot.messages.clone();
    (messages.missing()..end).rev().filter_map(move |at| messages.get(at)).map(|message| message.uid())
}

/// Whether the people of a folder are those whom its messages go to.
pub(super) fn is_outgoing(folder: &MailboxStatus) -> bool {
    matches!(folder.special_use, Some(SpecialUse::Sent | SpecialUse::Drafts))
}

/// The list with what can be done with what is chosen in it.
pub(super) fn form(
    signed_in: &SignedIn,
    folders: &Folders,
    folder: &MailboxStatus,
    here: &str,
    rows: &[Row],
    conversations: bool,
) -> Markup {
    let name = if conversations { "conversation" } else { "uid" };
    html! {
        form.list action={ (path(folder.id)) "/act" } method="post" {
            (seal(signed_in))
            input type="hidden" name="then" value=(here);
            // HTML, implicit submission: Enter does nothing where the first button of a form is disabled.
            button.hidden disabled tabindex="-1" aria-hidden="true" {}
            (tools(folders, folder))
            ul.messages {
                @for row in rows {
                    (entry(signed_in, row, name, None))
                }
            }
        }
    }
}

/// What can be done with what is chosen.
fn tools(folders: &Folders, folder: &MailboxStatus) -> Markup {
    let special_use = folder.special_use;
    html! {
        div.tools role="group" aria-label="With what is chosen" {
            label.all hidden { input #all type="checkbox"; span { "All" } }
            @if folders.is_aside(folder) {
                button.quiet name="do" value="restore" { @if special_use == Some(SpecialUse::Junk) { "Not junk" } @else { "Restore" } }
                button.quiet name="do" value="delete" data-key="#" { "Delete for good" }
            } @else {
                @if special_use != Some(SpecialUse::Archive) {
                    button.quiet name="do" value="archive" data-key="e" { "Archive" }
                }
                button.quiet name="do" value="delete" data-key="#" { "Delete" }
                @if !is_outgoing(folder) { button.quiet name="do" value="junk" { "Junk" } }
            }
            button.quiet name="do" value="read" { "Read" }
            button.quiet name="do" value="unread" data-key="U" { "Unread" }
            span.move {
                label.hidden for="to" { "Move to" }
                select #to name="to" {
                    option value="" { "Move to…" }
                    @for other in folders.iter().filter(|other| other.id != folder.id) {
                        option value=(other.id.get()) { (line(title(other), FOLDER)) }
                    }
                }
                button.quiet name="do" value="move" { "Move" }
            }
        }
    }
}

/// A row; with the name of its folder, if that is not where the list is.
pub(super) fn entry(signed_in: &SignedIn, row: &Row, name: &str, folder: Option<&str>) -> Markup {
    let (uid, unread) = (row.uid, row.unread > 0);
    let href = if row.draft && row.outgoing {
        format!("/compose?draft={}.{uid}", row.folder)
    } else {
        format!("/mail/{}/{uid}", row.folder)
    };
    html! {
        li.unread[unread] data-uid=(uid) {
            @if folder.is_none() {
                input type="checkbox" name=(name) value=(uid) aria-labelledby={ "s" (uid) };
                button.star name=(if row.flagged { "unstar" } else { "star" }) value=(uid) aria-pressed=(row.flagged) aria-label="Star" {
                    @if row.flagged { "★" } @else { "☆" }
                }
            }
            a href=(href) {
                span.who {
                    span.names {
                        @if unread { span.hidden { "Unread. " } }
                        @if row.outgoing { span.faint { "To " } }
                        @for (at, (person, new)) in row.people.iter().enumerate() {
                            @if at > 0 { ", " }
                            @if *new { b dir="auto" { (person) } } @else { bdi { (person) } }
                        }
                        @if row.people.is_empty() { span.faint { @if row.outgoing { "nobody yet" } @else { "Unknown" } } }
                    }
                    @if row.count > 1 { span.many { (row.count) span.hidden { " messages" } } }
                }
                span.what {
                    @if let Some(folder) = folder { span.where { (folder) } " " }
                    span.subject #{ "s" (uid) } dir="auto" {
                        @if row.subject.is_empty() { "(no subject)" } @else { (row.subject) }
                    }
                    @if !row.beginning.is_empty() { span.beginning dir="auto" { " " (row.beginning) } }
                }
                span.marks {
                    @if row.draft { span.mark { "Draft" } }
                    @if row.answered { span.mark title="Answered" { "↩" span.hidden { " answered" } } }
                    @if row.attachment { span.mark title="Attachment" { (CLIP) span.hidden { " attachment" } } }
                }
                (signed_in.clock.short(row.date))
            }
        }
    }
}

/// To other pages.
fn turn(folder: &MailboxStatus, page: &Page) -> Markup {
    html! {
        @if page.newer.is_some() || page.older.is_some() {
            nav.turn aria-label="Pages" {
                @if let Some(newer) = page.newer { a.button.quiet rel="prev" href={ (path(folder.id)) "?after=" (newer) } { "Newer" } }
                @if let Some(older) = page.older { a.button.quiet rel="next" href={ (path(folder.id)) "?before=" (older) } { "Older" } }
            }
        }
    }
}

/// What was done last, and how it is undone.
pub(super) fn notice(signed_in: &SignedIn, done: Option<&Done>) -> Markup {
    html! {
        @if let Some(done) = done {
            div.notice.refused[done.refused] role=(if done.refused { "alert" } else { "status" }) {
                span { (done.text) }
                @if let Some(undo) = &done.undo {
                    form.inline action={ (path(undo.from)) "/act" } method="post" {
                        (seal(signed_in))
                        input type="hidden" name="uids" value=(undo.uids);
                        input type="hidden" name="to" value=(undo.to.get());
                        input type="hidden" name="then" value=(path(undo.to));
                        button.link name="do" value="undo" { "Undo" }
                    }
                }
            }
        }
    }
}

/// The keys that the script listens to; it shows them when it is asked to.
fn keys() -> Markup {
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl {
                @for (key, what) in KEYS {
                    div { dt { kbd { (key) } } dd { (what) } }
                }
            }
            form.inline method="dialog" { button.quiet { "Close" } }
        }
    }
}

/// What is said where there is nothing.
fn nothing(folder: &MailboxStatus) -> &'static str {
    match folder.special_use {
        _ if folder.name == INBOX => "Nothing here, and nothing to do. New mail appears by itself.",
        Some(SpecialUse::Drafts) => "No drafts. What you begin to write and save waits here.",
        Some(SpecialUse::Sent) => "Nothing yet. What you send is kept here.",
        Some(SpecialUse::Junk) => "No junk. Good.",
        Some(SpecialUse::Trash) => "The trash is empty.",
        Some(SpecialUse::Archive) => "Nothing yet. What you archive is kept here.",
        _ => "This folder is empty.",
    }
}

/// So many of something.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {}", if count == 1 { one } else { many })
}

/// Where the reader is: the path of this page.
fn here(folder: &MailboxStatus, asked: &Asked) -> String {
    let path = path(folder.id);
    match (uid(&asked.before), uid(&asked.after)) {
        (_, Some(after)) => format!("{path}?after={after}"),
        (Some(before), None) => format!("{path}?before={before}"),
        (None, None) => path,
    }
}

/// The number of a folder, as it stands in the path.
pub(super) fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::NotFound)
}

pub(super) fn uid(text: &str) -> Option<Uid> {
    Uid::new(text.parse().ok()?)
}

/// Conversations on a page.
pub(super) const PAGE: usize = 50;
/// Messages that a first page is made of: those that are in conversations at first, and others, which stand alone, for two pages.
const NEWEST: usize = AT_ONCE + 2 * PAGE;
/// A paper clip: not every machine has a letter for it.
const CLIP: PreEscaped<&str> = PreEscaped(
    "<svg viewBox=\"0 0 16 16\" width=\"14\" height=\"14\" aria-hidden=\"true\"><path d=\"M13 7.5 7.8 12.7a3 3 0 0 1-4.3-4.2l5.6-5.6a2 2 0 0 1 \
     2.9 2.8l-5.5 5.5a1 1 0 0 1-1.4-1.4l4.7-4.7\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.3\"/></svg>",
);
/// Octets of a folder's name where one is chosen.
const FOLDER: usize = 80;
const KEYS: [(&str, &str); 13] = [
    ("j k", "next, previous"),
    ("Enter o", "open"),
    ("u", "back to the list"),
    ("U", "mark as unread"),
    ("x", "choose"),
    ("e", "archive"),
    ("#", "delete"),
    ("s", "star"),
    ("r a f", "reply, reply to all, forward"),
    ("c", "write"),
    ("/", "search"),
    ("g i", "inbox"),
    ("?", "these keys"),
];

#[cfg(test)]
mod tests {
    use super::super::stocked::ANNA;
    use super::super::threads::tests::filled;
    use super::*;

    /// What a page has, and where it leads.
    type Shown = (Vec<(u32, usize)>, Option<u32>, Option<u32>);

    async fn shown(store: &Store, snapshot: &Snapshot, asked: &Asked) -> Option<Shown> {
        let page = page(&Arc::default(), store, snapshot, asked).await?;
        let rows = page.rows.iter().map(|row| (row.uid, row.count)).collect();
        Some((rows, page.newer, page.older))
    }

    fn asked(before: &str, after: &str) -> Asked {
        Asked { before: before.to_owned(), after: after.to_owned(), ..Asked::default() }
    }

    // On one thread: older messages are looked up behind the back of whoever asks, and a conversation that is known to have
    // some takes them, also for a first page.
    #[tokio::test]
    async fn the_newest_messages_give_the_page_that_all_would_give_or_none() {
        let stocked = filled().await.opened_again().await;
        let (store, mailbox) = (&stocked.store, stocked.inbox);
        let newest = store.load_newest(ANNA, mailbox, NEWEST).await.unwrap();
        assert_eq!(newest.messages.missing(), 1_300 - NEWEST);
        assert_eq!(store.counters().await.loads, 0);
        let all = store.load(ANNA, mailbox).await.unwrap();
        assert_eq!(all.messages.missing(), 0);
        let (mut given, mut turns) = (0, vec![asked("", "")]);
        for uid in (1..=1_301).step_by(13).chain([700, 701, 702, 1_299, 1_300, 5_000]) {
            turns.extend([asked(&uid.to_string(), ""), asked("", &uid.to_string())]);
        }
        for (at, asked) in turns.iter().enumerate() {
            let whole = shown(store, &all, asked).await.expect("nothing is missing");
            let fast = shown(store, &newest, asked).await;
            assert!(at > 0 || fast.is_some(), "a first page needs no more");
            if let Some(fast) = fast {
                assert_eq!(fast, whole, "{asked:?}");
                given += 1;
            }
        }
        assert!(given > turns.len() / 4, "{given} of {}", turns.len());
        drop((newest, all));
        stocked.end().await;
    }
}
