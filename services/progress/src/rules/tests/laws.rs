//! Laws, over any history: sums are what adding up anew gives; a replay and a snapshot give the same
//! state; a percentage never goes down without a record of it.

use proptest::prelude::*;
use troupe_contract::progress::{MilestoneSpec, MilestoneUpdateRequest};

use super::super::shares::{Scope, Share, scopes_of};
use super::*;

const TASKS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const AGENTS: [&str; 3] = ["ann", "bob", "cid"];

/// One thing that may happen.
#[derive(Debug, Clone)]
enum Step {
    Create(usize),
    Claim(usize, usize),
    Start(usize),
    End(usize, u8),
    Report(usize, usize, u16, bool),
    Block(usize),
    Seen(usize, u8),
    Again,
    Milestone(u8, Vec<usize>),
    Change(u8, usize, bool),
    Wait(u32),
    Fire,
}

fn step() -> impl Strategy<Value = Step> {
    let task = || 0..TASKS.len();
    prop_oneof![
        2 => task().prop_map(Step::Create),
        4 => (task(), 0..AGENTS.len()).prop_map(|(t, a)| Step::Claim(t, a)),
        4 => task().prop_map(Step::Start),
        4 => (task(), 0..8_u8).prop_map(|(t, how)| Step::End(t, how)),
        8 => (task(), 0..AGENTS.len(), 0..=10_000_u16, any::<bool>())
            .prop_map(|(t, a, p, why)| Step::Report(t, a, p, why)),
        2 => task().prop_map(Step::Block),
        2 => (task(), 0..3_u8).prop_map(|(t, how)| Step::Seen(t, how)),
        1 => Just(Step::Again),
        1 => (0..3_u8, prop::collection::vec(task(), 0..4)).prop_map(|(m, t)| Step::Milestone(m, t)),
        1 => (0..3_u8, task(), any::<bool>()).prop_map(|(m, t, add)| Step::Change(m, t, add)),
        2 => (1..400_000_u32).prop_map(Step::Wait),
        1 => Just(Step::Fire),
    ]
}

/// The facts of a task that is in one of two graphs.
fn of_graph(t: usize) -> Facts {
    Facts { graph: Some(name(["g", "h"][t % 2])), ..facts(TASKS[t]) }
}

impl Stage {
    fn where_is(&self, id: &str) -> Option<(TaskStatus, u64, Option<Name>)> {
        self.state.task(&name(id)).map(|t| (t.status, t.epoch, t.holder.clone()))
    }

    fn step(&mut self, step: Step, last: &mut Vec<Fact>) {
        match step {
            Step::Create(t) => {
                if self.where_is(TASKS[t]).is_none() {
                    let plan = (t % 3 == 0).then(|| name("p"));
                    self.created(Facts { plan, ..of_graph(t) });
                }
            }
            Step::Claim(t, a) => {
                if let Some((TaskStatus::Available, epoch, _)) = self.where_is(TASKS[t]) {
                    let (event, status) = (TaskEventKind::TaskClaimed, TaskStatus::Claimed);
                    self.tell(last, event, TASKS[t], status, epoch + 1, AGENTS[a]);
                }
            }
            Step::Start(t) => {
                if let Some((TaskStatus::Claimed, epoch, Some(by))) = self.where_is(TASKS[t]) {
                    let (event, status) = (TaskEventKind::TaskStarted, TaskStatus::InProgress);
                    self.tell(last, event, TASKS[t], status, epoch, by.as_str());
                }
            }
            Step::End(t, how) => self.end(TASKS[t], how, last),
            Step::Report(..) | Step::Block(_) => self.say_something(step),
            Step::Seen(t, how) => self.see(t, how),
            Step::Again => self.learn(last.clone()),
            Step::Milestone(..) | Step::Change(..) => self.set_goals(step),
            Step::Wait(ms) => self.now += i64::from(ms),
            Step::Fire => self.fire_and_ask(),
        }
    }

    fn say_something(&mut self, step: Step) {
        match step {
            Step::Report(t, a, hundredths, why) => {
                let epoch = self.where_is(TASKS[t]).map_or(1, |known| known.1);
                let request = ReportRequest {
                    percentage: Some(f64::from(hundredths) / 100.0),
                    regression_reason: why.then(|| "because".to_owned()),
                    estimated_remaining_minutes: why.then_some(3.0),
                    ..ReportRequest::new(name(TASKS[t]), epoch)
                };
                let _ = self.say(AGENTS[a], request);
            }
            Step::Block(t) => {
                if let Some((_, epoch, Some(by))) = self.where_is(TASKS[t]) {
                    let request = ReportRequest {
                        status: Some(ProgressStatus::Blocked),
                        blockers: vec!["x".to_owned()],
                        ..ReportRequest::new(name(TASKS[t]), epoch)
                    };
                    let _ = self.say(by.as_str(), request);
                }
            }
            _ => {}
        }
    }

    /// Work distribution says something newer than the events.
    fn see(&mut self, t: usize, how: u8) {
        let epoch = self.where_is(TASKS[t]).map_or(0, |known| known.1) + u64::from(how);
        let status = [TaskStatus::Available, TaskStatus::InProgress, TaskStatus::Completed];
        let now = at(self.now);
        let seen = Facts {
            status: status[how as usize],
            epoch,
            holder: (how > 0).then(|| name("cid")),
            updated_at: now,
            started_at: (how > 0).then_some(now),
            ..of_graph(t)
        };
        self.learn(vec![Fact::Seen(Box::new(seen))]);
    }

