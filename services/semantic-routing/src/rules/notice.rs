//! The events of mailboxes and sessions, as they are derived from what happened. None says what a
//! message or a turn says: everybody may read events.

use bytes::Bytes;
use serde::Serialize;
use troupe_contract::event::{
    MAILBOX, MailboxEvent, MailboxEventKind, SESSION, SessionEvent, SessionEventKind,
};
use troupe_contract::routing::DeadReason;
use troupe_domain::session::Conversation;
use troupe_domain::session::change::Change;
use troupe_domain::{AgentId, MessageId, MessageType, Timestamp};
use troupe_shard::Notice;

use super::record::{Burial, Post, Record};

/// How many notices a record has.
pub fn count_of(record: &Record) -> usize {
    let refused = |posts: &[Post]| posts.iter().map(|post| post.refused.len()).sum::<usize>();
    match record {
        Record::Entered { posts, .. } | Record::Forwarded { posts, .. } => refused(posts),
        Record::Refused { posts, .. } | Record::SessionOpened { posts, .. } => 1 + refused(posts),
        Record::Died { deaths, posts, .. } => deaths.len() + refused(posts),
        Record::RequestEnded { answered, posts, .. } => usize::from(!answered) + refused(posts),
        Record::SessionChanged { changes, posts, burials, .. } => {
            let told = changes.iter().filter(|change| kind_of(change).is_some()).count();
            told + burials.len() + refused(posts)
        }
        _ => 0,
    }
}

fn kind_of(change: &Change) -> Option<SessionEventKind> {
    match change {
        Change::Joined { .. } => Some(SessionEventKind::SessionJoined),
        Change::Left { .. } => Some(SessionEventKind::SessionLeft),
        Change::Ended { .. } => Some(SessionEventKind::SessionClosed),
        _ => None,
    }
}

fn body(data: &impl Serialize) -> Bytes {
    serde_json::to_vec(data).map_or_else(
        |why| {
            tracing::error!(%why, "an event cannot be written");
            Bytes::new()
        },
        Bytes::from,
    )
}

/// A message went to the dead letters.
pub fn buried(burial: &Burial, at: Timestamp) -> Notice {
    let event = match burial.reason {
        DeadReason::Expired => MailboxEventKind::MessageExpired,
        _ => MailboxEventKind::MessageDead,
    };
    let message = burial.message.as_deref();
    let data = MailboxEvent {
        event,
        agent_id: burial.agent.clone(),
        at,
        message_id: message.map(|message| message.id.clone()),
        kind: message.map(|message| message.kind),
        sender_id: burial.sender.clone(),
        request_id: message.and_then(|message| message.request_id.clone()),
        reason: Some(burial.reason),
        delivery_attempts: burial.attempts,
    };
    Notice {
        entity: MAILBOX,
        id: burial.agent.clone(),
        event: event.token(),
        at,
        trace: message.and_then(|message| message.trace.clone()),
        body: body(&data),
        told: None,
    }
}

/// A request of `agent` got no response in time.
pub fn request_expired(agent: &AgentId, id: &MessageId, at: Timestamp) -> Notice {
    let event = MailboxEventKind::RequestExpired;
    let data = MailboxEvent {
        event,
        agent_id: agent.clone(),
        at,
        message_id: None,
        kind: Some(MessageType::Request),
        sender_id: agent.clone(),
        request_id: Some(id.clone()),
        reason: None,
        delivery_attempts: 0,
    };
    let (entity, id, event) = (MAILBOX, agent.clone(), event.token());
    Notice { entity, id, event, at, trace: None, body: body(&data), told: None }
}

/// A session was opened.
pub fn opened(talk: &Conversation, at: Timestamp) -> Notice {
    let by = talk.session().opened_by;
    of_session(talk, SessionEventKind::SessionOpened, Some(by), at)
}

/// What happened in a session, if it is an event; `talk` is as it is afterwards.
pub fn session(talk: &Conversation, change: &Change, at: Timestamp) -> Option<Notice> {
    let by = match change {
        Change::Joined { by } | Change::Left { by, .. } => Some(by.clone()),
        Change::Ended { by, .. } => by.clone(),
        _ => None,
    };
    Some(of_session(talk, kind_of(change)?, by, at))
}

fn of_session(
    talk: &Conversation,
    event: SessionEventKind,
    by: Option<AgentId>,
    at: Timestamp,
) -> Notice {
    let session = talk.session();
    let data = SessionEvent {
        event,
        session_id: session.id.clone(),
        kind: session.kind,
        status: session.status,
        at,
        by,
        participants: session.participants,
        turns: session.turns,
        outcome: session.end.map(|end| end.outcome),
    };
    let (entity, id) = (SESSION, session.id);
    Notice { entity, id, event: event.token(), at, trace: None, body: body(&data), told: None }
}
