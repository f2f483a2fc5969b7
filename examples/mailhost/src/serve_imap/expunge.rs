//! EXPUNGE.

use std::io;

use imap_codec::types::sequence::SequenceSet;
use mailstore::Intent;
use mailstore::mailbox::Uid;
use mailstore::message::Flags;

use super::session::{End, Session};
use super::store::AT_ONCE;

impl Session<'_> {
    /// Removes what is marked; with a set, of these UIDs alone (UIDPLUS).
    pub(super) async fn expunge(&mut self, set: Option<&SequenceSet<'_>>) -> io::Result<End> {
        if let Err(end) = self.open_to_change() {
            return Ok(end);
        }
        self.refresh().await;
        Ok(self.remove_marked(set).await?.map_or_else(|end| end, |_| End::ok("they are gone")))
    }

    /// How many went. Each commit takes away what is still marked when it comes to pass.
    pub(super) async fn remove_marked(
        &mut self,
        set: Option<&SequenceSet<'_>>,
    ) -> io::Result<Result<usize, End>> {
        let Some(selected) = &self.selected else { return Ok(Ok(0)) };
        let (mailbox, newest) = (selected.id, &selected.newest().messages);
        let marked: Vec<Uid> = match set {
            None => {
                let marked = newest.iter().filter(|message| message.flags().contains(Flags::DELETED));
                marked.map(|message| message.uid()).collect()
            }
            Some(set) => {
                let places = match selected.places(set, true) {
                    Ok(places) => places,
                    Err(end) => return Ok(Err(end)),
                };
                let messages = places.into_iter().flatten().filter_map(|place| selected.message(place));
                messages
                    .filter(|message| message.flags().contains(Flags::DELETED))
                    .map(|message| message.uid())
                    .collect()
            }
        };
        for part in marked.chunks(AT_ONCE) {
            let intent = |uid: &Uid| Intent::Expunge { mailbox, uid: *uid, only_deleted: true };
            if let Err(end) = self.commit(part.iter().map(intent).collect()).await? {
                return Ok(Err(end));
            }
            if let Some(selected) = &mut self.selected {
                selected.changed();
            }
        }
        Ok(Ok(marked.len()))
    }
}
