//! One task, from the moment it is held to its report.
//!
//! Invariant: when this ends, the program's whole process group is gone, and the task was reported,
//! given back, or is no longer ours.

use std::time::Duration;

use tokio::sync::watch;
use tracing::Instrument;
use troupe_bus::trace;
use troupe_client::HeldTask;
use troupe_domain::{Code, Fault, Role, Task, Timestamp, TraceContext};

use super::outcome::{Outcome, Reading};
use super::program::{Ended, Program, Running};

/// A task that waited longer than this is linked to its trace, not made a part of it.
const LONGEST_PARENT_AGE_MS: u64 = 60 * 60 * 1000;

/// What the agent as a whole is doing; each step is only ever followed by a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Takes work.
    Working,
    /// Finishes what it holds.
    Draining,
    /// Gives back what it holds.
    Abandoning,
}

/// How every task of this agent is done.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) program: Program,
    pub(crate) reading: Reading,
    pub(crate) role: Role,
    pub(crate) agent: String,
    pub(crate) nats_url: String,
    pub(crate) kill_grace: Duration,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    Completed,
    Failed,
    Released,
    /// Nothing was written: the hold was lost, or nobody could be told.
    Lost,
}

/// How it went, and the task that the report brought with it.
pub(crate) struct Done {
    pub(crate) report: Report,
    pub(crate) next: Option<HeldTask>,
}

impl From<Report> for Done {
    fn from(report: Report) -> Self {
        Self { report, next: None }
    }
}

/// Why a program was stopped before its end.
enum Stop {
    Lost(String),
    Budget(u64),
    Leaving,
}

/// Does the task, within a span that is a part of the task's trace. While the agent works on, and if
/// `more` says so, its report asks for the next task.
pub(crate) async fn carry_out(
    way: &Way,
    held: HeldTask,
    phase: watch::Receiver<Phase>,
    more: bool,
    now: Timestamp,
) -> Done {
    let task = held.task();
    let span = tracing::info_span!(
        target: trace::TARGET,
        "invoke_agent",
        otel.name = %format_args!("invoke_agent {}", way.role),
        otel.kind = "consumer",
        otel.status_code = tracing::field::Empty,
        gen_ai.operation.name = "invoke_agent",
        gen_ai.agent.name = %way.agent,
        troupe.task.id = %task.id,
        troupe.task.epoch = task.epoch,
    );
    // The claim's own span where the service records one, or else what is stored with the task.
    let given = held.claimed().trace.clone().or_else(|| task.trace.clone());
    if let Some(context) = &given {
        let only_stored = given == task.trace;
        if only_stored && now.millis_since(task.created_at) > LONGEST_PARENT_AGE_MS {
            trace::add_link(&span, context);
        } else {
            trace::set_parent(&span, context);
        }
    }
    let context = trace::of_span(&span).or(given);
    let doing = async {
        let done = attempt(way, &held, phase, more, context.as_ref()).await;
        if done.report != Report::Completed {
            tracing::Span::current().record("otel.status_code", "ERROR");
        }
        done
    };
    trace::carrying(context.clone(), doing).instrument(span).await
}

async fn attempt(
    way: &Way,
    held: &HeldTask,
    phase: watch::Receiver<Phase>,
    more: bool,
    context: Option<&TraceContext>,
) -> Done {
    let task = held.task();
    tracing::info!(task_id = %task.id, epoch = task.epoch, title = task.title, "task claimed");
    if !held.is_started()
        && let Err(fault) = held.start().await
    {
        tracing::warn!(task_id = %task.id, %fault, "the task could not be started");
        return Report::Lost.into();
    }
    let mut running = match launch(way, held, context).await {
        Ok(running) => running,
        Err(error) => return fail(held, &format!("{error:#}"), true).await.into(),
    };
    let report = match run(held, &mut running, phase.clone()).await {
        Ok(Ok(status)) => {
            let ended = running.collect(status).await;
            let more = more && *phase.borrow() == Phase::Working;
            return report(way, held, &ended, more).await;
        }
        Ok(Err(stop)) => {
            if let Err(error) = running.stop(way.kill_grace).await {
                tracing::error!(task_id = %task.id, "{error:#}");
            }
            after_stop(held, stop).await
        }
        Err(error) => fail(held, &format!("{error:#}"), true).await,
    };
    report.into()
}

