//! `register`

use std::sync::Arc;

use troupe_bus::Call;
use troupe_contract::registry::{RegisterAgent, Registered};
use troupe_domain::{Agent, AgentId, Fault, Name, Timestamp};

use crate::rules::declare;
use crate::rules::fleet::{Registration, Seen};
use crate::rules::notes::{Cause, of_change};
use crate::service::Registry;
use crate::store::agents::{Decision, Draft, name_of};

/// Agents in one directory.
const MAX_AGENTS: usize = 250_000;

pub(super) async fn register(
    registry: Arc<Registry>,
    call: Call<RegisterAgent>,
) -> Result<Registered, Fault> {
    declare::check(&call.caller, &call.request)?;
    check_room(&registry, &call.caller)?;
    check_parent(&registry, &call.caller, call.request.parent_agent_id.as_ref()).await?;
    let session = name_of(registry.store.new_id());
    let decide = |before: Option<&Seen>, now| {
        Ok(decide(&call.caller, &call.request, call.command_id.as_deref(), before, &session, now))
    };
    let changed = registry.store.change(&call.caller, call.trace.clone(), decide).await?;
    registry.note_alive(&call.caller);
    let seen = registry.fleet.read().get(&call.caller);
    let seen = seen.ok_or_else(|| super::not_registered(&call.caller))?;
    let created =
        if changed.wrote { changed.before.is_none() } else { seen.version.registration.created };
    let same_command =
        call.command_id.is_some() && seen.version.registration.command_id == call.command_id;
    Ok(Registered {
        created: created && (changed.wrote || same_command),
        agent: seen.into_agent(),
        heartbeat_interval_ms: registry.timing.heartbeat_interval_ms,
    })
}

fn decide(
    caller: &Name,
    request: &RegisterAgent,
    command_id: Option<&str>,
    before: Option<&Seen>,
    session: &Name,
    now: Timestamp,
) -> Decision {
    if let Some(seen) = before
        && command_id.is_some()
        && seen.version.registration.command_id.as_deref() == command_id
    {
        return Decision::Keep;
    }
    let known: Option<Agent> = before.map(Seen::folded);
    let agent = declare::declare(caller, request.clone(), known.as_ref(), session.clone(), now);
    if known.as_ref().is_some_and(|known| declare::says_the_same(known, &agent)) {
        return Decision::Keep;
    }
    let cause = Cause { declared: true, ..Cause::default() };
    let notes = of_change(known.as_ref().map(|known| known.status), &agent, &cause, now);
    let registration =
        Registration { command_id: command_id.map(str::to_owned), created: known.is_none() };
    Decision::Write(Box::new(Draft {
        agent,
        removed: false,
        notes,
        registration: Some(registration),
    }))
}

fn check_room(registry: &Registry, caller: &Name) -> Result<(), Fault> {
    let fleet = registry.fleet.read();
    if fleet.len() >= MAX_AGENTS && fleet.peek(caller).is_none() {
        return Err(Fault::exhausted("MAX_AGENTS", MAX_AGENTS));
    }
    Ok(())
}

/// The parent may have registered at another replica a moment ago.
async fn check_parent(
    registry: &Registry,
    caller: &Name,
    parent: Option<&AgentId>,
) -> Result<(), Fault> {
    let Some(parent) = parent else { return Ok(()) };
    registry.store.find(parent).await?;
    let fleet = registry.fleet.read();
    let parent_of = |id: &AgentId| fleet.peek(id).map(|(agent, _)| agent.parent_agent_id.clone());
    declare::check_parent(caller, parent, parent_of)
}
