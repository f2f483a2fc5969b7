//! mailhost, as it is shipped, with an account for each mailbox.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::guard::Guard;
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
    let syncs = dir.join("syncs.log");
    let mut command = if trace { usage::traced(&program, &syncs) } else { Command::new(&program) };
    let log = dir.join("mailhost.log");
    let stderr = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    command.args(["serve", "--config"]).arg(&config).stderr(stderr);
    let server = guard.spawn("mailhost", &mut command)?;
    let traces = if trace { vec![syncs] } else { Vec::new() };
    let mut host = Host { smtp, pop3, servers: vec![server], dir, log, traces };
    host.wait_until_ready()?;
    Ok(host)
}

pub(super) fn program(project: &Project) -> PathBuf {
    project.target.join("release/mailhost")
}

/// How many syncs a host that has ended says it has done, from start to end.
pub(super) fn counted(log: &str) -> Option<u64> {
    log.rsplit_once("syncs=")?.1.split_whitespace().next()?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_syncs_is_read_from_the_last_line_that_has_one() {
        let log = "INFO x: logged in login=\"syncs=7\"\nINFO x: stopped cut_off=0 commits=9 syncs=42\n";
        assert_eq!(counted(log), Some(42));
        assert_eq!(counted("INFO x: ready"), None);
    }
}
