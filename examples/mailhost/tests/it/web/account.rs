//! The form with which people change their own password.

use mailhost::listener::Service;

use super::sign_in::{Browser, goes_to};
use super::{Answer, ask};
use crate::support::{Host, PASSWORD, Site, Wire, is_installed, skip};

const NEW: &str = "staple & battery";

struct Form<'a> {
    site: &'a Site,
    host: &'a Host,
    seal: String,
}

impl<'a> Form<'a> {
    #[track_caller]
    fn get(site: &'a Site, host: &'a Host) -> Self {
        let page = ask(site, host, Service::Webs, "/account", &[]);
        assert_eq!(page.status, 200);
        assert!(page.head.contains("\r\ncache-control: no-store"), "{}", page.head);
        assert!(!page.head.contains("set-cookie"), "{}", page.head);
        let (_, rest) = page.body.split_once("name=\"seal\" value=\"").expect("a seal");
        let seal = rest.split('"').next().expect("its end").to_owned();
        Self { site, host, seal }
    }

    #[track_caller]
    fn send(&self, user: &str, old: &str, new: [&str; 2], headers: &[&str]) -> Answer {
        let fields = [
            format!("username={user}"),
            format!("password={old}"),
            format!("new_password={}", new[0]),
            format!("new_password_again={}", new[1]),
            format!("seal={}", self.seal),
        ];
        let mut options: Vec<&str> = fields.iter().flat_map(|field| ["--data-urlencode", field]).collect();
        options.extend(headers.iter().flat_map(|header| ["--header", header]));
        ask(self.site, self.host, Service::Webs, "/account", &options)
    }
}

pub(super) fn opens(host: &Host, site: &Site, login: &str, password: &str) -> bool {
    let mut wire = Wire::connect(host.address(Service::Pop3s)).start_tls(&site.tls());
    wire.expect("+OK");
    wire.say(&format!("USER {login}"), "+OK");
    wire.send(format!("PASS {password}\r\n"));
    wire.line().starts_with("+OK")
}

#[test]
fn a_password_is_changed_by_whoever_knows_it() {
    let name = "a_password_is_changed_by_whoever_knows_it";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::new("");
    site.does("account add anna@example.test --login anna --password-stdin");
    let host = site.start();
    let form = Form::get(&site, &host);
    // Who is signed in is known by name, and asked for the password all the same.
    let browser = Browser::new(&site, &host, Service::Web);
    assert!(browser.get("/account").body.contains("name=\"username\" value=\"\" required"));
    goes_to(&browser.sign_in("anna", PASSWORD, ""), "/mail");
    assert!(browser.get("/account").body.contains("name=\"username\" value=\"anna@example.test\" required"));

    let moved = ask(&site, &host, Service::Webs, "/.well-known/change-password", &[]);
    assert!(moved.status == 303 && moved.head.contains("\r\nlocation: /account"), "{}", moved.head);

    for (what, answer, status) in [
        ("two that differ", form.send("anna", PASSWORD, [NEW, "other"], &[]), 400),
        ("the old one again", form.send("anna", PASSWORD, [PASSWORD, PASSWORD], &[]), 400),
        ("none", form.send("anna", PASSWORD, ["", ""], &[]), 400),
        ("one that is too long", form.send("anna", PASSWORD, [&"x".repeat(2_000); 2], &[]), 400),
        ("another site", form.send("anna", PASSWORD, [NEW; 2], &["Sec-Fetch-Site: cross-site"]), 403),
        (
            "another name below the domain",
            form.send("anna", PASSWORD, [NEW; 2], &["Sec-Fetch-Site: same-site"]),
            403,
        ),
        ("another origin", form.send("anna", PASSWORD, [NEW; 2], &["Origin: https://example.test"]), 403),
        ("a hidden origin", form.send("anna", PASSWORD, [NEW; 2], &["Origin: null"]), 403),
        (
            "a seal of nobody",
            Form { seal: "ffffffffff.00".to_owned(), ..Form::get(&site, &host) }.send(
                "anna",
                PASSWORD,
                [NEW; 2],
                &[],
            ),
            400,
        ),
    ] {
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert!(
            answer.body.contains("role=\"alert\"") && answer.body.contains("<form"),
            "{what}: {}",
            answer.body
        );
        assert!(!answer.body.contains(PASSWORD), "{what}: {}", answer.body);
    }
    // The same for who does not exist; and what was typed comes back as text.
    let texts = ["anna", "nobody@example.test", "\"><script>alert(1)</script>"].map(|user| {
        let answer = Form::get(&site, &host).send(user, "wrong", [NEW; 2], &[]);
        // There is one script, which is ours.
        let scripts = answer.body.replace("<script src=\"/script.js\" defer></script>", "");
        assert!(answer.status == 403 && !scripts.contains("<script"), "{}", answer.body);
        let (_, rest) = answer.body.split_once("role=\"alert\">").expect("a message");
        rest.split('<').next().expect("its end").to_owned()
    });
    assert!(texts.iter().all(|text| text.contains("is wrong") && *text == texts[0]), "{texts:?}");
    assert!(opens(&host, &site, "anna", PASSWORD), "nothing has changed so far");

    let origin = format!("Origin: https://mail.example.test:{}", host.address(Service::Webs).port());
    let answer =
        form.send("anna@example.test", PASSWORD, [NEW; 2], &[&origin, "Sec-Fetch-Site: same-origin"]);
    assert!(answer.status == 200 && answer.body.contains("Your password is changed"), "{}", answer.body);
    assert!(opens(&host, &site, "anna", NEW));
    assert!(!opens(&host, &site, "anna", PASSWORD));
    let log = host.log();
    assert!(log.iter().any(|line| line.contains("password changed by its owner")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains(NEW) || line.contains(PASSWORD)), "no password in the log");
}
