//! Everything that can be killed is killed, and everything that can be paused is paused, under load;
//! the events must tell of a fleet that lost nothing and did nothing twice.
//!
//! The seed is printed; `CHAOS_SEED` plays the same faults in the same order again.

mod fleet;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fleet::worker::{Chance, insist, told};
use fleet::{connect, name, parts, proven, sized, task};
use parking_lot::Mutex;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::event::TaskEventKind;
use troupe_contract::registry::Empty;
use troupe_contract::work::*;
use troupe_domain::retry::Backoff;
use troupe_domain::task::spec::{DependencySpec, TaskSpec};
use troupe_domain::{TaskId, TaskStatus};
use troupe_testkit::history::{Acknowledged, History, final_status};
use troupe_testkit::{NatsServer, Proc, eventually, try_eventually};

const WORK_SETTINGS: &[&str] =
    &["shards=8", "default_lease_ms=1500", "snapshot_after_log_bytes=65536"];
const WORK_REPLICAS: usize = 3;
const REGISTRIES: usize = 2;
const WORKERS: [&str; 3] = ["ann,art,amy", "bob,bea,ben", "cat,cal,coy"];
const MAX_OPEN_TASKS: usize = 80;
/// Completions after each fault that show that the fleet goes on.
const GOES_ON_TASKS: usize = 6;
const GOES_ON_WITHIN: Duration = Duration::from_secs(90);
const ENDS_WITHIN: Duration = Duration::from_mins(3);

#[test]
fn plays_its_part() {
    parts::play();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Work,
    Registry,
    Workers,
    Nats,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Kill,
    Pause,
    Terminate,
}

const FAULTS: [(Target, Harm); 9] = [
    (Target::Work, Harm::Kill),
    (Target::Work, Harm::Pause),
    (Target::Work, Harm::Terminate),
    (Target::Workers, Harm::Kill),
    (Target::Workers, Harm::Pause),
    (Target::Registry, Harm::Kill),
    (Target::Registry, Harm::Pause),
    (Target::Nats, Harm::Kill),
    (Target::Nats, Harm::Pause),
];

/// The fleet, every part a process of its own.
struct Stage {
    nats: NatsServer,
    operator: Bus,
    work: Vec<Proc>,
    registries: Vec<Proc>,
    workers: Vec<Proc>,
    /// Former lives of workers: what they were told still counts.
    buried: Vec<Proc>,
}

impl Stage {
    async fn set() -> Self {
        let nats = NatsServer::start().await.unwrap();
        let registries: Vec<Proc> = (0..REGISTRIES).map(|_| parts::registry(&nats)).collect();
        let work = (0..WORK_REPLICAS).map(|_| parts::work_replica(&nats, WORK_SETTINGS)).collect();
        for registry in &registries {
            registry.wait_for_output(parts::READY, parts::START_WITHIN).await.unwrap();
        }
        let operator = connect(&nats, "operator").await;
        let workers = WORKERS.iter().map(|names| parts::workers(&nats, names)).collect();
        let stage = Self { nats, operator, work, registries, workers, buried: Vec::new() };
        stage.until_answered().await;
        stage
    }

    async fn answers(&self) -> bool {
        let options = CallOptions::within(Duration::from_secs(1));
        self.operator.call_with::<WorkStats>(&Empty {}, &options).await.is_ok()
    }

    async fn until_answered(&self) {
        eventually("every shard to answer", GOES_ON_WITHIN, || async {
            self.answers().await.then_some(())
        })
        .await;
    }

    /// What all agents were told, in all their lives.
    fn told(&self) -> Acknowledged {
        let mut all = Acknowledged::default();
        for worker in self.workers.iter().chain(&self.buried) {
            all.extend(told(&worker.stdout()));
        }
        all
    }

    async fn goes_on(&self, what: &str) {
        let wanted = self.told().completed.len() + GOES_ON_TASKS;
        let waited = try_eventually(format!("work to go on ({what})"), GOES_ON_WITHIN, || async {
            (self.told().completed.len() >= wanted).then_some(())
        });
        if let Err(stuck) = waited.await {
            let said: Vec<String> = self.work.iter().map(Proc::quoted_output).collect();
            panic!("{stuck}\n{}", said.join("\n"));
        }
    }

