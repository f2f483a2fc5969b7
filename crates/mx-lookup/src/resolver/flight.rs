//! One question on its way: who is asked, how, and who waits.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::{LookupId, question_text};
use crate::error::Failure;
use crate::query::{Key, Transport};

#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) key: Key,
    pub(crate) text: Arc<str>,
    pub(crate) waiters: BTreeSet<LookupId>,
    /// The query that is with the driver.
    pub(crate) current: Option<Try>,
    /// The query that is with the driver, or that is sent next.
    pub(crate) next: Next,
    /// How many tries are over.
    pub(crate) made: u32,
    tries: u32,
    /// The servers after the present one.
    servers: VecDeque<usize>,
    /// What a server has said weighs more than that another one has said nothing.
    why: Option<Failure>,
}

/// A query that is with the driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    pub(crate) serial: u64,
    pub(crate) deadline: Duration,
}

/// How a query is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    pub(crate) server: Option<usize>,
    pub(crate) transport: Transport,
    pub(crate) edns: bool,
    /// It goes by TCP since the server does not repeat letters as they are.
    pub(crate) case_lost: bool,
}

impl Flight {
    pub(crate) fn new(key: Key, waiter: LookupId, mut servers: VecDeque<usize>, tries: u32) -> Self {
        // RFC 9520 §3.1: no server more than three times.
        let tries = tries.min(3 * servers.len() as u32);
        Self {
            text: question_text(&key),
            key,
            waiters: BTreeSet::from([waiter]),
            current: None,
            next: Next::first(servers.pop_front()),
            made: 0,
            tries,
            servers,
            why: None,
        }
    }

    /// The turn of the next server. The present one may have another one later.
    pub(crate) fn turn(&mut self, failure: Failure, may_return: bool) {
        self.made += 1;
        let silent = |failure: &Failure| matches!(failure, Failure::Timeout | Failure::Unreachable);
        if self.why.is_none() || !silent(&failure) || self.why.as_ref().is_some_and(silent) {
            self.why = Some(failure);
        }
        if may_return {
            self.servers.extend(self.next.server);
        }
        self.next = Next::first(self.servers.pop_front());
    }

    /// Why it has failed, if there is nobody left to ask.
    pub(crate) fn over(&self) -> Option<Failure> {
        (self.made >= self.tries || self.next.server.is_none()).then_some(self.why).flatten()
    }
}

impl Next {
    const fn first(server: Option<usize>) -> Self {
        Self { server, transport: Transport::Udp, edns: true, case_lost: false }
    }
}
