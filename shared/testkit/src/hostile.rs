//! Hostile callers: input made from the contract's own schemas with junk in one place, bodies that are
//! no requests, headers and names that nobody would choose in good faith.
//!
//! What is checked of every answer: there is one; the fault is the caller's, and names the field that
//! is wrong; and the next good request is served.

mod chance;
mod checks;
pub mod junk;
pub mod wire;

pub use chance::Chance;
pub use checks::{Hostile, check_fault};
pub use wire::{Answer, Wire};
