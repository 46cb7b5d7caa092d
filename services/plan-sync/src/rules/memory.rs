//! What a shard remembers of requests, so that a repetition is recognised. Bounded; the oldest go first.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use troupe_contract::plan::PlanReceipt;
use troupe_domain::{AgentId, Fault};

use super::record::RequestKey;

/// Keys that one shard remembers.
pub const MAX_REMEMBERED_KEYS: usize = 50_000;

/// An edit that was made under a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Remembered {
    /// The key.
    pub key: RequestKey,
    /// What was answered.
    pub receipt: PlanReceipt,
}

/// The edits that were made under keys.
#[derive(Debug, Default)]
pub struct Keys {
    known: HashMap<(AgentId, String), Remembered>,
    order: VecDeque<(AgentId, String)>,
}

impl Keys {
    /// What was answered under `key`; a fault if it was another request.
    pub fn get(&self, key: &RequestKey) -> Result<Option<&PlanReceipt>, Fault> {
        match self.known.get(&(key.caller.clone(), key.key.clone())) {
            Some(known) if known.key.digest != key.digest => Err(Fault::new(
                troupe_domain::Code::AlreadyExists,
                "another request was made under the same idempotency key",
            )),
            known => Ok(known.map(|known| &known.receipt)),
        }
    }

    /// Remembers an edit.
    pub fn insert(&mut self, edit: Remembered) {
        let place = (edit.key.caller.clone(), edit.key.key.clone());
        if self.known.insert(place.clone(), edit).is_none() {
            self.order.push_back(place);
        }
        while self.order.len() > MAX_REMEMBERED_KEYS {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// Every edit, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Remembered> {
        self.order.iter().filter_map(|place| self.known.get(place))
    }
}
