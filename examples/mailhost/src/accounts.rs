//! Accounts and aliases: records in the store, held in memory as well.
//!
//! | file | |
//! |---|---|
//! | `directory` | who has which address, and where aliases lead |
//! | `route` | where mail goes, and who may send as whom |
//! | `srs` | the senders of what is forwarded |
//! | `change` | every change, from the check to the commit |
//! | `app_password` | passwords for one device each |
//! | `presence` | sessions that end with what they were let in by |
//! | `overview` | what an operator is shown |

pub mod app_password;
mod change;
mod directory;
mod error;
mod overview;
mod presence;
mod route;
pub mod srs;

use std::sync::{Arc, RwLock};

use bytes::Bytes;
use imap_codec::extension::Extension;
use mailstore::mailbox::{AccountId, MailboxId};
use mailstore::{Actor, Commit, Intent};
use sasl_codec::ServerSecret;
use sasl_codec::scram::Verifier;
use serde::{Deserialize, Serialize};
use smtp_codec::{Domain, Mailbox};
use tokio::sync::{Mutex, MutexGuard};

use self::app_password::{AppPassword, Digest};
pub use self::directory::login_key;
use self::directory::{APP, Directory, Stored, Way, fold, throttle_key};
pub use self::error::ChangeError;
pub use self::overview::{Overview, hidden};
pub use self::presence::Presence;
pub use self::route::{Target, Unroutable};
use self::srs::Srs;
use crate::auth::PasswordHash;
use crate::config::Config;
use crate::store::Store;

/// Who has mail here, and under which addresses.
#[derive(Debug)]
pub struct Accounts {
    store: Store,
    /// The host's own name and the domains; all are one and the same where addresses are looked up.
    hostname: Domain<'static>,
    domains: RwLock<Vec<Domain<'static>>>,
    directory: RwLock<Directory>,
    secret: ServerSecret,
    srs: Srs,
    /// One change at a time, from the check to the commit.
    changing: Mutex<()>,
    /// One import at a time.
    importing: Mutex<()>,
}

/// An account as it is stored. What came with later versions is not in old records.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Account {
    /// What its mailboxes hang on; never used twice.
    pub id: u64,
    /// The name to log in with.
    pub login: String,
    /// Its first address.
    pub address: String,
    /// The hash of its password.
    pub password: String,
    /// The keys for SCRAM; none in records of before there were any, until the next login that sends the password.
    #[serde(default)]
    pub scram: Vec<String>,
    /// Capabilities of IMAP that are switched off for it, as CAPABILITY has them.
    #[serde(default)]
    pub imap_without: Vec<String>,
    /// Removed, with its mail kept: the same address can be taken up again.
    #[serde(default)]
    pub removed: bool,
    /// Where its mail is sent on.
    #[serde(default)]
    pub forward: Forward,
    /// Passwords for one device each.
    #[serde(default)]
    pub app_passwords: Vec<AppPassword>,
    /// Nobody may log in.
    #[serde(default)]
    pub suspended: Option<Suspension>,
    /// What stands below what it writes on the web, its lines ending in LF.
    #[serde(default)]
    pub signature: String,
}

/// Where the mail of an account is sent on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Forward {
    /// The addresses; none if it stays here.
    pub targets: Vec<String>,
    /// Whether it stays here as well.
    pub keep: bool,
}

/// That nobody may log in to an account for now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Suspension {
    /// Why, for whoever runs the host: nobody else is told.
    pub reason: Option<String>,
    /// Whether its mail is put off, too.
    pub no_mail: bool,
    /// Since when, in seconds of Unix.
    pub since: i64,
}

/// An alias as it is stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Alias {
    /// The address.
    pub alias: String,
    /// The addresses it stands for.
    pub targets: Vec<String>,
}

/// What a login is checked against.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it gives, if it is right.
    pub presence: Presence,
    stored: Arc<Stored>,
    /// Which of its app passwords the login names.
    named: Option<usize>,
}

impl Account {
    /// Whether its mail is put off.
    pub fn refuses_mail(&self) -> bool {
        self.suspended.as_ref().is_some_and(|suspension| suspension.no_mail)
    }
}

