//! `troupe bench work`: work distribution, measured.
//!
//! Everything is measured in one run on one server: what is compared is measured in turn, several
//! times, and the medians count.

mod baseline;
mod claims;
mod graph;
mod lifecycle;
mod options;
pub mod report;
mod settling;
pub(crate) mod shape;
mod table;
mod waiting;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use troupe_bus::Bus;
use troupe_work_distribution::Config;

use crate::agents::Agent;
use crate::machine;
use crate::peer::{Bullmq, Peer};
use crate::stack::{AGENTS, Stack, connect, runtime};
use options::{PeerName, Sizes};
use report::{Report, Series, Throughput};

pub use options::{Durability, Part, WorkArgs};

const PARTS: [Part; 5] = [Part::Throughput, Part::Claims, Part::Graph, Part::Waiting, Part::Always];

/// The share of the throughput that was reached at which claims are measured.
const LOAD_SHARE: f64 = 0.5;
/// A slower rate would measure hardly anything.
const LEAST_RATE_PER_S: f64 = 20.0;

const NOTES: [&str; 5] = [
    "Agents, registry and work distribution run in one process, each on a runtime of its own; \
     nats-server runs beside it on the same processors. Processor time is counted per part.",
    "A raw write has a body of 512 bytes, so has a creation; a result has 64 bytes.",
    "The baseline writes each task four times and does nothing else: no matching, no leases, no \
     timers, no events, no service in between.",
    "Lifecycles and baseline are closed loops with the same number at once and the same connections. \
     Claims under load are an open loop: each is due at its time, and its latency counts from then.",
    "Memory per waiting task is the growth of the whole process while the tasks came, with agents' \
     buffers, divided by the tasks.",
];

/// Measures what `args` ask for, tells progress on standard error, and prints the result.
pub fn run(args: WorkArgs) -> Result<()> {
    let output = args.output.clone();
    let agents = runtime(AGENTS)?;
    let measured = agents.block_on(async { tokio::spawn(Box::pin(measure(args))).await });
    // What still runs belongs to a stack that has ended.
    agents.shutdown_background();
    let report = measured.context("the run panicked")??;
    publish(&report, output.as_deref())?;
    match report.failures.as_slice() {
        [] => Ok(()),
        failures => bail!("not everything could be measured: {}", failures.join("; ")),
    }
}

fn publish(report: &Report, output: Option<&Path>) -> Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    match output {
        Some(path) if path == Path::new("-") => print!("{json}"),
        Some(path) => {
            std::fs::write(path, json).with_context(|| path.display().to_string())?;
            print!("{}", table::text(report));
        }
        None => print!("{}", table::text(report)),
    }
    Ok(())
}

/// Measures what `args` ask for.
pub async fn measure(args: WorkArgs) -> Result<Report> {
    let sizes = args.sizes();
    let nats_server = tokio::task::spawn_blocking(troupe_parts::nats_server).await??;
    let mut report = Report {
        benchmark: "work",
        date: machine::now(),
        machine: machine::look(),
        versions: machine::versions(&nats_server),
        durability: args.durability,
        sizes: told(sizes),
        throughput: None,
        claims_idle: None,
        claims_under_half_load: None,
        graph: None,
        waiting: None,
        always: None,
        failures: Vec::new(),
        notes: NOTES.to_vec(),
        parameters: args.clone(),
    };
    let mut bench = Box::pin(Bench::start(args.durability == Durability::Always, sizes)).await?;
    for part in PARTS.into_iter().filter(|part| args.wants(*part)) {
        // What fails is told, and what was measured is not lost.
        if let Err(why) = Box::pin(bench.part(part, &args, &mut report)).await {
            say(&format!("{part:?} failed: {why:#}"));
            report.failures.push(format!("{part:?}: {why:#}"));
        }
    }
    bench.stop().await?;
    Ok(report)
}

fn told(sizes: Sizes) -> BTreeMap<&'static str, u64> {
    [
        ("connections", sizes.connections),
        ("in_flight", sizes.in_flight),
        ("repetitions", sizes.repetitions),
        ("body_bytes", shape::BODY_BYTES),
        ("graph_body_bytes", shape::GRAPH_BODY_BYTES),
        ("result_bytes", shape::RESULT_BYTES),
        ("single_claims", sizes.rounds),
        ("graph_tasks", sizes.graph_tasks),
        ("waiting_tasks", sizes.waiting_tasks),
        ("waiting_profiles", waiting::PROFILES),
        ("shards", Config::default().shards.into()),
    ]
    .map(|(name, size)| (name, size as u64))
    .into()
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}

/// A stack with its agents.
struct Bench {
    stack: Stack,
    creator: Bus,
    agents: Vec<Arc<Agent>>,
    sizes: Sizes,
}

