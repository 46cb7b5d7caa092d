//! What a run can be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::load::Span;

/// Measure how fast plans converge, merge and take edits, on a stack of its own.
#[derive(Debug, Clone, Args, Serialize)]
pub struct PlansArgs {
    /// A short run that shows that everything works; its numbers mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// Only these parts; all where none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Replicas that edit one plan at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..=200))]
    pub replicas: u16,
    /// Batches that each of them makes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub batches: u16,
    /// How long each of them waits between two batches; without a wait is measured as well.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub pace_ms: u64,
    /// Edits at once where edits per second are measured.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub in_flight: u16,
    /// Seconds that each throughput is measured, after a warm-up.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// How often everything is measured; the medians count.
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
    /// Many replicas edit one plan at once, until all are the same.
    Convergence,
    /// How long an edit takes to be seen at another agent.
    Visibility,
    /// Edits and batches per second through the service.
    Throughput,
    /// A large plan with a long history: merging, loading, sizes.
    Scale,
}

impl Part {
    /// In the order in which they are measured: what is resident shows best in a fresh process.
    pub(super) const ALL: [Self; 4] =
        [Self::Scale, Self::Convergence, Self::Visibility, Self::Throughput];
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) replicas: usize,
    pub(super) batches: usize,
    pub(super) pace: Duration,
    /// Edits of one batch.
    pub(super) edits: usize,
    /// Items of the plan that is edited at once.
    pub(super) items: usize,
    pub(super) in_flight: usize,
    pub(super) connections: usize,
    pub(super) repetitions: usize,
    pub(super) span: Span,
    /// What is timed one by one.
    pub(super) rounds: usize,
    /// Items of the large plan.
    pub(super) many_items: usize,
    /// Operations of its history.
    pub(super) operations: usize,
}

impl PlansArgs {
    pub(super) fn sizes(&self) -> Sizes {
        let usual = Sizes {
            replicas: self.replicas.into(),
            batches: self.batches.into(),
            pace: Duration::from_millis(self.pace_ms),
            edits: 10,
            items: 1_000,
            in_flight: self.in_flight.into(),
            connections: 16,
            repetitions: self.repetitions.into(),
            span: Span {
                warm_up: Duration::from_secs(2),
                measured: Duration::from_secs(self.seconds),
            },
            rounds: 1_000,
            many_items: 10_000,
            operations: 100_000,
        };
        if !self.quick {
            return usual;
        }
        let ms = Duration::from_millis;
        Sizes {
            replicas: usual.replicas.min(8),
            batches: usual.batches.min(3),
            pace: ms(10),
            items: 50,
            in_flight: 8,
            connections: 4,
            repetitions: 1,
            span: Span { warm_up: ms(200), measured: ms(800) },
            rounds: 20,
            many_items: 200,
            operations: 2_000,
            ..usual
        }
    }

    pub(super) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
