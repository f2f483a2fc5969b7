//! What is taken from whom, and what is said to the others, octet by octet.

use mailhost::listener::Service;

use crate::support::{Host, PASSWORD, Site, Wire, base64};

const PLAINTEXT: &str = "[auth]\nallow_plaintext = true\n";

/// So that a test can make as many mistakes as it wants in one session.
const PATIENT: &str = "[auth]\nallow_plaintext = true\n[limits]\nerrors = 1000\njunk_commands = 10000\n";

const ANNA: &str = "anna@example.test";
const BEN: &str = "ben@example.test";

fn smtp(host: &Host) -> Wire {
    Wire::smtp(host.address(Service::Smtp))
}

/// How many messages an account has.
#[track_caller]
fn count(host: &Host, login: &str) -> usize {
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), login);
    let count = pop3.unique_ids().len();
    pop3.say("QUIT", "+OK");
    count
}

// Ledger: 5321-3.3-1
#[test]
fn mail_for_nobody_and_mail_for_elsewhere_are_refused_at_once() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    let mut smtp = smtp(&host);
    smtp.say("MAIL FROM:<carla@far.test>", "250 2.1.0");
    smtp.say("RCPT TO:<nobody@example.test>", "550 5.1.1 no such mailbox here");
    smtp.say("RCPT TO:<nobody@mail.example.test>", "550 5.1.1 ");
    smtp.say("RCPT TO:<dora@elsewhere.test>", "550 5.7.1 ");
    smtp.say("RCPT TO:<anna@sub.example.test>", "550 5.7.1 ");
    smtp.say("RCPT TO:<anna@localhost>", "550 5.7.1 ");
    smtp.say("RCPT TO:<anna@[127.0.0.1]>", "550 5.7.1 ");
    // RFC 5321 §3.3: without a valid recipient there is nothing to send.
    smtp.say("DATA", "554 5.5.1 ");
    smtp.say("RCPT TO:<anna@example.test>", "250 2.1.5");
    smtp.say("RSET", "250 2.0.0");
    assert_eq!(count(&host, ANNA), 0);
}

#[test]
fn submission_without_a_login_is_refused() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    let mut plain = Wire::smtp(host.address(Service::Submission));
    plain.say("MAIL FROM:<anna@example.test>", "530 5.7.0 ");
    plain.say("MAIL FROM:<>", "530 5.7.0 ");
    plain.say("RCPT TO:<anna@example.test>", "503 5.5.1 ");
    let mut tls = Wire::connect(host.address(Service::Submissions)).start_tls(&site.tls());
    tls.expect("220");
    tls.say("EHLO client.test", "250-");
    tls.say("MAIL FROM:<anna@example.test>", "530 5.7.0 ");
    // A login that was made before a new EHLO is still there; one from before STARTTLS is not.
    plain.log_in_smtp(ANNA);
    plain.say("EHLO client.test", "250-");
    plain.say("MAIL FROM:<anna@example.test>", "250 2.1.0");
    plain.say("RSET", "250");
    plain.say("STARTTLS", "220");
    let mut tls = plain.start_tls(&site.tls());
    tls.say("EHLO client.test", "250-");
    tls.say("MAIL FROM:<anna@example.test>", "530 5.7.0 ");
    tls.log_in_smtp(ANNA);
    tls.say("MAIL FROM:<anna@example.test>", "250 2.1.0");
}

