//! How well texts find their route, by how many examples a route has, beside the peer on the same
//! vectors.
//!
//! Invariant: nothing is tuned on what is asked. Thresholds and calibration follow from the examples
//! that were drawn, as they do in the service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use troupe_embedding::{Embedder, EmbedderSettings, Model, ModelSettings};
use troupe_intent::evaluate::few_shot;
use troupe_intent::{Examples, Route, Router, Settings};

use super::options::RoutingArgs;
use super::peer::{Case, SemanticRouter};
use super::scores::{Said, Scores};
use super::sets::{self, IntentSet};

/// Examples a route, in turn; none for all.
const SHOTS: [Option<usize>; 3] = [Some(5), Some(10), None];

/// Accuracy on every set.
#[derive(Debug, Clone, Serialize)]
pub struct Accuracy {
    /// The embedding model.
    pub model: String,
    /// The set's texts that were embedded in a second, in one long list.
    pub embedded_per_s: f64,
    /// Versions of the peer, if it took part.
    pub peer: Option<String>,
    /// In the order of their names.
    pub sets: Vec<SetReport>,
}

/// One set.
#[derive(Debug, Clone, Serialize)]
pub struct SetReport {
    /// Its name.
    pub name: String,
    /// Its intents.
    pub routes: usize,
    /// Texts that may be learned from.
    pub train: usize,
    /// Texts that are asked.
    pub test: usize,
    /// Texts that are asked although no intent is meant.
    pub out_of_scope: usize,
    /// By examples a route.
    pub shots: Vec<ShotReport>,
}

/// One number of examples a route.
#[derive(Debug, Clone, Serialize)]
pub struct ShotReport {
    /// Examples a route; none for all.
    pub shots: Option<usize>,
    /// Draws that the scores are the means of.
    pub draws: usize,
    /// By router: ours, and the peer's ways to aggregate.
    pub routers: BTreeMap<String, RouterReport>,
}

/// One router.
#[derive(Debug, Clone, Serialize)]
pub struct RouterReport {
    /// The means.
    pub mean: Scores,
    /// The accuracy of each draw.
    pub accuracy_each: Vec<f64>,
}

/// The name of our router in a report.
pub const OURS: &str = "troupe";

/// A set with the vectors of its texts: of what may be learned from, what is asked, and what is
/// asked although no intent is meant, in this order.
struct Vectors {
    set: IntentSet,
    rows: Vec<Vec<f32>>,
}

/// Measures every set.
pub(super) async fn run(
    args: &RoutingArgs,
    seeds: usize,
    peer: Option<&SemanticRouter>,
) -> Result<Accuracy> {
    let folder = args.sets.clone();
    let read = tokio::task::spawn_blocking(move || sets::read_all(&folder)).await??;
    let found = || Model::find(&ModelSettings::default());
    let model = tokio::task::spawn_blocking(found).await??;
    let id = model.id().to_owned();
    let embedder = Embedder::start(model, EmbedderSettings::default())?;
    let (mut texts, mut took) = (0_usize, Duration::ZERO);
    let mut report = Accuracy {
        model: id,
        embedded_per_s: 0.0,
        peer: None,
        sets: Vec::with_capacity(read.len()),
    };
    for set in read {
        super::say(&format!("accuracy: {}", set.name));
        let began = Instant::now();
        let vectors = embed(&embedder, set).await?;
        took += began.elapsed();
        texts += vectors.rows.len();
        let cases = cases(&vectors.set, seeds);
        let mut scores: BTreeMap<_, BTreeMap<String, Vec<Scores>>> = BTreeMap::new();
        if let Some(peer) = peer {
            let scratch = tempfile::tempdir()?;
            let dims = vectors.rows.first().map_or(0, Vec::len);
            let told = peer.measure(scratch.path(), &vectors.rows, dims, &cases).await?;
            for result in told.results {
                let of_case = scores.entry(order(result.shots)).or_default();
                let name = format!("{} {}", super::peer::NAME, result.aggregation);
                of_case.entry(name).or_default().push(result.scores);
            }
            report.peer = Some(told.versions);
        }
        let (set, ours) = tokio::task::spawn_blocking(move || {
            let scored: Result<Vec<_>> =
                cases.iter().map(|case| Ok((case.shots, measure(&vectors, case)?))).collect();
            (vectors.set, scored)
        })
        .await?;
        for (shots, one) in ours? {
            let of_case = scores.entry(order(shots)).or_default();
            of_case.entry(OURS.to_owned()).or_default().push(one);
        }
        report.sets.push(told(&set, scores));
    }
    report.embedded_per_s = texts as f64 / took.as_secs_f64().max(f64::EPSILON);
    embedder.stop().await;
    Ok(report)
}

async fn embed(embedder: &Embedder, set: IntentSet) -> Result<Vectors> {
    let labelled = set.train.iter().chain(&set.test).map(|one| one.text.clone());
    let texts: Vec<String> = labelled.chain(set.out_of_scope.iter().cloned()).collect();
    let mut rows = Vec::with_capacity(texts.len());
    for part in texts.chunks(troupe_embedding::MANY_MAX_TEXTS) {
        let vectors = embedder.embed_many(part).await.with_context(|| set.name.clone())?;
        rows.extend(vectors.iter().map(|vector| vector.as_slice().to_vec()));
    }
    Ok(Vectors { set, rows })
}

