//! What runs in a replica beside the requests: who waits for messages, what comes in over streams.

pub mod hints;
pub mod waiters;