impl Found {
    /// The hash of the password; `None` under the name of an app password, which nothing but that one opens.
    pub fn hash(&self) -> Option<&PasswordHash> {
        self.named.is_none().then_some(&self.stored.secrets.hash)
    }

    /// The keys for SCRAM.
    pub fn scram(&self) -> &[Verifier] {
        self.named.map_or(&self.stored.secrets.scram, |at| &self.stored.app_keys[at])
    }

    /// The name of the app password that the login names.
    pub fn named(&self) -> Option<&str> {
        self.named.map(|at| self.stored.apps[at].0.as_str())
    }

    /// The app password that has this digest.
    pub fn app_password(&self, digest: &Digest) -> Option<&str> {
        let apps = &self.stored.apps;
        app_password::find(self.named.map_or(apps, |at| &apps[at..=at]), digest)
    }

    /// The same work for a name that does not exist.
    pub fn no_app_password(digest: &Digest) {
        std::hint::black_box(app_password::find(&[], digest));
    }
}

impl Accounts {
    /// Reads what the store holds, for a host with this configuration.
    pub async fn of(store: Store, config: &Config) -> Result<Self, ChangeError> {
        let accounts = Self::load(store, config.hostname.clone(), config.domains.clone()).await?;
        Ok(accounts.separated_by(config.subaddress_separator))
    }

    /// Reads what the store holds.
    pub async fn load(
        store: Store,
        hostname: Domain<'static>,
        domains: Vec<Domain<'static>>,
    ) -> Result<Self, ChangeError> {
        let accounts = store.table(ACCOUNTS).await?;
        let aliases = store.table(ALIASES).await?;
        let secret = ServerSecret::new(load_secret(&store, SCRAM_KEY).await?);
        let srs = Srs::new(load_secret(&store, SRS_KEY).await?);
        let (directory, changing, importing) = (RwLock::default(), Mutex::new(()), Mutex::new(()));
        let domains = RwLock::new(domains);
        let mut this = Self { store, hostname, domains, directory, secret, srs, changing, importing };
        let mut directory = Directory { separator: Some(SEPARATOR), ..Directory::default() };
        for (_, value) in accounts {
            let account: Account = serde_json::from_slice(&value)?;
            let inbox = find_inbox(&this.store, account.id).await;
            let quota = this.store.quota(AccountId(account.id)).await;
            if quota.limit_octets.is_some() || quota.limit_messages.is_some() {
                directory.limited.extend(inbox.map(|inbox| (inbox, AccountId(account.id))));
            }
            let forwards = this.ways(&account.forward.targets);
            directory.set_account(this.address_key(&account.address), account, inbox, forwards);
        }
        for (_, value) in aliases {
            let alias: Alias = serde_json::from_slice(&value)?;
            let ways = this.ways(&alias.targets);
            directory.aliases.insert(this.address_key(&alias.alias), (alias, ways));
        }
        this.directory = RwLock::new(directory);
        Ok(this)
    }

    /// What parts the name of an address from what its owner adds to it, as in `anna+lists@example.test`: `+` unless this says
    /// otherwise, and `None` if nothing does ([RFC 5233 §4](https://www.rfc-editor.org/rfc/rfc5233#section-4)).
    pub fn separated_by(self, separator: Option<char>) -> Self {
        self.write().separator = separator;
        self
    }

    /// What a login under this name is checked against: the login name of an account, or else its address, for a mail program that
    /// sets itself up knows that alone; or the login name with the name of one of its app passwords behind a slash.
    ///
    /// Whether the name exists does not show in how long this takes: all that is looked up for one that does is looked up for one
    /// that does not, and nothing that an account has is read or copied.
    pub fn login(&self, name: &str) -> Option<Found> {
        let (found, exists) = self.look_up(name);
        exists.then_some(found)
    }

