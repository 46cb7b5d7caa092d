//! The rules of messaging and routing: pure, synchronous, without I/O. Time and chance are arguments.

pub mod balance;
pub mod breaker;
pub mod cache_index;
pub mod filter;
pub mod performance;
pub mod recent;
pub mod resolve;
pub mod routes;
pub mod score;
pub mod utterance;
