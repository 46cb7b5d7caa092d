//! What can be read, and that it survives: pages, counts, recommendations, snapshots, the archive.

mod fleet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet::{Fleet, PATIENCE, done, failed, hold, name, task};
use troupe_contract::registry::Empty;
use troupe_contract::work::*;
use troupe_domain::task::spec::{DependencySpec, TaskSpec};
use troupe_domain::{Code, Priority, Task, TaskId, TaskStatus};
use troupe_testkit::eventually;
use troupe_work_distribution::Config;

/// Every task that `filter` lets pass, page by page.
async fn pages(fleet: &Fleet, filter: &TaskFilter, rows: usize) -> Vec<Arc<Task>> {
    let mut filter = TaskFilter { limit: Some(rows), ..filter.clone() };
    let mut all = Vec::new();
    loop {
        let page = fleet.operator.call::<ListTasks>(&filter).await.unwrap();
        assert!(page.tasks.len() <= rows);
        all.extend(page.tasks);
        match page.next_after {
            Some(after) => filter.after = Some(after),
            None => return all,
        }
    }
}

fn ids(tasks: &[Arc<Task>]) -> BTreeSet<TaskId> {
    tasks.iter().map(|task| task.id.clone()).collect()
}

#[tokio::test]
async fn every_filter_narrows_and_pages_give_each_task_once() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "auditor", &["rust:0.9"]).await;
    let mut all = BTreeMap::new();
    for number in 0..40 {
        let spec = TaskSpec {
            priority: Priority::ALL[number % 4],
            required_role: (number % 5 == 0).then(|| name("auditor")),
            required_capabilities: if number % 3 == 0 {
                vec!["rust:0.5".parse().unwrap()]
            } else {
                vec![]
            },
            parent_task_id: None,
            ..task(&format!("task {number}"))
        };
        all.insert(fleet.create(&spec).await.id.clone(), number);
    }
    let parent = all.keys().next().unwrap().clone();
    let child =
        fleet.create(&TaskSpec { parent_task_id: Some(parent.clone()), ..task("child") }).await;
    let graph = GraphSpec {
        tasks: vec![TaskSpec { key: Some(name("one")), ..task("in a graph") }],
        idempotency_key: None,
    };
    let graph = fleet.operator.call::<CreateGraph>(&graph).await.unwrap();
    let claimed = fleet.claim(&ann).await;
    let by = |wanted: &dyn Fn(usize) -> bool| -> BTreeSet<TaskId> {
        all.iter().filter(|(_, n)| wanted(**n)).map(|(id, _)| id.clone()).collect()
    };
    for rows in [1, 7, 1_000] {
        let listed = pages(&fleet, &TaskFilter::default(), rows).await;
        assert_eq!((listed.len(), ids(&listed).len()), (42, 42), "{rows} rows");
        assert!(listed.is_sorted_by_key(|task| task.id.clone()));
    }
    let none = TaskFilter::default();
    let filters = [
        (TaskFilter { roles: vec![name("auditor")], ..none.clone() }, by(&|n| n % 5 == 0)),
        (TaskFilter { capabilities: vec![name("rust")], ..none.clone() }, by(&|n| n % 3 == 0)),
        (
            TaskFilter { priorities: vec![Priority::Low, Priority::Critical], ..none.clone() },
            by(&|n| n % 4 == 0 || n % 4 == 3),
        ),
        (
            TaskFilter {
                priorities: vec![Priority::Low],
                capabilities: vec![name("rust")],
                roles: vec![name("auditor")],
                ..none.clone()
            },
            by(&|n| n % 60 == 0),
        ),
        (
            TaskFilter { claimed_by: Some(name("ann")), ..none.clone() },
            [claimed.task.id.clone()].into(),
        ),
        (
            TaskFilter { statuses: vec![TaskStatus::Claimed], ..none.clone() },
            [claimed.task.id.clone()].into(),
        ),
        (TaskFilter { parent_task_id: Some(parent), ..none.clone() }, [child.id.clone()].into()),
        (
            TaskFilter { graph_id: Some(graph.graph_id.clone()), ..none.clone() },
            graph.task_ids.values().cloned().collect(),
        ),
        (TaskFilter { statuses: vec![TaskStatus::Dead], ..none.clone() }, BTreeSet::new()),
    ];
    for (filter, wanted) in filters {
        for rows in [2, 1_000] {
            assert_eq!(ids(&pages(&fleet, &filter, rows).await), wanted, "{filter:?}");
        }
    }
    let roots = pages(&fleet, &TaskFilter { root_only: true, ..none.clone() }, 5).await;
    assert_eq!((roots.len(), ids(&roots).contains(&child.id)), (41, false));
    let wide = TaskFilter { limit: Some(1_001), ..none };
    let fault = fleet.operator.call::<ListTasks>(&wide).await.unwrap_err();
    assert_eq!((fault.code, &fault.details["field"]), (Code::ResourceExhausted, &"limit".into()));
}

