//! What happens to tasks: accounts, time, doubles, and what is known before its event comes.

use super::*;

#[test]
fn an_agents_account_follows_from_its_attempts() {
    let mut stage = Stage::new();
    for (task, minutes) in [("a", 2), ("b", 4)] {
        stage.created(facts(task));
        stage.started(task, 1, "ann");
        stage.now += minutes * 60_000;
        stage.completed(task, 1, "ann");
    }
    stage.created(facts("c"));
    stage.started("c", 1, "ann");
    stage.now += 60_000;
    stage.happened(TaskEventKind::TaskRetrying, "c", TaskStatus::Available, 1, "ann");
    stage.started("c", 2, "ann");
    stage.now += 60_000;
    stage.happened(TaskEventKind::LeaseExpired, "c", TaskStatus::Available, 2, "ann");
    stage.started("c", 3, "ann");
    stage.now += 30_000;
    stage.report("c", 3, "ann", 25.0).unwrap();
    let summary = stage.state.agent_summary(&name("ann"), at(stage.now)).unwrap();
    assert_eq!((summary.tasks_completed, summary.tasks_in_progress), (2, 1));
    assert_eq!((summary.attempts_failed, summary.attempts_expired), (1, 1));
    assert_eq!(summary.avg_completion_time_minutes, Some(3.0));
    assert_eq!(summary.success_rate, Some(0.5));
    assert!((summary.time_spent_minutes - 8.5).abs() < 1e-9);
    assert_eq!(summary.current_task_id, Some(name("c")));
    assert_eq!(summary.current_task_progress, Some(25.0));
}

#[test]
fn a_verdict_counts_for_whose_report_it_was() {
    let mut stage = Stage::new();
    stage.created(facts("t"));
    stage.started("t", 1, "ann");
    stage.now = 60_000;
    stage.happened(TaskEventKind::TaskReported, "t", TaskStatus::Reported, 1, "ann");
    stage.now = 600_000;
    stage.happened(TaskEventKind::TaskCompleted, "t", TaskStatus::Completed, 1, "vic");
    let ann = stage.state.agent_summary(&name("ann"), at(stage.now)).unwrap();
    assert_eq!((ann.tasks_completed, ann.avg_completion_time_minutes), (1, Some(1.0)));
    let total = stage.of_graph();
    assert!((total.time_spent_minutes - 1.0).abs() < 1e-9, "waiting for a verdict is no work");
    assert_eq!(total.status, ProgressStatus::Completed);
}

#[test]
fn an_event_that_comes_again_counts_once_even_out_of_order() {
    let mut stage = Stage::new();
    stage.created(facts("t"));
    let claimed = stage.event(TaskEventKind::TaskClaimed, "t", TaskStatus::Claimed, 1, Some("ann"));
    let started =
        stage.event(TaskEventKind::TaskStarted, "t", TaskStatus::InProgress, 1, Some("ann"));
    stage.now = 60_000;
    let completed =
        stage.event(TaskEventKind::TaskCompleted, "t", TaskStatus::Completed, 1, Some("ann"));
    let all = vec![claimed, started, completed];
    stage.learn(all.clone());
    let once = stage.state.agent_summary(&name("ann"), at(0)).unwrap();
    stage.learn(all);
    assert_eq!(stage.state.agent_summary(&name("ann"), at(0)).unwrap(), once);
    assert_eq!(stage.task("t").status, TaskStatus::Completed);
    assert_eq!(stage.state.durations.fleet.len(), 1);
}

