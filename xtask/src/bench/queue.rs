//! `cargo xtask bench queue`: how soon a host greets whose queue is large, and in how much memory it does.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::guard::{Guard, Server};
use super::ours::program;
use super::wire::{Wire, free_port};
use super::{DOMAIN, Large, machine_of};
use crate::command::{self, cargo};
use crate::project::Project;

/// Fills a queue, and starts the real host on it, with its files in the page cache and without.
pub(crate) fn queue(project: &Project, options: Large) -> Result<bool, String> {
    command::run(cargo(project).args(["build", "--release", "--package", "mailhost", "--bins"]))?;
    command::run(cargo(project).args([
        "build",
        "--release",
        "--package",
        "mailhost",
        "--example",
        "fill_queue",
    ]))?;
    let guard = Guard::start(project.target.join("bench-queue"))?;
    println!("{}", machine_of(project, "")?);
    let dir = guard.folder().to_owned();
    let (config, port, dead) = (dir.join("mailhost.toml"), free_port()?, free_port()?);
    // What is not said is as shipped. Nobody answers questions of DNS: all of it is due, and all of it stays.
    let text = format!(
        "hostname = \"mail.{DOMAIN}\"\ndata_dir = \"data\"\ndomains = [\"{DOMAIN}\"]\n\
         [listen]\nsmtp = [\"127.0.0.1:{port}\"]\n[dns]\nservers = [\"127.0.0.1:{dead}\"]\n"
    );
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let start = Instant::now();
    let fill = project.target.join("release/examples/fill_queue");
    command::run(Command::new(fill).arg(&config).arg(options.messages.to_string()))?;
    println!("{} messages of 1 KiB in {:.0} s", options.messages, start.elapsed().as_secs_f64());
    println!(
        "{:>6} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "cache", "220 s", "220 MiB", "read s", "read MiB", "messages"
    );
    for run in 0..2 * options.runs {
        let warm = run % 2 == 1;
        if !warm {
            forget(&dir.join("data"))?;
        }
        let row = measure(project, &guard, &config, port)?;
        let Row { greeted, greeted_memory, read, read_memory, messages } = row;
        println!(
            "{:>6} {greeted:>12.2} {greeted_memory:>12} {read:>12.2} {read_memory:>12} {messages:>12}",
            if warm { "warm" } else { "cold" },
        );
        if messages != options.messages {
            return Err(format!("{messages} of {} messages are in the queue", options.messages));
        }
    }
    Ok(true)
}

/// Times since the program was started, and the most memory that it has had by then, in MiB.
struct Row {
    greeted: f64,
    greeted_memory: u64,
    read: f64,
    read_memory: u64,
    messages: u64,
}

fn measure(project: &Project, guard: &Guard, config: &Path, port: u16) -> Result<Row, String> {
    let log = guard.folder().join("mailhost.log");
    let stderr = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let start = Instant::now();
    let mut host = guard.spawn(
        "mailhost",
        Command::new(program(project)).args(["serve", "--config"]).arg(config).stderr(stderr),
    )?;
    let greeting = until(&mut host, &log, || {
        let mut wire = Wire::connect(port).ok()?;
        let line = wire.line().ok()?.to_vec();
        let _ = wire.send("QUIT\r\n");
        Some(line)
    })?;
    let greeted = start.elapsed().as_secs_f64();
    if !greeting.starts_with(b"220 ") {
        return Err(format!("a greeting is expected, not {:?}", String::from_utf8_lossy(&greeting)));
    }
    let greeted_memory = memory(&host)?;
    let mut said = BufReader::new(File::open(&log).map_err(|error| format!("{}: {error}", log.display()))?);
    let mut line = String::new();
    let messages = until(&mut host, &log, || {
        // A host with so much to do says much; each line is looked at once.
        while said.read_line(&mut line).ok()? > 0 {
            if !line.ends_with('\n') {
                return None;
            }
            let found = waiting(&line);
            line.clear();
            if found.is_some() {
                return found;
            }
        }
        None
    })?;
    let read = start.elapsed().as_secs_f64();
    // What was read comes to rest: the first look-ups fail.
    thread::sleep(SETTLE);
    let read_memory = memory(&host)?;
    host.stop()?;
    Ok(Row { greeted, greeted_memory, read, read_memory, messages })
}

pub(super) fn until<T>(
    host: &mut Server,
    log: &Path,
    mut done: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = done() {
            return Ok(found);
        }
        let late = Instant::now() > deadline;
        if let Err(error) =
            host.check().and_then(|()| if late { Err("it takes too long".to_owned()) } else { Ok(()) })
        {
            return Err(format!("{error}\n{}", fs::read_to_string(log).unwrap_or_default()));
        }
        thread::sleep(STEP);
    }
}

/// How many messages the host has found in its queue, once it has read all of it.
fn waiting(log: &str) -> Option<u64> {
    log.split_once("mail for others waits messages=")?.1.split_whitespace().next()?.parse().ok()
}

/// The most memory that it has had, in MiB.
fn memory(host: &Server) -> Result<u64, String> {
    let path = format!("/proc/{}/status", host.id());
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    peak(&status).ok_or_else(|| format!("{path} has no VmHWM"))
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()?.div_ceil(1_024))
}

/// Asks the system to forget the files of a folder: their pages are clean, for the store has synced them.
pub(super) fn forget(folder: &Path) -> Result<(), String> {
    command::run(&mut Command::new("sync"))?;
    for file in files(folder)? {
        let mut dd = Command::new("dd");
        dd.arg(format!("if={}", file.display())).args(["iflag=nocache", "count=0", "status=none"]);
        command::run(&mut dd)?;
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error| format!("{}: {error}", folder.display());
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            all.extend(files(&entry.path())?);
        } else {
            all.push(entry.path());
        }
    }
    Ok(all)
}

const PATIENCE: Duration = Duration::from_secs(300);
const STEP: Duration = Duration::from_millis(5);
const SETTLE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_says_is_read() {
        let log = "INFO ready\nINFO x: mail for others waits messages=1000000\nINFO y\n";
        assert_eq!(waiting(log), Some(1_000_000));
        assert_eq!(waiting("INFO ready\n"), None);
        assert_eq!(peak("VmPeak:\t 99 kB\nVmHWM:\t  2049 kB\nVmRSS:\t 1 kB\n"), Some(3));
    }
}