#[tokio::test]
async fn statistics_and_recommendations_say_what_was_done() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "implementer", &["rust:0.9"]).await;
    let bob = fleet.agent("bob", "implementer", &["rust:0.6"]).await;
    fleet.agent("eve", "auditor", &["rust:1.0"]).await;
    for number in 0..4 {
        fleet.create(&task(&format!("task {number}"))).await;
    }
    let spec = TaskSpec { max_retries: Some(0), ..task("doomed") };
    for _ in 0..3 {
        let held = hold(&fleet.claim(&ann).await);
        ann.call::<Start>(&held).await.unwrap();
        ann.call::<Complete>(&done(&held, "")).await.unwrap();
    }
    fleet.claim(&bob).await;
    fleet.create(&spec).await;
    let held = hold(&fleet.claim(&bob).await);
    bob.call::<Fail>(&failed(&held, true)).await.unwrap();
    let wanted = TaskSpec {
        required_role: Some(name("implementer")),
        required_capabilities: vec!["rust:0.5".parse().unwrap()],
        ..task("wanted")
    };
    let wanted = fleet.create(&wanted).await;
    let stats = fleet.operator.call::<WorkStats>(&Empty {}).await.unwrap();
    assert_eq!(stats.total_tasks, 6);
    for (status, count) in [
        (TaskStatus::Completed, 3),
        (TaskStatus::Claimed, 1),
        (TaskStatus::Dead, 1),
        (TaskStatus::Available, 1),
        (TaskStatus::Blocked, 0),
    ] {
        assert_eq!(stats.by_status[&status], count, "{status:?}");
    }
    assert_eq!(stats.by_status.len(), TaskStatus::ALL.len());
    assert_eq!(stats.by_priority[&Priority::Medium], 6);
    assert_eq!((stats.completed_last_hour, stats.failed_last_hour), (3, 1));
    assert_eq!((stats.by_agent[&name("ann")].completed, stats.by_agent[&name("bob")].held), (3, 1));
    assert_eq!(stats.by_agent[&name("bob")].failed, 1);
    assert!(stats.avg_completion_time_ms.is_some());

    let request =
        RecommendRequest { task_id: Some(wanted.id.clone()), ..RecommendRequest::default() };
    let best = fleet.operator.call::<Recommend>(&request).await.unwrap().recommendations;
    let agents: Vec<_> = best.iter().map(|pair| pair.agent_id.as_str()).collect();
    assert_eq!(agents, ["ann", "bob"], "{best:#?}");
    assert!(best[0].score > best[1].score);
    for word in ["role implementer", "rust", "idle", "success"] {
        assert!(best[0].reasons.iter().any(|reason| reason.contains(word)), "{best:#?}");
    }
    let request = RecommendRequest { agent_id: Some(name("bob")), limit: Some(1), task_id: None };
    let mine = fleet.operator.call::<Recommend>(&request).await.unwrap().recommendations;
    assert_eq!((mine.len(), &mine[0].task_id), (1, &wanted.id));
    let request =
        RecommendRequest { task_id: Some(name("nothing")), ..RecommendRequest::default() };
    let fault = fleet.operator.call::<Recommend>(&request).await.unwrap_err();
    assert_eq!(fault.code, Code::NotFound);
}

/// What a restart must not change: everything but leases that were renewed in memory, and waits
/// for a retry that are over.
fn lasting(task: &Task) -> Task {
    Task { lease_expires_at: None, retry_at: None, ..task.clone() }
}

async fn restart(fleet: &mut Fleet) {
    for replica in std::mem::take(&mut fleet.replicas) {
        replica.drain().await;
    }
    fleet.add_replica().await;
}

#[tokio::test]
async fn a_restart_reads_snapshots_and_logs_into_the_same_tasks() {
    let config = Config { snapshot_after_log_bytes: 4_096, shards: 2, ..Config::default() };
    let registry = troupe_registry::Config::default().settings();
    let mut fleet = Fleet::with(config, registry, 1).await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let mut all: Vec<TaskId> = Vec::new();
    let mut manifest = 0;
    for round in 0..3 {
        let first = all.len();
        for number in 0..25 {
            let spec = TaskSpec {
                description: "d".repeat(200),
                idempotency_key: Some(format!("{round}-{number}")),
                depends_on: all
                    .last()
                    .filter(|_| number % 5 == 4)
                    .cloned()
                    .map(DependencySpec::Plain)
                    .into_iter()
                    .collect(),
                max_retries: Some(1),
                ..task(&format!("task {round}-{number}"))
            };
            all.push(fleet.create(&spec).await.id.clone());
        }
        for number in 0..16 {
            let held = hold(&fleet.claim(&ann).await);
            match number % 4 {
                0 => {}
                1 => drop(ann.call::<Start>(&held).await.unwrap()),
                2 => drop(ann.call::<Fail>(&failed(&held, false)).await.unwrap()),
                _ => drop(ann.call::<Complete>(&done(&held, "kept")).await.unwrap()),
            }
        }
        manifest = until_snapshot(&fleet, manifest, &mut all).await;
        let before = settled(&fleet, &all).await;
        let stats = fleet.operator.call::<WorkStats>(&Empty {}).await.unwrap();
        restart(&mut fleet).await;
        let after = settled(&fleet, &all).await;
        for (id, task) in &before {
            assert_eq!(&after[id], task);
        }
        let again = fleet.operator.call::<WorkStats>(&Empty {}).await.unwrap();
        assert_eq!((again.by_status, again.by_agent), (stats.by_status, stats.by_agent));
        // What a key created is still known.
        let spec = TaskSpec {
            description: "d".repeat(200),
            idempotency_key: Some(format!("{round}-0")),
            max_retries: Some(1),
            ..task(&format!("task {round}-0"))
        };
        let repeated = fleet.operator.call::<Create>(&spec).await.unwrap();
        assert_eq!((repeated.created, &repeated.task_id), (false, &all[first]));
    }
}

