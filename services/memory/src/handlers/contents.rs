//! Contents that are in the cold tier, brought to what was found.
//!
//! Invariant: what cannot be read is absent, and said to be; what is read is what was written. A damaged
//! copy is reported to the shard, once.

use serde::Deserialize;
use troupe_domain::Fault;
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_segments::{SegmentError, SegmentId, Segments, Wanted};

use super::Memories;
use crate::rules::entry::sha256_of;
use crate::rules::request::{Found, MemoryAnswer, MemoryRequest};

/// The part of a line of a segment that is read back.
#[derive(Deserialize)]
pub(crate) struct Line {
    /// The content.
    pub(crate) content: String,
}

/// The content of a line, if it is the one that is wanted.
fn content_of(line: &[u8], sha256: &str) -> Option<String> {
    let Line { content } = serde_json::from_slice(line).ok()?;
    (sha256_of(&content) == sha256).then_some(content)
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
        let (mut missing, mut lost): (Vec<String>, Vec<(usize, SegmentId, String)>) =
            (vec![], vec![]);
        for ((index, wanted), line) in cold.into_iter().zip(read) {
            let one = &mut found[index];
            let why = match line.map(|line| content_of(&line, &one.sha256)) {
                Ok(Some(content)) => {
                    one.memory.content = Some(content);
                    continue;
                }
                Ok(None) => "its copy holds something else".to_owned(),
                Err(why) if is_lost(&why) => why.to_string(),
                Err(why) => {
                    missing.push(format!("{}: {why}", one.memory.id));
                    continue;
                }
            };
            lost.push((index, wanted.segment, format!("{}: {why}", one.memory.id)));
        }
        if lost.is_empty() {
            return missing;
        }
        let mut again: Vec<Option<String>> = Vec::with_capacity(lost.len());
        for some in lost.chunks(MAX_READ_AGAIN) {
            let mut asked = Vec::with_capacity(some.len());
            for (index, ..) in some {
                asked.push(self.elsewhere(namespace, segments, &found[*index]));
            }
            again.extend(futures::future::join_all(asked).await);
        }
        let mut damaged: Vec<(MemoryId, SegmentId)> = Vec::new();
        let mut reasons: Vec<String> = Vec::new();
        for ((index, segment, why), content) in lost.into_iter().zip(again) {
            let memory = &mut found[index].memory;
            memory.content = content;
            if memory.content.is_none() {
                damaged.push((memory.id.clone(), segment));
                reasons.push(why);
            }
        }
        if !damaged.is_empty() {
            self.report_damage(namespace, damaged, &reasons.join("; ")).await;
        }
        missing.extend(reasons);
        missing
    }

    /// The content of an entry that is somewhere else by now: its segment was written anew meanwhile, or
    /// it came back to memory.
    async fn elsewhere(
        &self,
        namespace: &Namespace,
        segments: &Segments,
        one: &Found,
    ) -> Option<String> {
        let (id, reader) = (one.memory.id.clone(), None);
        let request = MemoryRequest::Get { namespace: Some(namespace.clone()), id, reader };
        let until = tokio::time::Instant::now() + REPORT_WITHIN;
        let answer = self.ask(namespace, request, until).await.ok()?;
        let MemoryAnswer::Entry(now) = answer else { return None };
        if now.sha256 != one.sha256 || now.memory.content.is_some() {
            return now.memory.content.filter(|_| now.sha256 == one.sha256);
        }
        let place = now.place.filter(|place| Some(*place) != one.place)?;
        let line = segments.read(namespace, place.wanted()).await.ok()?;
        content_of(&line, &one.sha256)
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
/// Entries that are asked for again at once.
const MAX_READ_AGAIN: usize = 16;
const REPORT_WITHIN: std::time::Duration = std::time::Duration::from_secs(2);

/// Whether a copy is not there any more, rather than not to be reached now.
pub(crate) fn is_lost(why: &SegmentError) -> bool {
    why.damage().is_some() || matches!(why, SegmentError::Missing { .. })
}
