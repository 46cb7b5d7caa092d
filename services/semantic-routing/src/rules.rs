//! The rules of messaging and routing: pure, synchronous, without I/O. Time and chance are arguments.

pub mod acking;
pub mod apply;
pub mod balance;
pub mod breaker;
pub mod cache_index;
pub mod catalogue;
pub mod entering;
pub mod filter;
pub mod firing;
pub mod flow;
pub mod following;
pub mod handing_on;
pub mod hint;
pub mod ingress;
pub mod machine;
pub mod mailbox;
pub mod memory;
pub mod notice;
pub mod offers;
pub mod outbox;
pub mod performance;
pub mod posting;
pub mod pulling;
pub mod reads;
pub mod recent;
pub mod record;
pub mod request;
pub mod resolve;
pub mod routes;
pub mod score;
pub mod sending;
pub mod snapshot;
pub mod state;
pub mod talking;
pub mod timers;
pub mod topics;
pub mod unfit;
pub mod utterance;
pub mod verdict;

#[cfg(test)]
mod messaging_tests;
