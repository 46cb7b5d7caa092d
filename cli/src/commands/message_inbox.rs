//! The subcommands of `troupe message` that read a mailbox.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use troupe_client::{CallOptions, Troupe};
use troupe_contract::routing::{
    Ack, AckEffect, AckOutcome, AckReply, AckRequest, DeadLetters, DeadLettersRequest, DeadReason,
    DeliveredMessage, DeliveryRef, Inbox, InboxReply, InboxRequest,
};
use troupe_domain::limits::MAX_WAIT_MS;
use troupe_domain::{AgentId, MessageId};
use troupe_runtime::Signals;

use super::message::ask;
use crate::args::Global;
use crate::exit::{FAULT, Usage};
use crate::output::{self, from_word, or_dash, short, word};

/// Characters of what is said in a table.
const BODY_CHARS: usize = 48;
/// How long one poll of `--follow` waits.
const FOLLOW_WAIT_MS: u64 = 10_000;

#[derive(Debug, Args)]
pub(crate) struct InboxArgs {
    /// How long to wait for a message; 0 only looks.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=MAX_WAIT_MS))]
    wait_ms: u64,
    /// At most so many.
    #[arg(long, value_name = "N")]
    max: Option<usize>,
    /// How long the messages stay out before they are delivered again [default: the service's
    /// setting].
    #[arg(long, value_name = "MS")]
    ack_wait_ms: Option<u64>,
    /// Acknowledge what was printed.
    #[arg(long)]
    ack: bool,
    /// Go on until it is interrupted, one line of JSON a message.
    #[arg(long)]
    follow: bool,
    /// Only what is said to this request.
    #[arg(long, value_name = "ID")]
    request: Option<MessageId>,
}

#[derive(Debug, Args)]
pub(crate) struct AckArgs {
    /// Messages, with the number of the delivery, such as 01J…:1.
    #[arg(required = true, value_name = "ID:ATTEMPT", value_parser = delivery)]
    messages: Vec<DeliveryRef>,
    /// What became of them: acknowledged, read, retry, rejected, forwarded.
    #[arg(long, default_value = "acknowledged", value_parser = from_word::<AckOutcome>)]
    outcome: AckOutcome,
    /// Why; a rejection must say it.
    #[arg(long, default_value = "")]
    reason: String,
    /// To whom they are handed on.
    #[arg(long, value_name = "AGENT")]
    forward_to: Option<AgentId>,
    /// Whose they are; needed only where two senders used one id.
    #[arg(long, value_name = "AGENT")]
    sender: Option<AgentId>,
}

#[derive(Debug, Args)]
pub(crate) struct DeadArgs {
    /// Only for this reason, such as max_deliver; can be repeated.
    #[arg(long = "reason", value_parser = from_word::<DeadReason>)]
    reasons: Vec<DeadReason>,
    /// At most so many.
    #[arg(long)]
    limit: Option<usize>,
    /// Only those after this number.
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
}

fn delivery(text: &str) -> Result<DeliveryRef, String> {
    let (id, attempt) = text.rsplit_once(':').ok_or("must be ID:ATTEMPT, as `inbox` shows it")?;
    let message_id = MessageId::parse(id).map_err(|why| why.to_string())?;
    let attempt = attempt.parse().map_err(|_| format!("{attempt} is no number of a delivery"))?;
    Ok(DeliveryRef { message_id, sender_id: None, attempt })
}

