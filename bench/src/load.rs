//! Closed-loop load: so many workers, each of which begins anew when it has finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::processes::{self, UsedByPart};

const WARMING_UP: u8 = 0;
const MEASURING: u8 = 1;
const ENDING: u8 = 2;

/// How long to load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What came out of it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) rounds_per_s: f64,
    pub(crate) used: UsedByPart,
}

/// The phase of a run, seen by its workers.
#[derive(Debug, Default)]
pub(crate) struct Phase {
    phase: AtomicU8,
    rounds: AtomicU64,
}

impl Phase {
    /// Whether nothing more is begun.
    pub(crate) fn ending(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == ENDING
    }

    /// Whether what is done now counts.
    pub(crate) fn measuring(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == MEASURING
    }
}

/// Runs `workers` loops of what `worker(n, phase)` makes, and counts the rounds that end while it is
/// measured. The first error ends the run.
pub(crate) async fn closed_loop<W, F>(
    workers: usize,
    span: Span,
    others: &[(&str, u32)],
    worker: impl Fn(usize, Arc<Phase>) -> W,
) -> Result<Loaded>
where
    W: FnMut() -> F + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let phase = Arc::new(Phase { phase: AtomicU8::new(WARMING_UP), rounds: AtomicU64::new(0) });
    let mut loops = JoinSet::new();
    for number in 0..workers {
        let mut round = worker(number, phase.clone());
        let phase = phase.clone();
        loops.spawn(async move {
            while phase.phase.load(Ordering::Relaxed) != ENDING {
                round().await?;
                if phase.measuring() {
                    phase.rounds.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        });
    }
    unless_failed(&mut loops, span.warm_up).await?;
    let (began, before) = (Instant::now(), processes::used(others));
    phase.phase.store(MEASURING, Ordering::Relaxed);
    unless_failed(&mut loops, span.measured).await?;
    phase.phase.store(ENDING, Ordering::Relaxed);
    let (rounds, took) = (phase.rounds.load(Ordering::Relaxed), began.elapsed());
    let used = processes::between(&before, &processes::used(others));
    while let Some(ended) = loops.join_next().await {
        ended.context("a worker panicked")??;
    }
    Ok(Loaded { rounds_per_s: rounds as f64 / took.as_secs_f64(), used })
}

/// Lets time pass, unless a worker fails meanwhile.
async fn unless_failed(loops: &mut JoinSet<Result<()>>, time: Duration) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        Some(ended) = loops.join_next() => ended.context("a worker panicked")?,
    }
}
