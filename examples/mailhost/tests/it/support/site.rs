//! A host of one's own: a folder with a configuration and accounts, and the process that serves them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::{fs, thread};

use mailhost::client::Server;
use mailhost::listener::Service;
use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{Folder, Lines, Run, executed, program, run};

/// What a host consists of while it does not run.
pub(crate) struct Site {
    folder: Folder,
    config: PathBuf,
}

/// A host that runs, and is killed when this is dropped.
pub(crate) struct Host {
    child: Child,
    /// The host itself, which is not `child` if that watches it.
    process: Pid,
    addresses: BTreeMap<String, SocketAddr>,
    log: Lines,
    ended: Option<ExitStatus>,
    /// Where it is written down which programs it has started.
    executed: Option<PathBuf>,
}

impl Site {
    /// All services on ports that the system chooses, then these sections, and no account yet.
    pub(crate) fn new(sections: &str) -> Self {
        let folder = Folder::new();
        let listen: String =
            Service::ALL.iter().map(|service| format!("{service} = [\"127.0.0.1:0\"]\n")).collect();
        let text = format!(
            "hostname = \"mail.example.test\"\ndata_dir = \"data\"\ndomains = [\"example.test\"]\n[listen]\n\
             {listen}{sections}"
        );
        let config = folder.write("mail.toml", &text);
        Self { folder, config }
    }

    /// What `mailhost quickstart` has made in this folder.
    pub(crate) fn made(folder: Folder) -> Self {
        let config = folder.path("mailhost.toml");
        Self { folder, config }
    }

    /// The same with accounts in example.test, all with [`PASSWORD`].
    pub(crate) fn with_accounts(sections: &str, names: &[&str]) -> Self {
        let site = Self::new(sections);
        for name in names {
            site.does(&format!("account add {name}@example.test --password-stdin"));
        }
        site
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn command(&self, line: &str) -> Run {
        let mut command = program();
        command.args(line.split(' ')).arg("--config").arg(&self.config);
        run(&mut command, &format!("{PASSWORD}\n"))
    }

    /// Runs a command that has to succeed; gives what it prints.
    #[track_caller]
    pub(crate) fn does(&self, line: &str) -> String {
        let result = self.command(line);
        assert_eq!((result.status, &*result.stderr), (Some(0), ""), "{line}: {}", result.stdout);
        result.stdout
    }

    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A path in the data directory.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.folder.path("data").join(name)
    }

    /// Bodies that lie in files of their own.
    pub(crate) fn bodies(&self) -> usize {
        fs::read_dir(self.data("mail/bodies")).map_or(0, Iterator::count)
    }

    /// Trusts the host's own certificate, which its first start has made.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        let certificate = CertificateDer::from_pem_file(self.data("self-signed.pem")).unwrap();
        Server::trusting(&certificate).unwrap()
    }

    /// Starts the host and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(&self) -> Host {
        match executed::tracer() {
            Some((tracer, file)) => self.start_as(tracer, false, Some(file)),
            None => self.start_untraced(),
        }
    }

    /// The same with nobody watching it, so that somebody else can trace it.
    #[track_caller]
    pub(crate) fn start_untraced(&self) -> Host {
        self.start_under(program())
    }

    /// The same with another program in front, which runs the host as its child.
    #[track_caller]
    pub(crate) fn start_under(&self, command: Command) -> Host {
        let watched = command.get_program() != program().get_program();
        self.start_as(command, watched, None)
    }

    #[track_caller]
    fn start_as(&self, mut command: Command, watched: bool, executed: Option<PathBuf>) -> Host {
        let mut child = command
            .args(["serve", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Lines::of(child.stderr.take().expect("a pipe"));
        let process = Pid::from_child(&child);
        let mut host = Host { child, process, addresses: BTreeMap::new(), log, ended: None, executed };
        let is_ready = |line: &str| line.ends_with(" ready") || line.contains("\"event\":\"ready\"");
        host.log
            .wait_until(is_ready)
            .unwrap_or_else(|error| panic!("{error} while waiting for the host to be ready"));
        if watched {
            let number: i32 = fs::read_to_string(self.data("lock")).unwrap().trim().parse().unwrap();
            host.process = Pid::from_raw(number).expect("a process");
        }
        for line in host.log() {
            if let (Some(service), Some(address)) = (field(&line, "service"), field(&line, "address")) {
                host.addresses.insert(service.to_owned(), address.parse().unwrap());
            }
        }
        assert!(!host.addresses.is_empty());
        host
    }
}

impl Host {
    pub(crate) fn address(&self, service: Service) -> SocketAddr {
        self.addresses[service.key()]
    }

    pub(crate) fn process(&self) -> Pid {
        self.process
    }

    /// Waits for a line of its log that contains this.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str) -> String {
        self.log
            .wait_until(|line| line.contains(what))
            .unwrap_or_else(|error| panic!("{error} while waiting for {what:?}"))
    }

    /// All that it has logged so far: what it logged before an answer is there once the answer is.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.so_far()
    }

    /// SIGKILL: it gets no chance to do anything any more.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        kill_process(self.process, Signal::KILL).unwrap();
        self.wait();
    }

    /// SIGTERM, and no waiting.
    #[track_caller]
    pub(crate) fn ask_to_stop(&self) {
        kill_process(self.process, Signal::TERM).unwrap();
    }

    /// SIGTERM, and waits for a good end. Gives the line that it logs last.
    #[track_caller]
    pub(crate) fn stop(self) -> String {
        self.ask_to_stop();
        self.stopped()
    }

    /// Waits for a good end that was asked for.
    #[track_caller]
    pub(crate) fn stopped(mut self) -> String {
        let line = self.wait_for(" stopped ");
        assert!(self.wait().success());
        line
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        // Standard error closes with the process, and no earlier.
        self.log.wait_for_the_end();
        let status = self.child.wait().unwrap();
        self.ended = Some(status);
        self.has_started_nothing();
        status
    }

    /// The host has ended, and who watches it has seen it.
    fn has_started_nothing(&mut self) {
        if let Some(file) = self.executed.take() {
            executed::check(&file);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = kill_process(self.process, Signal::KILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
            // Whoever watches the host holds its standard error as well.
            let _ = self.log.wait_until(|_| false);
            if !thread::panicking() {
                self.has_started_nothing();
            }
        }
        if thread::panicking() {
            println!("the log of the host:");
            for line in self.log() {
                println!("  {line}");
            }
        }
    }
}

/// The value of a field in a line of the log, if it is one word.
pub(crate) fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    if line.starts_with('{') {
        let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
        return rest.split('"').next();
    }
    line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// Of all accounts.
pub(crate) const PASSWORD: &str = "correct horse";
