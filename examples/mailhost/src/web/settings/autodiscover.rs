//! What Outlook asks for: Microsoft's autodiscovery in "plain old XML", with one answer for each protocol.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use smtp_codec::Mailbox;

use super::{address, best};
use crate::host::Host;
use crate::offers::{Offer, Protocol, Security};
use crate::web::typed;
use crate::web::xml::{Document, text_at};

/// Answers with status 200 in every case: what is wrong is said inside.
pub(in crate::web) async fn autodiscover(State(host): State<Arc<Host>>, body: String) -> Response {
    typed("application/xml; charset=utf-8", answer(&host, &body))
}

fn answer(host: &Host, body: &str) -> String {
    let at = |name| text_at(body, &["Autodiscover", "Request", name]);
    let Some(asked) = at("EMailAddress") else { return refusal("600", "Invalid Request") };
    // Others are for programs that speak ActiveSync.
    if at("AcceptableResponseSchema").is_none_or(|schema| schema.trim() != SETTINGS) {
        return refusal("601", "Only the settings of IMAP, POP3 and SMTP are known here");
    }
    match address(&asked, &host.config) {
        Some(address) => settings(&address, &host.offers),
        None => refusal("500", "This host has no mail for that address"),
    }
}

pub(super) fn settings(address: &Mailbox<'_>, offers: &[Offer]) -> String {
    let mut xml = begin();
    xml.open("Response", &[("xmlns", SETTINGS)]);
    xml.open("Account", &[]);
    xml.leaf("AccountType", "email");
    xml.leaf("Action", "settings");
    for offer in best(offers, &[Protocol::Imap, Protocol::Pop3, Protocol::Submission]) {
        xml.open("Protocol", &[]);
        xml.leaf("Type", &offer.protocol.to_string());
        xml.leaf("Server", offer.host.as_str());
        xml.leaf("Port", &offer.port.to_string());
        xml.leaf("LoginName", &address.to_string());
        xml.leaf("DomainRequired", "off");
        xml.leaf("SPA", "off");
        xml.leaf("SSL", "on");
        xml.leaf(
            "Encryption",
            match offer.security {
                Security::Tls => "SSL",
                Security::StartTls => "TLS",
            },
        );
        xml.leaf("AuthRequired", "on");
        xml.close();
    }
    xml.end()
}

fn refusal(code: &str, message: &str) -> String {
    let mut xml = begin();
    xml.open("Response", &[]);
    xml.open("Error", &[]);
    xml.leaf("ErrorCode", code);
    xml.leaf("Message", message);
    xml.empty("DebugData");
    xml.end()
}

fn begin() -> Document {
    let mut xml = Document::new("");
    xml.open(
        "Autodiscover",
        &[("xmlns", "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006")],
    );
    xml
}

/// What is asked for, and answered.
const SETTINGS: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
