//! Senders of what is forwarded: each that is made is read back, and no other is taken for one.

#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../examples/mailhost/src/accounts/srs.rs"]
mod srs;

use smtp_codec::Mailbox;

use self::srs::{NotOurs, Srs};
use crate::common::choose;

/// `data` chooses a day, and how long it takes until a report comes; then there are an address and the local part of another one.
pub fn run(data: &[u8]) {
    let ([high, low, key, after], rest) = choose::<4>(data);
    let Ok(text) = str::from_utf8(rest) else { return };
    let (sender, local) = text.split_once(['\n', ' ']).unwrap_or((text, text));
    let day = u64::from(high) << 8 | u64::from(low);
    let (ours, theirs) = (Srs::new([key; 32]), Srs::new([!key; 32]));
    // Nobody who has not the key makes one. To guess it takes thirty bits, which a fuzzer does not do by chance.
    if let Some(read) = ours.reverse(local, day) {
        assert!(Srs::is_one(local) && matches!(read, Err(NotOurs::Forged)), "{local:?}: {read:?}");
    }
    let sender = sender.strip_prefix("MAIL FROM:").unwrap_or(sender).trim_matches(['<', '>']);
    let Ok(sender) = Mailbox::parse(sender) else { return };
    let Some(made) = ours.forward(&sender, "ours.test", day) else { return };
    assert!(made.as_str().len() <= 254, "{made:?} is a path");
    let parsed = Mailbox::parse(made.as_str()).expect("an address");
    assert_eq!(parsed.domain().as_str(), "ours.test");
    let made = parsed.local_part_unquoted();
    assert_eq!(theirs.reverse(&made, day), Some(Err(NotOurs::Forged)), "{made}");
    match ours.reverse(&made, day + u64::from(after)).expect("it looks like one") {
        Ok(back) => {
            let back = Mailbox::parse(back.as_str()).expect("an address");
            let same_host = back.domain().as_str().eq_ignore_ascii_case(sender.domain().as_str());
            let whole = back.local_part_unquoted() == sender.local_part_unquoted() && same_host;
            // What was rewritten elsewhere may come back as the host has it that made it first, who knows when that was.
            let was_one = Srs::is_one(&sender.local_part_unquoted());
            let first = was_one && back.local_part_unquoted().starts_with("SRS0=");
            assert!(whole && after <= 21 || first, "{back:?} after {after} days");
        }
        Err(why) => assert!(why == NotOurs::Expired && after > 21, "{made} after {after} days: {why:?}"),
    }
    // Each octet counts, but for the case of a letter.
    let bit = 1 << (after % 8);
    for at in 0..made.len() {
        let mut forged = made.clone().into_owned().into_bytes();
        forged[at] ^= bit;
        if let Ok(forged) = String::from_utf8(forged)
            && !forged.eq_ignore_ascii_case(&made)
        {
            let read = ours.reverse(&forged, day);
            assert!(matches!(read, None | Some(Err(NotOurs::Forged))), "{forged}: {read:?}");
        }
    }
}
