//! `troupe milestone`: what a fleet works towards.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use troupe_bus::port::{System, World};
use troupe_client::{Patience, insist};
use troupe_contract::progress::{
    MilestoneCreate, MilestoneFilter, MilestoneGet, MilestoneList, MilestoneRef, MilestoneSpec,
    MilestoneUpdate, MilestoneUpdateRequest,
};
use troupe_domain::progress::{Milestone, MilestoneId, MilestoneStatus};
use troupe_domain::{Name, TaskId, Timestamp};

use super::message::ask;
use crate::args::Global;
use crate::output::{self, from_word, or_dash, short, word};

/// Characters of a name in a table.
const NAME_CHARS: usize = 48;

#[derive(Debug, Subcommand)]
pub(crate) enum MilestoneCommand {
    /// Create a milestone.
    Create(CreateArgs),
    /// List milestones.
    List(ListArgs),
    /// Show one milestone.
    Show {
        /// The milestone.
        id: MilestoneId,
    },
    /// Change a milestone.
    Update(UpdateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// One line.
    #[arg(value_name = "NAME")]
    title: String,
    /// As long as needed.
    #[arg(long, default_value = "")]
    description: String,
    /// A task that must be completed; can be repeated.
    #[arg(long = "task", value_name = "ID")]
    tasks: Vec<TaskId>,
    /// Every task that this graph has now.
    #[arg(long, value_name = "ID")]
    graph: Option<Name>,
    /// When it should be achieved, such as 2026-12-24T18:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = from_word::<Timestamp>)]
    target: Option<Timestamp>,
    /// The milestone that it is a part of.
    #[arg(long, value_name = "ID")]
    parent: Option<MilestoneId>,
    /// Who looks after it [default: the caller].
    #[arg(long, value_name = "NAME")]
    owner: Option<Name>,
    /// A word to find it by; can be repeated.
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// Its id: creating twice under one id creates once [default: a new one].
    #[arg(long)]
    id: Option<MilestoneId>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// In this status: pending, in_progress, achieved, missed, deferred; can be repeated.
    #[arg(long = "status", value_parser = from_word::<MilestoneStatus>)]
    statuses: Vec<MilestoneStatus>,
    /// With this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Looked after by.
    #[arg(long, value_name = "NAME")]
    owner: Option<Name>,
    /// Parts of this milestone.
    #[arg(long, value_name = "ID")]
    parent: Option<MilestoneId>,
    /// Requiring this task.
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,
    /// At most so many.
    #[arg(long)]
    limit: Option<usize>,
    /// Only ids after this one.
    #[arg(long, value_name = "ID")]
    after: Option<MilestoneId>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The milestone.
    id: MilestoneId,
    /// One line. (`--name` is who speaks.)
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// As long as needed.
    #[arg(long)]
    description: Option<String>,
    /// deferred puts it off, pending takes it up again.
    #[arg(long, value_parser = from_word::<MilestoneStatus>)]
    status: Option<MilestoneStatus>,
    /// When it should be achieved.
    #[arg(long, value_name = "TIME", value_parser = from_word::<Timestamp>)]
    target: Option<Timestamp>,
    /// Takes its date away.
    #[arg(long, conflicts_with = "target")]
    no_target: bool,
    /// Requires this task too; can be repeated.
    #[arg(long = "add-task", value_name = "ID")]
    add_tasks: Vec<TaskId>,
    /// No longer requires this task; can be repeated.
    #[arg(long = "remove-task", value_name = "ID")]
    remove_tasks: Vec<TaskId>,
    /// Who looks after it.
    #[arg(long, value_name = "NAME")]
    owner: Option<Name>,
    /// All of its tags; can be repeated.
    #[arg(long = "tag")]
    tags: Option<Vec<String>>,
}

pub(crate) async fn run(global: &Global, command: MilestoneCommand) -> Result<ExitCode> {
    match command {
        MilestoneCommand::Create(args) => create(global, args).await?,
        MilestoneCommand::List(args) => list(global, args).await?,
        MilestoneCommand::Show { id: milestone_id } => {
            let request = MilestoneRef { milestone_id };
            output::json(&ask::<MilestoneGet>(global, &request).await?.milestone)?;
        }
        MilestoneCommand::Update(args) => {
            let request = MilestoneUpdateRequest {
                milestone_id: args.id,
                name: args.title,
                description: args.description,
                status: args.status,
                target_date: args.target,
                no_target_date: args.no_target,
                add_task_ids: args.add_tasks,
                remove_task_ids: args.remove_tasks,
                owner: args.owner,
                tags: args.tags,
            };
            output::json(&ask::<MilestoneUpdate>(global, &request).await?.milestone)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// It has an id of its own, so that it may be sent again while the outcome is unknown.
async fn create(global: &Global, args: CreateArgs) -> Result<()> {
    let id = match args.id {
        Some(id) => id,
        None => Name::parse(&System.ulid().to_string())?,
    };
    let request = MilestoneSpec {
        id: Some(id),
        name: args.title,
        description: args.description,
        target_date: args.target,
        required_task_ids: args.tasks,
        graph_id: args.graph,
        parent_milestone_id: args.parent,
        owner: args.owner,
        tags: args.tags,
    };
    let troupe = global.connect().await?;
    let patience = Patience { total: global.timeout(), attempt: global.timeout() };
    let created = insist::<MilestoneCreate>(&troupe, &request, None, patience).await?.milestone;
    if global.json { output::json(&created) } else { Ok(output::line(created.id.as_str())?) }
}

async fn list(global: &Global, args: ListArgs) -> Result<()> {
    let filter = MilestoneFilter {
        statuses: args.statuses,
        tag: args.tag,
        owner: args.owner,
        parent_milestone_id: args.parent,
        task_id: args.task,
        limit: args.limit,
        after: args.after,
    };
    let page = ask::<MilestoneList>(global, &filter).await?;
    if global.json {
        return output::json(&page);
    }
    let header = ["id", "status", "percent", "target", "completed", "owner", "name"];
    output::line(&output::table(&header, page.milestones.iter().map(row).collect()))?;
    if let Some(after) = &page.next_after {
        eprintln!("there are more: --after {after}");
    }
    Ok(())
}

fn row(milestone: &Milestone) -> Vec<String> {
    vec![
        milestone.id.to_string(),
        word(&milestone.status),
        milestone.progress.to_string(),
        or_dash(milestone.target_date.as_ref()),
        or_dash(milestone.completed_date.as_ref()),
        or_dash(milestone.owner.as_ref()),
        short(&milestone.name, NAME_CHARS),
    ]
}