    /// The same, with keys that nobody has for a name that does not exist; whether it does stands beside it.
    pub fn look_up(&self, name: &str) -> (Found, bool) {
        let directory = self.read();
        let key = login_key(name);
        let find = |name: &str| {
            let (login, address) = (directory.logins.get(name), directory.addresses.get(name));
            login.or(address).copied()
        };
        let (whole, app) = (find(&key), key.rsplit_once(APP).map(|(login, app)| (find(login), app)));
        let id = whole.or_else(|| app.and_then(|(id, _)| id));
        let (id, exists) = (id.unwrap_or(NOBODY), id.is_some());
        let stored = directory.stored.get(&id);
        let (stored, exists) = (stored.unwrap_or(&directory.nobody), exists & stored.is_some());
        let named = app.filter(|_| whole.is_none()).map(|(_, app)| stored.app_named(app));
        let exists = exists & named.is_none_or(|at| at.is_some());
        let found =
            Found { presence: stored.door.enter(id), stored: Arc::clone(stored), named: named.flatten() };
        (found, exists)
    }

    /// What failed logins under this name are counted under, whether it exists or not.
    pub fn throttle_key(&self, name: &str) -> String {
        throttle_key(name, self.first_domain().as_str())
    }

    /// Whether nobody may log in to an account for now. Only who has the right password may be told.
    pub fn is_suspended(&self, account: u64) -> bool {
        self.read().accounts.get(&account).is_some_and(|account| account.suspended.is_some())
    }

    /// Waits until no other import goes on: one that looks at what is there while another stores the same would bring it twice.
    pub(crate) async fn import_alone(&self) -> MutexGuard<'_, ()> {
        self.importing.lock().await
    }

    /// What answers about login names that do not exist follow from.
    pub fn secret(&self) -> &ServerSecret {
        &self.secret
    }

    /// The inbox of an account.
    pub fn inbox(&self, account: u64) -> Option<MailboxId> {
        self.read().inboxes.get(&account).copied()
    }

    /// An account that has not been removed.
    pub fn account(&self, id: u64) -> Option<Account> {
        self.read().accounts.get(&id).filter(|account| !account.removed).cloned()
    }

    /// All accounts that have not been removed.
    pub fn accounts(&self) -> Vec<Account> {
        self.read().accounts.values().filter(|account| !account.removed).cloned().collect()
    }

    /// What stands below what an account writes on the web, its lines ending in LF; empty if nothing does.
    pub fn signature(&self, account: u64) -> String {
        self.read().accounts.get(&account).map(|account| account.signature.clone()).unwrap_or_default()
    }

    /// All aliases.
    pub fn aliases(&self) -> Vec<Alias> {
        self.read().aliases.values().map(|(alias, _)| alias.clone()).collect()
    }

    /// Whether there is room for one more message in this inbox.
    pub async fn has_room(&self, inbox: MailboxId) -> bool {
        let limited = self.read().limited.get(&inbox).copied();
        // Only who has a limit costs a question.
        let Some(account) = limited else { return true };
        self.store.quota(account).await.allows(1, 1)
    }

    /// The capabilities of IMAP that an account does not have.
    pub fn imap_without(&self, account: u64) -> Vec<Extension> {
        let directory = self.read();
        let account = directory.accounts.get(&account);
        let words = account.into_iter().flat_map(|account| &account.imap_without);
        words.filter_map(|word| Extension::from_word(word)).collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Directory> {
        self.directory.read().expect("nobody panics under this lock")
    }

    /// Goes by another configuration: other domains may be ours, and then addresses are looked up by other keys.
    pub fn change(&self, config: &Config) {
        self.domains.write().expect("nobody panics under this lock").clone_from(&config.domains);
        let mut directory = self.write();
        directory.separator = config.subaddress_separator;
        let there = directory.accounts.values().filter(|account| !account.removed);
        let addresses =
            there.clone().map(|account| (self.address_key(&account.address), account.id)).collect();
        let forwards = there.map(|account| (account.id, self.ways(&account.forward.targets))).collect();
        let aliases = directory
            .aliases
            .values()
            .map(|(alias, _)| (self.address_key(&alias.alias), (alias.clone(), self.ways(&alias.targets))));
        let aliases = aliases.collect();
        (directory.addresses, directory.forwards, directory.aliases) = (addresses, forwards, aliases);
    }

    fn domains(&self) -> std::sync::RwLockReadGuard<'_, Vec<Domain<'static>>> {
        self.domains.read().expect("nobody panics under this lock")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Directory> {
        self.directory.write().expect("nobody panics under this lock")
    }

    fn by_address(&self, address: &str) -> Result<Account, ChangeError> {
        let key = self.address_key(address);
        let directory = self.read();
        let id = directory.addresses.get(&key);
        let account = id.and_then(|id| directory.accounts.get(id)).cloned();
        account.ok_or_else(|| ChangeError::Unknown(address.to_owned()))
    }

    /// The key of an address that has to be one of ours.
    fn local(&self, address: &str) -> Result<String, ChangeError> {
        let mailbox = Mailbox::parse(address).map_err(|_| ChangeError::BadAddress(address.to_owned()))?;
        self.key(&mailbox).ok_or_else(|| {
            let domains = self.domains();
            let domains: Vec<_> = domains.iter().map(Domain::as_str).collect();
            ChangeError::NotLocal(address.to_owned(), domains.join(", "))
        })
    }

    /// What an address of the store is kept under: one of a domain that is ours no more, under its own text.
    fn address_key(&self, address: &str) -> String {
        self.local(address).unwrap_or_else(|_| fold(address))
    }

    /// Where targets lead, but for those that are no addresses. Which domains are ours is up to the configuration, and may have
    /// changed since they were written down.
    fn ways(&self, targets: &[String]) -> Vec<Way> {
        targets.iter().filter_map(|target| self.way(target)).collect()
    }

    /// Where a target of an alias leads; `None` if it is no address.
    fn way(&self, target: &str) -> Option<Way> {
        let mailbox = Mailbox::parse(target).ok()?;
        match self.key(&mailbox) {
            Some(key) => Some(Way::Here(key)),
            None => relay_queue::Address::new(target).ok().map(Way::Elsewhere),
        }
    }

    /// What an address is looked up by; `None` if its domain is not ours.
    fn key(&self, mailbox: &Mailbox<'_>) -> Option<String> {
        let domain = mailbox.domain();
        // RFC 5321 §2.4: the local part may tell upper from lower case; here it does not.
        let local = mailbox.local_part_unquoted();
        if self.domains().iter().any(|ours| ours.eq_ignore_ascii_case(domain.as_str())) {
            Some(fold(&format!("{local}@{domain}")))
        } else if self.hostname.eq_ignore_ascii_case(domain.as_str()) {
            Some(self.in_first_domain(&local))
        } else {
            None
        }
    }

    fn in_first_domain(&self, local: &str) -> String {
        fold(&format!("{local}@{}", self.first_domain()))
    }

    fn first_domain(&self) -> Domain<'static> {
        self.domains().first().unwrap_or(&self.hostname).clone()
    }
}

