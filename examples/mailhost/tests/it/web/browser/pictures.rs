//! How the pages look: drawn each time, and kept below `docs/pictures` with `POSTRIDER_WRITE_PICTURES=1`.

use std::path::Path;
use std::{env, fs};

use mailhost::listener::Service;

use super::people::{ANNA, Home};
use super::{Browser, kept};
use crate::relay::{loopback, no_dns, submit};
use crate::support::{Host, Site};

/// What a picture in the README may weigh.
const MOST: usize = 150_000;
/// A page with nothing on it weighs less.
const LEAST: usize = 8_000;

impl Browser {
    /// Draws what is to be seen.
    #[track_caller]
    pub(super) fn draws(&mut self, name: &str) {
        // Fonts and images are there before a page counts as loaded; what moves has arrived.
        self.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame))");
        let wanted = env::var_os("POSTRIDER_WRITE_PICTURES").is_some_and(|value| value == "1");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures");
        let file = if wanted { folder.join(format!("{name}.png")) } else { kept(name) };
        if wanted {
            fs::create_dir_all(folder).unwrap();
        }
        let octets = fs::read(self.picture(&file)).unwrap();
        assert!(octets.starts_with(b"\x89PNG"), "{name}");
        assert!((LEAST..=MOST).contains(&octets.len()), "{name} has {} octets", octets.len());
    }
}

#[test]
fn webmail_can_be_shown() {
    let name = "webmail_can_be_shown";
    let home = Home::lived_in();
    let Some(mut browser) = Browser::start(name, &home.site, &home.host) else { return };
    browser.open("/");
    browser.draws("sign-in");
    browser.signs_in(ANNA);
    browser.sees("Lunch today?");
    browser.draws("inbox");
    browser.prefers_dark(true);
    browser.draws("inbox-dark");
    browser.prefers_dark(false);
    browser.as_telephone();
    browser.draws("inbox-telephone");
    browser.window(1280, 800, false);

    browser.goes_to("Boat trip on Saturday");
    browser.sees("Count me in!");
    browser.draws("conversation");
    browser.as_telephone();
    browser.draws("conversation-telephone");
    browser.window(1280, 800, false);

    browser.open("/mail");
    browser.goes_to("What the sea brought us this week");
    browser.sees("Two seals have moved in");
    browser.draws("newsletter");
    browser.prefers_dark(true);
    browser.draws("newsletter-dark");
    browser.prefers_dark(false);

    browser.open("/mail");
    browser.goes_to("Lunch today?");
    browser.follow("Reply");
    browser.fill("Message", "Soup it is. I am downstairs in ten minutes.\n\nAnna");
    browser.draws("compose");

    browser.open("/mail");
    browser.fill("Search mail", "boat");
    browser.follow("Search");
    browser.draws("search");
    browser.open("/settings");
    browser.draws("settings");
    browser.has_behaved();
}

/// A host with mail that waits.
pub(super) fn waiting() -> (Site, Host) {
    let routes: String = ["kites.example", "studio.example"]
        .map(|domain| format!("{domain:?} = \"{}:2525\"\n", loopback()))
        .concat();
    let sections = format!(
        "[auth]\nallow_plaintext = true\n[dns]\nservers = [\"{}\"]\n[relay.routes]\n{routes}",
        no_dns()
    );
    let site = Site::with_accounts(&sections, &["anna", "ben"]);
    let host = site.start();
    for (to, subject) in [
        ("mei@kites.example", "Kites"),
        ("noor@studio.example", "The roof"),
        ("tomas@kites.example", "Chain"),
        ("ben@example.test", "Lunch"),
    ] {
        submit(&host, ANNA, ANNA, &[to], &format!("Subject: {subject}\r\n\r\nhello\r\n"));
    }
    host.wait_for("deferred");
    (site, host)
}

impl Browser {
    /// Comes in as the operator does.
    #[track_caller]
    pub(super) fn enters(&mut self, site: &Site, host: &Host) {
        let link = site.does("operator");
        let link = link.split_whitespace().find(|word| word.starts_with("http")).expect("a link");
        let address = host.address(Service::WebAdmin);
        self.visits(address);
        self.open(link.strip_prefix(&format!("http://{address}")).expect("to the page"));
    }
}

#[test]
fn the_operators_pages_can_be_shown() {
    let name = "the_operators_pages_can_be_shown";
    let (site, host) = waiting();
    let Some(mut browser) = Browser::start(name, &site, &host) else { return };
    browser.enters(&site, &host);
    browser.sees("The certificate is self-signed, and mail programs will ask about it");
    browser.draws("operator");
    browser.follow("Queue");
    browser.sees("mei@kites.example");
    browser.draws("operator-queue");
    browser.prefers_dark(true);
    browser.draws("operator-queue-dark");
    browser.prefers_dark(false);
    browser.as_telephone();
    browser.draws("operator-queue-telephone");
    browser.has_behaved();
}
