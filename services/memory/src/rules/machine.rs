//! The rules of one shard as the machine that `troupe-shard` runs.

use troupe_contract::Service;
use troupe_domain::{Fault, Timestamp};
use troupe_shard::{Drafts, Machine};

use super::execute::{execute, only_reads};
use super::record::Record;
use super::request::{MemoryAnswer, MemoryRequest};
use super::snapshot::SnapshotLine;
use super::state::{MemoryState, Settings};

impl Machine for MemoryState {
    const SERVICE: Service = Service::Memory;
    type Settings = Settings;
    type Request = MemoryRequest;
    type Reply = MemoryAnswer;
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

    fn only_reads(request: &MemoryRequest) -> bool {
        only_reads(request)
    }

    fn execute(
        &mut self,
        request: MemoryRequest,
        now: Timestamp,
        _jitter: f64,
    ) -> Result<MemoryAnswer, Fault> {
        execute(self, request, now)
    }

    fn notices_of(record: &Record) -> usize {
        record.notices
    }

    fn reconcile(&mut self, _now: Timestamp) {
        self.warm_up();
    }

    fn next_timer(&self) -> Option<Timestamp> {
        let expiry = self.expiries.first().map(|(at, _, _)| *at);
        expiry.into_iter().chain(self.flush_at).min()
    }

    fn fire(&mut self, now: Timestamp, limit: usize) -> Vec<()> {
        self.expire(now, limit);
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush_reads(now);
        }
        Vec::new()
    }

    fn snapshot(&self) -> Vec<SnapshotLine> {
        self.snapshot_lines()
    }

    fn restore(&mut self, line: SnapshotLine) {
        self.restore_line(line);
    }
}
