//! Answers: whether one belongs to a query, and what it says.
//!
//! ```text
//!  octets ──▶ compare: id, QR, question, letter by letter ──▶ Stray | CaseLost | Ours
//!                                                                             │
//!                                          read: header, records, CNAME chain ▼
//!                                                     Answer | Truncated | Unreadable | NoEdns | Failed
//! ```
//!
//! Nothing is parsed before the octets have been compared. Of the records only those are read whose type matters here and
//! whose owner is the name that was asked for, or what its CNAME records in the same answer lead to. All of it is kept under
//! the question that was asked and no other, so no answer says anything about a name that nobody asked about.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use crate::domain::show;
use crate::error::Failure;
use crate::limits::Limits;
use crate::query::{Key, Kind};
use crate::trace::Finding;

/// What came of a question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// The names that CNAME records lead through, the last one being what `data` is about.
    pub(crate) via: Vec<Name>,
    pub(crate) data: Data,
    /// How long the server lets it be kept; of a negative answer without a SOA record unknown.
    pub(crate) ttl: Option<Duration>,
    /// The server says that DNSSEC proves it.
    pub(crate) authenticated: bool,
}

/// What there is at the end of the CNAME records.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Data {
    /// By rising preference.
    Mx(Vec<(u16, Name)>),
    Addresses(Vec<IpAddr>),
    NoRecord,
    NoSuchName,
    /// The answer ends with a CNAME record: what it leads to has to be asked for.
    Alias,
}

impl Answer {
    pub(crate) const fn is_positive(&self) -> bool {
        matches!(self.data, Data::Mx(_) | Data::Addresses(_) | Data::Alias)
    }

    /// What an operator reads.
    pub(crate) fn finding(&self) -> Finding {
        let mut list = Vec::new();
        if let (Some(last), Data::Mx(_) | Data::Addresses(_)) = (self.via.last(), &self.data) {
            list.push(format!("CNAME {}", show(last)));
        }
        match &self.data {
            Data::NoRecord => return Finding::NoData,
            Data::NoSuchName => return Finding::NoSuchName,
            Data::Alias => return Finding::Alias(self.via.last().map_or_else(String::new, show)),
            Data::Mx(records) => {
                list.extend(
                    records
                        .iter()
                        .take(SHOWN)
                        .map(|(preference, name)| format!("{preference} {}", show(name))),
                );
                more(&mut list, records.len());
            }
            Data::Addresses(addresses) => {
                list.extend(addresses.iter().take(SHOWN).map(IpAddr::to_string));
                more(&mut list, addresses.len());
            }
        }
        Finding::Records(list.join(", "))
    }

    /// What it takes of a cache.
    pub(crate) fn octets(&self) -> usize {
        let data = match &self.data {
            Data::Mx(records) => records.iter().map(|(_, name)| octets_of(name)).sum(),
            Data::Addresses(addresses) => addresses.len() * size_of::<IpAddr>(),
            Data::NoRecord | Data::NoSuchName | Data::Alias => 0,
        };
        size_of::<Self>() + data + self.via.iter().map(octets_of).sum::<usize>()
    }
}

/// The octets of a name, with what a small vector may have beyond.
pub(crate) fn octets_of(name: &Name) -> usize {
    size_of::<Name>() + 2 * name.len()
}

/// How a message compares with a query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Comparison {
    /// It is no answer to this query.
    Stray,
    /// It would be one if not for the case of letters.
    CaseLost,
    /// It has no question, the right id, and says FORMERR or NOTIMP to EDNS.
    Bare,
    /// It is an answer.
    Ours,
}

