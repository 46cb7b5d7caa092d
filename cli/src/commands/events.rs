//! `troupe events`: what happens, as it happens.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;
use troupe_contract::event::CloudEvent;
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
    let subject = subject::events_of(args.entity.map_or("*", Entity::token));
    let mut events = troupe.bus().listen(&subject).await?;
    let mut shown = 0;
    let left = |shown: u64| args.count.map_or(u64::MAX, |count| count.saturating_sub(shown));
    while left(shown) > 0 {
        let heard = tokio::select! {
            heard = events.next() => match heard {
                Some(heard) => heard,
                None => bail!("the connection to NATS was closed"),
            },
            _ = signals.next() => break,
        };
        let events = heard.events::<Value>().unwrap_or_else(|why| {
            tracing::warn!(subject = heard.subject, %why, "no events");
            Vec::new()
        });
        let wanted =
            events.iter().filter(|e| args.id.as_ref().is_none_or(|id| e.subject == id.as_str()));
        for event in wanted.take(usize::try_from(left(shown)).unwrap_or(usize::MAX)) {
            shown += 1;
            show(global.json, event)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(json: bool, event: &CloudEvent<Value>) -> Result<()> {
    if json {
        return output::json_line(event);
    }
    let data = &event.data;
    let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
    let (at, id) = (text("at"), event.subject.clone());
    let line = [at, text("event"), id, text("status"), text("by"), text("reason")];
    Ok(output::line(line.join("  ").trim_end())?)
}
