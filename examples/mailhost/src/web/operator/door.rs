//! Who is let in.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Form, FromRequest, FromRequestParts, Query, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, HOST, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tracing::info;

use super::super::Visitor;
use super::super::origin::is_own;
use super::super::session::{Pass, Sessions};
use super::{dns, page};
use crate::host::Host;
use crate::listener::Service;
use crate::system::System;

/// What the operator's pages remember: keys that were given out, who has come in with one, and what DNS has said.
pub struct Desk {
    door: Mutex<Door>,
    stays: Sessions<Guest>,
    /// What DNS has said last.
    pub(super) dns: dns::Look,
}

#[derive(Default)]
struct Door {
    /// Where the pages are listened for.
    at: Vec<SocketAddr>,
    /// The digests of keys that nobody has used so far, the oldest first, and until when they are good.
    keys: Vec<([u8; 32], Duration)>,
}

/// Who has come in: all of them may do the same.
#[derive(Debug)]
struct Guest;

/// Somebody who has come in with a key.
pub(super) struct Operator {
    /// What their forms carry, so that no other site can fill one in.
    pub(super) seal: String,
}

/// A form of somebody who is in, which has come from one of our pages.
pub(super) struct Order(BTreeMap<String, String>);

impl Desk {
    /// The pages are listened for at those of these addresses that are theirs.
    pub fn is_at(&self, addresses: impl IntoIterator<Item = (Service, SocketAddr)>) {
        let ours = addresses.into_iter().filter(|(service, _)| *service == Service::WebAdmin);
        self.door().at = ours.map(|(_, address)| address).collect();
    }

