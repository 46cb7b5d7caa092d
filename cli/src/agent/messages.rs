//! One message, from the mailbox to its end.
//!
//! Invariant: when this ends, the program's whole process group is gone, and the message was
//! acknowledged, answered, refused, given back, or is no longer ours.

use std::process::ExitStatus;
use std::time::Duration;

use tokio::sync::watch;
use tracing::Instrument;
use troupe_bus::trace;
use troupe_client::HeldMessage;
use troupe_domain::{Code, Fault, Json, TraceContext};

use super::outcome::{Outcome, Reading};
use super::program::{Program, Running};
use super::work::{Phase, Report};

/// How every message of this agent is handled.
#[derive(Debug)]
pub(crate) struct Hearing {
    pub(crate) program: Program,
    pub(crate) reading: Reading,
    pub(crate) agent: String,
    pub(crate) nats_url: String,
    pub(crate) kill_grace: Duration,
    /// Whether responses are messages as others; or left to whoever waits for them.
    pub(crate) with_answers: bool,
    /// How long a message is out before it must be renewed, which happens by itself.
    pub(crate) ack_wait: Duration,
}

/// Why a program was stopped before its end.
enum Stop {
    Lost(String),
    Leaving,
}

/// Handles the message, within a span that is a part of the message's trace.
pub(crate) async fn handle(
    hearing: &Hearing,
    held: &HeldMessage,
    phase: watch::Receiver<Phase>,
) -> Report {
    let message = held.message();
    let span = tracing::info_span!(
        target: trace::TARGET,
        "handle_message",
        otel.name = %format_args!("handle_message {}", hearing.agent),
        otel.kind = "consumer",
        otel.status_code = tracing::field::Empty,
        gen_ai.agent.name = %hearing.agent,
        messaging.message.id = %message.id,
        troupe.message.attempt = held.attempt(),
    );
    // The delivery's own span where the service records one, or else what the message carries.
    let given = held.delivered().trace.clone().or_else(|| message.trace.clone());
    if let Some(context) = &given {
        trace::set_parent(&span, context);
    }
    let context = trace::of_span(&span).or(given);
    let doing = async {
        let report = attempt(hearing, held, phase, context.as_ref()).await;
        if report != Report::Completed {
            tracing::Span::current().record("otel.status_code", "ERROR");
        }
        report
    };
    trace::carrying(context.clone(), doing).instrument(span).await
}

async fn attempt(
    hearing: &Hearing,
    held: &HeldMessage,
    phase: watch::Receiver<Phase>,
    context: Option<&TraceContext>,
) -> Report {
    let message = held.message();
    let attempt = held.attempt();
    tracing::info!(message_id = %message.id, from = %message.sender_id, attempt, "message taken");
    let mut running = match launch(hearing, held, context).await {
        Ok(running) => running,
        Err(error) => return fail(held, &format!("{error:#}"), true).await,
    };
    match run(held, &mut running, phase).await {
        Ok(Ok(status)) => {
            let ended = running.collect(status).await;
            match hearing.reading.outcome(&ended, &[]) {
                Outcome::Completed { result, .. } => finish(held, result).await,
                Outcome::Failed { error, retryable } => fail(held, &error, retryable).await,
            }
        }
        Ok(Err(stop)) => {
            if let Err(error) = running.stop(hearing.kill_grace).await {
                tracing::error!(message_id = %message.id, "{error:#}");
            }
            after_stop(held, stop).await
        }
        Err(error) => fail(held, &format!("{error:#}"), true).await,
    }
}

async fn launch(
    hearing: &Hearing,
    held: &HeldMessage,
    context: Option<&TraceContext>,
) -> anyhow::Result<Running> {
    let input = serde_json::to_vec(held.delivered())?;
    let message_id = held.message().id.clone();
    let mut environment = vec![
        ("TROUPE_MESSAGE_ID", message_id.to_string()),
        ("TROUPE_ATTEMPT", held.attempt().to_string()),
        ("TROUPE_AGENT", hearing.agent.clone()),
        ("TROUPE_NATS_URL", hearing.nats_url.clone()),
    ];
    if let Some(context) = context {
        environment.push(("TRACEPARENT", context.traceparent.clone()));
        environment.extend(context.tracestate.clone().map(|state| ("TRACESTATE", state)));
    }
    let log = move |line: &str| tracing::info!(target: "program", %message_id, "{line}");
    hearing.program.start(input, environment, log).await
}

async fn run(
    held: &HeldMessage,
    running: &mut Running,
    mut phase: watch::Receiver<Phase>,
) -> anyhow::Result<Result<ExitStatus, Stop>> {
    tokio::select! {
        biased;
        why = held.lost() => Ok(Err(Stop::Lost(why))),
        status = running.wait() => status.map(Ok),
        Ok(_) = phase.wait_for(|phase| *phase == Phase::Abandoning) => Ok(Err(Stop::Leaving)),
    }
}

async fn after_stop(held: &HeldMessage, stop: Stop) -> Report {
    let message_id = &held.message().id;
    match stop {
        Stop::Lost(why) => {
            tracing::warn!(%message_id, why, "the program was stopped");
            Report::Lost
        }
        Stop::Leaving => match held.retry("the agent is leaving").await {
            Ok(()) => {
                tracing::info!(%message_id, "given back");
                Report::Released
            }
            Err(fault) => lost(held, &fault),
        },
    }
}

/// What the program wrote is the response, if somebody waits for one.
async fn finish(held: &HeldMessage, result: Option<Json>) -> Report {
    let message_id = &held.message().id;
    let told = if held.is_request() {
        held.respond(result).await.map(|_| ())
    } else {
        held.acknowledge().await
    };
    match told {
        Ok(()) => {
            tracing::info!(%message_id, "done");
            Report::Completed
        }
        // The response itself is not acceptable: another attempt would make the same.
        Err(fault) if matches!(fault.code, Code::InvalidArgument | Code::ResourceExhausted) => {
            fail(held, &format!("the response was refused: {fault}"), false).await
        }
        Err(fault) => lost(held, &fault),
    }
}

async fn fail(held: &HeldMessage, error: &str, retryable: bool) -> Report {
    let message_id = &held.message().id;
    tracing::warn!(%message_id, retryable, error, "the message was not handled");
    let told = if retryable { held.retry(error).await } else { held.reject(error).await };
    match told {
        Ok(()) => Report::Failed,
        Err(fault) => lost(held, &fault),
    }
}

fn lost(held: &HeldMessage, fault: &Fault) -> Report {
    tracing::warn!(message_id = %held.message().id, %fault, "nothing was written");
    Report::Lost
}
