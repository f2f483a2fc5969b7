//! A store over the simulated disk, what it must hold, and the comparison of both. All of it follows from a seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use mailstore::error::{Dead, Unavailable};
use mailstore::mailbox::{AccountId, MailboxId, Uid, UidValidity};
use mailstore::message::{Rotten, Stretch, UnixTime};
use mailstore::operation::{DiskError, Done, File, Operation};
use mailstore::sim::{Begun, Bug, Disk, Random};
use mailstore::store::{Counters, Outcome, Receipt, Ticket};
use mailstore::upload::Upload;
use mailstore::{Commit, Event, Failure, Intent, Limits, Report, Source, Store, View};

/// What a store holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    boxes: BTreeMap<(u64, String), Held>,
    values: BTreeMap<(u16, Bytes), Bytes>,
    /// The bodies that records hold.
    holds: BTreeMap<(u16, Bytes), Bytes>,
}

#[derive(Clone, Debug)]
struct Held {
    /// Both unknown where a commit was not told of.
    id: Option<MailboxId>,
    uid_validity: Option<UidValidity>,
    uid_next: u32,
    mod_seq: u64,
    messages: BTreeMap<u32, Mail>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Mail {
    mod_seq: u64,
    date: i64,
    prefix: Bytes,
    body: Bytes,
}

/// A commit, as the model keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    body: Option<Bytes>,
    intents: Vec<Intent>,
}

#[derive(Debug)]
struct Uploading {
    upload: Upload,
    body: Bytes,
    sent: usize,
    intents: Vec<Intent>,
    busy: bool,
    abandoned: bool,
}

/// The store, its disk, and what is known of both.
pub(crate) struct World {
    pub(crate) limits: Limits,
    pub(crate) random: Random,
    pub(crate) disk: Disk,
    pub(crate) store: Store,
    /// Everything that was ever shown, if it is wanted.
    pub(crate) history: Option<BTreeSet<Bytes>>,
    /// Since a crash, nobody has looked yet which of the possible states there is.
    unseen: bool,
    /// What is wrong with the store.
    pub(crate) bug: Option<Bug>,
    /// What the store has told to be durable.
    pub(crate) state: State,
    /// Commits that were not told of, in order.
    pub(crate) pending: VecDeque<(Ticket, Planned)>,
    /// Commits of which the store has told that it does not know.
    pub(crate) doubtful: Vec<Planned>,
    /// What may be there since before an opening that failed.
    carried: Vec<State>,
    begun: Vec<(Option<u64>, Begun)>,
    uploads: BTreeMap<u64, Uploading>,
    next_upload: u64,
    views: Vec<(View, Vec<Mail>)>,
    pub(crate) ready: Option<Report>,
    pub(crate) dead: Option<Dead>,
    pub(crate) closed: bool,
    /// The largest life of a mailbox that was told, which no later one may repeat.
    highest_validity: u32,
    pub(crate) told: Told,
    /// What stores that were closed have done.
    pub(crate) done: Work,
    clock: i64,
    /// Largest number of octets of bodies that uploads have held at once, each.
    pub(crate) most_held: usize,
    /// Is told of every operation that has ended.
    pub(crate) mirror: Option<Box<Mirror>>,
}

type Mirror = dyn FnMut(&Operation, &Result<Done, DiskError>);

/// How often what was told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) durable: u64,
    pub(crate) refused: u64,
    pub(crate) no_space: u64,
    pub(crate) disk: u64,
    pub(crate) unknown: u64,
}

/// How much of what a store does by itself it has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    pub(crate) segments: u64,
    pub(crate) snapshots: u64,
    pub(crate) compacted: u64,
    pub(crate) loads: u64,
}

impl Work {
    pub(crate) fn add(&mut self, counters: Counters) {
        self.segments += counters.segments;
        self.snapshots += counters.snapshots;
        self.compacted += counters.compacted;
        self.loads += counters.loads;
    }
}

/// The smallest segments there are, snapshots as often as can be, and next to nothing in memory.
pub(crate) fn small() -> Limits {
    Limits::default().segment(0).snapshot(0).loaded(1)
}

impl World {
    /// A store that is not open yet, on an empty disk.
    pub(crate) fn new(seed: u64, limits: Limits) -> Self {
        Self::on(Disk::new(seed), State::default(), seed, limits)
    }

