//! From a text to what it means: the cache, the model, the router, or why none of them can tell.
//!
//! Invariant: nobody waits for longer than [`SETTLE_WITHIN`] for a router that is not there, and for
//! [`EMBED_WITHIN`] for a vector; and what was found under older routes or offers is neither used nor
//! remembered under the present ones.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use troupe_contract::routing::CacheUse;
use troupe_domain::{Code, Fault};
use troupe_embedding::Embedding;
use troupe_intent::cache::{Purpose, Routed, Space, exact_key, near_hit};

use super::knowledge::Knowledge;
use super::learning::{Progress, Taught};
use crate::rules::cache_index::{Generation, MAX_CACHED_TEXT_BYTES};
use crate::rules::catalogue::target_of;
use crate::rules::verdict::{Verdict, judge};
use crate::store::shared_cache::SharedEntry;

/// How long a request waits for the first router after a start.
const SETTLE_WITHIN: Duration = Duration::from_secs(2);
/// How long a request waits for the vector of its text.
const EMBED_WITHIN: Duration = Duration::from_secs(2);
/// What is kept of the caller's time for what comes after.
const MARGIN: Duration = Duration::from_millis(200);
/// Separates nothing here: one deployment is one fleet.
const FLEET: &str = "";

/// What a text means, and how that is known.
#[derive(Debug, Clone)]
pub(super) struct Understood {
    /// What it means.
    pub(super) verdict: Verdict,
    /// Whether that was known.
    pub(super) cache: CacheUse,
    /// Whether the router was asked, now or when it was remembered; else names of capabilities must do.
    pub(super) asked: bool,
}

impl Understood {
    fn unasked(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::unasked(why), cache: CacheUse::Miss, asked: false }
    }
}

/// The key of a text under `generation`.
pub(super) fn key_of(generation: &Generation, text: &str) -> String {
    let version = generation.version();
    exact_key(Space { fleet: FLEET, version: &version, model: &generation.model }, text)
}

impl Knowledge {
    /// What `text` means.
    pub(super) async fn understand(
        &self,
        text: &str,
        deadline: Instant,
    ) -> Result<Understood, Fault> {
        if let Some(verdict) = self.remembered(text).await {
            return Ok(Understood { verdict, cache: CacheUse::Exact, asked: true });
        }
        let left = deadline.saturating_duration_since(Instant::now()) / 2;
        let taught = match self.school.settled(SETTLE_WITHIN.min(left)).await {
            Progress::Ready(taught) => taught,
            Progress::Not(why) => {
                self.memory.lock().missed();
                return Ok(Understood::unasked(why));
            }
        };
        if taught.router.is_none() {
            return Ok(Understood::unasked("no route is declared, and no agent offers anything"));
        }
        let until = (Instant::now() + EMBED_WITHIN).min(deadline - MARGIN.min(left));
        let vector = match timeout_at(until, self.school.embedder.embed(text)).await {
            Ok(Ok(vector)) => vector,
            // What says nothing is the sender's to mend.
            Ok(Err(fault)) if fault.code == Code::InvalidArgument => return Err(fault),
            Ok(Err(fault)) => {
                self.memory.lock().missed();
                return Ok(Understood::unasked(fault.message));
            }
            Err(_) => {
                self.memory.lock().missed();
                return Ok(Understood::unasked("the model did not answer in time"));
            }
        };
        self.decide(text, &vector, &taught)
    }

    /// What is remembered of this very text, here or by another replica.
    async fn remembered(&self, text: &str) -> Option<Verdict> {
        let model = self.school.model()?;
        let generation = self.generation(&model.id);
        let key = key_of(&generation, text);
        let known = self.memory.lock().exact(&generation, model.dimensions, &key);
        if known.is_some() {
            return known;
        }
        let shared = self.shared.as_ref().filter(|_| self.config.cache.max_entries > 0)?;
        let entry = shared.get(&key).await.filter(|entry| entry.key == key)?;
        let vector = entry.vector().filter(|vector| vector.len() == model.dimensions)?;
        let mut memory = self.memory.lock();
        memory.insert(&generation, key.clone(), &vector, &entry.text, entry.verdict);
        memory.exact(&generation, model.dimensions, &key)
    }

    /// Asks the router, and the cache whether something that means the same was asked before.
    fn decide(&self, text: &str, vector: &Embedding, taught: &Taught) -> Result<Understood, Fault> {
        let Some(router) = &taught.router else { return Ok(Understood::unasked("no route")) };
        let similarity_min = self.config.cache.similarity_min;
        let generation = self.generation(&taught.model);
        let verdict = self.routes.look(|table| -> Result<Verdict, Fault> {
            let roster = self.roster.read();
            let names = router.names();
            let target = |route: &str| {
                let vetoed = taught.vetoes(route, text, vector, similarity_min);
                target_of(route, table, roster.offers()).filter(|_| !vetoed)
            };
            let allowed = |route: usize| target(&names[route]).is_some();
            let decision = router.decide_among(vector.as_slice(), allowed)?;
            let threshold = |route: &str| f64::from(router.threshold(route).unwrap_or(1.0));
            let margin = f64::from(router.settings().margin);
            let verdict = judge(&decision, threshold, target, margin);
            let example = taught.example_of(text).filter(|route| target(route.as_str()).is_some());
            Ok(match example {
                Some(route) => verdict.to_the_letter(route),
                None => verdict,
            })
        })?;
        if taught.rests_on != Some((generation.fleet, generation.routes)) {
            // A router is on its way that knows better: nothing to remember.
            self.memory.lock().missed();
            return Ok(Understood { verdict, cache: CacheUse::Miss, asked: true });
        }
        let key = key_of(&generation, text);
        let asked = Routed { text, route: verdict.route().map(troupe_domain::Name::as_str) };
        let mut memory = self.memory.lock();
        let near =
            memory.near(&generation, &key, vector.as_slice(), similarity_min, |entry, cosine| {
                let route = entry.value.route().map(troupe_domain::Name::as_str);
                let cached = Routed { text: &entry.text, route };
                near_hit(cached, asked, cosine, similarity_min, Purpose::Route).is_ok()
            });
        if let Some(verdict) = near {
            return Ok(Understood { verdict, cache: CacheUse::Near, asked: true });
        }
        let kept =
            memory.insert(&generation, key.clone(), vector.as_slice(), text, verdict.clone());
        drop(memory);
        if kept {
            self.share(generation, key, text, &verdict, vector);
        }
        Ok(Understood { verdict, cache: CacheUse::Miss, asked: true })
    }

    /// Lets the other replicas know what a text means; nobody waits for that.
    fn share(
        &self,
        generation: Generation,
        key: String,
        text: &str,
        verdict: &Verdict,
        vector: &Embedding,
    ) {
        let Some(shared) = self.shared.clone().filter(|shared| shared.is_healthy()) else { return };
        if text.len() > MAX_CACHED_TEXT_BYTES {
            return;
        }
        let (text, verdict) = (text.to_owned(), verdict.clone());
        let vector = vector.clone();
        tokio::spawn(async move {
            let entry = SharedEntry::new(key, text, verdict, vector.as_slice());
            shared.put(&generation, &entry).await;
        });
    }
}
