//! Where segments and manifests are.
//!
//! Invariant: a path says whose it is in one way only, so that a namespace and another one below it
//! never take each other's objects for their own.

use std::fmt;

use object_store::path::Path;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use troupe_domain::Timestamp;
use troupe_domain::memory::Namespace;
use ulid::Ulid;

/// Characters of a manifest's number, so that names sort as they count.
const NUMBER_DIGITS: usize = 20;

/// What all objects of a namespace begin with.
pub(crate) fn prefix(namespace: &Namespace) -> Path {
    Path::from(namespace.as_str())
}

/// What all manifests of a namespace begin with.
pub(crate) fn manifests(namespace: &Namespace) -> Path {
    Path::from(format!("{}/manifest", namespace.as_str()))
}

/// Where a manifest is.
pub(crate) fn manifest(namespace: &Namespace, number: u64) -> Path {
    Path::from(format!("{}/manifest/{number:0NUMBER_DIGITS$}.json", namespace.as_str()))
}

/// Where a segment is.
pub(crate) fn segment(namespace: &Namespace, id: SegmentId) -> Path {
    let (year, month) = id.month();
    Path::from(format!("{}/{year}/{month}/seg-{id}.jsonl.zst", namespace.as_str()))
}

/// What an object of `namespace` is; none if it is of another one, or foreign.
pub(crate) fn object(namespace: &Namespace, path: &Path) -> Option<Object> {
    let rest = path.as_ref().strip_prefix(namespace.as_str())?.strip_prefix('/')?;
    let parts: Vec<&str> = rest.split('/').collect();
    match parts[..] {
        ["manifest", file] => {
            let number = file.strip_suffix(".json")?;
            (number.len() == NUMBER_DIGITS).then(|| number.parse().ok())?.map(Object::Manifest)
        }
        [_, _, file] => {
            let text = file.strip_prefix("seg-")?.strip_suffix(".jsonl.zst")?;
            let id = SegmentId::parse(text)?;
            (segment(namespace, id) == *path).then_some(Object::Segment(id))
        }
        _ => None,
    }
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// A manifest with its number.
    Manifest(u64),
    /// A segment.
    Segment(SegmentId),
}

/// A segment's id: when it was made, and chance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(Ulid);

impl SegmentId {
    /// The id of a segment that is made at `at`; `chance` tells those of one moment apart.
    pub fn new(at: Timestamp, chance: u128) -> Self {
        Self(Ulid::from_parts(at.as_millis().max(0).cast_unsigned(), chance))
    }

    /// Reads 26 characters, as they are written.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(Ulid::from_string(text).ok()?);
        (id.to_string() == text).then_some(id)
    }

    /// When it was made.
    pub fn made_at(self) -> Timestamp {
        Timestamp::from_millis(self.0.timestamp_ms().cast_signed())
    }

    /// Year and month in which it was made.
    fn month(self) -> (String, String) {
        let text = self.made_at().to_string();
        // Beyond the year 9999 a time has no date.
        let mut parts = text.split('-');
        match (parts.next(), parts.next()) {
            (Some(year), Some(month)) => (year.to_owned(), month.to_owned()),
            _ => ("0000".to_owned(), "00".to_owned()),
        }
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for SegmentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SegmentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("expected an id of a segment"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(text: &str) -> Namespace {
        Namespace::parse(text).expect("a namespace")
    }

    #[test]
    fn a_path_belongs_to_one_namespace_alone() {
        let id = SegmentId::new(Timestamp::from_millis(1_795_659_300_000), 7);
        let all = ["a", "a/b", "a/2026", "a/manifest", "a/2026/11", "a/manifest/2026", "b"];
        for owner in all.map(namespace) {
            for path in [segment(&owner, id), manifest(&owner, 3)] {
                let owners: Vec<_> =
                    all.map(namespace).into_iter().filter(|n| object(n, &path).is_some()).collect();
                assert_eq!(owners, std::slice::from_ref(&owner), "{path}");
            }
        }
        let owner = namespace("fleet/team");
        let path = segment(&owner, id);
        assert_eq!(path.as_ref(), format!("fleet/team/2026/11/seg-{id}.jsonl.zst"));
        assert_eq!(object(&owner, &path), Some(Object::Segment(id)));
        assert_eq!(object(&owner, &manifest(&owner, 3)), Some(Object::Manifest(3)));
    }

    #[test]
    fn what_is_no_object_of_ours_is_nobodys() {
        let owner = namespace("a");
        for foreign in
            ["a/manifest/1.json", "a/2026/11/notes.txt", "a", "a/2026/11/seg-x.jsonl.zst"]
        {
            assert_eq!(object(&owner, &Path::from(foreign)), None, "{foreign}");
        }
        let id = SegmentId::new(Timestamp::from_millis(0), 1);
        let moved = Path::from(format!("a/2026/11/seg-{id}.jsonl.zst"));
        assert_eq!(object(&owner, &moved), None, "a segment of 1970 is not under 2026");
    }
}
