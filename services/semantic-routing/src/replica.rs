//! What runs in a replica beside the requests: who waits for messages, what comes in over streams.

pub mod admission;
pub mod hints;
pub mod ingress;
pub mod unfit;
pub mod waiters;
