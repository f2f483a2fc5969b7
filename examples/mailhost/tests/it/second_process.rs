//! Two processes and one data directory: a second host is refused, and the administration commands find their way.

use mailhost::listener::Service;

use crate::support::{Host, PASSWORD, Site, Wire};

const PLAINTEXT: &str = "[auth]\nallow_plaintext = true\n";

#[track_caller]
fn can_log_in(host: &Host, login: &str) -> usize {
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), login);
    let count = pop3.unique_ids().len();
    pop3.say("QUIT", "+OK");
    count
}

#[track_caller]
fn cannot_log_in(host: &Host, login: &str) {
    let mut pop3 = Wire::connect(host.address(Service::Pop3));
    pop3.expect("+OK");
    pop3.say(&format!("USER {login}"), "+OK");
    pop3.say(&format!("PASS {PASSWORD}"), "-ERR [AUTH] wrong name or password");
}

#[test]
fn a_second_host_on_the_same_data_directory_is_refused() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    can_log_in(&host, "anna@example.test");
    let before = site.folder().listing();
    site.command("serve").failed(&format!(
        "{}:2: data_dir {} is in use by process {}; stop that mailhost first",
        site.config().display(),
        site.data("").display().to_string().trim_end_matches('/'),
        host.process().as_raw_nonzero(),
    ));
    assert_eq!(site.folder().listing(), before, "something was changed on disk");
    can_log_in(&host, "anna@example.test");
    host.stop();
    site.start().stop();
}

#[test]
fn a_host_that_was_killed_keeps_nobody_out() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    site.start().kill();
    // Its socket is still there, with nobody behind it.
    assert!(site.data("admin.sock").exists());
    site.does("account add ben@example.test --password-stdin");
    assert_eq!(can_log_in(&site.start(), "ben@example.test"), 0);
}

#[test]
fn accounts_are_added_while_the_host_runs_and_while_it_does_not() {
    let site = Site::new(PLAINTEXT);
    let host = site.start();
    let said = site.does("account add anna@example.test --password-stdin");
    assert_eq!(said, "anna@example.test added, login name anna@example.test\n");
    assert!(host.wait_for("account added").contains("anna@example.test"), "by the host itself");
    assert_eq!(can_log_in(&host, "anna@example.test"), 0);
    Wire::smtp(host.address(Service::Smtp)).deliver(&["anna@example.test"], "Subject: x\r\n\r\n");
    host.stop();

    site.does("account add ben@example.test --password-stdin");
    let list = || -> Vec<String> {
        site.does("account list").lines().map(|line| line.split("  ").next().unwrap().to_owned()).collect()
    };
    let both = ["ADDRESS", "anna@example.test", "ben@example.test"];
    assert_eq!(list(), both);
    site.command("account add Ben@example.test --password-stdin").failed("Ben@example.test exists already");
    let host = site.start();
    assert_eq!(list(), both);
    assert_eq!(can_log_in(&host, "anna@example.test"), 1);
    assert_eq!(can_log_in(&host, "ben@example.test"), 0);
    site.command("account add ben@example.test --password-stdin").failed("ben@example.test exists already");
    site.command("account add x@elsewhere.test --password-stdin").failed(
        "x@elsewhere.test is not of a domain of this host; add its domain to `domains` in the configuration, or \
         choose one of: example.test",
    );
    assert_eq!(list(), both);
}

#[test]
fn an_account_that_is_removed_keeps_its_mail_unless_it_is_purged() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben"]);
    site.does("alias add team@example.test ben@example.test");
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["ben@example.test"], "Subject: small\r\n\r\n");
    smtp.deliver(&["ben@example.test"], format!("Subject: large\r\n\r\n{}", "a line\r\n".repeat(20_000)));
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "ben@example.test");
    let (unique_ids, small) = (pop3.unique_ids(), pop3.retrieve(1));
    assert_eq!(unique_ids.len(), 2);
    pop3.say("QUIT", "+OK");

    let said = site.does("account remove ben@example.test");
    assert_eq!(
        said,
        "the alias team@example.test leads nowhere now; `mailhost alias remove team@example.test` removes it\n"
    );
    smtp.say("MAIL FROM:<>", "250");
    smtp.say("RCPT TO:<ben@example.test>", "550 5.1.1");
    smtp.say("RCPT TO:<team@example.test>", "550 5.1.1");
    smtp.say("RSET", "250");
    cannot_log_in(&host, "ben@example.test");
    let listed = site.does("account list");
    assert!(listed.contains("anna@example.test") && !listed.contains("ben@example.test"), "{listed}");
    site.command("account remove ben@example.test")
        .failed("ben@example.test does not exist; see `mailhost account list` and `mailhost alias list`");
    drop(smtp);
    host.stop();

    // It is taken up again by another process, and found there by a third.
    site.does("account add ben@example.test --password-stdin");
    let host = site.start();
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "ben@example.test");
    assert_eq!(pop3.unique_ids(), unique_ids);
    assert!(pop3.retrieve(1) == small);
    pop3.say("QUIT", "+OK");
    assert_eq!(site.bodies(), 1);
    Wire::smtp(host.address(Service::Smtp)).deliver(&["team@example.test"], "Subject: team\r\n\r\n");
    assert_eq!(can_log_in(&host, "ben@example.test"), 3);

    site.does("account remove ben@example.test --purge");
    site.does("account add ben@example.test --password-stdin");
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "ben@example.test");
    assert_eq!(pop3.unique_ids().len(), 0);
    pop3.say("QUIT", "+OK");
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["ben@example.test"], "Subject: new\r\n\r\n");
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "ben@example.test");
    assert!(!unique_ids.contains(&pop3.unique_ids()[0]), "a unique id was used twice");
    drop((smtp, pop3));
    host.stop();
    assert_eq!(site.bodies(), 0);
}

