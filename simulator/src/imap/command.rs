//! The commands: how each is drawn and written, what may come of it, and what its answer says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::client::{Client, Open, some_flags};
use super::letter;
use super::model::{ALL, DELETED, Entry, FLAGS, FlagSet, Floor, Look, Model, SEEN, Tick, superiors, words};
use super::wire::{Value, numbers};
use crate::network::lock;

/// A command.
#[derive(Debug)]
pub(super) enum Kind {
    Noop,
    Check,
    Idle,
    Unselect,
    Close {
        removal: Option<(usize, u64)>,
    },
    Select {
        name: String,
        read_only: bool,
        validity: Option<u64>,
        floors: Vec<(usize, Floor)>,
    },
    List,
    Status {
        name: String,
        validity: Option<u64>,
        floors: Vec<(usize, Floor)>,
    },
    Create {
        name: String,
        id: u64,
    },
    Delete {
        name: String,
        id: u64,
    },
    Rename {
        from: String,
        to: String,
        id: u64,
    },
    Subscribe {
        name: String,
        on: bool,
    },
    Append {
        name: String,
        tag: u64,
        flags: FlagSet,
        date: Option<String>,
        sync: bool,
        id: u64,
        floors: Vec<(usize, Floor)>,
    },
    Fetch {
        what: What,
        set: Set,
        since: Option<u64>,
        seen: Option<u64>,
    },
    Store {
        set: Set,
        how: char,
        flags: FlagSet,
        silent: bool,
        since: Option<u64>,
        id: u64,
        changed: Vec<u32>,
    },
    Copy {
        set: Set,
        to: String,
        moves: bool,
        copies: u64,
        removal: u64,
        floors: Vec<(usize, Floor)>,
    },
    Expunge {
        set: Option<Set>,
        id: u64,
    },
    Search {
        by_uid: bool,
        key: Key,
        returns: bool,
    },
}

/// What is fetched of messages.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// Everything that a client wants to know of a message that is new to it.
    News,
    Flags,
    /// With CHANGEDSINCE.
    Changes,
    Facts,
    Body(&'static str),
}

/// What is looked for.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Flag(FlagSet, bool),
    Subject(u64),
}

/// Messages that are meant.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) by_uid: bool,
    pub(super) text: String,
    /// Those of them that the client knows, by number and UID.
    pub(super) members: Vec<(usize, u32)>,
}

/// What was told while a command was answered.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) exists: usize,
    pub(super) validity: Option<u64>,
    pub(super) next: Option<u64>,
    pub(super) mod_seq: Option<u64>,
    pub(super) copied: Option<Vec<Value>>,
    pub(super) found: Option<Vec<u32>>,
    pub(super) names: BTreeSet<String>,
    pub(super) status: BTreeMap<String, u64>,
    /// UIDs of messages that FETCH has told of.
    pub(super) shown: BTreeSet<u32>,
    /// The first flags and mod-sequence that were told of each.
    pub(super) first: BTreeMap<u32, (FlagSet, Option<u64>)>,
    /// The first mod-sequence, where it came without flags.
    pub(super) first_mod_seq: BTreeMap<u32, u64>,
    /// When IDLE was ended. What is told in it may have been on its way for long.
    pub(super) done: Option<Tick>,
    /// The view when IDLE was ended, and a moment before which all had to be told.
    pub(super) idled: Option<(Vec<Entry>, Tick)>,
}

/// Flags as they came.
pub(super) fn flags(list: &[Value]) -> FlagSet {
    let place = |word: &Value| FLAGS.iter().position(|flag| flag.eq_ignore_ascii_case(word.text()));
    // One that nobody has set cannot be shown; it shows by itself as a flag that must not be there.
    list.iter().map(|word| place(word).map_or(1 << 15, |place| 1 << place)).sum()
}

/// Octets by the names of their items.
pub(super) type Bodies<'v> = Vec<(String, &'v [u8])>;

