//! The archive: snapshots of objects, and the batches between them, in object storage.
//!
//! Invariants: a piece is named by its object and the sequences that it holds, is written once, and
//! carries the digest of its content, so that what is read is what was written or is refused; nothing
//! that is acknowledged waits for the archive.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use troupe_domain::plan::ObjectId;

use crate::config::ArchiveConfig;
use crate::rules::object::Kept;

/// The most bytes of one piece that are read.
const MAX_PIECE_BYTES: u64 = 256 * 1024 * 1024;

/// Why the archive did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The storage says so.
    #[error("the archive cannot be reached: {0}")]
    Storage(#[from] object_store::Error),
    /// What is there is not what was written.
    #[error("{0} in the archive is damaged: {1}")]
    Damaged(String, &'static str),
    /// The folder cannot be made.
    #[error("the archive's folder cannot be made: {0}")]
    Folder(#[from] std::io::Error),
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
        let store: Arc<dyn ObjectStore> = if config.bucket.is_some() {
            bucket(config)?
        } else if let Some(folder) = &config.folder {
            std::fs::create_dir_all(folder)?;
            Arc::new(object_store::local::LocalFileSystem::new_with_prefix(folder)?)
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
        self.store.put(path, PutPayload::from(piece)).await?;
        Ok(())
    }

    async fn get(
        &self,
        path: &Path,
        object: &ObjectId,
        (first, through): (u64, u64),
    ) -> Result<Vec<u8>, ArchiveError> {
        let damaged = |why| ArchiveError::Damaged(path.to_string(), why);
        let found = self.store.get(path).await?;
        if found.meta.size > MAX_PIECE_BYTES {
            return Err(damaged("it is too large"));
        }
        let mut piece = Vec::from(found.bytes().await?);
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

#[cfg(feature = "s3")]
fn bucket(config: &ArchiveConfig) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    // Somebody else in this process may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = object_store::aws::AmazonS3Builder::from_env();
    if let Some(bucket) = &config.bucket {
        builder = builder.with_bucket_name(bucket);
    }
    if let Some(endpoint) = &config.endpoint {
        let plain = endpoint.as_str().starts_with("http://");
        builder = builder.with_endpoint(endpoint.as_str()).with_allow_http(plain);
    }
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    if let Some(id) = &config.access_key_id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(secret) = &config.secret_access_key {
        builder = builder.with_secret_access_key(secret.expose());
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(not(feature = "s3"))]
fn bucket(_: &ArchiveConfig) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    Err(ArchiveError::Storage(object_store::Error::NotSupported {
        source: "this program was built without s3".into(),
    }))
}
