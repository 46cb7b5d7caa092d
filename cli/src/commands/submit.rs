//! `troupe task submit`: a graph of tasks, and its way to the end.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use troupe_bus::trace;
use troupe_client::{Patience, Troupe, insist};
use troupe_contract::work::{CreateGraph, GraphCreated, GraphSpec};
use troupe_domain::{Task, TaskStatus};
use troupe_runtime::Signals;

use crate::args::Global;
use crate::exit::FAULT;
use crate::follow::lines::{JsonLines, Lines};
use crate::follow::live::Live;
use crate::follow::{Follow, View};
use crate::{graph_file, output};

/// The exit code after SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;
/// Characters of a result in the table at the end.
const RESULT_CHARS: usize = 60;

/// Submit a graph of tasks: YAML or JSON, `{defaults?, tasks: [{key, title, depends_on, …}]}`.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The file; `-` is standard input.
    graph: PathBuf,
    /// Follow the graph to its end; exit code 1 if anything did not complete.
    #[arg(long)]
    wait: bool,
    /// Submitting twice under one key creates once.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Only check the graph: fields, keys, dependencies, cycles.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(global: &Global, args: SubmitArgs) -> Result<ExitCode> {
    let mut graph = graph_file::read(&args.graph)?;
    if args.idempotency_key.is_some() {
        graph.idempotency_key = args.idempotency_key;
    }
    if args.dry_run {
        return check(global, graph);
    }
    let troupe = global.connect().await?;
    // Listening begins before the graph exists, so that no event of it is missed.
    let events = if args.wait { Some(Follow::listen(&troupe).await?) } else { None };
    let created = create(global, &troupe, graph).await?;
    let Some(events) = events else {
        print_created(global.json, &created)?;
        return Ok(ExitCode::SUCCESS);
    };
    if global.json {
        output::json_line(&json!({ "type": "created", "graph": created }))?;
    }
    let mut follow = Follow::new(troupe, created.graph_id.clone(), events, global.timeout());
    let mut signals = Signals::listen()?;
    let mut view = view(global.json);
    let tasks = tokio::select! {
        tasks = follow.run_to_end(&mut *view) => tasks?,
        _ = signals.next() => {
            view.close();
            eprintln!("the graph {} goes on without this view", created.graph_id);
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    finish(global.json, &created, &tasks)
}

fn view(json: bool) -> Box<dyn View> {
    if json {
        Box::new(JsonLines)
    } else if std::io::stderr().is_terminal() {
        Box::new(Live::new())
    } else {
        Box::new(Lines)
    }
}

/// A graph has an idempotency key of its own or gets one, so that it can be sent again while the
/// outcome is unknown.
async fn create(global: &Global, troupe: &Troupe, mut graph: GraphSpec) -> Result<GraphCreated> {
    use troupe_bus::port::{System, World};
    let key = graph.idempotency_key.get_or_insert_with(|| format!("submit-{}", System.ulid()));
    let command_id = Some(key.clone());
    let patience = Patience { total: global.timeout(), attempt: global.timeout() };
    let span = tracing::info_span!(
        target: trace::TARGET,
        "submit",
        otel.name = "troupe task submit",
        otel.kind = "internal",
    );
    if let Some(context) = trace::current() {
        trace::set_parent(&span, &context);
    }
    let call = insist::<CreateGraph>(troupe, &graph, command_id, patience);
    Ok(tracing::Instrument::instrument(call, span).await?)
}

fn check(global: &Global, graph: GraphSpec) -> Result<ExitCode> {
    let ordered = troupe_domain::graph::check(graph.tasks)?;
    let keys: Vec<_> = ordered.tasks.iter().filter_map(|task| task.key.clone()).collect();
    if global.json {
        output::json_line(&json!({ "ok": true, "order": keys }))?;
    } else {
        output::line(&format!("{} tasks, no cycle", keys.len()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_created(json: bool, created: &GraphCreated) -> Result<()> {
    if json {
        return output::json(created);
    }
    let again = if created.created { "" } else { " (it was there already)" };
    output::line(&format!(
        "graph {} with {} tasks{again}",
        created.graph_id,
        created.task_ids.len()
    ))?;
    Ok(())
}

fn finish(json: bool, created: &GraphCreated, tasks: &[Arc<Task>]) -> Result<ExitCode> {
    let completed = tasks.iter().filter(|t| t.status == TaskStatus::Completed).count();
    let all = completed == tasks.len() && tasks.len() == created.task_ids.len();
    if json {
        let rows: Vec<_> = tasks.iter().map(|task| result_json(task)).collect();
        output::json_line(&json!({
            "type": "summary", "graph_id": created.graph_id, "ok": all,
            "completed": completed, "total": created.task_ids.len(), "tasks": rows,
        }))?;
    } else {
        let header = ["key", "status", "attempts", "by", "result or error"];
        output::line(&output::table(&header, tasks.iter().map(|task| result_row(task)).collect()))?;
        output::line(&format!("{completed} of {} completed", created.task_ids.len()))?;
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(FAULT) })
}

fn result_json(task: &Task) -> serde_json::Value {
    json!({
        "key": task.key, "task_id": task.id, "status": task.status, "epoch": task.epoch,
        "by": task.claimed_by, "failures": task.failures, "lease_expiries": task.lease_expiries,
        "result": task.result.as_ref().map(troupe_domain::Json::to_value), "error": task.error,
    })
}

fn result_row(task: &Task) -> Vec<String> {
    let text = match (&task.result, &task.error) {
        (_, Some(error)) if task.status != TaskStatus::Completed => error.clone(),
        (Some(result), _) => result.get().to_owned(),
        _ => String::new(),
    };
    let last = task.reasons.last().filter(|_| text.is_empty() && task.status.is_terminal());
    let text = last.map_or(text, |reason| reason.message.clone());
    vec![
        task.key.as_ref().unwrap_or(&task.id).to_string(),
        task.status.as_str().to_owned(),
        task.epoch.to_string(),
        output::or_dash(task.claimed_by.as_ref()),
        output::short(&text, RESULT_CHARS),
    ]
}
