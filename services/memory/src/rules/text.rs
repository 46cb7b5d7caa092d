//! The words of traces and consensus: what search finds them by, and what a reader reads.
//!
//! Invariant: a text is within the bound of a content; what does not fit is left out from the end of the
//! list, and is still in the details.

use troupe_domain::limits::MAX_MEMORY_BYTES;
use troupe_domain::memory::{ExpertConsensus, RefinementTrace};

/// What is kept free for the last line.
const LAST_LINE_BYTES: usize = 20 * 1024;

/// A trace in words.
pub fn of_trace(trace: &RefinementTrace) -> String {
    let outcome = if trace.success { "succeeded" } else { "did not succeed" };
    let last = format!("Result: {}", trace.final_result);
    let mut text = format!(
        "{} attempts at task {} {outcome} after {} ms.\n",
        trace.iterations.len(),
        trace.task_id,
        trace.duration_ms
    );
    let lines = trace.iterations.iter().enumerate().map(|(number, iteration)| {
        let feedback = iteration.feedback.as_deref().unwrap_or_default();
        let dash = if feedback.is_empty() { "" } else { " — " };
        format!("{}. {}{dash}{feedback}\n", number + 1, iteration.attempt)
    });
    fill(&mut text, lines);
    text + &last
}

/// A consensus in words.
pub fn of_consensus(consensus: &ExpertConsensus) -> String {
    let votes = consensus.votes.len();
    let mut text = format!(
        "{}\nDecided: {} ({:.0} % of {votes} votes)\n",
        consensus.question,
        consensus.outcome,
        consensus.agreement * 100.0
    );
    let lines = consensus.votes.iter().map(|vote| {
        let dash = if vote.reason.is_empty() { "" } else { ": " };
        format!("{} voted for {}{dash}{}\n", vote.voter, vote.choice, vote.reason)
    });
    fill(&mut text, lines);
    text.truncate(text.trim_end().len());
    text
}

fn fill(text: &mut String, lines: impl Iterator<Item = String>) {
    for line in lines {
        if text.len() + line.len() > MAX_MEMORY_BYTES - LAST_LINE_BYTES {
            text.push_str("…\n");
            return;
        }
        text.push_str(&line);
    }
}

/// The first `max_bytes` of a text, cut between characters.
pub fn cut(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let mut end = max_bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
