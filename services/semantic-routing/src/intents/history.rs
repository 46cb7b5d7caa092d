//! What agents achieved before anything was measured here: memory knows it, and it is what is expected
//! of them until enough is measured.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use troupe_bus::{Bus, CallOptions};
use troupe_contract::memory::{TrackRecords, TrackRecordsRequest};
use troupe_domain::AgentId;
use troupe_domain::limits::MAX_PAGE_ROWS;

use super::knowledge::Knowledge;

/// How often memory is asked.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// How long it may take.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// Asks memory again and again. While it does not answer, what it said last counts.
pub(super) async fn ask(knowledge: Arc<Knowledge>, bus: Bus) {
    let mut timer = interval(ASK_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let agents: Vec<AgentId> = knowledge.roster.read().agents().cloned().collect();
        for page in agents.chunks(MAX_PAGE_ROWS) {
            let request = TrackRecordsRequest { agents: page.to_vec(), query: None };
            let options = CallOptions { retry_unheard: false, ..CallOptions::within(ASK_WITHIN) };
            match bus.call_with::<TrackRecords>(&request, &options).await {
                Ok(reply) => {
                    let mut flow = knowledge.flow.lock();
                    for record in reply.records {
                        let (succeeded, failed) = (record.succeeded, record.failed);
                        flow.performance.achieved(&record.agent_id, succeeded, failed);
                    }
                }
                Err(why) => {
                    tracing::debug!(%why, "memory does not say what agents achieved");
                    break;
                }
            }
        }
    }
}
