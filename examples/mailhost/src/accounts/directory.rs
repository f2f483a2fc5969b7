//! Who has which address: what is held in memory of accounts and aliases, and how an address is followed to its end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use mailstore::mailbox::{AccountId, MailboxId};
use relay_queue::Address;
use sasl_codec::prepare::{Unassigned, prepare};
use sasl_codec::scram::Verifier;

use super::app_password::{AppPassword, Digest};
use super::presence::Door;
use super::{Account, Alias};
use crate::auth::{PasswordHash, Secrets};

/// Accounts and aliases, by all that they are looked up by.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) accounts: BTreeMap<u64, Account>,
    /// What logins are checked against: read once, and shared by all of them.
    pub(super) stored: BTreeMap<u64, Arc<Stored>>,
    /// What is handed out, and thrown away, for names that do not exist.
    pub(super) nobody: Arc<Stored>,
    /// Of accounts that have not been removed.
    pub(super) inboxes: BTreeMap<u64, MailboxId>,
    /// The inboxes of accounts with a quota, and whose they are.
    pub(super) limited: BTreeMap<MailboxId, AccountId>,
    pub(super) logins: BTreeMap<String, u64>,
    pub(super) addresses: BTreeMap<String, u64>,
    pub(super) aliases: BTreeMap<String, (Alias, Vec<Way>)>,
    /// Where accounts send their mail on.
    pub(super) forwards: BTreeMap<u64, Vec<Way>>,
    /// What sessions of an account wait at.
    pub(super) doors: BTreeMap<u64, Arc<Door>>,
    /// What parts a name from what its owner adds to it.
    pub(super) separator: Option<char>,
}

/// What the logins of one account are checked against.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) door: Arc<Door>,
    pub(super) secrets: Secrets,
    /// Its app passwords, each with its name.
    pub(super) apps: Vec<(String, Digest)>,
    /// Their keys for SCRAM, in the same order.
    pub(super) app_keys: Vec<Vec<Verifier>>,
}

/// Where one target of an alias leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// To what is looked up here by this key.
    Here(String),
    /// To another host.
    Elsewhere(Address),
}

/// Something that an address leads to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stop<'d> {
    /// An account. Whether its forwards are followed is up to whoever looks.
    Account(u64),
    /// An alias, by its key.
    Alias(&'d str),
    /// An address of another host.
    Elsewhere(&'d Address),
}

/// An address leads to more than may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TooLarge;

/// A directory, with a change that is not made yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'d> {
    pub(super) directory: &'d Directory,
    /// An alias as it would be.
    pub(super) changed: Option<(&'d str, &'d [Way])>,
}

impl Directory {
    /// Takes an account in that has not been there.
    pub(super) fn set_account(
        &mut self,
        key: String,
        account: Account,
        inbox: Option<MailboxId>,
        forwards: Vec<Way>,
    ) {
        if !account.removed {
            self.logins.insert(login_key(&account.login), account.id);
            self.addresses.insert(key, account.id);
            if let Some(inbox) = inbox {
                self.inboxes.insert(account.id, inbox);
            }
            self.forwards.insert(account.id, forwards);
        }
        self.put(account);
    }

    /// Keeps an account, and what of its passwords can be read.
    pub(super) fn put(&mut self, account: Account) {
        let door = Arc::clone(self.doors.entry(account.id).or_default());
        match Secrets::parse(&account.password, &account.scram) {
            Ok(secrets) => {
                let read = |app: &AppPassword| {
                    Some(((app.name.clone(), app.octets()?), Secrets::parse_keys(&app.scram)))
                };
                let (apps, app_keys) = account.app_passwords.iter().filter_map(read).unzip();
                self.stored.insert(account.id, Arc::new(Stored { door, secrets, apps, app_keys }));
            }
            Err(_) => drop(self.stored.remove(&account.id)),
        }
        self.accounts.insert(account.id, account);
    }

    /// Ends the sessions of an account.
    pub(super) fn send_out(&self, account: u64) {
        if let Some(door) = self.doors.get(&account) {
            door.close();
        }
    }

