//! Queries: what a driver sends.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Question};
use hickory_proto::rr::{Name, RecordType};

use crate::random::Random;

/// A query for the driver to send, and to hand back to [`Resolver::handle_answer`](crate::Resolver::handle_answer).
///
/// Each goes out from a socket of its own (RFC 5452 §9.2), which reads until an answer has been accepted or
/// [`deadline`](Self::deadline) is over. By TCP, two octets with the length stand in front of the payload and of the answer
/// (RFC 1035 §4.2.2); neither is part of it here.
#[derive(Debug, Eq, PartialEq)]
pub struct Query {
    pub(crate) flight: u64,
    pub(crate) serial: u64,
    pub(crate) server: usize,
    pub(crate) address: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) payload: Bytes,
    pub(crate) edns: bool,
    pub(crate) deadline: Duration,
    pub(crate) source_port: u16,
    pub(crate) strays: u32,
}

impl Query {
    /// The server to ask.
    pub const fn server(&self) -> SocketAddr {
        self.address
    }

    /// How to ask it.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The message to send.
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Until when to wait for the answer, on the scale of `now`. Connecting counts.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// A port to send from, 1024 or higher, as random as the rest of the query.
    ///
    /// It is a hint for who simulates, or whose system gives out ports in order. Others bind port 0: Linux and the BSDs
    /// choose at random.
    pub const fn source_port(&self) -> u16 {
        self.source_port
    }
}

/// How a query travels.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// In a connection of its own.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// What can be asked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Mx,
    A,
    Aaaa,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Mx => "MX",
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }

    const fn record_type(self) -> RecordType {
        match self {
            Self::Mx => RecordType::MX,
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
        }
    }
}

/// A question. Names are compared without case.
pub(crate) type Key = (Name, Kind);

/// The message that asks, with a fresh id, and with letters of random case.
pub(crate) fn encode(key: &Key, edns: Option<u16>, random_case: bool, random: &mut Random) -> Bytes {
    // RFC 5452 §9.2: the full range of ids.
    let id = random.bits() as u16;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    // AD in a query asks to see it in the answer.
    message.metadata.authentic_data = true;
    let name = if random_case { mix_case(&key.0, random) } else { key.0.clone() };
    message.add_query(Question::query(name, key.1.record_type()));
    if let Some(payload) = edns {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    message.to_vec().expect("a question of one name is a message").into()
}

/// One bit a letter that a forger has to guess besides id and port.
fn mix_case(name: &Name, random: &mut Random) -> Name {
    let mut bits = (random.bits(), 32);
    let labels = name.iter().map(|label| {
        let mixed = label.iter().map(|octet| {
            if bits.1 == 0 {
                bits = (random.bits(), 32);
            }
            let upper = bits.0 & 1 == 1;
            bits = (bits.0 >> 1, bits.1 - 1);
            if upper { octet.to_ascii_uppercase() } else { octet.to_ascii_lowercase() }
        });
        mixed.collect::<Vec<u8>>()
    });
    let labels: Vec<_> = labels.collect();
    Name::from_labels(labels).expect("labels and length are as before")
}
