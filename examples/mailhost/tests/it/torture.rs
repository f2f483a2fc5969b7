//! The real program under SIGKILL, failing disks and full disks. `cargo xtask torture` runs these for longer.

pub(crate) mod faults;
mod kill;
