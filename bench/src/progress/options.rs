//! What a run can be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use troupe_domain::limits::MAX_SUMMARY_TASKS;

use crate::load::Span;

/// Measure reports and summaries beside raw publishes, on a stack of its own.
#[derive(Debug, Clone, Args, Serialize)]
pub struct ProgressArgs {
    /// A short run that shows that everything works; its numbers mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// Only these parts; all where none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Agents, each with a connection of its own; each holds at most 1,024 tasks.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(10..=1_024))]
    pub connections: u16,
    /// Reports at once, over all connections.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=8_192))]
    pub in_flight: u16,
    /// Seconds that each throughput is measured, after a warm-up.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// How often each throughput is measured; the medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub repetitions: u16,
    /// Write the result as JSON to this file, and print the table; `-` prints only the JSON.
    #[arg(long = "output", value_name = "FILE")]
    #[serde(skip)]
    pub output: Option<PathBuf>,
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Raw publishes and reports per second.
    Throughput,
    /// A summary over ten thousand tasks while their history grows.
    Summaries,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) connections: usize,
    pub(super) in_flight: usize,
    pub(super) repetitions: usize,
    pub(super) span: Span,
    /// What is timed one by one.
    pub(super) rounds: usize,
    pub(super) tasks: usize,
    /// Reports of each task at which summaries are measured.
    pub(super) histories: [u64; 3],
}

impl ProgressArgs {
    pub(super) fn sizes(&self) -> Sizes {
        let connections = self.connections.into();
        if self.quick {
            let ms = Duration::from_millis;
            return Sizes {
                connections,
                in_flight: 32,
                repetitions: 1,
                span: Span { warm_up: ms(200), measured: ms(800) },
                rounds: 20,
                tasks: 100,
                histories: [1, 10, 100],
            };
        }
        let warm_up = Duration::from_secs(2);
        Sizes {
            connections,
            in_flight: self.in_flight.into(),
            repetitions: self.repetitions.into(),
            span: Span { warm_up, measured: Duration::from_secs(self.seconds) },
            rounds: 1_000,
            tasks: MAX_SUMMARY_TASKS,
            histories: [1, 10, 100],
        }
    }

    pub(super) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
