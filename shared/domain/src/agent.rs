//! Agents: who is in the fleet, what they can do, and whether they are there.
//!
//! Liveness is judged from heartbeats: silent for [`Timing::offline_after_misses`] intervals is
//! offline, for [`Timing::crashed_after_misses`] is crashed, and a crashed agent is kept for
//! [`Timing::crashed_retention_ms`]. An agent that said goodbye is never crashed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::json::Json;
use crate::name::{AgentId, Name, Role, TaskId};
use crate::task::rules::Profile;
use crate::time::Timestamp;

/// Whether an agent is there, and how busy.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// Registered, not yet ready.
    #[serde(alias = "INITIALIZING")]
    Initializing,
    /// Ready.
    #[default]
    #[serde(alias = "ACTIVE")]
    Active,
    /// At work.
    #[serde(alias = "BUSY")]
    Busy,
    /// Ready, with nothing to do.
    #[serde(alias = "IDLE")]
    Idle,
    /// Finishes what it holds and takes nothing new.
    #[serde(alias = "SHUTTING_DOWN")]
    ShuttingDown,
    /// Not heard from, or gone after saying so.
    #[serde(alias = "OFFLINE")]
    Offline,
    /// Not heard from for so long that it is taken for dead.
    #[serde(alias = "CRASHED")]
    Crashed,
}

impl AgentStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Initializing,
        Self::Active,
        Self::Busy,
        Self::Idle,
        Self::ShuttingDown,
        Self::Offline,
        Self::Crashed,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Active => "active",
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::ShuttingDown => "shutting_down",
            Self::Offline => "offline",
            Self::Crashed => "crashed",
        }
    }

    /// Whether its heartbeats are awaited.
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Offline | Self::Crashed)
    }

    /// Whether it may be given new work.
    pub const fn takes_work(self) -> bool {
        matches!(self, Self::Active | Self::Busy | Self::Idle)
    }

    /// Whether an agent may say this of itself: nobody declares itself offline or crashed.
    pub const fn may_be_claimed(self) -> bool {
        self.is_live()
    }
}

/// Where an agent meets its people.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// A web page.
    #[serde(alias = "WEB")]
    Web,
    /// A phone.
    #[serde(alias = "MOBILE")]
    Mobile,
    /// A desktop program.
    #[serde(alias = "DESKTOP")]
    Desktop,
    /// A program.
    #[serde(alias = "API")]
    Api,
    /// A chat.
    #[serde(alias = "SLACK")]
    Slack,
    /// A terminal.
    #[default]
    #[serde(alias = "CLI")]
    Cli,
}

/// A registered agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agent {
    /// The name in its credentials.
    pub id: AgentId,
    /// What it is for.
    pub role: Role,
    /// The domain that it stays inside, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Whether it is there.
    pub status: AgentStatus,
    /// The agent that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_agent_id: Option<AgentId>,
    /// The agents that it started. Computed when read.
    #[serde(default)]
    pub child_agent_ids: Vec<AgentId>,
    /// Where it meets its people.
    pub surface: Surface,
    /// This life of the agent: a new one with every registration by a new process.
    pub session_id: Name,
    /// When it first registered.
    pub registered_at: Timestamp,
    /// When it was last heard from.
    pub last_heartbeat: Timestamp,
    /// When it last did something: a heartbeat that listed work, a status, a registration.
    pub last_activity: Timestamp,
    /// What it says it is working on.
    #[serde(default)]
    pub current_task_ids: Vec<TaskId>,
    /// How much it takes at once.
    pub max_concurrent_tasks: u32,
    /// It said that it was leaving before it fell silent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub said_goodbye: bool,
    /// Its own facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
}

impl Agent {
    /// What matching needs to know.
    pub fn profile(&self) -> Profile {
        Profile { role: self.role.clone(), capabilities: self.capabilities.clone() }
    }
}

/// When silence means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// How often agents are asked to send a heartbeat.
    pub heartbeat_interval_ms: u64,
    /// Intervals without a heartbeat after which an agent is offline.
    pub offline_after_misses: u32,
    /// Intervals without a heartbeat after which an agent is crashed.
    pub crashed_after_misses: u32,
    /// How long a crashed or offline agent stays in the directory.
    pub crashed_retention_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 30_000,
            offline_after_misses: 3,
            crashed_after_misses: 6,
            crashed_retention_ms: 3_600_000,
        }
    }
}

/// What silence asks for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// `misses` heartbeats in a row did not come; nothing changes but the record.
    Missed(u32),
    /// Not heard from: offline.
    Offline(u32),
    /// Taken for dead.
    Crashed(u32),
    /// Out of the directory.
    Forget,
}

impl Timing {
    /// What to do about an agent in `status` after `silent_ms` of silence, and after how much
    /// silence to look again. `silent_ms` never counts time in which the detector itself was deaf.
    ///
    /// An offline agent that `said_goodbye` (it was shutting down) is not taken for dead.
    pub fn judge(
        &self,
        status: AgentStatus,
        said_goodbye: bool,
        silent_ms: u64,
    ) -> (Option<Silence>, u64) {
        let interval = self.heartbeat_interval_ms.max(1);
        let misses = u32::try_from(silent_ms / interval).unwrap_or(u32::MAX);
        let crash_at = interval * u64::from(self.crashed_after_misses);
        let forget_at = crash_at + self.crashed_retention_ms;
        match status {
            AgentStatus::Crashed | AgentStatus::Offline if silent_ms >= forget_at => {
                (Some(Silence::Forget), u64::MAX)
            }
            AgentStatus::Crashed => (None, forget_at),
            AgentStatus::Offline if said_goodbye => (None, forget_at),
            AgentStatus::ShuttingDown if misses >= self.offline_after_misses => {
                (Some(Silence::Offline(misses)), forget_at)
            }
            _ if misses >= self.crashed_after_misses => (Some(Silence::Crashed(misses)), forget_at),
            AgentStatus::Offline => (None, crash_at),
            _ if misses >= self.offline_after_misses => (Some(Silence::Offline(misses)), crash_at),
            _ if misses > 0 => (Some(Silence::Missed(misses)), u64::from(misses + 1) * interval),
            _ => (None, interval),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_leads_from_missed_to_offline_to_crashed_to_forgotten() {
        let timing = Timing { crashed_retention_ms: 1_000, ..Timing::default() };
        let judge = |status, silent| timing.judge(status, false, silent).0;
        assert_eq!(judge(AgentStatus::Active, 29_999), None);
        assert_eq!(judge(AgentStatus::Active, 60_000), Some(Silence::Missed(2)));
        assert_eq!(judge(AgentStatus::Busy, 90_000), Some(Silence::Offline(3)));
        assert_eq!(judge(AgentStatus::Offline, 179_999), None);
        assert_eq!(judge(AgentStatus::Offline, 180_000), Some(Silence::Crashed(6)));
        assert_eq!(judge(AgentStatus::Crashed, 180_999), None);
        assert_eq!(judge(AgentStatus::Crashed, 181_000), Some(Silence::Forget));
    }

    #[test]
    fn an_agent_that_said_goodbye_is_never_crashed() {
        let timing = Timing::default();
        for silent in [0, 90_000, 180_000, 3_000_000] {
            for status in [AgentStatus::ShuttingDown, AgentStatus::Offline] {
                let judged = timing.judge(status, true, silent).0;
                assert!(!matches!(judged, Some(Silence::Crashed(_))), "{status:?} {silent}");
            }
        }
    }
}
