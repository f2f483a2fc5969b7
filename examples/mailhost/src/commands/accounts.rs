//! Accounts and aliases, by hand.

use std::io::Write as _;
use std::process::ExitCode;

use super::{Failure, NewPassword, administer, new_password};
use crate::accounts::app_password::{AppPassword as Stored, Made};
use crate::accounts::{self, Overview};
use crate::admin::{Request, Response};
use crate::auth::Secrets;
use crate::cli::{Account, Alias, AppPassword};
use crate::commands::output::output;
use crate::config::Config;
use crate::logs::Safe;
use crate::words::{date, number, size};

/// Carries out a command about accounts.
pub(super) fn account(command: &Account) -> Result<ExitCode, Failure> {
    let config = Config::load(&command.config().file)?;
    let mut made = None;
    let mut secrets = |source| -> Result<(String, Vec<String>), Failure> {
        let NewPassword { password, generated } = new_password(source)?;
        let secrets = Secrets::new(&password)?;
        made = generated.then_some(password);
        Ok((secrets.hash.as_str().to_owned(), secrets.scram_texts()))
    };
    let text = |mailbox: &smtp_codec::Mailbox<'_>| mailbox.as_str().to_owned();
    let request = match command {
        Account::Add { address, login, password, .. } => {
            let (password, scram) = secrets(*password)?;
            Request::AddAccount { address: text(address), login: login.clone(), password, scram }
        }
        Account::List { .. } => Request::Accounts,
        Account::Show { address, .. } | Account::AppPassword(AppPassword::List { address, .. }) => {
            Request::Account { address: text(address) }
        }
        Account::Remove { address, purge, .. } => {
            Request::RemoveAccount { address: text(address), purge: *purge }
        }
        Account::Password { address, password, .. } => {
            let (password, scram) = secrets(*password)?;
            Request::SetPassword { address: text(address), password, scram }
        }
        Account::AppPassword(AppPassword::Add(app)) => {
            let (address, name) = (text(&app.address), app.name.clone());
            let Made { password, digest, scram } = Made::new()?;
            made = Some(password);
            Request::AddAppPassword { address, name, digest, scram }
        }
        Account::AppPassword(AppPassword::Remove(app)) => {
            Request::RemoveAppPassword { address: text(&app.address), name: app.name.clone() }
        }
        Account::Forward { address, targets, no_keep, .. } => Request::SetForward {
            address: text(address),
            targets: targets.iter().map(text).collect(),
            keep: !no_keep,
        },
        Account::Suspend { address, reason, no_mail, .. } => {
            Request::Suspend { address: text(address), reason: reason.clone(), no_mail: *no_mail }
        }
        Account::Resume { address, .. } => Request::Resume { address: text(address) },
        Account::Quota { address, size, messages, .. } => {
            Request::SetQuota { address: text(address), octets: *size, messages: *messages }
        }
        Account::Imap { address, without, .. } => Request::SetImap {
            address: text(address),
            without: without.iter().map(|extension| extension.as_str().to_owned()).collect(),
        },
    };
    let response = administer(&config, request)?;
    let mut out = output();
    match response {
        Response::Added(account) => writeln!(out, "{} added, login name {}", account.address, account.login)?,
        Response::Accounts(accounts) => out.write_all(list(&accounts).as_bytes())?,
        Response::Account(overview) if matches!(command, Account::Show { .. }) => {
            out.write_all(show(&overview).as_bytes())?;
        }
        Response::Account(overview) => out.write_all(app_passwords(&overview.account).as_bytes())?,
        Response::Removed(dangling) => {
            for alias in dangling {
                writeln!(
                    out,
                    "the alias {alias} leads nowhere now; `mailhost alias remove {alias}` removes it"
                )?;
            }
        }
        _ => {}
    }
    if let Some(password) = made {
        writeln!(out, "password {}", password.expose())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Carries out a command about aliases.
pub(super) fn alias(command: &Alias) -> Result<ExitCode, Failure> {
    let config = Config::load(&command.config().file)?;
    let texts = |targets: &[smtp_codec::Mailbox<'_>]| {
        targets.iter().map(|target| target.as_str().to_owned()).collect::<Vec<_>>()
    };
    let request = match command {
        Alias::Add { alias, targets, .. } => {
            Request::AddAlias { alias: alias.as_str().to_owned(), targets: texts(targets) }
        }
        Alias::List { .. } => Request::Aliases,
        Alias::Remove { alias, targets, .. } => {
            Request::RemoveAlias { alias: alias.as_str().to_owned(), targets: texts(targets) }
        }
    };
    if let Response::Aliases(aliases) = administer(&config, request)? {
        output().write_all(aliases_list(&aliases).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(overviews: &[Overview]) -> String {
    if overviews.is_empty() {
        return "there is no account yet; `mailhost account add ADDRESS` makes one\n".to_owned();
    }
    let mut rows =
        vec![["ADDRESS", "LOGIN", "STATE", "USED", "LIMIT", "APP PASSWORDS"].map(str::to_owned).to_vec()];
    for overview in overviews {
        let Overview { account, octets, most_octets, messages, most_messages, .. } = overview;
        let limits = [most_octets.map(size), most_messages.map(|most| number(most, "message"))];
        let limits: Vec<_> = limits.into_iter().flatten().collect();
        rows.push(vec![
            account.address.clone(),
            if account.login == account.address { "the same".to_owned() } else { account.login.clone() },
            account.state().to_owned(),
            format!("{}, {}", size(*octets), number(*messages, "message")),
            if limits.is_empty() { "none".to_owned() } else { limits.join(", ") },
            account.app_passwords.len().to_string(),
        ]);
    }
    table(&rows)
}

fn show(overview: &Overview) -> String {
    let Overview { account, octets, most_octets, messages, most_messages, aliases } = overview;
    let of = |most: &Option<u64>, text: fn(u64) -> String| {
        most.map_or_else(|| "no limit".to_owned(), |most| format!("of {}", text(most)))
    };
    let mut rows = vec![
        ("address", account.address.clone()),
        ("login", account.login.clone()),
        ("number", account.id.to_string()),
        ("state", account.state().to_owned()),
    ];
    if let Some(suspension) = &account.suspended {
        rows.push(("suspended since", date(suspension.since)));
        rows.extend(suspension.reason.clone().map(|reason| ("reason", reason)));
    }
    rows.push(("used", format!("{} ({})", size(*octets), of(most_octets, size))));
    rows.push(("messages", format!("{messages} ({})", of(most_messages, |most| most.to_string()))));
    for target in &account.forward.targets {
        rows.push((if account.forward.keep { "forwards to" } else { "forwards all to" }, target.clone()));
    }
    rows.extend(aliases.iter().map(|alias| ("alias", alias.clone())));
    for app in &account.app_passwords {
        rows.push(("app password", format!("{}, made {}, {}", app.name, date(app.made), used(app))));
    }
    rows.extend(account.imap_without.iter().map(|word| ("IMAP without", word.clone())));
    let mut last = "";
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(name, value)| {
            let name = if std::mem::replace(&mut last, name) == name { "" } else { name };
            vec![name.to_owned(), value]
        })
        .collect();
    table(&rows)
}

fn app_passwords(account: &accounts::Account) -> String {
    if account.app_passwords.is_empty() {
        return format!(
            "{0} has no app password; `mailhost account app-password add {0} NAME` makes one\n",
            account.address
        );
    }
    let mut rows = vec![["NAME", "MADE", "LAST USED"].map(str::to_owned).to_vec()];
    rows.extend(account.app_passwords.iter().map(|app| vec![app.name.clone(), date(app.made), used(app)]));
    table(&rows)
}

fn aliases_list(aliases: &[accounts::Alias]) -> String {
    let mut rows = Vec::new();
    for alias in aliases {
        for (at, target) in alias.targets.iter().enumerate() {
            let name = if at == 0 { alias.alias.clone() } else { String::new() };
            rows.push(vec![name, "->".to_owned(), target.clone()]);
        }
    }
    table(&rows)
}

/// Columns that are as wide as they have to be, with two spaces between them.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let safe: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| Safe(cell).to_string()).collect()).collect();
    let length = |cell: &String| cell.chars().count();
    let widths: Vec<_> = (0..columns)
        .map(|column| safe.iter().filter_map(|row| row.get(column)).map(length).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in &safe {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width + 2 - length(cell)));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn used(app: &Stored) -> String {
    app.last_used.map_or_else(|| "never used".to_owned(), |day| format!("used {}", date(day * 86_400)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{Account as Record, Forward, Suspension};

    fn overview(address: &str) -> Overview {
        let account =
            Record { id: 7, login: address.to_owned(), address: address.to_owned(), ..Record::default() };
        Overview {
            account,
            octets: 0,
            most_octets: None,
            messages: 0,
            most_messages: None,
            aliases: Vec::new(),
        }
    }

    #[test]
    fn accounts_are_a_table() {
        let (anna, mut ben) = (overview("anna@example.test"), overview("ben@b.test"));
        ben.account.login = "ben\u{1b}".to_owned();
        ben.account.suspended = Some(Suspension { reason: None, no_mail: false, since: 0 });
        (ben.octets, ben.most_octets, ben.messages, ben.most_messages) = (5_000, Some(2 << 30), 1, Some(10));
        assert_eq!(
            list(&[anna, ben]),
            "ADDRESS            LOGIN      STATE      USED                  LIMIT                 APP PASSWORDS\n\
             anna@example.test  the same   active     0 octets, 0 messages  none                  0\n\
             ben@b.test         ben\\u{1b}  suspended  4.8 KiB, 1 message    2.0 GiB, 10 messages  0\n"
        );
    }

    #[test]
    fn an_account_is_shown_with_all_that_it_has() {
        let mut anna = overview("anna@example.test");
        let targets = vec!["a@far.test".to_owned(), "b@far.test".to_owned()];
        anna.account.forward = Forward { targets, keep: true };
        anna.account.suspended =
            Some(Suspension { reason: Some("spam".to_owned()), no_mail: true, since: 86_400 });
        let app = Stored {
            name: "phone".to_owned(),
            digest: String::new(),
            scram: vec![],
            made: 0,
            last_used: Some(2),
        };
        anna.account.app_passwords = vec![app];
        anna.aliases = vec!["team@example.test".to_owned()];
        assert_eq!(
            show(&anna),
            "address          anna@example.test\n\
             login            anna@example.test\n\
             number           7\n\
             state            suspended, no mail\n\
             suspended since  1970-01-02\n\
             reason           spam\n\
             used             0 octets (no limit)\n\
             messages         0 (no limit)\n\
             forwards to      a@far.test\n                 b@far.test\n\
             alias            team@example.test\n\
             app password     phone, made 1970-01-01, used 1970-01-03\n"
        );
    }
}
