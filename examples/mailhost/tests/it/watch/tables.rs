//! The tables of `docs/logs.md` and `docs/metrics.md` say what there is. With `POSTRIDER_WRITE_TABLES=1` they are written;
//! their last columns are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use mailhost::listener::Service;
use mailhost::metrics;
use tokio::runtime;

use super::inside::host;
use crate::support::{Folder, Host, Site, Wire};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// Compares the rows of the one table of a document with what is true, or writes them.
#[track_caller]
fn compare(file: &str, head: &str, rows: &BTreeMap<String, String>) {
    let path = Path::new(ROOT).join(file);
    let text = fs::read_to_string(&path).unwrap();
    let (before, table) = text.split_once(head).expect("the head of the table");
    let (rule, table) = table[1..].split_once('\n').unwrap();
    let (table, after) = table.split_at(table.find("\n\n").map_or(table.len(), |at| at + 1));
    let mut notes = BTreeMap::new();
    let mut found = BTreeMap::new();
    for line in table.lines() {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let name =
            cells[0].strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or(cells[0]).to_owned();
        let (note, rest) = cells.split_last().unwrap();
        notes.insert(name.clone(), (*note).to_owned());
        found.insert(name, rest.join(" | "));
    }
    let right: BTreeMap<_, _> =
        rows.iter().map(|(name, rest)| (name.clone(), format!("`{name}` | {rest}"))).collect();
    if found == right {
        return;
    }
    if env::var_os("POSTRIDER_WRITE_TABLES").is_some() {
        let mut out = format!("{before}{head}\n{rule}\n");
        for (name, row) in &right {
            out.push_str(
                &format!("| {row} | {} |\n", notes.get(name).map_or("", |note| note)).replace("  |", " |"),
            );
        }
        fs::write(&path, out + after).unwrap();
        return;
    }
    let missing: Vec<_> = right.iter().filter(|(name, row)| found.get(*name) != Some(row)).collect();
    let extra: Vec<_> = found.iter().filter(|(name, row)| right.get(*name) != Some(row)).collect();
    panic!(
        "docs/{file} is not up to date; run this test with POSTRIDER_WRITE_TABLES=1\nmissing: {missing:#?}\nnot there: {extra:#?}"
    );
}

/// An event as it stands in the source.
#[derive(Default)]
struct Found {
    levels: BTreeSet<String>,
    fields: BTreeSet<String>,
}

fn sources(folder: &Path, out: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            sources(&path, out);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
            out.push(text[..end].to_owned());
        }
    }
}

/// The arguments of a macro, from behind its bracket on.
fn arguments(text: &str) -> Vec<String> {
    let (mut all, mut one, mut depth) = (Vec::new(), String::new(), 0);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                one.push(c);
                while let Some(c) = chars.next() {
                    one.push(c);
                    match c {
                        '\\' => one.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(std::mem::take(&mut one).trim().to_owned());
                continue;
            }
            _ => {}
        }
        one.push(c);
    }
    all.push(one.trim().to_owned());
    all.retain(|argument| !argument.is_empty());
    all
}

fn events() -> BTreeMap<String, Found> {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let mut events = BTreeMap::<String, Found>::new();
    for text in &texts {
        for level in ["error", "warn", "info", "debug", "trace"] {
            for (at, found) in text.match_indices(&format!("{level}!(")) {
                if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let arguments = arguments(&text[at + found.len()..]);
                let end = arguments.iter().position(|argument| argument.starts_with('"'));
                let end = end.unwrap_or_else(|| panic!("an event without a name: {arguments:?}"));
                let (fields, name) = (&arguments[..end], arguments[end].trim_matches('"'));
                // A sentence for people may come first; behind it the name is the same always.
                let fixed = name.strip_prefix("{}; ").unwrap_or(name);
                assert!(!fixed.contains(['{', '|', '\n']), "the name of an event changes: {name}");
                let event = events.entry(name.to_owned()).or_default();
                event.levels.insert(level.to_owned());
                for field in fields {
                    let name = field.split('=').next().unwrap().trim().trim_start_matches(['%', '?']);
                    event.fields.insert(name.trim_start_matches("self.").to_owned());
                }
            }
        }
    }
    events
}

#[test]
fn the_table_of_events_has_all_of_them() {
    let list = |names: &BTreeSet<String>, around: &str| {
        let names: Vec<_> = names.iter().map(|name| format!("{around}{name}{around}")).collect();
        names.join(", ")
    };
    let rows: BTreeMap<_, _> = events()
        .into_iter()
        .map(|(name, event)| (name, format!("{} | {}", list(&event.levels, ""), list(&event.fields, "`"))))
        .collect();
    assert!(rows.len() > 60, "{} events were found", rows.len());
    compare("logs.md", "| event | level | fields | |", &rows);
}

#[test]
fn the_names_of_events_and_fields_are_found_in_the_source() {
    let found = arguments("id, to = ?rcpt.to(\"a, b\"), %self.peer, code = f(1, [2]), \"said, (so)\"); rest");
    assert_eq!(found, ["id", "to = ?rcpt.to(\"a, b\")", "%self.peer", "code = f(1, [2])", "\"said, (so)\""]);
}