    /// A store that is not open yet, on a disk that holds `state`.
    pub(crate) fn on(disk: Disk, state: State, seed: u64, limits: Limits) -> Self {
        let mut random = Random::new(seed);
        let store = Store::new(limits, random.below(usize::MAX) as u64);
        Self {
            limits,
            random,
            disk,
            store,
            history: None,
            unseen: false,
            bug: None,
            state,
            pending: VecDeque::new(),
            doubtful: Vec::new(),
            carried: Vec::new(),
            begun: Vec::new(),
            uploads: BTreeMap::new(),
            next_upload: 0,
            views: Vec::new(),
            ready: None,
            dead: None,
            closed: false,
            highest_validity: 0,
            told: Told::default(),
            done: Work::default(),
            clock: 1_000,
            most_held: 0,
            mirror: None,
        }
    }

    /// Has the store break a rule from now on.
    pub(crate) fn plant(&mut self, bug: Option<Bug>) {
        self.bug = bug;
        if let Some(bug) = bug {
            self.store.plant(bug);
        }
    }

    /// The process ends, and the store is opened again, whatever is in it.
    pub(crate) fn reopen_as_it_is(&mut self) {
        self.store = Store::new(self.limits, self.random.below(usize::MAX) as u64);
        self.begun.clear();
        self.drain(&mut |_, _| ());
    }

    /// The process ends, and the store is opened again: what was not synced is seen, and may still be lost.
    pub(crate) fn kill(&mut self) {
        self.reopen();
        assert_eq!(self.dead, None);
        self.check_report();
    }

    /// Opens the store again, as after the end of its process: what was not told is gone or not.
    pub(crate) fn reopen(&mut self) {
        let candidates = self.candidates();
        self.unseen = true;
        self.done.add(self.store.counters());
        self.store = Store::new(self.limits, self.random.below(usize::MAX) as u64);
        self.plant(self.bug);
        self.begun.clear();
        self.uploads.clear();
        self.views.clear();
        self.pending.clear();
        self.doubtful.clear();
        (self.ready, self.dead, self.closed) = (None, None, false);
        self.drain(&mut |_, _| ());
        if self.dead.is_none() {
            self.adopt(candidates);
        } else {
            self.carried = candidates;
        }
    }

    /// Takes the first of the states that the store shows.
    fn adopt(&mut self, candidates: Vec<State>) {
        let mut reasons = Vec::new();
        let found = candidates.into_iter().find(|state| {
            let result = self.compare(state);
            reasons.extend(result.clone().err());
            result.is_ok()
        });
        let Some(state) = found else {
            panic!("the store holds nothing that it may hold: {reasons:#?}");
        };
        self.state = state;
        self.unseen = false;
        self.carried.clear();
        for id in self.store.mailboxes(None) {
            let status = self.store.status(id).expect("it is listed");
            let held = self.state.boxes.get_mut(&(status.account.0, status.name)).expect("compared");
            if held.id.is_none() {
                assert!(status.uid_validity.get() > self.highest_validity, "a life is used again");
            }
            (held.id, held.uid_validity) = (Some(id), Some(status.uid_validity));
            self.highest_validity = self.highest_validity.max(status.uid_validity.get());
        }
    }

    /// A power cut now, and the store opened again.
    pub(crate) fn crash(&mut self, seed: u64) {
        self.disk = self.disk.crash(seed);
        self.reopen();
        assert_eq!(self.dead, None);
        self.check_report();
    }

    /// A crash loses nothing that was acknowledged, and the store must not say that it did.
    pub(crate) fn check_report(&self) {
        let report = self.ready.as_ref().expect("the store is open");
        assert_eq!(report.damage, [], "a crash is no damage");
        assert_eq!(report.damaged_snapshots, 0, "a crash damages no snapshot that counts");
    }

    /// Everything that may be there after a crash at this moment.
    pub(crate) fn candidates(&self) -> Vec<State> {
        let mut candidates = vec![self.state.clone()];
        candidates.extend(self.carried.iter().cloned());
        let pending: Vec<_> = self.pending.iter().map(|(_, planned)| planned).collect();
        for commits in [pending, self.doubtful.iter().collect()] {
            let mut state = self.state.clone();
            for planned in commits {
                if state.apply(planned, None).is_none() {
                    break;
                }
                candidates.push(state.clone());
            }
        }
        candidates
    }

