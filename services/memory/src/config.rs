//! What the service can be told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use troupe_domain::memory::Namespace;
use troupe_domain::{Fault, Name};
use troupe_embedding::{EmbedderSettings, ModelSettings};
use troupe_runtime::Common;
use troupe_runtime::config::{Address, Secret};

use crate::rules::state::{Settings, TierRules};

/// The configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service is told.
    pub common: Common,
    /// Shards over which namespaces are spread. Fixed for the life of the streams.
    pub shards: u16,
    /// Replicas of each stream in the NATS cluster.
    pub stream_replicas: usize,
    /// A shard takes a snapshot when its log has grown by so much.
    pub snapshot_after_log_bytes: u64,
    /// Entries of a namespace, where no quota says otherwise; the next one is refused.
    pub max_entries_per_namespace: u64,
    /// Bytes of contents of a namespace, where no quota says otherwise; the next entry is refused.
    pub max_bytes_per_namespace: u64,
    /// Namespaces of one shard.
    pub max_namespaces_per_shard: usize,
    /// Bytes of contents that one shard holds in memory; the next entry is refused.
    pub max_resident_bytes_per_shard: usize,
    /// Working memory deletes itself after so long, where nothing else is said.
    pub working_ttl_ms: u64,
    /// Counts of reads go to the log so often (within a minute where nobody writes): those since are lost
    /// in a crash.
    pub read_flush_ms: u64,
    /// Who may delete what others wrote, and set quotas; `operator` where nobody is named.
    pub admins: Vec<Name>,
    /// When entries move between tiers.
    pub tiers: TierConfig,
    /// Where the cold tier is.
    pub cold: ColdConfig,
    /// The model that makes vectors; where none is named, it is searched by words only.
    pub model: Option<ModelSettings>,
    /// How it is run.
    pub embedder: EmbedderSettings,
    /// What is learned from what happens in the fleet.
    pub learning: LearningConfig,
}

/// When entries move between tiers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TierConfig {
    /// An entry becomes hot with so many reads
    pub hot_reads: usize,
    /// within so long.
    pub hot_window_ms: u64,
    /// It is warm again when nobody reads it for so long.
    pub hot_idle_ms: u64,
    /// An entry becomes cold when it is so old
    pub cold_after_ms: u64,
    /// and less important than this.
    pub cold_below_importance: f64,
    /// What age leaves of an entry's rank is half gone after so long.
    pub half_life_ms: u64,
    /// How often it is looked for entries that belong in another tier.
    pub sweep_every_ms: u64,
}

/// The cold tier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColdConfig {
    /// A folder. Counts where no bucket is named; where neither is, nothing becomes cold.
    pub folder: Option<PathBuf>,
    /// A bucket of an S3 service.
    pub bucket: Option<String>,
    /// Its address, where it is not Amazon's.
    pub endpoint: Option<Address>,
    /// Its region.
    pub region: Option<String>,
    /// Who may use it.
    pub access_key_id: Option<String>,
    /// The secret of that.
    pub secret_access_key: Option<Secret>,
    /// What is cold, not protected, and was neither read nor changed for so long is deleted, with a proof;
    /// never where nothing is said.
    pub keep_for_ms: Option<u64>,
}

/// What is learned from what happens in the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearningConfig {
    /// Whether anything is.
    pub enabled: bool,
    /// Where it goes.
    pub namespace: Namespace,
}

impl Default for TierConfig {
    fn default() -> Self {
        let rules = TierRules::default();
        Self {
            hot_reads: rules.hot_reads,
            hot_window_ms: rules.hot_window_ms,
            hot_idle_ms: rules.hot_idle_ms,
            cold_after_ms: rules.cold_after_ms,
            cold_below_importance: rules.cold_below_importance,
            half_life_ms: rules.half_life_ms,
            sweep_every_ms: 30_000,
        }
    }
}

impl Default for LearningConfig {
    fn default() -> Self {
        Self { enabled: true, namespace: Namespace::default() }
    }
}

impl ColdConfig {
    /// Whether there is a cold tier.
    pub fn is_named(&self) -> bool {
        self.folder.is_some() || self.bucket.is_some()
    }
}

