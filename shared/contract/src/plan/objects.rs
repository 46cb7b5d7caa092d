//! Shared objects beside plans: counters, registers, maps, sets, vector clocks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use troupe_domain::VectorClock;
use troupe_domain::plan::{ObjectId, ObjectKind};

/// One object by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// The object.
    #[serde(alias = "plan_id", alias = "id")]
    pub object_id: ObjectId,
}

/// A shared object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectReply {
    /// The object.
    pub object_id: ObjectId,
    /// What it is.
    pub kind: ObjectKind,
    /// Its value: a number, any JSON, an object by key, a list of members, or a vector clock.
    pub value: Value,
    /// How many batches the service has taken in.
    pub sequence: u64,
    /// The same, by replica.
    pub version: VectorClock,
}

/// A change of a shared object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectUpdateRequest {
    /// The object.
    #[serde(alias = "id")]
    pub object_id: ObjectId,
    /// What it is; the first change makes it one.
    pub kind: ObjectKind,
    /// What changes.
    pub change: ObjectChange,
}

/// What changes in a shared object. Each kind has its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ObjectChange {
    /// A counter grows.
    Increment {
        /// By so much.
        by: u64,
    },
    /// A counter of kind `pn_counter` shrinks.
    Decrement {
        /// By so much.
        by: u64,
    },
    /// A register gets a value.
    Set {
        /// Any JSON.
        value: Value,
    },
    /// A key of a map gets a value.
    Put {
        /// The key, not empty.
        key: String,
        /// Any JSON.
        value: Value,
    },
    /// A key of a map goes.
    Remove {
        /// The key.
        key: String,
    },
    /// A set gets a member.
    Add {
        /// The member.
        member: String,
    },
    /// A set loses a member.
    Discard {
        /// The member.
        member: String,
    },
    /// The caller's entry of a vector clock grows by one.
    Tick {},
    /// A vector clock learns what another one knows.
    Merge {
        /// The other one.
        clock: VectorClock,
    },
}
