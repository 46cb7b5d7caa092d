//! What came out, and whether it adds up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use troupe_domain::{AgentId, Task, TaskStatus};

use super::figures::{Analysis, Sums, Synthesis};
use super::files::{Found, Skipped, check_command};
use super::graph::IMPLEMENTER;
use super::stage::Loss;
use crate::output;

/// The report of one demo.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) ok: bool,
    /// What does not add up; empty if all is well.
    pub(crate) problems: Vec<String>,
    pub(crate) root: String,
    pub(crate) files_found: u64,
    pub(crate) skipped: Skipped,
    pub(crate) parts: usize,
    pub(crate) synthesis: Option<Synthesis>,
    pub(crate) tasks: BTreeMap<&'static str, usize>,
    pub(crate) attempts: u64,
    pub(crate) lease_expiries: u64,
    pub(crate) failures: u64,
    pub(crate) agents: usize,
    pub(crate) completed_by: BTreeMap<AgentId, usize>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) elapsed_ms: u64,
    pub(crate) tasks_per_second: f64,
    pub(crate) check_command: Option<String>,
}

/// What the demo knows by itself.
pub(crate) struct Facts<'a> {
    pub(crate) root: &'a Path,
    pub(crate) found: &'a [Found],
    pub(crate) skipped: Skipped,
    pub(crate) parts: usize,
    pub(crate) agents: usize,
    pub(crate) losses: Vec<Loss>,
    pub(crate) elapsed_ms: u64,
}

