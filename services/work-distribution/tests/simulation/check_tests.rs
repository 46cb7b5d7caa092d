//! Each checker is fed a history that is bad in one way, and must say so; and a good one, and must not.

use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::model::{PublishedEvent, Stored};
use troupe_bus::port::{Entry, OutgoingEvent};
use troupe_contract::{Service, subject};
use troupe_domain::task::change::Change;
use troupe_domain::task::spec::{Birth, TaskSpec};
use troupe_domain::task::{Dependency, OnFailure};
use troupe_domain::{AgentId, Code, Task, TaskId, TaskStatus, Timestamp};
use troupe_shard::batch::PendingBatch;
use troupe_work_distribution::rules::record::Record;

use super::agents::tag;
use super::checks;
use super::client::name;
use super::history::{Answer, Asked, Deed, Op, Sight};
use super::shadow::Shadow;

/// A small world in which one message is stored each second.
struct Story {
    began: Instant,
    stored: Vec<Stored>,
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(second as i64 * 1_000)
}

fn task(edges: Vec<Dependency>) -> Task {
    let spec = TaskSpec { title: "t".to_owned(), ..TaskSpec::default() };
    let birth = Birth {
        id: name("t"),
        at: at(1),
        by: name("operator"),
        trace: None,
        graph_id: None,
        default_lease_ms: 1_000,
    };
    spec.into_task(birth, edges)
}

fn claimed(by: &str, epoch: u64) -> Change {
    Change::Claimed { by: name(by), epoch, until: at(9), claim_id: None }
}

fn completed(by: &str, epoch: u64) -> Change {
    Change::Completed { result: Some(tag(by, epoch)), evidence: Vec::new() }
}

impl Story {
    fn new(changes: Vec<Change>) -> Self {
        let mut story = Self { began: Instant::now(), stored: Vec::new() };
        story.store(Record::Created { at: at(1), tasks: vec![task(Vec::new())], key: None });
        for change in changes {
            story.store(Record::Changed { at: at(2), id: name("t"), change });
        }
        story
    }

    fn store(&mut self, record: Record) {
        let sequence = self.stored.len() as u64 + 1;
        let mut batch = PendingBatch::default();
        batch.push(&record).unwrap();
        let body = batch.message("b", "o", 0, sequence - 1);
        let entry = Entry { sequence, subject: subject::shard_log(Service::Work, 0), body };
        self.stored.push(Stored { entry, at: self.began + Duration::from_secs(sequence) });
    }

    fn shadow(&self) -> Shadow {
        let mut shadow = Shadow::default();
        shadow.read(0, &self.stored);
        shadow
    }

    /// A question of the second `from`, answered in the second `to`.
    fn op(&self, from: u64, to: u64, asked: Asked, answer: Answer) -> Op {
        let moment = |second| (second, self.began + Duration::from_secs(second));
        Op { asked, answer, called: moment(from), answered: moment(to) }
    }

    fn see(&self, from: u64, to: u64, status: TaskStatus, epoch: u64) -> Op {
        let sight = Sight { id: name("t"), status, epoch, holder: None };
        let answer = Answer::Done { sights: vec![sight], ids: Vec::new() };
        self.op(from, to, Asked::See { id: Some(name("t")) }, answer)
    }

    fn told(&self, events: &[(u64, &str)]) -> Vec<PublishedEvent> {
        let told = events.iter().map(|(sequence, kind)| PublishedEvent {
            event: OutgoingEvent {
                subject: format!("troupe.v1.event.task.{kind}"),
                id: format!("work-0-{sequence}-0"),
                kind: (*kind).to_owned(),
                entity_id: "t".to_owned(),
                at: at(1),
                trace: None,
                body: bytes::Bytes::new(),
                kept_on: None,
                told_on: None,
            },
            at: self.began + Duration::from_mins(1),
        });
        told.collect()
    }
}

fn hold(deed: Deed, agent: &str, epoch: u64) -> Asked {
    Asked::Hold { deed, id: name("t"), agent: name(agent), epoch }
}

fn done() -> Answer {
    Answer::Done { sights: Vec::new(), ids: Vec::new() }
}

fn claim(story: &Story, agent: &str, epoch: u64) -> Op {
    let holder: Option<AgentId> = Some(name(agent));
    let sight = Sight { id: name("t"), status: TaskStatus::Claimed, epoch, holder };
    let answer = Answer::Done { sights: vec![sight], ids: Vec::new() };
    story.op(3, 4, Asked::Claim { agent: name(agent) }, answer)
}

#[test]
fn the_log_checker_can_fail() {
    assert_eq!(Story::new(vec![claimed("a", 1), completed("a", 1)]).shadow().wrong, [""; 0]);
    for bad in [
        vec![claimed("a", 2)],
        vec![claimed("a", 1), claimed("b", 2)],
        vec![claimed("a", 1), completed("b", 1)],
        vec![claimed("a", 2), completed("a", 1)],
        vec![Change::Started],
        vec![claimed("a", 1), completed("a", 1), completed("a", 1)],
    ] {
        assert!(!Story::new(bad.clone()).shadow().wrong.is_empty(), "{bad:?}");
    }
    let mut twice = Story::new(Vec::new());
    twice.store(Record::Created { at: at(1), tasks: vec![task(Vec::new())], key: None });
    assert!(!twice.shadow().wrong.is_empty());
}

