//! A store over the simulated disk, what it must hold, and the comparison of both. All of it follows from a seed.

#[path = "world/actions.rs"]
mod actions;
#[path = "world/model.rs"]
mod model;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::iter;
use std::time::Duration;

use bytes::Bytes;
use mailstore::commit::Outcome;
use mailstore::error::{Dead, Refusal, Unavailable};
use mailstore::mailbox::{AccountId, MailboxId, Uid};
use mailstore::message::{Flags, NamedFlags, Rotten, Stretch, UnixTime};
use mailstore::operation::{DiskError, Done, File, Operation};
use mailstore::sim::{Begun, Bug, Disk, Random};
use mailstore::store::{Counters, Ticket};
use mailstore::upload::Upload;
use mailstore::{Actor, Commit, Event, Failure, Intent, Limits, Report, Source, Store, View};

use self::model::{Held, Mail};
pub(crate) use self::model::{Planned, State, flags_text};

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
    pub(crate) doubtful: Vec<Doubtful>,
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

/// Commits that went into one segment. The next segment says that they do not count; whether it is there itself is not told before
/// something in it is durable.
#[derive(Debug)]
pub(crate) struct Doubtful {
    /// How many operations the disk had done when they were told of.
    told_at: u64,
    commits: Vec<Planned>,
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
        let mut all = self.store.mailboxes(Actor::Host, None);
        all.sort_by_key(|status| status.id);
        let before = self.highest_validity;
        for status in all {
            let held = self.state.boxes.get_mut(&(status.account.0, status.name)).expect("compared");
            if held.id.is_none() && !held.told {
                assert!(status.uid_validity.get() > before, "a life is used again");
            }
            (held.id, held.uid_validity, held.told) = (Some(status.id), Some(status.uid_validity), true);
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
        let pending: Vec<&Planned> = self.pending.iter().map(|(_, planned)| planned).collect();
        let doubtful = self.doubtful.iter().map(|doubtful| doubtful.commits.iter().collect());
        for commits in iter::once(pending).chain(doubtful) {
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
            let status = self.store.status(Actor::Host, id).expect("what was told to be there is shown");
            let shown = (status.messages, status.highest_mod_seq.get(), (status.unseen, status.deleted));
            let told = (held.messages.len() as u64, held.mod_seq, held.counts());
            assert_eq!(shown, told, "what was told is shown, and no more");
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
            self.learn_ids();
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
                    let structure = self.structure(&uploading.body);
                    let (actor, intents) = (Actor::Host, uploading.intents);
                    let planned = Planned { actor, body: Some(uploading.body), structure, intents };
                    self.commit_as(Source::Stored(body), planned);
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
                    let mails = self.state.boxes.values().flat_map(|held| held.messages.values());
                    history.extend(mails.map(|mail| Bytes::from(mail.flags())));
                    history.extend(planned.intents.iter().filter_map(|intent| match intent {
                        Intent::Put { value, .. } => Some(value.clone()),
                        Intent::Deliver { prefix, .. } => {
                            Some([&prefix[..], planned.body.as_deref()?].concat().into())
                        }
                        _ => None,
                    }));
                }
                for outcome in &receipt.outcomes {
                    if let Outcome::MailboxCreated { uid_validity, .. }
                    | Outcome::UidValidityRenewed { uid_validity } = outcome
                    {
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
                if let Failure::Refused(refusal) = failure {
                    self.check_refusal(at, refusal);
                }
                let (_, planned) = self.pending.remove(at).expect("found");
                match failure {
                    Failure::Refused(_) => self.told.refused += 1,
                    Failure::NoSpace => self.told.no_space += 1,
                    Failure::Disk => self.told.disk += 1,
                    Failure::Unknown => {
                        self.told.unknown += 1;
                        self.doubt(planned);
                    }
                }
            }
            Event::Closed => self.closed = true,
            Event::Dead(dead) => self.dead = Some(dead),
            _ => {}
        }
    }

    fn doubt(&mut self, planned: Planned) {
        let told_at = self.disk.operations();
        match self.doubtful.last_mut().filter(|last| last.told_at == told_at) {
            Some(last) => last.commits.push(planned),
            None => self.doubtful.push(Doubtful { told_at, commits: vec![planned] }),
        }
    }

    /// Nothing is refused that can be.
    fn check_refusal(&self, at: usize, refusal: Refusal) {
        if matches!(refusal, Refusal::Closed | Refusal::Busy | Refusal::TooLarge) {
            return;
        }
        let mut state = self.state.clone();
        for (_, before) in self.pending.iter().take(at) {
            let mut after = state.clone();
            if after.apply(before, None).is_some() {
                state = after;
            }
        }
        let (_, planned) = &self.pending[at];
        assert_eq!(state.apply(planned, None), None, "{refusal} was no reason for {planned:?}");
    }

