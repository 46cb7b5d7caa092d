//! Sweeping: what is left of removed agents.

use std::sync::Arc;
use std::time::Duration;

use troupe_domain::Timestamp;

use crate::service::Registry;

/// How often what is left of removed agents is looked for.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);
/// How long the last word on a removed agent is kept, for replicas that are behind.
const KEEP_REMOVED_MS: i64 = 600_000;

/// Purges what is left of removed agents, for ever.
pub async fn purge(registry: Arc<Registry>) {
    loop {
        let now = registry.store.now().as_millis();
        let moment = Timestamp::from_millis(now.saturating_sub(KEEP_REMOVED_MS));
        registry.store.purge_removed(moment).await;
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}
