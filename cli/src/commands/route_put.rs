//! `troupe route put`: one route from flags, or many from a file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use tokio::task::JoinHandle;
use troupe_client::Troupe;
use troupe_contract::routing::{Route, RouteId, RoutePut, RouteReply, RouteTarget};
use troupe_domain::{AgentId, Fault, RequiredCapability, Role};

use crate::args::Global;
use crate::exit::Usage;
use crate::{document, output};

/// Routes of a file that are under way at a time.
const PUTS_AT_ONCE: usize = 32;

/// Declare routes: `--id` and a target, or a file with a list of {id, target, utterances, …}.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// A file of routes, YAML or JSON; `-` is standard input.
    #[arg(conflicts_with = "id", required_unless_present = "id")]
    file: Option<PathBuf>,
    /// The route's id.
    #[arg(long, requires = "target")]
    id: Option<RouteId>,
    /// This agent does it.
    #[arg(long, value_name = "ID", group = "target", requires = "id")]
    agent: Option<AgentId>,
    /// Any agent with this role does it.
    #[arg(long, group = "target", requires = "id")]
    role: Option<Role>,
    /// Any agent with this capability does it, such as rust:0.8.
    #[arg(long, value_name = "NAME[:MIN]", group = "target", requires = "id")]
    capability: Option<RequiredCapability>,
    /// What it is for, in a sentence.
    #[arg(long, default_value = "", requires = "id")]
    description: String,
    /// What people say who want it; can be repeated.
    #[arg(long = "utterance", value_name = "TEXT", requires = "id")]
    utterances: Vec<String>,
    /// The least probability at which it is chosen, 0 to 1 [default: fitted].
    #[arg(long, requires = "id")]
    threshold: Option<f64>,
}

impl PutArgs {
    fn routes(self) -> Result<Vec<Route>> {
        if let Some(file) = &self.file {
            let text = document::text(file)?;
            return parse(&text).with_context(|| file.display().to_string());
        }
        let Self { id, agent, role, capability, description, utterances, threshold, .. } = self;
        let target = agent
            .map(RouteTarget::Agent)
            .or(role.map(RouteTarget::Role))
            .or(capability.map(RouteTarget::Capability));
        match (id, target) {
            (Some(id), Some(target)) => {
                Ok(vec![Route { id, target, description, utterances, threshold }])
            }
            _ => Err(Usage::error("a route has an --id, and --agent, --role or --capability")),
        }
    }
}

fn put(troupe: &Troupe, global: &Global, route: &Route) -> JoinHandle<Result<RouteReply, Fault>> {
    let (troupe, options, route) = (troupe.clone(), global.call_options(), route.clone());
    tokio::spawn(async move { troupe.call_with::<RoutePut>(&route, &options).await })
}

/// Reads a list of routes. A fault names the entry and the field.
fn parse(text: &str) -> Result<Vec<Route>> {
    let entries = document::list(document::parse(text)?, "routes")?;
    let routes = entries.into_iter().enumerate().map(|(index, entry)| {
        let body = serde_json::to_vec(&entry)?;
        troupe_bus::wire::decode(&body).with_context(|| format!("routes[{index}]"))
    });
    routes.collect()
}

/// Each route is a change of its own, and putting it again changes nothing: several are under way at a
/// time, and a file that failed in the middle can be put again.
pub(crate) async fn run(global: &Global, args: PutArgs) -> Result<ExitCode> {
    let routes = args.routes()?;
    let troupe = global.connect().await?;
    let mut replies: Vec<RouteReply> = Vec::with_capacity(routes.len());
    for part in routes.chunks(PUTS_AT_ONCE) {
        let puts: Vec<_> = part.iter().map(|route| put(&troupe, global, route)).collect();
        for (route, put) in part.iter().zip(puts) {
            replies.push(put.await?.with_context(|| format!("route {}", route.id))?);
        }
    }
    if global.json {
        output::json(&replies)?;
        return Ok(ExitCode::SUCCESS);
    }
    let created = replies.iter().filter(|reply| reply.created).count();
    output::line(&format!("{created} declared, {} changed", replies.len() - created))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_routes_and_a_wrong_one_is_named() {
        let text = "
routes:
  - {id: fix, target: {role: implementer}, utterances: [fix this bug, repair it]}
  - {id: ann, target: {agent: ann}, threshold: 0.7}
  - {id: audit, target: {capability: 'audit:0.5'}}
";
        let routes = parse(text).unwrap();
        assert_eq!((routes.len(), routes[0].utterances.len()), (3, 2));
        assert!(
            matches!(&routes[2].target, RouteTarget::Capability(c) if c.name.as_str() == "audit")
        );
        let error = parse("- {id: fix, target: {team: x}}").unwrap_err();
        assert!(error.downcast_ref::<Fault>().is_some(), "{error:#}");
        assert!(format!("{error:#}").starts_with("routes[0]"), "{error:#}");
    }
}
