//! Manifests: which segments a namespace has.
//!
//! Invariant: a manifest has the next number after the one that it was made from, and is made only if
//! that number is free, so that of two that were made from the same one, one fails and reads again.
//! The current one is that with the highest number.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use troupe_domain::Timestamp;
use troupe_domain::memory::Namespace;

use crate::digest::Digest;
use crate::error::{Damage, SegmentError};
use crate::limits::{KEPT_MANIFESTS, MAX_MANIFEST_BYTES, MAX_PUBLISH_TRIES, MAX_SEGMENTS};
use crate::naming::{self, Object, SegmentId};
use crate::store::Segments;

/// The version of this format.
const VERSION: u32 = 1;

/// A segment, as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentInfo {
    /// Its id.
    pub id: SegmentId,
    /// How many entries it has.
    pub entries: u32,
    /// Its bytes as it is stored.
    pub bytes: u64,
    /// Bytes of its lines.
    pub raw_bytes: u64,
    /// The digest of all of it.
    pub sha256: Digest,
    /// The time of its earliest entry.
    pub first_at: Timestamp,
    /// The time of its latest entry.
    pub last_at: Timestamp,
}

/// The segments of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format.
    pub v: u32,
    /// Whose it is.
    pub namespace: Namespace,
    /// Its number; 0 if there is none yet.
    pub number: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// The segments by id.
    pub segments: Vec<SegmentInfo>,
}

/// The first line of a manifest: the digest of the rest.
#[derive(Serialize, Deserialize)]
struct Heading {
    sha256: Digest,
}

impl Manifest {
    fn none(namespace: &Namespace) -> Self {
        let namespace = namespace.clone();
        let made_at = Timestamp::from_millis(0);
        Self { v: VERSION, namespace, number: 0, made_at, segments: Vec::new() }
    }

    /// Whether it lists that segment.
    pub fn lists(&self, id: SegmentId) -> bool {
        self.segments.iter().any(|info| info.id == id)
    }

    fn encode(&self) -> Bytes {
        // Plain fields always serialise.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let heading = Heading { sha256: Digest::of(&body) };
        let mut content = serde_json::to_vec(&heading).unwrap_or_default();
        content.push(b'\n');
        content.extend(body);
        content.into()
    }

    fn decode(namespace: &Namespace, number: u64, content: &[u8]) -> Result<Self, Damage> {
        let damaged = |why| Damage {
            namespace: namespace.to_string(),
            segment: None,
            frame: None,
            entries: Vec::new(),
            why,
        };
        let end = content
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(|| damaged("it has no heading"))?;
        let heading: Heading = serde_json::from_slice(&content[..end])
            .map_err(|_| damaged("its heading is not understood"))?;
        let body = &content[end + 1..];
        if Digest::of(body) != heading.sha256 {
            return Err(damaged("it has another digest"));
        }
        let manifest: Self =
            serde_json::from_slice(body).map_err(|_| damaged("it is not understood"))?;
        if manifest.v != VERSION {
            return Err(damaged("it is of another version"));
        }
        if (&manifest.namespace, manifest.number) != (namespace, number) {
            return Err(damaged("it is another one"));
        }
        Ok(manifest)
    }
}

impl Segments {
    /// The current manifest of a namespace. One that is damaged is passed over for the one before it.
    pub async fn manifest(&self, namespace: &Namespace) -> Result<Manifest, SegmentError> {
        Ok(self.newest(namespace).await?.0)
    }

    /// The newest manifest that can be read, and the highest number that is taken.
    async fn newest(&self, namespace: &Namespace) -> Result<(Manifest, u64), SegmentError> {
        // Whoever clears up behind may delete one between listing and reading it: then there is a newer.
        for _ in 0..MAX_PUBLISH_TRIES {
            let numbers = self.manifest_numbers(namespace).await?;
            let Some(highest) = numbers.last().copied() else {
                return Ok((Manifest::none(namespace), 0));
            };
            let mut damaged = None;
            for number in numbers.into_iter().rev().take(KEPT_MANIFESTS) {
                match self.read_manifest(namespace, number).await {
                    Ok(manifest) => return Ok((manifest, highest)),
                    Err(SegmentError::Missing { .. }) => {}
                    Err(error @ SegmentError::Damaged(_)) => damaged = Some(error),
                    Err(error) => return Err(error),
                }
            }
            if let Some(error) = damaged {
                return Err(error);
            }
        }
        Err(SegmentError::Missing { what: format!("a manifest of {namespace}") })
    }

