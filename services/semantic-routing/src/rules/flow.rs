//! What is under way, how it ends, and what follows for the choice of agents.
//!
//! Invariants: work that never ends counts for [`UNDER_WAY_FOR_MS`] only; the end of work that is not
//! known to be under way lowers nothing; and a trial belongs to the replica that took it, whoever
//! hears how it ended.

use std::collections::{HashMap, VecDeque};

use troupe_domain::{AgentId, Name, Timestamp};

use super::balance::{Balancer, Strategy};
use super::breaker::fleet::Change;
use super::breaker::{self, Breakers, State, Trial};
use super::performance::{self, Outcome, Performance};

/// How long work counts as under way where nobody says that it ended.
pub const UNDER_WAY_FOR_MS: u64 = 600_000;
/// Pieces of work under way at one agent that are counted.
pub const MAX_UNDER_WAY: usize = 4_096;
/// Trials whose end is waited for.
const MAX_TRIALS: usize = 4_096;

/// How a piece of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Whether the agent did it; absent where that says nothing of the agent.
    pub success: Option<bool>,
    /// From the hand-out to the end.
    pub latency_us: u64,
}

/// Measurements, breakers and turns of one fleet.
#[derive(Debug)]
pub struct Flow {
    /// What was measured.
    pub performance: Performance,
    /// The breakers.
    pub breakers: Breakers,
    /// Whose turn it is.
    pub balancer: Balancer,
    under_way: HashMap<AgentId, VecDeque<Timestamp>>,
    trials: HashMap<(AgentId, Name), Trial>,
}

impl Flow {
    /// Nothing is under way; `me` is this replica.
    pub fn new(
        performance: performance::Config,
        breaker: breaker::Config,
        balancing: Strategy,
        me: Name,
    ) -> Self {
        Self {
            performance: Performance::new(performance),
            breakers: Breakers::new(breaker, me),
            balancer: Balancer::new(balancing),
            under_way: HashMap::new(),
            trials: HashMap::new(),
        }
    }

    /// An agent got work.
    pub fn started(&mut self, agent: &AgentId, now: Timestamp) {
        let all = self.under_way.entry(agent.clone()).or_default();
        if all.len() < MAX_UNDER_WAY {
            all.push_back(now);
            self.performance.started(agent, now);
        }
    }

    /// Takes the right to a trial, with the change to tell and to store.
    pub fn take_trial(&mut self, agent: &AgentId, key: &Name, now: Timestamp) -> Option<Change> {
        if self.trials.len() >= MAX_TRIALS {
            return None;
        }
        let (trial, change) = self.breakers.take_trial(agent, key, now)?;
        self.trials.insert((agent.clone(), key.clone()), trial);
        Some(change)
    }

    /// Another replica was faster: `stored` is what counts.
    pub fn lost_trial(&mut self, stored: &Change) {
        self.trials.remove(&(stored.agent.clone(), stored.capability.clone()));
        self.breakers.adopt(stored);
    }

    /// A piece of work ended, as the replica hears it that keeps count of the agent. Gives the change
    /// of its breaker.
    pub fn ended(
        &mut self,
        agent: &AgentId,
        key: &Name,
        end: Ended,
        now: Timestamp,
    ) -> Option<Change> {
        let outcome = self.measured(agent, key, end, now)?;
        let trial = self.trials.remove(&(agent.clone(), key.clone()));
        self.breakers.record(agent, key, outcome, trial.as_ref(), now)
    }

    /// Somebody says how well an agent did at something that is not counted as under way.
    pub fn judged(
        &mut self,
        agent: &AgentId,
        key: &Name,
        outcome: Outcome,
        now: Timestamp,
    ) -> Option<Change> {
        // `finished` takes one off what is under way.
        self.performance.started(agent, now);
        self.performance.finished(agent, Some(key), outcome, now);
        self.breakers.record(agent, key, outcome, None, now)
    }

    /// The same as [`Self::ended`], told by another replica: only a trial of this one moves a breaker.
    pub fn told_ended(
        &mut self,
        agent: &AgentId,
        key: &Name,
        end: Ended,
        now: Timestamp,
    ) -> Option<Change> {
        let outcome = self.measured(agent, key, end, now)?;
        let trial = self.trials.remove(&(agent.clone(), key.clone()))?;
        self.breakers.record(agent, key, outcome, Some(&trial), now)
    }

