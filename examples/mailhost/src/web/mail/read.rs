//! A message as a page: who wrote it to whom and when, its text, what is attached, and what can be done with it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use mailstore::commit::Commit;
use mailstore::mailbox::{MailboxStatus, SpecialUse, Uid};
use mailstore::message::{FlagChange, Flags, Message};
use mailstore::mime::{self, Part, Structure};
use mailstore::{Failure, Intent};
use maud::{Markup, html};
use serde::Deserialize;

use super::html::form;
use super::letters::{is_hidden, words};
use super::list::{Row, is_outgoing, rows};
use super::outcome::outcome;
use super::parts::{self, Contents, Protection, Text};
use super::{Folders, attachment, frame, open, path, text, title};
use crate::host::Host;
use crate::store::Snapshot;
use crate::web::page::{Shell, seal};
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;

/// Where a message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Address {
    pub(super) folder: u64,
    pub(super) uid: u32,
}

/// A message that somebody may read, as it was when it was asked for.
pub(super) struct Opened {
    pub(super) address: Address,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) message: Message,
    pub(super) structure: Structure,
}

impl Opened {
    pub(super) async fn new(host: &Host, signed_in: &SignedIn, address: Address) -> Result<Self, Problem> {
        let folders = Folders::of(host, signed_in).await;
        let snapshot = open(host, signed_in, folders.get(address.folder)?).await?;
        Self::within(&Arc::new(snapshot), address).await
    }

    async fn within(snapshot: &Arc<Snapshot>, address: Address) -> Result<Self, Problem> {
        let uid = Uid::new(address.uid).ok_or(Problem::NotFound)?;
        let message = snapshot.messages.find(uid).ok_or(Problem::NotFound)?;
        let mut structures = snapshot.reader().structures(&[&message]).await;
        let structure = structures.pop().ok_or(Problem::NotFound)?;
        let structure = structure.map_err(|error| Problem::failed("a message", error))?;
        Ok(Self { address, snapshot: Arc::clone(snapshot), message, structure })
    }

    /// Where its page is.
    pub(super) fn path(&self) -> String {
        self.address.path()
    }

    /// The message itself, or one that is a part of it.
    pub(super) fn root(&self, inner: Option<usize>) -> Result<Part<'_>, Problem> {
        match inner {
            None => Ok(self.structure.root()),
            Some(number) => self.part(number)?.message().ok_or(Problem::NotFound),
        }
    }

    /// The part with this number.
    pub(super) fn part(&self, number: usize) -> Result<Part<'_>, Problem> {
        self.structure.parts().nth(number).ok_or(Problem::NotFound)
    }

    fn is_seen(&self) -> bool {
        self.message.flags().contains(Flags::SEEN)
    }
}

impl Address {
    fn path(self) -> String {
        format!("/mail/{}/{}", self.folder, self.uid)
    }
}

/// How a message is to be shown.
#[derive(Debug, Default, Deserialize)]
struct Wish {
    /// `1` to load images from elsewhere.
    images: Option<u8>,
    /// `1` for plain text where there is HTML too.
    plain: Option<u8>,
    /// `1` for the whole header.
    headers: Option<u8>,
    /// The number of a part that is a message.
    inner: Option<usize>,
}

pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new()
        .route("/mail/{folder}/{uid}", get(page))
        .route("/mail/{folder}/{uid}/html", get(frame::document))
        .route("/mail/{folder}/{uid}/part/{part}", get(attachment::part))
        .route("/mail/{folder}/{uid}/source", get(attachment::source))
}

