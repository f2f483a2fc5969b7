//! UTF8 and LANG, RFC 6856.

use pop3_codec::client::{ClientConfig, Reason, Request};
use pop3_codec::language::Language;
use pop3_codec::server::ServerConfig;

use crate::{Caller, Host, Pair, transcript};

/// One message, whose header holds more than ASCII, and a host that makes no surrogates.
fn host() -> Host {
    let config = ServerConfig::new().plaintext_auth().stls().utf8_logins().implementation("a host");
    let mut host = Host::new(&["Subject: \u{fc}!!\r\n\r\n"]).config(config);
    host.forget = "surrogates";
    host
}

#[test]
fn the_commands_of_rfc_6856_sections_2_and_3() {
    transcript!("rfc6856_sections_2_and_3", host());
    transcript!("rfc6856_section_2", host());
}

#[test]
fn a_host_that_announces_no_utf_8_knows_no_such_command() {
    let answer = Host::new(&[]).talk("CAPA\r\nUTF8\r\n");
    assert!(!answer.contains("UTF8") && answer.ends_with("-ERR not now\r\n"), "{answer}");
    let config = ServerConfig::new().plaintext_auth().utf8();
    let answer = Host::new(&[]).config(config).talk("CAPA\r\n");
    assert!(answer.contains("\r\nUTF8\r\n"), "{answer}");
}

// Ledger: 6856-2.2-6
#[test]
fn names_and_passwords_are_utf_8_or_refused() {
    for line in
        [&b"USER \xff"[..], b"USER \xc3", b"USER \xc0\x80", b"USER \xed\xa0\x80", b"USER \xf4\x90\x80\x80"]
    {
        let (log, answer, _) = host().run(&[line, b"\r\nPASS x\r\n"]);
        assert!(log.is_empty() && answer.ends_with("-ERR syntax error\r\n-ERR not now\r\n"), "{answer}");
        let pass = [b"PASS ", &line[5..]].concat();
        let (log, answer, _) = host().run(&[b"USER x\r\n", &pass, b"\r\n"]);
        assert!(log.is_empty() && answer.ends_with("-ERR syntax error\r\n"), "{answer}");
    }
    let (log, ..) = host().run(&["USER bj\u{f6}rn\r\nPASS p\u{e4}ss\r\n".as_bytes()]);
    assert_eq!(log, ["login \"bj\u{f6}rn\" \"p\u{e4}ss\""]);
}

#[test]
fn both_sides_agree_on_utf_8_mode() {
    for (before, entry) in [(&[Request::Utf8][..], "retrieve 0 None in UTF-8"), (&[], "retrieve 0 None")] {
        let mut caller = Caller::new(&[&[Request::Retr(1)]]);
        caller.before = before.to_vec().into();
        let mut pair = Pair::new(host(), caller, 1);
        pair.run();
        assert_eq!(pair.host.log.last().map(String::as_str), Some(entry));
        let on = !before.is_empty();
        assert_eq!((pair.client.is_utf8(), pair.server.is_utf8()), (on, on));
        let refused = "refused Retr(1) Utf8 send UTF8 before the login";
        assert_eq!(pair.caller.log.iter().any(|entry| entry == refused), !on, "{:?}", pair.caller.log);
        assert_eq!(pair.caller.messages.len(), usize::from(on));
        assert_eq!(pair.client.closed(), Some(Reason::Quit));
    }
}

#[test]
fn a_language_is_chosen_before_the_login_and_behind_it() {
    let german = Language::new("de").unwrap();
    let mut caller = Caller::new(&[&[Request::Lang(Some(Language::ANY)), Request::Lang(None)]]);
    caller.before = [Request::Lang(Some(Language::ENGLISH))].into();
    let mut pair = Pair::new(host(), caller, usize::MAX);
    pair.run();
    let log = [
        "login",
        "en: English it is",
        "login",
        "password",
        "mailbox",
        "en: English it is",
        "en: English",
        "end",
    ];
    assert_eq!(pair.caller.log[..8], log);
    let mut caller = Caller::new(&[]);
    caller.before = [Request::Lang(Some(german))].into();
    let (log, sent, _) = caller.hear("+OK\r\n-ERR\r\n+OK de-CH Gr\u{fc}ezi\r\n");
    assert_eq!(
        (&log[..], &sent[..]),
        (&["login", "de-CH: Gr\u{fc}ezi", "login"].map(String::from)[..], "CAPA\r\nLANG de\r\nUSER user\r\n")
    );
    for bad in ["+OK", "+OK ", "+OK d\u{e9}", "+OK de_CH x"] {
        let error = pop3_codec::error::ResponseError::Language;
        assert_eq!(
            caller.hear(&format!("+OK\r\n-ERR\r\n{bad}\r\n")).2,
            Some(Reason::Garbled(error)),
            "{bad}"
        );
    }
}

// Ledger: 6856-2.1-3
#[test]
fn no_stls_behind_utf8() {
    let mut caller = Caller::new(&[]);
    caller.before = [Request::Utf8, Request::Stls].into();
    let (_, sent, closed) = caller.hear("+OK\r\n-ERR\r\n+OK\r\n");
    assert_eq!((&sent[..], closed), ("CAPA\r\nUTF8\r\n", Some(Reason::StlsBehindUtf8)));
    // Refused, it is as if it had not been said.
    let (_, sent, closed) = caller.hear("+OK\r\n-ERR\r\n-ERR\r\n");
    assert_eq!((&sent[..], closed), ("CAPA\r\nUTF8\r\nSTLS\r\n", None));
}

// Ledger: 6856-2.2-5
#[test]
fn names_and_passwords_beyond_ascii_go_only_where_they_are_announced_to_be_taken() {
    for (name, password) in [("bj\u{f6}rn", "secret"), ("user", "p\u{e4}ss")] {
        let mut caller = Caller::new(&[]);
        (caller.user, caller.password) = (name, password);
        for capabilities in ["-ERR\r\n", "+OK\r\n.\r\n", "+OK\r\nUTF8\r\n.\r\n"] {
            let (_, sent, closed) = caller.hear(&format!("+OK\r\n{capabilities}+OK\r\n+OK\r\n"));
            assert!(sent.is_ascii(), "{sent}");
            assert_eq!(closed, Some(Reason::NotAscii));
        }
        let (_, sent, closed) = caller.hear("+OK\r\n+OK\r\nUTF8 USER\r\n.\r\n+OK\r\n+OK\r\n");
        assert!(sent.contains(&format!("USER {name}\r\nPASS {password}\r\n")), "{sent}");
        assert_eq!(closed, None);
        // AUTH carries octets.
        caller.auth = Some(true);
        assert_eq!(caller.hear("+OK\r\n+OK\r\nSASL PLAIN\r\n.\r\n+OK\r\n").2, None);
    }
    let mut caller = Caller::new(&[]);
    (caller.config, caller.user) = (ClientConfig::new(), "bj\u{f6}rn");
    assert_eq!(caller.hear("+OK\r\n-ERR\r\n").2, Some(Reason::TlsRequired));
}
