//! `troupe events`: what happens, as it happens, and what happened.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;
use troupe_bus::Bus;
use troupe_bus::port::{Log, System, World};
use troupe_contract::event::CloudEvent;
use troupe_contract::{event, subject};
use troupe_domain::{Name, Timestamp};
use troupe_runtime::Signals;

use crate::args::Global;
use crate::output::{self, from_word};

/// Nothing older is stored if so long nothing came: what was the last may have been removed meanwhile.
const QUIET: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only events of this kind of entity.
    #[arg(long)]
    entity: Option<Entity>,
    /// Only events of the entity with this id.
    #[arg(long, requires = "entity")]
    id: Option<Name>,
    /// Begin with what happened since then: a time (RFC 3339), or how long ago (90s, 10m, 2h). Events
    /// are kept for seven days.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// End with what has happened up to now.
    #[arg(long, requires = "since")]
    past: bool,
    /// End after so many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Time(Timestamp),
    Ago(Duration),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(time) = from_word::<Timestamp>(text) {
        return Ok(Since::Time(time));
    }
    let ago = text.parse::<jiff::SignedDuration>().ok().and_then(|ago| ago.try_into().ok());
    ago.map(Since::Ago).ok_or_else(|| "neither a time nor how long ago (90s, 10m, 2h)".to_owned())
}

impl Since {
    fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Time(time) => time,
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(ago).max(0))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Entity {
    Task,
    Agent,
    Mailbox,
    Session,
    Breaker,
    Route,
    Feedback,
    Plan,
    Progress,
    Milestone,
    Memory,
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
            Self::Feedback => event::FEEDBACK,
            Self::Plan => event::PLAN,
            Self::Progress => event::PROGRESS,
            Self::Milestone => event::MILESTONE,
            Self::Memory => event::MEMORY,
        }
    }
}

pub(crate) async fn run(global: &Global, args: EventsArgs) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let troupe = global.connect().await?;
    let subject = subject::events_of(args.entity.map_or("*", Entity::token));
    let mut show = Show { json: global.json, left: args.count.unwrap_or(u64::MAX), id: args.id };
    match args.since {
        Some(since) => {
            let since = since.time(System.now());
            past(troupe.bus(), &subject, since, args.past, &mut show, &mut signals).await?;
        }
        None => live(troupe.bus(), &subject, &mut show, &mut signals).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What happens from now on, without any promise.
async fn live(bus: &Bus, subject: &str, show: &mut Show, signals: &mut Signals) -> Result<()> {
    let mut events = bus.listen(subject).await?;
    while show.left > 0 {
        let heard = tokio::select! {
            heard = events.next() => match heard {
                Some(heard) => heard,
                None => bail!("the connection to NATS was closed"),
            },
            _ = signals.next() => break,
        };
        show.all(&heard.subject, heard.events())?;
    }
    Ok(())
}

/// What is stored, and what comes after it.
async fn past(
    bus: &Bus,
    subject: &str,
    since: Timestamp,
    ends: bool,
    show: &mut Show,
    signals: &mut Signals,
) -> Result<()> {
    let log = bus.past_events().await?;
    let last = log.last(subject).await?.map_or(0, |entry| entry.sequence);
    let mut events = log.follow(subject, 1).since(since);
    let mut passed = 0;
    while show.left > 0 && !(ends && passed >= last) {
        let waits = events.published();
        let published = tokio::select! {
            published = waits => published?,
            () = tokio::time::sleep(QUIET), if ends => break,
            _ = signals.next() => break,
        };
        passed = published.entry.sequence;
        show.all(&published.entry.subject, published.events())?;
    }
    Ok(())
}

/// What is shown, and how much more of it.
struct Show {
    json: bool,
    left: u64,
    id: Option<Name>,
}

impl Show {
    fn all(
        &mut self,
        subject: &str,
        events: Result<Vec<CloudEvent<Value>>, serde_json::Error>,
    ) -> Result<()> {
        let events = events.unwrap_or_else(|why| {
            tracing::warn!(subject, %why, "no events");
            Vec::new()
        });
        let id = self.id.as_ref().map(Name::as_str);
        for event in events.iter().filter(|event| id.is_none_or(|id| event.subject == id)) {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            show(self.json, event)?;
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        let now = Timestamp::from_millis(10_000_000);
        let time = |text: &str| since(text).map(|since| since.time(now).as_millis());
        assert_eq!(time("1970-01-01T00:00:01Z"), Ok(1_000));
        assert_eq!(time("90s"), Ok(10_000_000 - 90_000));
        assert_eq!(time("2h"), Ok(10_000_000 - 7_200_000));
        assert_eq!(time("9000h"), Ok(0));
        for wrong in ["", "yesterday", "-5m", "5 parsecs"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
