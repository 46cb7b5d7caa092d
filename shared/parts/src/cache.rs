//! One part's place in the cache folder.
//!
//! Invariant: the file and the record of its hash are each replaced by a rename, the record
//! first, and only by the holder of the lock. A reader therefore sees a whole file or none, and a
//! file without a matching record counts as none.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

use crate::part::Part;

/// Longer than a fetch may take, so that a waiter outlives the process that fetches for it.
const LOCK_DEADLINE_SECONDS: u64 = 900;
const LOCK_POLL_MS: u64 = 25;
const COPY_BUFFER_BYTES: usize = 64 * 1024;
/// A bound on what is unpacked, far above any part.
const FILE_MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// What a look at the cache found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cached {
    Whole,
    Absent,
    /// It is there, and is not what was put there.
    Damaged,
}

/// Where one part is kept.
pub(crate) struct Slot {
    folder: PathBuf,
    file: PathBuf,
    record: PathBuf,
}

impl Slot {
    pub(crate) fn of(part: &Part, cache: &Path) -> Self {
        let folder = cache.join(format!("{}-{}", part.name, part.version));
        let file = folder.join(part.file);
        let record = folder.join(format!("{}.sha256", part.file));
        Self { folder, file, record }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the whole file to answer: tens of milliseconds for a large one.
    pub(crate) fn check(&self) -> io::Result<Cached> {
        let Some(found) = absent_as_none(File::open(&self.file))? else {
            return Ok(Cached::Absent);
        };
        let Some(recorded) = absent_as_none(fs::read_to_string(&self.record))? else {
            return Ok(Cached::Damaged);
        };
        let whole = recorded.trim() == sha256(found)?;
        Ok(if whole { Cached::Whole } else { Cached::Damaged })
    }

    /// Waits until this process is the only one that may change the slot. The lock is the
    /// system's, so that it ends with the process that holds it.
    pub(crate) fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(&self.folder)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join("lock"))?;
        let deadline = Instant::now() + Duration::from_secs(LOCK_DEADLINE_SECONDS);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    let text = format!(
                        "another process holds {}/lock for over {LOCK_DEADLINE_SECONDS} s",
                        self.folder.display()
                    );
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(Duration::from_millis(LOCK_POLL_MS));
                }
            }
        }
    }

    /// A folder beside the final place, so that what is in it can be renamed there.
    pub(crate) fn workshop(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix("fetch-").tempdir_in(&self.folder)
    }

    /// Puts what `content` yields in place, executable. Only for the holder of the lock.
    pub(crate) fn put(&self, content: impl Read) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&self.folder)?;
        let hash = copy_hashed(content, file.as_file_mut())?;
        file.as_file().set_permissions(Permissions::from_mode(0o755))?;
        file.as_file().sync_all()?;
        let mut record = NamedTempFile::new_in(&self.folder)?;
        writeln!(record, "{hash}")?;
        record.as_file().set_permissions(Permissions::from_mode(0o644))?;
        record.persist(&self.record)?;
        // Closing before the rename: a program that is open for writing cannot be run.
        file.into_temp_path().persist(&self.file)?;
        Ok(())
    }
}

/// SHA-256 of everything in `content`, in lower-case hexadecimal.
pub(crate) fn sha256(content: impl Read) -> io::Result<String> {
    copy_hashed(content, &mut io::sink())
}

fn copy_hashed(content: impl Read, out: &mut impl Write) -> io::Result<String> {
    let mut content = content.take(FILE_MAX_BYTES + 1);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    let mut total: u64 = 0;
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        total += read as u64;
        hasher.update(&buffer[..read]);
        out.write_all(&buffer[..read])?;
    }
    if total > FILE_MAX_BYTES {
        return Err(io::Error::other(format!("larger than {FILE_MAX_BYTES} bytes")));
    }
    Ok(hasher.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

fn absent_as_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