    async fn harm(&mut self, target: Target, harm: Harm, chance: &mut Chance) {
        let what = format!("{target:?} {harm:?}");
        if target == Target::Nats {
            return self.harm_nats(harm).await;
        }
        let (parts, nats) = match target {
            Target::Work => (&mut self.work, &self.nats),
            Target::Registry => (&mut self.registries, &self.nats),
            _ => (&mut self.workers, &self.nats),
        };
        let index = chance.below(parts.len());
        if harm == Harm::Pause {
            parts[index].pause().unwrap();
            self.goes_on(&what).await;
            let parts = match target {
                Target::Work => &self.work,
                Target::Registry => &self.registries,
                _ => &self.workers,
            };
            return parts[index].resume().unwrap();
        }
        if harm == Harm::Terminate {
            // Gone, or on its way: both are to be borne.
            parts[index].terminate().unwrap();
            if chance.percent(50) {
                parts[index].wait(Duration::from_mins(1)).await.unwrap();
            }
        }
        parts[index].kill9().unwrap();
        let again = match target {
            Target::Work => parts::work_replica(nats, WORK_SETTINGS),
            Target::Registry => parts::registry(nats),
            _ => parts::workers(nats, WORKERS[index]),
        };
        let former = std::mem::replace(&mut parts[index], again);
        if target == Target::Workers {
            self.buried.push(former);
        }
    }

    async fn harm_nats(&self, harm: Harm) {
        if harm == Harm::Kill {
            return self.nats.restart().await.unwrap();
        }
        self.nats.pause().unwrap();
        eventually("the silence to be noticed", GOES_ON_WITHIN, || async {
            (!self.answers().await).then_some(())
        })
        .await;
        self.nats.resume().unwrap();
    }
}

/// Creates tasks, alone, in graphs, and after others, until it is told to stop.
async fn create_until(
    bus: Bus,
    stop: Arc<AtomicBool>,
    open: Arc<std::sync::atomic::AtomicUsize>,
    mut chance: Chance,
) -> Acknowledged {
    let mut created: Vec<TaskId> = Vec::new();
    for number in 0_u64.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        if open.load(Ordering::Acquire) > MAX_OPEN_TASKS {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        let command = format!("create-{number}");
        let spec = |title: &str| TaskSpec {
            backoff: Some(Backoff { initial_ms: 50, max_ms: 500, multiplier: 2.0 }),
            ..task(title)
        };
        if chance.percent(15) {
            let member = |key: &str, on: &[&str]| TaskSpec {
                key: Some(name(key)),
                depends_on: on.iter().map(|key| DependencySpec::Plain(name(key))).collect(),
                ..spec(key)
            };
            let tasks = vec![
                member("top", &[]),
                member("left", &["top"]),
                member("right", &["top"]),
                member("join", &["left", "right"]),
            ];
            let graph = GraphSpec { tasks, idempotency_key: None };
            let graph = insist::<CreateGraph>(&bus, &graph, Some(&command)).await.unwrap();
            created.extend(graph.task_ids.into_values());
            open.fetch_add(4, Ordering::AcqRel);
            continue;
        }
        let mut spec = spec("alone");
        if chance.percent(30) && !created.is_empty() {
            let on = created[created.len() - 1 - chance.below(created.len().min(8))].clone();
            spec.depends_on = vec![DependencySpec::Plain(on)];
        }
        let task = insist::<Create>(&bus, &spec, Some(&command)).await.unwrap();
        created.push(task.task_id);
        open.fetch_add(1, Ordering::AcqRel);
    }
    Acknowledged { created: created.into_iter().collect(), ..Acknowledged::default() }
}

