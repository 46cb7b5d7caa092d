//! What a run can be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::load::Span;

/// Measure work distribution beside a raw JetStream baseline, on a stack of its own.
#[derive(Debug, Clone, Args, Serialize)]
pub struct WorkArgs {
    /// A run of half a minute that shows that everything works; its numbers mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// When the server syncs what it acknowledges.
    #[arg(long, value_enum, default_value_t = Durability::Default)]
    pub durability: Durability,
    /// Only these parts; all where none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Measure this peer too, in turn with ours; needs Node and npm.
    #[arg(long, value_enum)]
    pub peer: Option<PeerName>,
    /// The folder of the peers' harnesses.
    #[arg(long, value_name = "FOLDER", default_value = "bench/peers")]
    pub peers: PathBuf,
    /// Agents, each with a connection of its own.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub connections: u16,
    /// Lifecycles at once, over all connections.
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

/// When the server syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Every two minutes, as the server does by itself; survives the end of any process, not a loss of
    /// power.
    Default,
    /// Before each acknowledgement.
    Always,
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Baseline and lifecycles per second.
    Throughput,
    /// How fast a claim is.
    Claims,
    /// One graph of ten thousand tasks.
    Graph,
    /// A hundred thousand tasks that wait.
    Waiting,
    /// Baseline and lifecycles with a sync before each acknowledgement.
    Always,
}

/// A peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerName {
    /// BullMQ on valkey-server, append-only file synced every second.
    Bullmq,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) connections: usize,
    pub(super) in_flight: usize,
    pub(super) repetitions: usize,
    pub(super) span: Span,
    /// Claims that are timed one by one.
    pub(super) rounds: usize,
    /// Tasks that wait from the beginning while a steady rate is held.
    pub(super) backlog_tasks: usize,
    /// How long a steady rate is held.
    pub(super) steady: Duration,
    pub(super) graph_tasks: usize,
    pub(super) waiting_tasks: usize,
}

impl WorkArgs {
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
                backlog_tasks: 50,
                steady: ms(1_000),
                graph_tasks: 200,
                waiting_tasks: 500,
            };
        }
        let warm_up = Duration::from_secs(2);
        Sizes {
            connections,
            in_flight: self.in_flight.into(),
            repetitions: self.repetitions.into(),
            span: Span { warm_up, measured: Duration::from_secs(self.seconds) },
            rounds: 2_000,
            backlog_tasks: 1_000,
            steady: Duration::from_secs(self.seconds),
            graph_tasks: troupe_domain::limits::MAX_GRAPH_TASKS,
            waiting_tasks: 100_000,
        }
    }

    pub(super) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
