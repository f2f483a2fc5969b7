//! Replays on stable what the fuzzer has found, and some thousand mutations of it and of the transcripts.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use postrider_fuzz::common::Choices;
use postrider_fuzz::{Side, TARGETS, Target};

/// How many mutations each target is fed.
const MUTATIONS: usize = 4_000;

/// The same for those that open whole stores.
const STORE_MUTATIONS: usize = 150;

/// What mutations put in: the octets and words that matter to mail protocols.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b".",
    b"\0",
    b"\r\n.\r\n",
    b"\n.\n",
    b"..",
    b" ",
    b"-",
    b"*",
    b"=",
    b"+",
    b"<",
    b">",
    b"@",
    b"\"",
    b"\\",
    b"[",
    b"\xff",
    b"\xff\xff",
    b"\xe2\x82\xac",
    b"QUIT\r\n",
    b"RSET\r\n",
    b"STARTTLS\r\n",
    b"DATA\r\n",
    b"AUTH PLAIN AGEAYg==\r\n",
    b"250 ok\r\n",
    b"354 go\r\n",
    b"421 bye\r\n",
    b"{3}\r\n",
    b"{3+}\r\nabc",
    b"~{5}\r\n",
    b"(",
    b")",
    b"NOT ",
    b"a1 LOGIN u p\r\n",
    b"a1 APPEND INBOX {2+}\r\nab\r\n",
    b"a1 OK [",
    b"* 1 FETCH (",
    b"BODY[] {3}\r\nabc",
    b"+OK\r\n",
    b"-ERR\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"\r\n--b\r\n",
    b"\r\n--b--\r\n",
    b"=?utf-8?q?=C3=BC?=",
];

// The grammar of IMAP is compared with that of another implementation, in both directions.
// Ledger: 9051-2.2.1-2, 9051-9-2, 3501-2.2.1-1, 3501-9-2
#[test]
fn every_target_holds_for_its_corpus_and_mutations() {
    hold(|target| !is_of_the_host(target));
}

#[test]
fn every_target_of_the_host_holds_for_its_corpus_and_mutations() {
    hold(is_of_the_host);
}

fn is_of_the_host(target: &Target) -> bool {
    target.name.starts_with("mailhost_")
}

fn hold(which: impl Fn(&Target) -> bool) {
    for target in TARGETS.iter().filter(|target| which(target)) {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{}: no seeds", target.name);
        for seed in &seeds {
            check(target, seed);
        }
        let mut choices = Choices::new(target.name.len() as u64);
        let store = ["mailstore_crash", "mailstore_journal_recovery"].contains(&target.name);
        for _ in 0..if store { STORE_MUTATIONS } else { MUTATIONS } {
            let mut input = seeds[choices.below(seeds.len())].clone();
            for _ in 0..=choices.below(4) {
                mutate(&mut input, &seeds, &mut choices);
            }
            check(target, &input);
        }
    }
}

fn check(target: &Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("{} fails for \"{}\"", target.name, input.escape_ascii());
    }
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], choices: &mut Choices) {
    let at = choices.below(input.len() + 1);
    let end = at + choices.below(input.len() - at + 1).min(40);
    match choices.below(6) {
        0 => drop(input.drain(at..end)),
        1 => {
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        2 if at < input.len() => input[at] = choices.below(256) as u8,
        3 => {
            let other = &seeds[choices.below(seeds.len())];
            let from = choices.below(other.len() + 1);
            input.splice(at..at, other[from..].iter().copied());
        }
        4 => input.splice(at..at, core::iter::repeat_n(b'x', choices.below(3_000))).for_each(drop),
        _ => {
            let word = WORDS[choices.below(WORDS.len())];
            input.splice(at..at, word.iter().copied());
        }
    }
}

/// The files of the corpus as they are, and the transcripts behind some choices.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seeds: Vec<_> =
        files(&here.join("corpus").join(target.name)).iter().map(|file| read(file)).collect();
    for file in files(&here.join("../crates").join(target.seeds).join("tests/transcripts")) {
        let text = String::from_utf8(read(&file)).expect("transcripts are text");
        for wire in from_transcript(&text, target.side) {
            // Without choices once, with them in a few ways.
            let ways: &[u8] = if target.choices == 0 { &[0] } else { &[0, 0x0e, 0x5b, 0xff] };
            for way in ways {
                let mut seed: Vec<u8> = (0..target.choices).map(|at| way.rotate_left(at as u32)).collect();
                seed.extend_from_slice(&wire);
                seeds.push(seed);
            }
        }
    }
    seeds
}

fn from_transcript(text: &str, side: Side) -> Vec<Vec<u8>> {
    let mark = if side == Side::Server { "S:" } else { "C:" };
    let lines = text.lines().filter_map(|line| {
        let line = line.trim_start().strip_prefix(mark)?;
        Some(line.strip_prefix(' ').unwrap_or(line).as_bytes().to_vec())
    });
    match side {
        Side::ClientLines => lines.collect(),
        Side::Client | Side::Server => vec![lines.flat_map(|line| [&line, &b"\r\n"[..]].concat()).collect()],
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).expect("readable")
}
