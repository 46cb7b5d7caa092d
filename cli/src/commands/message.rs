//! `troupe message`: say something to an agent, a topic, everybody or whoever can act on it; read what
//! others said.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use troupe_contract::Endpoint;
use troupe_contract::registry::Empty;
use troupe_contract::routing::{
    RoutingStats, Subscribe, Subscriptions, TopicPatterns, TopicPatternsReply, Unsubscribe,
};
use troupe_domain::TopicPattern;

use super::message_inbox::{self, AckArgs, DeadArgs, InboxArgs};
use super::message_send::{self, RequestArgs, RespondArgs, SendArgs};
use crate::args::Global;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum MessageCommand {
    /// Send a message.
    Send(SendArgs),
    /// Send a request, wait for its response, and print it.
    Request(RequestArgs),
    /// Answer a request.
    Respond(RespondArgs),
    /// Take messages out of the mailbox of this name (see --name), waiting for one if asked.
    Inbox(InboxArgs),
    /// Say what became of messages that were taken.
    Ack(AckArgs),
    /// List what could not be delivered, and why.
    Dead(DeadArgs),
    /// Follow topics: `*` is one name, `>` at the end one or more.
    Subscribe {
        /// Patterns, such as deploy.* or build.>
        #[arg(required = true, value_parser = pattern)]
        patterns: Vec<TopicPattern>,
    },
    /// Follow topics no more.
    Unsubscribe {
        /// Patterns, as they were given to subscribe.
        #[arg(required = true, value_parser = pattern)]
        patterns: Vec<TopicPattern>,
    },
    /// List the topics that are followed.
    Subscriptions,
    /// Count messages, mailboxes, sessions and decisions.
    Stats,
}

fn pattern(text: &str) -> Result<TopicPattern, String> {
    TopicPattern::parse(text).map_err(|why| why.to_string())
}

pub(crate) async fn run(global: &Global, command: MessageCommand) -> Result<ExitCode> {
    match command {
        MessageCommand::Send(args) => return message_send::send(global, args).await,
        MessageCommand::Request(args) => return message_send::request(global, args).await,
        MessageCommand::Respond(args) => return message_send::respond(global, args).await,
        MessageCommand::Inbox(args) => return message_inbox::inbox(global, args).await,
        MessageCommand::Ack(args) => return message_inbox::ack(global, args).await,
        MessageCommand::Dead(args) => return message_inbox::dead(global, args).await,
        MessageCommand::Subscribe { patterns } => {
            followed(global, ask::<Subscribe>(global, &TopicPatterns { patterns }).await?)?;
        }
        MessageCommand::Unsubscribe { patterns } => {
            followed(global, ask::<Unsubscribe>(global, &TopicPatterns { patterns }).await?)?;
        }
        MessageCommand::Subscriptions => {
            followed(global, ask::<Subscriptions>(global, &Empty {}).await?)?;
        }
        MessageCommand::Stats => output::json(&ask::<RoutingStats>(global, &Empty {}).await?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One call under the name given.
pub(super) async fn ask<E: Endpoint>(global: &Global, request: &E::Request) -> Result<E::Reply> {
    let troupe = global.connect().await?;
    Ok(troupe.call_with::<E>(request, &global.call_options()).await?)
}

fn followed(global: &Global, reply: TopicPatternsReply) -> Result<()> {
    if global.json {
        return output::json(&reply);
    }
    let rows = reply.patterns.iter().map(|pattern| vec![pattern.to_string()]);
    Ok(output::line(&output::table(&["topics"], rows.collect()))?)
}
