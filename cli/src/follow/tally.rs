//! What is known of the tasks of a graph. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use troupe_contract::event::{TaskEvent, TaskEventKind};
use troupe_domain::{AgentId, Name, Role, Task, TaskId, TaskStatus, Timestamp};

/// One task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) role: Option<Role>,
    pub(crate) status: TaskStatus,
    pub(crate) epoch: u64,
    pub(crate) holder: Option<AgentId>,
    pub(crate) since: Timestamp,
}

impl Row {
    fn of(task: &Task) -> Self {
        Self {
            label: task.key.as_ref().map_or_else(|| task.title.clone(), Name::to_string),
            role: task.required_role.clone(),
            status: task.status,
            epoch: task.epoch,
            holder: task.claimed_by.clone(),
            since: task.updated_at,
        }
    }
}

/// The tasks of a graph, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: BTreeMap<TaskId, Row>,
    /// The list was read at least once.
    complete: bool,
    /// In the list that was read last, nothing could go on.
    stuck: bool,
}

impl Tally {
    /// Takes in an event. One that is older than what is known changes nothing.
    pub(crate) fn apply(&mut self, event: &TaskEvent) {
        if let Some(task) = &event.task {
            let fresh = self.rows.get(&event.task_id).is_none_or(|row| row.since <= event.at);
            if fresh {
                self.rows.insert(event.task_id.clone(), Row::of(task));
            }
            return;
        }
        let Some(row) = self.rows.get_mut(&event.task_id) else { return };
        if event.at < row.since || event.epoch < row.epoch {
            return;
        }
        row.status = event.status;
        row.epoch = event.epoch;
        row.since = event.at;
        match event.event {
            TaskEventKind::TaskClaimed | TaskEventKind::TaskStarted => {
                row.holder.clone_from(&event.by);
            }
            _ if !event.status.is_held() => row.holder = None,
            _ => {}
        }
    }

    /// Takes in the whole list. True if nothing more will happen by itself.
    pub(crate) fn refresh(&mut self, tasks: &[Arc<Task>]) -> bool {
        self.rows = tasks.iter().map(|task| (task.id.clone(), Row::of(task))).collect();
        self.complete = true;
        let moves = |row: &Row| !row.status.is_terminal() && row.status != TaskStatus::Blocked;
        let blocked = self.rows.values().any(|row| row.status == TaskStatus::Blocked);
        let quiet = !self.rows.values().any(moves);
        // A list is read page by page: what is blocked in it may have been released meanwhile. Only
        // when a second list says the same is it believed.
        let over = quiet && (!blocked || self.stuck);
        self.stuck = quiet && blocked;
        over
    }

    /// As far as events tell.
    pub(crate) fn may_be_over(&self) -> bool {
        self.complete && self.rows.values().all(|row| row.status.is_terminal())
    }

    pub(crate) fn row(&self, id: &TaskId) -> Option<&Row> {
        self.rows.get(id)
    }

    pub(crate) fn total(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn count(&self, status: TaskStatus) -> usize {
        self.rows.values().filter(|row| row.status == status).count()
    }

    pub(crate) fn ended(&self) -> usize {
        self.rows.values().filter(|row| row.status.is_terminal()).count()
    }

    /// By role: how many have ended, and how many there are.
    pub(crate) fn by_role(&self) -> BTreeMap<String, (usize, usize)> {
        let mut roles = BTreeMap::new();
        for row in self.rows.values() {
            let role = row.role.as_ref().map_or("any role", Role::as_str).to_owned();
            let (ended, total) = roles.entry(role).or_insert((0, 0));
            *ended += usize::from(row.status.is_terminal());
            *total += 1;
        }
        roles
    }

    /// What is held now, the longest first.
    pub(crate) fn held(&self) -> Vec<&Row> {
        let mut held: Vec<&Row> = self.rows.values().filter(|row| row.status.is_held()).collect();
        held.sort_by_key(|row| row.since);
        held
    }

    /// `3 completed, 1 dead`: every status that occurs.
    pub(crate) fn summary(&self) -> String {
        let counts = TaskStatus::ALL.iter().filter_map(|status| match self.count(*status) {
            0 => None,
            count => Some(format!("{count} {}", status.as_str())),
        });
        counts.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_domain::task::spec::TaskSpec;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn tally(statuses: &[(&str, TaskStatus)]) -> Tally {
        let rows = statuses.iter().map(|(id, status)| {
            let row = Row {
                label: (*id).to_owned(),
                role: None,
                status: *status,
                epoch: 1,
                holder: Some(name("a")),
                since: Timestamp::from_millis(10),
            };
            (name(id), row)
        });
        Tally { rows: rows.collect(), complete: true, stuck: false }
    }

    fn event(kind: TaskEventKind, status: TaskStatus, epoch: u64, at: i64) -> TaskEvent {
        TaskEvent {
            event: kind,
            task_id: name("t"),
            status,
            epoch,
            at: Timestamp::from_millis(at),
            by: Some(name("b")),
            reason: None,
            graph_id: None,
            task: None,
        }
    }

    #[test]
    fn events_move_a_task_forward_and_never_back() {
        let mut tally = tally(&[("t", TaskStatus::Available)]);
        tally.apply(&event(TaskEventKind::TaskClaimed, TaskStatus::Claimed, 2, 20));
        assert_eq!(tally.row(&name("t")).unwrap().holder, Some(name("b")));
        tally.apply(&event(TaskEventKind::LeaseExpired, TaskStatus::Available, 1, 30));
        assert_eq!(tally.count(TaskStatus::Claimed), 1, "of an epoch that is over");
        tally.apply(&event(TaskEventKind::LeaseExpired, TaskStatus::Available, 2, 40));
        assert_eq!((tally.count(TaskStatus::Available), tally.held().len()), (1, 0));
        assert_eq!(tally.summary(), "1 available");
    }

    #[test]
    fn what_is_blocked_for_good_is_believed_at_the_second_look() {
        assert!(!tally(&[("t", TaskStatus::Blocked)]).may_be_over());
        let blocked = Arc::new(task(TaskStatus::Blocked));
        let mut tally = Tally::default();
        assert!(!tally.refresh(std::slice::from_ref(&blocked)));
        assert!(tally.refresh(std::slice::from_ref(&blocked)));
        assert!(!tally.refresh(&[Arc::new(task(TaskStatus::Available))]));
        assert!(tally.refresh(&[Arc::new(task(TaskStatus::Completed))]));
    }

    fn task(status: TaskStatus) -> Task {
        let spec = TaskSpec { title: "t".to_owned(), ..TaskSpec::default() };
        let mut json = serde_json::to_value(spec).unwrap();
        json["id"] = "t".into();
        json["status"] = status.as_str().into();
        for (field, value) in [("epoch", 0), ("lease_ms", 30_000), ("max_retries", 3)] {
            json[field] = value.into();
        }
        for field in ["created_at", "updated_at"] {
            json[field] = "2026-11-23T00:00:00Z".into();
        }
        json["created_by"] = "me".into();
        serde_json::from_str(&json.to_string()).unwrap()
    }
}
