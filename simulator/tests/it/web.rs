//! Messages that are sent on the web into power cuts, kills and failing disks, and a defect that this finds.

use mailhost::planted::{Bug, plant};
use simulator::web::{Counts, run};

#[test]
fn what_is_sent_on_the_web_is_sent_once_or_not_at_all() {
    let mut all = Counts::default();
    for seed in 0..SEEDS {
        let outcome = run(seed);
        assert_eq!(outcome.violations, [""; 0], "seed {seed}");
        let Counts { power, kills, failing, whole, nothing, told, unanswered } = outcome.counts;
        assert!(power > 5 && whole > 0 && nothing > 0, "seed {seed}: {:?}", outcome.counts);
        all.power += power;
        all.kills += kills;
        all.failing += failing;
        all.whole += whole;
        all.nothing += nothing;
        all.told += told;
        all.unanswered += unanswered;
    }
    println!("{all:?}");
    assert!(all.kills > 5 && all.told > 0 && all.unanswered > 0, "{all:?}");
}

#[test]
fn a_run_is_the_same_each_time() {
    assert_eq!(run(7).counts, run(7).counts);
}

#[test]
fn a_draft_that_goes_before_its_message_is_sent_is_found() {
    plant(Some(Bug::DraftGoneFirst));
    let violations = run(0).violations;
    plant(None);
    assert!(violations.iter().any(|what| what.contains("drafts: 0, sent: 0")), "{violations:?}");
}

const SEEDS: u64 = 3;
