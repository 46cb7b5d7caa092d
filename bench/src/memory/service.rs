//! The service on a real nats-server and a real valkey-server: writes, reads by tier, search, and what
//! it takes to start again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use tokio::task::JoinSet;
use troupe_bus::Bus;
use troupe_contract::memory::{
    CreateMemory, CreateMemoryRequest, GetMemory, MemoryRef, MemorySearchRequest, MemoryStatistics,
    MemoryStats, SearchMemory,
};
use troupe_contract::registry::Empty;
use troupe_domain::memory::{MemoryId, MemoryTier, MemoryType};
use troupe_memory::config::{ColdConfig, TierConfig};
use troupe_memory::{Config, Replica};
use troupe_runtime::config::Address;
use troupe_testkit::{NatsServer, ValkeyServer};

use super::options::Sizes;
use super::phrases::{question, report};
use crate::agents::ask;
use crate::latency::{Latency, Recorder};
use crate::stack::{Running, connect};

/// The name of the service's threads.
const MEMORY: &str = "memory";
/// Entries that are not important enough to stay warm; the others are.
const COLD_IMPORTANCE: f64 = 0.1;
const WARM_IMPORTANCE: f64 = 0.8;
/// Reads that make an entry hot, and one more.
const HOT_READS: usize = 4;
/// What is waited for is there within this, or the run has failed.
const PATIENCE: Duration = Duration::from_secs(40 * 60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The service at one size.
#[derive(Debug, Clone, Serialize)]
pub struct Served {
    /// Entries.
    pub entries: usize,
    /// Of these in the cold tier.
    pub cold_entries: usize,
    /// Writes at once while all but a few entries were written.
    pub in_flight: usize,
    /// Entries written per second, each acknowledged.
    pub written_per_s: f64,
    /// Until a write is acknowledged, under that load.
    pub write_under_load: Latency,
    /// The same, one by one.
    pub write: Latency,
    /// Vectors made per second, after the writes.
    pub embedded_per_s: f64,
    /// An entry that is read often.
    pub read_hot: Latency,
    /// An entry that is not.
    pub read_warm: Latency,
    /// An entry whose content is in a segment in a folder.
    pub read_cold: Latency,
    /// By words and meaning, ten results, with their contents.
    pub search: Latency,
    /// Bytes of memory for an entry that is hot or warm: its content and the index.
    pub warm_bytes_each: f64,
    /// Bytes of segments for a cold entry.
    pub cold_bytes_each: f64,
    /// Seconds from the start of another process until it answers, from the log alone.
    pub restart_ready_s: f64,
    /// Seconds from there until the words of cold entries are found again.
    pub restart_complete_s: f64,
}

/// The running stack.
struct Stack {
    // In this order, so that the service ends before its servers.
    service: Option<Running<Replica>>,
    config: Config,
    nats: NatsServer,
    _valkey: ValkeyServer,
}

/// Measures the service.
pub(super) async fn run(sizes: &Sizes) -> Result<Served> {
    let folder = tempfile::tempdir()?;
    let mut stack = Stack::start(folder.path()).await?;
    let bus = stack.bus("operator").await?;
    let (entries, cold_entries) = (sizes.served, sizes.served / 10);
    super::say(&format!("service: writing {entries} entries"));
    let few = sizes.searches.min(entries / 4);
    let write = Recorder::default();
    for number in 0..few {
        let began = Instant::now();
        created(&bus, number, WARM_IMPORTANCE).await?;
        write.record(began.elapsed());
    }
    let began = Instant::now();
    let under_load = Arc::new(Recorder::default());
    let written = stack.write_all(few..entries, cold_entries, sizes.in_flight, &under_load).await?;
    let written_per_s = (entries - few) as f64 / began.elapsed().as_secs_f64();
    let missing = until(&bus, |_| true).await?.without_vector;
    super::say(&format!("service: {missing} vectors are still to be made"));
    let began = Instant::now();
    until(&bus, |now| now.without_vector == 0).await?;
    let embedded_per_s = missing as f64 / began.elapsed().as_secs_f64().max(f64::EPSILON);
    until(&bus, |now| in_tier(now, "cold") >= cold_entries as u64).await?;
    super::say("service: reading and searching");
    let (cold, warm) = written.split_at(cold_entries);
    let hot: Vec<MemoryId> = warm.iter().rev().take(8).cloned().collect();
    for id in hot.iter().cycle().take(hot.len() * HOT_READS) {
        read(&bus, id).await?;
    }
    until(&bus, |now| in_tier(now, "hot") >= hot.len() as u64).await?;
    let often = hot.iter().cycle().take(sizes.searches);
    let read_hot = timed_reads(&bus, often, MemoryTier::Hot).await?;
    let read_warm = timed_reads(&bus, warm.iter().take(sizes.searches), MemoryTier::Warm).await?;
    let read_cold = timed_reads(&bus, cold.iter().take(sizes.searches), MemoryTier::Cold).await?;
    let search = timed_searches(&bus, sizes.searches).await?;
    let now = until(&bus, |_| true).await?;
    let warm_entries = entries.saturating_sub(cold_entries).max(1);
    let warm_bytes = now.resident_bytes + now.index_bytes;
    super::say("service: starting again");
    stack.service = None;
    let began = Instant::now();
    stack.start_service().await?;
    let restart_ready_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let again = until(&bus, |now| now.unindexed == 0).await?;
    ensure!(again.entries == entries as u64, "{} of {entries} are there again", again.entries);
    let served = Served {
        entries,
        cold_entries,
        in_flight: sizes.in_flight,
        written_per_s,
        write_under_load: under_load.summary(),
        write: write.summary(),
        embedded_per_s,
        read_hot,
        read_warm,
        read_cold,
        search,
        warm_bytes_each: warm_bytes as f64 / warm_entries as f64,
        cold_bytes_each: bytes_below(folder.path())? as f64 / cold_entries.max(1) as f64,
        restart_ready_s,
        restart_complete_s: began.elapsed().as_secs_f64(),
    };
    stack.stop().await?;
    Ok(served)
}

impl Stack {
    async fn start(folder: &Path) -> Result<Self> {
        let valkey = ValkeyServer::builder().start().await?;
        let nats = NatsServer::builder().start().await?;
        let mut config = Config {
            cold: ColdConfig { folder: Some(folder.to_owned()), ..ColdConfig::default() },
            // What is not important becomes cold at once, so that a run need not last a week.
            tiers: TierConfig { cold_after_ms: 1, sweep_every_ms: 500, ..TierConfig::default() },
            ..Config::default()
        };
        config.common.redis.url = Some(Address::new(valkey.url()).map_err(anyhow::Error::msg)?);
        let mut stack = Self { service: None, config, nats, _valkey: valkey };
        stack.start_service().await?;
        Ok(stack)
    }

    async fn start_service(&mut self) -> Result<()> {
        let (url, config) = (self.nats.url(), self.config.clone());
        let starting = async move {
            let bus = connect(&url, troupe_memory::NAME).await?;
            let service = Replica::start(&bus, &config, None).await?;
            service.ready().await;
            Ok(service)
        };
        self.service = Some(Running::start(MEMORY, Box::pin(starting)).await?);
        Ok(())
    }

    async fn bus(&self, name: &str) -> Result<Bus> {
        connect(&self.nats.url(), name).await
    }

    /// Writes entries, so many at once; their ids, those that become cold first.
    async fn write_all(
        &self,
        numbers: std::ops::Range<usize>,
        cold: usize,
        in_flight: usize,
        recorder: &Arc<Recorder>,
    ) -> Result<Vec<MemoryId>> {
        let mut writing = JoinSet::new();
        for worker in 0..in_flight {
            // Four connections, as agents on one machine might share them.
            let bus = self.bus(&format!("agent-{}", worker % 4)).await?;
            let (own, recorder) = (numbers.clone(), recorder.clone());
            writing.spawn(async move {
                let mut ids = Vec::new();
                for number in own.clone().skip(worker).step_by(in_flight) {
                    let is_cold = number - own.start < cold;
                    let importance = if is_cold { COLD_IMPORTANCE } else { WARM_IMPORTANCE };
                    let began = Instant::now();
                    let id = created(&bus, number, importance).await?;
                    recorder.record(began.elapsed());
                    ids.push((number, id));
                }
                anyhow::Ok(ids)
            });
        }
        let mut written = Vec::new();
        while let Some(ids) = writing.join_next().await {
            written.extend(ids.context("a worker panicked")??);
        }
        written.sort_by_key(|(number, _)| *number);
        Ok(written.into_iter().map(|(_, id)| id).collect())
    }

    async fn stop(mut self) -> Result<()> {
        let Some(service) = self.service.take() else { return Ok(()) };
        service.drain(Replica::drain).await
    }
}

async fn created(bus: &Bus, number: usize, importance: f64) -> Result<MemoryId> {
    let request = CreateMemoryRequest {
        importance: Some(importance),
        ..CreateMemoryRequest::new(report(number), MemoryType::Episodic)
    };
    Ok(ask::<CreateMemory>(bus, &request).await?.id)
}

async fn read(bus: &Bus, id: &MemoryId) -> Result<MemoryTier> {
    let request = MemoryRef { id: id.clone(), namespace: None };
    Ok(ask::<GetMemory>(bus, &request).await?.source)
}

/// Reads that are all answered from `tier`.
async fn timed_reads<'a>(
    bus: &Bus,
    ids: impl Iterator<Item = &'a MemoryId>,
    tier: MemoryTier,
) -> Result<Latency> {
    let recorder = Recorder::default();
    for id in ids {
        let began = Instant::now();
        let from = read(bus, id).await?;
        recorder.record(began.elapsed());
        ensure!(from == tier, "an entry was read from {from:?}, not from {tier:?}");
    }
    Ok(recorder.summary())
}

async fn timed_searches(bus: &Bus, count: usize) -> Result<Latency> {
    let recorder = Recorder::default();
    for number in 0..count {
        let request =
            MemorySearchRequest { query: Some(question(number)), ..MemorySearchRequest::default() };
        let began = Instant::now();
        let found = ask::<SearchMemory>(bus, &request).await?;
        recorder.record(began.elapsed());
        ensure!(!found.results.is_empty(), "nothing was found for {:?}", request.query);
    }
    Ok(recorder.summary())
}

fn in_tier(now: &MemoryStatistics, tier: &str) -> u64 {
    now.by_tier.get(tier).copied().unwrap_or_default()
}

/// The first statistics for which `holds`.
async fn until(bus: &Bus, holds: impl Fn(&MemoryStatistics) -> bool) -> Result<MemoryStatistics> {
    let began = Instant::now();
    loop {
        let now = ask::<MemoryStats>(bus, &Empty {}).await?;
        if holds(&now) {
            return Ok(now);
        }
        if began.elapsed() > PATIENCE {
            bail!("it did not come to be: {now:?}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { bytes_below(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
