//! A wrong configuration is one sentence on standard error, with file and line where there is one, a status that is
//! not zero, and nothing changed on disk.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Folder, program, run};

/// Runs `serve` and sees that it says just this and changes nothing.
#[track_caller]
fn serve_fails(folder: &Folder, config: &Path, sentence: &str) {
    let before = folder.listing();
    run(program().args(["serve", "--config"]).arg(config), "").failed(sentence);
    assert_eq!(folder.listing(), before, "something was changed on disk");
}

#[test]
fn an_unknown_key_is_told_by_every_command() {
    let folder = Folder::new();
    let config = folder.config("data", "submision = [\"127.0.0.1:0\"]\n");
    let sentence = format!(
        "{}:6: unknown key \"submision\" in [listen]; did you mean \"submission\"?",
        config.display()
    );
    let before = folder.listing();
    for command in [
        "serve",
        "check",
        "check --print",
        "verify",
        "account list",
        "account add a@example.test --password-stdin",
        "account password a@example.test --password-stdin",
        "account remove a@example.test",
        "alias list",
        "alias add b@example.test a@example.test",
        "alias remove b@example.test",
    ] {
        run(program().args(command.split(' ')).arg("--config").arg(&config), "password\n").failed(&sentence);
    }
    assert_eq!(folder.listing(), before, "something was changed on disk");
}

#[test]
fn a_key_of_a_later_version_is_told() {
    let folder = Folder::new();
    let config = folder.config("data", "lmtp = [\"127.0.0.1:0\"]\n");
    let what = "\"lmtp\" in [listen] is for a later version, this one cannot serve LMTP yet; remove it";
    serve_fails(&folder, &config, &format!("{}:6: {what}", config.display()));
}

#[test]
fn a_port_in_use_is_told() {
    let folder = Folder::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let config = folder.config("data", &format!("pop3 = [\"{address}\"]\n"));
    serve_fails(
        &folder,
        &config,
        &format!(
            "{}:6: cannot listen on {address} for pop3: another program uses it; stop that program or choose another \
             port",
            config.display()
        ),
    );
}

#[test]
fn a_missing_certificate_is_told() {
    let folder = Folder::new();
    let config = folder.config("data", "[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n");
    serve_fails(
        &folder,
        &config,
        &format!(
            "{}:7: cannot read the certificate {}: No such file or directory (os error 2); correct the path or its \
             permissions",
            config.display(),
            folder.path("cert.pem").display()
        ),
    );
}

#[test]
fn a_certificate_that_is_none_is_told() {
    let folder = Folder::new();
    let config = folder.config("data", "[tls]\ncertificate = \"mail.toml\"\nkey = \"mail.toml\"\n");
    let path = config.display();
    serve_fails(
        &folder,
        &config,
        &format!("{path}:7: {path} is not PEM; a certificate in PEM begins with -----BEGIN CERTIFICATE-----"),
    );
}

/// `check` must not call good what `serve` refuses.
#[test]
fn a_password_of_the_smarthost_that_cannot_be_read_is_told() {
    let folder = Folder::new();
    let relay = "[relay]\nsmarthost = \"h.test\"\nuser = \"u\"\npassword_file = \"none\"\n";
    let config = folder.config("data", relay);
    let sentence = format!(
        "{}: password_file {}: No such file or directory (os error 2); correct the file, its path or its permissions",
        config.display(),
        folder.path("none").display()
    );
    serve_fails(&folder, &config, &sentence);
    let checked = run(program().args(["check", "--offline", "--config"]).arg(&config), "");
    assert!(checked.stdout.lines().any(|line| line == format!("error: {sentence}")), "{}", checked.stdout);
    assert_eq!(checked.status, Some(1));
}

#[test]
fn a_data_directory_that_is_a_file_is_told() {
    let folder = Folder::new();
    let file = folder.write("file", "precious\n");
    let config = folder.config("file", "");
    serve_fails(
        &folder,
        &config,
        &format!(
            "{}:2: data_dir {} is not a folder; name one, or a path where there is nothing",
            config.display(),
            file.display()
        ),
    );
}

#[test]
fn a_data_directory_of_somebody_else_is_told() {
    let folder = Folder::new();
    let data = folder.path("data");
    fs::create_dir(&data).unwrap();
    let config = folder.config("data", "");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let as_root = rustix::process::geteuid().is_root();
    let mut command = if as_root {
        // Root may read everything, so this runs as nobody, who may not even reach the folder that was built in.
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        let copy = folder.path("mailhost");
        // Not with `fs::copy`: a test that starts a program at this moment would hold the file open for writing, and what
        // is open for writing cannot be run.
        let copied = Command::new("cp").arg(program().get_program()).arg(&copy).status().unwrap();
        assert!(copied.success());
        let mut command = Command::new(copy);
        command.uid(65_534).gid(65_534).current_dir(folder.path("."));
        command
    } else {
        fs::set_permissions(&data, fs::Permissions::from_mode(0o000)).unwrap();
        program()
    };
    let result = run(command.args(["serve", "--config"]).arg(&config), "");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    result.failed(&format!(
        "{}:2: data_dir {} cannot be read and written (Permission denied (os error 13)); give it to the user that runs \
         mailhost",
        config.display(),
        data.display()
    ));
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "something was changed on disk");
}

