//! What a message outside the window costs, as the system counts it. A program of its own, with nothing else in memory.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "the system says in a file how much memory a process has")]

use core::time::Duration;

use relay_queue::{Address, BodyHandle, Config, Envelope, Event, Limits, Queue};

fn held() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("how much there is");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok()).expect("a number") * 1_024
}

#[test]
fn a_hundred_thousand_messages_outside_the_window_cost_sixty_four_octets_each() {
    let now = Duration::from_secs(1_700_000_000);
    let limits = Limits::default().resident(100, 1 << 20);
    let mut queue = Queue::new(Config::new("mail.test").expect("a name").limits(limits), 1);
    let before = held();
    for number in 0..COUNT {
        let from = Address::new("somebody.with.a.name@sender.example.test").expect("an address");
        let to =
            Address::new(&format!("reader{number}@domain{}.example.test", number % 100)).expect("an address");
        let commit = queue.accept(now, Envelope::new(Some(from), BodyHandle(1)).to(to)).expect("room");
        queue.handle_durable(commit.id);
        queue.handle_timeout(now);
        while let Some(event) = queue.poll(now) {
            // What it asks for is never answered.
            if matches!(event, Event::Load(_)) {
                break;
            }
        }
    }
    assert!(queue.parked() >= COUNT - 200, "{}", queue.parked());
    let each = (held() - before) / COUNT;
    assert!((20..=64).contains(&each), "{each} octets each");
}

const COUNT: usize = 100_000;
