//! FETCH.

mod cut;
mod shape;

use std::io;
use std::num::NonZeroU32;

use bytes::BytesMut;
use imap_codec::command::{FetchAttribute, FetchAttributes};
use imap_codec::response::{Code, Data, Fetch, FetchItem};
use imap_codec::server::{Answer, Head, Literal};
use imap_codec::types::DateTime;
use imap_codec::types::sequence::SequenceSet;
use mailstore::Intent;
use mailstore::commit::Outcome;
use mailstore::mailbox::Uid;
use mailstore::message::{FlagChange, Flags, Message};
use mailstore::mime::Structure;
use tracing::warn;

use self::cut::{Cut, Cuts, Want};
use super::flags::Names;
use super::selected::{Selected, flush, hear_flags, number};
use super::session::{End, Session};
use crate::store::Reader;
use crate::wire::Wire;

/// What is asked for, sorted by what it takes to answer.
struct Plan<'a> {
    attributes: Vec<FetchAttribute<'a>>,
    /// Those that are octets of the message, by their place among the attributes.
    wants: Vec<Option<Want<'a>>>,
    /// Whether where the parts lie has to be known.
    structure: bool,
    /// Whether octets are needed at all.
    reads: bool,
    /// Whether who fetches this has seen the message.
    sees: bool,
    uid: bool,
    mod_seq: bool,
}

/// A message that is being fetched.
struct Fetched {
    place: usize,
    number: NonZeroU32,
    message: Message,
    /// Its flags have changed by being fetched.
    seen: bool,
}

/// What has gone wrong on the way.
#[derive(Default)]
struct Trouble {
    damaged: bool,
    undecodable: bool,
    no_leaf: bool,
}

impl Session<'_> {
    #[expect(
        clippy::too_many_arguments,
        reason = "the command has as many, and each answer needs the last three"
    )]
    pub(super) async fn fetch(
        &mut self,
        uid: bool,
        set: &SequenceSet<'_>,
        items: &FetchAttributes<'_>,
        changed_since: Option<u64>,
        answer: &mut Answer<'_>,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<End> {
        let Some(plan) = Plan::new(items, uid, changed_since.is_some(), answer.condstore()) else {
            return Ok(End::no((Code::Limit, "too many items at once")));
        };
        self.refresh().await;
        let Some(selected) = &self.selected else { return Ok(End::bad("no mailbox is open")) };
        let places = match selected.places(set, uid) {
            Ok(places) => places,
            Err(end) => return Ok(end),
        };
        let marks = plan.sees && !selected.read_only;
        let (mut places, mut trouble) = (places.into_iter().flatten(), Trouble::default());
        while let Some(selected) = &self.selected {
            let step: Vec<usize> = places.by_ref().take(STEP).collect();
            if step.is_empty() {
                break;
            }
            let fetched = |place: usize| {
                Some(Fetched {
                    place,
                    number: number(place)?,
                    message: selected.message(place)?,
                    seen: false,
                })
            };
            let newer =
                |fetched: &Fetched| changed_since.is_none_or(|since| fetched.message.mod_seq().get() > since);
            let mut fetched: Vec<Fetched> = step.into_iter().filter_map(fetched).filter(newer).collect();
            if marks {
                self.mark_seen(&mut fetched).await?;
            }
            let Some(selected) = &self.selected else { break };
            let mut names = Names::new(selected.newest().status.keywords.clone());
            for part in fetched.chunks(if plan.reads { READ_AT_ONCE } else { STEP }) {
                let made = plan.read(selected, part, &mut trouble).await;
                for (fetched, made) in part.iter().zip(made) {
                    if let Some((structure, cuts)) = made {
                        let reader = selected.newest().reader();
                        let structure = structure.as_ref();
                        plan.tell(fetched, structure, cuts, &mut names, &reader, answer, wire, out).await?;
                    } else if fetched.seen {
                        // It cannot be read, and counts as seen all the same: nobody else would tell.
                        hear_flags(fetched.number, &fetched.message, &mut names, answer, out);
                    }
                    flush(wire, out).await?;
                }
            }
            // One client that asks for everything leaves room for others.
            tokio::task::yield_now().await;
        }
        Ok(trouble.end())
    }

    /// RFC 9051 §6.4.5: what is fetched is seen. It is durable before it is told; where it cannot be kept, on a full disk or in
    /// a mailbox that is gone, nothing is told of it, and the message can be read all the same.
    async fn mark_seen(&mut self, fetched: &mut [Fetched]) -> io::Result<()> {
        let Some(selected) = &self.selected else { return Ok(()) };
        let mailbox = selected.id;
        let change = FlagChange::Add(Flags::SEEN.into());
        let unseen: Vec<&mut Fetched> =
            fetched.iter_mut().filter(|fetched| !fetched.message.flags().contains(Flags::SEEN)).collect();
        if unseen.is_empty() {
            return Ok(());
        }
        let intent = |fetched: &&mut Fetched| Intent::Store {
            mailbox,
            uid: fetched.message.uid(),
            change: change.clone(),
            unchanged_since: None,
        };
        let Ok(receipt) = self.commit(unseen.iter().map(intent).collect()).await? else { return Ok(()) };
        let Some(selected) = &mut self.selected else { return Ok(()) };
        selected.changed();
        for (fetched, outcome) in unseen.into_iter().zip(&receipt.outcomes) {
            if let Outcome::Stored { mod_seq, .. } = outcome {
                fetched.seen = true;
                selected.is_told(fetched.place, fetched.message.uid(), *mod_seq);
            }
        }
        self.refresh().await;
        let Some(selected) = &self.selected else { return Ok(()) };
        for fetched in fetched {
            if let Some(message) = selected.newest().messages.find(fetched.message.uid()) {
                fetched.message = message;
            }
        }
        Ok(())
    }
}

