//! The index by itself: how fast it takes entries in and finds them, and what it takes of memory.

use std::time::Instant;

use anyhow::Result;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use troupe_domain::Timestamp;
use troupe_recall::{Found, Index, Query, Scan, Settings, Vector, Words};

use super::options::Sizes;
use super::phrases::{question, report};
use super::vectors::Vectors;
use crate::latency::{Latency, Recorder};

/// Results of a search.
const LIMIT: usize = 10;
/// One of so many entries does not pass the filter.
const FILTERED_OF: u32 = 10;
/// Noise in a vector that was made up, as a share of its length.
const NOISE: f32 = 0.2;
/// Entries are a minute apart, and each talk has so many.
const MINUTE_MS: i64 = 60_000;
const TALK: u32 = 8;
/// 2026-01-01.
const FIRST_MS: i64 = 1_767_225_600_000;

/// The index at one size.
#[derive(Debug, Clone, Serialize)]
pub struct Indexed {
    /// Entries.
    pub entries: usize,
    /// Of these with a text that was embedded.
    pub embedded: usize,
    /// Words of an entry put in per second, on one core.
    pub put_per_s: f64,
    /// Bytes of texts, on average.
    pub text_bytes_each: f64,
    /// Bytes of memory for the words of an entry.
    pub words_bytes_each: f64,
    /// Bytes of memory for the vector of an entry.
    pub vector_bytes_each: f64,
    /// By words alone.
    pub words: Latency,
    /// By meaning alone.
    pub meaning: Latency,
    /// By both.
    pub both: Latency,
    /// By both, where one of a thousand entries passes the filter.
    pub selective: Latency,
    /// How vectors were looked at.
    pub sketched: bool,
    /// The share of the ten nearest that the scan of sketches finds.
    pub sketch_recall_at_10: f64,
    /// An entry removed, and put in again.
    pub removed_and_put: Latency,
}

/// What is asked.
struct Asked {
    text: String,
    vector: Vector,
}

/// Measures one size after the other in one growing index.
pub(super) async fn run(sizes: &Sizes, reports: &mut Vec<Indexed>) -> Result<()> {
    let vectors = Vectors::start().await?;
    super::say(&format!("index: embedding {} texts", sizes.embedded));
    let texts: Vec<String> = (0..sizes.embedded).map(report).collect();
    let embedded = vectors.exact(&texts).await?;
    let questions: Vec<String> = (0..sizes.searches).map(question).collect();
    let asked = vectors.stored(&questions).await?;
    let asked = questions.into_iter().zip(asked);
    let asked: Vec<Asked> = asked.map(|(text, vector)| Asked { text, vector }).collect();
    vectors.stop().await;
    let entries = sizes.entries.clone();
    let measured = tokio::task::spawn_blocking(move || {
        let mut index = Index::new(Settings::default());
        let measure = |entries: usize| measure(&mut index, entries, &embedded, &asked);
        entries.into_iter().map(measure).collect::<Result<Vec<_>>>()
    });
    reports.extend(measured.await??);
    Ok(())
}

fn measure(
    index: &mut Index<u32>,
    entries: usize,
    embedded: &[Vec<f32>],
    asked: &[Asked],
) -> Result<Indexed> {
    super::say(&format!("index: {entries} entries"));
    let first = index.len();
    let texts: Vec<String> = (first..entries).map(report).collect();
    let began = Instant::now();
    for (key, text) in (first as u32..).zip(&texts) {
        put(index, key, text);
    }
    let put_per_s = texts.len() as f64 / began.elapsed().as_secs_f64().max(f64::EPSILON);
    for key in first..entries {
        index.set_vector(key as u32, &vector(key, embedded)?)?;
    }
    let memory = index.memory();
    let each = |bytes: usize| bytes as f64 / entries.max(1) as f64;
    let nine_of_ten = |key: u32| (!key.is_multiple_of(FILTERED_OF)).then_some(1.0);
    let few = |key: u32| (key % 1_000 == 7).then_some(1.0);
    let timed = |ask: &dyn Fn(&Asked) -> Found<u32>| {
        let recorder = Recorder::default();
        for one in asked {
            let began = Instant::now();
            let found = ask(one);
            recorder.record(began.elapsed());
            std::hint::black_box(found);
        }
        recorder.summary()
    };
    let by_words = |one: &Asked| index.search(&query(&one.text, None), nine_of_ten);
    let by_meaning = |one: &Asked| index.search(&query("", Some(&one.vector)), nine_of_ten);
    let by_both = |one: &Asked| index.search(&query(&one.text, Some(&one.vector)), nine_of_ten);
    let selective = |one: &Asked| index.search(&query(&one.text, Some(&one.vector)), few);
    let (words, meaning) = (timed(&by_words), timed(&by_meaning));
    let (both, selective) = (timed(&by_both), timed(&selective));
    let sketched = asked.first().is_some_and(|one| by_meaning(one).scan == Scan::Sketch);
    let sketch_recall_at_10 = sketch_recall(index, asked);
    Ok(Indexed {
        entries,
        embedded: embedded.len().min(entries),
        put_per_s,
        text_bytes_each: texts.iter().map(String::len).sum::<usize>() as f64
            / texts.len().max(1) as f64,
        words_bytes_each: each(memory.terms + memory.entries),
        vector_bytes_each: each(memory.vectors),
        words,
        meaning,
        both,
        selective,
        sketched,
        sketch_recall_at_10,
        removed_and_put: removed_and_put(index, entries, embedded, asked.len())?,
    })
}

