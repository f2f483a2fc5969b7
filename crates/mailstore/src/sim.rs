//! A disk in memory that loses whatever a real one may lose, by a seed.
//!
//! [`Disk`] keeps what a process sees and what is on stable storage apart. [`Disk::crash`] gives one of the disks that a
//! power cut may leave: of what was not synced, any sectors of 512 octets survive, in any order, lengths and names likewise.
//! [`Disk::fail`] lets operations fail: a failed write may have written any part, a failed sync decides nothing, and a
//! later good one does not make up for it. The same seed and the same operations give the same disk.
//!
//! ```
//! use std::time::Duration;
//! use mailstore::{Event, Limits, Store, sim::Disk};
//!
//! let mut disk = Disk::new(1);
//! let mut store = Store::new(Limits::default().segment(0), 1);
//! while let Some(event) = store.poll(Duration::ZERO) {
//!     let Event::Operation(operation) = event else { continue };
//!     let result = disk.execute(&operation);
//!     store.handle_done(operation, result);
//! }
//! let after = disk.crash(7);
//! assert_eq!(after.files().count(), 1);
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::message::{Piece, Rotten};
use crate::operation::{Dir, DiskError, Done, File, Operation};
pub use crate::planted::Bug;

/// The simulated disk. A clone is an independent disk in the same state.
#[derive(Clone, Debug)]
pub struct Disk {
    random: Random,
    /// Rises with every operation that begins or ends.
    clock: u64,
    operations: u64,
    failing: Option<(Range<u64>, DiskError)>,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    /// The names as a process sees them, and as they are on stable storage.
    seen: BTreeMap<File, u64>,
    durable: BTreeMap<File, u64>,
    /// What was done to names and may not be on stable storage, oldest first.
    renamed: Vec<Renamed>,
}

/// An operation that has begun. What was done before it ended, but after it began, a sync does not cover.
#[derive(Debug)]
#[must_use = "an operation that does not end stops the store"]
pub struct Begun {
    operation: Operation,
    at: u64,
}

/// Numbers that follow from a seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

#[derive(Clone, Debug, Default)]
struct Inode {
    seen: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    /// What was written into each sector and may not be on stable storage, oldest first.
    unsynced: BTreeMap<usize, Vec<Version>>,
}

#[derive(Clone, Debug)]
struct Version {
    octets: Arc<[u8]>,
    /// A sync may still make it durable. None that has failed before can.
    trusted: bool,
}

#[derive(Clone, Debug)]
struct Renamed {
    file: File,
    inode: Option<u64>,
    at: u64,
    trusted: bool,
}

impl Begun {
    /// What it is.
    pub const fn operation(&self) -> &Operation {
        &self.operation
    }
}