impl Bench {
    async fn start(sync_always: bool, sizes: Sizes) -> Result<Self> {
        let stack = Stack::start(sync_always, Config::default()).await?;
        let url = stack.nats.url();
        let creator = connect(&url, "operator").await?;
        let mut agents = Vec::new();
        for number in 0..sizes.connections {
            agents.push(Arc::new(Agent::join(&url, &format!("agent-{number}"), &[]).await?));
        }
        Ok(Self { stack, creator, agents, sizes })
    }

    async fn part(&mut self, part: Part, args: &WorkArgs, report: &mut Report) -> Result<()> {
        let sizes = self.sizes;
        match part {
            Part::Throughput => {
                let peer = match args.peer {
                    Some(PeerName::Bullmq) => {
                        say("bullmq: fetching its packages, starting its server");
                        let seconds = sizes.span.measured.as_secs().max(1);
                        Some(Bullmq::start(&args.peers, seconds).await?)
                    }
                    None => None,
                };
                report.throughput = Some(self.throughput(peer).await?);
            }
            Part::Claims => self.claims(report).await?,
            Part::Graph => {
                say(&format!("a graph of {} tasks", sizes.graph_tasks));
                let (creator, agents) = (&self.creator, &self.agents);
                let ran = graph::run(creator, agents, sizes.graph_tasks, sizes.in_flight).await?;
                report.graph = Some(ran);
            }
            Part::Waiting => {
                say(&format!("{} waiting tasks", sizes.waiting_tasks));
                let Self { stack, creator, .. } = self;
                let waiting = waiting::run(stack, creator, sizes.waiting_tasks, sizes.rounds);
                report.waiting = Some(waiting.await?);
            }
            Part::Always => {
                say("again, with a sync before each acknowledgement");
                let bench = Box::pin(Bench::start(true, sizes)).await?;
                report.always = Some(bench.throughput(None).await?);
                bench.stop().await?;
            }
        }
        Ok(())
    }

    /// Idle, and at a share of the throughput that was reached.
    async fn claims(&self, report: &mut Report) -> Result<()> {
        let Sizes { rounds, steady, backlog_tasks, .. } = self.sizes;
        if report.throughput.is_none() {
            report.throughput = Some(self.throughput(None).await?);
        }
        say("claims, idle");
        let (creator, agents) = (&self.creator, &self.agents);
        report.claims_idle = Some(claims::idle(&self.stack, creator, &agents[0], rounds).await?);
        let reached =
            report.throughput.as_ref().map(|reached| reached.lifecycle.median_tasks_per_s);
        let rate = (reached.unwrap_or_default() * LOAD_SHARE).max(LEAST_RATE_PER_S);
        say(&format!("claims, with {rate:.0} lifecycles per second"));
        let loaded = claims::under_load(creator, agents, rate, steady, backlog_tasks);
        report.claims_under_half_load = Some(loaded.await?);
        Ok(())
    }

    async fn stop(self) -> Result<()> {
        drop(self.agents);
        self.stack.stop().await
    }

    /// Baseline, lifecycles and the peer, in turn.
    async fn throughput(&self, mut peer: Option<Bullmq>) -> Result<Throughput> {
        let Sizes { connections, in_flight, repetitions, span, .. } = self.sizes;
        let seconds = span.measured.as_secs_f64();
        let (mut raw, mut life, mut joined) = <(Series, Series, Series)>::default();
        let (mut steps, mut events_behind_s) = (BTreeMap::new(), Vec::new());
        for repetition in 1..=repetitions {
            say(&format!("throughput, {repetition} of {repetitions}"));
            let loaded = baseline::run(&self.stack, connections, in_flight, span).await?;
            raw.add(loaded.rounds_per_s, seconds, &loaded.used);
            let timed = Arc::default();
            let loaded = lifecycle::run(&self.stack, &self.agents, in_flight, span, &timed).await?;
            life.add(loaded.rounds_per_s, seconds, &loaded.used);
            steps = timed.summary();
            let loaded = lifecycle::run_joined(&self.stack, &self.agents, in_flight, span).await?;
            joined.add(loaded.rounds_per_s, seconds, &loaded.used);
            // What follows must not carry them along.
            events_behind_s.push(settling::events(&self.stack).await?);
            if let Some(peer) = &mut peer {
                peer.measure().await?;
            }
        }
        Ok(Throughput {
            ratio: life.median_tasks_per_s / raw.median_tasks_per_s.max(1.0),
            joined_ratio: joined.median_tasks_per_s / raw.median_tasks_per_s.max(1.0),
            joined,
            baseline: raw,
            lifecycle: life,
            steps,
            events_behind_s,
            peers: peer.map(Bullmq::told).into_iter().collect::<Vec<Peer>>(),
        })
    }
}
