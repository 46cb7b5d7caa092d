//! One copy of a model, ready to run: the only place that runs fastembed.

use fastembed::{InitOptionsUserDefined, TextEmbedding, UserDefinedEmbeddingModel};

use crate::files::Files;
use crate::{Embedding, EmbeddingError, runtime};

/// Threads that wait for work of the same batch do not spin: on few processors that costs more
/// than it gains.
pub(crate) const NO_SPINNING: (&str, &str) = ("session.intra_op.allow_spinning", "0");

/// A model that can run, on one thread at a time.
pub(crate) struct Session {
    model: TextEmbedding,
}

impl Session {
    /// Opens `files`, which takes some tenths of a second.
    pub(crate) fn of_files(
        files: &Files,
        max_tokens: usize,
        threads: usize,
    ) -> Result<Self, EmbeddingError> {
        let mut model =
            UserDefinedEmbeddingModel::new(files.network.clone(), files.tokenizer.clone())
                .with_pooling(files.pooling.clone());
        if let Some((name, weights)) = &files.weights {
            model = model.with_external_initializer(name.clone(), weights.clone());
        }
        let options = InitOptionsUserDefined::new()
            .with_environment(runtime::environment()?)
            .with_max_length(max_tokens)
            .with_intra_threads(threads)
            .with_session_config(NO_SPINNING.0, NO_SPINNING.1);
        TextEmbedding::try_new_from_user_defined(model, options)
            .map(Self::new)
            .map_err(|error| EmbeddingError::unusable("the model", error))
    }

    pub(crate) fn new(model: TextEmbedding) -> Self {
        Self { model }
    }

    /// The vectors of `texts`, in their order, or in words why there are none.
    pub(crate) fn embed(&mut self, texts: &[&str]) -> Result<Vec<Embedding>, String> {
        let vectors =
            self.model.embed(texts, Some(texts.len())).map_err(|error| error.to_string())?;
        if vectors.len() != texts.len() {
            return Err(format!("{} vectors for {} texts", vectors.len(), texts.len()));
        }
        let embeddings: Option<Vec<_>> = vectors.into_iter().map(Embedding::new).collect();
        embeddings.ok_or_else(|| "a vector without direction".to_owned())
    }
}
