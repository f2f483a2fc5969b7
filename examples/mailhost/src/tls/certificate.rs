//! The little that has to be known of a certificate: when it ends, and for whom it is.

use std::net::IpAddr;

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use sasl_codec::ChannelBinding;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use smtp_codec::Domain;
use time::{Date, Month, OffsetDateTime, Time};

/// From when to when a certificate holds, in UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// Not before.
    pub from: OffsetDateTime,
    /// Not after.
    pub until: OffsetDateTime,
}

impl Validity {
    /// Walks to the field; the certificate is not judged otherwise.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate, _) = element(certificate)?;
        let (_, mut fields, _) = element(certificate)?;
        // TBSCertificate = [0] version OPTIONAL, serialNumber, signature, issuer, validity
        if element(fields)?.0 == 0xa0 {
            fields = element(fields)?.2;
        }
        for _ in 0..3 {
            fields = element(fields)?.2;
        }
        let (_, validity, _) = element(fields)?;
        let (tag, from, rest) = element(validity)?;
        let from = date(tag, from)?;
        let (tag, until, _) = element(rest)?;
        Some(Self { from, until: date(tag, until)? })
    }
}

/// What a certificate says, for people to read. Nothing of it is checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// Whose it is.
    pub subject: String,
    /// Who has issued it.
    pub issuer: String,
    /// The names and addresses it is for.
    pub names: Vec<String>,
    /// From when to when it holds, if it says so in a form we know.
    pub validity: Option<Validity>,
    /// SHA-256 of all of it, in hexadecimal.
    pub fingerprint: String,
}

impl Summary {
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, content, _) = element(certificate)?;
        let (_, mut fields, _) = element(content)?;
        // TBSCertificate = [0] version OPTIONAL, serialNumber, signature, issuer, validity, subject, key,
        // [1] and [2] identifiers OPTIONAL, [3] extensions OPTIONAL
        if element(fields)?.0 == 0xa0 {
            fields = element(fields)?.2;
        }
        fields = element(element(fields)?.2)?.2;
        let (_, issuer, rest) = element(fields)?;
        let (_, subject, rest) = element(element(rest)?.2)?;
        let after_key = element(rest)?.2;
        let extensions =
            elements(after_key).find(|(tag, _)| *tag == 0xa3).and_then(|(_, found)| element(found));
        Some(Self {
            subject: name(subject),
            issuer: name(issuer),
            names: extensions.map(|(_, all, _)| names(all)).unwrap_or_default(),
            validity: Validity::read(certificate),
            fingerprint: Sha256::digest(certificate).iter().map(|octet| format!("{octet:02x}")).collect(),
        })
    }
}

/// RDNSequence = SEQUENCE OF SET OF SEQUENCE { type, value }
fn name(der: &[u8]) -> String {
    let mut parts = Vec::new();
    for (_, attribute) in elements(der).flat_map(|(_, set)| elements(set)) {
        let Some((0x06, kind, rest)) = element(attribute) else { continue };
        let Some((_, value, _)) = element(rest) else { continue };
        let value = String::from_utf8_lossy(value);
        parts.push(match kind {
            b"\x55\x04\x03" => value.into_owned(),
            b"\x55\x04\x06" => format!("country {value}"),
            b"\x55\x04\x0b" => format!("unit {value}"),
            _ => value.into_owned(),
        });
    }
    if parts.is_empty() { "nobody".to_owned() } else { parts.join(", ") }
}

/// The names of subjectAltName; Extension = SEQUENCE { extnID, critical DEFAULT FALSE, extnValue OCTET STRING }
fn names(extensions: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for (_, extension) in elements(extensions) {
        let Some((0x06, b"\x55\x1d\x11", rest)) = element(extension) else { continue };
        let Some((_, value)) = elements(rest).find(|(tag, _)| *tag == 0x04) else { continue };
        let Some((_, all, _)) = element(value) else { continue };
        for (tag, name) in elements(all) {
            match (tag, name.len()) {
                (0x81 | 0x82 | 0x86, _) => found.push(String::from_utf8_lossy(name).into_owned()),
                (0x87, 4) => {
                    found.extend(name.first_chunk::<4>().map(|octets| IpAddr::from(*octets).to_string()))
                }
                (0x87, 16) => {
                    found.extend(name.first_chunk::<16>().map(|octets| IpAddr::from(*octets).to_string()));
                }
                _ => {}
            }
        }
    }
    found
}

/// The tags and contents of elements that stand in a row, as far as they can be read.
fn elements(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, rest) = element(der)?;
        der = rest;
        Some((tag, content))
    })
}

pub(super) fn is_for(certificate: &CertificateDer<'_>, hostname: &Domain<'_>) -> bool {
    let Ok(name) = ServerName::try_from(hostname.as_str()) else {
        return false;
    };
    ParsedCertificate::try_from(certificate).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
}

