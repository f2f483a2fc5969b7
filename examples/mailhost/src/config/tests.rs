use super::*;

const FILE: &str = "etc/mail.toml";

const LEAST: &str = "hostname = \"Mail.Example.test\"\ndata_dir = \"data\"\ndomains = [\"Example.test\"]\n[listen]\n\
                     smtp = [\"127.0.0.1:2525\"]\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new(FILE))
}

/// The least configuration with these lines at its end, which begin at line 6.
fn with(lines: &str) -> Result<Config, ConfigError> {
    parse(&format!("{LEAST}{lines}"))
}

/// The least configuration with one part replaced.
fn instead(part: &str, by: &str) -> Result<Config, ConfigError> {
    assert!(LEAST.contains(part));
    parse(&LEAST.replacen(part, by, 1))
}

#[track_caller]
fn says(result: Result<Config, ConfigError>, expected: &str) {
    assert_eq!(result.map_err(|error| error.to_string()).map(drop), Err(format!("{FILE}{expected}")));
}

#[test]
fn what_is_not_said_has_its_default() {
    let config = with("").unwrap();
    assert_eq!(config.hostname.as_str(), "mail.example.test");
    assert_eq!(config.data_dir, Path::new("etc/data"), "it starts at the folder of the file");
    assert_eq!(config.domains, [Domain::parse("example.test").unwrap()]);
    assert_eq!(
        config.listen,
        [Listen { service: Service::Smtp, address: ([127, 0, 0, 1], 2525).into(), line: 5 }]
    );
    assert_eq!((config.tls.clone(), config.allow_plaintext), (None, false));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.limits.message_size, 52_428_800);
    assert_eq!(config.admin_socket(), Path::new("etc/data/admin.sock"));
}

#[test]
fn everything_can_be_said() {
    let config = parse(
        "hostname = \"mx.test\"\ndata_dir = \"/var/mail\"\ndomains = [\"a.test\", \"b.test\"]\n\
         listen.submission = [\"[::1]:587\", \"127.0.0.1:587\"]\nlisten.pop3s = [\"0.0.0.0:0\", \"0.0.0.0:0\"]\n\
         tls = { certificate = \"c.pem\", key = \"/k.pem\" }\n[auth]\nallow_plaintext = true\n[limits]\n\
         message_size = \"10 MB\"\nrecipients = 200\nconnections = 10\nconnections_per_address = 5\nerrors = 3\n\
         junk_commands = 50\ndisk_reserve = \"2 %\"\nstop_timeout = \"5m\"\n",
    )
    .unwrap();
    assert_eq!(config.data_dir, Path::new("/var/mail"));
    assert_eq!(config.listen.len(), 4);
    let tls = config.tls.as_ref().unwrap();
    assert_eq!((&*tls.certificate, tls.certificate_line), (Path::new("etc/c.pem"), 6));
    assert_eq!((&*tls.key, tls.key_line), (Path::new("/k.pem"), 6));
    assert!(config.allow_plaintext);
    let expected = Limits {
        message_size: 10_000_000,
        recipients: 200,
        connections: 10,
        connections_per_address: 5,
        errors: 3,
        junk_commands: 50,
        disk_reserve: DiskReserve::Percent(2),
        stop_timeout: Duration::from_secs(300),
    };
    assert_eq!(config.limits, expected);

    // The printed form means the same, from wherever it is read.
    let again = Config::parse(&config.to_toml(), Path::new("elsewhere/other.toml")).unwrap();
    assert_eq!(again.to_toml(), config.to_toml());
    assert_eq!(
        (again.limits, again.domains, again.hostname),
        (config.limits, config.domains, config.hostname)
    );
}

#[test]
fn the_printed_defaults_can_be_read_again() {
    let config = with("").unwrap();
    let again = parse(&config.to_toml()).unwrap();
    assert_eq!((again.limits, again.tls, again.allow_plaintext), (config.limits, None, false));
}

#[test]
fn the_name_of_the_host_is_a_local_domain_and_an_address_is_none() {
    let config = with("").unwrap();
    for (domain, local) in [
        ("EXAMPLE.test", true),
        ("mail.example.TEST", true),
        ("other.example.test", false),
        ("[127.0.0.1]", false),
    ] {
        assert_eq!(config.is_local(&Domain::parse(domain).unwrap()), local, "{domain}");
    }
}

