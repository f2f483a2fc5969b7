//! Every change of accounts and aliases: checked, committed, and only then seen.

use bytes::Bytes;
use imap_codec::extension::Extension;
use mailstore::mailbox::{AccountId, MailboxStatus, SpecialUse};
use mailstore::message::UnixTime;
use mailstore::{Actor, Commit, Intent};
use sasl_codec::prepare::{Unassigned, prepare};
use sasl_codec::scram::Verifier;

use super::app_password::{self, AppPassword};
use super::directory::{Stop, View, Way, fold, is_catch_all, login_key};
use super::{
    ACCOUNTS, ALIASES, Account, Accounts, Alias, ChangeError, Forward, INBOX, Suspension, find_inbox,
};
use crate::auth::{Password, PasswordHash, Secrets};

impl Accounts {
    /// Adds an account with an inbox, or takes one up again that was removed.
    pub async fn add(
        &self,
        address: &str,
        login: Option<&str>,
        password: &Secrets,
    ) -> Result<Account, ChangeError> {
        let _changing = self.changing.lock().await;
        let key = self.local(address)?;
        if is_catch_all(&key) {
            return Err(ChangeError::CatchAll(address.to_owned()));
        }
        let login = login.unwrap_or(address);
        if login.is_empty() || login.len() > 200 || login.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(ChangeError::BadLogin(login.to_owned()));
        }
        // RFC 4013 §2.5: it is kept to be compared with.
        if prepare(login, Unassigned::Refused).map_or(true, |name| name.is_empty()) {
            return Err(ChangeError::ForbiddenLogin(login.to_owned()));
        }
        let (account, old) = {
            let directory = self.read();
            if directory.view().named(&key).is_some() {
                return Err(ChangeError::Exists(address.to_owned()));
            }
            if directory.logins.contains_key(&login_key(login)) {
                return Err(ChangeError::LoginTaken(login.to_owned()));
            }
            let is_old = |old: &&Account| old.removed && self.address_key(&old.address) == key;
            let old = directory.accounts.values().find(is_old);
            let next = directory.accounts.keys().next_back().map_or(1, |last| last + 1);
            let account = Account {
                id: old.map_or(next, |old| old.id),
                login: login.to_owned(),
                address: address.to_owned(),
                password: password.hash.as_str().to_owned(),
                scram: password.scram_texts(),
                ..Account::default()
            };
            (account, old.is_some())
        };
        let mut intents = vec![put_account(&account)?];
        if !old {
            let now = UnixTime(self.store.system().unix_seconds());
            let account = AccountId(account.id);
            for (name, special_use) in MAILBOXES {
                let name = name.to_owned();
                intents.push(Intent::Subscribe { account, name: name.clone() });
                intents.push(Intent::CreateMailbox { account, name, special_use, now });
            }
        }
        self.store.commit(Commit::of(intents)).await?;
        let inbox = find_inbox(&self.store, account.id).await;
        self.write().set_account(key, account.clone(), inbox, Vec::new());
        Ok(account)
    }

    /// Removes an account, and ends its sessions. Its mail is kept unless `purge`. Gives the aliases that now lead nowhere.
    pub async fn remove(&self, address: &str, purge: bool) -> Result<Vec<String>, ChangeError> {
        let _changing = self.changing.lock().await;
        let mut account = self.by_address(address)?;
        account.removed = true;
        // What was open for it stays closed when somebody takes the address up again.
        account.app_passwords.clear();
        account.forward = Forward::default();
        account.suspended = None;
        account.signature = String::new();
        let intents = if purge {
            let mut intents = vec![Intent::Remove {
                table: ACCOUNTS,
                key: Bytes::copy_from_slice(&account.id.to_be_bytes()),
            }];
            let owner = AccountId(account.id);
            let mailboxes = self.store.mailboxes(Actor::Host, Some(owner)).await;
            // From the last name to the first: a mailbox goes before the one that it stands below.
            let delete = |mailbox: MailboxStatus| Intent::DeleteMailbox { mailbox: mailbox.id };
            intents.extend(mailboxes.into_iter().rev().map(delete));
            let names = self.store.subscriptions(Actor::Host, owner).await;
            intents.extend(names.into_iter().map(|name| Intent::Unsubscribe { account: owner, name }));
            intents.push(Intent::SetQuota { account: owner, octets: None, messages: None });
            intents
        } else {
            vec![put_account(&account)?]
        };
        self.store.commit(Commit::of(intents)).await?;
        let mut directory = self.write();
        let inbox = directory.inboxes.get(&account.id).copied();
        directory.forget(&account);
        if purge {
            directory.accounts.remove(&account.id);
            directory.doors.remove(&account.id);
            directory.limited.extract_if(.., |limited, _| Some(*limited) == inbox).for_each(drop);
        } else {
            directory.accounts.insert(account.id, account);
        }
        let view = directory.view();
        let leads_nowhere = |alias: &&String| {
            let mut nowhere = true;
            let walked = view.walk(alias, |stop| {
                nowhere &= matches!(stop, Stop::Alias(_));
                true
            });
            walked.is_ok() && nowhere
        };
        Ok(directory.aliases.keys().filter(leads_nowhere).cloned().collect())
    }

    /// Sets a new password, and ends the sessions that the old one has opened.
    pub async fn set_password(&self, address: &str, password: &Secrets) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let account = self.by_address(address)?;
        self.replace_password(account, password).await
    }

    /// Sets the password that somebody who has logged in has chosen, unless it is one that others would guess; ends all sessions.
    pub async fn change_own_password(&self, account: u64, new: &Password) -> Result<(), ChangeError> {
        let found = self.read().accounts.get(&account).filter(|account| !account.removed).cloned();
        let account = found.ok_or_else(|| ChangeError::Unknown("this account".to_owned()))?;
        check_password(new, &account)?;
        let password = new.clone();
        let made = self.store.system().compute(move || Secrets::new(&password)).await;
        let secrets = made.and_then(Result::ok).ok_or(ChangeError::NotHashed)?;
        let _changing = self.changing.lock().await;
        let account = self.by_address(&account.address)?;
        self.replace_password(account, &secrets).await
    }

    async fn replace_password(&self, mut account: Account, password: &Secrets) -> Result<(), ChangeError> {
        account.password = password.hash.as_str().to_owned();
        account.scram = password.scram_texts();
        self.keep(account, true).await
    }

    /// Adds the keys for SCRAM to an account that has none, unless its password has changed meanwhile.
    pub async fn add_scram(
        &self,
        id: u64,
        of: &PasswordHash,
        scram: Vec<Verifier>,
    ) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let found = self.read().accounts.get(&id).cloned();
        let Some(mut account) = found.filter(|account| account.password == of.as_str()) else {
            return Ok(());
        };
        account.scram = scram.iter().map(Verifier::encode).collect();
        self.keep(account, false).await
    }

    /// Adds a password for one device, of which the digest and the keys for SCRAM are here.
    pub async fn add_app_password(
        &self,
        address: &str,
        name: &str,
        digest: &str,
        scram: Vec<String>,
    ) -> Result<(), ChangeError> {
        AppPassword::check_name(name)?;
        if app_password::parse(digest).is_none() {
            return Err(ChangeError::BadAppPassword);
        }
        let _changing = self.changing.lock().await;
        let mut account = self.by_address(address)?;
        if account.app_passwords.iter().any(|app| fold(&app.name) == fold(name)) {
            return Err(ChangeError::AppNameTaken(name.to_owned(), address.to_owned()));
        }
        if account.app_passwords.len() >= app_password::MOST {
            return Err(ChangeError::TooManyAppPasswords(address.to_owned()));
        }
        account.app_passwords.push(AppPassword {
            name: name.to_owned(),
            digest: digest.to_owned(),
            scram,
            made: self.store.system().unix_seconds(),
            last_used: None,
        });
        self.keep(account, false).await
    }

    /// Takes a password for one device away. All sessions of the account end, since who has come in with it shows in none.
    pub async fn remove_app_password(&self, address: &str, name: &str) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let mut account = self.by_address(address)?;
        let before = account.app_passwords.len();
        account.app_passwords.retain(|app| fold(&app.name) != fold(name));
        if account.app_passwords.len() == before {
            return Err(ChangeError::NoAppPassword(name.to_owned(), address.to_owned()));
        }
        self.keep(account, true).await
    }

    /// Writes down that an app password was used today, once a day.
    pub async fn note_use(&self, id: u64, name: &str) -> Result<(), ChangeError> {
        let today = self.day() as i64;
        let is_news = |account: &Account| {
            account.app_passwords.iter().any(|app| app.name == name && app.last_used != Some(today))
        };
        if !self.read().accounts.get(&id).is_some_and(is_news) {
            return Ok(());
        }
        let _changing = self.changing.lock().await;
        let Some(mut account) = self.read().accounts.get(&id).filter(|account| is_news(account)).cloned()
        else {
            return Ok(());
        };
        for app in account.app_passwords.iter_mut().filter(|app| app.name == name) {
            app.last_used = Some(today);
        }
        self.keep(account, false).await
    }

    /// Sets what stands below what an account writes on the web. Lines may end in CRLF or LF; white space at their ends goes.
    pub async fn set_signature(&self, account: u64, signature: &str) -> Result<(), ChangeError> {
        let lines: Vec<&str> = signature.lines().map(str::trim_end).collect();
        let signature = lines.join("\n").trim_end().to_owned();
        if signature.len() > SIGNATURE
            || signature.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
        {
            return Err(ChangeError::BadSignature);
        }
        let _changing = self.changing.lock().await;
        let found = self.read().accounts.get(&account).filter(|account| !account.removed).cloned();
        let mut account = found.ok_or_else(|| ChangeError::Unknown("this account".to_owned()))?;
        account.signature = signature;
        self.keep(account, false).await
    }

    /// Lets nobody log in, and ends the sessions that there are. Mail is still taken, unless `no_mail`; it is not sent on.
    pub async fn suspend(
        &self,
        address: &str,
        reason: Option<String>,
        no_mail: bool,
    ) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let mut account = self.by_address(address)?;
        let now = self.store.system().unix_seconds();
        let since = account.suspended.as_ref().map_or(now, |suspension| suspension.since);
        account.suspended = Some(Suspension { reason, no_mail, since });
        self.keep(account, true).await
    }

    /// Ends a suspension.
    pub async fn resume(&self, address: &str) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let mut account = self.by_address(address)?;
        if account.suspended.take().is_none() {
            return Err(ChangeError::NotSuspended(address.to_owned()));
        }
        self.keep(account, false).await
    }

    /// Sends the mail of an account on to these addresses, or keeps all of it here if there are none.
    pub async fn set_forward(
        &self,
        address: &str,
        targets: &[String],
        keep: bool,
    ) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let mut account = self.by_address(address)?;
        let ways = self.checked_ways(targets)?;
        {
            let directory = self.read();
            self.check_targets(directory.view(), targets, &ways)?;
            self.check_walk(directory.view(), &ways, Stop::Account(account.id), address)?;
        }
        account.forward = Forward { targets: targets.to_vec(), keep: keep && !targets.is_empty() };
        let id = account.id;
        self.keep(account, false).await?;
        self.write().forwards.insert(id, ways);
        Ok(())
    }

    /// Sets how many octets and messages an account may have; `None` is no limit.
    pub async fn set_quota(
        &self,
        address: &str,
        octets: Option<u64>,
        messages: Option<u64>,
    ) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let account = AccountId(self.by_address(address)?.id);
        self.store.commit(Commit::of(vec![Intent::SetQuota { account, octets, messages }])).await?;
        let mut directory = self.write();
        let inbox = directory.inboxes.get(&account.get()).copied();
        if octets.is_some() || messages.is_some() {
            directory.limited.extend(inbox.map(|inbox| (inbox, account)));
        } else if let Some(inbox) = inbox {
            directory.limited.remove(&inbox);
        }
        Ok(())
    }

    /// Switches capabilities of IMAP off for an account, and all others on.
    pub async fn set_imap_without(&self, address: &str, without: &[Extension]) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let mut account = self.by_address(address)?;
        account.imap_without = without.iter().map(|extension| extension.as_str().to_owned()).collect();
        self.keep(account, false).await
    }

    /// Adds targets to an alias, which is made if it is not there yet. What it has already is not added twice.
    pub async fn add_alias(&self, alias: &str, targets: &[String]) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let key = self.local(alias)?;
        let added = self.checked_ways(targets)?;
        let (record, ways) = {
            let directory = self.read();
            if directory.addresses.contains_key(&key) {
                return Err(ChangeError::Exists(alias.to_owned()));
            }
            let new = || (Alias { alias: alias.to_owned(), targets: Vec::new() }, Vec::new());
            let (mut record, mut ways) = directory.aliases.get(&key).cloned().unwrap_or_else(new);
            for (target, way) in targets.iter().zip(&added) {
                if !ways.contains(way) {
                    record.targets.push(target.clone());
                    ways.push(way.clone());
                }
            }
            let view = View { directory: &directory, changed: Some((&key, &ways)) };
            self.check_targets(view, targets, &added)?;
            self.check_walk(view, &ways, Stop::Alias(&key), alias)?;
            for other in directory.aliases.keys() {
                view.walk(other, |_| true).map_err(|_| ChangeError::TooLarge(other.clone()))?;
            }
            (record, ways)
        };
        self.keep_alias(key, record, ways).await
    }

    /// Removes an alias, or only these targets; without any it goes, too.
    pub async fn remove_alias(&self, alias: &str, targets: &[String]) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let key = self.address_key(alias);
        let found = self.read().aliases.get(&key).cloned();
        let (mut record, _) = found.ok_or_else(|| ChangeError::Unknown(alias.to_owned()))?;
        for target in targets {
            // A target may be of a domain that was ours when it was written down.
            let same = |other: &String| fold(other) == fold(target) || self.way(other) == self.way(target);
            if !record.targets.iter().any(same) {
                return Err(ChangeError::NoTarget(target.clone(), alias.to_owned()));
            }
        }
        let goes = |other: &String| {
            targets.iter().any(|target| fold(other) == fold(target) || self.way(other) == self.way(target))
        };
        record.targets.retain(|other| !goes(other));
        if !targets.is_empty() && !record.targets.is_empty() {
            let ways = self.ways(&record.targets);
            return self.keep_alias(key, record, ways).await;
        }
        let intent = Intent::Remove { table: ALIASES, key: Bytes::copy_from_slice(key.as_bytes()) };
        self.store.commit(Commit::of(vec![intent])).await?;
        self.write().aliases.remove(&key);
        Ok(())
    }

    /// Makes a changed account durable, then shows it. `send_out` ends its sessions.
    async fn keep(&self, account: Account, send_out: bool) -> Result<(), ChangeError> {
        self.store.commit(Commit::of(vec![put_account(&account)?])).await?;
        let mut directory = self.write();
        let id = account.id;
        directory.put(account);
        if send_out {
            directory.send_out(id);
        }
        Ok(())
    }

    async fn keep_alias(&self, key: String, alias: Alias, ways: Vec<Way>) -> Result<(), ChangeError> {
        let value = Bytes::from(serde_json::to_vec(&alias)?);
        if value.len() > LONGEST {
            return Err(ChangeError::TooLarge(alias.alias));
        }
        let intent = Intent::Put { table: ALIASES, key: Bytes::copy_from_slice(key.as_bytes()), value };
        self.store.commit(Commit::of(vec![intent])).await?;
        self.write().aliases.insert(key, (alias, ways));
        Ok(())
    }

    fn checked_ways(&self, targets: &[String]) -> Result<Vec<Way>, ChangeError> {
        let way = |target: &String| self.way(target).ok_or_else(|| ChangeError::BadAddress(target.clone()));
        targets.iter().map(way).collect()
    }

    /// What is added has to lead somewhere.
    fn check_targets(&self, view: View<'_>, targets: &[String], ways: &[Way]) -> Result<(), ChangeError> {
        let dangling = |(_, way): &(_, &Way)| matches!(way, Way::Here(key) if view.holder(key).is_none());
        match targets.iter().zip(ways).find(dangling) {
            Some((target, _)) => Err(ChangeError::UnknownTarget(target.clone())),
            None => Ok(()),
        }
    }

    /// Nothing may lead back to where it comes from, nor to more than may be.
    fn check_walk<'d>(
        &self,
        view: View<'d>,
        ways: &'d [Way],
        from: Stop<'d>,
        address: &str,
    ) -> Result<(), ChangeError> {
        let mut circle = false;
        let walked = view.walk_ways(ways, |stop| {
            circle |= stop == from;
            !circle
        });
        match walked {
            _ if circle => Err(ChangeError::Circle(address.to_owned())),
            Err(_) => Err(ChangeError::TooLarge(address.to_owned())),
            Ok(()) => Ok(()),
        }
    }
}

