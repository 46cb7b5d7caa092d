//! Milestones.

use troupe_contract::progress::{MilestoneFilter, MilestoneSpec, MilestoneUpdateRequest};
use troupe_domain::Code;
use troupe_domain::progress::{Milestone, MilestoneStatus};

use super::*;

impl Stage {
    fn create(&mut self, id: &str, spec: MilestoneSpec) -> Result<Milestone, Fault> {
        let create =
            ProgressRequest::MilestoneCreate { id: name(id), spec: Box::new(spec), by: name("op") };
        match self.ask(create)? {
            ProgressReply::Milestone(milestone) => Ok(milestone),
            other => Err(other.unexpected()),
        }
    }

    fn update(&mut self, update: MilestoneUpdateRequest) -> Result<Milestone, Fault> {
        let update = Box::new(update);
        match self.ask(ProgressRequest::MilestoneUpdate { update, by: name("op") })? {
            ProgressReply::Milestone(milestone) => Ok(milestone),
            other => Err(other.unexpected()),
        }
    }

    fn milestone(&self, id: &str) -> Milestone {
        self.state.shown_milestone(&name(id)).unwrap()
    }

    fn do_task(&mut self, id: &str) {
        self.started(id, 1, "ann");
        self.completed(id, 1, "ann");
    }
}

fn spec(tasks: &[&str]) -> MilestoneSpec {
    MilestoneSpec {
        name: "Release".to_owned(),
        required_task_ids: ids(tasks),
        ..MilestoneSpec::default()
    }
}

fn with_tasks(tasks: &[&str]) -> Stage {
    let mut stage = Stage::new();
    tasks.iter().for_each(|id| stage.created(facts(id)));
    stage
}

#[test]
fn a_milestone_is_achieved_when_its_tasks_are_done() {
    let mut stage = with_tasks(&["a", "b"]);
    stage.create("m", spec(&["b", "a", "a"])).unwrap();
    assert_eq!(stage.milestone("m").status, MilestoneStatus::Pending);
    stage.now = 10;
    stage.started("a", 1, "ann");
    assert_eq!(stage.milestone("m").status, MilestoneStatus::InProgress);
    stage.report("a", 1, "ann", 50.0).unwrap();
    assert!((stage.milestone("m").progress - 25.0).abs() < f64::EPSILON);
    stage.completed("a", 1, "ann");
    stage.now = 20;
    stage.do_task("b");
    let milestone = stage.milestone("m");
    assert_eq!(
        (milestone.status, milestone.completed_date),
        (MilestoneStatus::Achieved, Some(at(20)))
    );
    let milestones = stage.events().into_iter().filter(|event| event.starts_with("milestone"));
    let milestones: Vec<&str> = milestones.collect();
    assert_eq!(milestones, ["milestone_created", "milestone_changed", "milestone_achieved"]);
    assert_eq!(stage.of_graph().milestones_achieved, 1);
    assert_same(&stage.state, &stage.replayed());
    assert_same(&stage.state, &stage.restored());
}

#[test]
fn a_milestone_of_what_is_done_already_is_achieved_at_once() {
    let mut stage = with_tasks(&["a"]);
    stage.do_task("a");
    assert_eq!(stage.create("m", spec(&["a"])).unwrap().status, MilestoneStatus::Achieved);
}

#[test]
fn its_date_passes_and_it_is_missed_and_may_be_achieved_late() {
    let mut stage = with_tasks(&["a"]);
    stage.create("m", MilestoneSpec { target_date: Some(at(100)), ..spec(&["a"]) }).unwrap();
    stage.now = 99;
    stage.fire();
    assert_eq!(stage.milestone("m").status, MilestoneStatus::Pending);
    stage.now = 100;
    stage.fire();
    assert_eq!(stage.milestone("m").status, MilestoneStatus::Missed);
    assert_eq!(stage.state.next_timer(), None);
    stage.now = 200;
    stage.do_task("a");
    assert_eq!(stage.milestone("m").status, MilestoneStatus::Achieved);
    let (event, data) = stage.told.last().unwrap();
    assert_eq!((event.as_str(), &data["late"]), ("milestone_achieved", &true.into()));
}

#[test]
fn what_was_done_in_time_is_not_late_although_it_was_heard_late() {
    let mut stage = with_tasks(&["a"]);
    stage.create("m", MilestoneSpec { target_date: Some(at(100)), ..spec(&["a"]) }).unwrap();
    stage.now = 50;
    stage.started("a", 1, "ann");
    let completed =
        stage.event(TaskEventKind::TaskCompleted, "a", TaskStatus::Completed, 1, Some("ann"));
    stage.now = 150;
    stage.fire();
    stage.learn(vec![completed]);
    assert_eq!(stage.milestone("m").completed_date, Some(at(50)));
    assert_eq!(stage.told.last().unwrap().1["late"], serde_json::Value::Null);
}

#[test]
fn a_milestone_with_parts_is_achieved_with_the_last_of_them() {
    let mut stage = with_tasks(&["a", "b"]);
    stage.create("whole", spec(&[])).unwrap();
    assert_eq!(stage.milestone("whole").status, MilestoneStatus::Pending);
    for (id, task) in [("p1", "a"), ("p2", "b")] {
        let part = MilestoneSpec { parent_milestone_id: Some(name("whole")), ..spec(&[task]) };
        stage.create(id, part).unwrap();
    }
    assert_eq!(stage.milestone("whole").child_milestone_ids, ids(&["p1", "p2"]));
    stage.do_task("a");
    assert_eq!(stage.milestone("whole").status, MilestoneStatus::InProgress);
    assert!((stage.milestone("whole").progress - 50.0).abs() < f64::EPSILON);
    stage.do_task("b");
    assert_eq!(stage.milestone("whole").status, MilestoneStatus::Achieved);
    assert_same(&stage.state, &stage.replayed());
    assert_same(&stage.state, &stage.restored());
}

