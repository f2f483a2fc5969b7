//! What stands in the way of an answer, as a page that says so.

use std::fmt::Display;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use tracing::warn;

use super::page::render;

/// Why a request is not answered as it was meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    /// Nobody is signed in, or not any more; where they wanted to go, if that can be done later.
    SignedOut(Option<String>),
    /// It came from another site, or from a form that was given to somebody else.
    Foreign,
    /// There is no such thing, or it belongs to somebody else: that is not told apart.
    NotFound,
    /// It makes no sense: one sentence for the person who sent it.
    Wrong(String),
    /// It is more than is taken.
    TooLarge,
    /// It comes too often.
    TooOften,
    /// It cannot be done right now.
    Unavailable,
}

impl Problem {
    /// Something that should not fail has failed: the log has the cause, the visitor an apology.
    pub(super) fn failed(what: &str, error: impl Display) -> Self {
        warn!(what, %error, "a page cannot be shown");
        Self::Unavailable
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::SignedOut(_) => StatusCode::UNAUTHORIZED,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::SignedOut(_) => "You are not signed in",
            Self::Foreign => "Not from here",
            Self::NotFound => "There is no such page",
            Self::Wrong(_) => "That does not work",
            Self::TooLarge => "That is too much",
            Self::TooOften => "Too fast",
            Self::Unavailable => "Not right now",
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::SignedOut(_) => {
                "Your session has ended, so nothing was done. Sign in, then do it once more."
            }
            Self::Foreign => {
                "This request did not come from a page that was made for you here, so nothing was done. Go back, load the page \
                 anew, and do it once more."
            }
            Self::NotFound => "What was here may have been moved or deleted.",
            Self::Wrong(why) => why,
            Self::TooLarge => "It is larger than what is taken here, so nothing was done.",
            Self::TooOften => "There were too many requests in a short time. Wait a few seconds, then go on.",
            Self::Unavailable => {
                "The host cannot do that right now, and nothing was changed. Try again in a while."
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Self::SignedOut(Some(then)) = &self {
            let query = serde_html_form::to_string([("then", then)]).unwrap_or_default();
            return Redirect::to(&format!("/sign-in?{query}")).into_response();
        }
        let page = html! {
            h1 { (self.title()) }
            p { (self.text()) }
            p { a href="/" { "To the first page" } }
        };
        render(self.status(), self.title(), &page)
    }
}
