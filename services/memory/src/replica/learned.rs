//! What is remembered of what happened to a task, and of feedback on routing. Pure.
//!
//! Invariants: an event is remembered once, whatever number of times it comes: the id follows from it;
//! a text is bounded, and what an agent wrote goes through quarantine like any other.

use std::fmt::Write as _;

use troupe_contract::event::{FeedbackEvent, TaskEvent, TaskEventKind};
use troupe_domain::memory::{
    AgentOutcome, Iteration, Memory, MemoryDetails, MemorySource, MemoryType, Namespace,
    Provenance, RefinementTrace,
};
use troupe_domain::task::{Reason, ReasonKind};
use troupe_domain::{AgentId, Name, Task};

use crate::NAME;
use crate::handlers::writing::blank;
use crate::rules::entry::sha256_of;
use crate::rules::request::NewMemory;
use crate::rules::text::{cut, of_trace};

/// Bytes of a result, an error or a description that are remembered.
const MAX_PART_BYTES: usize = 2 * 1024;
/// Digits of the digest that an event's id becomes.
const KEY_DIGITS: usize = 40;
/// How much outcomes matter: what went wrong helps others more than what went as expected.
const DONE_IMPORTANCE: f64 = 0.4;
const FAILED_IMPORTANCE: f64 = 0.6;
const TRACE_IMPORTANCE: f64 = 0.6;

/// What is learned from events.
#[derive(Debug, Default, PartialEq)]
pub struct Lessons {
    /// What is remembered.
    pub memories: Vec<NewMemory>,
    /// How what agents did turned out.
    pub outcomes: Vec<AgentOutcome>,
}

impl Lessons {
    /// Takes more in.
    pub fn extend(&mut self, more: Self) {
        self.memories.extend(more.memories);
        self.outcomes.extend(more.outcomes);
    }

    /// Bytes of what is remembered, about.
    pub fn bytes(&self) -> usize {
        self.memories.iter().map(|new| new.memory.content.as_deref().map_or(0, str::len)).sum()
    }
}

/// What is learned from an event of a task.
pub fn of_task(event: &TaskEvent, event_id: &str, namespace: &Namespace) -> Lessons {
    Lessons {
        memories: memories_of(event, event_id, namespace),
        outcomes: outcome_of(event).into_iter().collect(),
    }
}

/// How an attempt turned out, where it ended by what its agent did.
fn outcome_of(event: &TaskEvent) -> Option<AgentOutcome> {
    let success = match event.event {
        TaskEventKind::TaskCompleted => true,
        TaskEventKind::TaskFailed | TaskEventKind::TaskRetrying | TaskEventKind::TaskDead => false,
        _ => return None,
    };
    Some(AgentOutcome { agent_id: doer(event)?.clone(), success })
}

/// Whose attempt it was. Whoever verified a report did not do the task.
fn doer(event: &TaskEvent) -> Option<&AgentId> {
    let holder = event.task.as_ref().and_then(|task| task.claimed_by.as_ref());
    holder.or(event.by.as_ref())
}

/// What is remembered of an event; nothing of most.
fn memories_of(event: &TaskEvent, event_id: &str, namespace: &Namespace) -> Vec<NewMemory> {
    let Some(task) = &event.task else { return Vec::new() };
    let outcome = match event.event {
        TaskEventKind::TaskCompleted => "completed",
        TaskEventKind::TaskFailed => "failed",
        TaskEventKind::TaskDead => "dead",
        _ => return Vec::new(),
    };
    let episode = episode(event, task, outcome, event_id, namespace);
    let trace = trace(event, task, event_id, namespace);
    episode.into_iter().chain(trace).collect()
}

fn episode(
    event: &TaskEvent,
    task: &Task,
    outcome: &str,
    event_id: &str,
    namespace: &Namespace,
) -> Option<NewMemory> {
    let mut text = format!("Task \"{}\" {}", task.title, said(outcome));
    if let Some(agent) = doer(event) {
        // Writing to a string cannot fail.
        let _ = write!(text, " by {agent}");
    }
    if let Some(minutes) = task.actual_minutes {
        let _ = write!(text, " in {minutes:.1} minutes");
    }
    text.push('.');
    if !task.description.is_empty() {
        let _ = write!(text, "\n{}", cut(&task.description, MAX_PART_BYTES));
    }
    if let Some(result) = &task.result {
        let _ = write!(text, "\nResult: {}", cut(result.get(), MAX_PART_BYTES));
    }
    let reason = event.reason.as_deref().or(task.error.as_deref());
    if let Some(reason) = reason.filter(|_| outcome != "completed") {
        let _ = write!(text, "\nError: {}", cut(reason, MAX_PART_BYTES));
    }
    let importance = if outcome == "completed" { DONE_IMPORTANCE } else { FAILED_IMPORTANCE };
    let mut tags = vec!["task".to_owned(), outcome.to_owned()];
    tags.extend(task.required_role.iter().map(|role| format!("role:{role}")));
    let memory = Memory {
        id: id_of(event_id, "episode")?,
        namespace: namespace.clone(),
        importance,
        tags,
        details: outcome_of(event).map(MemoryDetails::Outcome),
        ..blank(text, MemoryType::Episodic, from(event, task, event_id)?, event.at)
    };
    Some(NewMemory { memory, supersedes: None, keyed: true })
}

