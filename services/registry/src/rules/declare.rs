//! What an agent may say of itself, and what becomes of it.
//!
//! Invariant: identity comes from the caller; whoever names another is refused, and no agent gives
//! itself the statuses that only silence gives.

use troupe_contract::registry::RegisterAgent;
use troupe_domain::capability::check_capabilities;
use troupe_domain::limits::{
    MAX_AGENT_CAPABILITIES, MAX_CONCURRENT_TASKS, MAX_METADATA_BYTES, MAX_RUNNING_TASK_IDS,
    MAX_TEXT_BYTES,
};
use troupe_domain::task::spec::check_text;
use troupe_domain::{Agent, AgentId, AgentStatus, Code, Fault, Name, TaskId, Timestamp};

/// Bytes of one stored agent.
pub const MAX_AGENT_BYTES: usize = 256 * 1024;
/// Generations that a chain of parents may have.
pub const MAX_GENERATIONS: usize = 64;

/// Refuses a caller that speaks for somebody else.
pub fn check_own(caller: &Name, id: Option<&AgentId>) -> Result<(), Fault> {
    match id {
        Some(id) if id != caller => Err(Fault::new(
            Code::PermissionDenied,
            format!("the credentials are {caller}'s, and {id} is somebody else"),
        )
        .with("field", "id")),
        _ => Ok(()),
    }
}

/// Refuses a status that only the registry gives.
pub fn check_status(status: AgentStatus) -> Result<(), Fault> {
    if status.may_be_claimed() {
        return Ok(());
    }
    Err(Fault::invalid("status", format!("{} is the registry's to give", status.as_str())))
}

/// Checks the reason of a change.
pub fn check_reason(reason: Option<&str>) -> Result<(), Fault> {
    reason.map_or(Ok(()), |text| check_text("reason", text, MAX_TEXT_BYTES))
}

/// Checks what a heartbeat lists.
pub fn check_running(running: Option<&[TaskId]>) -> Result<(), Fault> {
    if running.is_some_and(|ids| ids.len() > MAX_RUNNING_TASK_IDS) {
        return Err(Fault::exhausted("MAX_RUNNING_TASK_IDS", MAX_RUNNING_TASK_IDS)
            .with("field", "running_task_ids"));
    }
    Ok(())
}

/// Checks every field of a registration but the parent; the fault names the first that is wrong.
pub fn check(caller: &Name, request: &RegisterAgent) -> Result<(), Fault> {
    check_own(caller, request.id.as_ref())?;
    check_status(request.status)?;
    if let Some(persona) = &request.persona {
        check_text("persona", persona, MAX_TEXT_BYTES)?;
    }
    check_capabilities(&request.capabilities)?;
    for (index, capability) in request.capabilities.iter().enumerate() {
        let field = format!("capabilities[{index}]");
        check_text(&format!("{field}.description"), &capability.description, MAX_TEXT_BYTES)?;
        if capability.dependencies.len() > MAX_AGENT_CAPABILITIES {
            return Err(Fault::exhausted("MAX_AGENT_CAPABILITIES", MAX_AGENT_CAPABILITIES)
                .with("field", format!("{field}.dependencies")));
        }
    }
    if !(1..=MAX_CONCURRENT_TASKS).contains(&request.max_concurrent_tasks) {
        return Err(Fault::invalid(
            "max_concurrent_tasks",
            format!("must be within 1 and {MAX_CONCURRENT_TASKS}"),
        ));
    }
    let Some(metadata) = &request.metadata else { return Ok(()) };
    if metadata.len() > MAX_METADATA_BYTES {
        return Err(
            Fault::exhausted("MAX_METADATA_BYTES", MAX_METADATA_BYTES).with("field", "metadata")
        );
    }
    if !metadata.is_object() {
        return Err(Fault::invalid("metadata", "must be an object"));
    }
    Ok(())
}

/// Checks the parent that `agent` names: it exists, and is neither the agent nor its descendant.
/// `parent_of` gives an agent's parent, or `None` for one that does not exist.
pub fn check_parent(
    agent: &AgentId,
    parent: &AgentId,
    parent_of: impl Fn(&AgentId) -> Option<Option<AgentId>>,
) -> Result<(), Fault> {
    let wrong = |why: String| Err(Fault::invalid("parent_agent_id", why));
    if parent == agent {
        return wrong("an agent cannot be its own parent".to_owned());
    }
    let Some(mut above) = parent_of(parent) else {
        return wrong(format!("no agent has the id {parent}"));
    };
    let mut chain = vec![parent.clone()];
    while let Some(next) = above {
        chain.push(next.clone());
        if next == *agent {
            let names: Vec<&str> = chain.iter().map(Name::as_str).collect();
            return wrong(format!("would be a cycle: {agent} <- {}", names.join(" <- ")));
        }
        if chain.len() > MAX_GENERATIONS {
            return wrong(format!("the limit MAX_GENERATIONS is {MAX_GENERATIONS}"));
        }
        above = parent_of(&next).flatten();
    }
    Ok(())
}

