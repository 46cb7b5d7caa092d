//! Replicas come and go: shards move, acknowledged writes stay, any replica serves any request.

mod fleet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fleet::worker::{Running, beat, insist};
use fleet::{PATIENCE, connect, done, hold, parts, proven, sized, task};
use futures::StreamExt;
use parking_lot::Mutex;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::registry::{Empty, Register};
use troupe_contract::work::*;
use troupe_domain::{Json, TaskId, TaskStatus};
use troupe_testkit::history::Acknowledged;
use troupe_testkit::{NatsServer, Proc, eventually};

const SHARDS: usize = 16;
const SETTINGS: &[&str] = &["shards=16", "default_lease_ms=5000"];

#[test]
fn plays_its_part() {
    parts::play();
}

struct Stack {
    nats: NatsServer,
    _registry: Proc,
    replicas: Vec<Proc>,
    operator: Bus,
}

/// What one replica says of itself: its id, and requests by operation.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

impl Stack {
    async fn start(replicas: usize) -> Self {
        let nats = NatsServer::start().await.unwrap();
        let registry = parts::registry(&nats);
        registry.wait_for_output(parts::READY, parts::START_WITHIN).await.unwrap();
        let operator = connect(&nats, "operator").await;
        let mut stack = Self { nats, _registry: registry, replicas: Vec::new(), operator };
        for _ in 0..replicas {
            stack.add_replica().await;
        }
        stack
    }

    /// Starts one more, and waits until it owns shards and every shard answers.
    async fn add_replica(&mut self) {
        let replica = parts::work_replica(&self.nats, SETTINGS);
        self.replicas.push(replica);
        let wanted = self.replicas.len();
        eventually("each replica to own shards", parts::START_WITHIN, || async {
            let owners = self.owners().await;
            (owners.len() == wanted && owners.values().all(|owned| *owned > 0)).then_some(())
        })
        .await;
        self.until_every_shard_answers().await;
    }

    async fn until_every_shard_answers(&self) {
        eventually("every shard to answer", parts::START_WITHIN, || async {
            let options = CallOptions::within(Duration::from_secs(1));
            self.operator.call_with::<WorkStats>(&Empty {}, &options).await.ok()
        })
        .await;
    }

    /// How many shards each replica says it owns, by its presence.
    async fn owners(&self) -> BTreeMap<String, usize> {
        let client = self.nats.connect().await.unwrap();
        let presence = "troupe.v1.internal.work.presence";
        let mut heard = client.subscribe(presence).await.unwrap();
        let mut owners = BTreeMap::new();
        let listen = Duration::from_millis(1_200);
        while let Ok(Some(hello)) = tokio::time::timeout(listen, heard.next()).await {
            let hello: serde_json::Value = serde_json::from_slice(&hello.payload).unwrap();
            let name = hello["replica"].as_str().unwrap().to_owned();
            let owned = hello["owned"].as_array().unwrap().len();
            if owners.insert(name, owned).is_some() {
                break; // heard one twice: everybody has spoken
            }
        }
        owners
    }

    /// What every replica counts, asked with `$SRV.STATS`.
    async fn counts(&self) -> Counts {
        let client = self.nats.connect().await.unwrap();
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.unwrap();
        let asked = "$SRV.STATS.troupe-work-distribution";
        client.publish_with_reply(asked, inbox, "".into()).await.unwrap();
        let mut counts = Counts::new();
        while counts.len() < self.replicas.len() {
            let answer = tokio::time::timeout(PATIENCE, answers.next()).await;
            let answer = answer.expect("every replica to answer").unwrap();
            let stats: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
            let endpoints = stats["endpoints"].as_array().unwrap().iter();
            let by_name = endpoints.map(|row| {
                let requests = row["num_requests"].as_u64().unwrap();
                (row["name"].as_str().unwrap().to_owned(), requests)
            });
            counts.insert(stats["id"].as_str().unwrap().to_owned(), by_name.collect());
        }
        counts
    }
}

/// Callers that create tasks and agents that do them, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<Acknowledged>>,
    at_work: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn start(nats: &NatsServer) -> Self {
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut load = Self { stop, told, at_work: Vec::new() };
        for number in 0..4 {
            let bus = connect(nats, &format!("creator-{number}")).await;
            let (stop, told) = (load.stop.clone(), load.told.clone());
            load.at_work.push(tokio::spawn(create_until(bus, stop, told)));
            let bus = connect(nats, &format!("agent-{number}")).await;
            bus.call::<Register>(&fleet::declaration("implementer", &[])).await.unwrap();
            let (stop, told) = (load.stop.clone(), load.told.clone());
            load.at_work.push(tokio::spawn(work_until(bus, stop, told)));
        }
        load
    }

    fn completed(&self) -> usize {
        self.told.lock().completed.len()
    }

    /// Waits until `more` tasks were completed since now.
    async fn progress(&self, more: usize) {
        let wanted = self.completed() + more;
        eventually("the load to go on", PATIENCE * 3, || async {
            (self.completed() >= wanted).then_some(())
        })
        .await;
    }

    /// Stops creating, and waits until everything that was created is done.
    async fn finish(self, nats: &NatsServer) -> Acknowledged {
        self.stop.store(true, Ordering::Release);
        for task in self.at_work {
            task.await.unwrap();
        }
        let told = self.told.lock().clone();
        proven(nats, &told, PATIENCE * 3).await;
        told
    }
}

