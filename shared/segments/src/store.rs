//! The storage, with a deadline on everything.
//!
//! Invariant: no call here takes longer than its deadline, and none returns more bytes than its
//! caller named.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::sync::Semaphore;
use troupe_domain::memory::Namespace;

use crate::error::SegmentError;
use crate::limits::{LARGE_DEADLINE, MAX_LISTED_OBJECTS, MAX_PARALLEL_READS, SMALL_DEADLINE};
use crate::naming::{self, Object};

/// Segments and their manifests in one storage; cheap to clone.
#[derive(Clone)]
pub struct Segments {
    store: Arc<dyn ObjectStore>,
    /// The folder, if it is one: a put that was killed leaves a file there that no listing shows.
    pub(crate) folder: Option<PathBuf>,
    reads: Arc<Semaphore>,
    small: Duration,
    large: Duration,
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segments({})", self.store)
    }
}

/// The end of an object, and how long that is.
pub(crate) struct End {
    pub(crate) content: Bytes,
    pub(crate) total: u64,
}

impl Segments {
    /// Segments in `store`.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            folder: None,
            reads: Arc::new(Semaphore::new(MAX_PARALLEL_READS)),
            small: SMALL_DEADLINE,
            large: LARGE_DEADLINE,
        }
    }

    /// With other deadlines: for a part, and for a whole segment.
    pub fn with_deadlines(mut self, small: Duration, large: Duration) -> Self {
        (self.small, self.large) = (small, large);
        self
    }

    pub(crate) fn in_folder(mut self, folder: PathBuf) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Makes an object where none is.
    pub(crate) async fn create(&self, path: &Path, content: Bytes) -> Result<(), SegmentError> {
        let what = path.to_string();
        let put = self.store.put_opts(path, PutPayload::from(content), PutMode::Create.into());
        within(self.large, &what, put).await?;
        Ok(())
    }

    /// The whole object, of at most `limit_bytes`.
    pub(crate) async fn whole(&self, path: &Path, limit: usize) -> Result<Bytes, SegmentError> {
        let what = path.to_string();
        let _turn = self.turn(&what).await?;
        let get = async {
            let got = self.store.get(path).await?;
            if got.meta.size > limit as u64 {
                return Ok(None);
            }
            got.bytes().await.map(Some)
        };
        within(self.large, &what, get).await?.ok_or(SegmentError::TooLarge {
            what,
            limit,
            unit: "bytes",
        })
    }

    /// A part of an object.
    pub(crate) async fn part(&self, path: &Path, range: Range<u64>) -> Result<Bytes, SegmentError> {
        let what = path.to_string();
        let _turn = self.turn(&what).await?;
        within(self.small, &what, self.store.get_range(path, range)).await
    }

    /// The last `bytes` of an object, or all of it.
    pub(crate) async fn end(&self, path: &Path, bytes: u64) -> Result<End, SegmentError> {
        let what = path.to_string();
        let _turn = self.turn(&what).await?;
        let options = GetOptions { range: Some(GetRange::Suffix(bytes)), ..GetOptions::default() };
        let get = async {
            let got = self.store.get_opts(path, options).await?;
            let total = got.meta.size;
            Ok(End { content: got.bytes().await?, total })
        };
        within(self.small, &what, get).await
    }

    /// All objects of a namespace that are ours, below `prefix`.
    pub(crate) async fn list(
        &self,
        namespace: &Namespace,
        prefix: &Path,
    ) -> Result<Vec<Object>, SegmentError> {
        let what = format!("the objects below {prefix}");
        let list = async {
            let mut found = Vec::new();
            let mut stream = self.store.list(Some(prefix));
            while let Some(meta) = stream.try_next().await? {
                if let Some(object) = naming::object(namespace, &meta.location) {
                    if found.len() == MAX_LISTED_OBJECTS {
                        return Ok(None);
                    }
                    found.push(object);
                }
            }
            Ok(Some(found))
        };
        let listed = within(self.large, &what, list).await;
        match listed {
            // A folder that is not there has nothing in it.
            Err(SegmentError::Missing { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
            Ok(found) => found.ok_or(SegmentError::TooLarge {
                what,
                limit: MAX_LISTED_OBJECTS,
                unit: "objects",
            }),
        }
    }

    /// Deletes an object, and looks whether it is gone. One that is not there is gone.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), SegmentError> {
        let what = path.to_string();
        self.delete_unfinished(path, &what).await?;
        match within(self.small, &what, self.store.delete(path)).await {
            Ok(()) | Err(SegmentError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        match within(self.small, &what, self.store.head(path)).await {
            Err(SegmentError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(SegmentError::Unusable {
                what,
                source: object_store::Error::Generic {
                    store: "segments",
                    source: "it was deleted and is there still".into(),
                },
            }),
        }
    }

    /// Deletes what a put that was killed left beside the file: the same bytes, under another name.
    async fn delete_unfinished(&self, path: &Path, what: &str) -> Result<(), SegmentError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let file = folder.join(path.as_ref());
        let gone = async {
            tokio::task::spawn_blocking(move || crate::location::delete_unfinished(&file))
                .await?
                .map_err(|why| object_store::Error::Generic { store: "folder", source: why.into() })
        };
        within(self.small, what, gone).await
    }

    async fn turn(&self, what: &str) -> Result<tokio::sync::OwnedSemaphorePermit, SegmentError> {
        let turn = Arc::clone(&self.reads).acquire_owned();
        match tokio::time::timeout(self.large, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            // It is never closed.
            Ok(Err(_)) | Err(_) => {
                Err(SegmentError::TimedOut { what: what.to_owned(), after: self.large })
            }
        }
    }
}

async fn within<T>(
    limit: Duration,
    what: &str,
    call: impl Future<Output = object_store::Result<T>>,
) -> Result<T, SegmentError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(SegmentError::of(what, error)),
        Err(_) => Err(SegmentError::TimedOut { what: what.to_owned(), after: limit }),
    }
}

/// Runs what takes the processor for a while beside what waits for the network.
pub(crate) async fn aside<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SegmentError> {
    tokio::task::spawn_blocking(work).await.map_err(|why| SegmentError::Unusable {
        what: what.to_owned(),
        source: object_store::Error::JoinError { source: why },
    })
}
