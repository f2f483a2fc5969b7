//! How the host is, at a glance.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mailstore::Actor;
use maud::{Markup, html};

use super::chart::{self, Chart};
use super::door::Operator;
use super::page::{self, Place, sentence, time};
use crate::host::Host;
use crate::listener::Service;
use crate::metrics::history::{Counted, Interval, Sample};
use crate::preflight::{self, Severity};
use crate::relay::Destination;
use crate::words::{number, size, span};

/// The first page; for whoever is not in, how to get in.
pub(super) async fn show(State(host): State<Arc<Host>>, operator: Result<Operator, Response>) -> Response {
    let Ok(operator) = operator else { return page::outside(&host, StatusCode::OK) };
    let now = Sample::take(&host).await;
    let day = host.history.day(now, PARTS);
    let charts = charts();
    let warnings = warnings(&host, now.at).await;
    let body = html! {
        h1 { (host.config.hostname) }
        p.hint {
            "mailhost " (env!("CARGO_PKG_VERSION")) ", up for "
            (span(now.at.saturating_sub(host.started))) ", since " (time(host.started)) "."
        }
        section aria-labelledby="state" {
            h2.hidden #state { "State" }
            @if warnings.is_empty() {
                p.good { "Nothing needs your attention." }
            } @else {
                ul.warnings { @for warning in &warnings { li { (warning) } } }
            }
        }
        (tiles(&host, &now).await)
        section aria-labelledby="day" {
            h2 #day { "The last 24 hours" }
            div.charts { @for chart in &charts { (chart.draw(&day)) } }
            (chart::table(&charts, &day))
            (logins_and_refusals(&host, &day))
        }
    };
    page::render(&host, &operator, Place::Overview, "Overview", &body)
}

async fn tiles(host: &Host, now: &Sample) -> Markup {
    let mailboxes = host.store.mailboxes(Actor::Host, None).await;
    let messages: u64 = mailboxes.iter().map(|mailbox| mailbox.messages).sum();
    let octets: u64 = mailboxes.iter().map(|mailbox| mailbox.octets).sum();
    let room = host.store.system().room(&host.config.data_dir);
    let validity = host.identity.as_ref().and_then(|identity| identity.validity());
    let open: Vec<_> = Service::ALL
        .into_iter()
        .map(|service| (service, host.counts.open.get(&service)))
        .filter(|(_, count)| *count > 0)
        .collect();
    html! {
        ul.tiles {
            li { a href="/queue" {
                span.tile-name { "Queue" }
                span.tile-value { (now.queue) }
                span.tile-more {
                    @if now.queue == 0 { "nothing waits" }
                    @else { "the oldest for " (span(now.age)) }
                }
            } }
            li { a href="/accounts" {
                span.tile-name { "Mail in store" }
                span.tile-value { (size(octets)) }
                span.tile-more { (number(messages, "message")) ", " (number(host.accounts.accounts().len() as u64, "account")) }
            } }
            li { div {
                span.tile-name { "Disk" }
                @if let Some((free, all)) = room {
                    span.tile-value { (size(free)) }
                    span.tile-more { "free of " (size(all)) ", " (size(host.config.limits.disk_reserve.octets(all))) " are kept" }
                } @else {
                    span.tile-value { "–" }
                    span.tile-more { "unknown" }
                }
            } }
            li { a href="/sessions" {
                span.tile-name { "Sessions" }
                span.tile-value { (host.sessions.len()) }
                span.tile-more {
                    @for (at, (service, count)) in open.iter().enumerate() {
                        @if at > 0 { ", " } (count) " " (service)
                    }
                }
            } }
            li { a href="/certificates" {
                span.tile-name { "Certificate" }
                @if let Some(validity) = validity {
                    @let until = Duration::from_secs(u64::try_from(validity.until.unix_timestamp()).unwrap_or_default());
                    span.tile-value {
                        @if until > now.at { (span(until.saturating_sub(now.at))) } @else { "ended" }
                    }
                    span.tile-more { "until " (validity.until.date()) }
                } @else {
                    span.tile-value { "–" }
                    span.tile-more { "none, or it does not say until when" }
                }
            } }
        }
    }
}

/// What the charts leave out.
fn logins_and_refusals(host: &Host, day: &[Interval]) -> Markup {
    let mut all = Counted::default();
    day.iter().for_each(|interval| all.add(interval.counted));
    let mut refusals = host.counts.refusals.all();
    refusals.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    html! {
        @if !refusals.is_empty() {
            details.numbers {
                summary { "What was refused since the start" }
                div.scroll tabindex="0" role="region" aria-label="What was refused" { table {
                    thead { tr { th scope="col" { "What" } th scope="col" { "Our reply" } th.number scope="col" { "How often" } } }
                    tbody {
                        @for (refusal, count) in refusals.iter().take(REFUSALS) {
                            tr { td { (refusal.stage()) } td { code { (refusal) } } td.number { (count) } }
                        }
                    }
                } }
                p.hint { (all.refused) " of them over the last day." }
            }
        }
    }
}

