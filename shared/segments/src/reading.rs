//! Entries are read: one, several, or a whole segment.
//!
//! Invariant: several entries of one frame cost one read of it, and no more reads are under way at once
//! than the limit says.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt;
use troupe_domain::Timestamp;
use troupe_domain::memory::Namespace;

use crate::digest::Digest;
use crate::error::{Damage, SegmentError};
use crate::format::{self, Entry, Found, Name, Place, Placed};
use crate::limits::{
    MAX_FRAME_STORED_BYTES, MAX_PARALLEL_READS, MAX_READ_ENTRIES, MAX_SEGMENT_STORED_BYTES,
    TAIL_BYTES,
};
use crate::manifest::SegmentInfo;
use crate::naming::{self, SegmentId};
use crate::store::{Segments, aside};

/// An entry that is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its segment.
    pub segment: SegmentId,
    /// Where it is in there.
    pub place: Place,
    /// The digest that its line must have.
    pub digest: Digest,
}

/// A whole segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// When it was made.
    pub made_at: Timestamp,
    /// The digest of all of it.
    pub sha256: Digest,
    /// Its bytes as it is stored.
    pub bytes: u64,
    /// Its entries, with where they are, but for those of damaged frames.
    pub entries: Vec<(Entry, Placed)>,
    /// What cannot be read.
    pub damaged: Vec<Damage>,
}

impl Segments {
    /// Reads one entry: its line. Damage names the entries of its frame, where the index still says so.
    pub async fn read(&self, namespace: &Namespace, wanted: Wanted) -> Result<Bytes, SegmentError> {
        let frame = self.frame(namespace, wanted).await?;
        match format::read_line(&frame, wanted.place, &wanted.digest) {
            Ok(line) => Ok(line),
            Err(why) => Err(self.damage_at(namespace, wanted, why).await),
        }
    }

    /// Reads several entries: their lines, in the order in which they are wanted.
    pub async fn read_many(
        &self,
        namespace: &Namespace,
        wanted: &[Wanted],
    ) -> Result<Vec<Result<Bytes, SegmentError>>, SegmentError> {
        if wanted.len() > MAX_READ_ENTRIES {
            let (what, limit) = ("what is to be read".to_owned(), MAX_READ_ENTRIES);
            return Err(SegmentError::TooLarge { what, limit, unit: "entries" });
        }
        let mut frames: BTreeMap<(SegmentId, u64, u32), Vec<usize>> = BTreeMap::new();
        for (number, Wanted { segment, place, .. }) in wanted.iter().enumerate() {
            frames.entry((*segment, place.offset, place.bytes)).or_default().push(number);
        }
        let reads = frames.into_values().map(|numbers| self.read_frame(namespace, wanted, numbers));
        let mut lines: Vec<(usize, Result<Bytes, SegmentError>)> = futures::stream::iter(reads)
            .buffer_unordered(MAX_PARALLEL_READS)
            .map(futures::stream::iter)
            .flatten()
            .collect()
            .await;
        lines.sort_by_key(|(number, _)| *number);
        Ok(lines.into_iter().map(|(_, line)| line).collect())
    }

    /// Reads those of `wanted` that `numbers` name, which are in one frame.
    async fn read_frame(
        &self,
        namespace: &Namespace,
        wanted: &[Wanted],
        numbers: Vec<usize>,
    ) -> Vec<(usize, Result<Bytes, SegmentError>)> {
        let mut lines = Vec::with_capacity(numbers.len());
        let Some(first) = numbers.first() else { return lines };
        let frame = self.frame(namespace, wanted[*first]).await;
        for number in numbers {
            let wanted = wanted[number];
            let line = match &frame {
                Ok(frame) => match format::read_line(frame, wanted.place, &wanted.digest) {
                    Ok(line) => Ok(line),
                    Err(why) => Err(self.damage_at(namespace, wanted, why).await),
                },
                // An error has no copy: whoever comes after the first asks for itself.
                Err(_) => self.read(namespace, wanted).await,
            };
            lines.push((number, line));
        }
        lines
    }

    /// Reads a whole segment. Damage of its heading or index is an error; damage of a frame is told.
    pub async fn scan(&self, namespace: &Namespace, id: SegmentId) -> Result<Scan, SegmentError> {
        let path = naming::segment(namespace, id);
        let content = self.whole(&path, MAX_SEGMENT_STORED_BYTES).await?;
        let owner = namespace.clone();
        let opened = aside(path.as_ref(), move || {
            let name = Name { namespace: owner.as_str(), segment: id };
            let Found { made_at, entries, damaged } = format::open(name, &content)?;
            let (sha256, bytes) = (Digest::of(&content), content.len() as u64);
            Ok::<_, Damage>(Scan { made_at, sha256, bytes, entries, damaged })
        });
        Ok(opened.await??)
    }

    /// Reads a segment to see whether it is the one that the manifest lists, and whole: what is not.
    pub async fn verify(
        &self,
        namespace: &Namespace,
        info: &SegmentInfo,
    ) -> Result<Vec<Damage>, SegmentError> {
        match self.scan(namespace, info.id).await {
            Ok(scan) if scan.damaged.is_empty() && scan.sha256 != info.sha256 => {
                let name = Name { namespace: namespace.as_str(), segment: info.id };
                Ok(vec![name.damaged("it is whole, and another one than was written")])
            }
            Ok(scan) => Ok(scan.damaged),
            Err(SegmentError::Damaged(damage)) => Ok(vec![*damage]),
            Err(error) => Err(error),
        }
    }

    /// The stored bytes of a frame.
    async fn frame(&self, namespace: &Namespace, wanted: Wanted) -> Result<Bytes, SegmentError> {
        let Wanted { segment, place, .. } = wanted;
        let path = naming::segment(namespace, segment);
        let limit = MAX_FRAME_STORED_BYTES;
        let end = place
            .offset
            .checked_add(u64::from(place.bytes))
            .filter(|_| place.bytes as usize <= limit)
            .ok_or(SegmentError::TooLarge { what: path.to_string(), limit, unit: "bytes" })?;
        let frame = self.part(&path, place.offset..end).await?;
        if frame.len() == place.bytes as usize {
            Ok(frame)
        } else {
            Err(self.damage_at(namespace, wanted, "it ends too early").await)
        }
    }

    /// Damage of the frame of an entry, with all that is in that frame, as far as the index says.
    async fn damage_at(
        &self,
        namespace: &Namespace,
        wanted: Wanted,
        why: &'static str,
    ) -> SegmentError {
        let name = Name { namespace: namespace.as_str(), segment: wanted.segment };
        match self.index(namespace, wanted.segment).await {
            Ok(index) => match index.frame_at(wanted.place.offset) {
                Some((number, entries)) => name.damaged_frame(number, entries, why).into(),
                None => name.damaged("it has no such frame").into(),
            },
            Err(_) => name.damaged(why).into(),
        }
    }

    async fn index(
        &self,
        namespace: &Namespace,
        id: SegmentId,
    ) -> Result<format::Index, SegmentError> {
        let path = naming::segment(namespace, id);
        let name = Name { namespace: namespace.as_str(), segment: id };
        let end = self.end(&path, TAIL_BYTES).await?;
        let tail = format::tail(name, &end.content, end.total)?;
        let held_from = end.total - end.content.len() as u64;
        if tail.begins >= held_from {
            let from = (tail.begins - held_from) as usize;
            return Ok(format::open_index(name, tail, &end.content[from..])?);
        }
        let index = self.part(&path, tail.begins..end.total).await?;
        Ok(format::open_index(name, tail, &index)?)
    }
}
