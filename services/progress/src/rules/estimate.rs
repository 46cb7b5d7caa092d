//! When work will be done: a Monte Carlo over measured durations.
//!
//! Each draw gives every open task a duration and lets so many workers take tasks as they become free,
//! the first created first; what is told are quantiles over the draws. That is PERT done by simulation
//! (Van Slyke, "Monte Carlo Methods and the PERT Problem", 1963), with the measured durations instead
//! of guessed distributions: the bootstrap (Efron, 1979). The measurements themselves are drawn anew
//! for every draw, so that few of them make the answer wide. A task at work takes one of the durations
//! that are longer than what it took already; where none is, as long again.
//!
//! Invariants: chance is an argument, so that one seed gives one answer; a task of which nothing is
//! known makes the answer unknown, and is never guessed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use troupe_contract::progress::{EstimateBasis, EstimateReply};
use troupe_domain::TaskStatus;

use super::durations::{Durations, MIN_SAMPLES};
use super::facts::minutes_of;
use super::network::{Network, Node};

/// Draws of a small set of tasks.
const MAX_DRAWS: usize = 1_000;
/// Draws of a large one.
const MIN_DRAWS: usize = 100;
/// Durations drawn in all, about.
const MAX_DRAWN: usize = 2_000_000;
/// Workers that can be asked for.
pub const MAX_WORKERS: u32 = 100_000;
const THOUSANDTHS: u64 = 1_000;

/// What the duration of a task is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground<'a> {
    /// What its holder says it needs yet.
    Holder(u64),
    /// Its creator's estimate, times how such estimates turned out.
    Creator(u64),
    /// Durations of its role.
    Role(&'a VecDeque<u64>),
    /// Durations of any task.
    Fleet(&'a VecDeque<u64>),
}

/// What the duration of a task can be drawn from; none where too little is known.
pub fn ground<'a>(node: &Node, durations: &'a Durations) -> Option<Ground<'a>> {
    // What is reported is done, says its holder.
    let said = if node.status == TaskStatus::Reported { Some(0) } else { node.said_ms };
    if let Some(said) = said {
        return Some(Ground::Holder(said));
    }
    if let Some(estimate) = node.estimated_ms.filter(|_| durations.ratios.len() >= MIN_SAMPLES) {
        return Some(Ground::Creator(estimate));
    }
    let of_role = node.role.as_ref().and_then(|role| durations.by_role.get(role));
    if let Some(samples) = of_role.filter(|samples| samples.len() >= MIN_SAMPLES) {
        return Some(Ground::Role(samples));
    }
    (durations.fleet.len() >= MIN_SAMPLES).then_some(Ground::Fleet(&durations.fleet))
}

/// What a task will need yet, in the middle of what is likely.
pub fn expected_ms(node: &Node, durations: &Durations) -> Option<u64> {
    let scaled = |samples: &VecDeque<u64>, by: u64| -> Vec<u64> {
        samples.iter().map(|sample| scale(*sample, by)).collect()
    };
    let whole = match ground(node, durations)? {
        Ground::Holder(said) => return Some(said),
        Ground::Creator(estimate) => scaled(&durations.ratios, estimate),
        Ground::Role(samples) | Ground::Fleet(samples) => samples.iter().copied().collect(),
    };
    let mut longer: Vec<u64> = whole.into_iter().filter(|ms| *ms > node.spent_ms).collect();
    longer.sort_unstable();
    Some(longer.get(longer.len() / 2).map_or(node.spent_ms, |ms| ms - node.spent_ms))
}

fn scale(ratio: u64, estimate: u64) -> u64 {
    u64::try_from(u128::from(ratio) * u128::from(estimate) / u128::from(THOUSANDTHS))
        .unwrap_or(u64::MAX)
}

/// How one task's duration is drawn.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// Left out: nothing frees it.
    Stuck,
    Fixed(u64),
    /// One of the samples of a set, for a task that took so long already.
    Samples {
        set: usize,
        spent_ms: u64,
    },
    /// A ratio, times the estimate.
    Ratio {
        estimate: u64,
        spent_ms: u64,
    },
}

/// The sets of samples that a plan draws from; the first is that of ratios.
struct Sets<'a> {
    given: Vec<&'a VecDeque<u64>>,
    drawn: Vec<Vec<u64>>,
}

