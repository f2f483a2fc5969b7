//! What `mailhost check` says of DNS and of the way out, when it is asked for.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::door::{Operator, Order};
use super::page::{self, Place, seal, sentence, time};
use crate::host::Host;
use crate::preflight::{Finding, Severity};
use crate::survey::{self, World};

/// What DNS has said last.
#[derive(Default)]
pub(super) struct Look {
    now: Mutex<Looked>,
    done: Notify,
}

#[derive(Clone, Default)]
struct Looked {
    /// Somebody has asked, and the answers are not here yet.
    runs: bool,
    /// When it was, since the UNIX epoch, and what was found.
    last: Option<(Duration, Vec<Finding>)>,
}

impl Look {
    fn now(&self) -> MutexGuard<'_, Looked> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look(..)")
    }
}

/// What was found last.
pub(super) async fn show(State(host): State<Arc<Host>>, operator: Operator) -> Response {
    let Looked { runs, last } = host.desk.dns.now().clone();
    let body = html! {
        h1 { "DNS" }
        p { "Looks at every record that others need to send you mail, to trust yours, and to set up their mail programs, and at the way out." }
        form.sure action="/dns" method="post" { (seal(&operator)) button { "Look now" } }
        @if runs { p.good role="status" { "The servers are being asked. " a href="/dns" { "Load this page again" } " in a while." } }
        @if let Some((at, findings)) = &last {
            h2 { "Found" }
            p.hint { "As of " (time(*at)) "." }
            ul.findings { @for finding in findings { (shown(finding)) } }
        }
    };
    page::render(&host, &operator, Place::Dns, "DNS", &body)
}

/// Asks, and waits for a while. Whoever asks twice gets one answer.
pub(super) async fn look(State(host): State<Arc<Host>>, _: Order) -> Response {
    let done = host.desk.dns.done.notified();
    if !std::mem::replace(&mut host.desk.dns.now().runs, true) {
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            let found = match survey::not_asked(&host.config) {
                Some(why) => vec![Finding { severity: Severity::Ok, text: why }],
                None => {
                    let world = World::new(&host.config.dns, None);
                    let late = |_| vec![Finding { severity: Severity::Warning, text: LATE.to_owned() }];
                    timeout(MOST, survey::check(&host.config, &world)).await.unwrap_or_else(late)
                }
            };
            *host.desk.dns.now() =
                Looked { runs: false, last: Some((host.store.system().unix_now(), found)) };
            host.desk.dns.done.notify_waiters();
        });
    }
    let _ = timeout(PATIENCE, done).await;
    Redirect::to("/dns").into_response()
}

fn shown(finding: &Finding) -> Markup {
    let (class, word) = match finding.severity {
        Severity::Ok => ("is-good", "good"),
        Severity::Warning => ("is-late", "to do"),
        Severity::Error => ("is-bad", "wrong"),
    };
    // What is to be published stands on lines of its own.
    let (text, record) = finding.text.split_once('\n').unwrap_or((&finding.text, ""));
    html! {
        li.(class) {
            p { strong.badge { (word) } " " @if record.is_empty() { (sentence(text)) } @else { (text) ":" } }
            @if !record.is_empty() { pre tabindex="0" { @for line in record.lines() { (line.trim()) "\n" } } }
        }
    }
}

const LATE: &str = "the answers did not come in time; try again in a while";
/// How long a browser waits for the answers.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the answers may take at all.
const MOST: Duration = Duration::from_secs(60);