#[test]
fn a_part_of_the_stream_that_was_taken_in_is_passed_over() {
    let mut stage = Stage::new();
    let whole = Some(Box::new(facts("t")));
    let fact = match stage.event(TaskEventKind::TaskCreated, "t", TaskStatus::Available, 0, None) {
        Fact::Happened { event, task, status, epoch, at, by, reason, version, .. } => {
            Fact::Happened { event, task, status, epoch, at, by, reason, version, whole }
        }
        Fact::Seen(_) => unreachable!(),
    };
    let place = |sequence| Some(Place { stream_made_at: at(0), sequence });
    let learn = |heard| ProgressRequest::Learn { facts: vec![fact.clone()], heard, complete: None };
    stage.ask(learn(place(7))).unwrap();
    let written = stage.log.len();
    stage.ask(learn(place(7))).unwrap();
    stage.ask(learn(place(5))).unwrap();
    assert_eq!(stage.log.len(), written);
    let anew = Some(Place { stream_made_at: at(9), sequence: 1 });
    stage.ask(learn(anew)).unwrap();
    assert_eq!(stage.state.heard(), anew);
}

#[test]
fn events_that_were_overtaken_move_nothing_and_are_counted() {
    let mut stage = Stage::new();
    stage.created(facts("t"));
    stage.now = 10;
    let claimed = stage.event(TaskEventKind::TaskClaimed, "t", TaskStatus::Claimed, 1, Some("ann"));
    stage.now = 20;
    let started =
        stage.event(TaskEventKind::TaskStarted, "t", TaskStatus::InProgress, 1, Some("ann"));
    stage.now = 60_020;
    let failed =
        stage.event(TaskEventKind::TaskRetrying, "t", TaskStatus::Available, 1, Some("ann"));
    let seen = Facts {
        status: TaskStatus::InProgress,
        epoch: 2,
        holder: Some(name("bob")),
        updated_at: at(60_050),
        started_at: Some(at(60_050)),
        ..facts("t")
    };
    stage.learn(vec![Fact::Seen(Box::new(seen))]);
    stage.learn(vec![claimed, started, failed]);
    let task = stage.task("t");
    assert_eq!((task.epoch, task.holder.clone()), (2, Some(name("bob"))));
    let ann = stage.state.agent_summary(&name("ann"), at(0)).unwrap();
    assert_eq!(ann.attempts_failed, 1);
    stage.now = 60_040;
    let claimed = stage.event(TaskEventKind::TaskClaimed, "t", TaskStatus::Claimed, 2, Some("bob"));
    stage.learn(vec![claimed]);
    assert_eq!(stage.task("t").status, TaskStatus::InProgress, "bob has started since");
}

#[test]
fn what_completed_is_told_by_its_status_and_cancelled_tasks_do_not_count() {
    let mut stage = Stage::new();
    stage.created(facts("a"));
    stage.created(after("b", &["a"]));
    stage.created(after("c", &["a"]));
    assert_eq!(stage.of_graph().status, ProgressStatus::NotStarted);
    assert_eq!(stage.of_graph().items_waiting, 2);
    stage.started("a", 1, "ann");
    stage.report("a", 1, "ann", 50.0).unwrap();
    stage.happened(TaskEventKind::TaskCancelled, "c", TaskStatus::Cancelled, 0, "op");
    let summary = stage.of_graph();
    assert!((summary.overall_progress - 25.0).abs() < f64::EPSILON, "{summary:?}");
    assert_eq!((summary.total_items, summary.items_cancelled), (3, 1));
    assert_eq!(summary.active_agents, [name("ann")]);
    assert_eq!(summary.estimated_total_minutes, Some(30.0));
    // Half of a's ten minutes, and all of b's.
    assert_eq!(summary.estimated_remaining_minutes, Some(15.0));
    let named = Over { task_ids: ids(&["a", "b", "b", "nobody"]), ..Over::default() };
    let summary = stage.summary(named);
    assert_eq!((summary.total_items, summary.unknown_tasks), (2, 1));
}

#[test]
fn two_kinds_of_sets_at_once_are_refused_and_what_nobody_knows_is_not_found() {
    let mut stage = Stage::new();
    let over = Over { graph_id: Some(name("g")), plan_id: Some(name("p")), ..Over::default() };
    let fault = stage.ask(ProgressRequest::Summary { over }).unwrap_err();
    assert_eq!(fault.code, troupe_domain::Code::InvalidArgument);
    let over = Over { graph_id: Some(name("g")), ..Over::default() };
    let fault = stage.ask(ProgressRequest::Summary { over }).unwrap_err();
    assert_eq!(fault.code, troupe_domain::Code::NotFound);
    assert_eq!(stage.summary(Over::default()).total_items, 0);
}

