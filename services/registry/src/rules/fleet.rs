//! The fleet as one replica knows it: the stored agents, what was heard of them, and their timers.
//!
//! Invariant: an agent's stored state only moves forward in the stream's sequence, whoever brings it
//! (a replay, the follower, an own write); signs of life are memory and never override it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use troupe_domain::agent::Timing;
use troupe_domain::{Agent, AgentId, Name, TaskId, Timestamp};

use crate::rules::detector::Detector;
use crate::rules::directory::Indexes;
use crate::rules::notes::Note;

/// The registration that gave an agent its present life; makes the command idempotent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Registration {
    /// The command's idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// Whether the agent was new.
    pub created: bool,
}

/// A note that an earlier write told of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Told {
    /// The sequence of that write.
    pub sequence: u64,
    /// The note.
    pub note: Note,
}

/// One stored version of an agent.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its place in the stream.
    pub sequence: u64,
    /// The agent; its last state if it was removed.
    pub agent: Arc<Agent>,
    /// Whether it left the directory.
    pub removed: bool,
    /// When it was written.
    pub at: Timestamp,
    /// Bytes of the record.
    pub bytes: usize,
    /// The registration of its present life.
    pub registration: Registration,
    /// What this write and those shortly before told, for whoever has to tell it again.
    pub told: Arc<[Told]>,
}

/// Where a version came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Read back at the start: old news.
    Replay,
    /// Written just now, here or by another replica.
    Live,
}

/// What was heard of an agent.
#[derive(Debug, Clone, Default)]
pub struct Vital {
    /// When it was last heard.
    pub heard_at: Timestamp,
    /// When it last did something.
    pub active_at: Timestamp,
    /// What it last said it runs.
    pub running: Option<Arc<[TaskId]>>,
}

#[derive(Debug)]
struct Row {
    version: Version,
    vital: Vital,
}

/// An agent as it was seen at one moment; cheap to take.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The stored version.
    pub version: Version,
    /// What was heard.
    pub vital: Vital,
    /// The agents that it started.
    pub children: Vec<AgentId>,
}

impl Seen {
    /// The agent with what was heard folded in, as it is stored.
    pub fn folded(&self) -> Agent {
        let mut agent = (*self.version.agent).clone();
        agent.last_heartbeat = agent.last_heartbeat.max(self.vital.heard_at);
        agent.last_activity = agent.last_activity.max(self.vital.active_at);
        if let Some(running) = &self.vital.running {
            agent.current_task_ids = running.to_vec();
        }
        agent
    }

    /// The agent as it is shown.
    pub fn into_agent(self) -> Agent {
        let mut agent = self.folded();
        agent.child_agent_ids = self.children;
        agent
    }

    /// About how many bytes it takes in an answer.
    pub fn bytes(&self) -> usize {
        const NAME_BYTES: usize = troupe_domain::limits::MAX_NAME_CHARS + 3;
        let names = self.vital.running.as_ref().map_or(0, |r| r.len()) + self.children.len();
        self.version.bytes + names * NAME_BYTES
    }
}

/// What became of a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// It counts.
    Heard,
    /// No such agent here.
    Stranger,
    /// It comes from a life that has ended.
    FormerSession,
}

/// Everything that one replica knows.
#[derive(Debug)]
pub struct Fleet {
    rows: BTreeMap<AgentId, Row>,
    gone: HashMap<AgentId, Version>,
    pub(crate) indexes: Indexes,
    /// The timers.
    pub detector: Detector,
    /// Whose signs of life are not yet in the hot tier; `None` where there is no hot tier.
    unsaved: Option<HashSet<AgentId>>,
}

impl Fleet {
    /// An empty fleet at `now_ms` of a clock that never goes back.
    pub fn new(timing: Timing, now_ms: u64) -> Self {
        Self {
            rows: BTreeMap::new(),
            gone: HashMap::new(),
            indexes: Indexes::default(),
            detector: Detector::new(timing, now_ms),
            unsaved: None,
        }
    }

    /// Agents in the directory.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes in a stored version; false if a newer one, or this very one, is known.
    pub fn apply(&mut self, version: Version, source: Source, now_ms: u64) -> bool {
        let id = version.agent.id.clone();
        if self.sequence(&id) >= version.sequence {
            return false;
        }
        let before = self.rows.remove(&id);
        if let Some(row) = &before {
            self.indexes.remove(&row.version.agent);
        }
        if version.removed {
            self.detector.forget(&id);
            self.mark_unsaved(&id);
            self.gone.insert(id, version);
            return true;
        }
        self.gone.remove(&id);
        let same_life = before
            .as_ref()
            .is_some_and(|row| row.version.agent.session_id == version.agent.session_id);
        let mut vital = before.map(|row| row.vital).unwrap_or_default();
        let agent = &version.agent;
        // A verdict carries its writer's memory of the last heartbeat: that is no sign of life.
        let alive = agent.status.is_live() && agent.last_heartbeat > vital.heard_at;
        vital.heard_at = vital.heard_at.max(agent.last_heartbeat);
        vital.active_at = vital.active_at.max(agent.last_activity);
        if !same_life {
            vital.running = (!agent.current_task_ids.is_empty())
                .then(|| agent.current_task_ids.as_slice().into());
        }
        self.indexes.add(agent);
        self.detector.watch(agent, now_ms);
        if alive && source == Source::Live {
            self.detector.heard(&id, now_ms);
        }
        self.rows.insert(id, Row { version, vital });
        true
    }