    /// One operation, from its end to all that follows from it. `hook` sees the disk as it is when a crash hits the
    /// middle of the operation, and as it is before the store knows that it has ended. False if there is nothing to do.
    pub(crate) fn step(&mut self, hook: &mut impl FnMut(&Self, &Disk)) -> bool {
        self.collect();
        if self.begun.is_empty() {
            return false;
        }
        let chosen = self.random.below(self.begun.len());
        let (owner, begun) = self.begun.swap_remove(chosen);
        if changes(begun.operation()) {
            let mut half = self.disk.clone();
            half.interrupt(begun.operation());
            hook(self, &half);
        }
        let (operation, result) = self.disk.finish(begun);
        if changes(&operation) {
            hook(self, &self.disk);
        }
        if let Some(mirror) = &mut self.mirror {
            mirror(&operation, &result);
        }
        match owner {
            None => self.store.handle_done(operation, result),
            Some(id) => {
                let uploading = self.uploads.get_mut(&id).expect("it has an operation in flight");
                uploading.busy = false;
                uploading.upload.handle_done(operation, result);
            }
        }
        self.collect();
        self.check_numbers();
        true
    }

    /// Nothing is shown that has not been told, and nothing is told that is not shown.
    fn check_numbers(&self) {
        if self.unseen || self.closed || self.dead.is_some() {
            return;
        }
        for held in self.state.boxes.values() {
            let Some(id) = held.id else { continue };
            let status = self.store.status(id).expect("what was told to be there is shown");
            let shown = (status.messages, status.highest_mod_seq.get());
            assert_eq!(
                shown,
                (held.messages.len() as u64, held.mod_seq),
                "what was told is shown, and no more"
            );
        }
    }

    /// Steps until there is nothing to do.
    pub(crate) fn drain(&mut self, hook: &mut impl FnMut(&Self, &Disk)) {
        let mut steps = 0;
        while self.step(hook) {
            steps += 1;
            assert!(steps < 100_000, "the store does not come to rest");
        }
    }

    /// Everything that the store and the uploads want done is begun, all that they tell is taken in.
    fn collect(&mut self) {
        loop {
            while let Some(event) = self.store.poll(Duration::ZERO) {
                self.take(event);
            }
            if !self.drive_uploads() {
                return;
            }
        }
    }

