//! The command line, as a whole: one variant per file in `commands`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use troupe_domain::Name;

use crate::commands;

/// Coordinate a fleet of AI agents: hand out work, follow it, run agents, run the whole stack.
#[derive(Debug, Parser)]
#[command(name = "troupe", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to reach the fleet, and how to answer.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where NATS listens; several servers separated by commas.
    #[arg(
        long,
        global = true,
        env = "TROUPE_NATS_URL",
        default_value = "nats://127.0.0.1:4222",
        value_name = "URL"
    )]
    pub(crate) nats_url: String,
    /// User name, where the server asks for one.
    #[arg(long, global = true, env = "TROUPE_NATS_USER", value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Its password.
    #[arg(
        long,
        global = true,
        env = "TROUPE_NATS_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub(crate) password: Option<String>,
    /// A file with NATS credentials.
    #[arg(long, global = true, env = "TROUPE_NATS_CREDS", value_name = "FILE")]
    pub(crate) creds: Option<PathBuf>,
    /// The name to speak under, which the credentials must allow [default: operator; an agent: its
    /// role and a number].
    #[arg(long, global = true, env = "TROUPE_NAME", value_name = "NAME")]
    pub(crate) name: Option<Name>,
    /// Answer in JSON, for machines.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How long to wait for an answer.
    #[arg(
        long,
        global = true,
        env = "TROUPE_TIMEOUT_MS",
        default_value_t = 5_000,
        value_name = "MS"
    )]
    pub(crate) timeout_ms: u64,
    /// How log lines are written to standard error.
    #[arg(long, global = true, env = "TROUPE_LOG_FORMAT", default_value = "pretty")]
    pub(crate) log_format: LogFormat,
    /// What is logged, such as debug or info,troupe_client=debug [default: warn; info for an agent
    /// and for dev].
    #[arg(long, global = true, env = "TROUPE_LOG_LEVEL", value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Send traces to this OTLP endpoint (gRPC).
    #[arg(long, global = true, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
}

impl Global {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line, with the trace id.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole fleet over real files, lose an agent on the way, and print a report.
    Demo(commands::demo::DemoArgs),
    /// Run the whole stack in this process, until it is interrupted.
    Dev(commands::dev::DevArgs),
    /// Measure what Troupe reaches on this machine.
    #[command(subcommand)]
    Bench(commands::bench::BenchCommand),
    /// Check this machine and the fleet, and say what to do.
    Doctor(commands::doctor::DoctorArgs),
    /// Run an agent, or look at the fleet's directory.
    #[command(subcommand)]
    Agent(commands::agent::AgentCommand),
    /// Submit, look at, and decide about tasks.
    #[command(subcommand)]
    Task(commands::task::TaskCommand),
    /// Make, edit and follow plans that many edit at once.
    #[command(subcommand)]
    Plan(Box<commands::plan::PlanCommand>),
    /// Tell how far a task is, and see how far everything is and when it will be done.
    #[command(subcommand)]
    Progress(Box<commands::progress::ProgressCommand>),
    /// Remember things, and find them again by words and by meaning.
    #[command(subcommand)]
    Memory(Box<commands::memory::MemoryCommand>),
    /// Set milestones, and see which are achieved and which are missed.
    #[command(subcommand)]
    Milestone(Box<commands::milestone::MilestoneCommand>),
    /// Send messages, ask for a response, read the mailbox.
    #[command(subcommand)]
    Message(Box<commands::message::MessageCommand>),
    /// Declare who does what, and ask who can act on a text and why.
    #[command(subcommand)]
    Route(Box<commands::route::RouteCommand>),
    /// Talk in a session: several agents, in turns, in causal order.
    #[command(subcommand)]
    Session(commands::session::SessionCommand),
    /// Connect clients that speak MCP, or be one over standard input and output.
    Mcp(Box<commands::mcp::McpArgs>),
    /// Call any operation by its name, with a JSON body.
    Call(commands::call::CallArgs),
    /// Fetch what Troupe needs and does not contain, for a machine or an image without a network.
    Parts(commands::parts::PartsArgs),
    /// Show events as they happen.
    Events(commands::events::EventsArgs),
    /// Print a completion script for a shell.
    Completions(commands::completions::CompletionsArgs),
    /// What the agents of `demo` run.
    #[command(hide = true)]
    DemoWork,
}

impl Command {
    /// Whether it runs the embedding model in this process.
    pub(crate) const fn may_embed(&self) -> bool {
        matches!(self, Self::Demo(_) | Self::Dev(_) | Self::Bench(_) | Self::Doctor(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
