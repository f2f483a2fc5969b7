//! What the operator sees, on `web_admin`: how the host is, what waits and why, who is connected, and what DNS says of it.
//!
//! Whoever can open the administration socket gets in: `mailhost operator` prints a link that works once. So there is no password
//! to guess. Any program on the machine may connect here, and by DNS rebinding any site in the operator's browser: a request has to
//! name the host as this host is named, and every page but the first one wants the cookie that the link has given.
//!
//! | file | |
//! |---|---|
//! | `door` | keys, cookies, and who is let in |
//! | `page` | what all pages have around them |
//! | `overview`, `chart` | how the host is, and how it was over the last day |
//! | `queue` | what waits, and orders for it |
//! | `sessions`, `accounts`, `certificates`, `dns` | the same of these |

mod accounts;
mod certificates;
mod chart;
mod dns;
mod door;
mod overview;
mod page;
mod queue;
mod sessions;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

pub use self::door::Desk;
use crate::host::Host;

/// Everything but what Prometheus reads.
pub(super) fn routes(host: &Arc<Host>) -> Router<Arc<Host>> {
    Router::new()
        .route("/", get(overview::show))
        .route("/enter", get(door::enter))
        .route("/leave", post(door::leave))
        .route("/queue", get(queue::list))
        .route("/queue/act", post(queue::act))
        .route("/queue/{id}", get(queue::one))
        .route("/sessions", get(sessions::show))
        .route("/accounts", get(accounts::show))
        .route("/accounts/act", post(accounts::act))
        .route("/certificates", get(certificates::show))
        .route("/dns", get(dns::show).post(dns::look))
        .route("/style.css", get(super::page::style))
        .route("/icon.svg", get(super::page::icon))
        .layer(from_fn_with_state(Arc::clone(host), door::only_as_this_host))
}
