//! Who may come in, and how.

use std::time::{Duration, Instant};

use mailhost::listener::Service;

use super::{Imap, site};
use crate::support::{PASSWORD, Site, Wire, base64};

#[track_caller]
fn capabilities(imap: &mut Imap) -> String {
    let said = imap.ok("CAPABILITY");
    String::from_utf8(said.data.concat()).unwrap()
}

#[test]
fn nobody_logs_in_before_tls() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let mut imap = Imap::connect(&host);
    let before = capabilities(&mut imap);
    assert!(before.ends_with(" STARTTLS LOGINDISABLED"), "{before}");
    let login = format!("LOGIN anna@example.test {PASSWORD:?}");
    imap.refused(&login, "PRIVACYREQUIRED");
    imap.refused("AUTHENTICATE PLAIN", "PRIVACYREQUIRED");
    imap.bad("SELECT INBOX");

    let mut imap = imap.start_tls(&site);
    let within = capabilities(&mut imap);
    let all = " AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1-PLUS AUTH=SCRAM-SHA-1 AUTH=PLAIN AUTH=LOGIN";
    assert!(within.ends_with(all) && !within.contains("STARTTLS"), "{within}");
    imap.bad("STARTTLS");
    let said = imap.ok(&login);
    assert!(said.contains("[CAPABILITY IMAP4rev1 IMAP4rev2 ") && !said.contains("AUTH="), "{}", said.end);
    imap.bad(&login);

    let mut imap = Imap::greeted(Wire::connect(host.address(Service::Imaps)).start_tls(&site.tls()));
    assert!(capabilities(&mut imap).ends_with(all));
    imap.ok(&login);
    imap.ok("LOGOUT");
    imap.ended();
}

#[test]
fn what_stands_behind_starttls_is_not_obeyed() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let mut imap = Imap::connect(&host);
    imap.send("a STARTTLS\r\nb NOOP\r\n");
    imap.line("a OK ");
    imap.ended();
}

#[test]
fn every_mechanism_opens_the_door_and_only_to_its_owner() {
    let site = site();
    let host = site.start();
    let plain = |word: &str| base64(format!("\0anna@example.test\0{word}").as_bytes());
    let mut imap = Imap::connect(&host);
    imap.ok(format!("AUTHENTICATE PLAIN {}", plain(PASSWORD)));
    let mut imap = Imap::connect(&host);
    imap.send("a authenticate plain\r\n");
    imap.line("+ ");
    imap.send(format!("{}\r\n", plain(PASSWORD)));
    imap.line("a OK [CAPABILITY ");
    let mut imap = Imap::connect(&host);
    imap.send("a AUTHENTICATE LOGIN\r\n");
    assert_eq!(imap.line("+ "), format!("+ {}", base64(b"Username:")));
    imap.send(format!("{}\r\n", base64(b"anna@example.test")));
    imap.line("+ ");
    imap.send(format!("{}\r\n", base64(PASSWORD.as_bytes())));
    imap.line("a OK ");
    imap.ok("SELECT INBOX");

    let mut imap = Imap::connect(&host);
    imap.send("a AUTHENTICATE PLAIN\r\n");
    imap.line("+ ");
    imap.send("*\r\n");
    imap.line("a BAD ");
    imap.refused("AUTHENTICATE OAUTHBEARER", "CANNOT");
    imap.refused(format!("AUTHENTICATE PLAIN {}", plain("wrong")), "AUTHENTICATIONFAILED");
    imap.refused("LOGIN {4+}\r\n\u{e4}\u{f6} x", "AUTHENTICATIONFAILED");
    imap.bad("LIST \"\" *");
}

#[test]
fn guessing_is_slow_and_ends() {
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n[limits]\nerrors = 2\n", &["anna"]);
    let host = site.start();
    let mut imap = Imap::connect(&host);
    imap.refused("LOGIN anna@example.test wrong", "AUTHENTICATIONFAILED");
    let start = Instant::now();
    imap.refused("LOGIN nobody@example.test wrong", "AUTHENTICATIONFAILED");
    let waited = start.elapsed();
    assert!(waited > Duration::from_millis(1_500), "{waited:?} for the second");
    imap.send("a LOGIN anna@example.test wrong\r\n");
    imap.line("a NO [AUTHENTICATIONFAILED]");
    imap.line("* BYE ");
    imap.ended();
}

#[test]
fn an_account_does_without_what_is_switched_off_for_it() {
    let site = site();
    site.does("account imap anna@example.test --without IDLE --without CONDSTORE --without QUOTA");
    let host = site.start();
    let mut anna = Imap::anna(&host);
    let can = capabilities(&mut anna);
    for off in ["IDLE", "CONDSTORE", "QUOTA", "QUOTASET", "QUOTA=RES-STORAGE", "IMAP4rev2"] {
        assert!(!can.split(' ').any(|word| word == off), "{off}: {can}");
    }
    assert!(can.contains(" MOVE "), "{can}");
    anna.bad("IDLE");
    anna.bad("STATUS INBOX (HIGHESTMODSEQ)");
    assert!(capabilities(&mut Imap::of(&host, "ben")).contains("IMAP4rev2"));
    // While the host runs, from the next login on.
    site.does("account imap anna@example.test");
    assert!(capabilities(&mut Imap::anna(&host)).contains(" IDLE "));
}

#[test]
fn another_protocol_gets_no_further_than_its_first_line() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::connect(&host);
    imap.send("GET / HTTP/1.1\r\nHost: x\r\n\r\na LOGIN anna@example.test x\r\n");
    imap.line("* BYE ");
    imap.ended();
}