async fn launch(
    way: &Way,
    held: &HeldTask,
    context: Option<&TraceContext>,
) -> anyhow::Result<Running> {
    let input = serde_json::to_vec(held.claimed())?;
    let mut environment = vec![
        ("TROUPE_TASK_ID", held.task().id.to_string()),
        ("TROUPE_EPOCH", held.epoch().to_string()),
        ("TROUPE_AGENT", way.agent.clone()),
        ("TROUPE_NATS_URL", way.nats_url.clone()),
    ];
    if let Some(context) = context {
        environment.push(("TRACEPARENT", context.traceparent.clone()));
        environment.extend(context.tracestate.clone().map(|state| ("TRACESTATE", state)));
    }
    let task_id = held.task().id.clone();
    let log = move |line: &str| tracing::info!(target: "program", %task_id, "{line}");
    let running = way.program.start(input, environment, log).await?;
    tracing::debug!(task_id = %held.task().id, pid = running.pid(), "the program runs");
    Ok(running)
}

async fn run(
    held: &HeldTask,
    running: &mut Running,
    mut phase: watch::Receiver<Phase>,
) -> anyhow::Result<Result<std::process::ExitStatus, Stop>> {
    let budget = max_duration_ms(held.task());
    let spent = async {
        match budget {
            Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        loss = held.lost() => Ok(Err(Stop::Lost(loss.to_string()))),
        status = running.wait() => status.map(Ok),
        () = spent => Ok(Err(Stop::Budget(budget.unwrap_or_default()))),
        Ok(_) = phase.wait_for(|phase| *phase == Phase::Abandoning) => Ok(Err(Stop::Leaving)),
    }
}

fn max_duration_ms(task: &Task) -> Option<u64> {
    task.budget.as_ref().and_then(|budget| budget.max_duration_ms)
}

async fn after_stop(held: &HeldTask, stop: Stop) -> Report {
    let task_id = &held.task().id;
    match stop {
        Stop::Lost(why) => {
            tracing::warn!(%task_id, epoch = held.epoch(), why, "the program was stopped");
            Report::Lost
        }
        Stop::Budget(ms) => {
            fail(held, &format!("budget.max_duration_ms of {ms} is spent"), true).await
        }
        Stop::Leaving => give_back(held).await,
    }
}

/// Hands the task back to the queue, for others.
pub(crate) async fn give_back(held: &HeldTask) -> Report {
    match held.release("the agent is leaving").await {
        Ok(_) => {
            tracing::info!(task_id = %held.task().id, "given back");
            Report::Released
        }
        Err(fault) => lost(held, &fault),
    }
}

async fn report(way: &Way, held: &HeldTask, ended: &Ended, more: bool) -> Done {
    let asked = held.task().verification.as_ref().map_or(&[][..], |v| &v.evidence);
    let (result, evidence) = match way.reading.outcome(ended, asked) {
        Outcome::Failed { error, retryable } => return fail(held, &error, retryable).await.into(),
        Outcome::Completed { result, evidence } => (result, evidence),
    };
    let told = if more {
        held.complete_and_next(result, evidence).await
    } else {
        held.complete(result, evidence).await.map(|done| (done, None))
    };
    match told {
        Ok((done, next)) => {
            let status = done.status.as_str();
            tracing::info!(task_id = %done.task_id, epoch = done.epoch, status, "done");
            Done { report: Report::Completed, next }
        }
        Err(fault) if is_refused(&fault) => {
            fail(held, &format!("the result was refused: {fault}"), true).await.into()
        }
        Err(fault) => lost(held, &fault).into(),
    }
}

/// The result itself is not acceptable; the hold still is.
fn is_refused(fault: &Fault) -> bool {
    matches!(fault.code, Code::InvalidArgument | Code::ResourceExhausted | Code::FailedPrecondition)
}

async fn fail(held: &HeldTask, error: &str, retryable: bool) -> Report {
    let task_id = &held.task().id;
    tracing::warn!(%task_id, epoch = held.epoch(), retryable, error, "the task failed");
    match held.fail(error, retryable).await {
        Ok(_) => Report::Failed,
        Err(fault) => lost(held, &fault),
    }
}

fn lost(held: &HeldTask, fault: &Fault) -> Report {
    tracing::warn!(
        task_id = %held.task().id, epoch = held.epoch(), %fault, "nothing was written"
    );
    Report::Lost
}
