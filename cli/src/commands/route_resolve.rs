//! `troupe route resolve`: who can act on a text, and the whole of why.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use troupe_contract::routing::{Candidate, Resolution, Resolve, ResolveOutcome, ResolveRequest};
use troupe_domain::message::Fallback;

use super::message::ask;
use super::message_address::Filters;
use crate::args::Global;
use crate::exit::FAULT;
use crate::output::{self, or_dash, word};

#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// What is wanted, in words.
    text: String,
    #[command(flatten)]
    filters: Filters,
    /// How many candidates to show [default: 5].
    #[arg(long)]
    limit: Option<usize>,
}

/// The exit code is 1 if nobody was chosen.
pub(crate) async fn run(global: &Global, args: ResolveArgs) -> Result<ExitCode> {
    let (filters, fallback) = args.filters.split();
    let request = ResolveRequest { text: args.text, filters, limit: args.limit, fallback };
    let resolution = ask::<Resolve>(global, &request).await?;
    if global.json {
        output::json(&resolution)?;
    } else {
        output::line(&explanation(&resolution))?;
    }
    let chosen = resolution.outcome == ResolveOutcome::Chosen;
    Ok(if chosen { ExitCode::SUCCESS } else { ExitCode::from(FAULT) })
}

/// Who was chosen and why, in two lines.
pub(super) fn headline(resolution: &Resolution) -> String {
    let Resolution { outcome, agent_id, route_id, probability, threshold, margin, .. } = resolution;
    let who = match outcome {
        ResolveOutcome::Chosen => format!("chosen: {}", or_dash(agent_id.as_ref())),
        ResolveOutcome::Abstained => "nobody was chosen".to_owned(),
    };
    let route = route_id.as_ref().map_or_else(String::new, |id| format!(" by route {id}"));
    let fallback = resolution.fallback.as_ref();
    let fallback = fallback.map_or_else(String::new, |f| format!(", fallback {}", name_of(f)));
    let numbers = format!(
        "probability {probability:.3}, threshold {threshold:.3}, margin {margin:.3}, cache {}, {} us",
        word(&resolution.cache),
        resolution.took_us
    );
    format!("{who}{route} ({numbers}{fallback})\nwhy: {}", resolution.reason)
}

fn name_of(fallback: &Fallback) -> String {
    match fallback {
        Fallback::Refuse => "refuse".to_owned(),
        Fallback::Capability => "capability".to_owned(),
        Fallback::Role(role) => format!("role {role}"),
        Fallback::Agent(agent) => format!("agent {agent}"),
    }
}

/// Everything that is known of a decision.
fn explanation(resolution: &Resolution) -> String {
    let mut text = headline(resolution);
    if !resolution.candidates.is_empty() {
        let header = [
            "agent",
            "route",
            "score",
            "semantic",
            "proficiency",
            "success",
            "load",
            "latency",
            "breaker",
        ];
        let rows = resolution.candidates.iter().map(candidate).collect();
        text = format!("{text}\n\n{}", output::table(&header, rows));
    }
    if !resolution.removed.is_empty() {
        let removed = resolution.removed.iter();
        let rows = removed.map(|r| vec![r.agent_id.to_string(), word(&r.by), r.detail.clone()]);
        let table = output::table(&["not considered", "removed by", "why"], rows.collect());
        text = format!("{text}\n\n{table}");
    }
    text
}

fn candidate(candidate: &Candidate) -> Vec<String> {
    let parts = &candidate.parts;
    let mut row = vec![candidate.agent_id.to_string(), or_dash(candidate.route_id.as_ref())];
    let numbers = [
        candidate.score,
        parts.semantic,
        parts.proficiency,
        parts.success,
        parts.load,
        parts.latency,
    ];
    row.extend(numbers.map(|number| format!("{number:.3}")));
    row.push(word(&candidate.breaker));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_names_everybody_and_every_number() {
        let resolution: Resolution = serde_json::from_str(
            r#"{"outcome":"chosen","agent_id":"ann","route_id":"fix","probability":0.9312,
                "threshold":0.5,"margin":0.4,"reason":"ann fits best","cache":"near",
                "candidates":[{"agent_id":"ann","route_id":"fix","score":0.8,"breaker":"half_open",
                  "parts":{"semantic":0.5,"proficiency":0.1,"success":0.1,"load":0.05,"latency":0.05}}],
                "removed":[{"agent_id":"bob","by":"breaker","detail":"5 failures"}],
                "fallback":{"role":"auditor"},"took_us":1200}"#,
        )
        .unwrap();
        let text = explanation(&resolution);
        for wanted in [
            "chosen: ann by route fix",
            "probability 0.931",
            "cache near",
            "fallback role auditor",
            "why: ann fits best",
            "half_open",
            "bob             breaker     5 failures",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }
}
