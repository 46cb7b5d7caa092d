//! `update_status`

use std::sync::Arc;

use troupe_bus::Call;
use troupe_contract::registry::{AgentReply, UpdateStatusRequest};
use troupe_domain::{AgentId, AgentStatus, Fault, TraceContext};

use crate::rules::declare::{check_reason, check_status, in_status};
use crate::rules::fleet::Seen;
use crate::rules::notes::{Cause, of_change};
use crate::service::Registry;
use crate::store::agents::{Decision, Draft};

pub(super) async fn update_status(
    registry: Arc<Registry>,
    call: Call<UpdateStatusRequest>,
) -> Result<AgentReply, Fault> {
    check_status(call.request.status)?;
    check_reason(call.request.reason.as_deref())?;
    registry.store.find(&call.caller).await?;
    let (status, reason) = (call.request.status, call.request.reason);
    registry.set_status(&call.caller, status, reason, call.trace.clone()).await?;
    registry.note_alive(&call.caller);
    let seen = registry.fleet.read().get(&call.caller);
    let agent = seen.ok_or_else(|| super::not_registered(&call.caller))?.into_agent();
    Ok(AgentReply { agent })
}

impl Registry {
    /// Stores the status that an agent gives itself; nothing is written where it has it already.
    pub(super) async fn set_status(
        &self,
        id: &AgentId,
        status: AgentStatus,
        reason: Option<String>,
        trace: Option<TraceContext>,
    ) -> Result<(), Fault> {
        let decide = |before: Option<&Seen>, now| {
            let seen = before.ok_or_else(|| super::not_registered(id))?;
            let before = seen.version.agent.status;
            if before == status {
                return Ok(Decision::Keep);
            }
            let agent = in_status(seen.folded(), status, now);
            let cause = Cause { reason: reason.clone(), ..Cause::default() };
            let notes = of_change(Some(before), &agent, &cause, now);
            let draft = Draft { agent, removed: false, notes, registration: None };
            Ok(Decision::Write(Box::new(draft)))
        };
        self.store.change(id, trace, decide).await.map(|_| ())
    }

    /// Any request of an agent about itself is a sign of life.
    pub(super) fn note_alive(&self, id: &AgentId) {
        let (now, now_ms) = (self.store.now(), self.store.now_ms());
        let mut fleet = self.fleet.write();
        fleet.heard(id, None, None, now, now_ms);
        fleet.mark_unsaved(id);
    }
}
