//! What slows down the guessing of passwords, as pure logic.
//!
//! After a failed login the next one from the same address, and the next one for the same name, is looked at 2 s later
//! at the earliest; the time doubles with each further failure, up to 15 s. Logins that come meanwhile take their turn
//! one after the other; who would have to wait longer than 15 s is turned away. Logins under way count as failures
//! beyond the first few, so that guessing on many connections at once gains nothing; so whoever comes while there are as many
//! had better wait for one of them to end, up to a moment: when a whole office starts its mail programs, all get in. That is for
//! addresses from which none has failed: of the others no more than two are kept waiting, or they would take all connections that
//! there are.
//!
//! Nobody is locked out by the failures of others: an address from which a name has logged in before passes at once,
//! until a login for that name fails from there. The first login from an address from which none has failed of late does not wait
//! behind those that guess: a name has 256 such looks in hand, and gets one more in 2 s. So a guess from each of many addresses is
//! slow as well, in the long run. Whoever is turned away does not count as such an address any more.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use crate::listener::network;

/// Remembers failed logins, within a fixed amount of memory (about 10 MiB).
#[derive(Debug)]
pub struct Throttle {
    addresses: Recent<IpAddr, Record>,
    names: Recent<u64, Record>,
    /// From where a name has logged in, and how many such logins are under way.
    known: Recent<(IpAddr, u64), u32>,
    /// Names are kept as keyed hashes: of equal length, and not to be read from a memory dump.
    hasher: RandomState,
}

/// Whether a login may be looked at.
#[derive(Debug)]
pub enum Admission {
    /// After this time. The ticket goes back to [`Throttle::finish`].
    After(Duration, Ticket),
    /// No: it would have to wait too long.
    TooMany,
}

/// A login under way. It has to go back to [`Throttle::finish`]; one that does not counts as under way for ten minutes.
#[derive(Debug)]
#[must_use = "a ticket goes back to `finish`"]
pub struct Ticket {
    address: IpAddr,
    name: u64,
    repute: Repute,
}

/// How much is known of who wants to log in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repute {
    /// The name has logged in from this address before.
    Known,
    /// No login has failed from this address of late, and none is under way that might.
    Fresh,
    /// Some have, or may.
    Suspect,
}

impl Ticket {
    /// Whose it is.
    pub const fn repute(&self) -> Repute {
        self.repute
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    failures: u32,
    under_way: u32,
    /// Before this time nothing is looked at.
    next: Duration,
    /// Of a name: when all looks at logins from addresses without failures will be in hand again.
    whole: Duration,
    /// When something last happened.
    last: Duration,
}

impl Throttle {
    /// Remembers so many addresses and names; of more, those that are longest quiet are forgotten.
    pub fn new(capacity: usize) -> Self {
        Self {
            addresses: Recent::new(capacity),
            names: Recent::new(capacity),
            known: Recent::new(capacity),
            hasher: RandomState::new(),
        }
    }

    /// Whether so many logins are under way from this address, or from here for a name with as many, that one more would count as a
    /// guess. They end soon, and then it need not.
    pub fn is_crowded(&self, peer: IpAddr, name: &str) -> bool {
        let address = network(peer);
        let name = self.hasher.hash_one(name.to_lowercase());
        let crowded = |record: Option<&Record>| record.is_some_and(|record| record.under_way >= FREE_AT_ONCE);
        let known = self.known.peek(&(address, name)).is_some_and(|under_way| *under_way < KNOWN_AT_ONCE);
        let from_address = self.addresses.peek(&address);
        let unproven = from_address.is_some_and(|record| record.failures == 0 && record.under_way > 0);
        !known && unproven && (crowded(from_address) || crowded(self.names.peek(&name)))
    }

