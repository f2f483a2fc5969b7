//! Autoconfiguration as Thunderbird began it, and many others read it: a file over HTTP, with version 1.1 of its form.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use smtp_codec::Domain;

use super::{address, is_ours};
use crate::config::Config;
use crate::host::Host;
use crate::offers::{Offer, Protocol, Security};
use crate::web::typed;
use crate::web::xml::Document;

#[derive(Debug, Deserialize)]
pub(in crate::web) struct Asked {
    emailaddress: Option<String>,
}

/// The file for the domain of the address that is asked about, or else for the one whose name the request was sent to.
pub(in crate::web) async fn autoconfig(
    State(host): State<Arc<Host>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let config = &host.config;
    let domain = match &asked.emailaddress {
        Some(text) => address(text, config).map(|address| address.domain().to_string()),
        None => Some(domain_of_request(&headers, config)),
    };
    match domain {
        Some(domain) => typed("text/xml; charset=utf-8", write(&domain.to_ascii_lowercase(), &host.offers)),
        None => (StatusCode::NOT_FOUND, "this host has no mail for that address\n").into_response(),
    }
}

/// Programs that keep the address to themselves still say where they ask: at the domain, or at its name below `autoconfig`.
fn domain_of_request(headers: &HeaderMap, config: &Config) -> String {
    let name = headers.get(HOST).and_then(|name| name.to_str().ok()).unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    let name = name.strip_prefix("autoconfig.").unwrap_or(name);
    let asked = Domain::parse(name).ok().filter(|domain| is_ours(domain, config)).map(Domain::into_owned);
    asked.or_else(|| config.domains.first().cloned()).unwrap_or_else(|| config.hostname.clone()).to_string()
}

pub(super) fn write(domain: &str, offers: &[Offer]) -> String {
    let mut xml = Document::new("");
    xml.open("clientConfig", &[("version", "1.1")]);
    xml.open("emailProvider", &[("id", domain)]);
    xml.leaf("domain", domain);
    xml.leaf("displayName", domain);
    xml.leaf("displayShortName", domain);
    for offer in offers {
        let (element, kind) = match offer.protocol {
            Protocol::Imap => ("incomingServer", "imap"),
            Protocol::Pop3 => ("incomingServer", "pop3"),
            Protocol::Submission => ("outgoingServer", "smtp"),
        };
        xml.open(element, &[("type", kind)]);
        xml.leaf("hostname", offer.host.as_str());
        xml.leaf("port", &offer.port.to_string());
        xml.leaf(
            "socketType",
            match offer.security {
                Security::Tls => "SSL",
                Security::StartTls => "STARTTLS",
            },
        );
        xml.leaf("username", "%EMAILADDRESS%");
        // In the clear as far as the login goes: there is TLS around it.
        xml.leaf("authentication", "password-cleartext");
        xml.close();
    }
    xml.end()
}
