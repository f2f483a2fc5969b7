//! Who is tried when, retried, expired, bounced: a mail queue without I/O.
#![forbid(unsafe_code)]
