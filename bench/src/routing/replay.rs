//! How often the cache answers, and how often it is wrong, on texts that come again as people say
//! them: some often, most hardly ever, and not always in the same words.
//!
//! The stream: texts that nobody learned from, with and without a route, in an order by chance. The
//! text with rank r comes 1/r as often as the first (Zipf), and so do the ways to say it. A hit is
//! wrong if it leads to another route than the text's, or anywhere if it has none. The router is
//! wrong sometimes without any cache: its share on what was not known stands beside it.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use rand::SeedableRng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use troupe_bus::Bus;
use troupe_contract::routing::{CacheUse, ResolveOutcome};
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
    /// The share of all other answers that are wrong.
    pub wrong_miss_ratio: Option<f64>,
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
}

/// A text, with the route that is right.
type Truth = (String, Option<Name>);

/// Asks `asked` texts of a set whose examples are declared.
pub(super) async fn run(bus: &Bus, set: &IntentSet, asked: usize) -> Result<Replay> {
    super::say(&format!("a stream of {asked} texts"));
    let labelled = set.test.iter().map(|one| (one.text.clone(), route(&one.label)));
    let strangers = set.out_of_scope.iter().map(|text| (text.clone(), None));
    let mut texts: Vec<Truth> = labelled.chain(strangers).collect();
    let mut chance = ChaCha8Rng::seed_from_u64(SEED);
    texts.shuffle(&mut chance);
    let of_text = zipf(texts.len())?;
    let of_way = zipf(WAYS)?;
    let drawn: Vec<(usize, usize)> =
        (0..asked).map(|_| (of_text.sample(&mut chance), of_way.sample(&mut chance))).collect();
    let mut replay = Replay {
        set: set.name.clone(),
        asked,
        different: distinct(&drawn),
        out_of_scope: distinct_where(&drawn, |text| texts[text].1.is_none()),
        ..Replay::default()
    };
    let said = drawn.into_iter().map(|(text, way)| {
        let (said, truth) = texts[text].clone();
        // A different way for each text: not all people say "please".
        (phrases::variant(&said, way * 7 + text * usize::from(way > 0)), truth)
    });
    let said: Vec<(String, Option<Name>)> = said.collect();
    let asks = said
        .into_iter()
        .map(|(said, truth)| async move { anyhow::Ok((truth, fleet::resolve(bus, &said).await?)) });
    let mut told = stream::iter(asks).buffered(AT_ONCE);
    while let Some((truth, told)) = told.try_next().await? {
        let answers = match told.cache {
            CacheUse::Exact => &mut replay.exact,
            CacheUse::Near => &mut replay.near,
            CacheUse::Miss => &mut replay.miss,
        };
        answers.count += 1;
        match told.outcome {
            ResolveOutcome::Abstained => answers.abstained += 1,
            ResolveOutcome::Chosen => answers.wrong += usize::from(told.route_id != truth),
        }
    }
    let Replay { exact, near, miss, .. } = replay;
    let hits = exact.count + near.count;
    replay.hit_ratio = share(hits, asked);
    replay.wrong_hit_ratio = share(exact.wrong + near.wrong, hits);
    replay.wrong_miss_ratio = share(miss.wrong, miss.count);
    Ok(replay)
}

/// The first comes twice as often as the second, and so on.
fn zipf(count: usize) -> Result<WeightedIndex<f64>> {
    WeightedIndex::new((1..=count).map(|rank| 1.0 / rank as f64)).context("no texts to draw from")
}

fn distinct(drawn: &[(usize, usize)]) -> usize {
    distinct_where(drawn, |_| true)
}

fn distinct_where(drawn: &[(usize, usize)], counts: impl Fn(usize) -> bool) -> usize {
    let mut seen: Vec<_> = drawn.iter().filter(|(text, _)| counts(*text)).collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len()
}
