//! Behaviour through the public interface.

mod hostile;
mod interop;
mod matrix;
mod properties;
mod support;
mod vectors;
