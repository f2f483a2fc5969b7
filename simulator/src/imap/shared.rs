//! What all clients share: the model, the counts, and when they rest.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::model::{Entry, Model};
use super::{Options, STUCK};
use crate::network::lock;
use crate::world::World;

/// What all clients share.
pub(super) struct Shared {
    pub(super) world: Arc<World>,
    pub(super) options: Options,
    pub(super) model: Mutex<Model>,
    pub(super) counts: Mutex<Counts>,
    given: AtomicU64,
    /// A multiple of three while they work; else they come together, a first and a second time.
    phase: AtomicU64,
    /// The phase is another.
    turn: Notify,
    arrived: Mutex<BTreeMap<usize, Option<Parked>>>,
    arrival: Notify,
}

/// A view at rest.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    pub(super) who: String,
    pub(super) account: usize,
    pub(super) mailbox: usize,
    pub(super) view: Vec<Entry>,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Commands by their names.
    pub commands: BTreeMap<String, u64>,
    /// Answers: OK, NO, BAD.
    pub answers: BTreeMap<String, u64>,
    /// Connections that ended in the midst of something.
    pub broken: u64,
    /// Messages sent over SMTP that were accepted.
    pub delivered: u64,
    /// Messages deleted over POP3.
    pub popped: u64,
    /// Times that everything was read and compared.
    pub rests: u64,
    /// Looks at flags that were judged.
    pub looks: u64,
    /// Messages read whole and compared.
    pub bodies: u64,
}

impl Counts {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in [(&mut self.commands, &other.commands), (&mut self.answers, &other.answers)] {
            for (name, count) in other {
                *own.entry(name.clone()).or_default() += count;
            }
        }
        self.broken += other.broken;
        self.delivered += other.delivered;
        self.popped += other.popped;
        self.rests += other.rests;
        self.looks += other.looks;
        self.bodies += other.bodies;
    }
}

impl Shared {
    pub(super) fn new(world: Arc<World>, options: Options) -> Self {
        Self {
            world,
            options,
            model: Mutex::default(),
            counts: Mutex::default(),
            given: AtomicU64::new(0),
            phase: AtomicU64::new(0),
            turn: Notify::new(),
            arrived: Mutex::default(),
            arrival: Notify::new(),
        }
    }

    pub(super) fn accounts(&self) -> usize {
        self.world.plan.users.len()
    }

    /// A command is given.
    pub(super) fn given(&self, name: &str) {
        self.given.fetch_add(1, Ordering::Relaxed);
        *lock(&self.counts).commands.entry(name.to_owned()).or_default() += 1;
    }

    pub(super) fn answered(&self, word: &str) {
        *lock(&self.counts).answers.entry(word.to_owned()).or_default() += 1;
    }

    pub(super) fn commands(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// All commands are given, or it is no use to go on.
    pub(super) fn is_over(&self) -> bool {
        self.commands() >= self.options.commands || !lock(&self.model).violations().is_empty()
    }

    pub(super) fn wants_rest(&self) -> bool {
        !self.phase.load(Ordering::Relaxed).is_multiple_of(3)
    }

    /// Rests with all others, if they rest.
    pub(super) async fn attend(&self, number: usize, parked: Option<Parked>) {
        while self.wants_rest() {
            self.attend_once(number, parked.clone()).await;
        }
    }

    /// Says that it rests, and waits for the next phase.
    pub(super) async fn attend_once(&self, number: usize, parked: Option<Parked>) {
        let turn = self.turn.notified();
        lock(&self.arrived).insert(number, parked);
        self.arrival.notify_one();
        turn.await;
    }

    /// The next phase begins; waits until so many have come.
    pub(super) async fn gather(&self, count: usize) -> Vec<Parked> {
        lock(&self.arrived).clear();
        self.phase.fetch_add(1, Ordering::Relaxed);
        // In the order in which they came: nothing of a run may be left to chance.
        self.turn.notify_waiters();
        while lock(&self.arrived).len() < count {
            if timeout(STUCK, self.arrival.notified()).await.is_err() {
                let missing: Vec<usize> =
                    (0..count).filter(|number| !lock(&self.arrived).contains_key(number)).collect();
                lock(&self.model).violated(format!("{missing:?} have not come to rest in {STUCK:?}"));
                break;
            }
        }
        lock(&self.arrived).values().flatten().cloned().collect()
    }

    /// They work again.
    pub(super) fn release(&self) {
        lock(&self.arrived).clear();
        self.phase.fetch_add(1, Ordering::Relaxed);
        // In the order in which they came: nothing of a run may be left to chance.
        self.turn.notify_waiters();
    }
}
