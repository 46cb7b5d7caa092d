//! What an index takes of memory.

/// Bytes on the heap, about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Terms, and which entries say them.
    pub terms: usize,
    /// Keys, and which terms each entry says.
    pub entries: usize,
    /// Vectors and their sketches.
    pub vectors: usize,
}

impl Memory {
    /// All of it.
    pub fn total(self) -> usize {
        self.terms + self.entries + self.vectors
    }
}