#[test]
fn unknown_keys_are_errors_with_a_suggestion() {
    says(with("submision = []\n"), ":6: unknown key \"submision\" in [listen]; did you mean \"submission\"?");
    says(with("[limts]\n"), ":6: unknown key \"limts\"; did you mean \"limits\"?");
    says(
        parse(&format!("host_name = \"x\"\n{LEAST}")),
        ":1: unknown key \"host_name\"; did you mean \"hostname\"?",
    );
    says(
        with("[tls]\nciphers = 1\n"),
        ":7: unknown key \"ciphers\" in [tls]; the keys here are certificate, key",
    );
    says(
        parse(&format!("message_size = 1\n{LEAST}")),
        ":1: \"message_size\" does not belong at the top of the file; move it to [limits]",
    );
    says(with("key = \"k\"\n"), ":6: \"key\" does not belong in [listen]; move it to [tls]");
    says(
        with("hostname = \"x\"\n"),
        ":6: \"hostname\" does not belong in [listen]; move it to the top of the file, above all sections",
    );
    // The first one in the file is told.
    says(
        with("[tls]\nbad = 1\n[auth]\nbad = 1\n"),
        ":7: unknown key \"bad\" in [tls]; the keys here are certificate, key",
    );
}

#[test]
fn keys_of_later_versions_are_not_taken_silently() {
    says(
        with("lmtp = [\"127.0.0.1:1\"]\n"),
        ":6: \"lmtp\" in [listen] is for a later version, this one cannot serve LMTP yet; remove it",
    );
}

#[test]
fn ports_may_have_other_numbers_outside() {
    let config = with("webs = [\"127.0.0.1:8443\"]\n[public]\nimaps = 993\npop3s = 0\n").unwrap();
    assert_eq!(config.public, [(Service::Pop3s, 0), (Service::Imaps, 993)]);
    assert_eq!(parse(&config.to_toml()).unwrap().public, config.public);
    says(with("[public]\nimaps = 65536\n"), ":7: imaps must be between 0 and 65535");
    says(with("[public]\nimaps = [\"127.0.0.1:993\"]\n"), ":7: imaps must be a whole number, not a list");
    says(
        with("[public]\nweb_admin = 1\n"),
        ":7: \"web_admin\" does not belong in [public]; move it to [listen]",
    );
}

#[test]
fn what_must_be_there_is_asked_for() {
    says(
        instead("hostname = \"Mail.Example.test\"\n", ""),
        ": hostname is missing; add hostname = \"mail.example.test\" at the top of the file",
    );
    says(
        instead("data_dir = \"data\"\n", ""),
        ": data_dir is missing; add data_dir = \"data\" at the top of the file",
    );
    says(
        instead("domains = [\"Example.test\"]\n", ""),
        ": domains is missing; add domains = [\"example.test\"] at the top of the file",
    );
    says(
        instead("smtp = [\"127.0.0.1:2525\"]\n", ""),
        ": no address to listen on; add [listen] with smtp = [\"127.0.0.1:2525\"] or another service",
    );
}

#[test]
fn values_of_the_wrong_type_are_named() {
    says(instead("\"Mail.Example.test\"", "1"), ":1: hostname must be a domain name in quotes, not a number");
    says(instead("\"data\"", "[]"), ":2: data_dir must be a path in quotes, not a list");
    says(instead("\"data\"", "\"\""), ":2: data_dir must be a path");
    says(
        instead("[\"Example.test\"]", "\"example.test\""),
        ":3: domains must be a list of domains, such as [\"example.test\"], not a string",
    );
    says(instead("[\"127.0.0.1:2525\"]", "[\n2525]"), ":6: smtp must be an address in quotes, not a number");
    says(
        with("[auth]\nallow_plaintext = \"yes\"\n"),
        ":7: allow_plaintext must be true or false, not a string",
    );
    says(
        parse(&format!("limits = 3\n{LEAST}")),
        ":1: limits must be a section; write [limits] on a line of its own",
    );
}

// Ledger: 5321-2.3.5-3, 5321-4.1.4-5
#[test]
fn names_are_checked() {
    let name = |name: &str| instead("\"Mail.Example.test\"", &format!("{name:?}"));
    says(name("m\u{fc}ller.test"), ":1: \"m\u{fc}ller.test\" in hostname is not ASCII; write its xn-- form");
    says(name("a.test."), ":1: \"a.test.\" in hostname is not a domain name: leave the final dot out");
    for bad in ["", "a b", "-a.test", "a..b", "a/b"] {
        says(
            name(bad),
            &format!(
                ":1: {bad:?} in hostname is not a domain name: write letters, digits, hyphens and dots, as in \
                 \"example.test\""
            ),
        );
    }
    for bad in ["127.0.0.1", "[127.0.0.1]"] {
        says(
            name(bad),
            &format!(
                ":1: {bad:?} in hostname is not a domain name: it is an address; write a name, as in \"example.test\""
            ),
        );
    }
    says(
        name("a_b.test"),
        ":1: \"a_b.test\" in hostname is not a domain name: underscores are not allowed in the names of hosts",
    );
    says(
        instead("[\"Example.test\"]", "[\"a.test\",\n\"A.test\"]"),
        ":4: a.test is in domains twice; remove one",
    );
    says(
        instead("[\"Example.test\"]", "[]"),
        ":3: domains is empty; name domains, such as [\"example.test\"], or remove the line",
    );
}

