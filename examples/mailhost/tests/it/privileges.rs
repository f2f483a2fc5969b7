//! A host that is started as root, and is not root for long.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use mailhost::listener::Service;
use rustix::process::{Signal, kill_process};

use crate::support::{Folder, Host, Site, Wire, program, run, skip};

const NOBODY: u32 = 65_534;

fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(test, "it takes root");
    }
    root
}

/// A line of the status of each thread.
fn of_all_threads(host: &Host, line: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", host.process().as_raw_nonzero())).unwrap();
    let statuses = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let found = statuses.map(|status| {
        let found = status.lines().find_map(|text| text.strip_prefix(line)).expect("a status has this line");
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    found.collect()
}

fn only_for_root(site: &Site, name: &str) {
    fs::set_permissions(site.folder().path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn root_is_given_up_for_good_once_ports_and_key_are_there() {
    let name = "root_is_given_up_for_good_once_ports_and_key_are_there";
    if !is_root(name) {
        return;
    }
    let site = Site::new("[run]\nuser = \"nobody\"\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n");
    // The data directory does not have to be there.
    let first = site.renew(30);
    only_for_root(&site, "key.pem");
    let host = site.start();
    assert!(host.log().iter().any(|line| line.ends_with("root is given up user=nobody")), "{:?}", host.log());
    let four = format!("{NOBODY} {NOBODY} {NOBODY} {NOBODY}");
    for (line, expected) in [
        ("Uid:", &*four),
        ("Gid:", &four),
        ("Groups:", "65534"),
        ("CapEff:", "0000000000000000"),
        ("CapPrm:", "0000000000000000"),
    ] {
        let all = of_all_threads(&host, line);
        assert!(all.len() > 1 && all.iter().all(|found| found == expected), "{line} {all:?}");
    }
    assert_eq!(fs::metadata(site.data("mail")).unwrap().uid(), NOBODY);
    assert!(host.serves(&first));

    // Nothing has changed, and a key that cannot be read any more is no news.
    kill_process(host.process(), Signal::HUP).unwrap();
    host.wait_for("nothing has changed");
    let second = site.renew(60);
    only_for_root(&site, "key.pem");
    let said = host.wait_for(" ERROR ");
    let hint = "Permission denied (os error 13); correct the path or its permissions; the host has given up root and is \
                nobody now, so allow it to nobody, or restart the host; the old certificate stays in use";
    assert!(said.contains("cannot read the key ") && said.ends_with(hint), "{said}");
    assert!(host.serves(&first) && !host.serves(&second));
    fs::set_permissions(site.folder().path("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    host.wait_for("certificate reloaded");
    assert!(host.serves(&second));
    host.stop();
}

#[test]
fn a_smarthosts_password_that_only_root_may_read_is_read_in_time_and_kept() {
    let name = "a_smarthosts_password_that_only_root_may_read_is_read_in_time_and_kept";
    if !is_root(name) {
        return;
    }
    let site = Site::new(
        "[run]\nuser = \"nobody\"\n[relay]\nsmarthost = \"h.test:25\"\nuser = \"u\"\npassword_file = \"secret\"\n",
    );
    fs::write(site.folder().path("secret"), "of the smarthost\n").unwrap();
    only_for_root(&site, "secret");
    // What is done while the host is stopped sends nothing, and takes no password.
    site.does("account add anna@example.test --password-stdin");
    let host = site.start();
    kill_process(host.process(), Signal::HUP).unwrap();
    let said =
        host.wait_for("the smarthost's password cannot be read any more; the one read before stays in use");
    assert!(said.contains(" WARN ") && said.contains("Permission denied"), "{said}");
    host.wait_for("nothing has changed");
    // Another file is another matter.
    fs::write(site.folder().path("other"), "of the smarthost\n").unwrap();
    only_for_root(&site, "other");
    let text = fs::read_to_string(site.config()).unwrap().replace("\"secret\"", "\"other\"");
    fs::write(site.config(), text).unwrap();
    let said = host.wait_for(" ERROR ");
    let hint = "/other: Permission denied (os error 13); the host has given up root and is nobody now, so allow it to \
                nobody, or restart the host; the old configuration stays in force";
    assert!(said.contains("password_file ") && said.ends_with(hint), "{said}");
    host.stop();
}

#[test]
fn the_owner_of_the_data_directory_is_whom_root_becomes_if_nobody_is_named() {
    let name = "the_owner_of_the_data_directory_is_whom_root_becomes_if_nobody_is_named";
    if !is_root(name) {
        return;
    }
    let site = Site::new("[auth]\nallow_plaintext = true\n");
    fs::create_dir(site.data("")).unwrap();
    std::os::unix::fs::chown(site.data(""), Some(NOBODY), Some(NOBODY)).unwrap();
    // What root does for the host while it is stopped, the host can read.
    site.does("account add anna@example.test --password-stdin");
    let host = site.start();
    assert!(of_all_threads(&host, "Uid:").iter().all(|ids| ids.starts_with("65534 65534 ")));
    Wire::smtp(host.address(Service::Smtp)).deliver(&["anna@example.test"], "Subject: x\r\n\r\n");
    // And while it runs.
    site.does("account add ben@example.test --password-stdin");
    host.stop();
}

#[test]
fn a_data_directory_that_cannot_be_made_is_told_with_its_line_and_path() {
    if !is_root("a_data_directory_that_cannot_be_made_is_told_with_its_line_and_path") {
        return;
    }
    let folder = Folder::new();
    let config = folder.config("no/such/data", "[run]\nuser = \"nobody\"\n");
    run(program().args(["serve", "--config"]).arg(&config), "").failed(&format!(
        "{}:2: data_dir {} cannot be made: No such file or directory (os error 2); create the folder that it lies in, or name another one",
        config.display(),
        folder.path("no/such/data").display()
    ));
}

#[test]
fn quickstart_says_how_to_name_another_user() {
    if !is_root("quickstart_says_how_to_name_another_user") {
        return;
    }
    let folder = Folder::new();
    let mut command = program();
    command.args(["quickstart", "you@example.test", "--user", "no-such-user", "--offline", "--dir"]);
    run(command.arg(folder.path("new")), "").failed(
        "there is no user no-such-user; `useradd --system --shell /usr/sbin/nologin no-such-user` makes one, or name another with --user",
    );
}

#[test]
fn a_user_that_cannot_be_is_told_with_its_line() {
    let name = "a_user_that_cannot_be_is_told_with_its_line";
    if !is_root(name) {
        return;
    }
    for (user, why) in [
        (
            "no-such-user",
            "there is no user no-such-user; `useradd --system --shell /usr/sbin/nologin no-such-user` makes one, or name another in user in [run]",
        ),
        ("root", "root is root, which the host must not stay; name another user in user in [run]"),
    ] {
        let site = Site::new(&format!("[run]\nuser = {user:?}\n"));
        site.command("serve").failed(&format!(
            "{}:{}: {why}",
            site.config().display(),
            6 + Service::ALL.len()
        ));
        assert!(!site.data("").exists());
    }
}