/// What FETCH tells of a message, its UID, and octets by the names of their items.
pub(super) fn look(items: &[Value]) -> (Look, Option<u32>, Bodies<'_>) {
    let (mut look, mut uid, mut bodies) = (Look::default(), None, Vec::new());
    for pair in items.chunks(2) {
        let [name, value] = pair else { continue };
        if name.is("UID") {
            uid = value.number().map(|uid| uid as u32);
        } else if name.is("FLAGS") {
            look.flags = Some(flags(value.list()));
        } else if name.is("MODSEQ") {
            look.mod_seq = value.list().first().and_then(Value::number);
        } else if name.is("RFC822.SIZE") {
            look.size = value.number();
        } else if name.is("INTERNALDATE") {
            look.date = Some(value.text().to_owned());
        } else if name.text().starts_with("BODY[HEADER") {
            look.tag = letter::tag(value.octets());
        } else {
            if name.is("BODY[]") {
                look.size = Some(value.octets().len() as u64);
            }
            bodies.push((name.text().to_ascii_uppercase(), value.octets()));
        }
    }
    (look, uid, bodies)
}

impl Set {
    /// Some messages, and how they are named.
    fn new(members: Vec<(usize, u32)>, by_uid: bool) -> Self {
        let name = |(number, uid): (usize, u32)| if by_uid { u64::from(uid) } else { number as u64 };
        let (first, last) =
            (members.first().copied().unwrap_or((1, 1)), members.last().copied().unwrap_or((1, 1)));
        let text =
            if first == last { name(first).to_string() } else { format!("{}:{}", name(first), name(last)) };
        Self { by_uid, text, members }
    }

    fn uids(&self) -> Vec<u32> {
        self.members.iter().map(|(_, uid)| *uid).collect()
    }

    /// The members that a set in an answer names, as this one does.
    fn named(&self, set: &str) -> Vec<u32> {
        let named: BTreeSet<u32> = numbers(set).into_iter().collect();
        let is_named =
            |(number, uid): &&(usize, u32)| named.contains(&if self.by_uid { *uid } else { *number as u32 });
        self.members.iter().filter(is_named).map(|(_, uid)| *uid).collect()
    }

    const fn prefix(&self) -> &'static str {
        if self.by_uid { "UID " } else { "" }
    }
}

