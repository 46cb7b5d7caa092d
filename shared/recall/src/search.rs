//! One search: candidates by words and by meaning, each scored both ways, put into relation, weighed.
//!
//! Scores of two kinds are made comparable by the best of each (min–max; nothing is a score's
//! smallest value), not by ranks: how much better the first one is, is what decides.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use crate::best::Best;
use crate::index::Index;
use crate::lexical::{QUERY_TERMS_MAX, Scorer};
use crate::semantic;
use crate::vector::Wide;
use crate::words::terms;
use crate::{Found, Hit, Parts, Query, RESULTS_MAX, Scan};

/// An entry that may be a result.
#[derive(Debug, Clone, Copy)]
struct Candidate<K> {
    key: K,
    prior: f32,
    bm25: f32,
    cosine: Option<f32>,
    neighbours: [Option<u32>; 2],
    lexical: f32,
    semantic: f32,
    fused: f32,
}

/// By the number of the entry.
type Candidates<K> = BTreeMap<u32, Candidate<K>>;

impl<K: Copy + Ord + Hash + Debug> Index<K> {
    /// Finds what answers `query` best among the entries for which `filter` gives a factor, by which
    /// the score is multiplied: 1 is neutral. The filter is part of the scan, and is asked only about
    /// entries that could be results, perhaps more than once.
    pub fn search(&self, query: &Query<'_>, mut filter: impl FnMut(K) -> Option<f32>) -> Found<K> {
        let end = query.offset.saturating_add(query.limit).min(RESULTS_MAX);
        let start = query.offset.min(end);
        let terms = terms(query.text, None);
        if terms.counted.is_empty() && query.vector.is_none() {
            return self.by_prior(start, end, &mut filter);
        }
        let settings = &self.settings;
        let scorer =
            Scorer::new(&terms, &self.dictionary, &self.entries, settings, QUERY_TERMS_MAX);
        // One more than the page, to know whether there is another.
        let room = settings.candidates_min.max(settings.candidates_per_result * (end + 1));
        let lexical = if scorer.is_empty() {
            Vec::new()
        } else {
            scorer.best(&self.entries, room, &mut filter)
        };
        let (near, scan) = match query.vector {
            Some(vector) => {
                semantic::nearest(vector, &self.rows, &self.entries, settings, room, &mut filter)
            }
            None => (Vec::new(), Scan::None),
        };
        let bm25_max = lexical.first().map_or(0.0, |best| best.score);
        let cosine_max = near.first().map_or(0.0, |best| best.score);
        let wide = query.vector.map(Wide::of);
        let mut candidates = Candidates::new();
        for ranked in lexical.iter().chain(&near) {
            candidates.entry(ranked.entry).or_insert_with(|| {
                self.candidate(ranked.entry, ranked.key, ranked.prior, &scorer, wide.as_ref())
            });
        }
        let weight = if self.entries.has_links() { settings.neighbour_weight } else { 0.0 };
        if weight > 0.0 {
            self.add_neighbours(&mut candidates, &scorer, wide.as_ref(), &mut filter);
        }
        let relation = Relation { bm25_max, cosine_max, both: scan != Scan::None };
        for candidate in candidates.values_mut() {
            self.fuse(candidate, &relation);
        }
        page(&candidates, weight, start, end, scan)
    }

    /// Without a question: what the filter values most.
    fn by_prior(
        &self,
        start: usize,
        end: usize,
        filter: &mut impl FnMut(K) -> Option<f32>,
    ) -> Found<K> {
        let mut best = Best::new(end + 1);
        for (entry, key) in self.entries.iter() {
            if let Some(prior) = filter(key) {
                best.offer(prior, key, entry, &mut |_| Some(prior));
            }
        }
        let ranked = best.into_sorted();
        let hits = ranked.iter().take(end).skip(start).map(|ranked| {
            let parts = Parts { prior: ranked.prior, ..Parts::default() };
            Hit { key: ranked.key, score: ranked.prior, parts }
        });
        Found { hits: hits.collect(), more: ranked.len() > end, scan: Scan::None }
    }