#[test]
fn aliases_come_and_go_and_lead_somewhere() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben"]);
    for running in [false, true] {
        let host = running.then(|| site.start());
        site.does("alias add team@example.test anna@example.test ben@example.test");
        site.does("alias add all@example.test team@example.test");
        let list = "all@example.test   ->  team@example.test\n\
                    team@example.test  ->  anna@example.test\n                   ->  ben@example.test\n";
        assert_eq!(site.does("alias list"), list);
        for (command, sentence) in [
            (
                "add x@example.test ghost@example.test",
                "ghost@example.test is of a domain of this host, and neither an account nor an alias; add it first with \
                 `mailhost account add` or `mailhost alias add`",
            ),
            (
                "add x@elsewhere.test anna@example.test",
                "x@elsewhere.test is not of a domain of this host; add its domain to `domains` in the \
                 configuration, or choose one of: example.test",
            ),
            ("add x@example.test X@example.test", "x@example.test would lead back to itself"),
            (
                "remove team@example.test cleo@example.test",
                "cleo@example.test is no target of team@example.test; see `mailhost alias list`",
            ),
            ("add anna@example.test ben@example.test", "anna@example.test exists already"),
            (
                "remove x@example.test",
                "x@example.test does not exist; see `mailhost account list` and `mailhost alias list`",
            ),
        ] {
            site.command(&format!("alias {command}")).failed(sentence);
        }
        assert_eq!(site.does("alias list"), list, "nothing was changed");
        if let Some(host) = host {
            let mut smtp = Wire::smtp(host.address(Service::Smtp));
            smtp.deliver(&["all@example.test"], "Subject: all\r\n\r\n");
            assert_eq!(can_log_in(&host, "anna@example.test"), 1);
            assert_eq!(can_log_in(&host, "ben@example.test"), 1);
            site.does("alias remove team@example.test");
            smtp.say("MAIL FROM:<>", "250");
            smtp.say("RCPT TO:<team@example.test>", "550 5.1.1");
            smtp.say("RCPT TO:<all@example.test>", "550 5.1.1");
        } else {
            site.does("alias remove all@example.test");
            site.does("alias remove team@example.test");
            assert_eq!(site.does("alias list"), "");
        }
    }
}

#[test]
fn a_login_name_need_not_be_the_address() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let said = site.does("account add dora@example.test --login dora --password-stdin");
    assert_eq!(said, "dora@example.test added, login name dora\n");
    site.command("account add ben@example.test --login DORA --password-stdin")
        .failed("the login name DORA is taken; choose another one with --login");
    let host = site.start();
    Wire::smtp(host.address(Service::Smtp)).deliver(&["dora@example.test"], "Subject: x\r\n\r\n");
    assert_eq!(can_log_in(&host, "dora"), 1);
    let mut smtp = Wire::smtp(host.address(Service::Submission));
    smtp.log_in_smtp("dora");
    let reply = smtp.offer("dora@example.test", &["anna@example.test"], "Subject: y\r\n\r\n");
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    assert_eq!(can_log_in(&host, "anna@example.test"), 1);
    // A mail program that sets itself up knows the address alone.
    assert_eq!(can_log_in(&host, "dora@example.test"), 1);
}

#[test]
fn a_password_is_made_and_shown_once_or_set_and_not_shown() {
    let site = Site::new(PLAINTEXT);
    let said = site.does("account add anna@example.test");
    let made =
        said.lines().last().unwrap().strip_prefix("password ").expect("a password was made").to_owned();
    assert!(made.len() >= 16, "{made}");
    let host = site.start();
    let mut pop3 = Wire::connect(host.address(Service::Pop3));
    pop3.expect("+OK");
    pop3.say("USER anna@example.test", "+OK");
    pop3.say(&format!("PASS {made}"), "+OK");
    pop3.say("QUIT", "+OK");
    assert_eq!(site.does("account password anna@example.test --password-stdin"), "");
    assert_eq!(can_log_in(&host, "anna@example.test"), 0);
    let mut pop3 = Wire::connect(host.address(Service::Pop3));
    pop3.expect("+OK");
    pop3.say("USER anna@example.test", "+OK");
    pop3.say(&format!("PASS {made}"), "-ERR [AUTH]");
}
