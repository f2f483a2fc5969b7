//! SEARCH.

use std::io;

use bytes::BytesMut;
use imap_codec::command::Search;
use imap_codec::response::Code;
use imap_codec::server::Answer;

use super::session::{End, Session};
use crate::wire::Wire;

impl Session<'_> {
    pub(super) async fn search(
        &mut self,
        _uid: bool,
        _search: &Search<'_>,
        _answer: &mut Answer<'_>,
        _wire: &mut Wire,
        _out: &mut BytesMut,
    ) -> io::Result<End> {
        Ok(End::no((Code::Cannot, "not yet")))
    }
}
