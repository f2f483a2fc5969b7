//! What is spoken over HTTP: pages for people and settings for mail programs on `web` and `webs`, and what the operator's
//! programs read on `web_admin`.
//!
//! Every page works without a script. The one script there is makes some of it more convenient; no page holds another.

mod account;
mod budget;
mod compose;
mod connection;
mod cookie;
mod flowed;
mod mail;
mod onward;
mod operator;
mod origin;
mod page;
mod preferences;
mod problem;
mod seal;
mod session;
mod settings;
mod sign_in;
mod visit;
mod when;
mod xml;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::time;
use tracing::debug;

pub use self::connection::{Reason, serve};
pub use self::mail::Memory;
pub use self::operator::Desk;
pub use self::seal::Seal;
pub use self::session::{Pass, Session, Sessions};
pub use self::visit::User;
use crate::host::Host;
use crate::listener::Service;
use crate::metrics;

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub struct Visitor {
    /// Their address.
    pub peer: IpAddr,
    /// Where they came in.
    pub service: Service,
    /// Whether a password may be asked of them: nobody reads along.
    pub private: bool,
}

impl Visitor {
    /// One who comes from this address. Nobody reads along under TLS, nor on the machine itself; a configuration may say that it does
    /// not matter.
    fn new(service: Service, peer: IpAddr, allow_plaintext: bool) -> Self {
        let private = service.implicit_tls() || peer.to_canonical().is_loopback() || allow_plaintext;
        Self { peer, service, private }
    }
}

/// What answers on a service.
pub fn router(host: Arc<Host>, service: Service) -> Router {
    let routes = match service {
        Service::WebAdmin => operator::routes(&host).route("/metrics", get(counted)),
        _ => Router::new()
            .route("/", get(page::home))
            .route("/style.css", get(page::style))
            .route("/icon.svg", get(page::icon))
            .route("/script.js", get(page::script))
            .merge(pages())
            .route("/account", get(account::form).post(account::change))
            .route("/.well-known/change-password", get(account::elsewhere))
            .route("/mail/config-v1.1.xml", get(settings::autoconfig))
            .route("/.well-known/autoconfig/mail/config-v1.1.xml", get(settings::autoconfig))
            // Outlook does not write it as Microsoft does.
            .route("/autodiscover/autodiscover.xml", post(settings::autodiscover))
            .route("/Autodiscover/Autodiscover.xml", post(settings::autodiscover))
            .route("/AutoDiscover/AutoDiscover.xml", post(settings::autodiscover))
            .route("/apple.mobileconfig", get(settings::profile)),
    };
    routes
        .fallback(page::not_found)
        .method_not_allowed_fallback(page::not_allowed)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn(with_care))
        .with_state(host)
}

/// What changes something for the person who asks, and so must be asked for by a page of this host.
fn pages() -> Router<Arc<Host>> {
    let routes = Router::new()
        .merge(sign_in::routes())
        .merge(mail::routes())
        .merge(compose::routes())
        .merge(preferences::routes());
    routes.layer(from_fn(origin::own_pages_only))
}
/// For Prometheus.
async fn counted(State(host): State<Arc<Host>>) -> Response {
    typed(metrics::CONTENT_TYPE, metrics::render(&host).await)
}

/// In time, with the headers that all answers have.
async fn with_care(request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>().copied();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // Files take as long as the line of who sends them.
    let patience = if method == Method::POST && path == "/compose" { UPLOAD } else { REQUEST };
    let mut response = match time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        // What is left of the request may come later, and would be taken for the next one.
        Err(_) => (StatusCode::REQUEST_TIMEOUT, [(CONNECTION, "close")]).into_response(),
    };
    let status = response.status().as_u16();
    debug!(visitor = ?visitor, %method, ?path, status, "asked");
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// An answer in this form.
fn typed(content_type: &'static str, body: impl Into<String>) -> Response {
    ([(CONTENT_TYPE, content_type)], body.into()).into_response()
}

/// Of each answer that does not say otherwise itself.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
         frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // `same-origin`, for with `no-referrer` a browser would also keep back the origin of a form.
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The most octets of a body: forms and requests of mail programs are small.
const BODY: usize = 16 << 10;
/// How long a request may take, its body included. A login may have to wait for others, see [`crate::auth`].
const REQUEST: Duration = Duration::from_secs(60);
/// The same where files come along.
const UPLOAD: Duration = Duration::from_secs(1_800);

#[cfg(test)]
mod tests;
