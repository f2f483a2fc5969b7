//! Writing mail in the browser.
//!
//! What is written is a draft in the store like that of any mail program, and its files are nowhere else: each step without a
//! script gives the page again from there. Sending is one commit: the message in the queue and in mailboxes here, its copy in
//! Sent, the draft gone, what it answers marked.

mod fields;
mod form;
mod letter;
mod original;
mod people;
mod prepare;
mod recipients;
mod save;
mod send;
mod show;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use mailstore::mailbox::{AccountId, MailboxStatus, SpecialUse};
use serde::Deserialize;
use serde_json::json;

use self::fields::Deed;
use self::form::{Filled, Upload};
use self::letter::Unwritten;
use self::people::{People, Person};
use self::show::{Page, Told};
use super::budget::Budget;
use super::mail::{self, Folders};
use super::problem::Problem;
use super::typed;
use super::visit::SignedIn;
use crate::host::Host;

/// What those who write share, in the host's memory.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<BTreeMap<u64, Arc<Place>>>);

/// What is remembered of an account.
#[derive(Debug)]
struct Place {
    /// Whom it has written to.
    people: tokio::sync::Mutex<People>,
    /// One change at a time: what is saved by itself does not come behind what is sent.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Recipients that it may still write to.
    budget: Budget,
}

impl Places {
    fn of(&self, account: AccountId) -> Arc<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= PLACES && !all.contains_key(&account.get()) {
            all.retain(|_, place| Arc::strong_count(place) > 1);
        }
        Arc::clone(all.entry(account.get()).or_default())
    }
}

impl Default for Place {
    fn default() -> Self {
        let budget = Budget::new(PER_HOUR, PER_HOUR / 3_600.0);
        Self { people: Default::default(), turn: Default::default(), budget }
    }
}

/// What an address of the page asks for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    to: String,
    #[serde(default)]
    cc: String,
    #[serde(default)]
    subject: String,
    reply: Option<String>,
    all: Option<String>,
    forward: Option<String>,
    draft: Option<String>,
    #[serde(default)]
    saved: String,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    q: String,
}

pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new()
        .route("/compose", get(show).post(write).layer(DefaultBodyLimit::max(BODY)))
        .route("/addresses", get(addresses))
}

async fn show(
    State(host): State<Arc<Host>>,
    signed_in: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let folders = Folders::of(&host, &signed_in).await;
    let (filled, files) = prepare::prepare(&host, &signed_in, &folders, &asked).await?;
    let told = match &*asked.saved {
        "" => Told::None,
        "draft" => Told::Good("The draft is saved.".to_owned()),
        _ => Told::Good("The draft is saved, with the files below.".to_owned()),
    };
    Page { status: StatusCode::OK, told, errors: &[], filled: &filled, files: &files }
        .render(&host, &signed_in, &folders)
        .await
}

/// Takes a form, whatever is to be done with it. Nothing that was typed gets lost: what cannot be done comes back as the page with
/// all of it.
async fn write(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    signed_in: Result<SignedIn, Problem>,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Response, Problem> {
    let mut multipart = multipart.map_err(|_| Problem::Wrong("The form cannot be read.".to_owned()))?;
    let by_script = headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes() == b"application/json");
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(problem @ Problem::SignedOut(_)) if by_script => return Err(problem),
        Err(Problem::SignedOut(_)) => {
            let filled = Filled::read_fields(&mut multipart).await?;
            return Ok(show::signed_out(&host, &filled));
        }
        Err(problem) => return Err(problem),
    };
    let (filled, upload) = Filled::read(&host, &signed_in, multipart).await?;
    // Apart, since a browser that goes away must not leave half of it behind.
    let task = tokio::spawn(async move { carry_out(&host, &signed_in, filled, upload, by_script).await });
    task.await.map_err(|error| Problem::failed("a message", error))?
}