    pub(super) fn forget(&mut self, account: &Account) {
        self.send_out(account.id);
        self.stored.remove(&account.id);
        self.forwards.remove(&account.id);
        self.logins.remove(&login_key(&account.login));
        self.addresses.retain(|_, id| *id != account.id);
        self.inboxes.remove(&account.id);
    }

    pub(super) const fn view(&self) -> View<'_> {
        View { directory: self, changed: None }
    }

    /// Whose the addresses of a host are that nobody has: the first account's.
    fn first(&self) -> Option<u64> {
        let takes = |id: &&u64| !self.accounts.get(id).is_some_and(Account::refuses_mail);
        self.inboxes.keys().find(takes).or_else(|| self.inboxes.keys().next()).copied()
    }
}

impl Default for Stored {
    /// What no password fits, and as much of it as accounts have.
    fn default() -> Self {
        let scram = Secrets::parse_keys(&NO_KEYS.map(str::to_owned));
        let secrets = Secrets { hash: PasswordHash::default(), scram };
        Self { door: Arc::default(), secrets, apps: Vec::new(), app_keys: Vec::new() }
    }
}

impl Stored {
    /// Which app password has this name.
    pub(super) fn app_named(&self, name: &str) -> Option<usize> {
        self.apps.iter().position(|(app, _)| app.eq_ignore_ascii_case(name))
    }
}

