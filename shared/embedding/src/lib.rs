//! Turns text into vectors: near in meaning, near in angle.
//!
//! A [`Model`] is found on this machine or fetched; an [`Embedder`] runs it for many callers at
//! once. Invariants: the model runs on threads of the embedder, never on the callers'; what waits
//! is bounded, and whoever finds the queue full is told; the same text always gives the same
//! vector, up to the last digits, whatever it shares a batch with; and this is the only crate that
//! knows ONNX Runtime, which is loaded when a model is first wanted and may be absent.

mod choice;
mod embedder;
mod embedding;
mod error;
mod files;
#[cfg(feature = "hub")]
mod hub;
mod lanes;
mod model;
mod queue;
mod runtime;
mod session;
mod settings;
mod statistics;
mod status;
mod telemetry;
mod text;
mod worker;

pub use choice::ModelChoice;
pub use embedder::{Embedder, MANY_MAX_TEXTS};
pub use embedding::Embedding;
pub use error::EmbeddingError;
pub use model::{Model, ModelInfo};
pub use settings::{EmbedderSettings, ModelSettings};
pub use statistics::Statistics;
pub use status::Status;
pub use telemetry::refuse_telemetry;
pub use text::normalise;
