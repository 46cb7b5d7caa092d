//! `troupe dev`: the whole stack, until it is interrupted.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use troupe_domain::agent::Timing;
use troupe_runtime::Signals;

use crate::args::Global;
use crate::stack::address_file::AddressFile;
use crate::stack::{Stack, StackOptions};
use crate::{output, telemetry};

/// Run nats-server, valkey-server and every service on this machine.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Everything that is written is below this folder; dev.json in it says where what listens.
    #[arg(long, value_name = "DIR", default_value = ".troupe")]
    data_dir: PathBuf,
    /// For NATS; 0 is a free one.
    #[arg(long, value_name = "PORT", default_value_t = 4222)]
    nats_port: u16,
    /// For /livez, /readyz and /metrics; 0 is a free one.
    #[arg(long, value_name = "PORT", default_value_t = 7070)]
    http_port: u16,
    /// For MCP; 0 is a free one.
    #[arg(long, value_name = "PORT", default_value_t = troupe_gateway::config::DEFAULT_PORT)]
    mcp_port: u16,
    /// For valkey-server; 0 is a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    redis_port: u16,
    /// Over how many shards tasks are spread; fixed for the life of the data folder.
    #[arg(long, value_name = "N")]
    shards: Option<u16>,
    /// How often agents are asked for a sign of life.
    #[arg(long, value_name = "MS")]
    heartbeat_interval_ms: Option<u64>,
}

pub(crate) async fn run(global: &Global, args: DevArgs) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let common = telemetry::common(global, "info,async_nats=warn")?;
    let telemetry = telemetry::start("troupe-cli", &common)?;
    let mut timing = Timing::default();
    if let Some(interval) = args.heartbeat_interval_ms {
        timing.heartbeat_interval_ms = interval;
    }
    std::fs::create_dir_all(&args.data_dir)?;
    let options = StackOptions {
        data_dir: std::fs::canonicalize(&args.data_dir)?,
        nats_port: args.nats_port,
        redis_port: args.redis_port,
        http_port: args.http_port,
        mcp_port: args.mcp_port,
        shards: args.shards,
        timing,
    };
    let stack = tokio::select! {
        stack = Stack::start(&options, telemetry, common) => stack?,
        signal = signals.next() => bail!("{signal} before everything was ready"),
    };
    let file = AddressFile::write(&options.data_dir, &stack.addresses)?;
    if global.json {
        output::json_line(&stack.addresses)?;
    } else {
        output::line(&format!(
            "ready: NATS {}, HTTP {}, MCP {}, data in {}\nin another terminal: export \
             TROUPE_NATS_URL={}",
            stack.addresses.nats_url,
            stack.addresses.http_url,
            stack.addresses.mcp_url,
            options.data_dir.display(),
            stack.addresses.nats_url,
        ))?;
    }
    let ended = stack.run(signals).await;
    drop(file);
    ended.map(|()| ExitCode::SUCCESS)
}
