//! The life of tasks over a real NATS server.

mod fleet;

use fleet::{Fleet, done, hold, name, task};
use troupe_contract::work::*;
use troupe_domain::task::spec::{DependencySpec, TaskSpec};
use troupe_domain::{Code, Json, Priority, TaskStatus};

#[tokio::test]
async fn a_task_is_created_claimed_started_and_completed() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "implementer", &["rust:0.9"]).await;
    let created = fleet.operator.call::<Create>(&task("write it")).await.unwrap();
    assert!(created.created);
    let claimed = ann.call::<Next>(&NextRequest::waiting(0)).await.unwrap().task.unwrap();
    assert_eq!((claimed.task.id.clone(), claimed.task.epoch), (created.task_id.clone(), 1));
    let hold = HoldRequest { task_id: claimed.task.id.clone(), epoch: 1 };
    assert_eq!(ann.call::<Start>(&hold).await.unwrap().status, TaskStatus::InProgress);
    let done = CompleteRequest::new(claimed.task.id.clone(), 1, Some(Json::text("done")));
    assert_eq!(ann.call::<Complete>(&done).await.unwrap().status, TaskStatus::Completed);
    let read = TaskRef { task_id: claimed.task.id.clone() };
    let task = fleet.operator.call::<GetTask>(&read).await.unwrap().task;
    assert_eq!(
        (task.status, task.result.clone()),
        (TaskStatus::Completed, Some(Json::text("done")))
    );
    assert!(ann.call::<Next>(&NextRequest::waiting(0)).await.unwrap().task.is_none());
}

#[tokio::test]
async fn a_long_poll_is_woken_by_a_new_task() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let poll = tokio::spawn(async move {
        let options = troupe_bus::CallOptions::within(std::time::Duration::from_secs(40));
        ann.call_with::<Next>(&NextRequest::waiting(30_000), &options).await
    });
    fleet.until_waiting(1).await;
    let created = fleet.operator.call::<Create>(&task("wake up")).await.unwrap();
    let claimed = poll.await.unwrap().unwrap().task.unwrap();
    assert_eq!(claimed.task.id, created.task_id);
}

#[tokio::test]
async fn a_graph_is_released_step_by_step_and_results_travel() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let member = |key: &str, on: &[&str]| TaskSpec {
        key: Some(name(key)),
        depends_on: on.iter().map(|k| DependencySpec::Plain(name(k))).collect(),
        ..task(key)
    };
    let spec = GraphSpec {
        tasks: vec![member("join", &["left", "right"]), member("left", &[]), member("right", &[])],
        idempotency_key: Some("g1".into()),
    };
    let graph = fleet.operator.call::<CreateGraph>(&spec).await.unwrap();
    let again = fleet.operator.call::<CreateGraph>(&spec).await.unwrap();
    assert!(graph.created && !again.created);
    assert_eq!(graph.task_ids, again.task_ids);
    for _ in 0..2 {
        let got = fleet.work_once(&ann, |claimed| format!("{} done", claimed.task.title)).await;
        assert_ne!(got.task.title, "join");
    }
    let join = fleet.work_once(&ann, |_| String::new()).await;
    assert_eq!(join.task.title, "join");
    assert_eq!(join.inputs[&name("left")].result, Some(Json::text("left done")));
    let page = TaskFilter { graph_id: Some(graph.graph_id), ..TaskFilter::default() };
    let page = fleet.operator.call::<ListTasks>(&page).await.unwrap();
    assert!(page.tasks.iter().all(|task| task.status == TaskStatus::Completed));
    assert_eq!(page.tasks.len(), 3);
}

#[tokio::test]
async fn priorities_roles_and_capabilities_are_matched() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "implementer", &["rust:0.5"]).await;
    let wanted = [
        (Priority::Low, "implementer", "rust:0.4", "low"),
        (Priority::Critical, "implementer", "rust:0.4", "urgent"),
        (Priority::Critical, "auditor", "rust:0.4", "another role"),
        (Priority::Critical, "implementer", "rust:0.9", "too hard"),
        (Priority::Critical, "implementer", "go", "another skill"),
    ];
    for (priority, role, capability, title) in wanted {
        let spec = TaskSpec {
            priority,
            required_role: Some(name(role)),
            required_capabilities: vec![capability.parse().unwrap()],
            ..task(title)
        };
        fleet.operator.call::<Create>(&spec).await.unwrap();
    }
    let available = ann.call::<Available>(&AvailableRequest::default()).await.unwrap();
    assert_eq!(available.total, 2);
    assert_eq!(fleet.work_once(&ann, |_| String::new()).await.task.title, "urgent");
    assert_eq!(fleet.work_once(&ann, |_| String::new()).await.task.title, "low");
    assert!(ann.call::<Next>(&NextRequest::waiting(0)).await.unwrap().task.is_none());
}

