//! Who should do what: points for fit, load and measured success, each with its reason.
//!
//! Points: role 20; each capability 10, and 10 × proficiency; idle 15, less with load; heard from
//! within a minute 5; measured success 20 × the share of attempts that succeeded: of those at tasks
//! like this one, where memory knows any, with the share over all tasks in the place of two more.

use troupe_contract::memory::Alike;
use troupe_contract::work::AssignmentRecommendation;
use troupe_domain::capability::proficiency;
use troupe_domain::{Agent, Task, Timestamp};

use super::stats::AgentTally;

const ROLE: f64 = 20.0;
const CAPABILITY: f64 = 10.0;
const PROFICIENCY: f64 = 10.0;
const IDLE: f64 = 15.0;
const RECENT: f64 = 5.0;
const SUCCESS: f64 = 20.0;
const RECENT_MS: u64 = 60_000;
/// How many attempts at tasks like this one an agent's share over all tasks stands for.
const OVERALL_ATTEMPTS: f64 = 2.0;

/// What is known of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What it did.
    pub tally: &'a AgentTally,
    /// How many tasks it holds.
    pub held: u64,
    /// What it achieved at tasks like the one in question.
    pub alike: Option<Alike>,
}

/// The score of `agent` for `task`; `None` where it does not fit or takes no work.
pub fn score(
    task: &Task,
    agent: &Agent,
    known: Known<'_>,
    now: Timestamp,
) -> Option<AssignmentRecommendation> {
    if !task.fits(&agent.profile()) || !agent.status.takes_work() {
        return None;
    }
    let Known { tally, held, alike } = known;
    let mut score = 0.0;
    let mut reasons = Vec::new();
    let mut give = |points: f64, why: String| {
        score += points;
        reasons.push(format!("{why} (+{points:.1})"));
    };
    if task.required_role.is_some() {
        give(ROLE, format!("has the role {}", agent.role));
    }
    for need in &task.required_capabilities {
        let has = proficiency(&agent.capabilities, &need.name).unwrap_or(0.0);
        give(CAPABILITY + PROFICIENCY * has, format!("can do {} at {has:.2}", need.name));
    }
    let max = u64::from(agent.max_concurrent_tasks.max(1));
    if held == 0 {
        give(IDLE, "is idle".to_owned());
    } else if held < max {
        let free = IDLE * (1.0 - held as f64 / max as f64);
        give(free, format!("holds {held} of {max} tasks"));
    } else {
        give(0.0, format!("holds {held} of {max} tasks"));
    }
    if now.millis_since(agent.last_heartbeat) <= RECENT_MS {
        give(RECENT, "was heard from within a minute".to_owned());
    }
    let rate = tally.success_rate();
    let tried = tally.completed + tally.failed + tally.expired;
    match alike {
        Some(Alike { succeeded, failed }) => {
            let tried = succeeded + failed;
            let rate = (rate * OVERALL_ATTEMPTS + succeeded) / (OVERALL_ATTEMPTS + tried);
            give(SUCCESS * rate, format!("success {rate:.2} at tasks like this one"));
        }
        None => give(SUCCESS * rate, format!("success {rate:.2} over {tried} attempts")),
    }
    Some(AssignmentRecommendation {
        task_id: task.id.clone(),
        agent_id: agent.id.clone(),
        score,
        reasons,
    })
}
