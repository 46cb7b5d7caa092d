//! What was measured of each agent: work under way, latencies, success.
//!
//! Invariants: at most [`Config::max_agents`] agents are tracked, and those used longest ago go
//! first; an agent that is not measured yet reads as the median of those that are, so that a new
//! one is neither flooded nor starved; a failure never makes an agent look fast.

mod config;
pub mod histogram;
pub mod peak_ewma;
pub mod success;
#[cfg(test)]
mod tests;

use troupe_domain::{AgentId, Name, Timestamp};

use super::recent::Recent;
pub use config::{Config, MAX_TRACKED_AGENTS};
use histogram::{Histogram, Quantiles};
use peak_ewma::PeakEwma;
use success::Success;

/// Capabilities of one agent whose success is told apart; the one used longest ago goes first.
pub const MAX_TRACKED_CAPABILITIES: usize = 32;
/// How old the fleet's medians may be.
const MEDIANS_FOR_MS: u64 = 1_000;
/// Quantiles are read anew after so many calls for one that they rest on.
const CALLS_PER_READING: u64 = 16;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it did what was asked. A refusal of a bad request is a success of the agent.
    pub success: bool,
    /// From the sending to the end.
    pub latency_us: u64,
}

/// What is known of an agent now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Calls under way.
    pub outstanding: u32,
    /// Peak-EWMA latency, above 0.
    pub latency_us: f64,
    /// Its quantiles, or the fleet's medians of them while it warms up.
    pub quantiles: Quantiles,
    /// Expected success, above 0 and below 1.
    pub success: f64,
    /// Calls that the quantiles rest on; 0 is an agent that nobody has measured.
    pub calls: u64,
}

#[derive(Debug)]
struct Track {
    outstanding: u32,
    latency: PeakEwma,
    histogram: Histogram,
    quantiles: Quantiles,
    /// Calls until the quantiles are read anew.
    stale_after: u64,
    success: Success,
    by_capability: Vec<(Name, Success)>,
}

/// The medians over measured agents.
#[derive(Debug, Clone, Copy)]
struct Medians {
    latency_us: f64,
    quantiles: Quantiles,
    at: Option<Timestamp>,
}

/// Measurements of a fleet.
#[derive(Debug)]
pub struct Performance {
    config: Config,
    tracks: Recent<AgentId, Track>,
    /// What is expected of agents by what they achieved before anything was measured here.
    expectations: Recent<AgentId, f64>,
    medians: Medians,
}

impl Performance {
    /// Nothing is measured yet.
    pub fn new(config: Config) -> Self {
        let expected = config.prior_latency_us as f64;
        let quantiles = Quantiles { p50_us: expected, p95_us: expected, p99_us: expected };
        let tracks = Recent::new(config.max_agents);
        let expectations = Recent::new(config.max_agents);
        let medians = Medians { latency_us: expected, quantiles, at: None };
        Self { config, tracks, expectations, medians }
    }

    /// How many agents are tracked.
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// Whether nobody is tracked.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// The typical latency of the fleet.
    pub fn median_latency_us(&self) -> f64 {
        self.medians.latency_us
    }

    /// What `agent` achieved before anything was measured here: it is what is expected of it, with the
    /// general expectation as the prior, until its own calls say more.
    pub fn achieved(&mut self, agent: &AgentId, succeeded: u64, failed: u64) {
        let (succeeded, failed) = (succeeded as f64, failed as f64);
        let Config { prior_success: prior, prior_calls: strength, .. } = self.config;
        let expected = (prior * strength + succeeded) / (strength + succeeded + failed);
        *self.expectations.using(agent, || expected) = expected;
    }

    /// A call goes out to `agent`.
    pub fn started(&mut self, agent: &AgentId, now: Timestamp) {
        let track = self.track(agent, now);
        track.outstanding = track.outstanding.saturating_add(1);
    }

    /// A call was taken back before it ended: it says nothing about the agent.
    pub fn withdrawn(&mut self, agent: &AgentId) {
        if let Some(track) = self.tracks.get_mut(agent) {
            track.outstanding = track.outstanding.saturating_sub(1);
        }
    }

    /// A call ended. `capability` is what it asked for, where that is known.
    pub fn finished(
        &mut self,
        agent: &AgentId,
        capability: Option<&Name>,
        outcome: Outcome,
        now: Timestamp,
    ) {
        let decay_ms = self.config.latency_decay_ms as f64;
        let half_life_ms = self.config.success_half_life_ms as f64;
        let median_us = self.medians.latency_us;
        let track = self.track(agent, now);
        track.outstanding = track.outstanding.saturating_sub(1);
        let latency_us = outcome.latency_us.max(1) as f64;
        // An agent that fails at once is not a fast agent: a failure can only tell of slowness.
        if outcome.success || latency_us > track.latency.estimate_us(now, decay_ms, median_us) {
            track.latency.observe(latency_us, now, decay_ms);
            track.histogram.record(outcome.latency_us, now);
            track.read_anew();
        }
        track.success.record(outcome.success, now, half_life_ms);
        if let Some(capability) = capability {
            track.capability(capability, now).record(outcome.success, now, half_life_ms);
        }
        self.refresh(now);
    }

