//! Anything in any order, from a seed.

use std::collections::BTreeSet;

use core::cell::RefCell;
use std::rc::Rc;

use relay_queue::queue::{Order, Which};
use relay_queue::{Answer, BodyHandle, Envelope, Limits, MessageId, Route, Schedule, Status};

use crate::world::{HOUR, Manner, START, Seen, World, address, at, config};

/// SplitMix64.
#[derive(Clone)]
pub(crate) struct Chance(Rc<RefCell<u64>>);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(seed)))
    }

    fn below(&self, bound: u64) -> u64 {
        let mut state = self.0.borrow_mut();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn world(chance: &Chance) -> World {
    let limits =
        Limits::default().attempts(1 + chance.below(8) as usize).resolves(1 + chance.below(4) as usize);
    let limits = match chance.below(4) {
        0 => limits.resident(1, usize::MAX),
        1 => limits.resident(4, usize::MAX),
        2 => limits.resident(usize::MAX, 2_000),
        _ => limits,
    };
    let limits = limits.transaction(1 + chance.below(4) as usize).reuse(1 + chance.below(4) as u32);
    let schedule = Schedule::default().jitter(chance.below(41) as u8);
    let manners = chance.clone();
    let mut world = World::new(config().limits(limits).schedule(schedule), move |site, _, _| {
        let dead = site.ends_with("dead");
        match manners.below(12) {
            _ if dead => Manner::Dead,
            0..=2 => Manner::Takes,
            3 => Manner::Refuses,
            4..=6 => Manner::Defers,
            7 => Manner::Dead,
            8 => Manner::Breaks,
            9 => Manner::Mute,
            10 => Manner::Forgotten,
            _ => Manner::Takes,
        }
    });
    let routes = chance.clone();
    world.routes = Box::new(move |_, now| {
        let until = at(now + routes.below(8_000));
        let answer = Answer::local(Status::new(4, 4, 3), "no answer");
        match routes.below(10) {
            0 => None,
            1 => Some(Route::Failed { answer, permanent: false, until }),
            2 => Some(Route::Failed { answer, permanent: routes.below(3) == 0, until }),
            3 => Some(Route::Site { site: "dead".to_owned(), until }),
            site => Some(Route::Site { site: format!("site{}", site % 4), until }),
        }
    });
    world
}

/// Some thousand things of all kinds; and in the end everybody has been told.
fn play(seed: u64, steps: u64) {
    let chance = Chance::new(seed);
    let mut world = world(&chance);
    let (mut silent, mut dropped, mut senders) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for step in 0..steps {
        match chance.below(24) {
            0..=4 => {
                let to: Vec<_> = (0..1 + chance.below(6))
                    .map(|_| format!("u{}@d{}.test", chance.below(20), chance.below(6)))
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect();
                let from = (chance.below(4) > 0).then(|| address("alice@a.test"));
                let null = from.is_none();
                let envelope = to
                    .iter()
                    .fold(Envelope::new(from, BodyHandle(1)), |envelope, to| envelope.to(address(to)));
                let fails = chance.below(6) == 0;
                world.fails = Box::new(move |_| fails);
                let id = world.accept(envelope, &to.iter().map(String::as_str).collect::<Vec<_>>());
                world.fails = Box::new(|_| false);
                match id {
                    Some(id) if null => drop(silent.insert(id)),
                    Some(id) => drop(senders.insert(id)),
                    None => {}
                }
            }
            5..=15 => drop(world.step(world.now + chance.below(4 * HOUR))),
            16 => {
                world.now += chance.below(3 * HOUR);
                world.settle();
            }
            17 => {
                let number = world.commits + 1 + chance.below(3);
                world.fails = Box::new(move |commit| commit == number);
            }
            18 => world.crash_at = Some((world.commits + 1 + chance.below(5), chance.below(2) == 0)),
            19 if chance.below(4) == 0 => world.restart(),
            20 if chance.below(10) == 0 => {
                let by = [100, HOUR, 40 * HOUR, 10 * 365 * 86_400][chance.below(4) as usize];
                world.now = if chance.below(2) == 0 { world.now + by } else { world.now.saturating_sub(by) };
                world.settle();
            }
            21 => world.latency = chance.below(900),
            _ => {
                let all: Vec<_> = world.queue.ids(None).collect();
                let id =
                    all.get(chance.below(all.len().max(1) as u64) as usize).copied().unwrap_or(MessageId(0));
                let to = address(&format!("u{}@d{}.test", chance.below(20), chance.below(6)));
                let domain = format!("d{}.test", chance.below(6));
                let which = match chance.below(4) {
                    0 => Which::Message(id),
                    1 => Which::Recipient(id, &to),
                    2 => Which::Destination(&domain),
                    _ => Which::Destination("site1"),
                };
                let orders = [Order::Retry, Order::Hold, Order::Release, Order::Bounce, Order::Drop];
                let order = orders[chance.below(5) as usize];
                if order == Order::Drop {
                    // Not all of these: only what it is for, but it is enough to excuse them.
                    let gone = world.accepted.iter().filter(|(message, to)| match which {
                        Which::Message(id) => *message == id,
                        Which::Recipient(id, address) => *message == id && to == address.as_str(),
                        _ => chosen(&world, &which, *message, to),
                    });
                    dropped.extend(gone.cloned().collect::<Vec<_>>());
                }
                world.fetch(|_| chance.below(3) == 0);
                world.queue.handle_order(at(world.now), which, order);
            }
        }
        if world.crashed {
            world.restart();
        }
        world.queue.check();
        // Looks at every recipient there ever was.
        if step % 16 == 0 {
            world.account(|id, to| silent.contains(&id) || dropped.contains(&(id, to.to_owned())));
        }
    }
    world.fails = Box::new(|_| false);
    world.crash_at = None;
    for _ in 0..3 {
        world.fetch(|_| true);
        world.queue.handle_order(at(world.now), Which::All, Order::Release);
        world.run(world.now + 40 * HOUR);
    }
    world.queue.check();
    assert!(world.queue.is_empty(), "{} messages are stranded", world.queue.len());
    assert!(world.disk.len() <= 1, "records are left behind");
    world.account(|id, to| silent.contains(&id) || dropped.contains(&(id, to.to_owned())));
    for (_, seen) in &world.seen {
        if let Seen::Report(report) = seen {
            assert!(senders.contains(&report.about), "a report to nobody");
        }
    }
}

/// Whether an order for a destination may reach a recipient.
fn chosen(world: &World, which: &Which<'_>, id: MessageId, to: &str) -> bool {
    let Which::Destination(name) = which else { return false };
    let there = world.queue.ids(None).any(|known| known == id);
    there && (to.ends_with(&format!("@{name}")) || !name.ends_with(".test"))
}

#[test]
fn anything_in_any_order_strands_nobody_and_tells_nobody_twice() {
    for seed in 0..60 {
        play(seed, 300);
    }
}

#[test]
fn a_long_life_leaves_nothing_behind() {
    play(0x10_0000, 3_000);
}

#[test]
fn the_same_seed_gives_the_same_life() {
    let run = || {
        let chance = Chance::new(9);
        let mut world = world(&chance);
        for _ in 0..200 {
            world.send("alice@a.test", &["a@d1.test", "b@d2.test"]);
            world.run(world.now + chance.below(HOUR));
        }
        world.run(START + 400 * HOUR);
        (world.seen, world.facts)
    };
    let (one, two) = (run(), run());
    assert!(one.0.len() > 500);
    assert!(one == two);
}
