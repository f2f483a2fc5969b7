//! What all of the operator's pages have around them.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::super::page::document;
use super::door::Operator;
use crate::host::Host;
use crate::words::{exact, minute, span};

/// Where one is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Overview,
    Queue,
    Sessions,
    Accounts,
    Certificates,
    Dns,
}

impl Place {
    const ALL: [Self; 6] =
        [Self::Overview, Self::Queue, Self::Sessions, Self::Accounts, Self::Certificates, Self::Dns];

    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Queue => "/queue",
            Self::Sessions => "/sessions",
            Self::Accounts => "/accounts",
            Self::Certificates => "/certificates",
            Self::Dns => "/dns",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Queue => "Queue",
            Self::Sessions => "Sessions",
            Self::Accounts => "Accounts",
            Self::Certificates => "Certificates",
            Self::Dns => "DNS",
        }
    }
}

/// A page for somebody who is in.
pub(super) fn render(host: &Host, operator: &Operator, place: Place, title: &str, body: &Markup) -> Response {
    render_as(StatusCode::OK, host, operator, Some(place), title, body)
}

/// The same with another status, or of no place.
pub(super) fn render_as(
    status: StatusCode,
    host: &Host,
    operator: &Operator,
    place: Option<Place>,
    title: &str,
    body: &Markup,
) -> Response {
    let top = html! {
        header.desk-top {
            p.desk-name { a href="/" { (host.config.hostname) } }
            nav aria-label="Pages" {
                @for each in Place::ALL {
                    a href=(each.path()) aria-current=[(Some(each) == place).then_some("page")] { (each.title()) }
                }
            }
            form.desk-leave action="/leave" method="post" {
                (seal(operator))
                button.quiet { "Sign out" }
            }
        }
    };
    let now = host.store.system().unix_now();
    let foot = html! { footer.desk-foot { p.hint { "As of " (time(now)) "." } } };
    whole(status, &format!("{title} · {}", host.config.hostname), &top, body, &foot)
}

/// For somebody who is not in: how to get in.
pub(super) fn outside(host: &Host, status: StatusCode) -> Response {
    let name = host.config.hostname.as_str();
    let body = html! {
        h1 { (name) " is up" }
        @if status != StatusCode::OK {
            p.bad role="alert" { "You are not signed in, or your link has been used or is older than ten minutes." }
        }
        p { "These pages are for whoever runs this host. On its machine, type" }
        pre.command { code { "mailhost operator --config FILE" } }
        p { "and open the link that it prints. It works once; after that this browser is signed in for twelve hours." }
        p.hint { "For Prometheus there is " a href="/metrics" { "/metrics" } ", without a link." }
    };
    whole(status, name, &html! {}, &body, &html! {})
}

/// For a form that was not filled in on one of our pages.
pub(super) fn foreign(host: &Host, operator: &Operator) -> Response {
    let body = html! {
        h1 { "Nothing was done" }
        p.bad role="alert" { "This form came from another site, or from before you signed in. Load the page anew, then try again." }
        p { a href="/" { "To the overview" } }
    };
    render_as(StatusCode::FORBIDDEN, host, operator, None, "Nothing was done", &body)
}

/// Something did not work: one sentence.
pub(super) fn failed(
    host: &Host,
    operator: &Operator,
    status: StatusCode,
    back: &str,
    why: &str,
) -> Response {
    let body = html! {
        h1 { "That did not work" }
        p.bad role="alert" { (sentence(why)) }
        p { a href=(back) { "Back" } }
    };
    render_as(status, host, operator, None, "That did not work", &body)
}

/// For a name that is not this host's.
pub(super) fn elsewhere() -> Response {
    let body = html! {
        h1 { "There is nothing here under this name" }
        p { "Open this page by the address of the machine, by the name localhost, or by the name of the host." }
    };
    whole(StatusCode::MISDIRECTED_REQUEST, "Nothing here", &html! {}, &body, &html! {})
}

fn whole(status: StatusCode, title: &str, top: &Markup, body: &Markup, foot: &Markup) -> Response {
    document(status, title, "desk", false, &html! { (top) main { (body) } (foot) })
}

/// What every form carries.
pub(super) fn seal(operator: &Operator) -> Markup {
    html! { input type="hidden" name="seal" value=(operator.seal); }
}

/// A time, for people and for programs.
pub(super) fn time(at: Duration) -> Markup {
    html! { time datetime=(exact(at)) { (minute(at)) } }
}

/// How long ago something was, with the time itself for those who point at it.
pub(super) fn ago(now: Duration, at: Duration) -> Markup {
    html! { time datetime=(exact(at)) title=(minute(at)) { (span(now.saturating_sub(at))) " ago" } }
}

/// How far off something is.
pub(super) fn ahead(now: Duration, at: Duration) -> Markup {
    html! {
        time datetime=(exact(at)) title=(minute(at)) {
            @if at > now { "in " (span(at.saturating_sub(now))) } @else { "now" }
        }
    }
}

/// What was said without one gets a full stop, and begins with a capital.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
