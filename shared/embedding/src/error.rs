//! Why there is no model to embed with.

use troupe_domain::{Code, Fault};
use troupe_parts::PartError;

/// Why a model cannot be had. The service that wanted it can do without, and say so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// Something is not on this machine.
    #[error("embeddings are not available: {what_to_install}")]
    Unavailable {
        /// What is missing, where it was looked for, and what helps.
        what_to_install: String,
    },
    /// It is there, and does not do.
    #[error("{what} cannot be used: {why}")]
    Unusable {
        /// The file, folder or model.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A setting is not acceptable.
    #[error("{field}: {why}")]
    Invalid {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl EmbeddingError {
    pub(crate) fn unusable(what: impl ToString, why: impl ToString) -> Self {
        Self::Unusable { what: what.to_string(), why: why.to_string() }
    }
}

impl From<PartError> for EmbeddingError {
    fn from(error: PartError) -> Self {
        Self::Unavailable { what_to_install: error.to_string() }
    }
}

impl From<EmbeddingError> for Fault {
    fn from(error: EmbeddingError) -> Self {
        match &error {
            EmbeddingError::Invalid { field, why } => Self::invalid(field, why),
            _ => Self::new(Code::Unavailable, error.to_string()),
        }
    }
}
