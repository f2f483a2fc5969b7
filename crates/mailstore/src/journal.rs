//! The journal: segments of self-describing records. `docs/format.md` gives it octet by octet.

pub(crate) mod entry;
pub(crate) mod reader;
pub(crate) mod recovery;
pub(crate) mod segment;
pub(crate) mod writer;
