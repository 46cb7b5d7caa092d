//! The subcommands of `troupe task` that change a task. Each is one call.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use troupe_contract::Endpoint;
use troupe_contract::work::{
    Cancel, CancelRequest, Claim, ClaimRequest, Complete, CompleteRequest, Extend, ExtendRequest,
    Fail, FailRequest, HoldRequest, Release, ReleaseRequest, Revive, ReviveRequest, Start, Verify,
    VerifyRequest,
};
use troupe_domain::evidence::Evidence;
use troupe_domain::{Json, TaskId};

use crate::args::Global;
use crate::exit::{FAULT, Usage};
use crate::output;

/// A task, and the epoch of the hold.
#[derive(Debug, clap::Args)]
pub(crate) struct Hold {
    /// The task.
    id: TaskId,
    /// The epoch that the claim gave.
    #[arg(long)]
    epoch: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WriteCommand {
    /// Claim one task by its id, as the caller.
    Claim {
        /// The task.
        id: TaskId,
        /// Only if it still has this epoch.
        #[arg(long)]
        expected_epoch: Option<u64>,
    },
    /// Say that the work on a held task begins.
    Start(Hold),
    /// Renew the lease of a held task, and tell its progress.
    Extend {
        #[command(flatten)]
        hold: Hold,
        /// How long from now.
        #[arg(long, value_name = "MS")]
        lease_ms: Option<u64>,
        /// How far it is, 0 to 100.
        #[arg(long, value_name = "PERCENT")]
        progress: Option<f64>,
    },
    /// Report that a held task is done.
    Complete {
        #[command(flatten)]
        hold: Hold,
        /// What came out: JSON, or a text.
        #[arg(long)]
        result: Option<String>,
        /// What was seen, as evidence; can be repeated.
        #[arg(long, value_name = "STATEMENT")]
        observation: Vec<String>,
    },
    /// Report that a held task failed.
    Fail {
        #[command(flatten)]
        hold: Hold,
        /// What went wrong.
        #[arg(long)]
        error: String,
        /// Trying again does not help.
        #[arg(long)]
        no_retry: bool,
    },
    /// Give a held task back.
    Release {
        #[command(flatten)]
        hold: Hold,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Call off a task, its parts, and what depends on it.
    Cancel {
        /// The task.
        id: TaskId,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Bring back what failed, died or was cancelled.
    Revive {
        /// The task.
        id: TaskId,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Judge a report that waits for verification.
    Verify {
        #[command(flatten)]
        hold: Hold,
        /// The report holds.
        #[arg(long, conflicts_with = "reject")]
        accept: bool,
        /// The task goes back to the queue; say why with --reason.
        #[arg(long, requires = "reason")]
        reject: bool,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
        /// What was seen, as evidence; can be repeated.
        #[arg(long, value_name = "STATEMENT")]
        observation: Vec<String>,
    },
}

async fn tell<E: Endpoint>(global: &Global, request: E::Request) -> Result<ExitCode> {
    let troupe = global.connect().await?;
    output::json(&troupe.call_with::<E>(&request, &global.call_options()).await?)?;
    Ok(ExitCode::SUCCESS)
}

fn observed(statements: Vec<String>) -> Vec<Evidence> {
    statements.into_iter().map(|statement| Evidence::Observation { statement }).collect()
}

pub(crate) async fn run(global: &Global, command: WriteCommand) -> Result<ExitCode> {
    match command {
        WriteCommand::Claim { id, expected_epoch } => claim(global, id, expected_epoch).await,
        WriteCommand::Start(Hold { id: task_id, epoch }) => {
            tell::<Start>(global, HoldRequest { task_id, epoch }).await
        }
        WriteCommand::Extend { hold: Hold { id: task_id, epoch }, lease_ms, progress } => {
            let request = ExtendRequest { task_id, epoch, lease_ms, progress_percent: progress };
            tell::<Extend>(global, request).await
        }
        WriteCommand::Complete { hold: Hold { id: task_id, epoch }, result, observation } => {
            let json = |text: String| serde_json::from_str(&text).unwrap_or(Json::text(&text));
            let (result, evidence) = (result.map(json), observed(observation));
            let report = CompleteRequest::new(task_id, epoch, result);
            tell::<Complete>(global, CompleteRequest { evidence, ..report }).await
        }
        WriteCommand::Fail { hold: Hold { id: task_id, epoch }, error, no_retry } => {
            let request = FailRequest { task_id, epoch, error, retryable: !no_retry };
            tell::<Fail>(global, request).await
        }
        WriteCommand::Release { hold: Hold { id: task_id, epoch }, reason } => {
            tell::<Release>(global, ReleaseRequest { task_id, epoch, reason }).await
        }
        WriteCommand::Cancel { id: task_id, reason } => {
            tell::<Cancel>(global, CancelRequest { task_id, reason }).await
        }
        WriteCommand::Revive { id: task_id, reason } => {
            tell::<Revive>(global, ReviveRequest { task_id, reason }).await
        }
        WriteCommand::Verify { hold, accept, reject, reason, observation } => {
            if accept == reject {
                return Err(Usage::error("say either --accept or --reject"));
            }
            let request = VerifyRequest {
                task_id: hold.id,
                epoch: hold.epoch,
                accept,
                reason: reason.unwrap_or_default(),
                evidence: observed(observation),
            };
            tell::<Verify>(global, request).await
        }
    }
}

/// Losing the race is an answer, but not a success.
async fn claim(global: &Global, task_id: TaskId, expected_epoch: Option<u64>) -> Result<ExitCode> {
    let troupe = global.connect().await?;
    let request = ClaimRequest { task_id, expected_epoch };
    let answer = troupe.call_with::<Claim>(&request, &global.call_options()).await?;
    output::json(&answer)?;
    Ok(if answer.success { ExitCode::SUCCESS } else { ExitCode::from(FAULT) })
}
