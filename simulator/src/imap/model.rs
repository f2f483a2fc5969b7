//! What there must be, known from commands and answers alone.
//!
//! Sessions overlap, so nobody knows in which order their commands came to pass. Each command is an interval of ticks,
//! from when it was sent to when it was answered; one that was never answered has no end, and may have happened or not.
//! A flag of a message is a register that such commands write. A value that is seen is right if there is a write of it
//! (or the value was there at first) behind which no other write has surely come to pass before the look began. The same
//! goes for mailboxes by name, and for whether a message is there. When all is quiet everything is read once, compared
//! with what is known, and becomes what is known; so no chain of guesses gets long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::letter;

/// A moment: events have numbers, by their order.
pub type Tick = u64;
/// No moment yet.
pub const NEVER: Tick = Tick::MAX;

/// Flags by their place in [`FLAGS`].
pub type FlagSet = u16;

/// All flags that clients use.
pub const FLAGS: [&str; 11] = [
    "\\Seen",
    "\\Answered",
    "\\Flagged",
    "\\Deleted",
    "\\Draft",
    "$Forwarded",
    "$Junk",
    "work",
    "Later",
    "k1",
    "k2",
];
/// `\Seen`.
pub const SEEN: FlagSet = 1;
/// `\Deleted`.
pub const DELETED: FlagSet = 1 << 3;
/// All of them.
pub const ALL: FlagSet = (1 << FLAGS.len()) - 1;

/// A change of flags by one command.
#[derive(Clone, Copy, Debug)]
struct Write {
    id: u64,
    from: Tick,
    over: Tick,
    /// It has been answered with OK.
    sure: bool,
    set: FlagSet,
    clear: FlagSet,
}

/// Something that may have taken messages away.
#[derive(Clone, Debug)]
struct Removal {
    id: u64,
    from: Tick,
    over: Tick,
    sure: bool,
    /// Only what has `\Deleted`.
    marked: bool,
    /// Only these.
    uids: Option<BTreeSet<u32>>,
    /// Only messages with this number.
    tag: Option<u64>,
}

impl Removal {
    /// Whether it means this message, its flags apart.
    fn means(&self, uid: u32, message: &Message) -> bool {
        let other = self.tag.is_some_and(|tag| message.tag.is_some_and(|own| own != tag));
        !other && self.uids.as_ref().is_none_or(|uids| uids.contains(&uid))
    }
}

/// A message of a mailbox.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Its number, once somebody has looked.
    pub tag: Option<u64>,
    /// Flags at the beginning, as far as they are known.
    base: FlagSet,
    base_known: FlagSet,
    /// From when on it is surely there.
    there: Tick,
    /// It is known how it came here.
    explained: bool,
    writes: Vec<Write>,
    /// Somebody was told that it is gone.
    gone: Option<Tick>,
    /// Its flags at each mod-sequence that was seen, and when that was first.
    states: BTreeMap<u64, (FlagSet, Tick)>,
    size: Option<u64>,
    date: Option<String>,
}

impl Message {
    /// Whether anything may have given it `\Deleted`: most messages never have it, and need no closer look.
    fn was_ever_marked(&self) -> bool {
        (self.base | !self.base_known) & DELETED != 0
            || self.writes.iter().any(|write| write.set & DELETED != 0)
    }
}

/// A mailbox, as long as it keeps its UIDVALIDITY.
#[derive(Debug)]
pub struct Mailbox {
    /// Whose.
    pub account: usize,
    /// Its UIDVALIDITY.
    pub validity: u64,
    /// What it may be called, or was called.
    names: BTreeSet<String>,
    /// Its messages by UID.
    pub messages: BTreeMap<u32, Message>,
    /// UIDs of messages that are gone for good.
    used: BTreeSet<u32>,
    removals: Vec<Removal>,
    /// Somebody has seen since that it was not deleted.
    proved: bool,
    /// It was not there any more when all rested.
    dead: bool,
    /// The highest of each that anybody was told.
    top: Floor,
}

/// What has been told of a mailbox at some time: later answers cannot be below it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Floor {
    /// Mod-sequence.
    pub mod_seq: u64,
    /// UIDNEXT.
    pub next: u64,
    /// UID.
    pub uid: u32,
}

/// A message that may have come into a mailbox, with a UID that nobody was told.
#[derive(Clone, Debug)]
struct Creation {
    id: u64,
    account: usize,
    name: String,
    tag: u64,
    /// By COPY or MOVE: from where.
    source: Option<Source>,
    flags: Option<FlagSet>,
    sure: bool,
    used: bool,
    /// Somebody has seen what came of it.
    sighted: bool,
    /// What takes the message away in the same commit.
    removal: u64,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    mailbox: usize,
    uid: u32,
    moves: bool,
}

/// A mailbox that may have come or gone.
#[derive(Clone, Debug)]
struct NameWrite {
    id: u64,
    account: usize,
    name: String,
    /// `None`: nobody knows.
    there: Option<bool>,
    from: Tick,
    over: Tick,
    sure: bool,
}

/// A mailbox that may have been deleted.
#[derive(Clone, Debug)]
struct Deletion {
    id: u64,
    account: usize,
    name: String,
}

/// A mailbox that may have got another name, with all below it.
#[derive(Clone, Debug)]
struct Rename {
    id: u64,
    account: usize,
    from: String,
    to: String,
}

/// What was seen of a message.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// FLAGS.
    pub flags: Option<FlagSet>,
    /// MODSEQ.
    pub mod_seq: Option<u64>,
    /// RFC822.SIZE.
    pub size: Option<u64>,
    /// INTERNALDATE.
    pub date: Option<String>,
    /// From its subject.
    pub tag: Option<u64>,
}

/// All that a fresh session has read of a mailbox when all was quiet.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Whose.
    pub account: usize,
    /// Its name.
    pub name: String,
    /// UIDVALIDITY.
    pub validity: u64,
    /// What STATUS says of each item.
    pub status: BTreeMap<String, u64>,
    /// All messages by rising number.
    pub messages: Vec<(u32, Look)>,
}

/// What a client knows of a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// Its UID, once it was told.
    pub uid: Option<u32>,
    /// Its flags, once they were told.
    pub flags: Option<FlagSet>,
}