    /// Those of mailboxes that were made because others are below them are not told. To be asked for once all has been told: what is
    /// told one by one may have become durable together, and then another one may have the name already.
    fn learn_ids(&mut self) {
        for ((account, name), held) in &mut self.state.boxes {
            if (held.id.is_none() || held.uid_validity.is_none())
                && let Some(id) = self.store.find(Actor::Host, AccountId(*account), name)
                && held.id.is_none_or(|known| known == id)
            {
                held.id = Some(id);
                held.uid_validity = self.store.status(Actor::Host, id).map(|status| status.uid_validity);
            }
        }
    }

    /// Commits a body, if there is one, inline.
    pub(crate) fn commit(&mut self, body: Option<Bytes>, intents: Vec<Intent>) {
        self.commit_by(Actor::Host, body, intents);
    }

    pub(crate) fn commit_by(&mut self, actor: Actor, body: Option<Bytes>, intents: Vec<Intent>) {
        let source = body.clone().map_or(Source::None, Source::Inline);
        let structure = body.as_ref().and_then(|body| self.structure(body));
        self.commit_as(source, Planned { actor, body, structure, intents });
    }

    /// Every other body has one.
    fn structure(&self, body: &Bytes) -> Option<Bytes> {
        let sum: usize = body.iter().map(|octet| usize::from(*octet)).sum();
        sum.is_multiple_of(2).then(|| Bytes::from(format!("{} octets that sum up to {sum}", body.len())))
    }

    fn commit_as(&mut self, source: Source, planned: Planned) {
        let Planned { actor, structure, intents, .. } = planned.clone();
        let ticket = self.store.commit(Commit { actor, body: source, structure, intents });
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
        self.store.find(Actor::Host, AccountId(1), name).expect("it was made")
    }

    /// A delivery of something unlike all others.
    pub(crate) fn deliver(&mut self, mailbox: MailboxId) -> Intent {
        self.clock += 1;
        let prefix = Bytes::from(format!("Delivered-To: {}-{}\r\n", mailbox.get(), self.clock));
        Intent::Deliver { mailbox, prefix, date: UnixTime(self.clock), flags: NamedFlags::NONE }
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
        let ticket = self.store.load(Actor::Host, mailbox);
        self.show(mailbox, ticket)
    }

    /// Shows the newest messages of a mailbox at once, or more.
    pub(crate) fn load_newest(&mut self, mailbox: MailboxId, count: usize) -> Option<View> {
        let ticket = self.store.load_newest(Actor::Host, mailbox, count);
        self.show(mailbox, ticket)
    }

