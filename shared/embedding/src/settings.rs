//! What can be told to a model and to an embedder, with the bounds of each.

use serde::{Deserialize, Serialize};

use crate::{EmbeddingError, ModelChoice};

/// Enough for a request; a text of so many tokens costs eight times a short sentence.
const MAX_TOKENS_DEFAULT: usize = 128;
/// What models of this kind were trained with, at most.
const MAX_TOKENS_MAX: usize = 8192;
const MIN_TOKENS: usize = 8;
/// What of a text is looked at, for each token that the model may see. Tokens are parts of words:
/// a text that is cut by this and not by its tokens is hardly made of words.
const BYTES_PER_TOKEN: usize = 16;

const WORKERS_MAX: usize = 64;
const WORKERS_DEFAULT_MAX: usize = 4;
const THREADS_MAX: usize = 64;
const BATCH_MAX_TEXTS: usize = 256;
/// Larger batches gain nothing on a processor, and make everybody in them wait for all of it.
const BATCH_DEFAULT_TEXTS: usize = 4;
const QUEUE_MAX_TEXTS: usize = 1 << 16;
const QUEUE_DEFAULT_TEXTS: usize = 1024;

/// Which model, and how much of a text it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// Which model.
    pub choice: ModelChoice,
    /// How many tokens of a text it sees; the rest is cut off. A longer text is costlier.
    pub max_tokens: usize,
}

/// How a model is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbedderSettings {
    /// Batches that run at the same time, each on a thread and a copy of the model of its own.
    /// By default one for each processor, up to four.
    pub workers: usize,
    /// Threads that share the work of one batch. More workers gain more than more threads do.
    pub threads_per_worker: usize,
    /// Texts in one batch, at most.
    pub max_batch: usize,
    /// Texts that wait, at most; who comes after is refused with `resource_exhausted`.
    pub max_queue: usize,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self { choice: ModelChoice::default(), max_tokens: MAX_TOKENS_DEFAULT }
    }
}

impl Default for EmbedderSettings {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            workers: processors.min(WORKERS_DEFAULT_MAX),
            threads_per_worker: 1,
            max_batch: BATCH_DEFAULT_TEXTS,
            max_queue: QUEUE_DEFAULT_TEXTS,
        }
    }
}

impl ModelSettings {
    /// The bytes of a normalised text that can matter.
    pub(crate) fn max_text_bytes(&self) -> usize {
        self.max_tokens * BYTES_PER_TOKEN
    }

    /// Refuses values that cannot work, by name.
    pub fn check(&self) -> Result<(), EmbeddingError> {
        within("max_tokens", self.max_tokens, MIN_TOKENS, MAX_TOKENS_MAX)
    }
}

impl EmbedderSettings {
    /// Refuses values that cannot work, by name.
    pub fn check(&self) -> Result<(), EmbeddingError> {
        within("workers", self.workers, 1, WORKERS_MAX)?;
        within("threads_per_worker", self.threads_per_worker, 1, THREADS_MAX)?;
        within("max_batch", self.max_batch, 1, BATCH_MAX_TEXTS)?;
        within("max_queue", self.max_queue, 1, QUEUE_MAX_TEXTS)
    }
}

fn within(
    field: &'static str,
    value: usize,
    least: usize,
    most: usize,
) -> Result<(), EmbeddingError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let why = format!("is {value}; it must be from {least} to {most}");
    Err(EmbeddingError::Invalid { field, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_within_their_bounds_and_others_are_refused_by_name() {
        ModelSettings::default().check().unwrap();
        EmbedderSettings::default().check().unwrap();
        let none = EmbedderSettings { workers: 0, ..EmbedderSettings::default() };
        assert!(none.check().unwrap_err().to_string().starts_with("workers: is 0"));
        let long = ModelSettings { max_tokens: 9000, ..ModelSettings::default() };
        assert!(long.check().unwrap_err().to_string().contains("from 8 to 8192"));
    }
}