    /// True if a commit came of it.
    fn drive_uploads(&mut self) -> bool {
        let mut ended = Vec::new();
        for (id, uploading) in &mut self.uploads {
            if uploading.busy {
                continue;
            }
            if uploading.abandoned || uploading.upload.error().is_some() {
                ended.push(*id);
                continue;
            }
            let upload = &mut uploading.upload;
            if upload.wants_data() && uploading.sent < uploading.body.len() {
                let to = uploading.body.len().min(uploading.sent + 20_000);
                let slice = uploading.body.slice(uploading.sent..to);
                self.most_held = self.most_held.max(slice.len());
                upload.push(slice).expect("it wants data");
                assert!(!upload.wants_data(), "one slice in flight");
                uploading.sent = to;
            } else if upload.wants_data() {
                upload.close();
            }
            match upload.poll() {
                Some(operation) => {
                    uploading.busy = true;
                    self.begun.push((Some(*id), self.disk.begin(operation)));
                }
                None if upload.wants_data() => {}
                None => ended.push(*id),
            }
        }
        let mut committed = false;
        for id in ended {
            let uploading = self.uploads.remove(&id).expect("listed");
            match uploading.upload.finish() {
                Ok(body) if uploading.abandoned => self.store.discard_body(body),
                Err(upload) => self.store.discard(upload),
                Ok(body) => {
                    assert_eq!(body.size(), uploading.body.len() as u64);
                    let planned = Planned { body: Some(uploading.body), intents: uploading.intents };
                    let commit = Commit { body: Source::Stored(body), intents: planned.intents.clone() };
                    self.commit_as(commit, planned);
                }
            }
            committed = true;
        }
        committed || self.uploads.values().any(|uploading| !uploading.busy && !uploading.abandoned)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Operation(operation) => self.begun.push((None, self.disk.begin(operation))),
            Event::Ready(report) => self.ready = Some(report),
            Event::Durable(ticket, receipt) => {
                let (of, planned) = self.pending.pop_front().expect("somebody waits");
                assert_eq!(of, ticket, "told in order");
                self.state.apply(&planned, Some(&receipt)).expect("a commit that cannot be is refused");
                if let Some(history) = &mut self.history {
                    history.extend(planned.body.clone());
                    history.extend(planned.intents.iter().filter_map(|intent| match intent {
                        Intent::Put { value, .. } => Some(value.clone()),
                        Intent::Deliver { prefix, .. } => {
                            Some([&prefix[..], planned.body.as_deref()?].concat().into())
                        }
                        _ => None,
                    }));
                }
                for outcome in &receipt.outcomes {
                    if let Outcome::MailboxCreated { uid_validity, .. } = outcome {
                        assert!(uid_validity.get() > self.highest_validity, "a life is used again");
                        self.highest_validity = uid_validity.get();
                    }
                }
                // It went into a new segment, which says that the doubtful ones do not count.
                self.doubtful.clear();
                self.told.durable += 1;
            }
            Event::Failed(ticket, failure) => {
                let at = self.pending.iter().position(|(of, _)| *of == ticket).expect("told once");
                let (_, planned) = self.pending.remove(at).expect("found");
                match failure {
                    Failure::Refused(_) => self.told.refused += 1,
                    Failure::NoSpace => self.told.no_space += 1,
                    Failure::Disk => self.told.disk += 1,
                    Failure::Unknown => {
                        self.told.unknown += 1;
                        self.doubtful.push(planned);
                    }
                }
            }
            Event::Closed => self.closed = true,
            Event::Dead(dead) => self.dead = Some(dead),
            _ => {}
        }
    }

    /// Commits a body, if there is one, inline.
    pub(crate) fn commit(&mut self, body: Option<Bytes>, intents: Vec<Intent>) {
        let source = body.clone().map_or(Source::None, Source::Inline);
        let commit = Commit { body: source, intents: intents.clone() };
        self.commit_as(commit, Planned { body, intents });
    }

    fn commit_as(&mut self, commit: Commit, planned: Planned) {
        let ticket = self.store.commit(commit);
        self.pending.push_back((ticket, planned));
    }

    /// Begins to upload a body, which is committed when it is there.
    pub(crate) fn upload(&mut self, body: Bytes, intents: Vec<Intent>) {
        if let Some(upload) = self.store.begin_body() {
            let (busy, abandoned) = (false, false);
            self.uploads
                .insert(self.next_upload, Uploading { upload, body, sent: 0, intents, busy, abandoned });
            self.next_upload += 1;
        }
    }

    /// Makes a mailbox at once, and tells which.
    pub(crate) fn mailbox(&mut self, name: &str) -> MailboxId {
        let intent = self.create(1, name.to_owned());
        self.commit(None, vec![intent]);
        self.drain(&mut |_, _| ());
        self.store.find(AccountId(1), name).expect("it was made")
    }

    /// A delivery of something unlike all others.
    pub(crate) fn deliver(&mut self, mailbox: MailboxId) -> Intent {
        self.clock += 1;
        let prefix = Bytes::from(format!("Delivered-To: {}-{}\r\n", mailbox.get(), self.clock));
        Intent::Deliver { mailbox, prefix, date: UnixTime(self.clock) }
    }

    fn create(&mut self, account: u64, name: String) -> Intent {
        // Not always later than the last one.
        let now = UnixTime(self.random.below(2_000) as i64);
        Intent::CreateMailbox { account: AccountId(account), name, now }
    }

    /// Octets that look like nothing else.
    pub(crate) fn body(&mut self, length: usize) -> Bytes {
        let mut octets = Vec::with_capacity(length + 8);
        while octets.len() < length {
            octets.extend_from_slice(&(self.random.below(usize::MAX) as u64).to_le_bytes());
        }
        octets.truncate(length);
        octets.into()
    }

    /// Does something that a host may do, chosen by the seed.
    pub(crate) fn act(&mut self) {
        let known: Vec<MailboxId> = self.state.boxes.values().filter_map(|held| held.id).collect();
        if known.is_empty() {
            let intent = self.create(1, "INBOX".to_owned());
            return self.commit(None, vec![intent]);
        }
        let mailbox = known[self.random.below(known.len())];
        match self.random.below(22) {
            0 if known.len() < 6 => {
                let (account, name) =
                    (1 + self.random.below(2) as u64, format!("box {}", self.random.below(9)));
                let intent = self.create(account, name);
                self.commit(None, vec![intent]);
            }
            1 if known.len() > 3 => self.commit(None, vec![Intent::DeleteMailbox { mailbox }]),
            0..=8 => {
                let length = [10, 500, 3_000, 12_000, 40_000, 60_000][self.random.below(6)];
                let body = self.body(length);
                let intents = self.deliveries(&known);
                self.commit(Some(body), intents);
            }
            9 | 10 if self.uploads.len() < 3 => {
                let length = 1 + self.random.below(150_000);
                let body = self.body(length);
                let intents = self.deliveries(&known);
                self.upload(body, intents);
            }
            11 | 12 => {
                let intents = self.expunges(mailbox);
                self.commit(None, intents);
            }
            13 => {
                // MOVE: there and gone in one.
                let mut intents = self.expunges(mailbox);
                intents.extend(self.deliveries(&known));
                let body = self.body(700);
                self.commit(Some(body), intents);
            }
            14 | 15 => {
                let (table, key) = (self.random.below(2) as u16, self.random.below(5) as u8);
                let length = self.random.below(3_000);
                let value = self.body(length);
                self.commit(None, vec![Intent::Put { table, key: Bytes::copy_from_slice(&[key]), value }]);
            }
            16 => {
                let (table, key) = (self.random.below(2) as u16, self.random.below(5) as u8);
                self.commit(None, vec![Intent::Remove { table, key: Bytes::copy_from_slice(&[key]) }]);
            }
            17 => {
                if let Some(uploading) = self.uploads.values_mut().next() {
                    uploading.abandoned = true;
                }
            }
            18 | 19 => {
                // A mailbox is emptied, and a record goes.
                let mut intents = self.expunges_of(mailbox, usize::MAX);
                let (table, key) = (self.random.below(2) as u16, self.random.below(5) as u8);
                intents.push(Intent::Remove { table, key: Bytes::copy_from_slice(&[key]) });
                self.commit(None, intents);
            }
            20 => self.hold(mailbox),
            _ => self.let_go(),
        }
    }

    fn deliveries(&mut self, known: &[MailboxId]) -> Vec<Intent> {
        let count = 1 + self.random.below(3);
        (0..count)
            .map(|_| match self.random.below(6) {
                0 => {
                    let (table, key) = (self.random.below(2) as u16, self.random.below(5) as u8);
                    Intent::Hold { table, key: Bytes::copy_from_slice(&[key]) }
                }
                _ => {
                    let mailbox = known[self.random.below(known.len())];
                    self.deliver(mailbox)
                }
            })
            .collect()
    }

    fn expunges(&mut self, mailbox: MailboxId) -> Vec<Intent> {
        let held = self.state.by_id(mailbox).expect("known");
        let uids: Vec<u32> = held.messages.keys().copied().collect();
        let count = self.random.below(4).min(uids.len());
        (0..count)
            .map(|_| {
                let uid = uids[self.random.below(uids.len())];
                Intent::Expunge { mailbox, uid: Uid::new(uid).expect("not zero") }
            })
            .collect()
    }

    /// Removes all messages of a mailbox that are there now.
    pub(crate) fn empty(&mut self, mailbox: MailboxId) {
        let intents = self.expunges_of(mailbox, usize::MAX);
        self.commit(None, intents);
    }

    fn expunges_of(&self, mailbox: MailboxId, most: usize) -> Vec<Intent> {
        let held = self.state.by_id(mailbox).expect("known");
        let uids = held.messages.keys().take(most);
        uids.map(|uid| Intent::Expunge { mailbox, uid: Uid::new(*uid).expect("not zero") }).collect()
    }

    /// Holds a view, in which everything has to be readable until it is let go.
    pub(crate) fn hold(&mut self, mailbox: MailboxId) {
        if let Some(view) = self.load(mailbox) {
            let held = self.state.by_id(mailbox).expect("shown, so durable");
            self.views.push((view, held.messages.values().cloned().collect()));
        }
    }

    /// Reads all that the oldest view shows, and gives it back.
    pub(crate) fn let_go(&mut self) {
        if self.views.is_empty() {
            return;
        }
        let (view, mails) = self.views.remove(0);
        self.compare_messages(&view, &mails).expect("a view shows what it showed");
        self.store.release(view);
    }

    /// No upload, no view, nothing in flight.
    pub(crate) fn rest(&mut self) {
        self.drain(&mut |_, _| ());
        while !self.views.is_empty() {
            self.let_go();
        }
        self.drain(&mut |_, _| ());
    }

    /// Ends in order, and opens again.
    pub(crate) fn close_and_reopen(&mut self, hook: &mut impl FnMut(&Self, &Disk)) {
        self.drain(hook);
        while !self.views.is_empty() {
            self.let_go();
        }
        self.store.close();
        self.drain(hook);
        assert!(self.closed);
        self.reopen();
    }

    /// Shows a mailbox at once.
    pub(crate) fn load(&mut self, mailbox: MailboxId) -> Option<View> {
        let (mut mine, mut failed) = (self.store.load(mailbox), 0);
        loop {
            while let Some(event) = self.store.poll(Duration::ZERO) {
                match event {
                    // The disk fails for a while.
                    Event::Loaded(ticket, Err(Unavailable::Disk)) if ticket == mine => {
                        failed += 1;
                        assert!(failed < 50, "a mailbox can be read");
                        mine = self.store.load(mailbox);
                    }
                    Event::Loaded(ticket, result) if ticket == mine => return result.ok(),
                    event => self.take(event),
                }
            }
            // Something is being read already, or could not be read.
            let reads = |(_, begun): &(_, Begun)| matches!(begun.operation(), Operation::Read { .. });
            let at = self.begun.iter().position(reads).expect("something is read");
            let (_, begun) = self.begun.swap_remove(at);
            let (operation, result) = self.disk.finish(begun);
            if let Some(mirror) = &mut self.mirror {
                mirror(&operation, &result);
            }
            self.store.handle_done(operation, result);
        }
    }

    /// All records of a table, a few at a time.
    fn table(&mut self, table: u16) -> Result<Vec<(Bytes, Bytes)>, String> {
        let (mut found, mut from) = (Vec::new(), Bytes::new());
        loop {
            let records = self.store.records(table, &from, 2);
            for (key, stretch) in &records.records {
                let value = read(&self.disk, stretch).map_err(|rotten| rotten.to_string())?;
                found.push((key.clone(), value));
            }
            let next = records.next.clone();
            self.store.release(records);
            match next {
                Some(next) => from = next,
                None => return Ok(found),
            }
        }
    }

    /// The store shows this state, and every octet can be read.
    pub(crate) fn compare(&mut self, state: &State) -> Result<(), String> {
        let ids = self.store.mailboxes(None);
        if ids.len() != state.boxes.len() {
            return Err(format!("{} mailboxes, not {}", ids.len(), state.boxes.len()));
        }
        for id in ids {
            let status = self.store.status(id).ok_or("no status")?;
            let of = format!("{}/{}", status.account.0, status.name);
            let held = state
                .boxes
                .get(&(status.account.0, status.name.clone()))
                .ok_or_else(|| format!("{of} is there"))?;
            let numbers = (
                status.uid_next.map_or(0, Uid::get),
                status.highest_mod_seq.get(),
                status.messages,
                status.octets,
                held.id.unwrap_or(id),
                held.uid_validity.unwrap_or(status.uid_validity),
                self.store.find(status.account, &status.name),
            );
            let octets: usize = held.messages.values().map(|mail| mail.prefix.len() + mail.body.len()).sum();
            let expected = (
                held.uid_next,
                held.mod_seq,
                held.messages.len() as u64,
                octets as u64,
                id,
                status.uid_validity,
                Some(id),
            );
            if numbers != expected {
                return Err(format!("{of} has {numbers:?}, not {expected:?}"));
            }
            let view = self.load(id).ok_or("no view")?;
            let uids: Vec<u32> = view.messages.iter().map(|message| message.uid().get()).collect();
            let expected: Vec<u32> = held.messages.keys().copied().collect();
            let mails: Vec<_> = held.messages.values().cloned().collect();
            let result = if uids == expected {
                self.compare_messages(&view, &mails).map_err(|why| format!("{of}: {why}"))
            } else {
                Err(format!("{of} holds {uids:?}, not {expected:?}"))
            };
            self.store.release(view);
            result?;
        }
        for table in 0..3 {
            let expected: Vec<_> = state
                .values
                .iter()
                .filter(|((of, _), _)| *of == table)
                .map(|((_, key), value)| (key.clone(), value.clone()))
                .collect();
            if self.table(table)? != expected {
                return Err(format!("table {table} differs"));
            }
            let holds: Vec<_> =
                state.holds.keys().filter(|(of, _)| *of == table).map(|(_, key)| key).collect();
            let status = self.store.table(table);
            if (status.records, status.holds, status.last_hold.as_ref())
                != (expected.len(), holds.len(), holds.last().copied())
            {
                return Err(format!("table {table} is counted as {status:?}"));
            }
            for (key, value) in &expected {
                let located = self.store.record(table, key).ok_or("no value")?;
                let octets = read(&self.disk, &located.stretch);
                self.store.release(located);
                if octets.as_ref() != Ok(value) {
                    return Err(format!("a value of table {table} differs"));
                }
            }
        }
        for (table, key) in
            (0..2).flat_map(|table| (0..5).map(move |key| (table, Bytes::copy_from_slice(&[key]))))
        {
            let held = self.store.held(table, &key).map(|located| {
                let octets = read(&self.disk, &located.stretch);
                self.store.release(located);
                octets
            });
            let expected = state.holds.get(&(table, key)).map(|body| Ok(body.clone()));
            if held != expected {
                return Err(format!("what table {table} holds differs"));
            }
        }
        Ok(())
    }

    fn compare_messages(&self, view: &View, mails: &[Mail]) -> Result<(), String> {
        if view.messages.len() != mails.len() {
            return Err("another number of messages".to_owned());
        }
        for (message, mail) in view.messages.iter().zip(mails) {
            if (message.mod_seq().get(), message.date().0) != (mail.mod_seq, mail.date) {
                return Err(format!("message {} has other numbers", message.uid()));
            }
            let size = mail.prefix.len() + mail.body.len();
            if message.size() != size as u64 {
                return Err(format!("message {} has {} octets, not {size}", message.uid(), message.size()));
            }
            let mut expected = [&mail.prefix[..], &mail.body[..]].concat();
            for piece in message.locate(0..u64::MAX) {
                let octets = self.disk.read(&piece).map_err(|rotten| rotten.to_string())?;
                if !expected.starts_with(&octets) {
                    return Err(format!("message {} differs in {piece:?}", message.uid()));
                }
                expected.drain(..octets.len());
            }
            if !expected.is_empty() {
                return Err(format!("message {} lacks {} octets", message.uid(), expected.len()));
            }
        }
        Ok(())
    }

    /// The store shows what it has told.
    pub(crate) fn check(&mut self) {
        let state = std::mem::take(&mut self.state);
        self.compare(&state).expect("the store shows what it has told");
        self.state = state;
    }

    /// There is a file for each large body that has a delivery, and no other. Only at rest, and without faults.
    pub(crate) fn check_files(&mut self) {
        let mut referenced = BTreeSet::new();
        for id in self.store.mailboxes(None) {
            let view = self.load(id).expect("listed");
            for message in view.messages.iter() {
                referenced.extend(message.locate(0..u64::MAX).map(|piece| piece.extent().file));
            }
            self.store.release(view);
        }
        for (table, key) in (0..3).flat_map(|table| (0..=u8::MAX).map(move |key| (table, [key]))) {
            if let Some(located) = self.store.held(table, &key) {
                referenced.extend(located.stretch.locate(0..u64::MAX).map(|piece| piece.extent().file));
                self.store.release(located);
            }
        }
        let there: Vec<_> = self.disk.files().filter(|file| matches!(file, File::Body(_))).collect();
        referenced.retain(|file| matches!(file, File::Body(_)));
        assert_eq!(there, Vec::from_iter(referenced), "files of bodies");
    }
}

