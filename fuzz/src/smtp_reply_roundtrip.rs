//! Octets are refused, or parse to a reply that is written in printable lines and read back as the same reply.

use smtp_codec::reply::Reply;

/// `data` is a whole reply; where it is not, its first line with CRLF may be.
pub fn run(data: &[u8]) {
    check(data);
    let line = data.split(|octet| *octet == b'\n').next().unwrap_or_default();
    check(&[line.strip_suffix(b"\r").unwrap_or(line), b"\r\n"].concat());
}

fn check(data: &[u8]) {
    let Ok(reply) = Reply::parse(data) else {
        return;
    };
    let mut wire = Vec::new();
    reply.encode(&mut wire);
    assert!(wire.iter().all(|octet| matches!(octet, b'\r' | b'\n' | b'\t' | b' '..=b'~')));
    for line in wire.split_inclusive(|octet| *octet == b'\n') {
        assert!(line.ends_with(b"\r\n") && line.len() <= 512);
    }
    assert_eq!(Reply::parse(&wire), Ok(reply));
}
