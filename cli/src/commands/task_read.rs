//! The subcommands of `troupe task` that change nothing.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use troupe_contract::Endpoint;
use troupe_contract::registry::Empty;
use troupe_contract::work::{
    Available, AvailableRequest, GetTask, ListTasks, Recommend, RecommendRequest, Recommendations,
    TaskFilter, TaskRef, WorkStats,
};
use troupe_domain::{AgentId, Name, Priority, Role, Task, TaskId, TaskStatus};

use crate::args::Global;
use crate::output::{self, or_dash, short};

/// Characters of a title in a table.
const TITLE_CHARS: usize = 48;

#[derive(Debug, Subcommand)]
pub(crate) enum ReadCommand {
    /// Show one task.
    Get {
        /// Its id.
        id: TaskId,
    },
    /// List tasks by every filter.
    List(ListArgs),
    /// List what an agent could claim, the first in the queue first.
    Available {
        /// The agent [default: the caller].
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
        /// At most so many.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Recommend who should do what, and say why.
    Recommend {
        /// Only for this agent.
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
        /// Only for this task.
        #[arg(long, value_name = "ID")]
        task: Option<TaskId>,
        /// At most so many.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Count the work.
    Stats,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// In this status; can be repeated.
    #[arg(long = "status", value_parser = status)]
    statuses: Vec<TaskStatus>,
    /// With this priority; can be repeated.
    #[arg(long = "priority", value_parser = priority)]
    priorities: Vec<Priority>,
    /// For this role; can be repeated.
    #[arg(long = "role")]
    roles: Vec<Role>,
    /// Requiring all of these; can be repeated.
    #[arg(long = "capability")]
    capabilities: Vec<Name>,
    /// Held, or last held, by this agent.
    #[arg(long, value_name = "ID")]
    claimed_by: Option<AgentId>,
    /// Created in this graph.
    #[arg(long, value_name = "ID")]
    graph: Option<Name>,
    /// A part of this task.
    #[arg(long, value_name = "ID")]
    parent: Option<TaskId>,
    /// Only tasks that are a part of nothing.
    #[arg(long)]
    root_only: bool,
    /// At most so many.
    #[arg(long)]
    limit: Option<usize>,
    /// Only ids after this one.
    #[arg(long, value_name = "ID")]
    after: Option<TaskId>,
}

fn status(text: &str) -> Result<TaskStatus, String> {
    let known = TaskStatus::ALL.into_iter().find(|status| status.as_str() == text);
    known.ok_or_else(|| format!("one of {}", TaskStatus::ALL.map(TaskStatus::as_str).join(", ")))
}

fn priority(text: &str) -> Result<Priority, String> {
    let known = Priority::ALL.into_iter().find(|priority| priority.as_str() == text);
    known.ok_or_else(|| format!("one of {}", Priority::ALL.map(Priority::as_str).join(", ")))
}

async fn ask<E: Endpoint>(global: &Global, request: &E::Request) -> Result<E::Reply> {
    let troupe = global.connect().await?;
    Ok(troupe.call_with::<E>(request, &global.call_options()).await?)
}

pub(crate) async fn run(global: &Global, command: ReadCommand) -> Result<ExitCode> {
    match command {
        ReadCommand::Get { id } => {
            output::json(&ask::<GetTask>(global, &TaskRef { task_id: id }).await?.task)?;
        }
        ReadCommand::List(args) => {
            let filter = TaskFilter {
                statuses: args.statuses,
                priorities: args.priorities,
                roles: args.roles,
                capabilities: args.capabilities,
                claimed_by: args.claimed_by,
                graph_id: args.graph,
                parent_task_id: args.parent,
                root_only: args.root_only,
                limit: args.limit,
                after: args.after,
            };
            let page = ask::<ListTasks>(global, &filter).await?;
            show(global, &page, page.tasks.iter().map(|task| row(task)).collect())?;
            if let (false, Some(after)) = (global.json, &page.next_after) {
                eprintln!("there are more: --after {after}");
            }
        }
        ReadCommand::Available { agent, limit } => {
            let request = AvailableRequest { agent_id: agent, limit };
            let reply = ask::<Available>(global, &request).await?;
            show(global, &reply, reply.tasks.iter().map(|task| row(task)).collect())?;
            if !global.json {
                eprintln!("{} in all", reply.total);
            }
        }
        ReadCommand::Recommend { agent, task, limit } => {
            let request = RecommendRequest { agent_id: agent, task_id: task, limit };
            recommend(global, &ask::<Recommend>(global, &request).await?)?;
        }
        ReadCommand::Stats => output::json(&ask::<WorkStats>(global, &Empty {}).await?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(global: &Global, whole: &impl serde::Serialize, rows: Vec<Vec<String>>) -> Result<()> {
    if global.json {
        return output::json(whole);
    }
    let header = ["id", "key", "status", "priority", "role", "epoch", "holder", "title"];
    Ok(output::line(&output::table(&header, rows))?)
}

fn row(task: &Task) -> Vec<String> {
    vec![
        task.id.to_string(),
        or_dash(task.key.as_ref()),
        task.status.as_str().to_owned(),
        task.priority.as_str().to_owned(),
        or_dash(task.required_role.as_ref()),
        task.epoch.to_string(),
        or_dash(task.claimed_by.as_ref()),
        short(&task.title, TITLE_CHARS),
    ]
}

fn recommend(global: &Global, reply: &Recommendations) -> Result<()> {
    if global.json {
        return output::json(reply);
    }
    let rows = reply.recommendations.iter().map(|pair| {
        vec![
            format!("{:.1}", pair.score),
            pair.task_id.to_string(),
            pair.agent_id.to_string(),
            pair.reasons.join("; "),
        ]
    });
    Ok(output::line(&output::table(&["score", "task", "agent", "reasons"], rows.collect()))?)
}