/// What there must be.
#[derive(Debug, Default)]
pub struct Model {
    now: Tick,
    next_id: u64,
    /// Mailboxes; none is ever taken out.
    pub mailboxes: Vec<Mailbox>,
    by_validity: BTreeMap<(usize, u64), usize>,
    creations: Vec<Creation>,
    names: BTreeSet<(usize, String)>,
    name_writes: Vec<NameWrite>,
    deletions: Vec<Deletion>,
    renames: Vec<Rename>,
    /// The last names that mailboxes were renamed to, of each account; none was ever used before.
    fresh: BTreeMap<usize, VecDeque<String>>,
    /// Such names of before them, which are to be deleted.
    stale: BTreeMap<usize, VecDeque<String>>,
    subscriptions: BTreeMap<(usize, String), Register>,
    /// The highest UIDVALIDITY seen under each name.
    validities: BTreeMap<(usize, String), u64>,
    next_tag: u64,
    violations: Vec<String>,
    /// Looks at flags that were judged.
    pub looks: u64,
    /// Messages read whole and compared.
    pub bodies: u64,
}

/// A register that is written seldom: its value, or nothing while that is in doubt.
#[derive(Debug, Default)]
struct Register {
    value: Option<bool>,
    busy: u32,
}

impl Model {
    /// The next moment.
    pub const fn tick(&mut self) -> Tick {
        self.now += 1;
        self.now
    }

    const fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A number for a message that no other has.
    pub const fn new_tag(&mut self) -> u64 {
        self.next_tag += 1;
        self.next_tag
    }

    /// Something is not as it must be.
    pub fn violated(&mut self, what: String) {
        tracing::error!(what, "broken");
        if self.violations.len() < MOST_VIOLATIONS {
            self.violations.push(what);
        }
    }

    /// What was broken.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// The mailbox with this UIDVALIDITY, which is known by this name now.
    pub fn mailbox(&mut self, account: usize, name: &str, validity: u64, floor: Option<u64>) -> usize {
        let index = match self.by_validity.get(&(account, validity)) {
            Some(index) => *index,
            None => {
                let index = self.mailboxes.len();
                self.mailboxes.push(Mailbox {
                    account,
                    validity,
                    names: BTreeSet::new(),
                    messages: BTreeMap::new(),
                    used: BTreeSet::new(),
                    removals: Vec::new(),
                    proved: false,
                    dead: false,
                    top: Floor::default(),
                });
                self.by_validity.insert((account, validity), index);
                index
            }
        };
        let names = self.other_names(account, name);
        let of = &mut self.mailboxes[index];
        of.names.extend(names);
        let top = self.validities.entry((account, name.to_owned())).or_default();
        *top = validity.max(*top);
        if let Some(floor) = floor
            && validity < floor
        {
            self.violated(format!("{name} had UIDVALIDITY {floor}, and has {validity} now"));
        }
        index
    }

    /// This name, and those that have become this one by RENAME, or that it has become.
    fn other_names(&self, account: usize, name: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::from([name.to_owned()]);
        let renames = || self.renames.iter().filter(|rename| rename.account == account);
        loop {
            let new: Vec<String> = names
                .iter()
                .flat_map(|name| {
                    let there = renames().filter_map(|rename| moved(name, &rename.from, &rename.to));
                    there.chain(renames().filter_map(|rename| moved(name, &rename.to, &rename.from)))
                })
                .filter(|new| new.len() <= LONGEST && !names.contains(new))
                .collect();
            if new.is_empty() {
                return names;
            }
            names.extend(new);
        }
    }

    /// Whether a mailbox may have been deleted.
    fn may_be_deleted(&self, mailbox: usize) -> bool {
        let of = &self.mailboxes[mailbox];
        let own = |deletion: &&Deletion| deletion.account == of.account && of.names.contains(&deletion.name);
        of.dead || !of.proved && self.deletions.iter().any(|deletion| own(&deletion))
    }

    /// The highest UIDVALIDITY that a name has had.
    pub fn validity_floor(&self, account: usize, name: &str) -> Option<u64> {
        self.validities.get(&(account, name.to_owned())).copied()
    }

    /// Below what no later answer about this mailbox may be.
    pub fn floor(&self, mailbox: usize) -> Floor {
        self.mailboxes[mailbox].top
    }

    /// The same for every mailbox that may have this name.
    pub fn floors(&self, account: usize, name: &str) -> Vec<(usize, Floor)> {
        let own = |(_, of): &(usize, &Mailbox)| of.account == account && of.names.contains(name);
        self.mailboxes.iter().enumerate().filter(own).map(|(index, of)| (index, of.top)).collect()
    }

    /// An answer has told of the mailbox as a whole.
    pub fn told(&mut self, mailbox: usize, mod_seq: Option<u64>, next: Option<u64>, floor: Floor, who: &str) {
        let top = &mut self.mailboxes[mailbox].top;
        if let Some(mod_seq) = mod_seq {
            top.mod_seq = top.mod_seq.max(mod_seq);
        }
        if let Some(next) = next {
            top.next = top.next.max(next);
        }
        if let Some(mod_seq) = mod_seq.filter(|mod_seq| *mod_seq < floor.mod_seq) {
            self.violated(format!("{who}: HIGHESTMODSEQ {mod_seq}, and it was {} before", floor.mod_seq));
        }
        if let Some(next) = next.filter(|next| *next < floor.next || *next <= u64::from(floor.uid)) {
            self.violated(format!("{who}: UIDNEXT {next}, and before there was {floor:?}"));
        }
    }

    // Flags.

    /// A command begins that changes flags.
    pub fn begin_flags(&mut self, mailbox: usize, uids: &[u32], set: FlagSet, clear: FlagSet) -> u64 {
        let (id, from) = (self.id(), self.now);
        for uid in uids {
            if let Some(message) = self.mailboxes[mailbox].messages.get_mut(uid) {
                message.writes.push(Write { id, from, over: NEVER, sure: false, set, clear });
            }
        }
        id
    }

