//! Signing in and out with a browser that has no script.

use mailhost::listener::Service;

use super::{Answer, ask};
use crate::support::{Host, PASSWORD, Site, is_installed, skip};

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
