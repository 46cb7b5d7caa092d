//! Taking a shard over: read the newest snapshot and the log after it, then fence.
//!
//! The fence is an empty batch that is stored only if the log's last sequence is the one that was
//! read. When it is stored, everything was read, and whoever wrote before can write no more.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use troupe_bus::port::{AppendError, Entry, Log, ReadError};
use troupe_contract::subject;

use super::batch::PendingBatch;
use super::owner::{Shard, ShardPorts};
use super::publisher::Parcel;
use super::snapshot::{self, Manifest};
use crate::rules::record::Batch;
use crate::rules::state::{Settings, ShardState};

/// How often somebody else may write between our read and our fence before we give up for now.
const MAX_FENCE_ATTEMPTS: u32 = 8;

/// Why a shard could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A message of the log cannot be understood: it was written by something else.
    #[error("message {sequence} of the log cannot be read: {why}")]
    Damaged {
        /// Where.
        sequence: u64,
        /// Why.
        why: String,
    },
    /// The log was shortened while it was read, or what was read of it is not all.
    #[error("message {sequence} of the log follows {after}, and {read} was read before it")]
    Gap {
        /// Where.
        sequence: u64,
        /// What it says that it follows.
        after: u64,
        /// What was read before it.
        read: u64,
    },
    /// No snapshot is whole, and the log before it is gone.
    #[error("no snapshot of the shard is whole")]
    NoSnapshot,
    /// Others kept writing, or the log did not answer.
    #[error("the log could not be fenced: {0}")]
    Fence(String),
}

/// What was read of a shard.
struct Replay {
    state: ShardState,
    sequence: u64,
    published: u64,
    unpublished: Vec<Parcel>,
    /// Bytes of the log that no snapshot covers yet.
    bytes: u64,
}

impl Replay {
    fn take(&mut self, entry: &Entry) -> Result<(), RecoveryError> {
        let damaged = |why: serde_json::Error| RecoveryError::Damaged {
            sequence: entry.sequence,
            why: why.to_string(),
        };
        let batch: Batch = serde_json::from_slice(&entry.body).map_err(damaged)?;
        if let Some(after) = batch.after.filter(|after| *after != self.sequence) {
            let (sequence, read) = (entry.sequence, self.sequence);
            return Err(RecoveryError::Gap { sequence, after, read });
        }
        for record in &batch.records {
            self.state.apply(record);
        }
        self.sequence = entry.sequence;
        self.bytes += entry.body.len() as u64;
        self.published = self.published.max(batch.published);
        self.state.take_ready();
        let notices = self.state.take_notices();
        let done = self.published;
        if entry.sequence > done && !notices.is_empty() {
            self.unpublished.push(Parcel { sequence: entry.sequence, notices });
        }
        self.unpublished.retain(|parcel| parcel.sequence > done);
        Ok(())
    }
}

/// Takes the shard over for `owner`. Gives it with the manifest that is in force.
pub async fn open(
    settings: Settings,
    owner: &str,
    ports: ShardPorts,
) -> Result<(Arc<Shard>, Manifest), RecoveryError> {
    let log = ports.log.clone();
    let shard = settings.shard;
    let manifest = snapshot::manifest(&*log, shard).await?;
    let mut replay = read_snapshot(&*log, settings, &manifest).await?;
    let subject = subject::work_log(shard);
    for _ in 0..MAX_FENCE_ATTEMPTS {
        read_log(&*log, &subject, &mut replay).await?;
        let id = ports.world.ulid().to_string();
        let fence = PendingBatch::default().message(&id, owner, replay.published, replay.sequence);
        match log.append(&subject, fence, replay.sequence).await {
            Ok(sequence) => {
                let (published, bytes) = (replay.published, replay.bytes);
                replay.state.reconcile(ports.world.now());
                let shard = Shard::start(
                    shard,
                    owner.to_owned(),
                    replay.state,
                    sequence,
                    replay.unpublished,
                    published,
                    ports,
                );
                // A log that grows over many short owners is to be cut as well.
                shard.log_bytes.fetch_add(bytes, Ordering::Relaxed);
                // What reconciling drafted is stored like any other write.
                shard.act(|_, _| ());
                return Ok((shard, manifest));
            }
            // Either somebody else wrote, or our own fence was stored: read on, fence again.
            Err(AppendError::Conflict | AppendError::Unknown(_)) => {}
            Err(AppendError::Refused(why)) => return Err(RecoveryError::Fence(why)),
        }
    }
    Err(RecoveryError::Fence("others keep writing to it".to_owned()))
}

async fn read_snapshot(
    log: &dyn Log,
    settings: Settings,
    manifest: &Manifest,
) -> Result<Replay, RecoveryError> {
    let empty = || Replay {
        state: ShardState::new(settings),
        sequence: 0,
        published: 0,
        unpublished: Vec::new(),
        bytes: 0,
    };
    for snapshot in [&manifest.newest, &manifest.former].into_iter().flatten() {
        let Some(lines) = snapshot::load(log, settings.shard, snapshot).await? else {
            tracing::error!(
                shard = settings.shard,
                through = snapshot.through,
                "a snapshot is damaged"
            );
            continue;
        };
        let mut replay = empty();
        lines.into_iter().for_each(|line| replay.state.restore(line));
        replay.state.take_ready();
        replay.sequence = snapshot.through;
        replay.published = snapshot.through;
        return Ok(replay);
    }
    if manifest.former.is_some() {
        return Err(RecoveryError::NoSnapshot);
    }
    Ok(empty())
}

async fn read_log(log: &dyn Log, subject: &str, replay: &mut Replay) -> Result<(), RecoveryError> {
    let mut result = Ok(());
    let from = replay.sequence + 1;
    log.read(subject, from, &mut |entry| {
        if result.is_ok() {
            result = replay.take(&entry);
        }
    })
    .await?;
    result
}
