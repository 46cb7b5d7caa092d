//! `troupe route put`: one route from flags, or many from a file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use troupe_contract::routing::{Route, RouteId, RoutePut, RouteReply, RouteTarget};
use troupe_domain::{AgentId, RequiredCapability, Role};

use crate::args::Global;
use crate::exit::Usage;
use crate::{document, output};

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

/// Reads a list of routes. A fault names the entry and the field.
fn parse(text: &str) -> Result<Vec<Route>> {
    let entries = document::list(document::parse(text)?, "routes")?;
    let routes = entries.into_iter().enumerate().map(|(index, entry)| {
        let body = serde_json::to_vec(&entry)?;
        troupe_bus::wire::decode(&body).with_context(|| format!("routes[{index}]"))
    });
    routes.collect()
}

/// Routes are put one by one: each is a change of its own, and putting it again changes nothing.
pub(crate) async fn run(global: &Global, args: PutArgs) -> Result<ExitCode> {
    let routes = args.routes()?;
    let troupe = global.connect().await?;
    let mut replies: Vec<RouteReply> = Vec::with_capacity(routes.len());
    for route in routes {
        let place = format!("route {}", route.id);
        let reply = troupe.call_with::<RoutePut>(&route, &global.call_options()).await;
        replies.push(reply.with_context(|| {
            let done = replies.len();
            format!("{place} (after {done} that were put)")
        })?);
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
    use troupe_domain::Fault;

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
