//! The Sender Rewriting Scheme: what is forwarded goes out under a sender of this host, since the host that gets it may ask
//! (SPF) whether we may send for the domain of its sender; and a report comes back to us, who know from the address alone
//! whose it is.
//!
//! It has no RFC. The description of `Mail::SRS`, which libsrs2 and postsrsd follow, gives the forms:
//!
//! ```text
//! anna@a.test                        ──▶ SRS0=HHHHHH=TT=a.test=anna@ours
//! SRS0=HHHH=TT=a.test=anna@b.test    ──▶ SRS1=HHHHHH=b.test==HHHH=TT=a.test=anna@ours
//! SRS1=HHHH=b.test==…@c.test         ──▶ SRS1=HHHHHH=b.test==…@ours
//! ```
//!
//! `TT` is the day modulo 1,024, and `HHHHHH` a keyed hash of all that follows it, both in base32. Only who made the hash reads
//! it: ours is HMAC-SHA-256 ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)) cut to 30 bits. Who wants to send a report
//! to somebody else through here has to guess it, and a session ends after a few guesses. Some hosts fold the case of an address: it
//! makes no difference to the hash.
//!
//! An address that comes back goes first to the host that made its SRS0, and from there to the sender; the hosts in between
//! are left out.
//!
//! # Long addresses
//!
//! [RFC 5321 §4.5.3.1.1](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.1) obliges nobody to take more than 64 octets
//! before the `@`, and §4.5.3.1 asks everybody to. What results from a long sender is sent all the same, as by everybody who
//! rewrites senders: it is a matter of whether a report comes back, not of whether the message arrives. What would be longer
//! than the 254 octets of a path (§4.5.3.1.3) is not made: the sender stays what it was.

use hmac::digest::KeyInit as _;
use hmac::{Hmac, Mac as _};
use relay_queue::Address;
use sha2::Sha256;
use smtp_codec::Mailbox;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Rewrites senders, and reads them when they come back.
#[derive(Clone)]
pub struct Srs {
    key: Zeroizing<[u8; 32]>,
}

/// Why an address is not what became of a sender here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotOurs {
    /// It was not made here.
    Forged,
    /// It was, too long ago.
    Expired,
}