#[test]
fn a_silent_task_is_stalled_only_if_work_distribution_has_heard_nothing_either() {
    let mut stage = Stage::new();
    stage.created(facts("t"));
    stage.started("t", 1, "ann");
    stage.now = 599_999;
    assert!(stage.fire().is_empty());
    stage.now = 600_000;
    let silent = stage.fire();
    assert_eq!(silent.len(), 1);
    assert!(stage.fire().is_empty(), "it is being asked about");
    // It renewed its lease with progress a minute ago.
    let facts = Facts {
        status: TaskStatus::InProgress,
        epoch: 1,
        holder: Some(name("ann")),
        updated_at: at(540_000),
        progress_at: Some(at(540_000)),
        percent: troupe_domain::progress::Percent::of(30.0),
        ..facts("t")
    };
    stage.state.judge_silence(&silent[0], facts.clone(), at(stage.now));
    stage.store();
    assert!(stage.task("t").stalled_since.is_none());
    assert_eq!(stage.task("t").percent.hundredths(), 3_000);
    stage.now = 1_140_000;
    let silent = stage.fire();
    stage.state.judge_silence(&silent[0], facts, at(stage.now));
    stage.store();
    assert_eq!(stage.task("t").stalled_since, Some(at(540_000)));
    assert_eq!(stage.events(), ["progress_stalled"]);
    assert_eq!(stage.of_graph().items_stalled, 1);
    assert_eq!(stage.state.list_stalled(10, at(stage.now)).total, 1);
    assert!(stage.fire().is_empty());
    stage.report("t", 1, "ann", 40.0).unwrap();
    assert_eq!(stage.of_graph().items_stalled, 0);
}

#[test]
fn a_graph_is_forgotten_as_a_whole_and_never_while_it_is_needed() {
    let settings = Settings { max_ended_tasks: 3, ..Settings::default() };
    let mut stage = Stage::with(settings);
    for graph in ["g1", "g2", "g3"] {
        for number in 0..2 {
            let id = format!("{graph}-{number}");
            stage.now += 1;
            stage.created(Facts { graph: Some(name(graph)), ..facts(&id) });
            stage.started(&id, 1, "ann");
            stage.completed(&id, 1, "ann");
        }
    }
    let known = |stage: &Stage, graph: &str| {
        stage
            .state
            .total(&super::super::shares::Scope::Graph(name(graph)))
            .map_or(0, crate::rules::totals::Total::tasks)
    };
    assert_eq!((known(&stage, "g1"), known(&stage, "g2"), known(&stage, "g3")), (0, 0, 2));
    assert_same(&stage.state, &stage.replayed());
    assert_same(&stage.state, &stage.restored());
}

#[test]
fn tasks_beyond_the_bound_are_counted_and_not_followed() {
    let settings = Settings { max_tasks: 2, max_ended_tasks: 2, ..Settings::default() };
    let mut stage = Stage::with(settings);
    for id in ["a", "b", "c"] {
        stage.created(facts(id));
    }
    let stats = stage.state.statistics();
    assert_eq!((stats.tasks, stats.untracked_tasks), (2, 1));
}

#[test]
fn old_reports_become_sums_when_there_are_too_many_bytes() {
    let settings = Settings { max_report_bytes: 4_000, ..Settings::default() };
    let mut stage = Stage::with(settings);
    for id in ["a", "b"] {
        stage.created(facts(id));
        stage.started(id, 1, "ann");
        for step in 0..20 {
            stage.now += 1;
            stage.report(id, 1, "ann", f64::from(step)).unwrap();
        }
    }
    assert!(stage.state.report_bytes() <= 4_000);
    assert_eq!(stage.state.statistics().reports, 40);
    assert!(stage.task("a").history.is_empty() && stage.task("a").history.total() == 20);
    assert_same(&stage.state, &stage.replayed());
}
