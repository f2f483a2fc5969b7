//! Webmail in Chromium, as people use it: controls are found by their roles and names, as a screen reader announces them, text by
//! being there to read. Whatever a page asks for, runs or complains of is noted.

mod accessible;
mod chromium;
mod files;
mod front;
mod hostile;
mod keys;
mod noticed;
mod operator;
mod people;
mod pictures;
mod record;
mod story;
mod techniques;
mod trap;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailhost::listener::Service;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::ParsedCertificate;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use self::chromium::{Chromium, Event};
pub(crate) use self::record::Record;
use self::trap::Trap;
use crate::support::{DEADLINE, Host, Site, skip};

/// A browser with one page open.
pub(crate) struct Browser {
    chromium: Chromium,
    /// The page itself, in front of the frames that have a process of their own.
    sessions: Vec<String>,
    record: Record,
    trap: Trap,
    /// How much of what it has caught belongs to earlier records.
    caught: usize,
    /// What stands in front of paths.
    origin: String,
}

/// A control, by its number in the page.
type Node = i64;

impl Browser {
    /// Knows this host, under its own name and with its own certificate. `None` if the test is skipped.
    #[track_caller]
    pub(crate) fn start(test: &str, site: &Site, host: &Host) -> Option<Self> {
        if !Path::new(chromium::PROGRAM).exists() {
            skip(test, "chromium is not installed");
            return None;
        }
        let name = hostname(site);
        let trap = Trap::set();
        let port = trap.port();
        // What it asks on its own account has names that are in use, and is told that there are none.
        let rules = format!(
            "EXCLUDE 127.0.0.1,MAP {name} 127.0.0.1,MAP *.test 127.0.0.1:{port},MAP *.example 127.0.0.1:{port},\
             MAP *.example.* 127.0.0.1:{port},MAP example.* 127.0.0.1:{port},MAP *.invalid 127.0.0.1:{port},MAP * ~NOTFOUND"
        );
        let mut chromium = Chromium::start(&rules, &[fingerprint(site)]);
        let origin = format!("https://{name}:{}", host.address(Service::Webs).port());
        let mut early = Vec::new();
        let mut call = |method: &str, params: Value| {
            let id = chromium.send("", method, &params);
            chromium.answer(id, DEADLINE, &mut early).unwrap_or_else(|error| panic!("{method}: {error}"))
        };
        let target = call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        let session =
            call("Target.attachToTarget", attached)["sessionId"].as_str().expect("a session").to_owned();
        let record = Record::new(&session, &origin);
        let mut this = Self { chromium, sessions: Vec::new(), record, trap, caught: 0, origin };
        this.watch(session);
        this.window(1280, 800, false);
        Some(this)
    }

    /// Goes to the page that the operator has, which is not told from others by a name.
    pub(crate) fn visits(&mut self, address: SocketAddr) {
        self.origin = format!("http://{address}");
        self.record.also_of(&self.origin);
    }

