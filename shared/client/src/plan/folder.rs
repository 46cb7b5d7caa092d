//! A replica on the disk: a key, and a file with a snapshot and the batches after it.
//!
//! Invariant: an own batch is flushed before anybody hears of it, behind everything that it rests on. A
//! record that was not written to its end is cut off when the file is opened; damage anywhere else is
//! refused, because going on without what was there would make a fork.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};
use troupe_crdt::limits::MAX_SNAPSHOT_BYTES;
use troupe_crdt::{AgentKey, Document, Kind, Replica, SignedBatch};
use troupe_domain::plan::ObjectId;
use troupe_domain::{AgentId, Code, Fault};

const SNAPSHOT: u8 = 0;
const BATCH: u8 = 1;
const HEAD_BYTES: usize = 5;
const CHECK_BYTES: usize = 8;
/// From this size on a file is written anew once the service has everything.
const COMPACT_FROM_BYTES: u64 = 4 * 1024 * 1024;

/// A replica's file.
#[derive(Debug)]
pub(super) struct Folder {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// A write failed and could not be taken back: what is on the disk is not known.
    is_broken: bool,
    /// Holds the lock for as long as it lives.
    _lock: File,
}

/// What was found in a folder.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) folder: Folder,
    pub(super) replica: Replica,
    pub(super) key: AgentKey,
}

impl Folder {
    pub(super) fn open(
        folder: &Path,
        agent: &AgentId,
        object: &ObjectId,
        kind: Kind,
    ) -> Result<Opened, Fault> {
        fs::create_dir_all(folder).map_err(|why| unusable(folder, &why))?;
        let key = key_in(folder, agent)?;
        let lock_path = folder.join(format!("{object}.lock"));
        let lock = File::create(&lock_path).map_err(|why| unusable(&lock_path, &why))?;
        lock.try_lock().map_err(|_| {
            Fault::precondition(format!("another process has {} open", lock_path.display()))
        })?;
        let path = folder.join(format!("{object}.plan"));
        let existing = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(why) => return Err(unusable(&path, &why)),
        };
        let (replica, used) = restore(&path, &existing, object, kind)?;
        let mut opened = OpenOptions::new();
        let file = opened.create(true).read(true).write(true).truncate(false).open(&path);
        let mut file = file.map_err(|why| unusable(&path, &why))?;
        file.set_len(used).map_err(|why| unusable(&path, &why))?;
        file.seek(SeekFrom::End(0)).map_err(|why| unusable(&path, &why))?;
        let mut folder = Self { file, path, bytes: used, is_broken: false, _lock: lock };
        if used == 0 {
            folder.rewrite(&replica)?;
        }
        Ok(Opened { folder, replica, key })
    }

    /// Keeps a batch of this agent. It is on the disk when this returns.
    pub(super) fn append_own(&mut self, batch: &SignedBatch) -> Result<(), Fault> {
        self.write(&record(BATCH, batch.bytes()), true)
    }

    /// Keeps batches of others; a later flush puts them on the disk.
    pub(super) fn append(&mut self, batches: &[Arc<SignedBatch>]) -> Result<(), Fault> {
        let records: Vec<u8> =
            batches.iter().flat_map(|batch| record(BATCH, batch.bytes())).collect();
        self.write(&records, false)
    }

    fn write(&mut self, bytes: &[u8], flush: bool) -> Result<(), Fault> {
        if self.is_broken {
            return Err(unusable(&self.path, &"a former write failed; open the replica anew"));
        }
        let written = self.file.write_all(bytes);
        let written = written.and_then(|()| if flush { self.file.sync_data() } else { Ok(()) });
        let Err(why) = written else {
            self.bytes += bytes.len() as u64;
            return Ok(());
        };
        let taken_back = self.file.set_len(self.bytes);
        let taken_back = taken_back.and_then(|()| self.file.seek(SeekFrom::End(0)));
        self.is_broken = taken_back.is_err();
        Err(unusable(&self.path, &why))
    }

    /// Whether the file is worth writing anew.
    pub(super) fn is_large(&self) -> bool {
        self.bytes > COMPACT_FROM_BYTES
    }

    /// Writes the file anew: the document at the horizon, and the batches after it.
    pub(super) fn rewrite(&mut self, replica: &Replica) -> Result<(), Fault> {
        let history = replica.history();
        let mut bytes = record(SNAPSHOT, history.base());
        for batch in history.since(history.horizon()) {
            bytes.extend(record(BATCH, batch.bytes()));
        }
        let new = self.path.with_extension("new");
        let written = (|| {
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            if let Some(folder) = self.path.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok(file)
        })();
        let file = written.map_err(|why: io::Error| unusable(&self.path, &why))?;
        (self.file, self.bytes, self.is_broken) = (file, bytes.len() as u64, false);
        Ok(())
    }
}

