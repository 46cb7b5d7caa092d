//! Vectors: made after the acknowledgement, once for each content, and stored in the log, so that a
//! takeover needs no model.
//!
//! Invariant: without a model nothing waits and nothing is lost: what has no vector is found by words,
//! and gets one when the model is there.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use troupe_domain::{Code, Fault};
use troupe_embedding::Embedder;
use troupe_recall::Vector;

use crate::handlers::{Router, Shard};
use crate::rules::record::Embedded;
use crate::rules::request::MemoryRequest;

/// Texts that go to the model together.
const MAX_TOGETHER: usize = 32;
/// Bytes of them.
const MAX_TOGETHER_BYTES: usize = 256 * 1024;
/// How often it is looked for contents without a vector.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long after a failure nothing is tried.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Contents that no model can make a vector of, as far as they are remembered.
const MAX_HOPELESS: usize = 100_000;

/// Makes the vectors of this replica's shards.
#[derive(Debug)]
pub struct Embedding {
    /// Where the shards are.
    pub router: Arc<Router>,
    /// What makes them.
    pub embedder: Embedder,
}

impl Embedding {
    /// Works until it is aborted.
    pub async fn run(self) {
        let mut hopeless: HashSet<String> = HashSet::new();
        loop {
            let mut done = 0;
            let model = self.embedder.status().model().map(|model| model.id.clone());
            for shard in self.router.local() {
                let Some(model) = &model else { break };
                match self.embed(&shard, model, &mut hopeless).await {
                    Ok(count) => done += count,
                    Err(fault) => {
                        tracing::debug!(%fault, "vectors are made later");
                        sleep(AGAIN_AFTER).await;
                    }
                }
            }
            if done == 0 {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Makes some vectors; how many texts were looked at.
    async fn embed(
        &self,
        shard: &Arc<Shard>,
        model: &str,
        hopeless: &mut HashSet<String>,
    ) -> Result<usize, Fault> {
        let due = shard.look(|state| state.to_embed(MAX_TOGETHER, MAX_TOGETHER_BYTES, hopeless));
        let Some((namespace, due)) = due else { return Ok(0) };
        let count = due.len();
        let texts: Vec<String> = due.iter().map(|one| one.text.clone()).collect();
        let embeddings = match self.embedder.embed_many(&texts).await {
            Ok(embeddings) => embeddings,
            Err(fault) if fault.code == Code::InvalidArgument => {
                // What says nothing is found by its words, or not at all.
                let index = fault.details.get("index").and_then(serde_json::Value::as_u64);
                let one = index.and_then(|index| due.get(index as usize)).or(due.first());
                if hopeless.len() >= MAX_HOPELESS {
                    hopeless.clear();
                }
                hopeless.extend(one.map(|one| one.sha256.clone()));
                return Ok(count);
            }
            Err(fault) => return Err(fault),
        };
        let made = due.into_iter().zip(embeddings).filter_map(|(one, embedding)| {
            let vector = Vector::quantise(embedding.as_slice())?;
            Some(Embedded { id: one.id, sha256: one.sha256, vector })
        });
        let vectors = made.collect();
        shard.call(MemoryRequest::Embedded { model: model.to_owned(), namespace, vectors }).await?;
        Ok(count)
    }
}
