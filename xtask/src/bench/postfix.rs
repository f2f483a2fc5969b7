//! Debian's Postfix, with Dovecot behind it over LMTP and for POP3, as they are shipped but for where they lie and listen.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::guard::Guard;
use super::host::Host;
use super::load::{self, MAILBOXES};
use super::pop3::PASSWORD;
use super::wire::free_port;
use super::{DOMAIN, FAR, usage};
use crate::command;

/// Why they cannot be started here, in a sentence that says what helps.
pub(super) fn missing() -> Option<String> {
    let user = command::output(Command::new("id").arg("-u")).unwrap_or_default();
    why_not(&FILES, user.trim() == "0")
}

fn why_not(files: &[(&str, &str)], root: bool) -> Option<String> {
    let mut packages: Vec<&str> =
        files.iter().filter(|(_, file)| !Path::new(file).exists()).map(|&(package, _)| package).collect();
    packages.dedup();
    if !packages.is_empty() {
        return Some(format!(
            "Postfix with Dovecot is not complete here: as root, `apt-get install --no-install-recommends {}` \
             brings what is missing (a policy-rc.d that exits with 101 keeps its daemons from starting); \
             `--ours-only` does without",
            packages.join(" ")
        ));
    }
    (!root)
        .then(|| "Postfix and Dovecot start as root only: run this as root, or with `--ours-only`".to_owned())
}

pub(super) fn versions() -> Result<String, String> {
    let postfix = command::output(Command::new(POSTCONF).args(["-d", "-h", "mail_version"]))?;
    let dovecot = command::output(Command::new(DOVECOT).arg("--version"))?;
    let dovecot = dovecot.split_whitespace().next().unwrap_or_default();
    Ok(format!("Postfix {}, Dovecot {dovecot}", postfix.trim()))
}

/// Starts both in a folder of their own. Mail for [`FAR`] goes to the port `sink`.
pub(super) fn start(guard: &Guard, sink: u16, trace: bool) -> Result<Host, String> {
    let dir = guard.folder().join("postfix");
    let failed = |error: io::Error| format!("{}: {error}", dir.display());
    fs::create_dir(&dir).map_err(failed)?;
    let (smtp, pop3) = (free_port()?, free_port()?);
    let dovecot_config = write_dovecot(&dir, pop3).map_err(failed)?;
    let postfix_config = write_postfix(&dir, smtp, sink).map_err(failed)?;
    let daemons = postconf(&postfix_config, "daemon_directory")?;
    // Makes the queue's folders; nothing outside them.
    command::run(Command::new(POSTFIX).arg("-c").arg(&postfix_config).arg("check"))?;

    let traces = ["postfix-syncs.log", "dovecot-syncs.log"].map(|name| dir.join(name));
    let program = |path: &Path, log: &Path| if trace { usage::traced(path, log) } else { Command::new(path) };
    let mut command = program(Path::new(DOVECOT), &traces[1]);
    command.arg("-F").arg("-c").arg(&dovecot_config).stdout(Stdio::null());
    let dovecot = guard.spawn("Dovecot", &mut command)?;
    let mut command = program(&Path::new(&daemons).join("master"), &traces[0]);
    command
        .arg("-d")
        .arg("-c")
        .arg(&postfix_config)
        .env("MAIL_CONFIG", &postfix_config)
        .stdout(Stdio::null());
    let master = guard.spawn("Postfix", &mut command)?;

    let traces = if trace { traces.to_vec() } else { Vec::new() };
    let log = dir.join("dovecot.log");
    let mut host = Host { smtp, pop3, servers: vec![master, dovecot], dir, log, traces };
    host.wait_until_ready()?;
    Ok(host)
}

fn write_dovecot(dir: &Path, port: u16) -> io::Result<PathBuf> {
    let users = dir.join("users");
    let mail = dir.join("mail");
    fs::create_dir(&mail)?;
    chown(&mail, Some(MAIL), Some(MAIL))?;
    let lines: String = (0..MAILBOXES)
        .map(|index| {
            let address = load::recipient(index, DOMAIN);
            let home = mail.join(load::mailbox(index));
            // In the clear: to hash passwords is not what is measured here.
            format!("{address}:{{PLAIN}}{PASSWORD}:{MAIL}:{MAIL}::{}\n", home.display())
        })
        .collect();
    fs::write(&users, lines)?;
    let config = dir.join("dovecot.conf");
    fs::write(
        &config,
        format!(
            "protocols = lmtp pop3\n\
             base_dir = {dir}/run\n\
             state_dir = {dir}/state\n\
             log_path = {dir}/dovecot.log\n\
             listen = 127.0.0.1\n\
             ssl = no\n\
             disable_plaintext_auth = no\n\
             first_valid_uid = {MAIL}\n\
             mail_location = maildir:~/Maildir\n\
             passdb {{\n  driver = passwd-file\n  args = {users}\n}}\n\
             userdb {{\n  driver = passwd-file\n  args = {users}\n}}\n\
             service lmtp {{\n  unix_listener lmtp {{\n    mode = 0666\n  }}\n}}\n\
             service pop3-login {{\n  inet_listener pop3 {{\n    port = {port}\n  }}\n  \
             inet_listener pop3s {{\n    port = 0\n  }}\n}}\n",
            dir = dir.display(),
            users = users.display(),
        ),
    )?;
    Ok(config)
}