/// A kind, a length, the bytes, and a piece of their hash.
fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD_BYTES + payload.len() + CHECK_BYTES);
    record.push(kind);
    record.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    record.extend_from_slice(payload);
    let hash = Sha256::digest(&record);
    record.extend_from_slice(&hash[..CHECK_BYTES]);
    record
}

/// The first record, and how many bytes it takes.
fn first_record(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let length = u32::from_le_bytes(head[1..].try_into().ok()?) as usize;
    let (payload, rest) = rest.split_at_checked(length)?;
    let check = rest.get(..CHECK_BYTES)?;
    let used = HEAD_BYTES + length + CHECK_BYTES;
    let hash = Sha256::digest(&bytes[..HEAD_BYTES + length]);
    (hash[..CHECK_BYTES] == *check).then_some((head[0], payload, used))
}

/// The replica that a file holds, and how much of the file is good.
fn restore(
    path: &Path,
    bytes: &[u8],
    object: &ObjectId,
    kind: Kind,
) -> Result<(Replica, u64), Fault> {
    let damaged = |at: usize| {
        let why = format!("{} is damaged at byte {at}", path.display());
        Fault::new(Code::Internal, why)
    };
    let mut replica = Replica::new(object.clone(), kind);
    let mut at = 0;
    while at < bytes.len() {
        let Some((record, payload, used)) = first_record(&bytes[at..]) else {
            if at == 0 || !is_torn(&bytes[at..]) {
                return Err(damaged(at));
            }
            tracing::warn!(path = %path.display(), at, "the last record was not written to its end");
            break;
        };
        match record {
            SNAPSHOT if at == 0 => replica = Replica::of(Document::decode(payload)?),
            BATCH => replica.replay(Arc::new(SignedBatch::decode(payload)?))?,
            _ => return Err(damaged(at)),
        }
        at += used;
    }
    let document = replica.document();
    if document.object() != object || document.kind() != kind {
        let why = format!("{} holds another object", path.display());
        return Err(Fault::precondition(why));
    }
    Ok((replica, at as u64))
}

/// Whether a bad record is one that was being written when the machine stopped: it reaches the end of
/// the file, or is all zeros.
fn is_torn(rest: &[u8]) -> bool {
    let length = rest.get(1..HEAD_BYTES).and_then(|length| length.try_into().ok());
    let reaches_the_end = length.is_none_or(|length| {
        let length = u32::from_le_bytes(length) as usize;
        length <= MAX_SNAPSHOT_BYTES && HEAD_BYTES + length + CHECK_BYTES >= rest.len()
    });
    reaches_the_end || rest.iter().all(|byte| *byte == 0)
}

/// The agent's key, made on first use.
fn key_in(folder: &Path, agent: &AgentId) -> Result<AgentKey, Fault> {
    let path = folder.join(format!("{agent}.key"));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(&path) {
        Ok(mut file) => {
            let mut seed = [0; 32];
            SysRng.try_fill_bytes(&mut seed).map_err(|why| unusable(&path, &why))?;
            let written = file.write_all(&seed).and_then(|()| file.sync_all());
            written.map_err(|why| unusable(&path, &why))?;
            Ok(AgentKey::from_seed(seed))
        }
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {
            let mut bytes = Vec::new();
            let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
            read.map_err(|why| unusable(&path, &why))?;
            let seed = bytes.try_into().map_err(|_| unusable(&path, &"is not a key"))?;
            Ok(AgentKey::from_seed(seed))
        }
        Err(why) => Err(unusable(&path, &why)),
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Fault {
    Fault::new(Code::Internal, format!("{}: {why}", path.display()))
}