impl Default for Config {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            common: Common::default(),
            shards: 2,
            stream_replicas: 1,
            snapshot_after_log_bytes: 32 * 1024 * 1024,
            max_entries_per_namespace: settings.max_entries_per_namespace,
            max_bytes_per_namespace: settings.max_bytes_per_namespace,
            max_namespaces_per_shard: settings.max_namespaces,
            max_resident_bytes_per_shard: settings.max_resident_bytes,
            working_ttl_ms: settings.working_ttl_ms,
            read_flush_ms: settings.read_flush_ms,
            admins: Name::parse("operator").into_iter().collect(),
            tiers: TierConfig::default(),
            cold: ColdConfig::default(),
            model: Some(ModelSettings::default()),
            embedder: EmbedderSettings::default(),
            learning: LearningConfig::default(),
        }
    }
}

impl AsRef<Common> for Config {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

impl Config {
    /// Refuses values that cannot work, by name.
    pub fn check(&self) -> Result<(), Fault> {
        if !(1..=256).contains(&self.shards) {
            return Err(Fault::invalid("shards", "must be within 1 and 256"));
        }
        if !matches!(self.stream_replicas, 1 | 3 | 5) {
            return Err(Fault::invalid("stream_replicas", "must be 1, 3 or 5"));
        }
        let tiers = &self.tiers;
        for (name, value) in [
            ("snapshot_after_log_bytes", self.snapshot_after_log_bytes),
            ("max_entries_per_namespace", self.max_entries_per_namespace),
            ("max_bytes_per_namespace", self.max_bytes_per_namespace),
            ("max_namespaces_per_shard", self.max_namespaces_per_shard as u64),
            ("max_resident_bytes_per_shard", self.max_resident_bytes_per_shard as u64),
            ("working_ttl_ms", self.working_ttl_ms),
            ("read_flush_ms", self.read_flush_ms),
            ("tiers.hot_reads", tiers.hot_reads as u64),
            ("tiers.hot_window_ms", tiers.hot_window_ms),
            ("tiers.hot_idle_ms", tiers.hot_idle_ms),
            ("tiers.cold_after_ms", tiers.cold_after_ms),
            ("tiers.half_life_ms", tiers.half_life_ms),
            ("tiers.sweep_every_ms", tiers.sweep_every_ms),
        ] {
            if value == 0 {
                return Err(Fault::invalid(name, "must be more than 0"));
            }
        }
        if !(0.0..=1.0).contains(&tiers.cold_below_importance) {
            return Err(Fault::invalid("tiers.cold_below_importance", "must be within 0 and 1"));
        }
        if self.cold.keep_for_ms == Some(0) {
            return Err(Fault::invalid("cold.keep_for_ms", "must be more than 0"));
        }
        if let Some(model) = &self.model {
            model.check().map_err(Fault::from)?;
        }
        self.embedder.check().map_err(Fault::from)
    }

    /// The settings of one shard.
    pub fn settings(&self, shard: u16) -> Settings {
        Settings {
            shard,
            max_entries_per_namespace: self.max_entries_per_namespace,
            max_bytes_per_namespace: self.max_bytes_per_namespace,
            max_namespaces: self.max_namespaces_per_shard,
            max_resident_bytes: self.max_resident_bytes_per_shard,
            working_ttl_ms: self.working_ttl_ms,
            read_flush_ms: self.read_flush_ms,
            tiers: TierRules {
                hot_reads: self.tiers.hot_reads,
                hot_window_ms: self.tiers.hot_window_ms,
                hot_idle_ms: self.tiers.hot_idle_ms,
                cold_after_ms: self.tiers.cold_after_ms,
                cold_below_importance: self.tiers.cold_below_importance,
                half_life_ms: self.tiers.half_life_ms,
                keep_cold_ms: self.cold.keep_for_ms,
            },
            has_cold: self.cold.is_named(),
            near: troupe_recall::NearSettings::default(),
            admins: self.admins.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_and_each_bad_value_is_named() {
        assert!(Config::default().check().is_ok());
        let bad = Config { shards: 0, ..Config::default() };
        assert_eq!(bad.check().unwrap_err().details["field"], "shards");
        let tiers = TierConfig { cold_below_importance: 1.5, ..TierConfig::default() };
        let bad = Config { tiers, ..Config::default() };
        assert_eq!(bad.check().unwrap_err().details["field"], "tiers.cold_below_importance");
    }
}