fn write_postfix(dir: &Path, port: u16, sink: u16) -> io::Result<PathBuf> {
    let config = dir.join("postfix");
    fs::create_dir(&config)?;
    for folder in ["queue", "data"] {
        fs::create_dir(dir.join(folder))?;
        fs::set_permissions(dir.join(folder), fs::Permissions::from_mode(0o755))?;
    }
    let owner = fs::metadata(POSTFIX_DATA)?;
    chown(dir.join("data"), Some(owner.uid()), None)?;
    let mailboxes: String =
        (0..MAILBOXES).map(|index| format!("{} x\n", load::recipient(index, DOMAIN))).collect();
    fs::write(config.join("mailboxes"), mailboxes)?;
    fs::write(config.join("transport"), format!("{FAR} smtp:[127.0.0.1]:{sink}\n"))?;
    // Debian's own settings, then where things lie and go. Durability, processes and rates are as shipped.
    let shipped = fs::read_to_string(MAIN_CF)?;
    fs::write(
        config.join("main.cf"),
        format!(
            "{shipped}\n\
             queue_directory = {dir}/queue\n\
             data_directory = {dir}/data\n\
             myhostname = mail.{DOMAIN}\n\
             mydestination =\n\
             inet_interfaces = 127.0.0.1\n\
             mynetworks = 127.0.0.0/8\n\
             alias_maps =\n\
             virtual_mailbox_domains = {DOMAIN}\n\
             virtual_mailbox_maps = texthash:{config}/mailboxes\n\
             virtual_transport = lmtp:unix:{dir}/run/lmtp\n\
             transport_maps = texthash:{config}/transport\n",
            dir = dir.display(),
            config = config.display(),
        ),
    )?;
    fs::write(config.join("master.cf"), master_cf(&fs::read_to_string(MASTER_CF)?, port))?;
    Ok(config)
}

/// Debian's services, without chroot, with SMTP on a port of ours.
fn master_cf(shipped: &str, port: u16) -> String {
    let mut text = String::new();
    for line in shipped.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_service = fields.len() >= 8 && !line.starts_with(['#', ' ', '\t']);
        if is_service {
            let name =
                if fields[..2] == ["smtp", "inet"] { format!("127.0.0.1:{port}") } else { fields[0].into() };
            let chroot = if fields[4] == "y" { "n" } else { fields[4] };
            let (before, after) = (fields[1..4].join(" "), fields[5..].join(" "));
            text.push_str(&format!("{name} {before} {chroot} {after}\n"));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn postconf(config: &Path, name: &str) -> Result<String, String> {
    let value = command::output(Command::new(POSTCONF).arg("-c").arg(config).args(["-h", name]))?;
    Ok(value.trim().to_owned())
}

const POSTFIX: &str = "/usr/sbin/postfix";
const POSTCONF: &str = "/usr/sbin/postconf";
const DOVECOT: &str = "/usr/sbin/dovecot";
const MAIN_CF: &str = "/usr/share/postfix/main.cf.debian";
const MASTER_CF: &str = "/usr/share/postfix/master.cf.dist";
/// Debian's own, which tells who Postfix is.
const POSTFIX_DATA: &str = "/var/lib/postfix";
const FILES: [(&str, &str); 6] = [
    ("postfix", POSTFIX),
    ("postfix", MAIN_CF),
    ("postfix", MASTER_CF),
    ("dovecot-core", DOVECOT),
    ("dovecot-lmtpd", "/usr/lib/dovecot/lmtp"),
    ("dovecot-pop3d", "/usr/lib/dovecot/pop3"),
];
/// Debian's user and group `mail`.
const MAIL: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_once_with_the_way_out() {
        let here = ("here", "/proc/self/stat");
        let (gone, gone_too) = (("gone", "/proc/self/no-file"), ("gone", "/proc/self/none-either"));
        assert_eq!(why_not(&[here], true), None);
        assert!(why_not(&[here], false).unwrap().contains("as root"));
        let sentence = why_not(&[here, gone, gone_too], true).unwrap();
        assert!(sentence.contains("recommends gone` ") && sentence.contains("--ours-only"), "{sentence}");
    }

    #[test]
    fn services_lose_their_chroot_and_smtp_gets_a_port() {
        let shipped = "# service type private\n\
                       smtp      inet  n       -       y       -       -       smtpd\n\
                       #smtpd     pass  -       -       y       -       -       smtpd\n\
                       local     unix  -       n       n       -       -       local\n\
                       relay     unix  -       -       y       -       -       smtp\n        -o a=b\n";
        let expected = "# service type private\n\
                        127.0.0.1:2525 inet n - n - - smtpd\n\
                        #smtpd     pass  -       -       y       -       -       smtpd\n\
                        local unix - n n - - local\n\
                        relay unix - - n - - smtp\n        -o a=b\n";
        assert_eq!(master_cf(shipped, 2525), expected);
    }
}
