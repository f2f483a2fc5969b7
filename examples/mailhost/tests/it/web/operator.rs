//! The operator's pages: who gets in, what is shown, and that orders are those of the command line.

use std::fs;

use mailhost::listener::Service;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use super::sign_in::{goes_to, seal};
use super::{Answer, ask, ask_at};
use crate::imap::Imap;
use crate::relay::{Manner, PORT, Sink, loopback, no_dns, queue, queue_is_empty, session, site};
use crate::support::{Host, Site, Wire, is_installed, skip, stuffed};

const PLACES: [&str; 6] = ["/", "/queue", "/sessions", "/accounts", "/certificates", "/dns"];

/// A browser of the operator.
struct Desk<'a> {
    site: &'a Site,
    host: &'a Host,
    jar: String,
}

impl<'a> Desk<'a> {
    fn outside(site: &'a Site, host: &'a Host) -> Self {
        Self { site, host, jar: site.folder().path("operator").display().to_string() }
    }

    /// Behind a link of its own.
    #[track_caller]
    fn new(site: &'a Site, host: &'a Host) -> Self {
        let desk = Self::outside(site, host);
        goes_to(&desk.get(&desk.link()), "/");
        desk
    }

    /// The path of a new link.
    #[track_caller]
    fn link(&self) -> String {
        let link = self.site.does("operator");
        let at = format!("http://{}/", self.host.address(Service::WebAdmin));
        let path = link.strip_prefix(&at).and_then(|path| path.strip_suffix('\n'));
        format!("/{}", path.unwrap_or_else(|| panic!("{link}")))
    }

    #[track_caller]
    fn ask(&self, path: &str, options: &[&str]) -> Answer {
        let at = format!("http://{}", self.host.address(Service::WebAdmin));
        let mut all = vec!["--cookie", &self.jar, "--cookie-jar", &self.jar];
        all.extend(options);
        ask_at(self.site, self.host, Service::WebAdmin, &at, path, &all)
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.ask(path, &[])
    }

    #[track_caller]
    fn post(&self, path: &str, fields: &[(&str, &str)], more: &[&str]) -> Answer {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut options = vec!["--request", "POST"];
        options.extend(fields.iter().flat_map(|field| ["--data-urlencode", field]));
        options.extend(more);
        self.ask(path, &options)
    }

    /// Fills in a form that was given out.
    #[track_caller]
    fn fill(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let seal = seal(&self.get("/").body);
        self.post(path, &[fields, &[("seal", &seal)]].concat(), &[])
    }
}

#[test]
fn a_link_of_the_command_line_lets_one_browser_in() {
    let name = "a_link_of_the_command_line_lets_one_browser_in";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna"]);
    site.command("operator").failed("the host does not run; its pages are there while it does");
    let host = site.start();
    let desk = Desk::outside(&site, &host);
    let nobody = |desk: &Desk<'_>| {
        let first = desk.get("/");
        assert!(first.status == 200 && first.body.contains("mailhost operator"), "{}", first.body);
        assert!(!first.body.contains("<nav") && !first.body.contains("anna"), "{}", first.body);
        for path in PLACES.into_iter().skip(1).chain(["/queue/1"]) {
            let refused = desk.get(path);
            assert_eq!(refused.status, 403, "{path}");
            assert!(refused.body.contains("mailhost operator"), "{path}: {}", refused.body);
        }
        for path in ["/queue/act", "/accounts/act", "/dns", "/leave"] {
            assert_eq!(
                desk.post(path, &[("seal", ""), ("do", "retry"), ("what", "all")], &[]).status,
                403,
                "{path}"
            );
        }
    };
    nobody(&desk);
    for path in ["/enter", "/enter?key=", "/enter?key=0123456789abcdef0123456789abcdef01234567"] {
        let refused = desk.get(path);
        assert!(refused.status == 403 && !refused.head.contains("set-cookie"), "{path}: {}", refused.head);
    }
    let link = desk.link();
    let entered = desk.get(&link);
    goes_to(&entered, "/");
    for word in ["HttpOnly", "SameSite=Strict", "Max-Age=43200"] {
        assert!(entered.head.contains(&format!("; {word}")), "{}", entered.head);
    }
    for path in PLACES {
        let page = desk.get(path);
        assert!(page.status == 200 && page.body.contains("aria-current=\"page\""), "{path}: {}", page.body);
        assert!(
            page.head.contains("default-src 'none'; style-src 'self'; img-src 'self'; form-action"),
            "{path}: {}",
            page.head
        );
        assert!(!page.body.contains("<script") && !page.body.contains("style="), "{path}: {}", page.body);
    }
    let again =
        Desk { jar: site.folder().path("another").display().to_string(), ..Desk::outside(&site, &host) };
    assert_eq!(again.get(&link).status, 403, "the link is used up");
    nobody(&again);

    // Whoever has had another name lead here gets nothing, not even with the cookie.
    for name in ["evil.test", "localhost.evil.test", "evil.test:8081", ""] {
        let field = format!("Host: {name}");
        for path in ["/", &link, "/queue"] {
            let refused = desk.ask(path, &["--header", if name.is_empty() { "Host;" } else { &field }]);
            assert_eq!(refused.status, 421, "{name}: {path}");
            assert!(!refused.body.contains("anna") && !refused.body.contains("seal"), "{}", refused.body);
        }
    }
    assert_eq!(
        desk.ask("/metrics", &["--header", "Host: metrics.test"]).status,
        200,
        "that is for Prometheus"
    );
    assert_eq!(
        ask(&site, &host, Service::WebAdmin, "/queue", &[]).status,
        403,
        "the name of the host is its own"
    );

    let own = seal(&desk.get("/").body);
    assert_eq!(desk.post("/leave", &[("seal", "x")], &[]).status, 403);
    goes_to(&desk.post("/leave", &[("seal", &own)], &[]), "/");
    nobody(&desk);
    let key = link.rsplit('=').next().unwrap();
    assert!(host.log().iter().all(|line| !line.contains(key)), "no key in the log");
}

