//! The subcommands of `troupe message` that say something.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use troupe_client::{Patience, Troupe};
use troupe_contract::routing::Sent;
use troupe_domain::message::MessageSpec;
use troupe_domain::{AgentId, AgentMessage, Json, MessageId, MessagePriority, MessageType};

use super::message_address::Address;
use super::route_resolve;
use crate::args::Global;
use crate::exit::FAULT;
use crate::{document, output};

/// What is said, and how.
#[derive(Debug, Args)]
pub(crate) struct Content {
    /// What is said: JSON, or a text; `-` reads standard input.
    body: Option<String>,
    /// One line.
    #[arg(long, default_value = "")]
    subject: String,
    /// How urgent: critical, high, normal, low.
    #[arg(long, default_value = "normal", value_parser = output::from_word::<MessagePriority>)]
    priority: MessagePriority,
    /// The message's id: sending twice under one id delivers once [default: a new one].
    #[arg(long)]
    id: Option<MessageId>,
    /// How long it counts [default: an hour].
    #[arg(long, value_name = "MS")]
    expires_in_ms: Option<u64>,
    /// Facts of the sender's own: a JSON object.
    #[arg(long, value_name = "JSON", value_parser = json)]
    metadata: Option<Json>,
}

fn json(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|why| why.to_string())
}

impl Content {
    fn message(self) -> Result<MessageSpec> {
        let Self { body, subject, priority, id, expires_in_ms, metadata } = self;
        let body = body.as_deref().map(document::body).transpose()?;
        let more = MessageSpec::default();
        Ok(MessageSpec { id, subject, body, metadata, priority, expires_in_ms, ..more })
    }
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    content: Content,
    /// The type, where it is another than the address says: request, progress or error. A response
    /// to what is sent as a request comes to the mailbox.
    #[arg(long = "type", value_parser = output::from_word::<MessageType>)]
    kind: Option<MessageType>,
    /// It is done when it is handed out: nobody must acknowledge it.
    #[arg(long)]
    no_ack: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    content: Content,
    /// How long to wait for the response.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    within_ms: u64,
    /// Print every response that comes in that time, one a line; for topics and broadcasts.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RespondArgs {
    /// The request's id.
    request_id: MessageId,
    /// Who asked.
    #[arg(long, value_name = "AGENT")]
    to: AgentId,
    #[command(flatten)]
    content: Content,
}

pub(crate) async fn send(global: &Global, args: SendArgs) -> Result<ExitCode> {
    let message = MessageSpec {
        kind: args.kind,
        requires_ack: args.no_ack.then_some(false),
        ..args.content.message()?
    };
    let troupe = global.connect().await?;
    report(global, &deliver(global, &troupe, args.address.onto(message)?).await?)
}

pub(crate) async fn respond(global: &Global, args: RespondArgs) -> Result<ExitCode> {
    let message = MessageSpec {
        kind: Some(MessageType::Response),
        recipient_id: Some(args.to),
        request_id: Some(args.request_id),
        ..args.content.message()?
    };
    let troupe = global.connect().await?;
    report(global, &deliver(global, &troupe, message).await?)
}

async fn deliver(global: &Global, troupe: &Troupe, message: MessageSpec) -> Result<Sent> {
    let patience = Patience { total: global.timeout(), attempt: global.timeout() };
    Ok(troupe.send_with(message, patience).await?)
}

fn report(global: &Global, sent: &Sent) -> Result<ExitCode> {
    if global.json {
        output::json(sent)?;
        return Ok(ExitCode::SUCCESS);
    }
    let to = sent.recipient_id.as_ref().map_or_else(String::new, |to| format!(" for {to}"));
    let again = if sent.duplicate { " (it came before)" } else { "" };
    let status = output::word(&sent.status);
    output::line(&format!("{} {status}{to}{again}", sent.message_id))?;
    if let Some(resolution) = &sent.resolution {
        output::line(&route_resolve::headline(resolution))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Without a response the exit code is 1, and the error says why there is none.
pub(crate) async fn request(global: &Global, args: RequestArgs) -> Result<ExitCode> {
    let message = MessageSpec { timeout_ms: Some(args.within_ms), ..args.content.message()? };
    let message = args.address.onto(message)?;
    let troupe = global.connect().await?;
    if !args.all {
        answer(global, &*troupe.request(message).await?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut responses = troupe.request_all(message).await?;
    let mut answers = 0;
    while let Some(response) = responses.next().await? {
        answers += 1;
        output::json_line(&*response)?;
    }
    Ok(if answers > 0 { ExitCode::SUCCESS } else { ExitCode::from(FAULT) })
}

/// For people, and for pipes: what was said and nothing else.
fn answer(global: &Global, response: &AgentMessage) -> Result<()> {
    if global.json {
        return output::json(response);
    }
    let Some(body) = &response.body else { return Ok(()) };
    match body.parse::<String>() {
        Ok(text) => Ok(output::line(&text)?),
        Err(_) => Ok(output::line(body.get())?),
    }
}