    /// It has come to pass for these.
    pub fn flags_done(&mut self, mailbox: usize, uids: &[u32], id: u64) {
        let now = self.now;
        for uid in uids {
            let message = self.mailboxes[mailbox].messages.get_mut(uid);
            if let Some(write) =
                message.and_then(|message| message.writes.iter_mut().find(|write| write.id == id))
            {
                (write.over, write.sure) = (now, true);
            }
        }
    }

    /// It has not come to pass for these.
    pub fn flags_undone(&mut self, mailbox: usize, uids: &[u32], id: u64) {
        for uid in uids {
            if let Some(message) = self.mailboxes[mailbox].messages.get_mut(uid) {
                message.writes.retain(|write| write.id != id);
            }
        }
    }

    /// Which flags a message may have had, and which it may have lacked, at some moment of an interval.
    fn allowed(message: &Message, from: Tick, to: Tick) -> (FlagSet, FlagSet) {
        let first = Write {
            id: 0,
            from: 0,
            over: 0,
            sure: true,
            set: message.base | !message.base_known,
            clear: !message.base | !message.base_known,
        };
        let (mut may, mut may_not) = (0, 0);
        let written = message.writes.iter().filter(|write| write.from < to);
        for write in std::iter::once(&first).chain(written) {
            let behind = |other: &&Write| other.sure && other.from > write.over && other.over < from;
            let (mut set, mut clear) = (0, 0);
            for other in message.writes.iter().filter(behind) {
                set |= other.set;
                clear |= other.clear;
            }
            may |= write.set & !clear;
            may_not |= write.clear & !set;
        }
        (may & ALL, may_not & ALL)
    }

    /// Whether these flags may have been seen in an interval.
    fn is_allowed(message: &Message, flags: FlagSet, from: Tick, to: Tick) -> bool {
        let (may, may_not) = Self::allowed(message, from, to);
        flags & !may == 0 && !flags & ALL & !may_not == 0
    }

    // Messages that go.

    /// A command begins that takes messages away: what has `\Deleted`, or all of these.
    pub fn begin_removal(&mut self, mailbox: usize, marked: bool, uids: Option<BTreeSet<u32>>) -> u64 {
        let (id, from) = (self.id(), self.now);
        let removal = Removal { id, from, over: NEVER, sure: false, marked, uids, tag: None };
        self.mailboxes[mailbox].removals.push(removal);
        id
    }

    /// A message of this number was seen in a mailbox by a client that does not speak of UIDs, and may go from now on.
    pub fn begin_removal_of(&mut self, account: usize, name: &str, tag: u64) {
        let (id, from) = (self.id(), self.now);
        let removal =
            Removal { id, from, over: NEVER, sure: false, marked: false, uids: None, tag: Some(tag) };
        let of = |mailbox: &&mut Mailbox| mailbox.account == account && mailbox.names.contains(name);
        self.mailboxes.iter_mut().filter(of).for_each(|mailbox| mailbox.removals.push(removal.clone()));
        let of = |creation: &&mut Creation| creation.account == account && creation.tag == tag;
        self.creations.iter_mut().filter(of).for_each(|creation| creation.sighted = true);
    }

    /// It has come to pass; `uids`, if only for these.
    pub fn removal_done(&mut self, mailbox: usize, id: u64, uids: Option<BTreeSet<u32>>) {
        let now = self.now;
        let removals = &mut self.mailboxes[mailbox].removals;
        if let Some(removal) = removals.iter_mut().find(|removal| removal.id == id) {
            (removal.over, removal.sure) = (now, true);
            if uids.is_some() {
                removal.uids = uids;
            }
        }
    }

    /// It has not come to pass.
    pub fn removal_undone(&mut self, mailbox: usize, id: u64) {
        self.mailboxes[mailbox].removals.retain(|removal| removal.id != id);
    }

    /// Whether something may have taken a message away by `to`; not counting what `except` is the id of.
    fn may_be_gone(&self, mailbox: usize, uid: u32, to: Tick, except: u64) -> bool {
        let of = &self.mailboxes[mailbox];
        let Some(message) = of.messages.get(&uid) else { return true };
        self.may_be_deleted(mailbox)
            || of.removals.iter().any(|removal| {
                removal.id != except
                    && removal.from < to
                    && removal.means(uid, message)
                    && (!removal.marked
                        || message.was_ever_marked()
                            && Self::allowed(message, removal.from, removal.over.min(to)).0 & DELETED != 0)
            })
    }

    /// Whether a message has surely been taken away before `from`.
    fn is_gone(&self, mailbox: usize, uid: u32, from: Tick) -> bool {
        let of = &self.mailboxes[mailbox];
        let Some(message) = of.messages.get(&uid) else { return true };
        message.gone.is_some_and(|gone| gone < from)
            || of.removals.iter().any(|removal| {
                removal.sure
                    && removal.over < from
                    && message.there < removal.from
                    && removal.means(uid, message)
                    && (!removal.marked
                        || message.was_ever_marked()
                            && Self::allowed(message, removal.from, removal.over).1 & DELETED == 0)
            })
    }

    /// A client was told that a message is gone.
    pub fn told_gone(&mut self, mailbox: usize, uid: u32, who: &str) {
        let now = self.tick();
        if !self.may_be_gone(mailbox, uid, now, 0) {
            self.violated(format!("{who} was told that UID {uid} is gone, and nobody has removed it"));
        }
        if let Some(message) = self.mailboxes[mailbox].messages.get_mut(&uid) {
            message.gone.get_or_insert(now);
        }
    }

    // Messages that come.

    /// A command begins that may bring a message.
    pub fn begin_creation(&mut self, account: usize, name: &str, tag: u64, flags: Option<FlagSet>) -> u64 {
        let id = self.id();
        let name = name.to_owned();
        let creation = Creation {
            id,
            account,
            name,
            tag,
            source: None,
            flags,
            sure: false,
            used: false,
            sighted: false,
            removal: 0,
        };
        self.creations.push(creation);
        id
    }

