//! Vectors of texts, by the model that the service uses.

use anyhow::{Context, Result};
use troupe_embedding::{Embedder, EmbedderSettings, MANY_MAX_TEXTS, Model, ModelSettings};
use troupe_recall::Vector;

/// The model, running.
pub(super) struct Vectors {
    embedder: Embedder,
    /// Its name.
    pub(super) model: String,
}

impl Vectors {
    pub(super) async fn start() -> Result<Self> {
        let found = || Model::find(&ModelSettings::default());
        let model = tokio::task::spawn_blocking(found).await??;
        let id = model.id().to_owned();
        Ok(Self { embedder: Embedder::start(model, EmbedderSettings::default())?, model: id })
    }

    /// The vectors of `texts` in their order, as the model gives them.
    pub(super) async fn exact(&self, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(texts.len());
        for part in texts.chunks(MANY_MAX_TEXTS) {
            let embedded = self.embedder.embed_many(part).await.context("texts of a set")?;
            vectors.extend(embedded.iter().map(|vector| vector.as_slice().to_vec()));
        }
        Ok(vectors)
    }

    /// The same as they are stored.
    pub(super) async fn stored(&self, texts: &[String]) -> Result<Vec<Vector>> {
        let exact = self.exact(texts).await?;
        let stored = exact.iter().map(|vector| Vector::quantise(vector).context("no direction"));
        stored.collect()
    }

    pub(super) async fn stop(self) {
        self.embedder.stop().await;
    }
}
