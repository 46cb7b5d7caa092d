//! What travels for milestones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::progress::{Milestone, MilestoneId, MilestoneStatus};
use troupe_domain::{Name, TaskId, Timestamp};

/// A milestone to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MilestoneSpec {
    /// The id, chosen by the caller; a new one where there is none. Creating the same twice under one
    /// id creates once.
    #[serde(default, alias = "milestone_id", skip_serializing_if = "Option::is_none")]
    pub id: Option<MilestoneId>,
    /// One line, not empty.
    pub name: String,
    /// As long as needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When it should be achieved: after that it is missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_date: Option<Timestamp>,
    /// What must be completed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_task_ids: Vec<TaskId>,
    /// What must be completed as well: every task that this graph has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_id: Option<Name>,
    /// The milestone that this one is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_milestone_id: Option<MilestoneId>,
    /// Who looks after it; the caller where nobody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Name>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What changes of a milestone; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MilestoneUpdateRequest {
    /// The milestone.
    #[serde(alias = "id")]
    pub milestone_id: MilestoneId,
    /// One line, not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// As long as needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `deferred` puts it off, `pending` takes it up again; everything else happens by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<MilestoneStatus>,
    /// When it should be achieved. A milestone that was missed gets another chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_date: Option<Timestamp>,
    /// Takes its date away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_target_date: bool,
    /// Requires these too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_task_ids: Vec<TaskId>,
    /// No longer requires these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_task_ids: Vec<TaskId>,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Name>,
    /// All of its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

impl MilestoneUpdateRequest {
    /// Changes nothing yet.
    pub fn new(milestone_id: MilestoneId) -> Self {
        Self {
            milestone_id,
            name: None,
            description: None,
            status: None,
            target_date: None,
            no_target_date: false,
            add_task_ids: Vec::new(),
            remove_task_ids: Vec::new(),
            owner: None,
            tags: None,
        }
    }
}

/// One milestone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MilestoneReply {
    /// The milestone.
    pub milestone: Milestone,
}

/// One milestone by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MilestoneRef {
    /// The milestone.
    #[serde(alias = "id")]
    pub milestone_id: MilestoneId,
}

/// Which milestones; an empty list lets every one pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MilestoneFilter {
    /// Any of these statuses.
    pub statuses: Vec<MilestoneStatus>,
    /// With this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Looked after by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Name>,
    /// Parts of this milestone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_milestone_id: Option<MilestoneId>,
    /// Require this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// At most so many; 100 where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only ids after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<MilestoneId>,
}

/// Milestones in the order of their ids. The list leaves their tasks out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MilestonePage {
    /// The milestones.
    pub milestones: Vec<Milestone>,
    /// Ask again after this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<MilestoneId>,
}
