//! The subcommands of `troupe plan` that look at plans.

use std::collections::HashMap;
use std::fmt::Write;

use anyhow::Result;
use clap::Args;
use troupe_contract::plan::{
    GetPlan, GetPlanRequest, History, ListPlans, ListPlansRequest, PlanHistoryChange,
    PlanHistoryRequest, PlanReply, PlanStats,
};
use troupe_contract::registry::Empty;
use troupe_domain::plan::{ItemId, ObjectId, PlanItem, PlanItemStatus};
use troupe_domain::{AgentId, Name, Priority, Timestamp};

use super::message::ask;
use crate::args::Global;
use crate::output::{self, from_word, short, word};

/// Characters of a text in a table.
const TEXT_CHARS: usize = 60;
/// Changes of one edit that a line of history shows.
const MAX_SHOWN_CHANGES: usize = 4;

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The plan.
    plan: ObjectId,
    /// As it was after so many batches.
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "at_time")]
    at: Option<u64>,
    /// As the service had it at this moment (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = from_word::<Timestamp>)]
    at_time: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The plan.
    plan: ObjectId,
    /// Only what changed this item.
    #[arg(long)]
    item: Option<ItemId>,
    /// Only what this agent changed.
    #[arg(long, value_name = "AGENT")]
    by: Option<AgentId>,
    /// At most so many.
    #[arg(long)]
    limit: Option<usize>,
    /// Only what came before this sequence.
    #[arg(long, value_name = "SEQUENCE")]
    before: Option<u64>,
}

pub(super) async fn list(
    global: &Global,
    owner: Option<AgentId>,
    with_deleted: bool,
    limit: Option<usize>,
    after: Option<ObjectId>,
) -> Result<()> {
    let request = ListPlansRequest { owner, with_deleted, limit, after };
    let page = ask::<ListPlans>(global, &request).await?;
    if global.json {
        return output::json(&page);
    }
    let header = ["plan", "progress", "items", "owner", "updated", "name"];
    let rows = page.plans.iter().map(|plan| {
        vec![
            plan.id.to_string(),
            format!("{:.0}%", plan.overall_progress),
            plan.item_count.to_string(),
            plan.owner.to_string(),
            plan.updated_at.to_string(),
            short(&plan.name, TEXT_CHARS),
        ]
    });
    output::line(&output::table(&header, rows.collect()))?;
    if let Some(after) = page.next_after {
        eprintln!("there are more: --after {after}");
    }
    Ok(())
}

pub(super) async fn show(global: &Global, args: ShowArgs) -> Result<()> {
    let mut request = GetPlanRequest {
        plan_id: args.plan,
        at_sequence: args.at,
        at_version: None,
        at_time: args.at_time,
        limit: None,
        offset: None,
    };
    let mut whole = ask::<GetPlan>(global, &request).await?;
    while let Some(offset) = whole.next_offset {
        request.offset = Some(offset);
        // What is read on is of the same version.
        request.at_time = None;
        request.at_sequence = Some(whole.sequence);
        let page = ask::<GetPlan>(global, &request).await?;
        whole.plan.items.extend(page.plan.items);
        whole.ready_item_ids.extend(page.ready_item_ids);
        whole.next_offset = page.next_offset;
    }
    if global.json {
        return output::json(&whole);
    }
    Ok(output::line(&tree(&whole))?)
}

/// The plan as people read it: a line for itself, and one for each item, its parts below it.
fn tree(reply: &PlanReply) -> String {
    let head = &reply.plan.head;
    let mut facts = vec![format!("{:.0}%", head.overall_progress), format!("owner {}", head.owner)];
    if head.total_phases > 0 {
        facts.push(format!("phase {} of {}", head.current_phase, head.total_phases));
    }
    if head.deleted {
        facts.push("deleted".to_owned());
    }
    if reply.open_conflicts > 0 {
        facts.push(format!("{} conflicts", reply.open_conflicts));
    }
    facts.push(format!("sequence {}", reply.sequence));
    let mut lines = vec![format!("{}: {} ({})", head.id, head.name, facts.join(", "))];
    let mut depths: HashMap<&ItemId, usize> = HashMap::new();
    for item in &reply.plan.items {
        let depth =
            item.parent_id.as_ref().and_then(|parent| depths.get(parent)).map_or(0, |d| d + 1);
        depths.insert(&item.id, depth);
        let ready = reply.ready_item_ids.contains(&item.id);
        lines.push(format!("{}{}", "  ".repeat(depth), row(item, ready)));
    }
    lines.join("\n")
}

