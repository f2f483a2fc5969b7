//! Seeds that once showed a defect, replays, and planted defects.

mod planted;
mod seeds;
