//! Where the cold tier is, and how it is with it.

use parking_lot::Mutex;
use troupe_segments::{Segments, location};

use crate::config::ColdConfig;

/// Opens the storage that is named; none if none is.
pub fn open(config: &ColdConfig) -> anyhow::Result<Option<Segments>> {
    if let Some(name) = &config.bucket {
        let bucket = location::Bucket {
            name,
            endpoint: config.endpoint.as_ref().map(troupe_runtime::config::Address::as_str),
            region: config.region.as_deref(),
            access_key_id: config.access_key_id.as_deref(),
            secret_access_key: config
                .secret_access_key
                .as_ref()
                .map(troupe_runtime::config::Secret::expose),
        };
        return Ok(Some(Segments::new(location::bucket(bucket)?)));
    }
    match &config.folder {
        Some(folder) => Ok(Some(location::segments_in_folder(folder)?)),
        None => Ok(None),
    }
}

/// How it is with the cold tier, as this process met it last.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<String>>);

impl Health {
    /// Why it takes nothing, if it does not.
    pub fn error(&self) -> Option<String> {
        self.0.lock().clone()
    }

    /// It did what it was asked, or it did not.
    pub fn set(&self, error: Option<String>) {
        *self.0.lock() = error;
    }
}
