//! `troupe agent`: run one, or look at the fleet's directory.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use troupe_contract::registry::{
    AgentRef, Deregister, DeregisterAgent, Discover, DiscoveryFilter, Empty, GetAgent, ListAgents,
    ListAgentsRequest, RegistryStats,
};
use troupe_domain::{Agent, AgentId, AgentStatus, RequiredCapability, Role};

use super::agent_run::{self, AgentRunArgs};
use crate::args::Global;
use crate::exit::Usage;
use crate::output::{self, or_dash};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Run any program as a member of the fleet.
    Run(Box<AgentRunArgs>),
    /// List the directory.
    List {
        /// At most so many.
        #[arg(long)]
        limit: Option<usize>,
        /// Only ids after this one.
        #[arg(long, value_name = "ID")]
        after: Option<AgentId>,
    },
    /// Show one agent.
    Get {
        /// Its id.
        id: AgentId,
    },
    /// Find agents, the least loaded first.
    Discover(DiscoverArgs),
    /// Take the agent of this name (see --name) out of the directory.
    Deregister {
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Count the fleet.
    Stats,
}

#[derive(Debug, Args)]
pub(crate) struct DiscoverArgs {
    /// With this role; can be repeated.
    #[arg(long = "role")]
    roles: Vec<Role>,
    /// In this status; can be repeated [default: every live one].
    #[arg(long = "status", value_parser = status)]
    statuses: Vec<AgentStatus>,
    /// With all of these, such as rust:0.8; can be repeated.
    #[arg(long = "capability", value_name = "NAME[:MIN]")]
    capabilities: Vec<RequiredCapability>,
    /// Heard from within so long.
    #[arg(long, value_name = "MS")]
    active_within_ms: Option<u64>,
    /// At most so many.
    #[arg(long)]
    limit: Option<usize>,
}

fn status(text: &str) -> Result<AgentStatus, String> {
    let known = AgentStatus::ALL.into_iter().find(|status| status.as_str() == text);
    known.ok_or_else(|| format!("one of {}", AgentStatus::ALL.map(AgentStatus::as_str).join(", ")))
}

pub(crate) async fn run(global: &Global, command: AgentCommand) -> Result<ExitCode> {
    match command {
        AgentCommand::Run(args) => return agent_run::run(global, *args).await,
        AgentCommand::List { limit, after } => {
            let troupe = global.connect().await?;
            let request = ListAgentsRequest { limit, after };
            let page = troupe.call_with::<ListAgents>(&request, &global.call_options()).await?;
            show(global.json, &page, &page.agents)?;
        }
        AgentCommand::Get { id } => {
            let troupe = global.connect().await?;
            let request = AgentRef { agent_id: id };
            output::json(&troupe.call_with::<GetAgent>(&request, &global.call_options()).await?)?;
        }
        AgentCommand::Discover(args) => {
            let troupe = global.connect().await?;
            let filter = DiscoveryFilter {
                roles: args.roles,
                statuses: args.statuses,
                capabilities: args.capabilities,
                active_within_ms: args.active_within_ms,
                limit: args.limit,
                ..DiscoveryFilter::default()
            };
            let found = troupe.call_with::<Discover>(&filter, &global.call_options()).await?;
            show(global.json, &found, &found.agents)?;
        }
        AgentCommand::Deregister { reason } => {
            if global.name.is_none() {
                return Err(Usage::error("say which agent with --name"));
            }
            let troupe = global.connect().await?;
            let request = DeregisterAgent { id: Some(troupe.name().clone()), reason };
            let options = global.call_options();
            output::json(&troupe.call_with::<Deregister>(&request, &options).await?)?;
        }
        AgentCommand::Stats => {
            let troupe = global.connect().await?;
            let stats =
                troupe.call_with::<RegistryStats>(&Empty {}, &global.call_options()).await?;
            output::json(&stats)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(json: bool, whole: &impl serde::Serialize, agents: &[Agent]) -> Result<()> {
    if json {
        return output::json(whole);
    }
    let rows = agents.iter().map(row).collect();
    let header = ["id", "role", "status", "tasks", "capabilities", "last heartbeat", "parent"];
    Ok(output::line(&output::table(&header, rows))?)
}

fn row(agent: &Agent) -> Vec<String> {
    let capabilities: Vec<_> =
        agent.capabilities.iter().map(|c| format!("{}:{}", c.name, c.proficiency)).collect();
    vec![
        agent.id.to_string(),
        agent.role.to_string(),
        agent.status.as_str().to_owned(),
        format!("{}/{}", agent.current_task_ids.len(), agent.max_concurrent_tasks),
        if capabilities.is_empty() { "-".to_owned() } else { capabilities.join(",") },
        agent.last_heartbeat.to_string(),
        or_dash(agent.parent_agent_id.as_ref()),
    ]
}
