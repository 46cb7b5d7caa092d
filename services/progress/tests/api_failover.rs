//! The service is killed, and comes back: nothing that was acknowledged is lost, and what is rebuilt
//! from the log says the same.

mod stage;

use std::time::Duration;

use serde_json::{Value, json};
use stage::{PATIENCE, Stage, complete, report, sized, take};
use troupe_bus::port::Log;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::progress::*;
use troupe_contract::{Service, stream, subject};
use troupe_domain::task::ClaimedTask;
use troupe_progress::Config;
use troupe_testkit::{Proc, eventually};

fn replica(stage: &Stage) -> Proc {
    Proc::build("progress", env!("CARGO_BIN_EXE_troupe-progress"))
        .args(["--nats-url", &stage.nats.url(), "--admin-listen", "127.0.0.1:0"])
        .start()
        .unwrap()
}

/// Reports again until the outcome is known.
async fn insist(agent: &Bus, claimed: &ClaimedTask, step: usize) {
    let request = ReportRequest {
        percentage: Some(step as f64 / 10.0),
        ..ReportRequest::new(claimed.task.id.clone(), claimed.task.epoch)
    };
    let command_id = Some(format!("{}-{step}", claimed.task.id));
    let options = CallOptions { command_id, ..CallOptions::within(Duration::from_millis(1_500)) };
    eventually("a report to be acknowledged", Duration::from_mins(1), || async {
        match agent.call_with::<Report>(&request, &options).await {
            Ok(_) => Some(()),
            Err(fault) if fault.code.is_transient() => None,
            Err(fault) => panic!("step {step} is refused: {fault}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_in_the_middle_of_the_reports_loses_none() {
    let stage = Stage::with(Config::default(), 0).await;
    let mut replicas = [replica(&stage), replica(&stage)];
    let none: &[&str] = &[];
    stage.graph(&[("a", none), ("b", none), ("c", none)]).await;
    let (steps, kills) = (sized(1_000, 150), sized(6, 2));
    let mut agents = Vec::new();
    for id in ["ann", "bob", "cid"] {
        let agent = stage.agent(id).await;
        let claimed = take(&agent).await;
        agents.push((agent, claimed));
    }
    let tasks: Vec<_> = agents.iter().map(|(_, claimed)| claimed.task.id.clone()).collect();
    let reporting: Vec<_> = agents
        .into_iter()
        .map(|(agent, claimed)| {
            tokio::spawn(async move {
                for step in 1..=steps {
                    insist(&agent, &claimed, step).await;
                }
            })
        })
        .collect();
    for kill in 1..=kills {
        let wanted = steps as u64 * kill as u64 / (kills as u64 + 1);
        eventually("reports to be on their way", Duration::from_mins(2), || async {
            let latest = json!({ "task_id": tasks[0] });
            let reports = stage.ask::<Latest>(latest).await.ok()?.progress.reports;
            (reports >= wanted).then_some(())
        })
        .await;
        replicas[kill % 2].kill9().unwrap();
        replicas[kill % 2] = replica(&stage);
    }
    for reporting in reporting {
        reporting.await.unwrap();
    }
    for task in &tasks {
        let progress = stage.latest(task).await;
        assert_eq!(progress.reports, steps as u64, "each report counts, and counts once");
        assert!((progress.percentage - steps as f64 / 10.0).abs() < 1e-9);
    }
}

/// Everything that can be seen, without what the passing of time alone changes.
async fn seen(stage: &Stage, claimed: &[ClaimedTask]) -> Value {
    let mut all = Vec::new();
    for one in claimed {
        let task = json!({ "task_id": one.task.id });
        all.push(json!(stage.ask::<Latest>(task.clone()).await.unwrap()));
        all.push(json!(stage.ask::<History>(task).await.unwrap()));
    }
    let graph = json!({ "graph_id": claimed[0].task.graph_id });
    all.push(json!(stage.ask::<Summary>(graph.clone()).await.unwrap()));
    all.push(json!(stage.ask::<AgentSummary>(json!({"agent_id": "ann"})).await.unwrap()));
    all.push(json!(stage.ask::<MilestoneList>(json!({})).await.unwrap()));
    all.push(json!(stage.ask::<ProgressStats>(json!({})).await.unwrap()));
    let mut all = json!(all);
    timeless(&mut all);
    all
}

fn timeless(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["time_spent_minutes", "blocked_minutes", "kept_report_bytes"] {
                fields.remove(name);
            }
            fields.values_mut().for_each(timeless);
        }
        Value::Array(list) => list.iter_mut().for_each(timeless),
        _ => {}
    }
}

/// Waits until a snapshot is in force.
async fn until_a_snapshot(stage: &Stage) {
    let spec = stream::shard_log(
        Service::Progress,
        0,
        stream::PROGRESS_SHARDS,
        stream::PROGRESS_LOG_BYTES,
    );
    let log = stage.operator.open_stream(&spec, 1).await.unwrap();
    eventually("a snapshot", PATIENCE, || async {
        log.last(&subject::shard_manifest(Service::Progress, 0)).await.unwrap()
    })
    .await;
}

async fn rebuilt_says_the_same(config: Config) {
    let snapshots = config.snapshot_after_log_bytes < Config::default().snapshot_after_log_bytes;
    let mut stage = Stage::with(config, 1).await;
    let ann = stage.agent("ann").await;
    let none: &[&str] = &[];
    let graph = stage.graph(&[("a", none), ("b", none), ("c", &["a", "b"])]).await;
    let spec = json!({"id": "m", "name": "M", "graph_id": graph.graph_id});
    stage.ask::<MilestoneCreate>(spec).await.unwrap();
    let claimed = [take(&ann).await, take(&ann).await];
    for step in 1..=100 {
        for one in &claimed {
            report(&ann, one, f64::from(step) / 2.0).await.unwrap();
        }
    }
    complete(&ann, &claimed[0]).await;
    let over = json!({ "graph_id": graph.graph_id });
    stage.until_summary(over, "the completion to be heard", |s| s.items_completed == 1).await;
    if snapshots {
        until_a_snapshot(&stage).await;
        report(&ann, &claimed[1], 60.0).await.unwrap();
    }
    let before = seen(&stage, &claimed).await;
    stage.replicas.remove(0).drain().await;
    stage.add_replica().await;
    assert_eq!(seen(&stage, &claimed).await, before);
    report(&ann, &claimed[1], 80.0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rebuilt_from_the_log_says_the_same() {
    Box::pin(rebuilt_says_the_same(Config::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rebuilt_from_a_snapshot_says_the_same() {
    let config = Config { snapshot_after_log_bytes: 8 * 1024, ..Config::default() };
    Box::pin(rebuilt_says_the_same(config)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_takes_over_where_the_first_stopped_listening() {
    let mut stage = Stage::with(Config::default(), 2).await;
    let ann = stage.agent("ann").await;
    let none: &[&str] = &[];
    let graph = stage.graph(&[("a", none), ("b", none)]).await;
    let claimed = take(&ann).await;
    report(&ann, &claimed, 10.0).await.unwrap();
    stage.replicas.remove(0).drain().await;
    complete(&ann, &claimed).await;
    let claimed = take(&ann).await;
    report(&ann, &claimed, 20.0).await.unwrap();
    complete(&ann, &claimed).await;
    let over = json!({ "graph_id": graph.graph_id });
    stage.until_summary(over, "both to be completed", |s| s.items_completed == 2).await;
    let ann = stage.ask::<AgentSummary>(json!({"agent_id": "ann"})).await.unwrap();
    assert_eq!(ann.tasks_completed, 2, "each event counts once");
}
