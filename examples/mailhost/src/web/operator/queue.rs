//! What waits, why, and what is to be done about it. The orders are those of `mailhost queue`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use relay_queue::MessageId;
use serde::Deserialize;
use tokio::time::timeout;
use tracing::info;

use super::door::{Operator, Order};
use super::page::{self, Place, ago, ahead, seal, time};
use crate::host::Host;
use crate::relay::{Destination, Entry, Ordered, Outstanding};
use crate::words::{number, size};

/// Which part of the queue, and what has just been done.
#[derive(Deserialize)]
pub(super) struct Which {
    /// The message behind which it begins.
    after: Option<String>,
    #[serde(flatten)]
    done: Done,
}

/// What has just been done.
#[derive(Deserialize)]
pub(super) struct Done {
    /// For how many recipients.
    done: Option<String>,
    /// What.
    order: Option<String>,
}

/// Messages, a page of them, below what waits for each destination.
pub(super) async fn list(
    State(host): State<Arc<Host>>,
    operator: Operator,
    Query(Which { after, done }): Query<Which>,
) -> Response {
    let relay = &host.relay;
    let now = host.store.system().unix_now();
    let begin = after.as_deref().and_then(|text| u64::from_str_radix(text, 16).ok()).map(MessageId);
    let seen = relay.seen().await;
    let found = relay.entries(begin, PAGE).await;
    let destinations = relay.destinations();
    let body = html! {
        h1 { "Queue" }
        (done.shown())
        @if let Some(reading) = &found.reading { p.bad role="status" { (page::sentence(reading)) } }
        @if seen.messages == 0 {
            p { "The queue is empty: all mail for other hosts has been sent." }
        } @else {
            p {
                (number(seen.messages as u64, "message")) " for " (number(seen.recipients as u64, "recipient"))
                @if let Some(oldest) = seen.oldest { "; the oldest came " (ago(now, oldest)) }
                "."
            }
            (orders(&operator, "all", None, "all messages", "/queue", Some(seen.states.contains_key("held"))))
            @if destinations.len() > 1 { (by_destination(&operator, &destinations, now, seen.parked)) }
            section aria-labelledby="messages" {
                h2 #messages { "Messages" }
                ul.waiting { @for entry in &found.messages { (message(&operator, entry, now)) } }
                nav.pages aria-label="More messages" {
                    @if begin.is_some() { a href="/queue" { "First page" } }
                    @if let Some(next) = found.next { a href={ "/queue?after=" (next) } rel="next" { "Next page" } }
                }
            }
        }
    };
    page::render(&host, &operator, Place::Queue, "Queue", &body)
}

/// All that is known of one message.
pub(super) async fn one(
    State(host): State<Arc<Host>>,
    operator: Operator,
    Path(id): Path<String>,
    Query(done): Query<Done>,
) -> Response {
    let now = host.store.system().unix_now();
    let Ok(entry) = host.relay.entry_of(&id).await else {
        let body = html! {
            h1 { "It is not in the queue" }
            (done.shown())
            p { "No message " code { (id) } " waits any more: it has been sent, returned or dropped. The log has all that happened to it." }
            p { a href="/queue" { "To the queue" } }
        };
        let (status, place) = (StatusCode::NOT_FOUND, Some(Place::Queue));
        return page::render_as(status, &host, &operator, place, "Queue", &body);
    };
    let back = format!("/queue/{}", entry.message);
    let left = entry.recipients.len().saturating_sub(RECIPIENTS);
    let body = html! {
        p.hint { a href="/queue" { "Queue" } }
        h1 { "Message " code { (entry.id) } }
        (done.shown())
        dl.facts {
            div { dt { "From" } dd { (sender(&entry)) } }
            div { dt { "Size" } dd { (size(entry.size)) } }
            div { dt { "Accepted" } dd { (time(entry.accepted)) ", " (ago(now, entry.accepted)) } }
            div { dt { "Goes back to its sender" } dd { (time(entry.expires)) ", " (ahead(now, entry.expires)) } }
            div { dt { "In the queue" } dd { code { (entry.message) } } }
        }
        (orders(&operator, &entry.message, None, &format!("message {}", entry.id), &back, Some(entry.recipients.iter().any(|one| one.held))))
        h2 { (number(entry.recipients.len() as u64, "recipient")) }
        ul.waiting {
            @for (at, recipient) in entry.recipients.iter().enumerate().take(RECIPIENTS) {
                // Many of one domain go the same way.
                @let told = at > 0 && entry.recipients[at - 1].way == recipient.way;
                li {
                    h3 { (recipient.address) }
                    (standing(recipient, now))
                    @if !recipient.way.is_empty() && !told {
                        pre.way tabindex="0" { @for line in &recipient.way { (line) "\n" } }
                    }
                    @if entry.recipients.len() > 1 {
                        (orders(&operator, &entry.message, Some(&recipient.address), &recipient.address, &back, Some(recipient.held)))
                    }
                }
            }
        }
        @if left > 0 { p.hint { "And " (number(left as u64, "more recipient")) "; " code { "mailhost queue why " (entry.id) } " shows all." } }
    };
    page::render(&host, &operator, Place::Queue, &format!("Message {}", entry.id), &body)
}

