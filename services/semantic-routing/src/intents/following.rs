//! Taking over what other replicas remembered, so that near hits work across replicas.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::knowledge::Knowledge;
use crate::rules::cache_index::Generation;
use crate::store::shared_cache::SharedCache;

/// How often the list of the newest is read.
const READ_EVERY: Duration = Duration::from_millis(200);

/// Reads what is new for as long as it is let.
pub(super) async fn run(knowledge: Arc<Knowledge>, shared: Arc<SharedCache>) {
    let mut generation = Generation::default();
    let mut last = String::new();
    loop {
        sleep(READ_EVERY).await;
        let Some(model) = knowledge.school.model() else { continue };
        let current = knowledge.generation(&model.id);
        if current != generation {
            generation = current;
            last.clear();
        }
        while let Some(newer) = shared.newer(&generation, &last).await {
            last = newer.last;
            for entry in newer.entries {
                let vector = entry.vector().filter(|vector| vector.len() == model.dimensions);
                let Some(vector) = vector else { continue };
                let mut memory = knowledge.memory.lock();
                memory.insert(&generation, entry.key, &vector, &entry.text, entry.verdict);
            }
            if !newer.more {
                break;
            }
        }
    }
}