async fn page(
    State(host): State<Arc<Host>>,
    signed_in: SignedIn,
    headers: HeaderMap,
    Path((folder, uid)): Path<(u64, u32)>,
    Query(wish): Query<Wish>,
) -> Result<Response, Problem> {
    let mut folders = Folders::of(&host, &signed_in).await;
    let folder = folders.get(folder)?.clone();
    let snapshot = Arc::new(open(&host, &signed_in, &folder).await?);
    let address = Address { folder: folder.id.get(), uid };
    let asked = Opened::within(&snapshot, address).await?;
    let (before, behind) = match wish.inner {
        None => others(&host, &signed_in, &folders, &asked).await?,
        Some(_) => (Vec::new(), Vec::new()),
    };
    let opened = before.iter().chain(&behind).filter_map(|other| match other {
        Other::Open(opened) => Some(opened),
        Other::Folded(..) => None,
    });
    let unseen: Vec<&Opened> = opened.chain([&asked]).filter(|opened| !opened.is_seen()).collect();
    if !unseen.is_empty() && !is_prefetch(&headers) {
        mark_seen(&host, &signed_in, &unseen).await?;
        // They count one less.
        folders = Folders::of(&host, &signed_in).await;
    }
    let subject = subject(asked.root(wish.inner)?);
    let view = View { host: &host, signed_in: &signed_in, folders: &folders, folder: &folder };
    let none = Wish::default();
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for (others, out) in [(&before, &mut above), (&behind, &mut below)] {
        for other in others {
            out.push(match other {
                Other::Open(opened) => view.message(opened, &none, Place::Beside).await?,
                Other::Folded(row, name) => view.folded(row, name.as_deref()),
            });
        }
    }
    let place = if wish.inner.is_some() { Place::Inner } else { Place::Asked };
    let message = view.message(&asked, &wish, place).await?;
    let body = html! {
        (view.around(&asked))
        h1 #subject { (subject) }
        @if !above.is_empty() || !below.is_empty() {
            p.hint { "A conversation of " (above.len() + below.len() + 1) " messages" }
        }
        @for other in &above { (other) }
        (message)
        @for other in &below { (other) }
    };
    let shell = Shell {
        signed_in: &signed_in,
        folders: &folders,
        current: Some(folder.id),
        query: "",
        title: &subject,
    };
    Ok(shell.render(StatusCode::OK, &body))
}

/// Another message of the same conversation.
enum Other {
    /// Not read yet, so it is open.
    Open(Opened),
    /// One line, with the name of its folder if it is in another one.
    Folded(Box<Row>, Option<String>),
}

/// What else belongs to the conversation of a message, in this folder and among what was sent: older ones, and newer ones.
async fn others(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    asked: &Opened,
) -> Result<(Vec<Other>, Vec<Other>), Problem> {
    let threads = &host.web_memory.threads;
    let here = threads.of(&host.store, &asked.snapshot).await;
    let sent = folders
        .for_use_or_called(SpecialUse::Sent, "Sent")
        .filter(|sent| sent.id.get() != asked.address.folder);
    let mut members = Vec::<(Arc<Snapshot>, Vec<Uid>, bool)>::new();
    match sent {
        Some(folder) => {
            let snapshot = Arc::new(open(host, signed_in, folder).await?);
            let there = threads.of(&host.store, &snapshot).await;
            let (own, answers) = here.across(asked.message.uid(), &there, MOST_OTHERS).await;
            members.push((Arc::clone(&asked.snapshot), own, false));
            members.push((snapshot, answers, true));
        }
        None => members.push((Arc::clone(&asked.snapshot), here.with(asked.message.uid()).await, false)),
    }
    let mut others = Vec::new();
    for (snapshot, uids, elsewhere) in members {
        let skipped = uids.len().saturating_sub(MOST_OTHERS);
        for uid in uids.into_iter().skip(skipped) {
            let Some(message) = snapshot.messages.find(uid) else { continue };
            if elsewhere || uid != asked.message.uid() {
                others.push((Arc::clone(&snapshot), message, elsewhere));
            }
        }
    }
    others.sort_by_key(|(_, message, elsewhere)| (message.date(), *elsewhere, message.uid()));
    let (mut before, mut behind, mut open_) = (Vec::new(), Vec::new(), 0);
    for (snapshot, message, elsewhere) in others {
        let older =
            (message.date(), elsewhere, message.uid()) < (asked.message.date(), false, asked.message.uid());
        let unseen = !message.flags().contains(Flags::SEEN);
        let other = if unseen && open_ < MOST_OPEN {
            open_ += 1;
            let address = Address { folder: snapshot.status.id.get(), uid: message.uid().get() };
            Other::Open(Opened::within(&snapshot, address).await?)
        } else {
            let outgoing = is_outgoing(&snapshot.status);
            let Some(row) = rows(&snapshot, &[vec![message.uid()]], outgoing).await.pop() else { continue };
            Other::Folded(Box::new(row), elsewhere.then(|| title(&snapshot.status).to_owned()))
        };
        if older { before.push(other) } else { behind.push(other) }
    }
    Ok((before, behind))
}