    /// Somebody wants to log in. The name is taken without case, whether it exists or not.
    pub fn admit(&mut self, now: Duration, peer: IpAddr, name: &str) -> Admission {
        let address = network(peer);
        let name = self.hasher.hash_one(name.to_lowercase());
        if let Some(under_way) = self.known.get(&(address, name))
            && *under_way < KNOWN_AT_ONCE
        {
            *under_way += 1;
            return Admission::After(Duration::ZERO, Ticket { address, name, repute: Repute::Known });
        }
        let from_address = self.addresses.get_or_default(address);
        from_address.forget(now);
        let for_name = self.names.get_or_default(name);
        for_name.forget(now);
        if from_address.failures > 0 && from_address.under_way >= PENDING {
            return Admission::TooMany;
        }
        let repute = from_address.repute();
        let turn = now.max(from_address.next).max(for_name.next_for(repute));
        if turn - now > LONGEST {
            from_address.failures = from_address.failures.max(1);
            return Admission::TooMany;
        }
        from_address.take_turn(turn, Repute::Suspect);
        for_name.take_turn(turn, repute);
        Admission::After(turn - now, Ticket { address, name, repute })
    }

    /// A login has ended.
    pub fn finish(&mut self, now: Duration, ticket: Ticket, success: bool) {
        let Ticket { address, name, repute } = ticket;
        let known = repute == Repute::Known;
        let from_address = self.addresses.get_or_default(address);
        let for_name = self.names.get_or_default(name);
        if !known {
            from_address.under_way = from_address.under_way.saturating_sub(1);
            for_name.under_way = for_name.under_way.saturating_sub(1);
        }
        if success {
            // The looks in hand stay as they are: otherwise those who guess would have new ones whenever the owner logs in.
            *for_name = Record { under_way: for_name.under_way, whole: for_name.whole, ..Record::default() };
            // Not all of it: somebody with an account here may guess those of others in between.
            from_address.failures /= 2;
            let under_way = self.known.get_or_default((address, name));
            *under_way = under_way.saturating_sub(u32::from(known));
        } else {
            from_address.fail(now);
            for_name.fail(now);
            self.known.remove(&(address, name));
        }
    }

    /// How many addresses and names are remembered.
    pub fn tracked(&self) -> usize {
        self.addresses.entries.len() + self.names.entries.len()
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(32_768)
    }
}

impl Record {
    fn forget(&mut self, now: Duration) {
        if now.saturating_sub(self.last) > FORGET {
            *self = Self::default();
        }
        self.last = now;
    }

    /// That of an address.
    const fn repute(&self) -> Repute {
        if self.failures == 0 && self.under_way == 0 { Repute::Fresh } else { Repute::Suspect }
    }

    fn next_for(&self, repute: Repute) -> Duration {
        match repute {
            Repute::Fresh => (self.whole + FIRST).saturating_sub(IN_HAND),
            Repute::Known | Repute::Suspect => self.next,
        }
    }

    fn take_turn(&mut self, turn: Duration, repute: Repute) {
        let presumed = delay(self.failures + self.under_way.saturating_sub(FREE_AT_ONCE - 1));
        self.under_way += 1;
        match repute {
            Repute::Fresh => self.whole = self.whole.max(turn) + FIRST,
            Repute::Known | Repute::Suspect => self.next = self.next.max(turn + presumed),
        }
    }

    fn fail(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.last = now;
        self.next = self.next.max(now + delay(self.failures));
    }
}

/// 2 s, 4 s, 8 s, 15 s.
fn delay(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        1..=3 => FIRST * (1 << (failures - 1)),
        _ => LONGEST,
    }
}

/// A map that forgets what was not used for longest.
#[derive(Debug)]
struct Recent<K, V> {
    entries: HashMap<K, (V, u64)>,
    capacity: usize,
    uses: u64,
}

