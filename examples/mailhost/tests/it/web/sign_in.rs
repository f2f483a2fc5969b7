//! Signing in and out with a browser that has no script.

use std::fs;

use mailhost::listener::Service;

use super::{Answer, ask};
use crate::support::{Host, PASSWORD, Site, Wire, is_installed, skip};

/// A browser that keeps its cookies in a file, as one may have them for many a host.
pub(super) struct Browser<'a> {
    site: &'a Site,
    host: &'a Host,
    service: Service,
    pub(super) jar: String,
}

impl<'a> Browser<'a> {
    pub(super) fn new(site: &'a Site, host: &'a Host, service: Service) -> Self {
        Self::another(site, host, service, "cookies")
    }

    /// Another one, with cookies of its own.
    pub(super) fn another(site: &'a Site, host: &'a Host, service: Service, jar: &str) -> Self {
        Self { site, host, service, jar: site.folder().path(jar).display().to_string() }
    }

    #[track_caller]
    pub(super) fn get(&self, path: &str) -> Answer {
        ask(self.site, self.host, self.service, path, &["--cookie", &self.jar, "--cookie-jar", &self.jar])
    }

    /// The same with more options for curl.
    #[track_caller]
    pub(super) fn with(&self, path: &str, more: &[&str]) -> Answer {
        let mut options = vec!["--cookie", &*self.jar, "--cookie-jar", &self.jar];
        options.extend(more);
        ask(self.site, self.host, self.service, path, &options)
    }

    #[track_caller]
    pub(super) fn post(&self, path: &str, fields: &[(&str, &str)], more: &[&str]) -> Answer {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut options = vec!["--request", "POST", "--cookie", &self.jar, "--cookie-jar", &self.jar];
        options.extend(fields.iter().flat_map(|field| ["--data-urlencode", field]));
        options.extend(more);
        ask(self.site, self.host, self.service, path, &options)
    }

    #[track_caller]
    pub(super) fn sign_in(&self, user: &str, password: &str, then: &str) -> Answer {
        let seal = seal(&self.get("/sign-in").body);
        self.post(
            "/sign-in",
            &[("username", user), ("password", password), ("then", then), ("seal", &seal)],
            &[],
        )
    }
}

/// The first seal of a page.
#[track_caller]
pub(super) fn seal(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"seal\" value=\"").unwrap_or_else(|| panic!("no seal in {page}"));
    rest.split('"').next().expect("its end").to_owned()
}

#[track_caller]
pub(super) fn goes_to(answer: &Answer, path: &str) {
    let line = format!("\r\nlocation: {path}");
    assert!(
        answer.status == 303 && format!("{}\r\n", answer.head).contains(&format!("{line}\r\n")),
        "{}",
        answer.head
    );
}

#[test]
fn who_knows_the_password_is_in_until_they_leave() {
    let name = "who_knows_the_password_is_in_until_they_leave";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    for service in [Service::Webs, Service::Web] {
        let browser = Browser::new(&site, &host, service);
        goes_to(&browser.get("/mail"), "/sign-in?then=%2Fmail");
        for (user, password) in
            [("anna@example.test", "wrong"), ("nobody@example.test", PASSWORD), ("anna@example.test", "")]
        {
            let refused = browser.sign_in(user, password, "");
            assert_eq!(refused.status, 403, "{user}");
            assert!(refused.body.contains("The name or the password is wrong."), "{}", refused.body);
            assert!(!refused.head.contains("set-cookie"), "{}", refused.head);
        }
        let entered = browser.sign_in("anna@example.test", PASSWORD, "/mail?a=b");
        goes_to(&entered, "/mail?a=b");
        assert_eq!(entered.head.contains("; Secure"), service == Service::Webs, "{}", entered.head);
        for word in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(entered.head.contains(&format!("; {word}")), "{}", entered.head);
        }
        let inbox = browser.get("/mail");
        assert!(inbox.status == 303 && inbox.head.contains("\r\nlocation: /mail/"), "{}", inbox.head);
        goes_to(&browser.get("/"), "/mail");
        goes_to(&browser.get("/sign-in?then=//elsewhere.test/"), "/mail");

        assert_eq!(browser.post("/sign-out", &[], &[]).status, 403, "without a seal");
        assert_eq!(browser.post("/sign-out", &[("seal", "x")], &[]).status, 403, "with one of nobody");
        goes_to(&browser.get("/"), "/mail");
    }
    assert!(host.log().iter().all(|line| !line.contains(PASSWORD) && !line.contains("__Host-")));
}