/// RFC 9051 §2.3.2: who opens it has read it. It is durable before it is told; where it cannot be kept, on a full disk, the message
/// can be read all the same.
async fn mark_seen(host: &Host, signed_in: &SignedIn, unseen: &[&Opened]) -> Result<(), Problem> {
    let intent = |opened: &&Opened| Intent::Store {
        mailbox: opened.snapshot.status.id,
        uid: opened.message.uid(),
        change: FlagChange::Add(Flags::SEEN.into()),
        unchanged_since: None,
    };
    let intents = unseen.iter().map(intent).collect();
    match host.store.commit(Commit::of(intents).by(signed_in.actor())).await {
        Err(Failure::Unknown) => Err(Problem::failed("a message", "nobody knows whether it counts as read")),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether a browser asks on its own, and nobody has seen the page yet.
fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose"]
        .into_iter()
        .any(|name| headers.get(name).is_some_and(|value| value.as_bytes().starts_with(b"prefetch")))
}

fn subject(root: Part<'_>) -> String {
    let subject = root.envelope().and_then(|envelope| envelope.subject()).map(words).unwrap_or_default();
    let subject: String = subject.trim().chars().take(LONGEST_SUBJECT).collect();
    if subject.is_empty() { "(no subject)".to_owned() } else { subject }
}

/// What pages of messages are made of.
struct View<'a> {
    host: &'a Host,
    signed_in: &'a SignedIn,
    folders: &'a Folders,
    folder: &'a MailboxStatus,
}

/// What a message is on its page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// The one that was asked for.
    Asked,
    /// Of the same conversation.
    Beside,
    /// It was attached to the one that was asked for.
    Inner,
}

/// A message that is shown, and how.
struct Shown<'a> {
    view: &'a View<'a>,
    opened: &'a Opened,
    wish: &'a Wish,
    place: Place,
}

impl View<'_> {
    async fn message(&self, opened: &Opened, wish: &Wish, place: Place) -> Result<Markup, Problem> {
        let shown = Shown { view: self, opened, wish, place };
        shown.render(opened.root(wish.inner)?).await
    }

    /// One line that leads to the message.
    fn folded(&self, row: &Row, folder: Option<&str>) -> Markup {
        let names: Vec<&str> = row.people.iter().map(|(name, _)| &**name).collect();
        html! {
            a.folded href=(Address { folder: row.folder, uid: row.uid }.path()) {
                span.who { @if row.outgoing { "To " } (names.join(", ")) }
                span.what { (row.beginning) }
                @if let Some(folder) = folder { span.where { (folder) } }
                (self.signed_in.clock.short(row.date))
            }
        }
    }

    /// Where one can go from here.
    fn around(&self, asked: &Opened) -> Markup {
        let messages = &asked.snapshot.messages;
        let index = messages.index_of(asked.message.uid());
        let newer = index.and_then(|index| messages.get(index + 1));
        let older = index.and_then(|index| messages.get(index.checked_sub(1)?));
        let folder = path(self.folder.id);
        let to = |message: &Message| format!("{folder}/{}", message.uid());
        html! {
            nav.around aria-label="Messages" {
                a.back href=(folder) { "Back to " (title(self.folder)) }
                span.steps {
                    @match &newer { Some(newer) => a rel="prev" href=(to(newer)) data-key="k" { "Newer" }, None => {} }
                    @match &older { Some(older) => a rel="next" href=(to(older)) data-key="j" { "Older" }, None => {} }
                }
            }
        }
    }
}