/// What others try first is no password.
fn check_password(password: &Password, account: &Account) -> Result<(), ChangeError> {
    let text = password.expose();
    if text.chars().count() < SHORTEST {
        return Err(ChangeError::ShortPassword(SHORTEST));
    }
    let local = account.address.rsplit_once('@').map_or("", |(local, _)| local);
    let guessed = [&*account.address, &*account.login, local];
    if guessed.iter().any(|guess| login_key(guess) == login_key(text)) {
        return Err(ChangeError::GuessablePassword);
    }
    Ok(())
}

fn put_account(account: &Account) -> Result<Intent, ChangeError> {
    let value = Bytes::from(serde_json::to_vec(account)?);
    if value.len() > LONGEST {
        return Err(ChangeError::TooLarge(account.address.clone()));
    }
    Ok(Intent::Put { table: ACCOUNTS, key: Bytes::copy_from_slice(&account.id.to_be_bytes()), value })
}

/// What a new account has: INBOX, and what mail programs would otherwise make, each under a name of its own.
const MAILBOXES: [(&str, Option<SpecialUse>); 6] = [
    (INBOX, None),
    ("Drafts", Some(SpecialUse::Drafts)),
    ("Sent", Some(SpecialUse::Sent)),
    ("Junk", Some(SpecialUse::Junk)),
    ("Trash", Some(SpecialUse::Trash)),
    ("Archive", Some(SpecialUse::Archive)),
];
/// Characters of a password. NIST SP 800-63B asks for eight.
const SHORTEST: usize = 8;
/// Octets of a signature.
pub(super) const SIGNATURE: usize = 4 << 10;
/// Octets of a record; the store takes no longer ones.
const LONGEST: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_guessable_passwords_are_refused() {
        let account = Account {
            login: "Anna.Long".to_owned(),
            address: "anna.longname@example.test".to_owned(),
            ..Account::default()
        };
        let check = |text: &str| check_password(&Password::new(text.to_owned()).unwrap(), &account);
        assert!(check("correct horse").is_ok());
        assert!(check("ä2345678").is_ok(), "characters count");
        assert!(matches!(check("1234567"), Err(ChangeError::ShortPassword(8))));
        assert!(matches!(check("ä23456ß"), Err(ChangeError::ShortPassword(8))));
        for guess in ["anna.longname@example.test", "ANNA.longname", "anna.long", "\u{ff41}nna.long"] {
            assert!(matches!(check(guess), Err(ChangeError::GuessablePassword)), "{guess}");
        }
    }

    #[test]
    fn records_of_before_there_were_forwards_and_app_passwords_are_read() {
        let old = r#"{"id":3,"login":"a","address":"a@b.test","password":"x"}"#;
        let account: Account = serde_json::from_str(old).unwrap();
        let same = Account {
            id: 3,
            login: "a".to_owned(),
            address: "a@b.test".to_owned(),
            password: "x".to_owned(),
            ..Account::default()
        };
        assert_eq!(account, same);
        let app = r#"{"name":"phone","digest":"00","made":5}"#;
        let app: AppPassword = serde_json::from_str(app).unwrap();
        assert_eq!((app.last_used, app.scram.len()), (None, 0));
    }
}
