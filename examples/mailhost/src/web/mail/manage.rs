//! Folders: made, renamed, deleted.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use mailstore::Intent;
use mailstore::mailbox::{INBOX, MailboxId, MailboxStatus};
use mailstore::message::UnixTime;
use maud::{Markup, html};
use serde::Deserialize;
use tracing::info;
use unicode_normalization::UnicodeNormalization as _;

use super::act::{Done, commit, told};
use super::list::{counted, line, notice, number};
use super::{Folders, path, title};
use crate::host::Host;
use crate::web::page::{Shell, seal};
use crate::web::problem::Problem;
use crate::web::visit::{SealedForm, SignedIn};

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sure {
    sure: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    done: String,
}

pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new()
        .route("/folders", get(show))
        .route("/folders/new", post(make))
        .route("/folders/{folder}/rename", post(rename))
        .route("/folders/{folder}/delete", post(delete))
}

/// A name that was not taken.
struct Typed<'a> {
    /// Which folder was to have it; none if it was to be a new one.
    folder: Option<MailboxId>,
    name: &'a str,
}

async fn show(State(host): State<Arc<Host>>, signed_in: SignedIn, Query(asked): Query<Asked>) -> Response {
    let folders = Folders::of(&host, &signed_in).await;
    let done = host.web_memory.done.get(&signed_in.session.id, &asked.done);
    all(&signed_in, &folders, StatusCode::OK, done.as_ref(), None)
}

/// The same page, with what was typed and why it cannot be.
fn refused(
    signed_in: &SignedIn,
    folders: &Folders,
    typed: Typed<'_>,
    problem: Problem,
) -> Result<Response, Problem> {
    let Problem::Wrong(why) = problem else { return Err(problem) };
    Ok(all(signed_in, folders, StatusCode::CONFLICT, Some(&Done::refused(why)), Some(typed)))
}

fn all(
    signed_in: &SignedIn,
    folders: &Folders,
    status: StatusCode,
    done: Option<&Done>,
    typed: Option<Typed<'_>>,
) -> Response {
    let typed = |folder| typed.as_ref().filter(|typed| typed.folder == folder).map(|typed| typed.name);
    let text = html! {
        header.head { h1 { "Folders" } }
        (notice(signed_in, done))
        form.row action="/folders/new" method="post" {
            (seal(signed_in))
            label { "New folder"
                input type="text" name="name" value=[typed(None)] required maxlength="200" autocomplete="off" placeholder="Travel, or Travel/2026"; }
            button { "Make it" }
        }
        ul.manage {
            @for folder in folders.iter() {
                li {
                    span { a href=(path(folder.id)) { (line(title(folder), NAME)) } " " span.hint { (counted(folder.messages, "message", "messages")) } }
                    @if folder.name != INBOX {
                        @let typed = typed(Some(folder.id));
                        details open[typed.is_some()] {
                            summary { "Change" span.hidden { " " (line(title(folder), NAME)) } }
                            form.row action={ "/folders/" (folder.id.get()) "/rename" } method="post" {
                                (seal(signed_in))
                                label { "Name" input type="text" name="name" value=(typed.unwrap_or(&folder.name)) required autocomplete="off"; }
                                button.quiet { "Rename" }
                            }
                            form.inline action={ "/folders/" (folder.id.get()) "/delete" } method="post" {
                                (seal(signed_in))
                                button.quiet { "Delete" }
                            }
                        }
                    }
                }
            }
        }
    };
    page(signed_in, folders, status, &text)
}

async fn make(
    State(host): State<Arc<Host>>,
    SealedForm(signed_in, Named { name }): SealedForm<Named>,
) -> Result<Response, Problem> {
    let (account, name) = (signed_in.account(), composed(&name));
    let now = UnixTime(host.store.system().unix_seconds());
    // Mail programs show what somebody has subscribed to.
    let intents = vec![
        Intent::CreateMailbox { account, name: name.clone(), special_use: None, now },
        Intent::Subscribe { account, name: name.clone() },
    ];
    if let Err(problem) = commit(&host, &signed_in, intents).await {
        let folders = Folders::of(&host, &signed_in).await;
        return refused(&signed_in, &folders, Typed { folder: None, name: &name }, problem);
    }
    info!(account = account.get(), name, "mailbox made");
    Ok(done(&host, &signed_in, format!("There is a folder “{}” now.", line(&name, NAME))))
}

