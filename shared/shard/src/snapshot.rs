//! Snapshots: what a shard is at one place of its log, so that the log before it can go.
//!
//! A snapshot is a number of chunks and a manifest that names them with their digest. The manifest is
//! written last; the log is purged only up to the snapshot before the newest one, so that a damaged
//! newest snapshot costs a longer replay and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use troupe_bus::port::{EVERYTHING, Log, ReadError};
use troupe_contract::{Service, subject};

use crate::machine::Machine;
use crate::owner::Shard;

/// Bytes of one chunk, about.
const CHUNK_BYTES: usize = 1024 * 1024;
/// How often the size of the log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A snapshot of so few lines is encoded at once; a larger one would hold up other work.
const MAX_LINES_ENCODED_HERE: usize = 256;

/// Where snapshots are. The last message on the manifest's subject counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The newest.
    pub newest: Option<SnapshotRef>,
    /// The one before.
    pub former: Option<SnapshotRef>,
}

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// It holds every record up to this sequence.
    pub through: u64,
    /// How many chunks it has.
    pub chunks: usize,
    /// SHA-256 over all chunks, hexadecimal.
    pub sha256: String,
    /// Their size.
    pub size_bytes: u64,
}

/// When to take a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotPolicy {
    /// After so many bytes of log; and at least as many as the last snapshot had.
    pub after_log_bytes: u64,
}

/// Snapshots that somebody wants before the log says that one is due.
#[derive(Debug)]
pub(crate) struct Wanted {
    asked: Notify,
    /// How many were asked for.
    count: AtomicU64,
    /// How many of those were taken.
    taken: watch::Sender<u64>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { asked: Notify::new(), count: AtomicU64::new(0), taken: watch::channel(0).0 }
    }
}

impl<M: Machine> Shard<M> {
    /// Waits for a snapshot that is begun after this was called; `false` if the shard is closed. With
    /// the one after it, provided that the log goes on in between, the log before the call is purged.
    pub async fn snapshot_now(&self) -> bool {
        let number = self.wanted.count.fetch_add(1, Ordering::SeqCst) + 1;
        let mut taken = self.wanted.taken.subscribe();
        self.wanted.asked.notify_one();
        tokio::select! {
            taken = taken.wait_for(|taken| *taken >= number) => taken.is_ok(),
            () = self.wait_closed() => false,
        }
    }
}

/// Takes snapshots of `shard` as its log grows, until it is closed.
pub async fn run<M: Machine>(shard: Arc<Shard<M>>, policy: SnapshotPolicy, mut manifest: Manifest) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shard.wanted.asked.notified() => {}
        }
        if shard.closed().is_some() {
            return;
        }
        let last = manifest.newest.as_ref().map_or(0, |s| s.size_bytes);
        let is_due = shard.log_bytes.load(Ordering::Relaxed) >= policy.after_log_bytes.max(last);
        // Read before the snapshot is begun: who asks meanwhile waits for the next.
        let wanted = shard.wanted.count.load(Ordering::SeqCst);
        if !is_due && wanted <= *shard.wanted.taken.borrow() {
            continue;
        }
        match take(&shard, &manifest).await {
            Ok(next) => {
                manifest = next;
                shard.wanted.taken.send_replace(wanted);
            }
            Err(why) => tracing::warn!(shard = shard.number(), why, "no snapshot was taken"),
        }
    }
}

