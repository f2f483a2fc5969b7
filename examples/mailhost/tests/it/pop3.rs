//! POP3, spoken by hand.

use mailhost::listener::Service;

use crate::imap::Imap;
use crate::support::{PASSWORD, Site, Wire, base64};

const ANNA: &str = "anna@example.test";
const PLAINTEXT: &str = "[auth]\nallow_plaintext = true\n";

fn capabilities(pop3: &mut Wire) -> Vec<String> {
    String::from_utf8(pop3.listing("CAPA")).unwrap().lines().map(str::to_owned).collect()
}

// Ledger: 2449-5-2, 2595-2.3-1, 5034-3-2, 5034-4-21, 2595-6-1, 2595-9-2
#[test]
fn what_is_announced_is_what_holds() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let always =
        ["TOP", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UIDL", "UTF8 USER", "LANG", "EXPIRE NEVER"];
    let has_all = |announced: &[String]| {
        assert!(always.iter().all(|word| announced.iter().any(|line| line == word)), "{announced:?}");
    };
    let begins = |announced: &[String], start: &str| announced.iter().any(|line| line.starts_with(start));

    // No login without TLS, whatever is tried.
    let mut pop3 = Wire::connect(host.address(Service::Pop3));
    pop3.expect("+OK");
    let announced = capabilities(&mut pop3);
    has_all(&announced);
    assert!(begins(&announced, "STLS"));
    assert!(!["USER", "SASL", "IMPLEMENTATION", "LOGIN-DELAY"].iter().any(|word| begins(&announced, word)));
    for command in ["USER anna@example.test", "PASS x", "AUTH PLAIN", "AUTH LOGIN", "AUTH SCRAM-SHA-256"] {
        pop3.say(command, "-ERR");
    }
    pop3.say("STLS", "+OK");
    let mut pop3 = pop3.start_tls(&site.tls());
    let announced = capabilities(&mut pop3);
    has_all(&announced);
    let sasl = announced.iter().find_map(|line| line.strip_prefix("SASL ")).unwrap().to_owned();
    assert!(begins(&announced, "USER") && !begins(&announced, "STLS") && sasl.contains("SCRAM-SHA-256-PLUS"));
    pop3.say("STLS", "-ERR");
    // RFC 5034 §4: no AUTH behind an AUTH, though it is announced still.
    pop3.say(&format!("AUTH PLAIN {}", base64(format!("\0{ANNA}\0{PASSWORD}").as_bytes())), "+OK");
    let announced = capabilities(&mut pop3);
    has_all(&announced);
    assert!(begins(&announced, "USER") && begins(&announced, &format!("SASL {sasl}")));
    assert!(begins(&announced, "IMPLEMENTATION Postrider mailhost "));
    pop3.say("AUTH PLAIN", "-ERR");
    pop3.say("LANG en", "+OK en ");
    pop3.say("QUIT", "+OK");
}

// Ledger: 5034-4-2, 5034-4-4, 5034-4-5, 5034-4-6, 5034-4-10, 5034-4-12, 5034-4-14, 5034-4-19, 5034-4-20, 5034-5-1
#[test]
fn logins_by_auth_fail_and_succeed_as_rfc_5034_has_it() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let mut pop3 = Wire::connect(host.address(Service::Pop3s)).start_tls(&site.tls());
    pop3.expect("+OK");
    let right = base64(format!("\0{ANNA}\0{PASSWORD}").as_bytes());
    assert_eq!(pop3.say("auth plain", "+"), "+ ");
    pop3.say("*", "-ERR");
    for bad in ["=AAA", "AAA=BBB", "AA A", "AAA", "\u{e9}"] {
        pop3.say("AUTH PLAIN", "+ ");
        pop3.say(bad, "-ERR");
        pop3.say(&format!("AUTH PLAIN {bad}"), "-ERR");
    }
    pop3.say("AUTH KERBEROS_V4", "-ERR");
    pop3.say(&format!("AUTH PLAIN {}", base64(format!("\0{ANNA}\0wrong").as_bytes())), "-ERR [AUTH]");
    // As if nothing had been said: the other ways are open.
    pop3.say("AUTH PLAIN", "+ ");
    pop3.say(&right, "+OK");
    pop3.say(&format!("AUTH PLAIN {right}"), "-ERR");
    pop3.say("QUIT", "+OK");
}

// Ledger: 6856-2.2-2, 6856-2.2-3, 5034-4-15
#[test]
fn what_saslprep_prohibits_is_no_name_and_no_password() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    for forbidden in ["be\u{e000}n", "\u{ad}", "\u{5d0}b"] {
        site.command(&format!("account add ben@example.test --login {forbidden} --password-stdin")).failed(&format!(
            "\"{}\" cannot be a login name, for SASLprep (RFC 4013) forbids it; take letters, digits and signs that stay \
             as they are typed",
            forbidden.escape_default(),
        ));
    }
    let host = site.start();
    let mut pop3 = Wire::connect(host.address(Service::Pop3));
    pop3.expect("+OK");
    for (name, password) in [(ANNA, "\u{e000}"), ("be\u{e000}n", PASSWORD), ("\u{fffd}", PASSWORD)] {
        pop3.say(&format!("USER {name}"), "+OK");
        pop3.say(&format!("PASS {password}"), "-ERR [AUTH]");
    }
    let identity = base64(format!("\u{e000}\0{ANNA}\0{PASSWORD}").as_bytes());
    pop3.say(&format!("AUTH PLAIN {identity}"), "-ERR [AUTH]");
    // What looks alike is one: a soft hyphen, and letters of full width.
    pop3.say("USER an\u{ad}n\u{ff41}@example.test", "+OK");
    pop3.say(&format!("PASS {PASSWORD}"), "+OK 0 messages");
}

