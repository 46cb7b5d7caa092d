//! How fast a decision is, by what the cache knows of it, over the bus.
//!
//! What a decision counts as is what its answer says, not what was meant to be asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use troupe_bus::Bus;
use troupe_contract::routing::{CacheUse, ResolveOutcome};

use super::options::Sizes;
use super::report::Series;
use super::scores::share;
use super::stack::Stack;
use super::{fleet, phrases};
use crate::latency::{Latency, Recorder};
use crate::load::{Span, closed_loop};

/// Texts that are asked in all kinds of ways.
const TEXTS_MAX: usize = 200;

/// Decisions that were timed one by one.
#[derive(Debug, Clone, Serialize)]
pub struct Timed {
    /// From the request to the answer, by what the cache knew.
    pub over_the_bus: BTreeMap<CacheUse, Latency>,
    /// As the service itself tells it.
    pub in_the_service: BTreeMap<CacheUse, Latency>,
    /// The share of all these for which somebody was chosen: the others end at a threshold.
    pub chosen: Option<f64>,
}

/// Decisions one by one, and as many as can be.
#[derive(Debug, Clone, Serialize)]
pub struct Decisions {
    /// Declared routes, each with what people say.
    pub routes: usize,
    /// Agents.
    pub agents: usize,
    /// While nothing else happens.
    #[serde(flatten)]
    pub timed: Timed,
    /// Decisions per second on texts that are known to the letter.
    pub known: Series,
    /// Decisions per second on texts that were never asked: each is embedded.
    pub new: Series,
}

/// What is recorded, by what the cache knew.
#[derive(Debug, Default)]
struct Recorders {
    over_the_bus: [Recorder; 3],
    in_the_service: [Recorder; 3],
    chosen: AtomicUsize,
    asked: AtomicUsize,
}

impl Recorders {
    async fn ask(&self, bus: &Bus, text: &str) -> Result<()> {
        let began = Instant::now();
        let told = fleet::resolve(bus, text).await?;
        self.over_the_bus[told.cache as usize].record(began.elapsed());
        self.in_the_service[told.cache as usize].record(Duration::from_micros(told.took_us));
        let is_chosen = told.outcome == ResolveOutcome::Chosen;
        self.chosen.fetch_add(usize::from(is_chosen), Ordering::Relaxed);
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn count(&self, cache: CacheUse) -> u64 {
        self.over_the_bus[cache as usize].summary().count
    }

    fn summary(&self) -> Timed {
        let kinds = [CacheUse::Exact, CacheUse::Near, CacheUse::Miss];
        let of = |recorders: &[Recorder; 3]| {
            kinds.map(|kind| (kind, recorders[kind as usize].summary())).into()
        };
        let (chosen, asked) =
            (self.chosen.load(Ordering::Relaxed), self.asked.load(Ordering::Relaxed));
        Timed {
            over_the_bus: of(&self.over_the_bus),
            in_the_service: of(&self.in_the_service),
            chosen: share(chosen, asked),
        }
    }
}

/// Numbers that no text had before.
static NUMBERS: AtomicUsize = AtomicUsize::new(1_000);

fn unused() -> usize {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// `rounds` decisions of each kind, one after the other.
pub(super) async fn time(bus: &Bus, texts: &[String], rounds: usize) -> Result<Timed> {
    let texts = &texts[..texts.len().min(TEXTS_MAX)];
    let recorders = Recorders::default();
    // The first time, nobody knows them, and nobody's connection is warm.
    for text in texts {
        fleet::resolve(bus, text).await?;
    }
    for round in 0..rounds {
        recorders.ask(bus, &texts[round % texts.len()]).await?;
    }
    // What a cache may answer for another text depends on the texts: some variants are too far.
    for number in 1..phrases::VARIANTS {
        for text in texts {
            if recorders.count(CacheUse::Near) >= rounds as u64 {
                break;
            }
            recorders.ask(bus, &phrases::variant(text, number)).await?;
        }
    }
    for round in 0..rounds {
        let text = phrases::new(&texts[round % texts.len()], unused());
        recorders.ask(bus, &text).await?;
    }
    Ok(recorders.summary())
}

/// Everything about one fleet.
pub(super) async fn run(
    stack: &Stack,
    buses: &[Bus],
    texts: &[String],
    sizes: Sizes,
    fleet: super::options::Fleet,
) -> Result<Decisions> {
    let Sizes { in_flight, repetitions, span, rounds, .. } = sizes;
    super::say("decisions, one by one");
    let bus = buses.first().context("at least one connection")?;
    let timed = time(bus, texts, rounds).await?;
    let (mut known, mut new) = <(Series, Series)>::default();
    let texts: Arc<[String]> = texts.iter().take(TEXTS_MAX).cloned().collect();
    for repetition in 1..=repetitions {
        super::say(&format!("decisions per second, {repetition} of {repetitions}"));
        load(stack, buses, in_flight, span, &texts, &mut known, |text, _| text.to_owned()).await?;
        load(stack, buses, in_flight, span, &texts, &mut new, phrases::new).await?;
    }
    Ok(Decisions { routes: fleet.routes, agents: fleet.agents, timed, known, new })
}

async fn load(
    stack: &Stack,
    buses: &[Bus],
    in_flight: usize,
    span: Span,
    texts: &Arc<[String]>,
    series: &mut Series,
    say: fn(&str, usize) -> String,
) -> Result<()> {
    let others = stack.others();
    let loaded = closed_loop(in_flight, span, &others, |worker, _| {
        let (bus, texts) = (buses[worker % buses.len()].clone(), texts.clone());
        let mut round = worker;
        move || {
            round += 1;
            let text = say(&texts[round % texts.len()], unused());
            let bus = bus.clone();
            async move { fleet::resolve(&bus, &text).await.map(drop) }
        }
    });
    let loaded = loaded.await?;
    series.add(loaded.rounds_per_s, span.measured.as_secs_f64(), &loaded.used);
    Ok(())
}
