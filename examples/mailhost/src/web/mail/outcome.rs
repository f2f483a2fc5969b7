//! What became of a message that was written here: for each recipient, in plain words.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mailstore::mailbox::Uid;
use mailstore::message::Message;
use maud::{Markup, html};
use relay_queue::queue::Standing;
use serde::Deserialize;

use super::{Folders, open, path};
use crate::host::Host;
use crate::relay::{End, How, Recipient, Waiting};
use crate::store::Snapshot;
use crate::web::page::Shell;
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;
use crate::web::when::Clock;

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    sent: String,
}

pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new().route("/mail/{folder}/{uid}/outcome", get(show))
}

async fn show(
    State(host): State<Arc<Host>>,
    signed_in: SignedIn,
    Path((folder, uid)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let folders = Folders::of(&host, &signed_in).await;
    let folder = folders.get(folder.parse().map_err(|_| Problem::NotFound)?)?;
    let uid = uid.parse().ok().and_then(Uid::new).ok_or(Problem::NotFound)?;
    let snapshot = open(&host, &signed_in, folder).await?;
    let message = snapshot.messages.find(uid).ok_or(Problem::NotFound)?;
    let outcome = outcome(&host, &signed_in, &snapshot, &message).await?;
    let inbox = folders.inbox().ok().map(|inbox| path(inbox.id)).unwrap_or_default();
    let body = html! {
        h1 { @if asked.sent.is_empty() { "What became of it" } @else { "Sent" } }
        @match &*asked.sent {
            "now" => p.good role="status" { "Your message is on its way, and a copy is in " (super::title(folder)) "." },
            "again" => p.good role="status" { "This message was sent already, and was not sent once more." },
            _ => {}
        }
        @match &outcome {
            Some(outcome) => (outcome),
            None => p { "Nothing is kept about this message: it was not sent from here, or too long ago." },
        }
        p { a href=(format!("{}/{uid}", path(folder.id))) { "Show the message" } " · " a href=(inbox) { "To the inbox" } }
    };
    let title = if asked.sent.is_empty() { "What became of it" } else { "Sent" };
    let shell =
        Shell { signed_in: &signed_in, folders: &folders, current: Some(folder.id), query: "", title };
    Ok(shell.render(StatusCode::OK, &body))
}

/// What became of a message that this person has written here; `None` if nothing is kept about it.
pub(super) async fn outcome(
    host: &Host,
    signed_in: &SignedIn,
    snapshot: &Snapshot,
    message: &Message,
) -> Result<Option<Markup>, Problem> {
    let begin = message.prefix_size();
    let top = snapshot.reader().read_within(message, begin..message.size().min(begin + TOP)).await;
    let top = top.map_err(|error| Problem::failed("a message", error))?;
    let hostname = host.config.hostname.as_str();
    let Some(id) = submission(&top, hostname) else { return Ok(None) };
    // The field may be made up; whose the record is, is not.
    let Some((sent, waiting)) = host.relay.sent(signed_in.account().get(), &id).await else {
        return Ok(None);
    };
    let clock = signed_in.clock;
    Ok(Some(html! {
        section.outcome aria-label="What became of it" {
            p.hint { "Sent " (clock.long(sent.at)) "." }
            ul {
                @for recipient in &sent.to {
                    @let waits = waiting.iter().find(|waits| waits.address.eq_ignore_ascii_case(&recipient.address));
                    li { strong { (recipient.address) } " " (said(recipient, waits, clock)) }
                }
            }
        }
    }))
}

fn said(recipient: &Recipient, waits: Option<&Waiting>, clock: Clock) -> Markup {
    match (&recipient.end, waits) {
        (Some(end), _) => ended(end, clock),
        (None, Some(waits)) => waiting(waits, clock),
        (None, None) => html! { "Nothing more is known." },
    }
}

fn ended(end: &End, clock: Clock) -> Markup {
    let host = end.host.as_deref();
    html! {
        @match end.how {
            How::Here => { span.good { "delivered" } " here, " (clock.short(end.at)) },
            How::SentOn => { "taken here, and sent on to where this address leads, " (clock.short(end.at)) },
            How::Delivered => {
                span.good { "delivered" } @if let Some(host) = host { " to " (host) } ", " (clock.short(end.at))
                @if !end.answer.is_empty() { " (" (end.answer) ")" }
            },
            How::Refused => {
                span.bad { "came back" } ", " (clock.short(end.at)) ": "
                @if let Some(host) = host { (host) " said: " } (end.answer)
            },
            How::Expired => {
                span.bad { "given up" } ", " (clock.short(end.at)) ", after many tries"
                @if !end.answer.is_empty() { ": " @if let Some(host) = host { (host) ": " } (end.answer) }
            },
            How::Dropped => { span.bad { "taken out of the queue" } " by whoever runs this server, " (clock.short(end.at)) },
        }
    }
}

fn waiting(waits: &Waiting, clock: Clock) -> Markup {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let because = html! {
        @if let Some((answer, at)) = &waits.last { ", because at the last try (" (clock.short(seconds(*at))) ") it was said: " (answer) }
    };
    let expires = html! {
        @if let Some(expires) = waits.expires { ". It comes back to you if it cannot be delivered by " (clock.long(seconds(expires))) }
    };
    html! {
        @match &waits.standing {
            Standing::Waiting if waits.last.is_some() => {
                "waiting; next try " (clock.short(seconds(waits.next))) (because) (expires) "."
            },
            Standing::Paused { until, answer, .. } => {
                "waiting; next try " (clock.short(seconds(*until)))
                @if let Some(answer) = answer { ", because its host could not be reached: " (answer) } (expires) "."
            },
            Standing::Held => { "held back by whoever runs this server" (because) "." },
            Standing::Trying { .. } => { "being sent right now." },
            Standing::Delivered => { "delivered." },
            Standing::Failed => { "came back." },
            Standing::Dropped => { "taken out of the queue by whoever runs this server." },
            _ if waits.last.is_some() => { "waiting; next try at once" (because) (expires) "." },
            _ => { "about to be sent." },
        }
    }
}

/// The name that this host gave a message when it was written on the web: what stands above it begins with a trace of that.
fn submission(top: &[u8], hostname: &str) -> Option<String> {
    let field = top.strip_prefix(b"Received:")?;
    let end = field.iter().position(|octet| *octet == b';')?;
    let text = std::str::from_utf8(&field[..end]).ok()?;
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let behind = |word: &str| {
        let at = words.iter().position(|found| *found == word)?;
        words.get(at + 1).copied()
    };
    let ours = behind("by")?.eq_ignore_ascii_case(hostname) && matches!(behind("with")?, "HTTP" | "HTTPS");
    let id = behind("id")?;
    let is_one = !id.is_empty() && id.len() <= 16 && id.bytes().all(|octet| octet.is_ascii_hexdigit());
    (ours && is_one).then(|| id.to_owned())
}

/// Octets in which the trace stands.
const TOP: u64 = 2 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_message_is_read_from_its_trace_alone() {
        let of = |top: &str| submission(top.as_bytes(), "mail.example.test");
        let good = "Received: from submitter.invalid by mail.example.test with HTTPS id 6a3b000001\r\n\tfor <a@b.test>; Mon";
        assert_eq!(of(good), Some("6a3b000001".to_owned()));
        for bad in [
            "",
            "Subject: x\r\nReceived: by mail.example.test with HTTPS id 1; x",
            "Received: from a by mail.other.test with HTTPS id 6a3b000001; x",
            "Received: from a by mail.example.test with ESMTPSA id 6a3b000001; x",
            "Received: from a by mail.example.test with HTTPS id; x",
            "Received: from a by mail.example.test with HTTPS id <x>; x",
            "Received: from a by mail.example.test with HTTPS id 6a3b000001 without an end",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_end_and_each_wait_is_said_and_nothing_of_it_is_markup() {
        let clock = Clock::new(1_795_352_700, None);
        let answer = "550 <script>no</script>".to_owned();
        let end =
            |how| End { at: 1_795_352_700, how, host: Some("mx.y.test".to_owned()), answer: answer.clone() };
        for (how, words) in [
            (How::Here, "delivered</span> here, "),
            (How::SentOn, "taken here, and sent on to where this address leads, <time"),
            (How::Delivered, "delivered</span> to mx.y.test, "),
            (How::Refused, "mx.y.test said: 550 &lt;script&gt;"),
            (How::Expired, "after many tries: mx.y.test: 550"),
            (How::Dropped, "taken out of the queue"),
        ] {
            let text = ended(&end(how), clock).into_string();
            assert!(text.contains(words) && !text.contains("<script"), "{text}");
        }
        let at = Duration::from_secs(1_795_353_000);
        let waits = |standing| Waiting {
            address: "a@b.test".to_owned(),
            standing,
            next: at,
            last: Some((answer.clone(), at)),
            expires: Some(at),
        };
        let text = waiting(&waits(Standing::Waiting), clock).into_string();
        assert!(text.contains("next try <time") && text.contains("it was said: 550 &lt;script"), "{text}");
        assert!(text.contains("It comes back to you if it cannot be delivered by <time"), "{text}");
        assert!(waiting(&waits(Standing::Held), clock).into_string().starts_with("held back by"));
    }

    #[test]
    fn a_wait_is_told_by_the_clock_of_who_waits_first_what_is_next_and_then_why() {
        let minutes = |minutes: i64| Duration::from_secs(1_795_352_700 + minutes.unsigned_abs() * 60);
        let waits = |standing| Waiting {
            address: "a@b.test".to_owned(),
            standing,
            next: minutes(7),
            last: Some(("450 later".to_owned(), minutes(2))),
            expires: Some(minutes(9)),
        };
        // 13:05 UTC, and an hour later where they are.
        let clock = Clock::new(1_795_352_700, Some("60"));
        let paused = Standing::Paused { until: minutes(5), answer: None, site: "s".to_owned() };
        for (standing, times) in
            [(Standing::Waiting, &[">14:12<", ">14:07<", " 14:14<"][..]), (paused, &[">14:10<", " 14:14<"])]
        {
            let text = waiting(&waits(standing), clock).into_string();
            let places: Vec<_> = times.iter().map(|time| text.find(time)).collect();
            assert!(places.is_sorted() && places.iter().all(Option::is_some), "{times:?} in {text}");
        }
        // What is at its end is told as that, whatever the queue still says.
        let end = End { at: 1_795_352_700, how: How::Refused, ..End::default() };
        let recipient = Recipient { address: "a@b.test".to_owned(), end: Some(end) };
        let text = said(&recipient, Some(&waits(Standing::Waiting)), clock).into_string();
        assert!(text.contains("came back"), "{text}");
    }
}
