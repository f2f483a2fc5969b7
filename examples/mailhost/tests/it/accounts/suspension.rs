//! Accounts that nobody may use for now, or any more.

use mailhost::listener::Service;

use super::{PLAINTEXT, auth, collected, pass};
use crate::imap::Imap;
use crate::support::{PASSWORD, Site, Wire};

const ANNA: &str = "anna@example.test";

#[test]
fn a_suspended_account_gets_mail_and_lets_nobody_in() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben"]);
    site.does("account forward anna@example.test anna@far.test --no-keep");
    let host = site.start();
    site.does("account suspend anna@example.test --reason spam");
    let listed = site.does("account list");
    assert!(listed.contains("anna@example.test  the same  suspended"), "{listed}");
    assert!(site.does("account show anna@example.test").contains("reason           spam\n"));
    // Only the right password is told.
    for (word, smtp, pop3, imap) in [
        (
            PASSWORD,
            "535 5.7.13 this account is suspended",
            "-ERR [AUTH] this account is suspended",
            "NO [CONTACTADMIN] ",
        ),
        ("wrong", "535 5.7.8 wrong name or password", "-ERR [AUTH] wrong name", "NO [AUTHENTICATIONFAILED] "),
    ] {
        let mut wire = auth(&host, ANNA, word, smtp);
        wire.say("MAIL FROM:<anna@example.test>", "530 5.7.0");
        pass(&host, ANNA, word, pop3);
        let said = Imap::connect(&host).say(format!("LOGIN {ANNA} {word:?}"));
        assert!(said.starts_with(imap), "{}", said.end);
    }
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&[ANNA], "Subject: taken\r\n\r\n");
    site.does("account suspend anna@example.test --no-mail");
    smtp.say("MAIL FROM:<>", "250");
    smtp.say("RCPT TO:<anna@example.test>", "450 4.2.1 ");
    smtp.say("RCPT TO:<ben@example.test>", "250");
    smtp.say("RSET", "250");
    site.does("account resume anna@example.test");
    site.command("account resume anna@example.test").failed("anna@example.test is not suspended");
    site.does("account forward anna@example.test");
    smtp.deliver(&[ANNA], "Subject: again\r\n\r\n");
    assert_eq!(collected(&host, ANNA).len(), 2, "what came meanwhile was kept, and not sent on");
}

#[test]
fn sessions_end_with_a_suspension_a_new_password_and_a_removal() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben"]);
    let host = site.start();
    for command in [
        "account suspend anna@example.test",
        "account password anna@example.test --password-stdin",
        "account remove anna@example.test",
    ] {
        let (mut idle, mut quiet, mut ben) = (Imap::anna(&host), Imap::anna(&host), Imap::of(&host, "ben"));
        idle.ok("SELECT INBOX");
        idle.idle();
        ben.idle();
        let mut pop3 = pass(&host, ANNA, PASSWORD, "+OK");
        let mut smtp = auth(&host, ANNA, PASSWORD, "235");
        smtp.begin(ANNA, &["ben@example.test"]);
        smtp.send("Subject: half of a message\r\n");
        site.does(command);
        idle.line("* BYE ");
        idle.ended();
        quiet.line("* BYE ");
        quiet.ended();
        pop3.expect("-ERR [SYS/TEMP] ");
        pop3.ended();
        smtp.expect("421 4.3.2 ");
        smtp.ended();
        ben.done();
        if command.contains("suspend") {
            site.does("account resume anna@example.test");
        }
    }
    assert_eq!(collected(&host, "ben@example.test").len(), 0, "no half message was taken");
}