fn query<'a>(text: &'a str, vector: Option<&'a Vector>) -> Query<'a> {
    Query { text, vector, limit: LIMIT, offset: 0 }
}

fn put(index: &mut Index<u32>, key: u32, text: &str) {
    let when = Some(Timestamp::from_millis(FIRST_MS + i64::from(key) * MINUTE_MS));
    let previous = (!key.is_multiple_of(TALK)).then(|| key - 1);
    index.put(key, Words { text, when, previous });
}

/// The vector of an entry: that of its text, or a mix of two such with some noise.
fn vector(key: usize, embedded: &[Vec<f32>]) -> Result<Vector> {
    let mut random = ChaCha8Rng::seed_from_u64(key as u64);
    let mixed: Vec<f32> = if let Some(own) = embedded.get(key) {
        own.clone()
    } else {
        let mut any = || &embedded[random.random_range(0..embedded.len())];
        let (one, other) = (any(), any());
        let share = random.random_range(0.5_f32..1.0);
        // Uniform within ±a has the length a · √(n/3).
        let width = NOISE * (3.0 / one.len() as f32).sqrt();
        let mix = one.iter().zip(other).map(|(a, b)| share * a + (1.0 - share) * b);
        mix.map(|x| x + random.random_range(-width..width)).collect()
    };
    Vector::quantise(&mixed).ok_or_else(|| anyhow::anyhow!("a vector without a direction"))
}

/// How many of the ten nearest the scan of sketches finds.
fn sketch_recall(index: &mut Index<u32>, asked: &[Asked]) -> f64 {
    let nearest = |index: &Index<u32>, one: &Asked| -> Vec<u32> {
        let found = index.search(&query("", Some(&one.vector)), |_| Some(1.0));
        found.hits.iter().map(|hit| hit.key).collect()
    };
    let defaults = Settings::default();
    // Neighbours would come along; here only distances count.
    let only = Settings { neighbour_weight: 0.0, ..defaults };
    let (mut found, mut wanted) = (0, 0);
    for one in asked.iter().take(100) {
        index.set_settings(Settings { exact_up_to: usize::MAX, ..only });
        let exact = nearest(index, one);
        index.set_settings(Settings { exact_up_to: 0, ..only });
        let sketched = nearest(index, one);
        found += exact.iter().filter(|key| sketched.contains(key)).count();
        wanted += exact.len();
    }
    index.set_settings(defaults);
    found as f64 / wanted.max(1) as f64
}

fn removed_and_put(
    index: &mut Index<u32>,
    entries: usize,
    embedded: &[Vec<f32>],
    count: usize,
) -> Result<Latency> {
    let recorder = Recorder::default();
    let mut random = ChaCha8Rng::seed_from_u64(entries as u64);
    for _ in 0..count {
        let key = random.random_range(0..entries);
        let (text, vector) = (report(key), vector(key, embedded)?);
        let began = Instant::now();
        index.remove(key as u32);
        put(index, key as u32, &text);
        index.set_vector(key as u32, &vector)?;
        recorder.record(began.elapsed());
    }
    Ok(recorder.summary())
}
