//! The rules of messaging as the machine that runs in shards.

use troupe_contract::Service;
use troupe_domain::{Fault, Name, Timestamp};
use troupe_shard::{Drafts, Letter, Machine};

use super::hint::Hint;
use super::notice;
use super::record::Record;
use super::request::{RoutingReply, RoutingRequest, execute, only_reads};
use super::snapshot::SnapshotLine;
use super::state::{RoutingState, Settings};

/// Where the shard begins in the number of a parcel of letters; below it is the last letter's serial.
const SHARD_SHIFT: u32 = 48;

impl Machine for RoutingState {
    const SERVICE: Service = Service::Routing;
    type Settings = Settings;
    type Request = RoutingRequest;
    type Reply = RoutingReply;
    type Record = Record;
    type Line = SnapshotLine;
    type Ready = Hint;
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

    fn only_reads(request: &RoutingRequest) -> bool {
        only_reads(request)
    }

    fn execute(
        &mut self,
        request: RoutingRequest,
        now: Timestamp,
        jitter: f64,
    ) -> Result<RoutingReply, Fault> {
        execute(self, request, now, jitter)
    }

    fn notices_of(record: &Record) -> usize {
        notice::count_of(record)
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.timers().next()
    }

    fn fire(&mut self, now: Timestamp, limit: usize) -> Vec<()> {
        self.fire_due(now, limit);
        Vec::new()
    }

    fn snapshot(&self) -> Vec<SnapshotLine> {
        self.snapshot_lines()
    }

    fn restore(&mut self, line: SnapshotLine) {
        self.restore_snapshot_line(line);
    }

    /// One parcel for each shard, so that many letters take one round trip, in their order.
    fn letters(&self, limit: usize) -> Vec<Letter<RoutingRequest>> {
        let from = self.settings.shard;
        let parcels = self.outbox().parcels(limit).into_iter();
        parcels
            .map(|parcel| Letter {
                number: u64::from(parcel.to) << SHARD_SHIFT | parcel.last(),
                to: parcel.to,
                recipient: shard_name(parcel.to),
                at: parcel.at,
                request: RoutingRequest::Letters {
                    from,
                    first: parcel.first,
                    contents: parcel.contents,
                },
            })
            .collect()
    }

    fn delivered(&mut self, numbers: Vec<u64>) {
        let serials = numbers
            .into_iter()
            .map(|number| ((number >> SHARD_SHIFT) as u16, number & ((1 << SHARD_SHIFT) - 1)));
        let letters: Vec<(u16, u64)> =
            serials.filter(|(to, through)| self.outbox().waits(*to, *through)).collect();
        if !letters.is_empty() {
            self.draft(Record::Delivered { letters });
        }
    }
}

fn shard_name(shard: u16) -> Name {
    Name::parse(&format!("shard-{shard}"))
        .unwrap_or_else(|_| unreachable!("a number is a part of a name"))
}