impl Srs {
    /// Takes the secret of the host.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key: Zeroizing::new(key) }
    }

    /// What stands for this sender at a domain of ours; `None` if that would be no address.
    pub fn forward(&self, sender: &Mailbox<'_>, domain: &str, day: u64) -> Option<Address> {
        let (local, host) = (sender.local_part_unquoted(), sender.domain());
        let host = host.as_str();
        // Only the literal of a network that nobody knows has one, and what follows could not be told from it, or no report sent there.
        if host.contains('=') || !is_host(host) {
            return None;
        }
        let rewritten = match Form::of(&local) {
            // The host that made the SRS0 stays in, and whoever has been between it and us goes.
            Some(Form::Again { first, rest }) if is_host(host_of(first)) => self.again(first, rest),
            Some(Form::First { rest }) => self.again(host, rest),
            // What names no host there is a sender like any other.
            Some(Form::Again { .. }) | None => {
                let stamp = stamp(day);
                format!("SRS0={}={stamp}={host}={local}", self.hash(&[&stamp, host, &local]))
            }
        };
        Address::new(&format!("{}@{domain}", quoted(&rewritten))).ok()
    }

    /// Where a report to this local part goes; `None` if it does not look like a sender that was rewritten.
    pub fn reverse(&self, local: &str, day: u64) -> Option<Result<Address, NotOurs>> {
        let form = Form::of(local)?;
        Some(self.read(form, day).and_then(|address| Address::new(&address).map_err(|_| NotOurs::Forged)))
    }

    /// Whether a local part looks like a sender that was rewritten.
    pub fn is_one(local: &str) -> bool {
        Form::of(local).is_some()
    }

    fn read(&self, form: Form<'_>, day: u64) -> Result<String, NotOurs> {
        match form {
            Form::First { rest } => {
                let mut parts = rest.splitn(4, '=');
                let mut next = || parts.next().ok_or(NotOurs::Forged);
                let (hash, stamp, host, local) = (next()?, next()?, next()?, next()?);
                self.check(hash, &[stamp, host, local])?;
                // The clock may have been set back since.
                match age(stamp, day).ok_or(NotOurs::Forged)? {
                    0..=LIFETIME | LAST_DAY => Ok(format!("{}@{host}", quoted(local))),
                    _ => Err(NotOurs::Expired),
                }
            }
            // When it was made, the first host knows.
            Form::Again { first, rest } => {
                let (hash, host) = first.split_once('=').ok_or(NotOurs::Forged)?;
                self.check(hash, &[host, rest])?;
                Ok(format!("{}@{host}", quoted(&format!("SRS0={rest}"))))
            }
        }
    }

    /// `first` may still have the hash of the host before.
    fn again(&self, first: &str, rest: &str) -> String {
        let host = host_of(first);
        format!("SRS1={}={host}=={rest}", self.hash(&[host, rest]))
    }

    fn check(&self, hash: &str, of: &[&str]) -> Result<(), NotOurs> {
        let same = hash.to_ascii_uppercase().as_bytes().ct_eq(self.hash(of).as_bytes());
        if bool::from(same) { Ok(()) } else { Err(NotOurs::Forged) }
    }

    fn hash(&self, of: &[&str]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&*self.key).expect("a key of any length will do for HMAC");
        // No other use of the key gives the same.
        mac.update(b"postrider srs");
        for part in of {
            mac.update(b"=");
            mac.update(part.to_ascii_lowercase().as_bytes());
        }
        let octets = mac.finalize().into_bytes();
        let bits = u64::from_be_bytes(*octets.first_chunk().expect("SHA-256 gives 32 octets"));
        (0..HASH).map(|at| digit(bits >> (59 - 5 * at))).collect()
    }
}

impl std::fmt::Debug for Srs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Srs(..)")
    }
}

/// A local part that was rewritten, here or elsewhere.
#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    /// `SRS0=rest`
    First { rest: &'a str },
    /// `SRS1=first==rest`; `first` is a hash and a host.
    Again { first: &'a str, rest: &'a str },
}

impl<'a> Form<'a> {
    fn of(local: &'a str) -> Option<Self> {
        let (prefix, rest) = local.split_at_checked(5)?;
        // The separator behind the digit may be another one with other hosts: then it is a sender like any other.
        if prefix.eq_ignore_ascii_case("SRS0=") {
            Some(Self::First { rest })
        } else if prefix.eq_ignore_ascii_case("SRS1=") {
            let (first, rest) = rest.split_once("==")?;
            Some(Self::Again { first, rest })
        } else {
            None
        }
    }
}

/// Of a hash and a host, or the host alone.
fn host_of(first: &str) -> &str {
    first.split_once('=').map_or(first, |(_, host)| host)
}

/// Whether a report can go there.
fn is_host(text: &str) -> bool {
    let address = format!("a@{text}");
    let can_be_sent_to = |address: Address| address.domain().as_ref().eq_ignore_ascii_case(text);
    Mailbox::parse(&address).is_ok() && Address::new(&address).is_ok_and(can_be_sent_to)
}

/// The day modulo 1,024.
fn stamp(day: u64) -> String {
    [day >> 5, day].into_iter().map(digit).collect()
}

/// How many days ago that was, modulo 1,024.
fn age(stamp: &str, day: u64) -> Option<u64> {
    let value = |octet: &u8| DIGITS.iter().position(|digit| *digit == octet.to_ascii_uppercase());
    let [high, low] = stamp.as_bytes() else { return None };
    let then = (value(high)? * 32 + value(low)?) as u64;
    Some((day % DAYS + DAYS - then) % DAYS)
}

fn digit(bits: u64) -> char {
    char::from(DIGITS[(bits & 31) as usize])
}