    /// The stream holds nothing of `id`.
    pub fn absent(&mut self, id: &AgentId) {
        self.gone.remove(id);
        if let Some(row) = self.rows.remove(id) {
            self.indexes.remove(&row.version.agent);
            self.detector.forget(id);
        }
    }

    /// The last sequence known of `id`; 0 if there is none.
    pub fn sequence(&self, id: &AgentId) -> u64 {
        let row = self.rows.get(id).map(|row| row.version.sequence);
        row.or_else(|| self.gone.get(id).map(|version| version.sequence)).unwrap_or(0)
    }

    /// What earlier writes of `id` told.
    pub fn told(&self, id: &AgentId) -> Arc<[Told]> {
        let row = self.rows.get(id).map(|row| &row.version);
        row.or_else(|| self.gone.get(id)).map_or_else(|| [].into(), |v| v.told.clone())
    }

    /// Every version known, present and removed.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        self.rows.values().map(|row| &row.version).chain(self.gone.values())
    }

    /// Those who were removed before `moment`, with the sequence of their last word.
    pub fn removed_before(&self, moment: Timestamp) -> Vec<(AgentId, u64)> {
        let old = self.gone.iter().filter(|(_, version)| version.at < moment);
        old.map(|(id, version)| (id.clone(), version.sequence)).collect()
    }

    /// Forgets that `id` was removed at `sequence`.
    pub fn clear_removed(&mut self, id: &AgentId, sequence: u64) {
        if self.gone.get(id).is_some_and(|version| version.sequence == sequence) {
            self.gone.remove(id);
        }
    }

    /// One agent.
    pub fn get(&self, id: &AgentId) -> Option<Seen> {
        self.rows.get(id).map(|row| self.seen(row))
    }

    fn seen(&self, row: &Row) -> Seen {
        let children = self.indexes.children(&row.version.agent.id);
        Seen {
            version: row.version.clone(),
            vital: row.vital.clone(),
            children: children.map(|ids| ids.iter().cloned().collect()).unwrap_or_default(),
        }
    }

    /// The stored agent and what was heard of it.
    pub fn peek(&self, id: &AgentId) -> Option<(&Agent, &Vital)> {
        self.rows.get(id).map(|row| (&*row.version.agent, &row.vital))
    }

    /// Everybody, by id, after `after`.
    pub fn after<'a>(&'a self, after: Option<&AgentId>) -> impl Iterator<Item = Seen> + 'a {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |id| Excluded(id.clone()));
        self.rows.range((from, Unbounded)).map(|(_, row)| self.seen(row))
    }

    /// Everybody, in the order of their ids.
    pub fn everybody(&self) -> impl Iterator<Item = (&Agent, &Vital)> {
        self.rows.values().map(|row| (&*row.version.agent, &row.vital))
    }

    /// A sign of life.
    pub fn heard(
        &mut self,
        id: &AgentId,
        session: Option<&Name>,
        running: Option<&[TaskId]>,
        at: Timestamp,
        now_ms: u64,
    ) -> Hearing {
        let Some(row) = self.rows.get_mut(id) else { return Hearing::Stranger };
        if session.is_some_and(|session| *session != row.version.agent.session_id) {
            return Hearing::FormerSession;
        }
        row.vital.heard_at = row.vital.heard_at.max(at);
        if let Some(running) = running {
            if !running.is_empty() {
                row.vital.active_at = row.vital.active_at.max(at);
            }
            if row.vital.running.as_deref() != Some(running) {
                row.vital.running = Some(running.into());
            }
        }
        self.detector.heard(id, now_ms);
        Hearing::Heard
    }

    /// From now on, remembers what is to be saved in the hot tier.
    pub fn remember_unsaved(&mut self) {
        self.unsaved.get_or_insert_default();
    }

    /// `id`'s vital signs are to be saved in the hot tier.
    pub fn mark_unsaved(&mut self, id: &AgentId) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.insert(id.clone());
        }
    }

    /// Takes what is to be saved, at most `limit` agents; `None` for an agent that is gone.
    pub fn take_unsaved(&mut self, limit: usize) -> Vec<(AgentId, Option<Vital>)> {
        let Some(unsaved) = &mut self.unsaved else { return Vec::new() };
        let ids: Vec<AgentId> = unsaved.iter().take(limit).cloned().collect();
        for id in &ids {
            unsaved.remove(id);
        }
        let vital = |id: &AgentId| self.rows.get(id).map(|row| row.vital.clone());
        ids.into_iter().map(|id| (id.clone(), vital(&id))).collect()
    }

    /// Vital signs that an earlier life of a replica saved: facts to show, not a sign of life now.
    pub fn restore(&mut self, id: &AgentId, vital: Vital) {
        if let Some(row) = self.rows.get_mut(id)
            && vital.heard_at > row.vital.heard_at
        {
            row.vital.heard_at = vital.heard_at;
            row.vital.active_at = row.vital.active_at.max(vital.active_at);
            row.vital.running = vital.running;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use troupe_domain::AgentStatus;

    /// An agent with a name and nothing special.
    pub(crate) fn agent(id: &str) -> Agent {
        let at = Timestamp::from_millis(1);
        Agent {
            id: Name::parse(id).unwrap(),
            role: Name::parse("implementer").unwrap(),
            persona: None,
            capabilities: Vec::new(),
            status: AgentStatus::Active,
            parent_agent_id: None,
            child_agent_ids: Vec::new(),
            surface: troupe_domain::Surface::Cli,
            session_id: Name::parse("s1").unwrap(),
            registered_at: at,
            last_heartbeat: at,
            last_activity: at,
            current_task_ids: Vec::new(),
            max_concurrent_tasks: 1,
            said_goodbye: false,
            metadata: None,
        }
    }

    /// `agent` as stored at `sequence`.
    pub(crate) fn version(agent: Agent, sequence: u64) -> Version {
        Version {
            sequence,
            agent: Arc::new(agent),
            removed: false,
            at: Timestamp::from_millis(1),
            bytes: 100,
            registration: Registration { command_id: None, created: true },
            told: [].into(),
        }
    }

    fn fleet() -> Fleet {
        Fleet::new(Timing::default(), 0)
    }

    #[test]
    fn versions_only_move_forward_past_a_removal_too() {
        let mut fleet = fleet();
        assert!(fleet.apply(version(agent("a"), 5), Source::Live, 0));
        let removed = Version { removed: true, ..version(agent("a"), 7) };
        assert!(fleet.apply(removed, Source::Live, 0));
        assert!(!fleet.apply(version(agent("a"), 6), Source::Live, 0), "an old version came late");
        assert!(fleet.is_empty());
        assert_eq!(fleet.sequence(&agent("a").id), 7);
        assert!(fleet.apply(version(agent("a"), 9), Source::Live, 0));
        assert_eq!(fleet.len(), 1);
    }

    #[test]
    fn a_former_life_is_not_heard_and_a_stranger_leaves_no_trace() {
        let mut fleet = fleet();
        let id = agent("a").id;
        let at = Timestamp::from_millis(9);
        assert_eq!(fleet.heard(&id, None, None, at, 0), Hearing::Stranger);
        fleet.apply(version(agent("a"), 1), Source::Live, 0);
        let former = Name::parse("s0").unwrap();
        assert_eq!(fleet.heard(&id, Some(&former), None, at, 0), Hearing::FormerSession);
        assert!(fleet.get(&id).unwrap().into_agent().last_heartbeat < at);
        assert_eq!(fleet.heard(&id, None, Some(std::slice::from_ref(&id)), at, 0), Hearing::Heard);
        let seen = fleet.get(&id).unwrap().into_agent();
        assert_eq!((seen.last_heartbeat, seen.current_task_ids), (at, vec![id]));
    }

    #[test]
    fn a_new_life_runs_nothing_yet() {
        let mut fleet = fleet();
        let id = agent("a").id;
        fleet.apply(version(agent("a"), 1), Source::Live, 0);
        fleet.heard(&id, None, Some(std::slice::from_ref(&id)), Timestamp::from_millis(9), 0);
        let mut next = agent("a");
        next.session_id = Name::parse("s2").unwrap();
        fleet.apply(version(next, 2), Source::Live, 0);
        assert!(fleet.get(&id).unwrap().vital.running.is_none());
    }

    #[test]
    fn a_page_starts_after_an_id_that_need_not_be_there() {
        let mut fleet = fleet();
        for (at, id) in ["a", "c", "e"].into_iter().enumerate() {
            fleet.apply(version(agent(id), at as u64 + 1), Source::Live, 0);
        }
        let after = Name::parse("b").unwrap();
        let ids: Vec<_> = fleet.after(Some(&after)).map(|s| s.version.agent.id.clone()).collect();
        assert_eq!(ids, [agent("c").id, agent("e").id]);
    }
}
