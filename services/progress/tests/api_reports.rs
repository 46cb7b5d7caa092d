//! Reports against the real service, beside real work distribution.

mod stage;

use std::sync::Arc;

use serde_json::json;
use stage::{PATIENCE, Stage, call, complete, name, report, take};
use troupe_bus::CallOptions;
use troupe_contract::event::{PROGRESS, ProgressEvent, ProgressEventKind};
use troupe_contract::progress::*;
use troupe_contract::subject;
use troupe_contract::work::{Create, Release};
use troupe_domain::progress::ProgressStatus;
use troupe_domain::{Code, TaskStatus};
use troupe_testkit::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_reports_the_moment_it_has_the_task_and_everybody_can_see_it() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    stage.graph(&[("a", &[]), ("b", &["a"])]).await;
    let claimed = take(&ann).await;
    let (task, epoch) = (claimed.task.id.clone(), claimed.task.epoch);
    let said = json!({
        "task_id": task, "epoch": epoch, "percentage": 33.336, "message": "half of the parser",
        "details": {"files": [1, 2]}, "estimated_remaining_minutes": 4, "time_spent_minutes": 2.5,
    });
    let receipt = call::<Report>(&ann, said).await.unwrap();
    assert!((receipt.percentage - 33.34).abs() < 1e-9, "{receipt:?}");
    let progress = stage.latest(&task).await;
    assert_eq!(
        (progress.status, progress.task_status),
        (ProgressStatus::InProgress, TaskStatus::InProgress)
    );
    assert_eq!((progress.agent_id, progress.epoch), (Some(name("ann")), epoch));
    let latest = progress.latest.unwrap();
    assert_eq!(latest.details.as_ref().unwrap().to_value(), json!({"files": [1, 2]}));
    let graph = json!({ "graph_id": claimed.task.graph_id });
    let summary = stage.summary(graph).await;
    assert!((summary.overall_progress - 16.67).abs() < 1e-9, "{summary:?}");
    assert_eq!((summary.total_items, summary.items_waiting), (2, 1));
    assert_eq!(summary.estimated_remaining_minutes, Some(14.0));
    let agent = stage.ask::<AgentSummary>(json!({"agent_id": "ann"})).await.unwrap();
    assert_eq!((agent.role, agent.tasks_in_progress), (Some(name("implementer")), 1));
    assert_eq!(agent.current_task_progress, Some(33.34));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_holder_and_whoever_never_held_it_are_refused() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    stage.graph(&[("a", &[])]).await;
    let former = take(&ann).await;
    report(&ann, &former, 50.0).await.unwrap();
    let hold = json!({"task_id": former.task.id, "epoch": former.task.epoch});
    call::<Release>(&ann, hold).await.unwrap();
    let claimed = take(&bob).await;
    // Bob's first report tells the service of the new hold, if the events have not.
    report(&bob, &claimed, 10.0).await.unwrap();
    assert_eq!(report(&ann, &former, 60.0).await.unwrap_err().code, Code::StaleEpoch);
    assert_eq!(report(&ann, &claimed, 60.0).await.unwrap_err().code, Code::StaleEpoch);
    let never = json!({"task_id": claimed.task.id, "epoch": 99, "percentage": 1});
    assert_eq!(call::<Report>(&bob, never).await.unwrap_err().code, Code::StaleEpoch);
    let nobody = json!({"task_id": "nobody", "epoch": 1, "percentage": 1});
    assert_eq!(call::<Report>(&bob, nobody).await.unwrap_err().code, Code::NotFound);
    // What ann had reached was lost, and the history says so.
    let history = json!({ "task_id": claimed.task.id });
    let page = stage.ask::<History>(history).await.unwrap();
    let told: Vec<(f64, bool)> =
        page.entries.iter().map(|e| (e.percentage, e.regression.is_some())).collect();
    assert_eq!(told, [(10.0, false), (0.0, true), (50.0, false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_command_counts_once() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    stage.graph(&[("a", &[])]).await;
    let claimed = take(&ann).await;
    let request = ReportRequest {
        percentage: Some(5.0),
        ..ReportRequest::new(claimed.task.id.clone(), claimed.task.epoch)
    };
    let options =
        CallOptions { command_id: Some("once and again".into()), ..CallOptions::within(PATIENCE) };
    let first = ann.call_with::<Report>(&request, &options).await.unwrap();
    let again = ann.call_with::<Report>(&request, &options).await.unwrap();
    assert!(!first.duplicate && again.duplicate && first.report_id == again.report_id);
    assert_eq!(stage.latest(&claimed.task.id).await.reports, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_told_as_events_in_the_trace_of_their_task() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    let watcher = stage.bus("watcher").await;
    let mut heard = watcher.listen(&subject::events_of(PROGRESS)).await.unwrap();
    let trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    let context = troupe_domain::TraceContext::parse(trace, None);
    let create = async {
        call::<Create>(&stage.operator, json!({"title": "x", "role": "implementer"})).await.unwrap()
    };
    troupe_bus::trace::carrying(context, create).await;
    let claimed = take(&ann).await;
    report(&ann, &claimed, 40.0).await.unwrap();
    let lower = json!({"task_id": claimed.task.id, "epoch": claimed.task.epoch, "percentage": 20,
        "regression_reason": "the tests found something"});
    call::<Report>(&ann, lower).await.unwrap();
    let blocked = json!({"task_id": claimed.task.id, "epoch": claimed.task.epoch,
        "status": "blocked", "blockers": ["the schema"]});
    call::<Report>(&ann, blocked).await.unwrap();
    let mut told = Vec::new();
    while told.last() != Some(&ProgressEventKind::AgentBlocked) {
        let heard = tokio::time::timeout(PATIENCE, heard.next()).await.unwrap().unwrap();
        for event in heard.events::<ProgressEvent>().unwrap() {
            assert_eq!(event.trace().unwrap().trace_id(), "0123456789abcdef0123456789abcdef");
            let event = event.data;
            assert_eq!(event.task_id, claimed.task.id);
            if event.event == ProgressEventKind::ProgressRegressed {
                assert_eq!((event.from_percentage, event.percentage), (Some(40.0), 20.0));
            }
            told.push(event.event);
        }
    }
    let kinds = [
        ProgressEventKind::ProgressReported,
        ProgressEventKind::ProgressRegressed,
        ProgressEventKind::ProgressReported,
        ProgressEventKind::AgentBlocked,
    ];
    assert_eq!(told, kinds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_before_the_service_is_known_and_so_is_what_nobody_told() {
    let mut stage = Stage::with(troupe_progress::Config::default(), 0).await;
    let ann = stage.agent("ann").await;
    stage.graph(&[("a", &[]), ("b", &[])]).await;
    let claimed = take(&ann).await;
    complete(&ann, &claimed).await;
    // The events are gone: only work distribution knows.
    let events = stage.operator.open_stream(&troupe_contract::stream::events(), 1).await.unwrap();
    let log: Arc<dyn troupe_bus::port::Log> = Arc::new(events);
    let last = log.last("troupe.v1.event.>").await.unwrap().unwrap().sequence;
    log.purge_below(">", last + 1).await.unwrap();
    stage.add_replica().await;
    let graph = json!({ "graph_id": claimed.task.graph_id });
    let summary = stage
        .until_summary(graph, "the graph to be known", |summary| summary.total_items == 2)
        .await;
    assert_eq!(summary.items_completed, 1);
    eventually("all of it to be read", PATIENCE, || async {
        stage.stats().await.complete.then_some(())
    })
    .await;
    let rest = take(&ann).await;
    report(&ann, &rest, 10.0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_nobody_heard_of_is_asked_for() {
    let mut stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    stage.graph(&[("a", &[])]).await;
    let claimed = take(&ann).await;
    report(&ann, &claimed, 10.0).await.unwrap();
    stage.replicas.remove(0).drain().await;
    complete(&ann, &claimed).await;
    let events = stage.operator.open_stream(&troupe_contract::stream::events(), 1).await.unwrap();
    let log: Arc<dyn troupe_bus::port::Log> = Arc::new(events);
    // The end is told a moment after it is acknowledged.
    let last = eventually("the end to be told", PATIENCE, || async {
        let ended = "troupe.v1.event.task.task_completed";
        log.last(ended).await.unwrap().map(|entry| entry.sequence)
    })
    .await;
    log.purge_below(">", last + 1).await.unwrap();
    stage.add_replica().await;
    let graph = json!({ "graph_id": claimed.task.graph_id });
    stage.until_summary(graph, "the end to be known", |summary| summary.items_completed == 1).await;
}