#[tokio::test]
async fn dependencies_in_any_shard_are_awaited_and_their_results_seen() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let mut first = Vec::new();
    for index in 0..8 {
        let created =
            fleet.operator.call::<Create>(&task(&format!("first {index}"))).await.unwrap();
        first.push(created.task_id.clone());
    }
    let spec = TaskSpec {
        depends_on: first.iter().cloned().map(DependencySpec::Plain).collect(),
        ..task("second")
    };
    let second = fleet.create(&spec).await;
    assert_eq!(second.status, TaskStatus::Blocked);
    for _ in 0..8 {
        fleet.work_once(&ann, |claimed| claimed.task.title.clone()).await;
    }
    let claimed = fleet.work_once(&ann, |_| String::new()).await;
    assert_eq!((claimed.task.title.as_str(), claimed.inputs.len()), ("second", 8));
    for input in claimed.inputs.values() {
        let result: String = input.result.as_ref().unwrap().parse().unwrap();
        assert!(result.starts_with("first"), "{result}");
    }
}

#[tokio::test]
async fn a_lost_answer_loses_no_task() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    fleet.operator.call::<Create>(&task("one")).await.unwrap();
    fleet.operator.call::<Create>(&task("two")).await.unwrap();
    let options = troupe_bus::CallOptions {
        command_id: Some("poll-1".into()),
        ..troupe_bus::CallOptions::default()
    };
    let poll = NextRequest::waiting(0);
    let once = ann.call_with::<Next>(&poll, &options).await.unwrap().task.unwrap();
    let twice = ann.call_with::<Next>(&poll, &options).await.unwrap().task.unwrap();
    assert_eq!((once.task.id.clone(), once.task.epoch), (twice.task.id.clone(), twice.task.epoch));
}

#[tokio::test]
async fn a_report_takes_the_next_task_along() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    for title in ["one", "two"] {
        fleet.create(&task(title)).await;
    }
    let poll = NextRequest { wait_ms: 0, start: true };
    let one = ann.call::<Next>(&poll).await.unwrap().task.unwrap();
    assert_eq!(one.task.status, TaskStatus::InProgress);
    let report = CompleteRequest { next: true, ..done(&hold(&one), "done") };
    // The answer is lost: the same command brings the same task.
    let options = troupe_bus::CallOptions {
        command_id: Some("report-1".into()),
        ..troupe_bus::CallOptions::default()
    };
    let first = ann.call_with::<Complete>(&report, &options).await.unwrap();
    let again = ann.call_with::<Complete>(&report, &options).await.unwrap();
    let two = first.next.unwrap();
    assert_eq!(again.next.unwrap().task.id, two.task.id);
    assert_eq!((two.task.title.as_str(), two.task.status), ("two", TaskStatus::InProgress));
    let last = CompleteRequest { next: true, ..done(&hold(&two), "done") };
    let answer = ann.call::<Complete>(&last).await.unwrap();
    assert_eq!((answer.status, answer.next), (TaskStatus::Completed, None));
    // What is refused takes nothing along.
    fleet.create(&task("three")).await;
    let stale = HoldRequest { epoch: 7, ..hold(&two) };
    let late = CompleteRequest { next: true, ..done(&stale, "late") };
    assert_eq!(ann.call::<Complete>(&late).await.unwrap_err().code, Code::StaleEpoch);
    assert_eq!(fleet.claim(&ann).await.task.status, TaskStatus::Claimed);
}

#[tokio::test]
async fn failure_5_dependents_of_a_failed_task_are_cancelled_and_come_back_with_it() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let first = fleet.create(&task("first")).await;
    let spec =
        TaskSpec { depends_on: vec![DependencySpec::Plain(first.id.clone())], ..task("second") };
    let second = fleet.create(&spec).await;
    let claimed = ann.call::<Next>(&NextRequest::waiting(0)).await.unwrap().task.unwrap();
    let fail = FailRequest {
        task_id: first.id.clone(),
        epoch: claimed.task.epoch,
        error: "cannot be done".into(),
        retryable: false,
    };
    assert_eq!(ann.call::<Fail>(&fail).await.unwrap().status, TaskStatus::Failed);
    fleet.until_status(&second.id, TaskStatus::Cancelled).await;
    let revive = ReviveRequest { task_id: first.id.clone(), reason: "mended".into() };
    let revived = fleet.operator.call::<Revive>(&revive).await.unwrap();
    assert_eq!(revived.task_ids[0], first.id);
    fleet.until_status(&second.id, TaskStatus::Blocked).await;
    fleet.work_once(&ann, |_| String::new()).await;
    fleet.until_status(&second.id, TaskStatus::Available).await;
}

#[tokio::test]
async fn a_reused_id_and_a_reused_key_are_refused() {
    let fleet = Fleet::start().await;
    let spec = TaskSpec { id: Some(name("mine")), ..task("a") };
    fleet.operator.call::<Create>(&spec).await.unwrap();
    let fault = fleet.operator.call::<Create>(&spec).await.unwrap_err();
    assert_eq!((fault.code, &fault.details["field"]), (Code::AlreadyExists, &"id".into()));
    let keyed = |title: &str| TaskSpec { idempotency_key: Some("k".into()), ..task(title) };
    let once = fleet.operator.call::<Create>(&keyed("a")).await.unwrap();
    let twice = fleet.operator.call::<Create>(&keyed("a")).await.unwrap();
    assert_eq!((once.task_id.clone(), twice.created), (twice.task_id.clone(), false));
    let fault = fleet.operator.call::<Create>(&keyed("b")).await.unwrap_err();
    assert_eq!(fault.code, Code::AlreadyExists);
}
