//! `troupe bench progress`: the progress service, measured.
//!
//! Reports per second are measured in turn with raw publishes of the same size to the same server, and
//! the medians count. Summaries are measured over the same tasks while their history grows.

mod holders;
mod options;
mod raw;
pub mod report;
mod reports;
mod summaries;
mod table;

use std::path::Path;

use anyhow::{Context, Result, bail};
use troupe_work_distribution::Config;

use crate::machine;
use crate::stack::{AGENTS, Running, Stack, connect, runtime};
use holders::Holders;
use options::Sizes;
use report::{Report, Series, Throughput};

pub use options::{Part, ProgressArgs};

/// The name of the service's threads.
const PROGRESS: &str = "progress";

const NOTES: [&str; 4] = [
    "Agents, registry, work distribution and progress run in one process, each on a runtime of its \
     own; nats-server runs beside it on the same processors.",
    "A raw publish is one acknowledged publish to a stream of files, with a body as large as that of a \
     report, and nothing else. A report is a request that is checked against the hold, stored, summed \
     up, answered, and told as an event where the task moved on by a percent.",
    "Both are closed loops with the same number at once over the same number of connections.",
    "Summaries are read one after the other, while nothing else happens. The history of a task beyond \
     the reports that are kept one by one is a sum.",
];

/// Measures what `args` ask for, tells progress on standard error, and prints the result.
pub fn run(args: ProgressArgs) -> Result<()> {
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
pub async fn measure(args: ProgressArgs) -> Result<Report> {
    let sizes = args.sizes();
    let nats_server = tokio::task::spawn_blocking(troupe_parts::nats_server).await??;
    let mut report = Report {
        benchmark: "progress",
        date: machine::now(),
        machine: machine::look(),
        versions: machine::versions(&nats_server),
        tasks: sizes.tasks,
        throughput: None,
        summaries: Vec::new(),
        failures: Vec::new(),
        notes: NOTES.to_vec(),
        parameters: args.clone(),
    };
    let bench = Box::pin(Bench::start(sizes)).await?;
    // Summaries first, while there is no history yet.
    for part in [Part::Summaries, Part::Throughput].into_iter().filter(|part| args.wants(*part)) {
        // What fails is told, and what was measured is not lost.
        if let Err(why) = Box::pin(bench.part(part, &mut report)).await {
            say(&format!("{part:?} failed: {why:#}"));
            report.failures.push(format!("{part:?}: {why:#}"));
        }
    }
    bench.stop().await?;
    Ok(report)
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}

/// A stack whose agents hold tasks.
struct Bench {
    // In this order, so that the service ends before its server.
    holders: Holders,
    progress: Running<troupe_progress::Replica>,
    stack: Stack,
    sizes: Sizes,
}

impl Bench {
    async fn start(sizes: Sizes) -> Result<Self> {
        let stack = Stack::start(false, Config::default()).await?;
        let url = stack.nats.url();
        let progress = Running::start(PROGRESS, {
            let url = url.clone();
            Box::pin(async move {
                let bus = connect(&url, troupe_progress::NAME).await?;
                let config = troupe_progress::Config::default();
                let replica = troupe_progress::Replica::start(&bus, &config, None).await?;
                replica.ready().await;
                Ok(replica)
            })
        })
        .await?;
        say(&format!("{} tasks, held by {} agents", sizes.tasks, sizes.connections));
        let holders = Holders::take(&url, &sizes).await?;
        Ok(Self { holders, progress, stack, sizes })
    }

    async fn part(&self, part: Part, report: &mut Report) -> Result<()> {
        match part {
            Part::Throughput => report.throughput = Some(self.throughput().await?),
            Part::Summaries => {
                for history in self.sizes.histories {
                    let reports = history * self.sizes.tasks as u64;
                    say(&format!("summaries, with {reports} reports"));
                    let measured = summaries::run(&self.holders, reports, &self.sizes).await?;
                    report.summaries.push(measured);
                }
            }
        }
        Ok(())
    }

    /// Raw publishes and reports, in turn.
    async fn throughput(&self) -> Result<Throughput> {
        let Sizes { repetitions, span, .. } = self.sizes;
        let seconds = span.measured.as_secs_f64();
        let (mut raw, mut ours) = <(Series, Series)>::default();
        let (mut raw_latency, mut latency) = Default::default();
        for repetition in 1..=repetitions {
            say(&format!("throughput, {repetition} of {repetitions}"));
            let (loaded, took) = raw::run(&self.stack, &self.sizes).await?;
            raw.add(loaded.rounds_per_s, seconds, &loaded.used);
            raw_latency = took;
            let (loaded, took) = reports::run(&self.stack, &self.holders, &self.sizes).await?;
            ours.add(loaded.rounds_per_s, seconds, &loaded.used);
            latency = took;
        }
        let idle = reports::idle(&self.holders, self.sizes.rounds).await?;
        Ok(Throughput {
            ratio: ours.median_per_s / raw.median_per_s.max(1.0),
            raw,
            raw_latency,
            reports: ours,
            latency,
            idle,
            body_bytes: reports::body_bytes(),
        })
    }

    async fn stop(self) -> Result<()> {
        drop(self.holders);
        self.progress.drain(troupe_progress::Replica::drain).await?;
        self.stack.stop().await
    }
}