#[test]
fn addresses_are_checked() {
    for bad in ["localhost:25", "25", "127.0.0.1", "127.0.0.1:65536", "::1:25"] {
        says(
            instead("127.0.0.1:2525", bad),
            &format!(
                ":5: {bad:?} in smtp is not an address with a port; write it as \"127.0.0.1:2525\" or \"[::1]:2525\""
            ),
        );
    }
    says(
        with("pop3 = [\"127.0.0.1:2525\"]\n"),
        ":6: 127.0.0.1:2525 is taken by smtp in line 5; give each service its own port",
    );
    says(
        with("pop3 = [\"0.0.0.0:2525\"]\n"),
        ":6: 0.0.0.0:2525 overlaps 127.0.0.1:2525 of smtp in line 5; give each its own port",
    );
    assert!(with("pop3 = [\"127.0.0.2:2525\", \"[::1]:2525\", \"[::]:25\", \"0.0.0.0:25\"]\n").is_ok());
}

#[test]
fn certificate_and_key_come_together() {
    says(with("[tls]\ncertificate = \"c\"\n"), ":7: [tls] has a certificate and no key; add key = \"FILE\"");
    says(with("[tls]\nkey = \"k\"\n"), ":7: [tls] has a key and no certificate; add certificate = \"FILE\"");
}

// Ledger: 5321-4.5.3.1.7-1, 5321-4.5.3.1.8-1
#[test]
fn limits_are_checked() {
    let limit = |line: &str| with(&format!("[limits]\n{line}\n"));
    assert_eq!(limit("message_size = 100_000").unwrap().limits.message_size, 100_000);
    assert_eq!(limit("message_size = \"1 GiB\"").unwrap().limits.message_size, 1 << 30);
    assert_eq!(limit("message_size = \"128kib\"").unwrap().limits.message_size, 128 << 10);
    says(limit("message_size = \"1 KiB\""), ":7: message_size must be at least \"64 KiB\"");
    for bad in ["-1", "\"many\"", "\"\"", "\"1 PiB\"", "\"99999999999999 GiB\"", "99999999999999999"] {
        says(
            limit(&format!("message_size = {bad}")),
            ":7: message_size must be a size in octets or with a unit, such as \"50 MiB\"",
        );
    }
    says(limit("message_size = 1.5"), ":7: message_size must be a size, such as \"50 MiB\", not a fraction");
    says(limit("recipients = 99"), ":7: recipients must be between 100 and 100000");
    says(limit("connections = 0"), ":7: connections must be between 1 and 1000000");
    says(limit("connections_per_address = -5"), ":7: connections_per_address must be between 1 and 1000000");
    says(limit("errors = \"3\""), ":7: errors must be a whole number, not a string");
    says(limit("disk_reserve = \"95 %\""), ":7: disk_reserve must be between \"0 %\" and \"90 %\"");
    says(
        limit("disk_reserve = \"some\""),
        ":7: disk_reserve must be a size or a share, such as \"1 GiB\" or \"5 %\"",
    );
    says(
        limit("stop_timeout = \"2d\""),
        ":7: stop_timeout must be a time of at most a day, such as \"30s\" or \"5m\"",
    );
}

#[test]
fn the_disk_reserve_is_the_lesser_of_two_by_default() {
    assert_eq!(DiskReserve::Default.octets(100 << 30), 1 << 30);
    assert_eq!(DiskReserve::Default.octets(10_000), 500);
    assert_eq!(DiskReserve::Percent(10).octets(1_000), 100);
    assert_eq!(DiskReserve::Octets(7).octets(1_000), 7);
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let error = with("[limits\n").unwrap_err();
    assert_eq!(error.line, Some(6));
    let sentence = error.to_string();
    assert!(
        sentence.starts_with("etc/mail.toml:6: not valid TOML: ") && !sentence.contains('\n'),
        "{sentence}"
    );
    says(with("smtp = []\n"), ":6: smtp is there already; put what belongs to it in one place");
    says(
        with("[queue]\nwarn = 0\n[limits]\n[queue]\n"),
        ":9: queue is there already; put what belongs to it in one place",
    );
    says(
        with("[queue]\nwarn = 0\nwarn = 1\n"),
        ":8: warn is there already; put what belongs to it in one place",
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let error = Config::load(Path::new("no/such/file.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no/such/file.toml: cannot read the configuration (No such file or directory (os error 2)); name the file with \
         --config FILE"
    );
}
