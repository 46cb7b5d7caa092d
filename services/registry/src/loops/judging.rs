//! Carrying out verdicts: offline, crashed, forgotten, or only told.
//!
//! Invariant: a verdict is decided again on the newest state right before it is written, and written
//! by compare-and-set: of several replicas one wins, and an agent that came back is left alone.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use troupe_domain::agent::Silence;
use troupe_domain::{AgentId, AgentStatus, Fault, Timestamp};

use crate::rules::detector::MAX_VERDICTS_PER_PULSE;
use crate::rules::fleet::Seen;
use crate::rules::notes::{Cause, of_change, of_removal};
use crate::service::Registry;
use crate::store::agents::{Decision, Draft};
use crate::store::record::missed_event;

/// Verdicts that wait.
pub const WAITING_VERDICTS: usize = 4 * MAX_VERDICTS_PER_PULSE;
/// Verdicts that are written at once.
const VERDICTS_IN_FLIGHT: usize = 64;

/// Carries out what comes, until nothing can come any more.
pub async fn run(registry: Arc<Registry>, mut verdicts: mpsc::Receiver<(AgentId, Silence)>) {
    let room = Arc::new(Semaphore::new(VERDICTS_IN_FLIGHT));
    let mut at_work = JoinSet::new();
    while let Some((agent, silence)) = verdicts.recv().await {
        while at_work.try_join_next().is_some() {}
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let registry = registry.clone();
        at_work.spawn(async move {
            carry_out(&registry, &agent, silence).await;
            drop(permit);
        });
    }
}

async fn carry_out(registry: &Registry, agent: &AgentId, silence: Silence) {
    if let Silence::Missed(misses) = silence {
        tell_missed(registry, agent, misses);
        return;
    }
    let decide = |seen: Option<&Seen>, now| Ok::<_, Fault>(decide(registry, seen, now));
    match registry.store.change(agent, None, decide).await {
        Ok(changed) if changed.wrote => {
            tracing::info!(agent = agent.as_str(), ?silence, "silent for too long");
        }
        Ok(_) => {}
        Err(fault) => tracing::warn!(agent = agent.as_str(), %fault, "a verdict was not written"),
    }
}

fn tell_missed(registry: &Registry, agent: &AgentId, misses: u32) {
    let Some(seen) = registry.fleet.read().get(agent) else { return };
    let (at, id) = (registry.store.now(), registry.store.new_id());
    if registry.store.outbox().try_send(missed_event(&seen.version.agent, misses, at, id)).is_err()
    {
        tracing::debug!("no room to tell of a missed heartbeat");
    }
}

fn decide(registry: &Registry, seen: Option<&Seen>, now: Timestamp) -> Decision {
    let Some(seen) = seen else { return Decision::Keep };
    let id = &seen.version.agent.id;
    let verdict = registry.fleet.read().detector.verdict(id, registry.store.now_ms());
    let before = seen.version.agent.status;
    let (status, misses) = match verdict {
        Some(Silence::Offline(misses)) => (AgentStatus::Offline, misses),
        Some(Silence::Crashed(misses)) => (AgentStatus::Crashed, misses),
        Some(Silence::Forget) => {
            let agent = seen.folded();
            let reason = Some("not heard from for longer than the retention".to_owned());
            let notes = of_removal(&agent, reason, now);
            let draft = Draft { agent, removed: true, notes, registration: None };
            return Decision::Write(Box::new(draft));
        }
        Some(Silence::Missed(_)) | None => return Decision::Keep,
    };
    let mut agent = seen.folded();
    agent.status = status;
    let reason = Some(format!("{misses} heartbeats did not come"));
    let cause = Cause { declared: false, misses: Some(misses), reason };
    let notes = of_change(Some(before), &agent, &cause, now);
    Decision::Write(Box::new(Draft { agent, removed: false, notes, registration: None }))
}