impl Report {
    /// Reads the results out of the tasks, and checks them against each other.
    pub(crate) fn of(facts: Facts<'_>, tasks: &[Arc<Task>]) -> Self {
        let mut problems = Vec::new();
        let synthesis = result_of::<Synthesis>(tasks, "synthesis", &mut problems);
        check_tasks(tasks, facts.parts, &mut problems);
        let analysed = analysed(tasks, &mut problems);
        if let Some(synthesis) = &synthesis {
            check_sums(&facts, &analysed, synthesis, &mut problems);
        }
        check_losses(&facts.losses, tasks, &mut problems);
        let by_type = synthesis.as_ref().map(|synthesis| &synthesis.sums.by_type);
        let known = |kind: &String| kind != "(none)";
        let largest = by_type
            .and_then(|kinds| kinds.iter().filter(|(k, _)| known(k)).max_by_key(|(_, c)| c.files));
        let complete = facts.skipped.left_out == 0;
        Self {
            ok: problems.is_empty(),
            problems,
            root: facts.root.display().to_string(),
            files_found: facts.found.len() as u64,
            skipped: facts.skipped,
            parts: facts.parts,
            check_command: largest
                .filter(|_| complete)
                .map(|(kind, _)| check_command(facts.root, kind)),
            synthesis,
            tasks: statuses(tasks),
            attempts: tasks.iter().map(|task| task.epoch).sum(),
            lease_expiries: tasks.iter().map(|task| u64::from(task.lease_expiries)).sum(),
            failures: tasks.iter().map(|task| u64::from(task.failures)).sum(),
            agents: facts.agents,
            completed_by: completed_by(tasks),
            losses: facts.losses,
            elapsed_ms: facts.elapsed_ms,
            tasks_per_second: tasks.len() as f64 * 1_000.0 / facts.elapsed_ms.max(1) as f64,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = vec![format!("\n{} files of {}", self.files_found, self.root)];
        if let Some(synthesis) = &self.synthesis {
            text.push(table(&synthesis.sums));
            if let Some(longest) = &synthesis.sums.longest {
                text.push(format!("longest file: {} ({} lines)", longest.path, longest.lines));
            }
            let (wrong, changed) = (synthesis.discrepancies.len(), synthesis.changed.len());
            text.push(format!(
                "counted twice in {} parts, by two roles in two ways: {wrong} discrepancies, \
                 {changed} files edited meanwhile",
                synthesis.parts
            ));
        }
        let statuses: Vec<_> = self.tasks.iter().map(|(s, count)| format!("{count} {s}")).collect();
        text.push(format!(
            "\ntasks: {}; {} attempts, {} leases run out, {} failures, {:.1} s, {:.1} tasks/s",
            statuses.join(", "),
            self.attempts,
            self.lease_expiries,
            self.failures,
            self.elapsed_ms as f64 / 1_000.0,
            self.tasks_per_second,
        ));
        let by: Vec<_> =
            self.completed_by.iter().map(|(a, count)| format!("{a} {count}")).collect();
        text.push(format!("completed by: {}", by.join(", ")));
        text.extend(self.losses.iter().map(tell));
        text.extend(self.check_command.iter().map(|line| format!("\ncheck it by hand:\n  {line}")));
        text.extend(self.problems.iter().map(|problem| format!("DOES NOT ADD UP: {problem}")));
        if self.ok {
            text.push("\nevery number adds up".to_owned());
        }
        text.join("\n")
    }
}

fn table(sums: &Sums) -> String {
    let header =
        ["type", "files", "lines", "blank", "words", "bytes", "functions", "headings", "TODO"];
    let row = |name: &str, counts: &super::figures::Counts| {
        let numbers = [
            counts.files,
            counts.lines,
            counts.blank_lines,
            counts.words,
            counts.bytes,
            counts.functions,
            counts.headings,
            counts.todos,
        ];
        let mut row = vec![name.to_owned()];
        row.extend(numbers.map(|number| number.to_string()));
        row
    };
    let mut kinds: Vec<_> = sums.by_type.iter().collect();
    kinds.sort_by_key(|(kind, counts)| (std::cmp::Reverse(counts.lines), *kind));
    let mut rows: Vec<_> = kinds.into_iter().map(|(kind, counts)| row(kind, counts)).collect();
    rows.push(row("total", &sums.total));
    output::table(&header, rows)
}

fn tell(loss: &Loss) -> String {
    let since = |moment: Option<troupe_domain::Timestamp>| {
        moment.map_or_else(
            || "never".to_owned(),
            |at| format!("after {} ms", at.millis_since(loss.killed_at)),
        )
    };
    format!(
        "killed: {} (kill -9 {}) at {} in the middle of {}; taken back {}, taken over by {} {}, \
         completed {}",
        loss.agent,
        loss.pid,
        loss.killed_at,
        loss.key,
        since(loss.taken_back_at),
        output::or_dash(loss.taken_over_by.as_ref()),
        since(loss.taken_over_at),
        since(loss.completed_at),
    )
}

fn result_of<T: serde::de::DeserializeOwned>(
    tasks: &[Arc<Task>],
    key: &str,
    problems: &mut Vec<String>,
) -> Option<T> {
    let task = tasks.iter().find(|task| task.key.as_ref().is_some_and(|k| k.as_str() == key));
    let result = task.and_then(|task| task.result.as_ref());
    let Some(result) = result else {
        problems.push(format!("{key} has no result"));
        return None;
    };
    match serde_json::from_str(result.get()) {
        Ok(value) => Some(value),
        Err(why) => {
            problems.push(format!("the result of {key} cannot be read: {why}"));
            None
        }
    }
}

fn check_tasks(tasks: &[Arc<Task>], parts: usize, problems: &mut Vec<String>) {
    let expected = 2 * parts + 1;
    if tasks.len() != expected {
        problems.push(format!("{} tasks where {expected} were submitted", tasks.len()));
    }
    for task in tasks.iter().filter(|task| task.status != TaskStatus::Completed) {
        let key = output::or_dash(task.key.as_ref());
        let error = task.error.as_deref().unwrap_or_default();
        problems.push(format!("{key} is {} {error}", task.status.as_str()));
    }
}

/// The sums over what the implementers found, file by file.
fn analysed(tasks: &[Arc<Task>], problems: &mut Vec<String>) -> Sums {
    let mut sums = Sums::default();
    let role = |task: &&Arc<Task>| {
        task.required_role.as_ref().is_some_and(|role| role.as_str() == IMPLEMENTER.0)
    };
    for key in tasks.iter().filter(role).filter_map(|task| task.key.as_ref()) {
        if let Some(analysis) = result_of::<Analysis>(tasks, key.as_str(), problems) {
            sums.add(&Sums::of(&analysis.files));
        }
    }
    sums
}

fn check_sums(
    facts: &Facts<'_>,
    analysed: &Sums,
    synthesis: &Synthesis,
    problems: &mut Vec<String>,
) {
    let total = synthesis.sums.total;
    let mut equal = |what: &str, one: u64, other: u64| {
        if one != other {
            problems.push(format!("{what}: {one} against {other}"));
        }
    };
    equal("files found and files read", facts.found.len() as u64, total.files);
    equal("parts made and parts joined", facts.parts as u64, synthesis.parts);
    equal("discrepancies", 0, synthesis.discrepancies.len() as u64);
    // A file that is edited meanwhile has two true counts.
    if synthesis.changed.is_empty() {
        let bytes = facts.found.iter().map(|file| file.bytes).sum();
        equal("bytes found and bytes read", bytes, total.bytes);
        if *analysed != synthesis.sums {
            problems.push("the sum of the analyses is not the synthesis".to_owned());
        }
    }
}

fn check_losses(losses: &[Loss], tasks: &[Arc<Task>], problems: &mut Vec<String>) {
    let Some(loss) = losses.iter().find(|loss| !loss.too_late) else {
        problems.push("no agent could be killed in the middle of a task".to_owned());
        return;
    };
    let task = tasks.iter().find(|task| task.id == loss.task_id);
    let finished = task.is_some_and(|task| {
        task.status == TaskStatus::Completed
            && task.epoch > loss.epoch
            && task.claimed_by.as_ref().is_none_or(|by| *by != loss.agent)
    });
    if !finished {
        problems.push(format!("{} was not finished by another agent", loss.key));
    }
}

fn statuses(tasks: &[Arc<Task>]) -> BTreeMap<&'static str, usize> {
    let mut statuses = BTreeMap::new();
    for task in tasks {
        *statuses.entry(task.status.as_str()).or_default() += 1;
    }
    statuses
}

fn completed_by(tasks: &[Arc<Task>]) -> BTreeMap<AgentId, usize> {
    let mut agents = BTreeMap::new();
    for task in tasks.iter().filter(|task| task.status == TaskStatus::Completed) {
        if let Some(by) = &task.claimed_by {
            *agents.entry(by.clone()).or_default() += 1;
        }
    }
    agents
}
