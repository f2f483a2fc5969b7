//! Mail from other programs and for them, and copies of all that a host has.
//!
//! ```text
//!   files ─▶ maildir, mbox ─▶ frames ─┬─ administration socket ─┬─▶ import ─▶ store
//!   files ◀─ maildir, mbox ◀─ frames ─┴─ or in one process ─────┴── export ◀─ store
//! ```
//!
//! Files are read and written by the process of whoever calls, with the rights of whoever calls; the host never touches them.
//! Between the two go [`Frame`]s, a few at a time: whoever is slower sets the pace.

pub mod backup;
mod export;
mod files;
mod frames;
mod import;
mod lines;
mod link;
mod maildir;
mod mbox;
pub mod restore;

pub use self::files::{Counts, Dates, Format, ReadOptions, Variant, WriteOptions, read, write};
pub use self::frames::{FileEntry, Frame, MailboxHead, MessageHead, Told};
pub use self::import::Totals;
pub use self::link::{Job, run, serve};
