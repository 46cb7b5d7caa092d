//! What is asked of an index, and what it answers.

use crate::Vector;

/// Results that can be paged through.
pub const RESULTS_MAX: usize = 1_000;

/// A search.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// In the words of whoever asks; may be empty.
    pub text: &'a str,
    /// What the text means. Without it words decide alone.
    pub vector: Option<&'a Vector>,
    /// Results on this page.
    pub limit: usize,
    /// Results on the pages before. Together at most [`RESULTS_MAX`].
    pub offset: usize,
}

/// A page of results.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<K> {
    /// The best first.
    pub hits: Vec<Hit<K>>,
    /// Whether there is another page.
    pub more: bool,
    /// How the vectors were looked at.
    pub scan: Scan,
}

/// How vectors were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// Not at all: the question or the entries have none.
    None,
    /// Every one in full.
    Exact,
    /// Every sketch, and the nearest in full.
    Sketch,
}

/// A result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit<K> {
    /// Which entry.
    pub key: K,
    /// 0 to 1.
    pub score: f32,
    /// How the score came to be.
    pub parts: Parts,
}

/// How a score came to be. `score = (fused + w · neighbour) ÷ (1 + w) · prior`, where `fused` weighs
/// `lexical` and `semantic`, and w is the neighbours' weight (none where nobody has neighbours).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Parts {
    /// The words: 1 for the entry whose words fit best.
    pub lexical: f32,
    /// The meaning: 1 for the nearest entry.
    pub semantic: f32,
    /// The better one of the entries right before and after.
    pub neighbour: f32,
    /// What the filter made of the entry.
    pub prior: f32,
    /// The words' score before it was put into relation.
    pub bm25: f32,
    /// The cosine, where both have a vector.
    pub cosine: Option<f32>,
}
