//! `mailhost client`: what its commands do.

mod imap;
mod pop3;
mod progress;
mod send;

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime;

use super::{Failure, password_line};
use crate::auth::Password;
use crate::cli::client::{Client, Connection};
use crate::client::settings::{self, Account, Protocol, Service};
use crate::client::{ClientError, Credentials, Server};
use crate::logs::Safe;

/// A server, and who asks it.
struct Target {
    server: Server,
    login: Option<Credentials>,
    /// Who writes, if the settings say so.
    from: Option<String>,
}

/// Does what the command line says. One thread does it all: it waits for one server.
pub(super) fn run(command: &Client) -> Result<ExitCode, Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Client::Send(send) => send::run(send).await,
            Client::Pop3(pop3) => {
                let target = target(command.connection(), Protocol::Pop3).await?;
                pop3::run(pop3, &target).await
            }
            Client::Imap(imap) => {
                let target = target(command.connection(), Protocol::Imap).await?;
                imap::run(imap, &target).await
            }
        }
    })
}

impl Target {
    /// Who asks: POP3 and IMAP know nobody without a name.
    fn login(&self) -> Result<&Credentials, Failure> {
        self.login
            .as_ref()
            .ok_or_else(|| Failure::new("whose mail? name the user with --user or an account with --account"))
    }
}

/// Finds out which server, and who asks.
async fn target(connection: &Connection, protocol: Protocol) -> Result<Target, Failure> {
    let account = match &connection.account {
        None => Account::default(),
        Some(name) => {
            let file = connection.config.clone().or_else(settings::usual_file);
            let file = file.ok_or_else(|| {
                Failure::new("nobody knows where the settings are; name the file with --config")
            })?;
            settings::load(&file, name)?
        }
    };
    let typed = Service {
        server: connection.server.clone(),
        tls: connection.tls.map(Into::into),
        ca: connection.ca.clone(),
        user: connection.user.clone(),
        password_file: connection.password_file.clone(),
        allow_plaintext: connection.allow_plaintext.then_some(true),
    };
    let service = typed.or(account.service(protocol));
    let encryption = service.tls.unwrap_or_default();
    let Some(server) = &service.server else {
        return Err(Failure::new("which server? name it with --server, or an account with --account"));
    };
    let (host, port) = host_and_port(server)?;
    let tls = Server::trusting_system_and(service.ca.as_deref())?;
    let port = port.unwrap_or_else(|| protocol.port(encryption));
    let mut server = Server::look_up(host, port, encryption, tls).await?;
    server.allow_plaintext = service.allow_plaintext == Some(true);
    let login = match service.user {
        None => None,
        Some(name) => {
            let password = password(connection, service.password_file.as_deref(), &name, host)?;
            Some(Credentials { name, password })
        }
    };
    Ok(Target { server, login, from: account.from })
}

/// `host`, `host:port`, `[::1]`, `[::1]:port`, `::1`.
fn host_and_port(text: &str) -> Result<(&str, Option<u16>), Failure> {
    let wrong = || {
        Failure::new(format!(
            "{:?} is not a server; write it as mail.example.test or mail.example.test:993",
            Safe(text).to_string()
        ))
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            match port {
                "" => (host, None),
                port => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            }
        }
        None if text.matches(':').count() == 1 => {
            let (host, port) = text.split_once(':').ok_or_else(wrong)?;
            (host, Some(port))
        }
        None => (text, None),
    };
    let port =
        port.map(|port| port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(wrong)).transpose()?;
    if host.is_empty() { Err(wrong()) } else { Ok((host, port)) }
}

/// The password: from where it is said to be, or from the terminal.
fn password(
    connection: &Connection,
    file: Option<&Path>,
    user: &str,
    host: &str,
) -> Result<Password, Failure> {
    // What is typed on the command line counts for more than the settings.
    if connection.password_stdin {
        return first_line(io::stdin().lock(), "standard input");
    }
    if let Some(path) = file {
        let unreadable = |error| ClientError::File {
            what: format!("cannot read the password from {}", Safe(path.display())),
            error,
        };
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            let path = Safe(path.display());
            return Err(Failure::new(format!(
                "others on this machine may read or change {path}, which holds a password; `chmod 600 {path}` keeps it private"
            )));
        }
        return first_line(BufReader::new(file), &Safe(path.display()).to_string());
    }
    // The question goes to the terminal itself, whatever standard input is.
    if io::stderr().is_terminal() && File::open("/dev/tty").is_ok() {
        let question = format!("Password of {} at {}: ", Safe(user), Safe(host));
        return Ok(Password::new(rpassword::prompt_password(question)?)?);
    }
    Err(Failure::new(
        "there is no terminal to ask for the password; give it with --password-stdin or --password-file",
    ))
}

fn first_line(from: impl io::BufRead, what: &str) -> Result<Password, Failure> {
    let text = password_line(from)?;
    if text.is_empty() {
        return Err(Failure::new(format!("the first line of {what} is empty; the password belongs there")));
    }
    Ok(Password::new(text.to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_people_write_them() {
        for (text, expected) in [
            ("mail.example.test", Some(("mail.example.test", None))),
            ("mail.example.test:587", Some(("mail.example.test", Some(587)))),
            ("::1", Some(("::1", None))),
            ("[::1]:993", Some(("::1", Some(993)))),
            ("[::1]", Some(("::1", None))),
            ("", None),
            (":25", None),
            ("a:0", None),
            ("a:b", None),
            ("[::1]993", None),
            ("[::1", None),
        ] {
            assert_eq!(host_and_port(text).ok(), expected, "{text}");
        }
    }
}
