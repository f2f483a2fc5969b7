//! The servers: their turns, their health, and what is known of their ways.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::config::Server;
use crate::query::{Query, Transport};
use crate::random::Random;

#[derive(Debug)]
pub(crate) struct Servers(Vec<State>);

#[derive(Debug)]
struct State {
    server: Server,
    /// How often in a row it has not answered.
    silent: u32,
    /// Until then it is asked last.
    last_until: Duration,
    /// Until then it is asked without EDNS.
    plain_until: Duration,
    /// Until then it is asked by TCP, since it does not repeat letters as they are.
    tcp_until: Duration,
}

impl Servers {
    pub(crate) fn new(servers: &[Server]) -> Self {
        Self(servers.iter().map(|server| State::new(*server)).collect())
    }

    /// All of them in random order, those that have not answered lately behind the others.
    pub(crate) fn order(&self, now: Duration, random: &mut Random) -> VecDeque<usize> {
        let mut order: Vec<_> = (0..self.0.len()).collect();
        random.shuffle(&mut order);
        order.sort_by_key(|at| self.0[*at].last_until.max(now));
        order.into()
    }

    pub(crate) fn address(&self, at: usize) -> SocketAddr {
        self.0[at].server.address
    }

    pub(crate) fn is_trusted(&self, at: usize) -> bool {
        self.0[at].server.trusted
    }

    pub(crate) fn is_plain(&self, at: usize, now: Duration) -> bool {
        now < self.0[at].plain_until
    }

    pub(crate) fn wants_tcp(&self, at: usize, now: Duration) -> bool {
        now < self.0[at].tcp_until
    }

    /// It has not answered.
    pub(crate) fn blame(&mut self, at: usize, now: Duration) {
        let state = &mut self.0[at];
        // RFC 2308 §7.2: no longer than five minutes. It is only asked last, and never not at all.
        state.last_until = now + (FIRST * (1 << state.silent.min(6))).min(MOST);
        state.silent += 1;
    }

    /// It has answered, whatever it said.
    pub(crate) fn praise(&mut self, at: usize) {
        let state = &mut self.0[at];
        (state.silent, state.last_until) = (0, Duration::ZERO);
    }

    /// A good answer shows which ways the server needs.
    pub(crate) fn learn(&mut self, query: &Query, case_lost: bool, now: Duration) {
        let state = &mut self.0[query.server];
        if !query.edns && now >= state.plain_until {
            state.plain_until = now + WAYS;
        }
        if case_lost && query.transport == Transport::Tcp {
            state.tcp_until = now + WAYS;
        }
    }

    pub(crate) fn forgive(&mut self) {
        for state in &mut self.0 {
            *state = State::new(state.server);
        }
    }
}

impl State {
    const fn new(server: Server) -> Self {
        let zero = Duration::ZERO;
        Self { server, silent: 0, last_until: zero, plain_until: zero, tcp_until: zero }
    }
}

const FIRST: Duration = Duration::from_secs(5);
const MOST: Duration = Duration::from_secs(300);
/// A server may be replaced by a better one.
const WAYS: Duration = Duration::from_secs(600);