impl Sets<'_> {
    /// Draws every set anew from itself, and puts it in order.
    fn draw(&mut self, rng: &mut ChaCha8Rng) {
        for (given, drawn) in self.given.iter().zip(&mut self.drawn) {
            drawn.clear();
            drawn.extend((0..given.len()).map(|_| given[below(rng, given.len())]));
            drawn.sort_unstable();
        }
    }

    /// What is left of a duration that is longer than `spent`; as long again where none is.
    fn left(&self, set: usize, spent: u64, rng: &mut ChaCha8Rng) -> u64 {
        let samples = &self.drawn[set];
        let first = samples.partition_point(|ms| *ms <= spent);
        if spent > 0 && first == samples.len() {
            return spent;
        }
        let from = if spent > 0 { first } else { 0 };
        samples[from + below(rng, samples.len() - from)] - spent
    }
}

fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    // The bias of a remainder of 64 bits is nothing beside what is estimated.
    (rng.next_u64() % bound.max(1) as u64) as usize
}

/// Estimates when everything that can be done will be done.
pub fn estimate(network: &Network, workers: Option<u32>, seed: u64) -> EstimateReply {
    let dependents = network.dependents();
    let order = network.in_order(&dependents);
    let stuck = network.stuck(&order);
    let at_work = network.nodes.iter().filter(|n| n.holder.is_some()).count() as u32;
    let usual = [network.at_work, network.at_work_in_fleet].into_iter().find(|count| *count > 0);
    let workers = workers.or(usual).unwrap_or(1).clamp(1, MAX_WORKERS);
    let mut basis = EstimateBasis {
        method: "Monte Carlo over measured durations (bootstrap), one worker a task".to_owned(),
        open_tasks: network.nodes.len() as u64,
        workers,
        seed,
        ..EstimateBasis::default()
    };
    let (sources, mut sets) = sources(network, &stuck, &mut basis);
    if let Some(why) = unknown(network, &basis) {
        return EstimateReply {
            unknown: true,
            unknown_because: Some(why),
            p50_minutes: None,
            p90_minutes: None,
            p50_at: None,
            p90_at: None,
            basis,
        };
    }
    let count = network.nodes.len().max(1);
    let draws = (MAX_DRAWN / count).clamp(MIN_DRAWS, MAX_DRAWS);
    basis.draws = draws as u32;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut run = Run::new(network, &dependents, &stuck, workers.max(at_work) as usize);
    let mut finishes: Vec<u64> = (0..draws)
        .map(|_| {
            sets.draw(&mut rng);
            run.once(|place| drawn(sources[place], &sets, &mut rng))
        })
        .collect();
    finishes.sort_unstable();
    let quantile =
        |share: f64| finishes[((draws as f64 * share).ceil() as usize).clamp(1, draws) - 1];
    let (p50, p90) = (quantile(0.5), quantile(0.9));
    EstimateReply {
        unknown: false,
        unknown_because: None,
        p50_minutes: Some(minutes_of(p50)),
        p90_minutes: Some(minutes_of(p90)),
        p50_at: Some(network.at.plus_millis(p50)),
        p90_at: Some(network.at.plus_millis(p90)),
        basis,
    }
}

fn drawn(source: Source, sets: &Sets<'_>, rng: &mut ChaCha8Rng) -> u64 {
    match source {
        Source::Stuck => 0,
        Source::Fixed(ms) => ms,
        Source::Samples { set, spent_ms } => sets.left(set, spent_ms, rng),
        Source::Ratio { estimate, spent_ms } => {
            let ratios = &sets.drawn[0];
            let whole = scale(ratios[below(rng, ratios.len())], estimate);
            if whole > spent_ms || spent_ms == 0 {
                whole.saturating_sub(spent_ms)
            } else {
                spent_ms
            }
        }
    }
}

fn unknown(network: &Network, basis: &EstimateBasis) -> Option<String> {
    if basis.without_basis > 0 {
        return Some(format!(
            "of {} open tasks nothing is known: at least {MIN_SAMPLES} completed tasks, or what a \
             holder expects, are needed",
            basis.without_basis
        ));
    }
    let blind = network.nodes.iter().filter(|node| node.waits_for_unknown).count();
    (blind > 0).then(|| format!("{blind} tasks wait for tasks that are not known"))
}

