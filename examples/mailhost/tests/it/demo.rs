//! The guided tour does what it says.

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};

use mailhost::client::Server;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::support::{Folder, Lines, Wire, executed, program, run};

/// The tour takes the ports that people expect, if they are free: not two tours at the same moment.
static PORTS: Mutex<()> = Mutex::new(());

/// Ends with the test, however that ends.
struct Tour(Child);

impl Drop for Tour {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // Behind the tour, it takes its hosts along.
            let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
            let _ = self.0.wait();
        }
    }
}

/// Each step has something to show for itself, and all of it is good.
#[track_caller]
fn all_steps_are_ok(lines: &[String]) {
    let body: Vec<&String> =
        lines.iter().filter(|line| line.starts_with("* ") || line.starts_with("    ")).collect();
    let steps = body.iter().filter(|line| line.starts_with("* ")).count();
    assert!(steps >= 10, "{lines:#?}");
    for pair in body.windows(2) {
        assert!(pair[1].starts_with("    ok   ") || !pair[0].starts_with("* "), "{pair:?}");
    }
    for line in body.iter().filter(|line| line.starts_with("    ")) {
        assert!(line.starts_with("    ok   "), "{line}");
    }
    assert!(body.last().is_some_and(|line| line.starts_with("    ok   ")));
    assert!(lines.contains(&"Every step did what it should.".to_owned()), "{lines:#?}");
}

#[test]
fn the_tour_ends_well_and_leaves_nothing_behind() {
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let (mut tour, executed) = match executed::tracer() {
        Some((tour, executed)) => (tour, Some(executed)),
        None => (program(), None),
    };
    let result = run(tour.args(["demo", "--once"]).env("TMPDIR", folder.path(".")), "");
    assert_eq!((result.status, &*result.stderr), (Some(0), ""), "{}", result.stdout);
    all_steps_are_ok(&result.stdout.lines().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(folder.len(), 0, "its folder is gone");
    if let Some(executed) = executed {
        // The tour, and its two hosts twice.
        assert_eq!(executed::itself(&executed), 5);
    }
}

#[test]
fn the_tour_stays_up_for_mail_programs_until_it_is_interrupted() {
    let ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let mut child = program()
        .args(["demo", "--dir"])
        .arg(folder.path("tour"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let said = Lines::of(child.stdout.take().expect("a pipe"));
    let mut tour = Tour(child);
    if let Err(error) = said.wait_until(|line| line == "Ctrl-C ends it.") {
        panic!("{error}: {:#?}", said.so_far());
    }
    let lines = said.so_far();
    drop(ports);
    all_steps_are_ok(&lines);

    // The first table is enough to collect Anna's mail with.
    let tables = lines.iter().position(|line| line.starts_with("The hosts stay up. ")).unwrap();
    let row = |start: &str| -> Vec<&str> {
        let mut rows = lines[tables..].iter().filter_map(|line| line.strip_prefix("  ")?.strip_prefix(start));
        rows.next().unwrap_or_else(|| panic!("no {start}: {lines:#?}")).split_whitespace().collect()
    };
    for (service, security) in [
        ("smtp ", "STARTTLS"),
        ("submission ", "STARTTLS"),
        ("submissions ", "TLS"),
        ("pop3 ", "STLS"),
        ("pop3s ", "TLS"),
        ("imap ", "STARTTLS"),
        ("imaps ", "TLS"),
    ] {
        assert_eq!(row(service)[1], security);
    }
    let address: SocketAddr = row("pop3s ")[0].parse().unwrap();
    let login = row("login and address ");
    let [login, "password", password] = login[..] else { panic!("{login:?}") };
    let certificate = CertificateDer::from_pem_file(row("certificate ")[0]).unwrap();
    let mut pop3 = Wire::connect(address).start_tls(&Server::trusting(&certificate).unwrap());
    pop3.expect("+OK");
    pop3.say(&format!("USER {}", login.trim_end_matches(',')), "+OK");
    pop3.say(&format!("PASS {password}"), "+OK");
    assert_eq!(pop3.unique_ids().len(), 2);
    pop3.say("QUIT", "+OK");

    let hosts = ["example.test", "far.test"].map(|domain| {
        let lock = fs::read_to_string(folder.path("tour").join(domain).join("lock")).unwrap();
        Pid::from_raw(lock.trim().parse().unwrap()).unwrap()
    });
    assert!(hosts.iter().all(|host| test_kill_process(*host).is_ok()));
    kill_process(Pid::from_child(&tour.0), Signal::INT).unwrap();
    // Its output closes when it has ended.
    said.wait_for_the_end();
    assert!(tour.0.wait().unwrap().success());
    assert!(hosts.iter().all(|host| test_kill_process(*host).is_err()), "its hosts still run");
    let mut stderr = String::new();
    tour.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
    assert!(folder.path("tour").join("example.test").exists(), "a folder that was named is kept");
}
