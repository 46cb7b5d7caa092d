//! What an agent of the demo does with one task: a real program, started by `troupe agent run`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use troupe_domain::task::ClaimedTask;

use super::figures::{Analysis, Audit, Counts, FileFigures, Sums, Synthesis};
use super::graph::{AUDITOR, COORDINATOR, IMPLEMENTER};
use super::measure::measure;
use super::recount::recount;
use crate::agent::capture::hex;

/// Lines about differences in one result.
const MAX_DIFFERENCES: usize = 100;

#[derive(Deserialize)]
struct Order {
    root: String,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    pace_ms: u64,
}

/// Does the task, and gives `{result, evidence}`.
pub(crate) fn carry_out(claimed: &ClaimedTask) -> Result<Value> {
    let task = &claimed.task;
    let order: Order = task.payload.as_ref().context("no payload")?.parse()?;
    eprintln!("{} (attempt {})", task.title, task.epoch);
    // The counting is done within milliseconds; this is for the people who look on.
    std::thread::sleep(Duration::from_millis(order.pace_ms));
    let root = Path::new(&order.root);
    let (result, statement) = match task.required_role.as_ref().map(AsRef::as_ref) {
        Some(role) if role == IMPLEMENTER.0 => analyse(root, &order.files)?,
        Some(role) if role == AUDITOR.0 => audit(root, inputs(claimed)?)?,
        Some(role) if role == COORDINATOR.0 => synthesise(inputs(claimed)?)?,
        role => bail!("no step is known for the role {role:?}"),
    };
    Ok(json!({ "result": result, "evidence": [{ "observation": { "statement": statement } }] }))
}

fn inputs<T: DeserializeOwned>(claimed: &ClaimedTask) -> Result<Vec<T>> {
    let read = |(key, input): (&troupe_domain::Name, &troupe_domain::task::Input)| {
        let result = input.result.as_ref().with_context(|| format!("{key} has no result"))?;
        serde_json::from_str(result.get()).with_context(|| format!("the result of {key}"))
    };
    claimed.inputs.iter().map(read).collect()
}

fn read(root: &Path, path: &str, count: fn(&str, &[u8]) -> Counts) -> Result<FileFigures> {
    let bytes = std::fs::read(root.join(path)).with_context(|| path.to_owned())?;
    let sha256 = hex(&Sha256::digest(&bytes));
    Ok(FileFigures { path: path.to_owned(), sha256, counts: count(path, &bytes) })
}

fn analyse(root: &Path, files: &[String]) -> Result<(Value, String)> {
    let files: Vec<_> =
        files.iter().map(|path| read(root, path, measure)).collect::<Result<_>>()?;
    let statement = format!("read {} files", files.len());
    Ok((serde_json::to_value(Analysis { files })?, statement))
}

fn audit(root: &Path, analyses: Vec<Analysis>) -> Result<(Value, String)> {
    let mut again = Vec::new();
    let (mut discrepancies, mut changed) = (Vec::new(), Vec::new());
    for first in analyses.iter().flat_map(|analysis| &analysis.files) {
        let second = read(root, &first.path, recount)?;
        if second.sha256 != first.sha256 {
            changed.push(first.path.clone());
        } else if second.counts != first.counts {
            let (one, other) = (first.counts, second.counts);
            discrepancies.push(format!("{}: {one:?} against {other:?}", first.path));
        }
        again.push(second);
    }
    discrepancies.truncate(MAX_DIFFERENCES);
    let statement = format!(
        "counted {} files again: {} discrepancies, {} changed meanwhile",
        again.len(),
        discrepancies.len(),
        changed.len()
    );
    let audit = Audit { sums: Sums::of(&again), discrepancies, changed };
    Ok((serde_json::to_value(audit)?, statement))
}

fn synthesise(audits: Vec<Audit>) -> Result<(Value, String)> {
    let parts = audits.len() as u64;
    let mut whole =
        Synthesis { parts, sums: Sums::default(), discrepancies: vec![], changed: vec![] };
    for audit in audits {
        whole.sums.add(&audit.sums);
        whole.discrepancies.extend(audit.discrepancies);
        whole.changed.extend(audit.changed);
    }
    whole.discrepancies.truncate(MAX_DIFFERENCES);
    let statement = format!("added up {parts} parts, {} files", whole.sums.total.files);
    Ok((serde_json::to_value(whole)?, statement))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_count_and_an_edited_file_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.rs"), "fn a() {}\n").unwrap();
        std::fs::write(folder.path().join("b.rs"), "fn b() {}\n").unwrap();
        let files = ["a.rs".to_owned(), "b.rs".to_owned()];
        let (result, _) = analyse(folder.path(), &files).unwrap();
        let mut analysis: Analysis = serde_json::from_value(result).unwrap();
        let judged = |analysis: &Analysis| -> Audit {
            let (result, _) = audit(folder.path(), vec![analysis.clone()]).unwrap();
            serde_json::from_value(result).unwrap()
        };
        let honest = judged(&analysis);
        assert_eq!((honest.discrepancies.len(), honest.changed.len()), (0, 0));
        analysis.files[0].counts.lines += 1;
        std::fs::write(folder.path().join("b.rs"), "edited\n").unwrap();
        let judged = judged(&analysis);
        assert!(judged.discrepancies[0].starts_with("a.rs"), "{judged:?}");
        assert_eq!(judged.changed, ["b.rs"]);
    }
}
