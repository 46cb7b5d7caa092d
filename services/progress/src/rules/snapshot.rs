//! Snapshots: everything that does not follow from something else.

use super::record::SnapshotLine;
use super::state::ProgressState;

impl ProgressState {
    /// The lines of a snapshot; what is large is shared and not copied.
    pub(super) fn snapshot_lines(&self) -> Vec<SnapshotLine> {
        let heard = SnapshotLine::Heard(self.heard, self.complete, self.untracked);
        let durations = SnapshotLine::Durations(Box::new(self.durations.clone()));
        let milestones = self.milestones.values().cloned().map(SnapshotLine::Milestone);
        let tasks = self.tasks.values().cloned().map(SnapshotLine::Task);
        let agents = self.accounts.iter();
        let agents = agents.map(|(agent, a)| SnapshotLine::Agent(agent.clone(), a.tally));
        // Milestones before tasks: each task finds those that require it.
        [heard, durations].into_iter().chain(agents).chain(milestones).chain(tasks).collect()
    }

    /// Takes one line.
    pub(super) fn restore_line(&mut self, line: SnapshotLine) {
        match line {
            SnapshotLine::Task(task) => self.put(task),
            SnapshotLine::Milestone(milestone) => {
                self.require(&milestone.id, &milestone.required_task_ids, true);
                self.timers.milestone(None, Some(&milestone));
                self.milestones.insert(milestone.id.clone(), milestone);
            }
            SnapshotLine::Agent(agent, tally) => {
                self.accounts.entry(agent).or_default().tally = tally;
            }
            SnapshotLine::Durations(durations) => self.durations = *durations,
            SnapshotLine::Heard(heard, complete, untracked) => {
                (self.heard, self.complete, self.untracked) = (heard, complete, untracked);
            }
        }
    }
}
