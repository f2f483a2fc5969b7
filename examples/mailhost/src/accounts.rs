//! Accounts and aliases: records in the store, held in memory as well.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::RwLock;

use bytes::Bytes;
use imap_codec::extension::Extension;
use mailstore::mailbox::{AccountId, MailboxId, MailboxStatus, SpecialUse};
use mailstore::message::UnixTime;
use mailstore::{Actor, Commit, Intent};
use relay_queue::Address;
use sasl_codec::ServerSecret;
use sasl_codec::prepare::{Unassigned, prepare};
use sasl_codec::scram::Verifier;
use serde::{Deserialize, Serialize};
use smtp_codec::{Domain, ForwardPath, Mailbox};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::auth::Secrets;
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
    /// One change at a time, from the check to the commit.
    changing: Mutex<()>,
}

/// An account as it is stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
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
}

/// An alias as it is stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Alias {
    /// The address.
    pub alias: String,
    /// The addresses it stands for.
    pub targets: Vec<String>,
}

/// Where the mail for an address goes.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Target {
    /// Into this inbox.
    Inbox(MailboxId),
    /// To an address of another host, which an alias stands for.
    Elsewhere(Address),
}

/// Why an address gets no mail here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unroutable {
    /// It is of a domain that is not ours.
    NotLocal,
    /// Its domain is ours, and nobody has it.
    NoSuchMailbox,
}

