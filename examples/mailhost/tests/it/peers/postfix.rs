//! Postfix, as the next hop of this host and as a host that has mail for it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

use super::daemon::Daemon;
use super::exchange;
use super::mta::{Kind, Mta, subfolder, user};
use crate::relay::no_dns;
use crate::support::{Folder, is_installed};

const MASTER: &str = "/usr/lib/postfix/sbin/master";

/// What `later` is told while it greylists.
pub(super) const GREY: &str = "later@far.test 450 4.2.0 come back later\n";

pub(super) fn missing() -> Option<&'static str> {
    let there = is_installed("postconf", "-d") && fs::exists(MASTER).unwrap_or(false);
    (!there).then_some("postfix is not installed")
}

/// What it is made of; all of it goes when `master` ends.
const SERVICES: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
proxymap unix - - n - - proxymap
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
";

pub(super) fn start(folder: &Folder, address: SocketAddr, b_test: SocketAddr) -> Daemon {
    let postfix = user("postfix");
    // What `postfix check` would make.
    let queue = subfolder(folder, "queue", None);
    let private = ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"];
    for name in private.iter().chain(&["private", "saved", "trace"]) {
        let path = subfolder(folder, &format!("queue/{name}"), postfix);
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    subfolder(folder, "queue/pid", None);
    for (name, mode) in [("maildrop", 0o730), ("public", 0o710)] {
        let path = subfolder(folder, &format!("queue/{name}"), postfix);
        chown(&path, None, group("postdrop")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mail = subfolder(folder, "mail", user("mail"));
    let data = subfolder(folder, "data", postfix);
    let config = subfolder(folder, "config", None);
    let here = folder.path("");
    let (mail_uid, mail_gid) = user("mail").expect("Debian's user");
    let main = format!(
        "compatibility_level = 3.6
myhostname = mail.far.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
queue_directory = {queue}
data_directory = {data}
maillog_file = /dev/stdout
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtp_host_lookup = native
disable_dns_lookups = yes
local_header_rewrite_clients =
virtual_mailbox_domains = far.test
virtual_mailbox_base = {mail}
virtual_mailbox_maps = regexp:{{{{/^(ben|later)@/ ben/}}, {{/^u[0-9]+@/ all/}}}}
virtual_minimum_uid = 1
virtual_uid_maps = static:{mail_uid}
virtual_gid_maps = static:{mail_gid}
transport_maps = inline:{{b.test=smtp:[{}]:{}}}
smtpd_tls_security_level = may
smtpd_tls_cert_file = {here}cert.pem
smtpd_tls_key_file = {here}key.pem
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtpd_recipient_restrictions = check_recipient_access texthash:{here}access, permit_mynetworks, reject
",
        b_test.ip(),
        b_test.port(),
        queue = queue.display(),
        data = data.display(),
        mail = mail.display(),
        here = here.display(),
    );
    fs::write(config.join("main.cf"), main).unwrap();
    // A process for each connection, so that each reads the map of who is to come back later.
    let smtpd = format!("{address} inet n - n - - smtpd\n  -o max_use=1\n");
    fs::write(config.join("master.cf"), format!("{smtpd}{SERVICES}")).unwrap();
    // -d: it stays in the process group that the test has made for it.
    Daemon::start(Command::new(MASTER).args(["-d", "-s", "-c"]).arg(config), None)
}

pub(super) fn flush(folder: &Folder) -> Command {
    let mut command = Command::new("postqueue");
    command.arg("-c").arg(folder.path("config")).arg("-f");
    command
}

fn group(name: &str) -> Option<u32> {
    let text = fs::read_to_string("/etc/group").ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

#[test]
fn postfix_stores_what_we_relay_octet_for_octet() {
    exchange::stores_octet_for_octet(Kind::Postfix, "postfix_stores_what_we_relay_octet_for_octet");
}

#[test]
fn postfix_takes_two_hundred_recipients_over_one_connection() {
    exchange::takes_two_hundred(Kind::Postfix, "postfix_takes_two_hundred_recipients_over_one_connection");
}

#[test]
fn what_postfix_refuses_is_reported_and_what_it_defers_arrives_later() {
    let name = "what_postfix_refuses_is_reported_and_what_it_defers_arrives_later";
    exchange::refuses_and_defers(Kind::Postfix, name, "550 5.1.1 ");
}

#[test]
fn postfix_relays_to_us_and_bounces_what_we_refuse() {
    let name = "postfix_relays_to_us_and_bounces_what_we_refuse";
    exchange::relays_to_us(Kind::Postfix, name, "exceeds size limit 2097152 of server");
}

#[test]
fn postfix_keeps_our_mail_while_we_are_away() {
    exchange::waits_for_us(Kind::Postfix, "postfix_keeps_our_mail_while_we_are_away");
}

#[test]
fn nothing_of_postfix_outlives_its_test() {
    let name = "nothing_of_postfix_outlives_its_test";
    let Some(mta) = Mta::start(Kind::Postfix, name, no_dns()) else { return };
    exchange::leaves_nothing(mta);
}
