//! Accounts without a host around them.

use std::sync::Arc;

use mailhost::accounts::app_password::AppPassword;
use mailhost::accounts::{Accounts, ChangeError, Presence};
use mailhost::auth::{Authenticator, Password, Secrets};
use mailhost::store::{Opening, Store};
use mailhost::system::Machine;
use mailstore::mailbox::AccountId;
use smtp_codec::Domain;

use crate::support::Folder;

const ANNA: &str = "anna@example.test";

async fn open(folder: &Folder) -> (Store, Accounts) {
    let limits = mailstore::Limits::default();
    let (store, _) =
        Store::open(Arc::new(Machine), &folder.path("mail"), limits, Opening::Usual).await.unwrap();
    let domain = |name| Domain::parse(name).unwrap();
    let load = Accounts::load(store.clone(), domain("mail.example.test"), vec![domain("example.test")]);
    let accounts = load.await.unwrap();
    (store, accounts)
}

fn word(text: &str) -> Password {
    Password::new(text.to_owned()).unwrap()
}

/// Whether this is the password.
async fn fits(accounts: &Accounts, password: &str) -> bool {
    let hash = accounts.login(ANNA).unwrap().hash().unwrap().clone();
    let peer = std::net::Ipv4Addr::LOCALHOST.into();
    let authenticator = Authenticator::with(Arc::new(Machine), 1, hash.clone());
    authenticator.login(peer, ANNA, Some(hash), word(password)).await == mailhost::auth::Login::Accepted
}

fn enter(accounts: &Accounts) -> Presence {
    accounts.login(ANNA).unwrap().presence
}

#[tokio::test]
async fn an_owner_changes_the_password_to_one_that_is_not_guessed() {
    let folder = Folder::new();
    let (store, accounts) = open(&folder).await;
    accounts.add(ANNA, Some("anna"), &Secrets::new(&word("old password")).unwrap()).await.unwrap();
    let presence = enter(&accounts);
    let id = presence.account();
    for (bad, why) in [
        ("short", "the password is too short; take at least 8 characters"),
        (ANNA, "the password is the address or the login name; take one that nobody can guess"),
    ] {
        let error = accounts.change_own_password(id, &word(bad)).await.unwrap_err();
        assert_eq!(error.to_string(), why);
    }
    assert!(!presence.is_over() && fits(&accounts, "old password").await);
    accounts.change_own_password(id, &word("new password")).await.unwrap();
    assert!(presence.is_over() && !enter(&accounts).is_over());
    assert!(fits(&accounts, "new password").await && !fits(&accounts, "old password").await);
    store.close().await;
    let (store, accounts) = open(&folder).await;
    assert!(fits(&accounts, "new password").await);
    accounts.remove(ANNA, false).await.unwrap();
    let error = accounts.change_own_password(id, &word("new password")).await.unwrap_err();
    assert!(matches!(error, ChangeError::Unknown(_)), "{error}");
    store.close().await;
}

#[tokio::test]
async fn the_use_of_an_app_password_is_written_down_once_a_day() {
    let folder = Folder::new();
    let (store, accounts) = open(&folder).await;
    accounts.add(ANNA, None, &Secrets::new(&word("password")).unwrap()).await.unwrap();
    let app = Password::generate().unwrap();
    accounts.add_app_password(ANNA, "phone", &AppPassword::digest_text(&app), vec![]).await.unwrap();
    let presence = enter(&accounts);
    let mut commits = Vec::new();
    for _ in 0..3 {
        commits.push(store.counters().await.commits);
        accounts.note_use(presence.account(), "phone").await.unwrap();
        accounts.note_use(presence.account(), "no such").await.unwrap();
    }
    assert_eq!(commits, [commits[0], commits[0] + 1, commits[0] + 1], "midnight may have passed: try again");
    assert!(!presence.is_over(), "nobody is sent out by it");
    for number in 1..mailhost::accounts::app_password::MOST {
        let name = format!("n{number}");
        accounts.add_app_password(ANNA, &name, &AppPassword::digest_text(&app), vec![]).await.unwrap();
    }
    let one_more = accounts.add_app_password(ANNA, "more", &AppPassword::digest_text(&app), vec![]).await;
    assert!(matches!(one_more, Err(ChangeError::TooManyAppPasswords(_))), "{one_more:?}");
    store.close().await;
}

