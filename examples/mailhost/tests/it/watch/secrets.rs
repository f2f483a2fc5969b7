//! No password ever stands in a log, in whatever form it came.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use mailhost::listener::Service;

use crate::support::{Host, PASSWORD, Site, Wire, base64};

const ANNA: &str = "anna@example.test";
const WRONG: &str = "wrong-s3cret-word";
const MESSAGE: &str = "Subject: a subject for Anna alone\r\n\r\na body for Anna alone\r\n";

#[test]
fn no_password_no_subject_and_no_body_is_ever_logged() {
    for format in ["text", "json"] {
        let log =
            format!("[auth]\nallow_plaintext = true\n[log]\nlevel = \"debug\"\nformat = \"{format}\"\n");
        let site = Site::with_accounts(&log, &["anna"]);
        // The second half runs with a password that was set while it runs.
        let host = site.start();
        site.does(&format!("account password {ANNA} --password-stdin"));
        log_in_everywhere(&host);
        let mut smtp = Wire::smtp(host.address(Service::Submission));
        smtp.log_in_smtp(ANNA);
        let reply = smtp.offer(ANNA, &[ANNA], MESSAGE);
        assert!(reply.starts_with("250 "), "{reply}");
        let mut pop3 = Wire::pop3(host.address(Service::Pop3), ANNA);
        assert_eq!(pop3.unique_ids().len(), 1);
        pop3.retrieve(1);
        host.ask_to_stop();
        let last = host.wait_for("stopped");
        let text = [host.log().join("\n"), last].join("\n");
        assert!(text.contains("a client that has to be found here"), "what is logged is found: {text}");
        let forbidden = [PASSWORD, WRONG, "for Anna alone", "SCRAM-SHA-256$", "$argon2"];
        for word in forbidden {
            for form in forms(word) {
                assert!(!text.contains(&form), "{word} as {form} in {text}");
            }
        }
    }
}

/// In all ways, with the wrong password and then with the right one; also what is no login, or half of one.
fn log_in_everywhere(host: &Host) {
    let lines = |password: &str| {
        let plain = base64(format!("\0{ANNA}\0{password}").as_bytes());
        let (name, word, length) = (base64(ANNA.as_bytes()), base64(password.as_bytes()), password.len());
        let smtp = [
            format!("AUTH PLAIN {plain}"),
            format!("AUTH PLAIN {plain} trailing"),
            format!("AUTH NOSUCH {plain}"),
            format!("AUTH PLAIN\r\n{plain}"),
            format!("AUTH LOGIN\r\n{name}\r\n{word}"),
            format!("auth {password}"),
            format!("PASS {password}"),
        ];
        let pop3 = [
            format!("USER {ANNA}\r\nPASS {password}"),
            format!("PASS {password}"),
            format!("USER {ANNA} {password}"),
            format!("AUTH PLAIN {plain}"),
            format!("APOP {ANNA} {password}"),
        ];
        let client = "i ID (\"name\" \"a client that has to be found here\")\r\n";
        let imap = [
            format!("a LOGIN {ANNA} \"{password}\""),
            format!("a LOGIN {ANNA} {{{length}+}}\r\n{password}"),
            format!("a LOGIN {ANNA} \"{password}"),
            format!("a AUTHENTICATE PLAIN {plain}"),
            format!("a AUTHENTICATE PLAIN\r\n{plain}"),
            format!("{password} NOOP"),
        ];
        let smtp = smtp.map(|line| (Service::Submission, format!("EHLO client.test\r\n{line}\r\nQUIT\r\n")));
        let pop3 = pop3.map(|line| (Service::Pop3, format!("{line}\r\nQUIT\r\n")));
        let imap = imap.map(|line| (Service::Imap, format!("{client}{line}\r\nz LOGOUT\r\n")));
        smtp.into_iter().chain(pop3).chain(imap).collect::<Vec<_>>()
    };
    for (number, (wrong, right)) in lines(WRONG).into_iter().zip(lines(PASSWORD)).enumerate() {
        // A login from where Anna is known makes up for a failure from elsewhere.
        let elsewhere = Ipv4Addr::new(127, 0, 6, number as u8 + 1);
        for (from, (service, text)) in [(elsewhere, wrong), (Ipv4Addr::LOCALHOST, right)] {
            let mut wire = Wire::connect_from(from, host.address(service)).unwrap();
            wire.send(text);
            while wire.try_line().is_ok_and(|line| !line.is_empty()) {}
        }
    }
}

/// As it is; within base64, wherever it begins there; in hexadecimal; as octets that are printed.
fn forms(word: &str) -> Vec<String> {
    let mut forms = vec![word.to_owned(), word.bytes().map(|octet| format!("{octet:02x}")).collect()];
    forms.push(format!("{:?}", word.as_bytes()).trim_matches(['[', ']']).to_owned());
    for before in 0..3 {
        let text = STANDARD_NO_PAD.encode([&vec![0; before][..], word.as_bytes()].concat());
        // The letters that come of the word alone.
        let (first, length) = ((before * 8).div_ceil(6), (before + word.len()) * 8 / 6);
        forms.push(text[first..length].to_owned());
    }
    forms
}

#[test]
fn all_forms_of_a_word_are_found() {
    for before in ["", "a", "ab", "abc"] {
        let text = base64(format!("{before}{WRONG}and more").as_bytes());
        assert!(forms(WRONG).iter().any(|form| text.contains(form)), "{before}");
    }
}