#[test]
fn logins_are_neither_offered_nor_taken_before_tls() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let mut submission = Wire::connect(host.address(Service::Submission));
    submission.expect("220");
    let offers = submission.say("EHLO client.test", "250-");
    assert!(offers.contains("STARTTLS") && !offers.contains("AUTH"), "{offers}");
    let response = base64(format!("\0{ANNA}\0{PASSWORD}").as_bytes());
    submission.say(&format!("AUTH PLAIN {response}"), "538 5.7.11 ");
    submission.say("AUTH LOGIN", "538 5.7.11 ");
    submission.say("STARTTLS", "220 ");
    let mut submission = submission.start_tls(&site.tls());
    let offers = submission.say("EHLO client.test", "250-");
    assert!(
        !offers.contains("STARTTLS")
            && offers.contains("250-AUTH SCRAM-SHA-256-PLUS ")
            && offers.contains(" PLAIN LOGIN"),
        "{offers}"
    );
    submission.log_in_smtp(ANNA);

    // Where other hosts come in, nobody logs in at all.
    let mut smtp = Wire::connect(host.address(Service::Smtp));
    smtp.expect("220");
    let offers = smtp.say("EHLO client.test", "250-");
    assert!(!offers.contains("AUTH"), "{offers}");
    smtp.say(&format!("AUTH PLAIN {response}"), "502 5.5.1 ");
    smtp.say("STARTTLS", "220 ");
    let mut smtp = smtp.start_tls(&site.tls());
    let offers = smtp.say("EHLO client.test", "250-");
    assert!(!offers.contains("AUTH"), "{offers}");

    let mut pop3 = Wire::connect(host.address(Service::Pop3));
    pop3.expect("+OK");
    let offers = String::from_utf8(pop3.listing("CAPA")).unwrap();
    assert!(offers.lines().all(|line| line != "USER"), "{offers}");
    pop3.say("USER anna@example.test", "-ERR");
    pop3.say("STLS", "+OK");
    let mut pop3 = pop3.start_tls(&site.tls());
    pop3.log_in_pop3(ANNA);
}

#[test]
fn nobody_sends_under_the_name_of_another() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben"]);
    site.does("alias add sales@example.test anna@example.test");
    let host = site.start();
    let mut anna = Wire::smtp(host.address(Service::Submission));
    anna.log_in_smtp(ANNA);
    for other in [
        "ben@example.test",
        "nobody@example.test",
        "anna@elsewhere.test",
        "anna@[127.0.0.1]",
        "postmaster@far.test",
    ] {
        anna.say(&format!("MAIL FROM:<{other}>"), "553 5.7.1 ");
    }
    for own in
        ["anna@example.test", "ANNA@Mail.Example.Test", "\"anna\"@example.test", "sales@example.test", ""]
    {
        let reply = anna.offer(own, &[BEN], "Subject: x\r\n\r\n");
        assert!(reply.starts_with("250 2.0.0"), "{own}: {reply}");
    }
    assert_eq!(count(&host, BEN), 5);
}

// Ledger: 5321-4.2.5-2, 5321-6.3-1
#[test]
fn a_message_that_goes_round_in_circles_is_refused() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    let hops = |count: usize| {
        let field = "Received: from a.test by b.test;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n";
        format!("{}Subject: hops\r\n\r\nReceived: in the body\r\n", field.repeat(count))
    };
    let mut smtp = smtp(&host);
    let reply = smtp.offer("carla@far.test", &[ANNA], hops(51));
    assert!(reply.starts_with("554 5.4.6 "), "{reply}");
    assert_eq!(count(&host, ANNA), 0);
    smtp.deliver(&[ANNA], hops(50));
    assert_eq!(count(&host, ANNA), 1);
    let reply = smtp.offer("carla@far.test", &[ANNA], hops(5_000));
    assert!(reply.starts_with("554 5.4.6 "), "{reply}");
}

// Ledger: 5321-4.2.5-2
#[test]
fn a_message_over_the_limit_is_refused_before_and_while_it_comes() {
    let site = Site::with_accounts(&format!("{PLAINTEXT}[limits]\nmessage_size = \"64 KiB\"\n"), &["anna"]);
    let host = site.start();
    let mut smtp = Wire::connect(host.address(Service::Smtp));
    smtp.expect("220");
    let offers = smtp.say("EHLO client.test", "250-");
    assert!(offers.contains("250-SIZE 65536"), "{offers}");
    smtp.say("MAIL FROM:<carla@far.test> SIZE=65537", "552 5.3.4 ");
    smtp.say("MAIL FROM:<carla@far.test> SIZE=18446744073709551615", "552 5.3.4 ");
    smtp.say("MAIL FROM:<carla@far.test> SIZE=65536", "250 2.1.0");
    smtp.say("RSET", "250");
    let of_size = |size: usize| {
        let line = ".a line that begins with a dot, which is not counted twice\r\n";
        let mut message = format!("Subject: size\r\n\r\n{}", line.repeat(size / line.len() - 1));
        message.push_str(&"x".repeat(size - message.len() - 2));
        message + "\r\n"
    };
    let reply = smtp.offer("carla@far.test", &[ANNA], of_size(65_537));
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
    let reply = smtp.offer("carla@far.test", &[ANNA], of_size(1_000_000));
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
    assert_eq!(count(&host, ANNA), 0);
    smtp.deliver(&[ANNA], of_size(65_536));
    assert_eq!(count(&host, ANNA), 1);
    assert_eq!(site.bodies(), 0, "up to 64 KiB stay in the journal, and what was refused leaves nothing");
}