impl Client<'_> {
    /// Draws a command. `numbers`: messages may be named by their numbers.
    pub(super) fn choose(&mut self, behind: bool, numbers: bool) -> Option<Kind> {
        if behind && !numbers && self.open.is_none() {
            return None;
        }
        let Some((places, unknown)) = self
            .open
            .as_ref()
            .map(|open| (open.view.len(), open.view.iter().position(|entry| entry.uid.is_none())))
        else {
            return Some(self.choose_outside());
        };
        let by_uid = !numbers || self.dice.chance(500);
        if let Some(unknown) = unknown.filter(|_| numbers && self.dice.chance(800)) {
            let text = format!("{}:*", unknown + 1);
            let set = Set { by_uid: false, text, members: Vec::new() };
            return Some(Kind::Fetch { what: What::News, set, since: None, seen: None });
        }
        if self.dice.chance(130) {
            return (!behind).then(|| self.choose_outside());
        }
        let full = places > FULL;
        let most = if full { 40 } else { 8 };
        let read_only = self.open.as_ref().is_some_and(|open| open.read_only);
        let kind = match self.dice.below(100) {
            0..=9 => Kind::Noop,
            10 => Kind::Check,
            11..=14 if !behind => Kind::Idle,
            15 if !behind => Kind::Unselect,
            16 | 17 if !behind => Kind::Close { removal: None },
            18..=37 => {
                let what = What::draw(&mut self.dice, self.condstore);
                let everything = self.dice.chance(300);
                let members = self.some(if everything { 1_000 } else { most })?;
                let since = matches!(what, What::Changes).then(|| {
                    let mut model = lock(&self.shared.model);
                    model.tick();
                    let open = self.open.as_ref().map_or(0, |open| open.mailbox);
                    let top = model.floor(open).mod_seq;
                    top.saturating_sub(self.dice.below(30)).max(1)
                });
                Kind::Fetch { what, set: Set::new(members, by_uid), since, seen: None }
            }
            38..=61 if !read_only => {
                let members = self.some(most)?;
                let deletes = self.dice.chance(if full { 700 } else { 150 });
                let flags = if deletes { DELETED } else { some_flags(&mut self.dice) };
                let how = if deletes { '+' } else { *self.dice.pick(&['+', '+', '-', '-', '=']) };
                let since = (self.condstore && self.dice.chance(200)).then(|| {
                    let top = self
                        .open
                        .as_ref()
                        .map_or(0, |open| lock(&self.shared.model).floor(open.mailbox).mod_seq);
                    top.saturating_sub(self.dice.below(10)).max(1)
                });
                let silent = self.dice.chance(400);
                Kind::Store {
                    set: Set::new(members, by_uid),
                    how,
                    flags,
                    silent,
                    since,
                    id: 0,
                    changed: Vec::new(),
                }
            }
            62..=68 if !full => {
                let (members, to) = (self.some(4)?, self.some_name());
                let set = Set::new(members, by_uid);
                Kind::Copy { set, to, moves: false, copies: 0, removal: 0, floors: Vec::new() }
            }
            69..=75 if !read_only => {
                let (members, to) = (self.some(most)?, self.some_name());
                let own = self.open.as_ref().is_some_and(|open| open.name == to);
                let set = Set::new(members, by_uid);
                Kind::Copy { set, to, moves: !own, copies: 0, removal: 0, floors: Vec::new() }
            }
            76..=79 if !read_only => Kind::Expunge { set: None, id: 0 },
            80..=83 if !read_only => {
                let members = self.some(20)?;
                Kind::Expunge { set: Some(Set::new(members, true)), id: 0 }
            }
            84..=92 => {
                let members = self.some(1)?;
                let key = match self.dice.below(3) {
                    0 => {
                        let open = self.open.as_ref()?;
                        let model = lock(&self.shared.model);
                        Key::Subject(model.tag(open.mailbox, members[0].1)?)
                    }
                    _ => Key::Flag(1 << self.dice.below(FLAGS.len() as u64), self.dice.chance(500)),
                };
                Kind::Search { by_uid, key, returns: self.dice.chance(500) }
            }
            _ if !behind => self.append(),
            _ => return None,
        };
        Some(kind)
    }

    fn choose_outside(&mut self) -> Kind {
        let name = self.some_name();
        let select = if self.open.is_none() { 60 } else { 30 };
        match self.dice.below(100) {
            at if at < select => {
                let read_only = self.dice.chance(150);
                Kind::Select { name, read_only, validity: None, floors: Vec::new() }
            }
            60..=79 => self.append(),
            80..=84 => Kind::Status { name, validity: None, floors: Vec::new() },
            85..=88 => Kind::List,
            89..=91 => Kind::Create { name, id: 0 },
            92 => {
                let stale = lock(&self.shared.model).stale_name(self.account);
                Kind::Delete { name: stale.unwrap_or(name), id: 0 }
            }
            93 => {
                let from = if self.dice.chance(600) || name == "INBOX" {
                    (*self.dice.pick(&ROOTS)).to_owned()
                } else {
                    name
                };
                let mut model = lock(&self.shared.model);
                let to = match self.dice.chance(100) {
                    // Which is there already.
                    true => "INBOX".to_owned(),
                    false => model.fresh_name(self.account),
                };
                Kind::Rename { from, to, id: 0 }
            }
            94..=96 => Kind::Subscribe { name, on: self.dice.chance(500) },
            _ => Kind::Noop,
        }
    }

    fn append(&mut self) -> Kind {
        let flags = if self.dice.chance(500) { some_flags(&mut self.dice) } else { 0 };
        let date = self.dice.chance(500).then(|| {
            let (day, hour) = (self.dice.between(10, 28), self.dice.between(10, 23));
            format!("{day}-Nov-2000 {hour}:10:20 +0000")
        });
        let tag = lock(&self.shared.model).new_tag();
        let (name, sync) = (self.some_name(), self.dice.chance(300));
        Kind::Append { name, tag, flags, date, sync, id: 0, floors: Vec::new() }
    }

    /// A mailbox: mostly one of the few that much happens in.
    fn some_name(&mut self) -> String {
        if self.dice.chance(50) {
            let model = lock(&self.shared.model);
            let mut names = model.fresh_names(self.account);
            if names.len() > 0
                && let Some(name) = names.nth(self.dice.below(names.len() as u64) as usize)
            {
                return name.to_owned();
            }
        }
        let names: &[&str] = if self.dice.chance(850) { &BUSY } else { &OTHERS };
        (*self.dice.pick(names)).to_owned()
    }
}

