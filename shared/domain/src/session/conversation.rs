//! A conversation: a session with its transcript and the turns that are held back.
//!
//! [`Conversation::apply`] decides nothing, so that a replay of the changes gives the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::floor::Floor;
use super::{
    MissingTurn, Session, SessionEnd, SessionId, SessionStatus, SessionType, TranscriptEntry,
    TranscriptEvent, Turn, TurnOrder,
};
use crate::message::MessageId;
use crate::name::AgentId;
use crate::time::Timestamp;

/// How a session begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// Its id.
    pub id: SessionId,
    /// What it is for.
    pub kind: SessionType,
    /// One line.
    pub title: String,
    /// Who opens it.
    pub by: AgentId,
    /// When.
    pub at: Timestamp,
    /// It ends by itself after so long a silence.
    pub idle_ms: u64,
    /// Whether anybody may join.
    pub anyone_may_join: bool,
    /// Who may speak when.
    pub turn_order: TurnOrder,
    /// Who is in it from the beginning, `by` among them, in the order of speaking.
    pub participants: Vec<AgentId>,
}

/// A turn that is held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldTurn {
    /// Since when.
    pub since: Timestamp,
    /// The turn.
    pub turn: Turn,
}

/// Where a turn is that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnPlace {
    /// It waits.
    Held,
    /// In the transcript, at this place.
    Heard(u64),
    /// It was let go of.
    Missing,
}

/// A session with everything that belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    opening: Opening,
    pub(super) floor: Floor,
    pub(super) former: BTreeSet<AgentId>,
    pub(super) held: BTreeMap<(AgentId, u64), HeldTurn>,
    places: BTreeMap<(AgentId, MessageId), TurnPlace>,
    transcript: Vec<Arc<TranscriptEntry>>,
    turns: u64,
    bytes: usize,
    last_activity_at: Timestamp,
    status: SessionStatus,
    end: Option<SessionEnd>,
}

/// Everything of a conversation but its transcript, as a snapshot keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationHead {
    /// How it began.
    pub opening: Opening,
    /// As it is.
    pub session: Session,
    /// What is held back.
    pub held: Vec<HeldTurn>,
    /// Places that are declared missing beyond the clock.
    pub declared: BTreeSet<(AgentId, u64)>,
}

impl Conversation {
    /// A conversation that begins.
    pub fn open(opening: Opening) -> Self {
        Self {
            floor: Floor::new(opening.turn_order, opening.participants.clone()),
            former: BTreeSet::new(),
            held: BTreeMap::new(),
            places: BTreeMap::new(),
            transcript: Vec::new(),
            turns: 0,
            bytes: 0,
            last_activity_at: opening.at,
            status: SessionStatus::Open,
            end: None,
            opening,
        }
    }

    /// How it began.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// A turn that is held back.
    pub fn held_turn(&self, by: &AgentId, count: u64) -> Option<&Turn> {
        self.held.get(&(by.clone(), count)).map(|held| &held.turn)
    }

    /// Its id.
    pub fn id(&self) -> &SessionId {
        &self.opening.id
    }

    /// The session as others see it.
    pub fn session(&self) -> Session {
        let Opening { id, kind, title, by, at, idle_ms, anyone_may_join, turn_order, .. } =
            self.opening.clone();
        Session {
            id,
            kind,
            title,
            status: self.status,
            opened_by: by,
            opened_at: at,
            last_activity_at: self.last_activity_at,
            idle_ms,
            anyone_may_join,
            turn_order,
            participants: self.floor.participants.clone(),
            former_participants: self.former.iter().cloned().collect(),
            next_speaker: self.floor.next_speaker.clone().filter(|_| self.is_open()),
            clock: self.floor.clock.clone(),
            turns: self.turns,
            held_turns: self.held.len() as u64,
            end: self.end.clone(),
        }
    }

    /// Whether it goes on.
    pub fn is_open(&self) -> bool {
        self.status == SessionStatus::Open
    }

    /// Whether anybody may join.
    pub fn anyone_may_join(&self) -> bool {
        self.opening.anyone_may_join
    }

    /// Who may be heard next.
    pub fn floor(&self) -> &Floor {
        &self.floor
    }

    /// Whether `who` takes part.
    pub fn has(&self, who: &AgentId) -> bool {
        self.floor.participants.contains(who)
    }

    /// Whether `who` takes part or did.
    pub fn had(&self, who: &AgentId) -> bool {
        self.has(who) || self.former.contains(who)
    }

    /// Turns in the transcript.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Bytes of the transcript and of what is held back, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is held back.
    pub fn held(&self) -> impl Iterator<Item = &HeldTurn> {
        self.held.values()
    }

    /// The transcript, in order.
    pub fn transcript(&self) -> &[Arc<TranscriptEntry>] {
        &self.transcript
    }