impl<'a> Plan<'a> {
    /// `None` if it is more than a client can mean.
    fn new(
        items: &'a FetchAttributes<'_>,
        by_uid: bool,
        changed_since: bool,
        condstore: bool,
    ) -> Option<Self> {
        let attributes: Vec<FetchAttribute<'a>> = items.iter().take(MOST_ITEMS + 1).collect();
        if attributes.len() > MOST_ITEMS {
            return None;
        }
        let wants: Vec<Option<Want<'a>>> = attributes.iter().map(Want::new).collect();
        let has = |one: FetchAttribute<'_>| attributes.contains(&one);
        let shapes = |one: &FetchAttribute<'_>| {
            matches!(one, FetchAttribute::Envelope | FetchAttribute::Body | FetchAttribute::BodyStructure)
        };
        let structure = attributes.iter().any(shapes) || wants.iter().flatten().any(Want::needs_structure);
        let sees = attributes.iter().any(|one| {
            matches!(
                one,
                FetchAttribute::Section { peek: false, .. }
                    | FetchAttribute::Binary { peek: false, .. }
                    | FetchAttribute::Rfc822
                    | FetchAttribute::Rfc822Text
            )
        });
        let uid = by_uid && !has(FetchAttribute::Uid);
        // RFC 7162 §3.1.4.1, §3.2.
        let asked = changed_since || condstore && (sees || has(FetchAttribute::Flags));
        let mod_seq = asked && !has(FetchAttribute::ModSeq);
        let reads = structure || wants.iter().any(Option::is_some);
        Some(Self { attributes, wants, structure, reads, sees, uid, mod_seq })
    }

    /// Reads what some messages take, but for what is large. `None` for one that is not told.
    async fn read(
        &self,
        selected: &Selected,
        part: &[Fetched],
        trouble: &mut Trouble,
    ) -> Vec<Option<(Option<Structure>, Cuts)>> {
        if !self.reads {
            return part.iter().map(|_| Some((None, Cuts::default()))).collect();
        }
        let reader = selected.newest().reader();
        let messages: Vec<&Message> = part.iter().map(|fetched| &fetched.message).collect();
        let structures = match self.structure {
            true => reader.structures(&messages).await.into_iter().map(|made| made.map(Some)).collect(),
            false => messages.iter().map(|_| Ok(None)).collect(),
        };
        let made = cut::read(&reader, &messages, structures, &self.wants).await;
        let judged = made.into_iter().zip(&messages).map(|(made, message)| match made {
            Ok((structure, cuts)) => {
                trouble.undecodable |= cuts.undecodable;
                trouble.no_leaf |= cuts.no_leaf;
                (!cuts.undecodable && !cuts.no_leaf).then_some((structure, cuts))
            }
            Err(error) => {
                trouble.damaged(selected, message.uid(), &error);
                None
            }
        });
        judged.collect()
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a response is made of")]
    async fn tell(
        &self,
        fetched: &Fetched,
        structure: Option<&Structure>,
        cuts: Cuts,
        names: &mut Names,
        reader: &Reader,
        answer: &mut Answer<'_>,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        let message = &fetched.message;
        let mut items = Vec::new();
        let uid = NonZeroU32::new(message.uid().get()).unwrap_or(NonZeroU32::MIN);
        if self.uid {
            items.push(FetchItem::Uid(uid));
        }
        if fetched.seen && !self.attributes.contains(&FetchAttribute::Flags) {
            items.push(FetchItem::Flags(names.words(message.flags())));
        }
        if self.mod_seq {
            items.push(FetchItem::ModSeq(message.mod_seq().get()));
        }
        let mut literal: Option<Literal<'_>> = None;
        let mut cuts = cuts.all.into_iter();
        // The answer is lent to the first literal, and comes back when that is finished.
        let mut answer = Some(answer);
        for (attribute, want) in self.attributes.iter().zip(&self.wants) {
            match attribute {
                FetchAttribute::Uid => items.push(FetchItem::Uid(uid)),
                FetchAttribute::Flags => items.push(FetchItem::Flags(names.words(message.flags()))),
                FetchAttribute::Rfc822Size => items.push(FetchItem::Rfc822Size(message.size())),
                FetchAttribute::ModSeq => items.push(FetchItem::ModSeq(message.mod_seq().get())),
                FetchAttribute::InternalDate => {
                    let epoch = || DateTime::from_unix(0);
                    items.extend(
                        DateTime::from_unix(message.date().0).or_else(epoch).map(FetchItem::InternalDate),
                    );
                }
                FetchAttribute::Envelope => {
                    let envelope = structure.and_then(|structure| structure.root().envelope());
                    items.extend(
                        envelope.map(|envelope| FetchItem::Envelope(Box::new(shape::envelope(envelope)))),
                    );
                }
                FetchAttribute::Body => {
                    items.extend(structure.map(|structure| FetchItem::Body(shape::body(structure.root()))));
                }
                FetchAttribute::BodyStructure => {
                    items.extend(
                        structure.map(|structure| FetchItem::BodyStructure(shape::body(structure.root()))),
                    );
                }
                _ => {}
            }
            let (Some(want), Some(cut)) = (want, want.as_ref().and_then(|_| cuts.next())) else { continue };
            let octets = match cut {
                Cut::Nil => {
                    items.push(want.nil());
                    continue;
                }
                Cut::Size(size) => {
                    items.extend(want.binary_size(size));
                    continue;
                }
                Cut::Octets(octets) => octets,
            };
            let source = want.source();
            let mut begun = match (literal.take(), answer.take()) {
                (Some(literal), _) => literal.next(&items, &source, octets.size(), out),
                (None, Some(answer)) => answer.literal(
                    &Head { number: fetched.number, items: &items, source },
                    octets.size(),
                    out,
                ),
                // One of the two is always there.
                (None, None) => break,
            };
            items.clear();
            octets.write(reader, message, &mut begun, wire, out).await?;
            literal = Some(begun);
        }
        match (literal, answer) {
            (Some(literal), _) => literal.finish(&items, out),
            (None, Some(answer)) if !items.is_empty() => {
                answer.untagged(&Data::Fetch(Fetch::new(fetched.number, &items)), out);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Trouble {
    fn damaged(&mut self, selected: &Selected, uid: Uid, error: &io::Error) {
        warn!(mailbox = selected.id.get(), uid = uid.get(), %error, "a message cannot be read");
        self.damaged = true;
    }

    fn end(self) -> End {
        if self.damaged {
            return End::no((Code::Corruption, "some of the messages cannot be read; all others were sent"));
        }
        if self.undecodable {
            return End::no((Code::UnknownCte, "a part is in an encoding that is not known here"));
        }
        if self.no_leaf {
            return End::no((Code::Cannot, "only a part that has no parts can be decoded"));
        }
        End::ok("that is all")
    }
}

/// Messages that are looked at, and marked as seen, together.
const STEP: usize = 1_000;
/// Messages that are read together.
const READ_AT_ONCE: usize = 32;
/// Items of one FETCH.
const MOST_ITEMS: usize = 200;