/// The hash of a certificate, with the function of its signature, or SHA-256 in place of MD5 and SHA-1.
pub(super) fn end_point(certificate: &CertificateDer<'_>) -> Option<ChannelBinding> {
    let hash: &[u8] = match signature_hash(certificate)? {
        Function::Sha256 => &Sha256::digest(certificate),
        Function::Sha384 => &Sha384::digest(certificate),
        Function::Sha512 => &Sha512::digest(certificate),
    };
    ChannelBinding::tls_server_end_point(hash).ok()
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Function {
    Sha256,
    Sha384,
    Sha512,
}

/// Certificate = tbsCertificate, signatureAlgorithm = SEQUENCE { algorithm OBJECT IDENTIFIER, parameters }, ...
fn signature_hash(certificate: &[u8]) -> Option<Function> {
    let (_, certificate, _) = element(certificate)?;
    let (_, algorithm, _) = element(element(certificate)?.2)?;
    let (0x06, name, parameters) = element(algorithm)? else { return None };
    match name {
        // md5, sha1, sha256, sha384, sha512 with RSA (RFC 8017, appendix C), and PSS, which says it in its parameters.
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04" | b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05" => {
            Some(Function::Sha256)
        }
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b" => Some(Function::Sha256),
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c" => Some(Function::Sha384),
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d" => Some(Function::Sha512),
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" => pss_hash(parameters),
        // ECDSA with SHA-1, SHA-256, SHA-384, SHA-512 (RFC 5758 §3.2).
        b"\x2a\x86\x48\xce\x3d\x04\x01" | b"\x2a\x86\x48\xce\x3d\x04\x03\x02" => Some(Function::Sha256),
        b"\x2a\x86\x48\xce\x3d\x04\x03\x03" => Some(Function::Sha384),
        b"\x2a\x86\x48\xce\x3d\x04\x03\x04" => Some(Function::Sha512),
        _ => None,
    }
}

/// RSASSA-PSS-params = SEQUENCE { [0] hashAlgorithm DEFAULT sha1, ... }
fn pss_hash(parameters: &[u8]) -> Option<Function> {
    let (_, parameters, _) = element(parameters)?;
    let (0xa0, algorithm, _) = element(parameters).unwrap_or((0, b"", b"")) else {
        return Some(Function::Sha256);
    };
    let (_, algorithm, _) = element(algorithm)?;
    match element(algorithm)?.1 {
        b"\x60\x86\x48\x01\x65\x03\x04\x02\x01" => Some(Function::Sha256),
        b"\x60\x86\x48\x01\x65\x03\x04\x02\x02" => Some(Function::Sha384),
        b"\x60\x86\x48\x01\x65\x03\x04\x02\x03" => Some(Function::Sha512),
        _ => None,
    }
}

/// The tag of the first element of DER, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if octets.len() > 4 {
            return None;
        }
        (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// UTCTime (`YYMMDDHHMMSSZ`) or GeneralizedTime (`YYYYMMDDHHMMSSZ`).
fn date(tag: u8, text: &[u8]) -> Option<OffsetDateTime> {
    let text = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (0x17, 12) => {
            let year: i32 = text[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &text[2..])
        }
        (0x18, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let field = |at: usize| rest[at..at + 2].parse::<u8>().ok();
    let date = Date::from_calendar_date(year, Month::try_from(field(0)?).ok()?, field(2)?).ok()?;
    let time = Time::from_hms(field(4)?, field(6)?, field(8)?).ok()?;
    Some(OffsetDateTime::new_utc(date, time))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    #[test]
    fn both_forms_of_a_date_are_read() {
        let expected = OffsetDateTime::from_unix_timestamp(1_772_323_199).unwrap();
        assert_eq!(date(0x17, b"260228235959Z"), Some(expected));
        assert_eq!(date(0x18, b"20260228235959Z"), Some(expected));
        assert_eq!(date(0x17, b"500101000000Z").map(OffsetDateTime::year), Some(1950));
        for broken in [&b"260230000000Z"[..], b"2602282359Z", b"26022823595\xffZ", b"+60228235959Z", b""] {
            assert_eq!(date(0x17, broken), None, "{broken:?}");
        }
    }

    #[test]
    fn der_that_is_cut_short_is_not_read() {
        for der in [&b""[..], &[0x30], &[0x30, 0x02, 1], &[0x30, 0x85, 0, 0, 0, 0, 1, 1], &[0x30, 0x82, 1]] {
            assert_eq!(element(der), None, "{der:?}");
        }
        assert_eq!(element(&[2, 1, 7, 9]), Some((2, &[7][..], &[9][..])));
    }

    #[test]
    fn names_and_issuers_are_read_and_what_is_cut_short_is_not() {
        let names = ["mail.a.test", "192.0.2.7", "2001:db8::7"];
        let mut params = CertificateParams::new(names.map(str::to_owned)).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "AT");
        params.distinguished_name.push(DnType::OrganizationName, "Äpfel & Söhne");
        params.distinguished_name.push(DnType::CommonName, "mail");
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let summary = Summary::read(made.der()).unwrap();
        assert_eq!(summary.names, names);
        assert_eq!(summary.subject, "country AT, Äpfel & Söhne, mail");
        assert_eq!(summary.issuer, summary.subject);
        assert!(summary.validity.is_some() && summary.fingerprint.len() == 64);
        for end in 0..made.der().len() {
            assert_eq!(Summary::read(&CertificateDer::from(&made.der()[..end])), None, "{end}");
        }
        let mut nobody = CertificateParams::default();
        nobody.distinguished_name = DistinguishedName::new();
        let made = nobody.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let summary = Summary::read(made.der()).unwrap();
        assert_eq!((&*summary.subject, summary.names.len()), ("nobody", 0));
    }
}
