//! Pages: what is around their content, how they look, and the first one.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Redirect, Response};
use mailstore::mailbox::{MailboxId, MailboxStatus, SpecialUse};
use maud::{DOCTYPE, Markup, html};

use super::mail::{self, Folders};
use super::problem::Problem;
use super::visit::SignedIn;
use super::{Visitor, sign_in, typed};
use crate::host::Host;
use crate::offers::{Offer, Protocol, Security};

/// What this host is: a place to sign in, and how a mail program is set up for it. Who is signed in goes to their mail.
pub(super) async fn home(
    State(host): State<Arc<Host>>,
    Extension(visitor): Extension<Visitor>,
    signed_in: Option<SignedIn>,
) -> Result<Response, Problem> {
    if signed_in.is_some() {
        return Ok(Redirect::to("/mail").into_response());
    }
    let hostname = host.config.hostname.as_str();
    let has_mail = !host.config.domains.is_empty();
    let form = if has_mail && visitor.private { Some(sign_in::form(&host, visitor, "", "")?) } else { None };
    Ok(render(
        StatusCode::OK,
        hostname,
        &html! {
            h1 { (hostname) }
            @if has_mail {
                p { "This is a mail server. Read and send your mail here, or with a mail program." }
                @match form {
                    Some(form) => { h2 { "Sign in" } (form) }
                    None => p.bad { "Open this page with https:// to sign in: over this connection, others could read your password along the way." },
                }
            } @else {
                p { "This is a mail server. It only passes mail on: there is nothing here that a mail program could use." }
            }
            @if !host.offers.is_empty() {
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
    ))
}

/// The ports that mail programs want to know.
pub(super) fn ports(offers: &[Offer]) -> Markup {
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

/// A whole page for somebody who may not be signed in: one column.
pub(super) fn render(status: StatusCode, title: &str, body: &Markup) -> Response {
    document(status, title, "plain", true, &html! { main #main { (body) } })
}

/// A page of somebody who is signed in, with their folders beside it.
pub(super) struct Shell<'a> {
    pub(super) signed_in: &'a SignedIn,
    pub(super) folders: &'a Folders,
    /// The folder that it belongs to, if it does.
    pub(super) current: Option<MailboxId>,
    /// What was searched for.
    pub(super) query: &'a str,
    /// What the browser's window says.
    pub(super) title: &'a str,
}

impl Shell<'_> {
    /// The page, with this as its content.
    pub(super) fn render(&self, status: StatusCode, body: &Markup) -> Response {
        document(
            status,
            self.title,
            "app",
            true,
            &html! {
                a.skip href="#main" { "Skip to the content" }
                (self.header())
                (self.navigation())
                main #main tabindex="-1" { (body) }
            },
        )
    }

    fn header(&self) -> Markup {
        let current = self.current.or_else(|| self.folders.inbox().ok().map(|inbox| inbox.id));
        html! {
            header.bar {
                a.to-folders href="#folders" { "Folders" }
                a.brand href="/mail" { "Postrider" }
                @if let Some(current) = current {
                    form.find role="search" action=(mail::path(current)) method="get" {
                        label.hidden for="q" { "Search mail" }
                        input #q type="search" name="q" value=(self.query) placeholder="Search mail" maxlength="500";
                        button.quiet { "Search" }
                    }
                }
                div.you {
                    a href="/settings" title=(self.signed_in.address()) { "Settings" }
                    form.inline action="/sign-out" method="post" {
                        (seal(self.signed_in))
                        button.link { "Sign out" }
                    }
                }
            }
        }
    }

    fn navigation(&self) -> Markup {
        html! {
            nav #folders aria-label="Folders" {
                a.close href="#main" { "Close" }
                a.button.write href="/compose" { "Write" }
                ul {
                    @for folder in self.folders.iter() {
                        li { (self.folder(folder)) }
                    }
                }
                a.manage-folders href="/folders" { "Change folders" }
            }
        }
    }

    fn folder(&self, folder: &MailboxStatus) -> Markup {
        let current = (self.current == Some(folder.id)).then_some("page");
        // What waits to be finished counts as a whole, everything else as far as it has not been read.
        let drafts = folder.special_use == Some(SpecialUse::Drafts);
        let (count, what) = if drafts { (folder.messages, "drafts") } else { (folder.unseen, "unread") };
        html! {
            a href=(mail::path(folder.id)) aria-current=[current] data-folder=(folder.id.get()) {
                span.name { (mail::title(folder)) }
                @if count > 0 { span.count { (count) span.hidden { " " (what) } } }
            }
        }
    }
}

/// What each form of somebody who is signed in carries.
pub(super) fn seal(signed_in: &SignedIn) -> Markup {
    html! { input type="hidden" name="seal" value=(signed_in.seal()); }
}

/// Everything around a page of this class, with the script or without.
pub(super) fn document(
    status: StatusCode,
    title: &str,
    class: &str,
    script: bool,
    body: &Markup,
) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/style.css";
                @if script { script src="/script.js" defer {} }
            }
            body class=(class) { (body) }
        }
    };
    (status, typed("text/html; charset=utf-8", page.into_string())).into_response()
}

/// How all pages look.
pub(super) async fn style() -> Response {
    const STYLE: &str = concat!(
        include_str!("style/base.css"),
        include_str!("style/shell.css"),
        include_str!("style/mail.css"),
        include_str!("style/read.css"),
        include_str!("style/operator.css"),
        include_str!("style/settings.css"),
        include_str!("style/compose.css"),
    );
    kept("text/css; charset=utf-8", STYLE)
}

/// What stands beside the title of a page where browsers show it.
pub(super) async fn icon() -> Response {
    kept("image/svg+xml", include_str!("style/icon.svg"))
}

/// What makes pages a little more convenient.
pub(super) async fn script() -> Response {
    const SCRIPT: &str = concat!(
        include_str!("script/base.js"),
        include_str!("script/mail.js"),
        include_str!("script/compose.js"),
        include_str!("script/read.js")
    );
    kept("text/javascript; charset=utf-8", SCRIPT)
}

/// An answer that the browser may keep for a while.
fn kept(content_type: &'static str, text: &'static str) -> Response {
    ([(CACHE_CONTROL, "max-age=300")], typed(content_type, text)).into_response()
}