#[test]
fn orders_on_the_page_are_those_of_the_command_line() {
    let name = "orders_on_the_page_are_those_of_the_command_line";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let sink = Sink::start(Manner::Greets("451 4.2.0 <img src=x onerror=alert(1)>"));
    let relay =
        format!("networks = [\"127.0.0.0/8\"]\n[relay.routes]\n\"far.test\" = \"{}:{PORT}\"\n", sink.ip());
    let near = site("a", loopback(), no_dns(), &relay, &["anna"]);
    let host = near.start();
    let to = ["one@far.test", "two@far.test"];
    let from = "\"<script>alert(1)</script>\"@evil.test";
    let reply = session(host.address(Service::Smtp)).offer(from, &to, "Subject: x\r\n\r\n");
    let id = reply.strip_prefix("250 2.0.0 accepted as ").unwrap_or_else(|| panic!("{reply}"));
    let listed = queue(&near, "queue list", |shown| shown.matches("waiting for its next try").count() == 2);
    let message = listed.split("(message ").nth(1).and_then(|rest| rest.split(')').next()).expect("its name");

    let desk = Desk::new(&near, &host);
    let one = format!("/queue/{message}");
    for path in ["/queue", &one, &format!("/queue/{id}")] {
        let page = desk.get(path);
        assert_eq!(page.status, 200, "{path}");
        for text in [
            "one@far.test",
            "&lt;script&gt;",
            "451 4.2.0 &lt;img src=x onerror=alert(1)&gt;",
            "Waiting for its next try.",
        ] {
            assert!(page.body.contains(text), "{path}: {text}: {}", page.body);
        }
        assert!(!page.body.contains("<script") && !page.body.contains("<img"), "{path}: {}", page.body);
    }
    let way = format!("the configuration names {}:{PORT} for far.test", sink.ip());
    assert!(desk.get(&one).body.contains(&way), "{way}");

    // Whatever does not come from a page of this browser does nothing.
    let hold = [("what", "all"), ("do", "hold")];
    let own = seal(&desk.get("/queue").body);
    let sealed = [hold[0], hold[1], ("seal", &*own)];
    assert_eq!(desk.post("/queue/act", &hold, &[]).status, 403, "without a seal");
    assert_eq!(desk.post("/queue/act", &[hold[0], hold[1], ("seal", &own[1..])], &[]).status, 403);
    for header in [
        "Origin: http://evil.test",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        assert_eq!(desk.post("/queue/act", &sealed, &["--header", header]).status, 403, "{header}");
    }
    assert_eq!(desk.get("/queue/act?what=all&do=hold").status, 405);
    assert_eq!(near.does("queue list"), listed, "nothing has changed so far");

    let act = |order: &str, what: &str, recipient: &str, sure: &str| {
        let fields =
            [("what", what), ("recipient", recipient), ("do", order), ("back", &one), ("sure", sure)];
        desk.fill("/queue/act", &fields)
    };
    goes_to(&act("hold", message, to[0], ""), &format!("{one}?done=1&order=hold"));
    let held = near.does("queue list");
    assert!(
        held.contains("one@far.test: held by the operator") && held.contains("two@far.test: waiting"),
        "{held}"
    );
    let page = desk.get(&format!("{one}?done=1&order=hold")).body;
    assert!(page.contains("1 recipient held.") && page.contains(">Release<"), "{page}");
    assert!(desk.get("/").body.contains("1 recipient is held by you."));

    let asked = act("drop", message, to[1], "");
    assert!(
        asked.status == 200 && asked.body.contains("Drop what waits for two@far.test?"),
        "{}",
        asked.body
    );
    assert_eq!(near.does("queue list"), held, "it was only asked");
    goes_to(&act("drop", message, to[1], "yes"), &format!("{one}?done=1&order=drop"));
    queue(&near, "queue list", |shown| shown.contains("two@far.test: dropped by the operator"));
    assert_eq!(act("burn", message, "", "").status, 400);
    assert_eq!(act("retry", "ffffffffffff", "", "").status, 409);

    sink.becomes(Manner::Good);
    goes_to(&act("release", "far.test", "", ""), &format!("{one}?done=1&order=release"));
    // Its host is left alone for a minute otherwise.
    goes_to(&act("retry", "all", "", ""), &format!("{one}?done=1&order=retry"));
    queue_is_empty(&near);
    assert_eq!(sink.seen().taken[0].to, ["one@far.test"]);
    goes_to(&act("retry", "all", "", ""), &format!("{one}?done=0&order=retry"));
    assert_eq!(desk.get(&one).status, 404);
    assert!(desk.get("/queue").body.contains("The queue is empty"));
    assert!(desk.get("/").body.contains("Relayed. 1 over the last day"));
}

