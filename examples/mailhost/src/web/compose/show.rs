//! How the page looks.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, PreEscaped, html};

use super::form::Filled;
use super::letter::Unwritten;
use super::prepare::Files;
use super::with_people;
use crate::client::text::size;
use crate::host::Host;
use crate::web::mail::Folders;
use crate::web::page::{Shell, render, seal};
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;

/// What is said above the form.
pub(super) enum Told {
    None,
    Good(String),
    Bad(String),
}

/// The page.
pub(super) struct Page<'a> {
    pub(super) status: StatusCode,
    pub(super) told: Told,
    /// What is wrong with which field.
    pub(super) errors: &'a [(&'static str, String)],
    pub(super) filled: &'a Filled,
    pub(super) files: &'a Files,
}

impl Page<'_> {
    pub(super) async fn render(
        &self,
        host: &Host,
        signed_in: &SignedIn,
        folders: &Folders,
    ) -> Result<Response, Problem> {
        let people = with_people(host, signed_in, folders, |people| people.frequent(FREQUENT)).await;
        let senders = host.accounts.senders(signed_in.account().get());
        let title = match self.filled.subject.trim() {
            "" => "New message",
            subject => subject,
        };
        let current =
            super::drafts(folders).map(|drafts| drafts.id).filter(|_| !self.filled.draft.is_empty());
        let body = html! {
            h1 { (heading(self.filled)) }
            (self.told())
            (self.form(&seal(signed_in), "/compose", &senders, true))
            datalist #people { @for person in &people { option value=(person.typed()) {} } }
        };
        Ok(Shell { signed_in, folders, current, query: "", title }.render(self.status, &body))
    }

    fn told(&self) -> Markup {
        html! {
            @match &self.told {
                Told::None => {}
                Told::Good(text) => p.good role="status" { (text) },
                Told::Bad(text) => p.bad role="alert" { (text) },
            }
        }
    }

    fn form(&self, seal: &Markup, action: &str, senders: &[String], files: bool) -> Markup {
        let filled = self.filled;
        let more = !filled.cc.is_empty()
            || !filled.bcc.is_empty()
            || self.error("cc").is_some()
            || self.error("bcc").is_some();
        html! {
            form #compose.compose action=(action) method="post" enctype="multipart/form-data" {
                (seal)
                input type="hidden" name="id" value=(filled.id);
                @if let Some(origin) = &filled.origin { input type="hidden" name="origin" value=(origin.text()); }
                input type="hidden" name="references" value=(filled.references);
                input type="hidden" name="draft" value=(filled.draft);
                // Where files are not shown, they are not forgotten.
                input type="hidden" name="attached" value=(if files { self.files.len() } else { filled.attached });
                // What Enter presses, where there is no script: it must not be the one that sends.
                button.hidden name="do" value="save" tabindex="-1" aria-hidden="true" { "Save" }
                (self.line("from", "From", &filled.from, "senders"))
                datalist #senders { @for sender in senders { option value=(sender) {} } }
                (self.line("to", "To", &filled.to, "people"))
                details.more open[more] {
                    summary { "Copies" }
                    (self.line("cc", "Cc", &filled.cc, "people"))
                    (self.line("bcc", "Bcc (hidden)", &filled.bcc, "people"))
                }
                (self.line("subject", "Subject", &filled.subject, ""))
                label.hidden for="text" { "Message" }
                // A browser drops the first line end.
                textarea #text name="text" rows="16" maxlength=(super::send::TEXT) { (PreEscaped("\n")) (filled.text) }
                @if files { (self.files()) }
                div.buttons {
                    button name="do" value="send" { "Send" }
                    button.quiet name="do" value="save" { "Save draft" }
                    button.quiet name="do" value="discard" formnovalidate { "Discard" }
                    span #autosaved.hint role="status" {}
                }
            }
        }
    }

    fn line(&self, name: &str, label: &str, value: &str, list: &str) -> Markup {
        let error = self.error(name);
        let described = error.is_some().then(|| format!("{name}-error"));
        let capitals = (list == "people").then_some("none");
        html! {
            div.line {
                label for=(name) { (label) }
                input id=(name) type="text" name=(name) value=(value) list=[(!list.is_empty()).then_some(list)]
                    autocapitalize=[capitals] aria-invalid=[described.as_ref().map(|_| "true")] aria-describedby=[described.as_deref()];
            }
            @if let (Some(id), Some(errors)) = (&described, error) {
                p.bad id=(id) { @for error in errors { (error) br; } }
            }
        }
    }

    fn files(&self) -> Markup {
        let error = self.error("file");
        html! {
            fieldset.files {
                legend { "Files" }
                @if !self.files.is_empty() {
                    ul {
                        @for (number, (name, octets)) in self.files.iter().enumerate() {
                            li {
                                span.name { (name) } " " span.hint { (size(*octets)) }
                                " " button.link name="do" value=(format!("remove:{number}")) formnovalidate { "Remove" span.hidden { " " (name) } }
                            }
                        }
                    }
                }
                @if let Some(errors) = error { p.bad id="file-error" role="alert" { @for error in errors { (error) br; } } }
                div.add {
                    label for="file" { "Add files" }
                    input #file type="file" name="file" multiple;
                    button.quiet name="do" value="attach" formnovalidate { "Attach" }
                }
            }
        }
    }

    fn error(&self, field: &str) -> Option<Vec<&str>> {
        let found: Vec<&str> =
            self.errors.iter().filter(|(name, _)| *name == field).map(|(_, error)| &**error).collect();
        (!found.is_empty()).then_some(found)
    }
}

