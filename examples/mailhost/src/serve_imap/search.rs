//! SEARCH.

use std::io;
use std::num::NonZeroU32;
use std::ops::{ControlFlow, RangeInclusive};

use bytes::BytesMut;
use imap_codec::command::{Search as Asked, SearchKey, SearchKeys};
use imap_codec::extension::esearch::{Esearch, ReturnOptions};
use imap_codec::response::Code;
use imap_codec::server::Answer;
use imap_codec::types::Date;
use imap_codec::types::sequence::SequenceSet;
use imap_codec::types::string::{Atom, IString};
use mailstore::message::Flags;
use mailstore::search::{self, Day, Facts, Key, Numbers, Query, Search};
use tracing::warn;

use super::selected::{Selected, count, flush};
use super::session::{End, Session};
use crate::searching::{self, Step};
use crate::wire::Wire;

/// What a search has found.
#[derive(Default)]
struct Found {
    /// Sequence numbers or UIDs, as they were asked for: twelve octets for each run of them.
    numbers: Vec<RangeInclusive<u32>>,
    /// If they are to be kept; one range too many says that they cannot be.
    uids: Vec<RangeInclusive<u32>>,
    count: usize,
    /// Facts of the first and the last.
    ends: Option<(Facts, Facts)>,
    mod_seq: u64,
    unreadable: bool,
}

/// Makes a query of keys.
struct Making<'s> {
    selected: &'s Selected,
    charset: Vec<u8>,
    /// RFC 7162 §3.1.5: who asks for mod-sequences is told the highest.
    mod_seq: bool,
}

impl Session<'_> {
    pub(super) async fn search(
        &mut self,
        uid: bool,
        asked: &Asked<'_>,
        answer: &mut Answer<'_>,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<End> {
        self.refresh().await;
        let Some(selected) = &mut self.selected else { return Ok(End::bad("no mailbox is open")) };
        let saves = asked.returns.is_some_and(|returns| returns.save);
        let charset = asked.charset.as_ref().map_or(&b"UTF-8"[..], IString::as_bytes).to_vec();
        let mut making = Making { selected, charset, mod_seq: false };
        // RFC 9051 §6.4.4: NO for a charset that is not known, even where no text is in it.
        let made = making.decode(b"").and_then(|_| making.query(&asked.keys));
        let tells_mod_seq = making.mod_seq;
        let found = match made.and_then(|query| Search::new(query).map_err(|_| too_much())) {
            Ok(search) => find(selected, search, uid, saves).await,
            Err(end) => {
                if saves {
                    // RFC 9051 §6.4.4.1: what is not done leaves nothing behind.
                    selected.saved.clear();
                }
                return Ok(end);
            }
        };
        let unreadable = found.unreadable;
        if saves && !found.save(asked.returns.unwrap_or_default(), &mut selected.saved) {
            selected.saved.clear();
            return Ok(End::no((Code::NotSaved, "too many messages to be kept in mind")));
        }
        let returns = match asked.returns {
            // RFC 5182 §2.1: who only wants it kept is told nothing.
            Some(returns) if returns == (ReturnOptions { save: true, ..Default::default() }) => None,
            Some(returns) => Some(returns),
            None if answer.rev2() => Some(ReturnOptions::ALL),
            None => {
                let mod_seq = tells_mod_seq.then_some(found.mod_seq);
                // It is one line, which may have a million numbers.
                let mut numbers = answer.search(out);
                for number in found.numbers.iter().cloned().flatten().filter_map(NonZeroU32::new) {
                    numbers.write(number, out);
                    flush(wire, out).await?;
                }
                numbers.finish(mod_seq, out);
                None
            }
        };
        if let Some(returns) = returns {
            let tag = answer.tag().to_owned();
            let mut ranges = answer.esearch(&found.told(returns, uid, &tag, tells_mod_seq), out);
            for range in found.numbers.iter().filter(|_| returns.all) {
                let [Some(first), Some(last)] = [*range.start(), *range.end()].map(NonZeroU32::new) else {
                    continue;
                };
                ranges.write(&(first..=last), out);
                flush(wire, out).await?;
            }
            ranges.finish(out);
        }
        Ok(End::ok(if unreadable { "searched, but for messages that cannot be read" } else { "searched" }))
    }
}

