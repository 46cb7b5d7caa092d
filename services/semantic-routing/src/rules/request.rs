//! What a shard can be asked, by a handler in the same process or by a peer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::routing::{
    AckRequest, AckResult, DeadLetterPage, DeadLettersRequest, InboxReply, RoutingStatistics, Said,
    Sent, SessionFilter, SessionPage, TranscriptPage, TranscriptRequest,
};
use troupe_domain::session::conversation::Opening;
use troupe_domain::session::{SessionId, SessionOutcome, Turn};
use troupe_domain::{
    AgentId, AgentMessage, Code, Fault, MessageId, Session, Timestamp, TopicPattern,
};

use super::mailbox::Wanted;
use super::pulling::Pull;
use super::record::LetterContent;
use super::sending::IngressItem;
use super::state::RoutingState;
use super::unfit::Unfitness;

/// What a shard is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the endpoints of the same names say it
pub enum RoutingRequest {
    /// A message to one agent of this shard.
    Send {
        message: Arc<AgentMessage>,
    },
    /// A message to a topic or to everybody, with agents that may have no mailbox yet.
    Spread {
        message: Arc<AgentMessage>,
        audience: Vec<AgentId>,
    },
    /// A message for an intent, to whoever was chosen; at the shard of its sender.
    Route {
        message: Arc<AgentMessage>,
    },
    /// Who was chosen for an intent before.
    ChosenBefore {
        sender: AgentId,
        id: MessageId,
    },
    /// What agents published.
    Ingest {
        items: Vec<IngressItem>,
    },
    /// What another shard tells.
    Letters {
        from: u16,
        first: u64,
        contents: Vec<LetterContent>,
    },
    Pull {
        agent: AgentId,
        max: usize,
        ack_wait_ms: Option<u64>,
        id: Option<String>,
        #[serde(default)]
        wanted: Wanted,
    },
    Ack {
        agent: AgentId,
        ack: AckRequest,
    },
    DeadLetters {
        agent: AgentId,
        request: DeadLettersRequest,
    },
    Follow {
        agent: AgentId,
        patterns: Vec<TopicPattern>,
    },
    Unfollow {
        agent: AgentId,
        patterns: Vec<TopicPattern>,
    },
    Following {
        agent: AgentId,
    },
    Pending {
        agents: Vec<AgentId>,
    },
    /// An agent should not have what it has: that goes to the next best, or back.
    TakeFrom {
        agent: AgentId,
        why: Unfitness,
    },
    SessionOpen {
        opening: Opening,
    },
    SessionJoin {
        id: SessionId,
        who: AgentId,
    },
    SessionLeave {
        id: SessionId,
        who: AgentId,
        reason: String,
    },
    SessionSay {
        id: SessionId,
        turn: Turn,
    },
    SessionClose {
        id: SessionId,
        who: AgentId,
        outcome: SessionOutcome,
        reason: String,
    },
    SessionGet {
        id: SessionId,
        who: AgentId,
    },
    SessionList {
        filter: SessionFilter,
        who: AgentId,
    },
    SessionTranscript {
        request: TranscriptRequest,
        who: AgentId,
    },
    Stats,
}

/// What a shard answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the requests of the same names say it
pub enum RoutingReply {
    Sent(Sent),
    Chosen(Option<AgentId>),
    Inbox(InboxReply),
    Acked(Vec<AckResult>),
    DeadLetters(DeadLetterPage),
    Patterns(Vec<TopicPattern>),
    Pending(Vec<u64>),
    TakeFrom(u64),
    Session(Box<Session>),
    Said(Said),
    Sessions(SessionPage),
    Transcript(TranscriptPage),
    Stats(Box<RoutingStatistics>),
    Done,
}

impl RoutingReply {
    /// The answer of another kind than was asked for: a defect.
    pub fn unexpected(&self) -> Fault {
        Fault::new(Code::Internal, format!("unexpected answer of a shard: {self:?}"))
    }
}

/// Whether a request can only read.
pub fn only_reads(request: &RoutingRequest) -> bool {
    use RoutingRequest as Q;
    matches!(
        request,
        Q::ChosenBefore { .. }
            | Q::DeadLetters { .. }
            | Q::Following { .. }
            | Q::Pending { .. }
            | Q::SessionGet { .. }
            | Q::SessionList { .. }
            | Q::SessionTranscript { .. }
            | Q::Stats
    )
}

/// Carries a request out. What it writes is drafted in the state.
pub fn execute(
    state: &mut RoutingState,
    request: RoutingRequest,
    now: Timestamp,
    jitter: f64,
) -> Result<RoutingReply, Fault> {
    use RoutingReply as A;
    use RoutingRequest as Q;
    let session = |session| A::Session(Box::new(session));
    match request {
        Q::Send { message } => state.send(message, now).map(A::Sent),
        Q::Spread { message, audience } => Ok(A::Sent(state.spread(message, audience, now))),
        Q::Route { message } => state.route(message, now).map(A::Sent),
        Q::Ingest { items } => {
            state.ingest(items, now);
            Ok(A::Done)
        }
        Q::Letters { from, first, contents } => {
            state.receive(from, first, contents, now).map(|()| A::Done)
        }
        Q::Pull { agent, max, ack_wait_ms, id, wanted } => {
            state.pull(&agent, &Pull { max, ack_wait_ms, id, wanted }, now).map(A::Inbox)
        }
        Q::Ack { agent, ack } => state.acknowledge(&agent, &ack, now, jitter).map(A::Acked),
        Q::TakeFrom { agent, why } => Ok(A::TakeFrom(state.take_from(&agent, &why, now))),
        Q::Follow { agent, patterns } => state.follow(&agent, patterns, now).map(A::Patterns),
        Q::Unfollow { agent, patterns } => Ok(A::Patterns(state.unfollow(&agent, &patterns, now))),
        Q::SessionOpen { opening } => state.open_session(opening, now).map(session),
        Q::SessionJoin { id, who } => state.join_session(&id, &who, now).map(session),
        Q::SessionLeave { id, who, reason } => {
            state.leave_session(&id, &who, &reason, now).map(session)
        }
        Q::SessionSay { id, turn } => state.say(&id, turn, now).map(A::Said),
        Q::SessionClose { id, who, outcome, reason } => {
            state.close_session(&id, &who, outcome, &reason, now).map(session)
        }
        read => answer(state, read),
    }
}

fn answer(state: &RoutingState, request: RoutingRequest) -> Result<RoutingReply, Fault> {
    use RoutingReply as A;
    use RoutingRequest as Q;
    match request {
        Q::ChosenBefore { sender, id } => Ok(A::Chosen(state.chosen_before(&sender, &id))),
        Q::DeadLetters { agent, request } => {
            state.dead_letters(&agent, &request).map(A::DeadLetters)
        }
        Q::Following { agent } => Ok(A::Patterns(state.following(&agent))),
        Q::Pending { agents } => {
            Ok(A::Pending(agents.iter().map(|agent| state.waiting_for(agent)).collect()))
        }
        Q::SessionGet { id, who } => {
            state.session(&id, &who).map(|session| A::Session(Box::new(session)))
        }
        Q::SessionList { filter, who } => state.list_sessions(&filter, &who).map(A::Sessions),
        Q::SessionTranscript { request, who } => {
            state.transcript(&request, &who).map(A::Transcript)
        }
        Q::Stats => Ok(A::Stats(Box::new(state.statistics()))),
        write => Err(A::Done.unexpected().with("request", format!("{write:?}"))),
    }
}