/// Carries out an order. What cannot be undone is asked for once more.
pub(super) async fn act(State(host): State<Arc<Host>>, operator: Operator, form: Order) -> Response {
    let (what, recipient, back) = (form.get("what"), form.get("recipient"), form.get("back"));
    let recipient = (!recipient.is_empty()).then_some(recipient);
    let back = if back.starts_with("/queue/") && !back.contains(['\\', '?', '#']) { back } else { "/queue" };
    let Some(order) = WORDS.iter().find(|(word, ..)| *word == form.get("do")) else {
        return page::failed(&host, &operator, StatusCode::BAD_REQUEST, back, "there is no such order");
    };
    let (word, ordered, ..) = *order;
    if is_final(ordered) && form.get("sure") != "yes" {
        return confirm(&host, &operator, order, what, recipient, back);
    }
    info!(what, ?recipient, order = ?ordered, "an order for the queue");
    let target = match host.relay.target(what, recipient).await {
        Ok(target) => target,
        Err(why) => return page::failed(&host, &operator, StatusCode::CONFLICT, back, &why),
    };
    let relay = Arc::clone(&host.relay);
    // Apart, since a browser that goes away must not leave half of it.
    let work = tokio::spawn(async move { relay.order_all(&target, ordered).await });
    let done = match timeout(PATIENCE, work).await {
        Ok(Ok(Ok(count))) => count.to_string(),
        Ok(Ok(Err(why))) => return page::failed(&host, &operator, StatusCode::CONFLICT, back, &why),
        Ok(Err(_)) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Err(_) => "more".to_owned(),
    };
    // Where a message was that is gone now, there is nothing to see.
    let back = if is_final(ordered) && recipient.is_none() { "/queue" } else { back };
    Redirect::to(&format!("{back}?done={done}&order={word}")).into_response()
}

fn confirm(
    host: &Host,
    operator: &Operator,
    (word, ordered, verb, _): &(&str, Ordered, &str, &str),
    what: &str,
    recipient: Option<&str>,
    back: &str,
) -> Response {
    let object = match (what, recipient) {
        ("all", _) => "everything in the queue".to_owned(),
        (_, Some(recipient)) => format!("what waits for {recipient}"),
        (what, None) if what.contains('.') => format!("everything for {what}"),
        (what, None) => format!("message {what}"),
    };
    let told = if matches!(ordered, Ordered::Drop) {
        "It is gone then, and nobody is told: neither its sender nor its recipients."
    } else {
        "It is not tried again. Its sender gets a report."
    };
    let body = html! {
        h1 { (verb) " " (object) "?" }
        p { (told) }
        form.sure action="/queue/act" method="post" {
            (seal(operator))
            input type="hidden" name="what" value=(what);
            @if let Some(recipient) = recipient { input type="hidden" name="recipient" value=(recipient); }
            input type="hidden" name="back" value=(back);
            input type="hidden" name="sure" value="yes";
            button.danger name="do" value=(word) { (verb) }
            a href=(back) { "Leave it" }
        }
    };
    page::render(host, operator, Place::Queue, verb, &body)
}

fn by_destination(operator: &Operator, destinations: &[Destination], now: Duration, parked: usize) -> Markup {
    html! {
        section aria-labelledby="destinations" {
            h2 #destinations { "Destinations" }
            @if parked > 0 { p.hint { "Without " (number(parked as u64, "message")) " that " @if parked == 1 { "is" } @else { "are" } " not in memory." } }
            ul.waiting.columns {
                @for destination in destinations.iter().take(DESTINATIONS) {
                    li {
                        h3 { (destination.domain) }
                        p {
                            (number(destination.messages as u64, "message")) " for "
                            (number(destination.recipients as u64, "recipient")) ", the oldest came " (ago(now, destination.oldest))
                        }
                        p.answer { (destination.why) }
                        (orders(operator, &destination.domain, None, &destination.domain, "/queue", Some(destination.held > 0)))
                    }
                }
            }
            @if destinations.len() > DESTINATIONS {
                p.hint { "And " (number((destinations.len() - DESTINATIONS) as u64, "more destination")) "." }
            }
        }
    }
}