fn row(item: &PlanItem, ready: bool) -> String {
    let mark = match item.status {
        PlanItemStatus::Pending => ' ',
        PlanItemStatus::InProgress => '~',
        PlanItemStatus::Completed => 'x',
        PlanItemStatus::Blocked => '!',
        PlanItemStatus::Cancelled => '-',
        PlanItemStatus::Deferred => '>',
    };
    let mut said = format!("[{mark}] {} {}", item.id, short(&item.title, TEXT_CHARS));
    let mut add = |text: String| {
        said.push_str("  ");
        said.push_str(&text);
    };
    if ready {
        add("ready".to_owned());
    }
    if item.status == PlanItemStatus::InProgress {
        add(format!("{}%", item.progress));
    }
    if item.priority != Priority::Medium {
        add(word(&item.priority));
    }
    item.assigned_to.iter().for_each(|agent| add(format!("@{agent}")));
    item.tags.iter().for_each(|tag| add(format!("#{tag}")));
    if !item.dependencies.is_empty() {
        let needs: Vec<&str> = item.dependencies.iter().map(Name::as_str).collect();
        add(format!("needs {}", needs.join(" ")));
    }
    item.task_id.iter().for_each(|task| add(format!("task {task}")));
    if !item.notes.is_empty() {
        add(format!("{} notes", item.notes.len()));
    }
    said
}

pub(super) async fn history(global: &Global, args: HistoryArgs) -> Result<()> {
    let HistoryArgs { plan, item, by, limit, before } = args;
    let request = PlanHistoryRequest { plan_id: plan, item_id: item, by, limit, before };
    let page = ask::<History>(global, &request).await?;
    if global.json {
        return output::json(&page);
    }
    let header = ["sequence", "at", "by", "changes"];
    let rows = page.entries.iter().map(|entry| {
        let shown = entry.changes.iter().take(MAX_SHOWN_CHANGES).map(changed);
        let mut changes = shown.collect::<Vec<_>>().join("; ");
        if entry.changes.len() > MAX_SHOWN_CHANGES {
            let _ = write!(changes, "; and {} more", entry.changes.len() - MAX_SHOWN_CHANGES);
        }
        vec![entry.sequence.to_string(), entry.at.to_string(), entry.by.to_string(), changes]
    });
    output::line(&output::table(&header, rows.collect()))?;
    if let Some(before) = page.next_before {
        eprintln!("there is more: --before {before}");
    }
    Ok(())
}

fn changed(change: &PlanHistoryChange) -> String {
    let item = change.item_id.as_ref().map(|item| format!(" {item}")).unwrap_or_default();
    match &change.field {
        None => format!("{}{item}", change.operation),
        Some(field) => {
            let value = match &change.value {
                serde_json::Value::String(text) => short(text, TEXT_CHARS / 2),
                other => short(&other.to_string(), TEXT_CHARS / 2),
            };
            format!("{}{item} {field}={value}", change.operation)
        }
    }
}

pub(super) async fn stats(global: &Global) -> Result<()> {
    output::json(&ask::<PlanStats>(global, &Empty {}).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plan_is_a_tree_of_lines() {
        let now = "2026-01-01T00:00:00Z";
        let item = |id: &str, parent: Option<&str>, status: &str| {
            json!({"id": id, "title": "T", "status": status, "priority": "medium", "progress": 5,
                   "parent_id": parent, "created_at": now, "updated_at": now, "updated_by": "ann"})
        };
        let reply: PlanReply = serde_json::from_value(json!({
            "plan": {"id": "p", "name": "N", "owner": "ann", "current_phase": 0, "total_phases": 0,
                     "overall_progress": 33.0, "item_count": 3, "created_at": now,
                     "updated_at": now, "version": {},
                     "items": [item("a", None, "in_progress"), item("b", Some("a"), "pending"),
                               item("c", None, "completed")]},
            "sequence": 7, "ready_item_ids": ["b"], "open_conflicts": 0,
        }))
        .unwrap();
        let lines = "p: N (33%, owner ann, sequence 7)\n[~] a T  5%\n  [ ] b T  ready\n[x] c T";
        assert_eq!(tree(&reply), lines);
    }
}
