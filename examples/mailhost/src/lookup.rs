//! Questions to DNS that a person wants answered, one by one: no cache, no plan. How mail finds its way is up to `mx-lookup`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Asks the first server that answers.
#[derive(Clone, Debug)]
pub struct Lookup {
    servers: Vec<SocketAddr>,
}

/// Why there is no answer, not even that there is nothing.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum LookupError {
    /// No server is known.
    #[error("no DNS server is known; name one in servers in [dns]")]
    NoServer,
    /// Nobody has answered in time.
    #[error("no DNS server has answered ({0})")]
    Silent(String),
    /// The servers cannot tell.
    #[error("the DNS server answers {0}")]
    Failed(String),
    /// The name cannot be asked for.
    #[error("{0} is no name that DNS knows")]
    Name(String),
}

impl Lookup {
    /// Asks these servers, in this order.
    pub fn new(servers: &[SocketAddr]) -> Self {
        Self { servers: servers.to_vec() }
    }

    /// Records of one type; none if there are none. A name that stands for another one is followed by the server.
    pub async fn records(&self, name: &str, of: RecordType) -> Result<Vec<RData>, LookupError> {
        let absolute = format!("{}.", name.trim_end_matches('.'));
        let asked = Name::from_ascii(&absolute).map_err(|_| LookupError::Name(name.to_owned()))?;
        let mut why = match &self.servers[..] {
            [] => LookupError::NoServer,
            servers => {
                let asked: Vec<_> = servers.iter().map(ToString::to_string).collect();
                LookupError::Silent(asked.join(", "))
            }
        };
        // A second round, for a datagram can get lost.
        for server in self.servers.iter().chain(&self.servers) {
            let Ok(Some(answer)) = timeout(PATIENCE, ask(*server, &asked, of)).await else { continue };
            match answer.metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => {
                    let found = answer.answers.into_iter().map(|record| record.data);
                    return Ok(found.filter(|data| data.record_type() == of).collect());
                }
                other => why = LookupError::Failed(other.to_string()),
            }
        }
        Err(why)
    }

    /// All addresses of a host, of both families.
    pub async fn addresses(&self, name: &str) -> Result<BTreeSet<IpAddr>, LookupError> {
        let (four, six) =
            tokio::join!(self.records(name, RecordType::A), self.records(name, RecordType::AAAA));
        let address = |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        Ok(four?.into_iter().chain(six?).filter_map(address).collect())
    }

    /// The hosts for the mail of a domain, with their preferences, in lower case and without a final dot.
    pub async fn mail_hosts(&self, domain: &str) -> Result<Vec<(u16, String)>, LookupError> {
        let found = self.records(domain, RecordType::MX).await?;
        let host = |data| match data {
            RData::MX(mx) => Some((mx.preference, plain(&mx.exchange))),
            _ => None,
        };
        let mut hosts: Vec<_> = found.into_iter().filter_map(host).collect();
        hosts.sort();
        Ok(hosts)
    }

    /// Texts, each put together from its parts.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError> {
        let found = self.records(name, RecordType::TXT).await?;
        let text = |data| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        };
        Ok(found.into_iter().filter_map(text).collect())
    }

    /// Where a service is: port and host. The root for a host says that there is no such service.
    pub async fn services(&self, name: &str) -> Result<Vec<(u16, String)>, LookupError> {
        let found = self.records(name, RecordType::SRV).await?;
        let service = |data| match data {
            RData::SRV(service) => Some((service.port, plain(&service.target))),
            _ => None,
        };
        Ok(found.into_iter().filter_map(service).collect())
    }

    /// The names that an address claims to have.
    pub async fn names(&self, address: IpAddr) -> Result<Vec<String>, LookupError> {
        let found = self.records(&reverse(address), RecordType::PTR).await?;
        let name = |data| match data {
            RData::PTR(name) => Some(plain(&name.0)),
            _ => None,
        };
        Ok(found.into_iter().filter_map(name).collect())
    }
}

/// The name under which DNS keeps the names of an address (RFC 1035 §3.5; for IPv6 by nibbles).
pub fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            let mut name: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            name.push_str("ip6.arpa");
            name
        }
    }
}

/// In lower case and without its final dot; empty for the root.
fn plain(name: &Name) -> String {
    name.to_ascii().to_ascii_lowercase().trim_end_matches('.').to_owned()
}

async fn ask(server: SocketAddr, name: &Name, of: RecordType) -> Option<Message> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).ok()?;
    let mut question = Message::new(u16::from_ne_bytes(id), MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), of));
    let mut edns = Edns::new();
    edns.set_max_payload(LARGEST);
    question.edns = Some(edns);
    let octets = question.to_vec().ok()?;
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await.ok()?;
    // Connected, it takes nothing from other addresses.
    socket.connect(server).await.ok()?;
    socket.send(&octets).await.ok()?;
    let mut room = [0; LARGEST as usize];
    let answer = loop {
        let length = socket.recv(&mut room).await.ok()?;
        if let Some(answer) = fitting(&room[..length], &question) {
            break answer;
        }
    };
    if !answer.metadata.truncation {
        return Some(answer);
    }
    let mut stream = TcpStream::connect(server).await.ok()?;
    let length = u16::try_from(octets.len()).ok()?;
    stream.write_all(&[&length.to_be_bytes()[..], &octets].concat()).await.ok()?;
    let mut room = vec![0; usize::from(stream.read_u16().await.ok()?)];
    stream.read_exact(&mut room).await.ok()?;
    fitting(&room, &question)
}

fn fitting(octets: &[u8], question: &Message) -> Option<Message> {
    let answer = Message::from_vec(octets).ok()?;
    let fits = answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && (answer.queries.is_empty() || answer.queries == question.queries);
    fits.then_some(answer)
}

/// How long a server may take.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// An answer that fits into a datagram everywhere (RFC 6891 §6.2.5 leaves the number to us).
const LARGEST: u16 = 1_232;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_names_in_the_reverse_tree() {
        assert_eq!(reverse("192.0.2.7".parse().unwrap()), "7.2.0.192.in-addr.arpa");
        let expected = "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        assert_eq!(reverse("2001:db8::5".parse().unwrap()), expected);
    }
}