#[test]
fn a_configuration_that_is_not_there_is_told() {
    let folder = Folder::new();
    let config = folder.path("none.toml");
    serve_fails(
        &folder,
        &config,
        &format!(
            "{}: cannot read the configuration (No such file or directory (os error 2)); name the file with --config FILE",
            config.display()
        ),
    );
}

#[test]
fn half_a_self_signed_certificate_is_told_and_left_alone() {
    let folder = Folder::new();
    fs::create_dir(folder.path("data")).unwrap();
    let key = folder.write("data/self-signed-key.pem", "a key\n");
    let config = folder.config("data", "");
    serve_fails(
        &folder,
        &config,
        &format!(
            "{}: {} is there but {} is not; put it back, or remove the first and a new pair is made",
            config.display(),
            key.display(),
            folder.path("data/self-signed.pem").display()
        ),
    );
}

#[test]
fn nothing_in_a_file_name_breaks_the_one_line() {
    let folder = Folder::new();
    let config = folder.path("a\nmailhost: all is well\u{1b}[2J");
    let result = run(program().args(["serve", "--config"]).arg(&config), "");
    assert_eq!(result.status, Some(1));
    assert_eq!(result.stderr.matches('\n').count(), 1, "{}", result.stderr);
    assert!(result.stderr.contains("a\\nmailhost: all is well\\u{1b}[2J"), "{}", result.stderr);
}

#[test]
fn a_wrong_command_line_has_a_status_of_its_own() {
    for arguments in ["", "no-such-command", "account add", "account add nobody", "alias add a@b.test"] {
        let result = run(program().args(arguments.split_whitespace()), "");
        assert_eq!((result.status, &*result.stdout), (Some(2), ""), "{arguments:?}");
    }
}

#[test]
fn a_check_of_a_good_configuration_changes_nothing() {
    let folder = Folder::new();
    let config = folder.config("data", "");
    let before = folder.listing();
    let result = run(program().args(["check", "--config"]).arg(&config), "");
    assert_eq!((result.status, &*result.stderr), (Some(0), ""), "{}", result.stdout);
    for line in result.stdout.lines() {
        assert!(line.starts_with("ok: ") || line.starts_with("warning: "), "{line}");
    }
    assert!(result.stdout.contains("\nwarning: the certificate is self-signed, "), "{}", result.stdout);

    let printed = run(program().args(["check", "--print", "--config"]).arg(&config), "");
    assert_eq!((printed.status, &*printed.stderr), (Some(0), ""));
    assert_eq!(folder.listing(), before, "something was changed on disk");
    let again = folder.write("printed.toml", &printed.stdout);
    let reprinted = run(program().args(["check", "--print", "--config"]).arg(&again), "");
    assert_eq!(reprinted.stdout, printed.stdout);
}

#[test]
fn a_check_warns_of_an_open_relay() {
    for (network, warned) in
        [("0.0.0.0/0", true), ("::/0", true), ("64.0.0.0/2", true), ("10.0.0.0/8", false)]
    {
        let folder = Folder::new();
        let config = folder.config("data", &format!("[relay]\nnetworks = [\"192.0.2.7\", {network:?}]\n"));
        let result = run(program().args(["check", "--config"]).arg(&config), "");
        let warning = format!("\nwarning: networks in [relay] has {network}, so strangers may ");
        assert_eq!(result.stdout.contains(&warning), warned, "{}", result.stdout);
    }
}

#[test]
fn a_check_warns_of_mail_that_is_tried_once() {
    for (queue, warned) in [
        ("expire = 30", true),
        ("expire = \"30h\"", false),
        ("expire = \"10m\"\nretry = [\"1h\"]", true),
        ("expire = \"1h\"\nretry = [\"1h\"]", false),
    ] {
        let folder = Folder::new();
        let config = folder.config("data", &format!("[queue]\n{queue}\n"));
        let result = run(program().args(["check", "--config"]).arg(&config), "");
        assert_eq!(result.stdout.contains("\nwarning: expire in [queue] is "), warned, "{}", result.stdout);
    }
}

#[test]
fn a_check_goes_on_behind_the_first_error_and_has_a_status() {
    let folder = Folder::new();
    folder.write("file", "");
    let config = folder.config("file", "[tls]\ncertificate = \"c\"\nkey = \"k\"\n");
    let result = run(program().args(["check", "--config"]).arg(&config), "");
    assert_eq!((result.status, &*result.stderr), (Some(1), ""));
    let errors = result.stdout.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 2, "{}", result.stdout);
}

#[test]
fn who_has_read_enough_hears_no_complaint_and_a_disk_that_is_full_is_told() {
    let folder = Folder::new();
    let config = folder.config("data", "");
    let says_to = |stdout: Stdio| {
        let mut command = program();
        let child =
            command.args(["check", "--print", "--config"]).arg(&config).stdout(stdout).stderr(Stdio::piped());
        let output = child.spawn().unwrap().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    // As shells say of a program that SIGPIPE has ended.
    assert_eq!(says_to(writer.into()), (Some(141), String::new()));
    let (status, complaint) = says_to(File::create("/dev/full").unwrap().into());
    assert_eq!(status, Some(1));
    assert!(
        complaint.starts_with("mailhost: cannot write to standard output: No space left on device"),
        "{complaint}"
    );
}
