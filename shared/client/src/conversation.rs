//! A session, as one of its participants sees it.
//!
//! It keeps the vector clock: what this participant has seen, and how often it spoke. A turn that is
//! said carries it, so that whoever hears the turn has heard before what it answers.

use troupe_contract::routing::{
    Said, SayRequest, SayStatus, SessionClose, SessionCloseRequest, SessionGet, SessionJoin,
    SessionLeave, SessionLeaveRequest, SessionOpen, SessionRef, SessionReply, SessionSay,
    SessionSpec, SessionTranscript, TranscriptPage, TranscriptRequest,
};
use troupe_domain::session::{SessionId, SessionOutcome, TranscriptEvent};
use troupe_domain::{AgentMessage, Fault, Json, MessageClass, Session, VectorClock};

use crate::{Patience, Troupe, insist};

/// A participant's part in a session.
#[derive(Debug)]
pub struct Conversation {
    troupe: Troupe,
    session: Session,
    clock: VectorClock,
    /// The outcome of a turn is unknown: the service must be asked how often we spoke.
    is_unsure: bool,
}

impl Conversation {
    /// Opens a session, in which the caller takes part.
    pub async fn open(troupe: &Troupe, mut session: SessionSpec) -> Result<Self, Fault> {
        // Opening twice under one id opens once.
        if session.id.is_none() {
            session.id = Some(troupe.message_id()?);
        }
        let reply = insist::<SessionOpen>(troupe, &session, None, Patience::default()).await?;
        Ok(Self::begin(troupe, reply))
    }

    /// Joins a session.
    pub async fn join(troupe: &Troupe, session_id: SessionId) -> Result<Self, Fault> {
        let request = SessionRef { session_id };
        let reply = insist::<SessionJoin>(troupe, &request, None, Patience::default()).await?;
        Ok(Self::begin(troupe, reply))
    }

    /// Goes on with a session in which the caller takes part already, as if it had seen all that is
    /// in its transcript now.
    pub async fn resume(troupe: &Troupe, session_id: SessionId) -> Result<Self, Fault> {
        let request = SessionRef { session_id };
        let reply = insist::<SessionGet>(troupe, &request, None, Patience::default()).await?;
        Ok(Self::begin(troupe, reply))
    }

    fn begin(troupe: &Troupe, reply: SessionReply) -> Self {
        let clock = reply.session.clock.clone();
        Self { troupe: troupe.clone(), session: reply.session, clock, is_unsure: false }
    }

    /// The session, as it was when it was last asked for.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What this participant has seen.
    pub fn clock(&self) -> &VectorClock {
        &self.clock
    }

    /// Asks for the session as it is now. What others said meanwhile does not count as seen.
    pub async fn refresh(&mut self) -> Result<&Session, Fault> {
        let request = SessionRef { session_id: self.session.id.clone() };
        let patience = Patience::default();
        let reply = insist::<SessionGet>(&self.troupe, &request, None, patience).await?;
        self.session = reply.session;
        let me = self.troupe.name();
        self.clock.raise(me, self.session.clock.get(me))?;
        self.is_unsure = false;
        Ok(&self.session)
    }

    /// Takes note of a message from the mailbox: its turn counts as seen from now on. False if it is
    /// no part of this session.
    pub fn hear(&mut self, message: &AgentMessage) -> Result<bool, Fault> {
        let Some(turn) = &message.session else { return Ok(false) };
        if turn.session_id != self.session.id {
            return Ok(false);
        }
        if let Some(clock) = &message.vector_clock {
            self.clock = self.clock.merge(clock)?;
        }
        Ok(true)
    }

    /// Takes a turn, after all that was heard.
    pub async fn say(
        &mut self,
        class: MessageClass,
        subject: &str,
        body: Option<Json>,
    ) -> Result<Said, Fault> {
        if self.is_unsure {
            self.refresh().await?;
        }
        let mut clock = self.clock.clone();
        clock.increment(self.troupe.name())?;
        let request = SayRequest {
            session_id: self.session.id.clone(),
            turn_id: Some(self.troupe.message_id()?),
            class,
            subject: subject.to_owned(),
            body,
            vector_clock: Some(clock.clone()),
        };
        let said = insist::<SessionSay>(&self.troupe, &request, None, Patience::default()).await;
        match &said {
            // A turn that was let go of counts as well: its place is declared missing.
            Ok(Said {
                status: SayStatus::Heard | SayStatus::Held | SayStatus::Missing, ..
            }) => {
                self.clock = clock;
            }
            Err(fault) => self.is_unsure = fault.code.is_transient(),
        }
        said
    }

    /// Reads the transcript after a line; all that is read counts as seen.
    pub async fn transcript(
        &mut self,
        after: Option<u64>,
        limit: Option<usize>,
    ) -> Result<TranscriptPage, Fault> {
        let session_id = self.session.id.clone();
        let request = TranscriptRequest { session_id, limit, after };
        let patience = Patience::default();
        let page = insist::<SessionTranscript>(&self.troupe, &request, None, patience).await?;
        for entry in &page.entries {
            if let TranscriptEvent::Turn(turn) = &entry.what {
                self.clock = self.clock.merge(&turn.clock)?;
            }
        }
        Ok(page)
    }

    /// Leaves; the others go on.
    pub async fn leave(self, reason: &str) -> Result<Session, Fault> {
        let request =
            SessionLeaveRequest { session_id: self.session.id, reason: reason.to_owned() };
        let patience = Patience::default();
        let reply = insist::<SessionLeave>(&self.troupe, &request, None, patience).await?;
        Ok(reply.session)
    }

    /// Ends the session for everybody.
    pub async fn close(self, outcome: SessionOutcome, reason: &str) -> Result<Session, Fault> {
        let session_id = self.session.id;
        let request = SessionCloseRequest { session_id, outcome, reason: reason.to_owned() };
        let patience = Patience::default();
        let reply = insist::<SessionClose>(&self.troupe, &request, None, patience).await?;
        Ok(reply.session)
    }
}
