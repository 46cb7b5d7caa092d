//! `troupe bench plans`: plans that many edit at once, measured.
//!
//! Replicas are those of the SDK, each with a connection, a folder and a key of its own. Edits per second
//! are measured in turn with raw publishes of the same size to the same server, and the medians count.

mod convergence;
mod options;
mod raw;
pub mod report;
mod scale;
mod stack;
mod table;
mod throughput;
mod visibility;

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::machine;
use crate::stack::{AGENTS, runtime};
use options::Sizes;
use report::Report;
use stack::PlanStack;

pub use options::{Part, PlansArgs};

const NOTES: [&str; 6] = [
    "Agents and plan sync run in one process, each on a runtime of its own; nats-server runs beside it \
     on the same processors.",
    "Convergence: every replica waits between two batches as long as is said, or edits as fast as it can, \
     and has a connection, a folder and a key of its own; all of them verify every batch, on the \
     processors of this one machine. The time is from the last edit, flushed to its replica's disk, until the last replica has \
     everything; all hashes are compared with each other and with the service's.",
    "Bytes: what a replica hears of the others as batches, beside what it would hear if every batch were \
     a snapshot of the plan.",
    "A raw publish is one acknowledged publish to a stream of files, with a body as large as a batch of \
     ten edits. A batch is signed, sent, checked, merged, stored, answered, told as an event, and told to \
     every replica that listens.",
    "Visible: from before the edit at one agent until another agent's replica has it.",
    "Scale is the merging alone, without a server, in one thread. Memory is what the document counts, and \
     what became resident while all replicas wrote, for each of them: what they share is counted once.",
];

/// Measures what `args` ask for, tells progress on standard error, and prints the result.
pub fn run(args: PlansArgs) -> Result<()> {
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
pub async fn measure(args: PlansArgs) -> Result<Report> {
    let sizes = args.sizes();
    let nats_server = tokio::task::spawn_blocking(troupe_parts::nats_server).await??;
    let mut report = Report {
        benchmark: "plans",
        date: machine::now(),
        machine: machine::look(),
        versions: machine::versions(&nats_server),
        convergence: Vec::new(),
        visibility: None,
        throughput: None,
        scale: None,
        failures: Vec::new(),
        notes: NOTES.to_vec(),
        parameters: args.clone(),
    };
    for part in Part::ALL.into_iter().filter(|part| args.wants(*part)) {
        // What fails is told, and what was measured is not lost.
        if let Err(why) = Box::pin(measure_part(part, sizes, &mut report)).await {
            say(&format!("{part:?} failed: {why:#}"));
            report.failures.push(format!("{part:?}: {why:#}"));
        }
    }
    Ok(report)
}

async fn measure_part(part: Part, sizes: Sizes, report: &mut Report) -> Result<()> {
    if part == Part::Scale {
        say("scale");
        report.scale = Some(tokio::task::spawn_blocking(move || scale::run(sizes)).await??);
        return Ok(());
    }
    let stack = PlanStack::start().await?;
    let measured = match part {
        Part::Convergence => converge(&stack, sizes, report).await,
        Part::Visibility => {
            say("visibility");
            visibility::run(stack.url(), sizes).await.map(|seen| report.visibility = Some(seen))
        }
        Part::Throughput | Part::Scale => {
            let measured = throughput::run(&stack, sizes).await;
            measured.map(|measured| report.throughput = Some(measured))
        }
    };
    stack.stop().await?;
    measured
}

async fn converge(stack: &PlanStack, sizes: Sizes, report: &mut Report) -> Result<()> {
    for repetition in 1..=sizes.repetitions {
        for (name, pace) in [("paced", sizes.pace), ("burst", std::time::Duration::ZERO)] {
            say(&format!("convergence, {name}, {repetition} of {}", sizes.repetitions));
            let plan = format!("{name}-{repetition}");
            report.convergence.push(convergence::run(stack.url(), plan, pace, sizes).await?);
        }
    }
    Ok(())
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}
