//! What is asked for: the form of a task before it exists, checked once at the door.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Budget, Dependency, OnFailure, Task, TaskStatus};
use crate::capability::{RequiredCapability, check_required};
use crate::evidence::Verification;
use crate::fault::Fault;
use crate::json::Json;
use crate::limits::{
    MAX_DEPENDENCIES, MAX_LEASE_MS, MAX_METADATA_BYTES, MAX_NAME_CHARS, MAX_PAYLOAD_BYTES,
    MAX_RETRIES, MAX_TEXT_BYTES, MAX_TITLE_CHARS, MIN_LEASE_MS,
};
use crate::name::{Name, Role, TaskId};
use crate::priority::Priority;
use crate::retry::{Backoff, DEFAULT_MAX_RETRIES};
use crate::time::Timestamp;
use crate::trace::TraceContext;

/// A task to be created, alone or as a part of a graph.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// The id, chosen by the caller; a new one where there is none. Never reuse one. Not in a graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TaskId>,
    /// The name of this task within its graph. Only in a graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Name>,
    /// One line, not empty.
    pub title: String,
    /// As long as needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What a language model is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Input for the agent's program: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// How urgent.
    #[serde(default)]
    pub priority: Priority,
    /// The agent must have this role.
    #[serde(default, alias = "role", skip_serializing_if = "Option::is_none")]
    pub required_role: Option<Role>,
    /// The agent must have these capabilities.
    #[serde(default, alias = "capabilities", skip_serializing_if = "Vec::is_empty")]
    pub required_capabilities: Vec<RequiredCapability>,
    /// What must end first: keys within a graph, ids of tasks otherwise.
    #[serde(default, alias = "dependencies", skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencySpec>,
    /// The task that this one is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<TaskId>,
    /// The creator's guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_minutes: Option<f64>,
    /// The creator's own facts: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// Retries after the first failure; 3 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// The wait between retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// How long one lease lasts; the service's default where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// What it may spend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// What must happen between a report and the completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Creating twice under one key creates once. Not in a graph: the graph has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// An edge as it is asked for: `"key"` or `{"task": "key", "on_failure": "continue"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a dependency: \"key\" or {task, on_failure}")]
pub enum DependencySpec {
    /// The dependency, with the default policy.
    Plain(Name),
    /// The dependency, with a policy.
    Full(FullDependency),
}

/// An edge with its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FullDependency {
    /// A key within the graph, or the id of a task.
    #[serde(alias = "task_id", alias = "key")]
    pub task: Name,
    /// What its failure does.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl DependencySpec {
    /// The key or id.
    pub fn task(&self) -> &Name {
        match self {
            Self::Plain(name) => name,
            Self::Full(full) => &full.task,
        }
    }

    /// The policy.
    pub fn on_failure(&self) -> OnFailure {
        match self {
            Self::Plain(_) => OnFailure::default(),
            Self::Full(full) => full.on_failure,
        }
    }
}

/// Checks a text that a person reads: bounded, and no control characters but tab and newline.
pub fn check_text(field: &str, text: &str, max_bytes: usize) -> Result<(), Fault> {
    if text.len() > max_bytes {
        return Err(Fault::exhausted("MAX_TEXT_BYTES", max_bytes).with("field", field));
    }
    match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
        Some(c) => {
            Err(Fault::invalid(field, format!("has the control character U+{:04X}", c as u32)))
        }
        None => Ok(()),
    }
}

/// Checks a key that makes a command idempotent.
pub fn check_idempotency_key(key: Option<&str>) -> Result<(), Fault> {
    let Some(key) = key else { return Ok(()) };
    if key.is_empty() || key.len() > 2 * MAX_NAME_CHARS || key.chars().any(char::is_control) {
        return Err(Fault::invalid(
            "idempotency_key",
            format!("must be 1 to {} characters without control characters", 2 * MAX_NAME_CHARS),
        ));
    }
    Ok(())
}

impl TaskSpec {
    /// Checks every field; the fault names the first that is wrong.
    pub fn check(&self) -> Result<(), Fault> {
        if self.title.trim().is_empty() {
            return Err(Fault::invalid("title", "must not be empty"));
        }
        if self.title.chars().count() > MAX_TITLE_CHARS {
            return Err(Fault::exhausted("MAX_TITLE_CHARS", MAX_TITLE_CHARS).with("field", "title"));
        }
        if self.title.chars().any(char::is_control) {
            return Err(Fault::invalid("title", "must not have control characters"));
        }
        check_text("description", &self.description, MAX_TEXT_BYTES)?;
        if let Some(prompt) = &self.prompt {
            check_text("prompt", prompt, MAX_PAYLOAD_BYTES)?;
        }
        self.check_sizes()?;
        check_required("required_capabilities", &self.required_capabilities)?;
        self.check_dependencies()?;
        self.check_numbers()?;
        if let Some(verification) = &self.verification {
            check_required("verification.capabilities", &verification.capabilities)?;
        }
        check_idempotency_key(self.idempotency_key.as_deref())
    }