/// What is learned from feedback: the event does not say what the message wanted.
pub fn of_feedback(event: &FeedbackEvent, event_id: &str, namespace: &Namespace) -> Lessons {
    let FeedbackEvent { agent_id, success, by, at, .. } = event;
    let outcome = AgentOutcome { agent_id: agent_id.clone(), success: *success };
    let mut text = match &event.route_id {
        Some(route) => format!("A message that took the route {route} to {agent_id} "),
        None => format!("A message to {agent_id} "),
    };
    text.push_str(if *success { "was in the right hands" } else { "was in the wrong hands" });
    // Writing to a string cannot fail.
    let _ = write!(text, ", says {by}.");
    if let Some(right) =
        event.right_route_id.as_ref().filter(|r| Some(*r) != event.route_id.as_ref())
    {
        let _ = write!(text, " The right route was {right}.");
    }
    let importance = if *success { DONE_IMPORTANCE } else { FAILED_IMPORTANCE };
    let mut tags = vec!["routing".to_owned(), "feedback".to_owned()];
    tags.extend(event.route_id.iter().map(|route| format!("route:{route}")));
    let memory = id_of(event_id, "feedback").zip(learned(event_id)).map(|(id, from)| Memory {
        id,
        namespace: namespace.clone(),
        importance,
        tags,
        details: Some(MemoryDetails::Outcome(outcome.clone())),
        ..blank(text, MemoryType::Episodic, from, *at)
    });
    let memories = memory.map(|memory| NewMemory { memory, supersedes: None, keyed: true });
    Lessons { memories: memories.into_iter().collect(), outcomes: vec![outcome] }
}

/// Attempts at a task that did not succeed at once are a trace.
fn trace(
    event: &TaskEvent,
    task: &Task,
    event_id: &str,
    namespace: &Namespace,
) -> Option<NewMemory> {
    let mut iterations: Vec<Iteration> =
        task.reasons.iter().filter(|reason| is_attempt(reason)).map(attempt).collect();
    if iterations.is_empty() {
        return None;
    }
    let success = event.event == TaskEventKind::TaskCompleted;
    if success {
        let by = event.by.as_ref().map_or("an agent", Name::as_str);
        let attempt = format!("{} (by {by})", task.title);
        iterations.push(Iteration { attempt, feedback: None, score: Some(1.0) });
    }
    let result = task.result.as_ref().map(|result| cut(result.get(), MAX_PART_BYTES));
    let error = event.reason.as_deref().or(task.error.as_deref());
    let error = error.map(|error| cut(error, MAX_PART_BYTES));
    let final_result = if success { result } else { error }.unwrap_or("nothing was said");
    let trace = RefinementTrace {
        task_id: task.id.clone(),
        iterations,
        final_result: final_result.to_owned(),
        success,
        duration_ms: event.at.millis_since(task.created_at),
    };
    let text = format!("Task \"{}\"\n{}", task.title, of_trace(&trace));
    let memory = Memory {
        id: id_of(event_id, "trace")?,
        namespace: namespace.clone(),
        importance: TRACE_IMPORTANCE,
        tags: vec!["task".to_owned(), "attempts".to_owned()],
        details: Some(MemoryDetails::RefinementTrace(trace)),
        ..blank(text, MemoryType::RefinementTrace, from(event, task, event_id)?, event.at)
    };
    Some(NewMemory { memory, supersedes: None, keyed: true })
}

fn is_attempt(reason: &Reason) -> bool {
    matches!(reason.kind, ReasonKind::Failed | ReasonKind::Rejected | ReasonKind::LeaseExpired)
}

fn attempt(reason: &Reason) -> Iteration {
    let by = reason.by.as_ref().map_or("an agent", Name::as_str);
    let attempt = match reason.epoch {
        Some(epoch) => format!("attempt {epoch} by {by}"),
        None => format!("an attempt by {by}"),
    };
    let feedback = Some(cut(&reason.message, MAX_PART_BYTES).to_owned());
    Iteration { attempt, feedback, score: Some(0.0) }
}

fn said(outcome: &str) -> &'static str {
    match outcome {
        "completed" => "was completed",
        "failed" => "failed",
        _ => "ran out of retries",
    }
}

fn from(event: &TaskEvent, task: &Task, event_id: &str) -> Option<Provenance> {
    Some(Provenance {
        task_id: Some(task.id.clone()),
        epoch: Some(event.epoch),
        trace: task.trace.clone(),
        ..learned(event_id)?
    })
}

/// The service made it from an event.
fn learned(event_id: &str) -> Option<Provenance> {
    Some(Provenance {
        author: Name::parse(NAME).ok()?,
        task_id: None,
        epoch: None,
        session_id: None,
        trace: None,
        derived_from: Vec::new(),
        source: MemorySource::Learned { event: event_id.to_owned() },
    })
}

fn id_of(event_id: &str, what: &str) -> Option<Name> {
    let digest = sha256_of(&format!("{what} {event_id}"));
    Name::parse(&format!("learned-{}", &digest[..KEY_DIGITS])).ok()
}