    fn set_goals(&mut self, step: Step) {
        match step {
            Step::Milestone(m, tasks) => {
                let spec = MilestoneSpec {
                    name: "m".to_owned(),
                    required_task_ids: tasks.iter().map(|t| name(TASKS[*t])).collect(),
                    target_date: Some(at(self.now + 100_000)),
                    ..MilestoneSpec::default()
                };
                let (id, by) = (name(&format!("m{m}")), name("op"));
                let spec = Box::new(spec);
                let _ = self.ask(ProgressRequest::MilestoneCreate { id, spec, by });
            }
            Step::Change(m, t, add) => {
                let mut update = MilestoneUpdateRequest::new(name(&format!("m{m}")));
                let tasks =
                    if add { &mut update.add_task_ids } else { &mut update.remove_task_ids };
                tasks.push(name(TASKS[t]));
                let (update, by) = (Box::new(update), name("op"));
                let _ = self.ask(ProgressRequest::MilestoneUpdate { update, by });
            }
            _ => {}
        }
    }

    fn fire_and_ask(&mut self) {
        for silent in self.fire() {
            let task = self.state.task(&silent.task).unwrap().clone();
            let seen = Facts {
                status: task.status,
                epoch: task.epoch,
                holder: task.holder.clone(),
                updated_at: task.since,
                ..facts(task.id.as_str())
            };
            self.state.judge_silence(&silent, seen, at(self.now));
            self.store();
        }
    }

    fn tell(
        &mut self,
        last: &mut Vec<Fact>,
        event: TaskEventKind,
        task: &str,
        status: TaskStatus,
        epoch: u64,
        by: &str,
    ) {
        let fact = self.event(event, task, status, epoch, Some(by));
        last.push(fact.clone());
        if last.len() > 4 {
            last.remove(0);
        }
        self.learn(vec![fact]);
    }

    fn end(&mut self, task: &str, how: u8, last: &mut Vec<Fact>) {
        use TaskEventKind as E;
        use TaskStatus as S;
        let Some(known) = self.state.task(&name(task)).cloned() else { return };
        let by = known.holder.as_ref().map_or("op", |holder| holder.as_str());
        let (event, status) = match (how, known.status) {
            (_, status) if status.is_terminal() => return,
            (0, S::InProgress | S::Reported) => (E::TaskCompleted, S::Completed),
            (1, S::InProgress) => (E::TaskReported, S::Reported),
            (2, S::InProgress | S::Claimed) => (E::TaskRetrying, S::Available),
            (3, S::InProgress | S::Claimed) => (E::LeaseExpired, S::Available),
            (4, S::InProgress) => (E::TaskFailed, S::Failed),
            (5, S::Reported) => (E::TaskRejected, S::Available),
            (6, _) => (E::TaskCancelled, S::Cancelled),
            (7, S::InProgress | S::Claimed) => (E::TaskReleased, S::Available),
            _ => return,
        };
        self.tell(last, event, task, status, known.epoch, by);
    }

    /// The sums as they are when they are added up anew.
    fn added_up(&self) -> ProgressState {
        let mut anew = ProgressState::new(self.settings.clone());
        for milestone in self.state.milestones.values() {
            anew.require(&milestone.id, &milestone.required_task_ids, true);
        }
        for task in self.state.tasks.values() {
            let required = anew.required_by.get(&task.id).into_iter().flatten().cloned();
            let milestones: Vec<Scope> = required.map(Scope::Milestone).collect();
            for scope in scopes_of(task).chain(milestones) {
                anew.totals.entry(scope).or_default().add(&Share::of(task));
            }
        }
        anew
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_books_are_right(steps in prop::collection::vec(step(), 1..80)) {
        let settings = Settings { max_reports_per_task: 3, max_ended_tasks: 4, ..Settings::default() };
        let mut stage = Stage::with(settings);
        let mut last = Vec::new();
        let mut before: Vec<(Name, u64, u16)> = Vec::new();
        for step in steps {
            let reports = stage.state.tasks.values().map(|t| (t.id.clone(), t.history.total())).collect::<std::collections::BTreeMap<_, _>>();
            stage.step(step, &mut last);
            // A percentage that went down left a record that says from where.
            for (id, _, hundredths) in &before {
                let Some(task) = stage.state.task(id) else { continue };
                if task.percent.hundredths() < *hundredths {
                    let (page, _) = task.history.page(None, 10);
                    prop_assert!(task.history.total() > reports[id]);
                    let said = page.iter().filter_map(|e| e.regression.as_ref());
                    let from = f64::from(*hundredths) / 100.0;
                    prop_assert!(said.into_iter().any(|r| (r.from - from).abs() < 1e-9), "{page:?}");
                }
            }
            before = stage.state.tasks.values().map(|t| (t.id.clone(), t.epoch, t.percent.hundredths())).collect();
        }
        let anew = stage.added_up();
        let sums = |state: &ProgressState| {
            let all = state.totals.iter().filter(|(_, total)| !total.is_empty());
            let mut all: Vec<_> = all.map(|(s, t)| (s.clone(), t.timeless())).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        };
        prop_assert_eq!(sums(&stage.state), sums(&anew));
        assert_same(&stage.state, &stage.replayed());
        assert_same(&stage.state, &stage.restored());
        let bytes: usize = stage.state.tasks.values().map(|task| task.history.bytes()).sum();
        prop_assert_eq!(stage.state.report_bytes(), bytes);
    }
}
