//! The rules of progress as the machine that runs in a shard.

use troupe_contract::Service;
use troupe_domain::{Fault, Timestamp};
use troupe_shard::{Drafts, Machine};

use super::firing::SilentTask;
use super::record::{Record, SnapshotLine};
use super::request::{ProgressReply, ProgressRequest, execute, only_reads};
use super::state::{ProgressState, SHARD, Settings};

impl Machine for ProgressState {
    const SERVICE: Service = Service::Progress;
    type Settings = Settings;
    type Request = ProgressRequest;
    type Reply = ProgressReply;
    type Record = Record;
    type Line = SnapshotLine;
    type Ready = ();
    type Question = SilentTask;

    fn shard(_: &Settings) -> u16 {
        SHARD
    }

    fn new(settings: Settings) -> Self {
        Self::new(settings)
    }

    fn apply(&mut self, record: &Record) {
        self.apply_what(&record.what);
    }

    fn drafts(&mut self) -> &mut Drafts<Self> {
        &mut self.drafts
    }

    fn only_reads(request: &ProgressRequest) -> bool {
        only_reads(request)
    }

    fn execute(
        &mut self,
        request: ProgressRequest,
        now: Timestamp,
        _: f64,
    ) -> Result<ProgressReply, Fault> {
        execute(self, request, now)
    }

    fn notices_of(record: &Record) -> usize {
        record.notices
    }

    fn evict(&mut self) {
        self.let_go();
    }

    fn reconcile(&mut self, now: Timestamp) {
        self.settle(now);
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    fn fire(&mut self, now: Timestamp, limit: usize) -> Vec<SilentTask> {
        self.fire_due(now, limit)
    }

    fn snapshot(&self) -> Vec<SnapshotLine> {
        self.snapshot_lines()
    }

    fn restore(&mut self, line: SnapshotLine) {
        self.restore_line(line);
    }
}
