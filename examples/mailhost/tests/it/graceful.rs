//! SIGTERM: what is being received is finished, everybody else is told to come back.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use mailhost::listener::Service;

use crate::imap::Imap;
use crate::support::{DEADLINE, Site, Wire, field};

fn site(limits: &str) -> Site {
    Site::with_accounts(&format!("[auth]\nallow_plaintext = true\n{limits}"), &["anna"])
}

/// The listening socket goes a moment after the signal: until then connections are taken, and end unanswered.
#[track_caller]
fn refuses_connections(address: SocketAddr) {
    let start = Instant::now();
    loop {
        match TcpStream::connect_timeout(&address, DEADLINE) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
            _ => assert!(start.elapsed() < DEADLINE, "connections are still taken"),
        }
    }
}

#[test]
fn a_message_half_sent_is_taken_and_everybody_else_is_sent_away() {
    let site = site("");
    let host = site.start();
    let message = format!("Subject: half\r\n\r\n{}", "A line of the message.\r\n".repeat(10_000));
    let (first, second) = message.split_at(message.len() / 2);

    let mut sender = Wire::smtp(host.address(Service::Smtp));
    sender.begin("carla@far.test", &["anna@example.test"]);
    sender.send(first);
    let mut small = Wire::smtp(host.address(Service::Submission));
    small.log_in_smtp("anna@example.test");
    small.begin("anna@example.test", &["anna@example.test"]);
    small.send("Subject: small\r\n");
    // Idle: one that has said nothing, one within a transaction, one without a login, one with it.
    let mut fresh = Wire::connect(host.address(Service::Smtp));
    fresh.expect("220");
    let mut idle = Wire::smtp(host.address(Service::Smtp));
    idle.say("MAIL FROM:<>", "250");
    idle.say("RCPT TO:<anna@example.test>", "250");
    let mut nobody = Wire::connect(host.address(Service::Pop3));
    nobody.expect("+OK");
    let mut anna = Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    let mut reader = Imap::anna(&host);
    let mut waiting = Imap::anna(&host);
    waiting.idle();
    // And one whose message comes in.
    let mut filer = Imap::anna(&host);
    filer.send("a APPEND INBOX {22}\r\n");
    filer.line("+ ");
    filer.send("Subject: filed\r\n\r\n");

    host.ask_to_stop();
    for idle in [&mut fresh, &mut idle] {
        idle.expect("421 4.3.2 ");
        idle.ended();
    }
    for idle in [&mut nobody, &mut anna] {
        idle.expect("-ERR [SYS/TEMP] ");
        idle.ended();
    }
    for idle in [&mut reader, &mut waiting] {
        idle.line("* BYE [UNAVAILABLE] closing down");
        idle.ended();
    }
    for service in Service::ALL {
        refuses_connections(host.address(service));
    }

    filer.send("kept\r\n");
    filer.line("a OK [APPENDUID ");
    filer.line("* BYE [UNAVAILABLE] closing down");
    filer.ended();
    sender.send(format!("{second}.\r\n"));
    sender.expect("250 2.0.0 accepted as ");
    sender.expect("421 4.3.2 ");
    sender.ended();
    small.send("\r\ntext\r\n.\r\nMAIL FROM:<anna@example.test>\r\n");
    small.expect("250 2.0.0 accepted as ");
    // A further message, though asked for in the same breath, is not begun.
    let mut last = small.reply();
    if last.starts_with("250 2.1.0 ") {
        last = small.reply();
    }
    assert!(last.starts_with("421 4.3.2 "), "{last}");
    small.ended();
    let stopped = host.stopped();
    assert_eq!(field(&stopped, "cut_off"), Some("0"), "{stopped}");

    let host = site.start();
    let mut anna = Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    assert_eq!(anna.unique_ids().len(), 3);
    assert_eq!(anna.retrieve(1), b"Subject: filed\r\n\r\nkept\r\n"[..]);
    assert!(anna.retrieve(2).ends_with(message.as_bytes()));
    assert!(anna.retrieve(3).ends_with(b"Subject: small\r\n\r\ntext\r\n"));
}

// Ledger: 5321-4.1.1.10-4, 5321-4.1.1.10-5
#[test]
fn a_message_that_never_ends_is_cut_off_and_not_delivered() {
    let site = site("[limits]\nstop_timeout = \"1s\"\n");
    let host = site.start();
    let mut sender = Wire::smtp(host.address(Service::Smtp));
    sender.begin("carla@far.test", &["anna@example.test"]);
    sender.send("Subject: endless\r\n\r\nand so on\r\n".repeat(10_000));
    let stopped = host.stop();
    assert_eq!(field(&stopped, "cut_off"), Some("1"), "{stopped}");
    sender.ended();

    let host = site.start();
    let mut anna = Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    assert_eq!(anna.unique_ids().len(), 0);
    assert_eq!(site.bodies(), 0);
}

#[test]
fn an_interrupt_from_the_keyboard_is_the_same_request() {
    let site = site("");
    let host = site.start();
    let mut idle = Wire::smtp(host.address(Service::Smtp));
    rustix::process::kill_process(host.process(), rustix::process::Signal::INT).unwrap();
    idle.expect("421 4.3.2 ");
    idle.ended();
    host.stopped();
}