impl Disk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            clock: 0,
            operations: 0,
            failing: None,
            inodes: BTreeMap::new(),
            next_inode: 0,
            seen: BTreeMap::new(),
            durable: BTreeMap::new(),
            renamed: Vec::new(),
        }
    }

    /// Begins an operation.
    pub fn begin(&mut self, operation: Operation) -> Begun {
        self.clock += 1;
        Begun { operation, at: self.clock }
    }

    /// Ends it.
    pub fn finish(&mut self, begun: Begun) -> (Operation, Result<Done, DiskError>) {
        let result = self.run(&begun.operation, begun.at);
        (begun.operation, result)
    }

    /// Begins and ends an operation.
    pub fn execute(&mut self, operation: &Operation) -> Result<Done, DiskError> {
        self.clock += 1;
        self.run(operation, self.clock)
    }

    /// Does a part of an operation, the middle of which a crash is to hit.
    pub fn interrupt(&mut self, operation: &Operation) {
        self.half(operation);
    }

    /// How many operations have ended.
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// Lets the operations of these numbers fail, in place of what was set before.
    pub fn fail(&mut self, operations: Range<u64>, error: DiskError) {
        self.failing = Some((operations, error));
    }

    /// Lets no more operations fail.
    pub fn heal(&mut self) {
        self.failing = None;
    }

    /// One of the disks that a power cut may leave now.
    pub fn crash(&self, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let chance = Chance::new(&mut random);
        let mut durable = self.durable.clone();
        let touched: BTreeSet<File> = self.renamed.iter().map(|renamed| renamed.file).collect();
        for file in touched {
            let changes: Vec<_> = self.renamed.iter().filter(|renamed| renamed.file == file).collect();
            match chance.pick(&mut random, changes.len()).map(|which| changes[which].inode) {
                Some(Some(inode)) => _ = durable.insert(file, inode),
                Some(None) => _ = durable.remove(&file),
                None => {}
            }
        }
        let mut inodes = BTreeMap::new();
        for inode in durable.values() {
            inodes.insert(*inode, self.inodes[inode].crash(chance, &mut random));
        }
        Self {
            random,
            clock: 0,
            operations: 0,
            failing: None,
            inodes,
            next_inode: self.next_inode,
            seen: durable.clone(),
            durable,
            renamed: Vec::new(),
        }
    }

    /// A number that differs between disks on which a process sees different files.
    pub fn fingerprint(&self) -> u64 {
        let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        self.seen.iter().fold(0x2545_f491_4f6c_dd1d, |hash, (file, inode)| {
            let octets = &self.inodes[inode].seen;
            let name = match file {
                File::Segment(number) => *number,
                File::Body(id) => 1 << 62 | id.0,
                File::Snapshot(number) => 2 << 62 | *number,
            };
            let (words, rest) = octets.as_chunks::<8>();
            let rest = rest.iter().fold(octets.len() as u64, |word, octet| word << 8 | u64::from(*octet));
            let words = words.iter().map(|word| u64::from_le_bytes(*word));
            words.chain([rest]).fold(mix(hash, name), mix)
        })
    }

    /// The files that a process sees.
    pub fn files(&self) -> impl Iterator<Item = File> {
        self.seen.keys().copied()
    }

    /// What a process sees in a file.
    pub fn octets(&self, file: File) -> Option<&[u8]> {
        self.seen.get(&file).map(|inode| &self.inodes[inode].seen[..])
    }

    /// Puts a file with this content onto stable storage, in place of one that is there.
    pub fn replace(&mut self, file: File, octets: Vec<u8>) {
        let octets = Arc::new(octets);
        let inode = Inode { seen: octets.clone(), durable: octets, unsynced: BTreeMap::new() };
        self.inodes.insert(self.next_inode, inode);
        self.seen.insert(file, self.next_inode);
        self.durable.insert(file, self.next_inode);
        self.renamed.retain(|renamed| renamed.file != file);
        self.next_inode += 1;
    }

    /// Flips a bit of a file at rest.
    pub fn flip(&mut self, file: File, bit: usize) {
        if let Some(octets) = self.octets(file) {
            let mut octets = octets.to_vec();
            if let Some(octet) = octets.get_mut(bit / 8) {
                *octet ^= 1 << (bit % 8);
            }
            self.replace(file, octets);
        }
    }

    /// Reads a piece of a stretch, and checks it.
    pub fn read(&self, piece: &Piece) -> Result<Bytes, Rotten> {
        let extent = piece.extent();
        let octets = self.octets(extent.file).unwrap_or_default();
        let from = size(extent.at).min(octets.len());
        let to = from.saturating_add(size(extent.length)).min(octets.len());
        piece.open(&Bytes::copy_from_slice(&octets[from..to]))
    }

    fn run(&mut self, operation: &Operation, began: u64) -> Result<Done, DiskError> {
        self.clock += 1;
        let number = self.operations;
        self.operations += 1;
        if let Some((range, error)) = &self.failing
            && range.contains(&number)
        {
            let error = *error;
            self.half(operation);
            return Err(error);
        }
        match operation {
            Operation::List => {
                let length = |inode| self.inodes[inode].seen.len() as u64;
                let files = self.seen.iter().map(|(file, inode)| (*file, length(inode))).collect();
                return Ok(Done::Listed(files));
            }
            Operation::Create { file, reserve } => {
                if self.seen.contains_key(file) {
                    return Err(EXISTS);
                }
                self.link(*file);
                self.inode(*file)?.reserve(size(*reserve));
            }
            Operation::Write { file, at, data, sync } => {
                let inode = self.inode(*file)?;
                if *sync && inode.unsynced.is_empty() {
                    inode.write_through(size(*at), &data.concat());
                    return Ok(Done::Nothing);
                }
                inode.write(size(*at), &data.concat(), true, |_| true);
                if *sync {
                    inode.sync();
                }
            }
            Operation::Sync { file } => self.inode(*file)?.sync(),
            Operation::SyncDir { dir } => self.sync_dir(*dir, began),
            Operation::Unlink { file } => self.unlink(*file),
            Operation::Read { file, at, length } => {
                let octets = &self.inode(*file)?.seen;
                let from = size(*at).min(octets.len());
                let to = from.saturating_add(size(*length)).min(octets.len());
                return Ok(Done::Data(Bytes::copy_from_slice(&octets[from..to])));
            }
        }
        Ok(Done::Nothing)
    }

    /// What an operation leaves that has failed, or that a crash hits: any part of it, and no promise.
    fn half(&mut self, operation: &Operation) {
        let mut random = self.random.clone();
        let chance = Chance::new(&mut random);
        match operation {
            Operation::List | Operation::Read { .. } => {}
            Operation::Create { file, reserve } => {
                if !self.seen.contains_key(file) && chance.yes(&mut random) {
                    self.link(*file);
                    let length = random.below(size(*reserve) + 1);
                    if let Ok(inode) = self.inode(*file) {
                        inode.write(0, &vec![0; length], true, |_| true);
                    }
                }
            }
            Operation::Write { file, at, data, sync } => {
                if let Ok(inode) = self.inode(*file) {
                    inode.write(size(*at), &data.concat(), false, |_| chance.yes(&mut random));
                    if *sync {
                        inode.distrust();
                    }
                }
            }
            Operation::Sync { file } => {
                if let Ok(inode) = self.inode(*file) {
                    inode.distrust();
                }
            }
            Operation::SyncDir { dir } => {
                for renamed in &mut self.renamed {
                    renamed.trusted &= renamed.file.dir() != *dir;
                }
            }
            Operation::Unlink { file } => {
                if chance.yes(&mut random) {
                    self.unlink(*file);
                }
            }
        }
        self.random = random;
    }

    fn inode(&mut self, file: File) -> Result<&mut Inode, DiskError> {
        let inode = self.seen.get(&file).ok_or(MISSING)?;
        self.inodes.get_mut(inode).ok_or(MISSING)
    }

    fn link(&mut self, file: File) {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::default());
        self.seen.insert(file, inode);
        self.renamed.push(Renamed { file, inode: Some(inode), at: self.clock, trusted: true });
    }

    fn unlink(&mut self, file: File) {
        if self.seen.remove(&file).is_some() {
            self.renamed.push(Renamed { file, inode: None, at: self.clock, trusted: true });
        }
    }

    fn sync_dir(&mut self, dir: Dir, began: u64) {
        let covered = |renamed: &Renamed| renamed.file.dir() == dir && renamed.trusted && renamed.at < began;
        let mut last = BTreeMap::new();
        for (index, renamed) in self.renamed.iter().enumerate().filter(|(_, renamed)| covered(renamed)) {
            last.insert(renamed.file, index);
            match renamed.inode {
                Some(inode) => _ = self.durable.insert(renamed.file, inode),
                None => _ = self.durable.remove(&renamed.file),
            }
        }
        let mut index = 0;
        self.renamed.retain(|renamed| {
            index += 1;
            last.get(&renamed.file).is_none_or(|last| *last < index - 1)
        });
        let (seen, durable, renamed) = (&self.seen, &self.durable, &self.renamed);
        let named = |inode: &u64| {
            seen.values().chain(durable.values()).any(|of| of == inode)
                || renamed.iter().any(|renamed| renamed.inode == Some(*inode))
        };
        self.inodes.retain(|inode, _| named(inode));
    }
}

