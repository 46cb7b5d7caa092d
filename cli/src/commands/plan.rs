//! `troupe plan`: plans that many edit at once.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use troupe_domain::plan::{ItemId, ObjectId};
use troupe_domain::{AgentId, Name};

use super::plan_edit::{self, AddArgs, CreateArgs, StatusArgs, UpdateArgs};
use super::plan_read::{self, HistoryArgs, ShowArgs};
use super::plan_sync::{self, ResolveArgs};
use crate::args::Global;

#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Make a plan.
    Create(CreateArgs),
    /// List plans.
    List {
        /// Only this agent's.
        #[arg(long)]
        owner: Option<AgentId>,
        /// Deleted ones too.
        #[arg(long)]
        with_deleted: bool,
        /// At most so many.
        #[arg(long)]
        limit: Option<usize>,
        /// Only ids after this one.
        #[arg(long)]
        after: Option<ObjectId>,
    },
    /// Show a plan as a tree, as it is or as it was.
    Show(ShowArgs),
    /// Add an item.
    Add(AddArgs),
    /// Change a plan, or an item of it.
    Update(UpdateArgs),
    /// Move an item to another parent or another place.
    Move {
        /// The plan.
        plan: ObjectId,
        /// The item.
        item: ItemId,
        /// The item that it becomes a part of [default: the plan itself].
        #[arg(long, value_name = "ITEM")]
        under: Option<ItemId>,
        /// Directly after this one [default: the first].
        #[arg(long, value_name = "ITEM")]
        after: Option<ItemId>,
    },
    /// Put the parts of an item into an order.
    Order {
        /// The plan.
        plan: ObjectId,
        /// The first parts, in their new order.
        #[arg(required = true)]
        items: Vec<ItemId>,
        /// The item whose parts they are [default: the plan itself].
        #[arg(long, value_name = "ITEM")]
        under: Option<ItemId>,
    },
    /// Say whose an item is.
    Assign {
        /// The plan.
        plan: ObjectId,
        /// The item.
        item: ItemId,
        /// Whose [default: nobody's].
        agent: Option<AgentId>,
    },
    /// Say where an item stands.
    Status(StatusArgs),
    /// Add a remark to an item.
    Note {
        /// The plan.
        plan: ObjectId,
        /// The item.
        item: ItemId,
        /// What it says.
        text: String,
    },
    /// Delete a plan, or an item of it with its parts.
    Delete {
        /// The plan.
        plan: ObjectId,
        /// The item [default: the whole plan].
        item: Option<ItemId>,
    },
    /// Show who changed what, newest first.
    History(HistoryArgs),
    /// List conflicts that nobody has decided.
    Conflicts {
        /// The plan.
        plan: ObjectId,
    },
    /// Decide a conflict.
    Resolve(ResolveArgs),
    /// Turn ready items into tasks.
    Dispatch {
        /// The plan.
        plan: ObjectId,
        /// Only this item; can be repeated [default: every ready one].
        #[arg(long = "item", value_name = "ITEM")]
        items: Vec<ItemId>,
        /// At most so many.
        #[arg(long)]
        limit: Option<usize>,
        /// The role that the tasks ask for.
        #[arg(long)]
        role: Option<Name>,
    },
    /// Say what the service has of a plan: how many batches of each replica, and the state's hash.
    Sync {
        /// The plan.
        plan: ObjectId,
    },
    /// Save the state of a plan to a file.
    Snapshot {
        /// The plan.
        plan: ObjectId,
        /// The file.
        #[arg(long, value_name = "FILE")]
        out: std::path::PathBuf,
    },
    /// List the proofs that an agent signed two histories.
    Forks {
        /// The plan.
        plan: ObjectId,
    },
    /// Count plans, objects, batches and conflicts.
    Stats,
}

pub(crate) async fn run(global: &Global, command: PlanCommand) -> Result<ExitCode> {
    match command {
        PlanCommand::Create(args) => plan_edit::create(global, args).await?,
        PlanCommand::Add(args) => plan_edit::add(global, args).await?,
        PlanCommand::Update(args) => plan_edit::update(global, args).await?,
        PlanCommand::Move { plan, item, under, after } => {
            plan_edit::shift(global, plan, item, under, after).await?;
        }
        PlanCommand::Order { plan, items, under } => {
            plan_edit::order(global, plan, items, under).await?;
        }
        PlanCommand::Assign { plan, item, agent } => {
            plan_edit::assign(global, plan, item, agent).await?;
        }
        PlanCommand::Status(args) => plan_edit::status(global, args).await?,
        PlanCommand::Note { plan, item, text } => plan_edit::note(global, plan, item, text).await?,
        PlanCommand::Delete { plan, item } => plan_edit::delete(global, plan, item).await?,
        PlanCommand::List { owner, with_deleted, limit, after } => {
            plan_read::list(global, owner, with_deleted, limit, after).await?;
        }
        PlanCommand::Show(args) => plan_read::show(global, args).await?,
        PlanCommand::History(args) => plan_read::history(global, args).await?,
        PlanCommand::Stats => plan_read::stats(global).await?,
        PlanCommand::Conflicts { plan } => plan_sync::conflicts(global, plan).await?,
        PlanCommand::Resolve(args) => plan_sync::resolve(global, args).await?,
        PlanCommand::Dispatch { plan, items, limit, role } => {
            plan_sync::dispatch(global, plan, items, limit, role).await?;
        }
        PlanCommand::Sync { plan } => plan_sync::sync(global, plan).await?,
        PlanCommand::Snapshot { plan, out } => plan_sync::snapshot(global, plan, &out).await?,
        PlanCommand::Forks { plan } => plan_sync::forks(global, plan).await?,
    }
    Ok(ExitCode::SUCCESS)
}
