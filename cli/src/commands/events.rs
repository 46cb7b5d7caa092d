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
    Mailbox,
    Session,
    Breaker,
    Route,
}

impl Entity {
    /// As subjects name it.
    const fn token(self) -> &'static str {
        match self {
            Self::Task => event::TASK,
            Self::Agent => event::AGENT,
            Self::Mailbox => event::MAILBOX,
            Self::Session => event::SESSION,
            Self::Breaker => event::BREAKER,
            Self::Route => event::ROUTE,
        }
    }
}

pub(crate) async fn run(global: &Global, args: EventsArgs) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let troupe = global.connect().await?;
    let subject = subject::events_of(args.entity.map_or("*", Entity::token), args.id.as_ref());
    let mut events = troupe.bus().listen(&subject).await?;
    let mut shown = 0;
    while args.count.is_none_or(|count| shown < count) {
        let heard = tokio::select! {
            heard = events.next() => match heard {
                Some(heard) => heard,
                None => bail!("the connection to NATS was closed"),
            },
            _ = signals.next() => break,
        };
        shown += 1;
        show(global.json, &heard)?;
    }
    Ok(ExitCode::SUCCESS)
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
    let id = ["task_id", "agent_id", "session_id", "route_id"].map(text).concat();
    let line = [text("at"), text("event"), id, text("status"), text("by"), text("reason")];
    Ok(output::line(line.join("  ").trim_end())?)
}
