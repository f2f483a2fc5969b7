//! Knot DNS as the DNS server of a test, authoritative for test.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::loopback;
use crate::support::{Folder, Lines, is_installed, skip};

/// A server that is killed when this is dropped.
pub(crate) struct Knot {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Knot {
    /// Serves these records of the zone test; says that the test is skipped if there is no Knot.
    pub(crate) fn start(test: &str, records: &str) -> Option<Self> {
        if !is_installed("knotd", "--version") {
            skip(test, "knotd is not installed");
            return None;
        }
        let folder = Folder::new();
        let address = SocketAddr::new(loopback(), 5353);
        let zone = format!(
            "$ORIGIN test.\n$TTL 60\n@ SOA ns.test. root.test. 1 60 60 60 5\n@ NS ns.test.\nns A {}\n{records}",
            address.ip()
        );
        folder.write("test.zone", &zone);
        let here = folder.path("");
        let text = format!(
            "server:\n  rundir: {here:?}\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\ndatabase:\n  storage: {here:?}\nlog:\n  - target: stderr\n    any: info\n\
             zone:\n  - domain: test.\n    storage: {here:?}\n    file: test.zone\n    zonefile-sync: -1\n    \
             journal-content: none\n",
            address.ip(),
            address.port(),
        );
        let config = folder.write("knot.conf", &text);
        let mut child = Command::new("knotd")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("knotd starts");
        let said = Lines::of(child.stderr.take().expect("a pipe"));
        let knot = Self { child, address, _folder: folder };
        if let Err(error) = said.wait_until(|line| line.contains("server started")) {
            panic!("{error} while knotd starts: {:#?}", said.so_far());
        }
        Some(knot)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
