//! Documents of `troupe-crdt` as people and programs read them.

use troupe_crdt::Document;
use troupe_crdt::conflict::DEFAULT_WINDOW_MS;
use troupe_domain::Fault;
use troupe_domain::plan::{Conflict, ItemId, Plan};

/// The plan.
pub fn plan_of(document: &Document) -> Result<Plan, Fault> {
    document.plan().ok_or_else(|| Fault::not_found("plan", document.object()))
}

/// Items that can begin.
pub fn ready_of(document: &Document, plan: &Plan) -> Vec<ItemId> {
    troupe_crdt::plan::ready(plan, &document.ignored_dependencies())
}

/// Conflicts that nobody has settled, but those of items that say the same.
pub fn conflicts_of(document: &Document) -> Vec<Conflict> {
    document.conflicts(DEFAULT_WINDOW_MS)
}

/// The value of an object that is no plan.
pub fn value_of(document: &Document) -> serde_json::Value {
    document.shared().map(|shared| shared.json()).unwrap_or_default()
}