impl<'d> View<'d> {
    /// What has this address: an account or an alias of this very name; else one of the roles that always exist; else whoever has the
    /// name without what is behind a separator; else the catch-all of the domain.
    pub(super) fn holder(&self, key: &str) -> Option<Stop<'d>> {
        self.named(key)
            .or_else(|| self.role(key))
            .or_else(|| self.subaddressed(key))
            .or_else(|| self.named(&catch_all(key)?))
    }

    /// An account or an alias of this very name.
    pub(super) fn named(&self, key: &str) -> Option<Stop<'d>> {
        if let Some((changed, _)) = self.changed.filter(|(changed, _)| *changed == key) {
            return Some(Stop::Alias(changed));
        }
        let alias = self.directory.aliases.get_key_value(key).map(|(key, _)| Stop::Alias(key));
        alias.or_else(|| self.directory.addresses.get(key).copied().map(Stop::Account))
    }

    fn role(&self, key: &str) -> Option<Stop<'d>> {
        // RFC 2142 §5, RFC 5321 §4.5.1: these always exist; the first account answers for the host.
        is_role(key).then(|| self.directory.first()).flatten().map(Stop::Account)
    }

    /// Of several separators the last one counts behind which the rest is somebody's name.
    fn subaddressed(&self, key: &str) -> Option<Stop<'d>> {
        let separator = self.directory.separator?;
        let (local, domain) = key.rsplit_once('@')?;
        // RFC 5321 §4.5.3.1.1 has 64 octets for a local part: what is longer has no more separators that count.
        let places = local.char_indices().rev().filter(|(_, found)| *found == separator);
        places.take(SEPARATORS).filter(|(at, _)| *at > 0).find_map(|(at, _)| {
            let key = format!("{}@{domain}", &local[..at]);
            self.named(&key).or_else(|| self.role(&key))
        })
    }

    fn ways(&self, stop: Stop<'d>) -> &'d [Way] {
        match stop {
            Stop::Alias(key) => match self.changed {
                Some((changed, ways)) if changed == key => ways,
                _ => self.directory.aliases.get(key).map_or(&[], |(_, ways)| ways),
            },
            Stop::Account(id) => self.directory.forwards.get(&id).map_or(&[], Vec::as_slice),
            Stop::Elsewhere(_) => &[],
        }
    }

    /// Goes wherever an address leads; see [`Self::follow`].
    pub(super) fn walk(&self, key: &str, visit: impl FnMut(Stop<'d>) -> bool) -> Result<(), TooLarge> {
        self.follow(self.holder(key).into_iter().map(|stop| (stop, 0)).collect(), visit)
    }

    /// Goes wherever these ways lead; see [`Self::follow`].
    pub(super) fn walk_ways(
        &self,
        ways: &'d [Way],
        visit: impl FnMut(Stop<'d>) -> bool,
    ) -> Result<(), TooLarge> {
        self.follow(ways.iter().filter_map(|way| Some((self.stop(way)?, 1))).collect(), visit)
    }

    fn stop(&self, way: &'d Way) -> Option<Stop<'d>> {
        match way {
            Way::Here(key) => self.holder(key),
            Way::Elsewhere(address) => Some(Stop::Elsewhere(address)),
        }
    }

    /// Shows each stop once, those that are nearer first, and goes on from where `visit` says so. Circles end by themselves. Looks
    /// at no more than [`WORK`] ways, whatever the directory holds.
    fn follow(
        &self,
        mut open: VecDeque<(Stop<'d>, usize)>,
        mut visit: impl FnMut(Stop<'d>) -> bool,
    ) -> Result<(), TooLarge> {
        let (mut seen, mut work) = (BTreeSet::new(), open.len());
        while let Some((stop, depth)) = open.pop_front() {
            if !seen.insert(stop) {
                continue;
            }
            if seen.len() > TARGETS {
                return Err(TooLarge);
            }
            if !visit(stop) {
                continue;
            }
            let ways = self.ways(stop);
            work += ways.len();
            if work > WORK || (depth >= DEPTH && !ways.is_empty()) {
                return Err(TooLarge);
            }
            open.extend(ways.iter().filter_map(|way| Some((self.stop(way)?, depth + 1))));
        }
        Ok(())
    }
}

/// The key of the alias for what nobody has: RFC 5321 allows `*` as a local part, so that no other address is like it.
fn catch_all(key: &str) -> Option<String> {
    key.rsplit_once('@').map(|(_, domain)| format!("{CATCH_ALL}@{domain}"))
}

pub(super) fn is_catch_all(key: &str) -> bool {
    key.rsplit_once('@').is_some_and(|(local, _)| local == CATCH_ALL)
}

fn is_role(key: &str) -> bool {
    matches!(key.rsplit_once('@'), Some((POSTMASTER | ABUSE, _)))
}

pub(super) fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// What a login name is looked up by: those that look alike are one
/// ([RFC 4616 §2](https://www.rfc-editor.org/rfc/rfc4616#section-2)), in whatever case.
pub fn login_key(name: &str) -> String {
    prepare(name, Unassigned::Allowed).map_or_else(|_| fold(name), |name| fold(&name))
}

/// What failed logins are counted under. The names of app passwords behind a login name do not make it another one, and neither does
/// the first domain, for who logs in as `anna` mostly has the address with that name: both count together.
///
/// It follows from the name alone. Were the login name and the address of an account joined by what the account says, then whoever fails
/// with the one and sees the other wait would know that they are there.
pub(super) fn throttle_key(name: &str, first_domain: &str) -> String {
    let mut key = login_key(name);
    if let Some(at) = key.rfind(APP) {
        key.truncate(at);
    }
    if !key.contains('@') {
        key.push('@');
        key.push_str(&fold(first_domain));
    }
    key
}

/// Keys for SCRAM that are handed out for nobody: of no password.
const NO_KEYS: [&str; 2] = [
    "SCRAM-SHA-256$65536:AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\
     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "SCRAM-SHA-1$65536:AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
];
/// `RFC 5321 §4.5.1`: always taken.
pub(super) const POSTMASTER: &str = "postmaster";
const ABUSE: &str = "abuse";
/// The local part that stands for all others.
const CATCH_ALL: &str = "*";
/// What parts a login name from the name of an app password.
pub(super) const APP: char = '/';
/// The most that an address may lead to: accounts, aliases and addresses elsewhere together.
pub(super) const TARGETS: usize = 1_000;
/// How deep aliases may stand for aliases.
pub(super) const DEPTH: usize = 32;
/// How many targets are looked at for one address.
const WORK: usize = 10_000;
const SEPARATORS: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn account(id: u64, name: &str) -> Account {
        Account { id, login: name.to_owned(), address: format!("{name}@a.test"), ..Account::default() }
    }

    fn way(target: &str) -> Way {
        match target.split_once('@') {
            Some((_, "a.test")) => Way::Here(target.to_owned()),
            Some(_) => Way::Elsewhere(Address::new(target).unwrap()),
            None => Way::Here(format!("{target}@a.test")),
        }
    }

    fn directory(accounts: &[&str], aliases: &[(&str, &[&str])]) -> Directory {
        let mut directory = Directory { separator: Some('+'), ..Directory::default() };
        for (id, name) in accounts.iter().enumerate() {
            let inbox = Some(MailboxId::CREATED);
            let account = account(id as u64 + 1, name);
            directory.set_account(account.address.clone(), account, inbox, Vec::new());
        }
        for (alias, targets) in aliases {
            let (alias, targets) = (format!("{alias}@a.test"), targets.iter().map(|target| way(target)));
            let record = Alias { alias: alias.clone(), targets: Vec::new() };
            directory.aliases.insert(alias, (record, targets.collect()));
        }
        directory
    }

    /// The accounts and the addresses elsewhere, in the order of the walk.
    fn ends(directory: &Directory, name: &str) -> Result<Vec<String>, TooLarge> {
        let mut ends = Vec::new();
        directory.view().walk(&format!("{name}@a.test"), |stop| {
            match stop {
                Stop::Account(id) => ends.push(directory.accounts[&id].login.clone()),
                Stop::Elsewhere(address) => ends.push(address.as_str().to_owned()),
                Stop::Alias(_) => {}
            }
            true
        })?;
        Ok(ends)
    }

    #[test]
    fn names_win_over_roles_and_roles_over_subaddresses_and_those_over_the_catch_all() {
        let directory = directory(
            &["anna", "ben", "anna+x"],
            &[("*", &["ben"]), ("list+y", &["anna"]), ("list", &["ben", "c@far.test"])],
        );
        let ends = |name| ends(&directory, name).unwrap();
        assert_eq!(ends("anna"), ["anna"]);
        assert_eq!(ends("anna+tag"), ["anna"]);
        assert_eq!(ends("anna+x"), ["anna+x"], "a name of its own");
        assert_eq!(ends("anna+x+y"), ["anna+x"], "the longest name");
        assert_eq!(ends("anna+y+x"), ["anna"]);
        assert_eq!(ends("list+y"), ["anna"]);
        assert_eq!(ends("list+z"), ["ben", "c@far.test"]);
        assert_eq!(ends("postmaster"), ["anna"]);
        assert_eq!(ends("abuse+spam"), ["anna"]);
        assert_eq!(ends("nobody"), ["ben"]);
        assert_eq!(ends("nobody+tag"), ["ben"]);
        assert_eq!(ends("+tag"), ["ben"], "no name at all before it");
        assert_eq!(ends("*"), ["ben"]);
        // A local part in quotes may hold an @, and be empty.
        assert_eq!(ends("postmaster@b.test"), ["ben"]);
        assert_eq!(ends(""), ["ben"]);
    }

    #[test]
    fn without_a_separator_there_are_no_subaddresses() {
        let mut directory = directory(&["anna"], &[]);
        directory.separator = None;
        assert_eq!(ends(&directory, "anna+tag"), Ok(vec![]));
        directory.separator = Some('-');
        assert_eq!(ends(&directory, "anna+tag"), Ok(vec![]));
        assert_eq!(ends(&directory, "anna-tag"), Ok(vec!["anna".to_owned()]));
    }

    #[test]
    fn circles_end_and_each_end_is_there_once() {
        let directory = directory(
            &["anna", "ben"],
            &[
                ("a", &["b", "anna"]),
                ("b", &["c", "anna", "c+tag"]),
                ("c", &["a", "ben", "x@far.test", "x@FAR.test"]),
                ("self", &["self"]),
            ],
        );
        assert_eq!(ends(&directory, "a").unwrap(), ["anna", "ben", "x@far.test"]);
        assert_eq!(ends(&directory, "self"), Ok(vec![]));
    }

    #[test]
    fn lists_are_bounded_in_depth_and_in_size() {
        let chain = |length: usize| {
            let mut directory = directory(&["anna"], &[]);
            for at in 0..length {
                let target = if at + 1 == length { "anna".to_owned() } else { format!("l{}", at + 1) };
                let record = Alias { alias: String::new(), targets: Vec::new() };
                directory.aliases.insert(format!("l{at}@a.test"), (record, vec![way(&target)]));
            }
            ends(&directory, "l0")
        };
        assert_eq!(chain(DEPTH), Ok(vec!["anna".to_owned()]));
        assert_eq!(chain(DEPTH + 1), Err(TooLarge));
        let wide = |count: usize| {
            let mut directory = directory(&[], &[]);
            let ways = (0..count).map(|at| way(&format!("u{at}@far.test"))).collect();
            let record = Alias { alias: String::new(), targets: Vec::new() };
            directory.aliases.insert("all@a.test".to_owned(), (record, ways));
            ends(&directory, "all").map(|ends| ends.len())
        };
        assert_eq!(wide(TARGETS - 1), Ok(TARGETS - 1));
        assert_eq!(wide(TARGETS), Err(TooLarge), "the alias itself counts");
    }

    /// Everything that can be reached, by the simplest means.
    fn reachable(directory: &Directory, name: &str) -> BTreeSet<String> {
        let (mut found, mut names) = (BTreeSet::new(), BTreeSet::from([format!("{name}@a.test")]));
        loop {
            let before = (found.len(), names.len());
            for name in names.clone() {
                let plain = name.replace("+t", "");
                for (alias, (_, ways)) in &directory.aliases {
                    if *alias != plain {
                        continue;
                    }
                    for way in ways {
                        match way {
                            Way::Here(key) => names.insert(key.clone()),
                            Way::Elsewhere(address) => found.insert(address.as_str().to_owned()),
                        };
                    }
                }
                let id = directory.addresses.get(&plain);
                found.extend(id.map(|id| directory.accounts[id].login.clone()));
            }
            if before == (found.len(), names.len()) {
                return found;
            }
        }
    }

    // `PROPTEST_CASES=100000 cargo test -p mailhost --lib random_graphs` goes through as many as one likes.
    proptest! {
        #[test]
        fn random_graphs_of_aliases_resolve_to_what_can_be_reached(
            graph in prop::collection::vec(prop::collection::vec((0_usize..24, prop::bool::ANY), 0..6), 1..16),
        ) {
            let mut directory = directory(&["u0", "u1", "u2"], &[]);
            for (at, targets) in graph.iter().enumerate() {
                let name = |(target, tag): &(usize, bool)| match target {
                    0..16 => format!("l{target}{}", if *tag { "+t" } else { "" }),
                    16..20 => format!("u{}{}", target - 16, if *tag { "+t" } else { "" }),
                    _ => format!("u{target}@far.test"),
                };
                let ways = targets.iter().map(|target| way(&name(target))).collect();
                let record = Alias { alias: String::new(), targets: Vec::new() };
                directory.aliases.insert(format!("l{at}@a.test"), (record, ways));
            }
            for at in 0..graph.len() {
                let name = format!("l{at}");
                let found = ends(&directory, &name).unwrap();
                let set: BTreeSet<_> = found.iter().cloned().collect();
                prop_assert_eq!(set.len(), found.len(), "each once");
                prop_assert_eq!(set, reachable(&directory, &name));
            }
        }
    }

    #[test]
    fn nobody_has_as_many_keys_as_somebody() {
        let nobody = Stored::default().secrets.scram;
        let hashes: Vec<_> = nobody.iter().map(Verifier::hash).collect();
        let password = crate::auth::Password::new("any".to_owned()).unwrap();
        let somebody = Secrets::scram(&password).unwrap();
        assert_eq!(hashes, somebody.iter().map(Verifier::hash).collect::<Vec<_>>());
    }

    #[test]
    fn app_passwords_and_the_first_domain_do_not_make_another_login() {
        let key = |name| throttle_key(name, "A.test");
        assert_eq!(key("Anna@a.test/phone"), "anna@a.test");
        assert_eq!(key("anna@a.test/x/y"), "anna@a.test/x");
        assert_eq!(key("anna"), "anna@a.test");
        assert_eq!(key("ANNA/phone"), "anna@a.test", "a login name and the address with that name");
        assert_eq!(key("anna@b.test"), "anna@b.test");
    }
}
