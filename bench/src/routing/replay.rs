//! How often the cache answers, and how often it is wrong, on texts that come again as people say
//! them: some often, most hardly ever, and not always in the same words.
//!
//! The stream: texts that nobody learned from, with and without a route, in an order by chance. The
//! text with rank r comes 1/r as often as the first (Zipf), and so do the ways to say it. An answer is
//! wrong if it leads to another route than the text's, or anywhere if it has none. The router is
//! wrong sometimes without any cache: so every text is asked once more of a service that has none, and
//! what the cache made wrong is told apart.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use rand::SeedableRng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use troupe_bus::Bus;
use troupe_contract::routing::{CacheUse, Resolution, ResolveOutcome};
use troupe_domain::Name;

use super::fleet;
use super::phrases::{self, route};
use super::scores::share;
use super::sets::IntentSet;

/// What the stream is drawn with.
const SEED: u64 = 2_026;
/// Ways to say one text.
const WAYS: usize = 6;
/// Texts that are under way at once: people do not wait for each other.
const AT_ONCE: usize = 4;

/// What the cache did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Replay {
    /// The set.
    pub set: String,
    /// Texts that were asked, one after the other.
    pub asked: usize,
    /// Of so many different ones.
    pub different: usize,
    /// Of those, texts without a route.
    pub out_of_scope: usize,
    /// Known to the letter.
    pub exact: Answers,
    /// Known by meaning.
    pub near: Answers,
    /// Not known.
    pub miss: Answers,
    /// The share of texts that the cache answered.
    pub hit_ratio: Option<f64>,
    /// The share of the cache's answers that are wrong.
    pub wrong_hit_ratio: Option<f64>,
    /// The share of the cache's answers that are wrong, and would not be without the cache.
    pub made_wrong_ratio: Option<f64>,
    /// The share of the same texts that a service without a cache gets wrong.
    pub wrong_without_ratio: Option<f64>,
}

/// Answers of one kind.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Answers {
    /// All.
    pub count: usize,
    /// Those that lead nowhere.
    pub abstained: usize,
    /// Those that lead to another route than the text's.
    pub wrong: usize,
    /// Those of them that would not without the cache.
    pub made_wrong: usize,
}

/// A text, with the route that is right.
type Truth = (String, Option<Name>);

/// A text that was asked, the route that is right, and what came out.
#[derive(Debug)]
pub(super) struct Asked {
    said: String,
    truth: Option<Name>,
    cache: CacheUse,
    chosen: Option<Name>,
}

impl Asked {
    fn is_wrong(&self, chosen: Option<&Name>) -> bool {
        chosen.is_some() && chosen != self.truth.as_ref()
    }
}

/// Asks `asked` texts of a set whose examples are declared.
pub(super) async fn ask(bus: &Bus, set: &IntentSet, asked: usize) -> Result<Vec<Asked>> {
    super::say(&format!("a stream of {asked} texts"));
    let asks = texts(set, asked)?.into_iter().map(|(said, truth)| async move {
        let told = fleet::resolve(bus, &said).await?;
        let chosen = route_of(&told);
        anyhow::Ok(Asked { said, truth, cache: told.cache, chosen })
    });
    stream::iter(asks).buffered(AT_ONCE).try_collect().await
}

/// The texts, one after the other.
fn texts(set: &IntentSet, asked: usize) -> Result<Vec<Truth>> {
    let labelled = set.test.iter().map(|one| (one.text.clone(), route(&one.label)));
    let strangers = set.out_of_scope.iter().map(|text| (text.clone(), None));
    let mut texts: Vec<Truth> = labelled.chain(strangers).collect();
    let mut chance = ChaCha8Rng::seed_from_u64(SEED);
    texts.shuffle(&mut chance);
    let (of_text, of_way) = (zipf(texts.len())?, zipf(WAYS)?);
    let drawn = (0..asked).map(|_| {
        let (text, way) = (of_text.sample(&mut chance), of_way.sample(&mut chance));
        let (said, truth) = texts[text].clone();
        // A different way for each text: not all people say "please".
        (phrases::variant(&said, way * 7 + text * usize::from(way > 0)), truth)
    });
    Ok(drawn.collect())
}

fn route_of(told: &Resolution) -> Option<Name> {
    told.route_id.clone().filter(|_| told.outcome == ResolveOutcome::Chosen)
}

/// Asks each text once of a service without a cache, and counts.
pub(super) async fn judge(bus: &Bus, set: &IntentSet, asked: &[Asked]) -> Result<Replay> {
    super::say("the same texts, without a cache");
    let different: BTreeMap<&str, bool> =
        asked.iter().map(|one| (one.said.as_str(), one.truth.is_none())).collect();
    let texts: Vec<String> = different.keys().map(|said| (*said).to_owned()).collect();
    let asks = texts.into_iter().map(|said| async move {
        let told = fleet::resolve(bus, &said).await?;
        anyhow::Ok((said, route_of(&told)))
    });
    let without: BTreeMap<String, Option<Name>> =
        stream::iter(asks).buffered(AT_ONCE).try_collect().await?;
    let mut replay = Replay {
        set: set.name.clone(),
        asked: asked.len(),
        different: different.len(),
        out_of_scope: different.values().filter(|is_stranger| **is_stranger).count(),
        ..Replay::default()
    };
    let mut wrong_without = 0;
    for one in asked {
        let fresh = without.get(&one.said).and_then(Option::as_ref);
        let answers = match one.cache {
            CacheUse::Exact => &mut replay.exact,
            CacheUse::Near => &mut replay.near,
            CacheUse::Miss => &mut replay.miss,
        };
        let (wrong, fresh_wrong) = (one.is_wrong(one.chosen.as_ref()), one.is_wrong(fresh));
        answers.count += 1;
        answers.abstained += usize::from(one.chosen.is_none());
        answers.wrong += usize::from(wrong);
        answers.made_wrong += usize::from(wrong && !fresh_wrong);
        wrong_without += usize::from(fresh_wrong);
    }
    let Replay { exact, near, .. } = replay;
    let hits = exact.count + near.count;
    replay.hit_ratio = share(hits, asked.len());
    replay.wrong_hit_ratio = share(exact.wrong + near.wrong, hits);
    replay.made_wrong_ratio = share(exact.made_wrong + near.made_wrong, hits);
    replay.wrong_without_ratio = share(wrong_without, asked.len());
    Ok(replay)
}

/// The first comes twice as often as the second, and so on.
fn zipf(count: usize) -> Result<WeightedIndex<f64>> {
    WeightedIndex::new((1..=count).map(|rank| 1.0 / rank as f64)).context("no texts to draw from")
}
