//! The hash of a document's state, kept up to date as the state changes.
//!
//! It is a sum over the hashes of all that the document holds, so that adding or removing a value costs
//! one hash, and the order in which things came does not matter. It finds defects and damage. It is no
//! proof against somebody who looks for two states with one sum: whoever lies about history is found by
//! the chains, whose heads are part of the final hash.

use std::fmt;

use sha2::{Digest as _, Sha256};

const LANES: usize = 4;

/// A sum of hashes, in four lanes of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum([u64; LANES]);

impl Sum {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for (lane, part) in self.0.iter_mut().zip(lanes(bytes)) {
            *lane = lane.wrapping_add(part);
        }
    }

    pub(crate) fn remove(&mut self, bytes: &[u8]) {
        for (lane, part) in self.0.iter_mut().zip(lanes(bytes)) {
            *lane = lane.wrapping_sub(part);
        }
    }

    pub(crate) fn bytes(&self) -> [u8; 8 * LANES] {
        let mut bytes = [0; 8 * LANES];
        for (chunk, lane) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&lane.to_be_bytes());
        }
        bytes
    }
}

fn lanes(bytes: &[u8]) -> [u64; LANES] {
    let hash = Sha256::digest(bytes);
    let mut lanes = [0; LANES];
    for (lane, chunk) in lanes.iter_mut().zip(hash.chunks_exact(8)) {
        *lane = chunk.iter().fold(0, |lane, byte| lane << 8 | u64::from(*byte));
    }
    lanes
}

/// The hash of a document's state: equal at equal version vectors, or something is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateHash([u8; 32]);

impl StateHash {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
