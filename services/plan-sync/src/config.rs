//! What the service can be told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use troupe_crdt::conflict::semantic::DEFAULT_SIMILARITY_MIN;
use troupe_domain::Fault;
use troupe_embedding::{EmbedderSettings, ModelSettings};
use troupe_runtime::Common;
use troupe_runtime::config::{Address, Secret};

use crate::rules::state::Settings;

/// The configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service is told.
    pub common: Common,
    /// Shards over which plans are spread. Fixed for the life of the streams.
    pub shards: u16,
    /// Replicas of each stream in the NATS cluster.
    pub stream_replicas: usize,
    /// A shard takes a snapshot when its log has grown by so much.
    pub snapshot_after_log_bytes: u64,
    /// Plans and other objects of one shard; the next one is refused.
    pub max_objects_per_shard: usize,
    /// Bytes of the states and of the batches that are kept, of one shard; the next edit is refused.
    pub max_bytes_per_shard: usize,
    /// A deleted item is forgotten for good so long after its deletion: what a replica that was away for
    /// longer did to it comes back as an item with nothing else, and is told as a conflict.
    pub purge_after_ms: u64,
    /// Where snapshots and history go.
    pub archive: ArchiveConfig,
    /// When two items say the same thing.
    pub alike: AlikeConfig,
}

/// The archive: where snapshots and the history before the horizon are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    /// A folder. Counts where no bucket is named; where neither is, nothing is archived, and history
    /// ends where memory does.
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
    /// An object goes to the archive when so many of its batches are not there yet.
    pub after_batches: usize,
    /// And at the latest so long after its first batch that is not there.
    pub after_ms: u64,
    /// The most bytes of batches of one object that are kept for an archive that cannot be reached;
    /// beyond it the oldest are folded into the state, and their history is lost.
    pub max_kept_bytes_per_object: usize,
}

/// When two items of a plan are told as saying the same thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlikeConfig {
    /// From how much of their titles in common on, 0 to 1, where no model is asked.
    pub similarity_min: f64,
    /// From how much in common on a model is asked for its opinion.
    pub candidate_min: f64,
    /// From which similarity on a model's opinion counts as the same.
    pub opinion_min: f64,
    /// The model; none is asked where none is named.
    pub model: Option<ModelSettings>,
    /// How it is run.
    pub embedder: EmbedderSettings,
}

impl Default for AlikeConfig {
    fn default() -> Self {
        Self {
            similarity_min: DEFAULT_SIMILARITY_MIN,
            candidate_min: 0.35,
            opinion_min: 0.8,
            model: None,
            embedder: EmbedderSettings::default(),
        }
    }
}

impl AlikeConfig {
    fn check(&self) -> Result<(), Fault> {
        for (name, value) in [
            ("alike.similarity_min", self.similarity_min),
            ("alike.candidate_min", self.candidate_min),
            ("alike.opinion_min", self.opinion_min),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Fault::invalid(name, "must be within 0 and 1"));
            }
        }
        if let Some(model) = &self.model {
            model.check().map_err(Fault::from)?;
        }
        self.embedder.check().map_err(Fault::from)
    }
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self {
            folder: None,
            bucket: None,
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: None,
            after_batches: 1_000,
            after_ms: 10 * 60 * 1000,
            max_kept_bytes_per_object: 32 * 1024 * 1024,
        }
    }
}

impl ArchiveConfig {
    /// Whether there is an archive.
    pub fn is_named(&self) -> bool {
        self.folder.is_some() || self.bucket.is_some()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            common: Common::default(),
            shards: 4,
            stream_replicas: 1,
            snapshot_after_log_bytes: 32 * 1024 * 1024,
            max_objects_per_shard: 10_000,
            max_bytes_per_shard: 512 * 1024 * 1024,
            purge_after_ms: 7 * 24 * 60 * 60 * 1000,
            archive: ArchiveConfig::default(),
            alike: AlikeConfig::default(),
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
        for (name, value) in [
            ("snapshot_after_log_bytes", self.snapshot_after_log_bytes),
            ("max_objects_per_shard", self.max_objects_per_shard as u64),
            ("max_bytes_per_shard", self.max_bytes_per_shard as u64),
            ("purge_after_ms", self.purge_after_ms),
            ("archive.after_batches", self.archive.after_batches as u64),
            ("archive.after_ms", self.archive.after_ms),
            ("archive.max_kept_bytes_per_object", self.archive.max_kept_bytes_per_object as u64),
        ] {
            if value == 0 {
                return Err(Fault::invalid(name, "must be more than 0"));
            }
        }
        self.alike.check()?;
        if self.archive.bucket.is_some() && !cfg!(feature = "s3") {
            return Err(Fault::invalid("archive.bucket", "this program was built without s3"));
        }
        Ok(())
    }

    /// The settings of one shard; `seed` is chance, for the key with which the shard signs should it
    /// have none yet.
    pub fn settings(&self, shard: u16, seed: [u8; 32]) -> Settings {
        Settings {
            shard,
            shards: self.shards,
            seed,
            max_objects: self.max_objects_per_shard,
            max_bytes: self.max_bytes_per_shard,
            purge_after_ms: self.purge_after_ms,
            archives: self.archive.is_named(),
            archive_after_batches: self.archive.after_batches,
            archive_after_ms: self.archive.after_ms,
            max_kept_bytes: self.archive.max_kept_bytes_per_object,
        }
    }
}
