//! What a run can be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::load::Span;

/// Measure how well and how fast messages find who can act, on a stack of its own.
#[derive(Debug, Clone, Args, Serialize)]
pub struct RoutingArgs {
    /// A run of a minute that shows that everything works; its numbers mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// Only these parts; all where none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// The folder of the sets: a JSON file as CLINC150 is published, or a folder with train.csv and
    /// test.csv (text,label) for each.
    #[arg(long, value_name = "FOLDER", default_value = "bench/routing-sets")]
    pub sets: PathBuf,
    /// How often few examples are drawn; the means count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub seeds: u16,
    /// Measure this peer too, on the same vectors; needs Python and fetches its packages.
    #[arg(long, value_enum)]
    pub peer: Option<PeerName>,
    /// The folder of the peers' harnesses.
    #[arg(long, value_name = "FOLDER", default_value = "bench/peers")]
    pub peers: PathBuf,
    /// Agents that have a mailbox, each with a connection of its own.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub connections: u16,
    /// Messages at once, over all connections.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=8_192))]
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
    /// Accuracy and calibration on sets of texts with intents.
    Accuracy,
    /// How fast a decision is: known to the letter, known by meaning, not known.
    Decisions,
    /// How often the cache answers, and how often it is wrong, on texts that come again.
    Cache,
    /// Messages sent by intent until they are acknowledged.
    Messages,
    /// Decisions among ten thousand routes and a thousand agents.
    Scale,
    /// A fleet in which one agent is slow and one fails.
    Balancing,
    /// Mailboxes beside raw JetStream.
    Mailboxes,
}

/// A peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerName {
    /// The Python package semantic-router, on the vectors that Troupe routes with.
    SemanticRouter,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) connections: usize,
    pub(super) in_flight: usize,
    pub(super) repetitions: usize,
    pub(super) span: Span,
    /// Draws of few examples.
    pub(super) seeds: usize,
    /// Decisions of each kind that are timed one by one.
    pub(super) rounds: usize,
    /// Texts that the cache is asked in a row.
    pub(super) replayed: usize,
    /// Routes and agents of the small and of the large fleet.
    pub(super) few: Fleet,
    pub(super) many: Fleet,
    /// Messages for each strategy.
    pub(super) balanced: usize,
}

/// A fleet that is decided among.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fleet {
    /// Declared routes.
    pub routes: usize,
    /// Agents.
    pub agents: usize,
}

impl RoutingArgs {
    pub(super) fn sizes(&self) -> Sizes {
        if self.quick {
            let ms = Duration::from_millis;
            return Sizes {
                connections: self.connections.min(4).into(),
                in_flight: 16,
                repetitions: 1,
                span: Span { warm_up: ms(200), measured: ms(800) },
                seeds: 1,
                rounds: 20,
                replayed: 200,
                few: Fleet { routes: 12, agents: 3 },
                many: Fleet { routes: 60, agents: 30 },
                balanced: 120,
            };
        }
        Sizes {
            connections: self.connections.into(),
            in_flight: self.in_flight.into(),
            repetitions: self.repetitions.into(),
            span: Span {
                warm_up: Duration::from_secs(2),
                measured: Duration::from_secs(self.seconds),
            },
            seeds: self.seeds.into(),
            rounds: 2_000,
            replayed: 10_000,
            few: Fleet { routes: 100, agents: 10 },
            many: Fleet { routes: 10_000, agents: 1_000 },
            balanced: 3_000,
        }
    }

    pub(super) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