// Ledger: 5321-4.5.3.1-1, 5321-4.5.3.1.8-1, 5321-4.5.3.1.8-3, 5321-4.5.3.1.10-1
#[test]
fn recipients_over_the_limit_are_put_off() {
    let site = Site::with_accounts(
        &format!("{PLAINTEXT}[limits]\nrecipients = 100\nerrors = 10\n"),
        &["anna", "ben"],
    );
    let host = site.start();
    let mut smtp = smtp(&host);
    smtp.say("MAIL FROM:<carla@far.test>", "250");
    for _ in 0..100 {
        smtp.say("RCPT TO:<anna@example.test>", "250 2.1.5");
    }
    // RFC 5321 §4.5.3.1.10: 452, and those before it are kept. It is no mistake that would end the session.
    for _ in 0..20 {
        smtp.say("RCPT TO:<ben@example.test>", "452 4.5.3 ");
    }
    smtp.say("DATA", "354");
    smtp.send("Subject: many\r\n\r\n.\r\n");
    smtp.expect("250 2.0.0");
    assert_eq!((count(&host, ANNA), count(&host, BEN)), (1, 0));
}

// Ledger: 5321-2.3.5-4, 5321-4.1.4-6, 5321-4.5.1-3, 5321-4.5.1-4
#[test]
fn the_host_has_a_postmaster_an_abuse_desk_and_its_own_name() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben"]);
    let host = site.start();
    let roles = [
        "postmaster",
        "PostMaster",
        "postmaster@example.test",
        "Postmaster@MAIL.example.test",
        "abuse@example.test",
        "abuse@mail.example.test",
    ];
    for role in roles {
        smtp(&host).deliver(&[role], "Subject: to a role\r\n\r\n");
    }
    assert_eq!(count(&host, ANNA), roles.len(), "the first account answers for the host");
    smtp(&host).deliver(&["ben@mail.example.test"], "Subject: to the host\r\n\r\n");
    assert_eq!(count(&host, BEN), 1);
    site.does("alias add abuse@example.test ben@example.test");
    smtp(&host).deliver(&["abuse@example.test"], "Subject: to whom it concerns\r\n\r\n");
    assert_eq!((count(&host, ANNA), count(&host, BEN)), (roles.len(), 2));
}

// Ledger: 5321-3.3-7, 5321-3.7.2-3, 5321-4.5.3.1.8-2
#[test]
fn odd_fields_are_no_reason_to_refuse() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    let many: String = (0..2_000).map(|number| format!("\tuser{number}@far.test,\r\n")).collect();
    let headers = [
        // RFC 5321 §3.3: Resent- fields that do not match.
        "Resent-To: x@far.test\r\nResent-To: y@far.test\r\nResent-Cc: z@far.test\r\nResent-Sender: q\r\n",
        // RFC 5321 §3.7.2: trace fields of other kinds of mail, or of none.
        "Received: 12 blue (BITNET) FROM uucp!relay AT noon\r\nReturn-Path: not <a> path\r\nReceived:\r\n",
        // RFC 5321 §4.5.3.1.8: more recipients than an envelope may have.
        &format!("To: {many}\tlast@far.test\r\n"),
    ];
    for header in headers {
        smtp(&host).deliver(&[ANNA], format!("{header}Subject: odd\r\n\r\ntext\r\n"));
    }
    assert_eq!(count(&host, ANNA), headers.len());
}

#[test]
fn a_maildrop_is_open_in_one_session_at_a_time() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben"]);
    let host = site.start();
    let mut first = Wire::pop3(host.address(Service::Pop3), ANNA);
    let mut second = Wire::connect(host.address(Service::Pop3));
    second.expect("+OK");
    second.say("USER anna@example.test", "+OK");
    second.say(&format!("PASS {PASSWORD}"), "-ERR [IN-USE] ");
    assert_eq!(count(&host, BEN), 0, "others are not concerned");
    first.say("NOOP", "+OK");
    first.say("QUIT", "+OK");
    first.ended();
    second.log_in_pop3(ANNA);
    // Mail is taken meanwhile, and the session does not see it.
    smtp(&host).deliver(&[ANNA], "Subject: x\r\n\r\n");
    second.say("STAT", "+OK 0 0");
    second.say("QUIT", "+OK");
    assert_eq!(count(&host, ANNA), 1);
}

