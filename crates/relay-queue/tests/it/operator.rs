//! What operators order and see.

use relay_queue::queue::{Order, Standing, Which};
use relay_queue::{Fact, MessageId};

use crate::world::{HOUR, Manner, START, World, address, at, config};

fn order(world: &mut World, which: Which<'_>, order: Order) -> usize {
    let count = world.queue.handle_order(at(world.now), which, order);
    world.queue.check();
    world.settle();
    count
}

fn standings(world: &World, id: MessageId) -> Vec<Standing> {
    world.queue.show(id).map_or_else(Vec::new, |view| view.recipients().map(|to| to.standing).collect())
}

#[test]
fn a_try_can_be_had_now_and_the_schedule_stays() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    let id = world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 2 * HOUR);
    assert_eq!(order(&mut world, Which::Message(id), Order::Retry), 1);
    world.run(START + 5 * HOUR);
    let minutes: Vec<_> = world.tries().iter().map(|at| at / 60).collect();
    assert_eq!(minutes, [0, 5, 20, 50, 110, 120, 230]);
}

#[test]
fn a_site_that_is_left_alone_is_tried_when_ordered() {
    let mut world =
        World::new(config(), |_, _, now| if now < START + 90 { Manner::Dead } else { Manner::Takes });
    for _ in 0..5 {
        world.send("", &["bob@b.test"]);
    }
    world.run(START + 90);
    let paused = world.queue.list().flat_map(|view| view.recipients().collect::<Vec<_>>());
    let paused: Vec<_> = paused.filter(|to| matches!(to.standing, Standing::Paused { .. })).collect();
    assert!(paused.len() >= 2 && paused[0].standing.to_string().contains("connection lost"), "{paused:?}");
    assert_eq!(order(&mut world, Which::Destination("b.test"), Order::Retry), 5);
    world.run(START + 91);
    assert_eq!(world.delivered.len(), 5);
}

#[test]
fn orders_reach_one_recipient_a_destination_or_all() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    let one = world.send("alice@a.test", &["bob@b.test", "carol@c.test"]);
    let two = world.send("alice@a.test", &["bob@b.test", "dave@d.test"]);
    world.run(START + 1);
    let bob = address("bob@b.test");
    assert_eq!(order(&mut world, Which::Recipient(one, &bob), Order::Hold), 1);
    assert_eq!(standings(&world, one), [Standing::Held, Standing::Waiting]);
    assert_eq!(order(&mut world, Which::Destination("mx.d.test"), Order::Hold), 1);
    assert_eq!(standings(&world, two), [Standing::Waiting, Standing::Held]);
    assert_eq!(order(&mut world, Which::All, Order::Hold), 2);
    assert_eq!(order(&mut world, Which::All, Order::Hold), 0);
    assert_eq!(world.queue.poll_timeout(), None, "what is held waits for the operator");
    world.restart();
    assert_eq!(standings(&world, two), [Standing::Held, Standing::Held]);
    assert_eq!(order(&mut world, Which::All, Order::Release), 4);
    assert_eq!(order(&mut world, Which::Message(MessageId(999)), Order::Drop), 0);
    world.run(START + 40 * HOUR);
    assert_eq!(world.reported.len(), 4);
}

#[test]
fn bounced_is_told_and_dropped_is_not() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    let told = world.send("alice@a.test", &["bob@b.test"]);
    let untold = world.send("alice@a.test", &["bob@b.test"]);
    order(&mut world, Which::Message(told), Order::Bounce);
    order(&mut world, Which::Message(untold), Order::Drop);
    world.run(START + 1);
    assert_eq!(world.reports().len(), 1);
    assert!(world.reports()[0].1.contains("given up by the postmaster"));
    assert!(world.queue.is_empty() && world.disk.len() == 1);
    let dropped =
        |fact: &Fact| matches!(fact, Fact::Ordered { message, order: Order::Drop, .. } if *message == untold);
    assert!(world.facts.iter().any(|(_, fact)| dropped(fact)));
}

#[test]
fn what_is_under_way_obeys_when_its_attempt_has_failed() {
    for (wanted, left) in [(Order::Hold, 1), (Order::Drop, 0), (Order::Bounce, 0)] {
        for manner in [Manner::Defers, Manner::Takes, Manner::Refuses] {
            let mut world = World::new(config(), move |_, _, _| manner);
            world.latency = 10;
            let id = world.send("alice@a.test", &["bob@b.test"]);
            world.run(START + 5);
            assert_eq!(standings(&world, id), [Standing::Trying { site: "mx.b.test".to_owned() }]);
            assert_eq!(order(&mut world, Which::Destination("mx.b.test"), wanted), 1);
            world.run(START + 20);
            let failed = manner == Manner::Defers;
            assert_eq!(world.queue.len(), if failed { left } else { 0 });
            assert_eq!(world.delivered.len(), usize::from(manner == Manner::Takes));
            let told = manner == Manner::Refuses || failed && wanted == Order::Bounce;
            assert_eq!(world.reports().len(), usize::from(told));
        }
    }
}

#[test]
fn why_a_message_is_still_here_can_be_seen() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 100);
    let view = world.queue.list().next().expect("it is there");
    let to = view.recipients().next().expect("a recipient");
    assert_eq!((to.next, to.tries, to.expires), (at(START + 300), 1, Some(at(START + 30 * HOUR))));
    let (answer, when) = to.last.expect("an answer");
    assert_eq!((answer.to_string().as_str(), when), ("mx.b.test: 450 4.1.1 come back later", at(START)));
    assert_eq!((view.expires(), view.is_warned()), (at(START + 30 * HOUR), false));
}

#[test]
fn a_full_queue_refuses_messages_and_takes_reports() {
    let limits = relay_queue::Limits::default().recipients(2);
    let mut world = World::new(config().limits(limits), |_, _, _| Manner::Refuses);
    world.send("alice@a.test", &["bob@b.test", "late@b.test"]);
    let refused = world.queue.accept(at(START), crate::world::envelope("alice@a.test", &["bob@b.test"]));
    assert_eq!(refused.err(), Some(relay_queue::error::Refusal::Full));
    let none = world.queue.accept(at(START), crate::world::envelope("alice@a.test", &[]));
    assert_eq!(none.err(), Some(relay_queue::error::Refusal::NoRecipient));
}
