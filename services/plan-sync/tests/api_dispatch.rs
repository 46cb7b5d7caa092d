//! From items to tasks and back, with the real work service: ready items become tasks, tasks move their
//! items, and what was missed is made up for.

mod stage;

use serde_json::json;
use stage::{Agent, PATIENCE, Stage, name};
use troupe_contract::event::PlanEventKind;
use troupe_contract::plan::{Dispatch, PlanReply, UpdateStatus};
use troupe_contract::progress::Report;
use troupe_contract::registry::Register;
use troupe_contract::work;
use troupe_domain::Code;
use troupe_domain::plan::{PlanItem, PlanItemStatus};
use troupe_domain::task::ClaimedTask;
use troupe_testkit::eventually;

/// The registry and the work service beside plan sync.
type Fleet = (troupe_registry::Replica, troupe_work_distribution::Replica);

async fn fleet(stage: &Stage) -> Fleet {
    let bus = stage.bus("troupe-registry").await;
    let settings = troupe_registry::Config::default().settings();
    let registry = troupe_registry::Replica::start(&bus, &settings, None).await.unwrap();
    (registry, work(stage).await)
}

async fn work(stage: &Stage) -> troupe_work_distribution::Replica {
    let bus = stage.bus("troupe-work-distribution").await;
    let config = troupe_work_distribution::Config::default();
    let replica = troupe_work_distribution::Replica::start(&bus, &config, None).await.unwrap();
    replica.ready().await;
    replica
}

async fn worker(stage: &Stage) -> Agent {
    let bob = stage.agent("bob").await;
    let joins = json!({"role": "implementer", "max_concurrent_tasks": 8});
    bob.call::<Register>(joins).await.unwrap();
    bob
}

async fn next(agent: &Agent) -> ClaimedTask {
    let request = json!({"wait_ms": 15_000, "start": true});
    agent.call::<work::Next>(request).await.unwrap().task.expect("a task comes")
}

fn item<'a>(reply: &'a PlanReply, id: &str) -> &'a PlanItem {
    reply.plan.items.iter().find(|item| item.id.as_str() == id).unwrap()
}

/// Waits until an item stands somewhere.
async fn until(agent: &Agent, id: &str, status: PlanItemStatus) -> PlanItem {
    eventually(&format!("{id} to be {}", status.as_str()), PATIENCE, || async {
        let found = agent.get("p").await;
        let item = item(&found, id);
        (item.status == status).then(|| item.clone())
    })
    .await
}

