//! Where things go that are not in the log: the only modules that know object storage.

pub mod archive;
