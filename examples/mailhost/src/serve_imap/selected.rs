//! The mailbox that a client has open: what it has been told, and what there is by now.
//!
//! A client counts messages by what it was told last. So that view is kept until the next one may be told; what changes
//! meanwhile is looked up in the newest one. Both are shared with all who look at the mailbox.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU32;
use std::ops::{Range, RangeInclusive};

use bytes::BytesMut;
use imap_codec::response::{Code, Condition, Data, Fetch, FetchItem, Status};
use imap_codec::types::sequence::SequenceSet;
use mailstore::Actor;
use mailstore::mailbox::{Change, MailboxId, ModSeq, Uid};
use mailstore::message::{Flags, Message};

use super::flags::{self, Names};
use super::session::{End, Hearer, Session};
use crate::planted::Bug;
use crate::store::{Snapshot, Watch};
use crate::wire::{HIGH_WATER, Wire};

/// A mailbox that is open.
pub(super) struct Selected {
    pub(super) id: MailboxId,
    /// By EXAMINE.
    pub(super) read_only: bool,
    /// What the client knows: its sequence numbers are places in this.
    pub(super) told: Snapshot,
    /// What there is by now, if the client could not be told yet.
    now: Option<Snapshot>,
    watch: Watch,
    /// There is something newer than `now`, whatever the watch says: it speaks up a moment after a commit of our own.
    stale: bool,
    /// Changes that an answer has told already: from the first UID of a stretch to its last one, and which change it was.
    known: BTreeMap<Uid, (Uid, ModSeq)>,
    /// The last place that was put there.
    known_last: Option<(usize, Uid)>,
    /// `$`: UIDs, by rising number.
    pub(super) saved: Vec<RangeInclusive<u32>>,
}

impl Selected {
    pub(super) fn new(told: Snapshot, watch: Watch, read_only: bool) -> Self {
        let id = told.status.id;
        Self {
            id,
            read_only,
            told,
            now: None,
            watch,
            stale: false,
            known: BTreeMap::new(),
            known_last: None,
            saved: Vec::new(),
        }
    }

    /// The newest view.
    pub(super) fn newest(&self) -> &Snapshot {
        self.now.as_ref().unwrap_or(&self.told)
    }

    /// The message at a place, as it is by now; as it was, if it is gone.
    pub(super) fn message(&self, index: usize) -> Option<Message> {
        let told = self.told.messages.get(index)?;
        match &self.now {
            Some(now) => now.messages.find(told.uid()).or(Some(told)),
            None => Some(told),
        }
    }

    /// The messages at these places.
    pub(super) fn messages(&self, places: &[usize]) -> Vec<Message> {
        places.iter().filter_map(|place| self.message(*place)).collect()
    }

    /// A commit of our own has changed the mailbox.
    pub(super) const fn changed(&mut self) {
        self.stale = true;
    }

    /// The answer tells this change, so that it need not be told again; places come by rising number.
    pub(super) fn is_told(&mut self, place: usize, uid: Uid, mod_seq: ModSeq) {
        let stretch = self.known_last.filter(|(last, _)| last + 1 == place).map(|(_, first)| first);
        let open = stretch.and_then(|first| Some((first, self.known.get_mut(&first)?)));
        match open {
            Some((first, (last, of))) if *of == mod_seq => {
                *last = uid;
                self.known_last = Some((place, first));
            }
            _ => {
                self.known.insert(uid, (uid, mod_seq));
                self.known_last = Some((place, uid));
            }
        }
    }

    fn knows(&self, message: &Message) -> bool {
        let stretch = self.known.range(..=message.uid()).next_back();
        stretch.is_some_and(|(_, (last, of))| *last >= message.uid() && *of == message.mod_seq())
    }

    /// The places of a set, by rising place, none twice.
    pub(super) fn places(&self, set: &SequenceSet<'_>, uid: bool) -> Result<Vec<Range<usize>>, End> {
        let messages = &self.told.messages;
        let by_uid = |range: RangeInclusive<u32>| {
            let (from, to) = (Uid::new(*range.start())?, Uid::new(*range.end())?);
            Some(messages.range(from..=to))
        };
        let mut places: Vec<Range<usize>> = if set.is_saved() {
            self.saved.iter().cloned().filter_map(by_uid).collect()
        } else if uid {
            let last = messages.len().checked_sub(1).and_then(|last| messages.get(last));
            set.resolved(last.map_or(0, |last| last.uid().get())).filter_map(by_uid).collect()
        } else {
            let last = u32::try_from(messages.len()).unwrap_or(u32::MAX);
            // RFC 9051 §9, seq-number: a number beyond the last message, or `*` where there is none, is an error.
            let beyond = |(from, to): (imap_codec::types::SeqNumber, imap_codec::types::SeqNumber)| {
                let (from, to) = (from.resolve(last), to.resolve(last));
                from.max(to) > last || from.min(to) == 0
            };
            if set.ranges().any(beyond) {
                return Err(End::bad("there is no message with such a number"));
            }
            set.resolved(last).map(|range| *range.start() as usize - 1..*range.end() as usize).collect()
        };
        places.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(places.len());
        for range in places.into_iter().filter(|range| !range.is_empty()) {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        Ok(merged)
    }
}

impl Session<'_> {
    /// The mailbox that is open.
    pub(super) fn open(&self) -> Result<&Selected, End> {
        self.selected.as_ref().ok_or_else(|| End::bad("no mailbox is open"))
    }

