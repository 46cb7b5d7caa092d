//! The rules of one shard: pure. What merges is in `troupe-crdt`; here is what a service adds: who may
//! bring what, what is kept for whom, what is told.

pub mod apply;
pub mod dispatching;
pub mod editing;
pub mod execute;
pub mod history;
pub mod keeping;
pub mod machine;
pub mod memory;
pub mod merging;
pub mod notice;
pub mod nouns;
pub mod object;
pub mod outbox;
pub mod reading;
pub mod record;
pub mod request;
pub mod resolving;
pub mod snapshot;
pub mod state;
#[cfg(test)]
mod tests;
pub mod wanted;
