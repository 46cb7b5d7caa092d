//! What knows Redis and object storage.

pub mod cold;
pub mod hot;