/// The agent that a checked registration makes of `before`. `new_session` is used where the request
/// names none: that starts a new life.
pub fn declare(
    caller: &Name,
    request: RegisterAgent,
    before: Option<&Agent>,
    new_session: Name,
    now: Timestamp,
) -> Agent {
    let session_id = request.session_id.unwrap_or(new_session);
    let same_life = before.filter(|agent| agent.session_id == session_id);
    Agent {
        id: caller.clone(),
        role: request.role,
        persona: request.persona,
        capabilities: request.capabilities,
        status: request.status,
        parent_agent_id: request.parent_agent_id,
        child_agent_ids: Vec::new(),
        surface: request.surface,
        session_id,
        registered_at: before.map_or(now, |agent| agent.registered_at),
        last_heartbeat: now,
        last_activity: now,
        current_task_ids: same_life.map(|a| a.current_task_ids.clone()).unwrap_or_default(),
        max_concurrent_tasks: request.max_concurrent_tasks,
        said_goodbye: request.status == AgentStatus::ShuttingDown,
        metadata: request.metadata,
    }
}

/// Whether two declarations of one life say the same, whatever the moment.
pub fn says_the_same(before: &Agent, after: &Agent) -> bool {
    let timeless = |agent: &Agent| {
        let mut agent = agent.clone();
        agent.last_heartbeat = Timestamp::default();
        agent.last_activity = Timestamp::default();
        agent.current_task_ids.clear();
        agent.child_agent_ids.clear();
        agent
    };
    timeless(before) == timeless(after)
}

/// `before` in a status that it gives itself, or comes back to.
pub fn in_status(before: Agent, status: AgentStatus, now: Timestamp) -> Agent {
    Agent {
        status,
        said_goodbye: status == AgentStatus::ShuttingDown,
        last_heartbeat: before.last_heartbeat.max(now),
        last_activity: before.last_activity.max(now),
        ..before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fleet::tests::agent;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn request() -> RegisterAgent {
        serde_json::from_str(r#"{"role":"auditor","capabilities":["rust:0.5"]}"#).unwrap()
    }

    fn field_of(request: &RegisterAgent) -> String {
        let fault = check(&name("me"), request).unwrap_err();
        fault.details["field"].as_str().unwrap().to_owned()
    }

    #[test]
    fn every_wrong_field_is_named() {
        assert_eq!(check(&name("me"), &request()), Ok(()));
        let wrong = RegisterAgent { id: Some(name("you")), ..request() };
        assert_eq!(check(&name("me"), &wrong).unwrap_err().code, Code::PermissionDenied);
        assert_eq!(
            field_of(&RegisterAgent { status: AgentStatus::Crashed, ..request() }),
            "status"
        );
        let wrong = RegisterAgent { persona: Some("a\u{7}".to_owned()), ..request() };
        assert_eq!(field_of(&wrong), "persona");
        for count in [0, MAX_CONCURRENT_TASKS + 1] {
            let wrong = RegisterAgent { max_concurrent_tasks: count, ..request() };
            assert_eq!(field_of(&wrong), "max_concurrent_tasks");
        }
        let wrong = RegisterAgent { metadata: Some(troupe_domain::Json::text("x")), ..request() };
        assert_eq!(field_of(&wrong), "metadata");
        let mut wrong = request();
        wrong.capabilities[0].proficiency = 1.5;
        assert_eq!(field_of(&wrong), "capabilities[0].proficiency");
    }

    #[test]
    fn a_parent_exists_and_closes_no_cycle() {
        let parent_of = |id: &AgentId| match id.as_str() {
            "root" => Some(None),
            "middle" => Some(Some(name("root"))),
            "leaf" => Some(Some(name("middle"))),
            _ => None,
        };
        assert_eq!(check_parent(&name("new"), &name("leaf"), parent_of), Ok(()));
        for (agent, parent) in [("root", "leaf"), ("root", "root"), ("new", "nobody")] {
            let fault = check_parent(&name(agent), &name(parent), parent_of).unwrap_err();
            assert_eq!(fault.details["field"], "parent_agent_id", "{agent} {parent}");
        }
        let fault = check_parent(&name("root"), &name("leaf"), parent_of).unwrap_err();
        assert!(fault.message.contains("root <- leaf <- middle <- root"), "{}", fault.message);
    }

    #[test]
    fn a_chain_that_never_ends_is_refused() {
        let endless = |id: &AgentId| Some(Some(name(&format!("{}x", &id.as_str()[..1]))));
        assert!(check_parent(&name("new"), &name("a"), endless).is_err());
    }

    #[test]
    fn naming_the_session_renews_it_and_naming_none_starts_a_life() {
        let mut before = agent("me");
        before.current_task_ids = vec![name("t")];
        let now = Timestamp::from_millis(50);
        let renewed = RegisterAgent { session_id: Some(name("s1")), ..request() };
        let renewed = declare(&name("me"), renewed, Some(&before), name("s2"), now);
        assert_eq!(renewed.session_id, name("s1"));
        assert_eq!(renewed.current_task_ids, [name("t")]);
        assert_eq!(renewed.registered_at, before.registered_at);
        let reborn = declare(&name("me"), request(), Some(&before), name("s2"), now);
        assert_eq!((reborn.session_id, reborn.current_task_ids.len()), (name("s2"), 0));
    }
}