    /// The same by COPY or MOVE; nothing if the message has not been looked at.
    pub fn begin_copies(
        &mut self,
        account: usize,
        name: &str,
        mailbox: usize,
        uids: &[u32],
        moves: bool,
    ) -> u64 {
        let id = self.id();
        for uid in uids {
            let Some(tag) = self.mailboxes[mailbox].messages.get(uid).and_then(|message| message.tag) else {
                continue;
            };
            let source = Some(Source { mailbox, uid: *uid, moves });
            let name = name.to_owned();
            self.creations.push(Creation {
                id,
                account,
                name,
                tag,
                source,
                flags: None,
                sure: false,
                used: false,
                sighted: false,
                removal: 0,
            });
        }
        id
    }

    /// These copies and that removal are one change.
    pub fn moves_away(&mut self, copies: u64, removal: u64) {
        self.creations.iter_mut().filter(|own| own.id == copies).for_each(|own| own.removal = removal);
    }

    /// It has not come to pass, or it is known by its UID.
    pub fn creation_over(&mut self, id: u64) {
        self.creations.retain(|creation| creation.id != id);
    }

    /// It has come to pass, with a UID that was not told.
    pub fn creation_sure(&mut self, id: u64) {
        self.creations
            .iter_mut()
            .filter(|creation| creation.id == id)
            .for_each(|creation| creation.sure = true);
    }

    /// A message has come, and the one who brought it knows its UID.
    pub fn created(
        &mut self,
        mailbox: usize,
        uid: u32,
        tag: Option<u64>,
        (base, base_known): (FlagSet, FlagSet),
        floor: Floor,
        who: &str,
    ) {
        let now = self.now;
        if uid <= floor.uid || u64::from(uid) < floor.next {
            self.violated(format!("{who}: a new message has UID {uid}, and before there was {floor:?}"));
        }
        self.notice(mailbox, uid, who);
        let of = &mut self.mailboxes[mailbox];
        of.top.uid = of.top.uid.max(uid);
        let Some(message) = of.messages.get_mut(&uid) else { return };
        message.there = message.there.min(now);
        let twice = message.explained;
        message.explained = true;
        if message.base_known == 0 {
            (message.base, message.base_known) = (base, base_known);
        }
        let other = message.tag.is_some() && tag.is_some() && message.tag != tag;
        message.tag = message.tag.or(tag);
        if twice || other {
            self.violated(format!("{who}: UID {uid} was given to another message before"));
        }
    }

    /// The date that a message was given.
    pub fn dated(&mut self, mailbox: usize, uid: u32, date: Option<String>) {
        if let Some(message) = self.mailboxes[mailbox].messages.get_mut(&uid)
            && let Some(date) = date
        {
            let known = message.date.get_or_insert_with(|| date.clone());
            if *known != date {
                let what = format!("UID {uid} was given the date {date}, and has {known}");
                self.violated(what);
            }
        }
    }

    /// A copy of a message was asked for, and none was made.
    pub fn not_copied(&mut self, mailbox: usize, uid: u32, except: u64, who: &str) {
        if !self.may_be_gone(mailbox, uid, self.now, except) {
            self.violated(format!("{who}: UID {uid} was not copied, and nobody has removed it"));
        }
    }

    /// A message was changed before a STORE that should have spared it.
    pub fn was_modified(&mut self, mailbox: usize, uid: u32, who: &str) {
        if !self.may_be_gone(mailbox, uid, self.now, 0) {
            self.violated(format!("{who}: UID {uid} had changed, and was changed again all the same"));
        }
    }

    /// Flags of a message as far as they are known of an interval.
    pub fn known_flags(&self, mailbox: usize, uid: u32, from: Tick) -> (FlagSet, FlagSet) {
        let Some(message) = self.mailboxes[mailbox].messages.get(&uid) else { return (0, 0) };
        let (may, may_not) = Self::allowed(message, from, self.now);
        (may & !may_not, may ^ may_not)
    }

    /// A UID was seen: perhaps for the first time.
    fn notice(&mut self, mailbox: usize, uid: u32, who: &str) {
        let now = self.now;
        let of = &mut self.mailboxes[mailbox];
        of.top.uid = of.top.uid.max(uid);
        if of.used.contains(&uid) {
            let what = format!("{who}: UID {uid} belonged to a message that is gone");
            self.violated(what);
            return;
        }
        of.messages.entry(uid).or_insert_with(|| Message { there: now, ..Message::default() });
    }

    /// The number of a message, if somebody has looked.
    pub fn tag(&self, mailbox: usize, uid: u32) -> Option<u64> {
        self.mailboxes[mailbox].messages.get(&uid)?.tag
    }

    /// The highest mod-sequence of a message that was told.
    pub fn mod_seq(&self, mailbox: usize, uid: u32) -> Option<u64> {
        self.mailboxes[mailbox].messages.get(&uid)?.states.keys().next_back().copied()
    }

    /// A client has seen a message in an interval that began at `from`.
    pub fn seen(&mut self, mailbox: usize, uid: u32, look: &Look, from: Tick, who: &str) {
        let now = self.tick();
        self.looks += 1;
        self.notice(mailbox, uid, who);
        let of = &mut self.mailboxes[mailbox];
        let Some(message) = of.messages.get_mut(&uid) else { return };
        let (mut wrong, mut late) = (None, None);
        if let Some(tag) = look.tag
            && *message.tag.get_or_insert(tag) != tag
        {
            wrong = Some(format!("was message {:?} and is {tag} now", message.tag));
        }
        if let Some(size) = look.size
            && *message.size.get_or_insert(size) != size
        {
            wrong = Some(format!("had {:?} octets and has {size} now", message.size));
        }
        if let Some(date) = &look.date
            && message.date.get_or_insert_with(|| date.clone()) != date
        {
            wrong = Some(format!("was of {:?} and is of {date} now", message.date));
        }
        if let Some(mod_seq) = look.mod_seq {
            of.top.mod_seq = of.top.mod_seq.max(mod_seq);
            let later = message.states.range(mod_seq + 1..).find(|(_, (_, at))| *at < from);
            if let Some((later, _)) = later {
                late = Some(format!("has mod-sequence {mod_seq}, and had {later} before"));
            }
            if let Some(flags) = look.flags {
                let (known, _) = *message.states.entry(mod_seq).or_insert((flags, now));
                if known != flags {
                    let (known, flags) = (words(known), words(flags));
                    wrong = Some(format!("has {flags} at mod-sequence {mod_seq}, where it had {known}"));
                }
            }
        }
        if let Some(flags) = look.flags
            && !Self::is_allowed(message, flags, from, now)
        {
            let (may, may_not) = Self::allowed(message, from, now);
            let (shown, may, must) = (words(flags), words(may), words(!may_not & ALL));
            late = Some(format!("has {shown}; it may have {may}, and must have {must}"));
        }
        // A client that could not be told yet that it is gone sees it as it was.
        let late = late.filter(|_| !self.may_be_gone(mailbox, uid, now, 0));
        if let Some(wrong) = wrong.or(late) {
            let name = self.shown(mailbox);
            self.violated(format!("{who}: UID {uid} of {name} {wrong}"));
        }
    }

