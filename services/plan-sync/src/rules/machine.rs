//! The rules of one shard as the machine that `troupe-shard` runs.

use troupe_contract::Service;
use troupe_domain::{Fault, Timestamp};
use troupe_shard::{Drafts, Machine};

use super::execute::{execute, only_reads};
use super::notice;
use super::record::Record;
use super::request::{PlanAnswer, PlanRequest};
use super::snapshot::SnapshotLine;
use super::state::{PlanState, Settings};

impl Machine for PlanState {
    const SERVICE: Service = Service::Plan;
    type Settings = Settings;
    type Request = PlanRequest;
    type Reply = PlanAnswer;
    type Record = Record;
    type Line = SnapshotLine;
    type Ready = ();
    type Question = ();

    fn shard(settings: &Settings) -> u16 {
        settings.shard
    }

    fn new(settings: Settings) -> Self {
        Self::new(settings)
    }

    fn apply(&mut self, record: &Record) {
        self.apply_record(record);
    }

    fn drafts(&mut self) -> &mut Drafts<Self> {
        &mut self.drafts
    }

    fn only_reads(request: &PlanRequest) -> bool {
        only_reads(request)
    }

    fn execute(
        &mut self,
        request: PlanRequest,
        now: Timestamp,
        _jitter: f64,
    ) -> Result<PlanAnswer, Fault> {
        execute(self, request, now)
    }

    fn notices_of(record: &Record) -> usize {
        notice::count_of(record)
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.checks.first().map(|(at, _)| *at)
    }

    fn fire(&mut self, now: Timestamp, limit: usize) -> Vec<()> {
        self.look_for_conflicts(now, limit);
        Vec::new()
    }

    fn snapshot(&self) -> Vec<SnapshotLine> {
        self.snapshot_lines()
    }

    fn restore(&mut self, line: SnapshotLine) {
        self.restore_line(line);
    }
}
