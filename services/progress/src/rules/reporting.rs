//! What a holder may say.
//!
//! Invariants: nobody speaks for a task but its holder at its epoch; a percentage goes down only with a
//! reason, and that is in the report; a report that is sent again is answered as it was the first time.

use std::sync::Arc;

use troupe_contract::progress::{ReportReceipt, ReportRequest};
use troupe_domain::limits::{
    MAX_BLOCKER_BYTES, MAX_BLOCKERS, MAX_METADATA_BYTES, MAX_MINUTES, MAX_TEXT_BYTES,
};
use troupe_domain::progress::{Percent, ProgressEntry, ProgressStatus, Regression, ReportId};
use troupe_domain::task::spec::check_text;
use troupe_domain::{AgentId, Fault, Timestamp};

use super::facts::{Fact, Facts};
use super::record::What;
use super::request::ProgressReply;
use super::state::ProgressState;
use super::task::TaskState;

/// A report as it came, with whose it is.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Said {
    /// Its id.
    pub id: ReportId,
    /// Who says it.
    pub by: AgentId,
    /// What is said.
    pub request: ReportRequest,
}

/// Checks what does not depend on any state.
pub fn check(request: &ReportRequest) -> Result<(), Fault> {
    if request.percentage.is_some_and(|percentage| Percent::of(percentage).is_none()) {
        return Err(Fault::invalid("percentage", "must be within 0 and 100"));
    }
    check_text("message", &request.message, MAX_TEXT_BYTES)?;
    if let Some(reason) = &request.regression_reason {
        check_text("regression_reason", reason, MAX_TEXT_BYTES)?;
        if reason.trim().is_empty() {
            return Err(Fault::invalid("regression_reason", "must not be empty"));
        }
    }
    for (field, minutes) in [
        ("time_spent_minutes", request.time_spent_minutes),
        ("estimated_remaining_minutes", request.estimated_remaining_minutes),
    ] {
        if minutes.is_some_and(|minutes| !(0.0..=MAX_MINUTES).contains(&minutes)) {
            return Err(Fault::invalid(field, format!("must be within 0 and {MAX_MINUTES}")));
        }
    }
    if request.blockers.len() > MAX_BLOCKERS {
        return Err(Fault::exhausted("MAX_BLOCKERS", MAX_BLOCKERS).with("field", "blockers"));
    }
    for blocker in &request.blockers {
        check_text("blockers", blocker, MAX_BLOCKER_BYTES)?;
    }
    let json = [("details", &request.details), ("metadata", &request.metadata)];
    for (field, json) in json {
        if json.as_ref().is_some_and(|json| json.len() > MAX_METADATA_BYTES) {
            let fault = Fault::exhausted("MAX_METADATA_BYTES", MAX_METADATA_BYTES);
            return Err(fault.with("field", field));
        }
    }
    if request.metadata.as_ref().is_some_and(|json| !json.is_object()) {
        return Err(Fault::invalid("metadata", "must be an object"));
    }
    check_status(request)
}

fn check_status(request: &ReportRequest) -> Result<(), Fault> {
    match request.status {
        Some(ProgressStatus::Failed) => {
            Err(Fault::invalid("status", "a failure is told to work.fail, which ends the hold"))
        }
        Some(ProgressStatus::NotStarted) => {
            Err(Fault::invalid("status", "a report is made by whoever is at it"))
        }
        Some(ProgressStatus::Blocked) if request.blockers.is_empty() => {
            Err(Fault::invalid("blockers", "whoever is blocked says by what"))
        }
        _ => Ok(()),
    }
}

impl ProgressState {
    /// Takes a report in. `seen` is what work distribution just said of the task, where it was asked;
    /// where it was not, and the report knows more than was heard here, it must be.
    pub(super) fn report(
        &mut self,
        said: Said,
        seen: Option<Box<Facts>>,
        now: Timestamp,
    ) -> Result<ProgressReply, Fault> {
        check(&said.request)?;
        let id = &said.request.task_id;
        let asked = seen.is_some();
        if let Some(facts) = seen.filter(|facts| facts.id == *id) {
            self.draft(What::Fact(Box::new(Fact::Seen(facts))));
        }
        let Some(task) = self.tasks.get(id) else {
            if asked {
                return Err(Fault::exhausted("max_tasks", self.settings.max_tasks));
            }
            return Ok(ProgressReply::Behind);
        };
        if task.epoch < said.request.epoch && !asked {
            return Ok(ProgressReply::Behind);
        }
        let same = |before: &&Arc<ProgressEntry>| {
            before.agent_id == said.by && before.epoch == said.request.epoch
        };
        if let Some(before) = task.history.find(&said.id).filter(same) {
            return Ok(ProgressReply::Reported(receipt(before, true)));
        }
        task.check_hold(&said.by, said.request.epoch)?;
        let entry = Arc::new(entry_of(said, task, now)?);
        self.draft(What::Report(entry.clone()));
        Ok(ProgressReply::Reported(receipt(&entry, false)))
    }
}

fn receipt(entry: &ProgressEntry, duplicate: bool) -> ReportReceipt {
    ReportReceipt {
        suggestions: Vec::new(),
        report_id: entry.id.clone(),
        task_id: entry.task_id.clone(),
        percentage: entry.percentage,
        regressed: entry.regression.is_some(),
        duplicate,
    }
}

fn entry_of(said: Said, task: &TaskState, now: Timestamp) -> Result<ProgressEntry, Fault> {
    let Said { id, by, request } = said;
    let percent = request.percentage.and_then(Percent::of).unwrap_or(task.percent);
    let regression = if percent < task.percent {
        let from = task.percent.percentage();
        let Some(reason) = request.regression_reason else {
            return Err(Fault::invalid(
                "regression_reason",
                format!("the task was at {from}: say why it went down"),
            )
            .with("percentage", from));
        };
        Some(Regression { from, reason })
    } else {
        None
    };
    Ok(ProgressEntry {
        id,
        task_id: request.task_id,
        epoch: request.epoch,
        agent_id: by,
        percentage: percent.percentage(),
        status: request.status.unwrap_or(ProgressStatus::InProgress),
        message: request.message,
        details: request.details,
        timestamp: now,
        time_spent_minutes: request.time_spent_minutes,
        estimated_remaining_minutes: request.estimated_remaining_minutes,
        blockers: request.blockers,
        metadata: request.metadata,
        regression,
    })
}
