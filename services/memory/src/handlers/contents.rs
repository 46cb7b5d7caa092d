//! Contents that are in the cold tier, brought to what was found.
//!
//! Invariant: what cannot be read is absent, and said to be; what is read is what was written. A damaged
//! copy is reported to the shard, once.

use serde::Deserialize;
use troupe_domain::Fault;
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_segments::{SegmentError, SegmentId, Wanted};

use super::Memories;
use crate::rules::entry::sha256_of;
use crate::rules::request::{Found, MemoryRequest};

/// The part of a line of a segment that is read back.
#[derive(Deserialize)]
pub(crate) struct Line {
    /// The content.
    pub(crate) content: String,
}

impl Memories {
    /// Brings the contents that are not here. Gives why some are still absent, in words.
    pub(super) async fn fill(&self, namespace: &Namespace, found: &mut [Found]) -> Vec<String> {
        let cold: Vec<(usize, Wanted)> = found
            .iter()
            .enumerate()
            .filter(|(_, one)| one.memory.content.is_none())
            .filter_map(|(index, one)| Some((index, one.place?.wanted())))
            .collect();
        if cold.is_empty() {
            return Vec::new();
        }
        let Some(segments) = &self.segments else {
            return vec![format!(
                "{} contents are in a cold tier that is not configured",
                cold.len()
            )];
        };
        let wanted: Vec<Wanted> = cold.iter().map(|(_, wanted)| *wanted).collect();
        let read = match segments.read_many(namespace, &wanted).await {
            Ok(read) => read,
            Err(why) => return vec![format!("the cold tier: {why}")],
        };
        let mut missing: Vec<String> = Vec::new();
        let mut damaged: Vec<(MemoryId, SegmentId)> = Vec::new();
        for ((index, wanted), line) in cold.into_iter().zip(read) {
            let one = &mut found[index];
            match line.map(|line| serde_json::from_slice::<Line>(&line)) {
                Ok(Ok(line)) if sha256_of(&line.content) == one.sha256 => {
                    one.memory.content = Some(line.content);
                }
                Ok(_) => {
                    missing.push(format!("{}: its copy holds something else", one.memory.id));
                    damaged.push((one.memory.id.clone(), wanted.segment));
                }
                Err(why) => {
                    if is_lost(&why) {
                        damaged.push((one.memory.id.clone(), wanted.segment));
                    }
                    missing.push(format!("{}: {why}", one.memory.id));
                }
            }
        }
        if !damaged.is_empty() {
            let reason = missing.join("; ");
            self.report_damage(namespace, damaged, &reason).await;
        }
        missing
    }

    async fn report_damage(
        &self,
        namespace: &Namespace,
        entries: Vec<(MemoryId, SegmentId)>,
        reason: &str,
    ) {
        let reason = crate::rules::text::cut(reason, MAX_REASON_BYTES).to_owned();
        let request = MemoryRequest::Damaged { namespace: namespace.clone(), entries, reason };
        let until = tokio::time::Instant::now() + REPORT_WITHIN;
        let reported: Result<_, Fault> = self.ask(namespace, request, until).await;
        if let Err(fault) = reported {
            tracing::warn!(%fault, %namespace, "damage in the cold tier is reported when it is met again");
        }
    }
}

/// Bytes of what is said of a damage.
pub(crate) const MAX_REASON_BYTES: usize = 1024;
const REPORT_WITHIN: std::time::Duration = std::time::Duration::from_secs(2);

/// Whether a copy is not there any more, rather than not to be reached now.
pub(crate) fn is_lost(why: &SegmentError) -> bool {
    why.damage().is_some() || matches!(why, SegmentError::Missing { .. })
}