#[tokio::test]
async fn what_is_purged_leaves_no_quota_behind() {
    let folder = Folder::new();
    let (store, accounts) = open(&folder).await;
    let secrets = Secrets::new(&word("password")).unwrap();
    let id = accounts.add(ANNA, None, &secrets).await.unwrap().id;
    accounts.set_quota(ANNA, Some(1_000), Some(5)).await.unwrap();
    assert_eq!(store.quota(AccountId(id)).await.limit_messages, Some(5));
    accounts.remove(ANNA, true).await.unwrap();
    let quota = store.quota(AccountId(id)).await;
    assert_eq!((quota.limit_octets, quota.limit_messages), (None, None));
    store.close().await;
}

#[tokio::test]
async fn a_list_that_would_be_too_large_is_refused_wherever_it_would_be() {
    let folder = Folder::new();
    let (store, accounts) = open(&folder).await;
    let targets = |from: usize, to: usize| -> Vec<String> {
        (from..to).map(|number| format!("user{number}@far.test")).collect()
    };
    accounts.add_alias("half@example.test", &targets(0, 500)).await.unwrap();
    accounts.add_alias("all@example.test", &["half@example.test".to_owned()]).await.unwrap();
    accounts.add_alias("all@example.test", &targets(500, 990)).await.unwrap();
    let error = accounts.add_alias("half@example.test", &targets(990, 1_010)).await.unwrap_err();
    assert!(
        error.to_string().starts_with("all@example.test would stand for more than 1000 addresses"),
        "{error}"
    );
    let mut last = "half@example.test".to_owned();
    for number in 1..=40 {
        let name = format!("deep{number}@example.test");
        match accounts.add_alias(&name, &[last]).await {
            Ok(()) => assert!(number < 32, "{number}"),
            Err(error) => {
                assert_eq!((number, matches!(error, ChangeError::TooLarge(_))), (32, true), "{error}");
                break;
            }
        }
        last = name;
    }
    store.close().await;
}

#[tokio::test]
async fn a_signature_and_the_addresses_to_choose_from_outlast_a_restart() {
    let folder = Folder::new();
    let (store, accounts) = open(&folder).await;
    let secrets = Secrets::new(&word("old password")).unwrap();
    let id = accounts.add(ANNA, None, &secrets).await.unwrap().id;
    accounts.add("ben@example.test", None, &secrets).await.unwrap();
    let to = |targets: &[&str]| targets.iter().map(|target| (*target).to_owned()).collect::<Vec<_>>();
    accounts.add_alias("sales@example.test", &to(&[ANNA])).await.unwrap();
    accounts.add_alias("all@example.test", &to(&[ANNA, "ben@example.test"])).await.unwrap();
    accounts.add_alias("*@example.test", &to(&[ANNA])).await.unwrap();
    assert_eq!(accounts.signature(id), "");
    accounts.set_signature(id, "Anna Ash \r\nÄußere Straße 1\r\n\r\n").await.unwrap();
    for bad in ["a\0b", "\u{1b}[2J", &"x".repeat(5_000)] {
        let error = accounts.set_signature(id, bad).await.unwrap_err();
        assert!(matches!(error, ChangeError::BadSignature), "{error}");
    }
    store.close().await;
    let (store, accounts) = open(&folder).await;
    assert_eq!(accounts.signature(id), "Anna Ash\nÄußere Straße 1");
    assert_eq!(accounts.senders(id), [ANNA, "sales@example.test"]);
    accounts.set_signature(id, "").await.unwrap();
    assert_eq!(accounts.signature(id), "");
    store.close().await;
}
