//! Seeds that once showed a defect, replays, and planted defects.

mod imap;
mod planted;
mod seeds;
mod web;
