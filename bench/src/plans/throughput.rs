//! Edits and batches per second through the service, beside raw publishes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use troupe_bus::Bus;
use troupe_bus::port::{System, World};
use troupe_contract::plan::{
    Apply, ApplyRequest, Bytes64, CreatePlan, ItemChange, Sync, SyncRequest, UpdateItem,
    UpdateItemRequest,
};
use troupe_crdt::{AgentKey, Document, Kind, SignedBatch};
use troupe_domain::limits::MAX_BULK_ITEMS;
use troupe_domain::{Name, VectorClock};

use super::convergence::{creation, edits, item_id};
use super::options::Sizes;
use super::raw;
use super::stack::PlanStack;
use crate::agents::ask;
use crate::latency::{Latency, Recorder};
use crate::load::{Loaded, closed_loop};
use crate::processes::UsedByPart;
use crate::stack::connect;

/// Bytes of a raw publish: about a batch of ten edits with its signature.
const RAW_BYTES: usize = 450;

/// What came out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Throughput {
    /// Acknowledged publishes.
    pub raw: Series,
    /// Edits of callers without a replica, each of a plan of its own.
    pub edits: Series,
    /// The same, all of one plan with many items.
    pub edits_of_a_large_plan: Series,
    /// Batches of ten edits, signed by replicas, each of a plan of its own.
    pub batches: Series,
    /// Edits in one batch.
    pub edits_in_a_batch: usize,
    /// Items of the large plan.
    pub large_plan_items: usize,
}

/// One throughput, measured several times.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Series {
    /// In the order of the repetitions.
    pub per_s: Vec<f64>,
    /// Their median.
    pub median_per_s: f64,
    /// Each under this load, in the last repetition.
    pub latency: Latency,
    /// Microseconds of processor time for each, by part, in the last repetition.
    pub processor_us: BTreeMap<String, f64>,
}

impl Series {
    fn add(&mut self, loaded: &Loaded, latency: Latency, seconds: f64) {
        self.per_s.push(loaded.rounds_per_s);
        let mut sorted = self.per_s.clone();
        sorted.sort_by(f64::total_cmp);
        self.median_per_s = sorted[sorted.len() / 2];
        self.latency = latency;
        self.processor_us = each(&loaded.used, (loaded.rounds_per_s * seconds).max(1.0));
    }
}

fn each(used: &UsedByPart, count: f64) -> BTreeMap<String, f64> {
    let parts = used.iter();
    parts.map(|(part, used)| (part.clone(), (used.user_s + used.system_s) * 1e6 / count)).collect()
}

pub(super) async fn run(stack: &PlanStack, sizes: Sizes) -> Result<Throughput> {
    let mut measured = Throughput {
        edits_in_a_batch: sizes.edits,
        large_plan_items: sizes.many_items,
        ..Throughput::default()
    };
    let url = stack.url();
    let mut buses = Vec::new();
    for number in 0..sizes.connections {
        buses.push(connect(&url, &format!("editor-{number}")).await?);
    }
    let mut own = Vec::new();
    for number in 0..sizes.in_flight {
        let plan = Name::parse(&format!("own-{number}"))?;
        ask::<CreatePlan>(&buses[0], &creation(&plan, sizes.items)?).await?;
        own.push(plan);
    }
    let large = make_large(&buses[0], sizes.many_items).await?;
    let writers = writers(&url, sizes).await?;
    let seconds = sizes.span.measured.as_secs_f64();
    for repetition in 1..=sizes.repetitions {
        super::say(&format!("throughput, {repetition} of {}", sizes.repetitions));
        let others = stack.others();
        let (loaded, latency) = raw::run(&url, &others, sizes, RAW_BYTES).await?;
        measured.raw.add(&loaded, latency, seconds);
        let (loaded, latency) = edit_all(stack, &buses, &own, sizes, sizes.items).await?;
        measured.edits.add(&loaded, latency, seconds);
        let one = [large.clone()];
        let (loaded, latency) = edit_all(stack, &buses, &one, sizes, sizes.many_items).await?;
        measured.edits_of_a_large_plan.add(&loaded, latency, seconds);
        let (loaded, latency) = write_all(stack, &writers, sizes).await?;
        measured.batches.add(&loaded, latency, seconds);
    }
    Ok(measured)
}