impl Shown<'_> {
    async fn render(&self, root: Part<'_>) -> Result<Markup, Problem> {
        let contents = Contents::of(root);
        let mut shown = Vec::new();
        let mut texts = Vec::new();
        let mut room = super::html::LONGEST;
        for text in &contents.texts {
            texts.push(self.text(&contents, *text, &mut room, &mut shown).await?);
        }
        let header = match self.wish.headers {
            Some(1) => Some(self.header(root).await?),
            _ => None,
        };
        let all = contents.attached.iter().chain(&contents.related).copied();
        let files: Vec<Part<'_>> = all.filter(|part| !shown.contains(&part.index())).collect();
        let (host, signed_in) = (self.view.host, self.view.signed_in);
        let outcome = match self.place {
            Place::Asked => outcome(host, signed_in, &self.opened.snapshot, &self.opened.message).await?,
            Place::Beside | Place::Inner => None,
        };
        let heading = format!("from-{}-{}", self.opened.address.folder, self.opened.address.uid);
        Ok(html! {
            article.message aria-labelledby=(heading) {
                @match self.place {
                    Place::Asked => (self.actions()),
                    Place::Inner => p.hint { "This message was attached to another. " a href=(self.opened.path()) { "Back to that one" } },
                    Place::Beside => {},
                }
                (self.people(root, &heading))
                @if let Some(outcome) = &outcome { (outcome) }
                @if let Some(header) = &header { pre.source tabindex="0" aria-label="Header" { (header) } }
                @match contents.protection {
                    Some(Protection::Signed) => p.note { "This message carries a signature, which is not checked here." },
                    Some(Protection::Encrypted) => p.note { "This message is encrypted. Only a mail program that has the key can show it." },
                    None => {},
                }
                div.text { @for text in &texts { (text) } }
                @if texts.is_empty() && contents.protection != Some(Protection::Encrypted) { p.hint { "This message has no text." } }
                @if !files.is_empty() { (self.files(&files, contents.more)) }
                @if self.place == Place::Beside {
                    p.more { a href=(self.opened.path()) { "Answer this one, or do something else with it" } }
                } @else {
                    (self.more(&contents))
                }
            }
        })
    }

    fn actions(&self) -> Markup {
        let reference = format!("{}.{}", self.opened.address.folder, self.opened.address.uid);
        let compose = |what: &str| format!("/compose?{what}={reference}");
        let special = self.view.folder.special_use;
        let back = path(self.view.folder.id);
        let act = format!("{back}/act");
        let flagged = self.opened.message.flags().contains(Flags::FLAGGED);
        let gone = matches!(special, Some(SpecialUse::Trash | SpecialUse::Junk));
        html! {
            div.actions role="group" aria-label="What to do with this message" {
                @if special == Some(SpecialUse::Drafts) {
                    a.button href=(compose("draft")) { "Go on writing" }
                } @else {
                    a.button href=(compose("reply")) data-key="r" { "Reply" }
                    a.button.quiet href=(compose("all")) data-key="a" { "Reply to all" }
                    a.button.quiet href=(compose("forward")) data-key="f" { "Forward" }
                }
                form.deed action=(act) method="post" {
                    (self.form(&back))
                    @if special == Some(SpecialUse::Trash) { button.quiet name="do" value="restore" { "Put back" } }
                    @if !gone && special != Some(SpecialUse::Archive) { button.quiet name="do" value="archive" data-key="e" { "Archive" } }
                    @if !gone && special != Some(SpecialUse::Sent) { button.quiet name="do" value="junk" data-key="!" { "Junk" } }
                    button.quiet name="do" value="delete" data-key="#" { @if gone { "Delete for good" } @else { "Delete" } }
                    button.quiet name="do" value="unread" data-key="U" { "Mark unread" }
                }
                form.deed action=(act) method="post" {
                    (self.form(&self.opened.path()))
                    button.quiet name="do" value=(if flagged { "unflag" } else { "flag" }) aria-pressed=(flagged) data-key="s" {
                        @if flagged { "★ Starred" } @else { "☆ Star" }
                    }
                }
                form.deed action=(act) method="post" {
                    (self.form(&back))
                    label.hidden for="to" { "Folder to move to" }
                    select #to name="to" {
                        option value="" { "Move to…" }
                        @for folder in self.view.folders.iter().filter(|folder| folder.id != self.view.folder.id) {
                            option value=(folder.id.get()) { (title(folder)) }
                        }
                    }
                    button.quiet name="do" value="move" { "Move" }
                }
            }
        }
    }

    fn form(&self, then: &str) -> Markup {
        html! {
            (seal(self.view.signed_in))
            input type="hidden" name="uid" value=(self.opened.address.uid);
            input type="hidden" name="then" value=(then);
        }
    }

    /// Who wrote it to whom, and when.
    fn people(&self, root: Part<'_>, heading: &str) -> Markup {
        let Some(envelope) = root.envelope() else { return html! {} };
        let from: Vec<Person> = people(envelope.from());
        let answers: Vec<Person> = people(envelope.reply_to());
        let elsewhere = answers.iter().any(|answer| from.iter().all(|from| from.address != answer.address));
        let (to, cc, bcc) = (people(envelope.to()), people(envelope.cc()), people(envelope.bcc()));
        // The one within another has no date but the one that it claims.
        let date = envelope.date().map(words).unwrap_or_default();
        let names: Vec<&str> = from.iter().map(Person::said).collect();
        html! {
            h2.hidden id=(heading) { "From " @if names.is_empty() { "nobody" } (names.join(", ")) }
            dl.people {
                div { dt { "From" } dd { @if from.is_empty() { "(nobody)" } (list(&from)) } }
                @if elsewhere { div { dt { "Answers go to" } dd { (list(&answers)) } } }
                @if !to.is_empty() { div { dt { "To" } dd { (list(&to)) } } }
                @if !cc.is_empty() { div { dt { "Copy to" } dd { (list(&cc)) } } }
                @if !bcc.is_empty() { div { dt { "Hidden copy to" } dd { (list(&bcc)) } } }
                @if self.wish.inner.is_none() {
                    div { dt { "Date" } dd { (self.view.signed_in.clock.long(self.opened.message.date().0)) } }
                } @else if !date.is_empty() {
                    div { dt { "Date" } dd { (date) } }
                }
            }
            @for person in from.iter().filter(|person| person.pretends) {
                p.bad role="note" { "The sender calls themselves “" (person.name) "”, but the address that this came from is " code { (person.address) } "." }
            }
        }
    }

    async fn text(
        &self,
        contents: &Contents<'_>,
        text: Text<'_>,
        room: &mut usize,
        shown: &mut Vec<usize>,
    ) -> Result<Markup, Problem> {
        match text {
            Text::Html(_, Some(plain)) if self.wish.plain == Some(1) => self.plain(plain, room).await,
            Text::Html(html, _) => self.html(contents, html, shown).await,
            Text::Plain(plain) => self.plain(plain, room).await,
        }
    }

    /// All plain texts together are no longer than the room that there is.
    async fn plain(&self, part: Part<'_>, room: &mut usize) -> Result<Markup, Problem> {
        let reader = self.opened.snapshot.reader();
        let read = parts::read_text(&reader, &self.opened.message, part).await;
        let (text, whole) = read.map_err(|error| Problem::failed("a message", error))?;
        let shown = &text[..text.floor_char_boundary(*room)];
        *room -= shown.len();
        let whole = whole && shown.len() == text.len();
        Ok(html! {
            div.plain { (text::render(shown, parts::flow(part))) }
            @if !whole { (self.cut(part)) }
        })
    }

    async fn html(
        &self,
        contents: &Contents<'_>,
        part: Part<'_>,
        shown: &mut Vec<usize>,
    ) -> Result<Markup, Problem> {
        let made = frame::make(self.view.host, self.opened, contents, part, false).await?;
        shown.extend(made.shown);
        let loads = self.wish.images == Some(1);
        let mut address = format!("{}/html?part={}", self.opened.path(), part.index());
        if let Some(inner) = self.wish.inner {
            address.push_str(&format!("&inner={inner}"));
        }
        if loads {
            address.push_str("&images=1");
        }
        let remote = made.clean.remote;
        Ok(html! {
            @if remote > 0 && !loads {
                div.note role="note" {
                    @if remote == 1 { "A remote image was not loaded: " } @else { (remote) " remote images were not loaded: " }
                    "the sender would learn that and when you read this. "
                    a href=(self.again("images=1")) { "Load " @if remote == 1 { "it" } @else { "them" } " once" }
                }
            }
            // What is in the frame is not ours: it may run nothing, and tells nobody where it stands.
            iframe.letter sandbox="allow-popups allow-popups-to-escape-sandbox allow-same-origin" referrerpolicy="no-referrer"
                title="The text of the message" src=(address) {}
            @if made.clean.cut { (self.cut(part)) }
        })
    }

    fn cut(&self, part: Part<'_>) -> Markup {
        html! {
            p.note {
                "The message goes on. "
                a href=(format!("{}/part/{}", self.opened.path(), part.index())) { "Download all of its text" }
            }
        }
    }

    fn files(&self, files: &[Part<'_>], more: usize) -> Markup {
        html! {
            section.files aria-label="Attachments" {
                h3 { (files.len() + more) " " @if files.len() + more == 1 { "attachment" } @else { "attachments" } }
                ul { @for file in files { li { (self.file(*file)) } } }
                @if more > 0 { p.hint { "There are " (more) " more, which are not listed. " a href=(format!("{}/source", self.opened.path())) { "Show the source" } } }
            }
        }
    }

    fn file(&self, part: Part<'_>) -> Markup {
        let name = parts::file_name(part);
        let address = format!("{}/part/{}", self.opened.path(), part.index());
        let view = format!("{address}?view=1");
        let octets = parts::size(part);
        let image = parts::safe_image(part).is_some();
        html! {
            @if image && octets <= PREVIEW {
                a.preview href=(view) target="_blank" { img src=(view) alt=(name) loading="lazy"; }
            }
            span.name { (name) }
            span.hint { (size(octets)) }
            span.links {
                @if part.message().is_some() {
                    a href=(format!("{}?inner={}", self.opened.path(), part.index())) { "Open" span.hidden { " " (name) } }
                } @else if image || part.is("text", "plain") {
                    a href=(view) target="_blank" { "View" span.hidden { " " (name) } }
                }
                a href=(address) download=(name) { "Download" span.hidden { " " (name) } }
            }
        }
    }

    /// Other ways to look at it.
    fn more(&self, contents: &Contents<'_>) -> Markup {
        let plain = contents.texts.iter().any(|text| matches!(text, Text::Html(_, Some(_))));
        html! {
            nav.more aria-label="Other ways to look at this message" {
                @if plain && self.wish.plain != Some(1) { a href=(self.again("plain=1")) { "Plain text" } }
                @if self.wish.plain == Some(1) { a href=(self.again("")) { "With its looks" } }
                @if self.wish.headers == Some(1) { a href=(self.again("")) { "Hide the header" } } @else { a href=(self.again("headers=1")) { "Whole header" } }
                a href=(format!("{}/source", self.opened.path())) target="_blank" { "Source" }
                a href=(format!("{}/source?download=1", self.opened.path())) { "Download the message" }
            }
        }
    }

    /// This page with another wish.
    fn again(&self, wish: &str) -> String {
        let inner = self.wish.inner.map(|inner| format!("inner={inner}")).unwrap_or_default();
        let wishes: Vec<&str> = [wish, &inner].into_iter().filter(|wish| !wish.is_empty()).collect();
        let sign = if wishes.is_empty() { "" } else { "?" };
        format!("{}{sign}{}", self.opened.path(), wishes.join("&"))
    }

    /// The header as it came, as far as anybody would read it.
    async fn header(&self, root: Part<'_>) -> Result<String, Problem> {
        let (message, header) = (&self.opened.message, root.header());
        // What was added at delivery belongs to it.
        let start = if self.wish.inner.is_some() { header.start + message.prefix_size() } else { 0 };
        let end = (header.end + message.prefix_size()).min(start + HEADER);
        let reader = self.opened.snapshot.reader();
        let mut read = reader.read_all(std::iter::once((message, start..end))).await;
        let octets = read.pop().unwrap_or_else(|| Ok(bytes::Bytes::new()));
        let octets = octets.map_err(|error| Problem::failed("a message", error))?;
        let text = mailstore::search::decode_lossy(b"", &octets);
        Ok(text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_hidden(*c)).collect())
    }
}

