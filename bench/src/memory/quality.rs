//! How well questions find their evidence: by words, by meaning, by both.

mod scores;
mod sets;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use troupe_recall::{Index, Query, Settings, Vector, Words, context};

use super::options::Sizes;
use super::vectors::Vectors;
use scores::{RANKED, Scores};
use sets::{QuestionSet, World};

/// All sets.
#[derive(Debug, Clone, Serialize)]
pub struct Quality {
    /// The embedding model.
    pub model: String,
    /// In the order of their names.
    pub sets: Vec<SetReport>,
}

/// One set.
#[derive(Debug, Clone, Serialize)]
pub struct SetReport {
    /// Its name.
    pub name: String,
    /// Conversations or histories.
    pub worlds: usize,
    /// Entries of all of them together.
    pub entries: usize,
    /// Questions that were asked.
    pub questions: usize,
    /// By the way to search, in the order in which they build on each other.
    pub ways: Vec<WayReport>,
}

/// One way to search.
#[derive(Debug, Clone, Serialize)]
pub struct WayReport {
    /// Its name.
    pub way: &'static str,
    /// How well it finds.
    pub scores: Scores,
}

/// A way to search.
#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    words: bool,
    /// Vectors: none, of each text alone, or with the one before as context.
    meaning: Option<Meaning>,
    date_words: bool,
    neighbours: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Alone,
    InContext,
}

const WAYS: [Way; 6] = {
    let plain = Way {
        name: "hybrid, plain",
        words: true,
        meaning: Some(Meaning::Alone),
        date_words: false,
        neighbours: false,
    };
    [
        Way { name: "words", meaning: None, ..plain },
        Way { name: "meaning", words: false, ..plain },
        plain,
        Way { name: "hybrid, dates", date_words: true, ..plain },
        Way {
            name: "hybrid, dates, context",
            date_words: true,
            meaning: Some(Meaning::InContext),
            ..plain
        },
        Way {
            name: "hybrid, dates, context, neighbours",
            date_words: true,
            meaning: Some(Meaning::InContext),
            neighbours: true,
            ..plain
        },
    ]
};

impl Way {
    fn settings(&self) -> Settings {
        let defaults = Settings::default();
        let neighbour_weight = if self.neighbours { defaults.neighbour_weight } else { 0.0 };
        Settings { date_words: self.date_words, neighbour_weight, ..defaults }
    }
}

/// A world with its vectors: of texts alone, of texts in context, of questions.
struct Embedded<'a> {
    world: &'a World,
    alone: Vec<Vector>,
    in_context: Vec<Vector>,
    questions: Vec<Vector>,
}

/// Measures every set in a folder.
pub(super) async fn run(folder: &Path, sizes: &Sizes) -> Result<Quality> {
    let (read, questions) = (folder.to_owned(), sizes.questions);
    let sets = tokio::task::spawn_blocking(move || sets::read_all(&read, questions)).await??;
    let vectors = Vectors::start().await?;
    let mut quality = Quality { model: vectors.model.clone(), sets: Vec::new() };
    for set in sets {
        quality.sets.push(measure(&set, &vectors).await?);
    }
    vectors.stop().await;
    Ok(quality)
}

async fn measure(set: &QuestionSet, vectors: &Vectors) -> Result<SetReport> {
    let began = Instant::now();
    let entries = set.worlds.iter().map(|world| world.entries.len()).sum();
    let questions = set.worlds.iter().map(|world| world.questions.len()).sum();
    super::say(&format!("quality: {}, {entries} entries, {questions} questions", set.name));
    let mut ranks = WAYS.map(|_| Vec::new());
    // One world at a time: a large set has more vectors than fit.
    for world in &set.worlds {
        let embedded = embed(world, vectors).await?;
        for (way, ranks) in WAYS.iter().zip(&mut ranks) {
            ranks.extend(asked(way, &embedded));
        }
    }
    super::say(&format!("quality: {} took {:.0} s", set.name, began.elapsed().as_secs_f64()));
    let reports = WAYS.iter().zip(&ranks);
    let ways = reports
        .map(|(way, ranks)| WayReport { way: way.name, scores: Scores::of(ranks) })
        .collect();
    Ok(SetReport { name: set.name.clone(), worlds: set.worlds.len(), entries, questions, ways })
}

async fn embed<'a>(world: &'a World, vectors: &Vectors) -> Result<Embedded<'a>> {
    let texts = |entries: &dyn Fn(usize) -> String| -> Vec<String> {
        (0..world.entries.len()).map(entries).collect()
    };
    let alone = texts(&|at| context(None, &world.entries[at].text));
    let in_context = texts(&|at| {
        let entry = &world.entries[at];
        let previous = entry.previous.map(|previous| world.entries[previous].text.as_str());
        context(previous, &entry.text)
    });
    let questions: Vec<String> = world.questions.iter().map(|one| one.text.clone()).collect();
    Ok(Embedded {
        world,
        alone: vectors.stored(&alone).await?,
        in_context: vectors.stored(&in_context).await?,
        questions: vectors.stored(&questions).await?,
    })
}

/// For each question of a world, the ranks at which its evidence came, and how much there is.
fn asked(way: &Way, embedded: &Embedded<'_>) -> Vec<scores::Ranks> {
    let Embedded { world, alone, in_context, questions } = embedded;
    let mut index = Index::new(way.settings());
    for (at, entry) in (0_u32..).zip(&world.entries) {
        if way.words {
            let previous = entry.previous.map(|previous| previous as u32);
            index.put(at, Words { text: &entry.text, when: entry.when, previous });
        }
        let vector = match way.meaning {
            None => None,
            Some(Meaning::Alone) => alone.get(at as usize),
            Some(Meaning::InContext) => in_context.get(at as usize),
        };
        if let Some(vector) = vector {
            // All are of one model.
            let _ = index.set_vector(at, vector);
        }
    }
    let ask = |(question, vector): (&sets::Question, &Vector)| {
        let query = Query {
            text: if way.words { &question.text } else { "" },
            vector: way.meaning.map(|_| vector),
            limit: RANKED,
            offset: 0,
        };
        let found = index.search(&query, |_| Some(1.0));
        let groups = found.hits.iter().map(|hit| world.entries[hit.key as usize].group.as_str());
        scores::Ranks::of(groups, &question.evidence)
    };
    world.questions.iter().zip(questions).map(ask).collect()
}
