//! `troupe route`: who does what, and who can act on a text.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use troupe_contract::routing::{
    Route, RouteDelete, RouteId, RouteList, RouteListRequest, RouteRef, RouteTarget,
};

use super::message::ask;
use super::route_learn::{self, FeedbackArgs, FitArgs};
use super::route_put::{self, PutArgs};
use super::route_resolve::{self, ResolveArgs};
use crate::args::Global;
use crate::exit::FAULT;
use crate::output::{self, short};

/// Characters of a description in a table.
const DESCRIPTION_CHARS: usize = 48;

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// Declare a route, or change it; or many of them from a file.
    Put(Box<PutArgs>),
    /// Remove routes.
    Delete {
        /// Their ids.
        #[arg(required = true)]
        ids: Vec<RouteId>,
    },
    /// List the declared routes.
    List {
        /// At most so many.
        #[arg(long)]
        limit: Option<usize>,
        /// Only ids after this one.
        #[arg(long, value_name = "ID")]
        after: Option<RouteId>,
    },
    /// Say who can act on a text, and why: scores, runners-up, who was removed by which filter.
    Resolve(ResolveArgs),
    /// Fit the thresholds of routes to labelled examples.
    Fit(FitArgs),
    /// Tell how a decision turned out, so that routing learns.
    Feedback(FeedbackArgs),
}

pub(crate) async fn run(global: &Global, command: RouteCommand) -> Result<ExitCode> {
    match command {
        RouteCommand::Put(args) => route_put::run(global, *args).await,
        RouteCommand::Delete { ids } => delete(global, ids).await,
        RouteCommand::List { limit, after } => {
            list(global, RouteListRequest { limit, after }).await
        }
        RouteCommand::Resolve(args) => route_resolve::run(global, args).await,
        RouteCommand::Fit(args) => route_learn::fit(global, args).await,
        RouteCommand::Feedback(args) => route_learn::feedback(global, args).await,
    }
}

/// The exit code is 1 if one of them was not there.
async fn delete(global: &Global, ids: Vec<RouteId>) -> Result<ExitCode> {
    let troupe = global.connect().await?;
    let mut rows = Vec::new();
    let mut all = true;
    for route_id in ids {
        let request = RouteRef { route_id };
        let reply = troupe.call_with::<RouteDelete>(&request, &global.call_options()).await?;
        all &= reply.removed;
        rows.push((request.route_id, reply.removed));
    }
    if global.json {
        let rows = rows
            .iter()
            .map(|(id, removed)| serde_json::json!({ "route_id": id, "removed": removed }));
        output::json(&rows.collect::<Vec<_>>())?;
    } else {
        for (id, removed) in rows {
            output::line(&format!("{id} {}", if removed { "removed" } else { "was not there" }))?;
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(FAULT) })
}

async fn list(global: &Global, request: RouteListRequest) -> Result<ExitCode> {
    let page = ask::<RouteList>(global, &request).await?;
    if global.json {
        output::json(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["id", "target", "threshold", "utterances", "description"];
    output::line(&output::table(&header, page.routes.iter().map(row).collect()))?;
    if let Some(after) = &page.next_after {
        eprintln!("there are more: --after {after}");
    }
    Ok(ExitCode::SUCCESS)
}

fn row(route: &Route) -> Vec<String> {
    vec![
        route.id.to_string(),
        target(&route.target),
        route.threshold.map_or_else(|| "fitted".to_owned(), |threshold| threshold.to_string()),
        route.utterances.len().to_string(),
        short(&route.description, DESCRIPTION_CHARS),
    ]
}

/// A target as the flags of `put` name it.
fn target(target: &RouteTarget) -> String {
    match target {
        RouteTarget::Agent(agent) => format!("agent {agent}"),
        RouteTarget::Role(role) => format!("role {role}"),
        RouteTarget::Capability(wanted) => {
            format!("capability {}:{}", wanted.name, wanted.min_proficiency)
        }
    }
}
