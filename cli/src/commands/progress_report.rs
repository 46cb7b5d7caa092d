//! `troupe progress report`: the holder of a task tells how far it is. In an agent's program the task,
//! its epoch, and who holds it are in the environment.

use anyhow::Result;
use clap::Args;
use troupe_bus::port::{System, World};
use troupe_client::{Patience, insist};
use troupe_contract::progress::{Report, ReportRequest};
use troupe_domain::progress::ProgressStatus;
use troupe_domain::{AgentId, TaskId};

use crate::args::Global;
use crate::document;
use crate::output::{self, from_word};

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// How far it is, 0 to 100 [default: as before].
    percentage: Option<f64>,
    /// What there is to say.
    #[arg(default_value = "")]
    message: String,
    /// The task.
    #[arg(long = "task", env = "TROUPE_TASK_ID", value_name = "ID")]
    task_id: TaskId,
    /// The epoch that the claim gave.
    #[arg(long, env = "TROUPE_EPOCH")]
    epoch: u64,
    /// Who holds it: an agent's program is told.
    #[arg(long = "agent", env = "TROUPE_AGENT", value_name = "NAME", hide = true)]
    agent: Option<AgentId>,
    /// in_progress, blocked, paused or completed [default: in_progress].
    #[arg(long, value_parser = from_word::<ProgressStatus>)]
    status: Option<ProgressStatus>,
    /// Says that it cannot go on, and why; can be repeated.
    #[arg(long = "blocked-by", value_name = "WHAT")]
    blockers: Vec<String>,
    /// What it needs yet.
    #[arg(long, value_name = "MINUTES")]
    remaining_minutes: Option<f64>,
    /// What it has taken so far.
    #[arg(long, value_name = "MINUTES")]
    spent_minutes: Option<f64>,
    /// More: JSON, or a text; `-` reads standard input.
    #[arg(long, value_name = "JSON")]
    details: Option<String>,
    /// Why the percentage went down.
    #[arg(long, value_name = "WHY")]
    regression_reason: Option<String>,
}

pub(crate) async fn run(global: &Global, args: ReportArgs) -> Result<()> {
    let blocked = (!args.blockers.is_empty()).then_some(ProgressStatus::Blocked);
    let request = ReportRequest {
        percentage: args.percentage,
        status: args.status.or(blocked),
        message: args.message,
        details: args.details.as_deref().map(document::body).transpose()?,
        time_spent_minutes: args.spent_minutes,
        estimated_remaining_minutes: args.remaining_minutes,
        blockers: args.blockers,
        regression_reason: args.regression_reason,
        ..ReportRequest::new(args.task_id, args.epoch)
    };
    let troupe = match (&global.name, args.agent) {
        (None, Some(agent)) => global.connect_as(agent).await?,
        _ => global.connect().await?,
    };
    let patience = Patience { total: global.timeout(), attempt: global.timeout() };
    let command_id = Some(System.ulid().to_string());
    let receipt = insist::<Report>(&troupe, &request, command_id, patience).await?;
    if global.json {
        return output::json(&receipt);
    }
    output::line(&format!("{} {}%", receipt.task_id, receipt.percentage))?;
    for suggestion in &receipt.suggestions {
        let text = suggestion.text.replace('\n', " ");
        output::line(&format!("may help: {} {text}", suggestion.memory_id))?;
    }
    Ok(())
}
