//! The floor of a session: who may be heard next.
//!
//! A turn is heard when its speaker's former turns, and all that the speaker had seen, were heard or
//! are declared missing; and, in a session with an order, when it is the speaker's turn.

use std::collections::BTreeSet;

use super::{Turn, TurnOrder};
use crate::name::AgentId;
use crate::vector_clock::VectorClock;

/// Whether a turn can be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Now.
    Now,
    /// Not before something that it depends on.
    Later,
    /// All that it depends on was heard, but somebody else is to speak.
    NotItsTurn,
    /// Its place is taken, or was declared missing.
    Never,
}

/// Who may be heard next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// How often each was heard, or declared missing.
    pub clock: VectorClock,
    /// Places that are declared missing, while an earlier one of the same speaker is open.
    pub(super) declared: BTreeSet<(AgentId, u64)>,
    /// Who takes part, in the order in which they joined.
    pub participants: Vec<AgentId>,
    /// Whose turn it is, where there is an order.
    pub next_speaker: Option<AgentId>,
    order: TurnOrder,
}

impl Floor {
    /// A floor on which nobody was heard.
    pub fn new(order: TurnOrder, participants: Vec<AgentId>) -> Self {
        let next_speaker = match order {
            TurnOrder::RoundRobin => participants.first().cloned(),
            TurnOrder::Free => None,
        };
        let (clock, declared) = (VectorClock::default(), BTreeSet::new());
        Self { clock, declared, participants, next_speaker, order }
    }

    /// Puts back what a snapshot knew.
    pub(super) fn restored(
        order: TurnOrder,
        participants: Vec<AgentId>,
        clock: VectorClock,
        next_speaker: Option<AgentId>,
        declared: BTreeSet<(AgentId, u64)>,
    ) -> Self {
        Self { clock, declared, participants, next_speaker, order }
    }

    /// Whether a place was heard, or is declared missing.
    pub fn is_past(&self, by: &AgentId, count: u64) -> bool {
        count <= self.clock.get(by) || self.declared.contains(&(by.clone(), count))
    }

    /// Whether a turn can be heard.
    pub fn admits(&self, turn: &Turn) -> Admission {
        if self.is_past(&turn.by, turn.count()) {
            return Admission::Never;
        }
        let waits = turn.clock.iter().any(|(name, count)| {
            let wanted = if *name == turn.by { count - 1 } else { count };
            self.clock.get(name) < wanted
        });
        if waits {
            return Admission::Later;
        }
        match &self.next_speaker {
            Some(next) if *next != turn.by => Admission::NotItsTurn,
            _ => Admission::Now,
        }
    }

    /// `by` was heard once more.
    pub fn heard(&mut self, by: &AgentId) {
        self.pass(by);
        self.settle(by);
        if self.order == TurnOrder::RoundRobin {
            self.next_speaker = self.after(by);
        }
    }

    /// A place will not be filled.
    pub fn declare(&mut self, by: &AgentId, count: u64) {
        if !self.is_past(by, count) {
            self.declared.insert((by.clone(), count));
            self.settle(by);
        }
    }

    fn pass(&mut self, by: &AgentId) {
        // A participant has an entry or room for one: a session has no more members than a clock.
        let _ = self.clock.increment(by);
    }

    fn settle(&mut self, by: &AgentId) {
        while self.declared.remove(&(by.clone(), self.clock.get(by) + 1)) {
            self.pass(by);
        }
    }

    /// Somebody joined, at the end of the order.
    pub fn join(&mut self, who: &AgentId) {
        self.participants.push(who.clone());
        if self.order == TurnOrder::RoundRobin && self.next_speaker.is_none() {
            self.next_speaker = Some(who.clone());
        }
    }

    /// Somebody left.
    pub fn leave(&mut self, who: &AgentId) {
        if self.next_speaker.as_ref() == Some(who) {
            self.next_speaker = self.after(who).filter(|next| next != who);
        }
        self.participants.retain(|p| p != who);
    }

    fn after(&self, who: &AgentId) -> Option<AgentId> {
        let place = self.participants.iter().position(|p| p == who).map_or(0, |place| place + 1);
        self.participants.get(place).or_else(|| self.participants.first()).cloned()
    }
}