    /// Where a turn is that came.
    pub fn place(&self, by: &AgentId, id: &MessageId) -> Option<TurnPlace> {
        self.places.get(&(by.clone(), id.clone())).copied()
    }

    /// When it ends by itself unless something happens.
    pub fn idle_at(&self) -> Timestamp {
        self.last_activity_at.plus_millis(self.opening.idle_ms)
    }

    /// When the turn that waits longest began to.
    pub fn held_since(&self) -> Option<Timestamp> {
        self.held.values().map(|held| held.since).min()
    }

    /// Folds a change into the state.
    pub fn apply(&mut self, change: &Change, at: Timestamp) {
        self.last_activity_at = at;
        match change {
            Change::Joined { by } => {
                self.former.remove(by);
                self.floor.join(by);
                self.write(at, TranscriptEvent::Joined { by: by.clone() });
            }
            Change::Left { by, reason } => {
                self.former.insert(by.clone());
                self.floor.leave(by);
                let (by, reason) = (by.clone(), reason.clone());
                self.write(at, TranscriptEvent::Left { by, reason });
            }
            Change::Heard(turn) => {
                self.bytes += turn.weight();
                self.hear(turn.clone(), at);
            }
            Change::Held(turn) => {
                self.bytes += turn.weight();
                self.hold(HeldTurn { since: at, turn: turn.clone() });
            }
            Change::Released { by, count } => {
                if let Some(held) = self.held.remove(&(by.clone(), *count)) {
                    self.hear(held.turn, at);
                }
            }
            Change::Missing(missing) => self.miss(missing, at),
            Change::Ended { by, outcome, reason, expired } => {
                self.status = if *expired { SessionStatus::Expired } else { SessionStatus::Closed };
                let (by, outcome, reason) = (by.clone(), *outcome, reason.clone());
                self.end = Some(SessionEnd { at, outcome, by, reason });
            }
        }
    }

    fn hold(&mut self, held: HeldTurn) {
        let turn = &held.turn;
        self.places.insert((turn.by.clone(), turn.id.clone()), TurnPlace::Held);
        self.held.insert((turn.by.clone(), turn.count()), held);
    }

    fn hear(&mut self, turn: Turn, at: Timestamp) {
        self.floor.heard(&turn.by);
        self.turns += 1;
        self.write(at, TranscriptEvent::Turn(turn));
    }

    fn miss(&mut self, missing: &MissingTurn, at: Timestamp) {
        if let Some(held) = self.held.remove(&(missing.by.clone(), missing.count)) {
            self.bytes = self.bytes.saturating_sub(held.turn.weight());
        }
        self.floor.declare(&missing.by, missing.count);
        self.write(at, TranscriptEvent::Missing(missing.clone()));
    }

    fn write(&mut self, at: Timestamp, what: TranscriptEvent) {
        let number = self.transcript.len() as u64 + 1;
        self.note(TranscriptEntry { number, at, what });
    }

    fn note(&mut self, entry: TranscriptEntry) {
        match &entry.what {
            TranscriptEvent::Turn(turn) => {
                let place = TurnPlace::Heard(entry.number);
                self.places.insert((turn.by.clone(), turn.id.clone()), place);
            }
            TranscriptEvent::Missing(MissingTurn { by, turn_id: Some(id), .. }) => {
                self.places.insert((by.clone(), id.clone()), TurnPlace::Missing);
            }
            _ => {}
        }
        self.transcript.push(Arc::new(entry));
    }

    /// Everything but the transcript.
    pub fn head(&self) -> ConversationHead {
        ConversationHead {
            opening: self.opening.clone(),
            session: self.session(),
            held: self.held.values().cloned().collect(),
            declared: self.floor.declared.clone(),
        }
    }

    /// A conversation from its head; its transcript follows through [`Self::restore`].
    pub fn from_head(head: ConversationHead) -> Self {
        let ConversationHead { opening, session, held, declared } = head;
        let mut this = Self::open(opening);
        let order = this.opening.turn_order;
        this.floor = Floor::restored(
            order,
            session.participants,
            session.clock,
            session.next_speaker,
            declared,
        );
        this.former = session.former_participants.into_iter().collect();
        this.last_activity_at = session.last_activity_at;
        (this.status, this.end, this.turns) = (session.status, session.end, session.turns);
        for held in held {
            this.bytes += held.turn.weight();
            this.hold(held);
        }
        this
    }

    /// Takes the next line of the transcript from a snapshot.
    pub fn restore(&mut self, entry: Arc<TranscriptEntry>) {
        if let TranscriptEvent::Turn(turn) = &entry.what {
            self.bytes += turn.weight();
        }
        self.note(Arc::unwrap_or_clone(entry));
    }
}
