//! A driver of the store over `std::fs`: one directory, blocking calls.
//!
//! [`Disk`] carries operations out; [`drive`] does so until the store has nothing left to do. A server keeps the store and
//! this loop on a thread of their own; its sessions read through clones of [`Disk`] beside it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this module is the one place of the libraries that touches files"
)]

use core::time::Duration;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};

use crate::message::{BodyId, Piece};
use crate::operation::{Dir, DiskError, Done, File, Operation};
use crate::store::{Event, Store};

/// A directory that holds a store. Clones share their open files.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// Files that are open, the segments above all.
    open: Mutex<BTreeMap<File, Open>>,
}

#[derive(Debug)]
struct Open {
    handle: Arc<fs::File>,
    /// It was written through this handle since its last sync. A sync through another one might not tell of a write
    /// that failed meanwhile.
    unsynced: bool,
}

impl Disk {
    /// Opens the directory; makes it, and what belongs into it, if it is not there.
    ///
    /// Nothing here keeps a second process out: take a lock first.
    pub fn open(root: &Path) -> io::Result<Self> {
        for dir in [root.to_owned(), root.join(JOURNAL), root.join(BODIES), root.join(SNAPSHOTS)] {
            let mut builder = fs::DirBuilder::new();
            match builder.mode(0o700).create(&dir) {
                Ok(()) => sync_dir(
                    dir.parent().filter(|parent| *parent != Path::new("")).unwrap_or_else(|| Path::new(".")),
                )?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self(Arc::new(Shared { root: root.to_owned(), open: Mutex::new(BTreeMap::new()) })))
    }

    /// Carries an operation out.
    pub fn execute(&self, operation: &Operation) -> Result<Done, DiskError> {
        let done = match operation {
            Operation::List => self.list().map(Done::Listed),
            Operation::Create { file, reserve } => self.create(*file, *reserve).map(|()| Done::Nothing),
            Operation::Write { file, at, data, sync } => {
                self.write(*file, *at, data, *sync).map(|()| Done::Nothing)
            }
            Operation::Sync { file } => self.sync(*file).map(|()| Done::Nothing),
            Operation::SyncDir { dir } => sync_dir(&self.dir(*dir)).map(|()| Done::Nothing),
            Operation::Unlink { file } => self.unlink(*file).map(|()| Done::Nothing),
            Operation::Read { file, at, length } => self.read(*file, *at, *length).map(Done::Data),
        };
        done.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::NoSpace,
            _ => DiskError::Io(error.raw_os_error()),
        })
    }

    /// Reads a piece of a stretch, as [`Message::locate`](crate::message::Message::locate) gives it, and checks it: what is
    /// not what was written is [`io::ErrorKind::InvalidData`].
    pub fn read_piece(&self, piece: &Piece) -> io::Result<Bytes> {
        let extent = piece.extent();
        let octets = self.read(extent.file, extent.at, extent.length)?;
        piece.open(&octets).map_err(|rotten| io::Error::new(io::ErrorKind::InvalidData, rotten))
    }

    fn list(&self) -> io::Result<Vec<(File, u64)>> {
        let mut files = Vec::new();
        for dir in [Dir::Journal, Dir::Bodies, Dir::Snapshots] {
            for entry in fs::read_dir(self.dir(dir))? {
                let entry = entry?;
                let name = entry.file_name();
                let number = name.to_str().and_then(|name| u64::from_str_radix(name, 16).ok());
                // What is not called as we call files is not ours.
                let Some(number) = number.filter(|number| name == *format!("{number:016x}")) else {
                    continue;
                };
                let file = match dir {
                    Dir::Journal => File::Segment(number),
                    Dir::Bodies => File::Body(BodyId(number)),
                    Dir::Snapshots => File::Snapshot(number),
                };
                files.push((file, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, file: File, reserve: u64) -> io::Result<()> {
        let made =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(self.path(file))?;
        // Real zeros: `fallocate` would leave blocks to be converted, and journalled, at each sync.
        let (zeros, mut at) = (vec![0; ZEROS], 0);
        while at < reserve {
            let piece = &zeros[..usize::try_from(reserve - at).unwrap_or(ZEROS).min(ZEROS)];
            made.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        self.remember(file, made, true);
        Ok(())
    }

    fn write(&self, file: File, mut at: u64, data: &[Bytes], sync: bool) -> io::Result<()> {
        let open = self.file(file)?;
        if !sync {
            self.mark(file, true);
        }
        for piece in data {
            open.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        if sync { self.sync(file) } else { Ok(()) }
    }

    fn sync(&self, file: File) -> io::Result<()> {
        self.file(file)?.sync_data()?;
        self.mark(file, false);
        Ok(())
    }

    fn mark(&self, file: File, unsynced: bool) {
        if let Some(open) = self.0.open.lock().expect("nobody panics under this lock").get_mut(&file) {
            open.unsynced = unsynced;
        }
    }

    fn unlink(&self, file: File) -> io::Result<()> {
        self.0.open.lock().expect("nobody panics under this lock").remove(&file);
        match fs::remove_file(self.path(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn read(&self, file: File, at: u64, length: u64) -> io::Result<Bytes> {
        let open = self.file(file)?;
        let there = open.metadata()?.len().saturating_sub(at).min(length);
        let mut octets = BytesMut::zeroed(usize::try_from(there).map_err(|_| io::ErrorKind::OutOfMemory)?);
        let mut filled = 0;
        while filled < octets.len() {
            match open.read_at(&mut octets[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        octets.truncate(filled);
        Ok(octets.freeze())
    }

    fn file(&self, file: File) -> io::Result<Arc<fs::File>> {
        if let Some(open) = self.0.open.lock().expect("nobody panics under this lock").get(&file) {
            return Ok(open.handle.clone());
        }
        let opened = OpenOptions::new().read(true).write(true).open(self.path(file))?;
        Ok(self.remember(file, opened, false))
    }

    fn remember(&self, file: File, opened: fs::File, unsynced: bool) -> Arc<fs::File> {
        let handle = Arc::new(opened);
        let mut open = self.0.open.lock().expect("nobody panics under this lock");
        if open.len() >= MAX_OPEN {
            // Large bodies are read in one go, mostly; segments are what is worth keeping.
            open.retain(|file, open| {
                matches!(file, File::Segment(_)) || open.unsynced || Arc::strong_count(&open.handle) > 1
            });
        }
        if open.len() >= MAX_OPEN {
            let old = open.iter().find(|(_, open)| !open.unsynced).map(|(file, _)| *file);
            old.and_then(|file| open.remove(&file));
        }
        open.insert(file, Open { handle: handle.clone(), unsynced });
        handle
    }

    fn path(&self, file: File) -> PathBuf {
        self.0.root.join(file.to_string())
    }

    fn dir(&self, dir: Dir) -> PathBuf {
        self.0.root.join(match dir {
            Dir::Journal => JOURNAL,
            Dir::Bodies => BODIES,
            Dir::Snapshots => SNAPSHOTS,
        })
    }
}

/// Carries out all that the store wants done, and hands every other event to `tell`. Returns when the store waits for a
/// commit.
///
/// Commits that `tell` makes, or that were made before the call, are written; those that another thread wants to add
/// have to reach the store between two calls.
pub fn drive(store: &mut Store, disk: &Disk, now: Duration, mut tell: impl FnMut(&mut Store, Event)) {
    while let Some(event) = store.poll(now) {
        match event {
            Event::Operation(operation) => {
                let result = disk.execute(&operation);
                store.handle_done(operation, result);
            }
            event => tell(store, event),
        }
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

const JOURNAL: &str = "journal";
const BODIES: &str = "bodies";
const SNAPSHOTS: &str = "snapshots";
const ZEROS: usize = 256 << 10;
const MAX_OPEN: usize = 256;