/// A page as a strict reader takes it: kind, labels and help of each metric.
fn read(page: &str) -> BTreeMap<String, (String, BTreeSet<String>, String)> {
    let mut metrics: BTreeMap<String, (String, BTreeSet<String>, String)> = BTreeMap::new();
    let (mut current, mut samples) = (String::new(), BTreeSet::new());
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && help.ends_with('.'), "{line}");
            assert!(!metrics.contains_key(name), "{name} comes twice");
            name.clone_into(&mut current);
            metrics.insert(current.clone(), (String::new(), BTreeSet::new(), help.to_owned()));
            continue;
        }
        let metric = metrics.get_mut(&current).expect("help comes first");
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            kind.clone_into(&mut metric.0);
            continue;
        }
        assert!(!metric.0.is_empty(), "the type comes before the samples: {line}");
        assert!(samples.insert(line.rsplit_once(' ').unwrap().0.to_owned()), "{line} comes twice");
        let (name, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let (name, labels) = match name.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').expect("a bracket")),
            None => (name, ""),
        };
        let mut bound = None;
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (label, text) = label.split_once('=').unwrap();
            let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).expect("quotes");
            assert!(is_name(label) && !text.contains(['"', '\\', '\n']), "{line}");
            if label == "le" {
                bound = Some(if text == "+Inf" { f64::INFINITY } else { text.parse().unwrap() });
            } else {
                metric.1.insert(label.to_owned());
            }
        }
        if metric.0 == "histogram" {
            match (name.strip_prefix(&current).unwrap(), bound) {
                ("_bucket", Some(bound)) => {
                    assert!(buckets.last().is_none_or(|last| last.0 < bound && last.1 <= value), "{line}");
                    buckets.push((bound, value));
                }
                ("_sum", None) => {}
                ("_count", None) => {
                    assert_eq!(buckets.pop(), Some((f64::INFINITY, value)), "{line}");
                    buckets.clear();
                }
                other => panic!("{other:?} in {line}"),
            }
        } else {
            assert_eq!(name, current);
        }
    }
    metrics
}

#[test]
fn the_table_of_metrics_has_all_of_them() {
    let folder = Folder::new();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let page = runtime.block_on(async {
        let host = host(&folder, &["anna"]).await;
        host.counts.refuse("recipient", &smtp_codec::Reply::NO_SUCH_MAILBOX);
        let page = metrics::render(&host).await;
        host.store.close().await;
        page
    });
    let rows: BTreeMap<_, _> = read(&page)
        .into_iter()
        .map(|(name, (kind, labels, help))| {
            let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
            (name, format!("{kind} | {} | {help}", labels.join(", ")))
        })
        .collect();
    assert!(rows.len() > 40, "{page}");
    compare("metrics.md", "| metric | type | labels | what | |", &rows);
}

/// The status and the body of an answer.
fn get(host: &Host, service: Service, path: &str) -> (String, String) {
    let mut wire = Wire::connect(host.address(service));
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: mail.example.test\r\nConnection: close\r\n\r\n"));
    let mut answer = Vec::new();
    while let Some(line) = wire.try_line().ok().filter(|line| !line.is_empty()) {
        answer.extend(line);
    }
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

#[test]
fn what_is_counted_can_be_read_by_the_operator_and_by_nobody_else() {
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna"]);
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["anna@example.test"], "Subject: x\r\n\r\n");
    smtp.say("MAIL FROM:<>", "250");
    smtp.say("RCPT TO:<\"{status=1}\\\"\"@example.test>", "550 5.1.1");
    let pop3 = Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    let mut wrong = Wire::connect(host.address(Service::Imap));
    wrong.expect("* OK");
    wrong.say("a LOGIN anna@example.test nonsense", "a NO");
    let mut tls = Wire::connect(host.address(Service::Submission));
    tls.expect("220");
    tls.say("EHLO client.test", "250");
    tls.say("STARTTLS", "220");
    let tls = tls.start_tls(&site.tls());

    let (status, page) = get(&host, Service::WebAdmin, "/metrics");
    assert_eq!(status, "200");
    assert!(read(&page).len() > 40);
    for line in [
        "mailhost_messages_accepted_total{service=\"smtp\"} 1",
        "mailhost_deliveries_total 1",
        "mailhost_refusals_total{what=\"recipient\",status=\"5.1.1\"} 1",
        "mailhost_logins_total{service=\"pop3\",outcome=\"good\"} 1",
        "mailhost_logins_total{service=\"imap\",outcome=\"bad\"} 1",
        "mailhost_password_checks_total 2",
        "mailhost_tls_handshakes_total{version=\"1.3\"} 1",
        "mailhost_sessions{service=\"pop3\"} 1",
        "mailhost_sessions{service=\"web_admin\"} 1",
        "mailhost_mailbox_messages 1",
        "mailhost_accounts 1",
        "mailhost_queue_messages 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }
    let value = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse::<f64>().unwrap()
    };
    assert!(value("mailhost_certificate_expiry_time_seconds") > value("process_start_time_seconds"));
    assert!(value("process_resident_memory_bytes") > 1e6 && value("mailhost_disk_size_bytes") > 1e6);
    assert!(value("mailhost_store_commit_seconds_count") >= 1.0);
    let batches = value("mailhost_store_batches_total");
    assert!(batches >= 1.0 && value("mailhost_store_batch_commits_count") == batches);
    assert_eq!(value("mailhost_store_batch_commits_sum"), value("mailhost_store_commits_total"));
    drop((pop3, tls));
    assert_eq!(get(&host, Service::Web, "/metrics").0, "404");
}