async fn carry_out(
    host: &Arc<Host>,
    signed_in: &SignedIn,
    mut filled: Filled,
    upload: Upload,
    by_script: bool,
) -> Result<Response, Problem> {
    let place = host.web_memory.writing.of(signed_in.account());
    let _turn = Arc::clone(&place.turn).lock_owned().await;
    let folders = Folders::of(host, signed_in).await;
    if signed_in.check(&filled.seal).is_err() {
        let why = "This page was made for an earlier session, so nothing was done. All that you typed is still here, but for files: \
                   press the button once more.";
        return again(
            host,
            signed_in,
            &folders,
            &filled,
            StatusCode::FORBIDDEN,
            Told::Bad(why.to_owned()),
            &[],
        )
        .await;
    }
    let mut source = save::source(host, signed_in, &folders, &filled).await?;
    if let Some(sent) = send::already(host, signed_in, &folders, &filled.id).await? {
        return Ok(match by_script {
            true => said_json(StatusCode::OK, &json!({ "sent": true })),
            false => Redirect::to(&format!("{sent}/outcome?sent=again")).into_response(),
        });
    }
    let mut failed = None;
    match upload {
        Upload::None => {}
        // Another page has added files to the draft, or taken some away, while these came in: they would be gone, or back.
        Upload::Written { beside, .. }
            if source.as_ref().map_or(0, |source| source.files().len()) != beside =>
        {
            failed = Some(Unwritten::Unreadable);
        }
        Upload::Written { writer, .. } => {
            match save::written(host, signed_in, &folders, source.as_ref(), *writer).await {
                Ok(draft) if matches!(filled.deed, Deed::Save | Deed::Attach) => {
                    return Ok(Redirect::to(&format!("/compose?draft={draft}&saved=files")).into_response());
                }
                Ok(draft) => {
                    filled.draft = draft;
                    source = save::source(host, signed_in, &folders, &filled).await?;
                    filled.attached = source.as_ref().map_or(0, |source| source.files().len());
                }
                Err(why) => failed = Some(why),
            }
        }
        Upload::Failed(why) => failed = Some(why),
    }
    if let Some(why) = failed {
        let (status, text) = show::said(host, &why);
        let errors = [("file", text)];
        return again(host, signed_in, &folders, &filled, status, Told::None, &errors).await;
    }
    match filled.deed {
        Deed::Discard => {
            save::discard(host, signed_in, source.as_ref()).await?;
            Ok(Redirect::to("/mail").into_response())
        }
        Deed::Send => match send::send(host, signed_in, &folders, &place, &filled, source.as_ref()).await {
            Ok(sent) => Ok(Redirect::to(&format!("{sent}/outcome?sent=now")).into_response()),
            Err(send::Unsent { status, told, errors }) => {
                again(host, signed_in, &folders, &filled, status, told, &errors).await
            }
        },
        Deed::Save | Deed::Attach | Deed::Remove(_) => {
            match save::save(host, signed_in, &folders, source.as_ref(), &filled).await {
                Ok(draft) if by_script => Ok(said_json(StatusCode::OK, &json!({ "draft": draft }))),
                Ok(draft) => Ok(Redirect::to(&format!("/compose?draft={draft}&saved=draft")).into_response()),
                Err(why) => {
                    let (status, text) = show::said(host, &why);
                    if by_script {
                        return Ok(said_json(status, &json!({ "error": text })));
                    }
                    again(host, signed_in, &folders, &filled, status, Told::Bad(text), &[]).await
                }
            }
        }
    }
}

/// The page once more, with what was typed and what was wrong with it.
async fn again(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    filled: &Filled,
    status: StatusCode,
    told: Told,
    errors: &[(&'static str, String)],
) -> Result<Response, Problem> {
    let source = save::source(host, signed_in, folders, filled).await?;
    let files: Vec<_> =
        source.iter().flat_map(save::Source::files).map(|file| (file.name.clone(), file.size)).collect();
    Page { status, told, errors, filled, files: &files }.render(host, signed_in, folders).await
}

/// Whom somebody has written to, as far as it begins as it was typed.
async fn addresses(
    State(host): State<Arc<Host>>,
    signed_in: SignedIn,
    Query(typed): Query<Typed>,
) -> Result<Response, Problem> {
    let folders = Folders::of(&host, &signed_in).await;
    let typed = typed.q.chars().take(200).collect::<String>();
    let found = with_people(&host, &signed_in, &folders, |people| people.matching(&typed, OFFERED)).await;
    let found: Vec<serde_json::Value> = found
        .into_iter()
        .map(|person| json!({ "name": person.name, "address": person.address, "text": person.typed() }))
        .collect();
    Ok(said_json(StatusCode::OK, &found.into()))
}

fn said_json(status: StatusCode, value: &serde_json::Value) -> Response {
    (status, typed("application/json", value.to_string())).into_response()
}

/// Whom somebody has written to, read on by a step.
async fn with_people(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    what: impl FnOnce(&People) -> Vec<Person>,
) -> Vec<Person> {
    let place = host.web_memory.writing.of(signed_in.account());
    let mut people = place.people.lock().await;
    if let Some(sent) = sent(folders)
        && let Ok(snapshot) = mail::open(host, signed_in, sent).await
    {
        people.read_on(&snapshot).await;
    }
    what(&people)
}

/// The folder for what was sent.
fn sent(folders: &Folders) -> Option<&MailboxStatus> {
    folders.for_use_or_called(SpecialUse::Sent, "Sent")
}

/// The folder for what is not finished.
fn drafts(folders: &Folders) -> Option<&MailboxStatus> {
    folders.for_use_or_called(SpecialUse::Drafts, "Drafts")
}

/// The most octets of a form, its files included; how large a message may be is up to the configuration.
const BODY: usize = 1 << 30;
/// Accounts that something is remembered of.
const PLACES: usize = 500;
/// Recipients that somebody may write to on the web in an hour, and at once.
const PER_HOUR: f64 = 200.0;
/// People that are offered to choose from.
const OFFERED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_of_an_hour_are_bounded() {
        let place = Place::default();
        assert!(
            place.budget.take(150, 1_000) && !place.budget.take(51, 1_000) && place.budget.take(50, 1_000)
        );
        assert!(!place.budget.take(1, 1_010) && place.budget.take(1, 1_020));
        assert!(!place.budget.take(200, 900), "a clock that was set back gives nothing");
        assert!(place.budget.take(200, 100_000) && !place.budget.take(201, i64::MAX));
    }
}