    /// Begins to note what a page or frame does, before it does anything.
    fn watch(&mut self, session: String) {
        for (method, params) in [
            ("Page.enable", json!({})),
            ("Network.enable", json!({})),
            ("Runtime.enable", json!({})),
            ("Log.enable", json!({})),
            ("Audits.enable", json!({})),
            ("DOM.enable", json!({})),
            ("Debugger.enable", json!({})),
            ("Debugger.setSkipAllPauses", json!({ "skip": true })),
            ("Runtime.addBinding", json!({ "name": record::CANARY })),
            (
                "Target.setAutoAttach",
                json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true }),
            ),
            ("Runtime.runIfWaitingForDebugger", json!({})),
        ] {
            self.chromium.send(&session, method, &params);
        }
        self.sessions.push(session);
    }

    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            self.take_one(&event);
        }
    }

    fn take_one(&mut self, event: &Event) {
        match &*event.method {
            "Target.attachedToTarget" => {
                self.watch(event.params["sessionId"].as_str().expect("a session").to_owned())
            }
            "Target.detachedFromTarget" => {
                let gone = event.params["sessionId"].as_str().unwrap_or_default();
                self.sessions.retain(|session| session != gone);
            }
            // Nothing else goes on before it is answered.
            "Page.javascriptDialogOpening" => {
                self.chromium.send(
                    &event.session,
                    "Page.handleJavaScriptDialog",
                    &json!({ "accept": false }),
                );
            }
            _ => {}
        }
        self.record.take(event);
    }

    fn ask(
        &mut self,
        session: usize,
        method: &str,
        params: &Value,
        within: Duration,
    ) -> Result<Value, String> {
        let session = self.sessions.get(session).cloned().ok_or("the frame has gone")?;
        let id = self.chromium.send(&session, method, params);
        let mut events = Vec::new();
        let answer = self.chromium.answer(id, within, &mut events);
        self.take(events);
        answer
    }

    /// Asks a page or frame that may be about to go.
    fn try_call(&mut self, session: usize, method: &str, params: &Value) -> Result<Value, String> {
        self.ask(session, method, params, DEADLINE / 20)
    }

    /// Asks the page itself.
    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.ask(0, method, params, DEADLINE).unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    /// The value of an expression in the page itself, a promise awaited.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        self.evaluate_within(0, expression, DEADLINE)
            .unwrap_or_else(|error| panic!("{expression:.200}: {error}"))
    }

    fn try_evaluate(&mut self, session: usize, expression: &str) -> Result<Value, String> {
        self.evaluate_within(session, expression, DEADLINE / 20)
    }

    fn evaluate_within(
        &mut self,
        session: usize,
        expression: &str,
        within: Duration,
    ) -> Result<Value, String> {
        let params = json!({
            "expression": format!("{expression}\n//# sourceURL={}", record::OURS),
            "returnByValue": true, "awaitPromise": true, "userGesture": false,
        });
        let mut answer = self.ask(session, "Runtime.evaluate", &params, within)?;
        match answer.get("exceptionDetails") {
            Some(exception) => Err(exception.to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Looks again whenever something has happened, until there is something to see.
    #[track_caller]
    fn wait<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if Instant::now() > end {
                let picture = self.picture(&kept("failed"));
                panic!("waited for {what}; {} ({})\n{}", self.path(), picture.display(), self.text());
            }
            if let Some(event) = self.chromium.next(AGAIN) {
                self.take_one(&event);
            }
        }
    }

    /// Opens a page of the host, and waits until it is loaded.
    #[track_caller]
    pub(crate) fn open(&mut self, path: &str) {
        let before = self.record.loads;
        let url = format!("{}{path}", self.origin);
        let answer = self.call("Page.navigate", &json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.loaded_since(before, path);
    }

    /// Goes where a page, a file to save, or nothing at all may be.
    pub(crate) fn tries(&mut self, path: &str) {
        let before = self.record.loads;
        let url = format!("{}{path}", self.origin);
        // A file to save ends the way there.
        if self.call("Page.navigate", &json!({ "url": url }))["errorText"].is_null() {
            self.loaded_since(before, path);
        }
    }

    #[track_caller]
    fn loaded_since(&mut self, before: usize, what: &str) {
        self.wait(&format!("a page behind {what:?}"), |this| (this.record.loads > before).then_some(()));
    }

    /// Where the page is: its path with what follows it.
    pub(crate) fn path(&mut self) -> String {
        let url = self.try_evaluate(0, "location.href").unwrap_or_default();
        let url = url.as_str().unwrap_or_default();
        url.strip_prefix(&self.origin).unwrap_or(url).to_owned()
    }

    /// What there is to read on the page and in its frames.
    pub(crate) fn text(&mut self) -> String {
        let mut text = String::new();
        for session in 0..self.sessions.len() {
            let shown = self
                .try_evaluate(session, &format!("{DOCUMENTS}.map(each => each.body.innerText).join('\\n')"));
            text.push_str(shown.unwrap_or_default().as_str().unwrap_or_default());
            text.push('\n');
        }
        text
    }

    /// Waits until this can be read.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) {
        self.wait(&format!("{text:?}"), |this| this.text().contains(text).then_some(()));
    }

    /// Controls of any of these roles, with their names: those that a screen reader would come to.
    fn controls(&mut self, roles: &[&str]) -> Vec<(Node, String)> {
        let mut all = Vec::new();
        let Ok(document) = self.try_call(0, "DOM.getDocument", &json!({ "depth": 0 })) else { return all };
        for role in roles {
            let query = json!({ "backendNodeId": document["root"]["backendNodeId"], "role": role });
            let found = self.try_call(0, "Accessibility.queryAXTree", &query).unwrap_or_default();
            for node in found["nodes"].as_array().into_iter().flatten() {
                let name = node["name"]["value"].as_str().unwrap_or_default().trim();
                if node["ignored"] == false
                    && let Some(number) = node["backendDOMNodeId"].as_i64()
                {
                    all.push((number, name.to_owned()));
                }
            }
        }
        all
    }

    /// Waits for a control: one of this name, or else one whose name contains it.
    #[track_caller]
    fn control(&mut self, roles: &[&str], name: &str) -> Node {
        self.wait(&format!("a {} named {name:?}", roles[0]), |this| {
            let all = this.controls(roles);
            let exact = all.iter().find(|(_, found)| found == name);
            exact.or_else(|| all.iter().find(|(_, found)| found.contains(name))).map(|(node, _)| *node)
        })
    }

    /// Waits for a button or link, or what else is pressed.
    #[track_caller]
    pub(crate) fn finds(&mut self, name: &str) {
        self.control(&PRESSED, name);
    }

    /// Presses it with the mouse.
    #[track_caller]
    pub(crate) fn press(&mut self, name: &str) {
        self.press_one(&PRESSED, name);
    }

    /// Waits until a control can be seen; its middle.
    #[track_caller]
    fn place(&mut self, roles: &[&str], name: &str) -> (f64, f64) {
        self.wait(&format!("a place to press {name:?}"), |this| {
            let node = json!({ "backendNodeId": this.control(roles, name) });
            this.try_call(0, "DOM.scrollIntoViewIfNeeded", &node).ok()?;
            let quads = this.try_call(0, "DOM.getContentQuads", &node).ok()?;
            let corners: Vec<f64> = quads["quads"][0].as_array()?.iter().filter_map(Value::as_f64).collect();
            (corners.len() == 8).then(|| ((corners[0] + corners[4]) / 2.0, (corners[1] + corners[5]) / 2.0))
        })
    }

    #[track_caller]
    fn press_one(&mut self, roles: &[&str], name: &str) {
        let (x, y) = self.place(roles, name);
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let pressed = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &pressed);
        }
    }

    /// Ticks the box of this name.
    #[track_caller]
    pub(crate) fn tick(&mut self, name: &str) {
        self.press_one(&["checkbox"], name);
    }

    /// Follows a link, and no button of a like name.
    #[track_caller]
    pub(crate) fn goes_to(&mut self, name: &str) {
        let before = self.record.loads;
        self.press_one(&["link"], name);
        self.loaded_since(before, name);
    }

    /// Presses it, and waits for the page that it leads to.
    #[track_caller]
    pub(crate) fn follow(&mut self, name: &str) {
        let before = self.record.loads;
        self.press(name);
        self.loaded_since(before, name);
    }

    /// Types text into the field of this name, in place of what is there.
    #[track_caller]
    pub(crate) fn fill(&mut self, name: &str, text: &str) {
        let node = self.control(&["textbox", "searchbox", "combobox"], name);
        self.call("DOM.focus", &json!({ "backendNodeId": node }));
        self.on(node, "function() { this.select() }");
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Presses a key, by the name that pages know it by.
    #[track_caller]
    pub(crate) fn key(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowDown" => 40,
            _ => 0,
        };
        let mut down = json!({ "type": "rawKeyDown", "key": key, "windowsVirtualKeyCode": code });
        if key.len() == 1 {
            (down["type"], down["text"]) = (json!("keyDown"), json!(key));
        }
        self.call("Input.dispatchKeyEvent", &down);
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", &up);
    }

    /// What stands in the field of this name.
    #[track_caller]
    pub(crate) fn filled(&mut self, name: &str) -> String {
        let node = self.control(&["textbox", "searchbox", "combobox"], name);
        self.on(node, "function() { return this.value }").as_str().expect("a text").to_owned()
    }

    /// Chooses from the list of this name.
    #[track_caller]
    pub(crate) fn choose(&mut self, name: &str, option: &str) {
        let node = self.control(&["combobox", "listbox"], name);
        let chosen = format!(
            "function() {{ const found = [...this.options].find(option => option.label.trim().includes({})); \
             if (!found) return false; this.value = found.value; \
             this.dispatchEvent(new Event('change', {{ bubbles: true }})); return true }}",
            json!(option)
        );
        assert_eq!(self.on(node, &chosen), true, "{option:?} in {name:?}");
    }

    /// Gives files to the only field that wants some.
    #[track_caller]
    pub(crate) fn attach(&mut self, files: &[PathBuf]) {
        let document = self.call("DOM.getDocument", &json!({ "depth": 0 }));
        let query = json!({ "nodeId": document["root"]["nodeId"], "selector": "input[type=file]" });
        let node = self.call("DOM.querySelector", &query);
        self.call("DOM.setFileInputFiles", &json!({ "nodeId": node["nodeId"], "files": files }));
    }

    /// Drags files from elsewhere over the field of this name; lets go of them there, or goes on to the edge of the window.
    #[track_caller]
    pub(crate) fn drags(&mut self, files: &[PathBuf], name: &str, drops: bool) {
        let (x, y) = self.place(&["textbox"], name);
        let end = if drops { ("drop", x, y) } else { ("dragOver", 2.0, 2.0) };
        for (kind, x, y) in [("dragEnter", x, y), ("dragOver", x, y), end] {
            let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
            let dragged = json!({ "type": kind, "x": x, "y": y, "data": data });
            self.call("Input.dispatchDragEvent", &dragged);
        }
    }

    /// Calls a function on a control.
    #[track_caller]
    fn on(&mut self, node: Node, function: &str) -> Value {
        let resolved = self.call("DOM.resolveNode", &json!({ "backendNodeId": node }));
        let params = json!({
            "objectId": resolved["object"]["objectId"], "returnByValue": true,
            "functionDeclaration": format!("{function}\n//# sourceURL={}\n", record::OURS),
        });
        let mut answer = self.call("Runtime.callFunctionOn", &params);
        assert!(answer.get("exceptionDetails").is_none(), "{function}: {answer}");
        answer["result"]["value"].take()
    }

    /// Runs no script of any page from now on.
    pub(crate) fn without_scripts(&mut self) {
        self.call("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// A telephone from now on.
    pub(crate) fn as_telephone(&mut self) {
        self.window(390, 844, true);
    }

    /// A window of so many points, on a telephone or not.
    pub(crate) fn window(&mut self, width: u32, height: u32, mobile: bool) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Prefers dark colours, or bright ones.
    pub(crate) fn prefers_dark(&mut self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": value });
        self.call("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// Draws the window into this file.
    pub(crate) fn picture(&mut self, file: &Path) -> PathBuf {
        let picture =
            self.call("Page.captureScreenshot", &json!({ "format": "png", "optimizeForSpeed": false }));
        let octets = STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        fs::write(file, octets).unwrap();
        file.to_owned()
    }

    /// What all pages have done up to now, their frames included.
    pub(crate) fn record(&mut self) -> &Record {
        // Whatever a frame has to say comes before its answer.
        for session in (0..self.sessions.len()).rev() {
            let _ = self.try_evaluate(session, "0");
        }
        self.record.caught = self.trap.caught().split_off(self.caught);
        &self.record
    }

    /// Begins a new record.
    pub(crate) fn forgets(&mut self) {
        self.caught = self.trap.caught().len();
        self.record.clear();
    }

    /// Nothing has been asked of anybody else, no script has run but the host's own, and nobody has complained.
    #[track_caller]
    pub(crate) fn has_behaved(&mut self) {
        let record = self.record();
        assert!(record.is_contained(), "{record:#?}");
        assert!(record.complaints().is_empty(), "{:#?}", record.complaints());
    }
}

/// A place for a file that outlives the test.
pub(crate) fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{name}.png"))
}

fn hostname(site: &Site) -> String {
    let text = fs::read_to_string(site.config()).unwrap();
    text.split('"').nth(1).expect("its name").to_owned()
}

/// Of the key of the host's own certificate, as Chromium wants to be told whom to trust.
fn fingerprint(site: &Site) -> String {
    let certificate = CertificateDer::from_pem_file(site.data("self-signed.pem")).unwrap();
    let key = ParsedCertificate::try_from(&certificate).unwrap().subject_public_key_info();
    STANDARD.encode(Sha256::digest(&key))
}

/// The page that is open, and what its frames hold, in the language of the page.
const DOCUMENTS: &str = "[document, ...[...document.querySelectorAll('iframe')].map(each => each.contentDocument)]\
    .filter(each => each && each.body)";
/// How long nothing may happen before one looks again: what a page shows may change without an event.
const AGAIN: Duration = Duration::from_millis(20);
/// The roles of what is pressed.
const PRESSED: [&str; 7] = ["button", "link", "checkbox", "radio", "menuitem", "tab", "DisclosureTriangle"];
