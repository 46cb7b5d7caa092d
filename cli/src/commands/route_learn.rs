//! `troupe route fit` and `feedback`: what routing learns from.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use troupe_contract::routing::{
    Feedback, FeedbackRequest, Fit, FitReply, FitRequest, LabelledText, RouteId,
};
use troupe_domain::{AgentId, MessageId};

use super::message::ask;
use crate::args::Global;
use crate::{document, output};

#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    /// Examples: a YAML or JSON list of {text, route_id}, without a route_id where none is right; `-`
    /// is standard input [default: the routes' own utterances].
    examples: Option<PathBuf>,
    /// Only this route; can be repeated.
    #[arg(long = "route", value_name = "ID")]
    routes: Vec<RouteId>,
    /// The share of right ones that is wanted among what a route is chosen for, 0 to 1.
    #[arg(long)]
    precision: Option<f64>,
    /// Only show the thresholds, and keep none.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FeedbackArgs {
    /// Who got it.
    #[arg(long, value_name = "ID")]
    agent: AgentId,
    /// What was wanted, in words.
    #[arg(long, required_unless_present = "message")]
    text: Option<String>,
    /// The message that was routed.
    #[arg(long, value_name = "ID")]
    message: Option<MessageId>,
    /// The route that was taken.
    #[arg(long, value_name = "ID")]
    route: Option<RouteId>,
    /// It could not act on it.
    #[arg(long)]
    failed: bool,
    /// The route that should have been taken.
    #[arg(long, value_name = "ID")]
    right_route: Option<RouteId>,
    /// How long it took.
    #[arg(long, value_name = "MS")]
    latency_ms: Option<u64>,
}

fn parse(text: &str) -> Result<Vec<LabelledText>> {
    let entries = document::list(document::parse(text)?, "examples")?;
    let examples = entries.into_iter().enumerate().map(|(index, entry)| {
        let body = serde_json::to_vec(&entry)?;
        troupe_bus::wire::decode(&body).with_context(|| format!("examples[{index}]"))
    });
    examples.collect()
}

pub(crate) async fn fit(global: &Global, args: FitArgs) -> Result<ExitCode> {
    let examples = match &args.examples {
        Some(file) => {
            let text = document::text(file)?;
            parse(&text).with_context(|| file.display().to_string())?
        }
        None => Vec::new(),
    };
    let (route_ids, precision, dry_run) = (args.routes, args.precision, args.dry_run);
    let reply = ask::<Fit>(global, &FitRequest { examples, route_ids, precision, dry_run }).await?;
    if global.json {
        output::json(&reply)?;
    } else {
        output::line(&summary(&reply, dry_run))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(reply: &FitReply, dry_run: bool) -> String {
    let rows = reply.routes.iter().map(|route| {
        let mut row = vec![route.route_id.to_string()];
        row.extend([route.threshold, route.precision, route.recall].map(|n| format!("{n:.3}")));
        row.push(route.examples.to_string());
        row
    });
    let header = ["route", "threshold", "precision", "recall", "examples"];
    let table = output::table(&header, rows.collect());
    let auroc = reply
        .out_of_scope_auroc
        .map_or_else(String::new, |auroc| format!(", out of scope told apart {auroc:.3} (AUROC)"));
    let kept = if dry_run { "shown, not kept" } else { "kept" };
    format!(
        "{table}\naccuracy {:.3}{auroc}, calibration error {:.3}; {kept}",
        reply.accuracy, reply.calibration_error
    )
}

pub(crate) async fn feedback(global: &Global, args: FeedbackArgs) -> Result<ExitCode> {
    let request = FeedbackRequest {
        text: args.text,
        message_id: args.message,
        agent_id: args.agent,
        route_id: args.route,
        success: !args.failed,
        right_route_id: args.right_route,
        latency_ms: args.latency_ms,
    };
    let reply = ask::<Feedback>(global, &request).await?;
    if global.json {
        output::json(&reply)?;
    } else {
        output::line(if reply.learnt { "learnt" } else { "nothing to learn from it" })?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_texts_with_routes_or_without() {
        let examples = parse("- {text: fix it, route_id: fix}\n- {text: sing a song}").unwrap();
        assert_eq!(examples[0].route_id.as_ref().unwrap().as_str(), "fix");
        assert_eq!(examples[1].route_id, None);
        let error = format!("{:#}", parse("- {route: x}").unwrap_err());
        assert!(error.contains("examples[0]"), "{error}");
    }
}
