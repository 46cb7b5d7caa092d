//! Saving signs of life in the hot tier, at most once a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::service::Registry;
use crate::store::redis::HotTier;

/// How often what was heard is saved.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// Agents that are saved at once.
const SAVE_AGENTS: usize = 10_000;

/// Saves for ever. A batch that is lost is saved again.
pub async fn run(registry: Arc<Registry>, hot_tier: Arc<HotTier>) {
    let mut timer = tokio::time::interval(SAVE_INTERVAL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        save(&registry, &hot_tier).await;
    }
}

/// Saves what is not saved yet; true if that worked.
pub async fn save(registry: &Registry, hot_tier: &HotTier) -> bool {
    let batch = registry.fleet.write().take_unsaved(SAVE_AGENTS);
    if batch.is_empty() {
        return true;
    }
    let was_healthy = hot_tier.is_healthy();
    let Err(why) = hot_tier.save(&batch).await else {
        if !was_healthy {
            tracing::info!("the hot tier is back");
        }
        return true;
    };
    if was_healthy {
        tracing::warn!(%why, "the hot tier does not answer; signs of life stay in memory");
    }
    let mut fleet = registry.fleet.write();
    for (id, _) in &batch {
        fleet.mark_unsaved(id);
    }
    false
}

/// Shows what an earlier life saved.
pub async fn restore(registry: &Registry, hot_tier: &HotTier) {
    match hot_tier.load().await {
        Ok(vitals) => {
            let mut fleet = registry.fleet.write();
            for (id, vital) in vitals {
                fleet.restore(&id, vital);
            }
        }
        Err(why) => tracing::warn!(%why, "the hot tier does not answer; starting without"),
    }
}
