//! What one need not type each time: accounts in a small file.
//!
//! ```toml
//! [anna]
//! server = "mail.example.test"            # of all three protocols, unless a section below says otherwise
//! user = "anna@example.test"
//! password_file = "anna.password"         # beside this file; nobody else may read it
//! from = "Anna Ash <anna@example.test>"
//!
//! [anna.smtp]
//! server = "mail.example.test:587"
//! tls = "starttls"
//! ```

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ClientError;
use super::connect::Encryption;

/// One account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Written")]
pub struct Account {
    /// Who writes, with a name.
    pub from: Option<String>,
    /// What holds for all protocols.
    pub common: Service,
    /// What holds for sending alone.
    pub smtp: Option<Service>,
    /// What holds for POP3 alone.
    pub pop3: Option<Service>,
    /// What holds for IMAP alone.
    pub imap: Option<Service>,
}

/// How a server is reached.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name, and its port if that is not the usual one.
    pub server: Option<String>,
    /// `implicit`, `starttls` or `none`.
    pub tls: Option<Encryption>,
    /// A file of certificates to trust beside those of the system.
    pub ca: Option<PathBuf>,
    /// The name to log in with.
    pub user: Option<String>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Whether the password may go over a network in the clear.
    pub allow_plaintext: Option<bool>,
}

/// An account as it is written: flat, so that a mistake is found where it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    from: Option<String>,
    server: Option<String>,
    tls: Option<Encryption>,
    ca: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    allow_plaintext: Option<bool>,
    smtp: Option<Service>,
    pop3: Option<Service>,
    imap: Option<Service>,
}

impl From<Written> for Account {
    fn from(written: Written) -> Self {
        let Written { from, server, tls, ca, user, password_file, allow_plaintext, smtp, pop3, imap } =
            written;
        let common = Service { server, tls, ca, user, password_file, allow_plaintext };
        Self { from, common, smtp, pop3, imap }
    }
}

/// Which protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// Sending.
    Smtp,
    /// Collecting.
    Pop3,
    /// Reading.
    Imap,
}

impl Protocol {
    /// The usual port.
    pub const fn port(self, encryption: Encryption) -> u16 {
        match (self, encryption) {
            (Self::Smtp, Encryption::Implicit) => 465,
            (Self::Smtp, _) => 587,
            (Self::Pop3, Encryption::Implicit) => 995,
            (Self::Pop3, _) => 110,
            (Self::Imap, Encryption::Implicit) => 993,
            (Self::Imap, _) => 143,
        }
    }
}

impl Service {
    /// What is said here, or else there.
    pub fn or(self, other: Self) -> Self {
        Self {
            server: self.server.or(other.server),
            tls: self.tls.or(other.tls),
            ca: self.ca.or(other.ca),
            user: self.user.or(other.user),
            password_file: self.password_file.or(other.password_file),
            allow_plaintext: self.allow_plaintext.or(other.allow_plaintext),
        }
    }

    /// Paths are meant from the folder of the file that they stand in.
    fn below(mut self, folder: &Path) -> Self {
        for path in [&mut self.ca, &mut self.password_file].into_iter().flatten() {
            *path = match (path.strip_prefix("~"), env::home_dir()) {
                (Ok(rest), Some(home)) => home.join(rest),
                _ => folder.join(&path),
            };
        }
        self
    }
}

impl Account {
    /// What holds for a protocol.
    pub fn service(&self, protocol: Protocol) -> Service {
        let own = match protocol {
            Protocol::Smtp => &self.smtp,
            Protocol::Pop3 => &self.pop3,
            Protocol::Imap => &self.imap,
        };
        own.clone().unwrap_or_default().or(self.common.clone())
    }
}

/// `$XDG_CONFIG_HOME/mailhost/client.toml`, which is mostly `~/.config/mailhost/client.toml`.
pub fn usual_file() -> Option<PathBuf> {
    let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let config = config.or_else(|| Some(env::home_dir()?.join(".config")));
    Some(config?.join("mailhost/client.toml"))
}

/// Reads an account from a file.
pub fn load(file: &Path, account: &str) -> Result<Account, ClientError> {
    let unsendable = |why: String| ClientError::Unsendable(format!("{}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ClientError::Unsendable(format!(
            "there is no {}; write the account into it, or name the server with --server and the user with --user",
            file.display()
        )),
        _ => ClientError::File { what: format!("cannot read {}", file.display()), error },
    })?;
    let mut accounts = parse(&text).map_err(unsendable)?;
    let known: Vec<_> = accounts.keys().cloned().collect();
    let Some(found) = accounts.remove(account) else {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(unsendable(format!("there is no account [{account}]; there is: {known}")));
    };
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    Ok(Account {
        from: found.from,
        common: found.common.below(folder),
        smtp: found.smtp.map(|service| service.below(folder)),
        pop3: found.pop3.map(|service| service.below(folder)),
        imap: found.imap.map(|service| service.below(folder)),
    })
}

fn parse(text: &str) -> Result<BTreeMap<String, Account>, String> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let line = line.map_or_else(String::new, |line| format!("line {line}: "));
        let hint = if error.message().contains("unknown field `password`") {
            "; a password has no place here: write it into a file of its own and name that as password_file"
        } else {
            ""
        };
        format!("{line}{}{hint}", error.message())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_of_a_protocol_goes_first() {
        let text = "[anna]\nserver = \"mail.example.test\"\nuser = \"anna\"\nfrom = \"A <a@b.test>\"\n\
                    [anna.smtp]\nserver = \"smtp.example.test:587\"\ntls = \"starttls\"\n[ben]\nserver = \"x\"\n";
        let accounts = parse(text).unwrap();
        let smtp = accounts["anna"].service(Protocol::Smtp);
        assert_eq!(smtp.server.as_deref(), Some("smtp.example.test:587"));
        assert_eq!((smtp.tls, smtp.user.as_deref()), (Some(Encryption::Required), Some("anna")));
        let imap = accounts["anna"].service(Protocol::Imap);
        assert_eq!((imap.server.as_deref(), imap.tls), (Some("mail.example.test"), None));
        assert_eq!(accounts["anna"].from.as_deref(), Some("A <a@b.test>"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = |text: &str| parse(text).unwrap_err();
        assert!(
            wrong("[anna]\nuser = \"a\"\npasword_file = \"x\"\n").contains("pasword_file"),
            "an unknown key"
        );
        let password = wrong("[anna]\nuser = \"a\"\npassword = \"x\"\n");
        assert!(password.contains("no place here"), "{password}");
        let password = wrong("[anna.imap]\npassword = \"x\"\n");
        assert!(password.contains("no place here"), "{password}");
        let tls = wrong("[anna]\nuser = \"a\"\ntls = \"some\"\n");
        assert!(tls.starts_with("line ") && tls.contains("starttls"), "{tls}");
    }
}
