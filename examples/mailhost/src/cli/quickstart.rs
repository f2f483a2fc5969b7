//! `mailhost quickstart`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use smtp_codec::{Domain, Mailbox};

/// A host of one's own, from nothing.
#[derive(Args, Clone, Debug)]
pub struct Quickstart {
    /// The first mail address; its domain becomes the domain of the host.
    #[arg(value_parser = super::address)]
    pub address: Mailbox<'static>,
    /// The folder for configuration, mail and all else. What is there already is left alone.
    #[arg(long, value_name = "DIR", default_value = "mailhost")]
    pub dir: PathBuf,
    /// The name of this machine on the Internet. Without this: mail. and the domain.
    #[arg(long, value_name = "NAME", value_parser = hostname)]
    pub hostname: Option<Domain<'static>>,
    /// The ports: 25, 587 and so on, or 2525, 2587 and so on, which take no root.
    #[arg(long, value_enum, default_value_t = Ports::Auto)]
    pub ports: Ports,
    /// An address to listen on. Without this: all that the machine has.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<IpAddr>,
    /// A public address of this machine, for DNS, if it is not to be seen here, as behind a router.
    #[arg(long, value_name = "ADDRESS")]
    pub public: Vec<IpAddr>,
    /// As root: the user that the host becomes.
    #[arg(long, value_name = "NAME", default_value = "mailhost")]
    pub user: String,
    /// A DNS server to ask, now and later. Without this: those of the system.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub dns: Vec<SocketAddr>,
    /// Ask no other host anything: neither DNS nor whether mail can go out.
    #[arg(long)]
    pub offline: bool,
    /// Where to try whether mail can go out: a host that takes mail from everybody.
    #[arg(long, value_parser = super::probe, value_name = "HOST:PORT", hide = true)]
    pub probe: Option<(String, u16)>,
}

/// Which ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Ports {
    /// The low ones where they can be had, or else the high ones.
    Auto,
    /// Those that everybody expects.
    Low,
    /// Those, and 2,000 added or so.
    High,
}

fn hostname(text: &str) -> Result<Domain<'static>, String> {
    let lower = text.to_ascii_lowercase();
    match Domain::parse(&lower) {
        Ok(domain) if !domain.is_literal() && lower.contains('.') => Ok(domain.into_owned()),
        _ => Err("not the full name of a machine; write it as mail.example.org".to_owned()),
    }
}