#[test]
fn what_is_put_off_does_nothing_until_it_is_taken_up_again() {
    let mut stage = with_tasks(&["a"]);
    stage.create("m", MilestoneSpec { target_date: Some(at(100)), ..spec(&["a"]) }).unwrap();
    let status = |status| MilestoneUpdateRequest {
        status: Some(status),
        ..MilestoneUpdateRequest::new(name("m"))
    };
    stage.update(status(MilestoneStatus::Deferred)).unwrap();
    stage.do_task("a");
    stage.now = 500;
    stage.fire();
    assert_eq!(stage.milestone("m").status, MilestoneStatus::Deferred);
    let taken_up = stage.update(status(MilestoneStatus::Pending)).unwrap();
    assert_eq!(taken_up.status, MilestoneStatus::Achieved);
    let fault = stage.update(status(MilestoneStatus::Achieved)).unwrap_err();
    assert_eq!(fault.details["field"], "status");
}

#[test]
fn what_it_requires_can_change() {
    let mut stage = with_tasks(&["a", "b"]);
    stage.create("m", spec(&["a", "b"])).unwrap();
    stage.do_task("a");
    let less = MilestoneUpdateRequest {
        remove_task_ids: ids(&["b"]),
        ..MilestoneUpdateRequest::new(name("m"))
    };
    assert_eq!(stage.update(less).unwrap().status, MilestoneStatus::Achieved);
    let more = MilestoneUpdateRequest {
        add_task_ids: ids(&["b"]),
        ..MilestoneUpdateRequest::new(name("m"))
    };
    let again = stage.update(more).unwrap();
    assert_eq!((again.status, again.completed_date), (MilestoneStatus::InProgress, None));
    assert_same(&stage.state, &stage.replayed());
    assert_same(&stage.state, &stage.restored());
}

#[test]
fn a_missed_one_gets_another_chance_with_another_date() {
    let mut stage = with_tasks(&["a"]);
    stage.create("m", MilestoneSpec { target_date: Some(at(1)), ..spec(&["a"]) }).unwrap();
    stage.now = 2;
    stage.fire();
    let later = MilestoneUpdateRequest {
        target_date: Some(at(50)),
        ..MilestoneUpdateRequest::new(name("m"))
    };
    assert_eq!(stage.update(later).unwrap().status, MilestoneStatus::Pending);
    assert_eq!(stage.state.next_timer(), Some(at(50)));
}

#[test]
fn creating_is_checked_and_idempotent() {
    let mut stage = with_tasks(&["a"]);
    stage.create("m", spec(&["a"])).unwrap();
    let written = stage.log.len();
    stage.create("m", spec(&["a"])).unwrap();
    assert_eq!(stage.log.len(), written);
    assert_eq!(stage.create("m", spec(&[])).unwrap_err().code, Code::AlreadyExists);
    let missing = stage.ask(ProgressRequest::MilestoneCreate {
        id: name("n"),
        spec: Box::new(spec(&["a", "nobody"])),
        by: name("op"),
    });
    assert!(
        matches!(missing, Ok(ProgressReply::Missing(ref ids)) if *ids == super::ids(&["nobody"]))
    );
    let orphan = MilestoneSpec { parent_milestone_id: Some(name("none")), ..spec(&[]) };
    assert_eq!(stage.create("n", orphan).unwrap_err().code, Code::NotFound);
    let unnamed = MilestoneSpec { name: " ".to_owned(), ..spec(&[]) };
    assert_eq!(stage.create("n", unnamed).unwrap_err().details["field"], "name");
    let mut above = None;
    for depth in 0..20 {
        let id = format!("d{depth}");
        let part = MilestoneSpec { parent_milestone_id: above, ..spec(&[]) };
        if let Err(fault) = stage.create(&id, part) {
            assert_eq!(fault.details["limit"], "MAX_MILESTONE_DEPTH");
            return;
        }
        above = Some(name(&id));
    }
    panic!("milestones above each other are not bounded");
}

#[test]
fn lists_are_filtered_and_paged() {
    let mut stage = with_tasks(&["a", "b"]);
    for (id, task) in [("m1", "a"), ("m2", "b"), ("m3", "a")] {
        stage.create(id, MilestoneSpec { tags: vec![id.to_owned()], ..spec(&[task]) }).unwrap();
    }
    let all = MilestoneFilter::default();
    let page = stage.state.list_milestones(&all, 2);
    assert_eq!((page.milestones.len(), page.next_after), (2, Some(name("m2"))));
    let page =
        stage.state.list_milestones(&MilestoneFilter { after: Some(name("m2")), ..all.clone() }, 2);
    assert_eq!((page.milestones.len(), page.next_after), (1, None));
    let of_a = MilestoneFilter { task_id: Some(name("a")), ..all.clone() };
    assert_eq!(stage.state.list_milestones(&of_a, 10).milestones.len(), 2);
    let tagged = MilestoneFilter { tag: Some("m2".to_owned()), ..all };
    assert_eq!(stage.state.list_milestones(&tagged, 10).milestones[0].id, name("m2"));
}
