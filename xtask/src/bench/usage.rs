//! What a server uses: the processor time of all its processes, and its syncs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command;

/// The processor time, user and system, of processes and all that descend from them, in seconds.
///
/// What has ended counts with the parent that waited for it, as Postfix's and Dovecot's masters do.
pub(super) fn seconds(roots: &[u32]) -> Result<f64, String> {
    let entries = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let stats: BTreeMap<u32, Stat> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id: u32| Some((id, Stat::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?)))
        .collect();
    if let Some(gone) = roots.iter().find(|root| !stats.contains_key(root)) {
        return Err(format!("the server with the process id {gone} has ended by itself"));
    }
    Ok(ticks(roots, &stats) as f64 / ticks_per_second()?)
}

/// Our own, in seconds: user and system.
pub(super) fn own_seconds() -> Result<f64, String> {
    let text = fs::read_to_string("/proc/self/stat").map_err(|error| format!("/proc/self/stat: {error}"))?;
    let stat = Stat::parse(&text).ok_or("/proc/self/stat cannot be read")?;
    Ok(stat.own as f64 / ticks_per_second()?)
}

struct Stat {
    parent: u32,
    own: u64,
    /// Of the children that it has waited for, and theirs.
    reaped: u64,
}

impl Stat {
    /// proc(5): the name in parentheses may hold anything; state and parent follow it.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: number(1)? as u32,
            own: number(11)? + number(12)?,
            reaped: number(13)? + number(14)?,
        })
    }
}

fn ticks(roots: &[u32], stats: &BTreeMap<u32, Stat>) -> u64 {
    let is_ours = |mut id: u32| {
        // A chain of parents is short; what changes while it is read must not go round for ever.
        for _ in 0..stats.len() {
            if roots.contains(&id) {
                return true;
            }
            match stats.get(&id) {
                Some(stat) => id = stat.parent,
                None => return false,
            }
        }
        false
    };
    stats.iter().filter(|&(&id, _)| is_ours(id)).map(|(_, stat)| stat.own + stat.reaped).sum()
}

fn ticks_per_second() -> Result<f64, String> {
    let text = command::output(Command::new("getconf").arg("CLK_TCK"))?;
    text.trim().parse().map_err(|_| format!("getconf CLK_TCK says {text:?}"))
}

/// Runs `program` under strace, which writes every sync of it and of its children to `log`. The process that is
/// started becomes the program itself, with strace beside it.
pub(super) fn traced(program: &Path, log: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-DD", "--seccomp-bpf", "-qq", "-e", "signal=none"])
        .args(["-e", "trace=fsync,fdatasync,sync_file_range,syncfs,sync,msync", "-o"])
        .arg(log)
        .arg(program);
    strace
}

/// How many syncs the log of [`traced`] holds so far.
pub(super) fn syncs(log: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(log).map_err(|error| format!("{}: {error}", log.display()))?;
    Ok(count_syncs(&text))
}

fn count_syncs(text: &str) -> u64 {
    // A call that others run into has two lines: `fsync(3 <unfinished ...>`, and `<... fsync resumed>) = 0`.
    let begins = |line: &&str| line.contains("sync") && line.contains('(');
    text.lines().filter(begins).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_for_the_whole_tree_and_for_what_it_has_reaped() {
        let stat = |parent, own, reaped| Stat { parent, own, reaped };
        let stats = BTreeMap::from([
            (1, stat(0, 1_000, 1_000)),
            (10, stat(1, 1, 2)),
            (11, stat(10, 4, 8)),
            (12, stat(11, 16, 0)),
            (20, stat(1, 32, 0)),
            (30, stat(1, 500, 0)),
        ]);
        assert_eq!(ticks(&[10], &stats), 31);
        assert_eq!(ticks(&[10, 20], &stats), 63);
    }

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 50 60 700 800 20 0 1 0 99\n";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.parent, stat.own, stat.reaped), (7, 110, 1_500));
        assert!(Stat::parse("42 (a").is_none());
    }

    #[test]
    fn a_child_that_has_ended_is_counted() {
        let before = seconds(&[std::process::id()]).unwrap();
        command::run(Command::new("sh").args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]))
            .unwrap();
        assert!(seconds(&[std::process::id()]).unwrap() > before);
    }

    #[test]
    fn a_sync_that_is_interrupted_in_the_log_counts_once() {
        let log = "7 fsync(12) = 0\n7 fdatasync(12 <unfinished ...>\n8 fsync(3)  = 0\n\
                   7 <... fdatasync resumed>) = 0\n9 +++ exited with 0 +++\n";
        assert_eq!(count_syncs(log), 3);
    }
}
