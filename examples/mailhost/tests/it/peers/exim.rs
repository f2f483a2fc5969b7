//! Exim, as the next hop of this host and as a host that has mail for it.
//!
//! A machine has one mail transport agent, and Debian's is unpacked beside the build. It insists on a user of its own,
//! which it sees with libnss-wrapper.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::daemon::Daemon;
use super::exchange;
use super::mta::{Kind, Mta, belongs, subfolder, user};
use crate::relay::no_dns;
use crate::support::{Folder, is_installed};

fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    target.join("peers/debian/usr/sbin/exim4")
}

const WRAPPER: &str = "libnss_wrapper.so";

pub(super) fn missing() -> Option<&'static str> {
    if !program().exists() {
        return Some("Exim is not there (cargo xtask test --install-peers)");
    }
    // The loader goes on without what it is asked to load beside, and says so.
    let probe = Command::new("true").env("LD_PRELOAD", WRAPPER).output();
    let wrapped = probe.is_ok_and(|output| output.stderr.is_empty());
    (!wrapped || !is_installed("openssl", "version")).then_some("libnss-wrapper is not installed")
}

pub(super) fn start(folder: &Folder, address: SocketAddr, b_test: SocketAddr) -> Daemon {
    let mail = user("mail");
    let (uid, gid) = mail.expect("Debian's user");
    folder.write("passwd", &format!("root:x:0:0::/:/bin/sh\nDebian-exim:x:{uid}:{gid}::/:/bin/false\n"));
    folder.write("group", &format!("root:x:0:\nDebian-exim:x:{gid}:\n"));
    for name in ["spool", "mail", "log"] {
        subfolder(folder, name, mail);
    }
    belongs(&folder.path("key.pem"), mail);
    // Its processes are not those that may write to our pipes; one with a name, they may.
    let log = folder.path("log/main");
    mkfifoat(CWD, &log, Mode::RUSR | Mode::WUSR).unwrap();
    belongs(&log, mail);
    let log = File::options().read(true).write(true).open(log).unwrap();
    folder.write("exim.conf", &config(folder, address, b_test));
    Daemon::start(exim(folder).args(["-bdf", "-q1h"]), Some(log))
}

pub(super) fn flush(folder: &Folder) -> Command {
    let mut command = exim(folder);
    command.arg("-qff");
    command
}

fn exim(folder: &Folder) -> Command {
    let mut command = Command::new(program());
    command.env("LD_PRELOAD", WRAPPER).arg("-C").arg(folder.path("exim.conf"));
    command.env("NSS_WRAPPER_PASSWD", folder.path("passwd"));
    command.env("NSS_WRAPPER_GROUP", folder.path("group"));
    command
}

fn config(folder: &Folder, address: SocketAddr, b_test: SocketAddr) -> String {
    let here = folder.path("");
    let here = here.to_str().expect("a path in letters").trim_end_matches('/');
    format!(
        "\
exim_path = {program}
primary_hostname = mail.far.test
spool_directory = {here}/spool
log_file_path = {here}/log/%s
log_selector = +smtp_connection
pid_file_path = {here}/spool/pid
local_interfaces = {ip}
daemon_smtp_ports = {port}
deliver_drop_privilege = true
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_queue_per_connection = 0
tls_advertise_hosts = *
tls_certificate = {here}/cert.pem
tls_privatekey = {here}/key.pem
acl_smtp_rcpt = rcpt

begin acl
rcpt:
  defer local_parts = ${{readfile{{{here}/grey}}{{}}}}
        message = 450 4.2.0 come back later
  accept verify = recipient
  deny message = 550 5.1.1 nobody of that name

begin routers
out:
  driver = manualroute
  domains = b.test
  route_list = * {b_ip} byname
  # An address of this machine, and not itself.
  self = send
  transport = smtp
here:
  driver = accept
  domains = far.test
  local_parts = ben : later
  address_data = ben
  transport = maildir
all:
  driver = accept
  domains = far.test
  local_parts = \\N^u[0-9]+$\\N
  address_data = all
  transport = maildir

begin transports
smtp:
  driver = smtp
  port = {b_port}
maildir:
  driver = appendfile
  directory = {here}/mail/$address_data
  maildir_format
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add
  user = {uid}
  group = {gid}

begin retry
* * F,1h,1m
",
        program = program().display(),
        ip = address.ip(),
        port = address.port(),
        b_ip = b_test.ip(),
        b_port = b_test.port(),
        uid = user("mail").expect("Debian's user").0,
        gid = user("mail").expect("Debian's user").1,
    )
}

#[test]
fn exim_stores_what_we_relay_octet_for_octet() {
    exchange::stores_octet_for_octet(Kind::Exim, "exim_stores_what_we_relay_octet_for_octet");
}

#[test]
fn exim_takes_two_hundred_recipients_over_one_connection() {
    exchange::takes_two_hundred(Kind::Exim, "exim_takes_two_hundred_recipients_over_one_connection");
}

#[test]
fn what_exim_refuses_is_reported_and_what_it_defers_arrives_later() {
    let name = "what_exim_refuses_is_reported_and_what_it_defers_arrives_later";
    exchange::refuses_and_defers(Kind::Exim, name, "550 5.1.1 nobody of that name");
}

#[test]
fn exim_relays_to_us_and_bounces_what_we_refuse() {
    let name = "exim_relays_to_us_and_bounces_what_we_refuse";
    exchange::relays_to_us(Kind::Exim, name, "552 5.3.4 message too big");
}

#[test]
fn exim_keeps_our_mail_while_we_are_away() {
    exchange::waits_for_us(Kind::Exim, "exim_keeps_our_mail_while_we_are_away");
}

#[test]
fn nothing_of_exim_outlives_its_test() {
    let name = "nothing_of_exim_outlives_its_test";
    let Some(mta) = Mta::start(Kind::Exim, name, no_dns()) else { return };
    exchange::leaves_nothing(mta);
}
