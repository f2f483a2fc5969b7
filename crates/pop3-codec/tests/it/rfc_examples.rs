//! The examples of the RFCs.

use pop3_codec::capability::Expire;
use pop3_codec::client::{Reason, Request};
use pop3_codec::command::Mechanism;
use pop3_codec::reply::{Reply, Status};
use pop3_codec::server::ServerConfig;

use crate::{Caller, Host, refusal, transcript};

/// Two messages of 120 and 200 octets, as in the examples of RFC 1939.
fn host() -> Host {
    let first = ".a line of one message that starts with a dot, filled up here with words to the length that it has in the RFC: 120....\r\n";
    let second = format!(
        "Subject: the other one\r\n\r\nfilled up to two hundred octets: {}\r\nnot filled up\r\n",
        ".".repeat(124)
    );
    let mut host = Host::new(&[]);
    host.messages.0 = vec![first.as_bytes().to_vec(), second.into_bytes()];
    host
}

#[test]
fn the_session_of_rfc_1939_section_10() {
    transcript!("rfc1939_section_10", host());
}

// Ledger: 1939-3-1
#[test]
fn the_commands_of_rfc_1939_sections_5_to_7() {
    transcript!("rfc1939_sections_5_to_7", host());
}

#[test]
fn the_capabilities_of_rfc_2449_section_5() {
    transcript!("rfc2449_section_5", host());
}

#[test]
fn the_stls_of_rfc_2595_section_4() {
    transcript!("rfc2595_section_4", host().config(ServerConfig::new().stls().expire(Expire::Never)));
}

#[test]
fn the_logins_of_rfc_5034_section_6() {
    let mechanisms = [&b"PLAIN"[..], b"X-ASK"].map(|name| Mechanism::parse(name).unwrap());
    let config = ServerConfig::new().stls().mechanisms(&mechanisms).expire(Expire::Never);
    transcript!("rfc5034_section_6", host().config(config.clone()));
}

#[test]
fn the_codes_of_rfc_2449_and_rfc_3206_go_out_and_come_in() {
    for (status, code) in [
        (Status::InUse, "[IN-USE] "),
        (Status::LoginDelay, "[LOGIN-DELAY] "),
        (Status::Auth, "[AUTH] "),
        (Status::SysTemp, "[SYS/TEMP] "),
        (Status::SysPerm, "[SYS/PERM] "),
        (Status::Err, ""),
    ] {
        let mut host = host();
        host.login = Some(refusal(status));
        let answer = host.talk("USER user\r\nPASS secret\r\n");
        assert_eq!(answer, format!("+OK POP3 ready\r\n+OK send PASS\r\n-ERR {code}no\r\n"));
        let (log, ..) = Caller::new(&[]).hear(&format!("+OK\r\n-ERR\r\n+OK\r\n-ERR {code}no\r\n"));
        assert_eq!(log, ["login", "password", &format!("refused Pass {status:?} no"), "login"]);
    }
}

#[test]
fn a_refusal_cannot_say_yes() {
    let mut host = host();
    host.login = Some(Reply::OK);
    assert!(host.talk("USER user\r\nPASS secret\r\nSTAT\r\n").contains("-ERR [SYS/TEMP] local error"));
}

#[test]
fn the_client_reads_the_session_of_rfc_1939_section_10() {
    let server = "+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n\
        -ERR unknown command\r\n\
        +OK mrose is a real hoopy frood\r\n\
        +OK mrose's maildrop has 2 messages (320 octets)\r\n\
        +OK 2 320\r\n\
        +OK 2 messages (320 octets)\r\n1 120\r\n2 200\r\n.\r\n\
        +OK 120 octets\r\nmessage 1\r\n.\r\n\
        +OK message 1 deleted\r\n\
        +OK 200 octets\r\n..message 2\r\n.\r\n\
        -ERR message 2 is locked\r\n\
        +OK dewey POP3 server signing off (maildrop empty)\r\n";
    let caller = Caller::new(&[
        &[Request::Stat, Request::List(None), Request::Retr(1), Request::Dele(1)],
        &[Request::Retr(2), Request::Dele(2)],
    ]);
    let (log, sent, closed) = caller.hear(server);
    assert_eq!(
        log,
        [
            "login",
            "password",
            "mailbox",
            "stat 2 320",
            "1 120",
            "2 200",
            "end",
            "message 1",
            "\"message 1\\r\\n\"",
            "done Dele(1)",
            "mailbox",
            "message 2",
            "\".message 2\\r\\n\"",
            "refused Dele(2) Err message 2 is locked",
            "mailbox",
        ]
    );
    assert_eq!(
        sent,
        "CAPA\r\nUSER user\r\nPASS secret\r\nSTAT\r\nLIST\r\nRETR 1\r\nDELE 1\r\nRETR 2\r\nDELE 2\r\nQUIT\r\n"
    );
    assert_eq!(closed, Some(Reason::Quit));
}

#[test]
fn the_client_reads_the_capabilities_of_rfc_2449_section_5() {
    let capabilities = "+OK Capability list follows\r\nTOP\r\nUSER\r\nSASL CRAM-MD5 KERBEROS_V4\r\nRESP-CODES\r\n\
        LOGIN-DELAY 900\r\nPIPELINING\r\nEXPIRE 60\r\nUIDL\r\nIMPLEMENTATION Shlemazle-Plotz-v302\r\n.\r\n";
    let server = format!("+OK\r\n{capabilities}+OK\r\n+OK\r\n{capabilities}+OK 0 0\r\n");
    let (log, sent, closed) = Caller::new(&[&[Request::Capa, Request::Stat]]).hear(&server);
    assert_eq!(log, ["login", "password", "mailbox", "capabilities, pipelining true", "stat 0 0", "mailbox"]);
    assert_eq!(sent, "CAPA\r\nUSER user\r\nPASS secret\r\nCAPA\r\nSTAT\r\nQUIT\r\n");
    assert_eq!(closed, None);
}
