//! What a run can be told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// Measure how well and how fast memories are found, in the index and in the service.
#[derive(Debug, Clone, Args, Serialize)]
pub struct MemoryArgs {
    /// A short run that shows that everything works; its numbers mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// Only these parts; all where none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// The folder of the question sets: JSON files as LoCoMo and LongMemEval are published, and
    /// folders with entries.csv and questions.csv.
    #[arg(long, value_name = "FOLDER", default_value = "bench/memory-sets")]
    pub sets: PathBuf,
    /// Questions of each set, evenly chosen; all where it is not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub questions: Option<u32>,
    /// Entries of the index, one size after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    pub entries: Vec<usize>,
    /// Entries of the service, each of which is embedded.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..))]
    pub service_entries: u32,
    /// Writes at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub in_flight: u16,
    /// Write the result as JSON to this file, and print the table; `-` prints only the JSON.
    #[arg(long = "output", value_name = "FILE")]
    #[serde(skip)]
    pub output: Option<PathBuf>,
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// How well questions find their evidence.
    Quality,
    /// How fast the index is, and what it takes of memory.
    Index,
    /// How fast the service is, by tier, and what it takes to start again.
    Service,
}

/// How much of everything.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    /// Questions of each set.
    pub(super) questions: usize,
    /// Entries of the index.
    pub(super) entries: Vec<usize>,
    /// Different texts that are embedded.
    pub(super) embedded: usize,
    /// Entries of the service.
    pub(super) served: usize,
    /// Writes at once.
    pub(super) in_flight: usize,
    /// What is timed one by one.
    pub(super) searches: usize,
}

impl MemoryArgs {
    pub(super) fn sizes(&self) -> Sizes {
        let questions = self.questions.map_or(usize::MAX, |questions| questions as usize);
        if self.quick {
            return Sizes {
                questions: questions.min(20),
                entries: vec![500, 2_000],
                embedded: 200,
                served: 240,
                in_flight: 16,
                searches: 20,
            };
        }
        Sizes {
            questions,
            entries: self.entries.clone(),
            embedded: 3_000,
            served: self.service_entries as usize,
            in_flight: self.in_flight.into(),
            searches: 400,
        }
    }

    pub(super) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