/// Somebody in a header.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Person {
    name: String,
    address: String,
    /// Whether the name is an address, and another one.
    pretends: bool,
}

impl Person {
    /// What they are called: never by a name that is somebody else's address.
    fn said(&self) -> &str {
        if self.name.is_empty() || self.pretends { &self.address } else { &self.name }
    }
}

fn people(addresses: mime::Addresses<'_>) -> Vec<Person> {
    addresses
        .filter_map(|address| {
            let (mailbox, host) = (address.mailbox?, address.host?);
            let (mailbox, host) = (words_as_they_are(&mailbox), words_as_they_are(&host));
            let address_ = if host.is_empty() { mailbox } else { format!("{mailbox}@{host}") };
            let name = address.name.map(|name| words(&name).trim().to_owned()).unwrap_or_default();
            let pretends = name.contains('@') && !name.to_lowercase().contains(&address_.to_lowercase());
            Some(Person { name, address: address_, pretends })
        })
        .take(MOST_PEOPLE)
        .collect()
}

/// An address is no text: nothing in it is undone.
fn words_as_they_are(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).chars().filter(|c| !is_hidden(*c)).collect()
}

fn list(people: &[Person]) -> Markup {
    let (first, others) = people.split_at(people.len().min(SHOWN_PEOPLE));
    let line = |people: &[Person]| {
        html! { ul.persons { @for person in people { li { (one(person)) } } } }
    };
    html! {
        (line(first))
        @if !others.is_empty() { details { summary { "and " (others.len()) " more" } (line(others)) } }
    }
}