pub(crate) async fn inbox(global: &Global, args: InboxArgs) -> Result<ExitCode> {
    let troupe = global.connect().await?;
    if args.follow {
        return follow(global, &troupe, &args).await;
    }
    let reply = poll(global, &troupe, &args, args.wait_ms).await?;
    if global.json {
        output::json(&reply)?;
    } else {
        let header = ["message", "from", "type", "priority", "subject", "body", "ack by"];
        let rows = reply.messages.iter().map(row).collect();
        output::line(&output::table(&header, rows))?;
        let left = reply.remaining.saturating_sub(reply.messages.len() as u64);
        if left > 0 {
            eprintln!("{left} more in the mailbox");
        }
    }
    if args.ack {
        done(global, &troupe, &reply.messages).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn poll(
    global: &Global,
    troupe: &Troupe,
    args: &InboxArgs,
    wait_ms: u64,
) -> Result<InboxReply> {
    let request = InboxRequest {
        wait_ms,
        max_messages: args.max,
        ack_wait_ms: args.ack_wait_ms,
        request_id: args.request.clone(),
        ..InboxRequest::default()
    };
    let timeout = Duration::from_millis(wait_ms) + global.timeout();
    let command_id = Some(troupe.message_id()?.to_string());
    let options = CallOptions { command_id, ..CallOptions::within(timeout) };
    Ok(troupe.call_with::<Inbox>(&request, &options).await?)
}

async fn follow(global: &Global, troupe: &Troupe, args: &InboxArgs) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    loop {
        let reply = tokio::select! {
            reply = poll(global, troupe, args, FOLLOW_WAIT_MS) => reply?,
            _ = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        for delivered in &reply.messages {
            output::json_line(delivered)?;
        }
        if args.ack {
            done(global, troupe, &reply.messages).await?;
        }
    }
}

async fn done(global: &Global, troupe: &Troupe, messages: &[DeliveredMessage]) -> Result<()> {
    let messages: Vec<_> = messages.iter().filter(|m| m.ack_by.is_some()).map(reference).collect();
    if messages.is_empty() {
        return Ok(());
    }
    let request = AckRequest {
        messages,
        outcome: AckOutcome::Acknowledged,
        reason: String::new(),
        forward_to: None,
    };
    let reply = troupe.call_with::<Ack>(&request, &global.call_options()).await?;
    for result in reply.results.iter().filter(|result| result.result != AckEffect::Done) {
        eprintln!("{} was not acknowledged: {}", result.message_id, word(&result.result));
    }
    Ok(())
}

fn reference(delivered: &DeliveredMessage) -> DeliveryRef {
    DeliveryRef {
        message_id: delivered.message.id.clone(),
        sender_id: Some(delivered.message.sender_id.clone()),
        attempt: delivered.delivery_attempts,
    }
}

fn row(delivered: &DeliveredMessage) -> Vec<String> {
    let message = &delivered.message;
    vec![
        format!("{}:{}", message.id, delivered.delivery_attempts),
        message.sender_id.to_string(),
        word(&message.kind),
        word(&message.priority),
        short(&message.subject, BODY_CHARS),
        message.body.as_ref().map_or_else(|| "-".to_owned(), |b| short(b.get(), BODY_CHARS)),
        or_dash(delivered.ack_by.as_ref()),
    ]
}

/// The exit code is 1 if anything was not done.
pub(crate) async fn ack(global: &Global, args: AckArgs) -> Result<ExitCode> {
    if (args.outcome == AckOutcome::Forwarded) != args.forward_to.is_some() {
        return Err(Usage::error("--forward-to goes with --outcome forwarded, and only with it"));
    }
    let messages = args.messages.into_iter();
    let messages = messages.map(|m| DeliveryRef { sender_id: args.sender.clone(), ..m });
    let request = AckRequest {
        messages: messages.collect(),
        outcome: args.outcome,
        reason: args.reason,
        forward_to: args.forward_to,
    };
    let reply = ask::<Ack>(global, &request).await?;
    show_ack(global, &reply)?;
    let all = reply.results.iter().all(|result| result.result == AckEffect::Done);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(FAULT) })
}

fn show_ack(global: &Global, reply: &AckReply) -> Result<()> {
    if global.json {
        return output::json(reply);
    }
    let rows = reply.results.iter().map(|result| {
        vec![
            result.message_id.to_string(),
            word(&result.result),
            result.status.map_or_else(|| "-".to_owned(), |status| word(&status)),
            result.reason.clone().unwrap_or_default(),
        ]
    });
    Ok(output::line(&output::table(&["message", "result", "status", "why"], rows.collect()))?)
}

pub(crate) async fn dead(global: &Global, args: DeadArgs) -> Result<ExitCode> {
    let request =
        DeadLettersRequest { reasons: args.reasons, limit: args.limit, after: args.after };
    let page = ask::<DeadLetters>(global, &request).await?;
    if global.json {
        output::json(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = page.dead_letters.iter().map(|letter| {
        let message = letter.message.as_ref();
        let sender = message.map(|message| &message.sender_id);
        let sender = sender.or(letter.raw.as_ref().map(|raw| &raw.sender_id));
        vec![
            letter.number.to_string(),
            letter.at.to_string(),
            or_dash(message.map(|message| &message.id)),
            or_dash(sender),
            word(&letter.reason),
            letter.delivery_attempts.to_string(),
            letter.why.clone(),
        ]
    });
    let header = ["number", "since", "message", "from", "reason", "deliveries", "why"];
    output::line(&output::table(&header, rows.collect()))?;
    if let Some(after) = page.next_after {
        eprintln!("{} in all; there are more: --after {after}", page.total);
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_named_by_message_and_attempt() {
        let named = delivery("m-1:2").unwrap();
        assert_eq!((named.message_id.as_str(), named.attempt), ("m-1", 2));
        assert!(delivery("m-1").is_err() && delivery("m-1:x").is_err());
    }
}
