//! What there is to see without signing in.

use super::Browser;
use crate::support::{PASSWORD, Site};

#[test]
fn a_password_is_changed_in_a_browser_with_scripts_and_without() {
    let name = "a_password_is_changed_in_a_browser_with_scripts_and_without";
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let Some(mut browser) = Browser::start(name, &site, &host) else { return };
    for (old, new) in [(PASSWORD, "staple & battery"), ("staple & battery", "a third one, with ü")] {
        browser.open("/");
        browser.sees("mail.example.test");
        browser.open("/account");
        browser.fill("Mail address or login name", "anna@example.test");
        for (label, password) in
            [("Current password", old), ("New password", new), ("New password again", new)]
        {
            browser.fill(label, password);
        }
        browser.follow("Change the password");
        browser.sees("Your password is changed");
        browser.without_scripts();
    }
    browser.has_behaved();
}