/// RFC 5452 §9.1: id, name, class and type. Addresses and ports are compared by the socket.
pub(crate) fn compare(query: &[u8], edns: bool, octets: &[u8]) -> Comparison {
    let Some((header, rest)) = octets.split_at_checked(HEADER) else {
        return Comparison::Stray;
    };
    // The same id, an answer (QR), the standard opcode.
    if header[..2] != query[..2] || header[2] & 0xf8 != 0x80 {
        return Comparison::Stray;
    }
    let question = question(query);
    match u16::from_be_bytes([header[4], header[5]]) {
        // A server that can not read a question does not repeat it. Forged, it does no more than turn EDNS off.
        0 if edns && matches!(header[3] & 0x0f, FORMERR | NOTIMP) => Comparison::Bare,
        1 => match rest.get(..question.len()) {
            Some(repeated) if repeated == question => Comparison::Ours,
            // What is no letter in a question (lengths, type, class) is no letter in ASCII either.
            Some(repeated) if repeated.eq_ignore_ascii_case(question) => Comparison::CaseLost,
            _ => Comparison::Stray,
        },
        _ => Comparison::Stray,
    }
}

/// What an answer says that [`compare`] has found to be one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reading {
    Answer(Answer),
    Truncated,
    Unreadable,
    NoEdns,
    Failed(Failure),
}

pub(crate) fn read(query: &[u8], edns: bool, octets: &[u8], key: &Key, limits: &Limits) -> Reading {
    if octets.get(2).is_some_and(|flags| flags & TC != 0) {
        return Reading::Truncated;
    }
    let Some(sections) = Sections::read(octets, HEADER + question(query).len()) else {
        return Reading::Unreadable;
    };
    match sections.code {
        NOERROR | NXDOMAIN => sections.answer(key, limits).map_or_else(Reading::Failed, Reading::Answer),
        // RFC 6891 §7: so do servers speak that do not know EDNS.
        FORMERR_CODE | NOTIMP_CODE | BADVERS if edns => Reading::NoEdns,
        SERVFAIL => Reading::Failed(Failure::ServerFailure),
        REFUSED => Reading::Failed(Failure::Refused),
        code => Reading::Failed(Failure::Code(code)),
    }
}

/// The part of a message that matters here.
#[derive(Debug)]
struct Sections {
    code: u16,
    authenticated: bool,
    answers: Vec<Record>,
    /// There are records in the answer section, whatever they say.
    answered: bool,
    /// Owner and negative TTL of a SOA record in the authority section.
    soa: Option<(Name, u32)>,
    /// The authority section names servers: without a SOA record that is a referral.
    servers: bool,
}

#[derive(Debug)]
struct Record {
    owner: Name,
    ttl: u32,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Alias(Name),
    Mx(u16, Name),
    Address(IpAddr),
}

