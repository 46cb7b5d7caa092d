//! `troupe call`: any operation of the catalogue, with a JSON body.

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use troupe_contract::catalogue;
use troupe_contract::endpoint::EndpointEntry;
use troupe_domain::limits::MAX_MESSAGE_BYTES;

use crate::args::Global;
use crate::exit::Usage;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// `service.operation`, such as `work.stats`; left out: lists them all.
    operation: Option<String>,
    /// The request in JSON; `-` reads standard input.
    #[arg(default_value = "{}")]
    body: String,
    /// The idempotency key of the command.
    #[arg(long, value_name = "ID")]
    command_id: Option<String>,
}

pub(crate) async fn run(global: &Global, args: CallArgs) -> Result<ExitCode> {
    let Some(operation) = &args.operation else {
        output::line(&list())?;
        return Ok(ExitCode::SUCCESS);
    };
    let entry = find(operation)?;
    let body = match args.body.as_str() {
        "-" => {
            let mut text = String::new();
            let most = MAX_MESSAGE_BYTES as u64 + 1;
            std::io::stdin().take(most).read_to_string(&mut text).context("standard input")?;
            text
        }
        text => text.to_owned(),
    };
    if let Err(why) = serde_json::from_str::<serde::de::IgnoredAny>(&body) {
        return Err(Usage::error(format!("the body is not JSON: {why}")));
    }
    let troupe = global.connect().await?;
    let options =
        troupe_client::CallOptions { command_id: args.command_id, ..global.call_options() };
    let answer = troupe.call_entry(entry, body.into(), &options).await?;
    if global.json {
        output::line(std::str::from_utf8(&answer)?)?;
    } else {
        output::json(&serde_json::from_slice::<serde_json::Value>(&answer)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn find(operation: &str) -> Result<&'static EndpointEntry> {
    let wanted = |entry: &&EndpointEntry| name(entry) == operation;
    catalogue::endpoints().find(wanted).ok_or_else(|| {
        Usage::error(format!("no operation is called {operation}; there are:\n{}", list()))
    })
}

fn name(entry: &EndpointEntry) -> String {
    format!("{}.{}", entry.service.token(), entry.operation)
}

fn list() -> String {
    let rows = catalogue::endpoints().map(|e| vec![name(e), e.summary.to_owned()]).collect();
    output::table(&["operation", "what it does"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_and_an_unknown_one_lists_them() {
        for entry in catalogue::endpoints() {
            assert_eq!(find(&name(entry)).unwrap().summary, entry.summary);
        }
        let error = find("work.fly").unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("work.create_graph"));
    }
}
