//! The archive: terminal tasks that left memory, many to a message of the event stream.
//!
//! Invariants: a task leaves memory only when the piece that holds it is stored; a piece is written once,
//! by compare-and-set on its own subject, so that a former owner replaces nothing; only what the shard's
//! log says is in a piece counts as being there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::sleep;
use troupe_bus::port::{AppendError, Log};
use troupe_contract::subject;
use troupe_domain::{Code, Fault, Task, TaskId};

use crate::rules::leaving::Leaving;
use crate::rules::memory::PIECE;
use crate::rules::state::ShardState;
use crate::shard::{Router, Shard, ShardRequest};

/// How often it is looked for what leaves memory.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Numbers that are tried for a piece. One is taken if a former owner stored a piece that the log says
/// nothing of.
const MAX_NUMBERS: u64 = 64;
/// How often one shard goes on in one round, so that others have their turn.
const MAX_TURNS: usize = 16;

/// Brings what leaves the memory of this replica's shards to the archive, until it is aborted.
pub async fn run(router: Arc<Router>, archive: Arc<dyn Log>) {
    loop {
        sleep(LOOK_EVERY).await;
        for shard in router.local() {
            // It is tried again: nothing has left memory.
            if let Err(why) = bring(&shard, &*archive).await {
                tracing::warn!(shard = shard.number(), %why, "ended tasks wait for the archive");
            }
        }
    }
}

/// Brings what leaves the memory of one shard to the archive.
pub async fn bring(shard: &Arc<Shard>, archive: &dyn Log) -> Result<(), Fault> {
    for _ in 0..MAX_TURNS {
        if shard.look(|state| state.leaving().is_none()) {
            return Ok(());
        }
        // What is not stored may never have happened.
        let leaving = shard.look_stored(ShardState::leaving).await.flatten();
        let Some(Leaving { first, pieces, mut spared }) = leaving else { return Ok(()) };
        if pieces.is_empty() {
            shard.call(ShardRequest::Leave { piece: first, ended: Vec::new(), spared }).await?;
            return Ok(());
        }
        let (mut next, mut leaves) = (first, Vec::with_capacity(pieces.len()));
        let mut failed = None;
        for tasks in &pieces {
            let piece = match store(shard, archive, next, tasks).await {
                Ok(piece) => piece,
                Err(why) => {
                    failed = Some(why);
                    break;
                }
            };
            let ended = tasks.iter().map(|task| (task.id.clone(), task.completed_at)).collect();
            let spared = std::mem::take(&mut spared);
            leaves.push(shard.call(ShardRequest::Leave { piece, ended, spared }));
            next = piece + 1;
        }
        // What is stored leaves, or its numbers would be taken for nothing.
        futures::future::try_join_all(leaves).await?;
        if let Some(why) = failed {
            return Err(why);
        }
    }
    Ok(())
}

/// Tasks by their ids, as a piece holds them.
struct Piece<'a>(&'a [Arc<Task>]);

impl Serialize for Piece<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|task| (&task.id, &**task)))
    }
}

/// Stores a piece under the first number from `first` on that is free.
async fn store(
    shard: &Shard,
    archive: &dyn Log,
    first: u64,
    tasks: &[Arc<Task>],
) -> Result<u64, Fault> {
    let unavailable = |why: String| Fault::new(Code::Unavailable, why);
    let body = serde_json::to_vec(&Piece(tasks)).map_err(|why| unavailable(why.to_string()))?;
    let body = bytes::Bytes::from(body);
    let mut last = AppendError::Conflict;
    for piece in first..first + MAX_NUMBERS {
        let subject = subject::task_archive(shard.number(), piece);
        match archive.append(&subject, body.clone(), 0).await {
            Ok(_) => return Ok(piece),
            // Where it is not known whether it was stored, the number is taken.
            Err(why @ (AppendError::Conflict | AppendError::Unknown(_))) => last = why,
            Err(why) => return Err(unavailable(why.to_string())),
        }
    }
    Err(unavailable(last.to_string()))
}

/// The terminal task that `shard` no longer has, as it said in `absent`; none if it never had it, or if
/// it left too long ago.
pub async fn find(
    archive: &dyn Log,
    shard: u16,
    id: &TaskId,
    absent: &Fault,
) -> Result<Option<Arc<Task>>, Fault> {
    let Some(piece) = absent.details.get(PIECE).and_then(serde_json::Value::as_u64) else {
        return Ok(None);
    };
    let last = archive
        .last(&subject::task_archive(shard, piece))
        .await
        .map_err(|why| Fault::new(Code::Unavailable, why.to_string()))?;
    let Some(entry) = last else { return Ok(None) };
    let damaged = |why: serde_json::Error| {
        let why = format!("piece {piece} of the archive of shard {shard} cannot be read: {why}");
        Fault::new(Code::Internal, why)
    };
    // Only one of its many tasks is decoded.
    let tasks: HashMap<&str, &RawValue> = serde_json::from_slice(&entry.body).map_err(damaged)?;
    let task = tasks.get(id.as_str()).map(|task| serde_json::from_str(task.get()));
    task.transpose().map_err(damaged)
}
