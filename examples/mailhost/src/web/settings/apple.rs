//! A configuration profile for iPhone, iPad and Mac: a property list that sets up an account when it is opened.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_DISPOSITION;
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use smtp_codec::Mailbox;

use super::{address, best};
use crate::host::Host;
use crate::offers::{Offer, Protocol};
use crate::web::page::render;
use crate::web::typed;
use crate::web::xml::Document;

#[derive(Debug, Deserialize)]
pub(in crate::web) struct Asked {
    email: Option<String>,
}

/// The profile for an address.
pub(in crate::web) async fn profile(State(host): State<Arc<Host>>, Query(asked): Query<Asked>) -> Response {
    let found = asked.email.as_deref().and_then(|text| address(text, &host.config));
    let Some(profile) =
        found.and_then(|address| write(host.config.hostname.as_str(), &address, &host.offers))
    else {
        let text = html! {
            h1 { "No profile for that address" }
            p.bad { "This host has no mail for it. Write your whole address, as in " code { "name@" (host.config.domains[0].as_str()) } "." }
            p { a href="/" { "Back" } }
        };
        return render(StatusCode::NOT_FOUND, "No profile", &text);
    };
    let name = [(CONTENT_DISPOSITION, "attachment; filename=\"mail.mobileconfig\"")];
    (name, typed("application/x-apple-aspen-config", profile)).into_response()
}

/// `None` if mail cannot be read or cannot be sent: there is no profile with half of it.
pub(super) fn write(hostname: &str, address: &Mailbox<'_>, offers: &[Offer]) -> Option<String> {
    let incoming = best(offers, &[Protocol::Imap, Protocol::Pop3]).next()?;
    let outgoing = best(offers, &[Protocol::Submission]).next()?;
    let address = address.to_string();
    let backwards: Vec<&str> = hostname.rsplit('.').collect();
    // The same for the same account: a profile that comes again takes the place of the old one.
    let identifier = format!("{}.mail.{}", backwards.join("."), hex(&digest(hostname, &address)[..8]));
    let account = format!("{identifier}.account");
    let title = format!("Mail for {address}");

    let mut list = List(Document::new(
        "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n",
    ));
    list.0.open("plist", &[("version", "1.0")]);
    list.0.open("dict", &[]);
    list.0.leaf("key", "PayloadContent");
    list.0.open("array", &[]);
    list.0.open("dict", &[]);
    list.string("EmailAccountDescription", &address);
    list.string(
        "EmailAccountType",
        if incoming.protocol == Protocol::Imap { "EmailTypeIMAP" } else { "EmailTypePOP" },
    );
    list.string("EmailAddress", &address);
    list.server("Incoming", incoming, &address);
    list.server("Outgoing", outgoing, &address);
    list.truth("OutgoingPasswordSameAsIncomingPassword", true);
    list.payload("com.apple.mail.managed", &account, &title, &uuid(hostname, &account));
    list.0.close();
    list.0.close();
    list.string("PayloadOrganization", hostname);
    list.truth("PayloadRemovalDisallowed", false);
    list.payload("Configuration", &identifier, &title, &uuid(hostname, &identifier));
    Some(list.0.end())
}

/// A property list in XML.
struct List(Document);

impl List {
    fn string(&mut self, key: &str, value: &str) {
        self.0.leaf("key", key);
        self.0.leaf("string", value);
    }

    fn number(&mut self, key: &str, value: u16) {
        self.0.leaf("key", key);
        self.0.leaf("integer", &value.to_string());
    }

    fn truth(&mut self, key: &str, value: bool) {
        self.0.leaf("key", key);
        self.0.empty(if value { "true" } else { "false" });
    }

    fn server(&mut self, direction: &str, offer: &Offer, user: &str) {
        let key = |name| format!("{direction}MailServer{name}");
        self.string(&key("HostName"), offer.host.as_str());
        self.number(&key("PortNumber"), offer.port);
        // True for STARTTLS, too: the port tells the two apart.
        self.truth(&key("UseSSL"), true);
        self.string(&key("Authentication"), "EmailAuthPassword");
        self.string(&key("Username"), user);
    }

    fn payload(&mut self, kind: &str, identifier: &str, title: &str, uuid: &str) {
        self.string("PayloadDisplayName", title);
        self.string("PayloadIdentifier", identifier);
        self.string("PayloadType", kind);
        self.string("PayloadUUID", uuid);
        self.number("PayloadVersion", 1);
    }
}

/// RFC 9562 §5.8: version 8, of whatever one likes; here of a hash, so that it is the same each time.
fn uuid(hostname: &str, name: &str) -> String {
    let mut octets = digest(hostname, name);
    octets[6] = octets[6] & 0x0f | 0x80;
    octets[8] = octets[8] & 0x3f | 0x80;
    let part = |from: usize, to: usize| hex(&octets[from..to]).to_uppercase();
    [part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 16)].join("-")
}

fn digest(hostname: &str, name: &str) -> [u8; 32] {
    // Neither of the two has a NUL.
    Sha256::digest(format!("{hostname}\0{}", name.to_lowercase())).into()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
