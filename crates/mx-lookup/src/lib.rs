//! From a mail domain to an ordered delivery plan, without I/O.
#![forbid(unsafe_code)]
