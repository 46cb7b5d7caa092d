//! Reports: who may make them, and what becomes of percentages.

use troupe_domain::Code;

use super::*;

fn at_work() -> Stage {
    let mut stage = Stage::new();
    stage.created(facts("t"));
    stage.started("t", 1, "ann");
    stage
}

#[test]
fn a_report_of_the_holder_counts() {
    let mut stage = at_work();
    stage.now = 60_000;
    let receipt = stage.report("t", 1, "ann", 40.0).unwrap();
    assert!((receipt.percentage - 40.0).abs() < f64::EPSILON && !receipt.regressed);
    let shown = stage.task("t").shown(at(stage.now));
    assert!((shown.percentage - 40.0).abs() < f64::EPSILON);
    assert!((shown.time_spent_minutes - 1.0).abs() < f64::EPSILON);
    assert_eq!(stage.events(), ["progress_reported"]);
    assert!((stage.of_graph().overall_progress - 40.0).abs() < f64::EPSILON);
}

#[test]
fn nobody_but_the_holder_at_its_epoch_is_heard() {
    let mut stage = at_work();
    stage.happened(TaskEventKind::LeaseExpired, "t", TaskStatus::Available, 1, "ann");
    stage.started("t", 2, "bob");
    for (by, epoch) in [("ann", 1), ("ann", 2), ("bob", 1)] {
        let before = stage.log.len();
        let fault = stage.report("t", epoch, by, 10.0).unwrap_err();
        assert_eq!(fault.code, Code::StaleEpoch, "{by} at {epoch}");
        assert_eq!(fault.details["epoch"], 2);
        assert_eq!(stage.log.len(), before, "nothing was written");
    }
    stage.report("t", 2, "bob", 10.0).unwrap();
    stage.completed("t", 2, "bob");
    assert_eq!(stage.report("t", 2, "bob", 20.0).unwrap_err().code, Code::StaleEpoch);
}

#[test]
fn a_report_that_knows_more_than_was_heard_is_not_refused() {
    let mut stage = at_work();
    let said = |epoch| {
        let request =
            ReportRequest { percentage: Some(5.0), ..ReportRequest::new(name("t"), epoch) };
        Box::new(Said { id: name("r"), by: name("bob"), request })
    };
    let behind = stage.ask(ProgressRequest::Report { said: said(2), seen: None });
    assert!(matches!(behind, Ok(ProgressReply::Behind)), "{behind:?}");
    // Work distribution says that bob holds it: then the report counts.
    let seen = Facts {
        status: TaskStatus::InProgress,
        epoch: 2,
        holder: Some(name("bob")),
        updated_at: at(50),
        started_at: Some(at(40)),
        ..facts("t")
    };
    let request = ProgressRequest::Report { said: said(2), seen: Some(Box::new(seen.clone())) };
    assert!(matches!(stage.ask(request).unwrap(), ProgressReply::Reported(_)));
    // Or that it knows no such hold: then it does not.
    let request = ProgressRequest::Report { said: said(3), seen: Some(Box::new(seen)) };
    assert_eq!(stage.ask(request).unwrap_err().code, Code::StaleEpoch);
}

#[test]
fn a_percentage_goes_down_only_with_a_reason_and_that_is_kept() {
    let mut stage = at_work();
    stage.report("t", 1, "ann", 60.0).unwrap();
    let fault = stage.report("t", 1, "ann", 50.0).unwrap_err();
    assert_eq!(
        (fault.code, &fault.details["field"]),
        (Code::InvalidArgument, &"regression_reason".into())
    );
    assert_eq!(fault.details["percentage"], 60.0);
    let request = ReportRequest {
        percentage: Some(50.0),
        regression_reason: Some("the tests found something".to_owned()),
        ..ReportRequest::new(name("t"), 1)
    };
    assert!(stage.say("ann", request).unwrap().regressed);
    let latest = stage.task("t").latest.clone().unwrap();
    let regression = latest.regression.as_ref().unwrap();
    assert!((regression.from - 60.0).abs() < f64::EPSILON);
    assert_eq!(stage.events(), ["progress_reported", "progress_regressed"]);
}