    /// What is known of `agent`.
    pub fn reading(&self, agent: &AgentId, now: Timestamp) -> Reading {
        let track = self.tracks.get(agent);
        track.map_or_else(|| self.unmeasured(agent), |track| self.read(agent, track, now))
    }

    /// What is known of `agent`, and its expected success at `capability`: what it did there, with
    /// what it did at anything as the prior.
    pub fn reading_at(&self, agent: &AgentId, capability: &Name, now: Timestamp) -> (Reading, f64) {
        let Some(track) = self.tracks.get(agent) else {
            let reading = self.unmeasured(agent);
            return (reading, reading.success);
        };
        let reading = self.read(agent, track, now);
        let here = track.by_capability.iter().find(|(name, _)| name == capability);
        let success = here.map_or(reading.success, |(_, s)| self.rate(s, now, reading.success));
        (reading, success)
    }

    /// Calls under way at `agent`.
    pub fn outstanding(&self, agent: &AgentId) -> u32 {
        self.tracks.get(agent).map_or(0, |track| track.outstanding)
    }

    fn prior(&self, agent: &AgentId) -> f64 {
        self.expectations.get(agent).copied().unwrap_or(self.config.prior_success)
    }

    fn unmeasured(&self, agent: &AgentId) -> Reading {
        Reading {
            outstanding: 0,
            latency_us: self.medians.latency_us,
            quantiles: self.medians.quantiles,
            success: self.prior(agent),
            calls: 0,
        }
    }

    fn read(&self, agent: &AgentId, track: &Track, now: Timestamp) -> Reading {
        let decay_ms = self.config.latency_decay_ms as f64;
        let calls = track.histogram.count();
        let warm = calls >= self.config.warm_up_calls;
        Reading {
            outstanding: track.outstanding,
            latency_us: track.latency.estimate_us(now, decay_ms, self.medians.latency_us).max(1.0),
            quantiles: if warm { track.quantiles } else { self.medians.quantiles },
            success: self.rate(&track.success, now, self.prior(agent)),
            calls,
        }
    }

    /// The agent has left.
    pub fn forget(&mut self, agent: &AgentId) {
        self.tracks.remove(agent);
        self.expectations.remove(agent);
    }

    fn rate(&self, success: &Success, now: Timestamp, prior: f64) -> f64 {
        let half_life_ms = self.config.success_half_life_ms as f64;
        success.rate(now, half_life_ms, prior, self.config.prior_calls)
    }

    fn track(&mut self, agent: &AgentId, now: Timestamp) -> &mut Track {
        let Medians { latency_us, quantiles, .. } = self.medians;
        self.tracks.using(agent, || Track {
            outstanding: 0,
            latency: PeakEwma::new(latency_us, now),
            histogram: Histogram::new(now),
            quantiles,
            stale_after: 0,
            success: Success::new(now),
            by_capability: Vec::new(),
        })
    }

    /// Takes the medians over warm agents anew, where they are old.
    fn refresh(&mut self, now: Timestamp) {
        if self.medians.at.is_some_and(|at| now.millis_since(at) < MEDIANS_FOR_MS) {
            return;
        }
        self.medians.at = Some(now);
        let decay_ms = self.config.latency_decay_ms as f64;
        let warm = |track: &&Track| track.histogram.count() >= self.config.warm_up_calls;
        let warm: Vec<&Track> = self.tracks.iter().map(|(_, track)| track).filter(warm).collect();
        let old = self.medians.latency_us;
        let median = |of: &dyn Fn(&Track) -> f64| {
            let mut values: Vec<f64> = warm.iter().map(|track| of(track)).collect();
            let middle = values.len() / 2;
            (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
        };
        let fresh = (
            median(&|track| track.latency.estimate_us(now, decay_ms, old).max(1.0)),
            median(&|track| track.quantiles.p50_us),
            median(&|track| track.quantiles.p95_us),
            median(&|track| track.quantiles.p99_us),
        );
        if let (Some(latency_us), Some(p50_us), Some(p95_us), Some(p99_us)) = fresh {
            self.medians.latency_us = latency_us;
            self.medians.quantiles = Quantiles { p50_us, p95_us, p99_us };
        }
    }
}

impl Track {
    fn read_anew(&mut self) {
        if self.stale_after > 0 {
            self.stale_after -= 1;
            return;
        }
        self.quantiles = self.histogram.quantiles();
        self.stale_after = self.histogram.count() / CALLS_PER_READING;
    }

    fn capability(&mut self, name: &Name, now: Timestamp) -> &mut Success {
        let place = self.by_capability.iter().position(|(known, _)| known == name);
        let entry = match place {
            Some(place) => self.by_capability.remove(place),
            None => (name.clone(), Success::new(now)),
        };
        if self.by_capability.len() >= MAX_TRACKED_CAPABILITIES {
            self.by_capability.remove(0);
        }
        self.by_capability.push(entry);
        let last = self.by_capability.len() - 1;
        &mut self.by_capability[last].1
    }
}
