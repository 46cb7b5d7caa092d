//! Routing by intent in numbers.

use std::sync::Arc;

use troupe_runtime::metrics::Metrics;

use super::knowledge::Knowledge;
use crate::rules::cache_index::Counters;

/// Shows them; each is asked for at a scrape.
pub(super) fn observe(knowledge: &Arc<Knowledge>, metrics: &Metrics) {
    let gauge = |name: &'static str, help: &'static str, read: fn(&Knowledge) -> f64| {
        let knowledge = Arc::downgrade(knowledge);
        metrics.observed_gauge(name, help, &[], move || {
            knowledge.upgrade().map_or(0.0, |knowledge| read(&knowledge))
        });
    };
    gauge("troupe_routing_agents", "Agents that routing knows.", |k| k.roster.read().len() as f64);
    gauge("troupe_routing_routes", "Declared routes.", |k| {
        k.routes.look(|table| table.len_declared() as f64)
    });
    gauge("troupe_routing_cache_entries", "Entries of the semantic cache.", |k| {
        k.memory.lock().len() as f64
    });
    gauge("troupe_routing_cache_hit_ratio", "Hits by questions since the start.", |k| {
        k.memory.lock().counters().hit_ratio()
    });
    gauge("troupe_routing_cache_wrong_hit_ratio", "Wrong hits by hits since the start.", |k| {
        let counters: Counters = k.memory.lock().counters();
        counters.wrong_hit_ratio()
    });
    gauge("troupe_routing_breakers_not_closed", "Breakers that are open or half-open.", |k| {
        k.flow.lock().breakers.not_closed().count() as f64
    });
    gauge("troupe_routing_embedding_queue_texts", "Texts that wait for the model.", |k| {
        k.school.embedder.statistics().queued as f64
    });
    gauge("troupe_routing_model_ready", "Whether texts can be embedded.", |k| {
        f64::from(u8::from(k.school.embedder.status().model().is_some()))
    });
    gauge("troupe_routing_shared_cache_healthy", "Whether Redis can be reached.", |k| {
        f64::from(u8::from(k.shared.as_ref().is_some_and(|shared| shared.is_healthy())))
    });
    gauge("troupe_routing_shared_cache_failures", "Accesses to Redis that failed.", |k| {
        k.shared.as_ref().map_or(0.0, |shared| shared.failures() as f64)
    });
}