impl Kind {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Noop => "NOOP",
            Self::Check => "CHECK",
            Self::Idle => "IDLE",
            Self::Unselect => "UNSELECT",
            Self::Close { .. } => "CLOSE",
            Self::Select { read_only: true, .. } => "EXAMINE",
            Self::Select { .. } => "SELECT",
            Self::List => "LIST",
            Self::Status { .. } => "STATUS",
            Self::Create { .. } => "CREATE",
            Self::Delete { .. } => "DELETE",
            Self::Rename { .. } => "RENAME",
            Self::Subscribe { on: true, .. } => "SUBSCRIBE",
            Self::Subscribe { .. } => "UNSUBSCRIBE",
            Self::Append { .. } => "APPEND",
            Self::Fetch { since: Some(_), .. } => "FETCH CHANGEDSINCE",
            Self::Fetch { what: What::Body(_), .. } => "FETCH of octets",
            Self::Fetch { .. } => "FETCH",
            Self::Store { since: Some(_), .. } => "STORE UNCHANGEDSINCE",
            Self::Store { silent: true, .. } => "STORE .SILENT",
            Self::Store { .. } => "STORE",
            Self::Copy { moves: true, .. } => "MOVE",
            Self::Copy { .. } => "COPY",
            Self::Expunge { set: Some(_), .. } => "UID EXPUNGE",
            Self::Expunge { .. } => "EXPUNGE",
            Self::Search { .. } => "SEARCH",
        }
    }

    /// Whether EXPUNGE may be told while it runs: RFC 9051 §7.5.1.
    pub(super) const fn may_expunge(&self) -> bool {
        match self {
            Self::Fetch { set, .. } | Self::Store { set, .. } => set.by_uid,
            Self::Search { by_uid, .. } => *by_uid,
            _ => true,
        }
    }

    /// Nothing may be given before it is answered.
    pub(super) const fn stands_last(&self) -> bool {
        matches!(
            self,
            Self::Idle | Self::Unselect | Self::Close { .. } | Self::Select { .. } | Self::Append { .. }
        )
    }

    /// What follows the line.
    pub(super) fn literal(&self) -> Option<Vec<u8>> {
        match self {
            Self::Append { tag, .. } => Some(letter::octets(*tag)),
            _ => None,
        }
    }

    /// The line, without its end.
    pub(super) fn write(&self, out: &mut String) {
        let _ = match self {
            Self::Noop => write!(out, "NOOP"),
            Self::Check => write!(out, "CHECK"),
            Self::Idle => write!(out, "IDLE"),
            Self::Unselect => write!(out, "UNSELECT"),
            Self::Close { .. } => write!(out, "CLOSE"),
            Self::Select { name, read_only, .. } => {
                write!(out, "{} {name:?}", if *read_only { "EXAMINE" } else { "SELECT" })
            }
            Self::List => write!(out, "LIST \"\" *"),
            Self::Status { name, .. } => write!(out, "STATUS {name:?} {STATUS}"),
            Self::Create { name, .. } => write!(out, "CREATE {name:?}"),
            Self::Delete { name, .. } => write!(out, "DELETE {name:?}"),
            Self::Rename { from, to, .. } => write!(out, "RENAME {from:?} {to:?}"),
            Self::Subscribe { name, on } => {
                write!(out, "{} {name:?}", if *on { "SUBSCRIBE" } else { "UNSUBSCRIBE" })
            }
            Self::Append { name, tag, flags, date, sync, .. } => {
                let date = date.as_ref().map_or_else(String::new, |date| format!(" {date:?}"));
                let (size, plus) = (letter::octets(*tag).len(), if *sync { "" } else { "+" });
                write!(out, "APPEND {name:?} {}{date} {{{size}{plus}}}", words(*flags))
            }
            Self::Fetch { what, set, since, .. } => {
                let items = match what {
                    What::News => "UID FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
                    What::Flags | What::Changes => "UID FLAGS",
                    What::Facts => "UID RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE",
                    What::Body(section) => section,
                };
                let since = since.map_or_else(String::new, |since| format!(" (CHANGEDSINCE {since})"));
                write!(out, "{}FETCH {} ({items}){since}", set.prefix(), set.text)
            }
            Self::Store { set, how, flags, silent, since, .. } => {
                let since = since.map_or_else(String::new, |since| format!(" (UNCHANGEDSINCE {since})"));
                let (how, silent) = (how.to_string().replace('=', ""), if *silent { ".SILENT" } else { "" });
                write!(out, "{}STORE {}{since} {how}FLAGS{silent} {}", set.prefix(), set.text, words(*flags))
            }
            Self::Copy { set, to, moves, .. } => {
                let verb = if *moves { "MOVE" } else { "COPY" };
                write!(out, "{}{verb} {} {to:?}", set.prefix(), set.text)
            }
            Self::Expunge { set: Some(set), .. } => write!(out, "UID EXPUNGE {}", set.text),
            Self::Expunge { .. } => write!(out, "EXPUNGE"),
            Self::Search { by_uid, key, returns } => {
                let key = match key {
                    Key::Subject(tag) => format!("SUBJECT \"m{tag}.\""),
                    Key::Flag(flag, has) => flag_key(*flag, *has),
                };
                let (uid, returns) =
                    (if *by_uid { "UID " } else { "" }, if *returns { " RETURN (ALL)" } else { "" });
                write!(out, "{uid}SEARCH{returns} {key}")
            }
        };
    }

    /// The model learns what may come of it.
    pub(super) fn begin(&mut self, model: &mut Model, account: usize, open: Option<&Open>) {
        let mailbox = open.map_or(0, |open| open.mailbox);
        match self {
            Self::Close { removal } => {
                let removes = open.is_some_and(|open| !open.read_only);
                *removal = removes.then(|| (mailbox, model.begin_removal(mailbox, true, None)));
            }
            Self::Select { name, validity, floors, .. } | Self::Status { name, validity, floors } => {
                (*validity, *floors) = (model.validity_floor(account, name), model.floors(account, name));
            }
            Self::Create { name, id } => {
                let names = superiors(name).chain([name.clone()]).map(|name| (name, Some(true)));
                *id = model.begin_names(account, names.collect::<Vec<_>>());
            }
            Self::Delete { name, id } => *id = model.begin_deletion(account, name),
            Self::Rename { from, to, id } => *id = model.begin_rename(account, from, to),
            Self::Subscribe { name, .. } => model.begin_subscription(account, name),
            Self::Append { name, tag, flags, id, floors, .. } => {
                (*id, *floors) =
                    (model.begin_creation(account, name, *tag, Some(*flags)), model.floors(account, name));
            }
            Self::Fetch { what: What::Body(section), set, seen, .. } => {
                let marks = !section.contains("PEEK") && open.is_some_and(|open| !open.read_only);
                *seen = marks.then(|| model.begin_flags(mailbox, &set.uids(), SEEN, 0));
            }
            Self::Store { set, how, flags, since, id, changed, .. } => {
                let (set_flags, clear) = change(*how, *flags);
                let uids = set.uids();
                if let Some(since) = since {
                    let newer = |uid: &&u32| model.mod_seq(mailbox, **uid).is_some_and(|own| own > *since);
                    *changed = uids.iter().filter(newer).copied().collect();
                }
                *id = model.begin_flags(mailbox, &uids, set_flags, clear);
            }
            Self::Copy { set, to, moves, copies, removal, floors } => {
                let uids = set.uids();
                *copies = model.begin_copies(account, to, mailbox, &uids, *moves);
                *floors = model.floors(account, to);
                if *moves {
                    *removal = model.begin_removal(mailbox, false, Some(uids.into_iter().collect()));
                    model.moves_away(*copies, *removal);
                }
            }
            Self::Expunge { set, id } => {
                let uids = set.as_ref().map(|set| set.uids().into_iter().collect());
                *id = model.begin_removal(mailbox, true, uids);
            }
            _ => {}
        }
    }

    /// Nobody will answer it any more.
    pub(super) fn abandon(&self, model: &mut Model, account: usize) {
        if let Self::Subscribe { name, on } = self {
            model.subscription_over(account, name, *on, None);
        }
    }

    /// Its answer.
    #[expect(clippy::too_many_arguments, reason = "all that was said of it")]
    pub(super) fn end(
        self,
        client: &mut Client<'_>,
        model: &mut Model,
        from: Tick,
        floor: Floor,
        seen: &Seen,
        word: &str,
        code: &[Value],
    ) {
        let (ok, account, who) = (word == "OK", client.account, client.who.clone());
        let mailbox = client.open.as_ref().map_or(0, |open| open.mailbox);
        let has = |name: &str| code.first().is_some_and(|code| code.is(name));
        match self {
            Self::Noop | Self::Check | Self::Idle => {
                if !ok {
                    model.violated(format!("{who}: NO to a command that cannot fail"));
                }
                if let Some((view, half)) = &seen.idled {
                    model.view(mailbox, view, *half, &format!("{who}, idle,"));
                }
                if let Some(open) = &client.open {
                    model.view(mailbox, &open.view, seen.done.unwrap_or(from), &who);
                }
            }
            Self::Unselect => client.open = None,
            Self::Close { removal } => {
                client.open = None;
                if let Some((mailbox, removal)) = removal {
                    match ok {
                        true => model.removal_done(mailbox, removal, None),
                        false => model.removal_undone(mailbox, removal),
                    }
                }
            }
            Self::Select { name, read_only, validity, floors } => {
                client.open = None;
                if has("NONEXISTENT") {
                    model.name_seen(account, &name, false, from, &who);
                }
                let Some(told) = seen.validity.filter(|_| ok) else { return };
                model.name_seen(account, &name, true, from, &who);
                let mailbox = model.mailbox(account, &name, told, validity);
                model.told(mailbox, seen.mod_seq, seen.next, of(&floors, mailbox), &who);
                let view = vec![Entry::default(); seen.exists];
                model.view(mailbox, &view, from, &who);
                client.open = Some(Open { mailbox, name, read_only, view });
            }
            Self::List if ok => model.listed(account, &seen.names, from, &who),
            Self::Status { name, validity, floors } => {
                if has("NONEXISTENT") {
                    model.name_seen(account, &name, false, from, &who);
                }
                let Some(told) = seen.status.get("UIDVALIDITY").filter(|_| ok) else { return };
                model.name_seen(account, &name, true, from, &who);
                let mailbox = model.mailbox(account, &name, *told, validity);
                let status = |item| seen.status.get(item).copied();
                model.told(mailbox, status("HIGHESTMODSEQ"), status("UIDNEXT"), of(&floors, mailbox), &who);
            }
            Self::Create { id, name } => match ok {
                true => model.names_done(id),
                false => {
                    model.names_undone(id);
                    if has("ALREADYEXISTS") {
                        model.name_seen(account, &name, true, from, &who);
                    }
                }
            },
            Self::Delete { id, name } | Self::Rename { id, from: name, .. } => match ok {
                true => model.names_done(id),
                false => {
                    model.names_undone(id);
                    if has("NONEXISTENT") {
                        model.name_seen(account, &name, false, from, &who);
                    }
                }
            },
            Self::Subscribe { name, on } => model.subscription_over(account, &name, on, Some(ok)),
            Self::Append { name, tag, flags, date, id, floors, .. } => {
                if !ok {
                    model.creation_over(id);
                    if has("TRYCREATE") {
                        model.name_seen(account, &name, false, from, &who);
                    }
                    return;
                }
                let (Some(validity), Some(uid)) =
                    (code.get(1).and_then(Value::number), code.get(2).and_then(Value::number))
                else {
                    model.creation_sure(id);
                    return;
                };
                model.creation_over(id);
                let into = model.mailbox(account, &name, validity, None);
                model.created(into, uid as u32, Some(tag), (flags, ALL), of(&floors, into), &who);
                model.dated(into, uid as u32, date);
            }
            Self::Fetch { set, since, seen: mark, .. } if ok => {
                if let Some(since) = since {
                    model.changed_since(mailbox, &set.uids(), &seen.shown, since, from, &who);
                }
                if let Some(mark) = mark {
                    // A host whose disk is full gives the message all the same, and says nothing of `\Seen`.
                    let told = seen.first.iter().filter(|(_, (flags, _))| flags & SEEN != 0);
                    model.flags_done(mailbox, &told.map(|(uid, _)| *uid).collect::<Vec<_>>(), mark);
                }
            }
            Self::Store { set, how, flags, silent, id, changed, .. } => {
                let uids = set.uids();
                if !ok {
                    return model.flags_undone(mailbox, &uids, id);
                }
                let modified = if has("MODIFIED") { set.named(code[1].text()) } else { Vec::new() };
                let stored: Vec<u32> = uids.into_iter().filter(|uid| !modified.contains(uid)).collect();
                model.flags_undone(mailbox, &modified, id);
                model.flags_done(mailbox, &stored, id);
                for uid in changed.iter().filter(|uid| !modified.contains(uid)) {
                    model.was_modified(mailbox, *uid, &who);
                }
                let (set_flags, clear) = change(how, flags);
                for uid in &stored {
                    let told = if silent { None } else { seen.first.get(uid) };
                    if let Some((told, _)) =
                        told.filter(|(told, _)| told & clear != 0 || !told & set_flags != 0)
                    {
                        let (told, how) = (words(*told), format!("{how}{}", words(flags)));
                        model.violated(format!("{who}: UID {uid} has {told} behind {how}"));
                    }
                    let mod_seq = match silent {
                        true => seen.first_mod_seq.get(uid).copied(),
                        false => seen.first.get(uid).and_then(|(_, mod_seq)| *mod_seq),
                    };
                    if let Some(mod_seq) = mod_seq {
                        let change = (set_flags, clear);
                        model.changed(mailbox, *uid, id, change, mod_seq, (from, floor), &who);
                    }
                    if silent
                        && !seen.first.contains_key(uid)
                        && let Some(open) = &mut client.open
                        && let Some(entry) = open.view.iter_mut().find(|entry| entry.uid == Some(*uid))
                    {
                        // Told of nothing else, the client takes the rest for unchanged.
                        entry.flags = entry.flags.map(|own| own & !clear | set_flags);
                    }
                }
            }
            Self::Copy { set, to, moves, copies, removal, floors } => {
                if has("TRYCREATE") {
                    model.name_seen(account, &to, false, from, &who);
                }
                let told = seen.copied.as_deref().filter(|_| ok);
                let pairs = told.and_then(|code| {
                    let pairs = numbers(code.get(2)?.text()).into_iter().zip(numbers(code.get(3)?.text()));
                    Some((code.get(1)?.number()?, pairs.collect::<Vec<_>>()))
                });
                let (validity, pairs) = pairs.unwrap_or_default();
                let sources: BTreeSet<u32> = pairs.iter().map(|(source, _)| *source).collect();
                if ok {
                    let missing: Vec<u32> =
                        set.uids().into_iter().filter(|uid| !sources.contains(uid)).collect();
                    for uid in missing {
                        model.not_copied(mailbox, uid, removal, &who);
                    }
                }
                model.creation_over(copies);
                if !pairs.is_empty() {
                    let into = model.mailbox(account, &to, validity, None);
                    for (source, copy) in &pairs {
                        let flags = model.known_flags(mailbox, *source, from);
                        let tag = model.tag(mailbox, *source);
                        model.created(into, *copy, tag, flags, of(&floors, into), &who);
                    }
                }
                match moves {
                    true if pairs.is_empty() => model.removal_undone(mailbox, removal),
                    true => model.removal_done(mailbox, removal, Some(sources)),
                    false => {}
                }
            }
            Self::Expunge { id, .. } => match ok {
                true => {
                    model.removal_done(mailbox, id, None);
                    if let Some(open) = &client.open {
                        model.view(mailbox, &open.view, from, &who);
                    }
                }
                false => model.removal_undone(mailbox, id),
            },
            Self::Search { by_uid, key, .. } if ok => {
                let Some(open) = &client.open else { return };
                let found: BTreeSet<u32> = seen.found.iter().flatten().copied().collect();
                for (place, entry) in open.view.iter().enumerate() {
                    let Some(uid) = entry.uid else { continue };
                    let is_found = found.contains(&if by_uid { uid } else { place as u32 + 1 });
                    match key {
                        Key::Flag(flag, has) => {
                            model.search_result(mailbox, uid, flag, has == is_found, from, &who);
                        }
                        Key::Subject(tag) => model.subject_result(mailbox, uid, tag, is_found, &who),
                    }
                }
            }
            // A NO to these says nothing, but that octets could not be read.
            Self::List | Self::Fetch { .. } | Self::Search { .. } => {}
        }
    }
}

