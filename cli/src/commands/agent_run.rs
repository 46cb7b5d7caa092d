//! `troupe agent run`: any program as a member of the fleet.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use troupe_bus::port::{System, World};
use troupe_client::Declaration;
use troupe_domain::limits::{
    MAX_CONCURRENT_TASKS, MAX_LEASE_MS, MAX_NAME_CHARS, MAX_WAIT_MS, MIN_LEASE_MS,
};
use troupe_domain::{AgentId, Capability, Name, Role};
use troupe_runtime::Signals;

use crate::agent::messages::Hearing;
use crate::agent::outcome::Reading;
use crate::agent::program::Program;
use crate::agent::runner::{Limits, Runner};
use crate::agent::work::Way;
use crate::args::Global;
use crate::exit::Usage;
use crate::output;

/// Run a program once per task that this agent is fit for, or once per message, or both.
///
/// The program reads the task (or the message) as JSON on its standard input and writes its result
/// (JSON or text) to its standard output. Exit code 0 completes the task, any other fails it. What it
/// writes to standard error goes to the log. TROUPE_TASK_ID, TROUPE_EPOCH and TRACEPARENT are in its
/// environment; of a message TROUPE_MESSAGE_ID and TROUPE_ATTEMPT.
///
/// Of a message, standard output is the response if it is a request; exit code 0 acknowledges it, 65
/// refuses it, and any other lets it be delivered again.
#[derive(Debug, Args)]
pub(crate) struct AgentRunArgs {
    /// What the agent is for, such as implementer.
    #[arg(long)]
    role: Role,
    /// What it can do and how well, such as rust:0.9; can be repeated.
    #[arg(long = "capability", value_name = "NAME[:PROFICIENCY]")]
    capabilities: Vec<Capability>,
    /// The program, with its arguments (those that begin with a hyphen after `--`). A single text
    /// with spaces is a shell command line.
    #[arg(long, required_unless_present = "on_message", num_args = 1.., value_name = "CMD")]
    exec: Vec<OsString>,
    /// More arguments for the program of --exec.
    #[arg(last = true, requires = "exec", value_name = "ARGS")]
    arguments: Vec<OsString>,
    /// The program that handles messages. A text with spaces is a shell command line.
    #[arg(long, value_name = "CMD")]
    on_message: Option<OsString>,
    /// Run --on-message for responses too. Without it they wait for a `troupe message request` of the
    /// program itself.
    #[arg(long, requires = "on_message")]
    responses: bool,
    /// How long a message stays with an agent that gives no sign of life, before it is delivered again.
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(MIN_LEASE_MS..=MAX_LEASE_MS))]
    ack_wait_ms: u64,
    /// How many tasks at once, and how many messages.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CONCURRENT_TASKS)))]
    concurrency: u32,
    /// The domain that the agent stays inside, in words.
    #[arg(long)]
    persona: Option<String>,
    /// The agent that started this one.
    #[arg(long, value_name = "ID")]
    parent: Option<AgentId>,
    /// Exit codes after which trying again does not help.
    #[arg(long, value_name = "CODE", default_values_t = [65])]
    no_retry_exit_code: Vec<i32>,
    /// The program's output is {"result": …, "evidence": […]}.
    #[arg(long)]
    evidence: bool,
    /// Leave after so many tasks.
    #[arg(long, value_name = "N")]
    max_tasks: Option<u64>,
    /// Leave after so many messages.
    #[arg(long, value_name = "N", requires = "on_message")]
    max_messages: Option<u64>,
    /// Leave after so long without work.
    #[arg(long, value_name = "MS")]
    idle_exit_ms: Option<u64>,
    /// How long one poll for work waits.
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(0..=MAX_WAIT_MS))]
    poll_ms: u64,
    /// On a signal: how long tasks at work may go on before they are given back.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    grace_ms: u64,
    /// How long a program that must stop gets between SIGTERM and SIGKILL.
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    kill_grace_ms: u64,
}

pub(crate) async fn run(global: &Global, args: AgentRunArgs) -> Result<ExitCode> {
    let signals = Signals::listen()?;
    let name = match &global.name {
        Some(name) => name.clone(),
        None => generated_name(&args.role)?,
    };
    let way = way(global, &args, &name)?;
    let hearing = hearing(global, &args, &name)?;
    let limits = Limits {
        concurrency: args.concurrency as usize,
        max_tasks: args.max_tasks,
        max_messages: args.max_messages,
        idle_exit: args.idle_exit_ms.map(Duration::from_millis),
        poll: Duration::from_millis(args.poll_ms),
        grace: Duration::from_millis(args.grace_ms),
        kill_grace: Duration::from_millis(args.kill_grace_ms),
    };
    let troupe = global.connect_as(name).await?;
    let session = troupe.join(declaration(args)).await.context("the agent could not register")?;
    tracing::info!(agent = %session.id(), "joined the fleet");
    let summary = Runner::new(session, way, hearing, limits).run(signals).await?;
    troupe.bus().close().await;
    if global.json {
        output::json_line(&summary)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn checked(flag: &str, words: Vec<OsString>) -> Result<Program> {
    let program = Program::new(words);
    program.check().map_err(|why| Usage::error(format!("{flag}: {why}")))?;
    Ok(program)
}

fn reading(args: &AgentRunArgs, program: &Program, with_evidence: bool) -> Reading {
    Reading {
        command: program.line(),
        no_retry_exit_codes: args.no_retry_exit_code.clone(),
        with_evidence,
    }
}

/// How tasks are done; without --exec there are none.
fn way(global: &Global, args: &AgentRunArgs, name: &Name) -> Result<Option<Way>> {
    if args.exec.is_empty() {
        return Ok(None);
    }
    let program = checked("--exec", args.exec.iter().chain(&args.arguments).cloned().collect())?;
    Ok(Some(Way {
        reading: reading(args, &program, args.evidence),
        program,
        role: args.role.clone(),
        agent: name.to_string(),
        nats_url: global.nats_url.clone(),
        kill_grace: Duration::from_millis(args.kill_grace_ms),
    }))
}

/// How messages are handled; without --on-message they wait in the mailbox.
fn hearing(global: &Global, args: &AgentRunArgs, name: &Name) -> Result<Option<Hearing>> {
    let Some(command) = args.on_message.clone() else { return Ok(None) };
    let program = checked("--on-message", vec![command])?;
    Ok(Some(Hearing {
        reading: reading(args, &program, false),
        program,
        agent: name.to_string(),
        nats_url: global.nats_url.clone(),
        kill_grace: Duration::from_millis(args.kill_grace_ms),
        with_answers: args.responses,
        ack_wait: Duration::from_millis(args.ack_wait_ms),
    }))
}

fn declaration(args: AgentRunArgs) -> Declaration {
    Declaration {
        persona: args.persona,
        capabilities: args.capabilities,
        max_concurrent_tasks: args.concurrency,
        parent_agent_id: args.parent,
        ..Declaration::of_role(args.role)
    }
}

/// The role and some random characters, so that agents started alike do not take over each other.
fn generated_name(role: &Role) -> Result<Name> {
    const RANDOM_CHARS: usize = 8;
    let ulid = System.ulid().to_string().to_lowercase();
    let random = &ulid[ulid.len() - RANDOM_CHARS..];
    let kept: String = role.as_str().chars().take(MAX_NAME_CHARS - RANDOM_CHARS - 1).collect();
    Ok(Name::parse(&format!("{kept}-{random}"))?)
}
