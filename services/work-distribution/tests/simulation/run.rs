//! One run of one seed: an unkind time, a kind time in which everything must come to its end, and the
//! judgement.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use troupe_bus::model::Link;
use troupe_contract::work::TaskFilter;
use troupe_contract::{Service, subject};
use troupe_domain::TaskStatus;
use troupe_shard::{Batch, ShardPorts, recovery};
use troupe_work_distribution::rules::record::{Record, SnapshotLine};
use troupe_work_distribution::rules::state::ShardState;

use super::agents::Agent;
use super::checks;
use super::cluster::Cluster;
use super::operators::Operator;
use super::plan::Plan;
use super::shadow::Shadow;

/// Kind time after which nothing that was sent before can still arrive.
const SETTLE: Duration = Duration::from_secs(20);
/// Kind time after which whatever is open is stuck.
const PATIENCE: Duration = Duration::from_mins(5);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// What is wrong; nothing, if the run is good.
    pub(crate) wrong: Vec<String>,
    /// A digest of everything that happened.
    pub(crate) digest: String,
    pub(crate) lines: Vec<String>,
    pub(crate) tasks: usize,
    pub(crate) ops: usize,
}

/// Runs a plan in a runtime of its own, on paused time.
pub(crate) fn run(plan: Plan) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap_or_else(|why| panic!("no runtime: {why}"));
    runtime.block_on(play(plan))
}

async fn play(plan: Plan) -> Verdict {
    let cluster = Cluster::new(plan);
    for shard in 0..cluster.plan.shards {
        tokio::spawn(cluster.clone().keep(shard));
    }
    for index in 0..cluster.plan.agents {
        tokio::spawn(Agent::new(&cluster, index).run());
    }
    tokio::spawn(Operator::new(&cluster, 100).watch());
    let operators: Vec<_> = (0..cluster.plan.operators)
        .map(|index| tokio::spawn(Operator::new(&cluster, index).run()))
        .collect();
    sleep(cluster.plan.unkind_for).await;
    let operating = futures::future::join_all(operators);
    let _ = tokio::time::timeout(cluster.plan.unkind_for, operating).await;
    cluster.be_kind();
    sleep(SETTLE).await;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && !is_quiet(&cluster) {
        sleep(Duration::from_secs(1)).await;
    }
    judge(&cluster).await
}

/// Whether, by the shards themselves, nothing more is to be done. Only ends the waiting.
fn is_quiet(cluster: &Arc<Cluster>) -> bool {
    let quiet = (0..cluster.plan.shards).all(|shard| {
        cluster.owner(shard).is_some_and(|owner| {
            owner.look(|state| {
                state
                    .visit(&TaskFilter::default(), None, 1_000)
                    .tasks
                    .iter()
                    .all(|task| task.status.is_terminal() || task.status == TaskStatus::Blocked)
            })
        })
    });
    quiet && read(cluster).stuck().is_empty()
}

fn read(cluster: &Cluster) -> Shadow {
    let mut shadow = Shadow::default();
    for (shard, log) in (0_u16..).zip(&cluster.logs) {
        shadow.read(shard, &log.history());
    }
    shadow
}

async fn judge(cluster: &Arc<Cluster>) -> Verdict {
    // Letters and events of the last changes are still on their way.
    sleep(Duration::from_secs(5)).await;
    if cluster.plan.loud {
        for message in cluster.logs.iter().flat_map(troupe_bus::model::ModelStream::history) {
            let body = String::from_utf8_lossy(&message.entry.body).into_owned();
            println!("{} {} {body}", message.entry.sequence, message.entry.subject);
        }
    }
    let shadow = read(cluster);
    let ops = cluster.history.ops();
    let published = cluster.events.events();
    let mut wrong = shadow.wrong.clone();
    wrong.extend(checks::claims(&ops, &shadow));
    wrong.extend(checks::writes(&ops, &shadow));
    wrong.extend(checks::refusals(&ops, &shadow));
    wrong.extend(checks::reads(&ops, &shadow));
    wrong.extend(checks::endings(&shadow));
    wrong.extend(shadow.stuck());
    wrong.extend(checks::events(&published, &shadow, |id| cluster.shard_of(id)));
    for shard in 0..cluster.plan.shards {
        wrong.extend(states(cluster, shard).await);
    }
    let digest = digest(cluster);
    let (tasks, lines) = (shadow.lives.len(), cluster.history.lines());
    Verdict { wrong, digest, lines, tasks, ops: ops.len() }
}

/// What a shard holds, as text: the same for every way of getting there.
fn shape(lines: Vec<SnapshotLine>) -> Vec<String> {
    let mut shape: Vec<String> = lines
        .into_iter()
        .filter_map(|line| {
            let mut value = serde_json::to_value(&line).unwrap_or_default();
            if let SnapshotLine::Task(_) = line
                && value["task"]["status"] == "available"
            {
                // A wait that is over is forgotten in memory, and not in the log.
                value["task"].as_object_mut()?.remove("retry_at");
            }
            Some(value.to_string())
        })
        .collect();
    shape.sort();
    shape
}

/// The owner that survived, a replay of the whole log, and a recovery from snapshot and log agree.
async fn states(cluster: &Arc<Cluster>, shard: u16) -> Vec<String> {
    let Some(owner) = cluster.owner(shard) else {
        return vec![format!("nobody owns shard {shard}")];
    };
    let log = &cluster.logs[usize::from(shard)];
    let settings = cluster.plan.settings(shard);
    let survivor = owner.look(|state| shape(state.snapshot()));
    let mut replayed = ShardState::new(settings);
    let subject = subject::shard_log(Service::Work, shard);
    for message in log.history().iter().filter(|message| message.entry.subject == subject) {
        if let Ok(batch) = serde_json::from_slice::<Batch<Record>>(&message.entry.body) {
            batch.records.iter().for_each(|record| replayed.apply(record));
        }
    }
    let mut wrong = differences("the owner", &survivor, "a replay", &shape(replayed.snapshot()));
    let link = Link::default();
    let ports: ShardPorts<ShardState> = ShardPorts {
        log: Arc::new(log.reached_by(&link)),
        events: Arc::new(cluster.events.reached_by(&link)),
        world: Arc::new(cluster.world.clone()),
        on_ready: Arc::new(|_| ()),
    };
    match recovery::open(settings, "the-judge", ports).await {
        Ok((fresh, _)) => {
            let recovered = fresh.look(|state| shape(state.snapshot()));
            wrong.extend(differences("the owner", &survivor, "a recovery", &recovered));
            fresh.close("it was judged");
        }
        Err(why) => wrong.push(format!("shard {shard} cannot be recovered: {why}")),
    }
    wrong
}

fn differences(one: &str, first: &[String], other: &str, second: &[String]) -> Vec<String> {
    let only = |side: &[String], missing: &[String], name: &str| {
        let lines = side.iter().filter(|line| !missing.contains(line));
        lines.map(|line| format!("only {name} has {line}")).collect::<Vec<_>>()
    };
    let mut wrong = only(first, second, one);
    wrong.extend(only(second, first, other));
    wrong
}

fn digest(cluster: &Cluster) -> String {
    let mut digest = Sha256::new();
    for log in &cluster.logs {
        for message in log.history() {
            digest.update(message.entry.sequence.to_be_bytes());
            digest.update(message.entry.subject.as_bytes());
            digest.update(&message.entry.body);
        }
    }
    for event in cluster.events.events() {
        digest.update(event.event.id.as_bytes());
        digest.update(&event.event.body);
    }
    for line in cluster.history.lines() {
        digest.update(line.as_bytes());
    }
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