// Ledger: 1939-6-1
#[test]
fn a_connection_that_is_lost_deletes_nothing_and_frees_the_maildrop() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    smtp(&host).deliver(&[ANNA], "Subject: x\r\n\r\n");
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), ANNA);
    pop3.say("DELE 1", "+OK");
    pop3.say("STAT", "+OK 0 0");
    drop(pop3);
    host.wait_for("session ended service=pop3");
    assert_eq!(count(&host, ANNA), 1);
}

#[test]
fn a_wrong_password_and_an_unknown_name_sound_the_same() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    // From here on Anna's address is known, and does not wait for the failures of others.
    assert_eq!(count(&host, ANNA), 0);
    let login = |name: &str, password: &str| {
        let mut pop3 = Wire::connect(host.address(Service::Pop3));
        pop3.expect("+OK");
        let user = pop3.say(&format!("USER {name}"), "+OK");
        (user, pop3.say(&format!("PASS {password}"), "-ERR [AUTH] "))
    };
    assert_eq!(login("nobody@example.test", "wrong"), login(ANNA, "wrong"));

    // Another host, whose throttle has seen no failure yet.
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    assert_eq!(count(&host, ANNA), 0);
    let login = |name: &str, password: &str| {
        let mut smtp = Wire::smtp(host.address(Service::Submission));
        let response = base64(format!("\0{name}\0{password}").as_bytes());
        smtp.say(&format!("AUTH PLAIN {response}"), "535 5.7.8 ")
    };
    assert_eq!(login("nobody@example.test", "wrong"), login(ANNA, "wrong"));
}

