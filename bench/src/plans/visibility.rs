//! How long an edit takes until another agent's replica has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tempfile::TempDir;
use tokio::task::JoinSet;
use troupe_client::{LinkSettings, PlanReplica, Settings, Troupe};
use troupe_contract::plan::{CreatePlan, UpdateItem};
use troupe_crdt::{Edit, ItemChange, Kind};
use troupe_domain::Name;

use super::convergence::{creation, item_id};
use super::options::Sizes;
use super::throughput::update;
use crate::agents::ask;
use crate::latency::{Latency, Recorder};
use crate::stack::connect;

/// Agents that edit other plans meanwhile, where there is load.
const LOADING_AGENTS: usize = 8;
/// How long an edit may take.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// What came out.
#[derive(Debug, Clone, Serialize)]
pub struct Visibility {
    /// Replica to replica, while nothing else happens.
    pub idle: Latency,
    /// The same, while others edit other plans as fast as they can.
    pub loaded: Latency,
}

/// A writer and a reader, each with a replica.
struct Pair {
    writer: PlanReplica,
    reader: PlanReplica,
    name: Name,
}

pub(super) async fn run(url: String, sizes: Sizes) -> Result<Visibility> {
    let operator = connect(&url, "operator").await?;
    let plan = Name::parse("seen")?;
    let made = creation(&plan, sizes.items)?;
    let first = ask::<CreatePlan>(&operator, &made).await?.version;
    let mut kept = Vec::new();
    let mut replicas = Vec::new();
    for who in ["writer", "reader"] {
        let name = Name::parse(who)?;
        let settings = Settings { url: url.clone(), ..Settings::default() };
        let troupe = Troupe::connect(&settings, name.clone()).await?;
        let folder = TempDir::new()?;
        let replica = PlanReplica::open(folder.path(), &name, &plan, Kind::Plan)?;
        let link = replica.link(&troupe, LinkSettings::default()).await?;
        let has_plan = replica.until(|replica| replica.document().covers(&first));
        tokio::time::timeout(SEEN_WITHIN, has_plan).await.context("the plan did not come")?;
        kept.push((troupe, folder, link));
        replicas.push(replica);
    }
    let [writer, reader] = <[PlanReplica; 2]>::try_from(replicas).ok().context("two replicas")?;
    let pair = Arc::new(Pair { writer, reader, name: Name::parse("writer")? });
    let idle = measure(pair.clone(), sizes).await?;
    let ends = Arc::new(AtomicBool::new(false));
    let mut loading = JoinSet::new();
    for number in 0..LOADING_AGENTS {
        loading.spawn(load(url.clone(), number, sizes, ends.clone()));
    }
    let loaded = measure(pair, sizes).await;
    ends.store(true, Ordering::Relaxed);
    while let Some(done) = loading.join_next().await {
        done??;
    }
    Ok(Visibility { idle, loaded: loaded? })
}

async fn measure(pair: Arc<Pair>, sizes: Sizes) -> Result<Latency> {
    let recorder = Recorder::default();
    for round in 0..sizes.rounds {
        let item = item_id(round % sizes.items)?;
        let change = ItemChange { progress: Some((round % 101) as u8), ..ItemChange::default() };
        let edit = Edit::UpdateItem { item, change, rests_on: None };
        let began = Instant::now();
        let writer = pair.clone();
        let written = tokio::task::spawn_blocking(move || writer.writer.edit(&[edit])).await??;
        let seq = written.batch().seq;
        let seen = pair.reader.until(|replica| replica.document().seq(&pair.name) >= seq);
        tokio::time::timeout(SEEN_WITHIN, seen).await.context("an edit was not seen")?;
        recorder.record(began.elapsed());
    }
    Ok(recorder.summary())
}

/// Edits a plan of its own, one edit after the other.
async fn load(url: String, number: usize, sizes: Sizes, ends: Arc<AtomicBool>) -> Result<()> {
    let bus = connect(&url, &format!("loading-{number}")).await?;
    let plan = Name::parse(&format!("load-{number}"))?;
    ask::<CreatePlan>(&bus, &creation(&plan, sizes.items)?).await?;
    let mut round = 0;
    while !ends.load(Ordering::Relaxed) {
        round += 1;
        ask::<UpdateItem>(&bus, &update(&plan, round, sizes.items)?).await?;
    }
    Ok(())
}
