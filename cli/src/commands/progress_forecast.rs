//! The subcommands of `troupe progress` that look ahead.

use anyhow::Result;
use troupe_contract::progress::{
    Bottleneck, Bottlenecks, BottlenecksReply, BottlenecksRequest, Estimate, EstimateReply,
    EstimateRequest, Over,
};

use super::message::ask;
use super::progress::{minutes, minutes_or_dash};
use crate::args::Global;
use crate::output::{self, or_dash, short, word};

/// Characters of a title in a table.
const TITLE_CHARS: usize = 48;

pub(super) async fn bottlenecks(global: &Global, over: Over, limit: Option<usize>) -> Result<()> {
    let request = BottlenecksRequest {
        graph_id: over.graph_id,
        plan_id: over.plan_id,
        parent_task_id: over.parent_task_id,
        milestone_id: over.milestone_id,
        task_ids: over.task_ids,
        limit,
    };
    let reply = ask::<Bottlenecks>(global, &request).await?;
    if global.json { output::json(&reply) } else { show(&reply) }
}

fn show(reply: &BottlenecksReply) -> Result<()> {
    let header = ["task", "blocks", "status", "for", "who", "title"];
    output::line(&output::table(&header, reply.bottlenecks.iter().map(row).collect()))?;
    if !reply.stuck.is_empty() {
        output::line("\nNothing frees these by itself:")?;
        output::line(&output::table(&header, reply.stuck.iter().map(row).collect()))?;
    }
    output::line("\nThe chain that takes longest:")?;
    let steps = reply.critical_path.iter().map(|step| {
        vec![
            step.task_id.to_string(),
            word(&step.status),
            minutes_or_dash(step.expected_minutes),
            short(&step.title, TITLE_CHARS),
        ]
    });
    output::line(&output::table(&["task", "status", "expected", "title"], steps.collect()))?;
    let finish = or_dash(reply.estimated_finish.as_ref());
    let takes = minutes_or_dash(reply.critical_path_minutes);
    Ok(output::line(&format!("{takes} at least, until {finish}"))?)
}

fn row(row: &Bottleneck) -> Vec<String> {
    let mark = match (row.stalled, row.blocked) {
        (true, _) => " (stalled)",
        (_, true) => " (blocked)",
        _ => "",
    };
    vec![
        row.task_id.to_string(),
        row.blocks.to_string(),
        format!("{}{mark}", word(&row.status)),
        minutes(row.in_status_minutes),
        or_dash(row.agent_id.as_ref()),
        short(&row.title, TITLE_CHARS),
    ]
}

pub(super) async fn estimate(
    global: &Global,
    over: Over,
    workers: Option<u32>,
    seed: Option<u64>,
) -> Result<()> {
    let request = EstimateRequest {
        graph_id: over.graph_id,
        plan_id: over.plan_id,
        parent_task_id: over.parent_task_id,
        milestone_id: over.milestone_id,
        task_ids: over.task_ids,
        workers,
        seed,
    };
    let reply = ask::<Estimate>(global, &request).await?;
    if global.json { output::json(&reply) } else { Ok(output::line(&told(&reply))?) }
}

fn told(reply: &EstimateReply) -> String {
    let basis = &reply.basis;
    let mut lines = match &reply.unknown_because {
        Some(why) => vec![format!("unknown: {why}")],
        None => vec![
            format!(
                "as likely as not by  {} ({})",
                or_dash(reply.p50_at.as_ref()),
                minutes_or_dash(reply.p50_minutes)
            ),
            format!(
                "nine times in ten by {} ({})",
                or_dash(reply.p90_at.as_ref()),
                minutes_or_dash(reply.p90_minutes)
            ),
        ],
    };
    lines.push(format!(
        "{} open tasks, {} at work at once; by role {}, fleet {}, creators {}, holders {}; fewest \
         measurements {}",
        basis.open_tasks,
        basis.workers,
        basis.by_role,
        basis.by_fleet,
        basis.by_creator,
        basis.by_holder,
        or_dash(basis.fewest_samples.as_ref())
    ));
    if basis.stuck_tasks > 0 {
        lines.push(format!("without {} tasks that nothing frees by itself", basis.stuck_tasks));
    }
    lines.join("\n")
}
