//! Accounts and aliases. What changes them is `mailhost account` and `mailhost alias`, but for a suspension, which may be urgent.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use tracing::info;

use super::door::{Operator, Order};
use super::page::{self, Place, seal};
use crate::accounts::Overview;
use crate::host::Host;
use crate::words::{date, number, size};

/// Which part of them.
#[derive(Deserialize)]
pub(super) struct Which {
    /// The number of the account behind which it begins.
    after: Option<u64>,
}

/// A page of accounts, and aliases.
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    operator: Operator,
    Query(Which { after }): Query<Which>,
) -> Response {
    let accounts = host.accounts.overviews_after(after, PAGE).await;
    let all = host.accounts.accounts().len();
    let next = accounts.last().filter(|_| accounts.len() == PAGE).map(|last| last.account.id);
    let aliases = host.accounts.aliases();
    let body = html! {
        h1 { "Accounts" }
        @if all == 0 {
            p { "There is no account yet, so all mail is refused. " code { "mailhost account add ADDRESS" } " makes one." }
        } @else {
            p { (number(all as u64, "account")) "." }
            div.scroll tabindex="0" role="region" aria-label="Accounts" { table {
                thead { tr {
                    th scope="col" { "Address" }
                    th scope="col" { "State" }
                    th scope="col" { "Used" }
                    th scope="col" { "Limit" }
                    th scope="col" { "App passwords" }
                    th scope="col" { "Forwards to" }
                    th scope="col" { span.hidden { "What to do" } }
                } }
                tbody { @for one in &accounts { (row(&operator, one)) } }
            } }
            nav.pages aria-label="More accounts" {
                @if after.is_some() { a href="/accounts" { "First page" } }
                @if let Some(next) = next { a href={ "/accounts?after=" (next) } rel="next" { "Next page" } }
            }
        }
        h2 { "Aliases" }
        @if aliases.is_empty() {
            p { "There is none." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Aliases" { table {
                thead { tr { th scope="col" { "Mail for" } th scope="col" { "goes to" } } }
                tbody {
                    @for alias in aliases.iter().take(ALIASES) {
                        tr {
                            th scope="row" { (alias.alias) }
                            td { @for target in alias.targets.iter().take(TARGETS) { div { (target) } }
                                @if alias.targets.len() > TARGETS { div.hint { "and " (alias.targets.len() - TARGETS) " more" } } }
                        }
                    }
                }
            } }
            @if aliases.len() > ALIASES { p.hint { "And " (aliases.len() - ALIASES) " more; " code { "mailhost alias list" } " shows all." } }
        }
    };
    page::render(&host, &operator, Place::Accounts, "Accounts", &body)
}

fn row(operator: &Operator, overview: &Overview) -> Markup {
    let Overview { account, octets, most_octets, messages, most_messages, .. } = overview;
    let used = account.app_passwords.iter().filter_map(|app| app.last_used).max();
    let (word, verb) =
        if account.suspended.is_some() { ("resume", "Resume") } else { ("suspend", "Suspend") };
    html! {
        tr {
            th scope="row" {
                (account.address)
                @if account.login != account.address { div.hint { "login " (account.login) } }
            }
            td {
                (account.state())
                @if let Some(suspension) = &account.suspended {
                    div.hint {
                        "since " (date(suspension.since))
                        @if let Some(reason) = &suspension.reason { ": " (reason) }
                    }
                }
            }
            td { (size(*octets)) div.hint { (number(*messages, "message")) } }
            td {
                @match most_octets { Some(most) => (size(*most)), None => "none" }
                @if let Some(most) = most_messages { div.hint { (number(*most, "message")) } }
            }
            td {
                (account.app_passwords.len())
                @if let Some(day) = used { div.hint { "last used " (date(day * 86_400)) } }
            }
            td { @for target in &account.forward.targets { div { (target) } } }
            td {
                form.orders action="/accounts/act" method="post" {
                    (seal(operator))
                    input type="hidden" name="address" value=(account.address);
                    button.quiet name="do" value=(word) aria-label={ (verb) " " (account.address) } { (verb) }
                }
            }
        }
    }
}

/// Suspends an account, or ends that.
pub(super) async fn act(State(host): State<Arc<Host>>, operator: Operator, form: Order) -> Response {
    let address = form.get("address").to_owned();
    let accounts = Arc::clone(&host.accounts);
    let done = match form.get("do") {
        "suspend" => tokio::spawn(async move {
            accounts.suspend(&address, None, false).await?;
            info!(address, no_mail = false, "account suspended");
            Ok(())
        }),
        "resume" => tokio::spawn(async move {
            accounts.resume(&address).await?;
            info!(address, "suspension ended");
            Ok(())
        }),
        _ => {
            return page::failed(
                &host,
                &operator,
                StatusCode::BAD_REQUEST,
                "/accounts",
                "there is no such order",
            );
        }
    };
    let result: Result<(), crate::accounts::ChangeError> = match done.await {
        Ok(result) => result,
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    match result {
        Ok(()) => Redirect::to("/accounts").into_response(),
        Err(error) => page::failed(&host, &operator, StatusCode::CONFLICT, "/accounts", &error.to_string()),
    }
}

/// Accounts on a page.
const PAGE: usize = 100;
const ALIASES: usize = 500;
/// Targets of an alias that are shown.
const TARGETS: usize = 10;
