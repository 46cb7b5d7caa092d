//! Items that say the same thing: looked for beside the edits, told as conflicts that change nothing.
//!
//! Titles that have much in common are candidates; where a model is configured, its opinion on what the
//! two items say decides. Invariants: no edit waits for this; a model that cannot be asked leaves what
//! the titles say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use troupe_crdt::conflict::semantic::{self, Duplicate};
use troupe_crdt::plan::text_of;
use troupe_domain::plan::{Conflict, ItemId, ObjectId, Plan};
use troupe_embedding::{Embedder, EmbeddingError};

use crate::config::AlikeConfig;
use crate::handlers::{Router, Shard};
use crate::rules::request::PlanRequest;

/// How often it is looked for plans whose items say something else.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a plan is left alone after it was looked at, for each of its items: a large one takes long.
const REST_PER_ITEM: Duration = Duration::from_millis(1);
/// Pairs of one plan that a model is asked about.
const MAX_ASKED_PAIRS: usize = 64;

/// Looks for items that say the same thing, in the plans of this replica's shards.
#[derive(Debug)]
pub struct Alike {
    router: Arc<Router>,
    config: AlikeConfig,
    embedder: Option<Embedder>,
    looked: HashMap<ObjectId, Looked>,
}

/// When a plan was looked at.
#[derive(Debug, Clone, Copy)]
struct Looked {
    sequence: u64,
    again: Instant,
}

impl Alike {
    /// Opens the model, where one is configured; it is loaded in the background.
    pub fn open(router: &Arc<Router>, config: &AlikeConfig) -> Result<Self, EmbeddingError> {
        let embedder = match &config.model {
            Some(model) => Some(Embedder::open(model.clone(), config.embedder.clone())?),
            None => None,
        };
        let (router, config) = (router.clone(), config.clone());
        Ok(Self { router, config, embedder, looked: HashMap::new() })
    }

    /// Looks until it is aborted.
    pub async fn run(mut self) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let mut here = Vec::new();
            for shard in self.router.local() {
                let known = |id: &ObjectId| self.looked.get(id).map(|looked| looked.sequence);
                here.extend(
                    shard
                        .look(|state| state.reworded(known))
                        .into_iter()
                        .map(|found| (shard.clone(), found)),
                );
            }
            for (shard, (plan, sequence, items)) in here {
                let now = Instant::now();
                if self.looked.get(&plan).is_some_and(|looked| looked.again > now) {
                    continue;
                }
                if let Some(found) = self.look_at(&shard, &plan).await {
                    let request = PlanRequest::Alike { plan: plan.clone(), found };
                    if let Err(fault) = shard.call(request).await {
                        tracing::debug!(%fault, %plan, "what items say is looked at again");
                        continue;
                    }
                }
                let rest = REST_PER_ITEM.saturating_mul(items as u32);
                self.looked.insert(plan, Looked { sequence, again: Instant::now() + rest });
            }
            // Plans that moved to another replica are its to look at.
            let router = self.router.clone();
            self.looked.retain(|plan, _| {
                let shard = troupe_shard::place::shard_of(plan.as_str(), router.shards());
                router.find(shard).is_some()
            });
        }
    }

    /// All pairs of a plan that say the same.
    async fn look_at(&self, shard: &Arc<Shard>, id: &ObjectId) -> Option<Vec<Conflict>> {
        let plan = shard.look(|state| state.object(id).ok()?.document.plan())?;
        let least = match &self.embedder {
            Some(_) => self.config.candidate_min.min(self.config.similarity_min),
            None => self.config.similarity_min,
        };
        let compared = tokio::task::spawn_blocking(move || {
            let pairs = semantic::duplicates(&plan, least);
            (plan, pairs)
        });
        let (plan, pairs) = compared.await.ok()?;
        let opinions = self.opinions(&plan, &pairs).await;
        let found = pairs.iter().enumerate().filter_map(|(index, pair)| {
            let opinion = opinions.get(index).copied().flatten();
            let same = match opinion {
                Some(opinion) => opinion >= self.config.opinion_min,
                None => pair.similarity >= self.config.similarity_min,
            };
            same.then(|| semantic::conflict(&plan, pair, opinion)).flatten()
        });
        Some(found.collect())
    }

    /// What a model says of each pair, as far as it can be asked.
    async fn opinions(&self, plan: &Plan, pairs: &[Duplicate]) -> Vec<Option<f64>> {
        let Some(embedder) = self.embedder.as_ref().filter(|_| !pairs.is_empty()) else {
            return Vec::new();
        };
        let texts: HashMap<&ItemId, String> =
            plan.items.iter().map(|item| (&item.id, text_of(item))).collect();
        let mut opinions = Vec::new();
        for pair in pairs.iter().take(MAX_ASKED_PAIRS) {
            let (Some(first), Some(second)) = (texts.get(&pair.first), texts.get(&pair.second))
            else {
                opinions.push(None);
                continue;
            };
            match embedder.embed_many(&[first.clone(), second.clone()]).await {
                Ok(vectors) => opinions.push(cosine(&vectors)),
                Err(fault) => {
                    tracing::debug!(%fault, "the model has no opinion");
                    return opinions;
                }
            }
        }
        opinions
    }
}

/// How near in meaning two texts are.
fn cosine(vectors: &[troupe_embedding::Embedding]) -> Option<f64> {
    let [a, b] = vectors else { return None };
    Some(a.dot(b).into())
}
