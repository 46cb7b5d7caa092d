//! `troupe progress`: tell how far a task is, and see how far everything is.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use troupe_contract::progress::Over;
use troupe_domain::progress::MilestoneId;
use troupe_domain::{AgentId, Name, TaskId};

use super::progress_report::ReportArgs;
use super::{progress_forecast, progress_read, progress_report};
use crate::args::Global;

#[derive(Debug, Subcommand)]
pub(crate) enum ProgressCommand {
    /// Report how far a held task is. An agent's program need not say which task: its environment
    /// does.
    Report(ReportArgs),
    /// Show how far one task is.
    Latest {
        /// The task.
        id: TaskId,
    },
    /// Show the reports of a task, the newest first.
    History {
        /// The task.
        id: TaskId,
        /// At most so many.
        #[arg(long)]
        limit: Option<usize>,
        /// Only reports before the one with this number.
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
    },
    /// Sum progress up; over the whole fleet where nothing is named.
    Summary(OverArgs),
    /// Sum up what an agent did.
    Agent {
        /// The agent [default: the caller].
        id: Option<AgentId>,
    },
    /// Show what holds most work up, and the chain that takes longest.
    Bottlenecks {
        #[command(flatten)]
        over: OverArgs,
        /// At most so many.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Estimate when work will be done, and say what that rests on.
    Estimate {
        #[command(flatten)]
        over: OverArgs,
        /// Agents at work at once [default: those at work on it now].
        #[arg(long)]
        workers: Option<u32>,
        /// Where chance begins: the same seed over the same facts gives the same estimate.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// List tasks whose holders have shown no progress for long.
    Stalled {
        /// At most so many.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Count what the service knows.
    Stats,
}

/// Over which tasks: one of these, or the whole fleet.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct OverArgs {
    /// The tasks of this graph.
    #[arg(long, value_name = "ID")]
    graph: Option<Name>,
    /// The tasks of this plan.
    #[arg(long, value_name = "ID")]
    plan: Option<Name>,
    /// The parts of this task.
    #[arg(long, value_name = "ID")]
    parent: Option<TaskId>,
    /// The tasks that this milestone requires.
    #[arg(long, value_name = "ID")]
    milestone: Option<MilestoneId>,
    /// This task; can be repeated.
    #[arg(long = "task", value_name = "ID")]
    tasks: Vec<TaskId>,
}

impl From<OverArgs> for Over {
    fn from(args: OverArgs) -> Self {
        Self {
            graph_id: args.graph,
            plan_id: args.plan,
            parent_task_id: args.parent,
            milestone_id: args.milestone,
            task_ids: args.tasks,
        }
    }
}

pub(crate) async fn run(global: &Global, command: ProgressCommand) -> Result<ExitCode> {
    match command {
        ProgressCommand::Report(args) => progress_report::run(global, args).await?,
        ProgressCommand::Latest { id } => progress_read::latest(global, id).await?,
        ProgressCommand::History { id, limit, before } => {
            progress_read::history(global, id, limit, before).await?;
        }
        ProgressCommand::Summary(over) => progress_read::summary(global, over.into()).await?,
        ProgressCommand::Agent { id } => progress_read::agent(global, id).await?,
        ProgressCommand::Stalled { limit } => progress_read::stalled(global, limit).await?,
        ProgressCommand::Stats => progress_read::stats(global).await?,
        ProgressCommand::Bottlenecks { over, limit } => {
            progress_forecast::bottlenecks(global, over.into(), limit).await?;
        }
        ProgressCommand::Estimate { over, workers, seed } => {
            progress_forecast::estimate(global, over.into(), workers, seed).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Minutes, as people say them.
pub(crate) fn minutes(minutes: f64) -> String {
    const HOUR: f64 = 60.0;
    const DAY: f64 = 24.0 * HOUR;
    match minutes {
        m if m < 1.0 => format!("{:.0} s", m * 60.0),
        m if m < 2.0 * HOUR => format!("{m:.1} min"),
        m if m < 2.0 * DAY => format!("{:.1} h", m / HOUR),
        m => format!("{:.1} d", m / DAY),
    }
}

/// Minutes, or a dash.
pub(crate) fn minutes_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_said_in_a_fitting_unit() {
        let said = [0.5, 12.0, 150.0, 4_320.0].map(minutes);
        assert_eq!(said, ["30 s", "12.0 min", "2.5 h", "3.0 d"]);
    }
}
