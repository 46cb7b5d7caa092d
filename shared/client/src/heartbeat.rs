//! The background loop that says the agent is there.
//!
//! It goes on while the connection is down or the registry is away, registers again when the
//! registry has forgotten the agent, and ends the session when another process took over its name.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use troupe_bus::CallOptions;
use troupe_contract::registry::{Heartbeat, HeartbeatRequest, HeartbeatResponse, Register};
use troupe_domain::limits::MAX_RUNNING_TASK_IDS;
use troupe_domain::{AgentStatus, Code, Fault};

use crate::session::{SessionEnd, Shared};

/// The shortest gap between two heartbeats, whatever happens.
const SHORTEST_GAP_MS: u64 = 100;
/// The longest time that one heartbeat waits for its answer.
const LONGEST_ANSWER_MS: u64 = 5_000;
/// A heartbeat that did not get through is sent again after this part of the interval.
const RETRY_PART: u32 = 4;

/// Sends heartbeats until the task is aborted or the session is over.
pub(crate) async fn send_forever(shared: Arc<Shared>) {
    let mut due = Instant::now();
    loop {
        let earliest = Instant::now() + Duration::from_millis(SHORTEST_GAP_MS);
        // News brings the next heartbeat forward, but never closer than the shortest gap.
        if timeout(due.saturating_duration_since(Instant::now()), shared.news.notified())
            .await
            .is_ok()
        {
            sleep_until(earliest).await;
        }
        let began = Instant::now();
        let wait = match send(&shared).await {
            Ok(answer) => next_wait(&shared, &answer),
            Err(fault) if fault.code == Code::NotFound => match register_again(&shared).await {
                Ok(()) => Duration::ZERO,
                Err(fault) if fault.code == Code::PermissionDenied => return end(&shared, &fault),
                Err(fault) => retry_wait(&shared, &fault),
            },
            Err(fault) if means_the_end(fault.code) => return end(&shared, &fault),
            Err(fault) => retry_wait(&shared, &fault),
        };
        due = (began + wait).max(Instant::now() + Duration::from_millis(SHORTEST_GAP_MS));
    }
}

/// `conflict` is the refusal of a former life.
fn means_the_end(code: Code) -> bool {
    matches!(code, Code::Conflict | Code::PermissionDenied)
}

async fn send(shared: &Shared) -> Result<HeartbeatResponse, Fault> {
    let (request, interval) = {
        let state = shared.state.lock();
        let running: Vec<_> = state.running.keys().take(MAX_RUNNING_TASK_IDS).cloned().collect();
        let status = match (state.leaving, running.is_empty()) {
            (true, _) => AgentStatus::ShuttingDown,
            (false, true) => AgentStatus::Idle,
            (false, false) => AgentStatus::Busy,
        };
        let request = HeartbeatRequest {
            status: Some(status),
            running_task_ids: Some(running),
            session_id: Some(state.session_id.clone()),
        };
        (request, state.interval)
    };
    let longest = Duration::from_millis(LONGEST_ANSWER_MS);
    let options = CallOptions::within(interval.clamp(longest / 10, longest));
    shared.troupe.call_with::<Heartbeat>(&request, &options).await
}

fn next_wait(shared: &Shared, answer: &HeartbeatResponse) -> Duration {
    let wait = Duration::from_millis(answer.next_heartbeat_ms);
    shared.state.lock().interval = wait.max(Duration::from_millis(1));
    wait
}

fn retry_wait(shared: &Shared, fault: &Fault) -> Duration {
    tracing::warn!(%fault, "the heartbeat did not get through");
    shared.state.lock().interval / RETRY_PART
}

/// The registry has forgotten this agent (its data was lost, or we were away for very long).
async fn register_again(shared: &Shared) -> Result<(), Fault> {
    // The same life: what it has in its hands is not given to others.
    let session_id = shared.state.lock().session_id.clone();
    let request = shared.declaration.request(shared.troupe.name(), Some(session_id));
    let registered = shared.troupe.call::<Register>(&request).await?;
    tracing::info!(session_id = %registered.agent.session_id, "registered again");
    let mut state = shared.state.lock();
    state.session_id = registered.agent.session_id;
    state.interval = Duration::from_millis(registered.heartbeat_interval_ms.max(1));
    Ok(())
}

fn end(shared: &Shared, fault: &Fault) {
    tracing::error!(%fault, "the session is over");
    shared.ended.send_replace(Some(SessionEnd { why: fault.to_string() }));
}
