//! Decisions in a small and in a large fleet: how much slower the large one is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_contract::registry::{Heartbeat, HeartbeatRequest, Register, RegisterAgent};
use troupe_contract::routing::CacheUse;
use troupe_domain::limits::MAX_CONCURRENT_TASKS;
use troupe_domain::{AgentStatus, Capability, Name, Surface};
use troupe_semantic_routing::Config;
use troupe_testkit::try_eventually;

use super::decisions::{self, Timed};
use super::options::{Fleet, Sizes};
use super::stack::Stack;
use super::{fleet, phrases};
use crate::agents::ROLE;
use crate::stack::connect;

/// Requests that are under way while a fleet is made.
const AT_ONCE: usize = 32;
/// How often a fleet says that it is there.
const BEAT: Duration = Duration::from_secs(20);
/// How long nothing must have changed, and how often that is looked at.
const UNCHANGED: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How well an agent does what it can.
const PROFICIENCY: f64 = 0.9;

/// Both fleets.
#[derive(Debug, Clone, Serialize)]
pub struct Scale {
    /// The small one.
    pub few: Sized,
    /// The large one.
    pub many: Sized,
    /// By how much the median of the large one is slower, by what the cache knew.
    pub slowdown_p50: BTreeMap<CacheUse, f64>,
}

/// One fleet.
#[derive(Debug, Clone, Serialize)]
pub struct Sized {
    /// Its size.
    #[serde(flatten)]
    pub fleet: Fleet,
    /// Seconds to register the agents and to declare the routes.
    pub declared_s: f64,
    /// Seconds from then until decisions follow the last of them.
    pub settled_s: f64,
    /// Seconds from then until nothing changes any more: thresholds are fitted, and the cache stays.
    pub steady_s: f64,
    /// Decisions, one after the other.
    #[serde(flatten)]
    pub timed: Timed,
}

/// Measures both, each on a stack of its own.
pub(super) async fn run(sizes: Sizes) -> Result<Scale> {
    let few = Box::pin(one(sizes.few, sizes.rounds)).await?;
    let many = Box::pin(one(sizes.many, sizes.rounds)).await?;
    let slowdown_p50 = few.timed.over_the_bus.iter().filter_map(|(kind, few)| {
        let many = many.timed.over_the_bus.get(kind)?;
        (few.count > 0 && many.count > 0)
            .then(|| (*kind, many.p50_us as f64 / few.p50_us.max(1) as f64))
    });
    Ok(Scale { slowdown_p50: slowdown_p50.collect(), few, many })
}

async fn one(size: Fleet, rounds: usize) -> Result<Sized> {
    super::say(&format!("scale: {} routes, {} agents", size.routes, size.agents));
    let stack = Stack::start(Config::default()).await?;
    let bus = connect(&stack.nats.url(), "operator").await?;
    let began = Instant::now();
    let names = (0..size.agents).map(|n| Name::parse(&format!("agent-{n}")));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    register(&bus, &names).await?;
    let beating = Beating(tokio::spawn(beat(bus.clone(), names.clone())));
    let routes = (0..size.routes).map(|number| {
        Ok((route(number)?, skill(number % size.agents)?, phrases::made(number).into()))
    });
    fleet::declare(&bus, routes.collect::<Result<Vec<_>>>()?).await?;
    let declared_s = began.elapsed().as_secs_f64();
    super::say("scale: waiting until decisions follow");
    let began = Instant::now();
    let last = size.routes.checked_sub(1).context("at least one route")?;
    known(&bus, last).await?;
    let settled_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    steady(&bus, last).await?;
    let steady_s = began.elapsed().saturating_sub(UNCHANGED).as_secs_f64();
    super::say("scale: decisions");
    // From all over the table.
    let step = (size.routes / rounds.clamp(1, size.routes)).max(1);
    let asked = (0..size.routes).step_by(step).map(|number| phrases::made(number)[0].clone());
    let asked: Vec<String> = asked.collect();
    let timed = decisions::time(&bus, &asked, rounds).await?;
    drop(beating);
    stack.stop().await?;
    Ok(Sized { fleet: size, declared_s, settled_s, steady_s, timed })
}

fn route(number: usize) -> Result<Name> {
    Ok(Name::parse(&format!("route-{number}"))?)
}

fn skill(agent: usize) -> Result<Name> {
    Ok(Name::parse(&format!("skill-{agent}"))?)
}

/// Registers a fleet over one connection. Each agent shares its two skills with a neighbour each.
async fn register(bus: &Bus, names: &[Name]) -> Result<()> {
    let agents = names.len();
    let registering = names.iter().cloned().enumerate().map(|(number, name)| async move {
        let mut can = vec![skill(number)?, skill((number + 1) % agents)?];
        can.dedup();
        let declaration = RegisterAgent {
            id: None,
            role: Name::parse(ROLE)?,
            persona: None,
            capabilities: can.into_iter().map(|name| Capability::new(name, PROFICIENCY)).collect(),
            surface: Surface::Cli,
            max_concurrent_tasks: MAX_CONCURRENT_TASKS,
            parent_agent_id: None,
            session_id: None,
            status: AgentStatus::Active,
            metadata: None,
        };
        fleet::ask_as::<Register>(bus, &name, &declaration).await.map(drop)
    });
    stream::iter(registering).buffer_unordered(AT_ONCE).try_collect().await
}

/// Waits until decisions know the last route: it is chosen for what is said of it, or named as what
/// is probably meant. With thousands of routes that are this alike, not each is sure.
async fn known(bus: &Bus, last: usize) -> Result<()> {
    let (text, name) = (phrases::made(last)[0].clone(), route(last)?);
    let named = || {
        let (bus, text, name) = (bus.clone(), text.clone(), name.clone());
        async move {
            let told = fleet::resolve(&bus, &text).await.ok()?;
            let is_named = told.reason.contains(name.as_str());
            (is_named || told.route_id == Some(name)).then_some(())
        }
    };
    let what = format!("{text:?} to be understood as {name}");
    Ok(try_eventually(what, fleet::SETTLED_WITHIN, named).await?)
}

/// Waits until an answer has come from the cache for a while: each change empties it.
async fn steady(bus: &Bus, last: usize) -> Result<()> {
    let text = phrases::made(last)[0].clone();
    let end = Instant::now() + fleet::SETTLED_WITHIN;
    let mut since = Instant::now();
    while since.elapsed() < UNCHANGED {
        if fleet::resolve(bus, &text).await?.cache != CacheUse::Exact {
            since = Instant::now();
        }
        anyhow::ensure!(Instant::now() < end, "decisions do not become steady");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Ends heartbeats when it is dropped.
struct Beating(JoinHandle<()>);

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn beat(bus: Bus, names: Vec<Name>) {
    loop {
        tokio::time::sleep(BEAT).await;
        for name in &names {
            let heartbeat = HeartbeatRequest::default();
            if let Err(why) = fleet::ask_as::<Heartbeat>(&bus, name, &heartbeat).await {
                tracing::warn!(%why, "a heartbeat of a benchmark's agent was not taken");
            }
        }
    }
}