async fn create_until(bus: Bus, stop: Arc<AtomicBool>, told: Arc<Mutex<Acknowledged>>) {
    for number in 0_u64.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let open = {
            let told = told.lock();
            told.created.len() - told.completed.len().min(told.created.len())
        };
        if open > 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let command = format!("c{number}");
        let created = insist::<Create>(&bus, &task("load"), Some(&command)).await.unwrap();
        told.lock().created.insert(created.task_id.clone());
    }
}

/// Works until creating has stopped and nothing is left.
async fn work_until(bus: Bus, stop: Arc<AtomicBool>, told: Arc<Mutex<Acknowledged>>) {
    let running = Running::default();
    let beats = tokio::spawn(beat(bus.clone(), running.clone()));
    for number in 0_u64.. {
        let stopped = stop.load(Ordering::Acquire);
        let command = format!("{}-{number}", bus.name());
        let poll = NextRequest::waiting(300);
        let Some(claimed) = insist::<Next>(&bus, &poll, Some(&command)).await.unwrap().task else {
            let everything = {
                let told = told.lock();
                told.completed.len() >= told.created.len()
            };
            if stopped && everything {
                return beats.abort();
            }
            continue;
        };
        let held = hold(&claimed);
        let (id, epoch) = (held.task_id.clone(), held.epoch);
        running.lock().insert(id.clone());
        told.lock().claimed.push((id.clone(), epoch, bus.name().clone()));
        if insist::<Complete>(&bus, &done(&held, "done"), None).await.is_ok() {
            told.lock().completed.push((id.clone(), epoch, Some(Json::text("done"))));
        }
        running.lock().remove(&id);
    }
}

/// Everything that was acknowledged so far is there.
async fn read_all(stack: &Stack, told: &Acknowledged) {
    let last: BTreeSet<&TaskId> = told.completed.iter().map(|(id, ..)| id).collect();
    for id in &told.created {
        let read = TaskRef { task_id: id.clone() };
        let task = insist::<GetTask>(&stack.operator, &read, None).await.unwrap().task;
        if last.contains(id) {
            assert_eq!(task.status, TaskStatus::Completed, "{id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_move_when_a_replica_is_killed_joins_or_leaves() {
    let mut stack = Box::pin(Stack::start(3)).await;
    let load = Load::start(&stack.nats).await;
    let more = sized(2_000, 100);
    load.progress(more).await;

    let before = load.told.lock().clone();
    let victim = stack.replicas.remove(0);
    let killed = Instant::now();
    victim.kill9().unwrap();
    stack.until_every_shard_answers().await;
    println!("every shard answers {:?} after kill -9 of one of 3 replicas", killed.elapsed());
    read_all(&stack, &before).await;
    load.progress(more).await;

    let joining = Instant::now();
    stack.add_replica().await;
    println!("a new replica owns shards {:?} after its start", joining.elapsed());
    load.progress(more).await;

    let before = load.told.lock().clone();
    let leaver = stack.replicas.remove(0);
    let told = Instant::now();
    leaver.terminate().unwrap();
    let status = leaver.wait(Duration::from_secs(40)).await.unwrap();
    println!("a drain after SIGTERM took {:?}", told.elapsed());
    assert!(status.success(), "{status}\n{}", leaver.quoted_output());
    stack.until_every_shard_answers().await;
    println!("every shard answers {:?} after SIGTERM", told.elapsed());
    read_all(&stack, &before).await;
    load.progress(more).await;
    let owned: usize = stack.owners().await.values().sum();
    assert_eq!(owned, SHARDS);
    let told = load.finish(&stack.nats).await;
    println!("{} tasks created, {} claims, all ended once", told.created.len(), told.claimed.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_replica_serves_any_request() {
    let stack = Box::pin(Stack::start(3)).await;
    let ann = connect(&stack.nats, "ann").await;
    ann.call::<Register>(&fleet::declaration("implementer", &[])).await.unwrap();
    let operator = &stack.operator;
    let operations = ["create", "next", "start", "complete", "get", "list", "stats", "available"];
    // The server gives each request to any of them: ask until each has answered each.
    let everybody =
        eventually("each replica to have answered each operation", PATIENCE * 3, || async {
            for _ in 0..4 {
                let created = operator.call::<Create>(&task("anywhere")).await.unwrap().task_id;
                let poll = NextRequest::waiting(10_000);
                let claimed = ann.call::<Next>(&poll).await.unwrap().task.unwrap();
                assert_eq!(claimed.task.id, created);
                let held = hold(&claimed);
                ann.call::<Start>(&held).await.unwrap();
                ann.call::<Complete>(&done(&held, "anywhere")).await.unwrap();
                let read = TaskRef { task_id: created };
                let read = operator.call::<GetTask>(&read).await.unwrap().task;
                assert_eq!(read.status, TaskStatus::Completed);
                operator.call::<ListTasks>(&TaskFilter::default()).await.unwrap();
                let stats = operator.call::<WorkStats>(&Empty {}).await.unwrap();
                assert_eq!(stats.total_tasks, stats.by_status[&TaskStatus::Completed]);
                ann.call::<Available>(&AvailableRequest::default()).await.unwrap();
            }
            let counts = stack.counts().await;
            let answered =
                counts.values().all(|by_name| operations.iter().all(|name| by_name[*name] > 0));
            answered.then_some(counts)
        })
        .await;
    assert_eq!(everybody.len(), 3);
}
