//! Many replicas edit one plan at once, until all of them are the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use tempfile::TempDir;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use troupe_client::{Link, LinkSettings, PlanReplica, Settings, Troupe};
use troupe_contract::plan::{CreatePlan, CreatePlanRequest, NewItem, Sync, SyncRequest};
use troupe_crdt::{Edit, ItemChange, Kind};
use troupe_domain::{Name, VectorClock};

use super::options::Sizes;
use crate::agents::ask;
use crate::stack::connect;

/// How long replicas may take to be the same.
const CONVERGE_WITHIN: Duration = Duration::from_secs(60);
/// Members of whom is told what they lack.
const MAX_TOLD_MEMBERS: usize = 8;

/// What came out of one repetition.
#[derive(Debug, Clone, Serialize)]
pub struct Convergence {
    /// How long each waited between two batches.
    pub pace_ms: u64,
    /// Replicas that edited.
    pub replicas: usize,
    /// Items of the plan.
    pub items: usize,
    /// Batches of all replicas together.
    pub batches: usize,
    /// Edits in them.
    pub edits: usize,
    /// From the first edit to the last.
    pub editing_ms: f64,
    /// From the last edit until the last replica had everything.
    pub converged_ms: f64,
    /// Whether all hashes are equal, the service's among them.
    pub equal_hashes: bool,
    /// Bytes of all batches: what each replica hears.
    pub batch_bytes: usize,
    /// Bytes of a snapshot of the plan in the end.
    pub snapshot_bytes: usize,
    /// How many times as many bytes as snapshots, one for each batch.
    pub bytes_saved: f64,
}

/// A replica that is linked.
struct Member {
    replica: PlanReplica,
    agent: Name,
    _link: Link,
    _troupe: Troupe,
    _folder: TempDir,
}

pub(super) async fn run(
    url: String,
    plan: String,
    pace: Duration,
    sizes: Sizes,
) -> Result<Convergence> {
    let operator = connect(&url, "operator").await?;
    let plan = Name::parse(&plan)?;
    let made = creation(&plan, sizes.items)?;
    let first = ask::<CreatePlan>(&operator, &made).await?.version;
    let mut joining = JoinSet::new();
    for number in 0..sizes.replicas {
        joining.spawn(join(url.clone(), plan.clone(), number, first.clone()));
    }
    let mut members = Vec::new();
    while let Some(member) = joining.join_next().await {
        members.push(Arc::new(member??));
    }
    let barrier = Arc::new(Barrier::new(members.len()));
    let mut editing = JoinSet::new();
    for member in &members {
        let (member, barrier) = (member.clone(), barrier.clone());
        editing.spawn(async move {
            barrier.wait().await;
            let began = Instant::now();
            let (edited, last) = edit(member, pace, sizes).await?;
            anyhow::Ok((began, last, edited))
        });
    }
    let (mut began, mut last, mut batch_bytes) = (None, None, 0);
    while let Some(edited) = editing.join_next().await {
        let (first, end, bytes) = edited??;
        began = Some(began.map_or(first, |began: Instant| began.min(first)));
        last = Some(last.map_or(end, |last: Instant| last.max(end)));
        batch_bytes += bytes;
    }
    let (began, last) = began.zip(last).context("nobody edited")?;
    let goal = goal(&first, &members, sizes.batches)?;
    let converged = until_all_have(&members, &goal).await?;
    let service = ask::<Sync>(&operator, &asked(&plan)).await?;
    let hashes = members.iter().map(|member| member.replica.hash().to_string());
    let equal_hashes = hashes.into_iter().all(|hash| hash == service.state_hash);
    ensure!(service.vector == goal, "the service has another version");
    let snapshot_bytes = members[0].replica.read(|replica| replica.document().encode().len());
    let batches = sizes.replicas * sizes.batches;
    Ok(Convergence {
        pace_ms: pace.as_millis() as u64,
        replicas: sizes.replicas,
        items: sizes.items,
        batches,
        edits: batches * sizes.edits,
        editing_ms: (last - began).as_secs_f64() * 1_000.0,
        converged_ms: converged.saturating_duration_since(last).as_secs_f64() * 1_000.0,
        equal_hashes,
        batch_bytes,
        snapshot_bytes,
        bytes_saved: (snapshot_bytes * batches) as f64 / batch_bytes.max(1) as f64,
    })
}

/// A plan with items.
pub(super) fn creation(plan: &Name, items: usize) -> Result<CreatePlanRequest> {
    let item = |number: usize| -> Result<NewItem> {
        Ok(NewItem {
            item_id: Some(item_id(number)?),
            title: format!("Write part {number} of what is to be done"),
            ..NewItem::default()
        })
    };
    Ok(CreatePlanRequest {
        plan_id: Some(plan.clone()),
        name: "A plan that many edit".to_owned(),
        description: String::new(),
        owner: None,
        collaborators: Vec::new(),
        current_phase: None,
        total_phases: None,
        items: (0..items).map(item).collect::<Result<_>>()?,
    })
}

