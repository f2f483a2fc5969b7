//! Search: messages with all of these words, the newest first.
//!
//! A page of results is what fifty hits or two seconds of work give, whichever comes first; a link goes on from there. So nobody
//! waits for the end of a large mailbox, and no search holds the host up.

mod query;

use std::ops::ControlFlow;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use mailstore::Actor;
use mailstore::mailbox::{MailboxStatus, Uid};
use mailstore::search::Search;
use maud::{Markup, html};
use tokio::time::Instant;
use tracing::warn;

use self::query::{LONGEST, Words, everywhere};
use super::list::{Asked, PAGE, Row, entry, falling, form, is_outgoing, line, rows, uid};
use super::{Folders, path, title};
use crate::host::Host;
use crate::searching::{Step, drive};
use crate::store::Store;
use crate::web::page::Shell;
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;

/// What was found.
#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    /// Where the next page goes on: a folder and a message, behind which has not been looked.
    next: Option<(u64, u32)>,
    /// How many messages have been looked at.
    looked_at: u64,
    unreadable: u64,
}

/// The page of results.
pub(super) async fn show(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    folder: &MailboxStatus,
    asked: &Asked,
) -> Result<Response, Problem> {
    // A search is work, and who asks for another one seldom still wants the first.
    let searches = &host.web_memory.searches;
    let _one = searches.begin(&signed_in.session.id, AT_ONCE).ok_or(Problem::TooOften)?;
    let asked_for: String = asked.q.chars().take(LONGEST).collect();
    let words = Words::read(&asked_for);
    let within: Vec<&MailboxStatus> = if words.everywhere { folders.iter().collect() } else { vec![folder] };
    let begun = asked.at.split_once('.').and_then(|(folder, at)| Some((folder.parse().ok()?, uid(at)?)));
    let begun = begun.or_else(|| Some((folder.id.get(), uid(&asked.before)?)));
    let begun = begun.filter(|(number, _)| within.iter().any(|folder| folder.id.get() == *number));
    let deadline = Instant::now() + PATIENCE;
    let found = find(&host.store, signed_in.actor(), &within, &words, begun, deadline).await?;
    let here = address(folder, &asked_for, begun.map(|(number, uid)| (number, uid.get())));
    let done = host.web_memory.done.get(&signed_in.session.id, &asked.done);
    let text = html! {
        header.head {
            h1 { "Search" }
            p.hint {
                "In " @if words.everywhere { "all folders" } @else { (title(folder)) } ". "
                @if !words.everywhere {
                    a href=(address(folder, &everywhere(&asked_for), None)) { "Search everywhere" } " "
                }
                a href=(path(folder.id)) { "Close the search" }
            }
        }
        (super::list::notice(signed_in, done.as_ref()))
        @for doubt in &words.doubts { p.bad { (doubt) } }
        p #news.hidden role="status" aria-live="polite" {}
        @if found.rows.is_empty() {
            p.nothing {
                @if found.next.is_some() { "Nothing so far." } @else { "Nothing was found." }
            }
        } @else if words.everywhere {
            ul.messages aria-label="Results" {
                @for row in &found.rows {
                    (entry(signed_in, row, "uid", Some(&name(folders, row.folder))))
                }
            }
        } @else {
            (form(signed_in, folders, folder, &here, &found.rows, false))
        }
        (rest(folder, &asked_for, &found))
        details.hint {
            summary { "How to search" }
            p { "All words have to be there, in whatever field or text; “two words” in quotes stand together; -word must not be there." }
            p {
                "from: to: cc: subject: body: is:unread is:flagged is:answered has:attachment before:2026-11-01 after:2026-10-01 on:2026-10-05 \
                 larger:1M smaller:10k in:all"
            }
        }
    };
    let shell = Shell { signed_in, folders, current: Some(folder.id), query: &asked_for, title: "Search" };
    Ok(shell.render(StatusCode::OK, &text))
}

fn rest(folder: &MailboxStatus, asked_for: &str, found: &Found) -> Markup {
    html! {
        @if found.unreadable > 0 {
            p.bad { (super::list::counted(found.unreadable, "message", "messages")) " could not be read, and so not be searched." }
        }
        @if let Some(next) = found.next {
            nav.turn aria-label="Pages" {
                a.button.quiet rel="next" href=(address(folder, asked_for, Some(next))) { "Search older mail" }
                span.hint { (super::list::counted(found.looked_at, "message", "messages")) " looked at so far" }
            }
        }
    }
}

