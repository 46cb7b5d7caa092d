//! Where the storage is: a folder, or a bucket of an S3 service.
//!
//! Invariant: what a folder has taken is on the disk, not only in the system's memory; a service that
//! does not answer is given up after a named time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::store::Segments;

/// Folders below a namespace's: years and months.
const MAX_DEPTH: usize = 6;

/// A bucket of an S3 service; what is not said comes from the environment, as Amazon names it.
#[derive(Clone, Copy, Default)]
pub struct Bucket<'a> {
    /// Its name.
    pub name: &'a str,
    /// The service's address, where it is not Amazon's.
    pub endpoint: Option<&'a str>,
    /// Its region.
    pub region: Option<&'a str>,
    /// Who may use it.
    pub access_key_id: Option<&'a str>,
    /// The secret of that.
    pub secret_access_key: Option<&'a str>,
}

/// Opens a folder as storage, and makes it if it is not there.
pub fn folder(path: &Path) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let wrong =
        |source: io::Error| object_store::Error::Generic { store: "folder", source: source.into() };
    std::fs::create_dir_all(path).map_err(wrong)?;
    Ok(Arc::new(LocalFileSystem::new_with_prefix(path)?.with_fsync(true)))
}

/// Opens a folder for segments.
pub fn segments_in_folder(path: &Path) -> Result<Segments, object_store::Error> {
    let folder: PathBuf = path.to_owned();
    Ok(Segments::new(self::folder(path)?).in_folder(folder))
}

/// Opens a bucket as storage.
#[cfg(feature = "s3")]
pub fn bucket(bucket: Bucket<'_>) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    use object_store::{BackoffConfig, ClientOptions, RetryConfig};
    /// How long a connection may take.
    const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
    /// How long one request may take, with all that is transferred.
    const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
    /// How long a request is tried again.
    const RETRY_DEADLINE: Duration = Duration::from_secs(5);
    /// How often it is tried again.
    const MAX_RETRIES: usize = 3;

    // Somebody else in this process may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = object_store::aws::AmazonS3Builder::from_env()
        .with_bucket_name(bucket.name)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: MAX_RETRIES,
            retry_timeout: RETRY_DEADLINE,
        });
    let mut client =
        ClientOptions::new().with_connect_timeout(CONNECT_DEADLINE).with_timeout(REQUEST_DEADLINE);
    if let Some(endpoint) = bucket.endpoint {
        client = client.with_allow_http(endpoint.starts_with("http://"));
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = bucket.region {
        builder = builder.with_region(region);
    }
    if let Some(id) = bucket.access_key_id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(secret) = bucket.secret_access_key {
        builder = builder.with_secret_access_key(secret);
    }
    Ok(Arc::new(builder.with_client_options(client).build()?))
}

/// Opens a bucket as storage: this program cannot.
#[cfg(not(feature = "s3"))]
pub fn bucket(_: Bucket<'_>) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    Err(object_store::Error::NotSupported { source: "this program was built without s3".into() })
}

/// Whether a file is one that a put was writing: `object_store` names them so, and lists them never.
fn is_unfinished(name: &str, of: Option<&str>) -> bool {
    name.rsplit_once('#').is_some_and(|(base, number)| {
        of.is_none_or(|of| of == base)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Deletes what puts of `file` left that were killed.
pub(crate) fn delete_unfinished(file: &Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|n| n.to_str()))
    else {
        return Ok(());
    };
    each_file(folder, 0, &mut |path, found, _| {
        if is_unfinished(found, Some(name)) { remove(path) } else { Ok(()) }
    })
}

/// Deletes what puts left below `folder` that were killed, if it was last written before `before_ms`.
pub(crate) fn sweep_unfinished(folder: &Path, before_ms: i64) -> io::Result<()> {
    each_file(folder, MAX_DEPTH, &mut |path, found, written| {
        let written = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let old = i64::try_from(written.as_millis()).is_ok_and(|written| written <= before_ms);
        if old && is_unfinished(found, None) { remove(path) } else { Ok(()) }
    })
}

/// Calls `visit` for each file in `folder`, and so many folders deep.
fn each_file(
    folder: &Path,
    depth: usize,
    visit: &mut impl FnMut(&Path, &str, SystemTime) -> io::Result<()>,
) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(why) if is_nothing(&why) => return Ok(()),
        Err(why) => return Err(why),
    };
    for entry in entries {
        let entry = entry?;
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            Err(why) if is_nothing(&why) => continue,
            Err(why) => return Err(why),
        };
        if meta.is_dir() && depth > 0 {
            each_file(&entry.path(), depth - 1, visit)?;
        } else if meta.is_file()
            && let Some(name) = entry.file_name().to_str()
        {
            visit(&entry.path(), name, meta.modified()?)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(why) if !is_nothing(&why) => Err(why),
        _ => Ok(()),
    }
}

/// Whether it says that there is nothing.
fn is_nothing(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