// Ledger: 6856-2.1-1, 6856-2.1-2
#[test]
fn headers_beyond_ascii_are_for_those_who_ask_for_utf_8() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    let body = format!("\r\nGr\u{fc}\u{df}e\r\n.\r\n{}", "a line of the body\r\n".repeat(20_000));
    let head = "Subject: Gr\u{fc}\u{df}e\r\nFrom: J\u{fc}rgen <j@far.test>\r\nX-Any: \u{fc}\r\n";
    let message = format!("{head}{body}");
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    for text in [&message[..], &message[..head.len() + 30]] {
        let text = format!("{}\r\n", text.trim_end());
        smtp.deliver(&[ANNA], &text);
        let mut pop3 = Wire::connect(host.address(Service::Pop3));
        pop3.expect("+OK");
        pop3.say("UTF8", "+OK");
        pop3.log_in_pop3(ANNA);
        let whole = pop3.retrieve(1);
        assert!(whole.ends_with(text.as_bytes()), "as it was sent");
        let listed = pop3.say("LIST 1", "+OK 1 ");
        assert_eq!(listed, format!("+OK 1 {}", whole.len()));
        pop3.say("QUIT", "+OK");

        let mut pop3 = Wire::pop3(host.address(Service::Pop3), ANNA);
        let surrogate = String::from_utf8(pop3.retrieve(1)).unwrap();
        let (fields, rest) = surrogate.split_at(surrogate.find("\r\n\r\n").unwrap() + 2);
        assert!(fields.is_ascii(), "{fields}");
        assert_eq!(rest, &text[head.len()..]);
        let expected = "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\nFrom: =?utf-8?B?SsO8cmdlbg==?= <j@far.test>\r\n";
        assert!(fields.ends_with(expected), "{fields}");
        // RFC 6858 §4: TOP counts the lines of the surrogate.
        assert_eq!(pop3.listing("TOP 1 0"), format!("{fields}\r\n").as_bytes());
        pop3.say("DELE 1", "+OK");
        pop3.say("QUIT", "+OK");
    }
}

#[test]
fn sizes_are_those_of_what_is_sent() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    let messages = ["\r\n", "A: b\r\n", "A: b\r\n\r\n.\r\n..\r\n\r\n.x\r\n", "A: b\r\n\r\nna\u{ef}ve\r\n"];
    for message in messages {
        smtp.deliver(&[ANNA], message);
    }
    // A last line without an end gets one on the way.
    let mut imap = Imap::anna(&host);
    assert!(imap.append("INBOX", "Subject: x\r\n\r\nno end").starts_with("OK"));
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), ANNA);
    let listed = String::from_utf8(pop3.listing("LIST")).unwrap();
    let sizes: Vec<usize> =
        listed.lines().map(|line| line.split_once(' ').unwrap().1.parse().unwrap()).collect();
    let sent: Vec<Vec<u8>> = (1..=sizes.len()).map(|number| pop3.retrieve(number)).collect();
    for (at, message) in messages.iter().enumerate() {
        assert_eq!(sizes[at], sent[at].len());
        assert!(sent[at].ends_with(message.as_bytes()));
    }
    assert_eq!((sizes[4], &sent[4][..]), (20, &b"Subject: x\r\n\r\nno end\r\n"[..]));
    pop3.say("STAT", &format!("+OK 5 {}", sizes.iter().sum::<usize>()));
}

// Ledger: 2449-6.6-1
#[test]
fn commands_may_come_at_once_and_are_answered_in_order() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    for number in 1..=3 {
        smtp.deliver(&[ANNA], format!("Subject: {number}\r\n\r\nbody {number}\r\n"));
    }
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), ANNA);
    pop3.send("RETR 3\r\nDELE 2\r\nRETR 1\r\nDELE 2\r\nLIST 2\r\nRSET\r\nSTAT\r\nDELE 1\r\nQUIT\r\n");
    for number in [3, 1] {
        pop3.expect("+OK message follows");
        while pop3.line() != format!("body {number}") {}
        pop3.expect(".");
        if number == 3 {
            pop3.expect("+OK");
        }
    }
    for answer in ["-ERR no such message", "-ERR no such message", "+OK", "+OK 3 ", "+OK", "+OK goodbye"] {
        pop3.expect(answer);
    }
    pop3.ended();
    assert_eq!(Wire::pop3(host.address(Service::Pop3), ANNA).unique_ids().len(), 2);
}

#[test]
fn a_client_that_leaves_without_tls_saying_goodbye_has_ended_its_session() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let mut pop3 = Wire::connect(host.address(Service::Pop3s)).start_tls(&site.tls());
    pop3.expect("+OK");
    drop(pop3);
    let line = host.wait_for("session ended");
    assert!(line.contains("service=pop3s") && line.contains("reason=Eof"), "{line}");
}
