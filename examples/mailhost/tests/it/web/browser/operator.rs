//! The operator's orders, pressed.

use super::Browser;
use super::pictures::waiting;
use crate::imap::Imap;

#[test]
fn the_operator_gives_orders_by_buttons() {
    let name = "the_operator_gives_orders_by_buttons";
    let (site, host) = waiting();
    let Some(mut browser) = Browser::start(name, &site, &host) else { return };
    let mut anna = Imap::anna(&host);
    anna.ok("SELECT INBOX");
    browser.enters(&site, &host);
    browser.follow("Queue");
    // Two of three messages are held, and let go again.
    browser.follow("Hold: kites.example");
    browser.sees("2 recipients held.");
    let held = site.does("queue list");
    assert_eq!(held.matches("held by the operator").count(), 2, "{held}");
    browser.follow("Release: kites.example");
    browser.sees("2 recipients released.");
    let released = site.does("queue list");
    assert!(!released.contains("held by the operator"), "{released}");

    // What cannot be undone is asked for once more; who says no has done nothing.
    browser.follow("Return: studio.example");
    browser.sees("Return everything for studio.example?");
    browser.sees("Its sender gets a report.");
    browser.goes_to("Leave it");
    assert!(site.does("queue list").contains("noor@studio.example"));
    anna.idle();
    browser.follow("Return: studio.example");
    browser.follow("Return");
    browser.sees("1 recipient given up, and the sender told.");
    anna.line("* 1 EXISTS");
    anna.done();
    assert!(String::from_utf8_lossy(&anna.ok("FETCH 1 BODY.PEEK[]").data[0]).contains("noor@studio.example"));

    // One message, on its own page.
    browser.goes_to("From anna@example.test");
    browser.sees("Accepted");
    browser.follow("Drop: message");
    browser.sees("It is gone then, and nobody is told");
    browser.follow("Drop");
    browser.sees("1 recipient dropped.");
    browser.follow("Try now: all messages");
    browser.sees("1 recipient tried at once.");
    let left = site.does("queue list");
    assert_eq!(left.matches("@kites.example").count(), 1, "{left}");
    browser.has_behaved();
}