async fn find(selected: &Selected, mut search: Search, uid: bool, saves: bool) -> Found {
    let reader = selected.newest().reader();
    let mut found = Found::default();
    let mut messages = (0..).map_while(|place| Some((count(place + 1), selected.message(place)?)));
    let step = |event| {
        match event {
            Step::Match(facts) => found.add(facts, uid, saves),
            Step::Unreadable(uid, error) => {
                warn!(mailbox = selected.id.get(), uid = uid.get(), %error, "a message cannot be searched");
                found.unreadable = true;
            }
            Step::Pause => {}
        }
        ControlFlow::Continue(())
    };
    searching::drive(&mut search, &reader, &mut messages, step).await;
    found
}

impl Found {
    fn add(&mut self, facts: Facts, uid: bool, saves: bool) {
        let push = |ranges: &mut Vec<RangeInclusive<u32>>, number: u32| match ranges.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(number) => *last = *last.start()..=number,
            _ => ranges.push(number..=number),
        };
        push(&mut self.numbers, if uid { facts.uid } else { facts.number });
        if saves && self.uids.len() <= MOST_SAVED {
            push(&mut self.uids, facts.uid);
        }
        self.count += 1;
        self.mod_seq = self.mod_seq.max(facts.mod_seq);
        self.ends = Some((self.ends.map_or(facts, |(first, _)| first), facts));
    }

    /// Keeps it as `$`; false if it is too much.
    fn save(&self, returns: ReturnOptions, saved: &mut Vec<RangeInclusive<u32>>) -> bool {
        let one = |facts: Facts| facts.uid..=facts.uid;
        // RFC 9051 §6.4.4.4: with MIN and MAX alone, only these are kept.
        let ends = (returns.min || returns.max) && !returns.all && !returns.count;
        *saved = match self.ends {
            Some((first, last)) if ends => {
                let mut kept = Vec::new();
                kept.extend(returns.min.then(|| one(first)));
                kept.extend(returns.max.then(|| one(last)));
                kept
            }
            _ if self.uids.len() > MOST_SAVED => return false,
            _ => self.uids.clone(),
        };
        true
    }

    /// What is told but for the numbers.
    fn told<'t>(&self, returns: ReturnOptions, uid: bool, tag: &'t str, tells_mod_seq: bool) -> Esearch<'t> {
        let number = |facts: Facts| NonZeroU32::new(if uid { facts.uid } else { facts.number });
        let (first, last) = (self.ends.map(|(first, _)| first), self.ends.map(|(_, last)| last));
        // RFC 7162 §3.1.5: of those that are told.
        let ends = (returns.min || returns.max) && !returns.all && !returns.count;
        let mod_seq = match (first, last) {
            (Some(first), Some(last)) if ends => {
                let of = |wanted: bool, facts: Facts| if wanted { facts.mod_seq } else { 0 };
                Some(of(returns.min, first).max(of(returns.max, last)))
            }
            (Some(_), _) => Some(self.mod_seq),
            _ => None,
        };
        Esearch {
            tag: IString::try_from(tag).ok(),
            uid,
            min: first.filter(|_| returns.min).and_then(number),
            max: last.filter(|_| returns.max).and_then(number),
            all: None,
            count: returns.count.then(|| count(self.count)),
            modseq: mod_seq.filter(|_| tells_mod_seq),
        }
    }
}

