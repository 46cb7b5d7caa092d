//! The subcommands of `troupe memory` that change what is remembered.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use troupe_contract::memory::{
    CreateMemory, CreateMemoryRequest, DeleteMemory, DeleteMemoryRequest, GetMemory,
    ImportMemories, ImportMemoriesRequest, ImportReply, MemoryReceipt, MemoryRef, PutQuota,
    PutQuotaRequest, RetractMemory, RetractMemoryRequest, UpdateMemory, UpdateMemoryRequest,
    VerifyMemory, VerifyMemoryRequest,
};
use troupe_domain::TaskId;
use troupe_domain::limits::{MAX_MOVED_BYTES, MAX_MOVED_MEMORIES};
use troupe_domain::memory::{Memory, MemoryId, MemorySource, MemoryType, Namespace, TrustLevel};

use super::message::ask;
use crate::args::Global;
use crate::output::{self, from_word, word};

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What is remembered; `-` reads standard input.
    content: String,
    /// What kind of thing it is.
    #[arg(long = "type", value_name = "TYPE", default_value = "semantic",
        value_parser = from_word::<MemoryType>)]
    memory_type: MemoryType,
    /// How much it matters, 0 to 1.
    #[arg(long)]
    importance: Option<f64>,
    /// A word to find it by; can be repeated.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Where it belongs [default: default].
    #[arg(long)]
    namespace: Option<Namespace>,
    /// The task that it is written in.
    #[arg(long, env = "TROUPE_TASK_ID")]
    task: Option<TaskId>,
    /// An entry that it rests on; can be repeated.
    #[arg(long = "derived-from", value_name = "ID")]
    derived_from: Vec<MemoryId>,
    /// Where it came from, if that is outside of the fleet: then it is untrusted.
    #[arg(long, value_name = "URI")]
    source: Option<String>,
    /// An entry that this one says better.
    #[arg(long, value_name = "ID")]
    supersedes: Option<MemoryId>,
    /// It deletes itself after so long.
    #[arg(long, value_name = "MS")]
    ttl_ms: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The entry.
    id: MemoryId,
    /// What is remembered.
    #[arg(long)]
    content: Option<String>,
    /// How much it matters, 0 to 1.
    #[arg(long)]
    importance: Option<f64>,
    /// All of its tags; can be repeated.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// The revision that was read [default: the one that is there].
    #[arg(long)]
    revision: Option<u64>,
    /// Where it belongs [default: found anywhere].
    #[arg(long)]
    namespace: Option<Namespace>,
}

pub(super) async fn create(global: &Global, args: CreateArgs) -> Result<()> {
    let content = match args.content.as_str() {
        "-" => {
            let mut text = String::new();
            let most = MAX_MOVED_BYTES as u64;
            std::io::stdin().take(most).read_to_string(&mut text).context("standard input")?;
            text
        }
        text => text.to_owned(),
    };
    let request = CreateMemoryRequest {
        importance: args.importance,
        tags: args.tags,
        namespace: args.namespace,
        task_id: args.task,
        derived_from: args.derived_from,
        source: args.source.map(|uri| MemorySource::External { uri }),
        supersedes: args.supersedes,
        ttl_ms: args.ttl_ms,
        ..CreateMemoryRequest::new(content, args.memory_type)
    };
    told(global, &ask::<CreateMemory>(global, &request).await?)
}

pub(super) async fn update(global: &Global, args: UpdateArgs) -> Result<()> {
    let UpdateArgs { id, content, importance, tags, revision, namespace } = args;
    let revision = if let Some(revision) = revision {
        revision
    } else {
        let request = MemoryRef { id: id.clone(), namespace: namespace.clone() };
        ask::<GetMemory>(global, &request).await?.memory.revision
    };
    let request = UpdateMemoryRequest {
        namespace,
        content,
        importance,
        tags: (!tags.is_empty()).then_some(tags),
        ..UpdateMemoryRequest::new(id, revision)
    };
    told(global, &ask::<UpdateMemory>(global, &request).await?)
}