fn message(operator: &Operator, entry: &Entry, now: Duration) -> Markup {
    let link = format!("/queue/{}", entry.message);
    let left = entry.recipients.len().saturating_sub(FIRST);
    html! {
        li {
            h3 { a href=(link) { "From " (sender(entry)) } }
            p.hint {
                code { (entry.id) } " · " (size(entry.size)) " · came " (ago(now, entry.accepted))
                " · goes back " (ahead(now, entry.expires))
            }
            ul.recipients {
                @for recipient in entry.recipients.iter().take(FIRST) {
                    li { strong { (recipient.address) } (standing(recipient, now)) }
                }
                @if left > 0 { li { a href=(link) { "and " (number(left as u64, "more recipient")) } } }
            }
            (orders(operator, &entry.message, None, &format!("message {}", entry.id), "/queue", Some(entry.recipients.iter().any(|one| one.held))))
        }
    }
}

fn standing(recipient: &Outstanding, now: Duration) -> Markup {
    html! {
        p.standing {
            (page::sentence(&recipient.standing))
            @if let Some(next) = recipient.next { " Next try " (ahead(now, next)) "." }
            @if recipient.tries > 0 { " Tried " (number(recipient.tries.into(), "time")) "." }
        }
        @if let Some((answer, at)) = &recipient.last {
            p.answer { (answer) " " span.hint { (ago(now, *at)) } }
        }
    }
}

fn sender(entry: &Entry) -> String {
    entry.from.clone().unwrap_or_else(|| "<> (a report)".to_owned())
}

/// Buttons for what can be done. Only what is held can be released.
fn orders(
    operator: &Operator,
    what: &str,
    recipient: Option<&str>,
    named: &str,
    back: &str,
    held: Option<bool>,
) -> Markup {
    let shown = |ordered: Ordered| !matches!(ordered, Ordered::Release) || held == Some(true);
    html! {
        form.orders action="/queue/act" method="post" {
            (seal(operator))
            input type="hidden" name="what" value=(what);
            @if let Some(recipient) = recipient { input type="hidden" name="recipient" value=(recipient); }
            input type="hidden" name="back" value=(back);
            @if what == "all" { span.hint { "All of it:" } }
            @for (word, ordered, verb, _) in WORDS.iter().filter(|(_, ordered, ..)| shown(*ordered)) {
                button.quiet.danger[is_final(*ordered)] name="do" value=(word) aria-label={ (verb) ": " (named) } { (verb) }
            }
        }
    }
}

const fn is_final(order: Ordered) -> bool {
    matches!(order, Ordered::Bounce | Ordered::Drop)
}

impl Done {
    /// Only numbers and words of ours are shown: anybody could write a link.
    fn shown(&self) -> Markup {
        let order = WORDS.iter().find(|(word, ..)| self.order.as_deref() == Some(word));
        let count: Option<u64> = self.done.as_deref().and_then(|done| done.parse().ok());
        html! {
            @match (order, count, self.done.as_deref()) {
                (Some(_), Some(0), _) => p.bad role="status" { "There is nothing any more that this could be done to." },
                (Some((.., past)), Some(count), _) => p.good role="status" { (number(count, "recipient")) " " (past) "." },
                (Some(_), None, Some("more")) => p.good role="status" { "It is being done, and takes a while." },
                _ => {}
            }
        }
    }
}

/// What can be done: in a form, to the queue, on a button, and afterwards.
const WORDS: [(&str, Ordered, &str, &str); 5] = [
    ("retry", Ordered::Retry, "Try now", "tried at once"),
    ("hold", Ordered::Hold, "Hold", "held"),
    ("release", Ordered::Release, "Release", "released"),
    ("bounce", Ordered::Bounce, "Return", "given up, and the sender told"),
    ("drop", Ordered::Drop, "Drop", "dropped"),
];
/// Messages on a page.
const PAGE: usize = 100;
/// Recipients of a message on a page of many, and on its own.
const FIRST: usize = 5;
const RECIPIENTS: usize = 200;
const DESTINATIONS: usize = 20;
/// How long a browser waits for an order that goes to much.
const PATIENCE: Duration = Duration::from_secs(8);
