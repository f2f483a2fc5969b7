//! The certificate of the host, and those it hangs on.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::door::Operator;
use super::page::{self, Place, sentence};
use crate::host::Host;
use crate::preflight::{self, Severity};
use crate::tls::Summary;

/// All that the host sends with a handshake.
pub(super) async fn show(State(host): State<Arc<Host>>, operator: Operator) -> Response {
    let body = html! {
        h1 { "Certificates" }
        @match &host.identity {
            Some(identity) => {
                @for finding in preflight::of_certificate(&host.config, Some(identity)) {
                    @if finding.severity == Severity::Ok { p.good { (sentence(&finding.text)) } }
                    @else { p.bad { (sentence(&finding.text)) } }
                }
                @for (at, summary) in identity.summaries().iter().enumerate() {
                    (certificate(at, summary))
                }
                p.hint { "A new one is taken up by itself when its file changes." }
            }
            None => p { "This host has none, and speaks everything in the clear." },
        }
    };
    page::render(&host, &operator, Place::Certificates, "Certificates", &body)
}

fn certificate(at: usize, summary: &Summary) -> Markup {
    html! {
        section.card {
            h2 { @if at == 0 { "The host's own" } @else { "What issued the one before" } }
            dl.facts {
                div { dt { "Names" } dd {
                    @if summary.names.is_empty() { (summary.subject) }
                    @for name in &summary.names { div { (name) } }
                } }
                div { dt { "Issued by" } dd { (summary.issuer) @if summary.issuer == summary.subject { " (itself)" } } }
                @if let Some(validity) = summary.validity {
                    div { dt { "From" } dd { (validity.from.date()) } }
                    div { dt { "Until" } dd { (validity.until.date()) } }
                }
                div { dt { "SHA-256" } dd { code { (summary.fingerprint) } } }
            }
        }
    }
}
