//! What leads to whom.

use std::fs;

use mailhost::listener::Service;

use super::{PLAINTEXT, auth, collected};
use crate::support::{PASSWORD, Site, Wire};

#[test]
fn a_tag_behind_a_name_is_delivered_to_the_name() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben"]);
    site.does("alias add team@example.test ben@example.test");
    site.does("alias add anna+work@example.test ben@example.test");
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["Anna+Lists@example.test"], "Subject: lists\r\n\r\n");
    smtp.deliver(&["team+x+y@example.test"], "Subject: team\r\n\r\n");
    smtp.deliver(&["anna+work@example.test"], "Subject: a name of its own\r\n\r\n");
    smtp.say("MAIL FROM:<>", "250");
    smtp.say("RCPT TO:<nobody+x@example.test>", "550 5.1.1");
    let (anna, ben) = (collected(&host, "anna@example.test"), collected(&host, "ben@example.test"));
    assert_eq!((anna.len(), ben.len()), (1, 2));
    assert!(anna[0].contains("\r\nDelivered-To: Anna+Lists@example.test\r\n"), "{}", anna[0]);
    assert!(ben[0].contains("\r\nDelivered-To: team+x+y@example.test\r\n"), "{}", ben[0]);
    let mut wire = auth(&host, "anna@example.test", PASSWORD, "235");
    wire.say("MAIL FROM:<anna+shop@example.test>", "250");
    wire.say("RSET", "250");
    for other in ["anna+work@example.test", "ben+shop@example.test", "+anna@example.test"] {
        wire.say(&format!("MAIL FROM:<{other}>"), "553 5.7.1");
    }
    drop((smtp, wire));
    host.stop();

    // Another separator, and none.
    for (separator, taken) in [("-", "250"), ("", "550 5.1.1")] {
        let config = format!("[accounts]\nsubaddress_separator = \"{separator}\"\n");
        let site = Site::with_accounts(&config, &["anna"]);
        let host = site.start();
        let mut smtp = Wire::smtp(host.address(Service::Smtp));
        smtp.say("MAIL FROM:<>", "250");
        smtp.say("RCPT TO:<anna-lists@example.test>", taken);
        smtp.say("RCPT TO:<anna+lists@example.test>", "550 5.1.1");
    }
}

#[test]
fn a_catch_all_gets_what_nobody_has() {
    let site = Site::with_accounts(PLAINTEXT, &["ben", "anna"]);
    site.does("alias add @example.test anna@example.test");
    assert_eq!(site.does("alias list"), "*@example.test  ->  anna@example.test\n");
    site.command("account add *@example.test --password-stdin").failed(
        "*@example.test stands for every address that nobody has; make it with `mailhost alias add *@example.test TARGET`",
    );
    site.command("alias add *@example.test ghost@example.test")
        .failed("*@example.test would lead back to itself");
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    let to = ["whoever@example.test", "who+ever@mail.example.test", "ben@example.test", "abuse@example.test"];
    for to in to {
        smtp.deliver(&[to], "Subject: x\r\n\r\n");
    }
    assert_eq!(collected(&host, "anna@example.test").len(), 2);
    assert_eq!(collected(&host, "ben@example.test").len(), 2);
    let mut anna = auth(&host, "anna@example.test", PASSWORD, "235");
    anna.say("MAIL FROM:<shop@example.test>", "250");
    anna.say("RSET", "250");
    for other in ["ben@example.test", "abuse@example.test", "SRS0=aaaaaa=AA=a.test=b@example.test"] {
        anna.say(&format!("MAIL FROM:<{other}>"), "553 5.7.1");
    }
    auth(&host, "ben@example.test", PASSWORD, "235").say("MAIL FROM:<shop@example.test>", "553 5.7.1");
    site.does("alias remove @example.test");
    smtp.say("MAIL FROM:<>", "250");
    smtp.say("RCPT TO:<whoever@example.test>", "550 5.1.1");
}

#[test]
fn lists_in_lists_grow_and_shrink_and_never_go_in_circles() {
    let site = Site::with_accounts(PLAINTEXT, &["anna", "ben", "cleo"]);
    site.does("alias add one@example.test two@elsewhere.test anna@example.test");
    site.does("alias remove one@example.test two@elsewhere.test");
    site.does("alias add two@example.test one@example.test ben@example.test");
    site.does("alias add three@example.test two@example.test");
    site.does("alias add three@example.test cleo@example.test anna@example.test two@example.test");
    assert_eq!(
        site.does("alias list"),
        "one@example.test    ->  anna@example.test\n\
         three@example.test  ->  two@example.test\n                    \
                             ->  cleo@example.test\n                    \
                             ->  anna@example.test\n\
         two@example.test    ->  one@example.test\n                    \
                             ->  ben@example.test\n"
    );
    site.command("alias add one@example.test three+x@example.test")
        .failed("one@example.test would lead back to itself");
    site.command("alias remove two@example.test cleo@example.test")
        .failed("cleo@example.test is no target of two@example.test; see `mailhost alias list`");
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["three@example.test"], "Subject: all\r\n\r\n");
    site.does("alias remove three@example.test CLEO@example.test anna@example.test");
    smtp.deliver(&["three@example.test"], "Subject: two\r\n\r\n");
    for (name, count) in [("anna", 2), ("ben", 2), ("cleo", 1)] {
        assert_eq!(collected(&host, &format!("{name}@example.test")).len(), count, "{name}");
    }
    drop(smtp);
    host.stop();

    // Each half was made while the other domain was not ours.
    let text = fs::read_to_string(site.config()).unwrap();
    let domains = |list: &str| {
        fs::write(
            site.config(),
            text.replace("domains = [\"example.test\"]", &format!("domains = [{list}]")),
        )
        .unwrap();
    };
    site.does("alias add half@example.test half@other.test anna@example.test");
    domains("\"other.test\"");
    site.does("alias add half@other.test half@example.test");
    domains("\"example.test\", \"other.test\"");
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["half@other.test", "half@example.test"], "Subject: half\r\n\r\n");
    assert_eq!(collected(&host, "anna@example.test").len(), 3);
}

#[test]
fn an_account_of_the_hosts_own_name_is_found_after_a_restart() {
    let site = Site::new(PLAINTEXT);
    site.does("account add root@mail.example.test --password-stdin");
    site.does("alias add cron@mail.example.test root@mail.example.test");
    for start in 1..=2 {
        let host = site.start();
        let mut smtp = Wire::smtp(host.address(Service::Smtp));
        smtp.deliver(&["root@mail.example.test"], "Subject: x\r\n\r\n");
        smtp.deliver(&["cron@example.test"], "Subject: y\r\n\r\n");
        assert_eq!(collected(&host, "root@mail.example.test").len(), 2 * start);
        host.stop();
    }
}
