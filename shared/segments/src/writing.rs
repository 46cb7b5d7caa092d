//! A segment is made.
//!
//! Invariant: when the call returns, the segment can be read and is listed. A call that failed may be
//! made again with the same arguments, whatever of it was done.

use troupe_domain::Timestamp;
use troupe_domain::memory::Namespace;

use crate::digest::Digest;
use crate::error::SegmentError;
use crate::format::{Encoded, Entry, Placed, encode};
use crate::limits::MAX_SEGMENT_STORED_BYTES;
use crate::manifest::SegmentInfo;
use crate::naming::{self, SegmentId};
use crate::store::{Segments, aside};

/// A segment that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What the manifest says of it.
    pub info: SegmentInfo,
    /// Where each entry is, in their order.
    pub places: Vec<Placed>,
}

impl Segments {
    /// Makes the segment `id` of `entries`, and lists it.
    pub async fn write(
        &self,
        namespace: &Namespace,
        id: SegmentId,
        entries: Vec<Entry>,
        at: Timestamp,
    ) -> Result<Written, SegmentError> {
        let written = self.put(namespace, id, entries, at).await?;
        let info = &written.info;
        self.publish(namespace, at, |segments| segments.push(info.clone())).await?;
        Ok(written)
    }

    /// Makes the segment's object alone.
    pub(crate) async fn put(
        &self,
        namespace: &Namespace,
        id: SegmentId,
        entries: Vec<Entry>,
        at: Timestamp,
    ) -> Result<Written, SegmentError> {
        let path = naming::segment(namespace, id);
        let owner = namespace.clone();
        let made = aside(path.as_ref(), move || encode(owner.as_str(), id, &entries, at)).await??;
        let Encoded { content, info, places } = made;
        match self.create(&path, content).await {
            Ok(()) => {}
            // The same one, of a call whose answer was lost.
            Err(error @ SegmentError::Taken { .. }) => {
                let there = self.whole(&path, MAX_SEGMENT_STORED_BYTES).await?;
                let sha256 = aside(path.as_ref(), move || Digest::of(&there)).await?;
                if sha256 != info.sha256 {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(Written { info, places })
    }
}
