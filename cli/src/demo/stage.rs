//! The view of the demo: passes every event on, keeps the story, and loses an agent on purpose.
//!
//! The first implementer that starts a task once the work is going is killed. What happens to its
//! task from then on is the story. If its report was quicker than the kill, another one is tried.

use serde::Serialize;
use troupe_contract::event::{TaskEvent, TaskEventKind};
use troupe_domain::{AgentId, Fault, TaskId, Timestamp};

use super::fleet::Troop;
use super::graph::IMPLEMENTER;
use crate::follow::View;
use crate::follow::tally::Tally;

/// Tasks that are done before an agent is lost.
const DONE_BEFORE: usize = 3;
/// Agents that may be lost, at most: one implementer must stay.
const MAX_VICTIMS: usize = 2;

/// What became of the task of an agent that was killed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Loss {
    pub(crate) agent: AgentId,
    pub(crate) pid: u32,
    pub(crate) task_id: TaskId,
    pub(crate) key: String,
    pub(crate) epoch: u64,
    pub(crate) killed_at: Timestamp,
    pub(crate) taken_back_at: Option<Timestamp>,
    pub(crate) taken_over_by: Option<AgentId>,
    pub(crate) taken_over_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Timestamp>,
    /// Its report had been sent before the kill.
    pub(crate) too_late: bool,
}

/// The view.
pub(crate) struct Stage<'a> {
    inner: Box<dyn View>,
    say: Box<dyn Fn(&str)>,
    troop: &'a Troop,
    now: fn() -> Timestamp,
    pub(crate) losses: Vec<Loss>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(
        troop: &'a Troop,
        inner: Box<dyn View>,
        say: Box<dyn Fn(&str)>,
        now: fn() -> Timestamp,
    ) -> Self {
        Self { inner, say, troop, now, losses: Vec::new() }
    }

    fn choose(&mut self, event: &TaskEvent, tally: &Tally) {
        let wanted =
            self.losses.iter().all(|loss| loss.too_late) && self.losses.len() < MAX_VICTIMS;
        let ripe = event.event == TaskEventKind::TaskStarted && tally.ended() >= DONE_BEFORE;
        let (true, true, Some(by)) = (wanted, ripe, &event.by) else { return };
        let implements = |id: &AgentId| {
            self.troop.members.iter().any(|m| m.id == *id && m.role == IMPLEMENTER.0)
        };
        if !implements(by) {
            return;
        }
        let key = tally.row(&event.task_id).map_or_else(String::new, |row| row.label.clone());
        match self.troop.kill(by) {
            Ok(pid) => {
                (self.say)(&format!("kill -9 {pid}: {by} is gone in the middle of {key}"));
                self.losses.push(Loss {
                    agent: by.clone(),
                    pid,
                    task_id: event.task_id.clone(),
                    key,
                    epoch: event.epoch,
                    killed_at: (self.now)(),
                    taken_back_at: None,
                    taken_over_by: None,
                    taken_over_at: None,
                    completed_at: None,
                    too_late: false,
                });
            }
            Err(why) => (self.say)(&format!("{by} could not be killed: {why:#}")),
        }
    }

    fn tell(&mut self, event: &TaskEvent) {
        use TaskEventKind as Kind;
        let Some(loss) = self.losses.iter_mut().find(|loss| loss.task_id == event.task_id) else {
            return;
        };
        let after = event.at.millis_since(loss.killed_at);
        match event.event {
            Kind::LeaseExpired | Kind::TaskReleased if loss.taken_back_at.is_none() => {
                loss.taken_back_at = Some(event.at);
                (self.say)(&format!("{} is taken back after {after} ms", loss.key));
            }
            Kind::TaskClaimed if event.epoch > loss.epoch && loss.taken_over_by.is_none() => {
                loss.taken_over_by.clone_from(&event.by);
                loss.taken_over_at = Some(event.at);
                let by = event.by.as_ref().map_or("somebody", AgentId::as_str);
                (self.say)(&format!("{} goes on with {by} after {after} ms", loss.key));
            }
            Kind::TaskCompleted if event.epoch == loss.epoch => {
                loss.too_late = true;
                (self.say)(&format!("{} had been reported before the kill", loss.key));
            }
            Kind::TaskCompleted => {
                loss.completed_at = Some(event.at);
                (self.say)(&format!("{} is completed after {after} ms", loss.key));
            }
            _ => {}
        }
    }
}

impl View for Stage<'_> {
    fn event(&mut self, event: &TaskEvent, tally: &Tally) {
        self.inner.event(event, tally);
        self.tell(event);
        self.choose(event, tally);
    }

    fn draw(&mut self, tally: &Tally) {
        self.inner.draw(tally);
    }

    fn trouble(&mut self, fault: &Fault) {
        self.inner.trouble(fault);
    }

    fn close(&mut self) {
        self.inner.close();
    }
}