/// Why a change was not made.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// The address does not follow the grammar.
    #[error("{0} is not a mail address; write it as name@domain")]
    BadAddress(String),
    /// The address is of a domain that the configuration does not name.
    #[error(
        "{0} is not of a domain of this host; add its domain to `domains` in the configuration, or choose one of: {1}"
    )]
    NotLocal(String, String),
    /// Somebody has the address, or the alias exists.
    #[error("{0} exists already")]
    Exists(String),
    /// Somebody has the login name.
    #[error("the login name {0} is taken; choose another one with --login")]
    LoginTaken(String),
    /// Nobody has it.
    #[error("{0} does not exist; see `mailhost account list` and `mailhost alias list`")]
    Unknown(String),
    /// A target of an alias that leads nowhere.
    #[error(
        "{0} is of a domain of this host, and neither an account nor an alias; add it first with `mailhost account add` or `mailhost alias add`"
    )]
    UnknownTarget(String),
    /// An alias that would lead back to itself.
    #[error("{0} would lead back to itself")]
    Circle(String),
    /// The login name is empty, too long, or holds a space or a control character.
    #[error("{0:?} cannot be a login name; take 1 to 200 characters without spaces")]
    BadLogin(String),
    /// The secret in the store is none.
    #[error("the secret of the host in the store cannot be read; `mailhost verify` looks for damage")]
    BadSecret,
    /// The system gave no random octets.
    #[error("the system gives no random octets")]
    NoRandomness,
    /// The hash of a password is none that this version makes.
    #[error("the hash of the password cannot be read")]
    BadPassword,
    /// The store cannot be read.
    #[error("the accounts cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The store could not keep it.
    #[error("the change could not be stored: {0}")]
    Store(#[from] mailstore::Failure),
    /// What is stored makes no sense.
    #[error("an account or alias in the store cannot be read: {0}")]
    Damaged(#[from] serde_json::Error),
}

#[derive(Debug, Default)]
struct Directory {
    accounts: BTreeMap<u64, Account>,
    /// Read once, not at each login.
    secrets: BTreeMap<u64, Secrets>,
    /// Of accounts that have not been removed.
    inboxes: BTreeMap<u64, MailboxId>,
    /// The inboxes of accounts with a quota, and whose they are.
    limited: BTreeMap<MailboxId, AccountId>,
    logins: BTreeMap<String, u64>,
    addresses: BTreeMap<String, u64>,
    aliases: BTreeMap<String, (Alias, Vec<Way>)>,
}

/// Where one target of an alias leads.
#[derive(Debug)]
enum Way {
    /// To what is looked up here by this key.
    Here(String),
    /// To another host.
    Elsewhere(Address),
}

impl Accounts {
    /// Reads what the store holds.
    pub async fn load(
        store: Store,
        hostname: Domain<'static>,
        domains: Vec<Domain<'static>>,
    ) -> Result<Self, ChangeError> {
        let mut directory = Directory::default();
        for (_, value) in store.table(ACCOUNTS).await? {
            let account: Account = serde_json::from_slice(&value)?;
            let inbox = find_inbox(&store, account.id).await;
            let quota = store.quota(AccountId(account.id)).await;
            if quota.limit_octets.is_some() || quota.limit_messages.is_some() {
                directory.limited.extend(inbox.map(|inbox| (inbox, AccountId(account.id))));
            }
            directory.set_account(account, inbox);
        }
        let aliases = store.table(ALIASES).await?;
        let secret = load_secret(&store).await?;
        let domains = RwLock::new(domains);
        let (directory_lock, changing) = (RwLock::default(), Mutex::new(()));
        let mut this = Self { store, hostname, domains, directory: directory_lock, secret, changing };
        for (_, value) in aliases {
            let alias: Alias = serde_json::from_slice(&value)?;
            // Which domains are ours is up to the configuration, and may have changed.
            let ways = alias.targets.iter().filter_map(|target| this.way(target)).collect();
            directory.aliases.insert(fold(&alias.alias), (alias, ways));
        }
        this.directory = RwLock::new(directory);
        Ok(this)
    }

    /// Where the mail for a recipient goes.
    pub fn route(&self, to: &ForwardPath<'_>) -> Result<BTreeSet<Target>, Unroutable> {
        let key = match to {
            // RFC 5321 §4.5.1: "postmaster" without a domain is always taken.
            ForwardPath::Postmaster => self.in_first_domain(POSTMASTER),
            ForwardPath::Mailbox(mailbox) => self.key(mailbox).ok_or(Unroutable::NotLocal)?,
        };
        let directory = self.directory.read().expect("nobody panics under this lock");
        let targets = directory.resolve(&key);
        if targets.is_empty() { Err(Unroutable::NoSuchMailbox) } else { Ok(targets) }
    }

    /// The account with this login name, or else with this address, and what is stored of its password. A mail program that sets
    /// itself up knows the address alone.
    pub fn login(&self, name: &str) -> Option<(u64, Secrets)> {
        let directory = self.directory.read().expect("nobody panics under this lock");
        let key = login_key(name);
        let account = *directory.logins.get(&key).or_else(|| directory.addresses.get(&key))?;
        Some((account, directory.secrets.get(&account)?.clone()))
    }

    /// What answers about login names that do not exist follow from.
    pub fn secret(&self) -> &ServerSecret {
        &self.secret
    }

    /// Adds the keys for SCRAM to an account that has none, unless its password has changed meanwhile.
    pub async fn add_scram(&self, id: u64, of: &Secrets, scram: Vec<Verifier>) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let found = self.directory.read().expect("nobody panics under this lock").accounts.get(&id).cloned();
        let Some(mut account) = found.filter(|account| account.password == of.hash.as_str()) else {
            return Ok(());
        };
        account.scram = scram.iter().map(Verifier::encode).collect();
        self.store.commit(Commit::of(vec![put_account(&account)?])).await?;
        self.write().put(account);
        Ok(())
    }

    /// The inbox of an account.
    pub fn inbox(&self, account: u64) -> Option<MailboxId> {
        self.directory.read().expect("nobody panics under this lock").inboxes.get(&account).copied()
    }

    /// Whether a login may send as this address: its own, or an alias that leads to it.
    pub fn may_send_as(&self, account: u64, from: &Mailbox<'_>) -> bool {
        let Some(key) = self.key(from) else { return false };
        let Some(inbox) = self.inbox(account) else { return false };
        let directory = self.directory.read().expect("nobody panics under this lock");
        directory.resolve(&key).contains(&Target::Inbox(inbox))
    }

    /// All accounts that have not been removed.
    pub fn accounts(&self) -> Vec<Account> {
        let directory = self.directory.read().expect("nobody panics under this lock");
        directory.accounts.values().filter(|account| !account.removed).cloned().collect()
    }

    /// All aliases.
    pub fn aliases(&self) -> Vec<Alias> {
        let directory = self.directory.read().expect("nobody panics under this lock");
        directory.aliases.values().map(|(alias, _)| alias.clone()).collect()
    }

    /// Adds an account with an inbox, or takes one up again that was removed.
    pub async fn add(
        &self,
        address: &str,
        login: Option<&str>,
        password: &Secrets,
    ) -> Result<Account, ChangeError> {
        let _changing = self.changing.lock().await;
        let key = self.local(address)?;
        let login = login.unwrap_or(address);
        if login.is_empty() || login.len() > 200 || login.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(ChangeError::BadLogin(login.to_owned()));
        }
        let (account, old) = {
            let directory = self.directory.read().expect("nobody panics under this lock");
            if directory.addresses.contains_key(&key) || directory.aliases.contains_key(&key) {
                return Err(ChangeError::Exists(address.to_owned()));
            }
            if directory.logins.contains_key(&login_key(login)) {
                return Err(ChangeError::LoginTaken(login.to_owned()));
            }
            let old = directory.accounts.values().find(|old| old.removed && fold(&old.address) == key);
            let next = directory.accounts.keys().next_back().map_or(1, |last| last + 1);
            let account = Account {
                id: old.map_or(next, |old| old.id),
                login: login.to_owned(),
                address: address.to_owned(),
                password: password.hash.as_str().to_owned(),
                scram: password.scram_texts(),
                imap_without: Vec::new(),
                removed: false,
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
        self.write().set_account(account.clone(), inbox);
        Ok(account)
    }

    /// Removes an account. Its mail is kept unless `purge`. Gives the aliases that now lead nowhere.
    pub async fn remove(&self, address: &str, purge: bool) -> Result<Vec<String>, ChangeError> {
        let _changing = self.changing.lock().await;
        let mut account = self.by_address(address)?;
        account.removed = true;
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
            intents
        } else {
            vec![put_account(&account)?]
        };
        self.store.commit(Commit::of(intents)).await?;
        let mut directory = self.write();
        directory.forget(&account);
        if purge {
            directory.accounts.remove(&account.id);
        } else {
            directory.accounts.insert(account.id, account);
        }
        let dangling = directory.aliases.keys().filter(|alias| directory.resolve(alias).is_empty());
        Ok(dangling.cloned().collect())
    }

    /// Sets a new password.
    pub async fn set_password(&self, address: &str, password: &Secrets) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let mut account = self.by_address(address)?;
        account.password = password.hash.as_str().to_owned();
        account.scram = password.scram_texts();
        self.store.commit(Commit::of(vec![put_account(&account)?])).await?;
        self.write().put(account);
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

    /// Whether there is room for one more message in this inbox.
    pub async fn has_room(&self, inbox: MailboxId) -> bool {
        let limited = {
            let directory = self.directory.read().expect("nobody panics under this lock");
            directory.limited.get(&inbox).copied()
        };
        // Only who has a limit costs a question.
        let Some(account) = limited else { return true };
        self.store.quota(account).await.allows(1, 1)
    }

    /// Switches capabilities of IMAP off for an account, and all others on.
    pub async fn set_imap_without(&self, address: &str, without: &[Extension]) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let mut account = self.by_address(address)?;
        account.imap_without = without.iter().map(|extension| extension.as_str().to_owned()).collect();
        self.store.commit(Commit::of(vec![put_account(&account)?])).await?;
        self.write().put(account);
        Ok(())
    }

    /// The capabilities of IMAP that an account does not have.
    pub fn imap_without(&self, account: u64) -> Vec<Extension> {
        let directory = self.directory.read().expect("nobody panics under this lock");
        let account = directory.accounts.get(&account);
        let words = account.into_iter().flat_map(|account| &account.imap_without);
        words.filter_map(|word| Extension::from_word(word)).collect()
    }

    /// Adds an alias.
    pub async fn add_alias(&self, alias: &str, targets: &[String]) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let key = self.local(alias)?;
        let mut ways = Vec::with_capacity(targets.len());
        {
            let directory = self.directory.read().expect("nobody panics under this lock");
            if directory.addresses.contains_key(&key) || directory.aliases.contains_key(&key) {
                return Err(ChangeError::Exists(alias.to_owned()));
            }
            for target in targets {
                let way = self.way(target).ok_or_else(|| ChangeError::BadAddress(target.clone()))?;
                match &way {
                    Way::Here(of) if *of == key => return Err(ChangeError::Circle(alias.to_owned())),
                    // Aliases are only ever added on top of what leads somewhere, so that there are no circles.
                    Way::Here(of) if directory.resolve(of).is_empty() => {
                        return Err(ChangeError::UnknownTarget(target.clone()));
                    }
                    Way::Here(_) | Way::Elsewhere(_) => ways.push(way),
                }
            }
        }
        let alias = Alias { alias: alias.to_owned(), targets: targets.to_vec() };
        let value = Bytes::from(serde_json::to_vec(&alias)?);
        let intent = Intent::Put { table: ALIASES, key: Bytes::copy_from_slice(key.as_bytes()), value };
        self.store.commit(Commit::of(vec![intent])).await?;
        self.write().aliases.insert(key, (alias, ways));
        Ok(())
    }

    /// Removes an alias.
    pub async fn remove_alias(&self, alias: &str) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        let key = fold(alias);
        if !self.directory.read().expect("nobody panics under this lock").aliases.contains_key(&key) {
            return Err(ChangeError::Unknown(alias.to_owned()));
        }
        let intent = Intent::Remove { table: ALIASES, key: Bytes::copy_from_slice(key.as_bytes()) };
        self.store.commit(Commit::of(vec![intent])).await?;
        self.write().aliases.remove(&key);
        Ok(())
    }

    /// Other domains are ours from now on.
    pub fn set_domains(&self, domains: Vec<Domain<'static>>) {
        *self.domains.write().expect("nobody panics under this lock") = domains;
        let mut directory = self.write();
        for (alias, ways) in directory.aliases.values_mut() {
            *ways = alias.targets.iter().filter_map(|target| self.way(target)).collect();
        }
    }

    fn domains(&self) -> std::sync::RwLockReadGuard<'_, Vec<Domain<'static>>> {
        self.domains.read().expect("nobody panics under this lock")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Directory> {
        self.directory.write().expect("nobody panics under this lock")
    }

    fn by_address(&self, address: &str) -> Result<Account, ChangeError> {
        let directory = self.directory.read().expect("nobody panics under this lock");
        let id = directory.addresses.get(&fold(address));
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

    /// Where a target of an alias leads; `None` if it is no address.
    fn way(&self, target: &str) -> Option<Way> {
        let mailbox = Mailbox::parse(target).ok()?;
        match self.key(&mailbox) {
            Some(key) => Some(Way::Here(key)),
            None => Address::new(target).ok().map(Way::Elsewhere),
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
        fold(&format!("{local}@{}", self.domains().first().unwrap_or(&self.hostname)))
    }
}

impl Directory {
    fn set_account(&mut self, account: Account, inbox: Option<MailboxId>) {
        if !account.removed {
            self.logins.insert(login_key(&account.login), account.id);
            self.addresses.insert(fold(&account.address), account.id);
            if let Some(inbox) = inbox {
                self.inboxes.insert(account.id, inbox);
            }
        }
        self.put(account);
    }

    /// Keeps an account, and what of its password can be read.
    fn put(&mut self, account: Account) {
        match Secrets::parse(&account.password, &account.scram) {
            Ok(secrets) => self.secrets.insert(account.id, secrets),
            Err(_) => self.secrets.remove(&account.id),
        };
        self.accounts.insert(account.id, account);
    }

    fn forget(&mut self, account: &Account) {
        self.secrets.remove(&account.id);
        self.logins.remove(&login_key(&account.login));
        self.addresses.remove(&fold(&account.address));
        self.inboxes.remove(&account.id);
    }

    /// What is behind an address, each once.
    fn resolve(&self, key: &str) -> BTreeSet<Target> {
        let (mut found, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![key]);
        while let Some(key) = open.pop() {
            if !seen.insert(key) {
                continue;
            }
            for way in self.aliases.get(key).map_or(&[][..], |(_, ways)| ways) {
                match way {
                    Way::Here(key) => open.push(key),
                    Way::Elsewhere(address) => {
                        found.insert(Target::Elsewhere(address.clone()));
                    }
                }
            }
            found.extend(self.addresses.get(key).and_then(|id| self.inbox(*id)));
        }
        if found.is_empty() && is_role(key) && !self.aliases.contains_key(key) {
            // RFC 2142 §5, RFC 5321 §4.5.1: these always exist; the first account answers for the host.
            found.extend(self.inboxes.keys().next().and_then(|id| self.inbox(*id)));
        }
        found
    }

    fn inbox(&self, account: u64) -> Option<Target> {
        self.inboxes.get(&account).copied().map(Target::Inbox)
    }
}

async fn find_inbox(store: &Store, account: u64) -> Option<MailboxId> {
    store.find(Actor::Host, AccountId(account), INBOX).await
}

fn put_account(account: &Account) -> Result<Intent, ChangeError> {
    let value = Bytes::from(serde_json::to_vec(account)?);
    Ok(Intent::Put { table: ACCOUNTS, key: Bytes::copy_from_slice(&account.id.to_be_bytes()), value })
}

fn is_role(key: &str) -> bool {
    matches!(key.split_once('@'), Some((POSTMASTER | ABUSE, _)))
}

/// Reads the secret, or makes one: it stays the same over restarts, since the answers that follow from it have to.
async fn load_secret(store: &Store) -> Result<ServerSecret, ChangeError> {
    if let Some((_, value)) = store.table(SECRET).await?.first() {
        return value.as_ref().try_into().map(ServerSecret::new).map_err(|_| ChangeError::BadSecret);
    }
    let mut random = [0; 32];
    store.system().fill_random(&mut random).map_err(|_| ChangeError::NoRandomness)?;
    let (key, value) = (Bytes::from_static(b"scram"), Bytes::copy_from_slice(&random));
    store.commit(Commit::of(vec![Intent::Put { table: SECRET, key, value }])).await?;
    Ok(ServerSecret::new(random))
}

fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// What a login name is looked up by: those that look alike are one
/// ([RFC 4616 §2](https://www.rfc-editor.org/rfc/rfc4616#section-2)), in whatever case.
pub fn login_key(name: &str) -> String {
    prepare(name, Unassigned::Allowed).map_or_else(|_| fold(name), |name| fold(&name))
}

/// The mailbox that everybody has.
pub const INBOX: &str = "INBOX";
/// What a new account has: INBOX, and what mail programs would otherwise make, each under a name of its own.
const MAILBOXES: [(&str, Option<SpecialUse>); 6] = [
    (INBOX, None),
    ("Drafts", Some(SpecialUse::Drafts)),
    ("Sent", Some(SpecialUse::Sent)),
    ("Junk", Some(SpecialUse::Junk)),
    ("Trash", Some(SpecialUse::Trash)),
    ("Archive", Some(SpecialUse::Archive)),
];
const POSTMASTER: &str = "postmaster";
const ABUSE: &str = "abuse";
const ACCOUNTS: u16 = 1;
const ALIASES: u16 = 2;
/// Below it are the tables of the queue.
const SECRET: u16 = 6;
