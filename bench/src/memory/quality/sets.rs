//! Sets of questions with evidence, read from a folder: a file or a folder each.
//!
//! - JSON as LoCoMo is published: a list of conversations of several sessions, and questions whose
//!   evidence are turns.
//! - JSON as LongMemEval is published: a list of questions, each with a history of its own and sessions
//!   as evidence. Questions that have no answer have no evidence, and are left out.
//! - A folder with `entries.csv` (`id,talk,when,text`) and `questions.csv` (`question,evidence`).

mod csv;
mod locomo;
mod long_mem_eval;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use troupe_domain::Timestamp;

/// The largest file that is read: LongMemEval's longest has 2.7 GB and is not for one machine.
const FILE_MAX_BYTES: u64 = 512 * 1024 * 1024;

/// A set.
#[derive(Debug)]
pub(super) struct QuestionSet {
    pub(super) name: String,
    pub(super) worlds: Vec<World>,
}

/// What is searched together, and what is asked of it.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) entries: Vec<Entry>,
    pub(super) questions: Vec<Question>,
}

/// One thing that was said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// What evidence names: the entry, or its session.
    pub(super) group: String,
    pub(super) text: String,
    pub(super) when: Option<Timestamp>,
    /// The place of the entry before it in the same talk.
    pub(super) previous: Option<usize>,
}

/// A question, with the groups that answer it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) text: String,
    pub(super) evidence: BTreeSet<String>,
}

/// Reads every set in a folder, in the order of their names, with at most so many questions each.
pub(super) fn read_all(folder: &Path, questions: usize) -> Result<Vec<QuestionSet>> {
    let listed = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> =
        listed.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    let mut sets = Vec::new();
    for path in paths {
        let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let worlds = if path.is_dir() {
            vec![csv::read(&path)?]
        } else if is_json {
            published(&path)?
        } else {
            continue;
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        sets.push(QuestionSet { name, worlds: some(worlds, questions) });
    }
    if sets.is_empty() {
        bail!("{}: no set there: neither a JSON file nor a folder", folder.display());
    }
    Ok(sets)
}

fn published(path: &Path) -> Result<Vec<World>> {
    let size = fs::metadata(path)?.len();
    if size > FILE_MAX_BYTES {
        bail!("{}: {size} bytes are more than the {FILE_MAX_BYTES} that are read", path.display());
    }
    let text = fs::read_to_string(path)?;
    // Each says of itself by its fields what it is.
    let worlds = locomo::parse(&text).or_else(|not_locomo| {
        long_mem_eval::parse(&text).map_err(|neither| {
            anyhow::anyhow!("neither LoCoMo ({not_locomo}) nor LongMemEval ({neither})")
        })
    });
    worlds.with_context(|| path.display().to_string())
}

/// Evenly chosen questions, and the worlds of which something is asked.
fn some(mut worlds: Vec<World>, questions: usize) -> Vec<World> {
    let all: usize = worlds.iter().map(|world| world.questions.len()).sum();
    let kept = questions.min(all);
    let mut number = 0;
    for world in &mut worlds {
        world.questions.retain(|_| {
            // The places at which the next whole number is reached.
            let taken = number * kept / all.max(1) < (number + 1) * kept / all.max(1);
            number += 1;
            taken
        });
    }
    worlds.retain(|world| !world.questions.is_empty());
    worlds
}

/// The moment that a text names in one of a few forms.
fn moment(text: &str, formats: &[&str]) -> Option<Timestamp> {
    formats.iter().find_map(|format| {
        let civil = jiff::civil::DateTime::strptime(format, text).ok()?;
        let moment = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(Timestamp::from_millis(moment.as_millisecond()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_questions_are_chosen_evenly() {
        let question = |n: usize| Question { text: n.to_string(), evidence: BTreeSet::new() };
        let worlds = || {
            let questions = |from: usize| (from..from + 5).map(question).collect();
            [0, 5].map(|from| World { questions: questions(from), ..World::default() }).into()
        };
        let count =
            |kept| some(worlds(), kept).iter().map(|world| world.questions.len()).sum::<usize>();
        assert_eq!([0, 1, 4, 10, 99].map(count), [0, 1, 4, 10, 10]);
        assert_eq!(some(worlds(), 4).len(), 2);
    }

    #[test]
    fn the_set_that_ships_is_whole() {
        let sets = read_all(Path::new("memory-sets"), usize::MAX).unwrap();
        let fleet = sets.iter().find(|set| set.name == "fleet").unwrap();
        let world = &fleet.worlds[0];
        assert!(world.entries.len() >= 130 && world.questions.len() >= 60);
        let groups: BTreeSet<&String> = world.entries.iter().map(|entry| &entry.group).collect();
        assert_eq!(groups.len(), world.entries.len(), "ids are used once");
        assert!(world.entries.iter().all(|entry| entry.when.is_some()));
        for question in &world.questions {
            assert!(!question.evidence.is_empty(), "{question:?}");
            assert!(question.evidence.iter().all(|id| groups.contains(id)), "{question:?}");
        }
    }
}