/// A plan with many items, made in several requests.
async fn make_large(bus: &Bus, items: usize) -> Result<Name> {
    let plan = Name::parse("large")?;
    let whole = creation(&plan, items)?;
    let first: Vec<_> = whole.items.iter().take(MAX_BULK_ITEMS / 2).cloned().collect();
    let mut rest = whole.items[first.len()..].to_vec();
    let made = troupe_contract::plan::CreatePlanRequest { items: first, ..whole };
    ask::<CreatePlan>(bus, &made).await?;
    for item in rest.drain(..) {
        let request =
            troupe_contract::plan::AddItemRequest { plan_id: plan.clone(), item, after: None };
        ask::<troupe_contract::plan::AddItem>(bus, &request).await?;
    }
    Ok(plan)
}

/// An edit of a caller without a replica.
pub(super) fn update(plan: &Name, round: u64, items: usize) -> Result<UpdateItemRequest> {
    Ok(UpdateItemRequest {
        plan_id: plan.clone(),
        item_id: item_id(round as usize % items)?,
        change: ItemChange { progress: Some((round % 101) as u8), ..ItemChange::default() },
        read_version: None,
    })
}

async fn edit_all(
    stack: &PlanStack,
    buses: &[Bus],
    plans: &[Name],
    sizes: Sizes,
    items: usize,
) -> Result<(Loaded, Latency)> {
    let recorder = Arc::new(Recorder::default());
    let others = stack.others();
    let loaded = closed_loop(sizes.in_flight, sizes.span, &others, |worker, phase| {
        let (bus, plan) =
            (buses[worker % buses.len()].clone(), plans[worker % plans.len()].clone());
        let (recorder, rounds) = (recorder.clone(), AtomicU64::new(worker as u64 * 7));
        move || {
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            let (bus, plan) = (bus.clone(), plan.clone());
            let (phase, recorder) = (phase.clone(), recorder.clone());
            async move {
                let began = Instant::now();
                ask::<UpdateItem>(&bus, &update(&plan, round, items)?).await?;
                if phase.measuring() {
                    recorder.record(began.elapsed());
                }
                Ok(())
            }
        }
    });
    Ok((loaded.await?, recorder.summary()))
}

/// A replica that signs, without a disk: what is measured is the service.
struct Writer {
    bus: Bus,
    agent: Name,
    key: AgentKey,
    document: Document,
    chance: ChaCha8Rng,
    round: usize,
}

async fn writers(url: &str, sizes: Sizes) -> Result<Vec<Arc<Mutex<Writer>>>> {
    let mut writers = Vec::new();
    for number in 0..sizes.in_flight {
        let agent = Name::parse(&format!("signer-{number}"))?;
        let bus = connect(url, agent.as_str()).await?;
        let object = Name::parse(&format!("signed-{number}"))?;
        ask::<CreatePlan>(&bus, &creation(&object, sizes.items)?).await?;
        let mut document = Document::new(object.clone(), Kind::Plan);
        let asked =
            SyncRequest { object_id: object, vector: VectorClock::default(), max_bytes: None };
        for batch in ask::<Sync>(&bus, &asked).await?.batches {
            document.apply(&SignedBatch::decode(batch.as_ref())?)?;
        }
        let key = AgentKey::from_seed([number as u8; 32]);
        let chance = ChaCha8Rng::seed_from_u64(number as u64);
        writers.push(Arc::new(Mutex::new(Writer { bus, agent, key, document, chance, round: 0 })));
    }
    Ok(writers)
}

impl Writer {
    fn next(&mut self, sizes: Sizes) -> Result<(Bus, ApplyRequest)> {
        self.round += 1;
        let edits = edits(&mut self.chance, self.agent.as_str(), self.round, sizes)?;
        let now = System.now();
        let signed = self.document.edit(&self.agent, &self.key, None, now, &edits)?;
        self.document.apply_verified(&signed)?;
        let batches = vec![Bytes64(signed.shared_bytes())];
        Ok((self.bus.clone(), ApplyRequest { batches }))
    }
}

async fn write_all(
    stack: &PlanStack,
    writers: &[Arc<Mutex<Writer>>],
    sizes: Sizes,
) -> Result<(Loaded, Latency)> {
    let recorder = Arc::new(Recorder::default());
    let others = stack.others();
    let loaded = closed_loop(sizes.in_flight, sizes.span, &others, |worker, phase| {
        let (writer, recorder) = (writers[worker % writers.len()].clone(), recorder.clone());
        move || {
            let (writer, phase, recorder) = (writer.clone(), phase.clone(), recorder.clone());
            async move {
                let (bus, request) = writer.lock().next(sizes)?;
                let began = Instant::now();
                let reply = ask::<Apply>(&bus, &request).await?;
                ensure!(reply.refused.is_none(), "refused: {:?}", reply.refused);
                if phase.measuring() {
                    recorder.record(began.elapsed());
                }
                Ok(())
            }
        }
    });
    Ok((loaded.await.context("batches")?, recorder.summary()))
}