    /// The changes of a command were told with this mod-sequence.
    #[expect(clippy::too_many_arguments, reason = "what was changed, and all that was told of it")]
    pub fn changed(
        &mut self,
        mailbox: usize,
        uid: u32,
        id: u64,
        (set, clear): (FlagSet, FlagSet),
        mod_seq: u64,
        (from, floor): (Tick, Floor),
        who: &str,
    ) {
        if mod_seq > floor.mod_seq {
            return;
        }
        let Some(message) = self.mailboxes[mailbox].messages.get(&uid) else { return };
        let mut without = message.clone();
        without.writes.retain(|write| write.id != id);
        let (may, may_not) = Self::allowed(&without, from, self.now);
        // Where nothing changed, the old number stays.
        if set & !may != 0 || clear & !may_not != 0 {
            let before = floor.mod_seq;
            self.violated(format!("{who}: a change of UID {uid} has mod-sequence {mod_seq} behind {before}"));
        }
    }

    /// FETCH with CHANGEDSINCE has shown these of those that were asked for.
    pub fn changed_since(
        &mut self,
        mailbox: usize,
        asked: &[u32],
        shown: &BTreeSet<u32>,
        since: u64,
        from: Tick,
        who: &str,
    ) {
        for uid in asked.iter().filter(|uid| !shown.contains(uid)) {
            let Some(message) = self.mailboxes[mailbox].messages.get(uid) else { continue };
            let newer =
                message.states.range(since + 1..).find(|(_, (_, at))| *at < from).map(|(newer, _)| *newer);
            if let Some(newer) = newer
                && !self.may_be_gone(mailbox, *uid, self.now, 0)
            {
                self.violated(format!("{who}: UID {uid} has changed at {newer}, and not since {since}?"));
            }
        }
    }

    /// Whether flags were surely there, or surely not, in an interval that ends now.
    pub fn search_result(
        &mut self,
        mailbox: usize,
        uid: u32,
        flag: FlagSet,
        has: bool,
        from: Tick,
        who: &str,
    ) {
        let now = self.now;
        let Some(message) = self.mailboxes[mailbox].messages.get(&uid) else { return };
        let (may, may_not) = Self::allowed(message, from, now);
        let wrong = if has { may & flag != flag } else { may_not & flag == 0 };
        if wrong && !self.may_be_gone(mailbox, uid, now, 0) {
            let (flag, not) = (words(flag), if has { "" } else { " not" });
            self.violated(format!("{who}: a search has{not} found {flag} at UID {uid}"));
        }
    }

    /// The same for a search for the subject of a message.
    pub fn subject_result(&mut self, mailbox: usize, uid: u32, tag: u64, found: bool, who: &str) {
        let Some(own) = self.tag(mailbox, uid) else { return };
        if (own == tag) != found && (found || !self.may_be_gone(mailbox, uid, self.now, 0)) {
            let not = if found { "" } else { " not" };
            self.violated(format!("{who}: a search for m{tag} has{not} found UID {uid}, which is m{own}"));
        }
    }

    /// A client knows all that had happened when it gave a command, at `from`: its whole view is looked at.
    pub fn view(&mut self, mailbox: usize, view: &[Entry], from: Tick, who: &str) {
        let now = self.now;
        let mut wrong = Vec::new();
        let of = &self.mailboxes[mailbox];
        if self.may_be_deleted(mailbox) {
            return;
        }
        for (place, entry) in view.iter().enumerate() {
            let Some(uid) = entry.uid else { continue };
            let Some(message) = of.messages.get(&uid) else { continue };
            if self.is_gone(mailbox, uid, from) {
                wrong.push(format!("still sees UID {uid} at {}, which is gone", place + 1));
                continue;
            }
            if let Some(flags) = entry.flags
                && !Self::is_allowed(message, flags, from, now)
                && !self.may_be_gone(mailbox, uid, now, 0)
            {
                let (may, may_not) = Self::allowed(message, from, now);
                let (flags, may, must) = (words(flags), words(may), words(!may_not & ALL));
                wrong.push(format!(
                    "takes UID {uid} for one with {flags}; it may have {may}, and must have {must}"
                ));
            }
        }
        // Those it does not know the UIDs of may be any.
        let known: BTreeSet<u32> = view.iter().filter_map(|entry| entry.uid).collect();
        let unknown = view.len() - known.len();
        let missing = of.messages.iter().filter(|(uid, message)| {
            message.there < from
                && message.gone.is_none()
                && !known.contains(uid)
                && !self.may_be_gone(mailbox, **uid, now, 0)
        });
        let missing: Vec<u32> = missing.map(|(uid, _)| *uid).collect();
        if missing.len() > unknown {
            wrong.push(format!("does not see {missing:?}, and has only {unknown} unknown messages"));
        }
        self.looks += view.len() as u64;
        let name = self.shown(mailbox);
        for wrong in wrong {
            self.violated(format!("{who}, in {name}, {wrong}"));
        }
    }

