//! LITERAL+ and LITERAL-: literals that do not wait. [RFC 7888](https://www.rfc-editor.org/rfc/rfc7888).

use crate::encode::Literals;
use crate::extension::{Extension, Extensions};

/// The largest literal in octets that LITERAL- lets a client send without waiting: RFC 7888 §5.
pub(crate) const SMALL: u64 = 4_096;

/// Whether a literal of this size may come without being asked for.
pub(crate) const fn may_come(extensions: Extensions, size: u64) -> bool {
    extensions.has(Extension::LiteralPlus) || extensions.has(Extension::LiteralMinus) && size <= SMALL
}

/// How a client announces literals to a server with these extensions.
pub(crate) const fn announced_by(extensions: Extensions) -> Literals {
    if extensions.has(Extension::LiteralPlus) {
        Literals::NonSynchronizing
    } else if extensions.has(Extension::LiteralMinus) {
        Literals::Minus
    } else {
        Literals::Synchronizing
    }
}
