//! `troupe events`: what happens, as it happens.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;
use troupe_bus::events::Heard;
use troupe_contract::{event, subject};
use troupe_domain::Name;
use troupe_runtime::Signals;

use crate::args::Global;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only events of this kind of entity.
    #[arg(long)]
    entity: Option<Entity>,
    /// Only events of the entity with this id.
    #[arg(long, requires = "entity")]
    id: Option<Name>,
    /// End after so many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Entity {
    Task,
    Agent,
}

pub(crate) async fn run(global: &Global, args: EventsArgs) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let troupe = global.connect().await?;
    let listen = |entity| {
        let troupe = troupe.clone();
        let id = args.id.clone();
        async move { troupe.bus().listen(&subject::events_of(entity, id.as_ref())).await }
    };
    let mut tasks = match args.entity {
        Some(Entity::Agent) => None,
        _ => Some(listen(event::TASK).await?),
    };
    let mut agents = match args.entity {
        Some(Entity::Task) => None,
        _ => Some(listen(event::AGENT).await?),
    };
    let mut shown = 0;
    while args.count.is_none_or(|count| shown < count) {
        let heard = tokio::select! {
            Some(heard) = next(&mut tasks) => heard,
            Some(heard) = next(&mut agents) => heard,
            _ = signals.next() => break,
            else => bail!("the connection to NATS was closed"),
        };
        shown += 1;
        show(global.json, &heard)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn next(listener: &mut Option<troupe_bus::events::Listener>) -> Option<Heard> {
    listener.as_mut()?.next().await
}

fn show(json: bool, heard: &Heard) -> Result<()> {
    let data: Value = heard.decode().unwrap_or(Value::Null);
    if json {
        let trace = heard.trace.as_ref().map(|trace| &trace.traceparent);
        let line = serde_json::json!({
            "subject": heard.subject, "traceparent": trace, "data": data
        });
        return output::json_line(&line);
    }
    let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
    let id = ["task_id", "agent_id"].map(text).concat();
    let line = [text("at"), text("event"), id, text("status"), text("by"), text("reason")];
    Ok(output::line(line.join("  ").trim_end())?)
}
