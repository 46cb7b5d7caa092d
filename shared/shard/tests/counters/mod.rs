//! A small machine: counters that can tell each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use troupe_contract::Service;
use troupe_domain::{Fault, Name, Timestamp};
use troupe_shard::place::shard_of;
use troupe_shard::{Drafts, Letter, Machine, Notice};

/// Where a letter came from: the shard and the number there.
pub(crate) type Origin = (u16, u64);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) shard: u16,
    pub(crate) shards: u16,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    Add { name: Name, by: i64, tell: Option<Name>, heard: Option<Origin> },
    Get { name: Name },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Record {
    Added { at: Timestamp, name: Name, by: i64, tell: Option<Name>, heard: Option<Origin> },
    Delivered { numbers: Vec<u64> },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Told {
    name: Name,
    by: i64,
    at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    counts: Vec<(Name, i64)>,
    heard: BTreeSet<Origin>,
    told: BTreeMap<u64, Told>,
    next: u64,
}

#[derive(Debug)]
pub(crate) struct Counters {
    settings: Settings,
    counts: BTreeMap<Name, i64>,
    heard: BTreeSet<Origin>,
    told: BTreeMap<u64, Told>,
    next: u64,
    drafts: Drafts<Self>,
}

impl Counters {
    fn draft(&mut self, record: Record) {
        self.apply(&record);
        self.drafts.records.push(record);
    }

    pub(crate) fn count(&self, name: &Name) -> i64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}

impl Machine for Counters {
    const SERVICE: Service = Service::Registry;
    type Settings = Settings;
    type Request = Request;
    type Reply = i64;
    type Record = Record;
    type Line = Snapshot;
    type Ready = ();
    type Question = ();

    fn shard(settings: &Settings) -> u16 {
        settings.shard
    }

    fn new(settings: Settings) -> Self {
        Self {
            settings,
            counts: BTreeMap::new(),
            heard: BTreeSet::new(),
            told: BTreeMap::new(),
            next: 0,
            drafts: Drafts::default(),
        }
    }

    fn apply(&mut self, record: &Record) {
        match record {
            Record::Added { at, name, by, tell, heard } => {
                *self.counts.entry(name.clone()).or_default() += by;
                self.heard.extend(*heard);
                if let Some(name) = tell {
                    let told = Told { name: name.clone(), by: *by, at: *at };
                    self.told.insert(self.next, told);
                    self.next += 1;
                }
                self.drafts.notices.push(Notice {
                    entity: "counter",
                    id: name.clone(),
                    event: "counter_added",
                    at: *at,
                    trace: None,
                    body: by.to_string().into(),
                    told: None,
                });
            }
            Record::Delivered { numbers } => self.told.retain(|n, _| !numbers.contains(n)),
        }
    }

    fn drafts(&mut self) -> &mut Drafts<Self> {
        &mut self.drafts
    }

    fn only_reads(request: &Request) -> bool {
        matches!(request, Request::Get { .. })
    }

    fn execute(&mut self, request: Request, now: Timestamp, _: f64) -> Result<i64, Fault> {
        match request {
            Request::Add { by: 0, .. } => Err(Fault::invalid("by", "must not be 0")),
            Request::Add { name, by, tell, heard } => {
                let again = heard.is_some_and(|origin| self.heard.contains(&origin));
                if !again {
                    self.draft(Record::Added { at: now, name: name.clone(), by, tell, heard });
                }
                Ok(self.count(&name))
            }
            Request::Get { name } => Ok(self.count(&name)),
        }
    }

    fn notices_of(record: &Record) -> usize {
        usize::from(matches!(record, Record::Added { .. }))
    }

    fn snapshot(&self) -> Vec<Snapshot> {
        let counts = self.counts.iter().map(|(name, count)| (name.clone(), *count)).collect();
        let (heard, told) = (self.heard.clone(), self.told.clone());
        vec![Snapshot { counts, heard, told, next: self.next }]
    }

    fn restore(&mut self, line: Snapshot) {
        self.counts.extend(line.counts);
        (self.heard, self.told, self.next) = (line.heard, line.told, line.next);
    }

    fn letters(&self, limit: usize) -> Vec<Letter<Request>> {
        let Settings { shard, shards } = self.settings;
        let told = self.told.iter().take(limit);
        told.map(|(number, Told { name, by, at })| Letter {
            number: *number,
            to: shard_of(name.as_str(), shards),
            recipient: name.clone(),
            at: *at,
            request: Request::Add {
                name: name.clone(),
                by: *by,
                tell: None,
                heard: Some((shard, *number)),
            },
        })
        .collect()
    }

    fn delivered(&mut self, numbers: Vec<u64>) {
        self.draft(Record::Delivered { numbers });
    }
}
