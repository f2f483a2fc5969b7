//! IMAP and POP3 clients that people have, each doing real work. What it saw is compared with what a second session, typed by
//! the test, finds in the mailboxes. The same work is done with Dovecot, so that a test is known to be right.

mod archive;
mod async_imap;
mod collect;
mod command;
mod curl;
mod differential;
mod dovecot;
mod fetchmail;
mod foreign;
mod imapclient;
mod imapflow;
mod imaplib;
mod maildir;
mod mbsync;
mod neomutt;
mod offlineimap;
mod server;
mod two_ways;
mod typed;
mod work;
