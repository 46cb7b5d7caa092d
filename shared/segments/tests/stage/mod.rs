//! Entries, and storage that fails or falls silent at a chosen moment.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses a part of it

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use troupe_domain::Timestamp;
use troupe_domain::memory::Namespace;
use troupe_segments::{Entry, Placed, SegmentId, Wanted};

pub fn namespace() -> Namespace {
    Namespace::parse("fleet/team").unwrap()
}

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_795_659_300_000 + millis)
}

pub fn id(number: i64) -> SegmentId {
    SegmentId::new(at(number), number.unsigned_abs().into())
}

/// An entry whose line says its number again and again, for about so many bytes.
pub fn entry(number: usize, bytes: usize) -> Entry {
    let content = format!("entry {number} ").repeat(bytes / 10 + 1);
    let line = serde_json::json!({"id": format!("m{number}"), "content": content}).to_string();
    Entry { id: format!("m{number}"), at: at(number as i64), line: line.into() }
}

pub fn entries(numbers: std::ops::Range<usize>, bytes: usize) -> Vec<Entry> {
    numbers.map(|number| entry(number, bytes)).collect()
}

pub fn wanted(segment: SegmentId, placed: &Placed) -> Wanted {
    Wanted { segment, place: placed.place, digest: placed.digest }
}

/// Storage that can be told to die.
#[derive(Debug, Clone)]
pub struct Mortal {
    inner: Arc<dyn ObjectStore>,
    /// Operations that still work.
    left: Arc<AtomicI64>,
    /// Whether the last one that fails was done.
    does_the_last: bool,
    /// Whether it falls silent instead of failing.
    silent: bool,
}

impl Mortal {
    /// Dies with its operation number `after`, which is done or not.
    pub fn new(inner: Arc<dyn ObjectStore>, after: i64, does_the_last: bool) -> Self {
        Self { inner, left: Arc::new(AtomicI64::new(after)), does_the_last, silent: false }
    }

    /// Says nothing from its operation number `after` on.
    pub fn silent(inner: Arc<dyn ObjectStore>, after: i64) -> Self {
        Self { silent: true, ..Self::new(inner, after, false) }
    }

    /// How many operations it would still do.
    pub fn left(&self) -> i64 {
        self.left.load(Ordering::SeqCst)
    }

    /// One operation: whether it is done, and with what it fails if not.
    async fn turn(&self) -> Result<ControlFlow<(), ()>> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left > 0 {
            return Ok(ControlFlow::Continue(()));
        }
        if self.silent {
            std::future::pending::<()>().await;
        }
        if left == 0 && self.does_the_last { Ok(ControlFlow::Break(())) } else { Err(dead()) }
    }

    async fn run<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        match self.turn().await? {
            ControlFlow::Continue(()) => operation.await,
            ControlFlow::Break(()) => {
                let _ = operation.await;
                Err(dead())
            }
        }
    }
}

fn dead() -> object_store::Error {
    object_store::Error::Generic { store: "mortal", source: "the process was killed".into() }
}

impl std::fmt::Display for Mortal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "mortal {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Mortal {
    async fn put_opts(&self, to: &Path, what: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.run(self.inner.put_opts(to, what, how)).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.run(self.inner.put_multipart_opts(to, how)).await
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> Result<GetResult> {
        self.run(self.inner.get_opts(from, how)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let mortal = self.clone();
        let delete = move |path: Result<Path>| {
            let mortal = mortal.clone();
            async move {
                let path = path?;
                mortal.run(mortal.inner.delete(&path)).await?;
                Ok(path)
            }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (mortal, listed) = (self.clone(), self.inner.list(prefix));
        let list = async move {
            match mortal.turn().await {
                Ok(ControlFlow::Continue(())) => listed,
                Ok(ControlFlow::Break(())) => futures::stream::once(async { Err(dead()) }).boxed(),
                Err(error) => futures::stream::once(async { Err(error) }).boxed(),
            }
        };
        list.flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.run(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.run(self.inner.copy_opts(from, to, how)).await
    }
}
