//! What nobody stands on is deleted, and the manifest is made to say what there is.
//!
//! Invariant: nothing is deleted that the caller stands on, that the current manifest lists after it
//! was set right, or that is younger than the time of grace (unless it was listed before the caller made
//! sure that its log is its own). The caller's set must be no older than
//! its log: whoever lost a namespace to another owner must not sweep it.

use std::collections::BTreeSet;

use troupe_domain::Timestamp;
use troupe_domain::memory::Namespace;

use crate::error::SegmentError;
use crate::limits::KEPT_MANIFESTS;
use crate::manifest::SegmentInfo;
use crate::naming::{self, Object, SegmentId};
use crate::store::Segments;

/// What a sweep did and found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Swept {
    /// Segments that nobody stood on, deleted.
    pub deleted: Vec<SegmentId>,
    /// Segments that nobody stands on and that are too young to go.
    pub waiting: Vec<SegmentId>,
    /// Segments that the caller stands on and that were not listed: they are now.
    pub listed_again: Vec<SegmentId>,
    /// Segments that the caller stands on and that are not there: their entries are lost.
    pub missing: Vec<SegmentId>,
    /// Manifests that were deleted.
    pub manifests_deleted: usize,
}

impl Segments {
    /// Clears a namespace up. `stands_on` are the segments that the caller's state refers to.
    pub async fn sweep(
        &self,
        namespace: &Namespace,
        stands_on: &BTreeSet<SegmentId>,
        at: Timestamp,
        grace_ms: u64,
    ) -> Result<Swept, SegmentError> {
        let old = |id: SegmentId| at.millis_since(id.made_at()) >= grace_ms;
        let there = self.there(namespace).await?;
        let mut swept =
            Swept { missing: stands_on.difference(&there).copied().collect(), ..Swept::default() };
        let again = self.unlisted(namespace, stands_on, &there).await?;
        swept.listed_again = again.iter().map(|info| info.id).collect();
        let current = self
            .publish(namespace, at, |listed| {
                listed.retain(|info| stands_on.contains(&info.id) || !old(info.id));
                listed.extend(again.iter().cloned());
            })
            .await?;
        for id in there.into_iter().filter(|id| !stands_on.contains(id)) {
            if old(id) && !current.lists(id) {
                self.delete(&naming::segment(namespace, id)).await?;
                swept.deleted.push(id);
            } else {
                swept.waiting.push(id);
            }
        }
        let numbers = self.manifest_numbers(namespace).await?;
        let kept = numbers.len().saturating_sub(KEPT_MANIFESTS);
        for number in &numbers[..kept] {
            self.delete(&naming::manifest(namespace, *number)).await?;
            swept.manifests_deleted += 1;
        }
        let before_ms = at.as_millis().saturating_sub_unsigned(grace_ms);
        self.sweep_unfinished(namespace, before_ms).await?;
        Ok(swept)
    }

    /// The segments that are there, whoever stands on them.
    pub async fn there(&self, namespace: &Namespace) -> Result<BTreeSet<SegmentId>, SegmentError> {
        let objects = self.list(namespace, &naming::prefix(namespace)).await?;
        let segment = |object| match object {
            Object::Segment(id) => Some(id),
            Object::Manifest(_) => None,
        };
        Ok(objects.into_iter().filter_map(segment).collect())
    }

    /// Removes segments that nobody stands on, however young, and every file of a put that did not end.
    ///
    /// The caller listed `strays` first, and saw then that its log is still its own: from there on
    /// nobody but itself can come to stand on any of them. A former owner's put that is under way fails.
    pub async fn remove_strays(
        &self,
        namespace: &Namespace,
        strays: &[SegmentId],
        at: Timestamp,
    ) -> Result<(), SegmentError> {
        if !strays.is_empty() {
            self.erase(namespace, strays, at).await?;
        }
        self.sweep_unfinished(namespace, i64::MAX).await
    }

    /// What the manifest should list and does not; their sizes and digests are read from themselves.
    async fn unlisted(
        &self,
        namespace: &Namespace,
        stands_on: &BTreeSet<SegmentId>,
        there: &BTreeSet<SegmentId>,
    ) -> Result<Vec<SegmentInfo>, SegmentError> {
        let current = match self.manifest(namespace).await {
            Ok(current) => current.segments,
            // It is made anew.
            Err(SegmentError::Damaged(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        let listed: BTreeSet<SegmentId> = current.iter().map(|info| info.id).collect();
        let mut unlisted = Vec::new();
        for id in stands_on.intersection(there).filter(|id| !listed.contains(id)) {
            let scan = match self.scan(namespace, *id).await {
                // Nothing can be said of it; whoever reads its entries is told.
                Err(SegmentError::Damaged(_)) => continue,
                scan => scan?,
            };
            let times = || scan.entries.iter().map(|(entry, _)| entry.at);
            unlisted.push(SegmentInfo {
                id: *id,
                entries: scan.entries.len() as u32,
                bytes: scan.bytes,
                raw_bytes: scan.entries.iter().map(|(e, _)| e.line.len() as u64 + 1).sum(),
                sha256: scan.sha256,
                first_at: times().min().unwrap_or(scan.made_at),
                last_at: times().max().unwrap_or(scan.made_at),
            });
        }
        Ok(unlisted)
    }

    /// Files that puts left which were killed, last written to before that time: no listing shows them.
    async fn sweep_unfinished(
        &self,
        namespace: &Namespace,
        before_ms: i64,
    ) -> Result<(), SegmentError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let folder = folder.join(namespace.as_str());
        let what = folder.display().to_string();
        crate::store::aside(&what, move || crate::location::sweep_unfinished(&folder, before_ms))
            .await?
            .map_err(|why| {
                let source = object_store::Error::Generic { store: "folder", source: why.into() };
                SegmentError::of(&what, source)
            })
    }
}