    /// The numbers of the manifests that are there, in order.
    pub(crate) async fn manifest_numbers(
        &self,
        namespace: &Namespace,
    ) -> Result<Vec<u64>, SegmentError> {
        let listed = self.list(namespace, &naming::manifests(namespace)).await?;
        let mut numbers: Vec<u64> = listed
            .into_iter()
            .filter_map(|object| match object {
                Object::Manifest(number) => Some(number),
                Object::Segment(_) => None,
            })
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(crate) async fn read_manifest(
        &self,
        namespace: &Namespace,
        number: u64,
    ) -> Result<Manifest, SegmentError> {
        let path = naming::manifest(namespace, number);
        let content = self.whole(&path, MAX_MANIFEST_BYTES).await?;
        Ok(Manifest::decode(namespace, number, &content)?)
    }

    /// Makes the manifest that follows the current one. `change` may be called again, with what
    /// somebody else made meanwhile; if it changes nothing, none is made.
    pub(crate) async fn publish(
        &self,
        namespace: &Namespace,
        at: Timestamp,
        change: impl Fn(&mut Vec<SegmentInfo>),
    ) -> Result<Manifest, SegmentError> {
        for _ in 0..MAX_PUBLISH_TRIES {
            let (current, highest) = match self.newest(namespace).await {
                Ok(newest) => newest,
                // None can be read: what the caller knows is all that there is.
                Err(SegmentError::Damaged(_)) => {
                    let numbers = self.manifest_numbers(namespace).await?;
                    (Manifest::none(namespace), numbers.last().copied().unwrap_or(0))
                }
                Err(error) => return Err(error),
            };
            let mut segments = current.segments.clone();
            change(&mut segments);
            segments.sort_by_key(|info| info.id);
            segments.dedup_by_key(|info| info.id);
            if segments == current.segments && current.number == highest {
                return Ok(current);
            }
            let too_large = |limit, unit| SegmentError::TooLarge {
                what: format!("the manifest of {namespace}"),
                limit,
                unit,
            };
            if segments.len() > MAX_SEGMENTS {
                return Err(too_large(MAX_SEGMENTS, "segments"));
            }
            let next = Manifest { number: highest + 1, made_at: at, segments, ..current };
            let content = next.encode();
            if content.len() > MAX_MANIFEST_BYTES {
                return Err(too_large(MAX_MANIFEST_BYTES, "bytes"));
            }
            match self.create(&naming::manifest(namespace, next.number), content).await {
                Ok(()) => return Ok(next),
                Err(SegmentError::Taken { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(SegmentError::Taken { what: format!("each next manifest of {namespace}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flipped_bit_of_a_manifest_is_seen_or_harmless() {
        let namespace = Namespace::default();
        let info = SegmentInfo {
            id: SegmentId::new(Timestamp::from_millis(5), 9),
            entries: 3,
            bytes: 100,
            raw_bytes: 200,
            sha256: Digest::of(b"x"),
            first_at: Timestamp::from_millis(1),
            last_at: Timestamp::from_millis(2),
        };
        let manifest = Manifest { number: 7, segments: vec![info], ..Manifest::none(&namespace) };
        let content = manifest.encode();
        assert_eq!(Manifest::decode(&namespace, 7, &content).expect("whole"), manifest);
        for at in 0..content.len() {
            for bit in 0..8 {
                let mut flipped = content.to_vec();
                flipped[at] ^= 1 << bit;
                if let Ok(read) = Manifest::decode(&namespace, 7, &flipped) {
                    assert_eq!(read, manifest, "byte {at}, bit {bit}");
                }
            }
        }
        assert!(Manifest::decode(&namespace, 8, &content).is_err(), "another number");
    }
}
