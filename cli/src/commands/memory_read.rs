//! The subcommands of `troupe memory` that look at what is remembered.

use anyhow::Result;
use clap::Args;
use troupe_contract::memory::{
    ExportMemories, ExportMemoriesRequest, GetDeletion, GetMemory, ListMemories,
    ListMemoriesRequest, ListNamespaces, MemoryConflicts, MemoryConflictsRequest, MemoryHit,
    MemoryRef, MemorySearchReply, MemorySearchRequest, MemoryStats, SearchMemory, SuggestMemories,
    SuggestRequest,
};
use troupe_contract::registry::Empty;
use troupe_domain::memory::{Memory, MemoryId, MemoryStatus, MemoryType, Namespace, TrustLevel};
use troupe_domain::{AgentId, TaskId, Timestamp};

use super::message::ask;
use crate::args::Global;
use crate::output::{self, from_word, short, word};

/// Characters of a content in a table.
const TEXT_CHARS: usize = 72;

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Words or a sentence [default: the most important and most recent].
    query: Option<String>,
    /// Where [default: default].
    #[arg(long)]
    namespace: Option<Namespace>,
    /// Of this type.
    #[arg(long = "type", value_name = "TYPE", value_parser = from_word::<MemoryType>)]
    memory_type: Option<MemoryType>,
    /// With this tag; can be repeated, and all must be there.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// At least so important, 0 to 1.
    #[arg(long, value_name = "IMPORTANCE")]
    min_importance: Option<f64>,
    /// Created at or after this moment (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = from_word::<Timestamp>)]
    since: Option<Timestamp>,
    /// Created before this moment (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = from_word::<Timestamp>)]
    until: Option<Timestamp>,
    /// Written by this agent.
    #[arg(long, value_name = "AGENT")]
    by: Option<AgentId>,
    /// Written in this task.
    #[arg(long, value_name = "TASK")]
    task: Option<TaskId>,
    /// Of this status, whatever it is; can be repeated.
    #[arg(long = "status", value_name = "STATUS", value_parser = from_word::<MemoryStatus>)]
    statuses: Vec<MemoryStatus>,
    /// Believed so far; can be repeated.
    #[arg(long = "trust", value_name = "LEVEL", value_parser = from_word::<TrustLevel>)]
    trust_levels: Vec<TrustLevel>,
    /// At most so many.
    #[arg(long)]
    limit: Option<usize>,
    /// Go on where a page ended.
    #[arg(long)]
    cursor: Option<String>,
    /// Say what each score is made of.
    #[arg(long)]
    explain: bool,
}

pub(super) async fn get(global: &Global, id: MemoryId, namespace: Option<Namespace>) -> Result<()> {
    output::json(&ask::<GetMemory>(global, &MemoryRef { id, namespace }).await?)
}

pub(super) async fn search(global: &Global, args: SearchArgs) -> Result<()> {
    let explain = args.explain;
    let request = MemorySearchRequest {
        query: args.query,
        namespace: args.namespace,
        memory_type: args.memory_type,
        tags: args.tags,
        min_importance: args.min_importance,
        since: args.since,
        until: args.until,
        agent_id: args.by,
        task_id: args.task,
        session_id: None,
        statuses: args.statuses,
        trust_levels: args.trust_levels,
        limit: args.limit,
        cursor: args.cursor,
        explain,
    };
    let reply = ask::<SearchMemory>(global, &request).await?;
    show(global, &reply, explain)
}

pub(super) async fn suggest(
    global: &Global,
    query: String,
    namespace: Option<Namespace>,
) -> Result<()> {
    let request = SuggestRequest { query, task_id: None, namespace, reader: None, limit: None };
    let reply = ask::<SuggestMemories>(global, &request).await?;
    show(global, &reply, false)
}

fn show(global: &Global, reply: &MemorySearchReply, explain: bool) -> Result<()> {
    if global.json {
        return output::json(reply);
    }
    let mut header = vec!["score", "id", "type", "trust", "content"];
    if explain {
        header.splice(1..1, ["lexical", "semantic", "neighbour", "prior"]);
    }
    let rows = reply.results.iter().map(|hit| hit_row(hit, explain)).collect();
    output::line(&output::table(&header, rows))?;
    if reply.mode != "hybrid" {
        eprintln!("searched by words only");
    }
    for missing in &reply.missing {
        eprintln!("not complete: {missing}");
    }
    if let Some(cursor) = &reply.next_cursor {
        eprintln!("there are more: --cursor {cursor}");
    }
    Ok(())
}

