//! Pages: how they look, and the first one.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::typed;
use crate::host::Host;
use crate::offers::{Offer, Protocol, Security};

/// What this host is, and how a mail program is set up for it.
pub(super) async fn home(State(host): State<Arc<Host>>) -> Response {
    let hostname = host.config.hostname.as_str();
    render(
        StatusCode::OK,
        hostname,
        &html! {
            h1 { (hostname) }
            p { "This is a mail server. To read and send your mail, add your account to a mail program." }
            @if host.offers.is_empty() {
                p { "It only passes mail on: there is nothing here that a mail program could use." }
            } @else {
                h2 { "Set up a mail program" }
                p {
                    "Most programs want only your mail address and your password, and find the rest by themselves. \
                     Where one asks for more, the server is " code { (hostname) } ", the user name is your whole mail address, and \
                     the ports are these:"
                }
                (ports(&host.offers))
                p.hint {
                    "Of two for the same, take the upper one. The password is sent under encryption: choose “normal password” \
                     where there is a choice."
                }
            }
            h2 { "iPhone, iPad and Mac" }
            p { "A profile sets up all of it. Open it in Safari, then allow it in the settings; the password is asked for then." }
            form action="/apple.mobileconfig" method="get" {
                label { "Your mail address" input type="email" name="email" required autocomplete="email"; }
                button { "Get the profile" }
            }
            h2 { "Your password" }
            p { "You can " a href="/account" { "change your password" } " here. Whoever runs this server can give you a new one if you have lost yours." }
        },
    )
}

fn ports(offers: &[Offer]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "To" } th { "Port" } th { "Security" } } }
            tbody {
                @for offer in offers {
                    tr {
                        td { (purpose(offer.protocol)) }
                        td { code { (offer.port) } }
                        td { (security(offer.security)) }
                    }
                }
            }
        } }
    }
}

fn purpose(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "read (IMAP)",
        Protocol::Pop3 => "collect (POP3)",
        Protocol::Submission => "send (SMTP)",
    }
}

fn security(security: Security) -> &'static str {
    match security {
        Security::Tls => "SSL/TLS",
        Security::StartTls => "STARTTLS",
    }
}

pub(super) async fn not_found() -> Response {
    let text = html! {
        h1 { "There is no such page" }
        p { a href="/" { "To the first page" } }
    };
    render(StatusCode::NOT_FOUND, "Not found", &text)
}

pub(super) async fn not_allowed() -> Response {
    StatusCode::METHOD_NOT_ALLOWED.into_response()
}

/// A whole page.
pub(super) fn render(status: StatusCode, title: &str, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="stylesheet" href="/style.css";
            }
            body { main { (body) } }
        }
    };
    (status, typed("text/html; charset=utf-8", page.into_string())).into_response()
}

/// How all pages look.
pub(super) async fn style() -> Response {
    ([(CACHE_CONTROL, "max-age=3600")], typed("text/css; charset=utf-8", include_str!("style.css")))
        .into_response()
}
