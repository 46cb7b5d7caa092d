//! The subcommands of `troupe plan` about what is shared: conflicts, tasks, what the service has.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use sha2::{Digest, Sha256};
use troupe_contract::plan::{
    Choice, Conflicts, ConflictsRequest, Dispatch, DispatchRequest, Forks, ObjectRef, Resolve,
    ResolveConflictRequest, Snapshot, SnapshotRequest, Sync, SyncRequest,
};
use troupe_domain::plan::{Conflict, ItemId, ObjectId};
use troupe_domain::{Name, Role, VectorClock};

use super::message::ask;
use super::plan_edit::make;
use crate::args::Global;
use crate::output::{self, short, word};

/// Characters of a value in a table.
const VALUE_CHARS: usize = 32;

#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// The plan.
    plan: ObjectId,
    /// The conflict.
    conflict: Name,
    #[command(flatten)]
    choice: ChoiceArgs,
}

/// What counts from now on: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ChoiceArgs {
    /// What counts now.
    #[arg(long)]
    keep: bool,
    /// One of the others, by its number from 0.
    #[arg(long, value_name = "NUMBER")]
    take: Option<usize>,
    /// The text that joins both.
    #[arg(long)]
    merged: bool,
    /// Another value: JSON, or a text.
    #[arg(long, value_name = "VALUE")]
    value: Option<String>,
    /// Nothing changes, and the conflict is not shown again.
    #[arg(long)]
    dismiss: bool,
}

impl From<ChoiceArgs> for Choice {
    fn from(args: ChoiceArgs) -> Self {
        match args {
            ChoiceArgs { take: Some(index), .. } => Self::TakeLoser { index },
            ChoiceArgs { value: Some(text), .. } => {
                Self::TakeValue { value: serde_json::from_str(&text).unwrap_or(text.into()) }
            }
            ChoiceArgs { merged: true, .. } => Self::TakeMerged {},
            ChoiceArgs { dismiss: true, .. } => Self::Dismiss {},
            _ => Self::KeepWinner {},
        }
    }
}

pub(super) async fn conflicts(global: &Global, plan_id: ObjectId) -> Result<()> {
    let request = ConflictsRequest { plan_id, kind: None, limit: None, after: None };
    let page = ask::<Conflicts>(global, &request).await?;
    if global.json {
        return output::json(&page);
    }
    let header = ["conflict", "kind", "severity", "item", "field", "counts", "instead"];
    let rows = page.conflicts.iter().map(row).collect();
    output::line(&output::table(&header, rows))?;
    if page.next_after.is_some() {
        eprintln!("there are {} in all; --json shows each with both sides", page.open);
    }
    Ok(())
}

fn row(conflict: &Conflict) -> Vec<String> {
    let side = |side: &troupe_domain::plan::ConflictSide| {
        format!("{} ({})", short(&side.value.to_string(), VALUE_CHARS), side.by)
    };
    let losers: Vec<String> = conflict.losers.iter().map(side).collect();
    vec![
        conflict.id.to_string(),
        word(&conflict.kind),
        word(&conflict.severity),
        output::or_dash(conflict.item_id.as_ref()),
        output::or_dash(conflict.field.as_ref()),
        side(&conflict.winner),
        losers.join(", "),
    ]
}

pub(super) async fn resolve(global: &Global, args: ResolveArgs) -> Result<()> {
    let request = ResolveConflictRequest {
        plan_id: args.plan,
        conflict_id: args.conflict,
        choice: args.choice.into(),
    };
    let receipt = make::<Resolve>(global, &request).await?;
    if global.json {
        return output::json(&receipt);
    }
    Ok(output::line(&format!("{} {}", receipt.plan_id, receipt.sequence))?)
}

pub(super) async fn dispatch(
    global: &Global,
    plan_id: ObjectId,
    item_ids: Vec<ItemId>,
    limit: Option<usize>,
    required_role: Option<Role>,
) -> Result<()> {
    let request = DispatchRequest { plan_id, item_ids, limit, required_role };
    let reply = ask::<Dispatch>(global, &request).await?;
    if global.json {
        return output::json(&reply);
    }
    for one in &reply.dispatched {
        output::line(&format!("{} {}", one.item_id, one.task_id))?;
    }
    if reply.left > 0 {
        eprintln!("{} more are ready", reply.left);
    }
    Ok(())
}

pub(super) async fn sync(global: &Global, object_id: ObjectId) -> Result<()> {
    let request = SyncRequest { object_id, vector: VectorClock::default(), max_bytes: Some(1) };
    let reply = ask::<Sync>(global, &request).await?;
    let facts = serde_json::json!({
        "sequence": reply.sequence,
        "vector": reply.vector,
        "state_hash": reply.state_hash,
    });
    output::json(&facts)
}

pub(super) async fn snapshot(global: &Global, object_id: ObjectId, out: &Path) -> Result<()> {
    let (mut bytes, mut request) =
        (Vec::new(), SnapshotRequest { object_id, offset: 0, through: None });
    let last = loop {
        let piece = ask::<Snapshot>(global, &request).await?;
        bytes.extend_from_slice(piece.chunk.as_ref());
        request.through = Some(piece.sequence);
        match piece.next_offset {
            Some(next) => request.offset = next,
            None => break piece,
        }
    };
    let digest = Sha256::digest(&bytes);
    let hex = digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    if hex != last.sha256 {
        bail!("what came is not the snapshot: its digest is {hex}, and should be {}", last.sha256);
    }
    std::fs::write(out, &bytes).with_context(|| out.display().to_string())?;
    let facts = serde_json::json!({
        "sequence": last.sequence,
        "bytes": bytes.len(),
        "state_hash": last.state_hash,
        "sha256": last.sha256,
    });
    output::json(&facts)
}

pub(super) async fn forks(global: &Global, object_id: ObjectId) -> Result<()> {
    output::json(&ask::<Forks>(global, &ObjectRef { object_id }).await?)
}