    /// When all is quiet a client's view is the same as that of a fresh session.
    pub fn same_view(&mut self, mailbox: usize, view: &[Entry], reading: &Reading, who: &str) {
        let name = self.shown(mailbox);
        if view.len() != reading.messages.len() {
            let (own, there) = (view.len(), reading.messages.len());
            self.violated(format!("{who} counts {own} messages in {name}, and there are {there}"));
            return;
        }
        for (place, (entry, (uid, look))) in view.iter().zip(&reading.messages).enumerate() {
            let number = place + 1;
            if let Some(own) = entry.uid.filter(|own| own != uid) {
                self.violated(format!(
                    "{who} takes message {number} of {name} for UID {own}, and it is {uid}"
                ));
            }
            if let Some(own) = entry.flags
                && look.flags.is_some_and(|flags| flags != own)
            {
                let (own, flags) = (words(own), words(look.flags.unwrap_or_default()));
                self.violated(format!(
                    "{who} takes UID {uid} of {name} for one with {own}, and it has {flags}"
                ));
            }
        }
    }

    fn shown(&self, mailbox: usize) -> String {
        let of = &self.mailboxes[mailbox];
        let names: Vec<&str> = of.names.iter().map(String::as_str).collect();
        format!("{} {} of {}", names.join("|"), of.validity, of.account)
    }

    // Names.

    /// A command begins that makes these names, or takes them away, or nobody knows which of both.
    pub fn begin_names(
        &mut self,
        account: usize,
        names: impl IntoIterator<Item = (String, Option<bool>)>,
    ) -> u64 {
        let (id, from) = (self.id(), self.now);
        for (name, there) in names {
            self.name_writes.push(NameWrite { id, account, name, there, from, over: NEVER, sure: false });
        }
        id
    }

    /// A command begins that deletes a mailbox.
    pub fn begin_deletion(&mut self, account: usize, name: &str) -> u64 {
        let id = self.begin_names(account, [(name.to_owned(), Some(false))]);
        self.deletions.push(Deletion { id, account, name: name.to_owned() });
        id
    }

    /// A name that no mailbox has had: one that had been there before would get a UIDVALIDITY of its own, by which the
    /// mailbox is known here.
    pub fn fresh_name(&mut self, account: usize) -> String {
        self.next_id += 1;
        let name = format!("was/{}", self.next_id);
        let fresh = self.fresh.entry(account).or_default();
        fresh.push_back(name.clone());
        if fresh.len() > FRESH {
            let old = fresh.pop_front().unwrap_or_default();
            // What is below goes first.
            let names = ["/a/deep", "/a", "/b", ""].map(|below| format!("{old}{below}"));
            self.stale.entry(account).or_default().extend(names);
        }
        name
    }

    /// The last names that mailboxes were renamed to.
    pub fn fresh_names(&self, account: usize) -> impl ExactSizeIterator<Item = &str> {
        const NONE: &VecDeque<String> = &VecDeque::new();
        self.fresh.get(&account).unwrap_or(NONE).iter().map(String::as_str)
    }

    /// The next name that is to be deleted.
    pub fn stale_name(&mut self, account: usize) -> Option<String> {
        self.stale.get_mut(&account)?.pop_front()
    }

    /// A command begins that gives a mailbox, and those below it, another name.
    pub fn begin_rename(&mut self, account: usize, from: &str, to: &str) -> u64 {
        let written = self.name_writes.iter().filter(|write| write.account == account);
        let names: BTreeSet<String> = written
            .map(|write| &write.name)
            .chain(self.names.iter().filter(|(of, _)| *of == account).map(|(_, name)| name))
            .filter(|name| name.starts_with(&format!("{from}/")))
            .cloned()
            .collect();
        let mut writes = vec![(from.to_owned(), Some(false)), (to.to_owned(), Some(true))];
        for name in names {
            // Of what is below nobody knows yet whether it is there.
            writes.extend(moved(&name, from, to).map(|new| (new, None)));
            writes.push((name, Some(false)));
        }
        writes.extend(superiors(to).map(|above| (above, Some(true))));
        let id = self.begin_names(account, writes);
        self.renames.push(Rename { id, account, from: from.to_owned(), to: to.to_owned() });
        for mailbox in 0..self.mailboxes.len() {
            if self.mailboxes[mailbox].account == account {
                let of = &mut self.mailboxes[mailbox].names;
                let new: Vec<String> = of.iter().filter_map(|name| moved(name, from, to)).collect();
                of.extend(new);
            }
        }
        id
    }

    /// It has come to pass.
    pub fn names_done(&mut self, id: u64) {
        let now = self.now;
        for write in self.name_writes.iter_mut().filter(|write| write.id == id) {
            (write.over, write.sure) = (now, true);
        }
    }

    /// It has not come to pass.
    pub fn names_undone(&mut self, id: u64) {
        self.name_writes.retain(|write| write.id != id);
        self.deletions.retain(|deletion| deletion.id != id);
        self.renames.retain(|rename| rename.id != id);
    }

    /// Whether there may have been a mailbox of this name in an interval, and whether there may have been none.
    fn name_allowed(&self, account: usize, name: &str, from: Tick, to: Tick) -> (bool, bool) {
        let first = self.names.contains(&(account, name.to_owned()));
        let own = |write: &&NameWrite| write.account == account && write.name == name;
        let writes: Vec<&NameWrite> = self.name_writes.iter().filter(own).collect();
        let (mut may, mut may_not) = (false, false);
        let begun = writes.iter().filter(|write| write.from < to).map(|write| (write.over, write.there));
        for (over, there) in std::iter::once((0, Some(first))).chain(begun) {
            for value in [true, false].into_iter().filter(|value| there.is_none_or(|there| there == *value)) {
                let undone = |other: &&NameWrite| {
                    other.sure && other.there == Some(!value) && other.from > over && other.over < from
                };
                if !writes.iter().any(undone) {
                    may |= value;
                    may_not |= !value;
                }
            }
        }
        (may, may_not)
    }

    /// A client has seen that there is a mailbox of this name, or that there is none.
    pub fn name_seen(&mut self, account: usize, name: &str, there: bool, from: Tick, who: &str) {
        let (may, may_not) = self.name_allowed(account, name, from, self.now);
        if !(if there { may } else { may_not }) {
            let how = if there { "is" } else { "is not" };
            self.violated(format!("{who}: {name} {how} there, which cannot be"));
        }
    }