async fn rename(
    State(host): State<Arc<Host>>,
    Path(folder): Path<String>,
    SealedForm(signed_in, Named { name }): SealedForm<Named>,
) -> Result<Response, Problem> {
    let folders = Folders::of(&host, &signed_in).await;
    let folder = folders.get(number(&folder)?)?;
    let (account, name) = (signed_in.account(), composed(&name));
    if name == folder.name {
        return Ok(done(&host, &signed_in, "It has this name already.".to_owned()));
    }
    let now = UnixTime(host.store.system().unix_seconds());
    let mut intents = vec![Intent::RenameMailbox { mailbox: folder.id, name: name.clone(), now }];
    // Those below it go with it, and so do the subscriptions.
    let below = format!("{}/", folder.name);
    for subscribed in host.store.subscriptions(signed_in.actor(), account).await {
        let rest = if subscribed == folder.name { Some("") } else { subscribed.strip_prefix(&below) };
        let Some(rest) = rest else { continue };
        let new = if rest.is_empty() { name.clone() } else { format!("{name}/{rest}") };
        intents.push(Intent::Unsubscribe { account, name: subscribed.clone() });
        intents.push(Intent::Subscribe { account, name: new });
    }
    if let Err(problem) = commit(&host, &signed_in, intents).await {
        return refused(&signed_in, &folders, Typed { folder: Some(folder.id), name: &name }, problem);
    }
    info!(account = account.get(), from = folder.name, to = name, "mailbox renamed");
    Ok(done(&host, &signed_in, format!("The folder is called “{}” now.", line(&name, NAME))))
}

async fn delete(
    State(host): State<Arc<Host>>,
    Path(folder): Path<String>,
    SealedForm(signed_in, Sure { sure }): SealedForm<Sure>,
) -> Result<Response, Problem> {
    let folders = Folders::of(&host, &signed_in).await;
    let folder = folders.get(number(&folder)?)?;
    if sure.is_empty() {
        return Ok(ask(&signed_in, &folders, folder));
    }
    let account = signed_in.account();
    let intents = vec![
        Intent::DeleteMailbox { mailbox: folder.id },
        Intent::Unsubscribe { account, name: folder.name.clone() },
    ];
    match commit(&host, &signed_in, intents).await {
        Ok(_) => {}
        Err(Problem::Wrong(why)) => return Ok(told(&host, &signed_in, "/folders", Done::refused(why))),
        Err(problem) => return Err(problem),
    }
    info!(account = account.get(), name = folder.name, "mailbox deleted");
    Ok(done(&host, &signed_in, format!("The folder “{}” is deleted.", line(&folder.name, NAME))))
}

fn ask(signed_in: &SignedIn, folders: &Folders, folder: &MailboxStatus) -> Response {
    let text = html! {
        h1 { "Delete the folder “" (line(title(folder), NAME)) "”?" }
        p { "With it goes what is in it, for good: " (counted(folder.messages, "message", "messages")) "." }
        form.sure action={ "/folders/" (folder.id.get()) "/delete" } method="post" {
            (seal(signed_in))
            input type="hidden" name="sure" value="yes";
            button { "Delete the folder" }
            a.button.quiet href="/folders" { "Keep" }
        }
    };
    page(signed_in, folders, StatusCode::OK, &text)
}

fn page(signed_in: &SignedIn, folders: &Folders, status: StatusCode, text: &Markup) -> Response {
    Shell { signed_in, folders, current: None, query: "", title: "Folders" }.render(status, text)
}

fn done(host: &Host, signed_in: &SignedIn, text: String) -> Response {
    told(host, signed_in, "/folders", Done::new(text))
}

/// RFC 9051 §5.1: names are in Net-Unicode, which has one way to write a character (RFC 5198 §2).
fn composed(name: &str) -> String {
    name.trim().nfc().collect()
}

/// Octets of a name on a page.
const NAME: usize = 120;
