//! Debian's Chromium as a process, and the DevTools protocol spoken with it over a pair of pipes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::support::Folder;

/// The browser; gone with all its processes when this is dropped.
pub(super) struct Chromium {
    child: Child,
    stdin: ChildStdin,
    messages: Receiver<Value>,
    last: u64,
    _profile: Folder,
}

/// What it says by itself.
pub(super) struct Event {
    /// Which page or frame says it.
    pub(super) session: String,
    pub(super) method: String,
    pub(super) params: Value,
}

impl Chromium {
    /// Starts one that remembers nothing, and knows hosts only by these rules.
    pub(super) fn start(rules: &str, trusted: &[String]) -> Self {
        let profile = Folder::new();
        fs::create_dir_all(profile.path(".config/fontconfig")).unwrap();
        profile.write(".config/fontconfig/fonts.conf", FONTS);
        let mut child = Command::new("sh")
            // It reads from 3 and writes to 4.
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(PROGRAM)
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", profile.path("").display()))
            .arg(format!("--host-resolver-rules={rules}"))
            .arg(format!("--ignore-certificate-errors-spki-list={}", trusted.join(",")))
            .arg("about:blank")
            .env("HOME", profile.path(""))
            .env("XDG_CONFIG_HOME", profile.path(".config"))
            // A group of its own: it has many processes.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Chromium starts");
        let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(stdout).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, messages, last: 0, _profile: profile }
    }

    /// Sends a command of the protocol; gives its number.
    pub(super) fn send(&mut self, session: &str, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if !session.is_empty() {
            message["sessionId"] = session.into();
        }
        let mut octets = message.to_string().into_bytes();
        octets.push(0);
        self.stdin.write_all(&octets).expect("Chromium reads");
        self.last
    }

    /// The answer to a command, and what came before it. There may be none if the page goes away meanwhile.
    pub(super) fn answer(&self, id: u64, within: Duration, events: &mut Vec<Event>) -> Result<Value, String> {
        let end = Instant::now() + within;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = match self.messages.recv_timeout(left) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => return Err("no answer in time".to_owned()),
                Err(RecvTimeoutError::Disconnected) => panic!("Chromium has gone"),
            };
            match Self::event(message) {
                Ok(event) => events.push(event),
                Err(mut answer) if answer["id"] == id => {
                    let error = &answer["error"];
                    return if error.is_null() {
                        Ok(answer["result"].take())
                    } else {
                        Err(error.to_string())
                    };
                }
                // Of a command that nobody waits for.
                Err(_) => {}
            }
        }
    }

    /// What it says within this time, if it says anything.
    pub(super) fn next(&self, time: Duration) -> Option<Event> {
        match self.messages.recv_timeout(time) {
            Ok(message) => Self::event(message).ok(),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("Chromium has gone"),
        }
    }

    /// An event, or else an answer.
    fn event(mut message: Value) -> Result<Event, Value> {
        let Some(method) = message["method"].as_str() else { return Err(message) };
        let method = method.to_owned();
        let session = message["sessionId"].as_str().unwrap_or_default().to_owned();
        Ok(Event { session, method, params: message["params"].take() })
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // One that is asked to go leaves nothing in its profile that its other processes would still write.
        let close = b"{\"id\":0,\"method\":\"Browser.close\"}\0";
        if self.stdin.write_all(close).is_ok() {
            while self.messages.recv_timeout(GOODBYE).is_ok() {}
        }
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// What most people have on their screens is nearer to Inter than to what a machine without one comes with.
const FONTS: &str = "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\"><fontconfig>\
    <alias binding=\"strong\"><family>system-ui</family><prefer><family>Inter</family></prefer></alias>\
    <alias binding=\"strong\"><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>\
    <alias binding=\"strong\"><family>sans</family><prefer><family>Inter</family></prefer></alias></fontconfig>";
const GOODBYE: Duration = Duration::from_secs(5);
pub(super) const PROGRAM: &str = "/usr/bin/chromium";
const OPTIONS: [&str; 15] = [
    "--headless",
    "--remote-debugging-pipe",
    // The tests may run as root, for whom there is no sandbox of processes. What a page may do is not its matter.
    "--no-sandbox",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--lang=en-GB",
];