/// Ways to name somebody elsewhere that have made relays of hosts, and what this one says.
pub(crate) const RELAY_ATTEMPTS: [(&str, &str); 63] = [
    ("<victim@elsewhere.test>", "550 5.7.1 "),
    ("<victim@ELSEWHERE.TEST>", "550 5.7.1 "),
    ("<victim@[192.0.2.1]>", "550 5.7.1 "),
    ("<victim@[127.0.0.1]>", "550 5.7.1 "),
    ("<victim@[IPv6:::1]>", "550 5.7.1 "),
    ("<victim@192.0.2.1>", "550 5.7.1 "),
    ("<victim@localhost>", "550 5.7.1 "),
    ("<anna@localhost.localdomain>", "550 5.7.1 "),
    // Of another domain, however much it looks like ours.
    ("<anna@sub.example.test>", "550 5.7.1 "),
    ("<anna@notexample.test>", "550 5.7.1 "),
    ("<anna@example.test.elsewhere.test>", "550 5.7.1 "),
    ("<anna@example.tes>", "550 5.7.1 "),
    ("<anna@test>", "550 5.7.1 "),
    // With the dot that DNS ends names with, and with letters that only look like ours.
    ("<victim@elsewhere.test.>", "501 "),
    ("<anna@example.test.>", "501 "),
    ("<victim@elsewhere.test.@example.test>", "501 "),
    ("<anna@example.test..>", "501 "),
    ("<anna@xn--exmple-4nf.test>", "550 5.7.1 "),
    ("<anna@ex\u{430}mple.test>", "553 5.6.7 "),
    ("<anna@example\u{3002}test>", "553 5.6.7 "),
    ("<anna\u{ff20}elsewhere.test>", "553 5.6.7 "),
    ("<anna\u{ff20}elsewhere.test@example.test>", "553 5.6.7 "),
    // The percent hack.
    ("<victim%elsewhere.test@example.test>", "550 5.1.1 "),
    ("<victim%elsewhere.test@mail.example.test>", "550 5.1.1 "),
    ("<victim%elsewhere.test@[127.0.0.1]>", "550 5.7.1 "),
    ("<victim%elsewhere.test%example.test@example.test>", "550 5.1.1 "),
    ("<\"victim%elsewhere.test\"@example.test>", "550 5.1.1 "),
    ("<anna%example.test@elsewhere.test>", "550 5.7.1 "),
    ("<victim%elsewhere.test>", "501 "),
    ("<\"victim%elsewhere.test\">", "501 "),
    // A relay within quotes.
    ("<\"victim@elsewhere.test\"@example.test>", "550 5.1.1 "),
    ("<\"victim@elsewhere.test\"@mail.example.test>", "550 5.1.1 "),
    ("<\"victim@elsewhere.test\"@[127.0.0.1]>", "550 5.7.1 "),
    ("<\"victim\\@elsewhere.test\"@example.test>", "550 5.1.1 "),
    ("<\"anna@example.test\"@elsewhere.test>", "550 5.7.1 "),
    ("<\"anna@example.test\"@example.test>", "550 5.1.1 "),
    ("<\"victim@elsewhere.test\">", "501 "),
    ("<\"victim\"@elsewhere.test>", "550 5.7.1 "),
    ("<\"anna@example.test> RCPT TO:<victim\"@elsewhere.test>", "550 5.7.1 "),
    // Two domains.
    ("<victim@elsewhere.test@example.test>", "501 "),
    ("<victim@example.test@elsewhere.test>", "501 "),
    ("<anna@example.test@elsewhere.test>", "501 "),
    ("<victim@elsewhere.test@[127.0.0.1]>", "501 "),
    ("<victim@elsewhere.test@>", "501 "),
    // UUCP.
    ("<elsewhere.test!victim>", "501 "),
    ("<elsewhere.test!victim@example.test>", "550 5.1.1 "),
    ("<elsewhere.test!victim@[127.0.0.1]>", "550 5.7.1 "),
    ("<example.test!elsewhere.test!victim@example.test>", "550 5.1.1 "),
    ("<\"elsewhere.test!victim\"@example.test>", "550 5.1.1 "),
    // Source routes, which count for nothing.
    ("<@example.test:victim@elsewhere.test>", "550 5.7.1 "),
    ("<@mail.example.test:victim@elsewhere.test>", "550 5.7.1 "),
    ("<@[127.0.0.1]:victim@elsewhere.test>", "550 5.7.1 "),
    ("<@example.test,@mail.example.test:victim@elsewhere.test>", "550 5.7.1 "),
    ("<@elsewhere.test:victim@example.test>", "550 5.1.1 "),
    ("<@example.test:@elsewhere.test:victim@elsewhere.test>", "501 "),
    ("<@example.test:victim%elsewhere.test@example.test>", "550 5.1.1 "),
    // No path at all.
    ("victim@elsewhere.test", "501 "),
    ("<victim@elsewhere.test", "501 "),
    ("<victim@elsewhere.test>, <anna@example.test>", "5"),
    ("<anna@example.test>,<victim@elsewhere.test>", "5"),
    ("<anna@example.test> <victim@elsewhere.test>", "5"),
    ("<anna@example.test\0@elsewhere.test>", "500 "),
    ("<victim@elsewhere.test> ORCPT=rfc822;anna@example.test", "5"),
];

/// Names for people here.
const LOCAL: [&str; 6] = [
    "<anna@example.test>",
    "<\"anna\"@example.test>",
    "<\"a\\nna\"@example.test>",
    "<ANNA@EXAMPLE.TEST>",
    // RFC 5321 §4.1.1.3: a route SHOULD be ignored, whatever it says.
    "<@elsewhere.test:anna@example.test>",
    "<@elsewhere.test,@far.test:anna@mail.example.test>",
];

// Ledger: 5321-2.3.11-1, 5321-3.3-2, 5321-4.1.2-2, 5321-C-3
#[test]
fn nothing_is_relayed_whatever_it_is_called() {
    let site = Site::with_accounts(PATIENT, &["anna"]);
    let host = site.start();
    let senders = [
        "",
        "spam@elsewhere.test",
        "victim@elsewhere.test",
        "anna@example.test",
        "postmaster@example.test",
        "spam@localhost",
        "spam@[127.0.0.1]",
        "spam@mail.example.test",
    ];
    for tls in [false, true] {
        let mut smtp = smtp(&host);
        if tls {
            smtp.say("STARTTLS", "220");
            smtp = smtp.start_tls(&site.tls());
            smtp.say("EHLO example.test", "250-");
        }
        for from in senders {
            smtp.say(&format!("MAIL FROM:<{from}>"), "250 2.1.0");
            for (to, expected) in RELAY_ATTEMPTS {
                smtp.say(&format!("RCPT TO:{to}"), expected);
            }
            smtp.say("DATA", "554 5.5.1 ");
            smtp.say("RSET", "250");
        }
    }
    assert_eq!(count(&host, ANNA), 0);

    let mut smtp = smtp(&host);
    smtp.say("MAIL FROM:<spam@elsewhere.test>", "250");
    for to in LOCAL {
        smtp.say(&format!("RCPT TO:{to}"), "250 2.1.5");
    }
    smtp.say("DATA", "354");
    smtp.send("Subject: local\r\n\r\n.\r\n");
    smtp.expect("250 2.0.0");
    assert_eq!(count(&host, ANNA), 1);
}

