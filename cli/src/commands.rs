//! One file per subcommand: parse, call, print.

pub(crate) mod agent;
pub(crate) mod agent_run;
pub(crate) mod bench;
pub(crate) mod call;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod demo_work;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod mcp;
pub(crate) mod memory;
mod memory_read;
mod memory_write;
pub(crate) mod message;
mod message_address;
mod message_inbox;
mod message_send;
pub(crate) mod milestone;
pub(crate) mod parts;
pub(crate) mod plan;
mod plan_edit;
mod plan_read;
mod plan_sync;
pub(crate) mod progress;
mod progress_forecast;
mod progress_read;
mod progress_report;
pub(crate) mod route;
mod route_learn;
mod route_put;
mod route_resolve;
pub(crate) mod session;
pub(crate) mod submit;
pub(crate) mod task;
mod task_read;
mod task_write;

use std::process::ExitCode;

use anyhow::Result;
use troupe_bus::trace;

use crate::args::{Cli, Command, Global};
use crate::telemetry;
use agent::AgentCommand;

/// A person wants to hear of what went wrong, and not that a connection was closed at the end.
const COMMAND_LOG_LEVEL: &str = "warn,troupe_bus::connect=error";
const AGENT_LOG_LEVEL: &str = "info,async_nats=warn";

/// Runs the command; the code says how it went.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode> {
    let global = &cli.global;
    let (service, level) = match &cli.command {
        Command::Agent(AgentCommand::Run(_)) => ("troupe-agent", AGENT_LOG_LEVEL),
        _ => ("troupe-cli", COMMAND_LOG_LEVEL),
    };
    let common = telemetry::common(global, level)?;
    match cli.command {
        // These run services beside themselves, and see to telemetry on their own.
        Command::Demo(args) => return Box::pin(demo::run(global, args)).await,
        Command::Dev(args) => return Box::pin(dev::run(global, args)).await,
        Command::Bench(command) => return Box::pin(bench::run(global, command)).await,
        // These need none.
        Command::Completions(args) => return completions::run(args),
        Command::DemoWork => return demo_work::run(),
        Command::Parts(args) => return parts::run(global, args).await,
        Command::Mcp(args) if !args.speaks() => return mcp::tell(global, &args),
        _ => {}
    }
    let telemetry = telemetry::start(service, &common)?;
    // A command that an agent's program runs is a part of its task's trace.
    let running = Box::pin(on_the_bus(global, cli.command));
    let done = trace::carrying(telemetry::inherited(), running).await;
    telemetry::finish(telemetry).await;
    done
}

async fn on_the_bus(global: &Global, command: Command) -> Result<ExitCode> {
    match command {
        Command::Doctor(args) => doctor::run(global, args).await,
        Command::Agent(command) => agent::run(global, command).await,
        Command::Task(command) => task::run(global, command).await,
        Command::Plan(command) => plan::run(global, *command).await,
        Command::Progress(command) => progress::run(global, *command).await,
        Command::Milestone(command) => milestone::run(global, *command).await,
        Command::Memory(command) => memory::run(global, *command).await,
        Command::Message(command) => message::run(global, *command).await,
        Command::Route(command) => route::run(global, *command).await,
        Command::Session(command) => session::run(global, command).await,
        Command::Mcp(args) => mcp::speak(global, *args).await,
        Command::Call(args) => call::run(global, args).await,
        Command::Events(args) => events::run(global, args).await,
        Command::Demo(_)
        | Command::Dev(_)
        | Command::Bench(_)
        | Command::Completions(_)
        | Command::Parts(_)
        | Command::DemoWork => Ok(ExitCode::SUCCESS),
    }
}
