//! A breaker per agent and capability: who keeps failing is left alone for a while.
//!
//! Closed lets calls through and counts them. It opens after failures in a row, or when too many of
//! the last calls failed or were slow. Open lets nothing through until its recovery time is over;
//! then one caller gets a trial. A trial that succeeds closes it, one that fails opens it again for
//! twice as long, up to a bound.
//!
//! Invariants: a state only ever moves to a higher version; between two openings at most
//! [`Config::half_open_trials`] trials are given in one round, and the end of a call without a valid
//! trial moves nothing but a closed breaker. Across replicas a trial is exclusive where the store
//! accepts a version only on top of the one before it (compare and set): who lost that race adopts
//! what is stored, and its [`Trial`] is void.

mod config;
pub mod ejection;
pub mod fleet;
mod shared;
#[cfg(test)]
mod tests;
pub mod window;

use troupe_domain::{Name, Timestamp};

pub use config::Config;
pub use fleet::Breakers;
pub use shared::{Shared, State};
use window::Window;

use super::performance::Outcome;

/// Whether a call may go out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Yes,
    /// It may as a trial: [`Breaker::take_trial`] first.
    Trial,
    /// Not before this moment.
    No(Timestamp),
}

/// The right to one call through a half-open breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    round: u64,
    version: u64,
    by: Name,
}

/// One breaker as one replica sees it. The counts are its own, the state is shared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Breaker {
    shared: Shared,
    window: Window,
}

impl Breaker {
    /// What to tell the other replicas.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The last calls that this replica made.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The state.
    pub fn state(&self) -> State {
        self.shared.state
    }

    /// Whether a call may go out.
    pub fn admission(&self, now: Timestamp, config: &Config) -> Admission {
        let Shared { until, trials_given, .. } = self.shared;
        match self.shared.state {
            State::Closed => Admission::Yes,
            State::HalfOpen if trials_given < config.half_open_trials => Admission::Trial,
            _ if now >= until => Admission::Trial,
            _ => Admission::No(until),
        }
    }

    /// Takes the right to one trial, where there is one to be had. `by` is the replica.
    pub fn take_trial(&mut self, now: Timestamp, by: &Name, config: &Config) -> Option<Trial> {
        if self.admission(now, config) != Admission::Trial {
            return None;
        }
        let new_round = self.shared.state == State::Open || now >= self.shared.until;
        let next = self.shared.version + 1;
        if new_round {
            self.shared.state = State::HalfOpen;
            self.shared.since = now;
            self.shared.until = now.plus_millis(config.trial_timeout_ms);
            self.shared.round = next;
            self.shared.trials_given = 0;
            self.shared.trials_passed = 0;
        }
        self.shared.trials_given += 1;
        self.stamp(by);
        Some(Trial { round: self.shared.round, version: next, by: by.clone() })
    }

    /// Whether the trial still means something.
    fn holds(&self, trial: &Trial) -> bool {
        let overtaken =
            self.shared.version == trial.version && self.shared.by.as_ref() != Some(&trial.by);
        self.shared.state == State::HalfOpen && self.shared.round == trial.round && !overtaken
    }

    /// A call ended; true if that changed the shared state.
    pub fn record(
        &mut self,
        outcome: Outcome,
        trial: Option<&Trial>,
        now: Timestamp,
        by: &Name,
        config: &Config,
    ) -> bool {
        let slow = outcome.latency_us > config.slow_call_ms.saturating_mul(1_000);
        if trial.is_some_and(|trial| self.holds(trial)) {
            self.end_trial(outcome.success && !slow, now, by, config);
            return true;
        }
        if self.shared.state != State::Closed {
            return false;
        }
        self.window.push(!outcome.success, slow, config.window_calls);
        let rated = self.window.calls() >= config.min_calls;
        let trips = self.window.failures_in_a_row() >= config.consecutive_failures
            || (rated && self.window.failure_rate() >= config.failure_rate)
            || (rated && self.window.slow_rate() >= config.slow_rate);
        if trips {
            self.open(now, by, config);
        }
        trips
    }

    fn end_trial(&mut self, passed: bool, now: Timestamp, by: &Name, config: &Config) {
        if !passed {
            self.open(now, by, config);
            return;
        }
        self.shared.trials_passed += 1;
        if self.shared.trials_passed >= config.half_open_trials {
            self.shared.state = State::Closed;
            self.shared.since = now;
            self.shared.until = now;
            self.window = Window::default();
        }
        self.stamp(by);
    }

    fn open(&mut self, now: Timestamp, by: &Name, config: &Config) {
        let healthy_ms = now.millis_since(self.shared.since);
        let healthy = self.shared.state == State::Closed && healthy_ms >= config.max_recovery_ms;
        self.shared.openings = if healthy { 1 } else { self.shared.openings.saturating_add(1) };
        self.shared.state = State::Open;
        self.shared.since = now;
        self.shared.until = now.plus_millis(config.recovery_after(self.shared.openings));
        self.window = Window::default();
        self.stamp(by);
    }

    fn stamp(&mut self, by: &Name) {
        self.shared.version += 1;
        self.shared.by = Some(by.clone());
    }

    /// The store refused this replica's version, because `stored` was there first. It is the truth
    /// even where it is not the greater: nobody else has seen ours.
    pub fn adopt(&mut self, stored: &Shared) {
        if *stored != self.shared {
            self.shared.clone_from(stored);
            self.window = Window::default();
        }
    }

    /// Takes in what another replica says; true if that was news.
    pub fn merge(&mut self, other: &Shared) -> bool {
        let news = self.shared.merge(other);
        if news {
            // What was counted under another state says nothing about this one.
            self.window = Window::default();
        }
        news
    }
}
