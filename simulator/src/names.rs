//! The name servers of the world: one tree of names, of which some branches are rotten.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, MX, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use mailhost::system::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::dice::Dice;
use crate::network::lock;

/// What there is at a name.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Preference and name; the empty name is that of a null MX.
    pub mx: Vec<(u16, String)>,
    /// Addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Another name for all of it.
    pub alias: Option<String>,
    /// How it fails instead.
    pub fault: Option<Fault>,
}

/// How a name fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// SERVFAIL.
    ServFail,
    /// No answer.
    Silent,
    /// An answer for UDP is always too large.
    Truncated,
}

/// The tree.
#[derive(Clone, Debug)]
pub struct Names(Arc<Mutex<Tree>>);

#[derive(Debug)]
struct Tree {
    entries: BTreeMap<String, Entry>,
    dice: Dice,
    /// Lifetime of records in seconds.
    ttl: u32,
    asked: u64,
    failed: u64,
}

impl Names {
    /// A tree of these names.
    pub fn new(seed: u64, entries: BTreeMap<String, Entry>) -> Self {
        let mut dice = Dice::new(seed, "names");
        let ttl = *dice.pick(&[60, 300, 3_600]);
        Self(Arc::new(Mutex::new(Tree { entries, dice, ttl, asked: 0, failed: 0 })))
    }

    /// Sets or ends the fault of a name.
    pub fn set_fault(&self, name: &str, fault: Option<Fault>) {
        if let Some(entry) = lock(&self.0).entries.get_mut(name) {
            entry.fault = fault;
        }
    }

    /// How many questions there were, and how many were answered badly or not at all.
    pub fn counts(&self) -> (u64, u64) {
        let tree = lock(&self.0);
        (tree.asked, tree.failed)
    }

    /// The answer to a question; `None` if there is none.
    pub fn answer(&self, question: &[u8], udp: bool) -> Option<Vec<u8>> {
        lock(&self.0).answer(question, udp)
    }

    /// Answers on a stream, until it ends.
    pub async fn serve(self, mut stream: Stream) {
        while let Ok(length) = stream.read_u16().await {
            let mut question = vec![0; usize::from(length)];
            if stream.read_exact(&mut question).await.is_err() {
                return;
            }
            let Some(answer) = self.answer(&question, false) else { return };
            let length = u16::try_from(answer.len()).unwrap_or(u16::MAX).to_be_bytes();
            if stream.write_all(&[&length[..], &answer].concat()).await.is_err() {
                return;
            }
        }
    }
}

impl Tree {
    fn answer(&mut self, question: &[u8], udp: bool) -> Option<Vec<u8>> {
        self.asked += 1;
        let question = Message::from_vec(question).ok()?;
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.message_type = MessageType::Response;
        answer.metadata.recursion_available = true;
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        let query = question.queries.first()?;
        answer.add_query(query.clone());
        let mut name = query.name().to_ascii().to_ascii_lowercase().trim_end_matches('.').to_owned();
        for _ in 0..8 {
            let Some(entry) = self.entries.get(&name) else {
                answer.metadata.response_code = ResponseCode::NXDomain;
                break;
            };
            match entry.fault {
                Some(Fault::Silent) => {
                    self.failed += 1;
                    return None;
                }
                Some(Fault::ServFail) => {
                    self.failed += 1;
                    answer.metadata.response_code = ResponseCode::ServFail;
                    return answer.to_vec().ok();
                }
                Some(Fault::Truncated) if udp => {
                    self.failed += 1;
                    answer.metadata.truncation = true;
                    return answer.to_vec().ok();
                }
                _ => {}
            }
            let owner = Name::from_ascii(format!("{name}.")).ok()?;
            let record = |data| Record::from_rdata(owner.clone(), self.ttl, data);
            if let Some(alias) = &entry.alias {
                let target = Name::from_ascii(format!("{alias}.")).ok()?;
                answer.add_answer(record(RData::CNAME(CNAME(target))));
                name.clone_from(alias);
                continue;
            }
            match query.query_type() {
                RecordType::MX => {
                    let mut order: Vec<_> = entry.mx.iter().collect();
                    if order.len() > 1 {
                        let by = self.dice.index(order.len());
                        order.rotate_left(by);
                    }
                    for (preference, host) in order {
                        let host = Name::from_ascii(format!("{host}.")).ok()?;
                        answer.add_answer(record(RData::MX(MX::new(*preference, host))));
                    }
                }
                RecordType::A => {
                    for address in &entry.addresses {
                        answer.add_answer(record(RData::A(A(*address))));
                    }
                }
                _ => {}
            }
            break;
        }
        let empty = !answer.answers.iter().any(|record| record.record_type() == query.query_type());
        if empty && let Some((_, top)) = name.rsplit_once('.') {
            let zone = Name::from_ascii(format!("{top}.")).ok()?;
            let soa = SOA::new(zone.clone(), zone.clone(), 1, 60, 60, 600, 60);
            answer.add_authority(Record::from_rdata(zone, 60, RData::SOA(soa)));
        }
        answer.to_vec().ok()
    }
}

/// The name servers.
pub const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 53, 0, 1), Ipv4Addr::new(10, 53, 0, 2)];

/// Their addresses with their port.
pub fn servers() -> [SocketAddr; 2] {
    SERVERS.map(|server| SocketAddr::new(IpAddr::V4(server), PORT))
}

/// How long a server thinks.
pub const THOUGHT: Duration = Duration::from_millis(2);
/// The port of DNS.
pub const PORT: u16 = 53;