/// What ought to be looked after, the worst first.
async fn warnings(host: &Host, now: Duration) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some((free, all)) = host.store.system().room(&host.config.data_dir) {
        let reserve = host.config.limits.disk_reserve.octets(all);
        if free <= reserve {
            warnings.push(format!(
                "No mail is taken, for only {} of disk are free and {} are kept. Make room, or lower disk_reserve in [limits].",
                size(free),
                size(reserve)
            ));
        }
    }
    if !host.relay.is_read() {
        warnings.push(
            "Not all that waits has been read since the start: what is said of the queue is not all."
                .to_owned(),
        );
    }
    let mut findings: Vec<_> = preflight::imprudent(&host.config).collect();
    if let Some(identity) = &host.identity {
        findings.extend(preflight::of_certificate(&host.config, Some(identity)));
    }
    findings.retain(|finding| finding.severity != Severity::Ok);
    warnings.extend(findings.iter().map(|finding| sentence(&finding.text)));
    warnings.extend(late(&host.relay.destinations(), now));
    let suspended = host.accounts.accounts().iter().filter(|account| account.suspended.is_some()).count();
    if suspended > 0 {
        warnings.push(format!("{} suspended.", are(suspended as u64, "account")));
    }
    warnings
}

/// Destinations that mail does not get to.
fn late(destinations: &[Destination], now: Duration) -> Vec<String> {
    let late: Vec<_> = destinations
        .iter()
        .filter(|destination| {
            now.saturating_sub(destination.oldest) > LATE && destination.held < destination.recipients
        })
        .collect();
    let mut lines: Vec<_> = late
        .iter()
        .take(WARNINGS)
        .map(|destination| {
            let Destination { domain, messages, oldest, why, .. } = destination;
            let age = span(now.saturating_sub(*oldest));
            let waits = if *messages == 1 { "waits" } else { "wait" };
            let messages = number(*messages as u64, "message");
            format!("{messages} {waits} for {domain}, the oldest for {age}: {}", sentence(why))
        })
        .collect();
    if late.len() > WARNINGS {
        lines.push(format!("{} late as well.", are((late.len() - WARNINGS) as u64, "more destination")));
    }
    let held: usize = destinations.iter().map(|destination| destination.held).sum();
    if held > 0 {
        lines.push(format!("{} held by you.", are(held as u64, "recipient")));
    }
    lines
}

fn are(count: u64, what: &str) -> String {
    format!("{} {}", number(count, what), if count == 1 { "is" } else { "are" })
}

fn charts() -> [Chart; 6] {
    let plain = |number: u64| number.to_string();
    let sum = |title, kind, of| Chart { title, kind, of, adds_up: true, text: plain };
    [
        sum("Accepted", "in", |interval| interval.counted.accepted),
        sum("Delivered here", "in", |interval| interval.counted.delivered),
        sum("Relayed", "out", |interval| interval.counted.relayed),
        sum("Refused", "no", |interval| interval.counted.refused),
        Chart { title: "Queue", kind: "wait", of: |interval| interval.queue, adds_up: false, text: plain },
        Chart {
            title: "Longest wait",
            kind: "wait",
            of: |interval| interval.age.as_secs(),
            adds_up: false,
            text: |seconds| span(Duration::from_secs(seconds)),
        },
    ]
}

/// Parts of the day in the charts: a quarter of an hour each.
const PARTS: u32 = 96;
/// What has waited longer than this is late: the first tries have failed.
const LATE: Duration = Duration::from_secs(4 * 3_600);
const WARNINGS: usize = 5;
const REFUSALS: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(domain: &str, messages: usize, hours: u64, held: usize) -> Destination {
        Destination {
            domain: domain.to_owned(),
            messages,
            recipients: messages,
            held,
            oldest: Duration::from_secs(1_000_000 - 3_600 * hours),
            why: "connection refused".to_owned(),
        }
    }

    #[test]
    fn what_is_late_is_told_in_words() {
        let now = Duration::from_secs(1_000_000);
        let all = [
            destination("a.test", 3, 5, 0),
            destination("b.test", 1, 50, 0),
            destination("new.test", 9, 4, 0),
            destination("held.test", 2, 90, 2),
        ];
        assert_eq!(
            late(&all, now),
            [
                "3 messages wait for a.test, the oldest for 5 hours: Connection refused.",
                "1 message waits for b.test, the oldest for 2 days: Connection refused.",
                "2 recipients are held by you.",
            ]
        );
        let many: Vec<_> = (0..7).map(|_| destination("x.test", 1, 9, 0)).collect();
        assert_eq!(late(&many, now).last().unwrap(), "2 more destinations are late as well.");
    }
}
