//! Items that say the same thing.
//!
//! Two titles are compared by the three-letter pieces that they have in common (Jaccard). Candidates
//! come from MinHash, so that a plan of thousands of items is not compared pair by pair. What is found is
//! advice: a model's opinion may be asked outside, and nothing is merged by itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use troupe_domain::Name;
use troupe_domain::plan::{
    Conflict, ConflictKind, ConflictSeverity, ConflictSide, ItemId, Plan, PlanItem, PlanItemStatus,
};

/// From this similarity on two titles are told as the same.
pub const DEFAULT_SIMILARITY_MIN: f64 = 0.6;
/// Pairs in one answer.
pub const MAX_PAIRS: usize = 256;
/// Items that are compared with each other because they share a band.
const MAX_BUCKET: usize = 64;
const SHINGLE_CHARS: usize = 3;
const BANDS: usize = 16;
const ROWS: usize = 2;

/// Two items that may say the same thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicate {
    /// The one that was there first.
    pub first: ItemId,
    /// The other one.
    pub second: ItemId,
    /// How much of their titles they have in common, 0 to 1.
    pub similarity: f64,
}

/// How much two texts have in common, 0 to 1.
pub fn similarity(a: &str, b: &str) -> f64 {
    jaccard(&shingles(a), &shingles(b))
}

/// Pairs of open items whose titles are at least so similar, the most similar first.
pub fn duplicates(plan: &Plan, similarity_min: f64) -> Vec<Duplicate> {
    let open: Vec<(&PlanItem, BTreeSet<u64>)> = plan
        .items
        .iter()
        .filter(|item| {
            !matches!(item.status, PlanItemStatus::Completed | PlanItemStatus::Cancelled)
        })
        .map(|item| (item, shingles(&item.title)))
        .filter(|(_, shingles)| !shingles.is_empty())
        .collect();
    let mut found: Vec<Duplicate> = candidates(&open)
        .into_iter()
        .filter_map(|(a, b)| {
            let similarity = jaccard(&open[a].1, &open[b].1);
            (similarity >= similarity_min).then(|| pair(open[a].0, open[b].0, similarity))
        })
        .collect();
    found.sort_by(|a, b| {
        let ids = |pair: &Duplicate| (pair.first.clone(), pair.second.clone());
        b.similarity.total_cmp(&a.similarity).then_with(|| ids(a).cmp(&ids(b)))
    });
    found.truncate(MAX_PAIRS);
    found
}

/// The items like one, the most similar first: for a plan to which one item was just added.
pub fn like(plan: &Plan, item: &PlanItem, similarity_min: f64) -> Vec<Duplicate> {
    let own = shingles(&item.title);
    let others = plan.items.iter().filter(|other| other.id != item.id);
    let mut found: Vec<Duplicate> = others
        .map(|other| (other, jaccard(&own, &shingles(&other.title))))
        .filter(|(_, similarity)| *similarity >= similarity_min)
        .map(|(other, similarity)| pair(item, other, similarity))
        .collect();
    found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    found.truncate(MAX_PAIRS);
    found
}

/// A pair as a conflict. `opinion` is how similar a model finds the two, where one was asked.
pub fn conflict(plan: &Plan, pair: &Duplicate, opinion: Option<f64>) -> Option<Conflict> {
    let find = |id: &ItemId| plan.items.iter().find(|item| item.id == *id);
    let (first, second) = (find(&pair.first)?, find(&pair.second)?);
    let side = |item: &PlanItem, similarity: Option<f64>| ConflictSide {
        by: item.updated_by.clone(),
        at: item.updated_at,
        value: match similarity {
            None => json!(item.title),
            Some(similarity) => {
                json!({ "title": item.title, "similarity": similarity, "opinion": opinion })
            }
        },
        item_id: Some(item.id.clone()),
    };
    let mut may_override = vec![plan.head.owner.clone(), first.updated_by.clone()];
    may_override.push(second.updated_by.clone());
    may_override.extend(plan.head.collaborators.iter().cloned());
    may_override.sort_unstable();
    may_override.dedup();
    Some(Conflict {
        id: pair_id(pair, [&first.title, &second.title])?,
        kind: ConflictKind::Semantic,
        severity: ConflictSeverity::Low,
        item_id: Some(second.id.clone()),
        field: Some("title".to_owned()),
        winner: side(first, None),
        losers: vec![side(second, Some(pair.similarity))],
        merged: None,
        rule: "both items stay".to_owned(),
        may_override,
    })
}

/// The pair with the older item first.
fn pair(a: &PlanItem, b: &PlanItem, similarity: f64) -> Duplicate {
    let (first, second) =
        if (a.created_at, &a.id) <= (b.created_at, &b.id) { (a, b) } else { (b, a) };
    Duplicate { first: first.id.clone(), second: second.id.clone(), similarity }
}

fn pair_id(pair: &Duplicate, titles: [&str; 2]) -> Option<Name> {
    let mut hash = Sha256::new_with_prefix(b"troupe.crdt.semantic.v1\0");
    for part in [pair.first.as_str(), pair.second.as_str(), titles[0], titles[1]] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    super::id_of(hash)
}

/// Pieces of the text in lower case, without what is neither a letter nor a digit.
fn shingles(text: &str) -> BTreeSet<u64> {
    let mut letters = vec![' '];
    for letter in text.chars().flat_map(char::to_lowercase) {
        if letter.is_alphanumeric() {
            letters.push(letter);
        } else if letters.last() != Some(&' ') {
            letters.push(' ');
        }
    }
    if letters.last() != Some(&' ') {
        letters.push(' ');
    }
    letters.windows(SHINGLE_CHARS).map(|piece| mixed(piece, 0)).collect()
}

fn mixed(piece: &[char], seed: u64) -> u64 {
    piece.iter().fold(seed, |hash, letter| mix(hash ^ u64::from(*letter as u32)))
}

/// The finaliser of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn jaccard(a: &BTreeSet<u64>, b: &BTreeSet<u64>) -> f64 {
    let common = a.intersection(b).count();
    let all = a.len() + b.len() - common;
    if all == 0 { 0.0 } else { common as f64 / all as f64 }
}

/// Pairs that agree in some band of their smallest hashes.
fn candidates(open: &[(&PlanItem, BTreeSet<u64>)]) -> BTreeSet<(usize, usize)> {
    let mut pairs = BTreeSet::new();
    for band in 0..BANDS {
        let mut buckets: BTreeMap<[u64; ROWS], Vec<usize>> = BTreeMap::new();
        for (number, (_, shingles)) in open.iter().enumerate() {
            let mut key = [u64::MAX; ROWS];
            for (row, least) in key.iter_mut().enumerate() {
                let seed = mix((band * ROWS + row) as u64);
                *least = shingles.iter().map(|shingle| mix(shingle ^ seed)).min().unwrap_or(0);
            }
            buckets.entry(key).or_default().push(number);
        }
        for bucket in buckets.into_values() {
            let bucket = &bucket[..bucket.len().min(MAX_BUCKET)];
            for (at, a) in bucket.iter().enumerate() {
                pairs.extend(bucket[at + 1..].iter().map(|b| (*a, *b)));
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_in_other_letters_is_the_same() {
        assert!((similarity("Write the parser", "write  the PARSER!") - 1.0).abs() < 1e-9);
        assert!(similarity("Write the parser", "Write the parsers") > DEFAULT_SIMILARITY_MIN);
        assert!(similarity("Write the parser", "Deploy to production") < 0.2);
        assert!(similarity("", "") < 1e-9);
    }
}
