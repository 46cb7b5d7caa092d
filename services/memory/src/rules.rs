//! The rules of memory: pure, with time and chance as arguments.
//!
//! The state is a fold of [`record`]s. [`creating`] remembers, [`changing`] corrects, [`retracting`]
//! takes back and deletes, [`searching`] and [`reading`] find; [`decay`] says what importance, age and
//! use do; [`work`] says what is to be done beside requests, and [`tiering`] takes in what was done.

pub mod apply;
pub mod changing;
pub mod checking;
pub mod creating;
pub mod decay;
pub mod entry;
pub mod execute;
pub mod history;
pub mod machine;
pub mod moving;
pub mod notice;
pub mod quarantine;
pub mod reading;
pub mod record;
pub mod recovering;
pub mod request;
pub mod retracting;
pub mod searching;
pub mod snapshot;
pub mod space;
pub mod state;
pub mod text;
pub mod tiering;
pub mod tombstone;
pub mod work;

#[cfg(test)]
mod tests;