fn heading(filled: &Filled) -> &'static str {
    match filled.origin {
        Some(origin) if origin.forward => "Send on",
        Some(_) => "Answer",
        None => "New message",
    }
}

/// For who was signed out meanwhile: all that was typed, to be sent once more from here.
pub(super) fn signed_out(host: &Host, filled: &Filled) -> Response {
    let page = Page {
        status: StatusCode::UNAUTHORIZED,
        told: Told::None,
        errors: &[],
        filled,
        files: &Files::new(),
    };
    let body = html! {
        h1 { "You are not signed in" }
        p.bad role="alert" {
            "Your session has ended, so nothing was done. All that you typed is still here, but for files. "
            a href="/sign-in" target="_blank" rel="noopener" { "Sign in in another window" }
            ", then come back and press the button once more."
        }
        (page.form(&html! {}, "/compose", &[], false))
        p.hint { "This is " (host.config.hostname.as_str()) "." }
    };
    render(page.status, "You are not signed in", &body)
}

/// What is said of a message that was not written.
pub(super) fn said(host: &Host, why: &Unwritten) -> (StatusCode, String) {
    match why {
        Unwritten::TooLarge => {
            // Files take a third more on their way.
            let most = size(host.config.limits.message_size / 4 * 3);
            (StatusCode::PAYLOAD_TOO_LARGE, format!("The message would be too large: all files together may have about {most}."))
        }
        Unwritten::Unwritable(why) => (StatusCode::BAD_REQUEST, format!("{why}.")),
        Unwritten::Unreadable => (
            StatusCode::CONFLICT,
            "The files are not where they were: the draft was changed or deleted elsewhere. Look at the list of files, and add what is \
             missing."
                .to_owned(),
        ),
        Unwritten::NoSpace => {
            (StatusCode::INSUFFICIENT_STORAGE, "The host has no room for it right now. Try again later.".to_owned())
        }
        Unwritten::OverQuota => (
            StatusCode::INSUFFICIENT_STORAGE,
            "Your mailbox is full. Delete what you do not need, and empty the trash.".to_owned(),
        ),
        Unwritten::Failed => (StatusCode::SERVICE_UNAVAILABLE, "The host cannot do that right now. Try again.".to_owned()),
    }
}

/// People that are offered where there is no script.
const FREQUENT: usize = 50;
