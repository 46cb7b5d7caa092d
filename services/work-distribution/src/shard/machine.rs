//! The rules of one shard as the machine that `troupe-shard` runs.

use troupe_contract::Service;
use troupe_domain::{Fault, Timestamp};
use troupe_shard::{Drafts, Letter, Machine};

use super::execute::{execute, only_reads};
use super::request::{ShardReply, ShardRequest};
use crate::rules::commands::DueLease;
use crate::rules::notice;
use crate::rules::queue::Need;
use crate::rules::record::{Record, SnapshotLine};
use crate::rules::state::{Settings, ShardState};

/// How long an unanswered question about a lease waits before it is asked again.
const ASK_AGAIN_MS: u64 = 2_000;

impl Machine for ShardState {
    const SERVICE: Service = Service::Work;
    type Settings = Settings;
    type Request = ShardRequest;
    type Reply = ShardReply;
    type Record = Record;
    type Line = SnapshotLine;
    type Ready = Need;
    type Question = DueLease;

    fn shard(settings: &Settings) -> u16 {
        settings.shard
    }

    fn new(settings: Settings) -> Self {
        Self::new(settings)
    }

    fn apply(&mut self, record: &Record) {
        self.apply(record);
    }

    fn drafts(&mut self) -> &mut Drafts<Self> {
        &mut self.drafts
    }

    fn only_reads(request: &ShardRequest) -> bool {
        only_reads(request)
    }

    fn execute(
        &mut self,
        request: ShardRequest,
        now: Timestamp,
        jitter: f64,
    ) -> Result<ShardReply, Fault> {
        execute(self, request, now, jitter)
    }

    fn notices_of(record: &Record) -> usize {
        notice::count_of(record)
    }

    fn reconcile(&mut self, now: Timestamp) {
        self.reconcile(now);
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.timers().next()
    }

    fn fire(&mut self, now: Timestamp, limit: usize) -> Vec<DueLease> {
        self.fire(now, limit, ASK_AGAIN_MS)
    }

    fn snapshot(&self) -> Vec<SnapshotLine> {
        self.snapshot()
    }

    fn restore(&mut self, line: SnapshotLine) {
        self.restore(line);
    }

    fn letters(&self, limit: usize) -> Vec<Letter<ShardRequest>> {
        let letters = self.letters().take(limit);
        letters
            .map(|letter| Letter {
                number: letter.number,
                to: letter.to,
                recipient: letter.content.recipient().clone(),
                at: letter.at,
                request: ShardRequest::Letter(letter.content.clone()),
            })
            .collect()
    }

    fn delivered(&mut self, numbers: Vec<u64>) {
        self.delivered(numbers);
    }
}
