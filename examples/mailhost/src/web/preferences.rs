//! What somebody who is signed in sets for themselves: passwords, the signature, and where they are signed in.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;
use tracing::info;

use super::mail::Folders;
use super::page::{Shell, ports, seal};
use super::problem::Problem;
use super::visit::{SealedForm, SignedIn, User};
use crate::accounts::app_password::{AppPassword, Made};
use crate::accounts::{ChangeError, Overview};
use crate::auth::{Login, Password};
use crate::host::Host;
use crate::metrics::Outcome;
use crate::words::{date, number, size};

pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new()
        .route("/settings", get(show))
        .route("/settings/signature", post(sign))
        .route("/settings/app-passwords", post(add))
        .route("/settings/app-passwords/remove", post(remove))
        .route("/settings/sessions/end", post(end))
}

#[derive(Deserialize)]
struct Signature {
    signature: String,
}

#[derive(Deserialize)]
struct Device {
    name: String,
    /// The password of the account: who finds a browser open must not get one that lasts.
    password: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Which {
    /// One session; all others if it is left out.
    #[serde(default)]
    id: String,
}

/// What is said at the top of the page.
enum Said {
    Nothing,
    Good(&'static str),
    Bad(String),
    /// A password that was made, and for what.
    Made(Password, String),
}

async fn show(State(host): State<Arc<Host>>, signed_in: SignedIn) -> Result<Response, Problem> {
    page(&host, &signed_in, StatusCode::OK, &Said::Nothing, "").await
}

async fn sign(
    State(host): State<Arc<Host>>,
    SealedForm(signed_in, Signature { signature }): SealedForm<Signature>,
) -> Result<Response, Problem> {
    let account = signed_in.session.pass.presence.account();
    match host.accounts.set_signature(account, &signature).await {
        Ok(()) => {
            let said = Said::Good("Your signature is kept.");
            page(&host, &signed_in, StatusCode::OK, &said, "").await
        }
        Err(error @ ChangeError::BadSignature) => {
            let said = Said::Bad(format!("Nothing was changed: {error}."));
            page(&host, &signed_in, StatusCode::BAD_REQUEST, &said, &signature).await
        }
        Err(error) => Err(Problem::failed("a signature", error)),
    }
}

async fn add(
    State(host): State<Arc<Host>>,
    SealedForm(signed_in, Device { name, password }): SealedForm<Device>,
) -> Result<Response, Problem> {
    let refused = |status, why: &str| {
        let said = Said::Bad(format!("No password was made. {why}"));
        let (host, signed_in) = (Arc::clone(&host), signed_in.clone());
        async move { page(&host, &signed_in, status, &said, "").await }
    };
    let visitor = signed_in.visitor;
    let login = match Password::new(password) {
        Ok(password) => host.log_in_as_owner(visitor.peer, signed_in.address(), password).await,
        Err(_) => Err(Login::Rejected),
    };
    let outcome = login.as_ref().map_or_else(|login| login.counted(), |_| Outcome::Good);
    host.logged_in(visitor.service, outcome, signed_in.address());
    let forbidden = StatusCode::FORBIDDEN;
    match login {
        Ok(presence) if presence.account() == signed_in.session.pass.presence.account() => {}
        Err(Login::TooMany) => {
            let why = "Too many passwords were wrong of late. Wait a minute, then try again.";
            return refused(StatusCode::TOO_MANY_REQUESTS, why).await;
        }
        Err(Login::Unavailable) => return Err(Problem::Unavailable),
        _ => return refused(forbidden, "The password of your account was another one.").await,
    }
    let made = host.store.system().compute(Made::new).await.and_then(Result::ok);
    let Some(Made { password, digest, scram }) = made else { return Err(Problem::Unavailable) };
    let name = name.trim();
    match host.accounts.add_app_password(signed_in.address(), name, &digest, scram).await {
        Ok(()) => {
            info!(address = signed_in.address(), name, "app password added");
            page(&host, &signed_in, StatusCode::OK, &Said::Made(password, name.to_owned()), "").await
        }
        Err(ChangeError::BadAppName(_)) => {
            let why = "A name has 1 to 32 letters, digits, or any of - _ . and no spaces.";
            refused(StatusCode::BAD_REQUEST, why).await
        }
        Err(ChangeError::AppNameTaken(..)) => {
            refused(StatusCode::CONFLICT, "There is one of this name already. Take another name.").await
        }
        Err(ChangeError::TooManyAppPasswords(_)) => {
            refused(
                StatusCode::CONFLICT,
                "There are enough of them. Remove one that you do not use any more.",
            )
            .await
        }
        Err(error) => Err(Problem::failed("an app password", error)),
    }
}

async fn remove(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    SealedForm(signed_in, Named { name }): SealedForm<Named>,
) -> Result<Response, Problem> {
    let address = signed_in.address();
    match host.accounts.remove_app_password(address, &name).await {
        Ok(()) => info!(address, name, "app password removed"),
        Err(ChangeError::NoAppPassword(..)) => return Err(Problem::NotFound),
        Err(error) => return Err(Problem::failed("an app password", error)),
    }
    // All sessions of the account have ended with it, and this one goes on: it was not begun with an app password.
    let account = signed_in.session.pass.presence.account();
    let entered = host.accounts.login(address).map(|found| found.presence);
    let presence = entered.filter(|presence| presence.account() == account).ok_or(Problem::Unavailable)?;
    let user = User { presence, address: address.to_owned() };
    let begun = host.web_sessions.begin(host.store.system(), signed_in.visitor, &headers, user);
    let (session, cookie) = begun.map_err(|error| Problem::failed("a session", error))?;
    let signed_in = SignedIn { session, ..signed_in };
    let said =
        Said::Good("The password is removed. Every program and browser but this one has to sign in anew.");
    let mut response = page(&host, &signed_in, StatusCode::OK, &said, "").await?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

async fn end(
    State(host): State<Arc<Host>>,
    SealedForm(signed_in, Which { id }): SealedForm<Which>,
) -> Result<Response, Problem> {
    let own = &signed_in.session;
    host.web_sessions.end(&own.pass, |other| other.id != own.id && (id.is_empty() || other.id == id));
    info!(address = signed_in.address(), "other browsers signed out");
    Ok(Redirect::to("/settings#browsers").into_response())
}

async fn page(
    host: &Host,
    signed_in: &SignedIn,
    status: StatusCode,
    said: &Said,
    signature: &str,
) -> Result<Response, Problem> {
    let overview = host.accounts.overview(signed_in.address()).await;
    let overview = overview.map_err(|error| Problem::failed("an account", error))?;
    let kept = host.accounts.signature(overview.account.id);
    let signature = if signature.is_empty() { &kept } else { signature };
    let body = html! {
        div.settings {
            h1 { "Settings" }
            p.hint { (signed_in.address()) }
            (said.shown())
            section aria-labelledby="signature" {
                h2 #signature { "Signature" }
                p { "Stands below what you write here." }
                form action="/settings/signature" method="post" {
                    (seal(signed_in))
                    label { "Text" textarea name="signature" rows="4" maxlength="4096" { "\n" (signature) } }
                    button { "Keep it" }
                }
            }
            (app_passwords(signed_in, &overview))
            section aria-labelledby="password" {
                h2 #password { "Your password" }
                p { a.button.quiet href="/account" { "Change it" } }
                p.hint { "A new one signs all programs and browsers out." }
            }
            (browsers(host, signed_in))
            (storage(&overview))
            (programs(host, signed_in))
        }
    };
    let folders = Folders::of(host, signed_in).await;
    let shell = Shell { signed_in, folders: &folders, current: None, query: "", title: "Settings" };
    Ok(shell.render(status, &body))
}

fn app_passwords(signed_in: &SignedIn, overview: &Overview) -> Markup {
    let all = &overview.account.app_passwords;
    html! {
        section aria-labelledby="app-passwords" {
            h2 #app-passwords { "Passwords for programs" }
            p { "One for each telephone or mail program. If it is lost, remove its password, and keep your own." }
            @if !all.is_empty() {
                ul.rows {
                    @for app in all {
                        li {
                            div { strong { (app.name) } div.hint { (used(app)) } }
                            form.inline action="/settings/app-passwords/remove" method="post" {
                                (seal(signed_in))
                                input type="hidden" name="name" value=(app.name);
                                button.quiet aria-label={ "Remove the password of " (app.name) } { "Remove" }
                            }
                        }
                    }
                }
                p.hint { "To remove one signs all programs and browsers out but this one." }
            }
            form action="/settings/app-passwords" method="post" {
                (seal(signed_in))
                label { "What it is for"
                    input type="text" name="name" required maxlength="32" pattern="[A-Za-z0-9._\\-]+" placeholder="phone"
                        title="Letters, digits, and any of - _ ." autocapitalize="none" autocomplete="off" spellcheck="false"; }
                label { "The password of your account"
                    input type="password" name="password" required autocomplete="current-password"; }
                button { "Make one" }
            }
        }
    }
}

fn browsers(host: &Host, signed_in: &SignedIn) -> Markup {
    let all = host.web_sessions.of(&signed_in.session.pass);
    html! {
        section aria-labelledby="browsers" {
            h2 #browsers { "Where you are signed in" }
            ul.rows {
                @for session in &all {
                    @let own = session.id == signed_in.session.id;
                    li {
                        div {
                            strong { (browser(&session.agent)) @if own { " (this one)" } }
                            div.hint {
                                "from " (session.peer.to_canonical()) ", since " (signed_in.clock.short(session.begun))
                                ", last seen " (signed_in.clock.short(session.seen()))
                            }
                        }
                        @if !own {
                            form.inline action="/settings/sessions/end" method="post" {
                                (seal(signed_in))
                                input type="hidden" name="id" value=(session.id);
                                button.quiet aria-label={ "Sign out " (browser(&session.agent)) } { "Sign out" }
                            }
                        }
                    }
                }
            }
            @if all.len() > 1 {
                form.inline action="/settings/sessions/end" method="post" {
                    (seal(signed_in))
                    button.quiet { "Sign out all others" }
                }
            }
        }
    }
}

fn storage(overview: &Overview) -> Markup {
    let Overview { octets, most_octets, messages, most_messages, .. } = overview;
    let bar = |used: u64, most: u64, label: &str| {
        html! { meter min="0" max=(most) high=(most / 10 * 9) value=(used.min(most)) aria-label=(label) {} }
    };
    html! {
        section aria-labelledby="storage" {
            h2 #storage { "Storage" }
            p {
                (size(*octets)) @if let Some(most) = most_octets { " of " (size(*most)) }
                " in " (number(*messages, "message")) @if let Some(most) = most_messages { " of " (most) } "."
            }
            @if let Some(most) = most_octets { (bar(*octets, *most, "Storage used")) }
            @if let Some(most) = most_messages { (bar(*messages, *most, "Messages")) }
        }
    }
}

fn programs(host: &Host, signed_in: &SignedIn) -> Markup {
    html! {
        @if !host.offers.is_empty() {
            section aria-labelledby="programs" {
                h2 #programs { "Other mail programs" }
                p {
                    "Most want only your address and a password, best one of those above. Where one asks for more, the server is "
                    code { (host.config.hostname) } ", the user name is " code { (signed_in.address()) } ", and the ports are these:"
                }
                (ports(&host.offers))
                h3 { "iPhone, iPad and Mac" }
                form action="/apple.mobileconfig" method="get" {
                    input type="hidden" name="email" value=(signed_in.address());
                    p { "A profile sets up all of it. Open it in Safari, then allow it in the settings." }
                    button.quiet { "Get the profile" }
                }
            }
        }
    }
}

fn used(app: &AppPassword) -> String {
    let made = date(app.made);
    match app.last_used {
        Some(day) => format!("made {made}, last used {}", date(day * 86_400)),
        None => format!("made {made}, never used"),
    }
}

/// What a browser is, as far as it can be guessed from what it says.
fn browser(agent: &str) -> String {
    let found = |words: &[(&str, &'static str)]| {
        words.iter().find(|(word, _)| agent.contains(word)).map(|(_, name)| *name)
    };
    // Each of them also says that it is those behind it.
    let name = found(&[
        ("Firefox/", "Firefox"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = found(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "Mac"),
        ("Linux", "Linux"),
    ]);
    match (name, system) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.to_owned(),
        _ => "A browser".to_owned(),
    }
}

impl Said {
    fn shown(&self) -> Markup {
        match self {
            Self::Nothing => html! {},
            Self::Good(text) => html! { p.good role="status" { (text) } },
            Self::Bad(text) => html! { p.bad role="alert" { (text) } },
            Self::Made(password, name) => html! {
                div.made role="status" {
                    p { "The password for " strong { (name) } ":" }
                    p.secret { code { (password.expose()) } }
                    p.hint { "Type it as it stands, with its hyphens. It is shown this once: nobody can look it up later." }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_apart() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36";
        for (agent, name) in [
            (chrome.to_owned(), "Chrome on Linux"),
            (format!("{chrome} Edg/120.0"), "Edge on Linux"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:120.0) Gecko/20100101 Firefox/120.0"
                    .to_owned(),
                "Firefox on Mac",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile Safari/604.1"
                    .to_owned(),
                "Safari on iPhone",
            ),
            ("curl/8.0".to_owned(), "curl"),
            ("<script>".to_owned(), "A browser"),
            (String::new(), "A browser"),
        ] {
            assert_eq!(browser(&agent), name);
        }
    }
}
