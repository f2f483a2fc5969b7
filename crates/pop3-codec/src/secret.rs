//! Octets of a login, which are overwritten when they are no longer needed, and never printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What was decoded, or what is kept until it can be sent.
#[derive(Default)]
pub(crate) struct Secret(pub(crate) Vec<u8>);

impl Secret {
    /// Takes the octets that base64 stands for; false if it is none.
    pub(crate) fn decode(&mut self, text: &[u8]) -> bool {
        self.wipe();
        STANDARD.decode_vec(text, &mut self.0).is_ok()
    }

    pub(crate) fn wipe(&mut self) {
        if !self.0.is_empty() {
            self.0.fill(0);
            // Or else the compiler may leave out a write to what nobody reads again.
            core::hint::black_box(&mut self.0);
            self.0 = Vec::new();
        }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}
