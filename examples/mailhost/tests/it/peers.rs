//! Foreign programs on the other side: clients that people use, and whole mail hosts.

mod client_send;
mod curl;
pub(crate) mod daemon;
mod exchange;
mod exim;
mod msmtp;
pub(crate) mod mta;
mod openssl;
mod postfix;
mod swaks;

use mailhost::listener::Service;

use crate::support::{Host, Site, Wire};

/// A POP3 session behind its login, under TLS.
#[track_caller]
fn maildrop(site: &Site, host: &Host, login: &str) -> Wire {
    let mut wire = Wire::connect(host.address(Service::Pop3s)).start_tls(&site.tls());
    wire.expect("+OK");
    wire.log_in_pop3(login);
    wire
}