impl<K: Copy + Eq + Hash, V: Default> Recent<K, V> {
    fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity: capacity.max(2), uses: 0 }
    }

    fn peek(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    fn get(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let (value, used) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(value)
    }

    fn get_or_default(&mut self, key: K) -> &mut V {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.make_room();
        }
        self.uses += 1;
        let (value, used) = self.entries.entry(key).or_default();
        *used = self.uses;
        value
    }

    fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Drops the half that was not used for longest: a pass over all entries, once for many insertions.
    fn make_room(&mut self) {
        let mut uses: Vec<u64> = self.entries.values().map(|(_, used)| *used).collect();
        let middle = uses.len() / 2;
        let (_, middle, _) = uses.select_nth_unstable(middle);
        let middle = *middle;
        self.entries.retain(|_, (_, used)| *used >= middle);
    }
}

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(15);
/// The time in which a name gets all 256 looks again that it has in hand for addresses without failures: less than [`FORGET`], or
/// who waits that long would gain by it.
const IN_HAND: Duration = Duration::from_secs(256 * FIRST.as_secs());
/// After so long without a login nothing is held against anybody.
const FORGET: Duration = Duration::from_secs(600);
/// Logins at once before they count as failures: a mail program opens several connections.
const FREE_AT_ONCE: u32 = 5;
/// The same for a name at an address where it is known.
const KNOWN_AT_ONCE: u32 = 10;
/// Logins at once from an address from which some have failed.
const PENDING: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn peer(number: u32) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::from_bits(0xc000_0200 + number))
    }

    #[track_caller]
    fn admitted(admission: Admission) -> (Duration, Ticket) {
        match admission {
            Admission::After(wait, ticket) => (wait, ticket),
            Admission::TooMany => panic!("turned away"),
        }
    }

    /// Waits its turn and fails; gives how long it waited.
    fn fail(throttle: &mut Throttle, now: &mut Duration, peer: IpAddr, name: &str) -> u64 {
        let (wait, ticket) = admitted(throttle.admit(*now, peer, name));
        *now += wait;
        throttle.finish(*now, ticket, false);
        wait.as_secs()
    }

    fn succeed(throttle: &mut Throttle, now: Duration, peer: IpAddr, name: &str) -> Duration {
        let (wait, ticket) = admitted(throttle.admit(now, peer, name));
        throttle.finish(now + wait, ticket, true);
        wait
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_fifteen_seconds() {
        let (mut throttle, mut now) = (Throttle::default(), at(0));
        let waits: Vec<u64> = (0..7).map(|_| fail(&mut throttle, &mut now, peer(1), "anna")).collect();
        assert_eq!(waits, [0, 2, 4, 8, 15, 15, 15]);
    }

    #[test]
    fn the_wait_is_for_the_name_from_anywhere_and_for_the_address_under_any_name() {
        let (mut throttle, mut now) = (Throttle::default(), at(0));
        for number in 0..3 {
            fail(&mut throttle, &mut now, peer(number), "anna");
        }
        // From an address without failures it is not.
        assert_eq!(fail(&mut throttle, &mut now, peer(9), "ANNA"), 0);
        assert_eq!(fail(&mut throttle, &mut now, peer(0), "anna"), 15);

        let (mut throttle, mut now) = (Throttle::default(), at(0));
        for name in ["anna", "ben", "cleo"] {
            fail(&mut throttle, &mut now, peer(1), name);
        }
        assert_eq!(fail(&mut throttle, &mut now, peer(1), "dora"), 8);
        assert_eq!(fail(&mut throttle, &mut now, peer(2), "emil"), 0, "others do not wait");
    }

    #[test]
    fn many_guesses_at_once_gain_nothing() {
        let mut throttle = Throttle::default();
        let mut waits = Vec::new();
        let mut turned_away = 0;
        for number in 0..1_000 {
            match throttle.admit(at(0), peer(number), "anna") {
                Admission::After(wait, _ticket) => waits.push(wait.as_secs()),
                Admission::TooMany => turned_away += 1,
            }
        }
        // One from each address as long as there are looks in hand, then one in two seconds.
        let (at_once, later) = waits.split_at(256);
        assert!(at_once.iter().all(|wait| *wait == 0));
        assert_eq!(later, [2, 4, 6, 8, 10, 12, 14]);
        assert_eq!(turned_away, 737);
    }

    #[test]
    fn many_guesses_at_once_from_one_address_gain_nothing() {
        let mut throttle = Throttle::default();
        let mut admit = || match throttle.admit(at(0), peer(1), "anna") {
            Admission::After(wait, _ticket) => Some(wait.as_secs()),
            Admission::TooMany => None,
        };
        let waits: Vec<_> = (0..1_000).filter_map(|_| admit()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 2, 6, 14]);
    }

    #[test]
    fn an_address_from_which_logins_have_failed_has_two_waiting_at_most() {
        let (mut throttle, mut now) = (Throttle::default(), at(0));
        fail(&mut throttle, &mut now, peer(1), "anna");
        assert!(!throttle.is_crowded(peer(1), "anna"));
        let (wait, first) = admitted(throttle.admit(now, peer(1), "anna"));
        let (_, second) = admitted(throttle.admit(now, peer(1), "ben"));
        assert!(matches!(throttle.admit(now, peer(1), "cleo"), Admission::TooMany));
        throttle.finish(now + wait, first, false);
        let (_, third) = admitted(throttle.admit(now + wait, peer(1), "cleo"));
        drop((second, third));
    }

    #[test]
    fn many_logins_at_once_from_one_address_take_one_look() {
        let mut throttle = Throttle::default();
        for _ in 0..5 {
            assert!(matches!(throttle.admit(at(0), peer(0), "anna"), Admission::After(Duration::ZERO, _)));
        }
        for number in 1..256 {
            assert!(matches!(
                throttle.admit(at(0), peer(number), "anna"),
                Admission::After(Duration::ZERO, _)
            ));
        }
        assert_eq!(admitted(throttle.admit(at(0), peer(256), "anna")).0, at(2));
    }

    #[test]
    fn the_owners_logins_give_guessers_nothing_new_in_hand() {
        let mut throttle = Throttle::default();
        for number in 0..256 {
            let (wait, ticket) = admitted(throttle.admit(at(0), peer(number), "anna"));
            assert_eq!(wait, Duration::ZERO);
            throttle.finish(at(0), ticket, false);
        }
        assert_eq!(succeed(&mut throttle, at(2), peer(1_000), "anna"), Duration::ZERO);
        assert_eq!(succeed(&mut throttle, at(2), peer(1_001), "anna"), at(2));
        assert_eq!(succeed(&mut throttle, at(520), peer(1_002), "anna"), Duration::ZERO);
    }

    /// Guesses at the rate of 100 a second, from as many addresses, for as many seconds. How many were looked at, and the
    /// longest wait of somebody who comes from a new address at each tenth second, and in each of the first.
    fn attack(addresses: u32, seconds: u64) -> (u32, Duration) {
        let (mut throttle, mut looked_at, mut waited) = (Throttle::default(), 0, Duration::ZERO);
        let mut under_way: Vec<(Duration, Ticket)> = Vec::new();
        for guess in 0..seconds * 100 {
            let now = Duration::from_millis(guess * 10);
            let (due, rest): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|(when, _)| *when <= now);
            under_way = rest;
            for (when, ticket) in due {
                looked_at += 1;
                throttle.finish(when, ticket, false);
            }
            let from = peer(guess as u32 % addresses);
            if let Admission::After(wait, ticket) = throttle.admit(now, from, "anna") {
                under_way.push((now + wait, ticket));
            }
            if guess % 1_000 == 999 || guess < 1_000 && guess % 100 == 99 {
                // Only how long it would take: nothing is made easier by it.
                let (wait, ticket) = admitted(throttle.admit(now, peer(1_000_000 + guess as u32), "anna"));
                waited = waited.max(wait);
                under_way.push((now + wait, ticket));
            }
        }
        (looked_at, waited)
    }

    #[test]
    fn two_hundred_addresses_that_guess_do_not_keep_the_owner_out_who_comes_from_a_new_one() {
        let (looked_at, waited) = attack(200, 1_000);
        assert!(looked_at <= 1_000, "{looked_at} guesses were looked at");
        assert_eq!(waited, Duration::ZERO);
    }

    #[test]
    fn a_new_address_for_each_guess_gains_less_than_one_a_second() {
        let mut throttle = Throttle::default();
        let (mut looked_at, mut under_way) = (0, Vec::<(Duration, Ticket)>::new());
        for guess in 0..100_000u32 {
            let now = Duration::from_millis(u64::from(guess) * 10);
            let (due, rest): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|(when, _)| *when <= now);
            under_way = rest;
            for (when, ticket) in due {
                looked_at += 1;
                throttle.finish(when, ticket, false);
            }
            if let Admission::After(wait, ticket) = throttle.admit(now, peer(guess), "anna") {
                under_way.push((now + wait, ticket));
            }
        }
        assert!(looked_at <= 1_000, "{looked_at} in 1,000 s");
    }

    #[test]
    fn hundred_thousand_guesses_are_less_than_one_per_second_and_the_owner_does_not_wait() {
        let mut throttle = Throttle::default();
        let owner = peer(10_000);
        succeed(&mut throttle, at(0), owner, "anna");
        let (mut looked_at, mut owner_waited) = (0u32, Duration::ZERO);
        // Tickets with the time at which their login is looked at, and fails.
        let mut under_way: Vec<(Duration, Ticket)> = Vec::new();
        for guess in 0..100_000u64 {
            let now = Duration::from_millis(guess * 10);
            let (due, rest): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|(when, _)| *when <= now);
            under_way = rest;
            for (when, ticket) in due {
                looked_at += 1;
                throttle.finish(when, ticket, false);
            }
            if let Admission::After(wait, ticket) = throttle.admit(now, peer(guess as u32 % 256), "anna") {
                under_way.push((now + wait, ticket));
            }
            if guess % 1_000 == 0 {
                owner_waited = owner_waited.max(succeed(&mut throttle, now, owner, "anna"));
            }
        }
        // In 1,000 seconds.
        assert!(looked_at <= 1_000, "{looked_at} guesses were looked at");
        assert_eq!(owner_waited, Duration::ZERO);
    }

    #[test]
    fn a_known_address_is_no_longer_known_after_a_failure() {
        let (mut throttle, mut now) = (Throttle::default(), at(0));
        succeed(&mut throttle, now, peer(1), "anna");
        assert_eq!(fail(&mut throttle, &mut now, peer(1), "anna"), 0);
        assert_eq!(fail(&mut throttle, &mut now, peer(1), "anna"), 2);
    }

    #[test]
    fn a_mail_program_may_open_several_connections_at_once() {
        let mut throttle = Throttle::default();
        let tickets: Vec<_> = (0..5).map(|_| admitted(throttle.admit(at(0), peer(1), "anna"))).collect();
        for (wait, ticket) in tickets {
            assert_eq!(wait, Duration::ZERO);
            throttle.finish(at(0), ticket, true);
        }
        for _ in 0..100 {
            assert_eq!(succeed(&mut throttle, at(1), peer(1), "anna"), Duration::ZERO);
        }
    }

    #[test]
    fn failures_are_forgotten_after_ten_quiet_minutes() {
        let (mut throttle, mut now) = (Throttle::default(), at(0));
        for _ in 0..5 {
            fail(&mut throttle, &mut now, peer(1), "anna");
        }
        now += at(601);
        assert_eq!(fail(&mut throttle, &mut now, peer(1), "anna"), 0);
    }

    #[test]
    fn memory_is_bounded_and_the_latest_are_kept() {
        let (mut throttle, mut now) = (Throttle::new(100), at(0));
        for number in 0..10_000 {
            fail(&mut throttle, &mut now, peer(number), &format!("name{number}"));
            assert!(throttle.tracked() <= 200);
        }
        assert!(fail(&mut throttle, &mut now, peer(9_999), "other") > 0);
        assert!(fail(&mut throttle, &mut now, peer(0), "other name") == 0);
    }
}