/// What every task is drawn from; counts it in the basis.
fn sources<'a>(
    network: &'a Network,
    stuck: &[bool],
    basis: &mut EstimateBasis,
) -> (Vec<Source>, Sets<'a>) {
    let durations = &network.durations;
    let mut given = vec![&durations.ratios];
    let mut known: BTreeMap<*const VecDeque<u64>, usize> = BTreeMap::new();
    let mut fewest = |count: usize| {
        let count = count as u64;
        basis.fewest_samples = Some(basis.fewest_samples.map_or(count, |few| few.min(count)));
    };
    let (mut by_role, mut by_fleet, mut by_creator, mut by_holder) = (0, 0, 0, 0);
    let (mut without, mut stuck_tasks) = (0, 0);
    let mut sources = Vec::with_capacity(network.nodes.len());
    for (node, stuck) in network.nodes.iter().zip(stuck) {
        if *stuck {
            stuck_tasks += 1;
            sources.push(Source::Stuck);
            continue;
        }
        let spent_ms = node.spent_ms;
        let mut of = |samples: &'a VecDeque<u64>| {
            fewest(samples.len());
            let set = *known.entry(std::ptr::from_ref(samples)).or_insert_with(|| {
                given.push(samples);
                given.len() - 1
            });
            Source::Samples { set, spent_ms }
        };
        sources.push(match ground(node, durations) {
            None => {
                without += 1;
                Source::Fixed(0)
            }
            Some(Ground::Holder(said)) => {
                by_holder += 1;
                Source::Fixed(said)
            }
            Some(Ground::Creator(estimate)) => {
                by_creator += 1;
                fewest(durations.ratios.len());
                Source::Ratio { estimate, spent_ms }
            }
            Some(Ground::Role(samples)) => {
                by_role += 1;
                of(samples)
            }
            Some(Ground::Fleet(samples)) => {
                by_fleet += 1;
                of(samples)
            }
        });
    }
    (basis.by_role, basis.by_fleet) = (by_role, by_fleet);
    (basis.by_creator, basis.by_holder) = (by_creator, by_holder);
    (basis.without_basis, basis.stuck_tasks) = (without, stuck_tasks);
    let drawn = vec![Vec::new(); given.len()];
    (sources, Sets { given, drawn })
}

/// One future after the other, over the same tasks.
struct Run<'a> {
    network: &'a Network,
    dependents: &'a [Vec<u32>],
    stuck: &'a [bool],
    workers: usize,
    waits: Vec<usize>,
    ready: BinaryHeap<Reverse<u32>>,
    running: BinaryHeap<Reverse<(u64, u32)>>,
}

impl<'a> Run<'a> {
    fn new(
        network: &'a Network,
        dependents: &'a [Vec<u32>],
        stuck: &'a [bool],
        workers: usize,
    ) -> Self {
        let (waits, ready, running) = (Vec::new(), BinaryHeap::new(), BinaryHeap::new());
        Self { network, dependents, stuck, workers, waits, ready, running }
    }

    /// How long everything takes, with the durations that `duration` gives by place.
    fn once(&mut self, mut duration: impl FnMut(usize) -> u64) -> u64 {
        self.waits.clear();
        self.waits.extend(self.network.nodes.iter().map(|node| node.waits_for.len()));
        for (place, node) in self.network.nodes.iter().enumerate() {
            if self.stuck[place] || self.waits[place] > 0 {
                continue;
            }
            // What somebody is at goes on at once, and so does what only waits for a verdict.
            if node.holder.is_some() {
                self.running.push(Reverse((duration(place), place as u32)));
            } else {
                self.ready.push(Reverse(place as u32));
            }
        }
        let mut now = 0;
        loop {
            while self.running.len() < self.workers
                && let Some(Reverse(place)) = self.ready.pop()
            {
                let ends = now + duration(place as usize);
                self.running.push(Reverse((ends, place)));
            }
            let Some(Reverse((at, done))) = self.running.pop() else { return now };
            now = at;
            for dependent in &self.dependents[done as usize] {
                let left = &mut self.waits[*dependent as usize];
                *left -= 1;
                if *left == 0 && !self.stuck[*dependent as usize] {
                    self.ready.push(Reverse(*dependent));
                }
            }
        }
    }
}

#[cfg(test)]
pub(in crate::rules) mod tests;