impl Inode {
    /// Writes; of the sectors only those that `written` lets through.
    fn write(&mut self, at: usize, data: &[u8], trusted: bool, mut written: impl FnMut(usize) -> bool) {
        let end = at + data.len();
        let seen = Arc::make_mut(&mut self.seen);
        let mut from = at;
        while from < end {
            let sector = from / SECTOR;
            let to = end.min((sector + 1) * SECTOR);
            if written(sector) {
                if seen.len() < to {
                    seen.resize(to, 0);
                }
                seen[from..to].copy_from_slice(&data[from - at..to - at]);
                let whole = sector * SECTOR..seen.len().min((sector + 1) * SECTOR);
                let version = Version { octets: seen[whole].into(), trusted };
                self.unsynced.entry(sector).or_default().push(version);
            }
            from = to;
        }
    }

    /// Fills a new file with zeros.
    fn reserve(&mut self, length: usize) {
        Arc::make_mut(&mut self.seen).resize(length, 0);
        let zeros: Arc<[u8]> = Arc::new([0; SECTOR]);
        for sector in 0..length.div_ceil(SECTOR) {
            let rest = (length - sector * SECTOR).min(SECTOR);
            let octets = if rest == SECTOR { zeros.clone() } else { zeros[..rest].into() };
            self.unsynced.insert(sector, vec![Version { octets, trusted: true }]);
        }
    }

