//! `troupe bench routing`: how well and how fast messages find who can act.

pub mod peer;
pub mod sets;
