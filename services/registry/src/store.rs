//! Where the registry keeps what must outlive it: agents in a stream, signs of life in a hot tier.

pub mod agents;
pub mod mailboxes;
pub mod record;
pub mod redis;