impl Sections {
    fn read(octets: &[u8], start: usize) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]));
        let (answers, authorities, additionals) = (word(6)?, word(8)?, word(10)?);
        let mut sections = Self {
            code: u16::from(*octets.get(3)? & 0x0f),
            authenticated: octets.get(3)? & AD != 0,
            answers: Vec::new(),
            answered: answers > 0,
            soa: None,
            servers: false,
        };
        let mut at = start;
        let all = u32::from(answers) + u32::from(authorities) + u32::from(additionals);
        for number in 0..all {
            let owner_at = at;
            // Each record takes eleven octets at least, so this ends with the message.
            at = behind_name(octets, at)?;
            let (kind, class) = (word(at)?, word(at + 2)?);
            let ttl = u32::from(word(at + 4)?) << 16 | u32::from(word(at + 6)?);
            let data_at = at + 10;
            let end = data_at + usize::from(word(at + 8)?);
            let data = octets.get(data_at..end)?;
            at = end;
            let section = if number < u32::from(answers) {
                Section::Answer
            } else if number < u32::from(answers) + u32::from(authorities) {
                Section::Authority
            } else {
                Section::Additional
            };
            match (section, RecordType::from(kind)) {
                // RFC 6891 §6.1.3: the upper bits of the code.
                (Section::Additional, RecordType::OPT) => sections.code |= (ttl >> 24 << 4) as u16,
                (Section::Additional, _) => {}
                _ if class != CLASS_IN => {}
                (Section::Answer, kind) => {
                    let Some(value) = Value::read(octets, kind, data_at, data)? else { continue };
                    let owner = name_at(octets, owner_at, at)?.0;
                    sections.answers.push(Record { owner, ttl: seconds(ttl), value });
                }
                (Section::Authority, RecordType::NS) => sections.servers = true,
                (Section::Authority, RecordType::SOA) if sections.soa.is_none() => {
                    // RFC 2308 §3: the smaller one of its TTL and its last field.
                    let minimum = u32::from_be_bytes(*data.last_chunk()?);
                    let owner = name_at(octets, owner_at, at)?.0;
                    sections.soa = Some((owner, seconds(ttl).min(seconds(minimum))));
                }
                (Section::Authority, _) => {}
            }
        }
        Some(sections)
    }

    fn answer(&self, key: &Key, limits: &Limits) -> Result<Answer, Failure> {
        let (mut via, mut ttl) = (Vec::new(), u32::MAX);
        let mut name = &key.0;
        let data = loop {
            if let Some((data, least)) = self.records(name, key.1, limits) {
                ttl = ttl.min(least);
                break data;
            }
            let alias = self.answers.iter().find_map(|record| match &record.value {
                Value::Alias(target) if record.owner == *name => Some((target, record.ttl)),
                _ => None,
            });
            let Some((target, least)) = alias else {
                let negative = match self.code {
                    // RFC 2308 §2.1: of the last name, not of the first.
                    NXDOMAIN => Data::NoSuchName,
                    _ if self.negative_ttl(name).is_some() => Data::NoRecord,
                    _ if !via.is_empty() => break Data::Alias,
                    // A referral, or records of others only: the server has not answered the question.
                    _ if self.servers || self.answered => return Err(Failure::Malformed),
                    _ => Data::NoRecord,
                };
                let ttl = self.negative_ttl(name).map(|least| ttl.min(least));
                return Ok(self.with(via, negative, ttl));
            };
            ttl = ttl.min(least);
            if *target == key.0 || via.contains(target) {
                return Err(Failure::AliasLoop);
            }
            if via.len() == limits.aliases {
                return Err(Failure::AliasChain);
            }
            via.push(target.clone());
            name = target;
        };
        Ok(self.with(via, data, Some(ttl)))
    }

    fn with(&self, via: Vec<Name>, data: Data, ttl: Option<u32>) -> Answer {
        let ttl = ttl.map(|ttl| Duration::from_secs(ttl.into()));
        Answer { via, data, ttl, authenticated: self.authenticated }
    }

    /// The records of a name, and the smallest of their TTLs (RFC 2181 §5.2).
    fn records(&self, name: &Name, kind: Kind, limits: &Limits) -> Option<(Data, u32)> {
        let own = self.answers.iter().filter(|record| record.owner == *name);
        let least = |least: Option<u32>, ttl: u32| Some(least.map_or(ttl, |least| least.min(ttl)));
        let mut ttl = None;
        let data = if kind == Kind::Mx {
            let mut exchanges = Vec::new();
            for record in own {
                if let Value::Mx(preference, exchange) = &record.value {
                    ttl = least(ttl, record.ttl);
                    exchanges.push((*preference, exchange.to_lowercase()));
                }
            }
            exchanges.sort();
            exchanges.dedup();
            exchanges.truncate(limits.records);
            Data::Mx(exchanges)
        } else {
            let mut addresses = Vec::new();
            for record in own {
                match record.value {
                    Value::Address(address) if address.is_ipv4() == (kind == Kind::A) => {
                        ttl = least(ttl, record.ttl);
                        addresses.push(address);
                    }
                    _ => {}
                }
            }
            addresses.sort();
            addresses.dedup();
            addresses.truncate(limits.records);
            Data::Addresses(addresses)
        };
        ttl.map(|ttl| (data, ttl))
    }

    /// Only a zone that the name is in can say that there is none.
    fn negative_ttl(&self, name: &Name) -> Option<u32> {
        self.soa.as_ref().filter(|(zone, _)| zone.zone_of(name)).map(|(_, ttl)| *ttl)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Section {
    Answer,
    Authority,
    Additional,
}

impl Value {
    /// The value of a record; `Some(None)` if its type does not matter, `None` if it can not be read.
    #[expect(clippy::option_option, reason = "absent and unreadable are two things")]
    fn read(octets: &[u8], kind: RecordType, at: usize, data: &[u8]) -> Option<Option<Self>> {
        let end = at + data.len();
        let whole =
            |at: usize| name_at(octets, at, end).and_then(|(name, behind)| (behind == end).then_some(name));
        Some(Some(match kind {
            RecordType::A => Self::Address(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            RecordType::AAAA => Self::Address(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
            RecordType::CNAME => Self::Alias(whole(at)?),
            RecordType::MX => Self::Mx(u16::from_be_bytes(*data.first_chunk()?), whole(at + 2)?),
            _ => return Some(None),
        }))
    }
}

/// Where the name at `at` ends, without following it.
fn behind_name(octets: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *octets.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            192.. => return octets.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

/// The name at `at`, and where it ends, which is at `end` or before.
fn name_at(octets: &[u8], at: usize, end: usize) -> Option<(Name, usize)> {
    if !is_short(octets, at) {
        return None;
    }
    let mut decoder = BinDecoder::new(octets.get(..end)?).clone(u16::try_from(at).ok()?);
    let name = Name::read(&mut decoder).ok()?;
    Some((name, decoder.index()))
}

/// Whether a name ends after few pointers. The decoder knows no bound but that each points further to the front, and a
/// message of such pointers would keep it busy for seconds.
fn is_short(octets: &[u8], mut at: usize) -> bool {
    let (mut labels, mut pointers) = (0, 0);
    while labels < 128 && pointers < POINTERS {
        match octets.get(at) {
            Some(0) => return true,
            Some(&length @ 1..=63) => {
                labels += 1;
                at += 1 + usize::from(length);
            }
            Some(&high @ 192..) => {
                let Some(&low) = octets.get(at + 1) else { return false };
                pointers += 1;
                at = usize::from(high & 0x3f) << 8 | usize::from(low);
            }
            _ => return false,
        }
    }
    false
}

/// The question of a query: its name, then type and class.
fn question(query: &[u8]) -> &[u8] {
    let end = behind_name(query, HEADER).map_or(query.len(), |end| end + 4);
    &query[HEADER.min(query.len())..end.min(query.len())]
}

/// RFC 2181 §8: a TTL with the highest bit set stands for zero.
const fn seconds(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

fn more(list: &mut Vec<String>, count: usize) {
    if count > SHOWN {
        list.push(format!("and {} more", count - SHOWN));
    }
}

const HEADER: usize = 12;
const TC: u8 = 0x02;
const AD: u8 = 0x20;
const CLASS_IN: u16 = 1;
const FORMERR: u8 = 1;
const NOTIMP: u8 = 4;
const NOERROR: u16 = 0;
const FORMERR_CODE: u16 = 1;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const NOTIMP_CODE: u16 = 4;
const REFUSED: u16 = 5;
const BADVERS: u16 = 16;
/// Every label of a name could be one.
const POINTERS: usize = 128;
/// How many records a step shows.
const SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// The decoder alone would follow thousands of them, for each name of a message.
    #[test]
    fn names_of_many_pointers_are_not_followed() {
        for (pointers, read) in [(1, true), (POINTERS - 1, true), (POINTERS, false), (5_000, false)] {
            let mut octets = vec![0, 0];
            for pointer in 0..pointers {
                octets.extend((0xc000 | (2 * pointer as u16)).to_be_bytes());
            }
            let end = octets.len();
            assert_eq!(name_at(&octets, end - 2, end), read.then(|| (Name::root(), end)), "{pointers}");
        }
    }

    #[test]
    fn pointers_lead_to_the_front_and_names_end_in_their_place() {
        assert_eq!(name_at(&[0xc0, 0], 0, 2), None);
        assert_eq!(name_at(&[0xc0, 2, 0], 0, 3), None);
        assert_eq!(name_at(&[1, b'a', 0], 0, 2), None, "it ends behind its record");
        assert_eq!(
            name_at(&[1, b'a', 0], 0, 3).map(|(name, end)| (show(&name), end)),
            Some(("a".to_owned(), 3))
        );
        assert_eq!(behind_name(&[1, b'a'], 0), None);
        assert_eq!(behind_name(&[0x40, b'a', 0], 0), None);
    }
}
