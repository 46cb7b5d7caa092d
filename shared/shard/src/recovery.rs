//! Taking a shard over: read the newest snapshot and the log after it, then fence.
//!
//! The fence is an empty batch that is stored only if the log's last sequence is the one that was
//! read. When it is stored, everything was read, and whoever wrote before can write no more. It may
//! still answer reads for as long as its lease holds: see [`lease`](crate::lease).

use std::sync::Arc;

use troupe_bus::port::{AppendError, Entry, Log, ReadError};
use troupe_contract::subject;

use crate::batch::{Batch, NOBODY, PendingBatch};
use crate::lease::TAKEOVER_WAIT;
use crate::machine::Machine;
use crate::owner::{Recovered, Shard, ShardPorts};
use crate::publisher::Parcel;
use crate::snapshot::{self, Manifest};

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
struct Replay<M> {
    /// As far as it was read.
    so_far: Recovered<M>,
    /// Whether whoever wrote last may still answer reads.
    may_be_owned: bool,
}

impl<M: Machine> Replay<M> {
    fn empty(settings: M::Settings) -> Self {
        let so_far = Recovered {
            machine: M::new(settings),
            sequence: 0,
            published: 0,
            unpublished: Vec::new(),
            bytes: 0,
        };
        Self { so_far, may_be_owned: false }
    }

    fn take(&mut self, entry: &Entry) -> Result<(), RecoveryError> {
        let damaged = |why: serde_json::Error| RecoveryError::Damaged {
            sequence: entry.sequence,
            why: why.to_string(),
        };
        let batch: Batch<M::Record> = serde_json::from_slice(&entry.body).map_err(damaged)?;
        let read = &mut self.so_far;
        if let Some(after) = batch.after.filter(|after| *after != read.sequence) {
            return Err(RecoveryError::Gap {
                sequence: entry.sequence,
                after,
                read: read.sequence,
            });
        }
        batch.records.iter().for_each(|record| read.machine.apply(record));
        read.sequence = entry.sequence;
        read.bytes += entry.body.len() as u64;
        read.published = read.published.max(batch.published);
        let drafts = read.machine.drafts();
        drafts.ready.clear();
        let notices = std::mem::take(&mut drafts.notices);
        let done = read.published;
        if entry.sequence > done && !notices.is_empty() {
            read.unpublished.push(Parcel { sequence: entry.sequence, notices });
        }
        read.unpublished.retain(|parcel| parcel.sequence > done);
        self.may_be_owned = batch.owner != NOBODY;
        Ok(())
    }
}

/// Takes the shard over for `owner`. Gives it with the manifest that is in force.
pub async fn open<M: Machine>(
    settings: M::Settings,
    owner: &str,
    ports: ShardPorts<M>,
) -> Result<(Arc<Shard<M>>, Manifest), RecoveryError> {
    let log = ports.log.clone();
    let number = M::shard(&settings);
    let manifest = snapshot::manifest(&*log, M::SERVICE, number).await?;
    let mut replay = read_snapshot::<M>(&*log, settings, &manifest).await?;
    let subject = subject::shard_log(M::SERVICE, number);
    for _ in 0..MAX_FENCE_ATTEMPTS {
        read_log(&*log, &subject, &mut replay).await?;
        let Replay { so_far, may_be_owned } = &mut replay;
        let id = ports.world.ulid().to_string();
        let after = so_far.sequence;
        let fence = PendingBatch::default().message(&id, owner, so_far.published, after);
        match log.append(&subject, fence, after).await {
            Ok(sequence) => {
                if *may_be_owned {
                    tokio::time::sleep(TAKEOVER_WAIT).await;
                }
                let mut recovered = replay.so_far;
                recovered.sequence = sequence;
                recovered.machine.reconcile(ports.world.now());
                let shard = Shard::start(number, owner.to_owned(), recovered, ports);
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

async fn read_snapshot<M: Machine>(
    log: &dyn Log,
    settings: M::Settings,
    manifest: &Manifest,
) -> Result<Replay<M>, RecoveryError> {
    let shard = M::shard(&settings);
    for snapshot in [&manifest.newest, &manifest.former].into_iter().flatten() {
        let Some(lines) = snapshot::load::<M>(log, shard, snapshot).await? else {
            tracing::error!(shard, through = snapshot.through, "a snapshot is damaged");
            continue;
        };
        let mut replay = Replay::<M>::empty(settings);
        let read = &mut replay.so_far;
        lines.into_iter().for_each(|line| read.machine.restore(line));
        read.machine.drafts().ready.clear();
        read.sequence = snapshot.through;
        read.published = snapshot.through;
        // Whoever took it may own the shard; the log after it may say otherwise.
        replay.may_be_owned = true;
        return Ok(replay);
    }
    if manifest.former.is_some() {
        return Err(RecoveryError::NoSnapshot);
    }
    Ok(Replay::empty(settings))
}

async fn read_log<M: Machine>(
    log: &dyn Log,
    subject: &str,
    replay: &mut Replay<M>,
) -> Result<(), RecoveryError> {
    let mut result = Ok(());
    let from = replay.so_far.sequence + 1;
    log.read(subject, from, &mut |entry| {
        if result.is_ok() {
            result = replay.take(&entry);
        }
    })
    .await?;
    result
}
