//! Ends what a run has started and removes its folder, also when the run is interrupted or killed.
//!
//! A process of its own waits for the end of its standard input, which comes with the end of the run, however that
//! comes. Handlers of signals would need unsafe code or a dependency, and would not see SIGKILL.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use crate::command;

/// The near end: told what was started, it makes sure that all of it goes.
pub(super) struct Guard {
    orders: Orders,
    process: Child,
    folder: PathBuf,
}

/// A process that a [`Guard`] knows of: gone when this is dropped.
pub(super) struct Server {
    name: &'static str,
    child: Child,
    orders: Orders,
    ended: bool,
}

#[derive(Clone)]
struct Orders(Rc<RefCell<Option<Box<dyn Write>>>>);

impl Guard {
    /// Makes `folder` afresh, and watches over it.
    pub(super) fn start(folder: PathBuf) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(failed)?;
        }
        fs::create_dir_all(&folder).map_err(failed)?;
        let program = env::current_exe().map_err(|error| error.to_string())?;
        // In a group of its own, or the interrupt key would end it before its work begins.
        let mut process = Command::new(program)
            .args(["bench", "guard"])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("the guard: {error}"))?;
        let input = process.stdin.take().ok_or("the guard has no standard input")?;
        let orders = Orders(Rc::new(RefCell::new(Some(Box::new(input)))));
        orders.tell(&format!("folder {}", folder.display()))?;
        Ok(Self { orders, process, folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a server, as the first of a process group.
    pub(super) fn spawn(&self, name: &'static str, command: &mut Command) -> Result<Server, String> {
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let server = Server { name, child, orders: self.orders.clone(), ended: false };
        server.orders.tell(&format!("started {}", server.id()))?;
        Ok(server)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.orders.0.borrow_mut().take();
        if let Err(error) = self.process.wait() {
            eprintln!("warning: the guard: {error}");
        }
    }
}

impl Server {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended, though nobody told it to.
    pub(super) fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{} has ended by itself: {status}", self.name)),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// Ends it: in order, or by force if that takes too long.
    pub(super) fn stop(mut self) -> Result<ExitStatus, String> {
        self.end()
    }

    fn end(&mut self) -> Result<ExitStatus, String> {
        self.ended = true;
        let failed = |error: io::Error| error.to_string();
        if self.child.try_wait().map_err(failed)?.is_none() {
            signal("TERM", &self.id().to_string());
        }
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().map_err(failed)? {
                Some(status) => break status,
                None if Instant::now() < deadline => thread::sleep(STEP),
                None => {
                    signal("KILL", &format!("-{}", self.id()));
                    break self.child.wait().map_err(failed)?;
                }
            }
        };
        self.orders.tell(&format!("ended {}", self.id()))?;
        Ok(status)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.ended
            && let Err(error) = self.end()
        {
            eprintln!("warning: {}: {error}", self.name);
        }
    }
}

impl Orders {
    fn tell(&self, order: &str) -> Result<(), String> {
        let mut orders = self.0.borrow_mut();
        let Some(writer) = orders.as_mut() else {
            return Err("the guard has ended".to_owned());
        };
        writeln!(writer, "{order}").map_err(|error| format!("the guard: {error}"))
    }
}

/// The far end, `cargo xtask bench guard`.
pub(crate) fn watch() -> Result<bool, String> {
    let (servers, folder) = read_orders(io::stdin().lock());
    for id in &servers {
        signal("TERM", &id.to_string());
    }
    let deadline = Instant::now() + PATIENCE;
    while servers.iter().any(|&id| runs(id)) && Instant::now() < deadline {
        thread::sleep(STEP);
    }
    for &id in servers.iter().filter(|&&id| runs(id)) {
        signal("KILL", &format!("-{id}"));
    }
    match folder.filter(|folder| folder.exists()) {
        Some(folder) => remove(&folder).map(|()| true),
        None => Ok(true),
    }
}

/// Removes a folder of servers that have ended. The last of their children may still be writing for a moment.
pub(super) fn remove(folder: &Path) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(format!("{}: {error}", folder.display())),
            Err(_) => thread::sleep(STEP),
        }
    }
}

/// What is left to end, and to remove, when no more orders come.
fn read_orders(orders: impl BufRead) -> (BTreeSet<u32>, Option<PathBuf>) {
    let (mut servers, mut folder) = (BTreeSet::new(), None);
    for order in orders.lines().map_while(Result::ok) {
        match order.split_once(' ') {
            Some(("folder", path)) => folder = Some(PathBuf::from(path)),
            Some(("started", id)) => servers.extend(id.parse::<u32>()),
            Some(("ended", id)) => {
                let _ = id.parse().map(|id: u32| servers.remove(&id));
            }
            _ => {}
        }
    }
    (servers, folder)
}

/// A process that has ended, and whose parent has not asked for it yet, does not run.
fn runs(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn signal(name: &str, target: &str) {
    // That it has ended meanwhile is no error.
    command::succeeds(Command::new("kill").args([&format!("-{name}"), "--", target]));
}

const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_not_ended_again() {
        let orders = "folder /a b/c\nstarted 7\nstarted 8\nended 7\nnonsense\nstarted x\n";
        let (servers, folder) = read_orders(orders.as_bytes());
        assert_eq!(servers, BTreeSet::from([8]));
        assert_eq!(folder, Some(PathBuf::from("/a b/c")));
    }

    #[test]
    fn a_server_is_gone_when_it_is_dropped_and_the_guard_is_told() {
        let told = Rc::new(RefCell::new(Vec::new()));
        let child = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        let id = child.id();
        let orders = Orders(Rc::new(RefCell::new(Some(Box::new(Told(Rc::clone(&told)))))));
        drop(Server { name: "sleep", child, orders, ended: false });
        assert!(!runs(id));
        assert_eq!(told.borrow().as_slice(), format!("ended {id}\n").as_bytes());
    }

    #[test]
    fn a_server_that_ends_by_itself_is_noticed() {
        let child = Command::new("false").spawn().unwrap();
        let orders = Orders(Rc::new(RefCell::new(Some(Box::new(io::sink())))));
        let mut server = Server { name: "false", child, orders, ended: false };
        server.child.wait().unwrap();
        assert!(server.check().unwrap_err().contains("false has ended by itself"));
    }

    struct Told(Rc<RefCell<Vec<u8>>>);

    impl Write for Told {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
