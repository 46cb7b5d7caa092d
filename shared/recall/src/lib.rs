//! Finds entries by their words and by their meaning.
//!
//! An [`Index`] holds, for each entry, the words it says (BM25) and the vector of what it means, and
//! fuses both in one search. Invariants: what was put is found by the next search, and what was
//! removed is nowhere at once, neither its words nor its vector; an index after any changes answers
//! like one that was made of what is left; every result passed the filter of its search; and nothing
//! here performs I/O, reads a clock or draws a random number.

mod best;
mod cursor;
mod dictionary;
mod entries;
mod index;
mod lexical;
mod memory;
mod near;
mod postings;
mod prior;
mod query;
mod rows;
mod search;
mod semantic;
mod settings;
mod sketch;
mod vector;
mod words;

pub use index::{Index, Words};
pub use memory::Memory;
pub use near::{NEAR_MAX, Near, NearSettings, Relation};
pub use prior::recency;
pub use query::{Found, Hit, Parts, Query, RESULTS_MAX, Scan};
pub use settings::Settings;
pub use troupe_intent::cache::Difference;
pub use vector::{DIMENSIONS_MAX, Vector};
pub use words::{CONTEXT_MAX_BYTES, TERM_MAX_BYTES, context};
