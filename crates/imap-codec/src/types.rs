//! The values that commands and responses are made of. None of them can hold what the protocol cannot carry.

pub mod body;
pub mod datetime;
pub mod envelope;
pub mod flag;
pub mod mailbox;
pub mod section;
pub mod sequence;
pub mod slice;
pub mod string;
pub mod tag;

pub use self::body::Body;
pub use self::datetime::{Date, DateTime};
pub use self::envelope::{Address, Envelope};
pub use self::flag::{Flag, Flags};
pub use self::mailbox::{Delimiter, Mailbox, Pattern};
pub use self::section::{PartPath, Partial, Section, SectionKind};
pub use self::sequence::{SeqNumber, SequenceSet};
pub use self::slice::Slice;
pub use self::string::{Atom, IString, Text};
pub use self::tag::Tag;
