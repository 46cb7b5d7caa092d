//! Sessions: what their participants do, and how turns reach the others' mailboxes.

use troupe_contract::routing::{DeadReason, Said, SayStatus};
use troupe_domain::limits::{
    MAX_CLOCK_ENTRIES, MAX_SESSION_IDLE_MS, MAX_TEXT_BYTES, MAX_TITLE_CHARS, MIN_SESSION_IDLE_MS,
};
use troupe_domain::message::spec::check_content;
use troupe_domain::message::{DEFAULT_EXPIRY_MS, Routing, SessionTurn};
use troupe_domain::session::change::Change;
use troupe_domain::session::conversation::{Opening, TurnPlace};
use troupe_domain::session::{Conversation, MissingTurn, SessionId, SessionOutcome, Turn};
use troupe_domain::task::spec::check_text;
use troupe_domain::{
    AgentId, AgentMessage, Code, Fault, MessagePriority, MessageType, Session, Timestamp,
};

use super::posting::{Word, word};
use super::record::{Burial, Post, Record};
use super::state::RoutingState;

/// Checks how a session is to begin.
fn check_opening(opening: &Opening, max_participants: usize) -> Result<(), Fault> {
    if opening.title.chars().count() > MAX_TITLE_CHARS {
        return Err(Fault::exhausted("MAX_TITLE_CHARS", MAX_TITLE_CHARS).with("field", "title"));
    }
    if opening.title.chars().any(char::is_control) {
        return Err(Fault::invalid("title", "must not have control characters"));
    }
    if !(MIN_SESSION_IDLE_MS..=MAX_SESSION_IDLE_MS).contains(&opening.idle_ms) {
        let why = format!("must be within {MIN_SESSION_IDLE_MS} and {MAX_SESSION_IDLE_MS}");
        return Err(Fault::invalid("idle_ms", why));
    }
    let participants = &opening.participants;
    let limits = [("max_participants", max_participants), ("MAX_CLOCK_ENTRIES", MAX_CLOCK_ENTRIES)];
    if let Some((name, allowed)) = limits.into_iter().find(|(_, max)| participants.len() > *max) {
        return Err(Fault::exhausted(name, allowed).with("field", "participants"));
    }
    let twice = participants.iter().enumerate().find(|(i, who)| participants[..*i].contains(who));
    match twice {
        Some((_, who)) => Err(Fault::invalid("participants", format!("{who} is there twice"))),
        None => Ok(()),
    }
}

impl RoutingState {
    /// Opens a session. Opening the same one twice opens it once.
    pub fn open_session(&mut self, opening: Opening, now: Timestamp) -> Result<Session, Fault> {
        if let Some(talk) = self.sessions.get(&opening.id) {
            let session = talk.session();
            let same = session.opened_by == opening.by && session.kind == opening.kind;
            return if same {
                Ok(session)
            } else {
                let why = format!("there is another session with the id {}", opening.id);
                Err(Fault::new(Code::AlreadyExists, why))
            };
        }
        check_opening(&opening, self.settings.session.max_participants)?;
        let open = self.sessions.len() - self.ended.len();
        if open >= self.settings.max_open_sessions {
            return Err(Fault::exhausted("max_open_sessions", self.settings.max_open_sessions));
        }
        let talk = Conversation::open(opening.clone());
        let subject = "you take part in a session";
        let posts = self.say_to_others(&talk, Some(&opening.by), subject, "opened", now);
        let id = opening.id.clone();
        self.draft(Record::SessionOpened { at: now, opening, posts });
        Ok(self.known_session(&id)?.session())
    }

    /// An agent joins a session.
    pub fn join_session(
        &mut self,
        id: &SessionId,
        who: &AgentId,
        now: Timestamp,
    ) -> Result<Session, Fault> {
        let changes = self.known_session(id)?.join(who, &self.settings.session)?;
        self.carry_on(id, changes, now)
    }

