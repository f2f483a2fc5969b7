//! The change of one's own password.
//!
//! Whoever wants a new one shows the old one in the same form, so there is no session and no cookie, and nothing that another site
//! could ride on. What another site could do is to have its visitors guess passwords here, each from an address of their own:
//! a form has to come from this host, by what the browser says of it and by the seal that it carries.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use tracing::{info, warn};

use super::Visitor;
use super::origin::is_own;
use super::page::render;
use super::visit::SignedIn;
use crate::accounts::ChangeError;
use crate::auth::{Login, Password};
use crate::host::Host;
use crate::metrics::Outcome;

/// What comes back. The names of the fields are those that password managers know.
#[derive(Deserialize)]
pub(super) struct Change {
    username: String,
    password: String,
    new_password: String,
    new_password_again: String,
    seal: String,
}

/// Why nothing was changed.
#[derive(Debug)]
enum Refusal {
    /// The form did not come from here.
    Foreign,
    /// It is too old, or is somebody else's.
    Stale,
    Different,
    Unchanged,
    Unusable(String),
    Wrong,
    TooMany,
    Unavailable,
}

/// The empty form. Who is signed in need not say who they are, but shows their password like everybody else.
pub(super) async fn form(
    State(host): State<Arc<Host>>,
    Extension(visitor): Extension<Visitor>,
    signed_in: Option<SignedIn>,
) -> Response {
    if !visitor.private {
        return in_the_clear();
    }
    show(&host, visitor, StatusCode::OK, &html! {}, signed_in.as_ref().map_or("", SignedIn::address))
}

/// Where password managers look for the form.
pub(super) async fn elsewhere() -> Redirect {
    Redirect::to("/account")
}

/// Takes a filled form.
pub(super) async fn change(
    State(host): State<Arc<Host>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(change): Form<Change>,
) -> Response {
    if !visitor.private {
        return in_the_clear();
    }
    let username = change.username.clone();
    let task = {
        let (host, own) = (Arc::clone(&host), is_own(&headers));
        // Apart, since a browser that goes away must not leave half a change behind.
        tokio::spawn(async move {
            if own { carry_out(&host, visitor, change).await } else { Err(Refusal::Foreign) }
        })
    };
    let outcome = task.await.unwrap_or(Err(Refusal::Unavailable));
    let (service, peer) = (visitor.service, visitor.peer);
    match outcome {
        Ok(()) => {
            info!(%service, %peer, login = ?username, "password changed by its owner");
            let text = html! {
                h1 { "Your password is changed" }
                p.good role="status" { "The new password holds from now on." }
                p { "Your mail programs will ask for it the next time they log in." }
                p { a href="/" { "To the first page" } }
            };
            render(StatusCode::OK, "Password changed", &text)
        }
        Err(refusal) => {
            info!(%service, %peer, login = ?username, why = ?refusal, "password not changed");
            let text = html! { p.bad role="alert" { (refusal.text()) } };
            show(&host, visitor, refusal.status(), &text, &username)
        }
    }
}

async fn carry_out(host: &Host, visitor: Visitor, change: Change) -> Result<(), Refusal> {
    if !host.seal.is_good(host.store.system(), visitor.peer, &change.seal) {
        return Err(Refusal::Stale);
    }
    // What the visitor alone can know to be wrong comes first: it costs no attempt.
    if change.new_password != change.new_password_again {
        return Err(Refusal::Different);
    }
    if change.new_password == change.password {
        return Err(Refusal::Unchanged);
    }
    let new = Password::new(change.new_password).map_err(|error| Refusal::Unusable(error.to_string()))?;
    let old = Password::new(change.password).map_err(|_| Refusal::Wrong)?;
    // Who has an app password may read mail, and not shut the owner out.
    let login = host.log_in_as_owner(visitor.peer, &change.username, old).await;
    let outcome = login.as_ref().map_or_else(|login| login.counted(), |_| Outcome::Good);
    host.logged_in(visitor.service, outcome, &change.username);
    let account = match login {
        Ok(presence) => presence.account(),
        Err(Login::TooMany) => return Err(Refusal::TooMany),
        Err(Login::Unavailable) => return Err(Refusal::Unavailable),
        Err(_) => return Err(Refusal::Wrong),
    };
    host.accounts.change_own_password(account, &new).await.map_err(|error| match error {
        ChangeError::ShortPassword(_) | ChangeError::GuessablePassword => {
            Refusal::Unusable(error.to_string())
        }
        error => {
            warn!(account, %error, "a password could not be changed");
            Refusal::Unavailable
        }
    })
}

pub(super) fn in_the_clear() -> Response {
    let text = html! {
        h1 { "Not over this connection" }
        p.bad { "Others could read your password along the way. Open this page with https:// instead." }
        p { a href="/" { "To the first page" } }
    };
    render(StatusCode::FORBIDDEN, "Not over this connection", &text)
}

fn show(host: &Host, visitor: Visitor, status: StatusCode, message: &Markup, username: &str) -> Response {
    let Ok(seal) = host.seal.make(host.store.system(), visitor.peer) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let text = html! {
        h1 { "Change your password" }
        (message)
        form action="/account" method="post" {
            input type="hidden" name="seal" value=(seal);
            label { "Mail address or login name"
                input type="text" name="username" value=(username) required autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="320"; }
            label { "Current password"
                input type="password" name="password" required autocomplete="current-password"; }
            label { "New password"
                input type="password" name="new_password" required autocomplete="new-password"; }
            label { "New password again"
                input type="password" name="new_password_again" required autocomplete="new-password"; }
            button { "Change the password" }
        }
        p.hint { "A few words in a row make a good password. Have none that you use elsewhere." }
    };
    render(status, "Change your password", &text)
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Foreign | Self::Wrong => StatusCode::FORBIDDEN,
            Self::Stale | Self::Different | Self::Unchanged | Self::Unusable(_) => StatusCode::BAD_REQUEST,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Foreign => "This form came from another site, so nothing was changed. Fill in the one below.".to_owned(),
            Self::Stale => "This form has been open for too long, so nothing was changed. Fill it in once more.".to_owned(),
            Self::Different => "The two new passwords differ, so nothing was changed. Type both again.".to_owned(),
            Self::Unchanged => "The new password is the current one. Choose another.".to_owned(),
            Self::Unusable(why) => format!("The new password cannot be taken: {why}."),
            // The same for a name that nobody has.
            Self::Wrong => "The name or the current password is wrong, so nothing was changed.".to_owned(),
            Self::TooMany => {
                "Too many logins with this name or from your address have failed of late. Wait a minute, then try again."
                    .to_owned()
            }
            Self::Unavailable => "That is not possible right now, and nothing was changed. Try again in a while.".to_owned(),
        }
    }
}
