//! Who is let in.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Form, FromRequest, FromRequestParts, Query, Request, State};
use axum::http::header::{COOKIE, HOST, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tracing::info;

use super::{dns, page};
use crate::host::Host;
use crate::listener::Service;
use crate::system::System;

/// What the operator's pages remember: keys that were given out, who has come in with one, and what DNS has said.
#[derive(Default)]
pub struct Desk {
    door: Mutex<Door>,
    /// What DNS has said last.
    pub(super) dns: dns::Look,
}

#[derive(Default)]
struct Door {
    /// Where the pages are listened for.
    at: Vec<SocketAddr>,
    /// Keys that nobody has used so far, the oldest first.
    keys: Vec<(Digest, Duration)>,
    /// Those who are in, the oldest first.
    stays: Vec<Stay>,
}

struct Stay {
    cookie: Digest,
    seal: String,
    until: Duration,
}

/// What is kept of a secret.
type Digest = [u8; 32];

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

    /// Takes a key, and gives what belongs into the cookie.
    fn enter(&self, system: &(dyn System + 'static), key: &str) -> io::Result<Option<String>> {
        let (cookie, seal) = (secret(system)?, secret(system)?);
        let entered = self.door().enter(system.unix_now(), key, &cookie, seal);
        Ok(entered.then_some(cookie))
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Lets whoever has a key in, with this cookie; false if it is none.
    fn enter(&mut self, now: Duration, key: &str, cookie: &str, seal: String) -> bool {
        let key = digest(key);
        // Of digests, how long it takes to compare them tells nothing that could be used.
        let Some(found) = self.keys.iter().position(|(known, until)| *known == key && now < *until) else {
            return false;
        };
        self.keys.remove(found);
        self.stays.retain(|stay| now < stay.until);
        if self.stays.len() >= STAYS {
            self.stays.remove(0);
        }
        self.stays.push(Stay { cookie: digest(cookie), seal, until: now + STAY });
        true
    }

    fn find(&self, now: Duration, headers: &HeaderMap) -> Option<Operator> {
        let presented: Vec<_> = cookies(headers).map(digest).collect();
        let stay = self.stays.iter().find(|stay| now < stay.until && presented.contains(&stay.cookie))?;
        Some(Operator { seal: stay.seal.clone() })
    }

    fn forget(&mut self, headers: &HeaderMap) {
        let presented: Vec<_> = cookies(headers).map(digest).collect();
        self.stays.retain(|stay| !presented.contains(&stay.cookie));
    }

    /// Where a browser on this machine finds the pages.
    fn reachable_at(&self) -> Option<SocketAddr> {
        let local = self.at.iter().find(|at| at.ip().is_loopback());
        let mut at =
            *local.or_else(|| self.at.iter().find(|at| at.ip().is_unspecified())).or(self.at.first())?;
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
        let now = host.store.system().unix_now();
        host.desk.door().find(now, &parts.headers).ok_or_else(|| page::outside(host, StatusCode::FORBIDDEN))
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
pub(super) async fn enter(State(host): State<Arc<Host>>, Query(Key { key }): Query<Key>) -> Response {
    match host.desk.enter(host.store.system(), &key) {
        Ok(Some(cookie)) => {
            info!("the operator has come in");
            // There is no TLS here, so `Secure` would keep some browsers from it.
            let cookie =
                format!("{NAME}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", STAY.as_secs());
            ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        Ok(None) => page::outside(&host, StatusCode::FORBIDDEN),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Forgets whoever asks for it.
pub(super) async fn leave(State(host): State<Arc<Host>>, headers: HeaderMap, _: Order) -> Response {
    host.desk.door().forget(&headers);
    ([(SET_COOKIE, format!("{NAME}=; Path=/; Max-Age=0"))], Redirect::to("/")).into_response()
}

/// Answers nobody who takes this host for another one. A site whose name has been made to lead here sends its own name.
pub(super) async fn only_as_this_host(
    State(host): State<Arc<Host>>,
    request: Request,
    next: Next,
) -> Response {
    let name = request.headers().get(HOST).and_then(|name| name.to_str().ok()).unwrap_or_default();
    if is_this_host(name, host.config.hostname.as_str()) {
        return next.run(request).await;
    }
    page::elsewhere()
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

/// Whether a form comes from one of our pages, by what the browser says of it. Others have the seal alone to show.
fn is_own(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let same = |origin: &str| {
        let at = origin.strip_prefix("http://");
        at.is_some_and(|at| header(HOST.as_str()).is_some_and(|host| host.eq_ignore_ascii_case(at)))
    };
    header("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"))
        && header("origin").is_none_or(same)
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == NAME).map(|(_, value)| value)
}

fn secret(system: &(dyn System + 'static)) -> io::Result<String> {
    let mut random = [0; 20];
    system.fill_random(&mut random)?;
    Ok(random.iter().map(|octet| format!("{octet:02x}")).collect())
}

fn digest(secret: &str) -> Digest {
    Sha256::digest(secret.as_bytes()).into()
}

/// The name of the cookie.
const NAME: &str = "mailhost-operator";
/// How long a key is good.
const KEY: Duration = Duration::from_secs(600);
/// How long whoever has used one stays in.
const STAY: Duration = Duration::from_secs(12 * 3_600);
/// So many keys may be unused, and so many browsers be in; the oldest make room.
const KEYS: usize = 16;
const STAYS: usize = 16;

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::system::Machine;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn enter(door: &mut Door, now: u64, key: &str, cookie: &str) -> bool {
        door.enter(at(now), key, cookie, String::new())
    }

    fn is_in(door: &Door, now: u64, cookie: &str) -> bool {
        let mut headers = HeaderMap::new();
        let field = format!("a=b; {NAME}=other; {NAME}={cookie};c");
        headers.insert(COOKIE, HeaderValue::from_str(&field).unwrap());
        door.find(at(now), &headers).is_some()
    }

    #[test]
    fn a_key_is_good_once_and_for_ten_minutes() {
        let mut door = Door::default();
        door.give(at(1_000), "first");
        door.give(at(1_000), "second");
        assert!(!enter(&mut door, 1_000, "", "c") && !enter(&mut door, 1_000, "firs", "c"));
        assert!(enter(&mut door, 1_599, "first", "cookie"));
        assert!(!enter(&mut door, 1_599, "first", "c"), "it is used up");
        assert!(!enter(&mut door, 1_600, "second", "c"), "it is too old");
        assert!(is_in(&door, 1_599, "cookie") && is_in(&door, 1_599 + 43_199, "cookie"));
        assert!(!is_in(&door, 1_599 + 43_200, "cookie"));
        assert!(!is_in(&door, 1_599, "first") && !is_in(&door, 1_599, "") && !is_in(&door, 1_599, "c"));
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("mailhost-operator=cookie"));
        door.forget(&headers);
        assert!(!is_in(&door, 1_599, "cookie"));
    }

    #[test]
    fn keys_and_cookies_are_few() {
        let mut door = Door::default();
        (0..=KEYS).for_each(|number| door.give(at(0), &format!("k{number}")));
        assert!(!enter(&mut door, 0, "k0", "c"), "it has made room");
        for number in 1..=STAYS {
            assert!(enter(&mut door, 0, &format!("k{number}"), &format!("c{number}")));
        }
        door.give(at(0), "last");
        assert!(is_in(&door, 0, "c1"));
        assert!(enter(&mut door, 0, "last", "c"));
        assert!(!is_in(&door, 0, "c1") && is_in(&door, 0, "c2") && is_in(&door, 0, "c"));
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
            assert!(desk.enter(&Machine, key).unwrap().is_some());
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

    #[test]
    fn forms_of_other_origins_are_told() {
        let own = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("127.0.0.1:8081"));
            for (name, value) in fields {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_own(&headers)
        };
        assert!(own(&[]) && own(&[("origin", "http://127.0.0.1:8081"), ("sec-fetch-site", "same-origin")]));
        for origin in
            ["null", "http://127.0.0.1", "http://127.0.0.1:8080", "https://127.0.0.1:8081", "http://a"]
        {
            assert!(!own(&[("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(!own(&[("origin", "http://127.0.0.1:8081"), ("sec-fetch-site", site)]), "{site}");
        }
    }
}