    /// Makes a link that lets somebody in, once and soon; `None` if nobody listens.
    pub fn invite(&self, system: &(dyn System + 'static)) -> io::Result<Option<String>> {
        let key = secret(system)?;
        let mut door = self.door();
        let Some(at) = door.reachable_at() else { return Ok(None) };
        door.give(system.unix_now(), &key);
        Ok(Some(format!("http://{at}/enter?key={key}")))
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Desk {
    fn default() -> Self {
        let stays = Sessions::strict("postrider-operator", STAY);
        Self { door: Mutex::default(), stays, dns: dns::Look::default() }
    }
}

impl Pass for Guest {
    fn is_over(&self) -> bool {
        false
    }

    fn is_same(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk(..)")
    }
}

impl Door {
    fn give(&mut self, now: Duration, key: &str) {
        self.keys.retain(|(_, until)| now < *until);
        if self.keys.len() >= KEYS {
            self.keys.remove(0);
        }
        self.keys.push((digest(key), now + KEY));
    }

    /// Takes a key away; whether it was one.
    fn take(&mut self, now: Duration, key: &str) -> bool {
        let key = digest(key);
        // Of digests, how long it takes to compare them tells nothing that could be used.
        let found = self.keys.iter().position(|(known, until)| *known == key && now < *until);
        found.map(|found| self.keys.remove(found)).is_some()
    }

    /// Where a browser on this machine finds the pages.
    fn reachable_at(&self) -> Option<SocketAddr> {
        let first = |good: fn(&IpAddr) -> bool| self.at.iter().find(|at| good(&at.ip()));
        let near = first(IpAddr::is_loopback).or_else(|| first(IpAddr::is_unspecified));
        let mut at = *near.or_else(|| self.at.first())?;
        if at.ip().is_unspecified() {
            at.set_ip(match at.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Some(at)
    }
}

impl FromRequestParts<Arc<Host>> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, host: &Arc<Host>) -> Result<Self, Response> {
        let visitor = parts.extensions.get::<Visitor>().copied();
        let stay = visitor
            .and_then(|visitor| host.desk.stays.find(host.store.system(), visitor, &parts.headers))
            .filter(|stay| stay.allows(host.store.system().unix_seconds()));
        let stay = stay.ok_or_else(|| page::outside(host, StatusCode::FORBIDDEN))?;
        Ok(Self { seal: stay.seal.clone() })
    }
}

impl FromRequest<Arc<Host>> for Order {
    type Rejection = Response;

    async fn from_request(request: Request, host: &Arc<Host>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let operator = Operator::from_request_parts(&mut parts, host).await?;
        if !is_own(&parts.headers) {
            return Err(page::foreign(host, &operator));
        }
        let request = Request::from_parts(parts, body);
        let Form(fields) = Form::<Vec<(String, String)>>::from_request(request, host)
            .await
            .map_err(IntoResponse::into_response)?;
        let order = Self(fields.into_iter().collect());
        let is_sealed = order.get("seal").as_bytes().ct_eq(operator.seal.as_bytes());
        if bool::from(is_sealed) { Ok(order) } else { Err(page::foreign(host, &operator)) }
    }
}

impl Order {
    /// A field of the form; empty if it was left out.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// The key of a link.
#[derive(Deserialize)]
pub(super) struct Key {
    #[serde(default)]
    key: String,
}

/// Takes a key, and lets its holder in.
pub(super) async fn enter(
    State(host): State<Arc<Host>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Query(Key { key }): Query<Key>,
) -> Response {
    let system = host.store.system();
    if !host.desk.door().take(system.unix_now(), &key) {
        return page::outside(&host, StatusCode::FORBIDDEN);
    }
    match host.desk.stays.begin(system, visitor, &headers, Guest) {
        Ok((_, cookie)) => {
            info!(peer = %visitor.peer, "the operator has come in");
            ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Forgets whoever asks for it.
pub(super) async fn leave(
    State(host): State<Arc<Host>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    order: Order,
) -> Response {
    host.desk.stays.end(&Guest, |stay| stay.is_sealed(order.get("seal")));
    ([(SET_COOKIE, host.desk.stays.forgotten(visitor, &headers))], Redirect::to("/")).into_response()
}

/// Answers nobody who takes this host for another one. A site whose name has been made to lead here sends its own name.
pub(super) async fn only_as_this_host(
    State(host): State<Arc<Host>>,
    request: Request,
    next: Next,
) -> Response {
    let name = request.headers().get(HOST).and_then(|name| name.to_str().ok()).unwrap_or_default();
    let mut response = if is_this_host(name, host.config.hostname.as_str()) {
        next.run(request).await
    } else {
        page::elsewhere()
    };
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// Whether a Host field means this host. An address cannot be made to lead elsewhere, a name can.
fn is_this_host(field: &str, hostname: &str) -> bool {
    let (name, port) = match field.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (field, "0"),
    };
    let is_address = || match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(name) => name.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<Ipv4Addr>().is_ok(),
    };
    port.parse::<u16>().is_ok()
        && (name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(hostname) || is_address())
}

fn secret(system: &(dyn System + 'static)) -> io::Result<String> {
    let mut random = [0; 20];
    system.fill_random(&mut random)?;
    Ok(random.iter().map(|octet| format!("{octet:02x}")).collect())
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// There is no script here, and no picture but the icon that is not part of a page.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";
/// How long a key is good.
const KEY: Duration = Duration::from_secs(600);
/// How long whoever has used one stays in, in seconds.
const STAY: i64 = 12 * 3_600;
/// So many keys may be unused; the oldest makes room.
const KEYS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Machine;

    #[test]
    fn a_key_is_good_once_and_for_ten_minutes() {
        let at = Duration::from_secs;
        let mut door = Door::default();
        door.give(at(1_000), "first");
        door.give(at(1_000), "second");
        assert!(!door.take(at(1_000), "") && !door.take(at(1_000), "firs"));
        assert!(door.take(at(1_599), "first"));
        assert!(!door.take(at(1_599), "first"), "it is used up");
        assert!(!door.take(at(1_600), "second"), "it is too old");
    }

    #[test]
    fn keys_are_few() {
        let mut door = Door::default();
        (0..=KEYS).for_each(|number| door.give(Duration::ZERO, &format!("k{number}")));
        assert!(!door.take(Duration::ZERO, "k0") && door.take(Duration::ZERO, "k1"));
    }

    #[test]
    fn a_link_leads_to_this_machine() {
        let desk = Desk::default();
        assert!(desk.invite(&Machine).unwrap().is_none());
        for (at, host) in [
            (&["192.0.2.1:1", "127.0.0.1:2"][..], "127.0.0.1:2"),
            (&["0.0.0.0:3"], "127.0.0.1:3"),
            (&["[::]:4"], "[::1]:4"),
            (&["192.0.2.1:5"], "192.0.2.1:5"),
        ] {
            desk.is_at(at.iter().map(|at| (Service::WebAdmin, at.parse().unwrap())));
            let link = desk.invite(&Machine).unwrap().unwrap();
            let key = link.strip_prefix(&format!("http://{host}/enter?key=")).expect("the address");
            assert!(desk.door().take(Machine.unix_now(), key));
        }
    }

    #[test]
    fn names_that_others_can_have_made_to_lead_here_are_refused() {
        for good in [
            "127.0.0.1:8081",
            "127.0.0.1",
            "localhost:1",
            "LocalHost",
            "[::1]:8081",
            "[::1]",
            "10.1.2.3:8081",
            "mail.example.test:8081",
            "MAIL.example.test",
        ] {
            assert!(is_this_host(good, "mail.example.test"), "{good}");
        }
        for bad in [
            "",
            "evil.test",
            "evil.test:8081",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "a.mail.example.test",
            "127.0.0.1:8081:evil.test",
            "[::1].evil.test",
            "[evil.test]",
            "::1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "localhost:",
            "localhost:x",
            "localhost@evil.test",
            "localhost.",
        ] {
            assert!(!is_this_host(bad, "mail.example.test"), "{bad}");
        }
    }
}