/// Creates tasks until the first shard has a newer snapshot than that of the manifest at `former`, so
/// that some tasks lie in the snapshot and some in the log after it. Gives the manifest's sequence.
async fn until_snapshot(fleet: &Fleet, former: u64, all: &mut Vec<TaskId>) -> u64 {
    let client = fleet.nats.connect().await.unwrap();
    let created = parking_lot::Mutex::new(Vec::new());
    let sequence = eventually("a snapshot", PATIENCE, || async {
        let one = fleet.create(&task("one more")).await.id.clone();
        created.lock().push(one);
        let asked = "$JS.API.STREAM.MSG.GET.TROUPE_WORK_0";
        let manifest = r#"{"last_by_subj":"troupe.v1.log.work.0.manifest"}"#;
        let answer = client.request(asked, manifest.into()).await.ok()?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).ok()?;
        let sequence = answer["message"]["seq"].as_u64()?;
        (sequence > former).then_some(sequence)
    })
    .await;
    all.extend(created.into_inner());
    sequence
}

/// Every task, once the consequences of what was done have been drawn: two looks that agree.
async fn settled(fleet: &Fleet, all: &[TaskId]) -> BTreeMap<TaskId, Task> {
    let last = parking_lot::Mutex::new(None);
    eventually("the tasks to settle", PATIENCE, || async {
        let mut now = BTreeMap::new();
        for id in all {
            now.insert(id.clone(), lasting(&*fleet.get(id).await));
        }
        let former = last.lock().replace(now.clone());
        (former.as_ref() == Some(&now)).then_some(now)
    })
    .await
}

#[tokio::test]
async fn tasks_that_left_memory_can_still_be_read_and_revived() {
    let config = Config { max_terminal_tasks_per_shard: 2, shards: 2, ..Config::default() };
    let registry = troupe_registry::Config::default().settings();
    let mut fleet = Fleet::with(config, registry, 1).await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let mut ended = Vec::new();
    for number in 0..30 {
        let id = name(&format!("mine-{number}"));
        fleet.create(&TaskSpec { id: Some(id.clone()), ..task("one of many") }).await;
        let held = hold(&fleet.claim(&ann).await);
        if number % 2 == 0 {
            ann.call::<Complete>(&done(&held, "kept")).await.unwrap();
        } else {
            ann.call::<Fail>(&failed(&held, false)).await.unwrap();
        }
        ended.push(id);
        // At once: what has left memory is never out of reach.
        for id in &ended {
            assert!(fleet.status(id).await.is_terminal());
        }
    }
    for round in 0..2 {
        eventually("what ended long ago leaves memory", PATIENCE, async || {
            let stats = fleet.operator.call::<WorkStats>(&Empty {}).await.unwrap();
            (stats.total_tasks <= 4).then_some(())
        })
        .await;
        for (number, id) in ended.iter().enumerate() {
            let task = fleet.get(id).await;
            let wanted = if number % 2 == 0 { TaskStatus::Completed } else { TaskStatus::Failed };
            assert_eq!((task.status, task.epoch), (wanted, 1), "{id} in round {round}");
        }
        let again = TaskSpec { id: Some(ended[0].clone()), ..task("again") };
        let fault = fleet.operator.call::<Create>(&again).await.unwrap_err();
        assert_eq!(fault.code, Code::AlreadyExists);
        if round == 0 {
            restart(&mut fleet).await;
        }
    }
    let revive = |id: &TaskId| ReviveRequest { task_id: id.clone(), reason: "mended".into() };
    let fault = fleet.operator.call::<Revive>(&revive(&ended[0])).await.unwrap_err();
    assert_eq!(fault.code, Code::FailedPrecondition);
    fleet.operator.call::<Revive>(&revive(&ended[1])).await.unwrap();
    restart(&mut fleet).await;
    let claimed = fleet.claim(&ann).await;
    assert_eq!((&claimed.task.id, claimed.task.epoch), (&ended[1], 2));
    ann.call::<Complete>(&done(&hold(&claimed), "mended")).await.unwrap();
    assert_eq!(fleet.status(&ended[1]).await, TaskStatus::Completed);
}