    fn candidate(
        &self,
        entry: u32,
        key: K,
        prior: f32,
        scorer: &Scorer<'_>,
        wide: Option<&Wide>,
    ) -> Candidate<K> {
        Candidate {
            key,
            prior,
            bm25: scorer.score(entry, &self.entries),
            cosine: wide.and_then(|wide| self.rows.cosine(entry, wide)),
            neighbours: self.entries.neighbours(entry),
            lexical: 0.0,
            semantic: 0.0,
            fused: 0.0,
        }
    }

    /// Adds those right before and after each candidate, as far as they pass.
    fn add_neighbours(
        &self,
        candidates: &mut Candidates<K>,
        scorer: &Scorer<'_>,
        wide: Option<&Wide>,
        filter: &mut impl FnMut(K) -> Option<f32>,
    ) {
        let around = candidates.values().flat_map(|candidate| candidate.neighbours);
        let mut missing: Vec<u32> = around.flatten().collect();
        missing.sort_unstable();
        missing.dedup();
        for entry in missing {
            if candidates.contains_key(&entry) {
                continue;
            }
            let Some(key) = self.entries.key(entry) else { continue };
            if let Some(prior) = filter(key) {
                candidates.insert(entry, self.candidate(entry, key, prior, scorer, wide));
            }
        }
    }

    fn fuse(&self, candidate: &mut Candidate<K>, relation: &Relation) {
        let share = |score: f32, floor: f32, max: f32| {
            if max > floor { ((score - floor) / (max - floor)).clamp(0.0, 1.0) } else { 0.0 }
        };
        candidate.lexical = share(candidate.bm25, 0.0, relation.bm25_max);
        let floor = self.settings.cosine_floor;
        candidate.semantic =
            candidate.cosine.map_or(0.0, |cosine| share(cosine, floor, relation.cosine_max));
        // Where only one of the two can speak it decides alone: an entry whose vector is not made
        // yet is not behind those that have one.
        let weight = match (relation.both && candidate.cosine.is_some(), relation.bm25_max > 0.0) {
            (true, true) => self.settings.lexical_weight,
            (true, false) => 0.0,
            (false, _) => 1.0,
        };
        candidate.fused = weight * candidate.lexical + (1.0 - weight) * candidate.semantic;
    }
}

/// What scores are put into relation to.
struct Relation {
    bm25_max: f32,
    cosine_max: f32,
    /// Whether there was a meaning to compare with.
    both: bool,
}

fn page<K: Copy + Ord>(
    candidates: &Candidates<K>,
    weight: f32,
    start: usize,
    end: usize,
    scan: Scan,
) -> Found<K> {
    let mut best = Best::new(end + 1);
    let mut parts = BTreeMap::new();
    for (entry, candidate) in candidates {
        let around = candidate.neighbours.iter().flatten();
        let fused = around.filter_map(|entry| candidates.get(entry)).map(|other| other.fused);
        let neighbour = fused.fold(0.0, f32::max);
        let score = (candidate.fused + weight * neighbour) / (1.0 + weight) * candidate.prior;
        // What has nothing in common with the question is no result.
        if score <= 0.0 {
            continue;
        }
        best.offer(score, candidate.key, *entry, &mut |_| Some(candidate.prior));
        let Candidate { lexical, semantic, prior, bm25, cosine, .. } = *candidate;
        parts.insert(*entry, Parts { lexical, semantic, neighbour, prior, bm25, cosine });
    }
    let ranked = best.into_sorted();
    let hits = ranked.iter().take(end).skip(start).map(|ranked| Hit {
        key: ranked.key,
        score: ranked.score,
        parts: parts.get(&ranked.entry).copied().unwrap_or_default(),
    });
    Found { hits: hits.collect(), more: ranked.len() > end, scan }
}