    fn measured(
        &mut self,
        agent: &AgentId,
        key: &Name,
        end: Ended,
        now: Timestamp,
    ) -> Option<Outcome> {
        let counted = self.under_way.get_mut(agent).and_then(VecDeque::pop_front).is_some();
        let Some(success) = end.success else {
            if counted {
                self.performance.withdrawn(agent);
            }
            return None;
        };
        let outcome = Outcome { success, latency_us: end.latency_us };
        if !counted {
            // `finished` takes one off what is under way.
            self.performance.started(agent, now);
        }
        self.performance.finished(agent, Some(key), outcome, now);
        Some(outcome)
    }

    /// Takes in what another replica says of a breaker; true if that opened it.
    pub fn merge(&mut self, told: &Change) -> bool {
        self.breakers.merge(told) && told.shared.state == State::Open
    }

    /// Lets go of what is under way for too long.
    pub fn sweep(&mut self, now: Timestamp) {
        for (agent, all) in &mut self.under_way {
            while all.front().is_some_and(|at| now.millis_since(*at) >= UNDER_WAY_FOR_MS) {
                all.pop_front();
                self.performance.withdrawn(agent);
            }
        }
        self.under_way.retain(|_, all| !all.is_empty());
    }

    /// The agent has left.
    pub fn forget(&mut self, agent: &AgentId) {
        self.performance.forget(agent);
        self.breakers.forget(agent);
        self.balancer.forget(agent);
        self.under_way.remove(agent);
        self.trials.retain(|(whose, _), _| whose != agent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Ended = Ended { success: Some(true), latency_us: 1_000 };
    const BAD: Ended = Ended { success: Some(false), latency_us: 1_000 };
    const NOTHING: Ended = Ended { success: None, latency_us: 0 };

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn flow(me: &str) -> Flow {
        let performance = performance::Config::default();
        Flow::new(performance, breaker::Config::default(), Strategy::default(), name(me))
    }

    #[test]
    fn what_is_under_way_is_what_started_and_did_not_end() {
        let (mut flow, ann, key) = (flow("r1"), name("ann"), name("rust"));
        flow.ended(&ann, &key, GOOD, at(0));
        assert_eq!(flow.performance.outstanding(&ann), 0, "an end that nobody began");
        for _ in 0..4 {
            flow.started(&ann, at(1));
        }
        flow.ended(&ann, &key, GOOD, at(2));
        flow.told_ended(&ann, &key, BAD, at(2));
        flow.ended(&ann, &key, NOTHING, at(2));
        assert_eq!(flow.performance.outstanding(&ann), 1);
        flow.sweep(at(UNDER_WAY_FOR_MS as i64));
        assert_eq!(flow.performance.outstanding(&ann), 1);
        flow.sweep(at(1 + UNDER_WAY_FOR_MS as i64));
        assert_eq!(flow.performance.outstanding(&ann), 0);
        assert_eq!(flow.performance.reading(&ann, at(3)).calls, 2, "what says nothing is no call");
    }

    #[test]
    fn only_who_keeps_count_opens_and_only_who_took_the_trial_closes() {
        let (mut owner, mut chooser) = (flow("owner"), flow("chooser"));
        let (ann, key) = (name("ann"), name("rust"));
        let mut opened = None;
        for _ in 0..5 {
            assert_eq!(chooser.told_ended(&ann, &key, BAD, at(0)), None);
            opened = owner.ended(&ann, &key, BAD, at(0));
        }
        assert!(chooser.merge(&opened.unwrap()), "it is open there, too");
        let later = at(60_000);
        let trial = chooser.take_trial(&ann, &key, later).unwrap();
        assert!(!owner.merge(&trial), "half-open is not open");
        assert_eq!(owner.ended(&ann, &key, GOOD, later), None, "not its trial");
        let closed = chooser.told_ended(&ann, &key, GOOD, later).unwrap();
        owner.merge(&closed);
        for flow in [&owner, &chooser] {
            assert_eq!(flow.breakers.get(&ann, &key).unwrap().state(), State::Closed);
        }
    }

    #[test]
    fn a_trial_that_another_replica_took_is_void() {
        let (mut one, mut two) = (flow("r1"), flow("r2"));
        let (ann, key) = (name("ann"), name("rust"));
        let mut opened = None;
        for _ in 0..5 {
            opened = one.ended(&ann, &key, BAD, at(0));
        }
        two.merge(&opened.unwrap());
        let stored = one.take_trial(&ann, &key, at(60_000)).unwrap();
        two.take_trial(&ann, &key, at(60_000)).unwrap();
        two.lost_trial(&stored);
        assert_eq!(two.told_ended(&ann, &key, GOOD, at(60_001)), None);
        assert!(one.told_ended(&ann, &key, GOOD, at(60_001)).is_some());
    }
}