impl State {
    fn by_id(&self, id: MailboxId) -> Option<&Held> {
        self.boxes.values().find(|held| held.id == Some(id))
    }

    fn by_id_mut(&mut self, id: MailboxId) -> Option<&mut Held> {
        self.boxes.values_mut().find(|held| held.id == Some(id))
    }

    /// How many messages there are.
    pub(crate) fn messages(&self) -> usize {
        self.boxes.values().map(|held| held.messages.len()).sum()
    }

    /// What a commit leads to; `None` if it cannot be. The receipt, if there is one, has to say the same.
    pub(crate) fn apply(&mut self, planned: &Planned, receipt: Option<&Receipt>) -> Option<()> {
        for (index, intent) in planned.intents.iter().enumerate() {
            let told = receipt.map(|receipt| receipt.outcomes[index]);
            match intent {
                Intent::CreateMailbox { account, name, .. } => {
                    let (id, uid_validity) = match told {
                        Some(Outcome::MailboxCreated { mailbox, uid_validity }) => {
                            (Some(mailbox), Some(uid_validity))
                        }
                        None => (None, None),
                        Some(other) => panic!("{other:?} came of a new mailbox"),
                    };
                    let held = Held { id, uid_validity, uid_next: 1, mod_seq: 1, messages: BTreeMap::new() };
                    if self.boxes.insert((account.0, name.clone()), held).is_some() {
                        return None;
                    }
                }
                Intent::DeleteMailbox { mailbox } => {
                    let key = self.boxes.iter().find(|(_, held)| held.id == Some(*mailbox))?.0.clone();
                    self.boxes.remove(&key);
                    assert!(matches!(told, None | Some(Outcome::MailboxDeleted)));
                }
                Intent::Deliver { mailbox, prefix, date } => {
                    let body = planned.body.clone()?;
                    let held = self.by_id_mut(*mailbox)?;
                    held.mod_seq += 1;
                    let mail = Mail { mod_seq: held.mod_seq, date: date.0, prefix: prefix.clone(), body };
                    if let Some(outcome) = told {
                        let Outcome::Delivered { uid, mod_seq } = outcome else {
                            panic!("{outcome:?} came of a delivery");
                        };
                        assert_eq!((uid.get(), mod_seq.get()), (held.uid_next, held.mod_seq));
                    }
                    held.messages.insert(held.uid_next, mail);
                    held.uid_next += 1;
                }
                Intent::Expunge { mailbox, uid } => {
                    let held = self.by_id_mut(*mailbox)?;
                    let was_there = held.messages.remove(&uid.get()).is_some();
                    held.mod_seq += u64::from(was_there);
                    assert!(told.is_none_or(|told| told == Outcome::Expunged { was_there }));
                }
                Intent::Put { table, key, value } => {
                    self.values.insert((*table, key.clone()), value.clone());
                }
                Intent::Remove { table, key } => {
                    self.values.remove(&(*table, key.clone()));
                    self.holds.remove(&(*table, key.clone()));
                }
                Intent::Hold { table, key } => {
                    self.holds.insert((*table, key.clone()), planned.body.clone()?);
                }
                _ => return None,
            }
        }
        Some(())
    }
}

