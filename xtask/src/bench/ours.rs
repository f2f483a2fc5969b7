//! mailhost, as it is shipped, with an account for each mailbox.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::guard::{Guard, Server};
use super::host::Host;
use super::load::{self, MAILBOXES};
use super::pop3::PASSWORD;
use super::wire::free_port;
use super::{DOMAIN, FAR, usage};
use crate::project::Project;

/// Starts it in a folder of its own. Mail for [`FAR`] goes to the port `sink`.
pub(super) fn start(project: &Project, guard: &Guard, sink: u16, trace: bool) -> Result<Host, String> {
    let dir = guard.folder().join("mailhost");
    fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let (smtp, pop3) = (free_port()?, free_port()?);
    let config = dir.join("mailhost.toml");
    // What is not said is as shipped; 50 connections from one address are more than that lets in.
    let text = format!(
        "hostname = \"mail.{DOMAIN}\"\ndata_dir = \"data\"\ndomains = [\"{DOMAIN}\"]\n\
         [listen]\nsmtp = [\"127.0.0.1:{smtp}\"]\npop3 = [\"127.0.0.1:{pop3}\"]\n\
         [auth]\nallow_plaintext = true\n\
         [relay]\nnetworks = [\"127.0.0.0/8\"]\nallow_private_addresses = true\n\
         [relay.routes]\n\"{FAR}\" = \"127.0.0.1:{sink}\"\n\
         [limits]\nconnections_per_address = 100\n"
    );
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let program = program(project);
    for index in 0..MAILBOXES {
        add_account(&program, &config, &load::recipient(index, DOMAIN))?;
    }
    let log = dir.join("syncs.log");
    let mut command = if trace { usage::traced(&program, &log) } else { Command::new(&program) };
    command.args(["serve", "--config"]).arg(&config).stderr(Stdio::piped());
    let mut server = guard.spawn("mailhost", &mut command)?;
    let lines = read_log(&mut server)?;
    wait_for(&lines, READY)?;
    let traces = if trace { vec![log] } else { Vec::new() };
    Ok(Host { smtp, pop3, servers: vec![server], dir, traces, lines: Some(lines) })
}

pub(super) fn program(project: &Project) -> PathBuf {
    project.target.join("release/mailhost")
}

/// How many syncs a host that is ending says it has done.
pub(super) fn counter(lines: &Receiver<String>) -> Result<u64, String> {
    let line = wait_for(lines, SYNCS)?;
    let count = line.split(SYNCS).nth(1).and_then(|rest| rest.split_whitespace().next());
    count.and_then(|count| count.parse().ok()).ok_or_else(|| format!("no count of syncs in: {line}"))
}

/// All lines are read, or a full pipe would stop the host; only what somebody waits for is kept.
fn read_log(server: &mut Server) -> Result<Receiver<String>, String> {
    let log = server.child().stderr.take().ok_or("mailhost has no standard error")?;
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if line.contains(READY) || line.contains(SYNCS) || line.starts_with("mailhost:") {
                let _ = tell.send(line);
            }
        }
    });
    Ok(told)
}

fn wait_for(lines: &Receiver<String>, words: &str) -> Result<String, String> {
    match lines.recv_timeout(DEADLINE) {
        Ok(line) if line.contains(words) => Ok(line),
        Ok(line) => Err(line),
        Err(_) => Err(format!("mailhost did not say `{words}`")),
    }
}

fn add_account(program: &Path, config: &Path, address: &str) -> Result<(), String> {
    let mut add = Command::new(program)
        .args(["account", "add", address, "--password-stdin", "--config"])
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if let Some(mut input) = add.stdin.take() {
        writeln!(input, "{PASSWORD}").map_err(|error| error.to_string())?;
    }
    let status = add.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("mailhost account add: {status}")) }
}

const READY: &str = " ready";
const SYNCS: &str = "syncs=";
const DEADLINE: Duration = Duration::from_secs(60);
