//! Intents: a message for whoever can act on it, and what restricts who that may be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::Surface;
use crate::capability::{RequiredCapability, check_required};
use crate::fault::Fault;
use crate::limits::{MAX_FILTER_NAMES, MAX_TEXT_BYTES};
use crate::name::{AgentId, Role};

/// Hard constraints: who does not meet them is no candidate, however well it would fit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IntentFilters {
    /// Only agents with this role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Only agents with all of these.
    #[serde(alias = "required_capabilities", skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<RequiredCapability>,
    /// Only agents that meet their people there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<Surface>,
    /// None of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_agent_ids: Vec<AgentId>,
}

/// What happens when nobody fits well enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Nobody gets it, and the sender is told.
    #[default]
    Refuse,
    /// Whoever meets the filters, the least loaded first.
    Capability,
    /// Whoever has this role.
    Role(Role),
    /// This agent.
    Agent(AgentId),
}

/// What is wanted, in words, and who may do it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// What is wanted.
    pub text: String,
    /// Who may do it.
    #[serde(default)]
    pub filters: IntentFilters,
    /// What happens when nobody fits; the service's own setting where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

impl IntentFilters {
    /// Checks the bounds of the filters that came in `field`.
    pub fn check(&self, field: &str) -> Result<(), Fault> {
        check_required(&format!("{field}.capabilities"), &self.capabilities)?;
        if self.exclude_agent_ids.len() > MAX_FILTER_NAMES {
            return Err(Fault::exhausted("MAX_FILTER_NAMES", MAX_FILTER_NAMES)
                .with("field", format!("{field}.exclude_agent_ids")));
        }
        Ok(())
    }
}

impl Intent {
    /// Checks the text and the bounds. Any language and script is fine; nothing, or control
    /// characters, is not.
    pub fn check(&self) -> Result<(), Fault> {
        crate::task::spec::check_text("intent.text", &self.text, MAX_TEXT_BYTES)?;
        if self.text.trim().is_empty() {
            return Err(Fault::invalid("intent.text", "must not be empty"));
        }
        self.filters.check("intent.filters")
    }
}
