//! Every bound, as data.

use crate::scram::Iterations;

/// Bounds on what a peer may send.
///
/// A session keeps one message of each side at most: its memory is four times [`Limits::message`] in the worst case.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) message: usize,
    pub(crate) name: usize,
    pub(crate) password: usize,
    pub(crate) nonce: usize,
    pub(crate) salt: usize,
    pub(crate) iterations: (u32, u32),
}

impl Limits {
    /// The longest message in octets, base64 decoded; a longer one ends the exchange.
    ///
    /// Default 9,216: what the 12,288 octets of a line hold that
    /// [RFC 4954 §4](https://www.rfc-editor.org/rfc/rfc4954#section-4) demands.
    pub const fn message(mut self, octets: usize) -> Self {
        self.message = octets;
        self
    }

    /// The longest name in octets, for each of the two identities.
    ///
    /// Default 320: a mail address.
    pub const fn name(mut self, octets: usize) -> Self {
        self.name = octets;
        self
    }

    /// The longest password in octets that a server takes with PLAIN and LOGIN.
    ///
    /// Default 1,024; whoever hashes it works in proportion.
    pub const fn password(mut self, octets: usize) -> Self {
        self.password = octets;
        self
    }

    /// The longest nonce in octets; for a client, of both sides together.
    ///
    /// Default 512; ours have 24.
    pub const fn nonce(mut self, octets: usize) -> Self {
        self.nonce = octets;
        self
    }

    /// The longest salt in octets that a client takes.
    ///
    /// Default 256; ours have 16.
    pub const fn salt(mut self, octets: usize) -> Self {
        self.salt = octets;
        self
    }

    /// The least and the most iterations that a client lets a server ask for.
    ///
    /// Default 4,096 to 600,000. Fewer make the password easier to guess for whoever sees the exchange, a false server
    /// first of all ([RFC 7677 §4](https://www.rfc-editor.org/rfc/rfc7677#section-4)): there is no way below 4,096. More
    /// are work for the client: 600,000 take about a third of a second.
    pub const fn iterations(mut self, least: Iterations, most: Iterations) -> Self {
        self.iterations = (least.get(), most.get());
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 9_216,
            name: 320,
            password: 1_024,
            nonce: 512,
            salt: 256,
            iterations: (4_096, 600_000),
        }
    }
}
