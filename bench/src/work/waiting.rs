//! A hundred thousand tasks that wait: what it costs `next`, memory, and a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::task::JoinSet;
use troupe_bus::Bus;
use troupe_contract::registry::Empty;
use troupe_contract::work::{Create, WorkStats};
use troupe_domain::{Name, TaskStatus};

use super::claims::next;
use super::shape::{BODY_BYTES, Shape, result};
use crate::agents::{Agent, ask};
use crate::latency::{Latency, Recorder};
use crate::processes::resident_bytes;
use crate::stack::Stack;

/// Distinct needs among the tasks that wait.
pub(super) const PROFILES: usize = 50;
/// Needs that the measured agent can meet.
const MET_BY_AGENT: usize = 10;
/// Tasks that wait before the others come.
const FEW_TASKS: usize = 1_000;
/// Creations at once while the tasks are brought.
const CREATE_IN_FLIGHT: usize = 256;

/// What many waiting tasks cost.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    /// Tasks that waited at the end.
    pub tasks: usize,
    /// Distinct needs among them.
    pub profiles: usize,
    /// `next` with few tasks waiting.
    pub next_with_few: Latency,
    /// How many "few" is.
    pub few: usize,
    /// `next` with all of them waiting.
    pub next_with_all: Latency,
    /// The medians' ratio, all to few.
    pub slowdown_p50: f64,
    /// The 99th percentiles' ratio, all to few.
    pub slowdown_p99: f64,
    /// Growth of this process, in which the services run, per waiting task; absent where the
    /// operating system does not tell.
    pub resident_bytes_per_task: Option<f64>,
    /// From the start of a new replica, after the former one left in order, until it owns every
    /// shard again.
    pub restart_ready_s: f64,
    /// The same after the former one vanished; it includes the time until it counts as gone.
    pub crash_ready_s: f64,
    /// Open tasks that the new replica knows.
    pub open_after_restart: u64,
}

/// Brings `tasks` tasks, and measures before and after.
pub(super) async fn run(
    stack: &mut Stack,
    creator: &Bus,
    tasks: usize,
    rounds: usize,
) -> Result<Waiting> {
    let needs = needs()?;
    let few = FEW_TASKS.min(tasks / 2);
    let agent = Agent::join(&stack.nats.url(), "agent-waiting", &needs[..MET_BY_AGENT]).await?;
    let shapes: Arc<Vec<Shape>> = Arc::new(
        needs
            .iter()
            .map(|need| Shape::asking(vec![need.clone()], BODY_BYTES))
            .collect::<Result<_>>()?,
    );
    create(creator, &shapes, 0..few).await?;
    let next_with_few = claim(creator, &agent, &shapes, rounds).await?;
    let before = resident_bytes();
    create(creator, &shapes, few..tasks).await?;
    let after = resident_bytes();
    let next_with_all = claim(creator, &agent, &shapes, rounds).await?;

    stack.stop_work().await?;
    let began = Instant::now();
    stack.start_work().await?;
    let restart_ready_s = began.elapsed().as_secs_f64();
    stack.lose_work();
    let began = Instant::now();
    stack.start_work().await?;
    let crash_ready_s = began.elapsed().as_secs_f64();
    let counted = ask::<WorkStats>(creator, &Empty {}).await?;
    let grown = |before: u64, after: u64| after.saturating_sub(before) as f64;
    let ratio = |all: u64, few: u64| all as f64 / few.max(1) as f64;
    Ok(Waiting {
        tasks,
        profiles: PROFILES,
        few,
        slowdown_p50: ratio(next_with_all.p50_us, next_with_few.p50_us),
        slowdown_p99: ratio(next_with_all.p99_us, next_with_few.p99_us),
        next_with_few,
        next_with_all,
        resident_bytes_per_task: before
            .zip(after)
            .map(|(before, after)| grown(before, after) / (tasks - few) as f64),
        restart_ready_s,
        crash_ready_s,
        open_after_restart: counted.by_status.get(&TaskStatus::Available).copied().unwrap_or(0),
    })
}

fn needs() -> Result<Vec<Name>> {
    (0..PROFILES).map(|number| Ok(Name::parse(&format!("skill-{number}"))?)).collect()
}

async fn create(
    creator: &Bus,
    shapes: &Arc<Vec<Shape>>,
    numbers: std::ops::Range<usize>,
) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let mut workers = JoinSet::new();
    for _ in 0..CREATE_IN_FLIGHT {
        let (creator, shapes, next) = (creator.clone(), shapes.clone(), next.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    return anyhow::Ok(());
                }
                let task = shapes[number % shapes.len()].task(number);
                ask::<Create>(&creator, &task).await?;
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.context("a creator panicked")??;
    }
    Ok(())
}

/// Claims one after the other. Each task is finished and another one takes its place, so that as
/// many wait as before.
async fn claim(creator: &Bus, agent: &Agent, shapes: &[Shape], rounds: usize) -> Result<Latency> {
    let took = Recorder::default();
    for number in 0..rounds {
        let began = Instant::now();
        let claimed = next(&agent.bus).await?;
        took.record(began.elapsed());
        agent.finish(&claimed, result()).await?;
        let task = shapes[number % MET_BY_AGENT].task(number);
        ask::<Create>(creator, &task).await?;
    }
    Ok(took.summary())
}
