//! What was lost in the cold tier: which entries, and what their content must be to be theirs.

use troupe_domain::memory::{MemoryId, Namespace};
use troupe_segments::SegmentId;

use super::entry::{ColdPlace, Entry};
use super::state::{Key, MemoryState};

/// An entry of the cold tier, and what its content must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The entry.
    pub id: MemoryId,
    /// Where its content is, or was.
    pub place: ColdPlace,
    /// The digest of its content.
    pub sha256: String,
}

impl Standing {
    fn of(entry: &Entry) -> Option<Self> {
        let (id, sha256) = (entry.memory.id.clone(), entry.sha256.clone());
        Some(Self { id, place: entry.place?, sha256 })
    }
}

impl MemoryState {
    /// Entries whose copy is damaged and whose content was not looked for yet: so many, of so many
    /// bytes, and no more than there is room for.
    pub fn lost(&self, limit: usize, max_bytes: usize) -> Vec<(Namespace, Standing)> {
        let mut room =
            max_bytes.min(self.settings.max_resident_bytes.saturating_sub(self.bytes().1));
        let mut lost = Vec::new();
        for (name, space) in &self.spaces {
            for entry in space.lost() {
                if lost.len() >= limit {
                    return lost;
                }
                if entry.content_bytes <= room
                    && let Some(standing) = Standing::of(entry)
                {
                    room -= entry.content_bytes;
                    lost.push((name.clone(), standing));
                }
            }
        }
        lost
    }

    /// The contents of these are not in the log: it is not looked for them again by this owner.
    pub fn looked_for(&mut self, keys: &[Key]) {
        for (namespace, id) in keys {
            if let Some(space) = self.spaces.get_mut(namespace) {
                space.looked_for(id);
            }
        }
    }

    /// Entries whose content is in one of some segments, as far as nobody met that it is damaged.
    pub fn standing_in(&self, namespace: &Namespace, segments: &[SegmentId]) -> Vec<Standing> {
        let Some(space) = self.space(namespace) else { return Vec::new() };
        let is_here = |entry: &Entry| segments.iter().any(|segment| entry.is_in(*segment));
        let here = space.entries().filter(|entry| is_here(entry) && !entry.damaged);
        here.filter_map(|entry| Standing::of(entry)).collect()
    }

    /// Those of them whose words search does not find.
    pub fn unindexed_in(&self, namespace: &Namespace, segment: SegmentId) -> Vec<Standing> {
        let Some(space) = self.space(namespace) else { return Vec::new() };
        let here = space.unindexed().filter(|entry| entry.is_in(segment) && !entry.damaged);
        here.filter_map(|entry| Standing::of(entry)).collect()
    }
}