/// Takes one snapshot. Any failure leaves the former one in force.
pub async fn take<M: Machine>(
    shard: &Arc<Shard<M>>,
    manifest: &Manifest,
) -> Result<Manifest, String> {
    let (lines, fate) = shard.cut(M::snapshot).ok_or("the shard is closed")?;
    let covered = shard.log_bytes.load(Ordering::Relaxed);
    let through = fate.wait().await.ok_or("the shard changed hands")?;
    // Events before `through` cannot be derived from the log once it is purged.
    if !shard.published.reaches(through).await {
        return Err("its events could not be published".to_owned());
    }
    let (chunks, sha256) = if lines.len() <= MAX_LINES_ENCODED_HERE {
        encode::<M>(&lines)?
    } else {
        tokio::task::spawn_blocking(move || encode::<M>(&lines))
            .await
            .map_err(|why| why.to_string())??
    };
    let log = &shard.ports.log;
    for (index, chunk) in chunks.iter().enumerate() {
        let subject = subject::shard_snapshot(M::SERVICE, shard.number(), through, index);
        log.put(&subject, chunk.clone()).await.map_err(|why| why.to_string())?;
    }
    let size_bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    let newest = SnapshotRef { through, chunks: chunks.len(), sha256, size_bytes };
    let next = Manifest { newest: Some(newest), former: manifest.newest.clone() };
    write_manifest(shard, &next).await?;
    shard.log_bytes.fetch_sub(covered, Ordering::Relaxed);
    if let Err(why) = forget(shard, &next).await {
        tracing::warn!(shard = shard.number(), %why, "the log was not purged");
    }
    tracing::info!(shard = shard.number(), through, size_bytes, "snapshot taken");
    Ok(next)
}

async fn write_manifest<M: Machine>(shard: &Shard<M>, manifest: &Manifest) -> Result<(), String> {
    // A former owner must not replace the manifest of a later one: the batch that marks the place
    // was stored under the fence, and a later owner's newest snapshot lies further on.
    let subject = subject::shard_manifest(M::SERVICE, shard.number());
    let log = &shard.ports.log;
    let last = log.last(&subject).await.map_err(|why| why.to_string())?;
    let sequence = last.as_ref().map_or(0, |entry| entry.sequence);
    let known = last.and_then(|entry| serde_json::from_slice::<Manifest>(&entry.body).ok());
    let through = |m: &Manifest| m.newest.as_ref().map_or(0, |s| s.through);
    if known.is_some_and(|known| through(&known) >= through(manifest)) {
        return Err("a newer snapshot exists".to_owned());
    }
    let body = serde_json::to_vec(manifest).map_err(|why| why.to_string())?;
    log.append(&subject, body.into(), sequence).await.map(|_| ()).map_err(|why| why.to_string())
}

/// Removes what neither of the two snapshots needs. Everything older than the former snapshot's place
/// in the log goes: records, and the chunks of snapshots before it, which were written earlier still.
async fn forget<M: Machine>(shard: &Shard<M>, now: &Manifest) -> Result<(), ReadError> {
    match &now.former {
        Some(former) => shard.ports.log.purge_below(EVERYTHING, former.through).await,
        None => Ok(()),
    }
}

fn encode<M: Machine>(lines: &[M::Line]) -> Result<(Vec<Bytes>, String), String> {
    let mut digest = Sha256::new();
    let mut chunks = Vec::new();
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + 4096);
    for line in lines {
        serde_json::to_writer(&mut chunk, line).map_err(|why| why.to_string())?;
        chunk.push(b'\n');
        if chunk.len() >= CHUNK_BYTES {
            digest.update(&chunk);
            chunks.push(Bytes::from(std::mem::take(&mut chunk)));
        }
    }
    if !chunk.is_empty() {
        digest.update(&chunk);
        chunks.push(chunk.into());
    }
    Ok((chunks, hex(&digest.finalize())))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads the manifest.
pub async fn manifest(log: &dyn Log, service: Service, shard: u16) -> Result<Manifest, ReadError> {
    let last = log.last(&subject::shard_manifest(service, shard)).await?;
    Ok(last.and_then(|entry| serde_json::from_slice(&entry.body).ok()).unwrap_or_default())
}

/// Reads a snapshot; `None` if it is not whole.
pub async fn load<M: Machine>(
    log: &dyn Log,
    shard: u16,
    snapshot: &SnapshotRef,
) -> Result<Option<Vec<M::Line>>, ReadError> {
    let mut digest = Sha256::new();
    let mut lines = Vec::new();
    for index in 0..snapshot.chunks {
        let subject = subject::shard_snapshot(M::SERVICE, shard, snapshot.through, index);
        let Some(chunk) = log.last(&subject).await? else { return Ok(None) };
        digest.update(&chunk.body);
        for line in chunk.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(line) => lines.push(line),
                Err(_) => return Ok(None),
            }
        }
    }
    Ok((hex(&digest.finalize()) == snapshot.sha256).then_some(lines))
}