async fn make(agent: &Agent) {
    agent.make("p", &["a", "b", "c"]).await;
    let waits = json!({"plan_id": "p", "item_id": "b", "change": {"add_dependencies": ["a"]}});
    agent.call::<troupe_contract::plan::UpdateItem>(waits).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_items_become_tasks_and_tasks_move_their_items() {
    let stage = Stage::start().await;
    let _fleet = fleet(&stage).await;
    let (ann, bob) = (stage.agent("ann").await, worker(&stage).await);
    make(&ann).await;
    let reply = ann.call::<Dispatch>(json!({"plan_id": "p"})).await.unwrap();
    let ids: Vec<_> = reply.dispatched.iter().map(|one| one.item_id.to_string()).collect();
    assert_eq!((ids, reply.left), (vec!["a".to_owned(), "c".to_owned()], 0));
    // What has a task gets no second one; what waits gets none.
    let again = ann.call::<Dispatch>(json!({"plan_id": "p"})).await.unwrap();
    assert!(again.dispatched.is_empty());
    let waits = json!({"plan_id": "p", "item_ids": ["b"]});
    assert_eq!(ann.call::<Dispatch>(waits).await.unwrap_err().code, Code::FailedPrecondition);
    let (first, second) = (next(&bob).await, next(&bob).await);
    let task = |id: &str| reply.dispatched.iter().find(|one| one.item_id.as_str() == id);
    let a = task("a").unwrap().task_id.clone();
    let (for_a, for_c) = if first.task.id == a { (first, second) } else { (second, first) };
    assert_eq!(for_a.task.title, "Do a");
    until(&ann, "a", PlanItemStatus::InProgress).await;
    until(&ann, "c", PlanItemStatus::InProgress).await;
    let done = json!({"task_id": for_a.task.id, "epoch": for_a.task.epoch, "result": "fine"});
    bob.call::<work::Complete>(done).await.unwrap();
    let a = until(&ann, "a", PlanItemStatus::Completed).await;
    assert_eq!((a.progress, a.updated_by.as_str()), (100, "bob"));
    let failed = json!({"task_id": for_c.task.id, "epoch": for_c.task.epoch,
                        "error": "no bread", "retryable": false});
    bob.call::<work::Fail>(failed).await.unwrap();
    let c = until(&ann, "c", PlanItemStatus::Blocked).await;
    assert!(c.notes.iter().any(|note| note.text.contains("no bread")), "{:?}", c.notes);
    // `b` waited for `a`.
    let next_round = ann.call::<Dispatch>(json!({"plan_id": "p"})).await.unwrap();
    assert_eq!(next_round.dispatched[0].item_id, name("b"));
    let told = eventually("everything to be told", PATIENCE, || async {
        let told = stage.events("p").await;
        let of = |kind| told.iter().filter(|event| event.event == kind).count();
        (of(PlanEventKind::ItemDispatched) == 3 && of(PlanEventKind::ItemFollowed) >= 4)
            .then_some(told)
    })
    .await;
    let completed = told.iter().any(|event| {
        event.event == PlanEventKind::ItemFollowed
            && event.status == Some(PlanItemStatus::Completed)
            && event.item_ids == [name("a")]
    });
    assert!(completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_to_tasks_while_nobody_follows_is_made_up_for() {
    let mut stage = Stage::start().await;
    let _fleet = fleet(&stage).await;
    let (ann, bob) = (stage.agent("ann").await, worker(&stage).await);
    make(&ann).await;
    ann.call::<Dispatch>(json!({"plan_id": "p", "item_ids": ["a"]})).await.unwrap();
    stage.replicas.remove(0).drain().await;
    let claimed = next(&bob).await;
    let done = json!({"task_id": claimed.task.id, "epoch": claimed.task.epoch});
    bob.call::<work::Complete>(done).await.unwrap();
    stage.add_replica().await;
    until(&ann, "a", PlanItemStatus::Completed).await;
    // What a person decided stays, whatever the task does.
    ann.call::<Dispatch>(json!({"plan_id": "p", "item_ids": ["c"]})).await.unwrap();
    let claimed = next(&bob).await;
    until(&ann, "c", PlanItemStatus::InProgress).await;
    let decided = json!({"plan_id": "p", "item_id": "c", "status": "deferred"});
    ann.call::<UpdateStatus>(decided).await.unwrap();
    let failed = json!({"task_id": claimed.task.id, "epoch": claimed.task.epoch,
                        "error": "too late", "retryable": false});
    bob.call::<work::Fail>(failed).await.unwrap();
    let c = eventually("the failure to be noted", PATIENCE, || async {
        let got = ann.get("p").await;
        let c = item(&got, "c");
        c.notes.iter().any(|note| note.text.contains("too late")).then(|| c.clone())
    })
    .await;
    assert_eq!(c.status, PlanItemStatus::Deferred);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_could_not_be_made_is_made_later_once() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    make(&ann).await;
    // No work service is there: the item has its task all the same.
    let request = json!({"plan_id": "p", "item_ids": ["a"], "required_role": "implementer"});
    let reply = ann.call::<Dispatch>(request).await.unwrap();
    let task = reply.dispatched[0].task_id.clone();
    assert_eq!(item(&ann.get("p").await, "a").task_id.as_ref(), Some(&task));
    let _fleet = fleet(&stage).await;
    let bob = worker(&stage).await;
    let claimed = next(&bob).await;
    assert_eq!(claimed.task.id, task);
    assert_eq!(claimed.task.required_role, Some(name("implementer")));
    until(&ann, "a", PlanItemStatus::InProgress).await;
    let stats = bob.call::<work::WorkStats>(json!({})).await.unwrap();
    assert_eq!(stats.total_tasks, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_of_a_task_move_its_item_by_steps() {
    let stage = Stage::start().await;
    let _fleet = fleet(&stage).await;
    let bus = stage.bus("troupe-progress").await;
    let config = troupe_progress::Config::default();
    let progress = troupe_progress::Replica::start(&bus, &config, None).await.unwrap();
    progress.ready().await;
    let (ann, bob) = (stage.agent("ann").await, worker(&stage).await);
    make(&ann).await;
    ann.call::<Dispatch>(json!({"plan_id": "p", "item_ids": ["a"]})).await.unwrap();
    let claimed = next(&bob).await;
    until(&ann, "a", PlanItemStatus::InProgress).await;
    let far = |percentage: u8, wanted: u8| {
        let (ann, bob, claimed) = (&ann, &bob, &claimed);
        async move {
            let report = json!({"task_id": claimed.task.id, "epoch": claimed.task.epoch,
                                "percentage": percentage, "message": "at it"});
            bob.call::<Report>(report).await.unwrap();
            eventually(&format!("a to be at {wanted} %"), PATIENCE, || async {
                let found = ann.get("p").await;
                (item(&found, "a").progress == wanted).then_some(())
            })
            .await;
        }
    };
    far(37, 30).await;
    far(62, 60).await;
    far(100, 90).await;
    let done = json!({"task_id": claimed.task.id, "epoch": claimed.task.epoch});
    bob.call::<work::Complete>(done).await.unwrap();
    let a = until(&ann, "a", PlanItemStatus::Completed).await;
    assert_eq!(a.progress, 100);
    let steps = stage.events("p").await.into_iter().filter(|event| {
        event.event == PlanEventKind::ItemFollowed && event.item_ids == [name("a")]
    });
    // Claimed or started, three steps, completed: no report wrote an edit of its own besides.
    assert!((5..=6).contains(&steps.count()));
}
