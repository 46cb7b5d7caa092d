//! `deregister`

use std::sync::Arc;

use troupe_bus::Call;
use troupe_contract::registry::{DeregisterAgent, Deregistered};
use troupe_domain::Fault;

use crate::rules::declare::{check_own, check_reason};
use crate::rules::fleet::Seen;
use crate::rules::notes::of_removal;
use crate::service::Registry;
use crate::store::agents::{Decision, Draft};

pub(super) async fn deregister(
    registry: Arc<Registry>,
    call: Call<DeregisterAgent>,
) -> Result<Deregistered, Fault> {
    check_own(&call.caller, call.request.id.as_ref())?;
    check_reason(call.request.reason.as_deref())?;
    registry.store.find(&call.caller).await?;
    let decide = |before: Option<&Seen>, now| {
        let Some(seen) = before else { return Ok(Decision::Keep) };
        let agent = seen.folded();
        let notes = of_removal(&agent, call.request.reason.clone(), now);
        let draft = Draft { agent, removed: true, notes, registration: None };
        Ok(Decision::Write(Box::new(draft)))
    };
    let changed = registry.store.change(&call.caller, call.trace.clone(), decide).await?;
    Ok(Deregistered { removed: changed.wrote })
}
