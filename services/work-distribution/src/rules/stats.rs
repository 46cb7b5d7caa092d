//! Counts that are kept as things happen, so that reading them costs nothing.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use troupe_contract::work::{AgentWork, WorkStatistics};
use troupe_domain::task::ReasonKind;
use troupe_domain::task::change::Change;
use troupe_domain::{AgentId, Priority, Task, TaskStatus, Timestamp};

const MINUTE_MS: i64 = 60_000;
const HOUR_MINUTES: i64 = 60;

/// What one agent did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentTally {
    /// Tasks completed.
    pub completed: u64,
    /// Attempts failed.
    pub failed: u64,
    /// Leases that ran out.
    pub expired: u64,
    /// From start to report, over the completed ones.
    pub busy_ms: u64,
}

impl AgentTally {
    /// The share of attempts that succeeded, with one success and one failure assumed beforehand
    /// (Laplace's rule of succession), so that a newcomer stands at one half.
    pub fn success_rate(&self) -> f64 {
        let tried = self.completed + self.failed + self.expired;
        (self.completed + 1) as f64 / (tried + 2) as f64
    }
}

/// Events per minute over the last hour.
#[derive(Debug, Default)]
struct LastHour(VecDeque<(i64, u64)>);

impl LastHour {
    fn add(&mut self, at: Timestamp) {
        let minute = at.as_millis().div_euclid(MINUTE_MS);
        match self.0.back_mut() {
            Some((last, count)) if *last >= minute => *count += 1,
            _ => self.0.push_back((minute, 1)),
        }
        while self.0.front().is_some_and(|(m, _)| *m <= minute - HOUR_MINUTES) {
            self.0.pop_front();
        }
    }

    fn count(&self, now: Timestamp) -> u64 {
        let minute = now.as_millis().div_euclid(MINUTE_MS);
        self.0.iter().filter(|(m, _)| *m > minute - HOUR_MINUTES).map(|(_, count)| count).sum()
    }
}

/// The counts of one shard.
#[derive(Debug, Default)]
pub struct Tally {
    by_status: BTreeMap<TaskStatus, u64>,
    by_priority: BTreeMap<Priority, u64>,
    agents: BTreeMap<AgentId, AgentTally>,
    completed: LastHour,
    failed: LastHour,
    busy_ms: u64,
    timed: u64,
}

impl Tally {
    /// A task went from `before` to `after`; either may be absent.
    pub fn moved(&mut self, before: Option<&Task>, after: Option<&Task>) {
        if let Some(task) = before {
            *self.by_status.entry(task.status).or_default() -= 1;
            *self.by_priority.entry(task.priority).or_default() -= 1;
        }
        if let Some(task) = after {
            *self.by_status.entry(task.status).or_default() += 1;
            *self.by_priority.entry(task.priority).or_default() += 1;
        }
    }

    /// `change` happened to what is now `task`; `holder` held it before.
    pub fn happened(
        &mut self,
        change: &Change,
        task: &Task,
        holder: Option<&AgentId>,
        at: Timestamp,
    ) {
        match change {
            Change::Completed { .. } | Change::Verified { .. } => {
                let busy = task.actual_minutes.map(|minutes| (minutes * 60_000.0) as u64);
                self.completed.add(at);
                if let Some(ms) = busy {
                    self.busy_ms += ms;
                    self.timed += 1;
                }
                self.agent(holder, |tally| {
                    tally.completed += 1;
                    tally.busy_ms += busy.unwrap_or(0);
                });
            }
            Change::Retrying { .. } | Change::Rejected(_) => {
                self.agent(holder, |tally| tally.failed += 1);
            }
            Change::Failed(_) => {
                self.failed.add(at);
                self.agent(holder, |tally| tally.failed += 1);
            }
            Change::Died(reason) => {
                self.failed.add(at);
                let expired = reason.kind == ReasonKind::Exhausted;
                self.agent(holder, |tally| {
                    tally.expired += u64::from(expired);
                    tally.failed += u64::from(!expired);
                });
            }
            Change::LeaseExpired(_) => self.agent(holder, |tally| tally.expired += 1),
            _ => {}
        }
    }

    fn agent(&mut self, holder: Option<&AgentId>, count: impl FnOnce(&mut AgentTally)) {
        let Some(holder) = holder else { return };
        match self.agents.get_mut(holder) {
            Some(tally) => count(tally),
            None => count(self.agents.entry(holder.clone()).or_default()),
        }
    }

    /// What an agent did, if it did anything.
    pub fn of_agent(&self, agent: &AgentId) -> AgentTally {
        self.agents.get(agent).copied().unwrap_or_default()
    }

    /// Every agent that did something.
    pub fn agents(&self) -> impl Iterator<Item = (&AgentId, &AgentTally)> {
        self.agents.iter()
    }

    /// Takes an agent's counts from a snapshot.
    pub fn restore_agent(&mut self, agent: AgentId, tally: AgentTally) {
        self.busy_ms += tally.busy_ms;
        self.timed += tally.completed;
        self.agents.insert(agent, tally);
    }

    /// Tasks in `status`.
    pub fn in_status(&self, status: TaskStatus) -> u64 {
        self.by_status.get(&status).copied().unwrap_or(0)
    }

    /// The counts as they are shown; `held` is how many tasks each agent holds.
    pub fn show(
        &self,
        held: impl Iterator<Item = (AgentId, u64)>,
        now: Timestamp,
    ) -> (WorkStatistics, Timed) {
        let mut by_agent: BTreeMap<AgentId, AgentWork> = self
            .agents
            .iter()
            .map(|(agent, tally)| {
                let work = AgentWork {
                    held: 0,
                    completed: tally.completed,
                    failed: tally.failed,
                    lease_expiries: tally.expired,
                    busy_ms: tally.busy_ms,
                };
                (agent.clone(), work)
            })
            .collect();
        for (agent, count) in held {
            by_agent.entry(agent).or_default().held = count;
        }
        let all = |status: &TaskStatus| (*status, self.in_status(*status));
        let of = |p: &Priority| (*p, self.by_priority.get(p).copied().unwrap_or(0));
        let stats = WorkStatistics {
            total_tasks: self.by_status.values().sum(),
            by_status: TaskStatus::ALL.iter().map(all).collect(),
            by_priority: Priority::ALL.iter().map(of).collect(),
            by_agent,
            avg_completion_time_ms: None,
            completed_last_hour: self.completed.count(now),
            failed_last_hour: self.failed.count(now),
        };
        (stats, Timed { busy_ms: self.busy_ms, count: self.timed })
    }
}

/// A sum of durations and how many there were, so that shards can be averaged together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// The sum.
    pub busy_ms: u64,
    /// How many.
    pub count: u64,
}

/// Adds the counts of one shard to those of others.
pub fn add(total: &mut WorkStatistics, part: WorkStatistics) {
    total.total_tasks += part.total_tasks;
    for (status, count) in part.by_status {
        *total.by_status.entry(status).or_default() += count;
    }
    for (priority, count) in part.by_priority {
        *total.by_priority.entry(priority).or_default() += count;
    }
    for (agent, work) in part.by_agent {
        let sum = total.by_agent.entry(agent).or_default();
        sum.held += work.held;
        sum.completed += work.completed;
        sum.failed += work.failed;
        sum.lease_expiries += work.lease_expiries;
        sum.busy_ms += work.busy_ms;
    }
    total.completed_last_hour += part.completed_last_hour;
    total.failed_last_hour += part.failed_last_hour;
}
