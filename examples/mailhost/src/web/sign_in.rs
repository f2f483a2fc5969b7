//! Signing in and out.

use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use maud::{Markup, html};
use serde::Deserialize;
use tracing::info;

use super::Visitor;
use super::account::in_the_clear;
use super::onward::own_path;
use super::page::render;
use super::problem::Problem;
use super::visit::{SealedForm, SignedIn, User};
use crate::auth::{Login, Password};
use crate::host::Host;
use crate::metrics::Outcome;

/// What is filled in. The names of the fields are those that password managers know.
#[derive(Deserialize)]
struct Filled {
    username: String,
    password: String,
    seal: String,
    #[serde(default)]
    then: String,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    then: String,
}

#[derive(Deserialize)]
struct Nothing {}

pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new().route("/sign-in", get(show).post(sign_in)).route("/sign-out", post(sign_out))
}

async fn show(
    State(host): State<Arc<Host>>,
    Extension(visitor): Extension<Visitor>,
    signed_in: Option<SignedIn>,
    Query(wanted): Query<Wanted>,
) -> Response {
    if signed_in.is_some() {
        return Redirect::to(own_path(&wanted.then).unwrap_or(MAIL)).into_response();
    }
    let message = match own_path(&wanted.then) {
        Some(_) => html! { p.hint { "Sign in to go on." } },
        None => html! {},
    };
    page(&host, visitor, StatusCode::OK, &message, "", &wanted.then)
}

async fn sign_in(
    State(host): State<Arc<Host>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Response {
    if !visitor.private {
        return in_the_clear();
    }
    let Filled { username, password, seal, then } = filled;
    let again = |status, why: &str| {
        let message = html! { p.bad role="alert" { (why) } };
        page(&host, visitor, status, &message, &username, &then)
    };
    if !host.seal.is_good(host.store.system(), visitor.peer, &seal) {
        return again(StatusCode::BAD_REQUEST, "This form has been open for too long. Fill it in once more.");
    }
    let login = match Password::new(password) {
        // App passwords are for programs.
        Ok(password) => host.log_in_as_owner(visitor.peer, &username, password).await,
        Err(_) => Err(Login::Rejected),
    };
    let outcome = login.as_ref().map_or_else(|login| login.counted(), |_| Outcome::Good);
    host.logged_in(visitor.service, outcome, &username);
    let presence = match login {
        Ok(presence) => presence,
        Err(why) => {
            info!(service = %visitor.service, peer = %visitor.peer, login = ?username, ?why, "not signed in");
            return match why {
                Login::TooMany => again(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too many logins with this name or from your address have failed of late. Wait a minute, then try again.",
                ),
                Login::Suspended => {
                    again(StatusCode::FORBIDDEN, "This account is suspended. Ask whoever runs this server.")
                }
                Login::Unavailable => again(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "That is not possible right now. Try again in a while.",
                ),
                // The same for a name that nobody has.
                _ => again(StatusCode::FORBIDDEN, "The name or the password is wrong."),
            };
        }
    };
    let Some(account) = host.accounts.account(presence.account()) else {
        return again(StatusCode::FORBIDDEN, "The name or the password is wrong.");
    };
    let user = User { presence, address: account.address };
    match host.web_sessions.begin(host.store.system(), visitor, &headers, user) {
        Ok((session, cookie)) => {
            info!(service = %visitor.service, peer = %visitor.peer, login = ?username, web_session = session.id, "signed in");
            let to = Redirect::to(own_path(&then).unwrap_or(MAIL));
            ([(SET_COOKIE, cookie)], to).into_response()
        }
        Err(error) => Problem::failed("a session", error).into_response(),
    }
}

async fn sign_out(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    SealedForm(signed_in, Nothing {}): SealedForm<Nothing>,
) -> Response {
    let (session, visitor) = (&signed_in.session, signed_in.visitor);
    host.web_sessions.end(&session.pass, |other| other.id == session.id);
    info!(service = %visitor.service, peer = %visitor.peer, user = session.pass.address, web_session = session.id, "signed out");
    let cookie = host.web_sessions.forgotten(visitor, &headers);
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

fn page(
    host: &Host,
    visitor: Visitor,
    status: StatusCode,
    message: &Markup,
    username: &str,
    then: &str,
) -> Response {
    if !visitor.private {
        return in_the_clear();
    }
    match form(host, visitor, username, then) {
        Ok(form) => {
            let text = html! {
                h1 { "Sign in" }
                (message)
                (form)
                p.hint { "Lost your password? Whoever runs this server can give you a new one." }
            };
            render(status, "Sign in", &text)
        }
        Err(problem) => problem.into_response(),
    }
}

/// The form, for any page; where to go then is a path of this host, or nothing.
pub(super) fn form(host: &Host, visitor: Visitor, username: &str, then: &str) -> Result<Markup, Problem> {
    let seal = host
        .seal
        .make(host.store.system(), visitor.peer)
        .map_err(|error| Problem::failed("a form", error))?;
    Ok(html! {
        form action="/sign-in" method="post" {
            input type="hidden" name="seal" value=(seal);
            @if let Some(then) = own_path(then) { input type="hidden" name="then" value=(then); }
            label { "Mail address or login name"
                input type="text" name="username" value=(username) required autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="320"; }
            label { "Password" input type="password" name="password" required autocomplete="current-password"; }
            button { "Sign in" }
        }
    })
}

const MAIL: &str = "/mail";
