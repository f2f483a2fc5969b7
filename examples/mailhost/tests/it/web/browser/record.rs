//! What pages do: what they ask for and of whom, the scripts that run, and what is complained of.

use std::collections::BTreeSet;

use serde_json::Value;

use super::chromium::Event;

/// A script that runs where none may calls this.
pub(super) const CANARY: &str = "canary";
/// Where the expressions come from that the tests evaluate.
pub(super) const OURS: &str = "test:expression";

#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Pages that have been loaded.
    pub(crate) loads: usize,
    pub(crate) requests: Vec<Request>,
    /// Where the scripts come from that have been compiled in order to run.
    pub(crate) scripts: BTreeSet<String>,
    /// What called the canary, or opened a dialog.
    pub(crate) alarms: Vec<String>,
    /// Of the policy that a page has about its contents.
    pub(crate) reports: Vec<Report>,
    /// What else is complained of on the console.
    pub(crate) errors: Vec<String>,
    /// What has come to where everybody else is.
    pub(crate) caught: Vec<String>,
    page: String,
    origins: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) url: String,
    /// The browser did not let it go.
    pub(crate) blocked: bool,
    id: String,
    session: String,
}

/// Something did not happen because the page's own policy forbids it.
#[derive(Debug)]
pub(crate) struct Report {
    /// The document in which it happened.
    pub(crate) document: String,
    pub(crate) directive: String,
    /// What was not asked for; empty for what stands in the document itself.
    pub(crate) blocked: String,
}

impl Record {
    pub(super) fn new(page: &str, origin: &str) -> Self {
        Self { page: page.to_owned(), origins: vec![origin.to_owned()], ..Self::default() }
    }

    pub(super) fn also_of(&mut self, origin: &str) {
        self.origins.push(origin.to_owned());
    }

    /// As if nothing had happened so far.
    pub(super) fn clear(&mut self) {
        *self = Self {
            page: std::mem::take(&mut self.page),
            origins: std::mem::take(&mut self.origins),
            ..Self::default()
        };
    }

    pub(super) fn take(&mut self, event: &Event) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let params = &event.params;
        match &*event.method {
            "Page.loadEventFired" if event.session == self.page => self.loads += 1,
            "Network.requestWillBeSent" => self.requests.push(Request {
                url: text(&params["request"]["url"]),
                blocked: false,
                id: text(&params["requestId"]),
                session: event.session.clone(),
            }),
            "Network.webSocketCreated" | "Network.webTransportCreated" => self.requests.push(Request {
                url: text(&params["url"]),
                blocked: false,
                id: String::new(),
                session: event.session.clone(),
            }),
            "Network.loadingFailed" if !params["blockedReason"].is_null() => {
                for request in &mut self.requests {
                    request.blocked |= request.session == event.session && params["requestId"] == *request.id;
                }
            }
            "Debugger.scriptParsed" => {
                let url = text(&params["url"]);
                if url != OURS && !url.starts_with("chrome") {
                    self.scripts.insert(if url.is_empty() {
                        "a script of no address".to_owned()
                    } else {
                        url
                    });
                }
            }
            "Runtime.bindingCalled" => self.alarms.push(format!("canary: {}", params["payload"])),
            "Page.javascriptDialogOpening" if params["type"] != "beforeunload" => {
                self.alarms.push(format!("dialog: {}", params["message"]))
            }
            "Runtime.exceptionThrown" => self.errors.push(params["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" => self.errors.push(params["args"].to_string()),
            "Audits.issueAdded" => {
                let details = &params["issue"]["details"]["contentSecurityPolicyIssueDetails"];
                if !details.is_null() {
                    self.reports.push(Report {
                        document: text(&details["sourceCodeLocation"]["url"]),
                        directive: text(&details["violatedDirective"]),
                        blocked: text(&details["blockedURL"]),
                    });
                }
            }
            "Log.entryAdded" => {
                let entry = &params["entry"];
                let (line, url) = (text(&entry["text"]), text(&entry["url"]));
                // A report says the same, and more.
                let reported = line.contains("Content Security Policy");
                if entry["level"] == "error" && !reported {
                    self.errors.push(format!("{line} {url}"));
                }
            }
            _ => {}
        }
    }

    /// Requests to others that the browser let go.
    pub(crate) fn strays(&self) -> Vec<&str> {
        let sent = self.requests.iter().filter(|request| !request.blocked);
        sent.map(|request| &*request.url).filter(|url| !self.is_here(url)).collect()
    }

    /// Scripts that are not the host's own file.
    pub(crate) fn foreign_scripts(&self) -> Vec<&str> {
        let own: Vec<_> = self.origins.iter().map(|origin| format!("{origin}/script.js")).collect();
        self.scripts
            .iter()
            .map(|url| &**url)
            .filter(|url| !own.iter().any(|own| url.starts_with(own)))
            .collect()
    }

    /// No request has left, and no script has run that is not the host's own.
    pub(crate) fn is_contained(&self) -> bool {
        self.strays().is_empty()
            && self.foreign_scripts().is_empty()
            && self.alarms.is_empty()
            && self.caught.is_empty()
    }

    /// Of the console, and of the policies of pages.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let reports = self.reports.iter().map(|report| format!("{report:?}"));
        reports.chain(self.errors.iter().cloned()).collect()
    }

    fn is_here(&self, url: &str) -> bool {
        let inside = |scheme: &&str| url.starts_with(*scheme);
        ["data:", "blob:", "about:", "chrome"].iter().any(inside)
            || self.origins.iter().any(|origin| {
                url.strip_prefix(&**origin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}