    fn check_sizes(&self) -> Result<(), Fault> {
        if self.payload.as_ref().is_some_and(|p| p.len() > MAX_PAYLOAD_BYTES) {
            return Err(
                Fault::exhausted("MAX_PAYLOAD_BYTES", MAX_PAYLOAD_BYTES).with("field", "payload")
            );
        }
        if let Some(metadata) = &self.metadata {
            if metadata.len() > MAX_METADATA_BYTES {
                return Err(Fault::exhausted("MAX_METADATA_BYTES", MAX_METADATA_BYTES)
                    .with("field", "metadata"));
            }
            if !metadata.is_object() {
                return Err(Fault::invalid("metadata", "must be an object"));
            }
        }
        Ok(())
    }

    fn check_dependencies(&self) -> Result<(), Fault> {
        if self.depends_on.len() > MAX_DEPENDENCIES {
            return Err(
                Fault::exhausted("MAX_DEPENDENCIES", MAX_DEPENDENCIES).with("field", "depends_on")
            );
        }
        let mut seen = std::collections::BTreeSet::new();
        for (index, edge) in self.depends_on.iter().enumerate() {
            if !seen.insert(edge.task()) {
                return Err(Fault::invalid(
                    &format!("depends_on[{index}]"),
                    format!("{} is listed twice", edge.task()),
                ));
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), Fault> {
        if self.max_retries.is_some_and(|n| n > MAX_RETRIES) {
            return Err(Fault::invalid("max_retries", format!("must be at most {MAX_RETRIES}")));
        }
        if let Some(backoff) = &self.backoff {
            backoff.check()?;
        }
        check_lease(self.lease_ms)?;
        if self.estimated_minutes.is_some_and(|m| !m.is_finite() || m < 0.0) {
            return Err(Fault::invalid("estimated_minutes", "must be a number of at least 0"));
        }
        let budget = self.budget.unwrap_or_default();
        if budget.max_duration_ms.is_some_and(|ms| ms == 0 || ms > MAX_LEASE_MS) {
            return Err(Fault::invalid(
                "budget.max_duration_ms",
                format!("must be within 1 and {MAX_LEASE_MS}"),
            ));
        }
        if budget.max_cost_usd.is_some_and(|usd| !usd.is_finite() || usd < 0.0) {
            return Err(Fault::invalid("budget.max_cost_usd", "must be a number of at least 0"));
        }
        Ok(())
    }

    /// The task that this becomes. The spec was checked; `dependencies` are the resolved edges.
    pub fn into_task(self, birth: Birth, dependencies: Vec<Dependency>) -> Task {
        let waits = dependencies.iter().any(|d| d.outcome.is_none());
        Task {
            id: birth.id,
            title: self.title,
            description: self.description,
            prompt: self.prompt,
            payload: self.payload,
            status: if waits { TaskStatus::Blocked } else { TaskStatus::Available },
            priority: self.priority,
            required_role: self.required_role,
            required_capabilities: self.required_capabilities,
            dependencies,
            claimed_by: None,
            claimed_at: None,
            claim_id: None,
            epoch: 0,
            lease_ms: self.lease_ms.unwrap_or(birth.default_lease_ms),
            lease_expires_at: None,
            retry_at: None,
            created_at: birth.at,
            created_by: birth.by,
            updated_at: birth.at,
            started_at: None,
            completed_at: None,
            estimated_minutes: self.estimated_minutes,
            actual_minutes: None,
            progress_percent: None,
            progress_at: None,
            metadata: self.metadata,
            result: None,
            evidence: Vec::new(),
            verified_by: None,
            error: None,
            reasons: Vec::new(),
            parent_task_id: self.parent_task_id,
            subtask_ids: Vec::new(),
            graph_id: birth.graph_id,
            key: self.key,
            max_retries: self.max_retries.unwrap_or(DEFAULT_MAX_RETRIES),
            backoff: self.backoff.map(Box::new),
            failures: 0,
            lease_expiries: 0,
            budget: self.budget.map(Box::new),
            verification: self.verification.map(Box::new),
            idempotency_key: self.idempotency_key,
            trace: birth.trace,
        }
    }
}

/// Checks the length of a lease.
pub fn check_lease(lease_ms: Option<u64>) -> Result<(), Fault> {
    match lease_ms {
        Some(ms) if !(MIN_LEASE_MS..=MAX_LEASE_MS).contains(&ms) => Err(Fault::invalid(
            "lease_ms",
            format!("must be within {MIN_LEASE_MS} and {MAX_LEASE_MS}"),
        )),
        _ => Ok(()),
    }
}

/// What a task is given at its birth.
#[derive(Debug, Clone)]
pub struct Birth {
    /// Its id.
    pub id: TaskId,
    /// The moment.
    pub at: Timestamp,
    /// Its creator.
    pub by: Name,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// The graph it is a part of.
    pub graph_id: Option<Name>,
    /// The lease of a task that names none.
    pub default_lease_ms: u64,
}