fn hit_row(hit: &MemoryHit, explain: bool) -> Vec<String> {
    let mut row = vec![format!("{:.3}", hit.score)];
    if explain {
        let part = |part: Option<f64>| part.map_or("-".to_owned(), |part| format!("{part:.3}"));
        let parts = hit.explain.as_ref();
        row.push(part(parts.map(|parts| parts.lexical)));
        row.push(part(parts.and_then(|parts| parts.semantic)));
        row.push(part(parts.map(|parts| parts.neighbour)));
        row.push(part(parts.map(|parts| parts.prior)));
    }
    let memory = &hit.memory;
    row.extend([
        memory.id.to_string(),
        word(&memory.memory_type),
        word(&memory.trust_level),
        content_of(memory),
    ]);
    row
}

fn content_of(memory: &Memory) -> String {
    memory
        .content
        .as_deref()
        .map_or_else(|| "(in the cold tier)".to_owned(), |content| short(content, TEXT_CHARS))
}

pub(super) async fn list(
    global: &Global,
    namespace: Option<Namespace>,
    limit: Option<usize>,
    after: Option<MemoryId>,
) -> Result<()> {
    let request = ListMemoriesRequest { namespace, limit, after, ..Default::default() };
    let page = ask::<ListMemories>(global, &request).await?;
    if global.json {
        return output::json(&page);
    }
    let header = ["id", "type", "status", "trust", "tier", "content"];
    let row = |memory: &Memory| {
        vec![
            memory.id.to_string(),
            word(&memory.memory_type),
            word(&memory.status),
            word(&memory.trust_level),
            word(&memory.tier),
            content_of(memory),
        ]
    };
    output::line(&output::table(&header, page.memories.iter().map(row).collect()))?;
    if let Some(after) = page.next_after {
        eprintln!("there are more: --after {after}");
    }
    Ok(())
}

pub(super) async fn deletion(
    global: &Global,
    id: MemoryId,
    namespace: Option<Namespace>,
) -> Result<()> {
    output::json(&ask::<GetDeletion>(global, &MemoryRef { id, namespace }).await?)
}

pub(super) async fn conflicts(global: &Global, namespace: Option<Namespace>) -> Result<()> {
    let request = MemoryConflictsRequest { namespace, ..Default::default() };
    let page = ask::<MemoryConflicts>(global, &request).await?;
    if global.json {
        return output::json(&page);
    }
    let rows = page.conflicts.iter().map(|conflict| {
        let against: Vec<&str> = conflict.against.iter().map(MemoryId::as_str).collect();
        vec![conflict.memory.id.to_string(), against.join(", "), content_of(&conflict.memory)]
    });
    Ok(output::line(&output::table(&["id", "against", "content"], rows.collect()))?)
}

pub(super) async fn export(global: &Global, namespace: Option<Namespace>) -> Result<()> {
    let mut after = None;
    loop {
        let request = ExportMemoriesRequest { namespace: namespace.clone(), limit: None, after };
        let page = ask::<ExportMemories>(global, &request).await?;
        for memory in &page.memories {
            output::json_line(memory)?;
        }
        match page.next_after {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

pub(super) async fn namespaces(global: &Global) -> Result<()> {
    let list = ask::<ListNamespaces>(global, &Empty {}).await?;
    if global.json {
        return output::json(&list);
    }
    let rows = list.namespaces.iter().map(|one| {
        vec![
            one.namespace.to_string(),
            format!("{} of {}", one.entries, one.max_entries),
            format!("{} of {}", one.bytes, one.max_bytes),
        ]
    });
    Ok(output::line(&output::table(&["namespace", "entries", "bytes"], rows.collect()))?)
}

pub(super) async fn stats(global: &Global) -> Result<()> {
    output::json(&ask::<MemoryStats>(global, &Empty {}).await?)
}