/// A name, and always the address behind it.
fn one(person: &Person) -> Markup {
    html! {
        @if !person.name.is_empty() && !person.pretends { bdi.name { (person.name) } " " }
        a.address href=(format!("/compose?to={}", form(&person.address))) { bdi { (person.address) } }
    }
}

/// Octets as people say them.
fn size(octets: u64) -> String {
    match octets {
        0..1_000 => format!("{octets} bytes"),
        1_000..1_000_000 => format!("{} KB", octets.div_ceil(1_000)),
        _ => format!("{}.{} MB", octets / 1_000_000, octets / 100_000 % 10),
    }
}

/// The longest subject that is shown, in characters.
const LONGEST_SUBJECT: usize = 1_000;
/// The most of a header that is shown, in octets.
const HEADER: u64 = 64 << 10;
/// The most people that are listed, and how many of them at first.
const MOST_PEOPLE: usize = 1_000;
const SHOWN_PEOPLE: usize = 8;
/// The most messages of a conversation that are shown of a folder, and how many of them are open because nobody has read them.
const MOST_OTHERS: usize = 100;
const MOST_OPEN: usize = 5;
/// Images up to this size are shown in the list of attachments.
const PREVIEW: u64 = 2 << 20;

#[cfg(test)]
mod tests {
    use mailstore::mime::Scanner;