/// `Local-part = Dot-string / Quoted-string` ([RFC 5321 §4.1.2](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2)).
fn quoted(local: &str) -> String {
    let atext = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    if local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(atext)) {
        return local.to_owned();
    }
    let mut text = String::from("\"");
    for character in local.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}

/// Base32 of RFC 4648 §6.
const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Digits of a hash.
const HASH: usize = 6;
const DAYS: u64 = 1_024;
/// How many days a report may take. A queue gives up after five or so, and some hosts forward to others.
const LIFETIME: u64 = 21;
/// A stamp of tomorrow.
const LAST_DAY: u64 = DAYS - 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn forward(srs: &Srs, sender: &str, domain: &str, day: u64) -> String {
        srs.forward(&Mailbox::parse(sender).unwrap(), domain, day).unwrap().as_str().to_owned()
    }

    fn local(address: &str) -> String {
        Mailbox::parse(address).unwrap().local_part_unquoted().into_owned()
    }

    fn reverse(srs: &Srs, address: &str, day: u64) -> Result<String, NotOurs> {
        let result = srs.reverse(&local(address), day).expect("a sender that was rewritten");
        result.map(|address| address.as_str().to_owned())
    }

    #[test]
    fn a_sender_goes_out_and_comes_back_over_three_hosts() {
        let (one, two, three) = (Srs::new([1; 32]), Srs::new([2; 32]), Srs::new([3; 32]));
        let first = forward(&one, "Anna@a.test", "one.test", 20_000);
        let second = forward(&two, &first, "two.test", 20_001);
        let third = forward(&three, &second, "three.test", 20_002);
        let (head, tail) = first.split_once('@').unwrap();
        assert_eq!(tail, "one.test");
        let parts: Vec<_> = head.split('=').collect();
        assert_eq!(
            (parts[0], parts[1].len(), parts[2], &parts[3..]),
            ("SRS0", 6, "RA", &["a.test", "Anna"][..])
        );
        let inner = head.strip_prefix("SRS0").unwrap();
        assert!(
            second.starts_with("SRS1=") && second.ends_with(&format!("=one.test={inner}@two.test")),
            "{second}"
        );
        assert!(third.ends_with(&format!("=one.test={inner}@three.test")), "{third}");
        assert!(!third.contains("two.test"), "{third}");
        // Both lead straight to the first host, and from there to the sender.
        assert_eq!(reverse(&three, &third, 20_010).as_deref(), Ok(&*first));
        assert_eq!(reverse(&two, &second, 20_010).as_deref(), Ok(&*first));
        assert_eq!(reverse(&one, &first, 20_010).as_deref(), Ok("Anna@a.test"));
        // Nobody reads what somebody else has made.
        assert_eq!(reverse(&two, &first, 20_010), Err(NotOurs::Forged));
        assert_eq!(reverse(&two, &third, 20_010), Err(NotOurs::Forged));
    }

    #[test]
    fn it_is_good_for_three_weeks_and_for_a_clock_that_was_set_back() {
        let srs = Srs::new([7; 32]);
        for day in [0, 5, 1_020, 1_023, 1_024, 20_780] {
            let there = forward(&srs, "a@b.test", "c.test", day);
            for after in 0..=21 {
                assert_eq!(reverse(&srs, &there, day + after).as_deref(), Ok("a@b.test"), "{after}");
            }
            for after in [22, 100, 1_022] {
                assert_eq!(reverse(&srs, &there, day + after), Err(NotOurs::Expired), "{after}");
            }
            assert!(day == 0 || reverse(&srs, &there, day - 1).is_ok());
        }
    }

    #[test]
    fn other_addresses_are_senders_like_any_other() {
        let srs = Srs::new([7; 32]);
        for other in ["anna", "srs", "srs0", "srs0-a", "SRS2=x", "SRS1=a=b=c", "", "ä", "srs\u{e4}="] {
            assert_eq!(srs.reverse(other, 0), None, "{other}");
        }
        for forged in ["srs0=", "SRS0====", "srs0=aaaaaa=aa=b.test=c", "SRS1===", "srs1=a==b", "SRS0=ä=ö=ü=ß"]
        {
            assert_eq!(srs.reverse(forged, 0), Some(Err(NotOurs::Forged)), "{forged}");
        }
    }

    // It was rewritten, and a report to it went to a host that there cannot be.
    #[test]
    fn what_names_no_host_is_a_sender_like_any_other() {
        let srs = Srs::new([7; 32]);
        for sender in
            ["SRS1=ABCD=b.t|est==EFGH=RA=a.test=anna@c.test", "SRS1===x@c.test", "SRS1=-=-==x@c.test"]
        {
            let there = forward(&srs, sender, "ours.test", 3);
            assert!(there.starts_with("SRS0="), "{there}");
            assert_eq!(reverse(&srs, &there, 3).as_deref(), Ok(sender));
        }
    }

    #[test]
    fn what_could_not_come_back_is_not_made() {
        let srs = Srs::new([7; 32]);
        for sender in ["z@[G:a=b]", "SRS0=x@[G:a==b]", "z@[G:a(b]", "z@[G:@]"] {
            assert_eq!(srs.forward(&Mailbox::parse(sender).unwrap(), "ours.test", 3), None, "{sender}");
        }
        let there = forward(&srs, "z@[G:a]", "ours.test", 3);
        assert_eq!(reverse(&srs, &there, 3).as_deref(), Ok("z@[G:a]"));
    }

    #[test]
    fn what_would_be_too_long_for_a_path_is_not_made() {
        let srs = Srs::new([7; 32]);
        let long = |octets: usize| format!("{}@b.test", "a".repeat(octets));
        let made = |octets| srs.forward(&Mailbox::parse(&long(octets)).unwrap(), "c.test", 0);
        // `SRS0=` 5, the hash 7, the day 3, the domain 7, `@c.test` 7.
        assert!(made(225).is_some_and(|address| address.as_str().len() == 254));
        assert_eq!(made(226), None);
    }

    proptest! {
        #[test]
        fn what_was_forwarded_comes_back(
            key: [u8; 32],
            plain in "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\\.[a-z=]{1,9}){0,2}|\"[a-z @=.]{1,20}\"",
            host in "[a-z0-9]{1,10}(\\.[a-z]{1,10}){1,3}",
            day in 0_u64..100_000,
            after in 0_u64..=21,
        ) {
            let srs = Srs::new(key);
            let sender = format!("{plain}@{host}");
            prop_assume!(!Srs::is_one(&local(&sender)));
            let there = forward(&srs, &sender, "c.test", day);
            let back = reverse(&srs, &there, day + after);
            prop_assert_eq!(back.as_ref().map(|back| local(back)), Ok(local(&sender)));
            let back = back.unwrap();
            prop_assert!(back.ends_with(&format!("@{host}")), "{back}");
            // Whatever host between has folded the case.
            prop_assert!(reverse(&srs, &there.to_ascii_lowercase(), day + after).is_ok());
            // A hash with one digit changed is none.
            let at = there.find("SRS0=").unwrap() + 5;
            let digit = if &there[at..=at] == "A" { "B" } else { "A" };
            let forged = format!("{}{digit}{}", &there[..at], &there[at + 1..]);
            prop_assert_eq!(reverse(&srs, &forged, day), Err(NotOurs::Forged));
            // Nor does it fit another sender.
            let other = there.replacen(&format!("={host}="), &format!("={host}x="), 1);
            prop_assert_eq!(reverse(&srs, &other, day), Err(NotOurs::Forged));
        }

        #[test]
        fn nothing_that_is_written_panics(local in "(?i:srs[01])[=+-]?.{0,60}", day: u64) {
            let _ = Srs::new([9; 32]).reverse(&local, day);
            if let Ok(mailbox) = Mailbox::parse(&format!("{local}@b.test")) {
                let _ = Srs::new([9; 32]).forward(&mailbox, "c.test", day);
            }
        }
    }
}
