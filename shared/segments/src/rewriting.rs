//! Segments are made anew without what is not wanted any more, several into one, and old ones go.
//!
//! Invariant: an old segment is not touched before [`Segments::erase`], which the caller calls when its
//! own record of the new places is safe. Until then a crash leaves both, and the caller's record says
//! which counts.

use std::collections::BTreeSet;

use troupe_domain::Timestamp;
use troupe_domain::memory::Namespace;

use crate::error::{Damage, SegmentError};
use crate::format::Entry;
use crate::limits::MAX_REWRITE_SOURCES;
use crate::naming::{self, SegmentId};
use crate::store::Segments;
use crate::writing::Written;

/// What to do with a damaged frame of a segment that is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDamage {
    /// Leave everything as it is, and say so.
    Refuse,
    /// Leave the frame out, or all of a segment that is not there: the entries are lost, unless they
    /// are somewhere else.
    LeaveOut,
}

/// What became of segments that were made anew.
#[derive(Debug)]
pub struct Rewritten {
    /// The new segment; none if nothing was left.
    pub written: Option<Written>,
    /// What was left out because it cannot be read.
    pub lost: Vec<Damage>,
}

impl Segments {
    /// Makes one new segment `id` of the entries of `sources` that `keep` wants; an entry that is in
    /// two of them and wanted from both is taken from the later one. The sources stay where they are.
    pub async fn rewrite(
        &self,
        namespace: &Namespace,
        sources: &[SegmentId],
        keep: impl Fn(SegmentId, &str) -> bool,
        on_damage: OnDamage,
        id: SegmentId,
        at: Timestamp,
    ) -> Result<Rewritten, SegmentError> {
        if sources.len() > MAX_REWRITE_SOURCES {
            let (what, limit) = ("what is made anew in one step".to_owned(), MAX_REWRITE_SOURCES);
            return Err(SegmentError::TooLarge { what, limit, unit: "segments" });
        }
        let (mut kept, mut seen, mut lost) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut sources = sources.to_vec();
        sources.sort_unstable();
        for source in sources.into_iter().rev() {
            let scan = match self.scan(namespace, source).await {
                Err(SegmentError::Damaged(damage)) if on_damage == OnDamage::LeaveOut => {
                    lost.push(*damage);
                    continue;
                }
                Err(SegmentError::Missing { .. }) if on_damage == OnDamage::LeaveOut => {
                    lost.push(gone(namespace, source));
                    continue;
                }
                scan => scan?,
            };
            match scan.damaged.into_iter().next() {
                Some(damage) if on_damage == OnDamage::Refuse => return Err(damage.into()),
                damage => lost.extend(damage),
            }
            let entries = scan.entries.into_iter().map(|(entry, _)| entry);
            let wanted: Vec<Entry> = entries
                .filter(|entry| keep(source, &entry.id) && seen.insert(entry.id.clone()))
                .collect();
            kept.push(wanted);
        }
        let entries: Vec<Entry> = kept.into_iter().rev().flatten().collect();
        let written = if entries.is_empty() {
            None
        } else {
            Some(self.write(namespace, id, entries, at).await?)
        };
        Ok(Rewritten { written, lost })
    }

    /// Deletes segments for good: they are listed no more, and when the call returns it was seen that
    /// they are gone. May be called again after a failure.
    pub async fn erase(
        &self,
        namespace: &Namespace,
        segments: &[SegmentId],
        at: Timestamp,
    ) -> Result<(), SegmentError> {
        let gone: BTreeSet<SegmentId> = segments.iter().copied().collect();
        self.publish(namespace, at, |listed| listed.retain(|info| !gone.contains(&info.id)))
            .await?;
        for id in gone {
            self.delete(&naming::segment(namespace, id)).await?;
        }
        Ok(())
    }
}

/// All of a segment is lost: it is not there.
fn gone(namespace: &Namespace, segment: SegmentId) -> Damage {
    Damage {
        namespace: namespace.to_string(),
        segment: Some(segment),
        frame: None,
        entries: Vec::new(),
        why: "it is not there",
    }
}