    use super::*;

    fn from(field: &str) -> Vec<Person> {
        let mut scanner = Scanner::new();
        scanner.push(format!("From: {field}\r\n\r\n").as_bytes());
        people(scanner.finish().root().envelope().unwrap().from())
    }

    #[test]
    fn people_are_shown_by_their_address() {
        let person = |name: &str, address: &str, pretends| Person {
            name: name.to_owned(),
            address: address.to_owned(),
            pretends,
        };
        for (field, shown) in [
            ("Ann <ann@a.test>", person("Ann", "ann@a.test", false)),
            ("ann@a.test", person("", "ann@a.test", false)),
            ("\"ann@a.test\" <Ann@A.test>", person("ann@a.test", "Ann@A.test", false)),
            ("\"help@bank.test\" <m@evil.test>", person("help@bank.test", "m@evil.test", true)),
            ("=?utf-8?Q?help=40bank.test?= <m@evil.test>", person("help@bank.test", "m@evil.test", true)),
            ("=?utf-8?B?4oCudHNldA==?= <m@e.test>", person("tset", "m@e.test", false)),
            ("a@xn--bnk-0na.test", person("", "a@xn--bnk-0na.test", false)),
        ] {
            assert_eq!(from(field), [shown], "{field}");
        }
        assert!(from("friends:;").is_empty());
        let pretends = list(&from("\"help@bank.test\" <m@evil.test>")).into_string();
        assert!(!pretends.contains("bank.test") && pretends.contains("m@evil.test"), "{pretends}");
        let many = list(&from(&vec!["a@b.test"; 30].join(","))).into_string();
        assert!(many.contains("and 22 more"), "{many}");
    }

    #[test]
    fn sizes_are_said_in_words() {
        for (octets, said) in [(0, "0 bytes"), (999, "999 bytes"), (1_000, "1 KB"), (20_971_520, "20.9 MB")] {
            assert_eq!(size(octets), said);
        }
    }

    #[test]
    fn a_page_that_nobody_sees_is_not_read() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(axum::http::HeaderName::from_static(name), value.parse().unwrap())])
        };
        assert!(is_prefetch(&headers("sec-purpose", "prefetch;prerender")));
        assert!(is_prefetch(&headers("purpose", "prefetch")));
        assert!(!is_prefetch(&headers("sec-purpose", "other")) && !is_prefetch(&HeaderMap::new()));
    }
}
