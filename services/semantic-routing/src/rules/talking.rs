//! Sessions: what their participants do, and how turns reach the others' mailboxes.

use serde::Serialize;
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
    AgentId, AgentMessage, Code, Fault, MessagePriority, MessageType, Session, SessionType,
    Timestamp,
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
        check_opening(&opening, self.settings.session.max_participants)?;
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
        let open = self.sessions.len() - self.ended.len();
        if open >= self.settings.max_open_sessions {
            return Err(Fault::exhausted("max_open_sessions", self.settings.max_open_sessions));
        }
        let talk = Conversation::open(opening.clone());
        let posts = self.say_to(&opening.participants, Some(&opening.by), &word_of(&talk), now);
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
        let ends = changes.iter().any(|change| matches!(change, Change::Ended { .. }));
        let mut participants = talk.floor().participants.clone();
        let mut line = talk.transcript().len() as u64;
        let (mut posts, mut burials) = (Vec::new(), Vec::new());
        for change in &changes {
            line += u64::from(change.is_written());
            match change {
                Change::Heard(turn) => {
                    posts.extend(self.post_turn(id, turn, line, &participants, now));
                }
                Change::Released { by, count } => {
                    let turn = talk.held_turn(by, *count);
                    let sent = turn.map(|turn| self.post_turn(id, turn, line, &participants, now));
                    posts.extend(sent.into_iter().flatten());
                }
                Change::Missing(missing) => {
                    if let Some(turn) = talk.held_turn(&missing.by, missing.count) {
                        let (burial, told) = self.let_go(id, turn, missing, ends, now);
                        burials.push(burial);
                        posts.extend(told);
                    }
                }
                Change::Left { by, .. } => participants.retain(|who| who != by),
                Change::Joined { by } => participants.push(by.clone()),
                Change::Ended { by, outcome, reason, .. } => {
                    let outcome = Some(*outcome);
                    let word = SessionWord { what: "ended", outcome, reason, ..word_of(talk) };
                    posts.extend(self.say_to(&participants, by.as_ref(), &word, now));
                }
                Change::Held(_) => {}
            }
        }
        self.draft(Record::SessionChanged { at: now, id: id.clone(), changes, posts, burials });
        Ok(self.known_session(id)?.session())
    }

    /// A turn, for everybody who takes part but its speaker.
    fn post_turn(
        &self,
        id: &SessionId,
        turn: &Turn,
        number: u64,
        participants: &[AgentId],
        now: Timestamp,
    ) -> Vec<Post> {
        let message = turn_message(id, turn, Some(number), now);
        let others = participants.iter().filter(|who| **who != turn.by);
        let post = self.post_to_all(message, others.cloned());
        let mut posts = self.tell_of_refusals(&post, now);
        posts.insert(0, post);
        posts
    }

    /// A turn that will not be heard goes to its speaker's dead letters, and its speaker is told.
    fn let_go(
        &self,
        id: &SessionId,
        turn: &Turn,
        missing: &MissingTurn,
        ends: bool,
        now: Timestamp,
    ) -> (Burial, Option<Post>) {
        let reason = if ends { DeadReason::SessionEnded } else { DeadReason::HeldTooLong };
        let message = turn_message(id, turn, None, now);
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

    fn say_to(
        &self,
        participants: &[AgentId],
        but: Option<&AgentId>,
        said: &SessionWord<'_>,
        now: Timestamp,
    ) -> Vec<Post> {
        let others = participants.iter().filter(|who| Some(*who) != but);
        let about = ["session", said.what, said.session_id.as_str()];
        let posts = others.map(|to| {
            let form = Word {
                to,
                kind: MessageType::System,
                subject: said.title,
                request_id: None,
                session_id: Some(said.session_id.clone()),
                about: &about,
            };
            self.post_anywhere(word(&form, said, now), to)
        });
        posts.collect()
    }
}

/// What participants are told of a session.
#[derive(Debug, Serialize)]
struct SessionWord<'a> {
    what: &'a str,
    session_id: &'a SessionId,
    #[serde(rename = "type")]
    kind: SessionType,
    title: &'a str,
    opened_by: &'a AgentId,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<SessionOutcome>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

fn word_of(talk: &Conversation) -> SessionWord<'_> {
    let Opening { id, kind, title, by, .. } = talk.opening();
    SessionWord {
        what: "opened",
        session_id: id,
        kind: *kind,
        title,
        opened_by: by,
        outcome: None,
        reason: "",
    }
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
            route_key: None,
            alternatives: Vec::new(),
        },
        session: Some(SessionTurn {
            session_id: session_id.clone(),
            turn: number,
            class: Some(turn.class),
        }),
        trace: turn.trace.clone(),
    }
}
