//! A configuration for somebody who begins: every key there is, each with a remark and its default.
//!
//! The keys are those that are read, the defaults are those that a configuration without them has, and a test wants a remark
//! for each: so this cannot go stale.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::keys::KEYS;
use super::{Config, print};

pub(super) fn text(title: &str, set: &[(&str, &str, String)]) -> String {
    let defaults = defaults();
    let mut out = String::new();
    for line in title.lines() {
        let _ = writeln!(out, "{}", format!("# {line}").trim_end());
    }
    for (section, keys) in KEYS {
        let said = |key: &str| set.iter().find(|(of, name, _)| *of == section && *name == key);
        if !section.is_empty() {
            // A section may be empty, so that a `#` less is all that a key takes. Its remark stands above it.
            let _ = writeln!(out, "\n[{section}]");
        }
        for key in keys {
            let (note, example) = note(section, key);
            let space = if section.is_empty() { "\n" } else { "" };
            // Keys that go without saying share the remark of the one above.
            if !note.is_empty() {
                let _ = writeln!(out, "{space}# {note}");
            }
            let default = defaults.get(&(section.to_owned(), (*key).to_owned()));
            let _ = match (said(key), default, example) {
                (Some((.., value)), ..) => writeln!(out, "{key} = {value}"),
                // Sections within sections come last, and whole.
                (None, _, example) if example.contains('\n') => {
                    writeln!(
                        out,
                        "{}",
                        example.lines().map(|line| format!("#{line}")).collect::<Vec<_>>().join("\n")
                    )
                }
                (None, Some(default), _) => writeln!(out, "#{key} = {default}"),
                (None, None, example) => writeln!(out, "#{key} = {example}"),
            };
        }
    }
    out
}

/// The values of all keys that have one when nothing is said.
fn defaults() -> BTreeMap<(String, String), String> {
    let least = "hostname = \"x\"\ndata_dir = \"x\"\ndomains = [\"x\"]\n[listen]\nsmtp = [\"0.0.0.0:25\"]\n\
                 [dns]\nservers = [\"127.0.0.1:53\"]\n";
    let mut defaults = BTreeMap::new();
    let Ok(config) = Config::parse(least, Path::new("mailhost.toml")) else { return defaults };
    let mut section = String::new();
    for line in print::to_toml(&config).lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once(" = ")
            && !least.contains(&format!("\n{key} = "))
            && !key.starts_with('#')
        {
            defaults.insert((section.clone(), key.to_owned()), value.to_owned());
        }
    }
    defaults
}

/// What a key is for, and an example for one that has no default.
fn note(section: &str, key: &str) -> (&'static str, &'static str) {
    let found = NOTES.iter().find(|(of, name, ..)| *of == section && *name == key);
    found.map_or(("", "\"\""), |(.., note, example)| (note, example))
}

