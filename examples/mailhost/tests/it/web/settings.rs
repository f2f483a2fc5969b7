//! What people set for themselves.

use mailhost::listener::Service;

use super::account::opens;
use super::sign_in::{Browser, goes_to, seal};
use crate::support::{PASSWORD, Site, is_installed, skip};

const ANNA: &str = "anna@example.test";

#[test]
fn a_password_for_a_telephone_is_made_and_taken_away() {
    let name = "a_password_for_a_telephone_is_made_and_taken_away";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let browser = Browser::new(&site, &host, Service::Webs);
    goes_to(&browser.get("/settings"), "/sign-in?then=%2Fsettings");
    goes_to(&browser.sign_in(ANNA, PASSWORD, "/settings"), "/settings");
    let fill = |path: &str, fields: &[(&str, &str)]| {
        let seal = seal(&browser.get("/settings").body);
        browser.post(path, &[fields, &[("seal", &seal)]].concat(), &[])
    };
    let add = |name: &str, password: &str| {
        fill("/settings/app-passwords", &[("name", name), ("password", password)])
    };
    assert_eq!(add("phone", "wrong").status, 403);
    assert_eq!(add("phone", "").status, 403);
    assert_eq!(add("my phone", PASSWORD).status, 400);
    let fields = [("name", "phone"), ("password", PASSWORD)];
    assert_eq!(browser.post("/settings/app-passwords", &fields, &[]).status, 403, "without a seal");
    assert!(site.does(&format!("account app-password list {ANNA}")).contains("has no app password"));

    let made = add("phone", PASSWORD);
    assert_eq!(made.status, 200);
    let (_, rest) =
        made.body.split_once("<p class=\"secret\"><code>").unwrap_or_else(|| panic!("{}", made.body));
    let secret = rest.split('<').next().unwrap();
    assert!(secret.len() == 29 && secret.matches('-').count() == 4, "{secret}");
    assert!(opens(&host, &site, ANNA, secret));
    let page = browser.get("/settings");
    assert!(
        page.status == 200 && page.body.contains(">phone<") && page.body.contains(", last used 20"),
        "{}",
        page.body
    );
    assert!(!page.body.contains(secret), "it is shown once");
    assert_eq!(add("Phone", PASSWORD).status, 409);
    assert!(host.log().iter().all(|line| !line.contains(secret)), "no password in the log");

    // Everybody else has to sign in anew; whoever has done it has not.
    let other = Browser::another(&site, &host, Service::Webs, "other");
    goes_to(&other.sign_in(ANNA, PASSWORD, ""), "/mail");
    assert_eq!(fill("/settings/app-passwords/remove", &[("name", "tablet")]).status, 404);
    assert_eq!(browser.post("/settings/app-passwords/remove", &[("name", "phone")], &[]).status, 403);
    assert!(opens(&host, &site, ANNA, secret));
    let removed = fill("/settings/app-passwords/remove", &[("name", "phone")]);
    assert!(removed.status == 200 && removed.body.contains("The password is removed."), "{}", removed.body);
    assert!(!opens(&host, &site, ANNA, secret));
    assert!(opens(&host, &site, ANNA, PASSWORD));
    assert_eq!(browser.get("/settings").status, 200);
    goes_to(&other.get("/settings"), "/sign-in?then=%2Fsettings");
}

#[test]
fn a_signature_is_text_and_other_browsers_are_signed_out() {
    let name = "a_signature_is_text_and_other_browsers_are_signed_out";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    let jar = |name: &str| Browser::another(&site, &host, Service::Webs, name);
    let (browser, other, ben) = (jar("one"), jar("two"), jar("three"));
    goes_to(&browser.sign_in(ANNA, PASSWORD, ""), "/mail");
    goes_to(&other.sign_in(ANNA, PASSWORD, ""), "/mail");
    goes_to(&ben.sign_in("ben@example.test", PASSWORD, ""), "/mail");
    let own = seal(&browser.get("/settings").body);
    let hostile = "Anna\n</textarea><script>alert(1)</script>";
    let kept = browser.post("/settings/signature", &[("signature", hostile), ("seal", &own)], &[]);
    assert_eq!(kept.status, 200);
    for page in [&kept.body, &browser.get("/settings").body] {
        // HTML, textarea: a line break at the very beginning is left out, and so the first line of hers would be.
        assert!(page.contains(">\nAnna\n&lt;/textarea&gt;&lt;script&gt;alert(1)"), "{page}");
        assert!(!page.contains("<script>"), "{page}");
    }
    let long = "x".repeat(5_000);
    assert_eq!(browser.post("/settings/signature", &[("signature", &long), ("seal", &own)], &[]).status, 400);
    assert_eq!(browser.post("/settings/signature", &[("signature", "y")], &[]).status, 403, "without a seal");
    assert!(browser.get("/settings").body.contains("&lt;/textarea&gt;"));
    let none = browser.post("/settings/signature", &[("signature", ""), ("seal", &own)], &[]);
    assert!(none.status == 200 && !browser.get("/settings").body.contains("textarea&gt;"), "{}", none.body);

    // What belongs to somebody else is not touched.
    let page = other.get("/settings").body;
    assert_eq!(page.matches("<strong>curl").count(), 2, "her browsers, and nobody else's: {page}");
    assert_eq!(other.post("/settings/sessions/end", &[], &[]).status, 403);
    // One of them, and then all but this one.
    let third = jar("four");
    goes_to(&third.sign_in(ANNA, PASSWORD, ""), "/mail");
    let page = third.get("/settings").body;
    let ids: Vec<&str> =
        page.split("name=\"id\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.len(), 2, "one's own has no button: {page}");
    let end = |id: &str| {
        goes_to(
            &browser.post("/settings/sessions/end", &[("seal", &own), ("id", id)], &[]),
            "/settings#browsers",
        );
    };
    end("nobody");
    assert_eq!((other.get("/settings").status, third.get("/settings").status), (200, 200));
    ids.iter().for_each(|id| end(id));
    assert_eq!(browser.get("/settings").status, 200, "nobody signs themselves out so");
    goes_to(&other.get("/settings"), "/sign-in?then=%2Fsettings");
    assert_eq!(third.get("/settings").status, 200);
    goes_to(&other.sign_in(ANNA, PASSWORD, ""), "/mail");
    goes_to(&browser.post("/settings/sessions/end", &[("seal", &own)], &[]), "/settings#browsers");
    goes_to(&third.get("/settings"), "/sign-in?then=%2Fsettings");
    goes_to(&other.get("/settings"), "/sign-in?then=%2Fsettings");
    assert_eq!(browser.get("/settings").status, 200);
    assert_eq!(ben.get("/settings").status, 200);
}
