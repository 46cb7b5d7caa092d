//! Which segments to make anew: pure.

use crate::limits::{MAX_REWRITE_SOURCES, MAX_SEGMENT_ENTRIES};
use crate::manifest::SegmentInfo;
use crate::naming::SegmentId;

/// A segment, and how many of its entries are still wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The segment.
    pub info: SegmentInfo,
    /// Entries of it that somebody stands on.
    pub live: u32,
}

/// When segments are worth the work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompactionRules {
    /// The size that segments should come to, in bytes of their lines.
    pub target_raw_bytes: u64,
    /// A segment whose share of dead entries is above this is made anew even alone.
    pub dead_share_max: f64,
    /// So many small ones are made one.
    pub small_min: usize,
    /// Entries that are made one segment.
    pub max_entries: usize,
}

impl Default for CompactionRules {
    fn default() -> Self {
        Self {
            target_raw_bytes: 16 * 1024 * 1024,
            dead_share_max: 0.25,
            small_min: 4,
            max_entries: MAX_SEGMENT_ENTRIES,
        }
    }
}

impl Standing {
    /// Bytes of the lines that are still wanted, about.
    fn live_bytes(&self) -> u64 {
        let share = f64::from(self.live) / f64::from(self.info.entries.max(1));
        (self.info.raw_bytes as f64 * share) as u64
    }

    fn is_worn(&self, rules: &CompactionRules) -> bool {
        let dead = self.info.entries.saturating_sub(self.live);
        f64::from(dead) > rules.dead_share_max * f64::from(self.info.entries)
    }

    fn is_small(&self, rules: &CompactionRules) -> bool {
        self.live_bytes() < rules.target_raw_bytes / 4
    }
}

/// Groups of segments, each to be made one new segment: the worn ones, and small ones that are many
/// enough. Neighbours in time stay together. Each group fits into one segment.
pub fn compactions(segments: &[Standing], rules: &CompactionRules) -> Vec<Vec<SegmentId>> {
    let mut candidates: Vec<&Standing> =
        segments.iter().filter(|s| s.is_worn(rules) || s.is_small(rules)).collect();
    candidates.sort_by_key(|standing| standing.info.id);
    let mut groups = Vec::new();
    let mut group: Vec<&Standing> = Vec::new();
    let (mut bytes, mut entries) = (0, 0);
    for standing in candidates {
        let (more_bytes, more) = (standing.live_bytes(), standing.live as usize);
        let full = bytes + more_bytes > rules.target_raw_bytes
            || entries + more > rules.max_entries
            || group.len() == MAX_REWRITE_SOURCES;
        if full && !group.is_empty() {
            groups.push(std::mem::take(&mut group));
            (bytes, entries) = (0, 0);
        }
        group.push(standing);
        bytes += more_bytes;
        entries += more;
    }
    groups.push(group);
    groups.retain(|group| {
        group.iter().any(|s| s.is_worn(rules)) || group.len() >= rules.small_min.max(2)
    });
    let ids = |group: Vec<&Standing>| group.into_iter().map(|s| s.info.id).collect();
    groups.into_iter().map(ids).collect()
}

#[cfg(test)]
mod tests {
    use troupe_domain::Timestamp;

    use super::*;
    use crate::digest::Digest;

    const RULES: CompactionRules = CompactionRules {
        target_raw_bytes: 1_000,
        dead_share_max: 0.25,
        small_min: 3,
        max_entries: 1_000,
    };

    fn standing(number: i64, raw_bytes: u64, entries: u32, live: u32) -> Standing {
        let at = Timestamp::from_millis(number);
        let info = SegmentInfo {
            id: SegmentId::new(at, 0),
            entries,
            bytes: raw_bytes / 3,
            raw_bytes,
            sha256: Digest::of(b""),
            first_at: at,
            last_at: at.plus_millis(10),
        };
        Standing { info, live }
    }

    fn numbers(groups: Vec<Vec<SegmentId>>) -> Vec<Vec<i64>> {
        let number = |id: SegmentId| id.made_at().as_millis();
        groups.into_iter().map(|ids| ids.into_iter().map(number).collect()).collect()
    }

    #[test]
    fn large_and_whole_segments_are_left_alone() {
        let all = [standing(1, 900, 10, 10), standing(2, 900, 10, 8)];
        assert_eq!(numbers(compactions(&all, &RULES)), Vec::<Vec<i64>>::new());
    }

    #[test]
    fn a_worn_segment_is_made_anew_alone() {
        let all = [standing(1, 900, 10, 10), standing(2, 900, 10, 7)];
        assert_eq!(numbers(compactions(&all, &RULES)), [[2]]);
    }

    #[test]
    fn small_ones_wait_until_they_are_many() {
        let mut all = vec![standing(1, 100, 5, 5), standing(3, 100, 5, 5)];
        assert!(compactions(&all, &RULES).is_empty());
        all.push(standing(2, 100, 5, 5));
        assert_eq!(numbers(compactions(&all, &RULES)), [[1, 2, 3]]);
    }

    #[test]
    fn a_group_fits_into_one_segment() {
        let all: Vec<_> = (1..=40).map(|n| standing(n, 200, 5, 5)).collect();
        let groups = compactions(&all, &RULES);
        assert_eq!(groups.len(), 8);
        assert!(groups.iter().all(|group| group.len() == 5));
        let all: Vec<_> = (1..=40).map(|n| standing(n, 1, 5, 5)).collect();
        assert!(compactions(&all, &RULES).iter().all(|group| group.len() <= MAX_REWRITE_SOURCES));
    }
}