async fn find_inbox(store: &Store, account: u64) -> Option<MailboxId> {
    store.find(Actor::Host, AccountId(account), INBOX).await
}

/// Reads a secret, or makes one: it stays the same over restarts, since what follows from it has to.
async fn load_secret(store: &Store, key: &'static [u8]) -> Result<[u8; 32], ChangeError> {
    let all = store.table(SECRET).await?;
    if let Some((_, value)) = all.iter().find(|(found, _)| found == key) {
        return value.as_ref().try_into().map_err(|_| ChangeError::BadSecret);
    }
    let mut random = [0; 32];
    store.system().fill_random(&mut random).map_err(|_| ChangeError::NoRandomness)?;
    let (key, value) = (Bytes::from_static(key), Bytes::copy_from_slice(&random));
    store.commit(Commit::of(vec![Intent::Put { table: SECRET, key, value }])).await?;
    Ok(random)
}

/// The mailbox that everybody has.
pub const INBOX: &str = "INBOX";
const SEPARATOR: char = '+';
const ACCOUNTS: u16 = 1;
/// No account has this number: they begin with 1.
const NOBODY: u64 = 0;
const ALIASES: u16 = 2;
/// Below it are the tables of the queue.
const SECRET: u16 = 6;
/// Version 0.1 takes the first key of the table, whatever its name: this one has to stay that.
const SCRAM_KEY: &[u8] = b"scram";
const SRS_KEY: &[u8] = b"srs";