/// Searches folder by folder, each from its newest message on, until there is enough or it has taken long enough.
async fn find(
    store: &Store,
    actor: Actor,
    within: &[&MailboxStatus],
    words: &Words,
    begun: Option<(u64, Uid)>,
    deadline: Instant,
) -> Result<Found, Problem> {
    let mut found = Found::default();
    let first = begun.map_or(0, |(number, _)| {
        within.iter().position(|folder| folder.id.get() == number).unwrap_or_default()
    });
    for (at, folder) in within.iter().enumerate().skip(first) {
        // One that has gone since is not searched.
        let Some(snapshot) = store.load(actor, folder.id).await else { continue };
        let messages = &snapshot.messages;
        let end = match begun {
            Some((_, before)) if at == first => {
                messages.range(Uid::FIRST..=before).end - usize::from(messages.find(before).is_some())
            }
            _ => messages.len(),
        };
        let too_much = |_| Problem::Wrong("That is too much to search for at once.".to_owned());
        let mut search = Search::new(words.query.clone()).map_err(too_much)?;
        let (mut hits, mut last, mut looked_at, mut stopped) = (Vec::new(), None, 0, false);
        let room = PAGE - found.rows.len();
        let mut uids = falling(&snapshot, end);
        let mut next = std::iter::from_fn(|| {
            // One at least, or a search would never come to its end.
            if looked_at > 0 && Instant::now() >= deadline {
                stopped = true;
                return None;
            }
            let message = messages.find(uids.next()?)?;
            last = Some(message.uid());
            looked_at += 1;
            Some((0, message))
        });
        let reader = snapshot.reader();
        drive(&mut search, &reader, &mut next, |step| {
            match step {
                Step::Match(facts) => hits.extend(Uid::new(facts.uid)),
                Step::Unreadable(uid, error) => {
                    warn!(mailbox = folder.id.get(), uid = uid.get(), %error, "a message cannot be searched");
                    found.unreadable += 1;
                }
                Step::Pause => {}
            }
            if hits.len() >= room { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await;
        found.looked_at += looked_at;
        let full = hits.len() >= room;
        let alone: Vec<Vec<Uid>> = hits.into_iter().map(|uid| vec![uid]).collect();
        found.rows.extend(rows(&snapshot, &alone, is_outgoing(folder)).await);
        let more = last.is_some_and(|last| messages.get(0).is_some_and(|oldest| oldest.uid() < last));
        if (full || stopped) && more {
            found.next = last.map(|last| (folder.id.get(), last.get()));
            break;
        }
        if full || Instant::now() >= deadline {
            // From the newest message of the next folder on.
            found.next = within.get(at + 1).map(|next| (next.id.get(), u32::MAX));
            break;
        }
    }
    if within.len() > 1 {
        found.rows.sort_by_key(|row| std::cmp::Reverse(row.date));
    }
    Ok(found)
}

fn name(folders: &Folders, number: u64) -> String {
    folders.get(number).map(|folder| line(title(folder), NAME)).unwrap_or_default()
}

/// The page of these results, from a place on.
fn address(folder: &MailboxStatus, asked_for: &str, at: Option<(u64, u32)>) -> String {
    let at = at.map(|(folder, uid)| format!("{folder}.{uid}"));
    let query: Vec<(&str, &str)> =
        [("q", asked_for)].into_iter().chain(at.as_deref().map(|at| ("at", at))).collect();
    format!("{}?{}", path(folder.id), serde_html_form::to_string(query).unwrap_or_default())
}

/// How long a page of results may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Searches of one session at once.
const AT_ONCE: usize = 3;
/// Octets of a folder's name in a row.
const NAME: usize = 60;

#[cfg(test)]
mod tests {
    use mailstore::mailbox::MailboxId;

    use super::*;
    use crate::web::mail::stocked::{ANNA, Stocked, message};

    /// Longer than any machine takes.
    const FOR_EVER: Duration = Duration::from_secs(3_600);

    /// The pages of a search, each as the rows it has, in folders and messages, and how many messages it has looked at.
    async fn pages(
        stocked: &Stocked,
        words: &str,
        begun: Option<(u64, u32)>,
        patience: Duration,
    ) -> Vec<(Vec<(u64, u32)>, u64)> {
        let words = Words::read(words);
        let mut all = stocked.store.mailboxes(ANNA, None).await;
        all.sort_by_key(|folder| folder.id);
        let within: Vec<_> = all.iter().take(if words.everywhere { all.len() } else { 1 }).collect();
        let (mut next, mut pages) = (begun, Vec::new());
        loop {
            let begun = next.and_then(|(folder, at)| Some((folder, Uid::new(at)?)));
            let deadline = Instant::now() + patience;
            let found = find(&stocked.store, ANNA, &within, &words, begun, deadline).await.unwrap();
            assert_eq!(found.unreadable, 0);
            pages.push((found.rows.iter().map(|row| (row.folder, row.uid)).collect(), found.looked_at));
            next = found.next;
            if next.is_none() {
                return pages;
            }
            assert!(pages.len() < 400, "it goes on for ever");
        }
    }

    async fn fill(stocked: &Stocked, mailbox: MailboxId, subjects: &[&str]) {
        for subject in subjects {
            stocked.deliver(mailbox, message("carla@far.test", subject, "x")).await;
        }
    }

    fn folders(pages: &[(Vec<(u64, u32)>, u64)]) -> Vec<(u64, u32)> {
        pages.iter().flat_map(|(rows, _)| rows).copied().collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_search_that_has_no_time_left_comes_to_its_end_all_the_same() {
        let stocked = Stocked::new().await;
        let (empty, other) = (stocked.folder("Empty").await, stocked.folder("Other").await);
        let inbox = stocked.inbox;
        assert!(inbox < empty && empty < other);
        fill(&stocked, inbox, &["needle", "hay", "needle", "hay", "hay", "needle"]).await;
        fill(&stocked, other, &["needle", "hay", "needle"]).await;
        let expected: Vec<_> = [(inbox, 6), (inbox, 3), (inbox, 1), (other, 3), (other, 1)]
            .map(|(folder, uid)| (folder.get(), uid))
            .into();
        let at_once = pages(&stocked, "needle in:all", None, FOR_EVER).await;
        assert_eq!((folders(&at_once), at_once.len(), at_once[0].1), (expected.clone(), 1, 9));
        let hurried = pages(&stocked, "needle in:all", None, Duration::ZERO).await;
        assert_eq!(folders(&hurried), expected, "each of them, and once");
        assert!(hurried.iter().all(|(_, looked_at)| *looked_at <= 1), "{hurried:?}");
        // It goes on behind a place, whether what was there is there still or not.
        stocked.expunge(inbox, 3).await;
        let rest = pages(&stocked, "needle in:all", Some((inbox.get(), 3)), FOR_EVER).await;
        assert_eq!(folders(&rest), expected[2..]);
        let rest = pages(&stocked, "needle in:all", Some((other.get(), 3)), FOR_EVER).await;
        assert_eq!(folders(&rest), expected[4..]);
        stocked.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_page_of_results_is_full_and_no_more() {
        let stocked = Stocked::new().await;
        let other = stocked.folder("Other").await;
        fill(&stocked, stocked.inbox, &["needle"; PAGE]).await;
        fill(&stocked, other, &["needle"; 10]).await;
        let sizes =
            |pages: &[(Vec<(u64, u32)>, u64)]| pages.iter().map(|(rows, _)| rows.len()).collect::<Vec<_>>();
        let full = pages(&stocked, "needle", None, FOR_EVER).await;
        assert_eq!(sizes(&full), [PAGE], "there is nothing behind it");
        let all = pages(&stocked, "needle in:all", None, FOR_EVER).await;
        assert_eq!(sizes(&all), [PAGE, 10], "and here there is another folder");
        fill(&stocked, stocked.inbox, &["hay", "needle"]).await;
        assert_eq!(sizes(&pages(&stocked, "needle", None, FOR_EVER).await), [PAGE, 1]);
        stocked.expunge(stocked.inbox, 1).await;
        let mixed = pages(&stocked, "needle in:all", None, FOR_EVER).await;
        assert_eq!(sizes(&mixed), [PAGE, 10]);
        stocked.expunge(stocked.inbox, 2).await;
        let mixed = pages(&stocked, "needle in:all", None, FOR_EVER).await;
        assert_eq!(sizes(&mixed), [PAGE, 9], "folders share a page");
        stocked.end().await;
    }

    /// What cannot be read is counted, and does not stand in the way of anything else.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_read_is_said() {
        let stocked = Stocked::new().await;
        fill(&stocked, stocked.inbox, &["needle", "needle", "needle"]).await;
        let all = stocked.store.mailboxes(ANNA, None).await;
        stocked.reads.fail(true);
        let deadline = Instant::now() + FOR_EVER;
        let found =
            find(&stocked.store, ANNA, &[&all[0]], &Words::read("needle"), None, deadline).await.unwrap();
        assert_eq!((found.unreadable, found.looked_at, found.rows.len()), (3, 3, 0));
        stocked.reads.fail(false);
        assert_eq!(folders(&pages(&stocked, "needle", None, FOR_EVER).await).len(), 3);
        stocked.end().await;
    }
}
