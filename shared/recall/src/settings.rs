//! What a search weighs, with the values that were measured best.

/// Settings of an index. The defaults were chosen on conversations and on the shipped set; see
/// `troupe bench memory`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// BM25: how soon a repeated word adds little.
    pub k1: f32,
    /// BM25: how much a long entry pays for its length, 0 to 1.
    pub b: f32,
    /// The share of the words in the score; the rest is the meaning's. 0 to 1.
    pub lexical_weight: f32,
    /// The cosine that counts as nothing.
    pub cosine_floor: f32,
    /// How much an entry gains from the better one of those right before and after it. 0 to 1.
    pub neighbour_weight: f32,
    /// Whether year, month, day and weekday of an entry are words of it.
    pub date_words: bool,
    /// Vectors up to which every one is looked at in full.
    pub exact_up_to: usize,
    /// Above that: how many of the nearest sketches are looked at in full, at least.
    pub rescored: usize,
    /// Candidates that each of the two ways brings, at least.
    pub candidates_min: usize,
    /// And for each result that is asked for.
    pub candidates_per_result: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            k1: 1.2,
            b: 0.75,
            lexical_weight: 0.5,
            cosine_floor: 0.0,
            neighbour_weight: 0.25,
            date_words: true,
            exact_up_to: 20_000,
            rescored: 1_000,
            candidates_min: 100,
            candidates_per_result: 4,
        }
    }
}