#[test]
fn the_claim_checker_can_fail() {
    let story = Story::new(vec![claimed("a", 1)]);
    let shadow = story.shadow();
    assert!(checks::claims(&[claim(&story, "a", 1)], &shadow).is_empty());
    let two = [claim(&story, "a", 1), claim(&story, "b", 1)];
    assert!(!checks::claims(&two, &shadow).is_empty());
    assert!(!checks::claims(&[claim(&story, "a", 2)], &shadow).is_empty());
}

#[test]
fn the_write_checker_can_fail() {
    let story = Story::new(vec![claimed("a", 1), completed("a", 1)]);
    let shadow = story.shadow();
    let asked = |asked| [story.op(3, 4, asked, done())];
    assert!(checks::writes(&asked(hold(Deed::Complete, "a", 1)), &shadow).is_empty());
    let created = |id: &str| Asked::Create { ids: vec![name(id)] };
    assert!(checks::writes(&asked(created("t")), &shadow).is_empty());
    for lost in [
        hold(Deed::Complete, "b", 1),
        hold(Deed::Complete, "a", 2),
        hold(Deed::Start, "a", 1),
        created("never"),
    ] {
        assert!(!checks::writes(&asked(lost.clone()), &shadow).is_empty(), "{lost:?}");
    }
    let early = [story.op(1, 2, hold(Deed::Complete, "a", 1), done())];
    assert!(
        !checks::writes(&early, &shadow).is_empty(),
        "it was acknowledged before it was stored"
    );
}

#[test]
fn the_refusal_checker_can_fail() {
    let story = Story::new(vec![claimed("a", 1), completed("a", 1)]);
    let shadow = story.shadow();
    let stale = |agent, epoch| {
        let answer = Answer::Refused(Code::StaleEpoch);
        let instant = story.began + Duration::from_millis(2_500);
        let mut op = story.op(2, 2, hold(Deed::Start, agent, epoch), answer);
        (op.called.1, op.answered.1) = (instant, instant);
        [op]
    };
    assert!(checks::refusals(&stale("b", 1), &shadow).is_empty());
    assert!(!checks::refusals(&stale("a", 1), &shadow).is_empty());
}

#[test]
fn the_read_checker_can_fail() {
    let story = Story::new(vec![claimed("a", 1), completed("a", 1)]);
    let shadow = story.shadow();
    let (claimed, completed) = (TaskStatus::Claimed, TaskStatus::Completed);
    let good = [story.see(3, 4, claimed, 1), story.see(5, 6, completed, 1)];
    assert!(checks::reads(&good, &shadow).is_empty());
    let together = [story.see(3, 6, completed, 1), story.see(4, 5, claimed, 1)];
    assert!(checks::reads(&together, &shadow).is_empty(), "they overlap: either may come first");
    let back = [story.see(3, 4, completed, 1), story.see(5, 6, claimed, 1)];
    assert!(!checks::reads(&back, &shadow).is_empty());
    assert!(!checks::reads(&[story.see(1, 2, completed, 1)], &shadow).is_empty(), "too early");
    assert!(!checks::reads(&[story.see(3, 4, completed, 2)], &shadow).is_empty(), "never stored");
    let story = Story::new(Vec::new());
    let created = story.op(1, 2, Asked::Create { ids: vec![name("t")] }, done());
    let see = Asked::See { id: Some(name("t")) };
    let gone = story.op(3, 4, see, Answer::Refused(Code::NotFound));
    assert!(!checks::reads(&[created, gone], &story.shadow()).is_empty());
}

#[test]
fn the_event_checker_can_fail() {
    let story = Story::new(vec![claimed("a", 1), completed("a", 1)]);
    let check = |events: &[(u64, &str)]| {
        checks::events(&story.told(events), &story.shadow(), |_: &TaskId| 0)
    };
    let good = [(1, "task_created"), (2, "task_claimed"), (3, "task_completed")];
    assert_eq!(check(&good), [""; 0]);
    let again = [good[0], good[1], good[0], good[2], good[1]];
    assert_eq!(check(&again), [""; 0], "at least once");
    assert!(!check(&good[..2]).is_empty(), "one is missing");
    assert!(!check(&[good[0], good[2], good[1]]).is_empty(), "out of order");
    assert!(!check(&[good[0], good[1], good[2], (4, "task_dead")]).is_empty(), "one too many");
    assert!(!check(&[good[0], good[1], (3, "task_failed")]).is_empty(), "another kind");
}

#[test]
fn the_end_checkers_can_fail() {
    let good = Story::new(vec![claimed("a", 1), completed("a", 1)]).shadow();
    assert!(checks::endings(&good).is_empty() && good.stuck().is_empty());
    assert!(!Story::new(vec![claimed("a", 1)]).shadow().stuck().is_empty());
    let mut twice = good;
    let life = twice.lives.get_mut(&name("t")).unwrap();
    let mut again = life.versions[1].clone();
    again.epoch = 2;
    life.versions.push(again);
    assert!(!checks::endings(&twice).is_empty());
    let mut waits = Story { began: Instant::now(), stored: Vec::new() };
    let edge = Dependency {
        task_id: name("gone"),
        on_failure: OnFailure::Block,
        outcome: None,
        result: None,
    };
    waits.store(Record::Created { at: at(1), tasks: vec![task(vec![edge])], key: None });
    assert!(!waits.shadow().stuck().is_empty());
}