/// What is asked of every router: each number of examples, drawn as often as it can differ.
fn cases(set: &IntentSet, seeds: usize) -> Vec<Case> {
    let names = set.labels();
    let place = |label: &str| names.binary_search(&label).unwrap_or_default();
    let labels: Vec<usize> = set.train.iter().map(|one| place(&one.label)).collect();
    let asked = |rows: std::ops::Range<usize>| rows.map(|row| row + set.train.len());
    let test: Vec<(usize, String)> = asked(0..set.test.len())
        .zip(&set.test)
        .map(|(row, one)| (row, one.label.clone()))
        .collect();
    let strangers = set.test.len()..set.test.len() + set.out_of_scope.len();
    let mut cases = Vec::new();
    for shots in SHOTS {
        for seed in 0..seeds.max(1) as u64 {
            let drawn = few_shot(&labels, shots, seed);
            let everything = drawn.len() == labels.len();
            let mut routes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for row in drawn {
                routes.entry(set.train[row].label.clone()).or_default().push(row);
            }
            cases.push(Case {
                name: set.name.clone(),
                shots,
                seed,
                routes,
                test: test.clone(),
                out_of_scope: asked(strangers.clone()).collect(),
            });
            if everything {
                break;
            }
        }
    }
    cases
}

/// How our router does: fitted to the examples of a case as the service fits it.
fn measure(vectors: &Vectors, case: &Case) -> Result<Scores> {
    let row = |at: &usize| vectors.rows[*at].clone();
    let routes = case.routes.iter().map(|(name, examples)| Route {
        name: name.clone(),
        examples: examples.iter().map(row).collect(),
    });
    let dims = vectors.rows.first().map_or(0, Vec::len);
    let began = Instant::now();
    let examples = Examples::new(dims, routes)?;
    let (router, _) = Router::fit(&examples, &Settings::default(), None)?;
    let build_s = began.elapsed().as_secs_f64();
    let mut took = Vec::with_capacity(case.test.len() + case.out_of_scope.len());
    let mut ask = |at: usize, label: Option<&str>| -> Result<Said> {
        let began = Instant::now();
        let decision = router.decide(&vectors.rows[at])?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
        let best = decision.ranked.first();
        Ok(Said {
            probability: best.map_or(0.0, |best| best.probability),
            scope: decision.scope,
            right: best.is_some_and(|best| Some(&*best.route) == label),
            answers: decision.route().is_some(),
        })
    };
    let inside = case.test.iter().map(|(at, label)| ask(*at, Some(label)));
    let inside = inside.collect::<Result<Vec<_>>>()?;
    let outside = case.out_of_scope.iter().map(|at| ask(*at, None));
    let outside = outside.collect::<Result<Vec<_>>>()?;
    took.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().max(1) - 1));
    Ok(Scores {
        build_s,
        decide_p50_us: at(50).copied(),
        decide_p99_us: at(99).copied(),
        ..Scores::of(&inside, &outside)
    })
}

/// All examples come after any number of them.
fn order(shots: Option<usize>) -> usize {
    shots.unwrap_or(usize::MAX)
}

fn told(set: &IntentSet, scores: BTreeMap<usize, BTreeMap<String, Vec<Scores>>>) -> SetReport {
    let shots = scores.into_iter().map(|(shots, routers)| ShotReport {
        shots: (shots != usize::MAX).then_some(shots),
        draws: routers.values().map(Vec::len).max().unwrap_or_default(),
        routers: routers
            .into_iter()
            .map(|(name, scores)| {
                let accuracy_each = scores.iter().map(|one| one.accuracy).collect();
                (name, RouterReport { mean: Scores::mean(&scores), accuracy_each })
            })
            .collect(),
    });
    SetReport {
        name: set.name.clone(),
        routes: set.labels().len(),
        train: set.train.len(),
        test: set.test.len(),
        out_of_scope: set.out_of_scope.len(),
        shots: shots.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::sets::Labelled;

    fn set(train: usize) -> IntentSet {
        let labelled = |text: usize, label: &str| Labelled {
            text: format!("{label} {text}"),
            label: label.to_owned(),
        };
        IntentSet {
            name: "s".to_owned(),
            train: (0..train).flat_map(|n| [labelled(n, "b"), labelled(n, "a")]).collect(),
            test: vec![labelled(0, "a"), labelled(0, "c")],
            out_of_scope: vec!["x".to_owned()],
        }
    }

    #[test]
    fn few_examples_are_drawn_anew_and_all_of_them_once() {
        let cases = cases(&set(8), 3);
        let drawn: Vec<_> = cases.iter().map(|case| (case.shots, case.seed)).collect();
        // Ten of eight are all of them.
        let five = Some(5);
        assert_eq!(drawn, [(five, 0), (five, 1), (five, 2), (Some(10), 0), (None, 0)]);
        assert!(cases[0].routes != cases[1].routes);
        for case in &cases {
            assert_eq!(case.test, [(16, "a".to_owned()), (17, "c".to_owned())]);
            assert_eq!(case.out_of_scope, [18]);
            for (label, rows) in &case.routes {
                assert!(rows.iter().all(|row| *row < 16 && (row % 2 == 0) == (label == "b")));
            }
        }
    }
}
