use std::path::Path;

use super::*;
use crate::offers::configured;

fn config(listen: &str) -> Config {
    let text = format!(
        "hostname = \"mail.example.test\"\ndata_dir = \"d\"\ndomains = [\"example.test\", \"other.test\"]\n[listen]\n\
         {listen}\n"
    );
    Config::parse(&text, Path::new("mail.toml")).unwrap()
}

const ALL: &str = "smtp = [\"0.0.0.0:25\"]\nsubmission = [\"0.0.0.0:587\"]\nsubmissions = [\"0.0.0.0:465\"]\n\
                   pop3 = [\"0.0.0.0:110\"]\npop3s = [\"0.0.0.0:995\"]\nimap = [\"0.0.0.0:143\"]\nimaps = [\"0.0.0.0:993\"]";

#[test]
fn autoconfig_is_as_it_was() {
    assert_eq!(
        autoconfig::write("example.test", &configured(&config(ALL))),
        include_str!("golden/config-v1.1.xml")
    );
}

#[test]
fn autodiscover_is_as_it_was() {
    let address = address("Anna@Example.test", &config(ALL)).unwrap();
    let answer = autodiscover::settings(&address, &configured(&config(ALL)));
    assert_eq!(answer, include_str!("golden/autodiscover.xml"));
}

#[test]
fn the_profile_is_as_it_was() {
    let address = address("anna@example.test", &config(ALL)).unwrap();
    let profile = |listen| apple::write("mail.example.test", &address, &configured(&config(listen)));
    assert_eq!(profile(ALL).as_deref(), Some(include_str!("golden/apple.mobileconfig")));
    let pop = profile("submission = [\"0.0.0.0:587\"]\npop3 = [\"0.0.0.0:110\"]").unwrap();
    assert!(pop.contains("<string>EmailTypePOP</string>") && pop.contains("<integer>110</integer>"), "{pop}");
    assert_eq!(profile("imaps = [\"0.0.0.0:993\"]"), None, "nobody could send");
    assert_eq!(profile("submissions = [\"0.0.0.0:465\"]"), None, "nobody could read");
}

#[test]
fn addresses_are_those_of_our_domains_whether_they_exist_or_not() {
    let config = config(ALL);
    for good in ["anna@example.test", " nobody@OTHER.test\n", "\"a b\"@example.test"] {
        assert!(address(good, &config).is_some(), "{good}");
    }
    for bad in [
        "anna@elsewhere.test",
        "anna",
        "",
        "@example.test",
        "<a>@example.test",
        "a@example.test, b@example.test",
    ] {
        assert!(address(bad, &config).is_none(), "{bad}");
    }
}
