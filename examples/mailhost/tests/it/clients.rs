//! IMAP clients that people have, each doing real work. What it saw is compared with what a second session, typed by
//! the test, finds in the mailboxes. The same work is done with Dovecot, so that a test is known to be right.

mod async_imap;
mod dovecot;
mod foreign;
mod imapclient;
mod imapflow;
mod imaplib;
mod server;
mod typed;
mod work;
