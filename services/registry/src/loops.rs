//! What a replica does without being asked: it follows, hears, judges, tells, saves and sweeps.

pub mod following;
pub mod hearing;
pub mod judging;
pub mod owning;
pub mod saving;
pub mod sweeping;
