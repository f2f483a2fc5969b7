//! `cargo xtask bench accept`: how many messages a second mailhost accepts durably.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::{self, cargo};
use crate::project::Project;

/// Sends messages of 1 KiB over 1, 10 and 50 connections, and prints rates and syncs per message.
pub(crate) fn accept(project: &Project) -> Result<bool, String> {
    command::run(cargo(project).args(["build", "--release", "--package", "mailhost"]))?;
    println!(
        "messages of 1 KiB, each accepted when it is on stable storage; syncs of all kinds, a fresh host each"
    );
    println!(
        "{:>12} {:>10} {:>12} {:>10} {:>18}",
        "connections", "messages", "seconds", "per second", "syncs per message"
    );
    for (connections, messages) in [(1, 1_000), (10, 5_000), (50, 20_000)] {
        let host = Host::start(project)?;
        let start = Instant::now();
        load(host.port, connections, messages)?;
        let seconds = start.elapsed().as_secs_f64();
        let syncs = host.stop()?;
        println!(
            "{connections:>12} {messages:>10} {seconds:>12.2} {:>10.0} {:>18.3}",
            messages as f64 / seconds,
            syncs as f64 / messages as f64
        );
    }
    Ok(true)
}

/// A release build of mailhost with one account, in a folder of its own.
struct Host {
    dir: PathBuf,
    child: Child,
    /// Lines that somebody may wait for; the others are read and dropped, or a full pipe would stop the host.
    log: Receiver<String>,
    port: u16,
}

impl Host {
    fn start(project: &Project) -> Result<Self, String> {
        // Below the target folder: the temporary one may lie in memory, where a sync costs nothing.
        let dir = project.target.join("bench-accept");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let port = free_port().map_err(|error| error.to_string())?;
        let config = dir.join("mailhost.toml");
        let text = format!(
            "hostname = \"mail.example.test\"\ndata_dir = \"data\"\ndomains = [\"example.test\"]\n\
             [listen]\nsmtp = [\"127.0.0.1:{port}\"]\n\
             [limits]\nconnections_per_address = 100\n"
        );
        fs::write(&config, text).map_err(|error| error.to_string())?;
        let program = project.target.join("release/mailhost");
        add_account(&program, &config)?;
        let mut child = Command::new(&program)
            .args(["serve", "--config"])
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let log = child.stderr.take().ok_or("the host has no standard error")?;
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if line.contains(READY) || line.contains(SYNCS) {
                    let _ = tell.send(line);
                }
            }
        });
        let host = Self { dir, child, log: told, port };
        host.wait_for(READY)?;
        Ok(host)
    }

    /// Ends it in order; how many syncs it says that it has done.
    fn stop(mut self) -> Result<u64, String> {
        command::run(Command::new("kill").arg(self.child.id().to_string()))?;
        let line = self.wait_for(SYNCS)?;
        self.child.wait().map_err(|error| error.to_string())?;
        let _ = fs::remove_dir_all(&self.dir);
        let syncs = line.split(SYNCS).nth(1).and_then(|rest| rest.split_whitespace().next());
        syncs.and_then(|number| number.parse().ok()).ok_or_else(|| format!("no count of syncs in: {line}"))
    }

    fn wait_for(&self, words: &str) -> Result<String, String> {
        let line = self.log.recv_timeout(DEADLINE);
        line.ok().filter(|line| line.contains(words)).ok_or_else(|| format!("the host did not say `{words}`"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn add_account(program: &Path, config: &Path) -> Result<(), String> {
    let mut add = Command::new(program)
        .args(["account", "add", "anna@example.test", "--password-stdin", "--config"])
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut input) = add.stdin.take() {
        input.write_all(b"a password of the bench\n").map_err(|error| error.to_string())?;
    }
    let status = add.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("account add: {status}")) }
}

fn load(port: u16, connections: usize, messages: usize) -> Result<(), String> {
    let left = Arc::new(AtomicUsize::new(messages));
    let senders: Vec<_> = (0..connections)
        .map(|_| {
            let left = Arc::clone(&left);
            thread::spawn(move || send(port, &left).map_err(|error| error.to_string()))
        })
        .collect();
    senders
        .into_iter()
        .try_for_each(|sender| sender.join().map_err(|_| "a sender has panicked".to_owned())?)
}

/// Sends until none is left: the envelope in one group, then the message, then the next.
fn send(port: u16, left: &AtomicUsize) -> std::io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut body = b"From: bench@far.test\r\nSubject: a message of 1 KiB\r\n\r\n".to_vec();
    while body.len() < 1_022 {
        body.push(if body.len().is_multiple_of(70) { b'-' } else { b'x' });
    }
    body.extend_from_slice(b"\r\n.\r\n");
    expect(&mut reader, 220)?;
    writer.write_all(b"EHLO far.test\r\n")?;
    expect(&mut reader, 250)?;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok() {
        writer.write_all(b"MAIL FROM:<bench@far.test>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\n")?;
        expect(&mut reader, 250)?;
        expect(&mut reader, 250)?;
        expect(&mut reader, 354)?;
        writer.write_all(&body)?;
        expect(&mut reader, 250)?;
    }
    writer.write_all(b"QUIT\r\n")?;
    expect(&mut reader, 221)
}

fn expect(reader: &mut impl BufRead, code: u16) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        reader.take(2_048).read_line(&mut line)?;
        if !line.starts_with(&code.to_string()) {
            return Err(std::io::Error::other(format!("expected {code}, got {line:?}")));
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

const READY: &str = " ready";
const SYNCS: &str = "syncs=";
const DEADLINE: Duration = Duration::from_secs(60);
