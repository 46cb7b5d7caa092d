//! A set in two tables.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Entry, Question, World, moment};

const FORMATS: [&str; 2] = ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"];

#[derive(Deserialize)]
struct EntryRow {
    id: String,
    talk: String,
    when: String,
    text: String,
}

#[derive(Deserialize)]
struct QuestionRow {
    question: String,
    /// Ids, with spaces between.
    evidence: String,
}

pub(super) fn read(folder: &Path) -> Result<World> {
    let mut world = World::default();
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows::<EntryRow>(&folder.join("entries.csv"))? {
        let EntryRow { id, talk, when, text } = row;
        let previous = last.insert(talk, world.entries.len());
        world.entries.push(Entry { group: id, text, when: moment(&when, &FORMATS), previous });
    }
    for row in rows::<QuestionRow>(&folder.join("questions.csv"))? {
        let evidence = row.evidence.split_whitespace().map(str::to_owned).collect();
        world.questions.push(Question { text: row.question, evidence });
    }
    Ok(world)
}

fn rows<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let told = || path.display().to_string();
    let mut reader = csv::Reader::from_path(path).with_context(told)?;
    reader.deserialize().collect::<Result<_, _>>().with_context(told)
}