/// What is set and what is cleared.
const fn change(how: char, flags: FlagSet) -> (FlagSet, FlagSet) {
    match how {
        '+' => (flags, 0),
        '-' => (0, flags),
        _ => (flags, ALL & !flags),
    }
}

fn of(floors: &[(usize, Floor)], mailbox: usize) -> Floor {
    floors.iter().find(|(index, _)| *index == mailbox).map_or_else(Floor::default, |(_, floor)| *floor)
}

fn flag_key(flag: FlagSet, has: bool) -> String {
    let word = FLAGS[flag.trailing_zeros() as usize];
    match word.strip_prefix('\\') {
        Some(system) if has => system.to_ascii_uppercase(),
        Some(system) => format!("UN{}", system.to_ascii_uppercase()),
        None if has => format!("KEYWORD {word}"),
        None => format!("UNKEYWORD {word}"),
    }
}

/// A mailbox in which there are more messages is emptied.
const FULL: usize = 60;
/// Where much happens.
const BUSY: [&str; 3] = ["INBOX", "work", "Archive"];
/// What comes and goes.
const OTHERS: [&str; 7] = ["work", "work/a", "work/b", "play", "play/a", "play/a/deep", "Sent"];
/// What is renamed.
const ROOTS: [&str; 3] = ["work", "play", "play/a"];
/// What is asked of a mailbox.
pub(super) const STATUS: &str = "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ)";
