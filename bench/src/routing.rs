//! `troupe bench routing`: how well and how fast messages find who can act.
//!
//! Everything is measured in one run. What is compared is measured in turn, on the same vectors or
//! on the same server.

pub mod accuracy;
mod fleet;
pub mod mailboxes;
mod options;
pub mod peer;
mod posting;
mod raw_mail;
pub mod report;
pub mod scores;
pub mod sets;
mod stack;
mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use troupe_bus::Bus;
use troupe_semantic_routing::Config;

use crate::agents::Agent;
use crate::machine;
use crate::stack::{AGENTS, runtime};
use options::{PeerName, Sizes};
use peer::SemanticRouter;
use report::Report;
use stack::Stack;

pub use options::{Part, RoutingArgs};

const PARTS: [Part; 2] = [Part::Accuracy, Part::Mailboxes];

const NOTES: [&str; 3] = [
    "Accuracy: examples are drawn by seed, vectors are the same for every router, thresholds and \
     calibration follow from the drawn examples alone. Nothing is tuned on what is asked.",
    "A peer's decision and ours are timed without embedding; the peer's is Python.",
    "Mailboxes: a message is sent, taken by its recipient and acknowledged; a closed loop, in which each \
     worker sends its next message when the last one is acknowledged. A raw message is published to a \
     work queue, taken by a pull consumer and acknowledged without waiting for the server; ours waits \
     until its acknowledgement is stored. Polls, services and agents run in one process, each on a \
     runtime of its own; nats-server runs beside it on the same processors.",
];

/// Measures what `args` ask for, tells progress on standard error, and prints the result.
pub fn run(args: RoutingArgs) -> Result<()> {
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
pub async fn measure(args: RoutingArgs) -> Result<Report> {
    let sizes = args.sizes();
    let nats_server = tokio::task::spawn_blocking(troupe_parts::nats_server).await??;
    let mut report = Report {
        benchmark: "routing",
        date: machine::now(),
        machine: machine::look(),
        versions: machine::versions(&nats_server),
        sizes: told(sizes),
        accuracy: None,
        mailboxes: None,
        failures: Vec::new(),
        notes: NOTES.to_vec(),
        parameters: args.clone(),
    };
    for part in PARTS.into_iter().filter(|part| args.wants(*part)) {
        // What fails is told, and what was measured is not lost.
        if let Err(why) = Box::pin(one(part, &args, sizes, &mut report)).await {
            say(&format!("{part:?} failed: {why:#}"));
            report.failures.push(format!("{part:?}: {why:#}"));
        }
    }
    Ok(report)
}

async fn one(part: Part, args: &RoutingArgs, sizes: Sizes, report: &mut Report) -> Result<()> {
    match part {
        Part::Accuracy => {
            let peer = peer(args).await?;
            report.accuracy = Some(accuracy::run(args, sizes.seeds, peer.as_ref()).await?);
        }
        Part::Mailboxes => {
            let bench = Bench::start(sizes).await?;
            let Bench { stack, senders, agents } = &bench;
            report.mailboxes = Some(mailboxes::run(stack, senders, agents, sizes).await?);
            bench.stop().await?;
        }
        _ => {}
    }
    Ok(())
}

/// The peer that was asked for, in a virtual environment that is kept for the next run.
async fn peer(args: &RoutingArgs) -> Result<Option<SemanticRouter>> {
    let Some(PeerName::SemanticRouter) = args.peer else { return Ok(None) };
    say("semantic-router: fetching its packages");
    let cache = troupe_parts::cache_folder().context("no folder for what can be fetched again")?;
    let folder = cache.join("bench").join(peer::NAME);
    tokio::fs::create_dir_all(&folder).await?;
    Ok(Some(SemanticRouter::ready(&args.peers, &folder).await?))
}

fn told(sizes: Sizes) -> BTreeMap<&'static str, u64> {
    [
        ("connections", sizes.connections),
        ("in_flight", sizes.in_flight),
        ("repetitions", sizes.repetitions),
        ("draws", sizes.seeds),
        ("decisions", sizes.rounds),
        ("replayed_texts", sizes.replayed),
        ("few_routes", sizes.few.routes),
        ("few_agents", sizes.few.agents),
        ("many_routes", sizes.many.routes),
        ("many_agents", sizes.many.agents),
        ("balanced_messages", sizes.balanced),
    ]
    .map(|(name, size)| (name, size as u64))
    .into()
}

/// A stack with its agents.
struct Bench {
    stack: Stack,
    senders: Vec<Bus>,
    agents: Vec<Arc<Agent>>,
}

impl Bench {
    async fn start(sizes: Sizes) -> Result<Self> {
        let stack = Stack::start(Config::default()).await?;
        let url = stack.nats.url();
        let senders = fleet::senders(&url, sizes.connections).await?;
        let agents = fleet::join(&url, sizes.connections, |_| Vec::new()).await?;
        Ok(Self { stack, senders, agents })
    }

    async fn stop(self) -> Result<()> {
        drop(self.agents);
        self.stack.stop().await
    }
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}
