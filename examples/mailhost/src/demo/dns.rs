//! An authoritative DNS server for the tour: a handful of records, over UDP, on a thread of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, MX, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// A domain with one mail host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zone {
    pub(super) domain: &'static str,
    pub(super) host: &'static str,
    pub(super) address: Ipv4Addr,
}

/// The server; what it was asked can be read off it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers for these domains until the process ends.
    pub(super) fn start(zones: &'static [Zone]) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            let mut octets = [0; 4_096];
            while let Ok((length, peer)) = socket.recv_from(&mut octets) {
                let Ok(question) = Message::from_vec(&octets[..length]) else { continue };
                let (answer, line) = answer(&question, zones);
                log.lock().unwrap_or_else(PoisonError::into_inner).extend(line);
                if let Ok(wire) = answer.to_vec() {
                    let _ = socket.send_to(&wire, peer);
                }
            }
        });
        Ok(Self { address, asked })
    }

    /// What was asked since the last call, and what was answered.
    pub(super) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn answer(question: &Message, zones: &[Zone]) -> (Message, Option<String>) {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.authoritative = true;
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    let Some(query) = question.queries.first() else {
        answer.metadata.response_code = ResponseCode::FormErr;
        return (answer, None);
    };
    answer.add_query(query.clone());
    let name = query.name().to_ascii().to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    let zone = zones.iter().find(|zone| name == zone.domain || name.ends_with(&format!(".{}", zone.domain)));
    let found = match zone {
        Some(zone) if name == zone.domain && query.query_type() == RecordType::MX => {
            Name::from_ascii(format!("{}.", zone.host)).ok().map(|host| RData::MX(MX::new(10, host)))
        }
        Some(zone) if name == zone.host && query.query_type() == RecordType::A => {
            Some(RData::A(A(zone.address)))
        }
        _ => None,
    };
    let said = match (&found, zone) {
        (Some(data), _) => {
            answer.add_answer(Record::from_rdata(query.name().clone(), TTL, data.clone()));
            data.to_string()
        }
        (None, Some(zone)) => {
            if name != zone.domain && name != zone.host {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            // RFC 2308 §3: without this nobody may remember that there is nothing.
            let parts =
                (Name::from_ascii(format!("{}.", zone.domain)), Name::from_ascii(format!("{}.", zone.host)));
            if let (Ok(domain), Ok(host)) = parts {
                let soa = SOA::new(host.clone(), host, 1, 60, 60, 600, 60);
                answer.add_authority(Record::from_rdata(domain, TTL, RData::SOA(soa)));
            }
            "nothing".to_owned()
        }
        (None, None) => {
            answer.metadata.response_code = ResponseCode::Refused;
            "not my domain".to_owned()
        }
    };
    (answer, Some(format!("{name} {}? {said}", query.query_type())))
}

const TTL: u32 = 60;
