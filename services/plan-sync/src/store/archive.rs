//! The archive: snapshots of objects, and the batches between them, in object storage.
//!
//! Invariants: a piece is named by its object and the sequences that it holds, is written once, and
//! carries the digest of its content, so that what is read is what was written or is refused; nothing
//! that is acknowledged waits for the archive, and what waits for it is given up after a deadline.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use troupe_domain::plan::ObjectId;
use troupe_runtime::config::{Address, Secret};
use troupe_segments::location::{self, Bucket};

use crate::config::ArchiveConfig;
use crate::rules::object::Kept;

/// The most bytes of one piece that are read.
const MAX_PIECE_BYTES: u64 = 256 * 1024 * 1024;
/// How long a piece may take to be stored or read.
const PIECE_DEADLINE: Duration = Duration::from_secs(60);

/// Why the archive did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The storage says so.
    #[error("the archive cannot be reached: {0}")]
    Storage(#[from] object_store::Error),
    /// What is there is not what was written.
    #[error("{0} in the archive is damaged: {1}")]
    Damaged(String, &'static str),
    /// It says nothing.
    #[error("the archive did not answer within {PIECE_DEADLINE:?}")]
    TimedOut,
}

/// The archive.
#[derive(Clone)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Archive({})", self.store)
    }
}

/// What a piece says of itself, in its first line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Heading {
    v: u32,
    object: ObjectId,
    first: u64,
    through: u64,
    bytes: u64,
    sha256: String,
}

impl Archive {
    /// Opens the archive that is named; none if none is.
    pub fn open(config: &ArchiveConfig) -> Result<Option<Self>, ArchiveError> {
        let store: Arc<dyn ObjectStore> = if let Some(name) = &config.bucket {
            location::bucket(Bucket {
                name,
                endpoint: config.endpoint.as_ref().map(Address::as_str),
                region: config.region.as_deref(),
                access_key_id: config.access_key_id.as_deref(),
                secret_access_key: config.secret_access_key.as_ref().map(Secret::expose),
            })?
        } else if let Some(folder) = &config.folder {
            location::folder(folder)?
        } else {
            return Ok(None);
        };
        Ok(Some(Self { store }))
    }

    /// Stores the snapshot of `object` at `through`.
    pub async fn put_snapshot(
        &self,
        object: &ObjectId,
        through: u64,
        snapshot: &[u8],
    ) -> Result<(), ArchiveError> {
        self.put(&snapshot_path(object, through), object, (through, through), snapshot).await
    }

    /// Reads the snapshot of `object` at `through`.
    pub async fn snapshot(&self, object: &ObjectId, through: u64) -> Result<Vec<u8>, ArchiveError> {
        self.get(&snapshot_path(object, through), object, (through, through)).await
    }

    /// Stores the batches of `object` from `first` through `through`.
    pub async fn put_history(
        &self,
        object: &ObjectId,
        first: u64,
        through: u64,
        batches: &[Arc<Kept>],
    ) -> Result<(), ArchiveError> {
        let mut content = Vec::new();
        for kept in batches {
            // A tree of plain fields always serialises.
            content.extend(serde_json::to_vec(kept).unwrap_or_default());
            content.push(b'\n');
        }
        self.put(&history_path(object, first, through), object, (first, through), &content).await
    }

    /// Reads the batches of `object` from `first` through `through`, as they were stored.
    pub async fn history(
        &self,
        object: &ObjectId,
        first: u64,
        through: u64,
    ) -> Result<Vec<Arc<Kept>>, ArchiveError> {
        let path = history_path(object, first, through);
        let content = self.get(&path, object, (first, through)).await?;
        let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                serde_json::from_slice(line)
                    .map_err(|_| ArchiveError::Damaged(path.to_string(), "a line is no batch"))
            })
            .collect()
    }

    async fn put(
        &self,
        path: &Path,
        object: &ObjectId,
        (first, through): (u64, u64),
        content: &[u8],
    ) -> Result<(), ArchiveError> {
        let heading = Heading {
            v: 1,
            object: object.clone(),
            first,
            through,
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        };
        let mut piece = serde_json::to_vec(&heading).unwrap_or_default();
        piece.push(b'\n');
        piece.extend_from_slice(content);
        within(self.store.put(path, PutPayload::from(piece))).await?;
        Ok(())
    }

    async fn get(
        &self,
        path: &Path,
        object: &ObjectId,
        (first, through): (u64, u64),
    ) -> Result<Vec<u8>, ArchiveError> {
        let damaged = |why| ArchiveError::Damaged(path.to_string(), why);
        let found = within(async {
            let found = self.store.get(path).await?;
            if found.meta.size > MAX_PIECE_BYTES {
                return Ok(None);
            }
            found.bytes().await.map(Some)
        });
        let mut piece = Vec::from(found.await?.ok_or(damaged("it is too large"))?);
        let end = piece.iter().position(|byte| *byte == b'\n').ok_or(damaged("no heading"))?;
        let heading: Heading =
            serde_json::from_slice(&piece[..end]).map_err(|_| damaged("no heading"))?;
        piece.drain(..=end);
        let is_it =
            heading.object == *object && (heading.first, heading.through) == (first, through);
        if !is_it {
            return Err(damaged("it is another piece"));
        }
        if heading.sha256 != hex(&Sha256::digest(&piece)) {
            return Err(damaged("its digest is another"));
        }
        Ok(piece)
    }
}

async fn within<T>(call: impl Future<Output = object_store::Result<T>>) -> Result<T, ArchiveError> {
    let answer = tokio::time::timeout(PIECE_DEADLINE, call).await;
    Ok(answer.map_err(|_| ArchiveError::TimedOut)??)
}

/// Sequences have a fixed width, so that names sort as they count.
fn snapshot_path(object: &ObjectId, through: u64) -> Path {
    Path::from(format!("plans/{object}/snapshot-{through:020}"))
}

fn history_path(object: &ObjectId, first: u64, through: u64) -> Path {
    Path::from(format!("plans/{object}/history-{first:020}-{through:020}"))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