#[test]
fn commands_behind_starttls_are_not_obeyed() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    // CVE-2011-0411: in the same segment, in the clear.
    for injected in [
        "NOOP\r\n",
        "EHLO evil.test\r\nMAIL FROM:<>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\nSubject: evil\r\n\r\n.\r\n",
        "R",
    ] {
        let mut smtp = smtp(&host);
        smtp.send(format!("STARTTLS\r\n{injected}"));
        smtp.expect("220 2.0.0 ");
        assert!(smtp.try_start_tls(&site.tls()).is_err(), "TLS was started behind {injected:?}");

        let mut pop3 = Wire::connect(host.address(Service::Pop3));
        pop3.expect("+OK");
        pop3.send(format!("STLS\r\n{injected}"));
        pop3.expect("+OK");
        assert!(pop3.try_start_tls(&site.tls()).is_err(), "TLS was started behind {injected:?}");
    }
    // What was said before TLS is forgotten with it: no transaction lives on.
    let mut smtp = smtp(&host);
    smtp.say("STARTTLS", "220 ");
    let mut smtp = smtp.start_tls(&site.tls());
    smtp.say("MAIL FROM:<carla@far.test>", "503 5.5.1 ");
    smtp.say("EHLO client.test", "250-");
    smtp.say("RCPT TO:<anna@example.test>", "503 5.5.1 ");
    assert_eq!(count(&host, ANNA), 0);
}

// Ledger: 5321-4.1.1.4-4
#[test]
fn a_message_with_a_bare_lf_is_refused_at_its_end_and_not_before() {
    let site = Site::with_accounts(PATIENT, &["anna"]);
    let host = site.start();
    let mut smtp = smtp(&host);
    // Each holds what some host takes for the end of the message, and behind it a message to smuggle in.
    for end in ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\r\n.\n"] {
        let smuggled =
            "MAIL FROM:<evil@far.test>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\nSubject: evil\r\n\r\n";
        smtp.begin("carla@far.test", &[ANNA]);
        smtp.send(format!("Subject: x\r\n\r\ntext{end}{smuggled}\r\n.\r\n"));
        smtp.expect("550 5.6.0 ");
        // In step: the next reply is the one to the next command.
        smtp.say("NOOP", "250 2.0.0");
        smtp.say("VRFY anna", "252 ");
    }
    let reply = smtp.offer("carla@far.test", &[ANNA], "Subject: x\r\n\r\na line\nanother\r\n");
    assert!(reply.starts_with("550 5.6.0 "), "{reply}");
    let reply = smtp.offer("carla@far.test", &[ANNA], "Subject: x\r\n\r\na\0b\r\n");
    assert!(reply.starts_with("550 5.6.0 "), "{reply}");
    assert_eq!(count(&host, ANNA), 0);
    smtp.deliver(&[ANNA], "Subject: good\r\n\r\n");
    assert_eq!(count(&host, ANNA), 1);
}

#[test]
fn a_host_without_accounts_takes_no_mail_at_all() {
    let site = Site::new(PLAINTEXT);
    let host = site.start();
    let mut smtp = smtp(&host);
    smtp.say("MAIL FROM:<>", "250");
    smtp.say("RCPT TO:<postmaster>", "550 5.1.1 ");
    smtp.say("RCPT TO:<anna@example.test>", "550 5.1.1 ");
    assert!(host.log().iter().any(|line| line.contains("there is no account yet")));
}

#[test]
fn a_browser_is_shown_the_door() {
    let site = Site::new("");
    let host = site.start();
    for line in
        ["GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<>\r\n", "\x16\x03\x01\x02"]
    {
        let mut smtp = Wire::connect(host.address(Service::Smtp));
        smtp.expect("220");
        smtp.send(line);
        smtp.expect("554 5.7.0 ");
        smtp.ended();
    }
}