    /// The mailbox that is open, to be changed.
    pub(super) fn open_to_change(&self) -> Result<&Selected, End> {
        match self.open()? {
            selected if selected.read_only => {
                Err(End::no((Code::ReadOnly, "the mailbox is open for reading only")))
            }
            selected => Ok(selected),
        }
    }

    /// Waits until there may be something to tell.
    pub(super) async fn changed(&mut self) {
        match &mut self.selected {
            Some(selected) => selected.watch.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Looks at the mailbox as it is now.
    pub(super) async fn refresh(&mut self) {
        let (Some(selected), Some(user)) = (&mut self.selected, self.user) else { return };
        let changed = selected.watch.take();
        if std::mem::take(&mut selected.stale) || changed {
            let actor = Actor::Account(user.account);
            // A mailbox that is gone stays as it was, to be read to the end: RFC 2180 §3.
            if let Some(now) = self.host.store.load(actor, selected.id).await {
                selected.now = Some(now);
            }
        }
    }

    /// Tells what has happened in the mailbox, as far as it may be told now.
    pub(super) async fn update(
        &mut self,
        hearer: &mut impl Hearer,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        self.refresh().await;
        let Some(selected) = &mut self.selected else { return Ok(()) };
        let Some(now) = &selected.now else { return Ok(()) };
        let told = &selected.told;
        let mut gone = 0;
        for change in now.messages.changes_since(&told.messages) {
            let Change::Gone { index, .. } = change else { continue };
            if !hearer.may_expunge() {
                // The numbers of the messages behind it would change, and so all waits.
                return Ok(());
            }
            let before = if Bug::NumbersOff.is_planted() { 0 } else { gone };
            if let Some(number) = number(index - before) {
                hearer.hear(&Data::Expunge(number), out);
            }
            gone += 1;
            flush(wire, out).await?;
        }
        let left = told.messages.len() - gone;
        if now.messages.len() > left {
            hearer.hear(&Data::Exists(count(now.messages.len())), out);
        }
        if now.status.keywords.len() != told.status.keywords.len() {
            tell_flags(now, selected.read_only, hearer, out);
        }
        let mut names = Names::new(now.status.keywords.clone());
        for change in now.messages.changes_since(&told.messages) {
            let Change::Changed { index, message } = change else { continue };
            if selected.knows(&message) || Bug::FlagsUntold.is_planted() {
                continue;
            }
            let Some(number) = number(index) else { continue };
            hear_flags(number, &message, &mut names, hearer, out);
            flush(wire, out).await?;
        }
        selected.known.clear();
        selected.known_last = None;
        if let Some(now) = selected.now.take() {
            selected.told = now;
        }
        Ok(())
    }
}

/// Says which flags there are, and which can be kept.
pub(super) fn tell_flags(mailbox: &Snapshot, read_only: bool, hearer: &mut impl Hearer, out: &mut BytesMut) {
    let keywords = &mailbox.status.keywords;
    hearer.hear(&Data::Flags(flags::known(keywords, false)), out);
    let (permanent, text) = if read_only {
        (Default::default(), "read only")
    } else {
        (flags::known(keywords, Flags::keyword(keywords.len()).is_some()), "these are kept")
    };
    let status = Status::new(Condition::Ok, text).with(Code::PermanentFlags(permanent));
    hearer.hear(&Data::Status(status), out);
}

/// Says what flags a message has.
pub(super) fn hear_flags(
    number: NonZeroU32,
    message: &Message,
    names: &mut Names,
    hearer: &mut impl Hearer,
    out: &mut BytesMut,
) {
    let Some(uid) = NonZeroU32::new(message.uid().get()) else { return };
    // RFC 9051 §7.5.2: what comes unasked names the UID.
    let items = [
        FetchItem::Uid(uid),
        FetchItem::Flags(names.words(message.flags())),
        FetchItem::ModSeq(message.mod_seq().get()),
    ];
    let items = if hearer.condstore() { &items[..] } else { &items[..2] };
    hearer.hear(&Data::Fetch(Fetch::new(number, items)), out);
}

/// Sends what has piled up.
pub(super) async fn flush(wire: &mut Wire, out: &mut BytesMut) -> io::Result<()> {
    if out.len() > HIGH_WATER {
        wire.send(out).await?;
    }
    Ok(())
}

/// The sequence number of a place.
pub(super) fn number(index: usize) -> Option<NonZeroU32> {
    u32::try_from(index).ok().and_then(|index| NonZeroU32::MIN.checked_add(index))
}

pub(super) fn count(messages: usize) -> u32 {
    u32::try_from(messages).unwrap_or(u32::MAX)
}