pub(super) fn item_id(number: usize) -> Result<Name> {
    Ok(Name::parse(&format!("i{number}"))?)
}

fn asked(plan: &Name) -> SyncRequest {
    SyncRequest { object_id: plan.clone(), vector: VectorClock::default(), max_bytes: Some(1) }
}

async fn join(url: String, plan: Name, number: usize, first: VectorClock) -> Result<Member> {
    let agent = Name::parse(&format!("replica-{number}"))?;
    let settings = Settings { url, ..Settings::default() };
    let troupe = Troupe::connect(&settings, agent.clone()).await?;
    let folder = TempDir::new()?;
    let replica = PlanReplica::open(folder.path(), &agent, &plan, Kind::Plan)?;
    let link = replica.link(&troupe, LinkSettings::default()).await?;
    let has_plan = replica.until(|replica| replica.document().covers(&first));
    tokio::time::timeout(CONVERGE_WITHIN, has_plan).await.context("the plan did not come")?;
    Ok(Member { replica, agent, _link: link, _troupe: troupe, _folder: folder })
}

/// Makes all batches of one replica. Gives their bytes, and when the last one was made.
async fn edit(member: Arc<Member>, pace: Duration, sizes: Sizes) -> Result<(usize, Instant)> {
    let seed = member.agent.as_str().bytes().fold(7_u64, |seed, b| seed * 31 + u64::from(b));
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let (mut bytes, mut last) = (0, Instant::now());
    // Not all at the same moment.
    tokio::time::sleep(pace.mul_f64(chance.random())).await;
    for round in 0..sizes.batches {
        if round > 0 {
            tokio::time::sleep(pace).await;
        }
        let edits = edits(&mut chance, member.agent.as_str(), round, sizes)?;
        let writer = member.clone();
        // An edit is flushed to the disk: not where others' replicas run.
        let written = tokio::task::spawn_blocking(move || writer.replica.edit(&edits)).await??;
        (bytes, last) = (bytes + written.bytes().len(), Instant::now());
    }
    Ok((bytes, last))
}

/// Edits as people and models make them: titles, progress, remarks, other places.
pub(super) fn edits(
    chance: &mut ChaCha8Rng,
    who: &str,
    round: usize,
    sizes: Sizes,
) -> Result<Vec<Edit>> {
    let mut edits = Vec::with_capacity(sizes.edits);
    for number in 0..sizes.edits {
        let item = item_id(chance.random_range(0..sizes.items))?;
        let change = match number % 3 {
            0 => {
                ItemChange { progress: Some(chance.random_range(0..=100)), ..ItemChange::default() }
            }
            1 => ItemChange {
                title: Some(format!("Part of {who} in round {round}")),
                ..ItemChange::default()
            },
            _ => {
                edits.push(Edit::AddNote { item, text: format!("{who} was here") });
                continue;
            }
        };
        edits.push(Edit::UpdateItem { item, change, rests_on: None });
    }
    Ok(edits)
}

/// Everything that was written.
fn goal(first: &VectorClock, members: &[Arc<Member>], batches: usize) -> Result<VectorClock> {
    let mut goal = first.clone();
    for member in members {
        goal.raise(&member.agent, batches as u64)?;
    }
    Ok(goal)
}

/// Waits until every replica has everything. Gives the moment at which the last one did.
async fn until_all_have(members: &[Arc<Member>], goal: &VectorClock) -> Result<Instant> {
    let mut waiting = JoinSet::new();
    for member in members {
        let (member, goal) = (member.clone(), goal.clone());
        waiting.spawn(async move {
            member.replica.until(|replica| replica.document().covers(&goal)).await;
            Instant::now()
        });
    }
    let mut last = Instant::now();
    let all = async {
        while let Some(done) = waiting.join_next().await {
            last = last.max(done?);
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(CONVERGE_WITHIN, all).await {
        Ok(done) => done.map(|()| last),
        Err(_) => bail!("they did not converge: {}", lacking(members, goal)),
    }
}

/// What those lack that do not have everything: the first few of them.
fn lacking(members: &[Arc<Member>], goal: &VectorClock) -> String {
    let missing = members.iter().filter_map(|member| {
        let has = member.replica.vector();
        let lacks: u64 = goal.iter().map(|(agent, seq)| seq.saturating_sub(has.get(agent))).sum();
        let (status, fault) = (member.replica.status(), member.replica.last_fault());
        let waiting = member.replica.read(troupe_crdt::Replica::waiting);
        (lacks > 0 || fault.is_some()).then(|| {
            format!("{} lacks {lacks}, {waiting} wait, {status:?}, {fault:?}", member.agent)
        })
    });
    missing.take(MAX_TOLD_MEMBERS).collect::<Vec<_>>().join("; ")
}
