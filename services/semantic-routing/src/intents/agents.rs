//! Following the registry: who is there, what they offer, how much they have to do.
//!
//! The registry's stream holds the newest state of every agent, so that a replica that starts, or was
//! cut off, knows everybody once it has read it, whether or not a registry runs. Invariant: what is
//! no agent is passed over with a word, never in silence, and never ends the loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use troupe_bus::follow::Follower;
use troupe_bus::log::StreamLog;
use troupe_bus::port::{Entry, Log, ReadError};
use troupe_bus::{Bus, CallOptions};
use troupe_contract::registry::{AgentState, Liveness, LivenessRequest};
use troupe_contract::subject;
use troupe_domain::limits::MAX_PAGE_ROWS;
use troupe_domain::{AgentId, AgentStatus};

use super::knowledge::Knowledge;
use crate::rules::filter::roster::Row;
use crate::rules::unfit::Unfitness;

/// How often the registry is asked what agents say that they run.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long it may take to answer.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// Reads everybody. Gives a follower of what comes after.
pub(super) async fn read(knowledge: &Knowledge, log: &StreamLog) -> Result<Follower, ReadError> {
    let mut last = 0;
    let mut each = |entry: Entry| {
        last = last.max(entry.sequence);
        take(knowledge, &entry);
    };
    log.read(&subject::agent_states(), 0, &mut each).await?;
    tracing::info!(agents = knowledge.roster.read().len(), "the fleet is read");
    Ok(log.follow(subject::agent_states(), last + 1))
}

/// Takes in what the registry writes from now on.
pub(super) async fn follow(knowledge: Arc<Knowledge>, mut follower: Follower) {
    loop {
        let entry = follower.next().await;
        take(&knowledge, &entry);
    }
}

fn take(knowledge: &Knowledge, entry: &Entry) {
    let state: AgentState = match serde_json::from_slice(&entry.body) {
        Ok(state) => state,
        Err(why) => {
            tracing::error!(subject = entry.subject, %why, "not an agent; passed over");
            return;
        }
    };
    let id = &state.agent.id;
    if entry.subject != subject::agent_state(id) {
        tracing::error!(subject = entry.subject, agent = id.as_str(), "another agent's subject");
        return;
    }
    let (unfit, news) = {
        let mut roster = knowledge.roster.write();
        let unfit = roster.get(id).and_then(|row| change(row, &state));
        let before = roster.offers().fingerprint();
        if state.removed {
            roster.remove(id);
        } else if let Err(fault) = roster.put(&state.agent) {
            tracing::error!(agent = id.as_str(), %fault, "an agent is passed over");
        }
        (unfit, roster.offers().fingerprint() != before)
    };
    if news {
        knowledge.school.changed.notify_one();
    }
    if state.removed {
        knowledge.flow.lock().forget(id);
    }
    if let Some(why) = unfit {
        knowledge.is_unfit(id, why);
    }
}

/// What follows for what an agent has when the registry says this of it, after what it said before.
fn change(before: &Row, now: &AgentState) -> Option<Unfitness> {
    let agent = &now.agent;
    if now.removed {
        return Some(Unfitness::Gone);
    }
    if before.life != agent.session_id && agent.status.is_live() {
        return Some(Unfitness::Reborn(agent.last_activity));
    }
    let was = unfitness(before.status);
    unfitness(agent.status).filter(|is| was.as_ref() != Some(is))
}

/// What a status says of what an agent has.
pub(super) fn unfitness(status: AgentStatus) -> Option<Unfitness> {
    if !status.is_live() {
        Some(Unfitness::Gone)
    } else if status.takes_work() {
        None
    } else {
        Some(Unfitness::Resting)
    }
}

/// Asks the registry again and again how much everybody has to do. While it does not answer, what it
/// said last counts.
pub(super) async fn ask_for_work(knowledge: Arc<Knowledge>, bus: Bus) {
    let mut timer = interval(ASK_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let agents: Vec<AgentId> = knowledge.roster.read().agents().cloned().collect();
        for page in agents.chunks(MAX_PAGE_ROWS) {
            let request = LivenessRequest { agent_ids: page.to_vec() };
            let options = CallOptions { retry_unheard: false, ..CallOptions::within(ASK_WITHIN) };
            match bus.call_with::<Liveness>(&request, &options).await {
                Ok(reply) => {
                    let running: HashMap<AgentId, u32> = reply
                        .agents
                        .into_iter()
                        .filter_map(|one| Some((one.agent_id, one.running_task_ids?.len() as u32)))
                        .collect();
                    let mut roster = knowledge.roster.write();
                    running.iter().for_each(|(agent, running)| roster.set_running(agent, *running));
                }
                Err(why) => {
                    tracing::debug!(%why, "the registry does not say what agents run");
                    break;
                }
            }
        }
    }
}