fn told(global: &Global, receipt: &MemoryReceipt) -> Result<()> {
    if global.json {
        return output::json(receipt);
    }
    output::line(receipt.id.as_str())?;
    if !receipt.created {
        eprintln!("revision {}, {}", receipt.revision, word(&receipt.status));
    }
    if let Some(earlier) = &receipt.duplicate_of {
        eprintln!("says nearly the same as {earlier}");
    }
    for other in &receipt.conflicts_with {
        eprintln!("says the opposite of {other}");
    }
    if !receipt.quarantine.is_empty() {
        eprintln!("quarantined: {}", receipt.quarantine.join(", "));
    }
    Ok(())
}

pub(super) async fn retract(
    global: &Global,
    id: MemoryId,
    reason: String,
    namespace: Option<Namespace>,
) -> Result<()> {
    let request = RetractMemoryRequest { id, namespace, reason };
    let reply = ask::<RetractMemory>(global, &request).await?;
    if global.json {
        return output::json(&reply);
    }
    let readers = reply.readers.len();
    let said =
        format!("{}: taken back, with {} others; {readers} readers", reply.id, reply.affected);
    Ok(output::line(&said)?)
}

pub(super) async fn verify(
    global: &Global,
    id: MemoryId,
    trust_level: Option<TrustLevel>,
    reason: Option<String>,
    namespace: Option<Namespace>,
) -> Result<()> {
    let request = VerifyMemoryRequest { id, namespace, trust_level, reason };
    told(global, &ask::<VerifyMemory>(global, &request).await?)
}

pub(super) async fn delete(
    global: &Global,
    id: MemoryId,
    reason: Option<String>,
    namespace: Option<Namespace>,
) -> Result<()> {
    let request = DeleteMemoryRequest { id, namespace, reason };
    output::json(&ask::<DeleteMemory>(global, &request).await?)
}

pub(super) async fn quota(
    global: &Global,
    namespace: Namespace,
    max_entries: Option<u64>,
    max_bytes: Option<u64>,
) -> Result<()> {
    let request = PutQuotaRequest { namespace, max_entries, max_bytes };
    output::json(&ask::<PutQuota>(global, &request).await?.namespace)
}

pub(super) async fn import(
    global: &Global,
    file: &Path,
    namespace: Option<Namespace>,
) -> Result<()> {
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).with_context(|| file.display().to_string())?)
    };
    let mut all = ImportReply { imported: 0, skipped: 0, refused: Vec::new() };
    let (mut some, mut bytes): (Vec<Memory>, usize) = (Vec::new(), 0);
    for (number, line) in BufReader::new(reader).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let memory: Memory =
            serde_json::from_str(&line).with_context(|| format!("line {}", number + 1))?;
        // One request goes to one namespace, and has its bounds.
        let elsewhere = namespace.is_none()
            && some.last().is_some_and(|last| last.namespace != memory.namespace);
        if elsewhere || some.len() >= MAX_MOVED_MEMORIES || bytes + line.len() > MAX_MOVED_BYTES {
            send(global, &mut all, std::mem::take(&mut some), namespace.clone()).await?;
            bytes = 0;
        }
        bytes += line.len();
        some.push(memory);
    }
    send(global, &mut all, some, namespace).await?;
    if global.json {
        return output::json(&all);
    }
    output::line(&format!("{} taken in, {} were there", all.imported, all.skipped))?;
    for refused in &all.refused {
        eprintln!("{}: {}", refused.id, refused.reason);
    }
    Ok(())
}

async fn send(
    global: &Global,
    all: &mut ImportReply,
    memories: Vec<Memory>,
    namespace: Option<Namespace>,
) -> Result<()> {
    if memories.is_empty() {
        return Ok(());
    }
    let request = ImportMemoriesRequest { memories, namespace };
    let mut reply = ask::<ImportMemories>(global, &request).await?;
    all.imported += reply.imported;
    all.skipped += reply.skipped;
    all.refused.append(&mut reply.refused);
    Ok(())
}
