//! The end of a message's time, on the clock.

use std::time::{Duration, Instant};

use super::{collected, loopback, no_dns, only, parsed, queue_is_empty, site, submit};
use crate::support::{is_installed, skip};

/// Where nobody listens: the message is tried again and again, once more when its time is up, and then goes back.
#[test]
fn the_report_comes_after_the_expiry_and_the_last_attempt_and_not_before() {
    let name = "the_report_comes_after_the_expiry_and_the_last_attempt_and_not_before";
    if !is_installed("python3", "--version") {
        return skip(name, "python3 is not installed");
    }
    let down = format!(
        "[relay.routes]\n\"b.test\" = \"{}:2525\"\n[queue]\nretry = [\"3s\"]\nexpire = \"20s\"\n",
        loopback()
    );
    let near = site("a", loopback(), no_dns(), &down, &["anna"]);
    let host = near.start();
    let start = Instant::now();
    submit(&host, "anna@a.test", "anna@a.test", &["ben@b.test"], "Subject: in time\r\n\r\ntext\r\n");
    submit(&host, "anna@a.test", "", &["nobody@b.test"], "Subject: of nobody\r\n\r\ntext\r\n");
    let given_up = |to: &str| {
        let found = host.log().iter().any(|line| line.contains("given up") && line.contains(to));
        while !found && !host.wait_for("given up").contains(to) {}
    };
    given_up("to=ben@b.test");
    let waited = start.elapsed();
    given_up("to=nobody@b.test");
    queue_is_empty(&near);
    assert!(waited >= EXPIRE, "given up after {waited:?}");

    let log = host.log();
    let tries: Vec<_> = log.iter().filter(|line| line.contains("no connection")).collect();
    assert!(tries.len() >= 3, "{tries:#?}");
    let end = log.iter().position(|line| line.contains("given up")).unwrap();
    let last = log[..end].iter().rposition(|line| line.contains("no connection")).unwrap();
    // The last attempt belongs to the end, and not to the schedule: it is behind the expiry.
    let first = log.iter().find(|line| line.contains(": accepted ")).unwrap();
    assert!(time_of(&log[last]) >= time_of(first) + EXPIRE, "{first}\n{}", log[last]);

    let reports = collected(&host, "anna@a.test");
    assert_eq!(reports.len(), 1, "{reports:#?}");
    let told = parsed(&reports[0]);
    let line = only(&told, "ben@b.test ");
    assert!(line.contains("Action=failed; Status=4.4.1; ") && line.contains("refused"), "{line}");
    assert_eq!(told.len(), 2, "{told:#?}");
}

/// Of a line of the log, since midnight.
fn time_of(line: &str) -> Duration {
    let (_, time) = line.split_once('T').unwrap();
    let (clock, _) = time.split_once('Z').unwrap();
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    Duration::from_secs_f64(parts[0] * 3600.0 + parts[1] * 60.0 + parts[2])
}

const EXPIRE: Duration = Duration::from_secs(20);
