//! What may happen in a session: each rule gives changes, or refuses.
//!
//! Nothing is held for ever: a turn whose dependencies do not come in time is let go of, its place is
//! declared missing, and what waited for that place goes on. Nothing is heard twice: a place among a
//! speaker's turns is filled once.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::conversation::Conversation;
use super::floor::{Admission, Floor};
use super::{MissingTurn, SessionOutcome, Turn};
use crate::fault::{Code, Fault};
use crate::limits::{MAX_CLOCK_ENTRIES, MAX_TURNS_AHEAD};
use crate::name::AgentId;
use crate::time::Timestamp;

/// How large a session may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionLimits {
    /// Agents in it at once.
    pub max_participants: usize,
    /// Turns in its transcript.
    pub max_turns: usize,
    /// Bytes of its transcript and of what is held back.
    pub max_transcript_bytes: usize,
    /// Turns that wait for what they depend on.
    pub max_held_turns: usize,
    /// How long a turn may wait for what it depends on.
    pub max_held_ms: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            max_participants: 32,
            max_turns: 1_000,
            max_transcript_bytes: 4 * 1024 * 1024,
            max_held_turns: 64,
            max_held_ms: 30_000,
        }
    }
}

/// What a rule decides.
pub type Decision = Result<Vec<Change>, Fault>;

impl Conversation {
    fn check_open(&self) -> Result<(), Fault> {
        if self.is_open() {
            return Ok(());
        }
        let session = self.session();
        Err(Fault::precondition(format!("the session {} has ended", session.id))
            .with("status", serde_json::json!(session.status)))
    }

    fn check_participant(&self, who: &AgentId) -> Result<(), Fault> {
        if self.has(who) {
            return Ok(());
        }
        let why = format!("{who} does not take part in the session {}", self.id());
        Err(Fault::new(Code::PermissionDenied, why))
    }

    /// Whether `who` may read it.
    pub fn check_reader(&self, who: &AgentId) -> Result<(), Fault> {
        if self.had(who) || self.anyone_may_join() { Ok(()) } else { self.check_participant(who) }
    }

    /// Somebody joins. Joining twice is joining once.
    pub fn join(&self, who: &AgentId, limits: &SessionLimits) -> Decision {
        self.check_open()?;
        if self.has(who) {
            return Ok(Vec::new());
        }
        if !self.anyone_may_join() && !self.former.contains(who) {
            return self.check_participant(who).map(|()| Vec::new());
        }
        if self.floor.participants.len() >= limits.max_participants {
            return Err(Fault::exhausted("max_participants", limits.max_participants));
        }
        let members = self.floor.participants.len() + self.former.len();
        if members >= MAX_CLOCK_ENTRIES && !self.former.contains(who) {
            return Err(Fault::exhausted("MAX_CLOCK_ENTRIES", MAX_CLOCK_ENTRIES));
        }
        Ok(vec![Change::Joined { by: who.clone() }])
    }

    /// Somebody leaves; when nobody is left the session ends. Leaving twice is leaving once.
    pub fn leave(&self, who: &AgentId, reason: &str) -> Decision {
        if !self.has(who) {
            return if self.former.contains(who) {
                Ok(Vec::new())
            } else {
                self.check_participant(who).map(|()| Vec::new())
            };
        }
        self.check_open()?;
        let mut floor = self.floor.clone();
        floor.leave(who);
        let mut changes = vec![Change::Left { by: who.clone(), reason: reason.to_owned() }];
        if floor.participants.is_empty() {
            let outcome = SessionOutcome::Abandoned;
            changes.extend(self.ending(None, outcome, "everybody left", false));
        } else {
            // Leaving may pass the word to somebody whose turn waits.
            changes.extend(self.cascade(floor, &[]));
        }
        Ok(changes)
    }

    /// Somebody who takes part ends it.
    pub fn close(&self, who: &AgentId, outcome: SessionOutcome, reason: &str) -> Decision {
        self.check_participant(who)?;
        self.check_open()?;
        if outcome == SessionOutcome::Abandoned {
            return Err(Fault::invalid("outcome", "only the service says `abandoned`"));
        }
        Ok(self.ending(Some(who.clone()), outcome, reason, false))
    }

    /// Somebody speaks. A turn without a clock comes after everything in the transcript. A turn that
    /// came before gives no change.
    pub fn say(&self, mut turn: Turn, limits: &SessionLimits) -> Decision {
        if self.place(&turn.by, &turn.id).is_some() {
            return Ok(Vec::new());
        }
        self.check_open()?;
        self.check_participant(&turn.by)?;
        if turn.clock.is_empty() {
            if self.held.keys().any(|(by, _)| *by == turn.by) {
                return Err(Fault::precondition(
                    "earlier turns of yours are held back: give vector_clock",
                ));
            }
            turn.clock = self.floor.clock.clone();
            turn.clock.increment(&turn.by)?;
        }
        self.check_clock(&turn)?;
        self.check_room(&turn, limits)?;
        match self.floor.admits(&turn) {
            Admission::Never => {
                let why = format!(
                    "turn {} of {} was heard before, or is declared missing",
                    turn.count(),
                    turn.by
                );
                Err(Fault::new(Code::AlreadyExists, why)
                    .with("heard", self.floor.clock.get(&turn.by)))
            }
            Admission::NotItsTurn => {
                let next = self.floor.next_speaker.as_ref().map(AgentId::as_str);
                Err(Fault::precondition("it is somebody else's turn").with("next_speaker", next))
            }
            Admission::Later if self.held.len() >= limits.max_held_turns => {
                Err(Fault::exhausted("max_held_turns", limits.max_held_turns))
            }
            Admission::Later => Ok(vec![Change::Held(turn)]),
            Admission::Now => {
                let mut floor = self.floor.clone();
                floor.heard(&turn.by);
                let mut changes = vec![Change::Heard(turn)];
                changes.extend(self.cascade(floor, &[]));
                Ok(changes)
            }
        }
    }

