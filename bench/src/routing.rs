//! `troupe bench routing`: how well and how fast messages find who can act.
//!
//! Everything is measured in one run. What is compared is measured in turn, on the same vectors or
//! on the same server.

pub mod accuracy;
pub mod balancing;
pub mod decisions;
mod fleet;
pub mod mailboxes;
pub mod messages;
mod options;
pub mod peer;
mod phrases;
mod posting;
mod raw_mail;
pub mod replay;
pub mod report;
pub mod scale;
pub mod scores;
pub mod sets;
mod stack;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
use sets::IntentSet;
use stack::Stack;

pub use options::{Fleet, Part, RoutingArgs};

const PARTS: [Part; 7] = [
    Part::Accuracy,
    Part::Decisions,
    Part::Cache,
    Part::Messages,
    Part::Scale,
    Part::Balancing,
    Part::Mailboxes,
];

/// Texts of each route that are asked again and again.
const ASKED_OF_EACH: usize = 3;

const NOTES: [&str; 7] = [
    "Accuracy: examples are drawn by seed, vectors are the same for every router, thresholds and \
     calibration follow from the drawn examples alone. Nothing is tuned on what is asked. A peer's \
     decision and ours are timed without embedding; the peer's is Python.",
    "Services, agents and whoever asks run in one process, each part on a runtime of its own; \
     nats-server and valkey-server run beside it on the same processors.",
    "Decisions: a text counts as what its answer says of the cache. One that was never asked is a known \
     one about another number, so that the cache has to look and to refuse.",
    "Cache: texts that nobody learned from, with and without a route, the one with rank r as often as \
     1/r of the first, said in six ways with the same fall. An answer is wrong if it leads elsewhere \
     than the text wants. The router itself is wrong sometimes, so each text is asked once more of a \
     service without a cache: made wrong is what the cache adds.",
    "Messages by intent, mailboxes: a closed loop, in which each worker sends its next message when the \
     last one is acknowledged. A raw message is published to a work queue, taken by a pull consumer and \
     acknowledged without waiting for the server; ours waits until its acknowledgement is stored.",
    "Scale: each fleet on a stack of its own, one text a route, two agents that can do it.",
    "Balancing: an open loop. An agent handles four messages at once, each for 20 ms (exponential), the \
     slow one for ten times as long; the failing one refuses after 2 ms. Learning is part of the run.",
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
        decisions: None,
        cache: None,
        messages: None,
        scale: None,
        balancing: None,
        mailboxes: None,
        failures: Vec::new(),
        notes: NOTES.to_vec(),
        parameters: args.clone(),
    };
    for part in PARTS {
        if !args.wants(part) {
            continue;
        }
        // What fails is told, and what was measured is not lost.
        if let Err(why) = Box::pin(one(part, args.clone(), sizes, &mut report)).await {
            say(&format!("{part:?} failed: {why:#}"));
            report.failures.push(format!("{part:?}: {why:#}"));
        }
    }
    Ok(report)
}

async fn one(part: Part, args: RoutingArgs, sizes: Sizes, report: &mut Report) -> Result<()> {
    match part {
        Part::Accuracy => {
            let peer = peer(&args).await?;
            report.accuracy = Some(accuracy::run(&args, sizes.seeds, peer.as_ref()).await?);
        }
        Part::Decisions => {
            let bench = Box::pin(Bench::start(args.sets, sizes)).await?;
            let Bench { stack, senders, texts, size, .. } = &bench;
            report.decisions = Some(decisions::run(stack, senders, texts, sizes, *size).await?);
            bench.stop().await?;
        }
        Part::Cache => {
            let bench = Box::pin(Bench::start(args.sets.clone(), sizes)).await?;
            let bus = bench.senders.first().context("at least one connection")?;
            let asked = replay::ask(bus, &bench.set, sizes.replayed).await?;
            bench.stop().await?;
            let mut without = Config::default();
            without.intents.cache.max_entries = 0;
            let bench = Box::pin(Bench::configured(args.sets, sizes, without)).await?;
            let bus = bench.senders.first().context("at least one connection")?;
            report.cache = Some(replay::judge(bus, &bench.set, &asked).await?);
            bench.stop().await?;
        }
        Part::Messages => {
            let bench = Box::pin(Bench::start(args.sets, sizes)).await?;
            let Bench { stack, senders, agents, texts, .. } = &bench;
            report.messages = Some(messages::run(stack, senders, agents, texts, sizes).await?);
            bench.stop().await?;
        }
        Part::Scale => report.scale = Some(scale::run(sizes).await?),
        Part::Balancing => report.balancing = Some(balancing::run(sizes.balanced).await?),
        Part::Mailboxes => {
            let bench = Box::pin(Bench::start(args.sets, sizes)).await?;
            let Bench { stack, senders, agents, .. } = &bench;
            report.mailboxes = Some(mailboxes::run(stack, senders, agents, sizes).await?);
            bench.stop().await?;
        }
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

/// A stack with its agents, and with routes to them from the first of the sets.
struct Bench {
    stack: Stack,
    senders: Vec<Bus>,
    agents: Vec<Arc<Agent>>,
    set: IntentSet,
    /// Some of what was declared.
    texts: Vec<String>,
    size: options::Fleet,
}

impl Bench {
    async fn start(folder: PathBuf, sizes: Sizes) -> Result<Self> {
        Box::pin(Self::configured(folder, sizes, Config::default())).await
    }

    async fn configured(folder: PathBuf, sizes: Sizes, config: Config) -> Result<Self> {
        let sets = tokio::task::spawn_blocking(move || sets::read_all(&folder)).await??;
        let set = sets.into_iter().next().context("no set of texts")?;
        let routes = phrases::routes(&set);
        let stack = Stack::start(config).await?;
        let url = stack.nats.url();
        let senders = fleet::senders(&url, sizes.connections).await?;
        // Each route leads to two agents, so that there is somebody to choose among.
        let can = |agent: usize| {
            let theirs = routes.iter().enumerate().filter(|(route, _)| {
                [route, &(route + 1)].iter().any(|n| **n % sizes.connections == agent)
            });
            theirs.map(|(_, (_, capability, _))| capability.clone()).collect()
        };
        let agents = fleet::join(&url, sizes.connections, can).await?;
        let operator = senders.first().context("at least one connection")?;
        fleet::declare(operator, routes.clone()).await?;
        let probes: Vec<_> = routes
            .iter()
            .filter_map(|(id, _, said)| Some((said.first()?.clone(), id.clone())))
            .collect();
        fleet::settled(operator, probes).await?;
        let texts = routes.iter().flat_map(|(.., said)| said.iter().take(ASKED_OF_EACH).cloned());
        let texts = texts.collect();
        let size = options::Fleet { routes: routes.len(), agents: agents.len() };
        Ok(Self { stack, senders, agents, set, texts, size })
    }

    async fn stop(self) -> Result<()> {
        drop(self.agents);
        self.stack.stop().await
    }
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}
