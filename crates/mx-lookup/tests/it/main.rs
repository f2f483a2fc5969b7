//! The resolver against a virtual DNS under a virtual clock.

mod cache;
mod cases;
mod forgery;
mod limits;
mod properties;
mod servers;
mod shared;
mod trace;
mod world;
