//! `troupe session`: talk in turns.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use troupe_client::{Patience, insist};
use troupe_contract::Endpoint;
use troupe_contract::routing::{
    SayRequest, SessionClose, SessionCloseRequest, SessionFilter, SessionGet, SessionJoin,
    SessionLeave, SessionLeaveRequest, SessionList, SessionOpen, SessionRef, SessionSay,
    SessionSpec, SessionTranscript, TranscriptPage, TranscriptRequest,
};
use troupe_domain::session::{
    SessionId, SessionOutcome, SessionStatus, TranscriptEntry, TranscriptEvent, TurnOrder,
};
use troupe_domain::{AgentId, MessageClass, MessageId, Session, SessionType};

use super::message::ask;
use crate::args::Global;
use crate::document;
use crate::output::{self, from_word, or_dash, short, word};

/// Characters of a title in a table.
const TITLE_CHARS: usize = 40;
/// Characters of a turn in a table.
const TURN_CHARS: usize = 64;

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Open a session, and take part in it.
    Open(OpenArgs),
    /// Join a session.
    Join {
        /// The session.
        id: SessionId,
    },
    /// Take a turn.
    Say(SayArgs),
    /// Leave; the others go on.
    Leave {
        /// The session.
        id: SessionId,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// End a session.
    Close {
        /// The session.
        id: SessionId,
        /// How it ended: completed, agreed, no_agreement, failed, cancelled.
        #[arg(long, default_value = "completed", value_parser = from_word::<SessionOutcome>)]
        outcome: SessionOutcome,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Show one session.
    Get {
        /// The session.
        id: SessionId,
    },
    /// List sessions.
    List(ListArgs),
    /// Read what was said, in order.
    Transcript {
        /// The session.
        id: SessionId,
        /// At most so many lines.
        #[arg(long)]
        limit: Option<usize>,
        /// Only lines after this number.
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// What it is for, such as planning or negotiation.
    #[arg(long = "type", value_parser = from_word::<SessionType>)]
    kind: SessionType,
    /// One line.
    #[arg(long, default_value = "")]
    title: String,
    /// Who else takes part from the beginning; can be repeated.
    #[arg(long = "with", value_name = "AGENT")]
    participants: Vec<AgentId>,
    /// Anybody may join and read.
    #[arg(long)]
    anyone_may_join: bool,
    /// One after the other, in the order in which they joined.
    #[arg(long)]
    round_robin: bool,
    /// It ends by itself after so long a silence [default: 30 minutes].
    #[arg(long, value_name = "MS")]
    idle_ms: Option<u64>,
    /// The session's id: opening twice under one id opens once [default: a new one].
    #[arg(long)]
    id: Option<SessionId>,
}

#[derive(Debug, Args)]
pub(crate) struct SayArgs {
    /// The session.
    id: SessionId,
    /// What is said: JSON, or a text; `-` reads standard input.
    body: String,
    /// What it is about, such as reasoning or consensus.
    #[arg(long, default_value = "coordination", value_parser = from_word::<MessageClass>)]
    class: MessageClass,
    /// One line.
    #[arg(long, default_value = "")]
    subject: String,
    /// The turn's id: saying twice under one id says once [default: a new one].
    #[arg(long, value_name = "ID")]
    turn_id: Option<MessageId>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// In this status: open, closed, expired; can be repeated.
    #[arg(long = "status", value_parser = from_word::<SessionStatus>)]
    statuses: Vec<SessionStatus>,
    /// For this; can be repeated.
    #[arg(long = "type", value_parser = from_word::<SessionType>)]
    types: Vec<SessionType>,
    /// In which this agent takes part, or did.
    #[arg(long, value_name = "ID")]
    participant: Option<AgentId>,
    /// At most so many.
    #[arg(long)]
    limit: Option<usize>,
    /// Only ids after this one.
    #[arg(long, value_name = "ID")]
    after: Option<SessionId>,
}

pub(crate) async fn run(global: &Global, command: SessionCommand) -> Result<ExitCode> {
    match command {
        SessionCommand::Open(args) => open(global, args).await?,
        SessionCommand::Join { id: session_id } => {
            let request = SessionRef { session_id };
            output::json(&ask::<SessionJoin>(global, &request).await?.session)?;
        }
        SessionCommand::Say(args) => say(global, args).await?,
        SessionCommand::Leave { id: session_id, reason } => {
            let request = SessionLeaveRequest { session_id, reason };
            output::json(&ask::<SessionLeave>(global, &request).await?.session)?;
        }
        SessionCommand::Close { id: session_id, outcome, reason } => {
            let request = SessionCloseRequest { session_id, outcome, reason };
            output::json(&ask::<SessionClose>(global, &request).await?.session)?;
        }
        SessionCommand::Get { id: session_id } => {
            let request = SessionRef { session_id };
            output::json(&ask::<SessionGet>(global, &request).await?.session)?;
        }
        SessionCommand::List(args) => list(global, args).await?,
        SessionCommand::Transcript { id: session_id, limit, after } => {
            let request = TranscriptRequest { session_id, limit, after };
            transcript(global, &ask::<SessionTranscript>(global, &request).await?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What has an id of its own may be sent again while the outcome is unknown.
async fn settle<E: Endpoint>(global: &Global, request: &E::Request) -> Result<E::Reply> {
    let troupe = global.connect().await?;
    let patience = Patience { total: global.timeout(), attempt: global.timeout() };
    Ok(insist::<E>(&troupe, request, None, patience).await?)
}

fn new_id() -> Result<MessageId> {
    use troupe_bus::port::{System, World};
    Ok(MessageId::parse(&System.ulid().to_string())?)
}

async fn open(global: &Global, args: OpenArgs) -> Result<()> {
    let request = SessionSpec {
        id: Some(args.id.map_or_else(new_id, Ok)?),
        kind: args.kind,
        title: args.title,
        participants: args.participants,
        anyone_may_join: args.anyone_may_join,
        turn_order: if args.round_robin { TurnOrder::RoundRobin } else { TurnOrder::Free },
        idle_ms: args.idle_ms,
    };
    let session = settle::<SessionOpen>(global, &request).await?.session;
    if global.json { output::json(&session) } else { Ok(output::line(session.id.as_str())?) }
}

/// Without a clock the turn comes after everything in the transcript.
async fn say(global: &Global, args: SayArgs) -> Result<()> {
    let request = SayRequest {
        session_id: args.id,
        turn_id: Some(args.turn_id.map_or_else(new_id, Ok)?),
        class: args.class,
        subject: args.subject,
        body: Some(document::body(&args.body)?),
        vector_clock: None,
    };
    let said = settle::<SessionSay>(global, &request).await?;
    if global.json {
        return output::json(&said);
    }
    let place = said.number.map_or_else(String::new, |number| format!(" as line {number}"));
    Ok(output::line(&format!("{} {}{place}", said.turn_id, word(&said.status)))?)
}

async fn list(global: &Global, args: ListArgs) -> Result<()> {
    let filter = SessionFilter {
        statuses: args.statuses,
        types: args.types,
        participant_id: args.participant,
        limit: args.limit,
        after: args.after,
    };
    let page = ask::<SessionList>(global, &filter).await?;
    if global.json {
        return output::json(&page);
    }
    let header = ["id", "type", "status", "turns", "held", "next speaker", "participants", "title"];
    output::line(&output::table(&header, page.sessions.iter().map(row).collect()))?;
    if let Some(after) = &page.next_after {
        eprintln!("there are more: --after {after}");
    }
    Ok(())
}

fn row(session: &Session) -> Vec<String> {
    let participants: Vec<_> = session.participants.iter().map(AgentId::as_str).collect();
    vec![
        session.id.to_string(),
        word(&session.kind),
        word(&session.status),
        session.turns.to_string(),
        session.held_turns.to_string(),
        or_dash(session.next_speaker.as_ref()),
        participants.join(","),
        short(&session.title, TITLE_CHARS),
    ]
}

fn transcript(global: &Global, page: &TranscriptPage) -> Result<()> {
    if global.json {
        return output::json(page);
    }
    let rows = page.entries.iter().map(|entry| line(entry)).collect();
    output::line(&output::table(&["line", "at", "who", "what", ""], rows))?;
    if let Some(after) = page.next_after {
        eprintln!("{} in all; there are more: --after {after}", page.total);
    }
    Ok(())
}

fn line(entry: &TranscriptEntry) -> Vec<String> {
    let (who, what, text) = match &entry.what {
        TranscriptEvent::Turn(turn) => {
            let body = turn.body.as_ref().map_or("", |body| body.get());
            let gap = if turn.subject.is_empty() || body.is_empty() { "" } else { ": " };
            (&turn.by, word(&turn.class), format!("{}{gap}{body}", turn.subject))
        }
        TranscriptEvent::Joined { by } => (by, "joined".to_owned(), String::new()),
        TranscriptEvent::Left { by, reason } => (by, "left".to_owned(), reason.clone()),
        TranscriptEvent::Missing(missing) => {
            let text = format!("turn {}: {}", missing.count, missing.reason);
            (&missing.by, "missing".to_owned(), text)
        }
    };
    vec![
        entry.number.to_string(),
        entry.at.to_string(),
        who.to_string(),
        what,
        short(&text, TURN_CHARS),
    ]
}
