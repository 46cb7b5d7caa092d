//! `troupe bench memory`: how well and how fast memories are found.
//!
//! Everything is measured in one run, with the machine and the versions beside it. Quality compares
//! ways to search on the same texts and vectors.

mod index;
mod options;
mod phrases;
mod quality;
pub mod report;
mod service;
mod table;
mod vectors;

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::machine;
use crate::stack::{AGENTS, runtime};
use report::Report;

pub use options::{MemoryArgs, Part};

const NOTES: [&str; 5] = [
    "Quality: each question searches the entries of its own conversation or history, without a language \
     model. Recall is the share of a question's evidence among the first k; in LongMemEval evidence is a \
     session, found by any of its turns. Nothing is tuned on the sets but the defaults of the settings.",
    "Ways: words is BM25 with stop words and stems; meaning is the cosine of quantised vectors; plain \
     hybrid weighs both half and half; the others add dates as words, the entry before as context of the \
     vector, and the neighbours' share, one after the other.",
    "Index: entries are made-up reports of a software fleet, 30 to 60 words, with names and numbers that \
     occur once. So many different texts as it says are embedded; the vector of any other entry is a mix \
     of two of those with noise of a fifth of their length.",
    "Index: searches are timed one by one in this process, with a filter that lets nine of ten entries \
     pass. Sketch recall is the share of the ten nearest by a full scan that the scan of sketches finds.",
    "Service: one namespace, the service and who asks in one process, nats-server and valkey-server \
     beside it on the same processors, the cold tier in a folder. So that a run need not last a week, \
     what is not important becomes cold at once. Reads and searches one by one, each read of an entry \
     checked to come from the tier that it is counted for. The owner answers for what is hot and warm from \
     its memory; the copy in Redis is for when there is no owner.",
];

/// Measures what `args` ask for, tells progress on standard error, and prints the result.
pub fn run(args: MemoryArgs) -> Result<()> {
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
pub async fn measure(args: MemoryArgs) -> Result<Report> {
    let sizes = args.sizes();
    let nats_server = tokio::task::spawn_blocking(troupe_parts::nats_server).await??;
    let mut report = Report {
        benchmark: "memory",
        date: machine::now(),
        machine: machine::look(),
        versions: machine::versions(&nats_server),
        quality: None,
        index: Vec::new(),
        service: None,
        failures: Vec::new(),
        notes: NOTES.to_vec(),
        parameters: args.clone(),
    };
    let parts = [Part::Quality, Part::Index, Part::Service];
    for part in parts.into_iter().filter(|part| args.wants(*part)) {
        // What fails is told, and what was measured is not lost.
        let measured = match part {
            Part::Quality => quality::run(&args.sets, &sizes).await.map(|quality| {
                report.quality = Some(quality);
            }),
            Part::Index => index::run(&sizes, &mut report.index).await,
            Part::Service => Box::pin(service::run(&sizes)).await.map(|served| {
                report.service = Some(served);
            }),
        };
        if let Err(why) = measured {
            say(&format!("{part:?} failed: {why:#}"));
            report.failures.push(format!("{part:?}: {why:#}"));
        }
    }
    Ok(report)
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}