impl Making<'_> {
    /// All of these. The codec has looked at how deep they are nested.
    fn query(&mut self, keys: &SearchKeys<'_>) -> Result<Query, End> {
        let mut all: Option<Query> = None;
        for (number, key) in keys.iter().enumerate() {
            if number >= MOST_KEYS {
                return Err(too_much());
            }
            let key = self.key(&key)?;
            all = Some(match all {
                Some(before) => before.and(key),
                None => key,
            });
        }
        Ok(all.unwrap_or_else(Query::all))
    }

    fn key(&mut self, key: &SearchKey<'_>) -> Result<Query, End> {
        let flag = |flags: Flags| Query::from(Key::Flags(flags.bits()));
        Ok(match key {
            SearchKey::Answered => flag(Flags::ANSWERED),
            SearchKey::Deleted => flag(Flags::DELETED),
            SearchKey::Draft => flag(Flags::DRAFT),
            SearchKey::Flagged => flag(Flags::FLAGGED),
            SearchKey::Seen => flag(Flags::SEEN),
            SearchKey::Unanswered => flag(Flags::ANSWERED).not(),
            SearchKey::Undeleted => flag(Flags::DELETED).not(),
            SearchKey::Undraft => flag(Flags::DRAFT).not(),
            SearchKey::Unflagged => flag(Flags::FLAGGED).not(),
            SearchKey::Unseen => flag(Flags::SEEN).not(),
            SearchKey::Recent => Key::Recent.into(),
            SearchKey::Old => Query::from(Key::Recent).not(),
            SearchKey::New => Query::from(Key::Recent).and(flag(Flags::SEEN).not()),
            SearchKey::Keyword(name) => self.keyword(name),
            SearchKey::Unkeyword(name) => self.keyword(name).not(),
            SearchKey::Before(date) => Key::Before(day(*date)).into(),
            SearchKey::On(date) => Key::On(day(*date)).into(),
            SearchKey::Since(date) => Key::Since(day(*date)).into(),
            SearchKey::SentBefore(date) => Key::SentBefore(day(*date)).into(),
            SearchKey::SentOn(date) => Key::SentOn(day(*date)).into(),
            SearchKey::SentSince(date) => Key::SentSince(day(*date)).into(),
            SearchKey::Larger(octets) => Key::Larger(*octets).into(),
            SearchKey::Smaller(octets) => Key::Smaller(*octets).into(),
            SearchKey::Bcc(text) => Key::Bcc(self.text(text)?).into(),
            SearchKey::Body(text) => Key::Body(self.text(text)?).into(),
            SearchKey::Cc(text) => Key::Cc(self.text(text)?).into(),
            SearchKey::From(text) => Key::From(self.text(text)?).into(),
            SearchKey::Subject(text) => Key::Subject(self.text(text)?).into(),
            SearchKey::Text(text) => Key::Text(self.text(text)?).into(),
            SearchKey::To(text) => Key::To(self.text(text)?).into(),
            SearchKey::Header(name, text) => Key::Header(self.text(name)?, self.text(text)?).into(),
            SearchKey::ModSeq(key) => {
                self.mod_seq = true;
                Key::ModSeq(key.least).into()
            }
            SearchKey::Uid(set) => Key::Uid(self.numbers(set, true)).into(),
            SearchKey::Numbers(set) if set.is_saved() => Key::Uid(self.numbers(set, true)).into(),
            SearchKey::Numbers(set) => Key::Number(self.numbers(set, false)).into(),
            SearchKey::Not(keys) => self.query(keys)?.not(),
            SearchKey::Group(keys) => self.query(keys)?,
            SearchKey::Or(one, other) => self.query(one)?.or(self.query(other)?),
            // ALL, and whatever a later version of the codec understands and does not announce.
            _ => Query::all(),
        })
    }

    fn keyword(&self, name: &Atom<'_>) -> Query {
        let keywords = &self.selected.newest().status.keywords;
        let place = keywords.iter().position(|known| known.eq_ignore_ascii_case(name.as_str()));
        match place.and_then(Flags::keyword) {
            Some(flag) => Key::Flags(flag.bits()).into(),
            None => Query::all().not(),
        }
    }

    fn text(&self, text: &IString<'_>) -> Result<String, End> {
        self.decode(text.as_bytes())
    }

    fn decode(&self, text: &[u8]) -> Result<String, End> {
        search::decode(&self.charset, text).ok_or_else(unreadable)
    }

    fn numbers(&self, set: &SequenceSet<'_>, uid: bool) -> Numbers {
        if set.is_saved() {
            return Numbers::new(self.selected.saved.iter().cloned());
        }
        let messages = &self.selected.told.messages;
        let last = if uid {
            let last = messages.len().checked_sub(1).and_then(|last| messages.get(last));
            last.map_or(0, |last| last.uid().get())
        } else {
            count(messages.len())
        };
        Numbers::new(set.resolved(last))
    }
}

fn day(date: Date) -> Day {
    Day(date.days())
}

fn unreadable() -> End {
    let known = ["US-ASCII", "UTF-8"].into_iter().filter_map(|name| Atom::new(name).ok());
    End::no((Code::BadCharset(known.collect()), "this text or its charset cannot be read"))
}

fn too_much() -> End {
    End::no((Code::Limit, "too much to search for at once"))
}

/// Keys of one query; more are not looked at.
const MOST_KEYS: usize = 1_000;
/// Stretches of UIDs that are kept as `$`.
const MOST_SAVED: usize = 32_768;
