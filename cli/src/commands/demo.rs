//! `troupe demo`: a whole fleet over real files, in one command.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use troupe_bus::port::{System, World};
use troupe_client::Troupe;
use troupe_contract::registry::{Empty, RegistryStats};
use troupe_contract::work::CreateGraph;
use troupe_domain::Name;
use troupe_domain::agent::Timing;
use troupe_runtime::Signals;

use crate::args::Global;
use crate::demo::fleet::{Troop, roles};
use crate::demo::report::{Facts, Report};
use crate::demo::stage::Stage;
use crate::demo::{files, graph};
use crate::exit::{FAULT, Usage};
use crate::follow::lines::{Lines, Quiet};
use crate::follow::live::Live;
use crate::follow::{Follow, View};
use crate::stack::{Stack, StackOptions};
use crate::{output, telemetry};

/// Parts that the files are shared out to.
const PARTS: usize = 16;
/// How long the agents may take to join.
const JOIN_LIMIT_MS: u64 = 30_000;
const JOIN_POLL_MS: u64 = 50;
/// How long one call of the demo may take.
const CALL_LIMIT_MS: u64 = 10_000;
/// Short, so that a person sees within seconds that an agent is gone.
const TIMING: Timing = Timing {
    heartbeat_interval_ms: 500,
    offline_after_misses: 3,
    crashed_after_misses: 6,
    crashed_retention_ms: 3_600_000,
};

/// Run a fleet of real agent processes over real files, kill one of them in the middle, and print a
/// report that can be checked by hand. Leaves nothing behind.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The files to work on: every text file below this folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// How many agents, at least 4.
    #[arg(long, value_name = "N", default_value_t = 6)]
    agents: usize,
    /// Keep the data and the logs, in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// How long each task takes longer than it would, so that a person can follow.
    #[arg(long, value_name = "MS", default_value_t = 400)]
    pace_ms: u64,
}

pub(crate) async fn run(global: &Global, args: DemoArgs) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let root = std::fs::canonicalize(&args.path)
        .map_err(|why| Usage(format!("--path {}: {why}", args.path.display())))?;
    let (temporary, folder) = if let Some(folder) = &args.keep {
        std::fs::create_dir_all(folder)?;
        (None, std::fs::canonicalize(folder)?)
    } else {
        let folder = tempfile::Builder::new().prefix("troupe-demo-").tempdir()?;
        let path = folder.path().to_owned();
        (Some(folder), path)
    };
    let report = play(global, &args, &root, &folder, &mut signals).await;
    if let Some(folder) = temporary {
        folder.close().context("removing the temporary folder")?;
    }
    let report = report?;
    if global.json {
        output::json(&report)?;
    } else {
        output::line(&report.text())?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(FAULT) })
}

async fn play(
    global: &Global,
    args: &DemoArgs,
    root: &Path,
    folder: &Path,
    signals: &mut Signals,
) -> Result<Report> {
    let (found, skipped) = files::walk(root)?;
    if found.is_empty() {
        bail!("there is no text file below {}", root.display());
    }
    let parts = files::split(&found, PARTS);
    let tell = |text: &str| {
        if !global.json {
            eprintln!("{text}");
        }
    };
    tell(&format!("{} files in {} parts; starting the stack", found.len(), parts.len()));
    let common = telemetry::common(global, "info")?;
    let telemetry = telemetry::start_in(&folder.join("demo.log"), "troupe-cli", &common)?;
    let options = StackOptions {
        data_dir: folder.to_owned(),
        nats_port: 0,
        redis_port: 0,
        http_port: 0,
        mcp_port: 0,
        shards: None,
        timing: TIMING,
    };
    let stack = tokio::select! {
        stack = Stack::start(&options, telemetry, common) => stack?,
        signal = signals.next() => bail!("{signal}: the demo was broken off"),
    };
    let nats_url = stack.addresses.nats_url.clone();
    let stop = stack.stopper();
    let running = tokio::spawn(stack.run(Signals::none()));
    tell(&format!("ready at {nats_url}; {} agents join", roles(args.agents).len()));
    let outcome = tokio::select! {
        outcome = perform(global, args, &nats_url, folder, &parts, root) => outcome,
        signal = signals.next() => Err(anyhow!("{signal}: the demo was broken off")),
    };
    stop();
    running.await?.context("stopping the stack")?;
    let (losses, tasks, agents, elapsed) = outcome?;
    let facts = Facts {
        root,
        found: &found,
        skipped,
        parts: parts.len(),
        agents,
        losses,
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    };
    Ok(Report::of(facts, &tasks))
}

type Outcome =
    (Vec<crate::demo::stage::Loss>, Vec<std::sync::Arc<troupe_domain::Task>>, usize, Duration);

async fn perform(
    global: &Global,
    args: &DemoArgs,
    nats_url: &str,
    folder: &Path,
    parts: &[Vec<String>],
    root: &Path,
) -> Result<Outcome> {
    let settings = troupe_client::Settings { url: nats_url.to_owned(), ..Default::default() };
    let troupe = Troupe::connect(&settings, Name::parse("demo")?).await?;
    let troop = Troop::start(args.agents, nats_url, &folder.join("agents")).await?;
    let agents = troop.members.len();
    joined(&troupe, agents).await?;
    let events = Follow::listen(&troupe).await?;
    let began = Instant::now();
    let created = troupe.call::<CreateGraph>(&graph::build(root, parts, args.pace_ms)?).await?;
    let limit = Duration::from_millis(CALL_LIMIT_MS);
    let mut follow = Follow::new(troupe.clone(), created.graph_id, events, limit);
    let (view, say) = view(global.json);
    let mut stage = Stage::new(&troop, view, say, || System.now());
    let tasks = follow.run_to_end(&mut stage).await?;
    let elapsed = began.elapsed();
    let losses = stage.losses;
    troop.dismiss().await?;
    troupe.bus().close().await;
    Ok((losses, tasks, agents, elapsed))
}

type Say = Box<dyn Fn(&str)>;

fn view(json: bool) -> (Box<dyn View>, Say) {
    if json {
        (Box::new(Quiet), Box::new(|_| {}))
    } else if std::io::stderr().is_terminal() {
        let live = Live::new();
        let screen = live.screen();
        (Box::new(live), Box::new(move |text| drop(screen.println(text))))
    } else {
        (Box::new(Lines), Box::new(|text| eprintln!("*** {text}")))
    }
}

async fn joined(troupe: &Troupe, agents: usize) -> Result<()> {
    let deadline = Instant::now() + Duration::from_millis(JOIN_LIMIT_MS);
    loop {
        let there = troupe.call::<RegistryStats>(&Empty {}).await?.total_agents;
        if there >= agents {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{there} of {agents} agents joined within {JOIN_LIMIT_MS} ms");
        }
        tokio::time::sleep(Duration::from_millis(JOIN_POLL_MS)).await;
    }
}