#[test]
fn no_other_site_signs_anybody_in_and_nobody_is_sent_there() {
    let name = "no_other_site_signs_anybody_in_and_nobody_is_sent_there";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let browser = Browser::new(&site, &host, Service::Webs);
    let fill = |seal: &str, then: &str, more: &[&str]| {
        let fields =
            [("username", "anna@example.test"), ("password", PASSWORD), ("then", then), ("seal", seal)];
        browser.post("/sign-in", &fields, more)
    };
    let good = seal(&browser.get("/sign-in").body);
    assert_eq!(fill(&good, "", &["--header", "Sec-Fetch-Site: cross-site"]).status, 403);
    assert_eq!(fill(&good, "", &["--header", "Origin: https://elsewhere.test"]).status, 403);
    assert_eq!(fill("ffffffffff.00", "", &[]).status, 400, "a seal of nobody");
    for then in ["https://elsewhere.test/", "//elsewhere.test/", "/\\elsewhere.test", "javascript:alert(1)"] {
        goes_to(&fill(&good, then, &[]), "/mail");
    }
}

#[test]
fn a_session_ends_with_the_right_to_it() {
    let name = "a_session_ends_with_the_right_to_it";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    let browser = Browser::new(&site, &host, Service::Webs);
    goes_to(&browser.sign_in("anna@example.test", PASSWORD, ""), "/mail");
    assert!(browser.get("/mail").head.contains("\r\nlocation: /mail/"));
    site.does("account suspend anna@example.test");
    goes_to(&browser.get("/mail"), "/sign-in?then=%2Fmail");
    let refused = browser.sign_in("anna@example.test", PASSWORD, "");
    assert!(refused.status == 403 && refused.body.contains("suspended"), "{}", refused.body);
    site.does("account resume anna@example.test");
    goes_to(&browser.get("/mail"), "/sign-in?then=%2Fmail");

    goes_to(&browser.sign_in("ben@example.test", PASSWORD, ""), "/mail");
    site.does("account remove ben@example.test");
    goes_to(&browser.get("/mail"), "/sign-in?then=%2Fmail");
}

#[test]
fn a_password_of_one_program_does_not_sign_in() {
    let name = "a_password_of_one_program_does_not_sign_in";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let browser = Browser::new(&site, &host, Service::Webs);
    let app = site.does("account app-password add anna@example.test phone");
    let app = app
        .lines()
        .find_map(|line| line.split_whitespace().find(|word| word.len() > 18))
        .expect("a password");
    let refused = browser.sign_in("anna@example.test", app, "");
    assert_eq!(refused.status, 403, "it would shut its owner out");
}

#[test]
fn what_is_sent_without_a_session_is_not_done_later() {
    let name = "what_is_sent_without_a_session_is_not_done_later";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let browser = Browser::new(&site, &host, Service::Webs);
    for path in ["/mail/1/act", "/settings/sessions/end", "/sign-out", "/folders/new"] {
        let refused = browser.post(path, &[("do", "delete"), ("seal", "x")], &[]);
        assert!(refused.status == 401 && !refused.head.contains("location:"), "{path}: {}", refused.head);
        assert!(refused.body.contains("Your session has ended, so nothing was done."), "{}", refused.body);
    }
    goes_to(&browser.get("/mail/1?before=2"), "/sign-in?then=%2Fmail%2F1%3Fbefore%3D2");
}

