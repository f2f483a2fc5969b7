//! Who is connected.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::html;

use super::door::Operator;
use super::page::{self, Place, ago};
use crate::host::Host;
use crate::listener::Service;
use crate::words::{number, size};

/// The newest sessions, and how many there are of each kind.
pub(super) async fn show(State(host): State<Arc<Host>>, operator: Operator) -> Response {
    let now = host.store.system().unix_now();
    let (sessions, all) = (host.sessions.newest(MOST), host.sessions.len());
    let body = html! {
        h1 { "Sessions" }
        p { (number(all as u64, "session")) " at this moment, this page among them." }
        div.scroll tabindex="0" role="region" aria-label="Sessions" { table {
            thead { tr {
                th scope="col" { "Service" }
                th scope="col" { "From" }
                th scope="col" { "User" }
                th scope="col" { "Since" }
                th.number scope="col" { "Received" }
                th.number scope="col" { "Sent" }
                th scope="col" { "In the log" }
            } }
            tbody {
                @for session in &sessions {
                    tr {
                        td { (session.service) }
                        td { (session.peer) }
                        td { @match session.user() { Some(user) => (user), None => span.hint { "nobody" } } }
                        td { (ago(now, session.since)) }
                        td.number { (size(session.octets.read())) }
                        td.number { (size(session.octets.written())) }
                        td { code { (session.name) } }
                    }
                }
            }
        } }
        @if all > MOST { p.hint { "These are the newest " (MOST) "." } }
        h2 { "Since the start" }
        div.scroll tabindex="0" role="region" aria-label="Sessions since the start" { table {
            thead { tr { th scope="col" { "Service" } th.number scope="col" { "Open" } th.number scope="col" { "Begun" } } }
            tbody {
                @for service in Service::ALL {
                    @let begun = host.counts.begun.get(&service);
                    @if begun > 0 {
                        tr { th scope="row" { (service) } td.number { (host.counts.open.get(&service)) } td.number { (begun) } }
                    }
                }
            }
        } }
    };
    page::render(&host, &operator, Place::Sessions, "Sessions", &body)
}

/// Sessions on the page.
const MOST: usize = 500;
