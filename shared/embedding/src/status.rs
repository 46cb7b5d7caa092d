//! Whether an embedder can answer, as health shows it.

use std::fmt;

use crate::{EmbeddingError, ModelInfo};

/// Whether an embedder can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The model is being looked for; texts wait for it.
    Loading,
    /// The model runs.
    Ready(ModelInfo),
    /// There is no model. It is looked for again from time to time.
    Unavailable(EmbeddingError),
    /// The embedder was stopped.
    Stopped,
}

impl Status {
    /// The model, if it runs.
    pub fn model(&self) -> Option<&ModelInfo> {
        match self {
            Self::Ready(model) => Some(model),
            _ => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loading => f.write_str("the model is being loaded"),
            Self::Ready(model) => write!(f, "{} runs", model.id),
            Self::Unavailable(why) => why.fmt(f),
            Self::Stopped => f.write_str("the embedder was stopped"),
        }
    }
}
