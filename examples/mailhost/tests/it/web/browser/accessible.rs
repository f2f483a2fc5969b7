//! What axe-core has to say about each page.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Browser;
use super::people::Home;
use crate::support::skip;

impl Browser {
    /// The findings about the page that is open which keep somebody from using it.
    #[track_caller]
    fn barriers(&mut self, axe: &str) -> Vec<String> {
        self.evaluate(&format!("{axe}; 0"));
        // What a message brings is its sender's.
        let found = self.evaluate("axe.run(document, { iframes: false, resultTypes: ['violations'] })");
        assert!(found["passes"].as_array().is_some_and(|passes| passes.len() > 5), "it has looked: {found}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut barriers = Vec::new();
        for rule in found["violations"].as_array().expect("findings") {
            let impact = text(&rule["impact"]);
            if impact == "serious" || impact == "critical" {
                for node in rule["nodes"].as_array().expect("where") {
                    barriers.push(format!(
                        "{impact}: {}: {} {}",
                        text(&rule["help"]),
                        text(&node["html"]),
                        text(&node["failureSummary"])
                    ));
                }
            }
        }
        barriers
    }
}

/// `None` if the test is skipped.
fn axe(test: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let file = folder.join("peers/npm/node_modules/axe-core/axe.min.js");
    let text = fs::read_to_string(file).ok();
    if text.is_none() {
        skip(test, "axe-core is not there (cargo xtask test --install-peers)");
    }
    text
}

/// Looks at the page that is open: on a screen, in the dark, and on a telephone.
#[track_caller]
fn look(browser: &mut Browser, axe: &str, page: &str, barriers: &mut Vec<String>) {
    for (looks, telephone, dark) in
        [("", false, false), (" in the dark", false, true), (" on a telephone", true, false)]
    {
        if telephone {
            browser.as_telephone();
        } else {
            browser.window(1280, 800, false);
        }
        browser.prefers_dark(dark);
        barriers.extend(browser.barriers(axe).into_iter().map(|found| format!("{page}{looks}: {found}")));
        let wide =
            browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        if wide != 0 {
            barriers.push(format!("{page}{looks}: it is {wide} pixels wider than the window"));
        }
    }
    browser.window(1280, 800, false);
}

#[test]
fn no_page_of_the_operator_keeps_anybody_out() {
    let name = "no_page_of_the_operator_keeps_anybody_out";
    let Some(axe) = axe(name) else { return };
    let (site, host) = super::pictures::waiting();
    let Some(mut browser) = Browser::start(name, &site, &host) else { return };
    let mut barriers = Vec::new();
    browser.enters(&site, &host);
    for path in ["/", "/queue", "/sessions", "/accounts", "/certificates", "/dns"] {
        browser.open(path);
        look(&mut browser, &axe, path, &mut barriers);
    }
    assert!(barriers.is_empty(), "{barriers:#?}");
    browser.has_behaved();
}

#[test]
fn no_page_keeps_anybody_out() {
    let name = "no_page_keeps_anybody_out";
    let Some(axe) = axe(name) else { return };
    let home = Home::lived_in();
    let Some(mut browser) = Browser::start(name, &home.site, &home.host) else { return };
    browser.open("/account");
    browser.evaluate("document.querySelector('main').append(document.createElement('input')); 0");
    assert_ne!(browser.barriers(&axe), [""; 0], "a field without a name is one");
    let mut barriers = Vec::new();
    let mut look = |browser: &mut Browser, page: &str| look(browser, &axe, page, &mut barriers);
    for path in ["/", "/account", "/sign-in", "/nothing"] {
        browser.open(path);
        look(&mut browser, path);
    }
    browser.open("/");
    browser.signs_in(super::people::ANNA);
    let inbox = browser.path();
    look(&mut browser, "the inbox");
    browser.open("/folders");
    browser.fill("New folder", &"long".repeat(40));
    browser.follow("Make it");
    for path in [
        &*format!("{inbox}?q=boat"),
        &format!("{inbox}?q=nothing+like+this"),
        "/folders",
        "/settings",
        "/compose",
    ] {
        browser.open(path);
        look(&mut browser, path);
    }
    browser.goes_to("Receipts");
    look(&mut browser, "a folder of one's own");
    for subject in ["Boat trip on Saturday", "What the sea brought us", "Berth 14"] {
        browser.open(&inbox);
        browser.goes_to(subject);
        look(&mut browser, subject);
    }
    browser.goes_to("Reply");
    look(&mut browser, "an answer");
    assert!(barriers.is_empty(), "{barriers:#?}");
}
