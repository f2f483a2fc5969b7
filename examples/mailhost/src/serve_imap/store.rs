//! STORE.

use std::io;
use std::num::NonZeroU32;

use bytes::BytesMut;
use imap_codec::command::StoreAction;
use imap_codec::response::{Code, Data, Fetch, FetchItem};
use imap_codec::server::Answer;
use imap_codec::types::flag::Flags as Words;
use imap_codec::types::sequence::SequenceSet;
use mailstore::Intent;
use mailstore::commit::Outcome;
use mailstore::mailbox::{ModSeq, Uid};
use mailstore::message::{FlagChange, Flags};

use super::flags::{self, Names};
use super::selected::{flush, number};
use super::session::{End, Session};
use crate::wire::Wire;

/// What STORE does with the flags.
pub(super) struct Change<'a> {
    pub(super) action: StoreAction,
    pub(super) silent: bool,
    pub(super) flags: &'a Words<'a>,
    pub(super) unchanged_since: Option<u64>,
}

impl Session<'_> {
    pub(super) async fn store(
        &mut self,
        uid: bool,
        set: &SequenceSet<'_>,
        change: &Change<'_>,
        answer: &mut Answer<'_>,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<End> {
        let selected = match self.open_to_change() {
            Ok(selected) => selected,
            Err(end) => return Ok(end),
        };
        let Some(named) = flags::named(change.flags) else {
            return Ok(End::no((Code::Cannot, "there is a flag among these that no message can have")));
        };
        let (mailbox, unchanged_since) = (selected.id, change.unchanged_since.map(ModSeq::new));
        let flag_change = match change.action {
            StoreAction::Add => FlagChange::Add(named),
            StoreAction::Remove => FlagChange::Remove(named),
            StoreAction::Replace => FlagChange::Replace(named),
        };
        let places = match selected.places(set, uid) {
            Ok(places) => places,
            Err(end) => return Ok(end),
        };
        let (mut modified, mut gone) = (Vec::new(), false);
        let mut places = places.into_iter().flatten();
        while let Some(selected) = &self.selected {
            let part: Vec<(usize, Uid)> = places
                .by_ref()
                .take(AT_ONCE)
                .filter_map(|place| Some((place, selected.told.messages.get(place)?.uid())))
                .collect();
            if part.is_empty() {
                break;
            }
            let intent = |(_, uid): &(usize, Uid)| Intent::Store {
                mailbox,
                uid: *uid,
                change: flag_change.clone(),
                unchanged_since,
            };
            let receipt = match self.commit(part.iter().map(intent).collect()).await? {
                Ok(receipt) => receipt,
                Err(end) => return Ok(end),
            };
            let Some(selected) = &mut self.selected else { break };
            // RFC 7162 §3.1.3: who knows mod-sequences is told the new one, .SILENT or not.
            let tells = !change.silent || answer.condstore();
            // What the client takes for the flags of those that no other has changed, as far as is known here.
            let believed: Vec<Option<Flags>> = part
                .iter()
                .map(|(place, _)| {
                    let told = selected.told.messages.get(*place)?;
                    let now = selected.message(*place)?;
                    (told.mod_seq() == now.mod_seq()).then(|| told.flags())
                })
                .collect();
            selected.changed();
            // The keywords that this has made are in the view from now on.
            self.refresh().await;
            let Some(selected) = &mut self.selected else { break };
            let keywords = selected.newest().status.keywords.clone();
            for (((place, uid), outcome), believed) in part.iter().zip(&receipt.outcomes).zip(believed) {
                let Outcome::Stored { mod_seq, flags } = outcome else { continue };
                // RFC 9051 §6.4.6: .SILENT does not hide what others have done in between.
                let known =
                    believed.is_some_and(|before| flags::changed(before, &flag_change, &keywords) == *flags);
                if !change.silent || known {
                    selected.is_told(*place, *uid, *mod_seq);
                }
            }
            let mut names = Names::new(keywords);
            for ((place, uid_of), outcome) in part.iter().zip(&receipt.outcomes) {
                let Some(uid_number) = NonZeroU32::new(uid_of.get()) else { continue };
                let Some(number) = number(*place) else { continue };
                match outcome {
                    Outcome::Stored { mod_seq, flags } if tells => {
                        let mut items = Vec::with_capacity(3);
                        if uid || !change.silent {
                            items.push(FetchItem::Uid(uid_number));
                        }
                        if !change.silent {
                            items.push(FetchItem::Flags(names.words(*flags)));
                        }
                        if answer.condstore() {
                            items.push(FetchItem::ModSeq(mod_seq.get()));
                        }
                        answer.untagged(&Data::Fetch(Fetch::new(number, &items)), out);
                    }
                    Outcome::Modified => modified.push(if uid { uid_number } else { number }),
                    Outcome::Gone => gone = true,
                    _ => {}
                }
                flush(wire, out).await?;
            }
        }
        Ok(match SequenceSet::from_numbers(modified) {
            // RFC 7162 §3.1.3.
            Some(set) => End::ok((Code::Modified(set), "others have changed these meanwhile")),
            None if gone => End::ok((Code::ExpungeIssued, "some of them are gone")),
            None => End::ok("stored"),
        })
    }
}

/// Changes in one commit; more are made in several, one after the other.
pub(super) const AT_ONCE: usize = 5_000;