    fn show(&mut self, mailbox: MailboxId, mut mine: Ticket) -> Option<View> {
        let mut failed = 0;
        loop {
            while let Some(event) = self.store.poll(Duration::ZERO) {
                match event {
                    // The disk fails for a while.
                    Event::Loaded(ticket, Err(Unavailable::Disk)) if ticket == mine => {
                        failed += 1;
                        assert!(failed < 50, "a mailbox can be read");
                        mine = self.store.load(Actor::Host, mailbox);
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
        let all = self.store.mailboxes(Actor::Host, None);
        if all.len() != state.boxes.len() {
            return Err(format!("{} mailboxes, not {}", all.len(), state.boxes.len()));
        }
        for status in all {
            let (id, of) = (status.id, format!("{}/{}", status.account.0, status.name));
            let held = state
                .boxes
                .get(&(status.account.0, status.name.clone()))
                .ok_or_else(|| format!("{of} is there"))?;
            let numbers = (
                status.uid_next.map_or(0, Uid::get),
                status.highest_mod_seq.get(),
                (status.messages, status.octets, status.unseen, status.deleted),
                held.id.unwrap_or(id),
                held.uid_validity.unwrap_or(status.uid_validity),
                self.store.find(Actor::Host, status.account, &status.name),
                (status.special_use, status.keywords.to_vec()),
            );
            if status.uid_validity.get() < held.floor {
                return Err(format!("{of} has UIDVALIDITY {}, not from {} on", numbers.4.get(), held.floor));
            }
            let (unseen, deleted) = held.counts();
            let expected = (
                held.uid_next,
                held.mod_seq,
                (held.messages.len() as u64, held.octets(), unseen, deleted),
                id,
                status.uid_validity,
                Some(id),
                (held.special_use, held.keywords.clone()),
            );
            if numbers != expected {
                return Err(format!("{of} has {numbers:?}, not {expected:?}"));
            }
            // The newest first: they are read by themselves only as long as the rest has not been.
            for newest in [Some(NEWEST), None] {
                let view = match newest {
                    Some(count) => self.load_newest(id, count),
                    None => self.load(id),
                };
                let view = view.ok_or("no view")?;
                let result = self.compare_view(&view, held, newest).map_err(|why| format!("{of}: {why}"));
                self.store.release(view);
                result?;
            }
        }
        for account in 1..=3 {
            self.compare_account(state, account)?;
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

    /// What an account may have, has, and has subscribed to.
    fn compare_account(&self, state: &State, account: u64) -> Result<(), String> {
        let of = (Actor::Host, AccountId(account));
        let quota = self.store.quota(of.0, of.1).ok_or("no quota")?;
        let (limit_octets, limit_messages) = state.quotas.get(&account).copied().unwrap_or_default();
        let (octets, messages) = state.usage(account);
        let numbers = (quota.used_octets, quota.used_messages, quota.limit_octets, quota.limit_messages);
        if numbers != (octets, messages, limit_octets, limit_messages) {
            return Err(format!(
                "account {account} has {quota:?}, not {octets} octets and {messages} messages"
            ));
        }
        let names: Vec<_> = state.subscriptions.iter().filter(|of| of.0 == account).map(|of| &of.1).collect();
        let found = self.store.subscriptions(of.0, of.1);
        if found.iter().ne(names.iter().copied()) {
            return Err(format!("account {account} has subscribed to {found:?}, not {names:?}"));
        }
        Ok(())
    }

    fn compare_view(&self, view: &View, held: &Held, newest: Option<usize>) -> Result<(), String> {
        let (messages, expected) = (&view.messages, held.messages.keys().copied());
        let missing = messages.missing();
        let all = held.messages.len();
        if messages.len() != all || missing != 0 && newest.is_none_or(|count| missing + count != all) {
            return Err(format!("{} messages of {all}, without {missing}", messages.len()));
        }
        let uids: Vec<u32> = messages.iter().map(|message| message.uid().get()).collect();
        let expected: Vec<u32> = expected.skip(missing).collect();
        if uids != expected {
            return Err(format!("holds {uids:?}, not {expected:?}"));
        }
        for (place, uid) in (0..).zip(held.messages.keys()) {
            let uid = Uid::new(*uid).ok_or("0")?;
            let here = (place >= missing).then_some(place);
            let found = messages.get(place).map(|message| message.uid());
            if (found, messages.index_of(uid)) != (here.map(|_| uid), here)
                || messages.find(uid).is_some() != here.is_some()
                || messages.range(Uid::FIRST..=uid).end != here.map_or(missing, |place| place + 1)
                || messages.slice(place..place + 1).map(|message| message.uid()).ne(here.map(|_| uid))
            {
                return Err(format!("message {uid} is not in its place"));
            }
        }
        let mails: Vec<_> = held.messages.values().skip(missing).cloned().collect();
        self.compare_messages(view, &mails)
    }

    fn compare_messages(&self, view: &View, mails: &[Mail]) -> Result<(), String> {
        for (message, mail) in view.messages.iter().zip(mails) {
            if (message.mod_seq().get(), message.date().0) != (mail.mod_seq, mail.date) {
                return Err(format!("message {} has other numbers", message.uid()));
            }
            if shown_flags(view, message.flags()) != mail.flags() {
                return Err(format!("message {} has the wrong flags", message.uid()));
            }
            let structure = message.structure().map(|stretch| read(&self.disk, &stretch));
            if structure != mail.structure.clone().map(Ok) {
                return Err(format!("message {} has another structure", message.uid()));
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
        for status in self.store.mailboxes(Actor::Host, None) {
            let view = self.load(status.id).expect("listed");
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
        let mailbox = match after.store.mailboxes(Actor::Host, None).first() {
            Some(status) => status.id,
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

/// Opens a store on a copy of one; it has to be whole, and to hold this state.
pub(crate) fn check_copy(world: &World, disk: Disk, state: State, seed: u64) {
    let mut copy = World::on(disk, State::default(), seed, world.limits);
    copy.drain(&mut |_, _| ());
    assert_eq!(copy.dead, None, "the copy opens");
    copy.check_report();
    copy.adopt(vec![state]);
    copy.check_files();
    let mut verification = copy.store.verify().expect("the store is open");
    while let Some(operation) = verification.poll() {
        let result = copy.disk.execute(&operation);
        verification.handle_done(operation, result);
    }
    assert_eq!(copy.store.verified(verification), [], "the copy is sound");
    // It takes work, and that lasts.
    let mailbox = match copy.store.mailboxes(Actor::Host, None).first() {
        Some(status) => status.id,
        None => copy.mailbox("INBOX"),
    };
    let (intents, body) = (vec![copy.deliver(mailbox)], copy.body(2_000));
    copy.commit(Some(body), intents);
    copy.drain(&mut |_, _| ());
    copy.crash(seed + 1);
}

/// All octets of a stretch.
pub(crate) fn read(disk: &Disk, stretch: &Stretch) -> Result<Bytes, Rotten> {
    let pieces: Result<Vec<_>, _> = stretch.locate(0..u64::MAX).map(|piece| disk.read(&piece)).collect();
    Ok(pieces?.concat().into())
}

/// The flags of a message by their names, as one text.
pub(crate) fn shown_flags(view: &View, flags: Flags) -> String {
    let name = |place: usize| view.status.keywords.get(place).map_or("?", String::as_str);
    flags_text(flags, flags.keywords().map(name))
}

fn changes(operation: &Operation) -> bool {
    !matches!(operation, Operation::List | Operation::Read { .. })
}

/// Messages that are looked at without the older ones.
const NEWEST: usize = 2;
