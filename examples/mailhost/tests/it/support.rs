//! Folders that go away, runs of the program that end, hosts that run, and connections to them.

pub(crate) mod executed;
mod lines;
mod site;
mod wire;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, process, thread};

pub(crate) use self::lines::Lines;
pub(crate) use self::site::{Host, PASSWORD, Site, field};
pub(crate) use self::wire::{Wire, base64, stuffed};

/// How long anything may take before the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A folder in a temporary place, gone when it is dropped.
pub(crate) struct Folder(PathBuf);

/// What the program did.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("mailhost-it-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        // Others may look inside: some tests run the program as nobody.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A configuration that is right but for the lines at its end, of which the first is line 6.
    pub(crate) fn config(&self, data_dir: &str, lines: &str) -> PathBuf {
        let text = format!(
            "hostname = \"mail.example.test\"\ndata_dir = {data_dir:?}\ndomains = [\"example.test\"]\n\
             [listen]\nsmtp = [\"127.0.0.1:0\"]\n{lines}"
        );
        self.write("mail.toml", &text)
    }

    /// Everything below it: kind, permissions and contents.
    pub(crate) fn listing(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut listing = BTreeMap::new();
        list(&self.0, &mut listing);
        listing
    }

    /// How many entries it has.
    pub(crate) fn len(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Run {
    /// The same sentence, or a part of it.
    #[track_caller]
    pub(crate) fn failed_with(&self, what: &str) {
        assert!(self.stderr.starts_with("mailhost: ") && self.stderr.contains(what), "{}", self.stderr);
        assert_eq!(self.status, Some(1));
    }

    /// One sentence on standard error, nothing on standard output, and a status that says so.
    #[track_caller]
    pub(crate) fn failed(&self, sentence: &str) {
        assert_eq!(self.stderr, format!("mailhost: {sentence}\n"));
        assert_eq!((self.status, &*self.stdout), (Some(1), ""));
    }
}

/// The program, without arguments so far.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mailhost"))
}

/// Runs to the end, which has to come in time.
#[track_caller]
pub(crate) fn run(command: &mut Command, stdin: &str) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It may not want to read.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    let process = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(DEADLINE) else {
        let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        panic!("{command:?} has not ended in time");
    };
    let output = output.expect("the output can be read");
    let text = |octets| String::from_utf8(octets).expect("the output is UTF-8");
    Run { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Says that a test cannot be run for want of something foreign; fails if that was asked for.
pub(crate) fn skip(name: &str, reason: &str) {
    let line = format!("SKIPPED: {name}: {reason}");
    println!("{line}");
    if let Some(file) = env::var_os("POSTRIDER_SKIPS") {
        let written = File::options().append(true).create(true).open(&file);
        written.and_then(|mut file| writeln!(file, "{line}")).expect("the file of skips can be written");
    }
    assert!(env::var_os("POSTRIDER_NO_SKIPS").is_none_or(|value| value != "1"), "{line}");
}

/// Whether a foreign program is there.
pub(crate) fn is_installed(name: &str, version: &str) -> bool {
    let run = Command::new(name).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

fn list(folder: &Path, listing: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let contents = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        if metadata.is_dir() {
            list(&path, listing);
        }
        listing.insert(path, (metadata.permissions().mode(), contents));
    }
}
