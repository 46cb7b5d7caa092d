//! What the owner of the state is asked, by a handler in the same process or by a peer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::progress::{
    AgentProgressSummary, HistoryPage, MilestoneFilter, MilestonePage, MilestoneSpec,
    MilestoneUpdateRequest, Over, ProgressStatistics, ProgressSummary, ReportReceipt, StalledReply,
    TaskProgress,
};
use troupe_domain::progress::{Milestone, MilestoneId};
use troupe_domain::{AgentId, Fault, Name, TaskId, Timestamp};

use super::facts::{Fact, Facts};
use super::network::Network;
use super::record::{Place, What};
use super::reporting::Said;
use super::state::ProgressState;

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the endpoints of the same names say it
pub enum ProgressRequest {
    Report {
        said: Box<Said>,
        seen: Option<Box<Facts>>,
    },
    /// Facts, and how far the stream of events is taken in with them.
    Learn {
        facts: Vec<Fact>,
        heard: Option<Place>,
        complete: Option<bool>,
    },
    MilestoneCreate {
        id: MilestoneId,
        spec: Box<MilestoneSpec>,
        by: Name,
    },
    MilestoneUpdate {
        update: Box<MilestoneUpdateRequest>,
        by: Name,
    },
    Latest {
        task: TaskId,
    },
    History {
        task: TaskId,
        before: Option<u64>,
        limit: usize,
    },
    Summary {
        over: Over,
    },
    Agent {
        agent: AgentId,
    },
    MilestoneGet {
        id: MilestoneId,
    },
    MilestoneList {
        filter: Box<MilestoneFilter>,
        limit: usize,
    },
    Network {
        over: Over,
    },
    Stalled {
        limit: usize,
    },
    Stats,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the requests of the same names say it
pub enum ProgressReply {
    Reported(ReportReceipt),
    /// The report knows more than was heard: wait, or ask work distribution.
    Behind,
    /// Nobody has heard of these tasks: wait, or ask work distribution.
    Missing(Vec<TaskId>),
    Milestone(Milestone),
    Task(Box<TaskProgress>),
    History(HistoryPage),
    Summary(Box<ProgressSummary>),
    Agent(Box<AgentProgressSummary>),
    Milestones(MilestonePage),
    Network(Arc<Network>),
    Stalled(StalledReply),
    Stats(Box<ProgressStatistics>),
    Done,
}

impl ProgressReply {
    /// The answer of another kind than was asked for: a defect.
    pub fn unexpected(&self) -> Fault {
        Fault::new(troupe_domain::Code::Internal, format!("unexpected answer: {self:?}"))
    }
}

/// Whether a request can only read.
pub fn only_reads(request: &ProgressRequest) -> bool {
    !matches!(
        request,
        ProgressRequest::Report { .. }
            | ProgressRequest::Learn { .. }
            | ProgressRequest::MilestoneCreate { .. }
            | ProgressRequest::MilestoneUpdate { .. }
    )
}

/// Carries a request out. What it writes is drafted in the state.
pub fn execute(
    state: &mut ProgressState,
    request: ProgressRequest,
    now: Timestamp,
) -> Result<ProgressReply, Fault> {
    use ProgressRequest as Q;
    match request {
        Q::Report { said, seen } => {
            let reply = state.report(*said, seen, now);
            state.settle(now);
            reply
        }
        Q::Learn { facts, heard, complete } => {
            state.learn(facts, heard, complete);
            state.settle(now);
            Ok(ProgressReply::Done)
        }
        Q::MilestoneCreate { id, spec, by } => state.create_milestone(id, *spec, &by, now),
        Q::MilestoneUpdate { update, by } => state.update_milestone(*update, &by, now),
        read => read_only(state, read, now),
    }
}

fn read_only(
    state: &ProgressState,
    request: ProgressRequest,
    now: Timestamp,
) -> Result<ProgressReply, Fault> {
    use ProgressRequest as Q;
    Ok(match request {
        Q::Latest { task } => {
            let known = state.task(&task).ok_or_else(|| Fault::not_found("task", &task))?;
            ProgressReply::Task(Box::new(known.shown(now)))
        }
        Q::History { task, before, limit } => {
            ProgressReply::History(state.history(&task, before, limit)?)
        }
        Q::Summary { over } => ProgressReply::Summary(Box::new(state.summary(&over, now)?)),
        Q::Agent { agent } => ProgressReply::Agent(Box::new(state.agent_summary(&agent, now)?)),
        Q::MilestoneGet { id } => ProgressReply::Milestone(state.shown_milestone(&id)?),
        Q::MilestoneList { filter, limit } => {
            ProgressReply::Milestones(state.list_milestones(&filter, limit))
        }
        Q::Network { over } => ProgressReply::Network(Arc::new(state.network(&over, now)?)),
        Q::Stalled { limit } => ProgressReply::Stalled(state.list_stalled(limit, now)),
        _ => ProgressReply::Stats(Box::new(state.statistics())),
    })
}

impl ProgressState {
    /// Takes facts in. Those of a part of the stream that was taken in already are passed over.
    fn learn(&mut self, facts: Vec<Fact>, heard: Option<Place>, complete: Option<bool>) {
        let known = |place: Place| {
            self.heard.is_some_and(|before| {
                before.stream_made_at == place.stream_made_at && before.sequence >= place.sequence
            })
        };
        if heard.is_some_and(known) {
            return;
        }
        for mut fact in facts {
            // What is known is not stored again.
            if let Fact::Happened { task, whole, .. } = &mut fact
                && self.tasks.contains_key(task)
            {
                *whole = None;
            }
            self.draft(What::Fact(Box::new(fact)));
        }
        if let Some(place) = heard {
            self.draft(What::Heard(place));
        }
        if let Some(complete) = complete.filter(|complete| *complete != self.complete) {
            self.draft(What::Complete(complete));
        }
    }
}
