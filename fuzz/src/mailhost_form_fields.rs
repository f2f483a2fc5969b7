//! What forms, cookies and addresses of pages say: each reads what it writes, an obvious reading finds the same cookie, and whatever
//! path or link a request or a message names, a browser ends where it may.

use std::ops::RangeInclusive;

use mailstore::mailbox::Uid;
use url::{Position, Url};

use super::compose::fields::{Deed, Origin, is_id, place};
use super::mail::act::done::{read, written};
use super::mail::html::{mail, web};
use super::onward::{own_path, with_done};
use super::when::Clock;
use super::{cookie, onward};
use crate::common::is_linear;

/// `data` is a text, and in two lines a host and cookies.
pub fn run(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    let (first, rest) = text.split_once('\n').unwrap_or((text, text));
    cookies(first, rest);
    for text in [text, first, rest] {
        paths(text);
        links(text);
        fields(text);
        ranges(text);
        clock(text);
    }
    is_linear(text, |text| {
        let _ = (own_path(text).map(|path| with_done(path, 1)), web(text), mail(text), read(text));
        let _ = cookie::find(text.split('\n'), "mail-8080");
    });
}

fn cookies(host: &str, sent: &str) {
    for secure in [false, true] {
        let name = cookie::name("mail", host, secure);
        let token = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        assert!(name.bytes().all(token) && name.starts_with("__Host-") == secure, "{name:?}");
        let kept = cookie::kept(&name, VALUE, 9, "Lax", secure);
        assert!(kept.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()), "{kept:?}");
        assert_eq!(kept.contains("; Secure"), secure);
        let pair = kept.split(';').next().expect("a pair");
        let obvious = |fields: &[&str]| {
            let mut pairs = fields
                .iter()
                .flat_map(|field| field.split(';'))
                .filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(of, _)| *of == name).map(|(_, value)| value.to_owned())
        };
        for fields in [&[sent][..], &[sent, pair], &[pair, sent], &[&*format!("a=b; {pair};{sent}")]] {
            assert_eq!(
                cookie::find(fields.iter().copied(), &name).map(str::to_owned),
                obvious(fields),
                "{fields:?}"
            );
        }
        assert_eq!(cookie::find([pair, sent], &name), Some(VALUE));
    }
}

fn paths(text: &str) {
    let Some(path) = own_path(text) else { return };
    assert_eq!(path, text);
    let page = Url::parse("https://mail.example.test:8443/sign-in?then=x").expect("an address");
    for path in [path, &with_done(path, 7)] {
        assert_eq!(onward::own_path(path), Some(path), "{text:?}");
        let there = page.join(path).expect("an address");
        assert_eq!(there[..Position::BeforePath], page[..Position::BeforePath], "{path:?} leads to {there}");
    }
    let there = page.join(&with_done(path, 7)).expect("an address");
    let done: Vec<_> =
        there.query().unwrap_or_default().split('&').filter(|part| part.starts_with("done=")).collect();
    assert_eq!(done, ["done=7"], "{there}");
    assert_eq!(with_done(&with_done(path, 6), 7), with_done(path, 7));
}

fn links(text: &str) {
    if let Some(link) = web(text) {
        let host = link.strip_prefix("http://").or_else(|| link.strip_prefix("https://"));
        assert!(
            host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?', '#', '\\'])),
            "{link:?}"
        );
        if let Ok(link) = Url::parse(&link) {
            assert!(link.has_host() && ["http", "https"].contains(&link.scheme()), "{link}");
        }
        assert_eq!(web(&link), Some(link));
    }
    if let Some(link) = mail(text) {
        assert!(link.starts_with("/compose?to=") && own_path(&link).is_some(), "{link:?}");
        let names: Vec<_> = link["/compose?".len()..]
            .split('&')
            .map(|part| part.split_once('=').map(|(name, _)| name))
            .collect();
        assert!(names == [Some("to")] || names == [Some("to"), Some("subject")], "{link:?}");
    }
}

fn fields(text: &str) {
    if let Some(origin) = Origin::parse(text) {
        assert_eq!(Origin::parse(&origin.text()), Some(origin));
    }
    if let Some((folder, uid)) = place(text) {
        assert_eq!(place(&format!("{folder}.{uid}")), Some((folder, uid)));
    }
    if let Deed::Remove(number) = Deed::parse(text) {
        assert_eq!(Deed::parse(&format!("remove:{number}")), Deed::Remove(number));
    }
    assert!(!is_id(text) || text.len() == 32 && u128::from_str_radix(text, 16).is_ok(), "{text:?}");
}

/// No message is named twice, and none is made up.
fn ranges(text: &str) {
    let Some(ranges) = read(text) else { return };
    let ends = |range: &RangeInclusive<Uid>| [range.start().get(), range.end().get()];
    let all: Vec<u32> = ranges.iter().flat_map(ends).collect();
    assert!(all.chunks(2).all(|range| range[0] <= range[1]), "{text:?}");
    assert!(all.windows(2).skip(1).step_by(2).all(|between| between[0] < between[1]), "{text:?}");
    let count = all.chunks(2).map(|range| u64::from(range[1] - range[0]) + 1).sum::<u64>();
    if count <= 5_000 {
        let uids: Vec<Uid> =
            all.chunks(2).flat_map(|range| range[0]..=range[1]).filter_map(Uid::new).collect();
        let again = read(&written(uids.iter().copied().rev())).expect("what was written is read");
        let again = again.iter().map(ends).flat_map(|[first, last]| first..=last);
        assert!(again.eq(uids.iter().map(|uid| uid.get())), "{text:?}");
    }
}

fn clock(text: &str) {
    let clock = Clock::new(1_795_352_700, Some(text));
    assert!(clock.offset.whole_seconds().abs() <= 14 * 3_600, "{text:?}");
    assert!(clock.offset.is_utc() || text.parse() == Ok(clock.offset.whole_seconds() / 60), "{text:?}");
    for at in [0, i64::MAX, text.parse().unwrap_or(i64::MIN)] {
        let _ = (clock.short(at), clock.long(at));
    }
}

const VALUE: &str = "AbC-_09";
