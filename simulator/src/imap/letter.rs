//! Messages, made from a number that finds them again: nothing has to be kept of what was sent.

use std::fmt::Write as _;

/// All octets of the message with this number.
pub fn octets(tag: u64) -> Vec<u8> {
    let mut text = format!(
        "From: Sender <sender@far.test>\r\nTo: anna@d0.test\r\nSubject: m{tag}.\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n"
    );
    let size = size(tag);
    while text.len() < size {
        let _ = write!(text, "{} of m{tag}.\r\n", text.len());
    }
    text.into_bytes()
}

/// Most are small and lie in the journal; some are large and lie in files.
fn size(tag: u64) -> usize {
    let mixed = tag.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    match mixed % 64 {
        0 => 66_000 + (mixed % 9_000) as usize,
        1..=8 => 3_000 + (mixed % 5_000) as usize,
        _ => 250 + (mixed % 900) as usize,
    }
}

/// What stands behind the header.
pub fn text(octets: &[u8]) -> &[u8] {
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n").map_or(octets.len(), |at| at + 4);
    &octets[end..]
}

/// The number, from a header or a part of it.
pub fn tag(header: &[u8]) -> Option<u64> {
    let start = header.windows(10).position(|ten| ten == b"Subject: m")? + 10;
    let digits: Vec<u8> = header[start..].iter().copied().take_while(u8::is_ascii_digit).collect();
    str::from_utf8(&digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_again_by_its_number() {
        for number in [0, 7, 123_456] {
            let octets = octets(number);
            assert_eq!(tag(&octets), Some(number));
            assert!(octets.ends_with(b"\r\n") && text(&octets).len() < octets.len());
        }
    }
}
