//! What an operator is shown of an account.

use mailstore::mailbox::AccountId;
use serde::{Deserialize, Serialize};

use super::directory::Stop;
use super::{Account, Accounts, ChangeError};

/// An account, and what is known of it beside its record.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Overview {
    /// The account, without anything that a password could be guessed against.
    pub account: Account,
    /// Octets of all its messages.
    pub octets: u64,
    /// How many it may have.
    pub most_octets: Option<u64>,
    /// Its messages.
    pub messages: u64,
    /// How many it may have.
    pub most_messages: Option<u64>,
    /// The aliases that lead to it, if that was asked for.
    pub aliases: Vec<String>,
}

impl Accounts {
    /// All accounts that have not been removed.
    pub async fn overviews(&self) -> Vec<Overview> {
        let mut all = Vec::new();
        for account in self.accounts() {
            all.push(self.overview_of(account).await);
        }
        all
    }

    /// The same behind the account with this number, no more than `most`.
    pub async fn overviews_after(&self, after: Option<u64>, most: usize) -> Vec<Overview> {
        let mut all = Vec::new();
        let behind = |account: &Account| after.is_none_or(|after| account.id > after);
        for account in self.accounts().into_iter().filter(behind).take(most) {
            all.push(self.overview_of(account).await);
        }
        all
    }

    /// One account, with its aliases.
    pub async fn overview(&self, address: &str) -> Result<Overview, ChangeError> {
        let account = self.by_address(address)?;
        let id = account.id;
        let mut overview = self.overview_of(account).await;
        let directory = self.read();
        let leads_to_it = |key: &&String| {
            let mut its = false;
            let walked = directory.view().walk(key, |stop| {
                its |= stop == Stop::Account(id);
                matches!(stop, Stop::Alias(_))
            });
            walked.is_ok() && its
        };
        overview.aliases = directory.aliases.keys().filter(leads_to_it).cloned().collect();
        Ok(overview)
    }

    async fn overview_of(&self, account: Account) -> Overview {
        let quota = self.store.quota(AccountId(account.id)).await;
        Overview {
            account: hidden(account),
            octets: quota.used_octets,
            most_octets: quota.limit_octets,
            messages: quota.used_messages,
            most_messages: quota.limit_messages,
            aliases: Vec::new(),
        }
    }
}

impl Account {
    /// Whether it can be used, and where its mail stays.
    pub fn state(&self) -> &'static str {
        match &self.suspended {
            Some(suspension) if suspension.no_mail => "suspended, no mail",
            Some(_) => "suspended",
            None if self.forward.targets.is_empty() => "active",
            None if self.forward.keep => "active, forwards",
            None => "forwards all",
        }
    }
}

/// What goes out of the host holds neither hash nor keys.
pub fn hidden(mut account: Account) -> Account {
    account.password.clear();
    account.scram.clear();
    for app in &mut account.app_passwords {
        app.digest.clear();
        app.scram.clear();
    }
    account
}
