//! Passwords for one device each.

use super::{PLAINTEXT, auth, pass};
use crate::imap::Imap;
use crate::support::{PASSWORD, Site};

const ANNA: &str = "anna@example.test";

#[track_caller]
fn add(site: &Site, address: &str, name: &str) -> String {
    let said = site.does(&format!("account app-password add {address} {name}"));
    said.strip_prefix("password ").and_then(|rest| rest.strip_suffix('\n')).expect("a password").to_owned()
}

#[test]
fn an_app_password_works_everywhere_until_it_is_taken_away() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben"]);
    let phone = add(&site, ANNA, "phone");
    let host = site.start();
    let laptop = add(&site, ANNA, "laptop-2");
    let named = format!("{ANNA}/phone");
    for (login, word) in [(ANNA, &*phone), (ANNA, &laptop), (ANNA, PASSWORD), (&named, &phone)] {
        auth(&host, login, word, "235 2.7.0");
        pass(&host, login, word, "+OK");
        Imap::connect(&host).ok(format!("LOGIN {login} {word:?}"));
    }
    let listed = site.does(&format!("account app-password list {ANNA}"));
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines[0].starts_with("NAME      MADE        LAST USED"), "{listed}");
    assert!(lines[1].starts_with("phone     20") && lines[1].contains("used 20"), "{listed}");
    assert_eq!(lines.len(), 3);
    let shown = site.does(&format!("account show {ANNA}"));
    assert!(shown.contains("app password  phone, made 20"), "{shown}");
    for hidden in [&*phone, &laptop, "argon2", "SCRAM"] {
        assert!(!shown.contains(hidden) && !site.does("account list").contains(hidden), "{shown}");
    }
    site.command(&format!("account app-password add {ANNA} Phone"))
        .failed("anna@example.test has an app password Phone already; remove it first, or take another name");
    site.command(&format!("account app-password add {ANNA} a/b")).failed(
        "\"a/b\" cannot be the name of an app password; take 1 to 32 letters, digits, or any of - _ .",
    );

    // Others, and other words. A host that starts again has forgotten who failed, and lets nobody wait.
    auth(&host, ANNA, &phone.to_uppercase(), "535 5.7.8");
    host.stop();
    let host = site.start();
    pass(&host, "ben@example.test", &phone, "-ERR [AUTH] wrong");
    host.stop();
    let host = site.start();
    auth(&host, &named, PASSWORD, "535 5.7.8");
    site.does(&format!("account app-password remove {ANNA} phone"));
    Imap::connect(&host).refused(format!("LOGIN {ANNA} {phone}"), "AUTHENTICATIONFAILED");
    host.stop();

    // It is all in the store.
    let host = site.start();
    auth(&host, ANNA, &laptop, "235");
    auth(&host, &named, &phone, "535");
    site.command(&format!("account app-password remove {ANNA} phone")).failed(
        "anna@example.test has no app password phone; see `mailhost account app-password list anna@example.test`",
    );
}

#[test]
fn sessions_end_when_an_app_password_is_taken_away_and_others_stay() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben"]);
    let phone = add(&site, ANNA, "phone");
    let host = site.start();
    let mut imap = Imap::connect(&host);
    imap.ok(format!("LOGIN {ANNA} {phone}"));
    let mut ben = Imap::of(&host, "ben");
    site.does(&format!("account app-password remove {ANNA} phone"));
    imap.line("* BYE ");
    imap.ended();
    ben.ok("NOOP");
}
