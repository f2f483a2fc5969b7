//! `cargo xtask bench webmail`: how soon a page of a large mailbox is there.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::ours::program;
use super::queue::{forget, until};
use super::wire::free_port;
use super::{DOMAIN, Large, machine_of};
use crate::command::{self, cargo};
use crate::project::Project;

/// An answer, and how long it took.
struct Answer {
    head: String,
    body: String,
    took: Duration,
}

/// Fills an inbox, and asks the real host for pages of it, with its files in the page cache and without.
pub(crate) fn webmail(project: &Project, options: Large) -> Result<bool, String> {
    command::run(cargo(project).args(["build", "--release", "--package", "mailhost", "--bins"]))?;
    let example = ["build", "--release", "--package", "mailhost", "--example", "fill_mailbox"];
    command::run(cargo(project).args(example))?;
    let guard = Guard::start(project.target.join("bench-webmail"))?;
    println!("{}", machine_of(project, "")?);
    let dir = guard.folder().to_owned();
    let (config, port) = (dir.join("mailhost.toml"), free_port()?);
    let text = format!(
        "hostname = \"mail.{DOMAIN}\"\ndata_dir = \"data\"\ndomains = [\"{DOMAIN}\"]\n\
         [listen]\nweb = [\"127.0.0.1:{port}\"]\n"
    );
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let mut account = Command::new(program(project));
    account.args(["account", "add", ANNA, "--password-stdin", "--config"]).arg(&config);
    let mut account =
        account.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(|error| error.to_string())?;
    if let Some(mut stdin) = account.stdin.take() {
        stdin.write_all(format!("{PASSWORD}\n").as_bytes()).map_err(|error| error.to_string())?;
    }
    if !account.wait().is_ok_and(|status| status.success()) {
        return Err("no account could be added".to_owned());
    }
    let start = Instant::now();
    let fill = project.target.join("release/examples/fill_mailbox");
    command::run(Command::new(fill).arg(&config).args([ANNA, &options.messages.to_string()]))?;
    println!("{} messages of 1.5 KiB in {:.0} s", options.messages, start.elapsed().as_secs_f64());
    println!("milliseconds until the whole page is there:");
    println!(
        "{:>6} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "cache", "first", "second", "median", "middle", "search", "KiB"
    );
    for run in 0..2 * options.runs {
        let warm = run % 2 == 1;
        if !warm {
            forget(&dir.join("data"))?;
        }
        let log = dir.join("mailhost.log");
        let stderr = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut serve = Command::new(program(project));
        serve.args(["serve", "--config"]).arg(&config).stderr(stderr);
        let mut host = guard.spawn("mailhost", &mut serve)?;
        until(&mut host, &log, || TcpStream::connect(("127.0.0.1", port)).ok())?;
        let (cookie, inbox) = sign_in(port)?;
        let page = |path: &str| {
            let answer = ask(port, &format!("GET {path}"), &cookie, "")?;
            if !answer.head.starts_with("HTTP/1.1 200 ") || !answer.body.contains("data-uid=") {
                return Err(format!("no list at {path}: {}", answer.head));
            }
            Ok(answer)
        };
        let (first, second) = (page(&inbox)?, page(&inbox)?);
        let mut later = Vec::new();
        for _ in 0..LATER {
            later.push(page(&inbox)?.took);
        }
        later.sort_unstable();
        let middle = page(&format!("{inbox}?before={}", options.messages / 2))?;
        let search = page(&format!("{inbox}?q=subject:letter"))?;
        let ms = |took: Duration| took.as_secs_f64() * 1_000.0;
        println!(
            "{:>6} {:>10.1} {:>10.1} {:>10.1} {:>10.1} {:>10.1} {:>10}",
            if warm { "warm" } else { "cold" },
            ms(first.took),
            ms(second.took),
            ms(later[LATER / 2]),
            ms(middle.took),
            ms(search.took),
            first.body.len().div_ceil(1_024),
        );
        host.stop()?;
    }
    Ok(true)
}

/// The cookie of a session, and where the inbox is.
fn sign_in(port: u16) -> Result<(String, String), String> {
    let form = ask(port, "GET /sign-in", "", "")?;
    let between = |text: &str, start: &str, end: &str| {
        let (_, rest) = text.split_once(start)?;
        rest.split_once(end).map(|(found, _)| found.to_owned())
    };
    let seal = between(&form.body, "name=\"seal\" value=\"", "\"").ok_or("no seal")?;
    let filled = format!("username={}&password={PASSWORD}&seal={seal}", ANNA.replace('@', "%40"));
    let entered = ask(port, "POST /sign-in", "", &filled)?;
    let cookie = between(&entered.head, "set-cookie: ", ";").ok_or("no cookie")?;
    let inbox = ask(port, "GET /mail", &cookie, "")?;
    let inbox = between(&format!("{}\r\n", inbox.head), "location: ", "\r\n").ok_or("no inbox")?;
    Ok((cookie, inbox))
}

fn ask(port: u16, what: &str, cookie: &str, form: &str) -> Result<Answer, String> {
    let failed = |error: std::io::Error| format!("{what}: {error}");
    let begun = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
    let request = format!(
        "{what} HTTP/1.1\r\nHost: mail.{DOMAIN}:{port}\r\nCookie: {cookie}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let took = begun.elapsed();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{what}: no answer"))?;
    Ok(Answer { head: head.to_owned(), body: body.to_owned(), took })
}

const ANNA: &str = "anna@example.test";
const PASSWORD: &str = "a-few-words-in-a-row";
/// How often a page is asked for to say how long it takes.
const LATER: usize = 50;