    /// LIST has shown these names.
    pub fn listed(&mut self, account: usize, names: &BTreeSet<String>, from: Tick, who: &str) {
        let mut all: BTreeSet<String> =
            self.names.iter().filter(|(of, _)| *of == account).map(|(_, name)| name.clone()).collect();
        let written = self.name_writes.iter().filter(|write| write.account == account);
        all.extend(written.map(|write| write.name.clone()));
        all.extend(names.iter().cloned());
        for name in all {
            self.name_seen(account, &name, names.contains(&name), from, who);
        }
    }

    /// A command begins that subscribes or unsubscribes.
    pub fn begin_subscription(&mut self, account: usize, name: &str) {
        let register = self.subscriptions.entry((account, name.to_owned())).or_default();
        register.busy += 1;
    }

    /// It has ended: with OK, with NO, or nobody knows.
    pub fn subscription_over(&mut self, account: usize, name: &str, on: bool, done: Option<bool>) {
        let register = self.subscriptions.entry((account, name.to_owned())).or_default();
        register.busy -= 1;
        register.value = match done {
            // Of several at once nobody knows which came last.
            Some(true) if register.busy == 0 && register.value.is_some() => Some(on),
            Some(false) if register.busy == 0 => register.value,
            _ => None,
        };
    }

    // When all is quiet.

    /// Begins with what was read before anybody did anything.
    pub fn start(&mut self, account: usize, readings: &[Reading]) {
        let own = readings.iter().map(|reading| self.mailbox(account, &reading.name, reading.validity, None));
        let there = own.collect();
        self.forget(account, readings, &there);
    }

    /// Compares everything that was read with what is known, and begins anew from there.
    pub fn settle(&mut self, account: usize, readings: &[Reading], subscribed: &BTreeSet<String>) {
        let from = self.tick();
        self.tick();
        let names = readings.iter().map(|reading| reading.name.clone()).collect();
        self.listed(account, &names, from, "the reader");
        let mut there = BTreeSet::new();
        for reading in readings {
            let floor = self.validity_floor(account, &reading.name);
            let mailbox = self.mailbox(account, &reading.name, reading.validity, floor);
            if !there.insert(mailbox) {
                self.violated(format!("UIDVALIDITY {} is there under two names", reading.validity));
            }
            self.settle_mailbox(mailbox, reading, from);
        }
        for mailbox in 0..self.mailboxes.len() {
            let of = &self.mailboxes[mailbox];
            if of.account == account && !there.contains(&mailbox) {
                if !self.may_be_deleted(mailbox) && !of.messages.is_empty() {
                    let name = self.shown(mailbox);
                    self.violated(format!("{name} is not there any more, and nobody has deleted it"));
                }
                // What it held is no proof against anything, but explains what came of it.
                self.explain(mailbox, &BTreeSet::new());
            }
        }
        self.settle_creations(account, readings);
        for (key, register) in self.subscriptions.iter_mut().filter(|((of, _), _)| *of == account) {
            let there = subscribed.contains(&key.1);
            if register.value.is_some_and(|value| value != there) {
                let what = format!("the subscription of {} is {there}, which cannot be", key.1);
                tracing::error!(what, "broken");
                self.violations.push(what);
            }
            register.value = Some(there);
        }
        self.forget(account, readings, &there);
    }

    fn settle_mailbox(&mut self, mailbox: usize, reading: &Reading, from: Tick) {
        let who = "the reader";
        // That it is there shows that it was not deleted.
        self.mailboxes[mailbox].proved = true;
        let uids: BTreeSet<u32> = reading.messages.iter().map(|(uid, _)| *uid).collect();
        for (uid, _) in &reading.messages {
            if self.mailboxes[mailbox].messages.contains_key(uid) && self.is_gone(mailbox, *uid, from) {
                let name = self.shown(mailbox);
                self.violated(format!("{who}: UID {uid} of {name} is gone, and is there"));
            }
            self.notice(mailbox, *uid, who);
        }
        for (uid, look) in &reading.messages {
            if let (Some(message), Some(tag)) = (self.mailboxes[mailbox].messages.get_mut(uid), look.tag) {
                message.tag.get_or_insert(tag);
            }
        }
        self.explain(mailbox, &uids);
        for (uid, look) in &reading.messages {
            self.seen(mailbox, *uid, look, from, who);
        }
        let mut absent: Vec<u32> = self.mailboxes[mailbox].messages.keys().copied().collect();
        absent.retain(|uid| !uids.contains(uid));
        for uid in absent {
            if !self.may_be_gone(mailbox, uid, NEVER, 0) {
                let name = self.shown(mailbox);
                self.violated(format!("{who}: UID {uid} of {name} is lost"));
            }
        }
        let count = |flag: FlagSet, has: bool| {
            let has = |look: &Look| (look.flags.unwrap_or_default() & flag != 0) == has;
            reading.messages.iter().filter(|(_, look)| has(look)).count() as u64
        };
        let highest = reading.messages.iter().filter_map(|(_, look)| look.mod_seq).max().unwrap_or(0);
        let expected = [
            ("MESSAGES", reading.messages.len() as u64),
            ("UNSEEN", count(SEEN, false)),
            ("DELETED", count(DELETED, true)),
            ("SIZE", reading.messages.iter().filter_map(|(_, look)| look.size).sum()),
            ("UIDVALIDITY", reading.validity),
        ];
        for (item, expected) in expected {
            if reading.status.get(item) != Some(&expected) {
                let (told, name) = (reading.status.get(item), &reading.name);
                self.violated(format!("STATUS of {name} says {item} {told:?}, and it is {expected}"));
            }
        }
        let floor = self.mailboxes[mailbox].top;
        let (mod_seq, next) = (reading.status.get("HIGHESTMODSEQ"), reading.status.get("UIDNEXT"));
        let floor = Floor { mod_seq: floor.mod_seq.max(highest), ..floor };
        self.told(mailbox, mod_seq.copied(), next.copied(), floor, who);
    }