    /// What a write and a sync come to where everything else is on stable storage.
    fn write_through(&mut self, at: usize, data: &[u8]) {
        for octets in [&mut self.seen, &mut self.durable] {
            let octets = Arc::make_mut(octets);
            octets.resize(octets.len().max(at + data.len()), 0);
            octets[at..at + data.len()].copy_from_slice(data);
        }
    }

    fn sync(&mut self) {
        let durable = Arc::make_mut(&mut self.durable);
        self.unsynced.retain(|sector, versions| {
            if let Some(last) = versions.iter().rposition(|version| version.trusted) {
                put(durable, *sector, &versions[last].octets);
                versions.drain(..=last);
            }
            !versions.is_empty()
        });
    }

    fn distrust(&mut self) {
        for version in self.unsynced.values_mut().flatten() {
            version.trusted = false;
        }
    }

    fn crash(&self, chance: Chance, random: &mut Random) -> Self {
        if self.unsynced.is_empty() {
            return Self { seen: self.durable.clone(), durable: self.durable.clone(), ..Self::default() };
        }
        let mut octets = self.durable.to_vec();
        let least = octets.len();
        for (sector, versions) in &self.unsynced {
            if let Some(which) = chance.pick(random, versions.len()) {
                put(&mut octets, *sector, &versions[which].octets);
            }
        }
        // A length may be kept without the data behind it, and the other way round.
        let most = self.seen.len().max(octets.len());
        match random.below(4) {
            0 if !chance.all() => octets.truncate(least + random.below(most - least + 1)),
            1 => octets.resize(most, 0),
            _ => {}
        }
        let octets = Arc::new(octets);
        Self { seen: octets.clone(), durable: octets, unsynced: BTreeMap::new() }
    }
}

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        // SplitMix64 once: neighbouring seeds have nothing in common.
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((z ^ (z >> 31)) | 1)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % end as u64) as usize
    }
}

/// How much of what is not durable survives: in each crash another share, nothing and everything included.
#[derive(Clone, Copy, Debug)]
struct Chance(usize);

impl Chance {
    fn new(random: &mut Random) -> Self {
        Self([0, 1, 4, 4, 4, 7, 8][random.below(7)])
    }

    const fn all(self) -> bool {
        self.0 == 8
    }

    fn yes(self, random: &mut Random) -> bool {
        random.below(8) < self.0
    }

    /// One of so many versions, mostly the last one; or none.
    fn pick(self, random: &mut Random, versions: usize) -> Option<usize> {
        if versions == 0 || !self.yes(random) {
            return None;
        }
        Some(if self.all() || random.below(2) == 0 { versions - 1 } else { random.below(versions) })
    }
}

fn put(octets: &mut Vec<u8>, sector: usize, content: &[u8]) {
    let from = sector * SECTOR;
    if octets.len() < from + content.len() {
        octets.resize(from + content.len(), 0);
    }
    octets[from..from + content.len()].copy_from_slice(content);
}

fn size(octets: u64) -> usize {
    usize::try_from(octets).expect("what is written is in memory")
}

const SECTOR: usize = 512;
const MISSING: DiskError = DiskError::Io(Some(2));
const EXISTS: DiskError = DiskError::Io(Some(17));