/// Counts what ended, so that creating keeps its distance; errors while NATS is away are nothing.
async fn watch_open(
    operator: Bus,
    open: Arc<std::sync::atomic::AtomicUsize>,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(Ordering::Acquire) {
        if let Ok(stats) = operator.call::<WorkStats>(&Empty {}).await {
            let waiting = stats.by_status.iter().filter(|(status, _)| !status.is_terminal());
            open.store(waiting.map(|(_, count)| *count as usize).sum(), Ordering::Release);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn shuffled(chance: &mut Chance, rounds: usize) -> Vec<(Target, Harm)> {
    let mut all = Vec::new();
    while all.len() < rounds {
        let mut left = FAULTS.to_vec();
        while !left.is_empty() {
            all.push(left.swap_remove(chance.below(left.len())));
        }
    }
    all.truncate(rounds);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_done_twice_whatever_dies() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(now.as_nanos() as u64);
    println!("CHAOS_SEED={seed}");
    let mut chance = Chance(seed);
    let mut stage = Box::pin(Stage::set()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let open = Arc::default();
    let creating = tokio::spawn(create_until(
        connect(&stage.nats, "creator").await,
        stop.clone(),
        Arc::clone(&open),
        Chance(seed ^ 1),
    ));
    let watching = tokio::spawn(watch_open(stage.operator.clone(), open, stop.clone()));
    stage.goes_on("before the first fault").await;
    let began = Instant::now();
    for (round, (target, harm)) in
        shuffled(&mut chance, sized(90, FAULTS.len())).into_iter().enumerate()
    {
        let hurt = Instant::now();
        stage.harm(target, harm, &mut chance).await;
        if sized(1, 0) == 1 && chance.percent(30) {
            let (target, harm) = FAULTS[chance.below(FAULTS.len())];
            stage.harm(target, harm, &mut chance).await;
        }
        stage.goes_on(&format!("{target:?} {harm:?}")).await;
        println!("{round}: {target:?} {harm:?}: work goes on after {:?}", hurt.elapsed());
    }
    println!("faults over {:?}", began.elapsed());
    stop.store(true, Ordering::Release);
    let mut acknowledged = creating.await.unwrap();
    watching.await.unwrap();
    // While the last tasks end, agents are still told of them: what they were told is read last.
    let ended = Instant::now();
    proven(&stage.nats, &acknowledged, ENDS_WITHIN).await;
    println!("everything ended {:?} after the last fault", ended.elapsed());
    acknowledged.extend(settled(&stage).await);
    let history = proven(&stage.nats, &acknowledged, ENDS_WITHIN).await;
    compare(&stage, &acknowledged, &history).await;
    report(&acknowledged, &history);
}

/// What agents were told, once nobody is told anything more.
async fn settled(stage: &Stage) -> Acknowledged {
    let last = Mutex::new(usize::MAX);
    eventually("the agents to be idle", ENDS_WITHIN, || async {
        stage.until_answered().await;
        let told = stage.told();
        let count = told.claimed.len() + told.completed.len();
        let former = std::mem::replace(&mut *last.lock(), count);
        tokio::time::sleep(Duration::from_millis(200)).await;
        (former == count).then_some(told)
    })
    .await
}

/// What is read says the same as the events.
async fn compare(stage: &Stage, acknowledged: &Acknowledged, history: &History) {
    let mut of_task: std::collections::BTreeMap<&TaskId, Vec<_>> =
        std::collections::BTreeMap::new();
    for event in history.events() {
        of_task.entry(&event.task_id).or_default().push(event);
    }
    for id in &acknowledged.created {
        let read = TaskRef { task_id: id.clone() };
        let task = insist::<GetTask>(&stage.operator, &read, None).await.unwrap().task;
        let last = of_task[id].last().unwrap();
        assert_eq!((task.status, task.epoch), (last.status, last.epoch), "{id}");
        if task.status == TaskStatus::Completed {
            assert_eq!(task.result, last.task.as_ref().unwrap().result, "{id}");
        }
    }
    let one = acknowledged.created.first().unwrap();
    assert!(final_status(history, one).unwrap().is_terminal());
}

fn report(acknowledged: &Acknowledged, history: &History) {
    use TaskEventKind as K;
    println!(
        "{} tasks created, {} claims and {} completions acknowledged; events: {} claimed, {} \
         completed, {} leases expired, {} retries, {} cancelled, {} dead; {} came twice, {} late",
        acknowledged.created.len(),
        acknowledged.claimed.len(),
        acknowledged.completed.len(),
        history.count(K::TaskClaimed),
        history.count(K::TaskCompleted),
        history.count(K::LeaseExpired),
        history.count(K::TaskRetrying),
        history.count(K::TaskCancelled),
        history.count(K::TaskDead),
        history.repeated,
        history.late,
    );
}