/// How a store on the disk of a crash is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// It is opened, and compared.
    Open,
    /// The same without its snapshots.
    Rebuild,
    /// It is opened, and the power is cut again after every operation of that; then it is opened twice, and put to work.
    Deep,
    /// Only the process has ended; the power is cut when it has been opened again.
    Kill,
}

/// Opens a store that a crash at `world` has left as `disk`, and compares. Gives how many disks were opened.
pub(crate) fn check_image(world: &World, disk: &Disk, seed: u64, look: Look) -> u64 {
    let mut images = 1;
    let mut after = World::on(disk.clone(), State::default(), seed, world.limits);
    (after.highest_validity, after.clock) = (world.highest_validity, world.clock);
    if look == Look::Rebuild {
        after.store = Store::rebuilding(world.limits, seed);
    }
    after.plant(world.bug);
    let candidates = world.candidates();
    let mut again = Vec::new();
    after.drain(&mut |after, disk| {
        // Only until it is open: what it does beside its work is tried elsewhere.
        if look == Look::Deep && after.ready.is_none() {
            again.push(disk.crash(seed ^ again.len() as u64));
        }
    });
    assert_eq!(after.dead, None, "the store opens");
    after.check_report();
    after.adopt(candidates);
    after.check_files();
    for (index, disk) in again.iter().enumerate() {
        images += 1;
        let mut second = World::on(disk.clone(), State::default(), seed + 1 + index as u64, world.limits);
        second.highest_validity = world.highest_validity;
        second.plant(world.bug);
        second.drain(&mut |_, _| ());
        assert_eq!(second.dead, None, "the store opens");
        second.check_report();
        // The first opening has seen one of them, and so must each that follows.
        let state = after.state.clone();
        second.adopt(if index + 1 == again.len() { vec![state] } else { world.candidates() });
        second.check_files();
    }
    if look == Look::Kill {
        images += 1;
        after.crash(seed + 2);
        after.check_files();
    }
    if look == Look::Deep {
        images += 2;
        after.crash(seed + 2);
        let mailbox = match after.store.mailboxes(None).first() {
            Some(id) => *id,
            None => after.mailbox("INBOX"),
        };
        let intents = vec![after.deliver(mailbox)];
        let body = after.body(2_000);
        let durable = after.told.durable;
        after.commit(Some(body), intents);
        after.drain(&mut |_, _| ());
        assert_eq!(after.told.durable, durable + 1, "the store takes work at once");
        after.crash(seed + 3);
    }
    images
}

/// All octets of a stretch.
pub(crate) fn read(disk: &Disk, stretch: &Stretch) -> Result<Bytes, Rotten> {
    let pieces: Result<Vec<_>, _> = stretch.locate(0..u64::MAX).map(|piece| disk.read(&piece)).collect();
    Ok(pieces?.concat().into())
}

fn changes(operation: &Operation) -> bool {
    !matches!(operation, Operation::List | Operation::Read { .. })
}
