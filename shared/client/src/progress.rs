//! Telling how far a task is.

use troupe_bus::port::{System, World};
use troupe_contract::progress::{Report, ReportReceipt, ReportRequest};
use troupe_domain::Fault;

use crate::{HeldTask, Patience, insist};

impl HeldTask {
    /// A report of this task under this hold that says nothing yet.
    pub fn progress(&self) -> ReportRequest {
        ReportRequest::new(self.task().id.clone(), self.epoch())
    }

    /// Reports how far the task is: `held.report(&ReportRequest { percentage: Some(40.0),
    /// ..held.progress() })`. It has one command id, however often it is sent: it counts once.
    pub async fn report(&self, report: &ReportRequest) -> Result<ReportReceipt, Fault> {
        let command_id = System.ulid().to_string();
        insist::<Report>(self.troupe(), report, Some(command_id), Patience::default()).await
    }
}
