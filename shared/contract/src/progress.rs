//! The progress service's endpoints.

mod forecasts;
mod milestones;
mod reports;
mod summaries;

pub use forecasts::*;
pub use milestones::*;
pub use reports::*;
pub use summaries::*;

use crate::Service;
use crate::batch::{BatchReply, BatchRequest};
use crate::endpoint::endpoints;
use crate::registry::Empty;

endpoints! { Service::Progress;
    /// The holder of a task reports how far it is.
    Report = "report" (ReportRequest) -> ReportReceipt, Everyone, batched = true;
    /// Reads how far one task is.
    Latest = "latest" (LatestRequest) -> LatestReply, Everyone;
    /// Reads the reports of one task, the newest first, page by page.
    History = "history" (HistoryRequest) -> HistoryPage, Everyone;
    /// Sums progress up over a graph, a plan, a task's parts, a milestone, named tasks, or the fleet.
    Summary = "summary" (SummaryRequest) -> ProgressSummary, Everyone;
    /// Sums up what one agent did.
    AgentSummary = "agent_summary" (AgentSummaryRequest) -> AgentProgressSummary, Everyone;
    /// Creates a milestone.
    MilestoneCreate = "milestone_create" (MilestoneSpec) -> MilestoneReply, Everyone;
    /// Changes a milestone.
    MilestoneUpdate = "milestone_update" (MilestoneUpdateRequest) -> MilestoneReply, Everyone;
    /// Reads one milestone.
    MilestoneGet = "milestone_get" (MilestoneRef) -> MilestoneReply, Everyone;
    /// Lists milestones by id, page by page.
    MilestoneList = "milestone_list" (MilestoneFilter) -> MilestonePage, Everyone;
    /// Finds what holds most work up, and the critical path.
    Bottlenecks = "bottlenecks" (BottlenecksRequest) -> BottlenecksReply, Everyone;
    /// Estimates when work will be done, with how sure that is and what it rests on.
    Estimate = "estimate" (EstimateRequest) -> EstimateReply, Everyone;
    /// Lists tasks whose holders have shown no progress for long, the longest first.
    Stalled = "stalled" (StalledRequest) -> StalledReply, Everyone;
    /// Counts what the service knows.
    ProgressStats = "stats" (Empty) -> ProgressStatistics, Everyone;
    /// Carries out several reports of one caller.
    ProgressBatch = "batch" (BatchRequest) -> BatchReply, Everyone;
}