#[test]
fn the_pages_show_how_the_host_is() {
    let name = "the_pages_show_how_the_host_is";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let config = "[auth]\nallow_plaintext = true\n[relay]\nnetworks = [\"64.0.0.0/2\"]\n";
    let site = Site::with_accounts(config, &["anna", "ben"]);
    site.does("alias add team@example.test anna@example.test ben@example.test");
    site.does("account quota ben@example.test --size 2GiB");
    let host = site.start();
    let desk = Desk::new(&site, &host);
    let mut wire = Wire::smtp(host.address(Service::Smtp));
    wire.say("MAIL FROM:<x@far.test>", "250 ");
    wire.say("RCPT TO:<nobody@example.test>", "550 ");
    wire.say("RCPT TO:<team@example.test>", "250 ");
    wire.say("DATA", "354 ");
    wire.send(stuffed(b"Subject: x\r\n\r\nhello\r\n"));
    wire.expect("250 ");
    let _imap = Imap::of(&host, "anna");

    let first = desk.get("/").body;
    for text in [
        "Accepted. 1 over the last day",
        "Delivered here. 2 over",
        "Refused. 1 over",
        "2 messages, 2 accounts",
    ] {
        assert!(first.contains(text), "{text}: {first}");
    }
    let sessions = desk.get("/sessions").body;
    assert!(
        sessions.contains("<td>imap</td>") && sessions.contains("<td>anna@example.test</td>"),
        "{sessions}"
    );
    let accounts = desk.get("/accounts").body;
    for text in ["ben@example.test", "2.0 GiB", "team@example.test", "2 accounts."] {
        assert!(accounts.contains(text), "{text}: {accounts}");
    }
    let act = |order: &str, address: &str| desk.fill("/accounts/act", &[("address", address), ("do", order)]);
    goes_to(&act("suspend", "ben@example.test"), "/accounts");
    assert!(site.does("account show ben@example.test").contains("state            suspended\n"));
    let overview = desk.get("/").body;
    for warning in
        ["1 account is suspended.", "has 64.0.0.0/2, so strangers may send mail to anybody through this host"]
    {
        assert!(overview.contains(warning), "{warning}: {overview}");
    }
    goes_to(&act("resume", "ben@example.test"), "/accounts");
    assert!(site.does("account show ben@example.test").contains("active\n"));
    assert_eq!(act("resume", "ben@example.test").status, 409);
    assert_eq!(act("remove", "ben@example.test").status, 400);

    let pem = fs::read(site.data("self-signed.pem")).unwrap();
    let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
    let digest: String = Sha256::digest(&certificate).iter().map(|octet| format!("{octet:02x}")).collect();
    let shown = desk.get("/certificates").body;
    for page in [&shown, &desk.get("/").body] {
        assert!(
            page.contains("The certificate is self-signed, and mail programs will ask about it; "),
            "{page}"
        );
    }
    assert!(shown.contains(&digest) && shown.contains("<div>mail.example.test</div>"), "{shown}");

    assert!(!desk.get("/dns").body.contains("Found"), "nobody has asked so far");
    goes_to(&desk.fill("/dns", &[]), "/dns");
    let dns = desk.get("/dns").body;
    assert!(dns.contains("DNS was not asked, for mail.example.test is a name for tests."), "{dns}");
}