    /// An agent leaves a session.
    pub fn leave_session(
        &mut self,
        id: &SessionId,
        who: &AgentId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Session, Fault> {
        check_text("reason", reason, MAX_TEXT_BYTES)?;
        let changes = self.known_session(id)?.leave(who, reason)?;
        self.carry_on(id, changes, now)
    }

    /// An agent ends a session.
    pub fn close_session(
        &mut self,
        id: &SessionId,
        who: &AgentId,
        outcome: SessionOutcome,
        reason: &str,
        now: Timestamp,
    ) -> Result<Session, Fault> {
        check_text("reason", reason, MAX_TEXT_BYTES)?;
        let changes = self.known_session(id)?.close(who, outcome, reason)?;
        self.carry_on(id, changes, now)
    }

    /// An agent takes a turn.
    pub fn say(&mut self, id: &SessionId, turn: Turn, now: Timestamp) -> Result<Said, Fault> {
        check_content(&turn.subject, turn.body.as_ref(), None)?;
        let talk = self.known_session(id)?;
        let (by, turn_id) = (turn.by.clone(), turn.id.clone());
        let duplicate = talk.place(&by, &turn_id).is_some();
        let room = self.settings.max_session_bytes.saturating_sub(self.open_session_bytes);
        if !duplicate && turn.weight() > room {
            return Err(Fault::exhausted("max_session_bytes", self.settings.max_session_bytes));
        }
        let changes = talk.say(turn, &self.settings.session)?;
        self.carry_on(id, changes, now)?;
        let talk = self.known_session(id)?;
        let (status, number) = match talk.place(&by, &turn_id) {
            Some(TurnPlace::Heard(number)) => (SayStatus::Heard, Some(number)),
            Some(TurnPlace::Held) => (SayStatus::Held, None),
            Some(TurnPlace::Missing) | None => (SayStatus::Missing, None),
        };
        Ok(Said { turn_id, status, number, duplicate, clock: talk.floor().clock.clone() })
    }

    /// Drafts changes of a session with what they send.
    pub(super) fn carry_on(
        &mut self,
        id: &SessionId,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<Session, Fault> {
        let talk = self.known_session(id)?;
        if changes.is_empty() {
            return Ok(talk.session());
        }
        let mut after = talk.clone();
        let ends = changes.iter().any(|change| matches!(change, Change::Ended { .. }));
        let (mut posts, mut burials) = (Vec::new(), Vec::new());
        for change in &changes {
            let held = match change {
                Change::Missing(missing) => held_turn(&after, missing),
                _ => None,
            };
            after.apply(change, now);
            match change {
                Change::Heard(_) | Change::Released { .. } => {
                    posts.extend(self.last_turn(&after, now));
                }
                Change::Missing(missing) => {
                    if let Some(turn) = held {
                        let told = self.let_go(&after, &turn, missing, ends, now);
                        burials.push(told.0);
                        posts.extend(told.1);
                    }
                }
                Change::Ended { by, .. } => {
                    let subject = "a session has ended";
                    posts.extend(self.say_to_others(&after, by.as_ref(), subject, "ended", now));
                }
                Change::Joined { .. } | Change::Left { .. } | Change::Held(_) => {}
            }
        }
        let session = after.session();
        let id = id.clone();
        self.draft(Record::SessionChanged { at: now, id, changes, posts, burials });
        Ok(session)
    }

    /// The last turn of a transcript, for everybody who takes part but its speaker.
    fn last_turn(&self, talk: &Conversation, now: Timestamp) -> Vec<Post> {
        let Some(entry) = talk.transcript().last() else { return Vec::new() };
        let troupe_domain::session::TranscriptEvent::Turn(turn) = &entry.what else {
            return Vec::new();
        };
        let message = turn_message(talk.id(), turn, Some(entry.number), now);
        let others = talk.floor().participants.iter().filter(|who| **who != turn.by);
        let post = self.post_to_all(message, others.cloned());
        let mut posts = self.tell_of_refusals(&post, now);
        posts.insert(0, post);
        posts
    }

    /// A turn that will not be heard goes to its speaker's dead letters, and its speaker is told.
    fn let_go(
        &self,
        talk: &Conversation,
        turn: &Turn,
        missing: &MissingTurn,
        ends: bool,
        now: Timestamp,
    ) -> (Burial, Option<Post>) {
        let reason = if ends { DeadReason::SessionEnded } else { DeadReason::HeldTooLong };
        let message = turn_message(talk.id(), turn, None, now);
        let told = self.tell_sender(&message, None, reason, &missing.reason, now);
        let burial = Burial {
            agent: turn.by.clone(),
            reason,
            why: missing.reason.clone(),
            attempts: 0,
            sender: turn.by.clone(),
            message: Some(message.into()),
            raw: None,
        };
        (burial, told)
    }

    fn say_to_others(
        &self,
        talk: &Conversation,
        but: Option<&AgentId>,
        subject: &str,
        what: &str,
        now: Timestamp,
    ) -> Vec<Post> {
        let session = talk.session();
        let others = session.participants.iter().filter(|who| Some(*who) != but);
        let posts = others.map(|to| {
            let about = ["session", what, session.id.as_str()];
            let form = Word {
                to,
                kind: MessageType::System,
                subject,
                request_id: None,
                session_id: Some(session.id.clone()),
                about: &about,
            };
            self.post_anywhere(word(&form, &session, now), to)
        });
        posts.collect()
    }
}

fn held_turn(talk: &Conversation, missing: &MissingTurn) -> Option<Turn> {
    let mut held = talk.held().map(|held| &held.turn);
    held.find(|turn| turn.by == missing.by && turn.count() == missing.count).cloned()
}

/// A turn as a message.
fn turn_message(
    session_id: &SessionId,
    turn: &Turn,
    number: Option<u64>,
    now: Timestamp,
) -> AgentMessage {
    AgentMessage {
        id: turn.id.clone(),
        kind: MessageType::Direct,
        priority: MessagePriority::Normal,
        sender_id: turn.by.clone(),
        recipient_id: None,
        topic: None,
        request_id: None,
        subject: turn.subject.clone(),
        body: turn.body.clone(),
        metadata: None,
        created_at: now,
        expires_at: now.plus_millis(DEFAULT_EXPIRY_MS),
        respond_by: None,
        requires_ack: true,
        vector_clock: Some(turn.clock.clone()),
        routing: Routing {
            origin: turn.by.clone(),
            destination: None,
            path: Vec::new(),
            hops: 0,
            max_hops: troupe_domain::limits::MAX_HOPS,
        },
        session: Some(SessionTurn {
            session_id: session_id.clone(),
            turn: number,
            class: Some(turn.class),
        }),
        trace: turn.trace.clone(),
    }
}
