//! Stages: each is run, timed and remembered, and a failed one does not stop the next.

use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct Stages {
    done: Vec<Done>,
}

struct Done {
    name: &'static str,
    failure: Option<String>,
    time: Duration,
}

impl Stages {
    pub(crate) fn run(&mut self, name: &'static str, stage: impl FnOnce() -> Result<(), String>) {
        println!("\n=== {name}");
        let start = Instant::now();
        let failure = stage().err();
        let time = start.elapsed();
        match &failure {
            None => println!("=== {name}: good, {}", seconds(time)),
            Some(reason) => println!("=== {name}: FAILED, {}: {reason}", seconds(time)),
        }
        self.done.push(Done { name, failure, time });
    }

    pub(crate) fn all_good(&self) -> bool {
        self.done.iter().all(|done| done.failure.is_none())
    }

    pub(crate) fn print_summary(&self) {
        println!("\n=== summary");
        for done in &self.done {
            let verdict = if done.failure.is_none() { "good" } else { "FAILED" };
            println!("{:>9}  {verdict:6}  {}", seconds(done.time), done.name);
        }
        let whole = self.done.iter().map(|done| done.time).sum();
        println!("{:>9}  in all", seconds(whole));
        for done in &self.done {
            if let Some(reason) = &done.failure {
                println!("FAILED: {}: {reason}", done.name);
            }
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_stage_does_not_stop_the_next_one_and_is_not_forgotten() {
        let mut stages = Stages::default();
        let mut second_ran = false;
        stages.run("first", || Err("broken".to_owned()));
        stages.run("second", || {
            second_ran = true;
            Ok(())
        });
        assert!(second_ran);
        assert!(!stages.all_good());
    }
}
