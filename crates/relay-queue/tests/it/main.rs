//! What the queue does, through the public API, under a clock that is set.

mod clock;
mod crash;
mod operator;
mod random;
mod reports;
mod schedule;
mod sites;
mod window;
mod world;
