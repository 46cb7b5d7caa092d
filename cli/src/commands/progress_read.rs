//! The subcommands of `troupe progress` that look at what is.

use anyhow::Result;
use troupe_contract::progress::{
    AgentSummary, AgentSummaryRequest, History, HistoryRequest, Latest, LatestRequest, Over,
    ProgressStats, ProgressSummary, Stalled, StalledRequest, Summary, SummaryRequest, TaskProgress,
};
use troupe_contract::registry::Empty;
use troupe_domain::progress::ProgressEntry;
use troupe_domain::{AgentId, TaskId};

use super::message::ask;
use super::progress::{minutes, minutes_or_dash};
use crate::args::Global;
use crate::output::{self, or_dash, short, word};

/// Characters of a title or a message in a table.
const TEXT_CHARS: usize = 48;

pub(super) async fn latest(global: &Global, task_id: TaskId) -> Result<()> {
    let progress = ask::<Latest>(global, &LatestRequest { task_id }).await?.progress;
    output::json(&progress)
}

pub(super) async fn history(
    global: &Global,
    task_id: TaskId,
    limit: Option<usize>,
    before: Option<u64>,
) -> Result<()> {
    let page = ask::<History>(global, &HistoryRequest { task_id, limit, before }).await?;
    if global.json {
        return output::json(&page);
    }
    let header = ["at", "percent", "status", "who", "epoch", "message"];
    let rows = page.entries.iter().map(|entry| report_row(entry)).collect();
    output::line(&output::table(&header, rows))?;
    if let Some(older) = &page.older {
        eprintln!(
            "and {} older reports from {} to {}, the last at {}%",
            older.reports, older.first_at, older.last_at, older.last_percentage
        );
    }
    if let Some(before) = page.next_before {
        eprintln!("there are more: --before {before}");
    }
    Ok(())
}

fn report_row(entry: &ProgressEntry) -> Vec<String> {
    let said = match &entry.regression {
        Some(regression) => format!("down from {}%: {}", regression.from, regression.reason),
        None if entry.message.is_empty() => entry.blockers.join(", "),
        None => entry.message.clone(),
    };
    vec![
        entry.timestamp.to_string(),
        entry.percentage.to_string(),
        word(&entry.status),
        entry.agent_id.to_string(),
        entry.epoch.to_string(),
        short(&said, TEXT_CHARS),
    ]
}

pub(super) async fn summary(global: &Global, over: Over) -> Result<()> {
    let request = SummaryRequest {
        graph_id: over.graph_id,
        plan_id: over.plan_id,
        parent_task_id: over.parent_task_id,
        milestone_id: over.milestone_id,
        task_ids: over.task_ids,
    };
    let summary = ask::<Summary>(global, &request).await?;
    if global.json { output::json(&summary) } else { Ok(output::line(&told(&summary))?) }
}

fn told(summary: &ProgressSummary) -> String {
    let counts = [
        ("in progress", summary.items_in_progress),
        ("blocked", summary.items_blocked),
        ("stalled", summary.items_stalled),
        ("waiting", summary.items_waiting),
        ("failed", summary.items_failed),
        ("cancelled", summary.items_cancelled),
        ("unknown", summary.unknown_tasks),
    ];
    let counts = counts.iter().filter(|(_, count)| *count > 0);
    let completed = format!("{} of {} completed", summary.items_completed, summary.total_items);
    let counts: Vec<String> = std::iter::once(completed)
        .chain(counts.map(|(what, count)| format!("{count} {what}")))
        .collect();
    let rows = [
        ("progress", format!("{:.1}% ({})", summary.overall_progress, word(&summary.status))),
        ("tasks", counts.join(", ")),
        ("time spent", minutes(summary.time_spent_minutes)),
        ("work left", minutes_or_dash(summary.estimated_remaining_minutes)),
        ("estimated", minutes_or_dash(summary.estimated_total_minutes)),
        ("agents", summary.active_agent_count.to_string()),
        (
            "milestones",
            format!("{} of {} achieved", summary.milestones_achieved, summary.total_milestones),
        ),
        ("last update", or_dash(summary.last_update.as_ref())),
    ];
    let lines = rows.iter().map(|(name, value)| format!("{name:12} {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) async fn agent(global: &Global, agent_id: Option<AgentId>) -> Result<()> {
    output::json(&ask::<AgentSummary>(global, &AgentSummaryRequest { agent_id }).await?)
}

pub(super) async fn stalled(global: &Global, limit: Option<usize>) -> Result<()> {
    let reply = ask::<Stalled>(global, &StalledRequest { limit }).await?;
    if global.json {
        return output::json(&reply);
    }
    let header = ["task", "since", "who", "percent", "title"];
    output::line(&output::table(&header, reply.tasks.iter().map(stalled_row).collect()))?;
    eprintln!("{} in all", reply.total);
    Ok(())
}

fn stalled_row(task: &TaskProgress) -> Vec<String> {
    vec![
        task.task_id.to_string(),
        or_dash(task.stalled_since.as_ref()),
        or_dash(task.agent_id.as_ref()),
        task.percentage.to_string(),
        short(&task.title, TEXT_CHARS),
    ]
}

pub(super) async fn stats(global: &Global) -> Result<()> {
    output::json(&ask::<ProgressStats>(global, &Empty {}).await?)
}