#[test]
fn forms_of_one_session_are_no_good_in_another() {
    let name = "forms_of_one_session_are_no_good_in_another";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    let jar = |name: &str| Browser::another(&site, &host, Service::Webs, name);
    let (one, two, ben) = (jar("one"), jar("two"), jar("three"));
    let early = seal(&one.get("/sign-in").body);
    goes_to(&one.sign_in("anna@example.test", PASSWORD, ""), "/mail");
    goes_to(&two.sign_in("anna@example.test", PASSWORD, ""), "/mail");
    goes_to(&ben.sign_in("ben@example.test", PASSWORD, ""), "/mail");
    let own = seal(&one.get("/settings").body);
    for other in [seal(&two.get("/settings").body), seal(&ben.get("/settings").body), early] {
        assert_ne!(other, own);
        for path in ["/sign-out", "/settings/sessions/end", "/folders/new"] {
            assert_eq!(one.post(path, &[("seal", &other), ("name", "x")], &[]).status, 403, "{path}");
        }
    }
    // Who leaves is out, even with the cookie of before, and nobody else is.
    let before = fs::read(&one.jar).unwrap();
    let left = one.post("/sign-out", &[("seal", &own)], &[]);
    goes_to(&left, "/");
    assert!(left.head.contains("Max-Age=0; HttpOnly"), "{}", left.head);
    goes_to(&one.get("/settings"), "/sign-in?then=%2Fsettings");
    fs::write(&one.jar, before).unwrap();
    goes_to(&one.get("/settings"), "/sign-in?then=%2Fsettings");
    for other in [&two, &ben] {
        assert_eq!(other.get("/settings").status, 200);
    }
}

#[test]
fn a_session_asks_for_no_more_than_its_share() {
    let name = "a_session_asks_for_no_more_than_its_share";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna"]);
    let host = site.start();
    let browser = Browser::new(&site, &host, Service::Web);
    goes_to(&browser.sign_in("anna@example.test", PASSWORD, ""), "/mail");
    let jar = fs::read_to_string(&browser.jar).unwrap();
    let cookie = jar.lines().find(|line| line.contains("postrider")).expect("a cookie");
    let mut fields = cookie.rsplit('\t');
    let (value, name) = (fields.next().unwrap(), fields.next().unwrap());
    let address = host.address(Service::Web);
    let request = format!(
        "GET /mail HTTP/1.1\r\nHost: mail.example.test:{}\r\nCookie: {name}={value}\r\n\r\n",
        address.port()
    );
    let mut wire = Wire::connect(address);
    // 300 at once, and ten more with each second that this takes.
    for asked in 1.. {
        wire.send(&request);
        let status = wire.line();
        let mut length = 0;
        loop {
            let line = wire.line();
            if line.is_empty() {
                break;
            }
            if let Some(octets) = line.strip_prefix("content-length: ") {
                length = octets.trim_end().parse().expect("a number");
            }
        }
        wire.exactly(length);
        if status.starts_with("HTTP/1.1 429 ") {
            assert!(asked > 300, "{asked}");
            break;
        }
        assert!(status.starts_with("HTTP/1.1 303 "), "{status}");
        assert!(asked < 5_000, "there is no end to it");
    }
}

#[test]
fn what_a_browser_calls_itself_is_text_and_short() {
    let name = "what_a_browser_calls_itself_is_text_and_short";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let browser = Browser::new(&site, &host, Service::Webs);
    let seal = seal(&browser.with("/sign-in", &["--user-agent", "x"]).body);
    let fields = [("username", "anna@example.test"), ("password", PASSWORD), ("seal", &*seal)];
    goes_to(&browser.post("/sign-in", &fields, &["--user-agent", "<img src=x>"]), "/mail");
    let page = browser.get("/settings").body;
    assert!(page.contains("<strong>A browser (this one)</strong>") && !page.contains("<img"), "{page}");
    // What is typed as a name comes back as text, too.
    let fields =
        [("username", "\"><img src=x>"), ("password", "y"), ("seal", &*seal), ("then", "\"><img src=x>")];
    let again = browser.post("/sign-in", &fields, &[]);
    assert!(again.status == 403 && again.body.contains("&quot;&gt;&lt;img src=x&gt;"), "{}", again.body);
    assert!(!again.body.contains("<img") && !again.body.contains("name=\"then\""), "{}", again.body);
}