    fn check_clock(&self, turn: &Turn) -> Result<(), Fault> {
        if turn.count() == 0 {
            return Err(Fault::invalid("vector_clock", "must count the speaker's own turn"));
        }
        for (name, count) in turn.clock.iter() {
            if !self.had(name) {
                return Err(Fault::invalid("vector_clock", format!("{name} never took part")));
            }
            if count > self.floor.clock.get(name) + MAX_TURNS_AHEAD {
                return Err(Fault::exhausted("MAX_TURNS_AHEAD", MAX_TURNS_AHEAD as usize)
                    .with("field", "vector_clock"));
            }
        }
        match self.held.get(&(turn.by.clone(), turn.count())) {
            Some(held) => {
                Err(Fault::new(Code::Conflict, "another turn with the same count is held back")
                    .with("turn_id", held.turn.id.as_str()))
            }
            None => Ok(()),
        }
    }

    fn check_room(&self, turn: &Turn, limits: &SessionLimits) -> Result<(), Fault> {
        if self.turns() as usize + self.held.len() >= limits.max_turns {
            return Err(Fault::exhausted("max_turns", limits.max_turns));
        }
        if self.bytes() + turn.weight() > limits.max_transcript_bytes {
            return Err(Fault::exhausted("max_transcript_bytes", limits.max_transcript_bytes));
        }
        Ok(())
    }

    /// What time does: turns that waited too long are let go of, and a silent session ends.
    pub fn tick(&self, limits: &SessionLimits, now: Timestamp) -> Vec<Change> {
        if !self.is_open() {
            return Vec::new();
        }
        let mut overdue: Vec<&Turn> = self
            .held()
            .filter(|held| held.since.plus_millis(limits.max_held_ms) <= now)
            .map(|held| &held.turn)
            .collect();
        overdue.sort_by_key(|turn| turn.said_at);
        if overdue.is_empty() {
            return if self.idle_at() <= now {
                self.ending(None, SessionOutcome::Abandoned, "nobody spoke any more", true)
            } else {
                Vec::new()
            };
        }
        let mut floor = self.floor.clone();
        let mut changes = Vec::new();
        let mut gone = Vec::new();
        for turn in overdue {
            // What was let go of before may have let this one through.
            if floor.is_past(&turn.by, turn.count()) {
                continue;
            }
            for missing in self.let_go(turn, &floor) {
                floor.declare(&missing.by, missing.count);
                gone.push((missing.by.clone(), missing.count));
                changes.push(Change::Missing(missing));
            }
            for change in self.cascade(floor.clone(), &gone) {
                if let Change::Released { by, count } = &change {
                    floor.heard(by);
                    gone.push((by.clone(), *count));
                }
                changes.push(change);
            }
        }
        changes
    }

    /// The turn, and the speaker's turns before it that never came.
    fn let_go(&self, turn: &Turn, floor: &Floor) -> Vec<MissingTurn> {
        let waited: Vec<String> = turn
            .clock
            .iter()
            .filter(|(name, count)| {
                let wanted = if **name == turn.by { count - 1 } else { *count };
                floor.clock.get(name) < wanted
            })
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let reason = match (waited.is_empty(), &floor.next_speaker) {
            (true, Some(next)) => format!("it waited for {next} to speak"),
            _ => format!("it waited for turns that did not come: {}", waited.join(", ")),
        };
        let by = &turn.by;
        let before = (floor.clock.get(by) + 1..turn.count())
            .filter(|n| !floor.is_past(by, *n) && !self.held.contains_key(&(by.clone(), *n)))
            .map(|count| MissingTurn {
                by: by.clone(),
                count,
                turn_id: None,
                reason: "it never came".to_owned(),
            });
        let mut missing: Vec<MissingTurn> = before.collect();
        let (by, count, turn_id) = (by.clone(), turn.count(), Some(turn.id.clone()));
        missing.push(MissingTurn { by, count, turn_id, reason });
        missing
    }

    /// The turns that are held back and can be heard from `floor` on, in order; but none of `gone`.
    fn cascade(&self, mut floor: Floor, gone: &[(AgentId, u64)]) -> Vec<Change> {
        let mut waiting: Vec<&Turn> = self
            .held()
            .map(|held| &held.turn)
            .filter(|t| !gone.contains(&(t.by.clone(), t.count())))
            .collect();
        let mut released = Vec::new();
        while let Some(place) = waiting.iter().position(|turn| floor.admits(turn) == Admission::Now)
        {
            let turn = waiting.remove(place);
            floor.heard(&turn.by);
            released.push(Change::Released { by: turn.by.clone(), count: turn.count() });
        }
        released
    }

    fn ending(
        &self,
        by: Option<AgentId>,
        outcome: SessionOutcome,
        reason: &str,
        expired: bool,
    ) -> Vec<Change> {
        let held = self.held().map(|held| {
            Change::Missing(MissingTurn {
                by: held.turn.by.clone(),
                count: held.turn.count(),
                turn_id: Some(held.turn.id.clone()),
                reason: "the session ended while it was held back".to_owned(),
            })
        });
        let reason = reason.to_owned();
        held.chain([Change::Ended { by, outcome, reason, expired }]).collect()
    }
}
