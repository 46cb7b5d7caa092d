//! What routing by intent can be told.

use serde::{Deserialize, Serialize};
use troupe_domain::Fault;
use troupe_embedding::{EmbedderSettings, ModelSettings};
use troupe_intent::cache::SIMILARITY_MIN;

use crate::rules::balance::Strategy;
use crate::rules::cache_index::MAX_CACHE_ENTRIES;
use crate::rules::resolve::Policy;
use crate::rules::{breaker, performance};

/// How intents find their agent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The model that turns texts into vectors.
    pub model: ModelSettings,
    /// How it is run.
    pub embedder: EmbedderSettings,
    /// How routes are learned, and how sure a decision must be.
    pub router: troupe_intent::Settings,
    /// The semantic cache.
    pub cache: CacheConfig,
    /// How candidates are compared, and who gets what was not understood.
    pub policy: Policy,
    /// How to choose among equals.
    pub balancing: Strategy,
    /// When an agent is left alone.
    pub breaker: breaker::Config,
    /// How measurements are weighed.
    pub performance: performance::Config,
}

/// The semantic cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Entries in memory; 0 keeps none.
    pub max_entries: usize,
    /// The least cosine of a near hit.
    pub similarity_min: f32,
    /// How long the replicas' common entries stay without being written anew.
    pub shared_for_ms: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { max_entries: 10_000, similarity_min: SIMILARITY_MIN, shared_for_ms: 3_600_000 }
    }
}

impl Config {
    /// Refuses values that cannot work, by name.
    pub fn check(&self) -> Result<(), Fault> {
        self.model.check().map_err(|why| under("model", Fault::from(why)))?;
        self.embedder.check().map_err(|why| under("embedder", Fault::from(why)))?;
        self.router.check().map_err(|fault| under("router", fault))?;
        self.policy.check().map_err(|fault| under("policy", fault))?;
        self.breaker.check()?;
        self.performance.check()?;
        let CacheConfig { max_entries, similarity_min, shared_for_ms } = self.cache;
        if max_entries > MAX_CACHE_ENTRIES {
            let why = format!("must be at most {MAX_CACHE_ENTRIES}");
            return Err(Fault::invalid("cache.max_entries", why));
        }
        if !(similarity_min > 0.0 && similarity_min <= 1.0) {
            return Err(Fault::invalid("cache.similarity_min", "must be above 0 and at most 1"));
        }
        if shared_for_ms == 0 {
            return Err(Fault::invalid("cache.shared_for_ms", "must be more than 0"));
        }
        Ok(())
    }
}

/// The same fault about a field of `section`.
fn under(section: &str, fault: Fault) -> Fault {
    let field = fault.details.get("field").and_then(|field| field.as_str()).unwrap_or_default();
    let why = fault.message.trim_start_matches(field).trim_start_matches(": ").to_owned();
    Fault::invalid(&format!("{section}.{field}"), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_and_a_wrong_value_is_named() {
        let good = Config::default;
        assert_eq!(good().check(), Ok(()));
        let model = ModelSettings { max_tokens: 1, ..ModelSettings::default() };
        let embedder = EmbedderSettings { workers: 0, ..EmbedderSettings::default() };
        let router = troupe_intent::Settings { folds: 1, ..troupe_intent::Settings::default() };
        let policy = Policy { equals_margin: 2.0, ..Policy::default() };
        let cache = CacheConfig { similarity_min: 0.0, ..CacheConfig::default() };
        for (wrong, field) in [
            (Config { model, ..good() }, "model.max_tokens"),
            (Config { embedder, ..good() }, "embedder.workers"),
            (Config { router, ..good() }, "router.folds"),
            (Config { policy, ..good() }, "policy.equals_margin"),
            (Config { cache, ..good() }, "cache.similarity_min"),
        ] {
            let fault = wrong.check().unwrap_err();
            assert_eq!(fault.details["field"], field, "{fault}");
            assert!(fault.message.starts_with(field), "{fault}");
        }
    }
}
