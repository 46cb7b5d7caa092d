//! What a ranking is worth.

use std::collections::BTreeSet;

use serde::Serialize;

/// Results that are looked at; evidence behind them counts as not found.
pub(super) const RANKED: usize = 100;

/// Means over questions.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Scores {
    /// The share of the evidence among the first five.
    pub recall_at_5: f64,
    /// The share of the evidence among the first ten.
    pub recall_at_10: f64,
    /// The same, where earlier counts for more; 1 if all of it comes first.
    pub ndcg_at_10: f64,
    /// 1 ÷ the rank of the first evidence.
    pub mrr: f64,
}

/// Where the evidence for one question came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranks {
    /// The first is 0.
    found: Vec<usize>,
    /// How much evidence there is.
    wanted: usize,
}

impl Ranks {
    /// Of a ranking of groups, in which each counts where it comes first.
    pub(super) fn of<'a>(
        ranking: impl Iterator<Item = &'a str>,
        evidence: &BTreeSet<String>,
    ) -> Self {
        let mut seen = BTreeSet::new();
        let groups = ranking.filter(|group| seen.insert(*group));
        let found = groups.enumerate().filter(|(_, group)| evidence.contains(*group));
        Self { found: found.map(|(rank, _)| rank).collect(), wanted: evidence.len() }
    }

    fn recall(&self, k: usize) -> f64 {
        let found = self.found.iter().filter(|rank| **rank < k).count();
        found as f64 / self.wanted.max(1) as f64
    }

    fn ndcg(&self, k: usize) -> f64 {
        let gain = |rank: usize| 1.0 / ((rank + 2) as f64).log2();
        let found: f64 = self.found.iter().filter(|rank| **rank < k).map(|rank| gain(*rank)).sum();
        let ideal: f64 = (0..self.wanted.min(k)).map(gain).sum();
        if ideal > 0.0 { found / ideal } else { 0.0 }
    }
}

impl Scores {
    /// The means.
    pub(super) fn of(ranks: &[Ranks]) -> Self {
        let mean = |score: &dyn Fn(&Ranks) -> f64| {
            ranks.iter().map(score).sum::<f64>() / ranks.len().max(1) as f64
        };
        Self {
            recall_at_5: mean(&|ranks| ranks.recall(5)),
            recall_at_10: mean(&|ranks| ranks.recall(10)),
            ndcg_at_10: mean(&|ranks| ranks.ndcg(10)),
            mrr: mean(&|ranks| ranks.found.first().map_or(0.0, |rank| 1.0 / (rank + 1) as f64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(ranking: &str, evidence: &str) -> Ranks {
        let evidence = evidence.split_whitespace().map(str::to_owned).collect();
        Ranks::of(ranking.split_whitespace(), &evidence)
    }

    #[test]
    fn scores_are_what_their_names_say() {
        let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        let first = Scores::of(&[ranks("a b c", "a")]);
        assert!(
            near(first.recall_at_5, 1.0) && near(first.ndcg_at_10, 1.0) && near(first.mrr, 1.0)
        );
        // One of two, in the second place, a group counts once.
        let second = Scores::of(&[ranks("b b a b", "a z")]);
        assert!(near(second.recall_at_5, 0.5) && near(second.mrr, 0.5));
        let ideal = 1.0 + 1.0 / 3.0_f64.log2();
        assert!(near(second.ndcg_at_10, 1.0 / 3.0_f64.log2() / ideal));
        let late = Scores::of(&[ranks("b c d e f a", "a"), ranks("", "a")]);
        assert!(near(late.recall_at_5, 0.0) && near(late.recall_at_10, 0.5));
        assert_eq!(Scores::of(&[]), Scores::default());
    }
}