const NOTES: &[(&str, &str, &str, &str)] = &[
    ("", "hostname", "The name of this host: in greetings, and in its certificate.", ""),
    ("", "data_dir", "Where mail, accounts and queue are; it starts at the folder of this file.", ""),
    ("", "domains", "The domains whose mail is delivered here.", ""),
    (
        "listen",
        "smtp",
        "Mail from other hosts, which come to port 25; STARTTLS is offered.",
        "[\"0.0.0.0:25\", \"[::]:25\"]",
    ),
    ("listen", "submission", "Mail from your users, with STARTTLS.", "[\"0.0.0.0:587\", \"[::]:587\"]"),
    (
        "listen",
        "submissions",
        "Mail from your users, under TLS from the start.",
        "[\"0.0.0.0:465\", \"[::]:465\"]",
    ),
    ("listen", "pop3", "Mail for your users over POP3, with STLS.", "[\"0.0.0.0:110\", \"[::]:110\"]"),
    ("listen", "pop3s", "POP3 under TLS from the start.", "[\"0.0.0.0:995\", \"[::]:995\"]"),
    ("listen", "imap", "Mail for your users over IMAP, with STARTTLS.", "[\"0.0.0.0:143\", \"[::]:143\"]"),
    ("listen", "imaps", "IMAP under TLS from the start.", "[\"0.0.0.0:993\", \"[::]:993\"]"),
    (
        "listen",
        "web",
        "Webmail, where people also change their password, and settings for mail\n# programs. Without this: nowhere.",
        "[\"0.0.0.0:80\", \"[::]:80\"]",
    ),
    ("listen", "webs", "The same under TLS.", "[\"0.0.0.0:443\", \"[::]:443\"]"),
    (
        "listen",
        "web_admin",
        "Counters for programs, and pages for you: `mailhost operator`\n# prints a link to them. Without this: neither.",
        "[\"127.0.0.1:8081\"]",
    ),
    (
        "public",
        "submission",
        "Ports as others see them, where a router forwards them: what mail programs\n# are told.",
        "587",
    ),
    ("public", "submissions", "", "465"),
    ("public", "pop3", "", "110"),
    ("public", "pop3s", "", "995"),
    ("public", "imap", "", "143"),
    ("public", "imaps", "", "993"),
    (
        "tls",
        "certificate",
        "Without these two, a self-signed certificate in data_dir is used. A new one is\n# taken up when the files change.",
        "\"/etc/letsencrypt/live/mail.example.org/fullchain.pem\"",
    ),
    (
        "tls",
        "key",
        "Only root need be able to read it when the host starts.",
        "\"/etc/letsencrypt/live/mail.example.org/privkey.pem\"",
    ),
    (
        "run",
        "user",
        "Whom a host that is started as root becomes once its ports are open. Without\n# this: the owner of data_dir.",
        "\"mailhost\"",
    ),
    ("auth", "allow_plaintext", "Whether passwords may come without TLS. For tests on loopback.", ""),
    ("accounts", "subaddress_separator", "Mail for anna+anything comes to anna; \"\" for none of that.", ""),
    ("log", "format", "How the log is written: as text for people, or as json.", ""),
    ("log", "level", "How much is written: error, warn, info or debug.", ""),
    ("dns", "servers", "Whom to ask. Without this: the servers of the system.", "[\"127.0.0.1:53\"]"),
    (
        "relay",
        "networks",
        "Who may send to other hosts without a login. Without this: nobody.",
        "[\"10.0.0.0/8\"]",
    ),
    ("relay", "port", "Where other hosts listen.", ""),
    (
        "relay",
        "allow_private_addresses",
        "Whether mail goes to addresses of local networks that DNS names.",
        "",
    ),
    (
        "relay",
        "smarthost",
        "A host that all mail for others goes to. Without this: where DNS says.",
        "\"smtp.example.net:587\"",
    ),
    ("relay", "user", "The name to log in there with.", "\"NAME\""),
    ("relay", "password_file", "A file with the password on its first line.", "\"FILE\""),
    (
        "relay",
        "routes",
        "Domains whose mail goes to a host of your choice.",
        "[relay.routes]\n\"inner.example.org\" = \"10.0.0.7:25\"",
    ),
    ("queue", "retry", "How long to wait between tries; the last one repeats.", ""),
    (
        "queue",
        "expire",
        "When mail that cannot be delivered goes back to its sender. RFC 5321 advises\n# four to five days.",
        "",
    ),
    ("queue", "warn", "When its sender is told that it waits; \"0s\" for never.", ""),
    ("queue", "resident_messages", "So many waiting messages are in memory whole.", ""),
    ("queue", "resident_size", "So much memory they may have.", ""),
    ("limits", "message_size", "The largest message that is taken.", ""),
    ("limits", "recipients", "Recipients of one message.", ""),
    ("limits", "connections", "Connections at the same time.", ""),
    ("limits", "connections_per_address", "Connections at the same time from one address.", ""),
    ("limits", "errors", "Mistakes that end a session.", ""),
    ("limits", "junk_commands", "Commands without any mail that end a session.", ""),
    (
        "limits",
        "disk_reserve",
        "So much of the disk is kept free; default: 1 GiB, or 5 % if that is less.",
        "\"1 GiB\"",
    ),
    ("limits", "stop_timeout", "How long sessions may go on after the host was told to stop.", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Vec<(&'static str, &'static str, String)> {
        vec![
            ("", "hostname", "\"mail.a.test\"".to_owned()),
            ("", "data_dir", "\"data\"".to_owned()),
            ("", "domains", "[\"a.test\"]".to_owned()),
            ("listen", "smtp", "[\"0.0.0.0:25\"]".to_owned()),
        ]
    }

    #[test]
    fn every_key_has_a_remark_and_no_remark_is_left_over() {
        for (section, keys) in KEYS {
            for key in keys {
                let found = NOTES.iter().any(|(of, name, ..)| (*of, *name) == (section, *key));
                assert!(found, "{key:?} in [{section}] has no remark in config/commented.rs");
            }
        }
        for (section, key, ..) in NOTES {
            let known = KEYS.iter().any(|(of, keys)| of == section && keys.contains(key));
            assert!(known, "there is no key {key:?} in [{section}]");
        }
    }

    #[test]
    fn it_is_read_as_the_defaults() {
        let file = Path::new("mail.toml");
        let text = text("A title.", &set());
        let config = Config::parse(&text, file).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let least = "hostname = \"mail.a.test\"\ndata_dir = \"data\"\ndomains = [\"a.test\"]\n\
                     [listen]\nsmtp = [\"0.0.0.0:25\"]\n";
        let least = Config::parse(least, file).unwrap();
        assert_eq!(config.to_toml(), least.to_toml());
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn what_is_commented_out_is_what_holds_without_it() {
        // All defaults but those that need something beside them, with the `#` taken away.
        let text = text("A title.", &set());
        let alone = [
            "smarthost",
            "user",
            "password_file",
            "certificate",
            "key",
            "networks",
            "servers",
            "\"inner",
            "[relay",
        ];
        let open: Vec<_> = text
            .lines()
            .filter_map(|line| match line.strip_prefix('#').filter(|line| !line.starts_with(' ')) {
                Some(said) if !alone.iter().any(|key| said.starts_with(key)) => Some(said),
                Some(_) => None,
                None => Some(line).filter(|line| !line.starts_with('#')),
            })
            .collect();
        let config = Config::parse(&open.join("\n"), Path::new("mail.toml"));
        let config = config.unwrap_or_else(|error| panic!("{error}\n{}", open.join("\n")));
        let limits = super::super::Limits { disk_reserve: config.limits.disk_reserve, ..Default::default() };
        assert_eq!((config.limits, config.queue), (limits, super::super::Queue::default()));
    }
}