    /// Finds for each message of a mailbox how it came there. `uids` are there now.
    fn explain(&mut self, mailbox: usize, uids: &BTreeSet<u32>) {
        let of = &self.mailboxes[mailbox];
        let wanted: Vec<(u32, u64)> = of
            .messages
            .iter()
            .filter(|(_, message)| !message.explained)
            .filter_map(|(uid, message)| Some((*uid, message.tag?)))
            .collect();
        for (uid, tag) in wanted {
            let of = &self.mailboxes[mailbox];
            let fits = |creation: &&mut Creation| {
                !creation.used
                    && creation.tag == tag
                    && creation.account == of.account
                    && of.names.contains(&creation.name)
            };
            // One that surely came to pass, then one that is not known to leave something behind, then any.
            let mut fitting: Vec<&mut Creation> = self.creations.iter_mut().filter(fits).collect();
            fitting
                .sort_by_key(|creation| (!creation.sure, creation.source.is_some_and(|source| source.moves)));
            match fitting.into_iter().next() {
                Some(creation) => {
                    creation.used = true;
                    let flags = creation.flags;
                    if let Some(message) = self.mailboxes[mailbox].messages.get_mut(&uid) {
                        message.explained = true;
                        if let Some(flags) = flags.filter(|_| message.base_known == 0) {
                            (message.base, message.base_known) = (flags, ALL);
                        }
                    }
                }
                None if uids.contains(&uid) => {
                    let name = self.shown(mailbox);
                    self.violated(format!(
                        "UID {uid} of {name} is message {tag}, which nobody has put there"
                    ));
                }
                None => {}
            }
        }
    }

    fn settle_creations(&mut self, account: usize, readings: &[Reading]) {
        let all = std::mem::take(&mut self.creations);
        let (own, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|creation| creation.account == account);
        self.creations = others;
        let there = |mailbox: &Mailbox, uid: u32| {
            let reading = readings.iter().find(|reading| reading.validity == mailbox.validity);
            reading.is_some_and(|reading| reading.messages.iter().any(|(other, _)| *other == uid))
        };
        for creation in own {
            if creation.sure && !creation.used && !creation.sighted {
                let (tag, name) = (creation.tag, &creation.name);
                self.violated(format!("message {tag} was accepted for {name} of {account}, and is lost"));
            }
            let Some(source) = creation.source.filter(|source| source.moves) else { continue };
            let still = there(&self.mailboxes[source.mailbox], source.uid);
            let (uid, from) = (source.uid, self.shown(source.mailbox));
            if creation.used && still {
                self.violated(format!("UID {uid} was moved out of {from}, and is still there"));
            }
            let target = self
                .mailboxes
                .iter()
                .position(|of| of.account == account && of.names.contains(&creation.name));
            let unsafe_target = target.is_none_or(|target| {
                self.may_be_deleted(target) || !self.mailboxes[target].removals.is_empty()
            });
            if !creation.used
                && !still
                && !unsafe_target
                && !self.may_be_gone(source.mailbox, uid, NEVER, creation.removal)
            {
                self.violated(format!("UID {uid} of {from} was lost on its way to {}", creation.name));
            }
        }
    }

    /// All that was read is what is known now.
    fn forget(&mut self, account: usize, readings: &[Reading], there: &BTreeSet<usize>) {
        self.names.retain(|(of, _)| *of != account);
        self.names.extend(readings.iter().map(|reading| (account, reading.name.clone())));
        self.name_writes.retain(|write| write.account != account);
        self.deletions.retain(|deletion| deletion.account != account);
        self.renames.retain(|rename| rename.account != account);
        for (index, mailbox) in self.mailboxes.iter_mut().enumerate().filter(|(_, of)| of.account == account)
        {
            mailbox.removals.clear();
            mailbox.proved = false;
            mailbox.names.clear();
            if !there.contains(&index) {
                mailbox.dead = true;
                mailbox.messages.clear();
                continue;
            }
            let Some(reading) = readings.iter().find(|reading| reading.validity == mailbox.validity) else {
                continue;
            };
            mailbox.names.insert(reading.name.clone());
            let looks: BTreeMap<u32, &Look> =
                reading.messages.iter().map(|(uid, look)| (*uid, look)).collect();
            let used = &mut mailbox.used;
            mailbox.messages.retain(|uid, message| {
                let Some(look) = looks.get(uid) else {
                    used.insert(*uid);
                    return false;
                };
                message.writes.clear();
                (message.base, message.base_known) = (look.flags.unwrap_or_default(), ALL);
                (message.there, message.explained, message.gone) = (0, true, None);
                if let Some(last) = look.mod_seq {
                    message.states.retain(|mod_seq, _| *mod_seq == last);
                }
                true
            });
        }
    }

    /// Octets of a message that were fetched: all of them, or those of a part of it.
    pub fn octets(&mut self, mailbox: usize, uid: u32, section: &str, octets: &[u8], who: &str) {
        let tag = self.tag(mailbox, uid).or_else(|| letter::tag(octets));
        let Some(tag) = tag else { return };
        let sent = letter::octets(tag);
        self.bodies += 1;
        let right = match section {
            // The host puts lines of its own in front of what it was sent over SMTP.
            "BODY[]" | "RFC822" => octets.ends_with(&sent),
            "BODY[TEXT]" | "BODY[1]" | "RFC822.TEXT" | "BINARY[1]" => octets == letter::text(&sent),
            _ => true,
        };
        if !right {
            let (name, got, size) = (self.shown(mailbox), octets.len(), sent.len());
            self.violated(format!(
                "{who}: {section} of UID {uid} of {name}, message {tag}, has other octets: {got}, of {size}"
            ));
        }
    }
}

/// The name of a mailbox when `from` has become `to`.
pub fn moved(name: &str, from: &str, to: &str) -> Option<String> {
    let rest = name.strip_prefix(from)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("{to}{rest}"))
}

/// The names above a name.
pub fn superiors(name: &str) -> impl Iterator<Item = String> {
    name.match_indices('/').map(|(at, _)| name[..at].to_owned())
}

/// Flags as they are written.
pub fn words(flags: FlagSet) -> String {
    let words = FLAGS.iter().enumerate().filter(|(place, _)| flags >> place & 1 == 1);
    let words: Vec<&str> = words.map(|(_, word)| *word).collect();
    format!("({})", words.join(" "))
}

const MOST_VIOLATIONS: usize = 100;
/// Names that clients give are shorter; a mailbox renamed to a name below its own would have names without end.
const LONGEST: usize = 40;
/// So many mailboxes are kept for a while after they were renamed.
const FRESH: usize = 4;