#[test]
fn what_a_lost_hold_had_reached_is_a_regression_with_its_reason() {
    let mut stage = at_work();
    stage.report("t", 1, "ann", 70.0).unwrap();
    stage.happened(TaskEventKind::LeaseExpired, "t", TaskStatus::Available, 1, "ann");
    let task = stage.task("t");
    assert_eq!(task.percent.hundredths(), 0);
    let (page, _) = task.history.page(None, 1);
    let regression = page[0].regression.as_ref().unwrap();
    assert_eq!(regression.reason, "the lease ran out");
    assert_eq!(stage.events(), ["progress_reported", "progress_regressed"]);
    assert_eq!(stage.told[1].1["from_percentage"], 70.0);
}

#[test]
fn a_report_that_comes_again_is_answered_as_before() {
    let mut stage = at_work();
    let request = ReportRequest { percentage: Some(5.0), ..ReportRequest::new(name("t"), 1) };
    let said = Box::new(Said { id: name("same"), by: name("ann"), request });
    let ask = || ProgressRequest::Report { said: said.clone(), seen: None };
    stage.ask(ask()).unwrap();
    let written = stage.log.len();
    let ProgressReply::Reported(again) = stage.ask(ask()).unwrap() else { panic!() };
    assert!(again.duplicate && stage.log.len() == written);
    assert_eq!(stage.task("t").history.total(), 1);
}

#[test]
fn being_blocked_is_measured_and_told_once() {
    let mut stage = at_work();
    let blocked = || ReportRequest {
        status: Some(ProgressStatus::Blocked),
        blockers: vec!["the schema".to_owned()],
        ..ReportRequest::new(name("t"), 1)
    };
    stage.say("ann", blocked()).unwrap();
    stage.now += 60_000;
    stage.say("ann", blocked()).unwrap();
    assert_eq!(stage.of_graph().items_blocked, 1);
    assert_eq!(stage.of_graph().status, ProgressStatus::Blocked);
    stage.now += 60_000;
    stage.report("t", 1, "ann", 10.0).unwrap();
    assert_eq!(stage.of_graph().items_blocked, 0);
    let summary = stage.state.agent_summary(&name("ann"), at(stage.now)).unwrap();
    assert!((summary.blocked_minutes - 2.0).abs() < f64::EPSILON);
    assert_eq!(stage.events().iter().filter(|event| **event == "agent_blocked").count(), 1);
}

#[test]
fn small_steps_are_kept_and_not_told() {
    let mut stage = at_work();
    for step in 0..50 {
        stage.report("t", 1, "ann", 10.0 + f64::from(step) / 100.0).unwrap();
    }
    assert_eq!(stage.task("t").history.total(), 50);
    assert_eq!(stage.events().len(), 1);
}

#[test]
fn each_bad_field_is_named() {
    let mut stage = at_work();
    let plain = || ReportRequest::new(name("t"), 1);
    let long = "x".repeat(20_000);
    let bad = [
        ("percentage", ReportRequest { percentage: Some(100.5), ..plain() }),
        ("percentage", ReportRequest { percentage: Some(-1.0), ..plain() }),
        ("message", ReportRequest { message: long.clone(), ..plain() }),
        ("message", ReportRequest { message: "bell \u{7}".to_owned(), ..plain() }),
        ("time_spent_minutes", ReportRequest { time_spent_minutes: Some(-1.0), ..plain() }),
        (
            "estimated_remaining_minutes",
            ReportRequest { estimated_remaining_minutes: Some(1e300), ..plain() },
        ),
        ("blockers", ReportRequest { blockers: vec![String::new(); 17], ..plain() }),
        ("blockers", ReportRequest { status: Some(ProgressStatus::Blocked), ..plain() }),
        ("status", ReportRequest { status: Some(ProgressStatus::Failed), ..plain() }),
        (
            "metadata",
            ReportRequest { metadata: Some(troupe_domain::Json::text("no object")), ..plain() },
        ),
        ("details", ReportRequest { details: Some(troupe_domain::Json::text(&long)), ..plain() }),
        ("regression_reason", ReportRequest { regression_reason: Some(" ".to_owned()), ..plain() }),
    ];
    for (field, request) in bad {
        let fault = stage.say("ann", request).unwrap_err();
        assert_eq!(fault.details["field"], field, "{fault}");
    }
}
