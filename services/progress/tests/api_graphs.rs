//! A real graph, run to its end: milestones, summaries, bottlenecks, estimates.

mod stage;

use std::collections::BTreeSet;

use serde_json::json;
use stage::{PATIENCE, Stage, call, complete, name, report, take};
use troupe_contract::event::{MILESTONE, MilestoneEvent, MilestoneEventKind};
use troupe_contract::progress::*;
use troupe_contract::subject;
use troupe_domain::Code;
use troupe_domain::progress::{MilestoneStatus, ProgressStatus};
use troupe_testkit::eventually;

async fn milestone(stage: &Stage, id: &str) -> troupe_domain::progress::Milestone {
    stage.ask::<MilestoneGet>(json!({ "milestone_id": id })).await.unwrap().milestone
}

async fn until(stage: &Stage, id: &str, status: MilestoneStatus) {
    eventually("the milestone to move on", PATIENCE, || async {
        (milestone(stage, id).await.status == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_is_done_and_its_milestone_achieved_by_itself() {
    let stage = Stage::start().await;
    let mut heard = stage.operator.listen(&subject::events_of(MILESTONE)).await.unwrap();
    let ann = stage.agent("ann").await;
    let graph = stage.graph(&[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])]).await;
    let over = json!({ "graph_id": graph.graph_id });
    // At once: the events may still be on their way.
    let spec = json!({"id": "release", "name": "Release", "graph_id": graph.graph_id});
    let created = stage.ask::<MilestoneCreate>(spec).await.unwrap().milestone;
    assert_eq!(created.required_task_ids.len(), 4);
    assert_eq!((created.status, created.owner), (MilestoneStatus::Pending, Some(name("operator"))));

    let found = stage.ask::<Bottlenecks>(over.clone()).await.unwrap();
    assert_eq!(found.bottlenecks[0].task_id, graph.task_ids[&name("a")]);
    assert_eq!((found.bottlenecks[0].blocks, found.critical_path.len()), (3, 3));
    let estimate = stage.ask::<Estimate>(over.clone()).await.unwrap();
    assert!(estimate.unknown, "nothing was ever completed: {estimate:?}");

    for _ in 0..4 {
        let claimed = take(&ann).await;
        report(&ann, &claimed, 50.0).await.unwrap();
        complete(&ann, &claimed).await;
    }
    until(&stage, "release", MilestoneStatus::Achieved).await;
    let summary = stage.summary(over.clone()).await;
    assert_eq!((summary.status, summary.items_completed), (ProgressStatus::Completed, 4));
    assert_eq!((summary.milestones_achieved, summary.total_milestones), (1, 1));
    assert!((summary.overall_progress - 100.0).abs() < 1e-9);
    let over_milestone = stage.summary(json!({"milestone_id": "release"})).await;
    assert_eq!(over_milestone.items_completed, 4);
    let mut told = BTreeSet::new();
    while !told.contains(&MilestoneEventKind::MilestoneAchieved) {
        let heard = tokio::time::timeout(PATIENCE, heard.next()).await.unwrap().unwrap();
        for event in heard.events::<MilestoneEvent>().unwrap() {
            assert!(!event.data.late);
            told.insert(event.data.event);
        }
    }
    assert!(told.contains(&MilestoneEventKind::MilestoneCreated));
    let ann = stage.ask::<AgentSummary>(json!({"agent_id": "ann"})).await.unwrap();
    assert_eq!((ann.tasks_completed, ann.success_rate), (4, Some(1.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_milestone_is_missed_at_its_date_and_achieved_late() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    let graph = stage.graph(&[("a", &[])]).await;
    let soon = troupe_bus::port::World::now(&troupe_bus::port::System).plus_millis(300);
    let spec = json!({"id": "soon", "name": "Soon", "target_date": soon,
        "required_task_ids": [graph.task_ids[&name("a")]]});
    stage.ask::<MilestoneCreate>(spec).await.unwrap();
    until(&stage, "soon", MilestoneStatus::Missed).await;
    let claimed = take(&ann).await;
    complete(&ann, &claimed).await;
    until(&stage, "soon", MilestoneStatus::Achieved).await;
    let done = milestone(&stage, "soon").await;
    assert!(done.completed_date > done.target_date);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn estimates_stand_on_what_was_measured_and_say_so() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    let keys: Vec<String> = (0..8).map(|n| format!("k{n}")).collect();
    let none: &[&str] = &[];
    let tasks: Vec<(&str, &[&str])> = keys.iter().map(|key| (key.as_str(), none)).collect();
    let first = stage.graph(&tasks).await;
    for _ in 0..8 {
        let claimed = take(&ann).await;
        complete(&ann, &claimed).await;
    }
    let over = json!({ "graph_id": first.graph_id });
    stage.until_summary(over, "all to be completed", |s| s.items_completed == 8).await;
    let next = stage.graph(&[("a", &[]), ("b", &["a"])]).await;
    let over = json!({ "graph_id": next.graph_id, "seed": 7, "workers": 1 });
    let estimate = eventually("an estimate over both", PATIENCE, || async {
        let estimate = stage.ask::<Estimate>(over.clone()).await.ok()?;
        (estimate.basis.open_tasks == 2).then_some(estimate)
    })
    .await;
    assert!(!estimate.unknown, "{estimate:?}");
    assert_eq!((estimate.basis.by_creator, estimate.basis.fewest_samples), (2, Some(8)));
    assert!(estimate.p50_minutes <= estimate.p90_minutes);
    let again = stage.ask::<Estimate>(over).await.unwrap();
    assert_eq!(again.p50_minutes, estimate.p50_minutes, "one seed, one answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tasks_of_a_plan_are_found_by_their_metadata_and_parts_by_their_parent() {
    let stage = Stage::start().await;
    let create = async |task: serde_json::Value| {
        call::<troupe_contract::work::Create>(&stage.operator, task).await.unwrap().task_id
    };
    let whole = create(json!({"title": "whole"})).await;
    let part = json!({"title": "part", "parent_task_id": whole,
        "metadata": {"plan_id": "p1", "plan_item_id": "i1"}});
    create(part).await;
    create(json!({"title": "odd", "metadata": {"plan_id": 7}})).await;
    stage.until_summary(json!({"plan_id": "p1"}), "the plan", |s| s.total_items == 1).await;
    let parts = stage.summary(json!({ "parent_task_id": whole })).await;
    assert_eq!(parts.total_items, 1);
    let fleet = json!({});
    stage.until_summary(fleet, "the fleet", |s| s.total_items == 3).await;
    let both = json!({"plan_id": "p1", "graph_id": "g"});
    assert_eq!(stage.ask::<Summary>(both).await.unwrap_err().code, Code::InvalidArgument);
}
