//! Mailboxes without I/O: a store as a state machine over a crash-safe journal.
//!
//! **It does no I/O.** [`Store`] asks for disk [operations](Operation) and takes their outcomes; what carries them out, on how
//! many threads and on what kind of disk, is the driver's business. One driver is here, by name and behind the
//! feature `os`: `mailstore::os`, over `std::fs`. It is no protocol: it knows mailboxes with names below names, flags and keywords,
//! unique identifiers, modification sequences and quotas, and nothing of IMAP or POP3. What is in a message is read beside the
//! store: [`mime`] finds its parts, [`search`] its texts.
//!
//! ```text
//!            commit ──▶ ┌───────┐ ──▶ Operation: create, write, sync ──▶ ┌──────┐
//!  sessions             │ Store │                                       │ disk │
//!            event  ◀── └───────┘ ◀── handle_done: done, or an error ◀── └──────┘
//!       Durable, Failed, Changed, Loaded                                    │
//!            load ──▶ View: messages, each a few pieces of files ───────────┘ read by whoever wants to, and checked
//! ```
//!
//! A [`Commit`] is one body and any number of [intents](Intent), and comes to pass as a whole or not at all. Commits that come
//! while a sync runs share the next one. [`Event::Durable`] is told when everything is on stable storage, names included, and
//! nothing is shown before; [`Event::Failed`] with [`Failure::Disk`] only when the commit cannot come back.
//!
//! # A driver
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use mailstore::mailbox::AccountId;
//! use mailstore::message::{Extent, NamedFlags, UnixTime};
//! use mailstore::operation::{DiskError, Done, File, Operation};
//! use mailstore::{Actor, Commit, Event, Intent, Limits, Source, Store};
//!
//! /// A disk for as long as it lasts: syncs have nothing to do.
//! #[derive(Default)]
//! struct Memory(BTreeMap<File, Vec<u8>>);
//!
//! impl Memory {
//!     fn execute(&mut self, operation: &Operation) -> Result<Done, DiskError> {
//!         match operation {
//!             Operation::List => {
//!                 let files = self.0.iter().map(|(file, octets)| (*file, octets.len() as u64));
//!                 return Ok(Done::Listed(files.collect()));
//!             }
//!             Operation::Create { file, reserve } => {
//!                 self.0.insert(*file, vec![0; *reserve as usize]);
//!             }
//!             Operation::Write { file, at, data, .. } => {
//!                 let (at, data) = (*at as usize, data.concat());
//!                 let octets = self.0.get_mut(file).ok_or(DiskError::Io(None))?;
//!                 octets.resize(octets.len().max(at + data.len()), 0);
//!                 octets[at..at + data.len()].copy_from_slice(&data);
//!             }
//!             Operation::Read { file, at, length } => {
//!                 let octets = &self.0[file];
//!                 let (at, end) = (*at as usize, octets.len().min((at + length) as usize));
//!                 return Ok(Done::Data(Bytes::copy_from_slice(&octets[at.min(end)..end])));
//!             }
//!             Operation::Unlink { file } => {
//!                 self.0.remove(file);
//!             }
//!             Operation::Sync { .. } | Operation::SyncDir { .. } => {}
//!         }
//!         Ok(Done::Nothing)
//!     }
//! }
//!
//! /// Does what there is to do, and gives what was told.
//! fn drive(store: &mut Store, disk: &mut Memory) -> Vec<Event> {
//!     let mut told = Vec::new();
//!     while let Some(event) = store.poll(Duration::ZERO) {
//!         match event {
//!             Event::Operation(operation) => {
//!                 let result = disk.execute(&operation);
//!                 store.handle_done(operation, result);
//!             }
//!             event => told.push(event),
//!         }
//!     }
//!     told
//! }
//!
//! let (mut disk, seed) = (Memory::default(), 4); // from a random source, fresh at each start
//! let mut store = Store::new(Limits::default(), seed);
//! assert!(matches!(drive(&mut store, &mut disk)[..], [Event::Ready(_)]));
//!
//! let (account, now) = (AccountId(1), UnixTime(1_700_000_000));
//! let (name, special_use) = ("INBOX".to_owned(), None);
//! store.commit(Commit::of(vec![Intent::CreateMailbox { account, name, special_use, now }]));
//! drive(&mut store, &mut disk);
//! let mailbox = store.find(Actor::Host, account, "INBOX").expect("it was made");
//!
//! let body = Source::from(Bytes::from_static(b"Subject: hello\r\n\r\nworld\r\n"));
//! let prefix = Bytes::from_static(b"Return-Path: <>\r\n");
//! let deliver = Intent::Deliver { mailbox, prefix, date: now, flags: NamedFlags::NONE };
//! let ticket = store.commit(Commit::delivery(body, vec![deliver]));
//! let told = drive(&mut store, &mut disk);
//! assert!(matches!(&told[..], [Event::Durable(of, _), Event::Changed(..)] if *of == ticket));
//!
//! store.load(Actor::Account(account), mailbox);
//! let Some(Event::Loaded(_, Ok(view))) = drive(&mut store, &mut disk).pop() else { panic!("it is there") };
//! let mut octets = Vec::new();
//! for piece in view.messages.iter().flat_map(|message| message.locate(0..u64::MAX)) {
//!     let Extent { file, at, length } = piece.extent();
//!     let read = Bytes::copy_from_slice(&disk.0[&file][at as usize..][..length as usize]);
//!     octets.extend_from_slice(&piece.open(&read).expect("what was written"));
//! }
//! assert_eq!(octets, b"Return-Path: <>\r\nSubject: hello\r\n\r\nworld\r\n");
//! store.release(view);
//!
//! store.close();
//! assert!(matches!(drive(&mut store, &mut disk)[..], [Event::Closed]));
//! ```
//!
//! Every commit, load and listing says on whose behalf it is: [`Actor::Host`] may do everything, an [`Actor::Account`] does not know of
//! what belongs to others. A [`View`] shows a mailbox as it was at one moment; sessions share what has not changed, and
//! [`Messages::changes_since`](mailbox::Messages::changes_since) tells what has without looking at the rest.
//!
//! Bodies over [`Limits::inline_body`] are streamed into files of their own by an [`Upload`](upload::Upload), beside the store.
//! With the feature `os`, `mailstore::os::{Disk, drive}` are all of the above over a directory. With the feature `simulation`,
//! `mailstore::sim::Disk` is a disk that loses in a crash whatever a real one may lose, and fails when it is told to.
//!
//! # Limits
//!
//! | what | default | who bounds it |
//! |---|---|---|
//! | a body in the journal | 64 KiB | [`Limits::inline_body`] |
//! | a prefix; a structure | 16 KiB; 64 KiB | fixed |
//! | a mailbox name, a key; a value | 1,024 octets; 64 KiB | fixed |
//! | levels of a name | 32 | fixed |
//! | keywords of a mailbox; a keyword | 56; 128 octets | fixed |
//! | a segment, and so a commit without its uploaded body | 8 MiB | [`Limits::segment`] |
//! | a batch | 1 MiB | [`Limits::batch`] |
//! | commits that wait | 10,000 | [`Limits::staged`] |
//! | messages in memory that a snapshot has | 1,000,000 | [`Limits::loaded`] |
//! | journal between two snapshots | 64 MiB, or as much as the last snapshot | [`Limits::snapshot`] |
//! | live segments | about 65,000, then `NoSpace` | the format |
//!
//! Memory, at most: for a body 24 octets and 24 if it has a structure, for a record of the caller's 32 and another 32 if it holds a body (a key over 14 octets is
//! an allocation besides), the values not being held; for a message 56 where its mailbox is in use, some 100 between its
//! delivery, or its last change, and the next snapshot; for a view 16 octets for each 256 messages, and copies of what changes while it is held; what waits to be committed, once more while its batch is
//! written; one slice for each upload; one of 1 MiB for each mailbox that is being read, and what it has so far. Recovery adds one segment twice over, compaction one. A snapshot that is being written adds
//! a slice of 1 MiB, or the messages of one mailbox, and copies of what changes meanwhile.
//!
//! Disk, at most: three times what is alive, some segments, and what has come since the last snapshot. Files that somebody
//! reads are kept until they are released.
//!
//! Messages are looked into without the store, within the bounds of [`mime::Scanner`] and of [`search`].
//!
//! # Standards
//!
//! | RFC | what of it |
//! |---|---|
//! | [RFC 9051 §2.3.1.1](https://www.rfc-editor.org/rfc/rfc9051#section-2.3.1.1) | unique identifiers rise and are never used again; UIDVALIDITY |
//! | [RFC 9051 §5.1](https://www.rfc-editor.org/rfc/rfc9051#section-5.1) | INBOX in any case; names below names |
//! | [RFC 9051 §6.3.4](https://www.rfc-editor.org/rfc/rfc9051#section-6.3.4) to §6.3.8 | what CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE mean |
//! | [RFC 6154 §2](https://www.rfc-editor.org/rfc/rfc6154#section-2) | special uses |
//! | [RFC 9208](https://www.rfc-editor.org/rfc/rfc9208) | STORAGE in octets and MESSAGE, for all of an account |
//! | [RFC 7162 §3.1](https://www.rfc-editor.org/rfc/rfc7162#section-3.1) | modification sequences of messages and mailboxes |
//! | [RFC 5321 §6.1](https://www.rfc-editor.org/rfc/rfc5321#section-6.1) | what was accepted is not lost: `Durable` is what a 250 may say |
//! | [RFC 2045](https://www.rfc-editor.org/rfc/rfc2045), [RFC 2046](https://www.rfc-editor.org/rfc/rfc2046), [RFC 5322](https://www.rfc-editor.org/rfc/rfc5322) | the parts of messages and what their headers say: [`mime`] |
//! | [RFC 9051 §6.4.4](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.4), [RFC 2047](https://www.rfc-editor.org/rfc/rfc2047) | SEARCH: [`search`] |
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`store`] | the state machine: commits in, operations and facts out |
//! | [`commit`] | what is to happen together, who wants it, what it has led to |
//! | [`operation`] | what a disk is asked for |
//! | [`upload`] | a large body on its way to stable storage |
//! | [`mailbox`], [`message`] | what is shown: names, messages and how they have changed, flags, quotas |
//! | [`mime`] | the parts of a message, its envelope, sections |
//! | [`search`] | which messages match |
//! | [`verify`] | everything compared with its checksums |
//! | [`backup`] | what to copy of a store that works |
//! | [`limits`], [`error`] | every bound; what can go wrong, by whose fault |
//! | `os` | the driver over `std::fs`, behind a feature |
//! | `sim` | the simulated disk, behind a feature |
//!
//! `docs/format.md` gives the files octet by octet.
#![forbid(unsafe_code)]

pub mod backup;
pub mod commit;
pub mod error;
mod index;
mod journal;
pub mod limits;
pub mod mailbox;
pub mod message;
pub mod mime;
pub mod operation;
#[cfg(feature = "os")]
pub mod os;
mod planted;
pub mod search;
#[cfg(feature = "simulation")]
pub mod sim;
mod snapshot;
pub mod store;
pub mod upload;
pub mod verify;

pub use commit::{Actor, Commit, Intent, Source};
pub use error::Failure;
pub use journal::recovery::{Damage, Held, Report};
pub use limits::Limits;
pub use mailbox::View;
pub use operation::Operation;
pub use store::{Event, Store};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
